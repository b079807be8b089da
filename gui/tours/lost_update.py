"""An example with a race: an owner and a shared mark that are set without the lock under which they are reset.

The first MM that maps a folio becomes its owner. When another MM maps the folio, the folio is marked as shared until no
MM maps it. Read `take`: between the load of the owner and the store of a new one, another thread may do the same.
"""

from __future__ import annotations

from foliolab.framework.api import (
    MM,
    Folio,
    Hooks,
    Page,
    Policy,
    Stored,
    atomic_add_return,
    atomic_read,
    bit_spin_lock,
    bit_spin_unlock,
    folio_nr_pages,
    load,
    store,
)

NO_OWNER = 0

FIELDS = (
    Stored("_large_mapcount", "i32", page=1, offset=16, init=-1, doc="mappings of any kind, minus 1"),
    Stored("_lock", "u32", page=1, offset=36, init=0, doc="bit 0: held while the two fields below are reset"),
    Stored("_owner", "u32", page=1, offset=40, init=NO_OWNER, doc="ID of the MM that mapped it first"),
    Stored("_shared", "u32", page=1, offset=44, init=0, doc="whether another MM has mapped it since"),
)


def lock(folio: Folio) -> None:
    """Take the folio's lock."""
    bit_spin_lock(0, folio._lock)


def unlock(folio: Folio) -> None:
    """Release the folio's lock."""
    bit_spin_unlock(0, folio._lock)


def take(folio: Folio, mm: MM) -> None:
    """Record that an MM maps the folio."""
    owner = load(folio._owner)
    if owner == NO_OWNER:
        store(folio._owner, load(mm.mm_id))  # another MM may have loaded NO_OWNER, too
    elif owner != load(mm.mm_id):
        store(folio._shared, 1)


def count(folio: Folio, nr: int) -> int:
    """Add nr mappings (negative: remove), and return the new number."""
    return atomic_add_return(nr, folio._large_mapcount) + 1


def added(folio: Folio, nr: int, mm: MM) -> int:
    """Add nr mappings by an MM, and return the new number."""
    left = count(folio, nr)
    take(folio, mm)
    return left


def new_anon(folio: Folio, page: Page, nr: int, mm: MM) -> None:
    """Map a new folio."""
    added(folio, nr, mm)


def add_ptes(folio: Folio, page: Page, nr: int, mm: MM) -> int:
    """Add nr PTEs; with the first mapping, all pages of the folio count as mapped."""
    left = added(folio, nr, mm)
    return folio_nr_pages(folio) if left == nr else 0


def dup_ptes(folio: Folio, page: Page, nr: int, mm: MM) -> None:
    """Add nr PTEs in the child of a fork."""
    added(folio, nr, mm)


def remove_ptes(folio: Folio, page: Page, nr: int, mm: MM) -> tuple[int, bool]:
    """Remove nr PTEs; with the last one the folio has no owner again."""
    lock(folio)
    left = count(folio, -nr)
    if left == 0:
        store(folio._owner, NO_OWNER)
        store(folio._shared, 0)
    unlock(folio)
    return folio_nr_pages(folio) if left == 0 else 0, False


def maybe_mapped_shared(folio: Folio) -> bool:
    """Whether more than one mapping exists and the folio is marked as shared."""
    return atomic_read(folio._large_mapcount) > 0 and load(folio._shared) != 0


POLICY = Policy(
    name="lost-update",
    summary="an example with a race: owner and shared mark, set without the lock under which they are reset",
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
