"""The loops and conditions of a rewritten function (see `rewriting`), as they run on terms.

A rewritten loop iterates over a `Loop`, a rewritten condition over the sides of a `Branch`. Both get the local
variables that their body assigns. If a run learns something that its beginning should have known, such as a cell that
a loop changes, it raises `Restart` and the entry of the policy runs again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from foliolab.framework.verify.symbolic import algebra
from foliolab.framework.verify.symbolic.number import Number, term_of, unsupported
from foliolab.framework.verify.symbolic.paths import NotMergeable, State, merge_states, merge_values
from foliolab.framework.verify.symbolic.space import FOLIO, CellKey, Space
from foliolab.framework.verify.symbolic.term import Term

Site = tuple[str, int]
"""A function, and the number of the loop or condition in it."""

UNBOUND = object()
"""The value of a local variable that is not assigned yet."""


class Restart(Exception):
    """The entry has to run again."""


class ControlFlow:
    """What is known about the loops and conditions of a policy.

    Attributes:
        changed: the cells that each loop of unknown length changes.
        split: the conditions whose sides cannot be merged; each side is a path of its own.
        loops, branches: those that run now.
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        self.paths = space.paths
        self.changed: dict[Site, set[CellKey]] = {}
        self.split: set[Site] = set()
        self.loops: list[Site] = []
        self.branches: list[Site] = []
        space.on_write = self._note_write
        space.paths.before_dead_end = self._split_branches

    def reset(self) -> None:
        """Prepare for another run."""
        self.loops.clear()
        self.branches.clear()

    def _note_write(self, key: CellKey) -> None:
        for site in self.loops:
            if key not in self.changed[site]:
                self.changed[site].add(key)
                raise Restart

    def _split_branches(self) -> None:
        """A path ends inside of conditions: a side that does not end cannot be merged."""
        if self.branches:
            self.split.update(self.branches)
            raise Restart

    def loop(self, site: Site, *arguments: Any) -> Loop:
        """The replacement of `range(*arguments)` in a `for` statement."""
        start, stop, step = (0, *arguments, 1) if len(arguments) == 1 else (*arguments, 1)[:3]
        if not any(isinstance(argument, Number) for argument in (start, stop, step)):
            return Loop(range(start, stop, step))
        length = stop - start
        if term_of(length) is term_of(step) and isinstance(step, Number) and term_of(step).lo > 0:
            return Loop((start,))
        if isinstance(length, int) and isinstance(step, int) and step > 0:
            return Loop([start + i for i in range(0, length, step)])
        return SummarizedLoop(self, site, start, stop)

    def branch(self, site: Site, condition: Any) -> Branch:
        """The replacement of a condition in an `if` statement."""
        self.paths.look()
        if not isinstance(condition, Number) or site in self.split:
            return Branch(self, site, algebra.truth(bool(condition)))
        truth = algebra.bool_(term_of(condition))
        known = self.paths.known(truth)
        return Branch(self, site, truth if known is None else algebra.truth(known))


def _values(local: dict[str, Any], names: list[str]) -> list[Any]:
    return [local.get(name, UNBOUND) for name in names]


class Loop:
    """A loop whose iterations are known."""

    def __init__(self, values: Iterable[Any]) -> None:
        self.values = values

    def __iter__(self) -> Iterator[Any]:
        return iter(self.values)

    def carry(self, local: dict[str, Any], names: list[str]) -> list[Any]:
        """The local variables at the beginning of an iteration, and after the loop."""
        return _values(local, names)


class SummarizedLoop(Loop):
    """A loop of unknown length. The body runs once, from a state that covers every iteration, or not at all."""

    def __init__(self, flow: ControlFlow, site: Site, start: Any, stop: Any) -> None:
        self.flow = flow
        self.site = site
        self.start = start
        self.stop = stop
        self.entered = False

    def __iter__(self) -> Iterator[Any]:
        flow = self.flow
        if not (self.start < self.stop):
            return
        self.entered = True
        changed = flow.changed.setdefault(self.site, set())
        self._widen(changed)
        flow.loops.append(self.site)
        yield flow.space.unknown()
        flow.loops.remove(self.site)
        self._widen(changed)

    def _widen(self, changed: set[CellKey]) -> None:
        for key in sorted(changed):
            if key[0] != FOLIO:
                raise unsupported("changes a field of an MM in a loop of unknown length")
            self.flow.paths.state[key] = self.flow.space.any_value(key)

    def carry(self, local: dict[str, Any], names: list[str]) -> list[Any]:
        values = _values(local, names)
        if not self.entered:
            return values
        return [self.flow.space.unknown() if isinstance(value, (int, Number)) else value for value in values]


class Branch:
    """A condition. Unless its value is known, both sides run, each from the same state, and are merged."""

    def __init__(self, flow: ControlFlow, site: Site, condition: Term) -> None:
        self.flow = flow
        self.paths = flow.paths
        self.site = site
        self.condition = condition
        self.before: list[Any] | None = None
        self.ends: list[tuple[list[Any], State]] = []

    def __iter__(self) -> Iterator[bool]:
        if self.condition.value is not None:
            yield bool(self.condition.value)
            return
        state = self.paths.state
        assumed = self.paths.assumed()
        self.flow.branches.append(self.site)
        for side in (True, False):
            self.paths.state = dict(state)
            self.paths.assume(assumed, self.condition, side)
            yield side
        self.flow.branches.pop()
        self.paths.assume(assumed)
        self.paths.state = merge_states(self.condition, self.ends[0][1], self.ends[1][1])

    def enter(self, local: dict[str, Any], names: list[str]) -> list[Any]:
        """The local variables at the beginning of a side."""
        if self.before is None:
            self.before = _values(local, names)
        return self.before

    def leave(self, local: dict[str, Any], names: list[str]) -> None:
        """Note the end of a side."""
        self.ends.append((_values(local, names), self.paths.state))

    def merged(self) -> list[Any]:
        """The local variables after the condition."""
        if len(self.ends) == 1:
            return self.ends[0][0]
        found = []
        for a, b in zip(self.ends[0][0], self.ends[1][0], strict=True):
            if a is UNBOUND or b is UNBOUND:
                found.append(b if a is UNBOUND else a)
                continue
            try:
                found.append(merge_values(self.condition, a, b, self.paths))
            except NotMergeable:
                self.flow.split.add(self.site)
                raise Restart from None
        return found
