"""`owner-vma`: Torvalds' counter-proposal of November 2023, an owner and the number of mappings by all others.

A folio is exclusive while only its owner maps it. The proposal names two things to store, a pointer to the
owning VMA and a counter of non-owner mappings; it was never written down as code. It leaves four questions open.
FolioLab answers them as follows:

- *The owner* is the MM whose mapping is the folio's first. VMAs are not modelled. An MM that maps a folio through
  two VMAs (after mremap or mprotect of a part) owns both here; the proposal would count the second VMA as a
  non-owner. The owner's word has the size of a pointer, with a lock in bit 0, as aligned pointers leave it free.
- *Changing the owner without a lock* (Hildenbrand's objection): the owner changes under a bit lock, which replaces the
  atomic of the large mapcount as in `mm-id`. It changes only when the last mapping goes, since the counter
  does not say which MMs the other mappings belong to.
- *Folios that are not anonymous* (another objection): they have no rule of their own. The first MM that maps one owns
  it until nothing maps it.
- *References and mappings* (a third objection): COW reuse compares them as `mm-id` does, the last time under the lock.

A folio with a single mapping has a single owner, as in every scheme with a large mapcount.

The answer "exclusive" is always right, also when an MM ID is used again: an owner that has exited has no
mapping left that the next MM with its ID could inherit. But once the owner is gone, the folio is called shared as long
as it has two mappings, even if one other MM has them all. When a child outlives its parent, no page of the folio
is reused until the whole folio is unmapped or copied. The policy claims only to be safe, not to be exact for two MMs.

Sources: specification 4.7 (the thread of 24 Nov 2023) and 5.2; series 20231124132626.235350-1-david@redhat.com.
"""

from __future__ import annotations

from dataclasses import replace

from foliolab.framework.api import (
    MM,
    Bits,
    Folio,
    Page,
    Policy,
    Stored,
    atomic_read,
    atomic_set,
    bit_spin_lock,
    bit_spin_unlock,
    load,
    store,
)
from foliolab.policies import mm_id
from foliolab.policies.mm_id import MM_ID_DUMMY, MM_ID_MASK
from foliolab.policies.parts.reuse import leave_swapcache, only_mapped

LOCK_BIT = 0
LOCK = 1 << LOCK_BIT
OWNER_SHIFT = 1

FIELDS = (
    *mm_id.COUNTERS,
    Stored("_nr_other_mappings", "i32", page=1, offset=32, init=0, doc="mappings that are not the owner's"),
    Stored(
        "_owner", "u64", page=1, offset=40, init=0, doc="the owner, in a pointer's room",
        bits=(Bits("lock", LOCK_BIT), Bits("owner", OWNER_SHIFT, 31)),
    ),
)  # fmt: skip


def owner(folio: Folio) -> int:
    """The ID of the owner; the dummy if nothing maps the folio."""
    return load(folio._owner) >> OWNER_SHIFT


def set_owner(folio: Folio, mm_id: int) -> None:
    """Make an MM the owner; the lock beside it stays."""
    store(folio._owner, load(folio._owner) & LOCK | mm_id << OWNER_SHIFT)


def set_large_mapcount(folio: Folio, nr: int, mm: MM) -> None:
    """Set the first nr mappings of a new anonymous folio. No other CPU sees the folio yet, so no lock is needed."""
    atomic_set(folio._large_mapcount, nr - 1)
    set_owner(folio, load(mm.mm_id))


def count_owner(folio: Folio, nr: int, mm_id: int, total: int) -> None:
    """Add nr mappings by an MM (negative: remove them); the folio now has total + 1."""
    if owner(folio) == MM_ID_DUMMY:
        set_owner(folio, mm_id)
    elif owner(folio) != mm_id:
        store(folio._nr_other_mappings, load(folio._nr_other_mappings) + nr)
    if total < 0:
        set_owner(folio, MM_ID_DUMMY)


def add_large_mapcount(folio: Folio, nr: int, mm: MM) -> int:
    """Add nr mappings by an MM; return the new number of mappings."""
    bit_spin_lock(LOCK_BIT, folio._owner)
    total = atomic_read(folio._large_mapcount) + nr
    atomic_set(folio._large_mapcount, total)
    count_owner(folio, nr, load(mm.mm_id), total)
    bit_spin_unlock(LOCK_BIT, folio._owner)
    return total + 1


def sub_large_mapcount(folio: Folio, nr: int, mm: MM) -> int:
    """Remove nr mappings by an MM; return the new number of mappings."""
    return add_large_mapcount(folio, -nr, mm)


def maybe_mapped_shared(folio: Folio) -> bool:
    """Whether other MMs than the owner map the folio; a single mapping has a single owner."""
    if atomic_read(folio._large_mapcount) <= 0:
        return False
    return load(folio._nr_other_mappings) != 0


def can_reuse(folio: Folio, page: Page, mm: MM) -> bool:
    """As in specification 2.7, but every reference must be a mapping of the owner."""
    if atomic_read(folio._large_mapcount) <= 0:
        return False  # give the large folio back rather than pin it for one page
    if load(folio._nr_other_mappings) or not leave_swapcache(folio) or not only_mapped(folio):
        return False
    bit_spin_lock(LOCK_BIT, folio._owner)
    exclusive = load(folio._nr_other_mappings) == 0 and only_mapped(folio)
    bit_spin_unlock(LOCK_BIT, folio._owner)
    return exclusive


POLICY = Policy(
    name="owner-vma",
    summary="Torvalds' idea of Nov 2023 (never written): an owner, and a counter of all other mappings",
    references=(
        "reply of Linus Torvalds, 24 Nov 2023, to 20231124132626.235350-1-david@redhat.com",
        "commit 1da190f4d0a6 (COW reuse, with the other test), 6.15",
    ),
    layout="6.15",
    fields=FIELDS,
    capabilities=frozenset({"safe", "page-mapcount", "partial-mapping", "pmd", "reuse"}),
    max_mm_id=MM_ID_MASK,
    hooks=replace(mm_id.POLICY.hooks, maybe_mapped_shared=maybe_mapped_shared, can_reuse=can_reuse),
    replace=(
        (mm_id.set_large_mapcount, set_large_mapcount),
        (mm_id.add_large_mapcount, add_large_mapcount),
        (mm_id.sub_large_mapcount, sub_large_mapcount),
    ),
)
