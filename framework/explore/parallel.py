"""Lanes side by side: each is a machine of its own, and native code runs without the interpreter's lock."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from heapq import heappop, heappush
from typing import Final, Generic, TypeVar

T = TypeVar("T")
BEHIND: Final = 4
"""By how much such a thread is nicer than the program: whoever draws the window goes first."""


def step_behind() -> None:
    """Let this thread wait for those that answer a person, where the system knows priorities of threads (Linux)."""
    with suppress(OSError, AttributeError):
        own = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, own, os.getpriority(os.PRIO_PROCESS, own) + BEHIND)


class _Rounds(Generic[T]):
    """Hands out each item once a round, to whichever thread asks: never the same item to two at a time."""

    def __init__(self, items: Sequence[T], nr: int) -> None:
        self._items = items
        self._nr = nr
        self._waiting = [(0, at) for at in range(len(items))]  # ascending, hence a heap
        self._lock = threading.Lock()

    def work(self, function: Callable[[T, int], object]) -> None:
        """Call a function with items and rounds until none waits: what is farthest behind goes first."""
        while True:
            with self._lock:
                if not self._waiting:
                    return  # whoever has an item does the rest of its rounds
                number, at = heappop(self._waiting)
            function(self._items[at], number)
            if number + 1 < self._nr:
                with self._lock:
                    heappush(self._waiting, (number + 1, at))


class Together(Generic[T]):
    """Threads that do the same with several things; the calling one is among them.

    Args:
        nr: things at most; there are never more threads than processors.

    Attributes:
        threads: among which they are divided.
    """

    def __init__(self, nr: int) -> None:
        usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self.threads = min(nr, usable)
        self._pool: ThreadPoolExecutor | None = None

    def each(self, function: Callable[[T], object], items: Sequence[T]) -> None:
        """Call a function with each item; it comes back when all are done.

        Raises:
            Exception: what the function raised, the first of it.
        """
        self.rounds(lambda item, number: function(item), items, 1)

    def rounds(self, function: Callable[[T, int], object], items: Sequence[T], nr: int) -> None:
        """Call a function with each item and the numbers 0…nr-1, in this order for each item.

        Raises:
            Exception: what the function raised, the first of it.
        """
        work = _Rounds(items, nr)
        others: list[Future[None]] = []
        if self.threads > 1 and len(items) > 1:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self.threads - 1, "explore-lane", initializer=step_behind)
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
