"""Random operations that are chosen and run in native code: about a million in a second.

`Chooser` chooses in Python, and knows more kinds of operations. Here the same numbers choose the same operations on
every machine whose memory is the same, so that two executions can be compared over many more operations.
"""

from __future__ import annotations

from typing import Final

from foliolab.framework.engine import entrypoints, fault
from foliolab.framework.engine.engine import Shape
from foliolab.framework.engine.folio import folio_nr_pages, folio_test_anon, folio_test_swapcache, page_head_pfn
from foliolab.framework.engine.fork import OK
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.pagetable import (
    PFN_SHIFT,
    PTE_DIRTY,
    PTE_PRESENT,
    PTE_PROT,
    PTE_VM_SHARED,
    PTE_WRITE,
    PTRS_PER_PTE,
    frame_of,
    pmd_ref,
    pte_ref,
)
from foliolab.framework.machine.layout import PMD_ORDER
from foliolab.framework.machine.memory import Memory
from foliolab.framework.machine.primitives import READ_ONCE, load, mm_at, pfn_folio, pte_at, store, u64

(STATE, ANSWERS, CPU, ZONE, FIRST_MM, NEXT_MM, NR_MMS, NR_VPNS, ORDERS, PMDS) = range(10)
"""The words at the beginning of the scratch memory: the random numbers' state, a sum of answers, and the machine."""
FILES: Final = 10
"""The first of the words for file folios, frame plus 1."""
MOST_FILES: Final = 3
USERS: Final = FILES + MOST_FILES
"""The first of the words for references that are held, frame plus 1."""
MOST_USERS: Final = 4
SCRATCH: Final = 8 * (USERS + MOST_USERS)
"""Bytes of scratch memory that a walk takes."""
KINDS: Final = 24
"""Kinds of operations, by their weight; see `_step`."""
MULTIPLIER: Final = 6364136223846793005  # Knuth's MMIX generator; its upper half is used
INCREMENT: Final = 1442695040888963407


def begin(machine: Machine, seed: int) -> None:
    """Prepare a fresh machine, whose shape has SCRATCH bytes of scratch memory, for `walk`."""
    shape, words = machine.shape, machine.scratch()
    mms = machine.map.mms
    words[: FILES] = (
        seed, 0, machine.map.cpus[0], machine.map.zone, mms[0], mms[1] - mms[0] if len(mms) > 1 else 0, shape.nr_mms,
        shape.nr_vpns, min(shape.max_order, 4), int(has_pmds(machine)),
    )  # fmt: skip


def has_pmds(machine: Machine) -> bool:
    """Whether folios of a machine may be mapped by PMDs."""
    large = machine.shape.nr_vpns >= PTRS_PER_PTE and machine.shape.max_order >= PMD_ORDER
    return large and "pmd" in machine.scheme.capabilities


def with_scratch(shape: Shape) -> Shape:
    """A shape with the scratch memory that a walk takes."""
    return Shape(shape.nr_pages, shape.nr_mms, shape.nr_vpns, shape.nr_cpus, shape.max_order, shape.contents, SCRATCH)


def walk(vm: Memory, contents: Memory, at: int, nr: int) -> int:
    """Do nr random operations, or as many of them as are possible; return how many were possible.

    Args:
        at: byte of the scratch memory.
    """
    done = 0
    for _ in range(nr):
        if _step(vm, contents, at, _below(vm, at, KINDS), _some_mm(vm, at)):
            done += 1
    return done


ARGUMENTS: Final = "mmii"
"""The kinds of the arguments of `walk`."""


# -- numbers ---------------------------------------------------------------------------------------
def _word(vm: Memory, at: int, index: int) -> int:
    return load(pte_at(vm, at + 8 * index).pte)


def _keep(vm: Memory, at: int, index: int, value: int) -> None:
    store(pte_at(vm, at + 8 * index).pte, value)


def _below(vm: Memory, at: int, limit: int) -> int:
    """A random number from 0 to below the limit."""
    state = u64(_word(vm, at, STATE) * MULTIPLIER + INCREMENT)
    _keep(vm, at, STATE, state)
    return (state >> 33 & 0x7FFFFFFF) % limit


def _some_mm(vm: Memory, at: int) -> int:
    return _word(vm, at, FIRST_MM) + _word(vm, at, NEXT_MM) * _below(vm, at, _word(vm, at, NR_MMS))


def _is_alive(vm: Memory, who: int) -> bool:
    return load(mm_at(vm, who).mm_id) != 0


