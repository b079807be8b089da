"""The bit locks that a thread holds, during a run of the thread."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from foliolab.framework.verify.explored import steps as s

Lock = tuple[int, int]
"""The word and the bit of a lock."""


class Locks:
    """The locks of one run.

    Attributes:
        held: those that the thread holds.
        holding: one that it holds when it does the present step, if any.
    """

    def __init__(self) -> None:
        self.held: set[Lock] = set()
        self.holding: Lock | None = None

    def restore(self, held: Iterable[Lock]) -> None:
        """Go on with other locks."""
        self.held = set(held)

    def look(self) -> None:
        """Note what is held before a step."""
        self.holding = min(self.held, default=None)

    def packed(self, columns: Mapping[int, int]) -> int:
        """The lock that is held during the present step, as in `nodes.HOLDS`. `columns`: of the shared words."""
        if self.holding is None or self.holding[0] not in columns:
            return 0
        return 1 + columns[self.holding[0]] + (self.holding[1] << 16)

    def take(self, word: int, bit: int) -> None:
        """The thread has taken a lock."""
        self.held.add((word, bit))

    def access(self, word: int, shift: int, bits: int, step: int, operand: int) -> None:
        """A step accesses these bits of a word: it may release locks."""
        self.look()
        if self.held and step in (s.STORE, s.AND_STORE, s.LOCKED_STORE, s.XCHG):
            self.held -= {
                (at, bit)
                for at, bit in self.held
                if at == word and shift <= bit < shift + bits and not (operand >> (bit - shift) & 1)
            }
