"""Runs modelled threads one at a time, and switches between them at accesses to memory.

Each modelled thread is one thread of the operating system that runs the interpreted engine. Before an access it waits
until it is scheduled, so any interleaving of accesses can be repeated exactly.

Real threads are needed because a modelled thread must stop in the middle of an operation, with the Python frames of
engine and policy on its stack. Generators would require `yield` in every function of both. Control moves by
semaphores: one for each thread, and one for the caller, which waits while a thread runs. Exactly one of them runs at
any time, so the data of the scheduler needs no lock.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from foliolab.framework.machine.memory import Memory
from foliolab.framework.machine.ref import Ref
from foliolab.framework.verify.counterexample import MemoryModel

PLAIN_STORES: Final = frozenset(
    {"store", "WRITE_ONCE", "atomic_set", "__set_bit", "__clear_bit", "__clear_bit_unlock", "smp_store_release",
     "init_fields"}
)  # fmt: skip
"""Primitives whose store may wait in the CPU's store buffer (x86-TSO)."""


class Abandoned(BaseException):
    """The run was closed while this thread waited for its turn."""


class _View:
    """The memory as elements of one type. Every load first waits until its thread is scheduled."""

    def __init__(self, scheduler: Scheduler, raw: Any) -> None:
        self.scheduler = scheduler
        self.raw = raw
        self.size = raw.itemsize

    def __getitem__(self, index: int) -> int:
        self.scheduler.enter(index * self.size)
        return self.scheduler.load(self.raw, index, self.size)

    def __setitem__(self, index: int, value: int) -> None:
        self.scheduler.store(self.raw, index, self.size, value)


@dataclass(frozen=True)
class Access:
    """One access to memory that has taken effect.

    Args:
        thread: the thread that did the access.
        old, new: the values before and after, as the thread sees them.
        location: file and line of the source that did the access.
    """

    thread: int
    op: str
    ref: Ref
    old: int
    new: int
    location: str


_OBSERVERS: Final = (".machine.", ".verify.watchdog")


def location() -> str:
    """File and line of the innermost running function, primitives and observers apart."""
    frame = sys._getframe(2)
    while frame.f_back is not None and any(part in frame.f_globals.get("__name__", "") for part in _OBSERVERS):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


