"""Operations one after the other on one machine, as long as they tell something, and what they break."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from foliolab.framework.engine.check import Violation
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.operation import Operation
from foliolab.framework.errors import ModelError
from foliolab.framework.verify.laws import Watch, spoils
from foliolab.framework.verify.shortening import Breach
from foliolab.framework.verify.watchdog import Stopped


class Trial:
    """Runs operations whole, each held against all laws.

    Args:
        machine: fresh, or restored.
        stopped: whether to give up.
        hasty: of operations that run together, look at the state after the last only.
    """

    def __init__(self, machine: Machine, stopped: Callable[[], bool], hasty: bool = False) -> None:
        self.machine = machine
        self.watch = Watch(machine, stopped)
        self.stopped = stopped
        self.hasty = hasty
        self.done: list[Operation] = []
        self.ended = False
        self.breaches: dict[str, Breach] = {}
        """The first breach of each law."""

    def do(self, operation: Operation) -> None:
        """Run an operation whole, and keep what breaks.

        Raises:
            Stopped: it is to be given up.
        """
        self.done.append(operation)
        try:
            self._judge(lambda: self.watch.apply(operation, look=not self.hasty))
        except Stopped:
            self.done.pop()
            raise
        except ModelError:  # out of memory, in the middle of it
            self.done.pop()
            self.ended = True

    def all(self, operations: Iterable[Operation]) -> None:
        """Run one after the other, until they tell nothing more; each is asked for when those before it have run.

        Raises:
            Stopped: it is to be given up.
        """
        for operation in operations:
            if self.ended:
                return
            self.do(operation)
        if self.hasty and not self.ended:
            self._judge(self.watch.look)

    def _judge(self, act: Callable[[], list[Violation]]) -> None:
        try:
            if self.stopped():
                raise Stopped
            broken = act()
        except Stopped:  # perhaps in the middle of it
            self.ended = True
            raise
        for one in broken:
            self.breaches.setdefault(one.law, Breach(self.machine.shape, tuple(self.done), one))
        self.ended = spoils(broken)
