"""A machine between two operations: the truth of its page tables and references, and what its policy answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.contract.asker import Answers, Entries, Pairs, Ranges, Seen
from foliolab.framework.engine import calls
from foliolab.framework.engine.calls import policy_call
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.pagetable import PFN_SHIFT, PTE_FLAGS, PTE_PRESENT, PTE_VM_SHARED, PTRS_PER_PTE
from foliolab.framework.engine.structs import (
    MAPPING_ANON,
    PG_anon_exclusive,
    PG_lru_batch,
    PG_pagecache,
    PG_swapcache,
)
from foliolab.framework.engine.truth import Counts, Truth, scan
from foliolab.framework.machine.memory import Memory
from foliolab.framework.machine.primitives import mm_at, pfn_folio, pfn_to_page
from foliolab.framework.scenario.observe import WORDS, ModelView, view_of

Bools = NDArray[np.bool_]

SCRATCH_A_PAGE: Final = 8 * WORDS
"""Bytes of scratch memory, from its start, that `Moment` needs for each page of address space."""
_VPNS: Final = 1 << 40
"""More than the pages of any address space: one number for each page of each MM is mm * _VPNS + vpn."""


def ask_can_reuse(vm: Memory, pfn: int, head: int, who: int) -> int:
    """The policy's `can_reuse` for a write of an MM to a frame of a large folio.

    Args:
        pfn, head: the frame, and the first frame of its folio.
        who: offset of the MM.
    """
    mm: Any = mm_at(vm, who)
    return policy_call(vm, calls.CAN_REUSE, pfn_folio(vm, head), pfn_to_page(vm, pfn), 1, mm, 0)


class Moment:
    """The implementation of `contract.asker.Moment`, which documents what askers use of it.

    What is asked for is computed once.

    Args:
        machine: has SCRATCH_A_PAGE bytes of scratch memory for each page of address space.

    Attributes:
        truth: the content of all page tables.
        fault: what the policy raised when it was asked; None if nothing.
    """

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.truth: Truth = scan(machine)
        self.fault: Exception | None = None

    # -- the truth
    @property
    def heads(self) -> Counts:
        return self.truth.heads

    @property
    def nr_pages_of(self) -> Counts:
        return self.truth.nr_pages_of

    @property
    def owners(self) -> Counts:
        return self.truth.owners

    @property
    def mapcount(self) -> Counts:
        return self.truth.folio_mapcount

    @property
    def page_mapcount(self) -> Counts:
        return self.truth.page_mapcount

    def _column(self, field: str, struct: str = "page") -> Counts:
        return self.machine.column(struct, field).astype(np.int64)

    def _flag(self, bit: int) -> Bools:
        return np.asarray(self._flags >> bit & 1, np.bool_)

    @cached_property
    def _flags(self) -> Counts:
        return self._column("flags")

    @cached_property
    def anon(self) -> Bools:
        return np.asarray((self._column("mapping") == MAPPING_ANON) & (self.truth.nr_pages_of > 0))

    @cached_property
    def anon_exclusive(self) -> Bools:
        return self._flag(PG_anon_exclusive)

    @cached_property
    def swapcache(self) -> Bools:
        return self._flag(PG_swapcache)

    @cached_property
    def lru_batch(self) -> Counts:
        return self._flag(PG_lru_batch).astype(np.int64)

    @cached_property
    def pins(self) -> Counts:
        return self._column("_pincount", "folio")

    @cached_property
    def extra(self) -> Counts:
        cached = self.truth.nr_pages_of * (self.swapcache | self._flag(PG_pagecache))
        return self._column("_refcount") - self.truth.folio_mapcount - cached

    @cached_property
    def swap_entries(self) -> Counts:
        truth = self.truth
        return np.bincount(truth.heads, weights=truth.swapped, minlength=truth.heads.size).astype(np.int64)

    @cached_property
    def large(self) -> Counts:
        heads = self.truth.folios()
        return heads[self.truth.nr_pages_of[heads] > 1]

    @cached_property
    def pairs(self) -> Pairs:
        mms, columns = np.nonzero(self.truth.mappings[:, self.large])
        return Pairs(mms.astype(np.int64), self.large[columns])

    def by_ptes(self, pairs: Pairs) -> Bools:
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

    def vm_shared(self, pairs: Pairs) -> Bools:
        found = np.zeros(self.truth.ptes.shape, np.bool_)
        for entries in (self.ptes, self.pmds):
            marked = entries.where(entries.flags & PTE_VM_SHARED != 0)
            found[marked.mm, self.truth.heads[marked.frame]] = True
        return np.asarray(found[pairs.mm, pairs.head])

    def ranges(self, order: int) -> Ranges:
        ptes = self.ptes
        keys = ptes.mm * _VPNS + (ptes.vpn >> order << order)
        known, of_pte = np.unique(keys, return_inverse=True)
        mms, vpns = known // _VPNS, known % _VPNS
        return Ranges(mms, vpns, self._swapped(mms, vpns, 1 << order), of_pte)

    def _swapped(self, mms: Counts, vpns: Counts, nr: int) -> Counts:
        """Swap entries among the `nr` pages from each of these on."""
        if not self.swap_entries.any():
            return np.zeros(mms.size, np.int64)
        found = []
        for mm, vpn in zip(mms.tolist(), vpns.tolist(), strict=True):
            entries = self.machine.ptes(mm)[vpn : vpn + nr]
            found.append(int(((entries != 0) & (entries & np.uint64(PTE_PRESENT) == 0)).sum()))
        return np.array(found, np.int64)

    def once_a_folio(self, entries: Entries) -> Entries:
        heads = self.truth.heads
        _, first = np.unique(entries.mm * heads.size + heads[entries.frame], return_index=True)
        return Entries(entries.mm[first], entries.vpn[first], entries.frame[first], entries.flags[first])

    # -- the policy's answers
    @cached_property
    def called_shared(self) -> Bools:
        answers = np.zeros(self.machine.shape.nr_pages, np.bool_)
        with self._policy():
            for head in self.large:
                answers[head] = self.machine.maybe_shared(int(head))
        return answers

    @contextmanager
    def _policy(self) -> Iterator[None]:
        """Keep what the policy raises: it is not an asker's fault."""
        try:
            yield
        except Exception as fault:
            self.fault = fault
            raise

    def by_answer(self, pairs: Pairs) -> Answers:
        return Answers(~self.called_shared[pairs.head], self.truth.owners[pairs.head] == 1, pairs.mm, pairs.head)

    def can_reuse(self, entries: Entries) -> Bools:
        asked = zip(entries.mm.tolist(), entries.frame.tolist(), strict=True)
        with self._policy():
            return np.array([self._can_reuse(mm, frame) for mm, frame in asked], np.bool_)

    def _can_reuse(self, mm: int, frame: int) -> bool:
        """The policy's answer. The hook may take the folio out of the swap cache; its struct pages are restored."""
        machine, head = self.machine, int(self.truth.heads[frame])
        stride = machine.layouts["page"].size
        pages = machine.vm.buffer[head * stride : (head + int(self.truth.nr_pages_of[head])) * stride]
        before = pages.copy()
        answer = machine.bind_function(ask_can_reuse, "miii", frame, head, machine.map.mms[mm])()
        pages[:] = before
        return bool(answer)

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
        with self._policy():
            return {mm: view_of(self.machine, mm, *span) for mm, span in self.spans.items()}

    @cached_property
    def seen(self) -> Seen:
        views = list(self.views.values())
        if not views:
            empty = np.zeros(0, np.int64)
            return Seen(empty, empty, empty.astype(np.bool_))
        frames, counts, exclusive, sizes = (
            np.concatenate([getattr(view, name) for view in views])
            for name in ("frames", "counts", "exclusive", "sizes")
        )
        distinct, first = np.unique(np.where(sizes > 1, frames, -1), return_index=True)
        first = first[distinct >= 0]
        return Seen(frames[first], counts[first], exclusive[first] != 0)
