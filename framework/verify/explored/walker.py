"""Runs random schedules (PCT) over a world whose state space is too large for an exhaustive search."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import numpy as np

from foliolab.framework.verify.explored import breadth_first as f
from foliolab.framework.verify.explored.exploration import PATIENCE, Explorer, KeepGoing
from foliolab.framework.verify.explored.native import native
from foliolab.framework.verify.explored.nodes import WHAT
from foliolab.framework.verify.explored.options import Options
from foliolab.framework.verify.explored.stepping import NODE_MASK
from foliolab.framework.verify.explored.steps import DONE
from foliolab.framework.verify.explored.weak_memory import turns
from foliolab.framework.verify.explored.world import World

LONGEST: Final = 50_000
"""Steps in one schedule, at most."""
ORDERINGS: Final = (1, 2, 3)
"""Numbers of priority changes; successive schedules use them in turn (bug depths 2 to 4)."""
_MIX: Final = 0x9E3779B97F4A7C15


class Walker(Explorer):
    """Runs one random schedule after the other. `found.states` counts schedules.

    Args:
        options: of the search; `memory` does not apply.
        seed: of all schedules.
        most: the number of schedules.
        before: see Explorer.
    """

    def __init__(self, world: World, options: Options, seed: int, most: int, before: Explorer | None = None) -> None:
        super().__init__(world, replace(options, memory=0, reduction=False), before)
        self.seed = seed
        self.most = most
        self.symmetric = self.late = False

    def _search(self, keep_going: KeepGoing) -> None:
        threads = len(self.same)
        start = self.state[0].copy()
        self.state = np.zeros((2, start.size), np.int64)
        self.walked = np.zeros((LONGEST, 2), np.int64)
        self.priority = np.zeros(turns(start.size, len(self.words), threads, self.depth), np.int64)
        self.length = 50
        self.due = time.monotonic() + PATIENCE
        self.keep_going = keep_going
        for seed, changes in self._schedules():
            steps = self._walk(start, seed, changes)
            self.found.states += 1
            self.found.transitions += steps
            self.found.depth = max(self.found.depth, steps)
            self.length = max(self.length, steps)
            self._look(steps)
            self.found.trie_nodes, self.found.shared = self.nodes.count, len(self.words)
            if self.found.broken:
                return
            if self._is_late():
                return

    def _is_late(self) -> bool:
        """Report progress when it is due; return whether the search must end."""
        if time.monotonic() > self.due:
            if not self.keep_going(self.found):
                self.found.stopped = "time"
            self.due = time.monotonic() + PATIENCE
        return bool(self.found.stopped)

    def _schedules(self) -> Iterator[tuple[int, int]]:
        """The seed of each schedule, and its number of priority changes (see `pct.walk`)."""
        for number in range(self.found.states, self.most):
            seed = (self.seed * _MIX + (number + 1) * 0xD1B54A32D192ED03) & ((1 << 62) - 1) | 1
            yield seed, ORDERINGS[number % len(ORDERINGS)]

    def _walk(self, start: np.ndarray[tuple[int], np.dtype[np.int64]], seed: int, changes: int) -> int:
        """Run one schedule; return its number of steps."""
        given = self.priority.copy()
        why = f.NEEDS_LINK
        while why == f.NEEDS_LINK and not self._is_late():
            nodes = self.nodes
            self.state[0], self.priority[:] = start, given
            self.ctl[f.BROKEN] = 0
            why = native("walk")(
                self.state, nodes.table, nodes.links, nodes.waits, self.broken, self.walked, self.same, self.ctl,
                self.out, self.priority, *self.masks, len(self.words), self.depth, seed, changes, self.length,
            )  # fmt: skip
            if why == f.NEEDS_LINK:
                live = self.state[1, : len(self.words)].tolist()
                node = int(self.ctl[f.WANTED_NODE])
                trie = next(trie for trie in self.tries if node in trie.at)
                trie.extend(node, int(self.ctl[f.WANTED_ANSWER]), live)
        return int(self.out[1])

    def _look(self, steps: int) -> None:
        """Collect the violations of a schedule, and those in its last state."""
        threads, words = len(self.same), len(self.words)
        path = [self._path_step(turn, link) for turn, link in self.walked[:steps].tolist()]
        order = list(range(threads))
        for kind, _, turn, link in self.broken[: int(self.ctl[f.BROKEN])].tolist():
            self.found.broken += self._explain(kind, path, order, turn, link)
        self.ctl[f.BROKEN] = 0
        row = self.state[0].tolist()
        columns = [value & NODE_MASK for value in row[words : words + threads]]
        if not self.found.broken and all(int(self.nodes.table[node, WHAT]) & 0xFF == DONE for node in columns):
            broken = self._judged(row[:words], columns)
            self.found.broken += self._wrong(broken, columns, path, order)
            self.found.judged = self.judge.judged
