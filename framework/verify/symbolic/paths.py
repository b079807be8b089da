"""All paths of a function at once: each is run by itself, and where the function ends they are one again.

A path is a list of decisions. A run follows those it is given and takes the true side of every further one; the
other sides are runs of their own. Afterwards the states and results of all runs are merged into choices, so that
a caller never has more paths than its own decisions make.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

from foliolab.framework.verify.symbolic import algebra
from foliolab.framework.verify.symbolic.number import Number, lift, term_of, unsupported
from foliolab.framework.verify.symbolic.term import ALL, NOT, TRUE, Term, made

PATHS: Final = 4096
DECISIONS: Final = 100
TERMS: Final = 2_000_000

State = dict[Any, Term]
Assumed = tuple[Term, dict[Term, bool]]


class DeadEnd(Exception):
    """This path does not go on: the fault is recorded."""


class Apart(Exception):
    """Results that cannot be one value: the caller takes the paths itself."""


@dataclass(frozen=True)
class Fault:
    """What goes wrong on some path.

    Args:
        law: whose breach it is.
        when: the condition.
        message: what happens, and where.
    """

    law: str
    when: Term
    message: str


@dataclass
class _Run:
    prefix: tuple[bool, ...]
    made: list[tuple[Term, bool]] = field(default_factory=list)
    known: dict[Term, bool] = field(default_factory=dict)
    others: list[tuple[bool, ...]] = field(default_factory=list)
    side: Term = TRUE


@dataclass
class _Outcome:
    made: list[tuple[Term, bool]]
    result: Any
    state: State | None


class Paths:
    """Runs functions on terms; `state` is what they change."""

    def __init__(self, stopped: Callable[[], bool]) -> None:
        self.state: State = {}
        self.faults: list[Fault] = []
        self.runs = 0
        self.most = TERMS
        """Terms in all, from which on it is too much."""
        self.before_dead_end: Callable[[], object] = lambda: None
        self._stopped = stopped
        self._frames: list[_Run] = []

    def look(self) -> None:
        """Whether to go on.

        Raises:
            InterruptedError: somebody wants an end.
            Unsupported: there are more terms than can be handled.
        """
        if self._stopped():
            raise InterruptedError
        if made() > self.most:
            raise unsupported("makes too large terms: its paths and numbers multiply")

    # -- decisions ---------------------------------------------------------------------------------------
    def decide(self, condition: Term) -> bool:
        """The side that this run takes."""
        if condition.value is not None:
            return bool(condition.value)
        if condition.op == NOT:
            return not self.decide(condition.args[0])
        known = self.known(condition)
        if known is not None:
            return known
        frame = self._frames[-1]
        at = len(frame.made)
        if at > DECISIONS:
            raise unsupported(f"makes more than {DECISIONS} decisions on one path")
        if at < len(frame.prefix):
            side = frame.prefix[at]
        else:
            side = True
            frame.others.append((*(taken for _, taken in frame.made), False))
        frame.made.append((condition, side))
        _learn(frame.known, condition, side)
        return side

    def here(self) -> Term:
        """The condition of the path that runs now."""
        literals = [
            condition if side else algebra.not_(condition) for frame in self._frames for condition, side in frame.made
        ]
        return algebra.all_(*literals, *(frame.side for frame in self._frames))

    def fault(self, law: str, when: Term, message: str) -> None:
        """Something goes wrong here if `when` holds."""
        condition = algebra.all_(self.here(), when)
        if condition.value != 0:
            self.faults.append(Fault(law, condition, message))

    # -- merging -----------------------------------------------------------------------------------------
    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Run all paths of a function; its merged result. The state is the merged one afterwards."""
        self.look()
        before, faults = self.state, len(self.faults)
        outcomes: list[_Outcome] = []
        todo: list[tuple[bool, ...]] = [()]
        while todo:
            self.state = dict(before)
            frame = _Run(todo.pop())
            self._frames.append(frame)
            self.runs += 1
            try:
                result = function(*arguments)
                outcomes.append(_Outcome(frame.made, result, self.state))
            except DeadEnd:
                outcomes.append(_Outcome(frame.made, None, None))
            finally:
                self._frames.pop()
            todo += frame.others
            if len(outcomes) + len(todo) > PATHS:
                raise unsupported(f"has more than {PATHS:,} paths")
        alive = [one for one in outcomes if one.state is not None]
        if not alive:
            self.state = before
            raise DeadEnd
        try:
            result, self.state = _merge(outcomes, 0, self)
        except Apart:
            if not self._frames:
                raise unsupported("returns different things on different paths") from None
            self.state = before
            del self.faults[faults:]
            return function(*arguments)
        return result

    def known(self, condition: Term) -> bool | None:
        """Whether a condition is known to hold, or not to, on the path that runs now."""
        plain, swapped = (condition.args[0], True) if condition.op == NOT else (condition, False)
        for frame in self._frames:
            if plain in frame.known:
                return frame.known[plain] is not swapped
        return None

    def assumed(self) -> Assumed:
        """What is assumed now, for `assume`."""
        frame = self._frames[-1]
        return frame.side, dict(frame.known)

    def assume(self, assumed: Assumed, condition: Term | None = None, holds: bool = True) -> None:
        """Assume what was assumed before, and one condition more."""
        frame = self._frames[-1]
        frame.side, frame.known = assumed[0], dict(assumed[1])
        for decided, taken in frame.made:  # a run keeps to its decisions
            _learn(frame.known, decided, taken)
        if condition is not None:
            frame.side = algebra.all_(frame.side, condition if holds else algebra.not_(condition))
            _learn(frame.known, condition, holds)

    def dead_end(self) -> NoReturn:
        """Whoever comes here does not go on."""
        self.before_dead_end()
        raise DeadEnd


def _learn(known: dict[Term, bool], condition: Term, side: bool) -> None:
    if condition.op == NOT:
        _learn(known, condition.args[0], not side)
        return
    known[condition] = side
    if condition.op == ALL and side:
        for part in condition.args[0]:
            _learn(known, part, True)


def merge_values(condition: Term, a: Any, b: Any, paths: Paths) -> Any:
    """One value for two sides.

    Raises:
        Apart: there is none.
    """
    if a is b:
        return a
    if isinstance(a, (int, Number)) and isinstance(b, (int, Number)):
        return lift(algebra.choose(condition, term_of(a), term_of(b)), paths)
    if isinstance(a, tuple) and isinstance(b, tuple) and len(a) == len(b):
        return tuple(merge_values(condition, x, y, paths) for x, y in zip(a, b, strict=True))
    if getattr(a, "same", None) is not None and a.same(b):
        return a
    raise Apart


def merge_states(condition: Term, a: State, b: State) -> State:
    """One state for two sides; what only one of them made keeps that value, for the other never looks at it."""
    merged = dict(a)
    for place, value in b.items():
        mine = a.get(place)
        merged[place] = value if mine is None else algebra.choose(condition, mine, value)
    return merged


def _merge(outcomes: list[_Outcome], depth: int, paths: Paths) -> tuple[Any, State]:
    alive = [one for one in outcomes if one.state is not None]
    if len(alive) == 1:
        state = alive[0].state
        assert state is not None
        return alive[0].result, state
    condition = alive[0].made[depth][0]
    sides = [[one for one in alive if one.made[depth][1] is side] for side in (True, False)]
    if not sides[0] or not sides[1]:
        return _merge(alive, depth + 1, paths)
    (a, before), (b, after) = (_merge(side, depth + 1, paths) for side in sides)
    return merge_values(condition, a, b, paths), merge_states(condition, before, after)
