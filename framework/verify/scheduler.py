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
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from foliolab.framework.errors import UsageError
from foliolab.framework.machine.memory import Memory
from foliolab.framework.machine.primitives import EFFECTS
from foliolab.framework.machine.ref import Ref
from foliolab.framework.verify.counterexample import MemoryModel, Turn
from foliolab.framework.verify.write_log import WriteLog

PLAIN_STORES: Final = frozenset(
    {"store", "WRITE_ONCE", "atomic_set", "__set_bit", "__clear_bit", "__clear_bit_unlock", "smp_store_release",
     "init_fields"}
)  # fmt: skip
"""Primitives whose store may wait in the CPU's store buffer (x86-TSO)."""
REPLACING: Final = PLAIN_STORES - {"__set_bit", "__clear_bit", "__clear_bit_unlock"}
"""Primitives whose store makes nothing of what was there."""
RELEASES: Final = frozenset({"smp_store_release", "__clear_bit_unlock", "clear_bit_unlock"})
ACQUIRES: Final = frozenset({"smp_load_acquire", "test_and_set_bit_lock"})
TRIES: Final = frozenset({"cmpxchg", "test_and_set_bit_lock"})
"""Primitives that may fail, and then write nothing and order nothing (Armv8)."""
WITHOUT_RESULT: Final = frozenset({"atomic_add", "atomic_sub", "atomic_inc", "atomic_dec", "set_bit", "clear_bit"})
LATE: Final = PLAIN_STORES | WITHOUT_RESULT | RELEASES
"""Primitives that later ones may overtake (Armv8)."""
FULL: Final = frozenset(
    {function.__name__ for function, effect in EFFECTS.items() if effect == "atomic"} - LATE - ACQUIRES
)
"""Atomic operations with a result: full barriers, unless they fail."""


