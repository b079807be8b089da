"""Why a kernel executes other locked instructions than the policy that models it, by rules about functions.

The engine models page tables, mapcounts, references, folio locks, flags of folios, and the freeing of folios. What it
does not model is named in `ELSEWHERE`, each with the functions that do it. Two rules say where one does both:

- Each folio that leaves an LRU batch (`LEAVING`) had a reference of the batch, which `folios_put_refs` drops. The model
  puts folios on the LRU list at once.
- The model takes the lock of its free lists once a folio. A kernel has lists of each processor with a lock of their
  own, and takes it once a batch; it is among the kernel's spinlocks. So the model's count is without this lock.

A cell is explained if each function is in one of the tables, and modelled functions and the model differ by less than
`TOLD` a page. What a call does once is in both: the model counts 64 pages and more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from foliolab.framework.kernel.counting.result import ZONE_LOCKS, Cell

MODELLED: Final = frozenset({
    # page tables: entries that are cleared, write-protected, or made
    "unmap_page_range", "__zap_vma_range", "zap_present_ptes", "copy_page_range", "__copy_present_ptes",
    "ptep_clear_flush", "wp_page_copy", "wp_page_reuse", "do_wp_page", "__split_huge_pmd_locked",
    # mapcounts, and what says whether a page is exclusive
    "folio_remove_rmap_ptes", "folio_remove_rmap_pmd", "folio_remove_rmap_pte", "folio_try_dup_anon_rmap_ptes",
    "folio_add_new_anon_rmap", "folio_add_anon_rmap_ptes", "__folio_remove_rmap", "__folio_add_rmap",
    "page_remove_rmap", "page_add_new_anon_rmap",
    # references, folio locks, the flag of folios on an LRU list, and that of partially mapped ones
    "folios_put_refs", "release_pages", "folio_put", "__folio_put", "folio_unlock", "lru_add", "deferred_split_folio",
    "free_pages_and_swap_cache", "free_folio_and_swap_cache",
})  # fmt: skip
"""Functions that do what the engine models. Which of them a kernel has depends on what its compiler inlined."""
WALKS: Final = MODELLED | {"folio_pte_batch", "native_set_pte"}
"""These, and what their loops over page tables call besides."""
ELSEWHERE: Final[Mapping[str, frozenset[str]]] = {
    "spinlocks": frozenset({
        "_raw_spin_lock", "_raw_spin_trylock", "_raw_spin_lock_irqsave", "_raw_spin_lock_irq",
        "__lock_text_start",  # the first of them, by the name of their section
    }),
    "locks of VMAs": frozenset({
        "lock_vma_under_rcu", "do_user_addr_fault", "exc_page_fault", "down_read_trylock", "up_read", "down_write",
        "up_write",
    }),
    "LRU batches and lists of generations": frozenset({
        "folio_add_lru", "folio_add_lru_vma", "__folio_batch_add_and_move", "folio_batch_move_lru",
        "folio_mark_accessed", "lru_gen_add_folio", "lru_gen_del_folio",
    }),
    "statistics": frozenset({
        "mod_node_page_state", "__mod_node_page_state", "mod_zone_page_state", "__mod_zone_page_state",
    }),
    "TLB flushes": frozenset({"flush_tlb_mm_range"}),
    "time of the last access": frozenset({"folio_xchg_last_cpupid"}),
    "queue of deferred splits": frozenset({"__folio_unqueue_deferred_split"}),
}  # fmt: skip
"""What a kernel does besides, and the functions that do it."""
BATCH: Final = "LRU batches and lists of generations"
LEAVING: Final = "lru_add"
"""It sets one flag of each folio that leaves an LRU batch."""
DROPS: Final = "folios_put_refs"
LEAST: Final = 0.005
"""Locked instructions per page that a function needs to be named."""
TOLD: Final = 0.02
"""Locked instructions per page by which modelled functions and the model have to differ for that to be told."""


@dataclass(frozen=True)
class Difference:
    """Locked instructions per page, of a kernel and of the model.

    Attributes:
        kernel: in all.
        model: atomics without the lock of the free lists; None if no policy models the kernel or the case.
        inside: those of functions that do what the model has, by function.
        outside: those of the other functions that are known, by what they do and by function.
        unknown: those of functions that no rule names.
    """

    kernel: float
    model: float | None
    inside: dict[str, float]
    outside: dict[str, dict[str, float]]
    unknown: dict[str, float]

    @property
    def modelled(self) -> float:
        """What the functions inside have."""
        return sum(self.inside.values())

    @property
    def unexplained(self) -> float | None:
        """What the functions inside have more than the model; None if there is no model."""
        return None if self.model is None else self.modelled - self.model

    @property
    def explained(self) -> bool:
        """Whether the rules explain all locked instructions."""
        return not self.unknown and abs(self.unexplained or 0.0) < TOLD

    def differing(self) -> dict[str, float]:
        """The functions inside that have the most, if the model has another number in all."""
        return _named(self.inside) if abs(self.unexplained or 0.0) >= TOLD else {}


def _named(functions: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in functions.items() if abs(value) >= LEAST}


def difference(cell: Cell) -> Difference:
    """Where the locked instructions of a measured cell are."""
    return explained(cell.by_function(), cell.model)


def explained(functions: Mapping[str, float], model: Mapping[str, float]) -> Difference:
    """Where locked instructions are.

    Args:
        functions: their number per page by the kernel's function.
        model: the model's counts per page; empty for none.
    """
    inside = {name: value for name, value in functions.items() if name in MODELLED}
    outside = {
        what: found for what, names in ELSEWHERE.items()
        if (found := {name: value for name, value in functions.items() if name in names})
    }  # fmt: skip
    if BATCH in outside and (dropped := min(inside.get(LEAVING, 0.0), inside.get(DROPS, 0.0))):
        inside[DROPS] -= dropped
        outside[BATCH][DROPS] = dropped
    known = MODELLED.union(*ELSEWHERE.values())
    return Difference(
        sum(functions.values()),
        model["atomics"] - model.get(ZONE_LOCKS, 0.0) if "atomics" in model else None,
        inside,
        {what: named for what, found in outside.items() if (named := _named(found))},
        _named({name: value for name, value in functions.items() if name not in known}),
    )
