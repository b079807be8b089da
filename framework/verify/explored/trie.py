"""The trie of a thread: the tree of its steps, which branches on their results.

A node is found by running the thread's code from the start of the present call of the engine, with the known results of
the steps before. The run goes on with the results that follow if no other thread interferes, so most nodes come in
chains. Between two calls only the thread's own memory matters (`history.Boundary`): histories that leave it equal
share their nodes from there on.

Page tables belong to one thread, so a change of a page-table entry is no step. Between two steps, an entry is set as
early as possible and cleared as late as possible. For laws of the form "another MM maps the folio, so this answer is
wrong" that is the worst case: every interleaving that breaks such a law has one of this form that breaks it, too.
"""

from __future__ import annotations

from typing import Any

from foliolab.framework.engine.check import Violation
from foliolab.framework.errors import FolioLabError
from foliolab.framework.verify.counterexample import MemoryModel
from foliolab.framework.verify.explored import nodes as n
from foliolab.framework.verify.explored.history import Boundary, LocalAccesses, Returned, ThreadClass
from foliolab.framework.verify.explored.nodes import Nodes
from foliolab.framework.verify.explored.primitives import Text
from foliolab.framework.verify.explored.sharing import Sharing
from foliolab.framework.verify.explored.thread_run import ThreadRun
from foliolab.framework.verify.explored.world import World


class Trie:
    """The trie of a class of threads.

    Args:
        text: engine and policy in their explored form.
        sharing: which words are shared.
        tables: the tables that receive the nodes.
        model: the memory model: where stores may wait, barriers are steps.

    Attributes:
        at: for each node the number of the boundary that its call began at.
        histories: for each node the results of the steps before it, in its call.
        local_accesses: for each link the local accesses between its two steps.
        first_accesses: the local accesses before the first step.
        faults: for each last node of a failed thread the error.
        columns: for each kind of access its column (see `Sharing.column`), and whether a schedule counts it.
    """

    def __init__(
        self, world: World, thread_class: ThreadClass, text: Text, sharing: Sharing, tables: Nodes, model: MemoryModel
    ) -> None:
        self.world = world
        self.thread_class = thread_class
        self.program = world.programs[thread_class.thread]
        self.text = text
        self.sharing = sharing
        self.tables = tables
        self.model: MemoryModel = model
        self.boundaries: list[Boundary] = []
        self.at: dict[int, int] = {}
        self.histories: dict[int, tuple[int | Returned, ...]] = {}
        self.local_accesses: dict[int, LocalAccesses] = {}
        self.first_accesses = LocalAccesses()
        self.faults: dict[int, Violation | FolioLabError] = {}
        self.columns: dict[tuple[int, int, int, int], tuple[int, bool]] = {}
        self._known: dict[Any, int] = {}
        self._numbers: dict[Boundary, int] = {}

    # -- called by the search --------------------------------------------------------------------------
    def root(self, live: list[int]) -> int:
        """The first node. `live`: the values of the shared words."""
        mappings = tuple(self.world.mappings(mm) for mm in self.program.mms)
        return ThreadRun(self, None, live).start(self.number(Boundary(0, mappings=mappings)), [])

    def extend(self, node: int, value: int, live: list[int]) -> None:
        """Add the nodes that follow a node's result. `live`: the values of the shared words after the step."""
        ThreadRun(self, (node, value), live).start(self.at[node], [*self.histories[node], value])

    # -- called by runs ---------------------------------------------------------------------------------
    def number(self, boundary: Boundary) -> int:
        """The number of a boundary; equal boundaries have the same."""
        found = self._numbers.get(boundary)
        if found is None:
            found = self._numbers[boundary] = len(self.boundaries)
            self.boundaries.append(boundary)
        return found

    def node(self, run: ThreadRun, row: tuple[int, ...]) -> int:
        """The node of a step that a run has reached, a new or a known one."""
        history = tuple(run.history)
        key = (run.boundary, row[n.TRUTH], history)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self.tables.add(row)
            self.at[found] = run.boundary
            self.histories[found] = history
        return found
