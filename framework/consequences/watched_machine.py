"""A machine that is looked at after each operation, so that a workload's preparation has moments of its own."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Final

from foliolab.framework.consequences.moment import SCRATCH_A_PAGE
from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine.binding import BoundCall
from foliolab.framework.engine.engine import Execution, Shape
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.operation import OPERATIONS, Operation

WITHOUT_LOOK: Final = frozenset(
    {"create", "file_folio", "drop_file", "maybe_shared", "mapcount", "kpagecount", "exclusive"}
)
"""Operations that change no mapping and no reference, so that no answer or figure can differ from before."""
PIECES: Final = 8
"""Into how many pieces a write of many pages is cut: what it leads to by and by is to be seen, too."""


class WatchedMachine(Machine):
    """A machine that calls `look` after each operation, but not after an operation's own parts.

    Args:
        look: called with the machine and the operation in words.
    """

    def __init__(
        self, scheme: Scheme, shape: Shape, execution: Execution, look: Callable[[Machine, str], None]
    ) -> None:
        super().__init__(scheme, shape, execution)
        self._look = look
        self._depth = 0

    def looked_at(self, what: str) -> None:
        """Look, unless the operation is a part of another one. The workload's scratch memory is left as it is."""
        if self._depth:
            return
        kept = self.scratch()[: self.shape.nr_vpns * SCRATCH_A_PAGE // 8].copy()
        self.without_looks(self._look, self, what)
        self.scratch()[: kept.size] = kept

    def without_looks(self, run: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Run something whose operations are not looked at."""
        self._depth += 1
        try:
            return run(*arguments, **options)
        finally:
            self._depth -= 1

    def write(self, mm: int, start: int, nr: int = 1, value: int = 1, nbytes: int = 1) -> str:
        """See `Machine.write`; in pieces, each of which is looked at."""
        piece = max(1, -(-nr // PIECES))
        outcome = ""
        for first in range(start, start + max(nr, 1), piece):
            pages = min(piece, start + nr - first)
            outcome = self.without_looks(super().write, mm, first, pages, value, nbytes)
            self.looked_at(Operation.of("write", mm=mm, start=first, nr=pages).sentence())
        return outcome

    def bind(self, operation: str, *arguments: int, **options: int | None) -> BoundCall:
        """See `Machine.bind`; the arguments are checked when the operation runs, and it is looked at then."""
        return BoundCall(getattr(self, operation), *arguments, **options)

    def bind_function(self, function: Callable[..., Any], kinds: str, *numbers: int) -> Callable[[], Any]:
        """See `Machine.bind_function`; the function is looked at as a whole, when it has run."""
        bound = super().bind_function(function, kinds, *numbers)

        def run() -> Any:
            answer = self.without_looks(bound)
            self.looked_at(function.__name__)
            return answer

        return run


def _with_look(name: str) -> Callable[..., Any]:
    """An operation of `Machine` that is looked at afterwards."""
    method = getattr(Machine, name)

    @wraps(method)
    def run(self: WatchedMachine, *arguments: Any, **options: Any) -> Any:
        answer = self.without_looks(method, self, *arguments, **options)
        self.looked_at(Operation.call(name, *arguments, **options).sentence())
        return answer

    return run


for _name in OPERATIONS.keys() - WITHOUT_LOOK - {"write"}:
    setattr(WatchedMachine, _name, _with_look(_name))
