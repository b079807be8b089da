"""What no barrier has ordered yet of a thread's accesses, and what it may read back of its own stores."""

from __future__ import annotations

from typing import Final, NamedTuple

from foliolab.framework.verify.counterexample import MemoryModel
from foliolab.framework.verify.explored import nodes as n
from foliolab.framework.verify.explored import steps as s
from foliolab.framework.verify.explored.dependency import Field

ATOMIC: Final[Field] = (-1, 0)
"""Stands for an atomic operation of the thread among what a store depends on."""
_ACQUIRE: Final = 1 << n.ACQUIRE_AT


class Unordered(NamedTuple):
    """What no barrier has ordered yet.

    Attributes:
        kinds: see `steps.PENDING`.
        written: for each field that the thread has stored to, by its offset, the fields whose loads the stored value
            depends on. A load that reads it back is behind them (Armv8).
    """

    kinds: int = 0
    written: frozenset[tuple[int, frozenset[Field]]] = frozenset()


NOTHING: Final = Unordered()


class Order:
    """What no barrier has ordered yet in one run of a thread.

    Args:
        model: the memory model.
        before: at the begin of the run.
    """

    def __init__(self, model: MemoryModel, before: Unordered) -> None:
        self.model = model
        self.restore(before)

    def restore(self, before: Unordered) -> None:
        """Go back, or on, to what was unordered."""
        self.kinds, self._written = before.kinds, dict(before.written)

    @property
    def now(self) -> Unordered:
        """What is unordered now."""
        return Unordered(self.kinds, frozenset(self._written.items()))

    def end_operation(self) -> None:
        """The next operation begins with a barrier, which waits for the stores of this one."""
        self.kinds &= s.PENDING
        self._written = {}

    def barrier(self, kind: int) -> bool:
        """Pass a barrier; whether it orders anything. `kind`: see `steps.DRAINS`."""
        if self.model == "tso" and not kind & s.ORDERS_ALL:
            return False  # x86 keeps the order of loads and that of stores
        orders = self.kinds & kind != 0
        left = s.PENDING if kind & s.ORDERS_ALL else ~kind
        self.kinds &= left & ~s.PENDING if kind & s.DRAINS else left
        if kind & s.DRAINS and kind & s.ORDERS_ALL:
            self._written = {}
        return orders

    def access(self, step: int, reach: int, acquires: bool, fails: bool) -> None:
        """Do a step that others can see.

        Args:
            reach: see `nodes.REACH`.
            fails: whether it is a compare-and-exchange that finds another value.
        """
        if self.model == "tso" and step not in s.READERS:
            self.kinds = s.PENDING if step in s.PLAIN_STORES else 0
        elif self.model == "armv8" and (not reach or is_full(step, acquires)) and not (reach and fails):
            self.barrier(s.DRAINS | s.ORDERS_ALL)
        elif self.model == "armv8":
            self.kinds |= s.TOUCHED | (s.PENDING if step in s.LATE else s.LOADED)

    # -- the thread's own stores (Armv8) -----------------------------------------------------------------
    def store(self, offset: int, step: int, sources: frozenset[Field]) -> None:
        """Store to a field a value that depends on fields."""
        if self.model != "armv8":
            return
        before = self._written.pop(offset, frozenset()) if step != s.STORE else frozenset()
        if found := before | sources | (frozenset() if step == s.STORE else {ATOMIC}):
            self._written[offset] = found

    def read_back(self, offset: int) -> frozenset[Field]:
        """The fields that a load of a field may depend on, because it may read what the thread has stored."""
        return self._written.get(offset, frozenset()) - {ATOMIC}

    def follows_atomic(self, offset: int) -> bool:
        """Whether a load may read what an atomic operation of the thread without a barrier has left."""
        return ATOMIC in self._written.get(offset, ())


def is_full(step: int, acquires: bool) -> bool:
    """Whether a step that does not fail is a full barrier: an atomic operation with a result that takes no lock."""
    return s.ADD < step < s.RELAX and step not in (s.LOCK, s.WAIT_CLEAR) and not acquires
