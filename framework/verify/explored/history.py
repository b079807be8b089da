"""The state of a thread between two calls of the engine, and the results of its steps since."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from foliolab.framework.verify.explored.dependency import Field
from foliolab.framework.verify.explored.order import NOTHING, Unordered


@dataclass(frozen=True)
class Boundary:
    """The state of a thread between two calls of the engine.

    Args:
        call: index of the next call.
        overlay: the words of the thread's own memory that differ from the initial state: (word, value).
        mappings: for each of its MMs the number of PTEs and PMDs that map the folio.
        held: references that the thread holds for certain.
        taken: page frames taken from its reserve.
        freed: blocks that it has freed: (frame, order).
        unordered: what no barrier has ordered yet.
    """

    call: int
    overlay: frozenset[tuple[int, int]] = frozenset()
    mappings: tuple[int, ...] = ()
    held: int = 0
    taken: int = 0
    freed: tuple[tuple[int, int], ...] = ()
    unordered: Unordered = NOTHING


class Returned(NamedTuple):
    """A function that has returned. It replaces the results of the steps inside the function.

    Histories that differ only inside a returned function become equal, so their nodes are shared.

    Attributes:
        which: the number of functions entered since the previous element of the history.
        answer: the returned value.
        sources: the fields that it, or each part of it, was loaded from (see `dependency`).
        writes: the words of the thread's own memory that the function wrote: (word, value).
        mappings, taken, freed, unordered: as in Boundary, after the return.
        locks: the held locks after the return: (word, bit).
        reads: the values that a loop around the function would wait for.
        refused: those of them that a `cmpxchg` read instead of what it expected.
    """

    which: int
    answer: Any
    sources: tuple[frozenset[Field], ...]
    writes: tuple[tuple[int, int], ...]
    mappings: tuple[int, ...]
    taken: int
    freed: tuple[tuple[int, int], ...]
    locks: frozenset[tuple[int, int]]
    reads: tuple[tuple[int, int, int, int], ...]
    refused: tuple[tuple[int, int, int, int], ...]
    unordered: Unordered


History = list[int | Returned]


def is_plain(answer: Any) -> bool:
    """Whether a result consists of numbers only, so that it can be replayed."""
    if isinstance(answer, tuple):
        return all(map(is_plain, answer))
    return answer is None or isinstance(answer, int)


class LocalAccesses(NamedTuple):
    """The thread-local accesses between two steps, as far as a schedule counts them.

    Attributes:
        all: their number.
        early: the number up to the last one that makes a page-table entry map the folio. These are done as early as
            possible, the others as late as possible (see `trie`).
        drains: whether a locked operation is among them.
        stores: plain stores after the last locked operation; they wait in the store buffer (TSO).
    """

    all: int = 0
    early: int = 0
    drains: bool = False
    stores: int = 0


@dataclass
class ThreadClass:
    """A class of interchangeable threads: they run the same operations on different MMs and CPUs.

    Args:
        thread: the representative, whose code runs for all.
        others: the other threads, each with the word ranges of its memory: (start, end, start in the other thread).
        distinguishing: the fields of struct mm in which the threads' MMs differ. True: by more than addresses, so
            that not even the engine may read the field.
    """

    thread: int
    others: dict[int, list[tuple[int, int, int]]] = field(default_factory=dict)
    distinguishing: dict[str, bool] = field(default_factory=dict)

    def translated(self, thread: int, word: int) -> int:
        """The word of another thread of this class that corresponds to the representative's `word`."""
        for start, end, to in self.others.get(thread, ()):
            if start <= word < end:
                return word - start + to
        return word
