"""What may have happened to the folios of a trace before it began, as far as a policy's answers depend on it.

A snapshot shows who maps a folio, and not whom a policy remembers of them. Two histories are the extremes:

- KEPT: the MMs that map a folio longest came first, and nobody else ever mapped it. So a policy with room for some MMs
  remembers those that are left at the end.
- LOST: others came first, as many as the policy has room for, and left when all had come. So it remembers nobody.

Where a recorder has read whom the kernel remembered (`events.REMEMBERED`), a policy that models that kernel needs
neither of them: the MMs that have a slot came first, and if others came when slots were free at the end, so many
predecessors had these.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from typing import Final

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.contract.policy import Scheme, exact_up_to
from foliolab.framework.machine.layout import PMD_ORDER
from foliolab.framework.trace import events as ev
from foliolab.framework.trace.events import Events, EventSource, join
from foliolab.framework.trace.file import BLOCK_EVENTS

SLOTS: Final = 2
"""The slots that Linux has for each large folio."""
PREDECESSORS: Final = ev.OUTCOME
"""The bits of a REMEMBERED event's flags that say, in `Regrouped.as_read`, how many predecessors the folio has."""
LEAST: Final = 2
"""Predecessors of a folio for policies that do not say for how many MMs they have room."""


def predecessors(scheme: Scheme) -> int:
    """How many MMs have to come first so that a policy remembers no other; 0 if it needs to remember none."""
    if "exact" in scheme.capabilities:
        return 0
    return max(exact_up_to(scheme.capabilities), LEAST)


class Regrouped:
    """A trace whose snapshot is in the order of folios, and of each folio in the order of KEPT.

    Args:
        trace: the trace.
        mms: one more than its largest MM number.

    Attributes:
        path: of the trace.
        read: number of folios whose slots were read.
    """

    def __init__(self, trace: EventSource, mms: int) -> None:
        self.path = trace.path
        self._trace = trace
        self._ends = ends = np.full(mms, len(trace), np.int64)
        found: list[Events] = []
        begun, at = False, 0
        for events in trace.blocks():
            life = np.flatnonzero(np.isin(events.kind, (ev.EXIT, ev.EXEC)))[::-1]
            ends[events.mm[life]] = np.minimum(ends[events.mm[life]], at + life)
            at += events.size
            if not begun:
                part, begun = _snapshot(events)
                found.append(part)
        whole = join(found)
        read = whole.part((whole.flags & ev.REMEMBERED) > 0)
        self.read = np.unique(np.stack(_folios(read)), axis=1).shape[1]
        self._start = whole.part(np.lexsort((whole.page, -ends[whole.mm], *_folios(whole))))

    def as_read(self) -> Regrouped:
        """The trace with the history that the kernel's slots say, of folios of which they were read."""
        if not self.read:
            return self
        start, ends = self._start, self._ends
        flags = start.flags & ~np.uint8(PREDECESSORS)
        read = np.flatnonzero(flags & ev.REMEMBERED)
        flags[read] = _with_predecessors(start.part(read))
        marked = start._replace(flags=flags)
        late = (flags & (ev.REMEMBERED | ev.HAS_SLOT)) == ev.REMEMBERED
        found = copy(self)
        found._start = marked.part(np.lexsort((start.page, -ends[start.mm], late, *_folios(start))))
        return found

    def __len__(self) -> int:
        return len(self._trace)

    def blocks(self) -> Iterator[Events]:
        """The events in blocks."""
        for first in range(0, self._start.size, BLOCK_EVENTS):
            yield self._start.part(slice(first, first + BLOCK_EVENTS))
        left = self._start.size
        for events in self._trace.blocks():
            skipped = min(left, events.size)
            left -= skipped
            if skipped < events.size:
                yield events.part(slice(skipped, None))


def _snapshot(events: Events) -> tuple[Events, bool]:
    """The PRESENT events that a block begins with, and whether others follow."""
    others = np.flatnonzero(events.kind != ev.PRESENT)
    return (events.part(slice(0, int(others[0]))), True) if others.size else (events, False)


def _folios(start: Events) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """The folio of each event, as (number among those of its order, order)."""
    order = np.minimum(start.order, 63).astype(np.uint64)
    return start.other >> order, order


def _with_predecessors(read: Events) -> NDArray[np.uint8]:
    """The flags of REMEMBERED events, with the number of predecessors of their folios.

    A whole folio of PMD size has no predecessors in the model. Where it would need some, its slots are forgotten.
    """
    _, folio = np.unique(np.stack(_folios(read)), axis=1, return_inverse=True)
    folio = folio.reshape(-1)
    nr = int(folio.max()) + 1
    has = read.flags & ev.HAS_SLOT > 0

    def mms(which: NDArray[np.bool_]) -> NDArray[np.int64]:
        pairs = np.unique(np.stack((folio[which], read.mm[which].astype(np.int64))), axis=1)
        return np.bincount(pairs[0], minlength=nr)

    every, holders = mms(np.ones(len(has), np.bool_)), mms(has)
    first = np.where(holders == every, 0, np.maximum(SLOTS - holders, 0))[folio]
    whole = np.bincount(folio, (read.order >= PMD_ORDER) & (read.nr >> PMD_ORDER > 0), minlength=nr)[folio] > 0
    flags = read.flags & ~np.uint8(PREDECESSORS) | first.astype(np.uint8)
    return np.where(whole & (first > 0), read.flags & ~np.uint8(ev.REMEMBERED | ev.HAS_SLOT), flags).astype(np.uint8)
