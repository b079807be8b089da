"""A thread's behaviour: the tree of the steps that it does, depending on what they answer.

Each node is found by running the thread's text from the start of the engine's call it is in. A run that learns what
a step answered goes on as if nobody interfered, so most nodes come in whole chains. Between two calls nothing but
the thread's own memory matters, so histories that left it alike meet there again.

Page tables are a thread's own, so changing them is no step; they take effect as early (set) or as late (cleared) as
they may between two steps. For laws of the form "somebody else maps it, so this answer is wrong" that is the worst
case: whatever a later set or an earlier clear would refute is refuted so, too.
"""

from __future__ import annotations

from typing import Any

from foliolab.framework.engine.check import Violation
from foliolab.framework.errors import FolioLabError
from foliolab.framework.verify.explored import nodes as n
from foliolab.framework.verify.explored.history import Boundary, Ended, Lead, Sort
from foliolab.framework.verify.explored.nodes import Nodes
from foliolab.framework.verify.explored.primitives import Text
from foliolab.framework.verify.explored.sharing import Sharing
from foliolab.framework.verify.explored.thread_run import Run
from foliolab.framework.verify.explored.world import World


class Behaviour:
    """The tree of one sort of threads.

    Args:
        world: the machine and the threads.
        sort: whose behaviour.
        text: the engine's and the policy's functions, asking.
        sharing: which words are shared.
        tables: where its nodes go.
        tso: whether plain stores may wait, so that barriers are steps.
    """

    def __init__(self, world: World, sort: Sort, text: Text, sharing: Sharing, tables: Nodes, tso: bool) -> None:
        self.world = world
        self.sort = sort
        self.program = world.programs[sort.thread]
        self.text = text
        self.sharing = sharing
        self.tables = tables
        self.tso = tso
        self.boundaries: list[Boundary] = []
        self.at: dict[int, int] = {}
        """The boundary that each node's call began at."""
        self.histories: dict[int, tuple[int | Ended, ...]] = {}
        """What the steps before each node answered, in its call."""
        self.leads: dict[int, Lead] = {}
        """The accesses between two steps, by the link that joins them."""
        self.first_lead = Lead()
        """The accesses before the first step."""
        self.faults: dict[int, Violation | FolioLabError] = {}
        """What ended a thread at a node."""
        self.places: dict[tuple[int, int, int, int], tuple[int, bool]] = {}
        """Where each kind of access finds its word (see `Sharing.column`), and whether a schedule counts it."""
        self._known: dict[Any, int] = {}
        self._numbers: dict[Boundary, int] = {}

    # -- asked by the search ---------------------------------------------------------------------------
    def root(self, live: list[int]) -> int:
        """The first node; `live`: the shared words."""
        mappings = tuple(self.world.mappings(mm) for mm in self.program.mms)
        return Run(self, None, live).start(self.number(Boundary(0, mappings=mappings)), [])

    def extend(self, node: int, value: int, live: list[int]) -> None:
        """Find out what follows a node whose step answered so; `live`: the shared words after it."""
        Run(self, (node, value), live).start(self.at[node], [*self.histories[node], value])

    # -- asked by runs ---------------------------------------------------------------------------------
    def number(self, boundary: Boundary) -> int:
        """The number of a boundary."""
        found = self._numbers.get(boundary)
        if found is None:
            found = self._numbers[boundary] = len(self.boundaries)
            self.boundaries.append(boundary)
        return found

    def node(self, run: Run, row: tuple[int, ...]) -> int:
        """The node of a step that a run has come to; it may be known."""
        history = tuple(run.history)
        key = (run.boundary, row[n.TRUTH], history)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self.tables.add(row)
            self.at[found] = run.boundary
            self.histories[found] = history
        return found
