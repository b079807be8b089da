"""How fast the explored attack is, beside SPIN on the same protocols: `python tests/benchmarks/explore.py`.

One row a program: states, transitions, seconds of the search, and seconds of everything, the best of some runs with
warm native code. The search is a second one, which knows already what the threads do. Everything includes the machine's
set-up, finding out what the threads do, and holding states against the page tables; for SPIN it includes making the
verifier, from the model that somebody has written. It reports; it does not gate.
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
from foliolab.framework.verify.explored.exploration import Explorer, explore
from foliolab.framework.verify.explored.options import Options
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
        reduction: whether with partial-order reduction.
        sleep_sets: whether that has sleep sets beside persistent sets.
        target: seconds; 0: none.
    """

    policy: Policy
    threads: int
    nr: int
    symmetry: bool = False
    reduction: bool = False
    sleep_sets: bool = True
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
        how = (", reduced" if self.sleep_sets else ", persistent sets only") if self.reduction else ""
        how += ", interchangeable" if self.symmetry else ""
        return f"{self.policy.name}, {self.threads} × (map + unmap), {self.nr} {pages}{how}"


_MM_ID, _PAGES = mm_id.POLICY, page_mapcount.POLICY
ROWS: Final = (
    Row(_MM_ID, 3, 1, target=MM_ID_S),
    Row(_MM_ID, 3, 1, reduction=True, target=MM_ID_S),
    Row(no_page_mapcount.POLICY, 3, 2, target=MM_ID_S),
    Row(no_page_mapcount.POLICY, 3, 2, reduction=True, target=MM_ID_S),
    Row(_MM_ID, 3, 2),
    Row(_MM_ID, 3, 2, reduction=True, sleep_sets=False),
    Row(_MM_ID, 3, 2, reduction=True),
    Row(_MM_ID, 4, 1),
    Row(_MM_ID, 4, 1, reduction=True, sleep_sets=False),
    Row(_MM_ID, 4, 1, reduction=True),
    Row(_MM_ID, 4, 2, reduction=True),
    Row(_PAGES, 3, 2, target=PAGE_MAPCOUNT_S),
    Row(_PAGES, 3, 2, reduction=True, target=PAGE_MAPCOUNT_S),
    Row(_PAGES, 3, 2, symmetry=True, target=PAGE_MAPCOUNT_S),
    Row(_PAGES, 3, 2, symmetry=True, reduction=True, target=PAGE_MAPCOUNT_S),
    Row(_PAGES, 4, 2, symmetry=True),
    Row(_PAGES, 4, 2, symmetry=True, reduction=True),
)
LARGE: Final = 1_000_000
"""States above which a program is explored once."""


@dataclass(frozen=True)
class Times:
    """The fastest of some explorations.

    Args:
        found: what it found.
        search_s: the seconds of the search alone.
        whole_s: the seconds of everything.
    """

    found: Exploration
    search_s: float
    whole_s: float

    @property
    def rate(self) -> float:
        """How many transitions the search did in a second."""
        return self.found.transitions / self.search_s


def measured(row: Row, runs: int) -> Times:
    """Explore a program several times, or once if it is large."""
    scheme, program = row.policy.with_parameters(), row.program
    options = Options(symmetry=row.symmetry, reduction=row.reduction, sleep_sets=row.sleep_sets)
    found: list[Times] = []
    while len(found) < runs and not (found and found[0].found.states > LARGE):
        whole = explore(scheme, *program, options=options)
        assert whole.complete and not whole.broken
        found.append(Times(whole, _search(row, options), whole.seconds))
    return Times(whole, min(one.search_s for one in found), min(one.whole_s for one in found))


def _search(row: Row, options: Options) -> float:
    """Seconds of a search that knows already what the threads do."""
    world = World(row.policy.with_parameters(), *row.program)
    first = Explorer(world, options)
    first.run(lambda _: True)
    again = Explorer(world, options, first)
    began = time.perf_counter()
    again.run(lambda _: True)
    return time.perf_counter() - began


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="explorations of which the fastest counts")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("FOLIOLAB_CACHE", folder)
        _table(arguments.runs)


def _line(name: str, states: int, transitions: int, search_s: float, whole_s: float, more: str = "") -> None:
    print(f"{name:62} {states:10,} {transitions:12,} {search_s:8.3f} s {whole_s:8.3f} s  {more}", flush=True)


def _table(runs: int) -> None:
    print(f"{'':62} {'states':>10} {'transitions':>12} {'search':>10} {'everything':>10}")
    rates: list[tuple[Row, float]] = []
    for row in ROWS:
        times = measured(row, runs)
        found = times.found
        aim = f"target {row.target:g} s{'' if times.whole_s <= row.target else ': ABOVE'}" if row.target else ""
        _line(row.name, found.states, found.transitions, times.search_s, times.whole_s, aim)
        if not row.reduction and not row.symmetry and row.target == 0:
            rates.append((row, times.rate))
    for row, rate in rates:
        verdict = "" if rate >= RATE else ": BELOW IT"
        print(f"search alone: {row.name}: {rate / 1e6:.2f} million transitions/s (target {RATE / 1e6:g}){verdict}")
    if why := spin.missing():
        print(why, file=sys.stderr)
        return
    for model, threads in (("mm_id", 3), ("mm_id", 4), ("page_mapcount", 3)):
        for reduced in (False, True):
            if threads == 4 and not reduced:
                continue
            there = spin.run(model, reduced, threads)
            name = f"SPIN: {model}.pml, {threads} × (map + unmap), 2 pages{', reduced' if reduced else ''}"
            _line(name, there.states, there.transitions, there.seconds, there.whole_s)


if __name__ == "__main__":
    main()
