"""An example with a mistake in it: an owner and a shared mark, written without a lock.

The first MM that maps a folio becomes its owner. When another one maps it, the folio is marked as shared, and stays
so until nothing maps it. Read `take`: between looking at the owner and writing it down, somebody else may do the same.
"""

from __future__ import annotations

from typing import Any

from foliolab.framework.api import Hooks, Policy, Stored, atomic_add_return, atomic_read, folio_nr_pages, load, store

NOBODY = 0

FIELDS = (
    Stored("_large_mapcount", "i32", page=1, offset=16, init=-1, doc="mappings of any kind, minus 1"),
    Stored("_owner", "u32", page=1, offset=40, init=NOBODY, doc="ID of the MM that mapped it first"),
    Stored("_shared", "u32", page=1, offset=44, init=0, doc="whether another MM has mapped it since"),
)


def take(folio: Any, mm: Any) -> None:
    """Note who maps the folio."""
    owner = load(folio._owner)
    if owner == NOBODY:
        store(folio._owner, load(mm.mm_id))  # nothing keeps another MM from getting here, too
    elif owner != load(mm.mm_id):
        store(folio._shared, 1)


def count(folio: Any, nr: int) -> int:
    """nr mappings more (less); how many there are now."""
    return atomic_add_return(nr, folio._large_mapcount) + 1


def new_anon(folio: Any, page: Any, nr: int, mm: Any) -> None:
    """First mappings of a new folio."""
    count(folio, nr)
    take(folio, mm)


def add_ptes(folio: Any, page: Any, nr: int, mm: Any) -> int:
    """nr PTEs map pages; all of the folio counts as mapped with its first mapping."""
    left = count(folio, nr)
    take(folio, mm)
    return folio_nr_pages(folio) if left == nr else 0


def dup_ptes(folio: Any, page: Any, nr: int, mm: Any) -> None:
    """fork: nr PTEs more, in the child."""
    count(folio, nr)
    take(folio, mm)


def remove_ptes(folio: Any, page: Any, nr: int, mm: Any) -> tuple[int, bool]:
    """nr PTEs are gone; with the last one the folio belongs to nobody again."""
    left = count(folio, -nr)
    if left == 0:
        store(folio._owner, NOBODY)
        store(folio._shared, 0)
    return folio_nr_pages(folio) if left == 0 else 0, False


def maybe_mapped_shared(folio: Any) -> bool:
    """A single mapping has a single owner; of more, the mark says it."""
    return atomic_read(folio._large_mapcount) > 0 and load(folio._shared) != 0


POLICY = Policy(
    name="lost-update",
    summary="an example with a race: owner and shared mark, written without a lock",
    references=("the tour 'How a race is found'",),
    layout="6.15",
    fields=FIELDS,
    capabilities=frozenset({"safe"}),
    hooks=Hooks(
        new_anon=new_anon,
        add_ptes=add_ptes,
        dup_ptes=dup_ptes,
        remove_ptes=remove_ptes,
        maybe_mapped_shared=maybe_mapped_shared,
    ),
)
