"""Situations in which an operation on several PTEs can go wrong, counted by name.

Kernels handle the PTEs of a folio in batches, and a batch must not take the bits of its first PTE for those of all.
Linux 6.17 did so in mremap (f822a9a81a31, mended by 04d1c9d60c6e), and from 6.16 on the reclaim of lazily freed folios
did (354dffd29575, mended by 29f40594a281). A situation is a state of the PTEs just before an operation, such as "fork:
writable first". Random scenarios count the steps that meet each one, and name those that no step met.

A private anonymous PTE of the model is writable if and only if its page is AnonExclusive, as on Linux without
userfaultfd and soft-dirty; "writable" stands for both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.engine.folio import GUP_PIN_COUNTING_BIAS
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.pagetable import (
    PFN_SHIFT,
    PTE_PRESENT,
    PTE_SWAP_EXCLUSIVE,
    PTE_WRITE,
    PTRS_PER_PTE,
)
from foliolab.framework.engine.structs import MMF_HAS_PINNED, ORDER_MASK, PG_head
from foliolab.framework.machine.layout import PMD_ORDER

Flags = NDArray[np.bool_]
Numbers = NDArray[np.int64]

OPERATION_OF: Final = {
    "fork": "fork", "munmap": "zap", "dontneed": "zap", "exec": "zap", "exit": "zap", "mremap": "mremap",
    "mprotect": "mprotect", "write": "write", "pageout": "pageout", "migrate": "migrate",
}  # fmt: skip
"""The operation on several PTEs that each action of a scenario is; the others are about one page, or change none."""
OPERATIONS: Final = tuple(dict.fromkeys(OPERATION_OF.values()))


class Ptes:
    """The page table entries of a range, just before an operation.

    Args:
        machine: its state is read, not changed.
        mm: whose page tables.
        start, nr: pages of address space.
        threads: that use these page tables.
    """

    def __init__(self, machine: Machine, mm: int, start: int, nr: int, threads: int = 1) -> None:
        self.machine = machine
        self.mm = mm
        self.threads = threads
        self.vpns: Numbers = np.arange(start, start + nr)
        self.entries = machine.ptes(mm)[start : start + nr]
        self.present: Flags = self.entries & np.uint64(PTE_PRESENT) != 0
        self.swapped: Flags = (self.entries != 0) & ~self.present
        self.frames: Numbers = np.where(self.present, self.entries >> np.uint64(PFN_SHIFT), 0).astype(np.int64)

    @cached_property
    def writable(self) -> Flags:
        """Which entries are present and writable."""
        return np.asarray(self.present & (self.entries & np.uint64(PTE_WRITE) != 0))

    @cached_property
    def swap_exclusive(self) -> Flags:
        """Which entries are swap entries of a page that was AnonExclusive."""
        return np.asarray(self.swapped & (self.entries & np.uint64(PTE_SWAP_EXCLUSIVE) != 0))

    @cached_property
    def heads(self) -> Numbers:
        """The first frame of the folio that each PTE maps; -1 for entries that are not present."""
        link = self.machine.column("page", "compound_head")[self.frames].astype(np.int64)
        head = np.where(link & 1, link >> 1, self.frames)
        return np.where(self.present, head, -1)

    @cached_property
    def large(self) -> Flags:
        """Which PTEs map a large folio."""
        flags = self.machine.column("page", "flags")[np.maximum(self.heads, 0)]
        return np.asarray(self.present & (flags >> np.uint64(PG_head) & np.uint64(1) != 0))

    @cached_property
    def batches(self) -> list[slice]:
        """Runs of two PTEs and more that `folio_pte_batch` may take together, as slices of the range.

        They map consecutive pages of a large folio, and lie in one page table.
        """
        joined = self.large[1:] & (self.heads[1:] == self.heads[:-1]) & (np.diff(self.frames) == 1)
        return self._runs(joined)

    @cached_property
    def mixed(self) -> list[slice]:
        """The batches that differ in writability."""
        return [
            batch for batch in self.batches if 0 < np.count_nonzero(self.writable[batch]) < batch.stop - batch.start
        ]

    @cached_property
    def entry_runs(self) -> list[slice]:
        """Runs of two entries and more, present or swapped out, in one page table."""
        used = self.entries != 0
        return self._runs(used[1:] & used[:-1])

    @cached_property
    def swap_runs(self) -> list[slice]:
        """Runs of two swap entries and more in one page table."""
        return self._runs(self.swapped[1:] & self.swapped[:-1])

    def _runs(self, joined: Flags) -> list[slice]:
        """Slices of neighbors that are joined: `joined[i]` is about entries i and i + 1."""
        joined = joined & (self.vpns[1:] % PTRS_PER_PTE != 0)
        edges = np.flatnonzero(np.diff(np.concatenate(([False], joined, [False])).astype(np.int8)))
        return [slice(first, last + 1) for first, last in edges.reshape(-1, 2).tolist()]

    @cached_property
    def places(self) -> list[Numbers]:
        """For each large folio and place at which PTEs of the range map it, their indices in the range, in order."""
        at = np.flatnonzero(self.large)
        keys = np.stack([self.heads[at], self.vpns[at] - self.frames[at]], axis=1)
        _, which = np.unique(keys, axis=0, return_inverse=True)
        which = which.reshape(-1)
        return [at[which == number] for number in range(int(which.max(initial=-1)) + 1)]

    def size(self, index: int) -> int:
        """The pages of the folio that a PTE maps."""
        return 1 << int(self.machine.folio(int(self.heads[index]))._flags_1.peek() & ORDER_MASK)

    @cached_property
    def others(self) -> Numbers:
        """The frames that PTEs of other MMs map."""
        tables = [self.machine.ptes(mm) for mm in range(self.machine.shape.nr_mms) if mm != self.mm]
        entries = np.concatenate([*tables, np.zeros(0, np.uint64)])
        return np.asarray(entries[entries & np.uint64(PTE_PRESENT) != 0] >> np.uint64(PFN_SHIFT), np.int64)

    @cached_property
    def pinned(self) -> set[int]:
        """The first frames of the folios in the range that this MM may have pinned."""
        if not self.machine.at("mm", self.machine.map.mms[self.mm]).flags.peek() >> MMF_HAS_PINNED & 1:
            return set()
        large = {int(head) for head in np.unique(self.heads[self.large])}
        small = {int(head) for head in np.unique(self.heads[self.present & ~self.large])}
        held = {head for head in large if self.machine.folio(head)._pincount.peek() > 0}
        return held | {head for head in small if self.machine.page(head)._refcount.peek() >= GUP_PIN_COUNTING_BIAS}


def _writable_first(ptes: Ptes) -> bool:
    return any(ptes.writable[batch.start] for batch in ptes.mixed)


def _protected_first(ptes: Ptes) -> bool:
    return any(not ptes.writable[batch.start] for batch in ptes.mixed)


def _mixed_and_shared(ptes: Ptes) -> bool:
    return any(np.isin(ptes.frames[batch][~ptes.writable[batch]], ptes.others).any() for batch in ptes.mixed)


def _present_then_swapped(ptes: Ptes) -> bool:
    return any((ptes.present[run][:-1] & ptes.swapped[run][1:]).any() for run in ptes.entry_runs)


def _swapped_then_present(ptes: Ptes) -> bool:
    return any((ptes.swapped[run][:-1] & ptes.present[run][1:]).any() for run in ptes.entry_runs)


def _exclusive_swap_first(ptes: Ptes) -> bool:
    return any(ptes.swap_exclusive[run.start] and not ptes.swap_exclusive[run].all() for run in ptes.swap_runs)


def _shared_swap_first(ptes: Ptes) -> bool:
    return any(not ptes.swap_exclusive[run.start] and ptes.swap_exclusive[run].any() for run in ptes.swap_runs)


def _hole(ptes: Ptes) -> bool:
    return any(at[-1] - at[0] >= at.size for at in ptes.places)


def _over_tables(ptes: Ptes) -> Iterator[bool]:
    """For each folio that PTEs of two page tables map at one place: whether they map all of it."""
    for at in ptes.places:
        if ptes.vpns[at[0]] // PTRS_PER_PTE != ptes.vpns[at[-1]] // PTRS_PER_PTE:
            yield at.size == ptes.size(int(at[0]))


def _whole_over_tables(ptes: Ptes) -> bool:
    return any(_over_tables(ptes))


def _part_over_tables(ptes: Ptes) -> bool:
    return not all(_over_tables(ptes))


def _pinned(ptes: Ptes) -> bool:
    return bool(ptes.pinned)


def _pinned_and_mixed(ptes: Ptes) -> bool:
    return any(int(ptes.heads[batch.start]) in ptes.pinned for batch in ptes.mixed)


def _referenced(ptes: Ptes) -> bool:
    heads = np.unique(ptes.heads[ptes.present])
    return bool(ptes.machine.column("page", "gup_refs")[heads].any())


def _several_threads(ptes: Ptes) -> bool:
    return ptes.threads > 1


def _part_of_pmd(ptes: Ptes) -> bool:
    pmds = ptes.machine.pmds(ptes.mm)
    edges = [vpn for vpn in (int(ptes.vpns[0]), int(ptes.vpns[-1]) + 1) if vpn % PTRS_PER_PTE]
    return any(pmds[vpn // PTRS_PER_PTE] for vpn in edges)


@dataclass(frozen=True)
class Kind:
    """A kind of state that an operation can meet.

    Args:
        doc: what it is, for the table in the documentation.
        holds: whether the entries of a range are in it.
        needs: the actions without which it does not come about.
        orders: the lowest and the highest order of the folios that can be in it.
    """

    doc: str
    holds: Callable[[Ptes], bool]
    needs: frozenset[str] = frozenset()
    orders: tuple[int, int] = (2, PMD_ORDER)


_SWAP: Final = frozenset({"pageout"})
KINDS: Final[dict[str, Kind]] = {
    "writable first": Kind("the first PTE of a batch is writable, and another one is not", _writable_first),
    "read-only first": Kind("the first PTE of a batch is not writable, and another one is", _protected_first),
    "mixed, shared": Kind(
        "a batch differs in writability, and another process maps a page that is not writable", _mixed_and_shared
    ),
    "present, swapped": Kind("a swap entry follows a present PTE", _present_then_swapped, _SWAP, (0, PMD_ORDER)),
    "swapped, present": Kind("a present PTE follows a swap entry", _swapped_then_present, _SWAP, (0, PMD_ORDER)),
    "exclusive swap first": Kind(
        "the first of adjacent swap entries is exclusive, and another one is not", _exclusive_swap_first, _SWAP,
        (0, PMD_ORDER),
    ),
    "shared swap first": Kind(
        "the first of adjacent swap entries is not exclusive, and another one is", _shared_swap_first, _SWAP,
        (0, PMD_ORDER),
    ),
    "hole": Kind("pages of a large folio are mapped around one that is not, or that was replaced by a copy", _hole),
    "whole, two tables": Kind("the PTEs of a large folio lie in two page tables", _whole_over_tables),
    "part, two tables": Kind("the same, and they map a part of the folio", _part_over_tables),
    "pinned": Kind(
        "the process may have pinned a folio of the range for DMA", _pinned, frozenset({"pin"}), (0, PMD_ORDER)
    ),
    "pinned, mixed": Kind("a batch of such a folio differs in writability", _pinned_and_mixed, frozenset({"pin"})),
    "referenced": Kind(
        "a folio of the range has references of get_user_pages (vmsplice)", _referenced, frozenset({"vmsplice"}),
        (0, PMD_ORDER),
    ),
    "part of a PMD": Kind(
        "the range begins or ends within what a PMD maps", _part_of_pmd, frozenset(), (PMD_ORDER, PMD_ORDER)
    ),
    "several threads": Kind(
        "the process has several threads, and one of them does it", _several_threads, frozenset({"thread"}),
        (0, PMD_ORDER),
    ),
}  # fmt: skip
"""The kinds of states, by name."""

NAMES: Final = tuple(f"{operation}: {kind}" for kind in KINDS for operation in OPERATIONS)
"""The name of each situation: an operation and a kind of state that it meets."""


def met(machine: Machine, operation: str, mm: int, start: int, nr: int, threads: int = 1) -> Iterator[int]:
    """The situations that an operation on nr pages is about to meet, as indices of `NAMES`.

    Args:
        operation: one of `OPERATIONS`.
        mm: whose address space.
        start: its first page.
        threads: that use it.
    """
    ptes = Ptes(machine, mm, start, nr, threads)
    column = OPERATIONS.index(operation)
    for row, kind in enumerate(KINDS.values()):
        if kind.holds(ptes):
            yield row * len(OPERATIONS) + column


def possible(orders: Iterable[int], actions: frozenset[str]) -> Flags:
    """Which situations scenarios with folios of these orders and these actions can meet, shape (situations,)."""
    orders = tuple(orders)
    operations = {OPERATION_OF.get(action) for action in actions}

    def can(kind: Kind, operation: str) -> bool:
        sized = any(kind.orders[0] <= order <= kind.orders[1] for order in orders)
        return sized and operation in operations and kind.needs <= actions

    return np.array([can(kind, operation) for kind in KINDS.values() for operation in OPERATIONS])


class Situations:
    """How many steps met each situation.

    Attributes:
        counts: steps by situation, in the order of `NAMES`, shape (situations,).
        sought: those that the scenarios were to meet (see `possible`), shape (situations,); None: none in particular.
    """

    def __init__(self, sought: Flags | None = None) -> None:
        self.counts: Numbers = np.zeros(len(NAMES), np.int64)
        self.sought = sought

    def add(self, indices: Iterable[int]) -> None:
        """Count one step that met these situations, each once."""
        self.counts[list(indices)] += 1

    @property
    def never(self) -> list[str]:
        """The names of the situations that were sought, and that no step met."""
        return [] if self.sought is None else [NAMES[at] for at in np.flatnonzero(self.sought & (self.counts == 0))]

    @property
    def never_text(self) -> str:
        """Those that no step met, by operation ("fork: hole, pinned; zap: none of its 14 was met"), or "all"."""
        if self.sought is None or not self.counts[self.sought].any():
            return "all"
        sought = self.sought.reshape(len(KINDS), len(OPERATIONS))
        missed = sought & (self.counts.reshape(sought.shape) == 0)
        kinds, parts = list(KINDS), []
        for column, operation in enumerate(OPERATIONS):
            names = [kinds[row] for row in np.flatnonzero(missed[:, column])]
            number = int(sought[:, column].sum())
            if names:
                parts.append(
                    f"{operation}: "
                    + (f"none of its {number} was met" if len(names) == number > 1 else ", ".join(names))
                )
        return "; ".join(parts)

    @property
    def by_name(self) -> dict[str, int]:
        """Steps by the name of the situation."""
        return dict(zip(NAMES, self.counts.tolist(), strict=True))
