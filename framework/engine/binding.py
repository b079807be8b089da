"""Operations of a machine with their arguments checked once, to be run and timed many times."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from foliolab.framework.engine import entrypoints
from foliolab.framework.engine.engine import Engine
from foliolab.framework.engine.fork import OK
from foliolab.framework.engine.operation import Operation
from foliolab.framework.errors import UsageError

OF_SEVERAL: Final = frozenset({"write", "unmap", "fork", "protect", "mremap", "map_file", "gup_fast", "migrate"})
"""Operations that threads of one MM may do at the same time (see `entrypoints.LOCKED`)."""
# While `bind` collects its calls, an operation gets these answers, which mean success.
_DONE: Final[dict[Any, int]] = {entrypoints.write_range: 1 << 40}

EntryCall = tuple[Callable[..., Any], tuple[int, ...]]
"""An entry point of the engine with its integers, without the memories that it takes first."""


class BoundCall(partial[Any]):
    """An operation whose arguments have been checked, ready to be run and timed.

    It is a `partial`, so that calling it costs no frame of Python: what is timed is the operation.

    Attributes:
        operation: the operation.
        entries: the calls of the engine that it consists of, in order.
    """

    operation: Operation
    entries: tuple[EntryCall, ...]


def _run_all(calls: tuple[Callable[[], Any], ...]) -> None:
    for call in calls:
        call()


class BindingEngine(Engine):
    """An engine whose operations can be bound; each is a method that reaches entry points by `_call`.

    Attributes:
        several: the MMs that several threads use: operations on them that are bound take the MM's locks.

    During `bind`, `_bound` collects the calls of entry points, and they are not run.
    """

    several: frozenset[int] = frozenset()
    _locking = False
    _bound: list[EntryCall] | None = None

    def _call(self, entry: Callable[..., Any], *numbers: int) -> Any:
        if self._bound is None:
            return self.entry_point(entry)(*numbers)
        locked = entrypoints.LOCKED.get(entry, entry)
        self._bound.append((locked if self._locking else entry, numbers))
        return _DONE.get(entry, OK)

    def apply(self, operation: Operation) -> Any:
        """Run an operation; the answer of its method.

        Raises:
            ModelError: the modelled kernel refuses it.
            PluginError: the policy fails in it.
        """
        return getattr(self, operation.name)(**dict(operation.arguments))

    def bind(self, operation: str, *arguments: int, **options: int | None) -> BoundCall:
        """An operation with its arguments checked now, to be run (and timed) later.

        Args:
            operation: the method's name, for example `unmap`.
            arguments, options: what the method takes.

        Raises:
            ModelError: the modelled kernel refuses it.
            UsageError: there is no such operation, or it does not take these arguments.
        """
        return self.bind_operation(Operation.call(operation, *arguments, **options))

    def bind_operation(self, operation: Operation) -> BoundCall:
        """Bind an operation that is given as data; see `bind`. It does not run; its calls count as successes.

        Raises:
            ModelError: the modelled kernel refuses it, in the present state of the machine.
        """
        self._bound, self._locking = [], self._is_of_several(operation)
        try:
            self.apply(operation)
            entries = tuple(self._bound)
        finally:
            self._bound, self._locking = None, False
        calls = tuple(partial(self.entry_point(entry), *numbers) for entry, numbers in entries)
        bound = BoundCall(calls[0]) if len(calls) == 1 else BoundCall(_run_all, calls)
        bound.operation, bound.entries = operation, entries
        return bound

    def _is_of_several(self, operation: Operation) -> bool:
        """Whether an operation is on an MM that several threads use."""
        if self.several.isdisjoint(operation.mms):
            return False
        if operation.name not in OF_SEVERAL:
            raise UsageError(
                f"{operation.name} is not modelled in an MM that several threads use",
                f"give the thread an MM of its own; what threads of one MM may do: {', '.join(sorted(OF_SEVERAL))}",
            )
        return True

    def bind_function(self, function: Callable[..., Any], kinds: str, *numbers: int) -> Callable[[], Any]:
        """A function of primitives and engine operations, specialised for this policy, with its arguments.

        Args:
            function: a module-level function; its first argument is the memory.
            kinds: one letter per argument: m memory, i integer.
            numbers: the integers.
        """
        return partial(self.entry_point(function, kinds), *numbers)
