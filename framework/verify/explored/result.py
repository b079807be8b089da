"""What a search has found: violations with their paths, and what was explored."""

from __future__ import annotations

from dataclasses import dataclass, field

from foliolab.framework.engine.check import Violation
from foliolab.framework.verify.explored.trie import Trie
from foliolab.framework.verify.explored.world import World


@dataclass(frozen=True)
class PathStep:
    """One turn of a path.

    Args:
        flush: which store of the thread's store buffer takes effect, instead of a step: 1 for the oldest; 0 for none.
        link: the link of the step; -1 for a flush, or for a step that cannot be done.
        choice: Armv8: how many writes to its field a load ignores; 1 for a store that waits.
    """

    thread: int
    flush: int = 0
    link: int = -1
    choice: int = 0


@dataclass
class Broken:
    """A violation with the path to it.

    Args:
        violation: the broken law.
        path: the turns.
        thread: the thread that breaks the law; -1 if it is a property of the state.
        quiescent: for a violation in a quiescent state the number of operations that each thread has done.
        columns: the nodes of the threads at the end.
    """

    violation: Violation
    path: list[PathStep]
    thread: int = -1
    quiescent: tuple[int, ...] | None = None
    columns: tuple[int, ...] = ()


@dataclass
class Exploration:
    """The result of a search.

    Args:
        states, transitions, depth: their numbers so far.
        complete: whether all interleavings were explored.
        seconds: how long the search took.
        trie_nodes: the number of nodes of all tries.
        symmetric: whether symmetry reduction was used.
        shared: the number of shared 64-bit words.
        judged: the number of different quiescent states that were checked against the page tables.
        unjudged: the number of those that were not (see MOST_JUDGED).
        cut: how often a path ended at a law that is ignored; what comes behind is not explored.
        stopped: why the search is not complete: "memory", "time" or "".
        broken: the violations, that with the shortest path first.
        world: the machine and the threads.
        tries: of each thread.
        roots: the first node of each thread.
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
    cut: int = 0
    stopped: str = ""
    broken: list[Broken] = field(default_factory=list)
    world: World | None = None
    tries: list[Trie] = field(default_factory=list)
    roots: list[int] = field(default_factory=list)
    columns: list[int] = field(default_factory=list)
