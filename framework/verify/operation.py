"""One operation of a modelled machine, as data: what sequences, threads and counterexamples are made of."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Final

from foliolab.framework.engine.machine import Machine
from foliolab.framework.errors import UsageError

OPERATIONS: Final = (
    "create", "exit", "fork", "populate", "file_folio", "map_file", "drop_file", "unmap", "flush_gather", "split_pmd",
    "protect", "mremap", "write", "get_user", "put_user", "pin", "unpin", "drain", "swap_cache", "swap_out", "swap_in",
    "maybe_shared",
)  # fmt: skip
"""Methods of `engine.machine.Machine` that change a state, and the question that a lock-less reader asks."""


@cache
def parameters(do: str) -> tuple[str, ...]:
    """The names of an operation's arguments, in order."""
    return tuple(name for name in inspect.signature(getattr(Machine, do)).parameters if name != "self")


@dataclass(frozen=True)
class Operation:
    """An operation by its name and its arguments, all of them integers (a flag is 0 or 1).

    Args:
        do: a method of `Machine`, out of OPERATIONS.
        numbers: the arguments that are given, by name.
    """

    do: str
    numbers: tuple[tuple[str, int], ...] = ()

    @classmethod
    def of(cls, do: str, **numbers: int) -> Operation:
        """An operation with its arguments by name."""
        return cls(do, tuple((name, int(value)) for name, value in numbers.items()))

    @classmethod
    def parse(cls, text: str) -> Operation:
        """Read what `told` writes, such as `fork parent=0 child=1`.

        Raises:
            UsageError: no such operation or argument, or no number.
        """
        do, *words = text.split() or [""]
        if do not in OPERATIONS:
            raise UsageError(f"there is no operation {do!r}", f"operations are {', '.join(OPERATIONS)}")
        known = parameters(do)
        numbers = []
        for word in words:
            name, equals, value = word.partition("=")
            if name not in known or not equals or not value.removeprefix("-").isdecimal():
                raise UsageError(f"operation {text!r}: {word!r} is not understood", f"{do} takes {', '.join(known)}")
            numbers.append((name, int(value)))
        return cls(do, tuple(numbers))

    @property
    def told(self) -> str:
        """As text, the other way of `parse`."""
        return " ".join([self.do, *(f"{name}={value}" for name, value in self.numbers)])

    def get(self, name: str, default: int = 0) -> int:
        """One argument."""
        return dict(self.numbers).get(name, default)

    def __str__(self) -> str:
        return self.told


def apply(machine: Machine, operation: Operation) -> Any:
    """Run an operation whole; what the machine's method answers.

    Raises:
        ModelError: the modelled kernel refuses it.
        PluginError: the policy fails in it.
    """
    return getattr(machine, operation.do)(**dict(operation.numbers))


def calls(machine: Machine, operation: Operation) -> list[tuple[Callable[..., int], tuple[int, ...]]]:
    """The engine's entry points that an operation consists of, each with its integers; nothing is run.

    Its arguments are checked against the state that the machine is in now. Operations that go on by what an
    entry point answered (a write to an absent page) go on as if all went well.

    Raises:
        ModelError: the modelled kernel would refuse it.
    """
    bound = machine.bind(operation.do, **dict(operation.numbers))
    parts = (
        bound.args[0] if isinstance(bound, partial) and bound.args and isinstance(bound.args[0], tuple) else (bound,)
    )
    return [_entry(machine, part) for part in parts]


def _entry(machine: Machine, call: Any) -> tuple[Callable[..., int], tuple[int, ...]]:
    """The entry point below the partials that `Machine.bind` and `Engine.kernel` wrap it in."""
    memories = (machine.vm, machine.contents, machine.vm.addr, machine.contents.addr)
    function = call
    arguments: list[Any] = []
    while isinstance(function, partial):
        arguments = [*function.args, *arguments]
        function = function.func
    mine = [value for value in arguments if not any(value is memory for memory in memories)]
    return function, tuple(mine)
