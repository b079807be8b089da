"""How fast the native engine is, against the same loops in C: `python tests/benchmarks/engine_against_c.py`.

Every operation runs natively and in C in one process, on the same memory, restored before each call, in the
order native, C, C, native. What counts is the median of the paired ratios. It reports; it does not gate.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import reference
from numpy.typing import NDArray

from foliolab.framework.engine import entrypoints
from foliolab.framework.engine.engine import Shape, native_missing
from foliolab.framework.engine.machine import Machine
from foliolab.framework.machine.layout import PMD_ORDER

BOUND: Final = 1.10
CHEAP_BOUND: Final = 1.50
CHEAP_NS: Final = 1.0
"""Loops that take C less than this per page are held to CHEAP_BOUND: one instruction more shows there."""
RESAMPLES: Final = 2000
ORDERS: Final = (0, 2, 3, 4, 5, 6, 7, 8, 9)
_PARENT, _CHILD, _SECOND = range(3)


@dataclass(frozen=True)
class Operation:
    """One measured call.

    Args:
        name: what it is called in the table.
        entry: the entry point of the engine.
        prepare: brings a fresh machine of nr pages and folios of one order to where the call starts.
        numbers: the call's arguments behind CPU and zone.
        orders: the folio sizes that it is measured with.
        copies: whether it needs page contents and as many frames again.
    """

    name: str
    entry: Callable[..., Any]
    prepare: Callable[[Machine, int, int], None]
    numbers: Callable[[Machine, int, int], tuple[int, ...]]
    orders: tuple[int, ...] = ORDERS
    copies: bool = False


def _populated(m: Machine, nr: int, order: int) -> None:
    m.create(_PARENT)
    m.populate(_PARENT, 0, nr, order)


def _forked(m: Machine, nr: int, order: int) -> None:
    _populated(m, nr, order)
    m.fork(_PARENT, _CHILD)


def _with_child(m: Machine, nr: int, order: int) -> None:
    _populated(m, nr, order)
    m.create(_CHILD)


def _with_second_child(m: Machine, nr: int, order: int) -> None:
    _forked(m, nr, order)
    m.create(_SECOND)


def _left_alone(m: Machine, nr: int, order: int) -> None:
    _forked(m, nr, order)
    m.exit(_CHILD)


def _by_pmd(m: Machine, nr: int, order: int) -> None:
    m.create(_PARENT)
    m.populate(_PARENT, 0, nr, order, pmd=True)


def _range_of(mm: int, *more: int) -> Callable[[Machine, int, int], tuple[int, ...]]:
    return lambda m, nr, order: (m.map.mms[mm], 0, nr, *more)


def _fork_to(child: int) -> Callable[[Machine, int, int], tuple[int, ...]]:
    return lambda m, nr, order: (m.map.mms[_PARENT], m.map.mms[child], 0, nr)


OPERATIONS: Final = (
    Operation(
        "populate",
        entrypoints.populate,
        lambda m, nr, order: m.create(_PARENT),
        lambda m, nr, order: (m.map.mms[_PARENT], 0, nr, order, 0, 0),
    ),
    Operation("fork first", entrypoints.fork_range, _with_child, _fork_to(_CHILD)),
    Operation("fork second", entrypoints.fork_range, _with_second_child, _fork_to(_SECOND)),
    Operation("child exit", entrypoints.zap_range, _forked, _range_of(_CHILD, 1)),
    Operation("munmap", entrypoints.zap_range, _populated, _range_of(_PARENT, 1)),
    Operation("cow-byte", entrypoints.write_range, _forked, _range_of(_CHILD, 1, 1), copies=True),
    Operation("reuse-byte", entrypoints.write_range, _left_alone, _range_of(_PARENT, 1, 1), copies=True),
    Operation("remap", entrypoints.split_range, _by_pmd, _range_of(_PARENT), orders=(PMD_ORDER,)),
)


@dataclass(frozen=True)
class Cell:
    """One row of the table: nanoseconds a page, and the paired ratio with its 95 % interval."""

    policy: str
    operation: str
    kib: int
    native: float
    c: float
    tuned: float
    ratio: float
    low: float
    high: float

    @property
    def bound(self) -> float:
        """What the ratio may be."""
        return CHEAP_BOUND if self.c < CHEAP_NS else BOUND

    @property
    def mark(self) -> str:
        """Empty within the bound, `?` where the interval reaches into it, `!` beyond."""
        if self.ratio <= self.bound:
            return ""
        return "?" if self.low <= self.bound else "!"

    def __str__(self) -> str:
        size = f"{self.kib} KiB" if self.kib < 1024 else f"{self.kib >> 10} MiB"
        tuned = f"{self.tuned:9.2f}" if self.tuned else " " * 9
        interval = f"{self.low:.2f}–{self.high:.2f}"
        times = f"{self.native:9.2f} {self.c:9.2f} {tuned}"
        return f"{self.policy:16} {self.operation:11} {size:>7} {times} {self.ratio:6.2f} {interval:>11} {self.mark}"


HEADING: Final = f"{'policy':16} {'operation':11} {'folio':>7} {'native':>9} {'C':>9} {{:>9}} {'ratio':>6} {'95 %':>11}"


class Bench:
    """Machines that are prepared once an operation and restored before each call."""

    def __init__(self, policy: str, nr_pages: int, rounds: int, tuned: bool) -> None:
        self.policy = policy
        self.nr = nr_pages
        self.rounds = rounds
        scheme = reference.SCHEMES[policy]
        self.plain = reference.Reference(scheme)
        self.tuned = reference.Reference(scheme, reference.TUNED) if tuned else None
        self.small = Machine(scheme, Shape(nr_pages + 1024, 3, nr_pages))
        self.large = Machine(scheme, Shape(2 * nr_pages + 1024, 3, nr_pages, contents=True))
        self.fresh = {id(m): m.snapshot() for m in (self.small, self.large)}
        self.large.contents.buffer[:] = 1  # page faults of the host are not what is measured

    def cell(self, operation: Operation, order: int) -> Cell:
        """Measure one operation with folios of one order."""
        machine = self.large if operation.copies else self.small
        machine.restore(self.fresh[id(machine)])
        operation.prepare(machine, self.nr, order)
        state = machine.snapshot()
        arguments = (machine.map.cpus[0], machine.map.zone, *operation.numbers(machine, self.nr, order))
        native, c, *tuned = (partial(_timed, machine, state, run, arguments) for run in self._ways(machine, operation))
        for run in (native, c, *tuned):
            run()
        rows = np.array([[native(), c(), c(), native()] for _ in range(self.rounds)])
        # the better of the two: an interrupt hits one call, not both
        paired = np.minimum(rows[:, 0], rows[:, 3]) / np.minimum(rows[:, 1], rows[:, 2])
        low, high = _interval(paired)
        return Cell(
            self.policy,
            operation.name,
            4 << order,
            float(np.median(rows[:, [0, 3]])) / self.nr,
            float(np.median(rows[:, [1, 2]])) / self.nr,
            float(np.median([tuned[0]() for _ in range(5)])) / self.nr if tuned else 0.0,
            float(np.median(paired)),
            low,
            high,
        )

    def _ways(self, machine: Machine, operation: Operation) -> Iterator[Callable[..., int]]:
        yield machine.entry_point(operation.entry)
        yield self.plain.kernel(machine, operation.entry)
        if self.tuned is not None:
            yield self.tuned.kernel(machine, operation.entry)


def _timed(machine: Machine, state: NDArray[np.uint8], run: Callable[..., int], numbers: tuple[int, ...]) -> int:
    machine.restore(state)
    start = time.thread_time_ns()  # other processes' turns do not count
    run(*numbers)
    return time.thread_time_ns() - start


def _interval(ratios: NDArray[np.float64]) -> tuple[float, float]:
    """Bootstrap interval of the median; the seed is fixed so that one set of times gives one interval."""
    drawn = np.random.default_rng(0).choice(ratios, (RESAMPLES, ratios.size))
    low, high = np.quantile(np.median(drawn, axis=1), (0.025, 0.975))
    return float(low), float(high)


def _pages(text: str) -> int:
    unit = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}[text[-1].upper()]
    return int(text[:-1]) * unit // 4096 // (1 << PMD_ORDER) * (1 << PMD_ORDER)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--memory", type=_pages, default="256M", help="memory that is mapped (256M)")
    parser.add_argument("--repeats", type=int, default=15, help="rounds of native, C, C, native (15)")
    parser.add_argument("--policies", nargs="+", choices=reference.SCHEMES, default=list(reference.SCHEMES))
    names = [o.name for o in OPERATIONS]
    parser.add_argument("--operations", nargs="+", choices=names, default=names)
    sizes = [4 << o for o in ORDERS]
    parser.add_argument("--sizes", nargs="+", type=int, choices=sizes, default=sizes, metavar="KIB")
    parser.add_argument("--tuned", action="store_true", help="also gcc -O3 -march=native")
    parser.add_argument("--cpu", type=int, help="pin to this CPU (the last one that may be used)")
    return parser.parse_args()


def pin(cpu: int | None) -> None:
    """Stay on one CPU; on the last that may be used where none is given."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0)) if cpu is None else cpu})


