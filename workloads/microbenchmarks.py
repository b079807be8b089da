"""The microbenchmarks of the patch series: one gigabyte in folios of one size, one operation timed.

Prepared and timed as in specification 6.1 (pte-mapped-folio-benchmarks.c, described in
20240829165627.2256514-1-david@redhat.com and 20231124132626.235350-1-david@redhat.com). PMD-sized folios are
mapped by a PMD first and then by PTEs, as there. Writes store into real page contents; a copy copies 4 KiB.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from foliolab.framework.api import PMD_ORDER, Setting, Timed, Workload

if TYPE_CHECKING:
    from foliolab.framework.api import Machine

PAGE_SIZE: Final = 4096
PARENT: Final = 0
CHILD: Final = 1
SERIES: Final = ("20240829165627.2256514-1-david@redhat.com", "specification 6.1")
PRECISE: Final = ("20231124132626.235350-1-david@redhat.com", "specification 4.6")


def populate(machine: Machine, setting: Setting) -> None:
    """The parent touches all of its memory."""
    machine.create(PARENT)
    machine.populate(PARENT, 0, setting.nr_pages, setting.order)


def populate_and_fork(machine: Machine, setting: Setting) -> None:
    """The parent touches all of its memory and forks a child that stays alive."""
    populate(machine, setting)
    machine.fork(PARENT, CHILD)


def munmap(machine: Machine, setting: Setting) -> Timed:
    """munmap of it all."""
    populate(machine, setting)
    return machine.bind("unmap", PARENT, 0, setting.nr_pages)


def dontneed(machine: Machine, setting: Setting) -> Timed:
    """MADV_DONTNEED of it all."""
    return munmap(machine, setting)


def fork(machine: Machine, setting: Setting) -> Timed:
    """fork of the parent."""
    populate(machine, setting)
    return machine.bind("fork", PARENT, CHILD)


def _write(machine: Machine, setting: Setting, who: int, nbytes: int) -> Timed:
    return machine.bind("write", who, 0, setting.nr_pages, 1, nbytes)


def cow_byte(machine: Machine, setting: Setting) -> Timed:
    """The parent writes a byte into each page while the child lives."""
    populate_and_fork(machine, setting)
    return _write(machine, setting, PARENT, 1)


def cow(machine: Machine, setting: Setting) -> Timed:
    """The parent writes all bytes of each page while the child lives."""
    populate_and_fork(machine, setting)
    return _write(machine, setting, PARENT, PAGE_SIZE)


def reuse_byte(machine: Machine, setting: Setting) -> Timed:
    """The parent writes a byte into each page after the child has exited."""
    populate_and_fork(machine, setting)
    machine.exit(CHILD)
    return _write(machine, setting, PARENT, 1)


def reuse(machine: Machine, setting: Setting) -> Timed:
    """The parent writes all bytes of each page after the child has exited."""
    populate_and_fork(machine, setting)
    machine.exit(CHILD)
    return _write(machine, setting, PARENT, PAGE_SIZE)


def child_reuse_byte(machine: Machine, setting: Setting) -> Timed:
    """The child writes a byte into each page after the parent has unmapped them."""
    populate_and_fork(machine, setting)
    machine.unmap(PARENT, 0, setting.nr_pages)
    return _write(machine, setting, CHILD, 1)


def remap(machine: Machine, setting: Setting) -> Timed:
    """PMD mappings are replaced by PTE mappings."""
    machine.create(PARENT)
    machine.populate(PARENT, 0, setting.nr_pages, setting.order, pmd=True)
    return machine.bind("split_pmd", PARENT, 0, setting.nr_pages)


WORKLOADS: Final = (
    Workload(
        name="munmap",
        summary="memory populated; munmap of it all is timed",
        references=SERIES,
        prepare=munmap,
    ),
    Workload(
        name="dontneed",
        summary="memory populated; MADV_DONTNEED of it all is timed",
        references=SERIES,
        prepare=dontneed,
    ),
    Workload(name="fork", summary="memory populated; fork is timed", references=SERIES, prepare=fork),
    Workload(
        name="cow-byte",
        summary="forked, the child lives; the parent's write of 1 byte a page is timed (copies)",
        references=SERIES,
        prepare=cow_byte,
        frames=2,
        contents=True,
    ),
    Workload(
        name="reuse-byte",
        summary="forked, the child has exited; the parent's write of 1 byte a page is timed",
        references=SERIES,
        prepare=reuse_byte,
        frames=2,
        contents=True,
    ),
    Workload(
        name="child-reuse-byte",
        summary="forked, the parent has unmapped; the child's write of 1 byte a page is timed",
        references=SERIES,
        prepare=child_reuse_byte,
        frames=2,
        contents=True,
    ),
    Workload(
        name="cow",
        summary="forked, the child lives; the parent's write of whole pages is timed (copies)",
        references=PRECISE,
        prepare=cow,
        frames=2,
        contents=True,
    ),
    Workload(
        name="reuse",
        summary="forked, the child has exited; the parent's write of whole pages is timed",
        references=PRECISE,
        prepare=reuse,
        frames=2,
        contents=True,
    ),
    Workload(
        name="remap",
        summary="mapped by PMDs; mapping by PTEs instead is timed",
        references=PRECISE,
        prepare=remap,
        orders=(PMD_ORDER,),
        needs=frozenset({"pmd"}),
    ),
)
