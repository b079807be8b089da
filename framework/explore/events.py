"""The events of a source in blocks of equal length, and the part of the address space that a map of them shows."""

from __future__ import annotations

import threading
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.engine.pagetable import PTRS_PER_PTE
from foliolab.framework.machine.layout import PMD_ORDER
from foliolab.framework.replay.survey import Survey
from foliolab.framework.trace import events as ev
from foliolab.framework.trace.events import Events, EventSource, join
from foliolab.framework.trace.file import Trace

CHUNK: Final = 1 << 14
"""Events of a block; one block at a time is in a machine's memory."""
MOST_WINDOWS: Final = 512
"""Most windows of 2 MiB on a map: 1 GiB."""
_CACHED: Final = 4
"""Blocks of a trace file that stay in memory."""
_NO_ADDRESS: Final = np.uint64(1 << 51)
"""Page numbers from here on are not addresses of user space."""
_WITH_PAGES: Final = (ev.PRESENT, ev.NEW, ev.WRITE, ev.MAP)


class EventBlocks:
    """The events of a source.

    Args:
        events: all events.
        survey: the result of a pass over them.

    Attributes:
        windows: numbers of the windows that a map shows, ascending, int64.
        left_out: number of windows with events that the map does not show.
        pages: pages of a map.
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
        """Events CHUNK * number to CHUNK * (number + 1) - 1."""
        return self.part(number * CHUNK, min((number + 1) * CHUNK, len(self)))

    def part(self, begin: int, end: int) -> Events:
        """Events begin to end-1."""
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
        with self._lock:  # lanes call this from several threads
            found = self._cached.get(number)
            if found is None:
                assert self._trace is not None
                while len(self._cached) >= _CACHED:
                    self._cached.pop(next(iter(self._cached)))
                view = next(self._trace.blocks(number))
                columns: list[NDArray[Any]] = [column.copy() for column in view]
                found = self._cached[number] = Events(*columns)
            return found

    def row(self, step: int) -> dict[str, int]:
        """One event, by column names."""
        return next(self.part(step, step + 1).rows())

    def shown(self, page: int) -> int:
        """The page of the map that shows a page of the events' address space; -1 if none does."""
        window = page >> PMD_ORDER
        at = int(np.searchsorted(self.windows, window))
        if at >= len(self.windows) or self.windows[at] != window:
            return -1
        shown = at * PTRS_PER_PTE + page % PTRS_PER_PTE
        return shown if shown < self.pages else -1

    def _windows(self) -> tuple[NDArray[np.int64], int, int]:
        """(windows of the map, number of windows left out, pages of the map)."""
        counts: dict[int, int] = {}
        last = 0
        for number in range(-(-len(self) // CHUNK)):
            events = self.block(number)
            moves = events.part((events.kind == ev.MOVE) & (events.other < _NO_ADDRESS))
            for window in np.unique(moves.other >> np.uint64(PMD_ORDER)).tolist():
                counts[window] = counts.get(window, 0) + 1
            rows = events.part(np.isin(events.kind, _WITH_PAGES) & (events.page < _NO_ADDRESS))
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
        # a pattern has a single region: the map ends where the region ends
        if self._whole is not None and windows[-1] - windows[0] == len(windows) - 1:
            shown = min(shown, max(8, -(-(last - (int(windows[0]) << PMD_ORDER)) // 8) * 8))
        return windows, len(counts) - len(chosen), shown
