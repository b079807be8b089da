"""Lanes side by side: each is a machine of its own, and native code runs without the interpreter's lock."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from typing import Final, Generic, TypeVar

T = TypeVar("T")
BEHIND: Final = 4
"""By how much such a thread is nicer than the program: whoever draws the window goes first."""


def step_behind() -> None:
    """Let this thread wait for those that answer a person, where the system knows priorities of threads (Linux)."""
    with suppress(OSError, AttributeError):
        own = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, own, os.getpriority(os.PRIO_PROCESS, own) + BEHIND)


class _Once(Generic[T]):
    """Hands out each item once, to whichever thread asks."""

    def __init__(self, items: Sequence[T]) -> None:
        self._items: Iterator[T] = iter(items)
        self._lock = threading.Lock()

    def work(self, function: Callable[[T], object]) -> None:
        """Call a function with items until there are none left."""
        while True:
            with self._lock:
                item = next(self._items, self)
            if isinstance(item, _Once):
                return
            function(item)


class Together(Generic[T]):
    """Threads that do the same with several things; the calling one is among them.

    Args:
        nr: things at most; there are never more threads than processors.
    """

    def __init__(self, nr: int) -> None:
        usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self._others = min(nr, usable) - 1
        self._pool: ThreadPoolExecutor | None = None

    def each(self, function: Callable[[T], object], items: Sequence[T]) -> None:
        """Call a function with each item; it comes back when all are done.

        Raises:
            Exception: what the function raised, the first of it.
        """
        if self._others < 1 or len(items) < 2:
            for item in items:
                function(item)
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._others, "explore-lane", initializer=step_behind)
        once = _Once(items)
        others = [self._pool.submit(once.work, function) for _ in range(min(self._others, len(items) - 1))]
        try:
            once.work(function)
        finally:
            wait(others)
        for other in others:
            other.result()

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None
