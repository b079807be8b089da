"""Explicit-state search over the interleavings of a few threads, breadth-first, until a law breaks.

The compiled search expands states; this module extends the tries when a link is missing, judges quiescent states, and
reconstructs the path to a violation. Three assumptions are made optimistically and checked on the way: which words are
shared (`Reclassified`), which threads are interchangeable (`Asymmetric`), and what a thread may still access
(`Footprints`). When one fails, the search starts anew.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine.check import Violation
from foliolab.framework.engine.engine import Shape
from foliolab.framework.engine.operation import Operation
from foliolab.framework.errors import FolioLabError
from foliolab.framework.verify.explored import breadth_first as f
from foliolab.framework.verify.explored.footprints import Footprints
from foliolab.framework.verify.explored.judge import Judge
from foliolab.framework.verify.explored.lateness import Lateness
from foliolab.framework.verify.explored.native import native
from foliolab.framework.verify.explored.nodes import CHILD, EXCLUSIVE, FAULT, FLAGS, LOST, WHAT, Nodes, Table
from foliolab.framework.verify.explored.options import BUFFER, LOG, Options
from foliolab.framework.verify.explored.primitives import Text, text_of
from foliolab.framework.verify.explored.result import Broken, Exploration, PathStep
from foliolab.framework.verify.explored.sharing import Reclassified, Sharing
from foliolab.framework.verify.explored.stepping import FIRST_FRAME, FRAMES, GIVEN, NODE_MASK, TABLES, find_link
from foliolab.framework.verify.explored.steps import DONE
from foliolab.framework.verify.explored.symmetry import thread_classes
from foliolab.framework.verify.explored.thread_run import Asymmetric
from foliolab.framework.verify.explored.trie import Trie
from foliolab.framework.verify.explored.world import World

QUOTA: Final = 200_000
"""Transitions between two checks of the time."""
PATIENCE: Final = 0.2
"""Seconds between two such checks, at most."""
FIRST_TABLE: Final = 1 << 14
"""Initial size of the hash table of states."""
PIECE: Final = 1 << 20
"""States that are rehashed between two checks of the time."""
LONGEST: Final = 1 << 15
"""Twice the steps of a path between two states that the search keeps, at most, and some room."""
MOST_JUDGED: Final = 4000
"""Quiescent states that are judged, at most; final states always are."""
_NO_MASKS: Final = np.zeros((1, 3), np.int64)


KeepGoing = Callable[[Exploration], bool]
"""Called several times a second with the result so far; returns whether the search continues."""


def explore(
    scheme: Scheme,
    shape: Shape,
    setup: Sequence[Operation],
    threads: Sequence[Sequence[Operation]],
    options: Options | None = None,
    keep_going: KeepGoing = lambda _: True,
) -> Exploration:
    """Explore every interleaving of a few threads.

    Args:
        shape: the machine, with a CPU for each thread.
        setup: operations that run first, each as a whole.
        threads: the operations of each thread.
        keep_going: called several times a second; returns whether the search continues.

    Raises:
        UsageError: there are too many threads, or one uses an operation that cannot be explored.
        ModelError: the modelled kernel refuses an operation.
        PluginError: the policy uses something that cannot be explored; with file and line.
    """
    began = time.perf_counter()
    with uncollected():
        world = World(scheme, shape, setup, threads)
        found = Explorer(world, options or Options()).run(keep_going)
    found.seconds = time.perf_counter() - began
    return found


@contextmanager
def uncollected() -> Iterator[None]:
    """Disable cyclic GC: the search creates no cycles, and full collections are slow."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _text_of(scheme: Scheme, compiled: bool) -> Text:
    if compiled:
        from foliolab.framework.verify.explored.compiled_text import compiled_text_of

        return compiled_text_of(scheme)
    return text_of(scheme)


