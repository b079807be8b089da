"""What may have happened to the folios of a trace before it began, as far as a policy's answers depend on it.

A snapshot shows who maps a folio, and not whom a policy remembers of them. Two histories are the extremes:

- KEPT: the MMs that map a folio longest came first, and nobody else ever mapped it. So a policy with room for some MMs
  remembers those that are left at the end.
- LOST: others came first, as many as the policy has room for, and left when all had come. So it remembers nobody.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.contract.policy import Scheme, exact_up_to
from foliolab.framework.trace import events as ev
from foliolab.framework.trace.events import Events, EventSource, join
from foliolab.framework.trace.file import BLOCK_EVENTS

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
    """

    def __init__(self, trace: EventSource, mms: int) -> None:
        self.path = trace.path
        self._trace = trace
        ends = np.full(mms, len(trace), np.int64)
        found: list[Events] = []
        begun, at = False, 0
        for events in trace.blocks():
            life = np.flatnonzero(np.isin(events.kind, (ev.EXIT, ev.EXEC)))[::-1]
            ends[events.mm[life]] = np.minimum(ends[events.mm[life]], at + life)
            at += events.size
            if not begun:
                part, begun = _snapshot(events)
                found.append(part)
        self._start = _sorted(join(found), ends)

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


def _sorted(start: Events, ends: NDArray[np.int64]) -> Events:
    order = np.minimum(start.order, 63).astype(np.uint64)
    return start.part(np.lexsort((start.page, -ends[start.mm], start.other >> order, order)))
