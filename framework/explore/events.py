"""Events by blocks of equal length, each at hand: where in the address space they act, and what a map shows of it."""

from __future__ import annotations

import threading
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.engine.pagetable import PMD_ORDER, PTRS_PER_PTE
from foliolab.framework.replay.survey import Survey
from foliolab.framework.trace import events as ev
from foliolab.framework.trace.events import Events, EventSource, join
from foliolab.framework.trace.file import Trace

CHUNK: Final = 1 << 14
"""Events of a block: what lies in a machine's memory at a time."""
MOST_WINDOWS: Final = 512
"""Windows of 2 MiB on a map: 1 GiB."""
_WITH_PAGES: Final = (ev.PRESENT, ev.NEW, ev.WRITE, ev.MAP)


class EventBlocks:
    """The events of a source.

    Args:
        events: all of them.
        survey: what a pass over them found.

    Attributes:
        survey: that.
        windows: the windows that a map shows, in order of their addresses, int64.
        left_out: windows that events name, and the map does not show.
    """

    def __init__(self, events: EventSource, survey: Survey) -> None:
        self.events = events
        self.survey = survey
        self._trace = events if isinstance(events, Trace) else None
        self._whole = None if self._trace else join(list(events.blocks()))
        sizes = [block.events for block in self._trace.index] if self._trace else [survey.events]
        self._ends = np.cumsum(sizes)
        self._cached: dict[int, Events] = {}
        self._lock = threading.Lock()
        self.windows, self.left_out, self.pages = self._windows()

    def __len__(self) -> int:
        return self.survey.events

    def block(self, number: int) -> Events:
        """Events CHUNK * number and the following ones."""
        return self.part(number * CHUNK, min((number + 1) * CHUNK, len(self)))

    def part(self, begin: int, end: int) -> Events:
        """Events begin…end-1."""
        if self._whole is not None:
            return self._whole.part(slice(begin, end))
        parts = []
        number = int(np.searchsorted(self._ends, begin, side="right"))
        while begin < end:
            first = int(self._ends[number - 1]) if number else 0
            stop = min(end, int(self._ends[number]))
            parts.append(self._of_file(number).part(slice(begin - first, stop - first)))
            begin = stop
            number += 1
        return parts[0] if len(parts) == 1 else join(parts)

    def _of_file(self, number: int) -> Events:
        with self._lock:  # lanes ask from threads of their own
            found = self._cached.get(number)
            if found is None:
                assert self._trace is not None
                while len(self._cached) >= 4:
                    self._cached.pop(next(iter(self._cached)))
                view = next(self._trace.blocks(number))
                columns: list[NDArray[Any]] = [column.copy() for column in view]
                found = self._cached[number] = Events(*columns)
            return found

    def row(self, step: int) -> dict[str, int]:
        """One event."""
        return next(self.part(step, step + 1).rows())

    def shown(self, page: int) -> int:
        """Where the map has a page of the events' addresses; -1 if nowhere."""
        window = page >> PMD_ORDER
        at = int(np.searchsorted(self.windows, window))
        if at >= len(self.windows) or self.windows[at] != window:
            return -1
        shown = at * PTRS_PER_PTE + page % PTRS_PER_PTE
        return shown if shown < self.pages else -1

    def _windows(self) -> tuple[NDArray[np.int64], int, int]:
        """(windows of the map, those left out, pages of the map)."""
        counts: dict[int, int] = {}
        last = 0
        for number in range(-(-len(self) // CHUNK)):
            events = self.block(number)
            near = np.uint64(1 << 51)
            moves = events.part((events.kind == ev.MOVE) & (events.other < near))
            for window in np.unique(moves.other >> np.uint64(PMD_ORDER)).tolist():
                counts[window] = counts.get(window, 0) + 1
            rows = events.part(np.isin(events.kind, _WITH_PAGES) & (events.page < near))
            if not rows.size:
                continue
            pages = np.where(rows.kind == ev.NEW, 1 << np.minimum(rows.order, PMD_ORDER).astype(np.int64), rows.nr)
            ends = rows.page.astype(np.int64) + np.maximum(pages, 1)
            last = max(last, int(ends.max()))
            for part in (rows.page.astype(np.int64) >> PMD_ORDER, (ends - 1) >> PMD_ORDER):
                for window, count in zip(*(one.tolist() for one in np.unique(part, return_counts=True)), strict=True):
                    counts[window] = counts.get(window, 0) + count
            for row in rows.part(pages > PTRS_PER_PTE).rows():
                first = row["page"] >> PMD_ORDER
                for window in range(first, min(first + MOST_WINDOWS, (row["page"] + row["nr"] - 1 >> PMD_ORDER) + 1)):
                    counts[window] = counts.get(window, 0) + 1
        chosen = sorted(sorted(counts, key=lambda window: -counts[window])[:MOST_WINDOWS])
        windows: NDArray[np.int64] = np.array(chosen or [0], np.int64)
        shown = len(windows) * PTRS_PER_PTE
        # of a pattern's only region, the map ends where that does
        if self._whole is not None and windows[-1] - windows[0] == len(windows) - 1:
            shown = min(shown, max(8, -(-(last - (int(windows[0]) << PMD_ORDER)) // 8) * 8))
        return windows, len(counts) - len(chosen), shown

    @cached_property
    def nbytes(self) -> int:
        """What lies in memory."""
        return sum(column.nbytes for column in self._whole) if self._whole is not None else 0
