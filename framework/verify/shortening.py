"""Shorten a sequence of operations that breaks a law: fewer operations, fewer arguments, a smaller machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine.check import Violation
from foliolab.framework.engine.delta_debugging import shrink
from foliolab.framework.engine.engine import Shape
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.operation import Operation
from foliolab.framework.engine.pagetable import PTRS_PER_PTE
from foliolab.framework.errors import FolioLabError
from foliolab.framework.verify.attack import Budget
from foliolab.framework.verify.counterexample import Counterexample
from foliolab.framework.verify.laws import Watch, spoils
from foliolab.framework.verify.watchdog import Stopped


@dataclass(frozen=True)
class Breach:
    """A sequence whose last operation breaks a law.

    Args:
        operations: the sequence.
        violation: of the law, after the last operation.
    """

    shape: Shape
    operations: tuple[Operation, ...]
    violation: Violation

    @property
    def length(self) -> tuple[int, int, int]:
        """The order of breaches: numbers of operations and of arguments, then the sum of the arguments."""
        numbers = [value for operation in self.operations for _, value in operation.arguments]
        return len(self.operations), len(numbers), sum(map(abs, numbers))

    def counterexample(self, scheme: Scheme, attack: str) -> Counterexample:
        shape = {name: int(value) for name, value in vars(self.shape).items() if value}
        return Counterexample(
            policy=scheme.name,
            attack=attack,
            law=self.violation.law,
            claim=self.violation.claim,
            message=str(self.violation),
            shape=shape,
            threads=[[operation.text for operation in self.operations]],
        )


class Repeater:
    """Runs sequences, each on a fresh machine.

    Args:
        stopped: whether to stop.
    """

    def __init__(self, scheme: Scheme, stopped: Callable[[], bool]) -> None:
        self.scheme = scheme
        self.stopped = stopped
        self._machine: Machine | None = None

    def fresh(self, shape: Shape) -> Machine:
        """The machine in its initial state. There is only one, so a call invalidates the machine of the call before."""
        if self._machine is None or self._machine.shape != shape:
            self._machine = Machine(self.scheme, shape, "interpreted")
            self._start = self._machine.snapshot()
        self._machine.restore(self._start)
        return self._machine

    def breach(self, shape: Shape, operations: Sequence[Operation], law: str) -> Breach | None:
        """The sequence up to the operation that breaks the law; None if none does.

        Raises:
            Stopped: `stopped` says so.
        """
        watch = Watch(self.fresh(shape), self.stopped)
        for number, operation in enumerate(operations, 1):
            if self.stopped():
                raise Stopped
            try:
                broken = watch.apply(operation)
            except FolioLabError:
                return None  # the operation is not possible without those that were left out
            for violation in broken:
                if violation.law == law:
                    return Breach(shape, tuple(operations[:number]), violation)
            if spoils(broken):
                return None
        return None


def shorten(scheme: Scheme, found: Breach, budget: Budget) -> Breach:
    """The shortest breach of the same law that leaving out and simplifying operations finds within the budget."""
    repeater = Repeater(scheme, lambda: budget.left == 0)
    best = found

    def still_fails(candidate: Breach) -> Breach | None:
        tried = repeater.breach(candidate.shape, candidate.operations, found.violation.law)
        return tried if tried is not None and tried.length < best.length else None

    try:
        for better in shrink(found, lambda breach: len(breach.operations), _without, _simpler, still_fails):
            best = better
        return _on_smaller_machine(repeater, best)
    except Stopped:
        return best


def _without(breach: Breach, first: int, nr: int) -> Breach:
    return replace(breach, operations=breach.operations[:first] + breach.operations[first + nr :])


def _simpler(breach: Breach) -> Iterator[Breach]:
    for number, operation in enumerate(breach.operations):
        for simpler in _simpler_operations(operation):
            operations = (*breach.operations[:number], simpler, *breach.operations[number + 1 :])
            yield replace(breach, operations=operations)


def _simpler_operations(operation: Operation) -> Iterator[Operation]:
    """The operation without one of its arguments, where that has a default, or with a smaller one."""
    for name, value in operation.arguments:
        if name in _OPTIONAL.get(operation.name, ()):
            yield replace(operation, arguments=tuple(pair for pair in operation.arguments if pair[0] != name))
        if name in ("nr", "mm_id", "order") and value > 1:
            for smaller in (1, value // 2, value - 1):
                arguments = ((other, smaller if other == name else old) for other, old in operation.arguments)
                yield replace(operation, arguments=tuple(arguments))


_OPTIONAL = {
    "create": ("mm_id",), "fork": ("mm_id",), "exit": ("flush",), "unmap": ("flush",), "file_folio": ("shmem",),
    "populate": ("pmd", "batched"), "map_file": ("shared", "write"), "write": ("nr", "value", "nbytes"),
}  # fmt: skip


def _on_smaller_machine(repeater: Repeater, best: Breach) -> Breach:
    """The same sequence on a machine with fewer MMs, pages and frames, if it breaks the law there, too."""
    shape = best.shape
    mms = [value for one in best.operations for name, value in one.arguments if name in ("mm", "parent", "child")]
    ends = [one.get(name) + one.get("nr", 1) for one in best.operations for name in ("start", "vpn", "to")]
    unit = 8 if max(ends) < PTRS_PER_PTE else PTRS_PER_PTE
    vpns = min(-(-max(ends) // unit) * unit, shape.nr_vpns)
    fewer = replace(shape, nr_mms=max(mms, default=0) + 1, nr_vpns=vpns)
    for part in (64, 16, 4, 1):
        smaller = replace(fewer, nr_pages=max(shape.nr_pages // part, 1 << shape.max_order))
        tried = repeater.breach(smaller, best.operations, best.violation.law)
        if tried is not None:
            return tried
    return best
