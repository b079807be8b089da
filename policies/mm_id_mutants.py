"""Wrong variants of the two slots, one mistake each; `foliolab kernel check --self-test` must catch every one.

Each variant breaks a rule of specification 2.2 or 2.7 that user space can observe without a race. Mistakes that only
a race shows (the lock, the second test under it) are found by the explored attack.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from foliolab.framework.api import (
    MM,
    Folio,
    Page,
    Policy,
    __clear_bit,
    __set_bit,
    atomic_inc,
    atomic_read,
    load,
    store,
    test_bit,
)
from foliolab.policies import mm_id
from foliolab.policies.mm_id import MM_ID_DUMMY, SHARED_BIT, set_slot_id, slot_id
from foliolab.policies.parts import reuse


def one_slot(folio: Folio, nr: int, who: int, total: int) -> None:
    """There is no second slot: the second MM is untracked."""
    if slot_id(folio, 0) == who:
        store(folio._mm_id_mapcount[0], load(folio._mm_id_mapcount[0]) + nr)
    elif slot_id(folio, 0) == MM_ID_DUMMY:
        set_slot_id(folio, 0, who)
        store(folio._mm_id_mapcount[0], nr - 1)
        if total != nr - 1:
            __set_bit(SHARED_BIT, folio._mm_ids)
    else:
        __set_bit(SHARED_BIT, folio._mm_ids)


def first_slot_is_never_shared(folio: Folio, nr: int, who: int, total: int) -> None:
    """A3 without its comparison: the MM that takes slot 0 clears the flag although others map the folio."""
    if slot_id(folio, 0) == MM_ID_DUMMY and slot_id(folio, 1) != who:
        set_slot_id(folio, 0, who)
        store(folio._mm_id_mapcount[0], nr - 1)
        __clear_bit(SHARED_BIT, folio._mm_ids)
    else:
        mm_id.add_to_slots(folio, nr, who, total)


def second_slot_is_not_shared(folio: Folio, nr: int, who: int, total: int) -> None:
    """A4 without the flag."""
    if slot_id(folio, 0) != who and slot_id(folio, 0) != MM_ID_DUMMY and slot_id(folio, 1) == MM_ID_DUMMY:
        set_slot_id(folio, 1, who)
        store(folio._mm_id_mapcount[1], nr - 1)
    else:
        mm_id.add_to_slots(folio, nr, who, total)


def third_takes_the_second_slot(folio: Folio, nr: int, who: int, total: int) -> None:
    """A5: instead of staying untracked, a third MM takes over slot 1."""
    known = slot_id(folio, 0) == who or slot_id(folio, 1) == who
    if not known and slot_id(folio, 0) != MM_ID_DUMMY and slot_id(folio, 1) != MM_ID_DUMMY:
        set_slot_id(folio, 1, who)
        store(folio._mm_id_mapcount[1], nr - 1)
    else:
        mm_id.add_to_slots(folio, nr, who, total)


def a_batch_counts_once(folio: Folio, nr: int, who: int, total: int) -> None:
    """A1 and A2 add 1 for a batch of n."""
    if slot_id(folio, 0) == who:
        store(folio._mm_id_mapcount[0], load(folio._mm_id_mapcount[0]) + 1)
    elif slot_id(folio, 1) == who:
        store(folio._mm_id_mapcount[1], load(folio._mm_id_mapcount[1]) + 1)
    else:
        mm_id.add_to_slots(folio, nr, who, total)


def slot_is_kept(folio: Folio, slot: int, nr: int) -> bool:
    """S1 and S2 do not free an empty slot: its ID stays."""
    left = load(folio._mm_id_mapcount[slot]) - nr
    store(folio._mm_id_mapcount[slot], left if left >= 0 else -1)
    return left >= 0


def slot_is_freed_at_once(folio: Folio, slot: int, nr: int) -> bool:
    """S1 and S2 free the slot at the first unmap, whatever it still counts."""
    store(folio._mm_id_mapcount[slot], -1)
    set_slot_id(folio, slot, MM_ID_DUMMY)
    return False


def flag_is_never_cleared(folio: Folio, nr: int, who: int, total: int) -> None:
    """S4 does not exist."""
    if slot_id(folio, 0) == who:
        mm_id.sub_from_slot(folio, 0, nr)
    elif slot_id(folio, 1) == who:
        mm_id.sub_from_slot(folio, 1, nr)


def flag_is_cleared_with_a_slot(folio: Folio, nr: int, who: int, total: int) -> None:
    """S4 does not compare: a slot that becomes free clears the flag."""
    left = True
    if slot_id(folio, 0) == who:
        left = mm_id.sub_from_slot(folio, 0, nr)
    elif slot_id(folio, 1) == who:
        left = mm_id.sub_from_slot(folio, 1, nr)
    if not left:
        __clear_bit(SHARED_BIT, folio._mm_ids)


def only_slot_0_clears(folio: Folio, nr: int, who: int, total: int) -> None:
    """S4 looks at slot 0 alone."""
    left = False
    if slot_id(folio, 0) == who:
        left = mm_id.sub_from_slot(folio, 0, nr)
    elif slot_id(folio, 1) == who:
        left = mm_id.sub_from_slot(folio, 1, nr)
    if not left and load(folio._mm_id_mapcount[0]) == total:
        __clear_bit(SHARED_BIT, folio._mm_ids)


def the_untracked_clear_nothing(folio: Folio, nr: int, who: int, total: int) -> None:
    """S3 ends instead of going on at S4."""
    if slot_id(folio, 0) == who or slot_id(folio, 1) == who:
        mm_id.sub_from_slots(folio, nr, who, total)


def references_do_not_matter(folio: Folio) -> bool:
    """Step 4 of the reuse test is missing."""
    return True


def reuse_of_the_last_page(folio: Folio, page: Page, mm: MM) -> bool:
    """Step 1 of the reuse test is missing: a single mapping keeps the large folio."""
    return not test_bit(SHARED_BIT, folio._mm_ids) and reuse.only_mapped(folio)


def reuse_whatever_is_shared(folio: Folio, page: Page, mm: MM) -> bool:
    """Steps 2 and 5 do not look at the flag."""
    return atomic_read(folio._large_mapcount) > 0 and reuse.only_mapped(folio)


def never_reuse(folio: Folio, page: Page, mm: MM) -> bool:
    """As before 6.15: always copy."""
    return False


def single_mapping_asks_the_flag(folio: Folio) -> bool:
    """maybe_mapped_shared without its rule for one mapping: the flag may be stale there."""
    return test_bit(SHARED_BIT, folio._mm_ids)


def fork_of_a_pmd_is_not_tracked(folio: Folio, mm: MM) -> None:
    """fork of a PMD counts in the entire mapcount only."""
    atomic_inc(folio._entire_mapcount)


def fork_leaves_page_mapcounts(page: Page) -> None:
    """fork does not count in the pages' own mapcounts."""


