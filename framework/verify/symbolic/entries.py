"""The entries of a policy, such as `add_ptes`, ready to run on terms.

The call tree is the one of the interpreted and the native engine; its functions are copied, rewritten (see `rewriting`)
and given symbolic primitives and built-in functions.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import FunctionType, ModuleType
from typing import Any, cast

from foliolab.framework.engine import calls
from foliolab.framework.engine import folio as helpers
from foliolab.framework.engine.guard import author_location
from foliolab.framework.engine.policytree import policy_tree
from foliolab.framework.verify.symbolic import algebra
from foliolab.framework.verify.symbolic.control_flow import ControlFlow, Restart
from foliolab.framework.verify.symbolic.number import (
    BUILTINS,
    Table,
    Unsupported,
    lift,
    symbolic_and,
    symbolic_not,
    symbolic_or,
    term_of,
)
from foliolab.framework.verify.symbolic.primitives import SUBSTITUTES
from foliolab.framework.verify.symbolic.rewriting import AND, BRANCH, CHECK, LOOP, NOT, OR, rewritten
from foliolab.framework.verify.symbolic.space import Space

CHECKS = "checks"
"""The law that a check of the text breaks."""
RESTARTS = 200
DEPTH = 60


class Entries:
    """The entries of one policy over one space."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self.paths = space.paths
        self.flow = ControlFlow(space)
        self._depth = 0
        self._copies: list[tuple[FunctionType, FunctionType]] = []
        functions = policy_tree(space.scheme).copies(self._replacement)
        self.entries: dict[str, Callable[..., Any]] = {
            entry.__name__: functions[cast(FunctionType, entry)] for entry in calls.ENTRIES
        }
        for function, copy in self._copies:
            self._prepare(function, copy)

    def _replacement(self, function: FunctionType, copy: FunctionType) -> Any:
        """What callers see of a function: a call that runs all its paths."""
        if function is helpers.folio_nr_pages:
            return lambda folio: lift(self.space.pages, self.paths)
        self._copies.append((function, copy))
        return partial(self._call, function, copy)

    def _call(self, function: FunctionType, copy: FunctionType, *arguments: Any, **named: Any) -> Any:
        if self._depth > DEPTH:
            code = function.__code__
            raise Unsupported(
                f"{code.co_filename}:{code.co_firstlineno} {function.__name__} calls itself too often",
                "write a loop with a bound",
            )
        self._depth += 1
        try:
            return self.paths.call(partial(copy, *arguments, **named))
        finally:
            self._depth -= 1

    def _prepare(self, function: FunctionType, copy: FunctionType) -> None:
        code = rewritten(function)
        if code is not None:
            copy.__code__ = code
        names = copy.__globals__
        names.update(BUILTINS)
        name = f"{function.__module__}.{function.__qualname__}"
        names[LOOP] = lambda number, *arguments: self.flow.loop((name, number), *arguments)
        names[BRANCH] = lambda number, condition: self.flow.branch((name, number), condition)
        names.update({CHECK: self._check, NOT: symbolic_not, AND: symbolic_and, OR: symbolic_or})
        for key, value in list(names.items()):
            if isinstance(value, ModuleType):
                for attribute, inner in list(vars(value).items()):
                    if value.__spec__ is None:  # a copy that the call tree made
                        setattr(value, attribute, _on_terms(inner))
            else:
                names[key] = _on_terms(value)

    def _check(self, condition: Any, said: str = "") -> None:
        """A check of the text: it breaks the law where the condition does not hold, and the code goes on."""
        holds = algebra.bool_(term_of(condition))
        self.paths.fault(CHECKS, algebra.not_(holds), f"the check at {author_location()} fires{said and f': {said}'}")

    def run(self, entry: str, *arguments: Any) -> Any:
        """Run an entry on the state of the space, and return its result.

        Raises:
            Unsupported: the code does something that terms cannot express.
            DeadEnd: no path comes to its end.
        """
        before, faults = dict(self.paths.state), len(self.paths.faults)
        accesses = self.space.accesses
        listed = len(accesses or ())
        for _ in range(RESTARTS):
            try:
                return self.entries[entry](*arguments)
            except Restart:
                self.paths.state = dict(before)
                del self.paths.faults[faults:]
                if accesses is not None:
                    del accesses[listed:]
                self.flow.reset()
                self._depth = 0
        raise AssertionError("a restart adds a cell or a condition, and there are few")


def _on_terms(value: Any) -> Any:
    if isinstance(value, FunctionType) and value in SUBSTITUTES:
        return SUBSTITUTES[value]
    return Table(value) if type(value) is tuple else value