class Scheduler:
    """Runs functions as threads that take turns.

    Args:
        memory: the shared memory; this scheduler is its observer during the run.
        counts: whether an access at a byte offset is a step. Other accesses belong to the step before them (see
            `playback.counted`).
        model: sc, or tso: a plain store takes effect for other threads at the thread's next locked operation, or by
            `flush`.
        seen: called after each access.

    Attributes:
        left: accesses left in the turn of each thread.
        faults: the exception that ended a thread.
        done: the threads that have ended.
        waits: threads that wait for a lock, with its name. Their turn is over until the next `advance`.
        locks: for each thread the bits of the memory that it holds as locks.
    """

    def __init__(
        self,
        memory: Memory,
        counts: Callable[[int], bool],
        model: MemoryModel,
        seen: Callable[[Access], None] | None = None,
    ) -> None:
        self.memory = memory
        self.counts = counts
        self.model = model
        self.seen = seen
        self.left: list[int] = []
        self.faults: dict[int, BaseException] = {}
        self.done: set[int] = set()
        self.waits: dict[int, str] = {}
        self.locks: list[set[int]] = []
        self._threads: list[threading.Thread] = []
        self._turns: list[threading.Semaphore] = []
        self._guards: list[Any] = []
        self._buffers: list[deque[tuple[Any, int, int, int]]] = []
        self._main = threading.Semaphore(0)
        self._current = threading.local()
        self._op = ""
        self._pending: Access | None = None
        self._over = False

    # -- from outside ------------------------------------------------------------------------------------
    def start(self, functions: list[Callable[[], Any]]) -> None:
        self.memory.views = {code: _View(self, raw) for code, raw in self.memory.raw.items()}
        self.memory.observer = self
        self.memory.waiter = self.wait
        for number, function in enumerate(functions):
            self.left.append(0)
            self._turns.append(threading.Semaphore(0))
            self._guards.append(None)
            self.locks.append(set())
            self._buffers.append(deque())
            thread = threading.Thread(target=self._run, args=(number, function), daemon=True)
            self._threads.append(thread)
            thread.start()
            self._main.acquire()

    def advance(self, thread: int, accesses: int = 1) -> bool:
        """Let a thread do a number of accesses and run up to its next one; return whether it has not ended."""
        if thread not in self.done:
            self.waits.pop(thread, None)
            self.left[thread] = accesses
            self._turns[thread].release()
            self._main.acquire()
        return thread not in self.done

    def flush(self, thread: int) -> bool:
        """Let the oldest store in a thread's buffer take effect; return whether there was one."""
        if not self._buffers[thread]:
            return False
        raw, index, _, value = self._buffers[thread].popleft()
        raw[index] = value
        return True

    def close(self) -> None:
        """End all waiting threads, and restore the memory's views and observers."""
        self._over = True
        for number, thread in enumerate(self._threads):
            if number not in self.done:
                self._turns[number].release()
            thread.join()
        for number in range(len(self._threads)):
            while self.flush(number):
                pass
        self.memory.views = dict(self.memory.raw)
        self.memory.observer = None
        self.memory.waiter = None
        self.memory.guard = None

    @property
    def current(self) -> int:
        """The number of the thread that calls."""
        return int(self._current.number)

    # -- in the threads ----------------------------------------------------------------------------------
    def _run(self, number: int, function: Callable[[], Any]) -> None:
        self._current.number = number
        self.memory.guard = None
        try:
            function()
            self.settle()
        except Abandoned:
            pass
        except BaseException as fault:
            self.settle()
            self.faults[number] = fault
        self.done.add(number)
        self._main.release()

    def settle(self) -> None:
        """Report the access that has just taken effect. Called by the thread that did the access."""
        if self._pending is not None and self.seen is not None:
            pending, self._pending = self._pending, None
            self.seen(pending)

    def enter(self, offset: int) -> None:
        """Wait until this thread may do one access, if an access at that byte counts."""
        self.settle()
        if not self.counts(offset):
            return
        number: int = self._current.number
        if self.left[number] == 0:
            self._guards[number] = self.memory.guard
            self._main.release()
            self._turns[number].acquire()
            if self._over:
                raise Abandoned
            self.memory.guard = self._guards[number]
        self.left[number] -= 1

    def wait(self, ref: Ref, bit: int) -> None:
        """End the turn of this thread, which has found a bit lock held."""
        self.waits[self._current.number] = f"bit {bit} of {ref!r}"
        self.left[self._current.number] = 0

    def access(self, op: str, ref: Ref, old: int, new: int) -> None:
        self._op = op
        self._note_locks(op, ref, old, new)
        self._pending = Access(self._current.number, op, ref, old, new, location())

    def _note_locks(self, op: str, ref: Ref, old: int, new: int) -> None:
        """Update the thread's locks: `test_and_set_bit_lock` takes a bit, and any write that clears it releases it."""
        held, first = self.locks[self._current.number], 8 * ref.off
        if op == "test_and_set_bit_lock":
            held |= {first + bit for bit in range(ref.ctype.bits) if (new & ~old) >> bit & 1}
        elif held and new != old:
            held -= {first + bit for bit in range(ref.ctype.bits) if not new >> bit & 1}

    def load(self, raw: Any, index: int, size: int) -> int:
        """The value that this thread sees: that of its own latest waiting store, or that in memory."""
        if self.model == "tso":
            for _, at, width, value in reversed(self._buffers[self._current.number]):
                if (at, width) == (index, size):
                    return int(value)
                if at * width < (index + 1) * size and index * size < (at + 1) * width:
                    self._drain()  # a load of another width waits until the store has left the buffer
                    break
        found: int = raw[index]
        return found

    def store(self, raw: Any, index: int, size: int, value: int) -> None:
        """A store of this thread. A plain store enters the buffer (tso); any other drains the buffer first."""
        if self.model == "tso" and self._op in PLAIN_STORES:
            self._buffers[self._current.number].append((raw, index, size, value))
            return
        self._drain()
        raw[index] = value

    def _drain(self) -> None:
        while self.flush(self._current.number):
            pass
