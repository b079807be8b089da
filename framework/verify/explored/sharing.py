"""Which words of memory are shared between threads.

The set is found while the threads' code runs. When a run shows that a word is shared after all, the search starts anew
with the larger set (`Reclassified`). Accesses to unshared words are no steps: this is the partial-order reduction.
"""

from __future__ import annotations

from collections import defaultdict

from foliolab.framework.verify.explored import steps as s
from foliolab.framework.verify.explored.history import ThreadClass
from foliolab.framework.verify.explored.world import World


class Reclassified(Exception):
    """A word that counted as one thread's own is shared. Tries and states so far are invalid."""


class Sharing:
    """Records which thread reads and writes which bits of which word.

    A word is shared if two threads write it, or if one thread reads bits that another thread writes, or if it is of the
    page tables of an MM that several threads use. A read of bits that no thread writes is no step, even in a shared
    word. The allocator's lists and the bitmap of MM IDs are not examined.

    Attributes:
        columns: the column of each shared word in a state.
        surveying: during the survey, which runs each thread alone, no access is a step.
        is_stale: whether the present run has shown that a word is shared after all. The run goes on, to find more such
            words, and then raises `Reclassified`.
    """

    def __init__(self, world: World) -> None:
        where = world.machine.map
        self._of_several = world.of_several
        self._elsewhere = range(where.zone >> 3, where.cpus[0] >> 3), range(where.ida >> 3, where.pgds[0] >> 3)
        threads = range(len(world.programs))
        self.columns: dict[int, int] = {}
        self._reads: list[dict[int, int]] = [defaultdict(int) for _ in threads]
        self._writes: list[dict[int, int]] = [defaultdict(int) for _ in threads]
        self.surveying = False
        self.is_stale = False
        self._unseen: dict[int, int] = defaultdict(int)
        """Bits of shared words that were read while no thread wrote them."""

    def column_of(self, interchangeable: ThreadClass, word: int, shift: int, bits: int, step: int) -> int:
        """The column of a word that a thread accesses, as do those that stand for it, each its own."""
        for thread in interchangeable.others:
            self.column(thread, interchangeable.translated(thread, word), shift, bits, step)
        return self.column(interchangeable.thread, word, shift, bits, step)

    def column(self, thread: int, word: int, shift: int, bits: int, step: int) -> int:
        """The column of the accessed word in a state; -1 if the access is no step.

        It becomes stale if the word is shared after all, or if an earlier read of it should have been a step.
        """
        if word in self._elsewhere[0] or word in self._elsewhere[1]:
            return -1
        mask = ((1 << bits) - 1) << shift
        read = 0 if step in s.WRITERS else mask
        written = 0 if step in s.READERS else mask
        self._reads[thread][word] |= read
        self._writes[thread][word] |= written
        if self.surveying:
            return -1
        if word not in self.columns:
            if self._is_shared(word):
                self.columns[word] = len(self.columns)
                self.is_stale = True
            return -1
        if self.is_stale:
            return -1
        if written & self._unseen[word]:
            self._unseen[word] = 0
            self.is_stale = True
        if not written and not self._written(word) & read:
            self._unseen[word] |= read
            return -1
        return self.columns[word]

    def check(self) -> None:
        """End a run.

        Raises:
            Reclassified: it is stale.
        """
        if self.is_stale:
            self.is_stale = False
            raise Reclassified

    def settle(self) -> None:
        """End the survey, and give each shared word a column."""
        self.surveying = False
        touched = {word for seen in (*self._reads, *self._writes) for word in seen}
        for word in sorted(touched):
            if self._is_shared(word):
                self.columns[word] = len(self.columns)

    def _written(self, word: int) -> int:
        found = 0
        for writes in self._writes:
            found |= writes.get(word, 0)
        return found

    def _is_shared(self, word: int) -> bool:
        if self._of_several(word):
            return True  # who maps the folio is read off these
        writers = [t for t, writes in enumerate(self._writes) if writes.get(word)]
        if len(writers) > 1:
            return True
        return any(
            self._writes[w][word] & reads.get(word, 0) for w in writers for t, reads in enumerate(self._reads) if t != w
        )
