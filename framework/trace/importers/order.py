"""Sorting of records that arrive a few seconds late."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import Final

from foliolab.framework.contract.trace_records import Record

WINDOW: Final = 5_000_000_000
"""How late a record may be, in ns: a tracer empties one CPU's buffer after the other."""
MOST: Final = 400_000
"""The largest number of records in memory, where each takes some 170 bytes."""
STEP: Final = 4096
"""Records that are taken before the next are sorted, at least."""
_time: Final = attrgetter("time")


def in_order(records: Iterable[Record], window: int = WINDOW, most: int = MOST) -> Iterator[Record]:
    """Sort records by time. A record that is later than `window` or `most` records allow comes out of order."""
    held: list[Record] = []
    full = min(STEP, most)
    for record in records:
        held.append(record)
        if len(held) >= full:
            held.sort(key=_time)
            ready = max(bisect_left(held, record.time - window, key=_time), len(held) - most * 7 // 8)
            yield from held[:ready]
            del held[:ready]
            full = min(len(held) + max(len(held) // 8, STEP), most)
    held.sort(key=_time)
    yield from held
