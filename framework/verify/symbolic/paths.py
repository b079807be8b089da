"""Runs all paths of a function, and merges them where the function returns.

A path is a list of decisions. A run follows the decisions that it is given and takes the true side of each further one;
the other side is queued as another run. Afterwards the states and results of all runs are merged into if-then-else
terms, so a caller has no more paths than its own decisions make.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

from foliolab.framework.verify.symbolic import algebra
from foliolab.framework.verify.symbolic.number import Number, lift, term_of, unsupported
from foliolab.framework.verify.symbolic.term import TRUE, Op, Term, term_count

PATHS: Final = 4096
DECISIONS: Final = 100
TERMS: Final = 2_000_000

State = dict[Any, Term]
Assumed = tuple[Term, dict[Term, bool]]


class DeadEnd(Exception):
    """The path ends here. Its fault is recorded."""


class NotMergeable(Exception):
    """Two results cannot be one value."""


@dataclass(frozen=True)
class Fault:
    """The breach of a law on some path.

    Args:
        law: the law.
        when: the condition of the breach.
        message: what happens, and where.
    """

    law: str
    when: Term
    message: str


@dataclass
class _Path:
    """One run of a function.

    Attributes:
        prefix: the sides of the decisions that the run must take.
        decisions: the conditions of all its decisions, and the sides it took.
        known: the conditions whose values are known on the path.
        others: prefixes of the paths that begin at its decisions.
        side: the condition of the merged branches that run now (see `control_flow`).
        result, state: at the end; the state of a dead end is None.
    """

    prefix: tuple[bool, ...]
    decisions: list[tuple[Term, bool]] = field(default_factory=list)
    known: dict[Term, bool] = field(default_factory=dict)
    others: list[tuple[bool, ...]] = field(default_factory=list)
    side: Term = TRUE
    result: Any = None
    state: State | None = None


class Paths:
    """Runs functions on terms; `state` is what they change."""

    def __init__(self, stopped: Callable[[], bool]) -> None:
        self.state: State = {}
        self.unknowns = 0
        """Values of unknown origin so far. A run that repeats another one gets the same."""
        self.faults: list[Fault] = []
        self.max_terms = TERMS
        self.before_dead_end: Callable[[], object] = lambda: None
        self._stopped = stopped
        self._frames: list[_Path] = []

    def look(self) -> None:
        """Check the limits.

        Raises:
            InterruptedError: the attack has to end.
            Unsupported: there are too many terms.
        """
        if self._stopped():
            raise InterruptedError
        if term_count() > self.max_terms:
            raise unsupported("makes terms that are too large")

    # -- decisions ---------------------------------------------------------------------------------------
    def decide(self, condition: Term) -> bool:
        """The side of a condition that this run takes."""
        if condition.value is not None:
            return bool(condition.value)
        if condition.op == Op.NOT:
            return not self.decide(condition.args[0])
        known = self.known(condition)
        if known is not None:
            return known
        frame = self._frames[-1]
        at = len(frame.decisions)
        if at > DECISIONS:
            raise unsupported(f"makes more than {DECISIONS} decisions on one path")
        if at < len(frame.prefix):
            side = frame.prefix[at]
        else:
            side = True
            frame.others.append((*(taken for _, taken in frame.decisions), False))
        frame.decisions.append((condition, side))
        _learn(frame.known, condition, side)
        return side

    def here(self) -> Term:
        """The condition of the current path."""
        literals = [
            condition if side else algebra.not_(condition)
            for frame in self._frames
            for condition, side in frame.decisions
        ]
        return algebra.all_(*literals, *(frame.side for frame in self._frames))

    @property
    def repeats(self) -> bool:
        """Whether this run does again what an earlier run did, up to a decision that it takes the other way."""
        return any(len(frame.decisions) < len(frame.prefix) for frame in self._frames)

    def fault(self, law: str, when: Term, message: str) -> None:
        """Record a breach on the current path if `when` holds."""
        condition = algebra.all_(self.here(), when)
        if condition.value != 0:
            self.faults.append(Fault(law, condition, message))

    # -- merging -----------------------------------------------------------------------------------------
    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Run all paths of a function, merge the states, and return the merged result.

        If the results cannot be merged, each path of the function becomes a path of the caller.
        """
        self.look()
        before, faults, unknowns = self.state, len(self.faults), self.unknowns
        most = unknowns
        finished: list[_Path] = []
        todo: list[tuple[bool, ...]] = [()]
        while todo:
            self.state, self.unknowns = dict(before), unknowns
            path = _Path(todo.pop())
            self._frames.append(path)
            try:
                path.result = function(*arguments)
                path.state = self.state
            except DeadEnd:
                path.state = None
            finally:
                self._frames.pop()
            finished.append(path)
            most = max(most, self.unknowns)
            todo += path.others
            if len(finished) + len(todo) > PATHS:
                raise unsupported(f"has more than {PATHS:,} paths")
        self.unknowns = most
        if all(path.state is None for path in finished):
            self.state = before
            raise DeadEnd
        try:
            result, self.state = _merge(finished, 0, self)
        except NotMergeable:
            if not self._frames:
                raise unsupported("returns different things on different paths") from None
            self.state = before
            del self.faults[faults:]
            return function(*arguments)
        return result

    def known(self, condition: Term) -> bool | None:
        """The value of a condition on the current path, None if it is not known."""
        plain, swapped = (condition.args[0], True) if condition.op == Op.NOT else (condition, False)
        for frame in self._frames:
            if plain in frame.known:
                return frame.known[plain] is not swapped
        return None

    def assumed(self) -> Assumed:
        """The current assumptions, for `assume`."""
        frame = self._frames[-1]
        return frame.side, dict(frame.known)

    def assume(self, assumed: Assumed, condition: Term | None = None, holds: bool = True) -> None:
        """Return to earlier assumptions, and add a condition or its negation."""
        frame = self._frames[-1]
        frame.side, frame.known = assumed[0], dict(assumed[1])
        for decided, taken in frame.decisions:  # decisions stay, also those made since
            _learn(frame.known, decided, taken)
        if condition is not None:
            frame.side = algebra.all_(frame.side, condition if holds else algebra.not_(condition))
            _learn(frame.known, condition, holds)

    def dead_end(self) -> NoReturn:
        """End the current path."""
        self.before_dead_end()
        raise DeadEnd


