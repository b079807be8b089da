"""Exploring: every interleaving of a few threads, breadth first, until a law breaks or nothing is left."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine.check import Violation
from foliolab.framework.engine.engine import Shape
from foliolab.framework.engine.operation import Operation
from foliolab.framework.errors import FolioLabError
from foliolab.framework.verify.explored import breadth_first as f
from foliolab.framework.verify.explored.judge import Judge
from foliolab.framework.verify.explored.native import native
from foliolab.framework.verify.explored.nodes import CHILD, EXCLUSIVE, FAULT, LOST, WHAT, Nodes, Table
from foliolab.framework.verify.explored.primitives import text_of
from foliolab.framework.verify.explored.sharing import Reclassified, Sharing
from foliolab.framework.verify.explored.stepping import NODE_MASK, find_link
from foliolab.framework.verify.explored.steps import DONE
from foliolab.framework.verify.explored.symmetry import sorts_of
from foliolab.framework.verify.explored.thread_run import Asymmetric
from foliolab.framework.verify.explored.trie import Behaviour
from foliolab.framework.verify.explored.world import World

QUOTA: Final = 200_000
"""Transitions between two looks at the clock."""
PATIENCE: Final = 0.2
"""Seconds between two such looks, at most."""
BUFFER: Final = 4
"""Stores that a store buffer holds, with TSO."""
FIRST_TABLE: Final = 1 << 14
PIECE: Final = 1 << 20
"""States that go into a larger hash table between two looks at the clock."""
MOST_JUDGED: Final = 4000
"""States between operations that are judged, beside those at the end."""


@dataclass(frozen=True)
class Step:
    """One turn of a path.

    Args:
        thread: whose.
        flushes: it lets a store out of the thread's store buffer.
        link: the link that the thread went along; -1 where it flushes, or the step could not be done.
    """

    thread: int
    flushes: bool = False
    link: int = -1


@dataclass
class Broken:
    """A law that breaks, and how threads get there.

    Args:
        violation: what breaks.
        path: whose turn it is, step by step.
        thread: who breaks it; -1: nobody in particular.
        quiet: how many operations each thread has done, where what is wrong is wrong between operations.
        columns: the nodes of the threads at the end.
    """

    violation: Violation
    path: list[Step]
    thread: int = -1
    quiet: tuple[int, ...] | None = None
    columns: tuple[int, ...] = ()


@dataclass
class Exploration:
    """What an exploration found.

    Args:
        states, transitions, depth: how much it has seen.
        complete: whether every interleaving was.
        seconds: how long it took.
        trie_nodes: nodes of the threads' behaviours.
        symmetric: whether interchangeable threads were taken for one another.
        shared: 64-bit words of memory that threads share.
        judged: different states between operations that were held against the page tables.
        unjudged: how many were not, for want of time.
        stopped: why it is not complete: "memory", "time" or "".
        broken: what broke, the shortest way first.
        world: the machine and the threads.
        behaviours: of each thread.
        roots: the node that each thread starts at.
        columns: the shared words.
    """

    states: int = 0
    transitions: int = 0
    depth: int = 0
    complete: bool = False
    seconds: float = 0.0
    trie_nodes: int = 0
    symmetric: bool = False
    shared: int = 0
    judged: int = 0
    unjudged: int = 0
    stopped: str = ""
    broken: list[Broken] = field(default_factory=list)
    world: World | None = None
    behaviours: list[Behaviour] = field(default_factory=list)
    roots: list[int] = field(default_factory=list)
    columns: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Options:
    """How to explore.

    Args:
        tso: whether plain stores wait in store buffers.
        bound: on preemptions; below 0: none.
        symmetry: whether to use it where it applies.
        memory: bytes that states may take.
        keep_on: go on after a law has broken.
        ignore: laws that are known to break.
    """

    tso: bool = False
    bound: int = -1
    symmetry: bool = True
    memory: int = 1 << 30
    keep_on: bool = False
    ignore: frozenset[str] = frozenset()


Watchman = Callable[[Exploration], bool]
"""Called several times a second with what is known so far; whether to go on."""


def explore(
    scheme: Scheme,
    shape: Shape,
    setup: Sequence[Operation],
    threads: Sequence[Sequence[Operation]],
    options: Options | None = None,
    watchman: Watchman = lambda _: True,
) -> Exploration:
    """Explore every interleaving of a few threads.

    Args:
        scheme: the policy.
        shape: the machine, with a CPU for each thread.
        setup: operations that run first, whole.
        threads: the operations of each thread.
        options: how.
        watchman: called several times a second; whether to go on.

    Raises:
        UsageError: threads share an MM, or do what cannot be explored.
        ModelError: the modelled kernel refuses an operation.
        PluginError: the policy does what cannot be explored; with file and line.
    """
    began = time.perf_counter()
    with uncollected():
        world = World(scheme, shape, setup, threads)
        found = Explorer(world, options or Options()).run(watchman)
    found.seconds = time.perf_counter() - began
    return found


@contextmanager
def uncollected() -> Iterator[None]:
    """Without the collector of cycles: there are none, and it would walk through all modules again and again."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


