"""The states of one folio under a policy, found with the interpreted engine.

A few MMs work on one folio. The search tries every operation that the modelled kernel allows in every state. Two states
are the same if the page tables and everything that the policy stores in the folio are the same. Where the number of
states has no end (a sequence number counts on), fields that need not return to their initial value are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.contract.stored import Stored
from foliolab.framework.engine.engine import Shape
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.truth import scan
from foliolab.framework.errors import ModelError

NAMES: Final = "ABCD"
ORDER: Final = 2
PAGES: Final = 1 << ORDER
MOST_STATES: Final = 24
"""Pictures of more states cannot be read."""


@dataclass(frozen=True)
class State:
    """The page tables and the policy at one moment.

    Args:
        mapped: for each MM, which pages of the folio it maps.
        fields: what the policy stores, where it is not the initial value: (field, text).
        shared: the policy's answer; None while nothing maps the folio.
    """

    mapped: tuple[tuple[bool, ...], ...]
    fields: tuple[tuple[str, str], ...]
    shared: bool | None

    @property
    def mappings(self) -> int:
        """How many PTEs map the folio."""
        return sum(map(sum, self.mapped))

    @property
    def living(self) -> list[int]:
        """The MMs that map the folio."""
        return [mm for mm, pages in enumerate(self.mapped) if any(pages)]

    @property
    def verdict(self) -> str:
        """The policy's answer, compared with the page tables; empty where no MM maps the folio."""
        if self.shared is None:
            return ""
        if len(self.living) == 1:
            return "false shared" if self.shared else "exclusive"
        return "shared" if self.shared else "unsafe: exclusive"


@dataclass(frozen=True)
class Transition:
    """One operation leads from one state to another, both by number."""

    source: int
    target: int
    operation: str


@dataclass
class Graph:
    """All reachable states.

    Attributes:
        states: in number 0 nothing maps the folio.
        transitions: in the order of their discovery.
        complete: False where there are more than MOST_STATES.
        left_out: fields that were ignored.
    """

    states: list[State] = field(default_factory=list)
    transitions: list[Transition] = field(default_factory=list)
    complete: bool = True
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Setup:
    """Which MMs take part, and what they may do.

    Args:
        mms: how many MMs.
        family: True: the first MM forks the next one in order while all before it live. False: each living MM forks
            each MM that does not live.
        parts: whether MMs also unmap the folio's first page.
    """

    mms: int
    family: bool
    parts: bool


TWO: Final = Setup(2, family=False, parts=True)
THREE: Final = Setup(3, family=True, parts=False)
Operation = Callable[[Machine], object]


class _Explorer:
    def __init__(self, scheme: Scheme, setup: Setup, left_out: tuple[str, ...] = ()) -> None:
        self.setup = setup
        self.machine = Machine(scheme, Shape(4 * PAGES, setup.mms, PAGES, max_order=ORDER), "interpreted")
        self.stored = [f for f in scheme.fields if f.per != "mm" and not f.overlays and f.name not in left_out]
        self.graph = Graph(left_out=left_out)
        self._numbers: dict[State, int] = {}

    def explore(self) -> Graph:
        """Search breadth first; each state is restored from its copy of the machine's memory."""
        graph = self.graph
        waiting = [(self._number(), self.machine.snapshot())]
        while waiting:
            number, memory = waiting.pop(0)
            for name, operation in self._operations(graph.states[number]):
                self.machine.restore(memory)
                try:
                    operation(self.machine)
                except ModelError:
                    continue  # the modelled kernel refuses it
                known = len(graph.states)
                target = self._number()
                if target >= MOST_STATES:
                    graph.states.pop()
                    graph.complete = False
                    return graph
                graph.transitions.append(Transition(number, target, name))
                if target == known:
                    waiting.append((target, self.machine.snapshot()))
        return graph

    def _operations(self, state: State) -> Iterator[tuple[str, Operation]]:
        """The operations to try in a state, with their names."""
        living = state.living
        if not living:
            yield f"{NAMES[0]} touches", _touch
        for mm in living:
            for child in self._children(mm, living):
                yield f"{NAMES[mm]} forks {NAMES[child]}", _fork(mm, child)
            if self.setup.parts and state.mapped[mm][0]:
                yield f"{NAMES[mm]} unmaps a page", _unmap(mm)
            yield f"{NAMES[mm]} exits", _exit(mm)

    def _children(self, mm: int, living: list[int]) -> list[int]:
        if not self.setup.family:
            return [child for child in range(self.setup.mms) if child not in living]
        following = len(living) if living == list(range(len(living))) else self.setup.mms
        return [following] if mm == 0 and following < self.setup.mms else []

    def _number(self) -> int:
        """The number of the state that the machine is in."""
        state = self._state()
        if state not in self._numbers:
            self._numbers[state] = len(self.graph.states)
            self.graph.states.append(state)
        return self._numbers[state]

    def _state(self) -> State:
        truth = scan(self.machine)
        heads = truth.folios()
        if not heads.size:
            return State(((False,) * PAGES,) * self.setup.mms, (), None)
        head = int(heads[0])
        mapped = tuple(tuple(bool(n) for n in row[head : head + PAGES]) for row in truth.ptes)
        return State(mapped, tuple(self._fields(head)), self.machine.maybe_shared(head))

    def _fields(self, head: int) -> Iterator[tuple[str, str]]:
        for stored in self.stored:
            values = self._values(stored, head)
            if any(value != (stored.init or 0) for value in values):
                yield stored.name, self._text(stored, values)

    def _values(self, stored: Stored, head: int) -> list[int]:
        if stored.per == "folio" and stored.page >= PAGES:
            return []
        each = stored.per == "page"
        holders = [self.machine.page(head + n) for n in range(PAGES)] if each else [self.machine.folio(head)]
        refs = [getattr(holder, stored.name) for holder in holders]
        return [int((ref[i] if stored.count > 1 else ref).peek()) for ref in refs for i in range(stored.count)]

    def _text(self, stored: Stored, values: list[int]) -> str:
        if stored.bits:
            parts = []
            for one in stored.bits:
                value = values[0] >> one.low & (1 << one.width) - 1
                if one.width > 1:
                    parts.append(f"{one.name}={value}")
                elif value:
                    parts.append(one.name)
            return " ".join(parts)
        if stored.per == "page" and len(set(values)) == 1:
            return f"{values[0]} in each page"
        while stored.count > PAGES and len(values) > 1 and values[-1] == (stored.init or 0):
            values.pop()  # an array for many more MMs than these
        return " ".join(str(value) for value in values)


def _touch(machine: Machine) -> None:
    machine.create(0, 1)
    machine.populate(0, 0, PAGES, ORDER)


def _fork(mm: int, child: int) -> Operation:
    return lambda machine: machine.fork(mm, child, mm_id=child + 1)


def _exit(mm: int) -> Operation:
    return lambda machine: machine.exit(mm)


def _unmap(mm: int) -> Operation:
    return lambda machine: machine.unmap(mm, 0, 1)


def explored(scheme: Scheme, setup: Setup = TWO) -> Graph:
    """The graph of a policy's states.

    Args:
        scheme: the policy with its parameters.
        setup: which MMs take part.
    """
    graph = _Explorer(scheme, setup).explore()
    if graph.complete:
        return graph
    return _Explorer(scheme, setup, tuple(one.name for one in scheme.fields if one.transient)).explore()