def mutants() -> tuple[Policy, ...]:
    """The wrong variants of `mm-id`, named by their mistake."""
    policy, hooks = mm_id.POLICY, mm_id.POLICY.hooks
    replaced = (
        (mm_id.add_to_slots, one_slot, first_slot_is_never_shared, second_slot_is_not_shared,
         third_takes_the_second_slot, a_batch_counts_once),
        (mm_id.sub_from_slot, slot_is_kept, slot_is_freed_at_once),
        (mm_id.sub_from_slots, flag_is_never_cleared, flag_is_cleared_with_a_slot, only_slot_0_clears,
         the_untracked_clear_nothing),
        (reuse.only_mapped, references_do_not_matter),
    )  # fmt: skip
    hooked: tuple[tuple[Any, ...], ...] = (
        ("can_reuse", reuse_of_the_last_page, reuse_whatever_is_shared, never_reuse),
        ("maybe_mapped_shared", single_mapping_asks_the_flag),
        ("dup_pmd", fork_of_a_pmd_is_not_tracked),
        ("dup_page", fork_leaves_page_mapcounts),
    )  # fmt: skip

    def named(wrong: Any, **changes: Any) -> Policy:
        name, summary = wrong.__name__.replace("_", "-"), (wrong.__doc__ or "").strip()
        return replace(policy, name=name, summary=summary, models=None, mutants=None, **changes)

    return (
        *(named(wrong, replace=((right, wrong),)) for right, *many in replaced for wrong in many),
        *(named(wrong, hooks=replace(hooks, **{hook: wrong})) for hook, *many in hooked for wrong in many),
    )
