"""The memory that only one thread uses, during a run of the thread."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from foliolab.framework.errors import LostLock
from foliolab.framework.machine.primitives import u64
from foliolab.framework.machine.ref import Ref
from foliolab.framework.verify.explored import steps as s


class PrivateMemory:
    """The words of one interpreted machine. A run changes them in place, and puts back what was there at its end.

    Args:
        raw: the machine's 64-bit words.
        overlay: the words that differ at the begin of the run: (word, value).
    """

    def __init__(self, raw: Any, overlay: Iterable[tuple[int, int]]) -> None:
        self.raw = raw
        self._before: dict[int, int] = {}
        self._written: list[int] = []
        self.write(overlay)
        self._written.clear()

    def write(self, words: Iterable[tuple[int, int]]) -> None:
        """Write whole words: (word, value)."""
        for word, value in words:
            self._before.setdefault(word, self.raw[word])
            self._written.append(word)
            self.raw[word] = value

    @property
    def mark(self) -> int:
        """A moment, for `written_since`."""
        return len(self._written)

    def written_since(self, mark: int) -> tuple[tuple[int, int], ...]:
        """The words that have been written since a moment, with their values."""
        return tuple((word, self.raw[word]) for word in sorted(set(self._written[mark:])))

    def overlay(self, base: Any) -> frozenset[tuple[int, int]]:
        """The words that differ from those in `base`."""
        return frozenset((word, self.raw[word]) for word in self._before if self.raw[word] != base[word])

    def close(self) -> None:
        """Put back what was there before the run."""
        for word, value in self._before.items():
            self.raw[word] = value

    def read(self, word: int, shift: int, bits: int, signed: bool) -> int:
        """A field's value."""
        return s.fit(self.raw[word] >> shift, bits, signed)

    def do(self, ref: Ref, step: int, place: tuple[int, int, bool], operand: int, other: int) -> tuple[int, int]:
        """Do an access; the value before it and after it.

        Args:
            place: the first bit in the word, the number of bits, whether there is a sign.

        Raises:
            LostLock: it waits for a lock that no other thread can release.
        """
        shift, bits, signed = place
        word = int(ref.off) >> 3
        old = self.read(word, shift, bits, signed)
        if step in (s.LOCK, s.WAIT_CLEAR) and old:
            raise LostLock(f"bit {shift} of {ref!r} is held, and no other thread can release it")
        new = s.changed(step, old, operand, other)
        new = ref._fit(new) if step in s.ADDS and bits == ref.ctype.bits else u64(s.fit(new, bits, signed))
        if new != old:
            mask = ((1 << bits) - 1) << shift
            self.write([(word, u64((self.raw[word] & ~mask) | (new << shift & mask)))])
        return old, new
