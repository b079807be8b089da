"""A policy's entries, to be run on terms: the same call tree as interpreted and native, with terms below it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import FunctionType, ModuleType
from typing import Any, cast

from foliolab.framework.engine import calls
from foliolab.framework.engine import folio as helpers
from foliolab.framework.engine.policytree import policy_tree
from foliolab.framework.verify.symbolic.marks import Again, Marks
from foliolab.framework.verify.symbolic.number import Number, Table, lift
from foliolab.framework.verify.symbolic.paths import Paths
from foliolab.framework.verify.symbolic.primitives import BUILTINS, SUBSTITUTES
from foliolab.framework.verify.symbolic.rewriting import BRANCH, LOOP, rewritten
from foliolab.framework.verify.symbolic.space import Pointer, Space

REPEATS = 200
DEPTH = 60


class Text:
    """The entries of one policy over one space."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self.paths: Paths = space.paths
        self.marks = Marks(space)
        self._depth = 0
        self._twins: list[tuple[FunctionType, FunctionType]] = []
        made = policy_tree(space.scheme).copies(self._stand_in)
        self.entries: dict[str, Callable[..., Any]] = {
            entry.__name__: made[cast(FunctionType, entry)] for entry in calls.ENTRIES
        }
        for function, twin in self._twins:
            self._furnish(function, twin)

    def _stand_in(self, function: FunctionType, twin: FunctionType) -> Any:
        """What callers see of a function: all its paths at once."""
        if function is helpers.folio_nr_pages:
            return lambda folio: lift(self.space.pages, self.paths)
        self._twins.append((function, twin))
        return partial(self._call, function, twin)

    def _call(self, function: FunctionType, twin: FunctionType, *arguments: Any, **named: Any) -> Any:
        from foliolab.framework.verify.symbolic.number import Unsupported

        if self._depth > DEPTH:
            code = function.__code__
            raise Unsupported(
                f"{code.co_filename}:{code.co_firstlineno} {function.__name__} calls itself too often",
                "write a loop with a bound",
            )
        self._depth += 1
        try:
            return self.paths.call(partial(twin, *arguments, **named))
        finally:
            self._depth -= 1

    def _furnish(self, function: FunctionType, twin: FunctionType) -> None:
        code = rewritten(function)
        if code is not None:
            twin.__code__ = code
        space = twin.__globals__
        space.update(BUILTINS)
        name = f"{function.__module__}.{function.__qualname__}"
        space[LOOP] = lambda number, *arguments: self.marks.loop((name, number), *arguments)
        space[BRANCH] = lambda number, condition: self.marks.branch((name, number), condition)
        for key, value in list(space.items()):
            if isinstance(value, ModuleType):
                for attribute, inner in list(vars(value).items()):
                    if value.__spec__ is None:  # a copy that the call tree made
                        setattr(value, attribute, _on_terms(inner))
            else:
                space[key] = _on_terms(value)

    def run(self, entry: str, *arguments: Any) -> Any:
        """Run an entry on the space's state; what it answers.

        Raises:
            Unsupported: the text does what terms cannot follow.
            DeadEnd: it never comes to its end.
        """
        before, faults = dict(self.paths.state), len(self.paths.faults)
        for _ in range(REPEATS):
            try:
                return self.entries[entry](*arguments)
            except Again:
                self.paths.state = dict(before)
                del self.paths.faults[faults:]
                self.marks.loops.clear()
                self.marks.joins.clear()
                self._depth = 0
        raise AssertionError("a loop's cells are finitely many")

    def answer(self, entry: str, page: Any, nr: Any, mm: Pointer | None) -> Any:
        """Run an entry that only asks; the state stays."""
        before = self.paths.state
        try:
            return self.run(entry, self.space.folio(), page, nr, mm)
        finally:
            self.paths.state = before


def _on_terms(value: Any) -> Any:
    if isinstance(value, FunctionType) and value in SUBSTITUTES:
        return SUBSTITUTES[value]
    if type(value) is tuple:
        return Table(value)
    return value


__all__ = ["Number", "Text"]
