"""Parameters of a policy, and the constants of its text that they rebind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from foliolab.framework.errors import UsageError
from foliolab.framework.machine.calltree import mentions

Values = Mapping[str, Any]
"""A value for each parameter by name: an integer, or the chosen word of a parameter with choices.

The values are typed as Any, since each parameter has its own type.
"""


@dataclass(frozen=True)
class Parameter:
    """Something about a policy that its user may choose, as in `mm-id:slots=3`.

    The policy's text reads a module constant. A chosen value rebinds that constant in copies of the functions that read
    it, also in modules that imported it by name. `derive`, `fields`, `capabilities_of` and `max_mm_id` get the value
    itself. A parameter that reaches neither is refused.

    Args:
        name: as the user writes it.
        constant: the constant that functions of the policy read: `NAME`, or `MODULE.NAME` where functions of several
            modules each have one of that name; empty if only `derive` and its like use the parameter.
        default: an integer, or one of `choices`.
        low, high: the range of an integer.
        choices: allowed words. The constant is the word's index in this list, because native code has no strings;
            `derive` and its like get the word.
        doc: one line.
    """

    name: str
    constant: str
    default: int | str
    low: int = 0
    high: int = (1 << 31) - 1
    choices: tuple[str, ...] = ()
    doc: str = ""

    def parse(self, text: int | str, policy: str) -> int:
        """The constant's value for what the user wrote.

        Raises:
            UsageError: not a value of this parameter.
        """
        if self.choices:
            if str(text) in self.choices:
                return self.choices.index(str(text))
            raise UsageError(
                f"policy {policy}: {self.name}={text} is not a choice",
                f"choose one of {', '.join(self.choices)}",
            )
        try:
            value = int(text)
        except ValueError:
            value = self.low - 1
        if not self.low <= value <= self.high:
            raise UsageError(
                f"policy {policy}: {self.name}={text} is out of range", f"choose {self.low} to {self.high}"
            )
        return value

    def word(self, value: int) -> int | str:
        """What the user wrote for a constant's value."""
        return self.choices[value] if self.choices else value


class _Recorder(Mapping[str, Any]):
    """Values that record which of them a function reads."""

    def __init__(self, values: Values) -> None:
        self.values_by_name = values
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.read.add(name)
        return self.values_by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_by_name)

    def __len__(self) -> int:
        return len(self.values_by_name)


def read_by(functions: Iterable[Callable[[Values], object]], values: Values) -> set[str]:
    """The parameters that functions of the values use.

    A parameter counts if a function reads its value when it is called with `values`, or if the function's text, or
    the text of a function that it calls, contains the parameter's name: a branch may read it for other values only.
    """
    used: set[str] = set()
    for function in functions:
        recorder = _Recorder(values)
        try:
            function(recorder)
        except Exception:  # the function's error is reported when a scheme calls it
            return set(values)
        used |= recorder.read | mentions(function, values)
    return used