class Explorer:
    """The search of one world.

    Args:
        before: an earlier search of the same world, whose tries are reused.
    """

    def __init__(self, world: World, options: Options, before: Explorer | None = None) -> None:
        self.world = world
        self.before = before if before is not None and not before.found.symmetric else None
        self.options = options
        self.found: Exploration = Exploration(world=world)
        self.text = _text_of(world.scheme, options.compiled)
        self.sharing: Sharing = Sharing(world) if self.before is None else self.before.sharing
        self.nodes = Nodes()
        self.same: NDArray[np.int64] = np.zeros(0, np.int64)
        self.tries: list[Trie] = []
        plain = options.model == "sc" and options.bound < 0
        self.symmetric = options.symmetry and plain
        self.reduces = options.reduction and plain
        self.late = options.model == "armv8"
        self.footprints: Footprints | None = None
        self.lateness: Lateness | None = None
        self.depth = 0 if options.model == "sc" else BUFFER

    def run(self, keep_going: KeepGoing) -> Exploration:
        """Search; start anew if a word proves to be shared, or threads not to be interchangeable."""
        if self.before is None:
            self._survey()
        while True:
            try:
                self._prepare()
                while True:
                    self._begin()
                    self._search(keep_going)
                    assumed = self.footprints or self.lateness
                    if assumed is None or not self.found.complete or assumed.grow():
                        return self.found
            except Reclassified:
                self.before = None
                if not self._goes_on(keep_going):
                    return self.found
            except Asymmetric:
                self.symmetric = False

    # -- before the search -----------------------------------------------------------------------------
    def _survey(self) -> None:
        """Run each thread alone, to find the words that threads share."""
        self.sharing.surveying = True
        for thread_class in thread_classes(self.world, False):
            Trie(self.world, thread_class, self.text, self.sharing, Nodes(), self.options.model).root([])
        self.sharing.settle()

    def _prepare(self) -> None:
        world = self.world
        self.sharing.is_stale = False
        self.words = self.found.columns = list(self.sharing.columns)
        live = [world.words[word] for word in self.words]
        if self.before is None:
            self._learn(live)
        else:
            self.nodes, self.same, self.tries = self.before.nodes, self.before.same, self.before.tries
            self.found.roots = self.before.found.roots
        self.found.tries = self.tries
        self.judge = Judge(world, self.sharing, self.tries)
        threads = len(world.programs)
        width = len(live) + threads + 1 + 2 * self.depth * threads
        width += 2 * LOG * threads if self.options.model == "armv8" else 0
        self.rows = max(self.options.memory // (8 * width + 16 + 32), 64)
        self.state: Table = np.zeros((self.rows, width), np.int64)
        self.state[0, : len(live)] = live
        self.state[0, len(live) : len(live) + threads] = self.found.roots
        self.parent = np.zeros(self.rows, np.int64)
        self.again = np.zeros(self.rows, np.int64)
        self.broken = np.zeros((64, f.BROKEN_WIDTH), np.int64)
        self.quiescent = np.zeros(256, np.int64)
        self.out = np.zeros(2, np.int64)
        count = world.references
        self.counted = self.words.index(count >> 3) << 8 | 8 * (count & 7) if count >> 3 in self.words else -1
        self.masks = _NO_MASKS, _NO_MASKS, _NO_MASKS[:0]
        if self.late:
            self.lateness = Lateness(self.nodes)
        if self.reduces:
            faults = any(one.name == "write" for thread in world.operations for one in thread)
            tables = frozenset(at for at, word in enumerate(self.words) if world.of_several(word))
            self.footprints = Footprints(self.nodes, self.counted, faults, tables)

    def _begin(self) -> None:
        """Begin at the first state."""
        self.judged_before = self.judge.judged
        self.found.unjudged = self.found.cut = 0
        self.quiescent[0] = 0
        tables = self._tables()
        self.ctl = np.zeros(f.CONTROLS + len(tables), np.int64)
        self.ctl[f.CONTROLS :] = tables
        self.ctl[[GIVEN, FIRST_FRAME, FRAMES, TABLES]] = self.world.given, *self.world.folio, f.CONTROLS
        self.ctl[[f.COUNT, f.LEVEL_END, f.QUIESCENT]] = 1
        self.ctl[[f.CANONICAL, f.REDUCES]] = self.found.symmetric, self.reduces * (1 + self.options.sleep_sets)
        self.ctl[f.REFERENCES] = self.counted
        self.parent[0] = f.EVERYONE << f.EXPANDED_SHIFT
        self._hash(FIRST_TABLE, lambda _: True)
        self._look_ahead()

    def _tables(self) -> list[int]:
        """The page tables of MMs that several threads use, as `stepping.mapped_by_several` reads them."""
        world, found = self.world, list[int]()
        for mm in sorted(world.several):
            inside = [
                at for at, word in enumerate(self.words) if world.is_entry(word) and world.table_of(8 * word) == mm
            ]
            known = {self.words[at] for at in inside}
            found += [len(inside), len(world.entries(mm).keys() - known), *inside]
        return found

    def _learn(self, live: list[int]) -> None:
        """Create the tries. `live`: the values of the shared words."""
        world = self.world
        self.nodes = Nodes()
        classes = thread_classes(world, self.symmetric)
        self.found.symmetric = self.symmetric and len(classes) < len(world.programs)
        made = [Trie(world, one, self.text, self.sharing, self.nodes, self.options.model) for one in classes]
        number = {t: i for i, thread_class in enumerate(classes) for t in (thread_class.thread, *thread_class.others)}
        self.same = np.array([number[t] for t in range(len(world.programs))], np.int64)
        self.tries = [made[i] for i in self.same]
        roots = [one.root(live) for one in made]
        self.found.roots = [roots[i] for i in self.same]

    def _hash(self, size: int, keep_going: KeepGoing) -> bool:
        """Create a larger hash table; return whether the search continues."""
        self.table = np.zeros(size, np.int64)
        count = int(self.ctl[f.COUNT])
        for first in range(0, count, PIECE):
            native("rehash")(self.state, self.table, first, min(first + PIECE, count))
            if first and not self._goes_on(keep_going):
                return False
        return True

    def release(self) -> None:
        """Free the memory of the states; the result and the tries stay."""
        self.before = None
        self.state = self.parent = self.again = self.table = np.zeros(0, np.int64)

    # -- the search ------------------------------------------------------------------------------------
    def _search(self, keep_going: KeepGoing) -> None:
        ctl = self.ctl
        run = native("search")
        going, due, why = True, 0.0, f.PAUSED
        while going:
            if ctl[f.QUOTA] <= 0:
                ctl[f.QUOTA] = QUOTA
                due = time.monotonic() + PATIENCE
            nodes = self.nodes
            why = run(
                self.state, nodes.table, nodes.links, nodes.waits, self.broken, self.table, self.parent, self.again,
                self.quiescent, self.same, ctl, self.out, *self.masks, len(self.words), self.depth, self.options.bound,
            )  # fmt: skip
            if why == f.NEEDS_LINK:
                self._extend(int(ctl[f.WANTED_NODE]), int(ctl[f.WANTED_ANSWER]))
                if time.monotonic() > due:  # extending tries takes time, too
                    due = time.monotonic() + PATIENCE
                    self._take_notes()
                    going = self._goes_on(keep_going)
                continue
            if why == f.NEEDS_REHASH:
                going = self._hash(2 * self.table.size, keep_going)
                continue
            self._take_notes()
            if why == f.FULL:
                self.found.stopped = "memory"
            going = why == f.PAUSED and self._goes_on(keep_going)
        self.found.complete = why == f.FINISHED and not self.found.stopped and not self._is_enough()

    def _is_enough(self) -> bool:
        return bool(self.found.broken) and not self.options.keep_on

    def _goes_on(self, keep_going: KeepGoing) -> bool:
        """Report progress; return whether the search continues."""
        if not self._is_enough() and not keep_going(self.found):
            self.found.stopped = "time"
        return not self.found.stopped and not self._is_enough()

    def _extend(self, node: int, answer: int) -> None:
        live = self.state[self.ctl[f.COUNT], : len(self.words)].tolist()
        self.tries[int(self.ctl[f.WANTED_TURN])].extend(node, answer, live)
        self._look_ahead()

    def _look_ahead(self) -> None:
        """Find what the threads may do after new nodes, if the search makes use of it."""
        ahead = self.footprints or self.lateness
        if ahead is not None:
            ahead.extend()
            self.masks = ahead.own, ahead.future, ahead.locks

    def _take_notes(self) -> None:
        """Take the notes of the compiled search."""
        ctl, found = self.ctl, self.found
        found.states, found.transitions = int(ctl[f.COUNT]), int(ctl[f.TRANSITIONS])
        found.depth, found.trie_nodes, found.shared = int(ctl[f.DEPTH]), self.nodes.count, len(self.words)
        for kind, at, turn, link in self.broken[: int(ctl[f.BROKEN])].tolist():
            path, order = self._path(at)
            found.broken += self._explain(kind, path, order, turn, link)
        ctl[f.BROKEN] = 0
        words, threads = len(self.words), len(self.same)
        for at in self.quiescent[: int(ctl[f.QUIESCENT])].tolist():
            row = self.state[at].tolist()
            columns = [value & NODE_MASK for value in row[words : words + threads]]
            broken = self._judged(row[:words], columns)
            if broken and not found.broken:
                path, order = self._path(at)
                found.broken += self._wrong(broken, columns, path, order)
        ctl[f.QUIESCENT] = 0
        found.judged = self.judge.judged

    def _judged(self, words: list[int], columns: list[int]) -> list[Violation]:
        """The violations in a quiescent state; none if the state is not judged (see MOST_JUDGED)."""
        over = all(int(self.nodes.table[node, WHAT]) & 0xFF == DONE for node in columns)
        if self.judge.judged - self.judged_before >= MOST_JUDGED and not over:
            self.found.unjudged += 1
            return []
        return [one for one in self.judge.judge(words, columns) if one.law not in self.options.ignore]

    def _wrong(
        self, broken: list[Violation], columns: list[int], path: list[PathStep], order: list[int]
    ) -> list[Broken]:
        done = tuple(self._done(thread, node) for thread, node in enumerate(columns))
        quiescent = tuple(done[order.index(t)] for t in range(len(order)))
        return [Broken(one, path, quiescent=quiescent) for one in broken]

    def _done(self, thread: int, node: int) -> int:
        """The number of operations that a thread has done at a node between operations."""
        trie = self.tries[thread]
        calls = trie.program.calls
        at = trie.boundaries[trie.at[node]].call
        return calls[at].number if at < len(calls) else len(self.world.operations[thread])

    # -- what broke ------------------------------------------------------------------------------------
    def _explain(self, kind: int, path: list[PathStep], order: list[int], turn: int, link: int) -> list[Broken]:
        """The violations of a note, as far as the policy owes their laws.

        Args:
            kind: of the violation (see `breadth_first`).
            path, order: the path to the state before, and the thread of each column.
            turn, link: the turn and the link that broke the law.

        Raises:
            FolioLabError: a thread failed by an error that breaks no law.
        """
        if kind == f.DEADLOCK:
            links = self.nodes.links
            if any(step.link >= 0 and int(links[step.link, FLAGS]) & FAULT for step in path):
                return []  # the others wait for a thread that has ended at a law that is ignored
            found = [Violation("deadlock", "no thread can make progress, and not all have ended")]
            return [Broken(one, path) for one in found if one.law not in self.options.ignore]
        thread = order[turn % len(order)]
        found = self._violations(kind, f"thread {thread}")
        if kind & FAULT:
            why = self.tries[turn % len(order)].faults[int(self.nodes.links[link, CHILD])]
            if isinstance(why, FolioLabError):
                raise why
            found.append(why)
        if kind & (FAULT | f.TOO_WIDE) and all(one.law in self.options.ignore for one in found):
            self.found.cut += 1
        last = self._path_step(turn, -1 if kind == f.TOO_WIDE else link)
        path = [*path, replace(last, thread=thread)]
        return [Broken(one, path, thread) for one in found if one.law not in self.options.ignore]

    def _violations(self, kind: int, who: str) -> list[Violation]:
        folio = f"folio {self.world.folio[0]}"
        found: list[Violation] = []
        if kind == f.TOO_WIDE:
            found.append(Violation("field-width", f"{who}: a value does not fit the width of its field"))
        if kind & LOST:
            found.append(Violation("lost-lock", f"{who}: an operation ends with a lock still held"))
        if kind & EXCLUSIVE and "safe" in self.world.scheme.capabilities:
            message = f"{who}: {folio} is called exclusive while several MMs map it all the time"
            found.append(Violation("safe", message, "safe"))
        if kind & f.SHARED_REUSE:
            found.append(Violation("reuse", f"{who}: a page of {folio} is reused while another MM maps it", "reuse"))
        if kind & f.CLAIMED_REUSE:
            message = f"{who}: a page of {folio} is reused while another MM or reference holds it all the time"
            found.append(Violation("reuse", message, "reuse"))
        return found

    def _path(self, at: int) -> tuple[list[PathStep], list[int]]:
        """The path to a state, and the thread of each column there."""
        chain = []
        while at:
            packed = int(self.parent[at])
            at = (packed & (1 << f.EXPANDED_SHIFT) - 1) >> f.PARENT_SHIFT
            chain.append((at, packed & ((1 << f.PARENT_SHIFT) - 1)))
        threads = len(self.same)
        order = list(range(threads))
        steps = []
        for before, turn in reversed(chain):
            for one, link in self._turns(before, turn):
                step = self._path_step(one, link)
                steps.append(replace(step, thread=order[step.thread]))
            if self.found.symmetric:
                order = self._rearranged(order)
        return steps, order

    def _turns(self, at: int, turn: int) -> list[tuple[int, int]]:
        """Repeat a turn from a state, with the steps that the search does after it; each thread with its link.

        The state behind them goes into `arrived`.
        """
        ctl, out = self.ctl.copy(), np.zeros(LONGEST, np.int64)
        scratch = np.zeros((2, self.state.shape[1]), np.int64)
        scratch[0] = self.state[at]
        self.arrived = scratch[1]
        ctl[f.POSITION], ctl[f.COUNT], ctl[f.ASLEEP] = 0, 1, 0
        nodes, words, threads = self.nodes, len(self.words), len(self.same)
        native("follow")(
            scratch, nodes.table, nodes.links, nodes.waits, self.broken.copy(), self.same, ctl, out, *self.masks, words,
            self.depth, turn,
        )  # fmt: skip
        if self._path_step(turn, -1).flush:
            return [(turn, -1)]
        columns = [value & NODE_MASK for value in scratch[0, words : words + threads].tolist()]
        found = []
        for thread, answer in out[2 : 2 + 2 * int(out[1])].reshape(-1, 2).tolist():
            link = int(find_link(nodes.table, nodes.links, columns[thread], answer))
            columns[thread] = int(nodes.links[link, CHILD])
            found.append((thread if turn < threads else turn, link))
        return found

    def _path_step(self, turn: int, link: int) -> PathStep:
        """A turn as `breadth_first.successor` numbers them; its thread is the number of a column."""
        kind, thread = divmod(turn, len(self.same))
        if 1 <= kind <= (self.depth if self.options.model == "armv8" else 1):
            return PathStep(thread, flush=kind)
        return PathStep(thread, link=link, choice=max(kind - self.depth, 0) if kind else 0)

    def _rearranged(self, order: list[int]) -> list[int]:
        """The threads in the order of the columns after `breadth_first.arrange`."""
        words = len(self.words)
        values = self.arrived[words : words + len(order)].tolist()
        order = list(order)
        for a in range(len(order)):
            for b in range(a + 1, len(order)):
                if self.same[a] == self.same[b] and values[a] > values[b]:
                    values[a], values[b] = values[b], values[a]
                    order[a], order[b] = order[b], order[a]
        return order
