"""Calls from the engine into the policy: one entry per hook, with the same five arguments and an integer result.

The engine is compiled once for each memory layout, each policy separately. `policy_call` connects the two. Interpreted,
it calls the policy's function; native, it jumps through a table of addresses in front of the memory. The entries below
adapt the arguments and answers of each hook (see `contract.hooks.Hooks`) to that call; they are compiled with the
policy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from foliolab.framework.engine import hooks
from foliolab.framework.engine.folio import ClearPageAnonExclusive, PageAnonExclusive
from foliolab.framework.machine.memory import Memory
from foliolab.framework.machine.pointers import MM, Folio, Page
from foliolab.framework.machine.primitives import PRIMITIVES, init_fields, nth_page, store

PACK: Final = 24
"""Bits of each number in a packed answer: nr, then nr_pmdmapped, then partially_mapped.

Both numbers are signed: a hook that returns -1 moves the statistic the other way.
"""
_HALF: Final = 1 << PACK - 1
_MASK: Final = (1 << PACK) - 1


def packed(nr: int, nr_pmdmapped: int, partially_mapped: bool) -> int:
    """One integer for the answers of a hook."""
    return nr + (nr_pmdmapped << PACK) + (int(partially_mapped) << 2 * PACK)


def nr_of(answer: int) -> int:
    """Read the number of pages out of a packed answer; it may be negative."""
    return (answer + _HALF & _MASK) - _HALF


def nr_pmdmapped_of(answer: int) -> int:
    """nr_pmdmapped in a packed answer."""
    return nr_of(answer + _HALF >> PACK)


def partially_mapped_of(answer: int) -> bool:
    """partially_mapped in a packed answer."""
    return (answer + _HALF >> PACK) + _HALF >> PACK != 0


def policy_call(vm: Memory, entry: int, folio: Folio, page: Page | Folio, nr: int, mm: MM | Folio, vpn: int) -> int:
    """Call the policy's entry with number `entry` in ENTRIES; callers pass the folio for arguments it does not use."""
    return vm.policy[entry](folio, page, nr, mm, vpn)


def prepare(folio: Folio, page: Page, nr: int, mm: MM, vpn: int = 0) -> int:
    """A folio of nr pages was allocated."""
    store(folio._nr_pages, nr)
    init_fields(folio, nr)
    hooks.prepare(folio)
    return 0


def release(folio: Folio, page: Page, nr: int, mm: MM, vpn: int = 0) -> int:
    """The folio is about to be freed."""
    hooks.release(folio)
    return 0


def new_anon(folio: Folio, page: Page, nr: int, mm: MM, vpn: int = 0) -> int:
    """First mappings, by PTEs."""
    hooks.new_anon_at(folio, page, nr, mm, vpn)
    return 0


def new_anon_pmd(folio: Folio, page: Page, nr: int, mm: MM, vpn: int = 0) -> int:
    """First mapping, by a PMD."""
    hooks.new_anon_pmd_at(folio, mm, vpn)
    return 0


def add_ptes(folio: Folio, page: Page, nr: int, mm: MM, vpn: int = 0) -> int:
    """PTEs map pages; packed nr."""
    return int(hooks.add_ptes_at(folio, page, nr, mm, vpn))


def add_pmd(folio: Folio, page: Page, nr: int, mm: MM, vpn: int = 0) -> int:
    """A PMD maps the folio; packed nr and nr_pmdmapped."""
    mapped, pmdmapped = hooks.add_pmd_at(folio, mm, vpn)
    return packed(mapped, pmdmapped, False)


def dup_file_ptes(folio: Folio, page: Page, nr: int, mm: MM, vpn: int = 0) -> int:
    """fork: PTEs map pages of a file folio in the child."""
    for i in range(nr):
        hooks.dup_page(nth_page(page, i))
    hooks.dup_ptes_at(folio, page, nr, mm, vpn)
    return 0


