"""Numbers that remember which fields they were loaded from: so the address of a later load is known to depend on them.

What arithmetic makes of them remembers it, too. A comparison does not: what it decides is a control dependency, and
Armv8 orders no load by that.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Final

Field = tuple[int, int]
"""A field as `nodes.WAIT_WIDTH` describes it: its column, and REACH."""


class Loaded(int):
    """A loaded number, or one computed from such.

    Attributes:
        sources: the fields that it was loaded from.
    """

    sources: frozenset[Field] = frozenset()


def loaded(value: int, sources: frozenset[Field]) -> Loaded:
    """A number that was loaded from these fields."""
    found = Loaded(value)
    found.sources = sources
    return found


def sources_of(value: int) -> frozenset[Field]:
    """The fields that a number was loaded from; none for an ordinary number."""
    return value.sources if isinstance(value, Loaded) else frozenset()


_BINARY: Final = (
    operator.add, operator.sub, operator.mul, operator.floordiv, operator.mod, operator.and_, operator.or_,
    operator.xor, operator.lshift, operator.rshift,
)  # fmt: skip
_UNARY: Final = (operator.neg, operator.invert, operator.abs, operator.pos)


def _binary(apply: Callable[[int, int], int], swapped: bool) -> Callable[[Loaded, Any], Any]:
    def compute(self: Loaded, other: Any) -> Any:
        if not isinstance(other, int):
            return NotImplemented
        one, two = (other, self) if swapped else (self, other)
        return loaded(apply(int(one), int(two)), self.sources | sources_of(other))

    return compute


def _unary(apply: Callable[[int], int]) -> Callable[[Loaded], Any]:
    def compute(self: Loaded) -> Any:
        return loaded(apply(int(self)), self.sources)

    return compute


for _one in _BINARY:
    _name = _one.__name__.strip("_")
    setattr(Loaded, f"__{_name}__", _binary(_one, False))
    setattr(Loaded, f"__r{_name}__", _binary(_one, True))
for _two in _UNARY:
    setattr(Loaded, f"__{_two.__name__.strip('_')}__", _unary(_two))
