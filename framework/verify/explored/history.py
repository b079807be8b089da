"""What is remembered of a thread's way: where it is between two calls, and what its steps answered since."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple


@dataclass(frozen=True)
class Boundary:
    """A thread between two calls.

    Args:
        call: the next one.
        overlay: what the thread's own memory holds, where it differs from the start: (word, value).
        mappings: PTEs and PMDs of the folio, of each of its MMs.
        held: references that it holds for certain.
        taken: frames taken from its reserve.
        freed: what it has freed: (frame, order).
        stored: whether a store of it may still wait in its store buffer.
    """

    call: int
    overlay: frozenset[tuple[int, int]] = frozenset()
    mappings: tuple[int, ...] = ()
    held: int = 0
    taken: int = 0
    freed: tuple[tuple[int, int], ...] = ()
    stored: bool = False


class Ended(NamedTuple):
    """A function that has returned, in place of the steps inside of it: nobody needs to know more about them.

    Attributes:
        which: how many functions were entered since the element before this one.
        answer: what it returned.
        writes: what the thread's own memory holds where the function wrote: (word, value).
        mappings: as in Boundary, after it; so are `taken` and `freed`.
        locks: those that are held after it: (word, bit).
        reads: what a loop around it would wait for.
        stored: as in Boundary.
    """

    which: int
    answer: Any
    writes: tuple[tuple[int, int], ...]
    mappings: tuple[int, ...]
    taken: int
    freed: tuple[tuple[int, int], ...]
    locks: frozenset[tuple[int, int]]
    reads: tuple[tuple[int, int, int, int], ...]
    stored: bool


History = list[int | Ended]


class Lead(NamedTuple):
    """What a thread does between two steps that others can see, in accesses that a schedule counts.

    Attributes:
        all: how many.
        early: how many of them up to the last that makes a page-table entry map the folio; the rest come late.
        drains: whether a locked operation was among them.
        stores: plain stores to its own memory since then, which wait in the store buffer with the others (TSO).
    """

    all: int = 0
    early: int = 0
    drains: bool = False
    stores: int = 0


@dataclass
class Sort:
    """Threads that do the same, on MMs and CPUs of their own; a single one otherwise.

    Args:
        thread: the one whose text runs for all.
        others: the rest, each with the offsets (in words) of its memory: (start, end, start of the other's).
        telling: the fields of struct mm that tell their MMs apart; True where even the engine may not ask for them.
    """

    thread: int
    others: dict[int, list[tuple[int, int, int]]] = field(default_factory=dict)
    telling: dict[str, bool] = field(default_factory=dict)

    def place(self, thread: int, word: int) -> int:
        """Where a thread of this sort has a word that the text's thread has at `word`."""
        for start, end, to in self.others.get(thread, ()):
            if start <= word < end:
                return word - start + to
        return word
