"""Rows of events in the order of time, of which some are not decided yet, on their way to a trace file."""

from __future__ import annotations

from collections import deque
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.trace import events
from foliolab.framework.trace.events import Events

EventRow = list[int]
"""time, mm, kind, flags, order, cpu, page, nr, other: the columns of `events.COLUMNS`."""

OPEN: Final = -1
"""The kind of a row that is not decided yet."""
DROPPED: Final = 0
"""The kind of a row that is not written."""
MOST: Final = 65536
"""The largest number of rows of a block."""
FEW: Final = 8192
"""Rows in memory, if nothing asks for more: a row takes some 350 bytes."""


class Sink(Protocol):
    """The destination of finished events: `file.Writer`."""

    def append(self, events: Events, /) -> None: ...


class Batch:
    """Collects rows and writes them in blocks.

    Attributes:
        most: rows in memory before those that are decided are written.
        backwards: rows whose time was earlier than that of the row before; they got its time.
    """

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self.most = FEW
        self.backwards = 0
        self._rows: deque[EventRow] = deque()
        self._last = 0

    def add(
        self, time: int, mm: int, kind: int, flags: int = 0, order: int = 0, cpu: int = 0,
        page: int = 0, nr: int = 0, other: int = 0,
    ) -> EventRow:  # fmt: skip
        """Add a row and return it. Of a row of kind OPEN the caller assigns the final kind, or DROPPED, later.

        No row behind an OPEN one is written, so the file stays in the order of time.
        """
        if time < self._last:
            self.backwards += 1
            time = self._last
        self._last = time
        row = [time, mm, kind, flags, order, cpu, page, nr, other]
        self._rows.append(row)
        if len(self._rows) >= self.most:
            self._write_decided()
        return row

    def postponed(self, row: EventRow, time: int) -> bool:
        """Give a row of kind OPEN a later time, unless another row was added behind it."""
        rows = self._rows
        if not rows or rows[-1] is not row:
            return False
        if time < self._last:
            self.backwards += 1
            time = self._last
        row[0] = self._last = time
        return True

    def close(self) -> None:
        """Drop rows that are still OPEN and write the rest."""
        for row in self._rows:
            if row[2] == OPEN:
                row[2] = DROPPED
        self._write_decided()

    def _write_decided(self) -> None:
        rows, ready = self._rows, []
        while rows and rows[0][2] != OPEN:
            row = rows.popleft()
            if row[2]:
                ready.append(row)
        for start in range(0, len(ready), MOST):
            flat: NDArray[np.uint64] = np.array(ready[start : start + MOST], np.uint64)
            columns = (
                np.minimum(flat[:, index], np.iinfo(kind).max).astype(kind)
                for index, kind in enumerate(events.COLUMNS.values())
            )
            self.sink.append(Events(*columns))
