"""The microbenchmarks of the patch series: one gigabyte in folios of one size, one operation timed.

Prepared and timed as in specification 6.1 (pte-mapped-folio-benchmarks.c, described in
20240829165627.2256514-1-david@redhat.com and 20231124132626.235350-1-david@redhat.com). PMD-sized folios are
mapped by a PMD first and then by PTEs, as there. Writes store into real page contents; a copy copies 4 KiB.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
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


def munmap(machine: Machine, setting: Setting) -> Timed:
    """Time munmap, or MADV_DONTNEED, of all memory: the engine does the same work for both."""
    populate(machine, setting)
    return machine.bind("unmap", PARENT, 0, setting.nr_pages)


def fork(machine: Machine, setting: Setting) -> Timed:
    """Time fork of the parent."""
    populate(machine, setting)
    return machine.bind("fork", PARENT, CHILD)


def cow(machine: Machine, setting: Setting, nbytes: int) -> Timed:
    """Time the parent's write of nbytes in each page while the child lives."""
    populate(machine, setting)
    machine.fork(PARENT, CHILD)
    return machine.bind("write", PARENT, 0, setting.nr_pages, 1, nbytes)


def reuse(machine: Machine, setting: Setting, nbytes: int) -> Timed:
    """Time the parent's write of nbytes in each page after the child has exited."""
    populate(machine, setting)
    machine.fork(PARENT, CHILD)
    machine.exit(CHILD)
    return machine.bind("write", PARENT, 0, setting.nr_pages, 1, nbytes)


def child_reuse(machine: Machine, setting: Setting, nbytes: int) -> Timed:
    """Time the child's write of nbytes in each page after the parent has unmapped them."""
    populate(machine, setting)
    machine.fork(PARENT, CHILD)
    machine.unmap(PARENT, 0, setting.nr_pages)
    return machine.bind("write", CHILD, 0, setting.nr_pages, 1, nbytes)


def remap(machine: Machine, setting: Setting) -> Timed:
    """Time the replacement of PMD mappings by PTE mappings."""
    machine.create(PARENT)
    machine.populate(PARENT, 0, setting.nr_pages, setting.order, pmd=True)
    return machine.bind("split_pmd", PARENT, 0, setting.nr_pages)


def _zap(name: str, call: str) -> Workload:
    return Workload(
        name=name, summary=f"memory populated; {call} of it all is timed", references=SERIES, prepare=munmap
    )


def _write(
    name: str, summary: str, references: tuple[str, ...], prepare: Callable[..., Timed], nbytes: int
) -> Workload:
    return Workload(
        name=name,
        summary=f"forked, {summary}",
        references=references,
        prepare=partial(prepare, nbytes=nbytes),
        frames=2,
        contents=True,
    )


WORKLOADS: Final = (
    _zap("munmap", "munmap"),
    _zap("dontneed", "MADV_DONTNEED"),
    Workload(name="fork", summary="memory populated; fork is timed", references=SERIES, prepare=fork),
    _write("cow-byte", "the child lives; the parent's write of 1 byte a page is timed (copies)", SERIES, cow, 1),
    _write("reuse-byte", "the child has exited; the parent's write of 1 byte a page is timed", SERIES, reuse, 1),
    _write(
        "child-reuse-byte",
        "the parent has unmapped; the child's write of 1 byte a page is timed",
        SERIES,
        child_reuse,
        1,
    ),
    _write("cow", "the child lives; the parent's write of whole pages is timed (copies)", PRECISE, cow, PAGE_SIZE),
    _write("reuse", "the child has exited; the parent's write of whole pages is timed", PRECISE, reuse, PAGE_SIZE),
    Workload(
        name="remap",
        summary="mapped by PMDs; mapping by PTEs instead is timed",
        references=PRECISE,
        prepare=remap,
        orders=(PMD_ORDER,),
        needs=frozenset({"pmd"}),
    ),
)
