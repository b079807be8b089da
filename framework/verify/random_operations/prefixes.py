"""Prefixes of sequences that reached something new: they are kept and continued."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from random import Random
from typing import Final

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.engine.operation import Operation
from foliolab.framework.verify.laws import WatchMemory
from foliolab.framework.verify.random_operations.fieldstates import Landmark

MOST: Final = 4096
"""The prefixes that are kept for one scene, at most; then those that were continued most often go."""
CANDIDATES: Final = 3
"""Of so many prefixes, the one that was continued least often is continued."""
AT_FRONT: Final = 0.5
"""How often one of the front is continued: what was reached last leads furthest."""
FRONT: Final = 8
"""The number of prefixes in the front."""


@dataclass(eq=False)
class Prefix:
    """The beginning of a sequence, and the state of the machine behind it.

    Args:
        operations: those of the prefix.
        state: of the machine.
        watch: what the laws' watch knows.
        pins, users: the references that are held.
        landmarks: what its last operation reached first.
        continued: how often it was continued.
    """

    operations: tuple[Operation, ...]
    state: State
    watch: WatchMemory
    pins: tuple[int, ...]
    users: tuple[int, ...]
    landmarks: frozenset[Landmark]
    continued: int = 0


@dataclass(frozen=True)
class State:
    """A machine's memory, by its difference from a fresh machine's.

    Args:
        words: indexes of the words of 8 bytes that differ.
        values: of these words.
    """

    words: NDArray[np.int64]
    values: NDArray[np.uint64]

    @classmethod
    def of(cls, now: NDArray[np.uint8], fresh: NDArray[np.uint8]) -> State:
        words = np.flatnonzero(now.view(np.uint64) != fresh.view(np.uint64))
        return cls(words, now.view(np.uint64)[words])

    def put(self, memory: NDArray[np.uint8], fresh: NDArray[np.uint8]) -> None:
        """Bring a machine's memory into this state."""
        np.copyto(memory, fresh)
        memory.view(np.uint64)[self.words] = self.values


class Prefixes:
    """The prefixes of one scene.

    Args:
        first: the empty one.

    Attributes:
        kept: all prefixes that reached something new.
        front: the last ones that reached a landmark: a branch or a value, not only a pair of values.
    """

    def __init__(self, first: Prefix) -> None:
        self.first = first
        self.kept: list[Prefix] = []
        self.front: deque[Prefix] = deque(maxlen=FRONT)

    def add(self, prefix: Prefix) -> None:
        self.kept.append(prefix)
        if prefix.landmarks:
            self.front.append(prefix)
        if len(self.kept) > MOST:
            self.kept.sort(key=lambda one: one.continued)
            del self.kept[MOST // 2 :]

    def chosen(self, random: Random) -> Prefix:
        """One of the front, or one of some random ones: that which was continued least often."""
        at_front = self.front and random.random() < AT_FRONT
        candidates = self.front if at_front else random.choices(self.kept, k=CANDIDATES)
        found = min(reversed(candidates), key=lambda one: one.continued)
        found.continued += 1
        return found

    def replace(self, longer: Prefix, shorter: Prefix) -> Prefix:
        """Keep a shorter prefix with the same landmarks in place of a longer one; return it."""
        shorter.continued = longer.continued
        for known in (self.kept, self.front):
            if longer in known:
                known[known.index(longer)] = shorter
        return shorter
