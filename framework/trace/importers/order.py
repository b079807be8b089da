"""Sorting of records that arrive a few seconds late."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import heappop, heappush
from typing import Final

from foliolab.framework.contract.trace_records import Record

WINDOW: Final = 5_000_000_000
"""How late a record may be, in ns: a tracer empties one CPU's buffer after the other."""
MOST: Final = 1_000_000
"""The largest number of records in memory."""


def in_order(records: Iterable[Record], window: int = WINDOW, most: int = MOST) -> Iterator[Record]:
    """Sort records by time. A record that is later than `window` or `most` records allow comes out of order."""
    heap: list[tuple[int, int, Record]] = []
    for number, record in enumerate(records):
        heappush(heap, (record.time, number, record))
        while len(heap) > most or heap[0][0] + window < record.time:
            yield heappop(heap)[2]
    while heap:
        yield heappop(heap)[2]
