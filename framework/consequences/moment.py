"""A machine between two operations: the truth of its page tables and references, and what its policy answers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.pagetable import PFN_SHIFT, PTE_FLAGS, PTE_PRESENT, PTRS_PER_PTE
from foliolab.framework.engine.structs import MAPPING_ANON, PG_lru_batch, PG_pagecache, PG_swapcache
from foliolab.framework.engine.truth import Counts, Truth, scan
from foliolab.framework.scenario.observe import WORDS, ModelView, view_of

Bools = NDArray[np.bool_]

SCRATCH_A_PAGE: Final = 8 * WORDS
"""Bytes of scratch memory, from its start, that `Moment` needs for each page of address space."""


@dataclass(frozen=True)
class Entries:
    """The present page table entries of all MMs, each array of shape (entries,).

    Attributes:
        vpn: the first page of address space that the entry maps.
        frame: the first frame that the entry maps.
        flags: the low bits of the entry.
    """

    mm: Counts
    vpn: Counts
    frame: Counts
    flags: Counts


@dataclass(frozen=True)
class Pairs:
    """MMs with the large folios that they map, each array of shape (pairs,).

    Attributes:
        head: the folio's first frame.
    """

    mm: Counts
    head: Counts

    def where(self, wanted: Bools) -> Pairs:
        return Pairs(self.mm[wanted], self.head[wanted])


class Moment:
    """A machine between two operations; what is asked for is computed once.

    Args:
        machine: has SCRATCH_A_PAGE bytes of scratch memory for each page of address space.
    """

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.truth: Truth = scan(machine)

    # -- the truth
    def _column(self, field: str) -> Counts:
        return self.machine.column("page", field).astype(np.int64)

    def _flag(self, bit: int) -> Bools:
        return np.asarray(self._flags >> bit & 1, np.bool_)

    @cached_property
    def _flags(self) -> Counts:
        return self._column("flags")

    @cached_property
    def anon(self) -> Bools:
        """Which folios are anonymous, at their heads, shape (nr_pages,)."""
        return np.asarray((self._column("mapping") == MAPPING_ANON) & (self.truth.nr_pages_of > 0))

    @cached_property
    def swapcache(self) -> Bools:
        """Which folios are in the swap cache, at their heads, shape (nr_pages,)."""
        return self._flag(PG_swapcache)

    @cached_property
    def lru_batch(self) -> Counts:
        """References that per-CPU LRU batches hold to each folio, at its head, shape (nr_pages,)."""
        return self._flag(PG_lru_batch).astype(np.int64)

    @cached_property
    def extra(self) -> Counts:
        """References to each folio besides mappings and caches, at its head: LRU batch, GUP, pins, mmu_gather.

        Shape (nr_pages,).
        """
        cached = self.truth.nr_pages_of * (self.swapcache | self._flag(PG_pagecache))
        return self._column("_refcount") - self.truth.folio_mapcount - cached

    @cached_property
    def swap_entries(self) -> Counts:
        """Swap entries of each folio, at its head, shape (nr_pages,)."""
        truth = self.truth
        return np.bincount(truth.heads, weights=truth.swapped, minlength=truth.heads.size).astype(np.int64)

    @cached_property
    def large(self) -> Counts:
        """Heads of the large folios that are mapped."""
        heads = self.truth.folios()
        return heads[self.truth.nr_pages_of[heads] > 1]

    @cached_property
    def pairs(self) -> Pairs:
        """Every MM with each large folio that it maps."""
        mms, columns = np.nonzero(self.truth.mappings[:, self.large])
        return Pairs(mms.astype(np.int64), self.large[columns])

    def by_ptes(self, pairs: Pairs) -> Bools:
        """Whether the MM of a pair maps the folio by PTEs, shape (pairs,)."""
        truth = self.truth
        return np.asarray(truth.mappings[pairs.mm, pairs.head] > truth.pmds[pairs.mm, pairs.head])

    @cached_property
    def ptes(self) -> Entries:
        return self._entries([self.machine.ptes(mm) for mm in range(self.machine.shape.nr_mms)], 1)

    @cached_property
    def pmds(self) -> Entries:
        return self._entries([self.machine.pmds(mm) for mm in range(self.machine.shape.nr_mms)], PTRS_PER_PTE)

    @staticmethod
    def _entries(tables: list[NDArray[np.uint64]], pages: int) -> Entries:
        table = np.stack(tables).astype(np.int64)
        mms, indices = np.nonzero(table & PTE_PRESENT)
        found = table[mms, indices]
        return Entries(mms.astype(np.int64), indices * pages, found >> PFN_SHIFT, found & PTE_FLAGS)

    def marked(self, pairs: Pairs, flag: int) -> Bools:
        """Whether the MM of a pair maps the folio by an entry with that flag, shape (pairs,)."""
        found = np.zeros(self.truth.ptes.shape, np.bool_)
        for entries in (self.ptes, self.pmds):
            with_flag = entries.flags & flag != 0
            found[entries.mm[with_flag], self.truth.heads[entries.frame[with_flag]]] = True
        return np.asarray(found[pairs.mm, pairs.head])

    # -- the policy's answers
    @cached_property
    def called_shared(self) -> Bools:
        """Large folios that the policy says several MMs may map, at their heads, shape (nr_pages,)."""
        answers = np.zeros(self.machine.shape.nr_pages, np.bool_)
        for head in self.large:
            answers[head] = self.machine.maybe_shared(int(head))
        return answers

    @cached_property
    def mms(self) -> list[int]:
        """The MMs that map anything, in ascending order."""
        return [int(mm) for mm in np.flatnonzero(self.truth.ptes.any(axis=1) | self.truth.pmds.any(axis=1))]

    @cached_property
    def spans(self) -> dict[int, tuple[int, int]]:
        """For each MM of `mms`: its first mapped page of address space, and the number of pages up to its last."""
        found = {}
        for mm in self.mms:
            ptes, pmds = (entries.vpn[entries.mm == mm] for entries in (self.ptes, self.pmds))
            ends = np.concatenate([ptes + 1, pmds + PTRS_PER_PTE])
            start = int(min(np.concatenate([ptes, pmds])))
            found[mm] = start, min(int(ends.max()), self.machine.shape.nr_vpns) - start
        return found

    @cached_property
    def views(self) -> dict[int, ModelView]:
        """For each MM of `mms`: what /proc shows of its span."""
        return {mm: view_of(self.machine, mm, *span) for mm, span in self.spans.items()}
