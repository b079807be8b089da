"""Why a kernel executes more locked instructions than the policy that models it: which functions have them.

The engine models page tables, mapcounts, references, folio locks, LRU batches and the freeing of folios. It does not
model spinlocks, the lock of a VMA, per-CPU statistics, or TLB flushes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from foliolab.framework.kernel.counting.result import Cell

MODELLED: Final = frozenset({
    # page tables: entries that are cleared, write-protected, or made
    "unmap_page_range", "__zap_vma_range", "zap_present_ptes", "copy_page_range", "__copy_present_ptes",
    "ptep_clear_flush", "wp_page_copy", "wp_page_reuse", "do_wp_page", "__split_huge_pmd_locked",
    # mapcounts, and what says whether a page is exclusive
    "folio_remove_rmap_ptes", "folio_remove_rmap_pmd", "folio_remove_rmap_pte", "folio_try_dup_anon_rmap_ptes",
    "folio_add_new_anon_rmap", "folio_add_anon_rmap_ptes", "__folio_remove_rmap", "__folio_add_rmap",
    "page_remove_rmap", "page_add_new_anon_rmap",
    # references, folio locks and LRU lists
    "folios_put_refs", "release_pages", "folio_put", "__folio_put", "folio_unlock", "lru_gen_del_folio",
    "lru_gen_add_folio", "lru_add", "folio_batch_move_lru", "folio_add_lru", "__folio_batch_add_and_move",
    "folio_add_lru_vma", "free_pages_and_swap_cache", "free_folio_and_swap_cache",
})  # fmt: skip
"""Functions that do what the engine models. Which of them a kernel has depends on what its compiler inlined."""
LEAST: Final = 0.005
"""Locked instructions per page that a function needs to be named."""

TOLD: Final = 0.05
"""Locked instructions per page by which modelled functions and the model have to differ for that to be told."""


@dataclass(frozen=True)
class Difference:
    """Locked instructions per page, of a kernel and of the model.

    Attributes:
        kernel: in all.
        model: atomics in all; None if no policy models the kernel or the case.
        inside: those of functions that do what the model has, by function.
        outside: those of the other functions, by function.
    """

    kernel: float
    model: float | None
    inside: dict[str, float]
    outside: dict[str, float]

    @property
    def unexplained(self) -> float | None:
        """What the functions inside have more than the model; None if there is no model."""
        return None if self.model is None else sum(self.inside.values()) - self.model

    def named(self) -> list[tuple[str, float]]:
        """The functions outside of the model that have the most."""
        return _largest(self.outside)

    def differing(self) -> list[tuple[str, float]]:
        """The functions inside that have the most, if the model has another number in all."""
        return _largest(self.inside) if abs(self.unexplained or 0.0) >= TOLD else []


def _largest(functions: dict[str, float]) -> list[tuple[str, float]]:
    return [(name, value) for name, value in functions.items() if abs(value) >= LEAST]


def difference(cell: Cell) -> Difference:
    """Where the locked instructions of a measured cell are."""
    functions = cell.by_function()
    return Difference(
        sum(functions.values()),
        cell.model.get("atomics"),
        {name: value for name, value in functions.items() if name in MODELLED},
        {name: value for name, value in functions.items() if name not in MODELLED},
    )