@dataclass
class _Waiting:
    """A store in a thread's buffer.

    Args:
        raw, index, size: the element of the memory that is stored to.
        value: that is stored, or added (see `op`).
        op: the primitive.
        bits: of a bit operation those that it changes.
    """

    raw: Any
    index: int
    size: int
    value: int
    op: str
    bits: int = 0

    @property
    def first(self) -> int:
        return self.index * self.size

    def touches(self, first: int, count: int) -> bool:
        return self.first < first + count and first < self.first + self.size

    def stores(self) -> int:
        """What memory holds afterwards."""
        now = int(self.raw[self.index])
        if self.op not in WITHOUT_RESULT | {"clear_bit_unlock"}:
            return self.value
        if self.op == "set_bit":
            return now | self.bits
        if self.op in ("clear_bit", "clear_bit_unlock"):
            return now & ~self.bits
        return now + self.value


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
        model: sc; or tso: a plain store takes effect for other threads at the thread's next locked operation, or by
            `flush`; or armv8: a turn may say that a load reads an older value, or that a store waits (see `Turn`).
        weak: armv8: the bytes for which that is possible.
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
        weak: range = range(0),
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
        self.weak = weak
        self._buffers: list[list[_Waiting]] = []
        self._log = WriteLog(0)
        self._special: list[Turn | None] = []
        """The turn of each thread's present access, if that is not done as usual."""
        self._drains: set[int] = set()
        """Threads whose next step waits until their buffer is empty."""
        self._begins: set[int] = set()
        """Threads whose next step is the first one of an operation."""
        self._main = threading.Semaphore(0)
        self._current = threading.local()
        self._op, self._old = "", 0
        self._pending: Access | None = None
        self._over = False

    # -- from outside ------------------------------------------------------------------------------------
    def start(self, functions: list[Callable[[], Any]]) -> None:
        self.memory.views = {code: _View(self, raw) for code, raw in self.memory.raw.items()}
        self.memory.observer = self
        self.memory.waiter = self.wait
        self._log = WriteLog(len(functions))
        for number, function in enumerate(functions):
            self.left.append(0)
            self._turns.append(threading.Semaphore(0))
            self._guards.append(None)
            self.locks.append(set())
            self._buffers.append([])
            self._special.append(None)
            thread = threading.Thread(target=self._run, args=(number, function), daemon=True)
            self._threads.append(thread)
            thread.start()
            self._main.acquire()

    def advance(self, thread: int, accesses: int = 1, special: Turn | None = None) -> bool:
        """Let a thread do a number of accesses and run up to its next one; return whether it has not ended.

        Args:
            special: the turn, if its access reads an older value or waits.
        """
        if thread not in self.done:
            self.waits.pop(thread, None)
            self.left[thread] = accesses
            self._special[thread] = special
            self._turns[thread].release()
            self._main.acquire()
        return thread not in self.done

    def flush(self, thread: int, slot: int = 1) -> bool:
        """Let a store in a thread's buffer take effect, usually the oldest; return whether there was one.

        Raises:
            UsageError: the store must not overtake an older one.
        """
        buffer = self._buffers[thread]
        if not 1 <= slot <= len(buffer):
            return False
        store, before = buffer[slot - 1], buffer[: slot - 1]
        if any(one.touches(store.first, store.size) for one in before) or (before and store.op in RELEASES):
            raise UsageError(
                f"schedule: store {slot} in the buffer of thread {thread} must not overtake an older one",
                "stores to one field stay in order, and a release is behind all stores before it",
            )
        del buffer[slot - 1]
        self._write(thread, store.op, store.raw, store.index, store.size, store.stores())
        return True

    def _write(self, thread: int, op: str, raw: Any, index: int, size: int, value: int) -> None:
        """Let a write take effect."""
        first = index * size
        if self.model == "armv8" and self.memory.guard is None:
            self._log.write_at_once(first, size)  # the engine's own write: it is in order
        elif self.model == "armv8" and first in self.weak:
            plain = op in REPLACING
            self._log.write(thread, first, self.memory.buffer[first : first + size].tobytes(), plain)
        raw[index] = value

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
            self._special[number] = None
            self._guards[number] = self.memory.guard
            self._main.release()
            self._turns[number].acquire()
            if self._over:
                raise Abandoned
            self.memory.guard = self._guards[number]
        self.left[number] -= 1
        if number in self._drains:
            self._drain()
            self._drains.discard(number)
        if number in self._begins:
            self._log.order_all(number)
            self._begins.discard(number)

    def begin(self) -> None:
        """An operation of this thread begins: it is behind all that other threads did before."""
        if self.model == "armv8":
            self._begins.add(self.current)
            self._drains.add(self.current)

    def barrier(self, name: str) -> None:
        """This thread has executed a barrier: its stores take effect before its next step, its loads are in order."""
        if self.model == "armv8" and name == "smp_rmb":
            self._log.order_loads(self.current)
        if name == "smp_mb" or (self.model == "armv8" and name == "smp_wmb"):
            self._drains.add(self.current)
        if self.model == "armv8" and name == "smp_mb":
            self._log.order_all(self.current)

    def wait(self, ref: Ref, bit: int) -> None:
        """End the turn of this thread, which has found a bit lock held."""
        self.waits[self._current.number] = f"bit {bit} of {ref!r}"
        self.left[self._current.number] = 0

    def access(self, op: str, ref: Ref, old: int, new: int) -> None:
        self._op, self._old = op, old
        if self.model == "armv8":
            self._order(op, old, new)
        self._note_locks(op, ref, old, new)
        self._pending = Access(self._current.number, op, ref, old, new, location())

    def _note_locks(self, op: str, ref: Ref, old: int, new: int) -> None:
        """Update the thread's locks: `test_and_set_bit_lock` takes a bit, and any write that clears it releases it."""
        held, first = self.locks[self._current.number], 8 * ref.off
        if op == "test_and_set_bit_lock":
            held |= {first + bit for bit in range(ref.ctype.bits) if (new & ~old) >> bit & 1}
        elif held and new != old:
            held -= {first + bit for bit in range(ref.ctype.bits) if not new >> bit & 1}

    def _order(self, op: str, old: int, new: int) -> None:
        """What an access orders (Armv8).

        Raises:
            UsageError: the turn lets it write on the ground of an older value than memory holds.
        """
        number = self.current
        special = self._special[number]
        if special is not None and special.older and op in FULL | ACQUIRES | LATE and old != new:
            raise UsageError(
                f"schedule: thread {number} cannot read an older value here",
                f"{op} changes what it reads in one step; only an attempt that fails may read an older value",
            )
        if op in FULL and self.memory.guard is not None:
            if op != "cmpxchg" or old != new:
                self._drain()
                self._log.order_all(number)
        elif op == "smp_load_acquire" or (op in ACQUIRES and old != new):
            self._log.acquire(number)

    def load(self, raw: Any, index: int, size: int) -> int:
        """The value that this thread sees: that of its own latest waiting store, or that in memory.

        Raises:
            UsageError: the turn asks for an older value than the thread may read.
        """
        number, first = self.current, index * size
        for store in reversed(self._buffers[number]):
            if (store.index, store.size) == (index, size) and store.op in PLAIN_STORES:
                return store.value
            if store.touches(first, size):
                if self.model == "tso":
                    self._drain()  # a load of another width waits until the store has left the buffer
                break
        found: int = raw[index]
        if self.model != "armv8" or first not in self.weak:
            return found
        special = self._special[number]
        now = self.memory.buffer[first : first + size].tobytes()
        read = self._log.load(number, first, now, special.older if special else 0)
        return int(memoryview(read).cast(raw.format)[0])

    def store(self, raw: Any, index: int, size: int, value: int) -> None:
        """A store of this thread. It enters the buffer, or empties the buffer if it must be behind what is there."""
        number, op, first = self.current, self._op, index * size
        if self.model == "armv8" and op in TRIES and value == self._old:
            return  # an attempt that fails writes nothing
        special = self._special[number]
        waits = special is not None and special.waits and first in self.weak and op in LATE
        if waits or (self.model == "tso" and op in PLAIN_STORES):
            given = value - self._old if op in WITHOUT_RESULT else value
            self._buffers[number].append(_Waiting(raw, index, size, given, op, value ^ self._old))
            return
        touched = any(one.touches(first, size) for one in self._buffers[number])
        if self.model != "armv8" or touched or op in RELEASES:
            self._drain()
        self._write(number, op, raw, index, size, value)

    def _drain(self) -> None:
        while self.flush(self._current.number):
            pass
