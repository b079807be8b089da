"""Events on their way to a trace file: rows in the order of time, some of them not yet decided."""

from __future__ import annotations

from collections import deque
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.trace import events
from foliolab.framework.trace.events import Events

Row = list[int]
"""time, mm, kind, flags, order, cpu, page, nr, other: as `events.COLUMNS`."""

OPEN: Final = -1
"""The kind of a row whose outcome is not known yet."""
DROPPED: Final = 0
MOST: Final = 65536


class Sink(Protocol):
    """What takes finished events: `file.Writer`, or a list in tests."""

    def append(self, events: Events, /) -> None:
        """Take them."""


class Batch:
    """Collects rows and hands them on in blocks.

    Attributes:
        by_kind: rows written, by kind.
        backwards: rows whose time went back and was lifted to that of the row before.
    """

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self.by_kind: dict[int, int] = {}
        self.backwards = 0
        self._rows: deque[Row] = deque()
        self._last = 0

    def add(
        self, time: int, mm: int, kind: int, flags: int = 0, order: int = 0, cpu: int = 0,
        page: int = 0, nr: int = 0, other: int = 0,
    ) -> Row:  # fmt: skip
        """One more row; `kind` OPEN holds the place of one that is decided, or DROPPED, by assigning to it."""
        if time < self._last:
            self.backwards += 1
            time = self._last
        self._last = time
        row = [time, mm, kind, flags, order, cpu, page, nr, other]
        self._rows.append(row)
        if len(self._rows) >= 2 * MOST:
            self._hand_on()
        return row

    def close(self) -> None:
        """Hand on everything; what is still open is dropped."""
        for row in self._rows:
            if row[2] == OPEN:
                row[2] = DROPPED
        self._hand_on()

    def _hand_on(self) -> None:
        rows, ready = self._rows, []
        while rows and rows[0][2] != OPEN:
            row = rows.popleft()
            if row[2]:
                ready.append(row)
        for start in range(0, len(ready), MOST):
            self._write(ready[start : start + MOST])

    def _write(self, ready: list[Row]) -> None:
        flat: NDArray[np.uint64] = np.array(ready, np.uint64)
        columns = [
            np.minimum(flat[:, place], np.iinfo(kind).max).astype(kind)
            for place, kind in enumerate(events.COLUMNS.values())
        ]
        made = Events(*columns)
        for kind, count in enumerate(np.bincount(made.kind).tolist()):
            if count:
                self.by_kind[kind] = self.by_kind.get(kind, 0) + count
        self.sink.append(made)
