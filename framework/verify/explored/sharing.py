"""Which words of memory several threads touch: found out while their text runs, and believed only once it has."""

from __future__ import annotations

from collections import defaultdict

from foliolab.framework.verify.explored import steps as s
from foliolab.framework.verify.explored.world import World


class Reclassified(Exception):
    """A word that was taken for one thread's own is not: what was built so far is void."""


class Sharing:
    """Who reads and writes which bits of which word.

    A word is shared if two threads write it, or one reads bits that another writes. A read of bits that nobody
    writes is no step, even in a shared word. The allocator's lists and the bitmap of MM IDs are nobody's concern here.

    Args:
        world: the threads.
    """

    def __init__(self, world: World) -> None:
        where = world.machine.map
        self._elsewhere = range(where.zone >> 3, where.cpus[0] >> 3), range(where.ida >> 3, where.pgds[0] >> 3)
        threads = range(len(world.programs))
        self.columns: dict[int, int] = {}
        """The place of each shared word in a state."""
        self._reads: list[dict[int, int]] = [defaultdict(int) for _ in threads]
        self._writes: list[dict[int, int]] = [defaultdict(int) for _ in threads]
        self.surveying = False
        """While it is found out what each thread touches, nothing is a step."""
        self._unseen: dict[int, int] = defaultdict(int)
        """Bits of shared words that were read as if nobody wrote them."""

    def column(self, thread: int, word: int, shift: int, bits: int, step: int) -> int:
        """Where an access finds its word in a state; -1 if it is no step.

        Raises:
            Reclassified: the word, or what it was read for, is shared after all.
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
                raise Reclassified
            return -1
        if written & self._unseen[word]:
            self._unseen[word] = 0
            raise Reclassified
        if not written and not self._written(word) & read:
            self._unseen[word] |= read
            return -1
        return self.columns[word]

    def settle(self) -> None:
        """End the survey: what threads were seen to share is shared."""
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
        writers = [t for t, writes in enumerate(self._writes) if writes.get(word)]
        if len(writers) > 1:
            return True
        return any(
            self._writes[w][word] & reads.get(word, 0) for w in writers for t, reads in enumerate(self._reads) if t != w
        )
