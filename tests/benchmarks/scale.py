"""Whether cost is linear in the size of memory: the same operations on 1 GiB and on many.

    python tests/benchmarks/scale.py
    python tests/benchmarks/scale.py --most 16 --policies mm-id --c

A machine has struct pages and page tables, and no page contents: at 64 GiB, with as many frames again for what is
copied, 2 GiB and 128 MiB a process. Every size runs the same cycle on a machine that starts anew. A cell is the
median of its nanoseconds a page; the ratio is that to the smallest size. What the operations did is counted by the
modelled kernel's own statistics, and must be equal a page at every size. The table of C (`--c`) has the same loops on
the same memory: where its ratio is as large, the processor's caches and TLBs are what is not linear.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import engine_against_c
import reference

from foliolab.framework import host
from foliolab.framework.engine.engine import Shape, native_missing
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.structs import STATISTICS
from foliolab.framework.machine.primitives import PAGE_SIZE

GIB: Final = 1 << 30
PARENT, CHILD = range(2)
SIZES: Final = {"4K": 0, "64K": 4, "2M": 9}
ROUNDS: Final = 5


@dataclass
class Cell:
    """An operation on one size of memory: nanoseconds a page of each round, and what it did, a page."""

    times: list[float] = field(default_factory=list)
    work: set[tuple[float, ...]] = field(default_factory=set)

    @property
    def median(self) -> float:
        """Nanoseconds a page."""
        return statistics.median(self.times)


def cycle(m: Machine, nr: int, order: int, cells: dict[str, Cell]) -> None:
    """Run every operation once on nr pages of a fresh machine."""

    def timed(name: str, operation: str, *arguments: int) -> None:
        call = m.bind(operation, *arguments)
        before = [m.statistic(one) for one in STATISTICS]
        start = time.thread_time_ns()
        call()
        elapsed = time.thread_time_ns() - start
        cell = cells.setdefault(name, Cell())
        cell.times.append(elapsed / nr)
        cell.work.add(tuple((m.statistic(one) - old) / nr for one, old in zip(STATISTICS, before, strict=True)))

    m.reset()
    m.create(PARENT)
    timed("populate", "populate", PARENT, 0, nr, order)
    timed("fork", "fork", PARENT, CHILD)
    timed("child exit", "exit", CHILD)
    timed("reuse", "write", PARENT, 0, nr)
    m.fork(PARENT, CHILD)
    timed("cow", "write", PARENT, 0, nr)
    m.exit(CHILD)
    m.reset()
    m.create(PARENT)
    m.populate(PARENT, 0, nr, order)
    timed("munmap", "unmap", PARENT, 0, nr)


def in_c(m: Machine, built: reference.Reference) -> Machine:
    """A view of the same memory on which the measured operations run in C."""
    twin = reference.ReferenceMachine.__new__(reference.ReferenceMachine)
    twin.__dict__ = {**m.__dict__, "_entry_points": {}, "reference": built}
    return twin


def measured(policy: str, gib: int, sizes: Sequence[str], rounds: int, c: bool) -> Iterator[tuple[str, str, str, Cell]]:
    """Every cell of one policy and one size of memory: (way, operation, folio, cell)."""
    scheme = reference.SCHEMES[policy]
    nr = gib * GIB // PAGE_SIZE
    native = Machine(scheme, Shape(2 * nr, 2, nr))
    ways = {"native": native} | ({"C": in_c(native, reference.Reference(scheme))} if c else {})
    for size in sizes:
        found: dict[str, dict[str, Cell]] = {way: {} for way in ways}
        for machine in ways.values():
            cycle(machine, nr, SIZES[size], {})  # the host's page faults, and what is compiled
        for _ in range(rounds):
            for way, machine in ways.items():
                cycle(machine, nr, SIZES[size], found[way])
        for way, cells in found.items():
            for operation, cell in cells.items():
                yield way, operation, size, cell


def needed(policy: str, gib: int) -> int:
    """Bytes that a machine of that size takes."""
    nr = gib * GIB // PAGE_SIZE
    return Shape(2 * nr, 2, nr).nbytes(reference.SCHEMES[policy])


def table(policy: str, sizes: list[int], cells: dict[tuple[str, str, str], dict[int, Cell]]) -> Iterator[str]:
    """The lines of one policy, and of C where it was measured."""
    heads = "".join(f"{gib:>7} GiB" for gib in sizes)
    yield f"{policy:16} {'folio':>5} {'':6}{heads}   {sizes[-1]} : {sizes[0]}"
    for (way, operation, size), row in sorted(
        cells.items(), key=lambda one: (one[0][1], SIZES[one[0][2]], one[0][0] == "C")
    ):
        times = "".join(f"{row[gib].median:11.2f}" for gib in sizes)
        ratio = row[sizes[-1]].median / row[sizes[0]].median
        same = len({work for cell in row.values() for work in cell.work}) == 1
        yield f"{operation:16} {size:>5} {way:6}{times} {ratio:8.2f}{'' if same else '  other work a page'}"


def arguments() -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--most", type=int, default=64, metavar="GIB", help="the largest memory (64)")
    parser.add_argument("--policies", nargs="+", choices=reference.SCHEMES, default=list(reference.SCHEMES))
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES), help="of folios (all)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"cycles of each size ({ROUNDS})")
    parser.add_argument("--c", action="store_true", help="the same loops in C, too")
    return parser.parse_args()


def main() -> int:
    """Measure everything that was asked for; 3 where that is impossible here, 1 where the work a page differs."""
    options = arguments()
    sizes = [1 << i for i in range(options.most.bit_length())]
    reason = native_missing() or (reference.missing() if options.c else "")
    most, available = max(needed(policy, sizes[-1]) for policy in options.policies), host.memory_available()
    if available is not None and most > available:
        reason = reason or f"{sizes[-1]} GiB need {most / GIB:.1f} GiB, {available / GIB:.1f} GiB are available"
    if reason:
        print(f"scale: nothing measured: {reason}", file=sys.stderr)
        return 3
    engine_against_c.pin(None)
    print(f"nanoseconds a page; {sizes[-1]} GiB take {most / GIB:.1f} GiB")
    same = True
    for policy in options.policies:
        cells: dict[tuple[str, str, str], dict[int, Cell]] = {}
        for gib in sizes:
            for way, operation, size, cell in measured(policy, gib, options.sizes, options.rounds, options.c):
                cells.setdefault((way, operation, size), {})[gib] = cell
        for text in table(policy, sizes, cells):
            print(text, flush=True)
        same &= all(len({work for cell in row.values() for work in cell.work}) == 1 for row in cells.values())
    print("the counted work a page is equal at all sizes" if same else "the counted work a page differs: see above")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
