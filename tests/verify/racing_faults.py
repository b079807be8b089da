"""Planted faults in batches, PMD mappings, deep sequences, and the order of plain stores."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import broken
from mutants import WITH_A_COUNTER, Fault

from foliolab.framework.api import READ_ONCE, WRITE_ONCE, cpu_relax, smp_mb, smp_store_release
from foliolab.framework.contract.policy import Policy
from foliolab.policies import mm_id, page_mapcount
from foliolab.policies.parts import page_mapcounts

SECOND_SLOT: Final = "store(folio._mm_id_mapcount[1], nr - 1)\n        __set_bit(SHARED_BIT, folio._mm_ids)"

RACING: Final[dict[str, tuple[Fault, ...]]] = {
    "batches": (
        Fault(
            "batch-counts-one-page",
            page_mapcount.POLICY,
            page_mapcounts.add_page_mapcounts,
            (("._mapcount):\n                first += 1", "._mapcount):\n                first = 1"),),
        ),
        Fault(
            "batch-uncounts-its-first-page",
            page_mapcount.POLICY,
            page_mapcounts.remove_page_mapcounts,
            (
                (
                    "if atomic_add_negative(-1, nth_page(page, i)._mapcount):\n                last += 1",
                    "if atomic_add_negative(-1, nth_page(page, 0)._mapcount):\n                last += 1",
                ),
            ),
        ),
        Fault(
            "new-batch-leaves-its-last-page",
            page_mapcount.POLICY,
            page_mapcounts.set_page_mapcounts,
            (("for i in range(nr):", "for i in range(nr - 1):"),),
        ),
        Fault(
            "batch-counts-once-in-the-second-slot",
            mm_id.POLICY,
            mm_id.add_to_slots,
            ((SECOND_SLOT, SECOND_SLOT.replace("nr - 1", "0")),),
        ),
    ),
    "PMD races": (
        Fault(
            "pmd-is-added-without-an-atomic",
            page_mapcount.POLICY,
            page_mapcounts.add_entire_mapcount,
            (
                (
                    "if not atomic_inc_and_test(folio._entire_mapcount):",
                    "entire = atomic_read(folio._entire_mapcount) + 1\n"
                    "    atomic_set(folio._entire_mapcount, entire)\n"
                    "    if entire != 0:",
                ),
            ),
        ),
        Fault(
            "add-of-a-pmd-forgets-the-race-with-a-remove",
            page_mapcount.POLICY,
            page_mapcounts.add_entire_mapcount,
            (("if mapped >= 2 * ENTIRELY_MAPPED:", "if mapped >= 4 * ENTIRELY_MAPPED:"),),
        ),
        Fault(
            "fork-of-a-pmd-without-an-atomic",
            mm_id.POLICY,
            mm_id.dup_pmd,
            (
                (
                    "atomic_inc(folio._entire_mapcount)",
                    "atomic_set(folio._entire_mapcount, atomic_read(folio._entire_mapcount) + 1)",
                ),
            ),
        ),
        Fault(
            "pmd-is-removed-without-an-atomic",
            page_mapcount.POLICY,
            page_mapcounts.remove_entire_mapcount,
            (
                (
                    "if not atomic_add_negative(-1, folio._entire_mapcount):",
                    "entire = atomic_read(folio._entire_mapcount) - 1\n"
                    "    atomic_set(folio._entire_mapcount, entire)\n"
                    "    if entire >= 0:",
                ),
            ),
        ),
    ),
    "deep sequences": (
        Fault(
            "fourth-second-owner-sets-no-flag",
            WITH_A_COUNTER,
            mm_id.add_to_slots,
            (
                (
                    SECOND_SLOT,
                    "store(folio._mm_id_mapcount[1], nr - 1)\n"
                    "        store(folio._nr_frees, (load(folio._nr_frees) + 1) % 4)\n"
                    "        if load(folio._nr_frees) != 0:\n"
                    "            __set_bit(SHARED_BIT, folio._mm_ids)",
                ),
            ),
        ),
    ),
}
"""By their kind, as `mutants.KINDS`."""


# -- the order of plain stores: variants of a lock by plain stores and one barrier ---------------------------------
def barrier_between_the_stores(folio: Any, me: int) -> None:
    """The store of `_turn` may still wait when the other's wish is read."""
    WRITE_ONCE(folio._wants[me], 1)
    smp_mb()
    WRITE_ONCE(folio._turn, 3 - me)
    while READ_ONCE(folio._wants[3 - me]) and READ_ONCE(folio._turn) == 3 - me:
        cpu_relax()


def release_for_a_barrier(folio: Any, me: int) -> None:
    """A store with release order may wait, too."""
    WRITE_ONCE(folio._wants[me], 1)
    smp_store_release(folio._turn, 3 - me)
    while READ_ONCE(folio._wants[3 - me]) and READ_ONCE(folio._turn) == 3 - me:
        cpu_relax()


def barrier_before_the_stores(folio: Any, me: int) -> None:
    """Nothing orders the stores before the loads."""
    smp_mb()
    WRITE_ONCE(folio._wants[me], 1)
    WRITE_ONCE(folio._turn, 3 - me)
    while READ_ONCE(folio._wants[3 - me]) and READ_ONCE(folio._turn) == 3 - me:
        cpu_relax()


def _other_lock(name: str, enter: Any) -> Policy:
    return replace(broken.PETERSON, name=name, replace=((broken.peterson_enter, enter),))


ORDERS: Final[tuple[Policy, ...]] = (
    broken.PETERSON_WITHOUT_BARRIER,
    _other_lock("barrier-between-the-stores", barrier_between_the_stores),
    _other_lock("release-for-a-barrier", release_for_a_barrier),
    _other_lock("barrier-before-the-stores", barrier_before_the_stores),
)
"""Right under sequential consistency, and wrong where stores wait in buffers; `broken.PETERSON` is right in both."""
