"""A sequence of whole operations on one machine, with every law checked after each operation."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from foliolab.framework.engine.check import Violation
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.operation import Operation
from foliolab.framework.errors import ModelError
from foliolab.framework.verify.laws import Watch, spoils
from foliolab.framework.verify.shortening import Breach
from foliolab.framework.verify.watchdog import Stopped


class OperationSequence:
    """Runs whole operations until a violation spoils the state (see `laws.spoils`).

    Args:
        machine: a fresh or restored one.
        stopped: whether to abandon the sequence.
        last_only: `all` checks the state after its last operation only.

    Attributes:
        done: the operations that ran.
        ended: whether no further operation can run.
        breaches: the first breach of each law.
    """

    def __init__(self, machine: Machine, stopped: Callable[[], bool], last_only: bool = False) -> None:
        self.machine = machine
        self.watch = Watch(machine, stopped)
        self.stopped = stopped
        self.last_only = last_only
        self.done: list[Operation] = []
        self.ended = False
        self.breaches: dict[str, Breach] = {}

    def do(self, operation: Operation) -> None:
        """Run one operation, and keep its breaches.

        Raises:
            Stopped: the sequence is abandoned.
        """
        self.done.append(operation)
        try:
            self._judge(lambda: self.watch.apply(operation, look=not self.last_only))
        except Stopped:
            self.done.pop()
            raise
        except ModelError:  # out of memory in the middle of the operation
            self.done.pop()
            self.ended = True

    def all(self, operations: Iterable[Operation]) -> None:
        """Run operations until the sequence ends. The iterator is advanced only after the operations before have run.

        Raises:
            Stopped: the sequence is abandoned.
        """
        for operation in operations:
            if self.ended:
                return
            self.do(operation)
        if self.last_only and not self.ended:
            self._judge(self.watch.look)

    def _judge(self, act: Callable[[], list[Violation]]) -> None:
        try:
            if self.stopped():
                raise Stopped
            broken = act()
        except Stopped:  # the state may be that of a half-done operation
            self.ended = True
            raise
        for one in broken:
            self.breaches.setdefault(one.law, Breach(self.machine.shape, tuple(self.done), one))
        self.ended = spoils(broken)
