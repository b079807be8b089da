"""What the marks in a rewritten text do: loops of unknown length, and choices that are left at one end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from foliolab.framework.verify.symbolic import algebra
from foliolab.framework.verify.symbolic.number import Number, term_of, unsupported
from foliolab.framework.verify.symbolic.paths import Apart, Paths, State, merge_states, merge_values
from foliolab.framework.verify.symbolic.space import FOLIO, Place, Space
from foliolab.framework.verify.symbolic.term import Term

Site = tuple[str, int]
"""A function and the number of the mark in it."""


class Unbound:
    """A name that had no value yet."""


UNBOUND = Unbound()


class Again(Exception):
    """Something was learnt about the text: run the entry anew."""


class Marks:
    """What is known about the marks of a text.

    Attributes:
        changed: the cells that a loop of unknown length changes.
        forked: choices whose sides cannot go on as one.
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        self.paths = space.paths
        self.changed: dict[Site, set[Place]] = {}
        self.forked: set[Site] = set()
        self.loops: list[Site] = []
        self.joins: list[Site] = []
        space.written = self._written
        space.paths.before_dead_end = self.fork

    def _written(self, place: Place) -> None:
        for site in self.loops:
            if place not in self.changed[site]:
                self.changed[site].add(place)
                raise Again

    def fork(self) -> bool:
        """Take the choices that run now as decisions from now on; whether there are any."""
        if self.joins:
            self.forked.update(self.joins)
            raise Again
        return False

    def loop(self, site: Site, *arguments: Any) -> Any:
        """What a `for` iterates over instead of `range(*arguments)`."""
        start, stop, step = (0, *arguments, 1) if len(arguments) == 1 else (*arguments, 1)[:3]
        if not any(isinstance(one, Number) for one in (start, stop, step)):
            return Known(range(start, stop, step))
        length = stop - start
        if term_of(length) is term_of(step) and isinstance(step, Number) and term_of(step).lo > 0:
            return Known((start,))
        if isinstance(length, int) and isinstance(step, int) and step > 0:
            return Known([start + i for i in range(0, length, step)])
        return Unknown(self, site, start, stop)

    def branch(self, site: Site, condition: Any) -> Any:
        """What an `if` becomes: its sides, one after the other."""
        self.paths.look()
        value = term_of(condition) if isinstance(condition, Number) else None
        if value is None or site in self.forked:
            return One(bool(condition))
        truth = algebra.bool_(value)
        if truth.value is not None:
            return One(bool(truth.value))
        known = self.paths.known(truth)
        return One(known) if known is not None else Join(self, site, truth)


class Known:
    """A loop whose iterations are known."""

    def __init__(self, values: Any) -> None:
        self.values = values

    def __iter__(self) -> Iterator[Any]:
        return iter(self.values)

    def carry(self, names: dict[str, Any], wanted: list[str]) -> list[Any]:
        """The names as they are."""
        return [names.get(name, UNBOUND) for name in wanted]


class Unknown:
    """A loop of unknown length: its body runs once, with anything that an iteration may find, or not at all."""

    def __init__(self, marks: Marks, site: Site, start: Any, stop: Any) -> None:
        self.marks = marks
        self.site = site
        self.start = start
        self.stop = stop
        self.entered = False

    def __iter__(self) -> Iterator[Any]:
        marks = self.marks
        if not (self.start < self.stop):
            return
        self.entered = True
        changed = marks.changed.setdefault(self.site, set())
        self._forget(changed)
        marks.loops.append(self.site)
        yield marks.space.unknown()
        marks.loops.remove(self.site)
        self._forget(changed)

    def _forget(self, changed: set[Place]) -> None:
        space = self.marks.space
        for name, offset in sorted(changed):
            if name != FOLIO:
                raise unsupported("changes what an MM keeps in a loop of unknown length")
            self.marks.paths.state[name, offset] = space.any_of((name, offset))

    def carry(self, names: dict[str, Any], wanted: list[str]) -> list[Any]:
        """Any value for each name, once the loop may have run."""
        if not self.entered:
            return [names.get(name, UNBOUND) for name in wanted]
        held = [names.get(name, UNBOUND) for name in wanted]
        return [self.marks.space.unknown() if isinstance(one, (int, Number)) else one for one in held]


class One:
    """A choice that is made."""

    def __init__(self, side: bool) -> None:
        self.side = side
        self.values: list[Any] = []

    def __iter__(self) -> Iterator[bool]:
        yield self.side

    def enter(self, names: dict[str, Any], wanted: list[str]) -> list[Any]:
        """The names before."""
        return [names.get(name, UNBOUND) for name in wanted]

    def leave(self, names: dict[str, Any], wanted: list[str]) -> None:
        """The names at the end of the side."""
        self.values = [names.get(name, UNBOUND) for name in wanted]

    def merged(self) -> list[Any]:
        """The names after the choice."""
        return self.values


class Join:
    """A choice both of whose sides run, each from the same state; afterwards they are one."""

    def __init__(self, marks: Marks, site: Site, condition: Term) -> None:
        self.marks = marks
        self.paths: Paths = marks.paths
        self.site = site
        self.condition = condition
        self.before: list[Any] | None = None
        self.ends: list[tuple[list[Any], State]] = []

    def __iter__(self) -> Iterator[bool]:
        state = self.paths.state
        assumed = self.paths.assumed()
        self.marks.joins.append(self.site)
        for side in (True, False):
            self.paths.state = dict(state)
            self.paths.assume(assumed, self.condition, side)
            yield side
        self.marks.joins.pop()
        self.paths.assume(assumed)
        self.paths.state = merge_states(self.condition, self.ends[0][1], self.ends[1][1])

    def enter(self, names: dict[str, Any], wanted: list[str]) -> list[Any]:
        """The names as they were before the choice, for each side."""
        if self.before is None:
            self.before = [names.get(name, UNBOUND) for name in wanted]
        return self.before

    def leave(self, names: dict[str, Any], wanted: list[str]) -> None:
        """The end of a side."""
        self.ends.append(([names.get(name, UNBOUND) for name in wanted], self.paths.state))

    def merged(self) -> list[Any]:
        """The names after the choice."""
        found = []
        for a, b in zip(self.ends[0][0], self.ends[1][0], strict=True):
            if a is UNBOUND or b is UNBOUND:
                found.append(b if a is UNBOUND else a)
                continue
            try:
                found.append(merge_values(self.condition, a, b, self.paths))
            except Apart:
                self.marks.forked.add(self.site)
                raise Again from None
        return found
