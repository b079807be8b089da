"""Operations one after the other on one machine, as long as they tell something, and what they break."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from foliolab.framework.engine.machine import Machine
from foliolab.framework.errors import ModelError
from foliolab.framework.verify.laws import Watch, spoils
from foliolab.framework.verify.operation import Operation
from foliolab.framework.verify.shortening import Breach
from foliolab.framework.verify.watchdog import Stopped


class Trial:
    """Runs operations whole, each held against all laws.

    Args:
        machine: fresh, or restored.
        stopped: whether to give up.
    """

    def __init__(self, machine: Machine, stopped: Callable[[], bool]) -> None:
        self.machine = machine
        self.watch = Watch(machine, stopped)
        self.stopped = stopped
        self.done: list[Operation] = []
        self.ended = False
        self.breaches: dict[str, Breach] = {}
        """The first breach of each law."""

    def do(self, operation: Operation) -> None:
        """Run an operation whole, and keep what breaks.

        Raises:
            Stopped: it is to be given up.
        """
        try:
            if self.stopped():
                raise Stopped
            broken = self.watch.apply(operation)
        except Stopped:  # perhaps in the middle of it
            self.ended = True
            raise
        except ModelError:  # out of memory, in the middle of it
            self.ended = True
            return
        self.done.append(operation)
        for one in broken:
            self.breaches.setdefault(one.law, Breach(self.machine.shape, tuple(self.done), one))
        self.ended = spoils(broken)

    def all(self, operations: Iterable[Operation]) -> None:
        """Run one after the other, until they tell nothing more.

        Raises:
            Stopped: it is to be given up.
        """
        for operation in operations:
            if self.ended:
                return
            self.do(operation)
