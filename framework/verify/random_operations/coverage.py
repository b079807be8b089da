"""What the random attack has reached: branches of the policy's text, and states of the fields."""

from __future__ import annotations

from typing import Final

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine.engine import marked_entries
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.truth import Truth
from foliolab.framework.verify.finding import Reached, Untaken
from foliolab.framework.verify.random_operations.fieldstates import FieldStates, Landmark, Pair

BRANCH: Final = "branch"
"""The name of a landmark that is a branch, with its number; no field has this name, for theirs end with an index."""


class Coverage:
    """What was reached on all machines together.

    Attributes:
        entries: of the policy, with marks at the branches of its text.
        branches: those of the text.
        taken: the numbers of the branches that were taken.
    """

    def __init__(self, scheme: Scheme) -> None:
        self.entries, self.branches = marked_entries(scheme)
        self.taken: set[int] = set()
        self._machines: list[Watched] = []
        self._ways: dict[bytes, frozenset[Landmark]] = {}

    def watch(self, machine: Machine) -> Watched:
        """Let a machine run the text with marks at its branches."""
        machine.vm.policy = self.entries
        self._machines.append(Watched(self, machine))
        return self._machines[-1]

    def branches_taken(self) -> bytes:
        """The marks of the branches that were taken since the last call."""
        marks = self.branches.taken
        way = bytes(marks)
        marks[:] = bytes(len(marks))
        if way not in self._ways:
            self._ways[way] = frozenset((BRANCH, number) for number, mark in enumerate(way) if mark)
            self.taken.update(number for _, number in self._ways[way])
        return way

    def landmarks(self, way: bytes) -> frozenset[Landmark]:
        """The branches of marks as landmarks."""
        return self._ways[way]

    @property
    def states(self) -> int:
        """The values and pairs of values that were seen, on whichever machine."""
        values = set[Landmark]().union(*(one.landmarks for one in self._machines))
        pairs = set[Pair]().union(*(one.states.pairs for one in self._machines))
        return sum(name != BRANCH for name, _ in values) + len(pairs)

    @property
    def text(self) -> str:
        """The coverage in words."""
        return f"branches {len(self.taken)} of {len(self.branches.known)}, field states {self.states:,}"

    @property
    def reached(self) -> Reached:
        """The coverage, with each branch that was never taken."""
        known, within = self.branches.known, self.branches.within
        untaken = [
            Untaken(one.file, one.line, one.never, number in within and within[number] not in self.taken)
            for number, one in enumerate(known)
            if number not in self.taken
        ]
        untaken.sort(key=lambda one: (one.file, one.line, one.never))
        return Reached(len(known), len(self.taken), self.states, untaken)


class Watched:
    """What was reached on one machine.

    Attributes:
        landmarks: the values of fields and the branches.
        states: the pairs of values.
        present: the landmarks of the last operation.
    """

    def __init__(self, coverage: Coverage, machine: Machine) -> None:
        self.coverage = coverage
        self.states = FieldStates(machine)
        self.landmarks: set[Landmark] = set()
        self.present: set[Landmark] = set()
        self._ways: set[bytes] = set()
        """Sets of branches that one operation took together."""

    def look(self, truth: Truth) -> bool:
        """Take in the last operation, and the state behind it; whether something is new.

        Args:
            truth: of the state.
        """
        way = self.coverage.branches_taken()
        pairs, new = len(self.states.pairs), way not in self._ways
        self._ways.add(way)
        self.present = self.states.look(truth) | self.coverage.landmarks(way)
        return new or len(self.states.pairs) > pairs or not self.present <= self.landmarks

    def news(self) -> frozenset[Landmark]:
        """The landmarks of the last operation that are new; from then on they are known."""
        new = frozenset(self.present - self.landmarks)
        self.landmarks |= new
        return new