def dup_anon_ptes(folio: Folio, page: Page, nr: int, mm: MM, vpn: int = 0) -> int:
    """fork: PTEs map pages of an anonymous folio in the child; the pages lose AnonExclusive."""
    for i in range(nr):
        mapped = nth_page(page, i)
        if PageAnonExclusive(mapped):
            ClearPageAnonExclusive(mapped)
        hooks.dup_page(mapped)
    hooks.dup_ptes_at(folio, page, nr, mm, vpn)
    return 0


def dup_pmd(folio: Folio, page: Page, nr: int, mm: MM, vpn: int = 0) -> int:
    """fork: a PMD maps the folio in the child."""
    hooks.dup_pmd_at(folio, mm, vpn)
    return 0


def remove_ptes(folio: Folio, page: Page, nr: int, mm: MM, vpn: int = 0) -> int:
    """PTEs are gone; packed nr and partially_mapped."""
    unmapped, partially_mapped = hooks.remove_ptes_at(folio, page, nr, mm, vpn)
    return packed(unmapped, 0, partially_mapped)


def remove_pmd(folio: Folio, page: Page, nr: int, mm: MM, vpn: int = 0) -> int:
    """A PMD is gone; packed nr, nr_pmdmapped and partially_mapped."""
    unmapped, pmdunmapped, partially_mapped = hooks.remove_pmd_at(folio, mm, vpn)
    return packed(unmapped, pmdunmapped, partially_mapped)


def can_reuse(folio: Folio, page: Page, nr: int, mm: MM, vpn: int = 0) -> int:
    """Whether a write fault may write in place."""
    return int(hooks.can_reuse(folio, page, mm))


def maybe_mapped_shared(folio: Folio, page: Page, nr: int, mm: MM, vpn: int = 0) -> int:
    """Whether several MMs may map the folio."""
    return int(hooks.maybe_mapped_shared(folio))


def mapcount(folio: Folio, page: Page, nr: int, mm: MM, vpn: int = 0) -> int:
    """Number of mappings."""
    return int(hooks.mapcount(folio))


def page_mapcount(folio: Folio, page: Page, nr: int, mm: MM, vpn: int = 0) -> int:
    """What kpagecount shows."""
    return int(hooks.page_mapcount(folio, page))


def page_exclusive(folio: Folio, page: Page, nr: int, mm: MM, vpn: int = 0) -> int:
    """pagemap's bit 56."""
    return int(hooks.page_exclusive(folio, page))


def move_pte(folio: Folio, page: Page, nr: int, mm: MM, vpn: int = 0) -> int:
    """mremap moved a PTE from page `vpn` of address space to page `nr`."""
    hooks.move_pte(folio, page, mm, vpn, nr)
    return 0


ENTRIES: Final[tuple[Callable[..., int], ...]] = (
    prepare, release, new_anon, new_anon_pmd, add_ptes, add_pmd, dup_file_ptes, dup_anon_ptes, dup_pmd,
    remove_ptes, remove_pmd, can_reuse, maybe_mapped_shared, mapcount, page_mapcount, page_exclusive, move_pte,
)  # fmt: skip
"""The entries; an entry's number is its index."""

LEAVES: Final = frozenset({*PRIMITIVES, policy_call})
"""Functions that no call tree enters: the primitives, and the way into the policy."""

KINDS: Final = "fpiai"
"""Kinds of an entry's arguments: folio, page, integer, address space (MM), page of address space."""

(
    PREPARE, RELEASE, NEW_ANON, NEW_ANON_PMD, ADD_PTES, ADD_PMD, DUP_FILE_PTES, DUP_ANON_PTES, DUP_PMD,
    REMOVE_PTES, REMOVE_PMD, CAN_REUSE, MAYBE_MAPPED_SHARED, MAPCOUNT, PAGE_MAPCOUNT, PAGE_EXCLUSIVE, MOVE_PTE,
) = range(len(ENTRIES))  # fmt: skip
