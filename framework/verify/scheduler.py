"""A scheduler in front of a memory: threads run one at a time, and change hands at an access to memory.

Each modelled thread is one thread of the operating system, running the interpreted engine. It waits before an
access until it is its turn, so any interleaving of accesses can be repeated exactly.
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
"""Primitives whose store may wait in the store buffer of its CPU (x86-TSO)."""


class Abandoned(BaseException):
    """The run is over while this thread was waiting for its turn."""


class _View:
    """The memory as one type's elements: every load waits for the thread's turn first."""

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
        thread: whose.
        op: the primitive's name.
        ref: where.
        old, new: the values before and after, as that thread sees them.
        location: file and line of the text that did it.
    """

    thread: int
    op: str
    ref: Ref
    old: int
    new: int
    location: str


_LOOKS_ON: Final = (".machine.", ".verify.watchdog")


def location() -> str:
    """File and line of the innermost running function that is no primitive, and does not only look on."""
    frame = sys._getframe(2)
    while frame.f_back is not None and any(part in frame.f_globals.get("__name__", "") for part in _LOOKS_ON):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


class Scheduler:
    """Runs functions as threads that take turns.

    Args:
        memory: what they share; its observer is this scheduler while it runs.
        counts: whether an access at that byte is a step: others run on with the step before them (see
            `playback.counted`).
        model: sc, or tso: a plain store takes effect for others only at the thread's next locked operation, or
            when `flush` lets its oldest one go.
        seen: called after each access.
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
        """Threads that wait for a lock, and for which: their turn is over until they are advanced again."""
        self.locks: list[set[int]] = []
        """Bits of the memory that each thread holds as locks."""
        self._threads: list[threading.Thread] = []
        self._turns: list[threading.Semaphore] = []
        self._guards: list[Any] = []
        self._buffers: list[deque[tuple[Any, int, int, int]]] = []
        self._main = threading.Semaphore(0)
        self._self = threading.local()
        self._op = ""
        self._pending: Access | None = None
        self._over = False

    # -- from outside ------------------------------------------------------------------------------------
    def start(self, functions: list[Callable[[], Any]]) -> None:
        """Start a thread for each function; each runs up to its first access."""
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
        """Let a thread do so many accesses, and what it does up to its next one; whether it can go on after them."""
        if thread not in self.done:
            self.waits.pop(thread, None)
            self.left[thread] = accesses
            self._turns[thread].release()
            self._main.acquire()
        return thread not in self.done

    def flush(self, thread: int) -> bool:
        """Let the oldest store in a thread's buffer take effect; whether there was one."""
        if not self._buffers[thread]:
            return False
        raw, index, _, value = self._buffers[thread].popleft()
        raw[index] = value
        return True

    def close(self) -> None:
        """End all threads that still wait, and give the memory back as it was."""
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

    # -- in the threads ----------------------------------------------------------------------------------
    def _run(self, number: int, function: Callable[[], Any]) -> None:
        self._self.number = number
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
        """Tell of the access that has just taken effect; called by the thread that did it."""
        if self._pending is not None and self.seen is not None:
            pending, self._pending = self._pending, None
            self.seen(pending)

    def enter(self, offset: int) -> None:
        """Wait for this thread's turn to do one access, if one at that byte counts."""
        self.settle()
        if not self.counts(offset):
            return
        number: int = self._self.number
        if self.left[number] == 0:
            self._guards[number] = self.memory.guard
            self._main.release()
            self._turns[number].acquire()
            if self._over:
                raise Abandoned
            self.memory.guard = self._guards[number]
        self.left[number] -= 1

    def wait(self, ref: Ref, bit: int) -> None:
        """This thread finds a bit lock held: its turn is over."""
        self.waits[self._self.number] = f"bit {bit} of {ref!r}"
        self.left[self._self.number] = 0

    def access(self, op: str, ref: Ref, old: int, new: int) -> None:
        """One access of the thread whose turn it is (see `machine.memory.Observer`)."""
        self._op = op
        self._note_locks(op, ref, old, new)
        self._pending = Access(self._self.number, op, ref, old, new, location())

    def _note_locks(self, op: str, ref: Ref, old: int, new: int) -> None:
        """Which locks the thread holds now: a bit it set as one, until it writes there that the bit is clear."""
        mine, first = self.locks[self._self.number], 8 * ref.off
        if op == "test_and_set_bit_lock":
            mine |= {first + bit for bit in range(ref.ctype.bits) if (new & ~old) >> bit & 1}
        elif mine and new != old:
            mine -= {first + bit for bit in range(ref.ctype.bits) if not new >> bit & 1}

    def load(self, raw: Any, index: int, size: int) -> int:
        """What this thread sees at a place: its own latest store there, if that still waits."""
        if self.model == "tso":
            for _, at, width, value in reversed(self._buffers[self._self.number]):
                if (at, width) == (index, size):
                    return int(value)
                if at * width < (index + 1) * size and index * size < (at + 1) * width:
                    self._drain()  # another width of the same bytes: the CPU waits until the store is out
                    break
        found: int = raw[index]
        return found

    def store(self, raw: Any, index: int, size: int, value: int) -> None:
        """A store of this thread: into its buffer, or, if locked, to memory after all that waits there."""
        if self.model == "tso" and self._op in PLAIN_STORES:
            self._buffers[self._self.number].append((raw, index, size, value))
            return
        self._drain()
        raw[index] = value

    def _drain(self) -> None:
        while self.flush(self._self.number):
            pass
