"""What a benchmark measured on kernels, beside the cells of a comparison that the same thing was measured for.

A kernel stands in the column of the policy that models it. Where the same host also measured a kernel of the baseline,
the figure is the change between the two; else it is what was measured, with its unit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Annotated, Final

import msgspec
import numpy as np

from foliolab.framework.contract.models import Models
from foliolab.framework.document import Count, Name, SizeKib
from foliolab.framework.errors import UsageError
from foliolab.framework.results.benchmark_output import (
    MODES,
    PTE_MAPPED,
    VM_SCALABILITY,
    WILL_IT_SCALE,
    Measured,
)

MOST_RUNS: Final = 10_000
RATE_UNITS: Final = ("KB/s", "operations/s")
"""Units of which more is faster."""


@dataclass(frozen=True)
class Place:
    """Which cells a benchmark's tests stand beside.

    Args:
        tool: the benchmark.
        test: a pattern of its tests' names.
        workload: of the cells, with the number of tasks for `{tasks}`; empty: the tests stand beside no cell.
        why: what both measure, and its source; or why there is no such cell.
        tasks: the pattern of the numbers of tasks that it is for; empty: any.
    """

    tool: str
    test: str
    workload: str
    why: str
    tasks: str = ""


PLACES: Final = (
    Place(
        PTE_MAPPED, "munmap-swapped-forked", "", "no workload unmaps memory that is swapped out and shared by a fork"
    ),
    *(
        Place(PTE_MAPPED, mode, mode, "the benchmark that the workload models (specification 6.1)")
        for mode in MODES
        if mode != "munmap-swapped-forked"
    ),
    *(
        Place(VM_SCALABILITY, case, case, "the case that the workload models (specification 6.3)")
        for case in ("anon-cow-seq", "anon-cow-rand")
    ),
    Place(VM_SCALABILITY, r"anon-cow-(?:seq|rand)-mt", "", "its tasks are threads of one MM, so nothing is copied"),
    Place(VM_SCALABILITY, ".*", "", "of its cases, the model has anon-cow-seq and anon-cow-rand"),
    Place(
        WILL_IT_SCALE, "page_fault1_processes", "contention-1",
        "a task maps anonymous folios of its own and unmaps them (tests/page_fault1.c)", "1",
    ),
    Place(
        WILL_IT_SCALE, "page_fault1_processes", "contention-disjoint-{tasks}",
        "each task maps anonymous folios of its own and unmaps them (tests/page_fault1.c)",
    ),
    Place(WILL_IT_SCALE, r"\w+_threads", "", "its tasks are threads of one MM; each thread of the model has its own"),
    Place(WILL_IT_SCALE, ".*", "", "of its tests, the model has what page_fault1 does: anonymous folios of each task"),
)  # fmt: skip
"""The first that fits decides."""


class BesideCell(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a benchmark measured on one kernel, beside one cell.

    Attributes:
        tool, test: the benchmark, and its test.
        workload, size_kib, policy: the cell; the policy models the kernel.
        host, kernel: what was measured; empty if unknown.
        tasks: how many ran at the same time; 0 where the test has one only.
        unit: of the samples: ns a page, KB/s or operations/s.
        samples: a value for each run, above 0.
    """

    tool: Name
    test: Name
    workload: Name
    size_kib: SizeKib
    policy: Name
    host: Name = ""
    kernel: Name = ""
    tasks: Count = 0
    unit: Name
    samples: Annotated[list[float], msgspec.Meta(min_length=1, max_length=MOST_RUNS)]

    def __post_init__(self) -> None:
        if not all(isfinite(one) and 0 < one < 1e30 for one in self.samples):
            raise ValueError(f"{self.tool}, {self.test}: a sample is not a number above 0")

    @property
    def median(self) -> float:
        return float(np.median(self.samples))

    @property
    def deviation(self) -> float | None:
        """The standard deviation of the runs as a share of the median; None for a single run."""
        return float(np.std(self.samples, ddof=1)) / self.median if len(self.samples) > 1 else None

    @property
    def machine(self) -> str:
        return ", ".join(part for part in (self.host, self.kernel and f"Linux {self.kernel}") if part)


def place(tool: str, test: str, tasks: int = 0) -> Place:
    """Which cells a test stands beside; every test of the three benchmarks has a place, though perhaps no workload."""
    for one in PLACES:
        if one.tool == tool and re.fullmatch(one.test, test) and re.fullmatch(one.tasks or ".*", str(tasks)):
            return one
    return Place(tool, test, "", f"the tests of {tool} are {', '.join(MODES)}")


def policy_of(kernel: str, models: Mapping[str, Models]) -> str:
    """The policy that models a release.

    Args:
        models: by policy.

    Raises:
        UsageError: none does, or several do, since the release does not say how the kernel is configured.
    """
    numbers = re.match(r"(\d{1,4})\.(\d{1,4})", kernel, re.ASCII)
    version = (int(numbers[1]), int(numbers[2])) if numbers else (0, 0)
    found = [name for name, one in models.items() if one.since <= version and (not one.until or version < one.until)]
    if len(found) == 1:
        return found[0]
    why = "no policy models it" if not found else f"its configuration decides between {' and '.join(found)}"
    named = found[0] if found else "NAME"
    raise UsageError(f"which policy stands for Linux {kernel} is not known: {why}", f"say it: policy={named}")


def cells(runs: Iterable[Measured], models: Mapping[str, Models]) -> tuple[list[BesideCell], list[str]]:
    """The cells that runs stand beside, and a sentence for each test that stands beside none.

    Raises:
        UsageError: which policy a kernel stands for is not known.
    """
    grouped: dict[tuple[object, ...], list[Measured]] = {}
    notes: dict[str, None] = {}
    for run in runs:
        where = place(run.tool, run.test, run.tasks)
        if not where.workload:
            notes[f"{run.tool}'s {run.test} stands beside no cell: {where.why}."] = None
            continue
        policy = run.policy or policy_of(run.kernel, models)
        workload = where.workload.format(tasks=run.tasks)
        key = (run.tool, run.test, workload, run.size_kib, policy, run.host, run.kernel, run.tasks, run.unit)
        grouped.setdefault(key, []).append(run)
    names = ("tool", "test", "workload", "size_kib", "policy", "host", "kernel", "tasks", "unit")
    found = [
        msgspec.convert({**dict(zip(names, key, strict=True)), "samples": [run.value for run in own]}, BesideCell)
        for key, own in grouped.items()
    ]
    return found, list(notes)
