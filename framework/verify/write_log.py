"""Which writes of other threads a thread is behind, under Armv8's memory model.

The interpreted engine does one access after the other. A load that another processor would have done earlier reads
what was there before the latest writes. This says whether it may: not if a barrier, an acquire, or what the thread has
read or written of the same field has put it behind them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from foliolab.framework.errors import UsageError


@dataclass
class _Write:
    """A write that has taken effect.

    Args:
        first: the first byte.
        old: the bytes before it.
        unseen: the threads that may still read them.
        passed: those of them that have loaded what was written later.
        replaced: the threads that have replaced what was written by a store of their own.
    """

    first: int
    old: bytes
    unseen: set[int]
    passed: set[int] = field(default_factory=set)
    replaced: set[int] = field(default_factory=set)

    def touches(self, first: int, count: int) -> bool:
        return self.first < first + count and first < self.first + len(self.old)

    def seen_by(self, thread: int) -> None:
        self.unseen.discard(thread)
        self.passed.discard(thread)


class WriteLog:
    """The latest writes, the oldest first.

    Args:
        threads: their number.
    """

    def __init__(self, threads: int) -> None:
        self.threads = range(threads)
        self._writes: list[_Write] = []
        self._loaded: dict[int, int] = {}
        """For each thread the number of writes up to the one that its last load has read from."""

    def write(self, thread: int, first: int, old: bytes, plain: bool) -> None:
        """A thread replaces these bytes. `plain`: by a store, which makes nothing of what was there."""
        for one in self._writes:
            if one.touches(first, len(old)):
                one.seen_by(thread)
            if plain and first <= one.first and one.first + len(one.old) <= first + len(old):
                one.replaced.add(thread)
        self._writes.append(_Write(first, old, {other for other in self.threads if other != thread}))

    def write_at_once(self, first: int, count: int) -> None:
        """Bytes are replaced by a write that all threads see at once."""
        for one in self._writes:
            if one.touches(first, count):
                one.unseen.clear()
                one.passed.clear()

    def load(self, thread: int, first: int, now: bytes, older: int) -> bytes:
        """What a load of a thread reads.

        Args:
            first: the first byte.
            now: the bytes in memory.
            older: how many writes to them the load ignores.

        Raises:
            UsageError: the thread is behind one of these writes.
        """
        bytes_read, end = bytearray(now), len(self._writes)
        for number in range(len(self._writes) - 1, -1, -1):
            one = self._writes[number]
            if not older:
                break
            if one.touches(first, len(now)):
                if thread not in one.unseen:
                    break
                _put_back(bytes_read, first, one)
                end, older = number, older - 1
        if older:
            raise UsageError(
                f"schedule: thread {thread} cannot read a value that old here",
                "a barrier, an acquire, or an earlier access of the thread orders its load behind the write",
            )
        found = [n for n in range(end) if self._writes[n].touches(first, len(now))]
        made = max((n for n in found if thread not in self._writes[n].replaced), default=-1) + 1
        self._loaded[thread] = made
        for one in self._writes[:made]:
            if one.touches(first, len(now)):
                one.seen_by(thread)
            elif thread in one.unseen:
                one.passed.add(thread)
        return bytes(bytes_read)

    def acquire(self, thread: int) -> None:
        """The last load of the thread was an acquire: what follows is behind what it read."""
        for one in self._writes[: self._loaded.get(thread, 0)]:
            one.seen_by(thread)

    def order_loads(self, thread: int) -> None:
        """smp_rmb: what follows is behind what the thread has read."""
        for one in self._writes:
            if thread in one.passed:
                one.seen_by(thread)

    def order_all(self, thread: int) -> None:
        """A full barrier: what follows is behind all writes."""
        for one in self._writes:
            one.seen_by(thread)


def _put_back(read: bytearray, first: int, write: _Write) -> None:
    """Put the old bytes of a write into those that a load has read, where they are the same."""
    for at, byte in enumerate(write.old, write.first - first):
        if 0 <= at < len(read):
            read[at] = byte
