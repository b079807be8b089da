"""Policies for the tests of the explored attack: small sound and faulty ones, and shipped ones with a planted race."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from foliolab.framework.api import (
    READ_ONCE,
    WRITE_ONCE,
    Hooks,
    Policy,
    Stored,
    atomic_add,
    atomic_add_return,
    atomic_read,
    atomic_set,
    bit_spin_lock,
    bit_spin_unlock,
    clear_bit,
    cmpxchg,
    cpu_relax,
    folio_nr_pages,
    folio_ref_count,
    load,
    set_bit,
    smp_mb,
    store,
    test_and_set_bit_lock,
    test_bit,
)
from foliolab.policies import exact, mm_id, owner_vma, page_mapcount
from foliolab.policies.parts import reuse

COUNTER = Stored("_large_mapcount", "i32", page=1, offset=16, init=-1, doc="mappings, minus 1")
WORD = Stored("_word", "u64", page=1, offset=32, init=0, doc="locks")
FLAGS = Stored("_wants", "u32", page=1, offset=64, count=4, init=0, doc="who wants to enter")
TURN = Stored("_turn", "u32", page=1, offset=80, init=0, transient=True, doc="whose turn it is")


def new_anon(folio: Any, page: Any, nr: int, mm: Any) -> None:
    atomic_set(folio._large_mapcount, nr - 1)


def maybe_mapped_shared(folio: Any) -> bool:
    return True


def _policy(name: str, add: Any, fields: tuple[Stored, ...] = (COUNTER,), **more: Any) -> Policy:
    """A policy that counts all mappings by `add(folio, nr, mm)`, which a hook calls for maps and unmaps alike."""
    return Policy(
        name=name,
        summary="a test's",
        references=("a test",),
        fields=fields,
        hooks=Hooks(new_anon=new_anon, maybe_mapped_shared=maybe_mapped_shared, **add, **more),
    )


# -- counters --------------------------------------------------------------------------------------------
def atomic_ptes(folio: Any, page: Any, nr: int, mm: Any) -> int:
    atomic_add(nr, folio._large_mapcount)
    return 0


def atomic_dup(folio: Any, page: Any, nr: int, mm: Any) -> None:
    atomic_add(nr, folio._large_mapcount)


def atomic_remove(folio: Any, page: Any, nr: int, mm: Any) -> tuple[int, bool]:
    atomic_add(-nr, folio._large_mapcount)
    return 0, False


RIGHT_ADDS = {"add_ptes": atomic_ptes, "dup_ptes": atomic_dup, "remove_ptes": atomic_remove}
COUNTS = _policy("counts", RIGHT_ADDS)


def plain_ptes(folio: Any, page: Any, nr: int, mm: Any) -> int:
    store(folio._large_mapcount, load(folio._large_mapcount) + nr)
    return 0


COUNTS_PLAINLY = _policy("counts-plainly", {**RIGHT_ADDS, "add_ptes": plain_ptes})


# -- locks -----------------------------------------------------------------------------------------------
def lock_two(folio: Any, page: Any, nr: int, mm: Any) -> int:
    bit_spin_lock(0, folio._word)
    bit_spin_lock(1, folio._word)
    clear_bit(1, folio._word)
    clear_bit(0, folio._word)
    atomic_add(nr, folio._large_mapcount)
    return 0


def lock_two_the_other_way(folio: Any, page: Any, nr: int, mm: Any) -> tuple[int, bool]:
    bit_spin_lock(1, folio._word)
    bit_spin_lock(0, folio._word)
    clear_bit(0, folio._word)
    clear_bit(1, folio._word)
    atomic_add(-nr, folio._large_mapcount)
    return 0, False


ORDER_OF_LOCKS = _policy(
    "order-of-locks",
    {**RIGHT_ADDS, "add_ptes": lock_two, "remove_ptes": lock_two_the_other_way},
    (COUNTER, WORD),
)


def raw_spin(folio: Any, page: Any, nr: int, mm: Any) -> int:
    while test_and_set_bit_lock(0, folio._word):
        cpu_relax()
    plain_ptes(folio, page, nr, mm)
    bit_spin_unlock(0, folio._word)
    return 0


def raw_spin_remove(folio: Any, page: Any, nr: int, mm: Any) -> tuple[int, bool]:
    while test_and_set_bit_lock(0, folio._word):
        cpu_relax()
    plain_ptes(folio, page, -nr, mm)
    bit_spin_unlock(0, folio._word)
    return 0, False


OWN_SPIN_LOCK = _policy(
    "own-spin-lock", {**RIGHT_ADDS, "add_ptes": raw_spin, "remove_ptes": raw_spin_remove}, (COUNTER, WORD)
)


# -- store buffers: Peterson's lock for two MMs needs a barrier between the stores and the load --------------
def peterson_enter(folio: Any, me: int) -> None:
    WRITE_ONCE(folio._wants[me], 1)
    WRITE_ONCE(folio._turn, 3 - me)
    barrier()
    while READ_ONCE(folio._wants[3 - me]) and READ_ONCE(folio._turn) == 3 - me:
        cpu_relax()


def barrier() -> None:
    smp_mb()


def no_barrier() -> None:
    """Forgotten."""


def peterson_ptes(folio: Any, page: Any, nr: int, mm: Any) -> int:
    me = load(mm.mm_id)
    peterson_enter(folio, me)
    plain_ptes(folio, page, nr, mm)
    WRITE_ONCE(folio._wants[me], 0)
    return 0


def peterson_remove(folio: Any, page: Any, nr: int, mm: Any) -> tuple[int, bool]:
    peterson_ptes(folio, page, -nr, mm)
    return 0, False


PETERSON = _policy(
    "peterson", {**RIGHT_ADDS, "add_ptes": peterson_ptes, "remove_ptes": peterson_remove}, (COUNTER, FLAGS, TURN)
)
PETERSON_WITHOUT_BARRIER = replace(PETERSON, name="peterson-without-barrier", replace=((barrier, no_barrier),))


# -- what cannot be explored -------------------------------------------------------------------------------
def for_ever(folio: Any, page: Any, nr: int, mm: Any) -> int:
    while atomic_read(folio._large_mapcount) < 1 << 20:
        atomic_add(0, folio._large_mapcount)
    return 0


def deeper(folio: Any, page: Any, nr: int, mm: Any) -> int:
    return deeper(folio, page, nr, mm)


def that_asserts(folio: Any, page: Any, nr: int, mm: Any) -> int:
    assert nr < 0
    return 0


ENDLESS = _policy("endless", {**RIGHT_ADDS, "add_ptes": for_ever})
RECURSIVE = _policy("recursive", {**RIGHT_ADDS, "add_ptes": deeper})
FAILING = _policy("failing", {**RIGHT_ADDS, "add_ptes": that_asserts})


# -- races planted in shipped policies -----------------------------------------------------------------------
def add_without_lock(folio: Any, nr: int, mm: Any) -> int:
    total = atomic_read(folio._large_mapcount) + nr
    atomic_set(folio._large_mapcount, total)
    mm_id.add_to_slots(folio, nr, load(mm.mm_id), total)
    return total + 1


def sub_unlocks_early(folio: Any, nr: int, mm: Any) -> int:
    bit_spin_lock(mm_id.LOCK_BIT, folio._mm_ids)
    total = atomic_read(folio._large_mapcount) - nr
    atomic_set(folio._large_mapcount, total)
    bit_spin_unlock(mm_id.LOCK_BIT, folio._mm_ids)
    mm_id.sub_from_slots(folio, nr, load(mm.mm_id), total)
    return total + 1


def add_reads_before_the_lock(folio: Any, nr: int, mm: Any) -> int:
    total = atomic_read(folio._large_mapcount) + nr
    bit_spin_lock(mm_id.LOCK_BIT, folio._mm_ids)
    atomic_set(folio._large_mapcount, total)
    mm_id.add_to_slots(folio, nr, load(mm.mm_id), total)
    bit_spin_unlock(mm_id.LOCK_BIT, folio._mm_ids)
    return total + 1


def add_locks_another_bit(folio: Any, nr: int, mm: Any) -> int:
    bit_spin_lock(mm_id.SHARED_BIT - 1, folio._mm_ids)
    total = atomic_read(folio._large_mapcount) + nr
    atomic_set(folio._large_mapcount, total)
    mm_id.add_to_slots(folio, nr, load(mm.mm_id), total)
    bit_spin_unlock(mm_id.SHARED_BIT - 1, folio._mm_ids)
    return total + 1


def add_counts_late(folio: Any, nr: int, mm: Any) -> int:
    """Slots are updated under the lock, the total after its release."""
    bit_spin_lock(mm_id.LOCK_BIT, folio._mm_ids)
    total = atomic_read(folio._large_mapcount) + nr
    mm_id.add_to_slots(folio, nr, load(mm.mm_id), total)
    bit_spin_unlock(mm_id.LOCK_BIT, folio._mm_ids)
    atomic_set(folio._large_mapcount, total)
    return total + 1


def reuse_looks_once(folio: Any, page: Any, mm: Any) -> bool:
    """The flag is read without the lock only."""
    if atomic_read(folio._large_mapcount) <= 0 or test_bit(mm_id.SHARED_BIT, folio._mm_ids):
        return False
    if not reuse.leave_swapcache(folio):
        return False
    return reuse.only_mapped(folio)


def reuse_forgets_to_unlock(folio: Any, page: Any, mm: Any) -> bool:
    if atomic_read(folio._large_mapcount) <= 0 or test_bit(mm_id.SHARED_BIT, folio._mm_ids):
        return False
    bit_spin_lock(mm_id.LOCK_BIT, folio._mm_ids)
    if test_bit(mm_id.SHARED_BIT, folio._mm_ids) or not reuse.only_mapped(folio):
        bit_spin_unlock(mm_id.LOCK_BIT, folio._mm_ids)
        return False
    return True


def reuse_ignores_references(folio: Any) -> bool:
    return atomic_read(folio._large_mapcount) + 1 <= folio_ref_count(folio)


def never(folio: Any) -> bool:
    return False


NEVER_SHARED = replace(
    mm_id.POLICY, name="never-shared", models=None, mutants=None,
    hooks=replace(mm_id.POLICY.hooks, maybe_mapped_shared=never),
)  # fmt: skip


def dup_page_plainly(page: Any) -> None:
    store(page._mapcount, load(page._mapcount) + 1)


def slots_before_the_flag(folio: Any, nr: int, who: int, total: int) -> None:
    """The second slot is filled, but only a new first slot sets the flag."""
    if mm_id.slot_id(folio, 0) not in (who, mm_id.MM_ID_DUMMY) and mm_id.slot_id(folio, 1) == mm_id.MM_ID_DUMMY:
        mm_id.set_slot_id(folio, 1, who)
        store(folio._mm_id_mapcount[1], nr - 1)
    else:
        mm_id.add_to_slots(folio, nr, who, total)


def _mm(name: str, right: Any, wrong: Any) -> Policy:
    return replace(mm_id.POLICY, name=name, models=None, mutants=None, replace=(*mm_id.POLICY.replace, (right, wrong)))


# -- a count for each MM in one word, changed by cmpxchg ------------------------------------------------------
def counts_in_word(folio: Any, nr: int, mm: Any) -> int:
    """How many mappings there are now."""
    change = nr << 16 * (load(mm.mm_id) - 1)
    old = READ_ONCE(folio._word)
    while True:
        seen = cmpxchg(folio._word, old, old + change)
        if seen == old:
            break
        old = seen
        cpu_relax()
    return atomic_add_return(nr, folio._large_mapcount) + 1


def word_new(folio: Any, page: Any, nr: int, mm: Any) -> None:
    counts_in_word(folio, nr, mm)


def word_ptes(folio: Any, page: Any, nr: int, mm: Any) -> int:
    return folio_nr_pages(folio) if counts_in_word(folio, nr, mm) == nr else 0


def word_remove(folio: Any, page: Any, nr: int, mm: Any) -> tuple[int, bool]:
    return folio_nr_pages(folio) if counts_in_word(folio, -nr, mm) == 0 else 0, False


def word_once(folio: Any) -> bool:
    word = READ_ONCE(folio._word)
    return (word & 0xFFFF != 0) + (word >> 16 & 0xFFFF != 0) + (word >> 32 != 0) > 1


def word_twice(folio: Any) -> bool:
    """The word must be the same before and after the total is read. (It may have changed twice.)"""
    word = READ_ONCE(folio._word)
    total = atomic_read(folio._large_mapcount) + 1
    if word != READ_ONCE(folio._word):
        return True
    return word & 0xFFFF != total and word >> 16 & 0xFFFF != total and word >> 32 != total


COUNTS_IN_WORD = Policy(
    name="counts-in-word",
    summary="a test's",
    references=("a test",),
    fields=(COUNTER, WORD),
    hooks=Hooks(
        new_anon=word_new, add_ptes=word_ptes, dup_ptes=word_new, remove_ptes=word_remove, maybe_mapped_shared=word_once
    ),
    capabilities=frozenset({"safe"}),
    max_mm_id=3,
    max_mappings=0xFFFF,
    max_order=9,
)
COUNTS_READ_TWICE = replace(
    COUNTS_IN_WORD, name="counts-read-twice", hooks=replace(COUNTS_IN_WORD.hooks, maybe_mapped_shared=word_twice)
)


# -- a mark that both of two MMs map the folio --------------------------------------------------------------
def mark_new(folio: Any, page: Any, nr: int, mm: Any) -> None:
    mark_ptes(folio, page, nr, mm)


def mark_ptes(folio: Any, page: Any, nr: int, mm: Any) -> int:
    me = load(mm.mm_id) - 1
    atomic_add(nr, folio._wants[me])
    if atomic_read(folio._wants[1 - me]) != 0:
        set_bit(0, folio._turn)
    return folio_nr_pages(folio) if atomic_add_return(nr, folio._large_mapcount) == nr - 1 else 0


def mark_remove(folio: Any, page: Any, nr: int, mm: Any) -> tuple[int, bool]:
    if atomic_add_return(-nr, folio._wants[load(mm.mm_id) - 1]) == 0:
        clear_bit(0, folio._turn)
    return folio_nr_pages(folio) if atomic_add_return(-nr, folio._large_mapcount) == -1 else 0, False


def marked(folio: Any) -> bool:
    return test_bit(0, folio._turn)


MARK = Policy(
    name="mark",
    summary="a test's",
    references=("a test",),
    fields=(COUNTER, FLAGS, TURN),
    hooks=Hooks(
        new_anon=mark_new, add_ptes=mark_ptes, dup_ptes=mark_new, remove_ptes=mark_remove, maybe_mapped_shared=marked
    ),
    capabilities=frozenset({"safe", "exact-for-two"}),
    max_mm_id=2,
)
"""Exact for one operation at a time; a race leaves the mark set."""


# -- statistics by a sum of two counters ------------------------------------------------------------------
def split_total(folio: Any) -> int:
    return atomic_read(folio._wants[0]) + atomic_read(folio._wants[1]) + atomic_read(folio._wants[2])


def split_new(folio: Any, page: Any, nr: int, mm: Any) -> None:
    atomic_add(nr, folio._wants[load(mm.mm_id) - 1])


def split_ptes(folio: Any, page: Any, nr: int, mm: Any) -> int:
    split_new(folio, page, nr, mm)
    return folio_nr_pages(folio) if split_total(folio) == nr else 0


def split_remove(folio: Any, page: Any, nr: int, mm: Any) -> tuple[int, bool]:
    split_new(folio, page, -nr, mm)
    return folio_nr_pages(folio) if split_total(folio) == 0 else 0, False


def split_shared(folio: Any) -> bool:
    """Three loads that are not one."""
    found = 0
    for i in range(3):
        if atomic_read(folio._wants[i]) != 0:
            found += 1
    return found > 1


SPLIT = Policy(
    name="split",
    summary="a test's",
    references=("a test",),
    fields=(replace(FLAGS, ctype="i32"),),
    hooks=Hooks(
        new_anon=split_new, add_ptes=split_ptes, dup_ptes=split_new, remove_ptes=split_remove, mapcount=split_total,
        maybe_mapped_shared=split_shared,
    ),
    capabilities=frozenset({"safe"}),
    max_mm_id=3,
)  # fmt: skip
"""Breaks statistics by the sum's race, and its claim by the reader's."""


RACES: dict[str, tuple[Policy, frozenset[str]]] = {
    "dropped lock": (_mm("m1", mm_id.add_large_mapcount, add_without_lock), frozenset()),
    "early unlock": (_mm("m2", mm_id.sub_large_mapcount, sub_unlocks_early), frozenset()),
    "read before the lock": (_mm("m3", mm_id.add_large_mapcount, add_reads_before_the_lock), frozenset()),
    "another bit's lock": (_mm("m4", mm_id.add_large_mapcount, add_locks_another_bit), frozenset()),
    "total behind the lock": (_mm("m5", mm_id.add_large_mapcount, add_counts_late), frozenset()),
    "no second look": (
        replace(
            mm_id.POLICY, name="m6", models=None, mutants=None,
            hooks=replace(mm_id.POLICY.hooks, can_reuse=reuse_looks_once),
        ),
        frozenset({"reuse"}),
    ),
    "lost unlock on one path": (
        replace(
            mm_id.POLICY, name="m7", models=None, mutants=None,
            hooks=replace(mm_id.POLICY.hooks, can_reuse=reuse_forgets_to_unlock),
        ),
        frozenset({"lost-lock"}),
    ),
    "references ignored": (_mm("m8", reuse.only_mapped, reuse_ignores_references), frozenset({"reuse"})),
    "flag not set": (_mm("m9", mm_id.add_to_slots, slots_before_the_flag), frozenset({"safe"})),
    "page mapcount without an atomic": (
        replace(
            page_mapcount.POLICY, name="p1", models=None,
            hooks=replace(page_mapcount.POLICY.hooks, dup_page=dup_page_plainly),
        ),
        frozenset({"page-mapcount"}),
    ),
    "counter without an atomic": (COUNTS_PLAINLY, frozenset({"mapcount"})),
    "locks in two orders": (ORDER_OF_LOCKS, frozenset({"deadlock"})),
    "changed and changed back": (COUNTS_READ_TWICE, frozenset({"safe"})),
    "exact one at a time": (MARK, frozenset({"exact-up-to"})),
}  # fmt: skip
"""Races by their mistake, with the laws that may break first; empty for any law."""

SOUND = (
    COUNTS,
    COUNTS_IN_WORD,
    OWN_SPIN_LOCK,
    PETERSON,
    mm_id.POLICY,
    exact.POLICY,
    owner_vma.POLICY,
    page_mapcount.POLICY,
)