def _learn(known: dict[Term, bool], condition: Term, side: bool) -> None:
    if condition.op == Op.NOT:
        _learn(known, condition.args[0], not side)
        return
    known[condition] = side
    if condition.op == Op.ALL and side:
        for part in condition.args[0]:
            _learn(known, part, True)


def merge_values(condition: Term, a: Any, b: Any, paths: Paths) -> Any:
    """The value that is `a` if the condition holds, else `b`.

    Raises:
        NotMergeable: the values are neither numbers nor equal.
    """
    if a is b:
        return a
    if isinstance(a, (int, Number)) and isinstance(b, (int, Number)):
        return lift(algebra.choose(condition, term_of(a), term_of(b)), paths)
    if isinstance(a, tuple) and isinstance(b, tuple) and len(a) == len(b):
        return tuple(merge_values(condition, x, y, paths) for x, y in zip(a, b, strict=True))
    if getattr(a, "same", None) is not None and a.same(b):
        return a
    raise NotMergeable


def merge_states(condition: Term, a: State, b: State) -> State:
    """The state that is `a` if the condition holds, else `b`. A cell that only one side has keeps its value."""
    merged = dict(a)
    for key, value in b.items():
        merged[key] = algebra.choose(condition, a[key], value) if key in a else value
    return merged


def _merge(paths: list[_Path], depth: int, owner: Paths) -> tuple[Any, State]:
    """The merged result and state of paths that took the same first `depth` decisions."""
    alive = [path for path in paths if path.state is not None]
    if len(alive) == 1:
        state = alive[0].state
        assert state is not None
        return alive[0].result, state
    condition = alive[0].decisions[depth][0]
    sides = [[path for path in alive if path.decisions[depth][1] is side] for side in (True, False)]
    if not sides[0] or not sides[1]:
        return _merge(alive, depth + 1, owner)
    (a, before), (b, after) = (_merge(side, depth + 1, owner) for side in sides)
    return merge_values(condition, a, b, owner), merge_states(condition, before, after)
