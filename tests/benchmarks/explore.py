"""How fast the explored attack is, beside SPIN on the same protocols: `python tests/benchmarks/explore.py`.

One row a program: states, transitions and seconds until every interleaving was seen, the best of some runs with warm
native code, everything included (the machine's set-up, finding out what the threads do, holding states against the
page tables); the rate is that of the search alone. SPIN's figures are those of its verifier, without its compiler.
It reports; it does not gate.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from typing import Final

import spin

from foliolab.framework.contract.policy import Policy
from foliolab.framework.engine.engine import Shape
from foliolab.framework.engine.operation import Operation
from foliolab.framework.verify.explored.exploration import Explorer, Options, explore
from foliolab.framework.verify.explored.result import Exploration
from foliolab.framework.verify.explored.world import World
from foliolab.policies import mm_id, no_page_mapcount, page_mapcount

RATE: Final = 1.5e6
MM_ID_S: Final = 0.1
PAGE_MAPCOUNT_S: Final = 5.0


@dataclass(frozen=True)
class Row:
    """One program.

    Args:
        policy: whose text runs.
        threads: how many MMs map and unmap.
        nr: how many pages of the same file folio.
        symmetry: whether interchangeable threads are taken for one another.
        target: seconds; 0: none.
    """

    policy: Policy
    threads: int
    nr: int
    symmetry: bool = True
    target: float = 0.0

    @property
    def program(self) -> tuple[Shape, list[Operation], list[list[Operation]]]:
        """The machine, the set-up and the threads."""
        setup = [f"create mm={mm}" for mm in range(self.threads)] + ["file_folio order=2"]
        threads = [
            [f"map_file mm={mm} vpn=0 pfn=0 nr={self.nr}", f"unmap mm={mm} start=0 nr={self.nr}"]
            for mm in range(self.threads)
        ]
        shape = Shape(nr_pages=16, nr_mms=self.threads, nr_vpns=8, nr_cpus=self.threads, max_order=2)
        return shape, list(map(Operation.parse, setup)), [list(map(Operation.parse, mine)) for mine in threads]

    @property
    def name(self) -> str:
        """What it does."""
        pages = "page" if self.nr == 1 else "pages"
        return f"{self.policy.name}, {self.threads} × (map + unmap), {self.nr} {pages}"


ROWS: Final = (
    Row(mm_id.POLICY, 3, 1, target=MM_ID_S),
    Row(no_page_mapcount.POLICY, 3, 2, target=MM_ID_S),
    Row(mm_id.POLICY, 3, 2),
    Row(mm_id.POLICY, 4, 1),
    Row(page_mapcount.POLICY, 3, 2, symmetry=False, target=PAGE_MAPCOUNT_S),
    Row(page_mapcount.POLICY, 3, 2, target=PAGE_MAPCOUNT_S),
    Row(page_mapcount.POLICY, 4, 2),
)


def whole(row: Row, runs: int) -> Exploration:
    """The fastest of some complete explorations."""
    scheme, program = row.policy.with_parameters(), row.program
    options = Options(symmetry=row.symmetry)
    found = [explore(scheme, *program, options=options) for _ in range(runs + 1)]
    return min(found, key=lambda one: one.seconds)


def rate(row: Row) -> float:
    """Transitions a second of the search alone: of a second search, which knows already what the threads do."""
    world = World(row.policy.with_parameters(), *row.program)
    first = Explorer(world, Options(symmetry=False))
    first.run(lambda _: True)
    again = Explorer(world, Options(symmetry=False), first)
    again.judge = first.judge
    began = time.perf_counter()
    found = again.run(lambda _: True)
    return found.transitions / (time.perf_counter() - began)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="explorations of which the fastest counts")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("FOLIOLAB_CACHE", folder)
        _table(arguments.runs)


def _line(name: str, states: int, transitions: int, seconds: float, target: float, more: str = "") -> None:
    aim = f"target {target:g} s{'' if seconds <= target else ': ABOVE'}" if target else ""
    print(f"{name:52} {states:10,} {transitions:12,} {seconds:8.3f} s  {aim:20} {more}", flush=True)


def _table(runs: int) -> None:
    print(f"{'':52} {'states':>10} {'transitions':>12} {'time':>9}")
    for row in ROWS:
        found = whole(row, runs)
        assert found.complete and not found.broken
        how = ", interchangeable" if found.symmetric else ""
        _line(row.name + how, found.states, found.transitions, found.seconds, row.target)
    for row in (ROWS[3], Row(page_mapcount.POLICY, 4, 2, symmetry=False)):
        fast = rate(row)
        verdict = "" if fast >= RATE else ": BELOW IT"
        print(
            f"{'search alone: ' + row.name:52} {fast / 1e6:.2f} million transitions/s (target {RATE / 1e6:g}){verdict}"
        )
    if why := spin.missing():
        print(why, file=sys.stderr)
        return
    for model, threads in (("mm_id", 3), ("page_mapcount", 3)):
        for reduced in (False, True):
            found_there = spin.run(model, reduced, threads)
            name = f"SPIN: {model}.pml, {threads} × (map + unmap), 2 pages{', reduced' if reduced else ''}"
            _line(name, found_there.states, found_there.transitions, found_there.seconds, 0)


if __name__ == "__main__":
    main()
