"""Brings records into the order of time that came a little late."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import heappop, heappush
from typing import Final

from foliolab.framework.contract.trace_records import Record

WINDOW: Final = 5_000_000_000
"""ns by which a record may be late: a tracer empties one CPU's buffer after the other."""
MOST: Final = 1_000_000
"""Records held at most."""


def in_order(records: Iterable[Record], window: int = WINDOW, most: int = MOST) -> Iterator[Record]:
    """The records sorted by time, as far as none is later than `window`, with at most `most` held."""
    heap: list[tuple[int, int, Record]] = []
    for number, record in enumerate(records):
        heappush(heap, (record.time, number, record))
        while len(heap) > most or heap[0][0] + window < record.time:
            yield heappop(heap)[2]
    while heap:
        yield heappop(heap)[2]