def _is_free(vm: Memory, who: int, start: int, nr: int) -> bool:
    """Whether nothing is mapped in a range."""
    mm = mm_at(vm, who)
    for vpn in range(start, start + nr):
        if READ_ONCE(pte_ref(vm, mm, vpn)) or READ_ONCE(pmd_ref(vm, mm, vpn)):
            return False
    return True


def _start(vm: Memory, at: int, nr: int) -> int:
    """The random start of a range of nr pages."""
    return _below(vm, at, _word(vm, at, NR_VPNS) - nr + 1)


def _length(vm: Memory, at: int) -> int:
    """The random length of a range: a few pages, seldom up to half of the address space."""
    return 1 + _below(vm, at, _word(vm, at, NR_VPNS) // 2 if _below(vm, at, 8) == 0 else 6)


# -- operations ------------------------------------------------------------------------------------
# Each entry point is called at one place: what native code is made of is inlined there, which takes time.
def _step(vm: Memory, contents: Memory, at: int, kind: int, who: int) -> bool:
    """Do an operation of a kind, if one is possible; whether it was."""
    cpu = _word(vm, at, CPU)
    zone = _word(vm, at, ZONE)
    if not _is_alive(vm, who):
        done = _create(vm, contents, at, cpu, zone, who, kind >= 4)
    elif kind < 5:
        done = _populate(vm, at, cpu, zone, who)
    elif kind < 8:
        done = _unmap(vm, at, cpu, zone, who, kind == 5)
    elif kind < 11:
        done = _write(vm, contents, at, cpu, zone, who)
    elif kind == 11:
        done = _move(vm, at, cpu, zone, who)
    elif kind < 14:
        done = _file(vm, at, cpu, zone)
    elif kind < 17:
        done = _map_file(vm, at, cpu, who)
    elif kind == 17:
        done = _use(vm, at, cpu, zone, who)
    elif kind == 18:
        done = _protect_or_split(vm, at, cpu, zone, who)
    elif kind < 22:
        done = _swap(vm, at, cpu, zone, who)
    else:
        done = _ask(vm, at, who)
    return done


def _create(vm: Memory, contents: Memory, at: int, cpu: int, zone: int, who: int, forks: bool) -> bool:
    """A new MM, which may be the child of another one."""
    parent = _some_mm(vm, at)
    if (forks and not _is_alive(vm, parent)) or entrypoints.mm_create(vm, zone, who, 0) != OK:
        return False
    if forks:
        entrypoints.fork_range(vm, contents, cpu, zone, parent, who, 0, _word(vm, at, NR_VPNS))
    return True


def _unmap(vm: Memory, at: int, cpu: int, zone: int, who: int, exits: bool) -> bool:
    nr = _word(vm, at, NR_VPNS) if exits else _length(vm, at)
    entrypoints.zap_range(vm, cpu, zone, who, _start(vm, at, nr), nr, int(_below(vm, at, 4) > 0))
    if exits:
        entrypoints.mm_drop(vm, zone, who)
    return True


def _protect_or_split(vm: Memory, at: int, cpu: int, zone: int, who: int) -> bool:
    nr = _length(vm, at)
    start = _start(vm, at, nr)
    if _below(vm, at, 2):
        entrypoints.protect_range(vm, cpu, zone, who, start, nr)
    else:
        entrypoints.split_range(vm, cpu, zone, who, start, nr)
        entrypoints.flush_gather(vm, cpu, zone)
    return True


def _populate(vm: Memory, at: int, cpu: int, zone: int, who: int) -> bool:
    order = max(_below(vm, at, _word(vm, at, ORDERS) + 1), _below(vm, at, _word(vm, at, ORDERS) + 1))
    way = entrypoints.NO_PMDS
    if _word(vm, at, PMDS) and _below(vm, at, 2):
        order = PMD_ORDER
        way = int(_below(vm, at, 8) > 0)
    if order == 1:
        order = 0  # there are no anonymous folios of two pages
    start = _start(vm, at, 1) >> order << order
    nr = (1 + _below(vm, at, 3 if order < PMD_ORDER else 1)) << order
    if start + nr > _word(vm, at, NR_VPNS) or not _is_free(vm, who, start, nr):
        return False
    entrypoints.populate(vm, cpu, zone, who, start, nr, order, way, int(_below(vm, at, 8) == 0))
    return True


def _write(vm: Memory, contents: Memory, at: int, cpu: int, zone: int, who: int) -> bool:
    """Write to pages, also for the first time; not to those that are swapped out."""
    nr = 1 + _below(vm, at, 6)
    start = _start(vm, at, nr)
    for vpn in range(start, start + nr):
        if entrypoints.write_range(vm, contents, cpu, zone, who, vpn, 1, 1, 1) & 7 == fault.NOT_MAPPED:
            entrypoints.touch_new(vm, contents, cpu, zone, who, vpn)
    return True


def _move(vm: Memory, at: int, cpu: int, zone: int, who: int) -> bool:
    nr = 1 + _below(vm, at, 16)
    start = _start(vm, at, nr)
    to = _start(vm, at, nr)
    if abs(start - to) < nr or not _is_free(vm, who, to, nr):
        return False
    entrypoints.move_range(vm, cpu, zone, who, start, to, nr)
    return True


def _file(vm: Memory, at: int, cpu: int, zone: int) -> bool:
    """A new file folio, or the end of one that nothing maps."""
    slot = FILES + _below(vm, at, MOST_FILES)
    pfn = _word(vm, at, slot) - 1
    if pfn < 0:
        order = _below(vm, at, _word(vm, at, ORDERS) + 1)
        if _word(vm, at, PMDS) and _below(vm, at, 2):
            order = PMD_ORDER
        _keep(vm, at, slot, entrypoints.file_alloc(vm, zone, order, _below(vm, at, 2)) + 1)
        return True
    if entrypoints.mapcount(vm, pfn):
        return False
    entrypoints.file_drop(vm, cpu, zone, pfn)
    _keep(vm, at, slot, 0)
    return True


def _map_file(vm: Memory, at: int, cpu: int, who: int) -> bool:
    head = _word(vm, at, FILES + _below(vm, at, MOST_FILES)) - 1
    if head < 0:
        return False
    flags = PTE_PROT
    if _below(vm, at, 3) == 0:
        flags |= PTE_VM_SHARED
        if _below(vm, at, 2):
            flags |= PTE_WRITE | PTE_DIRTY
    pages = folio_nr_pages(pfn_folio(vm, head))
    by_pmd = pages == PTRS_PER_PTE and _below(vm, at, 2) > 0
    first = 0 if by_pmd else _below(vm, at, pages)
    nr = pages if by_pmd else 1 + _below(vm, at, min(pages - first, 16))
    start = _start(vm, at, nr)
    if by_pmd:
        start = start >> PMD_ORDER << PMD_ORDER
    if not _is_free(vm, who, start, nr):
        return False
    if by_pmd:
        entrypoints.file_map_huge(vm, cpu, who, start, head, flags)
    else:
        entrypoints.file_map(vm, cpu, who, start, head + first, nr, flags)
    return True


def _use(vm: Memory, at: int, cpu: int, zone: int, who: int) -> bool:
    """Take a reference of a mapped folio, or drop one."""
    slot = USERS + _below(vm, at, MOST_USERS)
    held = _word(vm, at, slot) - 1
    if held >= 0:
        entrypoints.put_user(vm, cpu, zone, held, 1)
        _keep(vm, at, slot, 0)
        return True
    pfn = frame_of(vm, mm_at(vm, who), _start(vm, at, 1))
    if pfn < 0:
        return False
    entrypoints.get_user(vm, pfn, 1)
    _keep(vm, at, slot, pfn + 1)
    return True


def _swap(vm: Memory, at: int, cpu: int, zone: int, who: int) -> bool:
    """Put a folio into the swap cache, swap one of its pages out, or a page in."""
    vpn = _start(vm, at, 1)
    entry = READ_ONCE(pte_ref(vm, mm_at(vm, who), vpn))
    if entry == 0:
        return False
    if entry & PTE_PRESENT == 0:
        entrypoints.swap_in(vm, cpu, who, vpn)
        return True
    pfn = entry >> PFN_SHIFT
    folio = pfn_folio(vm, page_head_pfn(vm, pfn))
    if not folio_test_anon(folio):
        return False
    if folio_test_swapcache(folio):
        entrypoints.swap_out(vm, cpu, zone, who, vpn)
    elif _below(vm, at, 4) == 0:
        entrypoints.swap_cache(vm, pfn)
    return True


def _ask(vm: Memory, at: int, who: int) -> bool:
    """Ask the policy about a mapped page, and add its answers to the sum."""
    pfn = frame_of(vm, mm_at(vm, who), _start(vm, at, 1))
    if pfn < 0:
        return False
    answers = (
        entrypoints.maybe_shared(vm, pfn)
        + 3 * entrypoints.exclusive(vm, pfn)
        + 5 * entrypoints.mapcount(vm, pfn)
        + 7 * entrypoints.kpagecount(vm, pfn)
    )
    _keep(vm, at, ANSWERS, u64(_word(vm, at, ANSWERS) * 31 + answers))
    return True
