"""/proc/kpagecount of a folio's pages, asked again only where something that the answer depends on has changed.

A check after each operation asks about every page, and an operation changes few of them. What a policy answers depends
on memory alone, so the answer about a page stands as long as every word that it was read from holds the same value.
These words are compared, hence this is exact however memory was changed, also by `Engine.restore`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.engine.truth import Counts
from foliolab.framework.machine.memory import Memory, Observer
from foliolab.framework.machine.ref import Ref

__all__ = ["PageCounts"]

WORD = 4


class _Reads:
    """An observer that collects the words that are read; it tells the observer before it of each access.

    Attributes:
        words: their indexes in memory as an array of u32.
        writes: whether something was changed, so that the next call may answer otherwise.
    """

    def __init__(self, before: Observer | None) -> None:
        self.before = before
        self.words: set[int] = set()
        self.writes = False

    def access(self, op: str, ref: Ref, old: int, new: int) -> None:
        """See `machine.memory.Observer`."""
        first = ref.off // WORD
        self.words.update(range(first, (ref.off + ref.ctype.bytes - 1) // WORD + 1))
        self.writes |= old != new
        if self.before is not None:
            self.before.access(op, ref, old, new)


class _Answers:
    """The answers about a folio's pages, with what they were read from.

    Attributes:
        counts: shape (pages,).
        reads: the words that each page's answer was read from.
    """

    def __init__(self, pages: int) -> None:
        self.counts: Counts = np.zeros(pages, np.int64)
        self.reads: list[list[int]] = [[]] * pages
        self._page: Counts = np.zeros(0, np.int64)
        self._word: Counts = np.zeros(0, np.int64)
        self._seen: NDArray[np.uint32] = np.zeros(0, np.uint32)

    def stale(self, words: NDArray[np.uint32]) -> list[int]:
        """Pages, counted from the folio's first, whose answers may have changed."""
        if not self._word.size:
            return list(range(len(self.reads)))
        return sorted(set(self._page[words[self._word] != self._seen].tolist()))

    def remember(self, words: NDArray[np.uint32]) -> None:
        """Keep the present values of all words that answers were read from."""
        lengths = [len(read) for read in self.reads]
        self._page = np.repeat(np.arange(len(lengths)), lengths)
        self._word = np.array(list(itertools.chain.from_iterable(self.reads)), np.int64)
        self._seen = words[self._word]


class PageCounts:
    """What a policy answered about pages.

    Args:
        memory: the interpreted memory that the answers are read from.
    """

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self._words: NDArray[np.uint32] = memory.buffer[: memory.size - memory.size % WORD].view(np.uint32)
        self._answers: dict[range, _Answers] = {}

    def of(self, pages: range, ask: Callable[[int], int]) -> Counts:
        """The counts of the pages of one folio, shape (len(pages),).

        Args:
            ask: (pfn) -> the count, by the policy's text, interpreted. What it raises is raised here.
        """
        answers = self._answers.pop(pages, None) or _Answers(len(pages))
        stale = answers.stale(self._words)
        changed = False
        for at in stale:
            reads = _Reads(self.memory.observer)
            self.memory.observer = reads
            try:
                answers.counts[at] = ask(pages[at])
            finally:
                self.memory.observer = reads.before
            answers.reads[at] = sorted(reads.words)
            changed |= reads.writes
        if not changed:  # answers that change memory are asked for each time
            if stale:
                answers.remember(self._words)
            self._answers[pages] = answers
        return answers.counts.copy()
