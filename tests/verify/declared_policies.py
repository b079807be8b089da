"""Policies that are right within what they declare, and wrong beyond it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from foliolab.framework.api import (
    Hooks,
    Policy,
    Stored,
    atomic_add_return,
    folio_nr_pages,
    load,
    store,
)

BITS = 4
MASK = (1 << BITS) - 1


def new_anon(folio: Any, page: Any, nr: int, mm: Any) -> None:
    store(folio._word, load(folio._word) + nr & MASK)


def add_ptes(folio: Any, page: Any, nr: int, mm: Any) -> int:
    before = load(folio._word)
    store(folio._word, before + nr & MASK)
    return folio_nr_pages(folio) if before == 0 else 0


def remove_ptes(folio: Any, page: Any, nr: int, mm: Any) -> tuple[int, bool]:
    left = load(folio._word) - nr & MASK
    store(folio._word, left)
    return folio_nr_pages(folio) if left == 0 else 0, False


def mapcount(folio: Any) -> int:
    return load(folio._word)


def maybe_mapped_shared(folio: Any) -> bool:
    return load(folio._word) > 1


def counted(mm: Any, nr: int) -> None:
    store(mm._mapped, load(mm._mapped) + nr)
    store(mm._number, load(mm.mm_id))


def add_counted(folio: Any, page: Any, nr: int, mm: Any) -> int:
    counted(mm, nr)
    return add_ptes(folio, page, nr, mm)


def new_counted(folio: Any, page: Any, nr: int, mm: Any) -> None:
    counted(mm, nr)
    new_anon(folio, page, nr, mm)


def remove_counted(folio: Any, page: Any, nr: int, mm: Any) -> tuple[int, bool]:
    counted(mm, -nr)
    return remove_ptes(folio, page, nr, mm)


FOUR_BITS = Policy(
    name="four-bits",
    summary="the number of mappings in four bits",
    references=("a test",),
    fields=(Stored("_word", "u32", page=1, offset=32, init=0, doc="mappings"),),
    capabilities=frozenset({"safe"}),
    hooks=Hooks(
        new_anon=new_anon,
        add_ptes=add_ptes,
        dup_ptes=new_anon,
        remove_ptes=remove_ptes,
        mapcount=mapcount,
        maybe_mapped_shared=maybe_mapped_shared,
    ),
    max_mappings=MASK,
    max_order=3,
)
"""Right up to 15 mappings of a folio."""

PER_MM = replace(
    FOUR_BITS,
    name="per-mm",
    fields=(
        *FOUR_BITS.with_parameters().fields,
        Stored("_mapped", "i32", per="mm", offset=0, init=0, doc="mappings of large folios"),
        Stored("_number", "i32", per="mm", offset=4, init=0, doc="its ID, once it is known"),
    ),
    hooks=replace(
        FOUR_BITS.hooks, new_anon=new_counted, add_ptes=add_counted, dup_ptes=new_counted, remove_ptes=remove_counted
    ),
)
"""Counts each MM's mappings, too."""

LEAKY = replace(PER_MM, name="leaky", hooks=replace(PER_MM.hooks, remove_ptes=remove_ptes))
"""Never counts an MM's mappings down."""


def shortened(mm: Any) -> int:
    """A hash of 18 bits: no two of the IDs at the limits of fields have the same."""
    mm_id = load(mm.mm_id)
    return 1 + ((mm_id * 2654435761 >> 7) ^ mm_id * 40503) % 262139


def add_hashed(folio: Any, page: Any, nr: int, mm: Any) -> int:
    owner = load(folio._owner)
    if owner == 0:
        store(folio._owner, shortened(mm))
    elif owner != shortened(mm):
        store(folio._several, 1)
    return folio_nr_pages(folio) if atomic_add_return(nr, folio._large_mapcount) == nr - 1 else 0


def new_hashed(folio: Any, page: Any, nr: int, mm: Any) -> None:
    add_hashed(folio, page, nr, mm)


def remove_hashed(folio: Any, page: Any, nr: int, mm: Any) -> tuple[int, bool]:
    if atomic_add_return(-nr, folio._large_mapcount) != -1:
        return 0, False
    store(folio._owner, 0)
    store(folio._several, 0)
    return folio_nr_pages(folio), False


def several(folio: Any) -> bool:
    return load(folio._several) != 0


HASHED = Policy(
    name="hashed",
    summary="the owner's hash, and whether another one came",
    references=("a test",),
    fields=(
        Stored("_large_mapcount", "i32", page=1, offset=16, init=-1, doc="mappings, minus 1"),
        Stored("_owner", "u32", page=1, offset=32, init=0, doc="hash of the owner's ID"),
        Stored("_several", "u32", page=1, offset=36, init=0, doc="whether another MM came"),
    ),
    capabilities=frozenset({"safe"}),
    hooks=Hooks(
        new_anon=new_hashed,
        add_ptes=add_hashed,
        dup_ptes=new_hashed,
        remove_ptes=remove_hashed,
        maybe_mapped_shared=several,
    ),
)
"""Wrong for two MMs with the same hash."""
