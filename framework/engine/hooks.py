"""The functions by which the engine calls a policy, and the defaults for hooks that a policy does not have.

Building an engine replaces each function here by the policy's hook of that name (see `policy.Hooks`).
What remains is the default: that of Linux <= 6.14 where a policy keeps page mapcounts, else that of
CONFIG_NO_PAGE_MAPCOUNT.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from foliolab.framework.engine.folio import folio_nr_pages
from foliolab.framework.machine.pointers import MM, Folio, Page
from foliolab.framework.machine.primitives import atomic_read


def prepare(folio: Folio) -> None:
    """A large folio was allocated and its fields hold their initial values."""


def release(folio: Folio) -> None:
    """A large folio is about to be freed."""


def new_anon(folio: Folio, page: Page, nr: int, mm: MM) -> None:
    """A new anonymous folio gets its first mappings, by PTEs."""


def new_anon_pmd(folio: Folio, mm: MM) -> None:
    """A new anonymous folio gets its first mapping, by a PMD."""


def add_ptes(folio: Folio, page: Page, nr: int, mm: MM) -> int:
    """PTEs map pages; by how much the mapped statistic grows."""
    return 0


def add_pmd(folio: Folio, mm: MM) -> tuple[int, int]:
    """A PMD maps the folio; (nr, nr_pmdmapped)."""
    return 0, 0


def dup_page(page: Page) -> None:
    """fork maps a page once more."""


def dup_ptes(folio: Folio, page: Page, nr: int, mm: MM) -> None:
    """fork maps pages by PTEs in the child."""


def dup_pmd(folio: Folio, mm: MM) -> None:
    """fork maps the folio by a PMD in the child."""


def remove_ptes(folio: Folio, page: Page, nr: int, mm: MM) -> tuple[int, bool]:
    """PTEs go; (nr, partially_mapped)."""
    return 0, False


def remove_pmd(folio: Folio, mm: MM) -> tuple[int, int, bool]:
    """A PMD goes; (nr, nr_pmdmapped, partially_mapped)."""
    return 0, 0, False


def move_pte(folio: Folio, page: Page, mm: MM, vpn: int, to: int) -> None:
    """mremap moved a PTE."""


def mapcount(folio: Folio) -> int:
    """Number of mappings of the folio (`folio_mapcount`, specification 1.2)."""
    return atomic_read(folio._large_mapcount) + 1


def entire_mapcount(folio: Folio) -> int:
    """Number of PMD mappings (`folio_entire_mapcount`, specification 1.2)."""
    return atomic_read(folio._entire_mapcount) + 1


def maybe_mapped_shared(folio: Folio) -> bool:
    """Whether several MMs may map the folio: without any tracking, yes (specification 2.2)."""
    return True


def can_reuse(folio: Folio, page: Page, mm: MM) -> bool:
    """COW reuse of a large folio: never (specification 1.9)."""
    return False


def page_mapcount(folio: Folio, page: Page) -> int:
    """`folio_precise_page_mapcount`, specification 1.2."""
    return atomic_read(page._mapcount) + 1 + entire_mapcount(folio)


def page_exclusive(folio: Folio, page: Page) -> bool:
    """pagemap's bit 56: the page is mapped exactly once (specification 3.2)."""
    return page_mapcount(folio, page) == 1


# -- hooks with `vpn`: a policy's hook without that argument is called by the function above -----------------
def new_anon_at(folio: Folio, page: Page, nr: int, mm: MM, vpn: int) -> None:
    """`new_anon`, at page `vpn`."""
    new_anon(folio, page, nr, mm)


def new_anon_pmd_at(folio: Folio, mm: MM, vpn: int) -> None:
    """`new_anon_pmd`, at page `vpn`."""
    new_anon_pmd(folio, mm)


def add_ptes_at(folio: Folio, page: Page, nr: int, mm: MM, vpn: int) -> int:
    """`add_ptes`, at page `vpn`."""
    return add_ptes(folio, page, nr, mm)


def add_pmd_at(folio: Folio, mm: MM, vpn: int) -> tuple[int, int]:
    """`add_pmd`, at page `vpn`."""
    return add_pmd(folio, mm)


def dup_ptes_at(folio: Folio, page: Page, nr: int, mm: MM, vpn: int) -> None:
    """`dup_ptes`, at page `vpn`."""
    dup_ptes(folio, page, nr, mm)


def dup_pmd_at(folio: Folio, mm: MM, vpn: int) -> None:
    """`dup_pmd`, at page `vpn`."""
    dup_pmd(folio, mm)


def remove_ptes_at(folio: Folio, page: Page, nr: int, mm: MM, vpn: int) -> tuple[int, bool]:
    """`remove_ptes`, at page `vpn`."""
    return remove_ptes(folio, page, nr, mm)


def remove_pmd_at(folio: Folio, mm: MM, vpn: int) -> tuple[int, int, bool]:
    """`remove_pmd`, at page `vpn`."""
    return remove_pmd(folio, mm)


def stub(name: str, with_vpn: bool) -> Callable[..., Any]:
    """The function here that a policy's hook of that name replaces."""
    found: Callable[..., Any] = globals()[f"{name}_at" if with_vpn else name]
    return found


# -- defaults for a policy without the fields that the defaults above read ----------------------------------
def no_entire_mapcount(folio: Folio) -> int:
    """The number of PMD mappings for a policy without `_entire_mapcount`: 0."""
    return 0


def average_page_mapcount(folio: Folio, page: Page) -> int:
    """`folio_average_page_mapcount`, specification 3.3: rounded to nearest, at least 1 while mapped."""
    total = mapcount(folio)
    entire = entire_mapcount(folio)
    if total <= 0:
        return 0
    if total <= entire:
        return entire
    pages = folio_nr_pages(folio)
    return max((total - entire + pages // 2) // pages + entire, 1)


def certainly_exclusive(folio: Folio, page: Page) -> bool:
    """pagemap's bit 56 without page mapcounts: certainly one MM maps the folio (specification 3.2)."""
    return not maybe_mapped_shared(folio)


def defaults(fields: frozenset[str]) -> dict[Callable[..., Any], Callable[..., Any]]:
    """The defaults for a policy with these fields, by the function above that each replaces."""
    chosen: dict[Callable[..., Any], Callable[..., Any]] = {}
    if "_entire_mapcount" not in fields:
        chosen[entire_mapcount] = no_entire_mapcount
    if "_mapcount" not in fields:
        chosen |= {page_mapcount: average_page_mapcount, page_exclusive: certainly_exclusive}
    return chosen
