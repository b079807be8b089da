"""A machine that is looked at after each operation, so that any workload's preparation becomes a course."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from typing import Any, Final

from foliolab.framework.consequences.sample import SCRATCH_A_PAGE
from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine.engine import Execution, Shape
from foliolab.framework.engine.machine import BoundCall, Machine

OPERATIONS: Final = (
    "exit", "fork", "copy_range", "populate", "map_file", "unmap", "flush_gather", "split_pmd", "protect", "mremap",
    "get_user", "put_user", "pin", "unpin", "drain", "swap_cache", "swap_out", "swap_in",
)  # fmt: skip
"""Operations after which answers and figures may differ from before; writes are looked at in pieces."""

PIECES: Final = 8
"""Into how many pieces a write of many pages is cut: what it leads to by and by is to be seen, too."""


class Watched(Machine):
    """A machine that tells after each operation, its parts not counted.

    Args:
        look: called with the machine and the operation in words.
    """

    def __init__(
        self, scheme: Scheme, shape: Shape, execution: Execution, look: Callable[[Machine, str], None]
    ) -> None:
        super().__init__(scheme, shape, execution)
        self._look = look
        self._depth = 0

    def told(self, what: str) -> None:
        """An operation is over; if it is a part of another one, that will tell."""
        if self._depth:
            return
        kept = self.scratch()[: self.shape.nr_vpns * SCRATCH_A_PAGE // 8].copy()  # the workload's own
        self.apart(self._look, self, what)
        self.scratch()[: kept.size] = kept

    def apart(self, operation: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Do something of which the single operations are not told."""
        self._depth += 1
        try:
            return operation(*arguments, **options)
        finally:
            self._depth -= 1

    def write(self, mm: int, start: int, nr: int = 1, value: int = 1, nbytes: int = 1) -> str:
        """As a machine's, in pieces."""
        piece = max(1, -(-nr // PIECES))
        outcome = ""
        for first in range(start, start + max(nr, 1), piece):
            pages = min(piece, start + nr - first)
            outcome = self.apart(super().write, mm, first, pages, value, nbytes)
            self.told(f"write({mm}, {first}, {pages})")
        return outcome

    def bind(self, operation: str, *arguments: int, **options: int | None) -> BoundCall:
        """As a machine's; the operation is told when it runs, and its arguments are checked then."""
        return BoundCall(getattr(self, operation), *arguments, **options)

    def bind_function(self, function: Callable[..., Any], kinds: str, *numbers: int) -> Callable[[], Any]:
        """As a machine's; what the function did is told once it is over."""
        return partial(self._whole, super().bind_function(function, kinds, *numbers), function.__name__)

    def _whole(self, call: Callable[[], Any], name: str) -> Any:
        answer = self.apart(call)
        self.told(name)
        return answer


def _telling(name: str) -> Callable[..., Any]:
    """An operation of a machine that is told when it is over."""
    operation = getattr(Machine, name)

    @wraps(operation)
    def run(self: Watched, *arguments: Any, **options: Any) -> Any:
        answer = self.apart(operation, self, *arguments, **options)
        words = [*map(str, arguments), *(f"{key}={value}" for key, value in options.items())]
        self.told(f"{name}({', '.join(words)})")
        return answer

    return run


for _name in OPERATIONS:
    setattr(Watched, _name, _telling(_name))
