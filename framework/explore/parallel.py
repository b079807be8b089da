"""Run the same function on several lanes in parallel threads.

Each lane is a machine of its own, and native code runs without the interpreter's lock (GIL).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from heapq import heappop, heappush
from typing import Final, Generic, TypeVar

T = TypeVar("T")
NICE: Final = 4
"""Added to the nice value of worker threads, so that the thread that draws the window is scheduled first."""


def lower_priority() -> None:
    """Raise the nice value of the calling thread, on systems that have one for each thread (Linux)."""
    with suppress(OSError, AttributeError):
        own = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, own, os.getpriority(os.PRIO_PROCESS, own) + NICE)


class _Rounds(Generic[T]):
    """Hands out each item once a round to the threads; no two threads have the same item at a time."""

    def __init__(self, items: Sequence[T], nr: int) -> None:
        self._items = items
        self._nr = nr
        self._waiting = [(0, index) for index in range(len(items))]  # ascending, hence a heap
        self._lock = threading.Lock()

    def work(self, function: Callable[[T, int], object]) -> None:
        """Call a function with items and rounds until no item waits; the item that lags behind most goes first."""
        while True:
            with self._lock:
                if not self._waiting:
                    return  # the thread that holds an item does the rest of the item's rounds
                number, index = heappop(self._waiting)
            function(self._items[index], number)
            if number + 1 < self._nr:
                with self._lock:
                    heappush(self._waiting, (number + 1, index))


class Parallel:
    """A pool of threads that call a function with several items; the calling thread takes part.

    Args:
        nr: the most items; there are never more threads than processors.

    Attributes:
        threads: number of threads, the calling one included.
    """

    def __init__(self, nr: int) -> None:
        usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self.threads = min(nr, usable)
        self._pool: ThreadPoolExecutor | None = None

    def each(self, function: Callable[[T], object], items: Sequence[T]) -> None:
        """Call a function with each item; return when all calls have returned.

        Raises:
            Exception: the first exception that the function raised.
        """
        self.rounds(lambda item, number: function(item), items, 1)

    def rounds(self, function: Callable[[T, int], object], items: Sequence[T], nr: int) -> None:
        """Call a function with each item and each of the numbers 0…nr-1, ascending for each item.

        Raises:
            Exception: the first exception that the function raised.
        """
        work = _Rounds(items, nr)
        others: list[Future[None]] = []
        if self.threads > 1 and len(items) > 1:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self.threads - 1, "explore-lane", initializer=lower_priority)
            others = [self._pool.submit(work.work, function) for _ in range(min(self.threads, len(items)) - 1)]
        try:
            work.work(function)
        finally:
            wait(others)
        for other in others:
            other.result()

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None