class Explorer:
    """One world under exploration.

    Args:
        world: the machine and the threads.
        options: how to explore it.
        before: another search of the same world, whose knowledge of the threads' behaviour is taken over.
    """

    def __init__(self, world: World, options: Options, before: Explorer | None = None) -> None:
        self.world = world
        self.before = before if before is not None and not before.found.symmetric else None
        self.options = options
        self.found: Exploration = Exploration(world=world)
        self.text = text_of(world.scheme)
        self.sharing: Sharing = Sharing(world) if self.before is None else self.before.sharing
        self.nodes = Nodes()
        self.same: NDArray[np.int64] = np.zeros(0, np.int64)
        self.behaviours: list[Behaviour] = []
        self.symmetric = options.symmetry and not options.tso and options.bound < 0
        self.depth = BUFFER if options.tso else 0

    def run(self, watchman: Watchman) -> Exploration:
        """Explore; once more where something turns out to be shared, or threads not to be interchangeable."""
        if self.before is None:
            self._survey()
        while True:
            try:
                self._prepare()
                self._search(watchman)
                return self.found
            except Reclassified:
                self.before = None
            except Asymmetric:
                self.symmetric = False

    # -- before the search -----------------------------------------------------------------------------
    def _survey(self) -> None:
        """Let each thread run alone, to see what it touches."""
        self.sharing.surveying = True
        for sort in sorts_of(self.world, False):
            Behaviour(self.world, sort, self.text, self.sharing, Nodes(), self.options.tso).root([])
        self.sharing.settle()

    def _prepare(self) -> None:
        world = self.world
        self.words = self.found.columns = list(self.sharing.columns)
        live = [world.words[word] for word in self.words]
        if self.before is None:
            self._learn(live)
        else:
            self.nodes, self.same, self.behaviours = self.before.nodes, self.before.same, self.before.behaviours
            self.found.roots = self.before.found.roots
        self.found.behaviours = self.behaviours
        self.judge = Judge(world, self.sharing, self.behaviours)
        threads = len(world.programs)
        width = len(live) + threads + 1 + 2 * self.depth * threads
        self.rows = max(self.options.memory // (8 * width + 8 + 32), 64)
        self.state: Table = np.zeros((self.rows, width), np.int64)
        self.state[0, : len(live)] = live
        self.state[0, len(live) : len(live) + threads] = self.found.roots
        self.parent = np.zeros(self.rows, np.int64)
        self.broken = np.zeros((64, f.BROKEN_WIDTH), np.int64)
        self.quiet = np.zeros(256, np.int64)
        self.out = np.zeros(2, np.int64)
        self.ctl = np.zeros(f.CONTROLS, np.int64)
        self.ctl[[f.COUNT, f.LEVEL_END, f.QUIET, f.CANONICAL, f.GIVEN]] = 1, 1, 1, self.found.symmetric, world.given
        self._hash(FIRST_TABLE, lambda _: True)

    def _learn(self, live: list[int]) -> None:
        """Start the threads' behaviours; `live`: the shared words."""
        world = self.world
        self.nodes = Nodes()
        sorts = sorts_of(world, self.symmetric)
        self.found.symmetric = self.symmetric and len(sorts) < len(world.programs)
        made = [Behaviour(world, sort, self.text, self.sharing, self.nodes, self.options.tso) for sort in sorts]
        number = {t: i for i, sort in enumerate(sorts) for t in (sort.thread, *sort.others)}
        self.same = np.array([number[t] for t in range(len(world.programs))], np.int64)
        self.behaviours = [made[i] for i in self.same]
        roots = [one.root(live) for one in made]
        self.found.roots = [roots[i] for i in self.same]

    def _hash(self, size: int, watchman: Watchman) -> bool:
        """A larger hash table; whether the search is to go on."""
        self.table = np.zeros(size, np.int64)
        count = int(self.ctl[f.COUNT])
        for first in range(0, count, PIECE):
            native("rehash")(self.state, self.table, first, min(first + PIECE, count))
            if first and not self._goes_on(watchman):
                return False
        return True

    def release(self) -> None:
        """Give the memory of the states back; what was found and how threads behave stays."""
        self.before = None
        self.state = self.parent = self.table = np.zeros(0, np.int64)

    # -- the search ------------------------------------------------------------------------------------
    def _search(self, watchman: Watchman) -> None:
        ctl = self.ctl
        run = native("search")
        going, due, why = True, 0.0, f.PAUSED
        while going:
            if ctl[f.QUOTA] <= 0:
                ctl[f.QUOTA] = QUOTA
                due = time.monotonic() + PATIENCE
            nodes = self.nodes
            why = run(
                self.state, nodes.table, nodes.links, nodes.waits, self.broken, self.table, self.parent, self.quiet,
                self.same, ctl, self.out, len(self.words), self.depth, self.options.bound,
            )  # fmt: skip
            if why == f.WANTS:
                self._extend(int(ctl[f.WANTED_NODE]), int(ctl[f.WANTED_ANSWER]))
                if time.monotonic() > due:  # learning what follows takes its time, too
                    due = time.monotonic() + PATIENCE
                    self._take_notes()
                    going = self._goes_on(watchman)
                continue
            if why == f.CROWDED:
                going = self._hash(2 * self.table.size, watchman)
                continue
            self._take_notes()
            if why == f.FULL:
                self.found.stopped = "memory"
            going = why == f.PAUSED and self._goes_on(watchman)
        self.found.complete = why == f.FINISHED and not self.found.stopped and not self._is_enough()

    def _is_enough(self) -> bool:
        return bool(self.found.broken) and not self.options.keep_on

    def _goes_on(self, watchman: Watchman) -> bool:
        """Whether the search is to go on; says how far it is."""
        if not self._is_enough() and not watchman(self.found):
            self.found.stopped = "time"
        return not self.found.stopped and not self._is_enough()

    def _extend(self, node: int, answer: int) -> None:
        live = self.state[self.ctl[f.COUNT], : len(self.words)].tolist()
        turn = int(self.ctl[f.TURN])
        self.behaviours[turn].extend(node, answer, live)

    def _take_notes(self) -> None:
        """Look at what the search has noted since the last time."""
        ctl, found = self.ctl, self.found
        found.states, found.transitions = int(ctl[f.COUNT]), int(ctl[f.TRANSITIONS])
        found.depth, found.trie_nodes, found.shared = int(ctl[f.DEPTH]), self.nodes.count, len(self.words)
        for sort, at, turn, link in self.broken[: int(ctl[f.BROKEN])].tolist():
            path, order = self._path(at)
            found.broken += self._explain(sort, path, order, turn, link)
        ctl[f.BROKEN] = 0
        words, threads = len(self.words), len(self.same)
        for at in self.quiet[: int(ctl[f.QUIET])].tolist():
            row = self.state[at].tolist()
            columns = [value & NODE_MASK for value in row[words : words + threads]]
            broken = self._judged(row[:words], columns)
            if broken and not found.broken:
                path, order = self._path(at)
                found.broken += self._wrong(broken, columns, path, order)
        ctl[f.QUIET] = 0
        found.judged = self.judge.judged

    def _judged(self, words: list[int], columns: list[int]) -> list[Violation]:
        """What is wrong with a state between operations; nothing, if that was not looked at for want of time."""
        over = all(int(self.nodes.table[node, WHAT]) & 0xFF == DONE for node in columns)
        if self.judge.judged >= MOST_JUDGED and not over:
            self.found.unjudged += 1
            return []
        return [one for one in self.judge.judge(words, columns) if one.law not in self.options.ignore]

    def _wrong(self, broken: list[Violation], columns: list[int], path: list[Step], order: list[int]) -> list[Broken]:
        done = tuple(self._done(thread, node) for thread, node in enumerate(columns))
        quiet = tuple(done[order.index(t)] for t in range(len(order)))
        return [Broken(one, path, quiet=quiet) for one in broken]

    def _done(self, thread: int, node: int) -> int:
        """How many operations a thread has done at a node between operations."""
        behaviour = self.behaviours[thread]
        calls = behaviour.program.calls
        at = behaviour.boundaries[behaviour.at[node]].call
        return calls[at].number if at < len(calls) else len(self.world.operations[thread])

    # -- what broke ------------------------------------------------------------------------------------
    def _explain(self, sort: int, path: list[Step], order: list[int], turn: int, link: int) -> list[Broken]:
        """A noted law in words, as far as the policy owes it.

        Args:
            sort: what was noted.
            path, order: how it came so far, and the thread of each column.
            turn, link: whose turn broke it, and the link that it went along.

        Raises:
            FolioLabError: it is an error that is no broken law.
        """
        if sort == f.DEADLOCK:
            found = [Violation("deadlock", "nobody can go on, and not everybody is done")]
            return [Broken(one, path) for one in found if one.law not in self.options.ignore]
        thread = order[turn % len(order)]
        found = self._sentences(sort, f"thread {thread}")
        if sort & FAULT:
            why = self.behaviours[turn].faults[int(self.nodes.links[link, CHILD])]
            if isinstance(why, FolioLabError):
                raise why
            found.append(why)
        path = [*path, Step(thread, turn >= len(self.same), -1 if sort == f.TOO_WIDE else link)]
        return [Broken(one, path, thread) for one in found if one.law not in self.options.ignore]

    def _sentences(self, sort: int, who: str) -> list[Violation]:
        folio = f"folio {self.world.folio[0]}"
        found: list[Violation] = []
        if sort == f.TOO_WIDE:
            found.append(Violation("field-width", f"{who}: a value does not fit the width of its field"))
        if sort & LOST:
            found.append(Violation("lost-lock", f"{who}: an operation ends with a lock still held"))
        if sort & EXCLUSIVE and "safe" in self.world.scheme.capabilities:
            message = f"{who}: {folio} is called exclusive while several MMs map it all the time"
            found.append(Violation("safe", message, "safe"))
        if sort & f.SHARED_REUSE:
            found.append(Violation("reuse", f"{who}: a page of {folio} is reused while another MM maps it", "reuse"))
        if sort & f.HELD_REUSE:
            message = f"{who}: a page of {folio} is reused while somebody holds a reference all the time"
            found.append(Violation("reuse", message, "reuse"))
        return found

    def _path(self, at: int) -> tuple[list[Step], list[int]]:
        """The steps that lead to a state, by actual threads, and which thread each of its columns stands for."""
        chain = []
        while at:
            packed = int(self.parent[at])
            at = packed >> f.PARENT_SHIFT
            chain.append((at, packed & ((1 << f.PARENT_SHIFT) - 1)))
        threads = len(self.same)
        order = list(range(threads))
        steps = []
        for before, turn in reversed(chain):
            steps.append(Step(order[turn % threads], turn >= threads, self._link(before, turn)))
            if self.found.symmetric:
                order = self._rearranged(order)
        return steps, order

    def _link(self, at: int, turn: int) -> int:
        """Do one turn from a state once more, into a row of its own; the link that it goes along."""
        ctl = self.ctl.copy()
        scratch = np.zeros((2, self.state.shape[1]), np.int64)
        scratch[0] = self.state[at]
        ctl[f.POSITION], ctl[f.COUNT] = 0, 1
        nodes = self.nodes
        native("follow")(
            scratch, nodes.table, nodes.links, nodes.waits, self.broken.copy(), self.same, ctl, self.out,
            len(self.words), self.depth, turn,
        )  # fmt: skip
        self.arrived = scratch[1]
        if turn >= len(self.same):
            return -1
        node = int(scratch[0, len(self.words) + turn]) & NODE_MASK
        return int(find_link(nodes.table, nodes.links, node, int(self.out[0])))

    def _rearranged(self, order: list[int]) -> list[int]:
        """The threads in the order of the columns after `frontier.arrange`."""
        words = len(self.words)
        values = self.arrived[words : words + len(order)].tolist()
        order = list(order)
        for a in range(len(order)):
            for b in range(a + 1, len(order)):
                if self.same[a] == self.same[b] and values[a] > values[b]:
                    values[a], values[b] = values[b], values[a]
                    order[a], order[b] = order[b], order[a]
        return order
