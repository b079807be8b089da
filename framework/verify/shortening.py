"""A sequence of operations that breaks a law, made shorter: fewer operations, fewer arguments, a smaller machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine.check import Violation
from foliolab.framework.engine.engine import Shape
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.pagetable import PTRS_PER_PTE
from foliolab.framework.errors import FolioLabError
from foliolab.framework.verify.attack import Budget
from foliolab.framework.verify.counterexample import Counterexample
from foliolab.framework.verify.laws import Watch, spoils
from foliolab.framework.verify.operation import Operation
from foliolab.framework.verify.watchdog import Stopped


@dataclass(frozen=True)
class Breach:
    """A sequence whose last operation breaks a law.

    Args:
        shape: of the machine that it runs on.
        operations: the sequence.
        violation: what is wrong then.
    """

    shape: Shape
    operations: tuple[Operation, ...]
    violation: Violation

    @property
    def length(self) -> tuple[int, int, int]:
        """By what one is shorter than another: operations, arguments, numbers."""
        numbers = [value for operation in self.operations for _, value in operation.numbers]
        return len(self.operations), len(numbers), sum(map(abs, numbers))

    def counterexample(self, scheme: Scheme, attack: str) -> Counterexample:
        """As a file's content."""
        shape = {name: int(value) for name, value in vars(self.shape).items() if value}
        return Counterexample(
            policy=scheme.name,
            attack=attack,
            law=self.violation.law,
            claim=self.violation.claim,
            message=str(self.violation),
            shape=shape,
            threads=[[operation.told for operation in self.operations]],
        )


class Repeater:
    """Runs sequences again, each on a fresh machine.

    Args:
        scheme: the policy.
        stopped: whether to give up.
    """

    def __init__(self, scheme: Scheme, stopped: Callable[[], bool]) -> None:
        self.scheme = scheme
        self.stopped = stopped
        self._machine: Machine | None = None

    def fresh(self, shape: Shape) -> Machine:
        """A machine on which nothing has happened; one at a time."""
        if self._machine is None or self._machine.shape != shape:
            self._machine = Machine(self.scheme, shape, "interpreted")
            self._start = self._machine.snapshot()
        self._machine.restore(self._start)
        return self._machine

    def breach(self, shape: Shape, operations: Sequence[Operation], law: str) -> Breach | None:
        """The sequence up to where it breaks that law; None where it does not.

        Raises:
            Stopped: it is to be given up.
        """
        watch = Watch(self.fresh(shape), self.stopped)
        for number, operation in enumerate(operations, 1):
            if self.stopped():
                raise Stopped
            try:
                broken = watch.apply(operation)
            except FolioLabError:
                return None  # without what stood before it, the operation is not possible
            for one in broken:
                if one.law == law:
                    return Breach(shape, tuple(operations[:number]), one)
            if spoils(broken):
                return None
        return None


def shorten(scheme: Scheme, found: Breach, budget: Budget) -> Breach:
    """The shortest breach of the same law that dropping and simplifying finds within the budget."""
    repeater = Repeater(scheme, lambda: budget.left == 0)
    best = found
    try:
        for better in _ever_shorter(repeater, found):
            best = better
        return _smaller(repeater, best)
    except Stopped:
        return best


def _ever_shorter(repeater: Repeater, best: Breach) -> Iterator[Breach]:
    """Breaches of the same law, each shorter than the one before, until nothing makes them shorter."""
    before = None
    while before != best:
        before = best
        for change in (_drop, _simplify):
            for better in change(repeater, best):
                best = better
                yield best


def _drop(repeater: Repeater, best: Breach) -> Iterator[Breach]:
    """Without some operations, many at first; from the end, so that what stands before is undisturbed."""
    nr = len(best.operations) // 2
    while nr:
        start = len(best.operations) - nr
        while start >= 0:
            fewer = best.operations[:start] + best.operations[start + nr :]
            tried = repeater.breach(best.shape, fewer, best.violation.law)
            if tried is not None:
                best = tried
                yield best
            start = min(start - nr, len(best.operations) - nr)
        nr //= 2


def _simplify(repeater: Repeater, best: Breach) -> Iterator[Breach]:
    """With less to each operation."""
    for place, operation in enumerate(best.operations):
        for simpler in _simpler(operation):
            changed = (*best.operations[:place], simpler, *best.operations[place + 1 :])
            tried = repeater.breach(best.shape, changed, best.violation.law)
            if tried is not None and tried.length < best.length:
                yield tried
                return  # the next round goes on from there


def _simpler(operation: Operation) -> Iterator[Operation]:
    """The operation without one of its arguments, where it has a default, or with a smaller one."""
    for name, value in operation.numbers:
        rest = tuple(pair for pair in operation.numbers if pair[0] != name)
        if name in _OPTIONAL.get(operation.do, ()):
            yield Operation(operation.do, rest)
        if name in ("nr", "mm_id", "order") and value > 1:
            for smaller in (1, value // 2, value - 1):
                yield replace(operation, numbers=tuple((n, smaller if n == name else v) for n, v in operation.numbers))


_OPTIONAL = {
    "create": ("mm_id",), "fork": ("mm_id",), "exit": ("flush",), "unmap": ("flush",), "file_folio": ("shmem",),
    "populate": ("pmd", "batched"), "map_file": ("shared", "write"), "write": ("nr", "value", "nbytes"),
}  # fmt: skip


def _smaller(repeater: Repeater, best: Breach) -> Breach:
    """The same on a smaller machine, if it has all that is needed."""
    shape = best.shape
    named = [value for one in best.operations for name, value in one.numbers if name in ("mm", "parent", "child")]
    ends = [one.get(place) + one.get("nr", 1) for one in best.operations for place in ("start", "vpn", "to")]
    unit = 8 if max(ends) < PTRS_PER_PTE else PTRS_PER_PTE
    vpns = min(-(-max(ends) // unit) * unit, shape.nr_vpns)
    fewer = replace(shape, nr_mms=max(named, default=0) + 1, nr_vpns=vpns)
    for part in (64, 16, 4, 1):
        smaller = replace(fewer, nr_pages=max(shape.nr_pages // part, 1 << shape.max_order))
        tried = repeater.breach(smaller, best.operations, best.violation.law)
        if tried is not None:
            return tried
    return best