def main() -> int:
    """Measure everything that was asked for; 3 where that is impossible here."""
    options = _arguments()
    if reason := reference.missing() or native_missing():
        print(f"engine_against_c: nothing measured: {reason}", file=sys.stderr)
        return 3
    pin(options.cpu)
    print(HEADING.format("C -O3" if options.tuned else ""))
    cells: list[Cell] = []
    for policy in options.policies:
        bench = Bench(policy, options.memory, options.repeats, options.tuned)
        for operation in OPERATIONS:
            if operation.name not in options.operations:
                continue
            for order in operation.orders:
                if 4 << order in options.sizes:
                    cells.append(bench.cell(operation, order))
                    print(cells[-1], flush=True)
    if not cells:
        print("engine_against_c: nothing measured: no operation has that size", file=sys.stderr)
        return 3
    worst = max(cells, key=lambda c: c.ratio / c.bound)
    within = sum(not c.mark for c in cells)
    print(
        f"{within} of {len(cells)} within {BOUND:.2f} "
        f"({CHEAP_BOUND:.2f} where C takes under {CHEAP_NS:.0f} ns a page); "
        f"worst: {worst.ratio:.2f} ({worst.policy}, {worst.operation}, {worst.kib} KiB); "
        f"median {np.median([c.ratio for c in cells]):.2f}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
