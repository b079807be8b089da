"""The microbenchmarks of the patch series on the running kernel.

In each round every benchmark runs at every folio size, in a random order, each in a process of its own (`sampler`), so
that slow changes of the host affect all alike. Root takes the THP settings and PFNs are the witness. Other users can
measure the enabled folio sizes only, and the result says so. The result has one policy, "linux".
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Final, Literal

from foliolab.framework.errors import ExitCode, KernelError, UsageError
from foliolab.framework.kernel import probe, running, sampler, settings
from foliolab.framework.kernel.sampler import ANON_COW, BenchSample, SampleRequest, Witness
from foliolab.framework.results import provenance
from foliolab.framework.results.result import Cell, Config, Failure, Result

POLICY: Final = "linux"
"""The name of the running kernel as a policy of a result."""
KIND: Final = "kernel-bench"
BENCHMARKS: Final = (
    "munmap", "dontneed", "fork", "cow-byte", "reuse-byte", "child-reuse-byte", "cow", "reuse", "remap", *ANON_COW,
)  # fmt: skip
"""The benchmarks; the model's workloads have the same names."""
SMALL_KIB: Final = 4
AREA: Final = 2 << 20
"""The memory of a benchmark is a multiple of this."""
ATTEMPTS: Final = 4
"""The largest number of attempts at one measurement if the kernel disturbs it."""
COPYING: Final = {"reuse-byte": "cow-byte", "child-reuse-byte": "cow-byte", "reuse": "cow"}
"""For each benchmark of reuse, the benchmark whose work is done instead by a kernel that copies there.

A copy allocates, charges and frees pages, which a reuse does not.
"""
COPIES: Final = "copies"
"""The counted metric: copied pages per page."""

Progress = Callable[[str, int, int], None]
"""Called with the phase, the number of measurements done, and their total."""
Partial = Callable[[Callable[[], Result]], object]
Key = tuple[str, int]
"""A benchmark and a folio size in KiB."""


@dataclass(frozen=True)
class BenchRequest:
    """The measurements of a bench.

    Args:
        benchmarks: names out of BENCHMARKS.
        sizes: folio sizes in KiB.
        memory: size of each benchmark's memory in bytes; anon-cow divides it among the parent and its children.
        rounds: number of measurements of each benchmark and size.
        seed: of the order and of the random words.
        children: number of children of anon-cow.
        wait: seconds to wait for another run that has the THP settings.
        command: the command line that repeats the run.

    Raises:
        UsageError: too little memory.
    """

    benchmarks: tuple[str, ...]
    sizes: tuple[int, ...]
    memory: int
    rounds: int
    seed: int
    children: int
    wait: float = 0.0
    command: str = ""

    def memory_of(self, benchmark: str) -> int:
        """The size of a benchmark's memory in bytes; for anon-cow the share of each process."""
        shares = self.children + 1 if benchmark in ANON_COW else 1
        return self.memory // shares // AREA * AREA

    def __post_init__(self) -> None:
        least = AREA * (self.children + 1 if set(self.benchmarks) & set(ANON_COW) else 1)
        if self.memory < least:
            raise UsageError(f"{self.memory} bytes are too little memory", f"use at least {least >> 20} MiB")


@dataclass
class _Case:
    """The results so far of a benchmark at a size; `skipped` and `failed` are reasons."""

    samples: list[float] = field(default_factory=list)
    flagged: list[int] = field(default_factory=list)
    copies: list[float] = field(default_factory=list)
    skipped: str = ""
    failed: str = ""


def memory_needed(request: BenchRequest) -> int:
    """The memory in bytes that the largest benchmark needs: twice its own if it copies."""
    copying = {"cow-byte", "cow", "reuse-byte", "reuse", "child-reuse-byte"} & set(request.benchmarks)
    return request.memory * (2 if copying else 1)


def bench(request: BenchRequest, progress: Progress, partial: Partial | None = None) -> Result:
    """Run all measurements. After Ctrl-C the result is marked as not complete.

    Args:
        partial: called after each measurement, with a function that makes the incomplete result.

    Raises:
        KernelError: /proc/vmstat is not available, or another run has the THP settings.
    """
    probe.require("vmstat")
    started = provenance.now()
    run = _Run(request, progress, lambda: partial(lambda: _result(run, started, False)) if partial else None)
    run.all()
    return _result(run, started, not run.interrupted)


def _result(run: _Run, started: str, complete: bool) -> Result:
    request = run.request
    return Result(
        kind=KIND,
        complete=complete,
        command=request.command,
        **provenance.origin(started),
        config=Config(
            policies=[POLICY],
            policy_parameters={POLICY: {}},
            baseline=POLICY,
            workloads=list(request.benchmarks),
            sizes=list(request.sizes),
            memory=request.memory,
            repeats=request.rounds,
            seed=request.seed,
            quick=False,
        ),
        cells=[_cell(key, case) for key, case in run.cases.items() if case.samples or case.skipped or case.failed],
        failures=[
            Failure(
                policy=POLICY,
                workload=workload,
                size_kib=kib,
                message=case.failed,
                exit_code=int(ExitCode.COMPARISON_FAILED),
            )
            for (workload, kib), case in run.cases.items()
            if case.failed
        ],
        notes=run.notes(),
    )


def _cell(key: Key, case: _Case) -> Cell:
    status: Literal["measured", "failed", "skipped"] = "measured"
    if not case.samples:
        status = "failed" if case.failed else "skipped"
    return Cell(
        workload=key[0],
        size_kib=key[1],
        policy=POLICY,
        samples=case.samples,
        flagged=case.flagged,
        counted={COPIES: sum(case.copies) / len(case.copies)} if case.copies else {},
        status=status,
        reason=case.failed or case.skipped,
    )


class _Run:
    def __init__(self, request: BenchRequest, progress: Progress, measured: Callable[[], object]) -> None:
        self.request = request
        self.progress = progress
        self.measured = measured
        self.cpus = tuple(sorted(os.sched_getaffinity(0)))
        self.exclusive = all(probe.capability(name).available for name in ("root", "THP settings"))
        exact = all(probe.capability(name).available for name in ("PFNs", "kpageflags"))
        self.witness: Witness = "pfn" if exact else "count"
        self.repeated = 0
        self.interrupted = False
        self.cases = {(name, kib): _Case() for name in request.benchmarks for kib in request.sizes}
        for (name, kib), case in self.cases.items():
            case.skipped = self._skip_reason(name, kib)

    def _skip_reason(self, name: str, kib: int) -> str:
        """Why a benchmark cannot be measured at a size on this host; empty if it can."""
        if name == "remap" and kib != settings.PMD_KIB:
            return f"remap is for folios of {settings.PMD_KIB} KiB only"
        if kib == SMALL_KIB or self.exclusive:
            return ""
        usable = [size for size in settings.sizes() if settings.resolved_mode(size) in ("always", "madvise")]
        if kib not in usable:
            return f"folios of {kib} KiB are not enabled, and changing that takes root"
        if kib != usable[-1]:
            return f"folios of {usable[-1]} KiB are enabled, too, and come first; changing that takes root"
        if self.witness == "count" and not probe.capability("nr_anon").available:
            return "whether folios have that size cannot be seen without root here"
        return ""

    def all(self) -> None:
        """Run all rounds. Ctrl-C ends them and sets `interrupted`."""
        request = self.request
        total = request.rounds * sum(not case.skipped for case in self.cases.values())
        done = 0
        try:
            with self._thp() as only:
                self._warm_up(only)
                for turn in range(request.rounds):
                    keys = [key for key, case in self.cases.items() if not case.skipped]
                    random.Random(f"{request.seed}:{turn}").shuffle(keys)
                    for key in keys:
                        self.progress(f"round {turn + 1} of {request.rounds}", done, total)
                        if not self.cases[key].failed:
                            self._measure(key, turn, only)
                            self.measured()
                        done += 1
                self.progress("done", done, total)
        except KeyboardInterrupt:
            self.interrupted = True

    @contextmanager
    def _thp(self) -> Iterator[Callable[[int], None]]:
        """The function that enables one folio size; without root it does nothing."""
        with settings.exclusive(self.request.wait) if self.exclusive else nullcontext() as thp:
            yield thp.only if thp is not None else lambda kib: None

    def _warm_up(self, only: Callable[[int], None]) -> None:
        """Touch all memory once: a virtual machine may get it from its host only then, which takes time."""
        self.progress("warming up", 0, 0)
        only(SMALL_KIB)
        name = "cow-byte" if memory_needed(self.request) > self.request.memory else "munmap"
        sampler.sample(self._sample_request(name, SMALL_KIB, 0), self.witness)

    def _sample_request(self, name: str, kib: int, turn: int) -> SampleRequest:
        request = self.request
        return SampleRequest(
            name, kib, request.memory_of(name), self.cpus, request.children, (request.seed + turn) & 0x7FFFFFFF
        )

    def _measure(self, key: Key, turn: int, only: Callable[[int], None]) -> None:
        """Add a sample; it is flagged if the kernel disturbed every attempt."""
        case = self.cases[key]
        try:
            only(key[1])
            sample = self._undisturbed(key, turn)
        except KernelError as fault:
            case.failed = fault.what
            return
        if sample.ns_per_page <= 0:
            case.failed = f"took no longer than what is subtracted, {ATTEMPTS} times; use more --memory"
            return
        if sample.moved:
            case.flagged.append(len(case.samples))
        case.samples.append(sample.ns_per_page)
        if sample.copies is not None:
            case.copies.append(sample.copies)

    def _undisturbed(self, key: Key, turn: int) -> BenchSample:
        """Measure until the kernel did not disturb it, at most ATTEMPTS times; the last sample."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                sample = sampler.sample(self._sample_request(*key, turn), self.witness)
                if not sample.moved and sample.ns_per_page > 0:
                    break
            except sampler.WrongFolios:
                if attempt == ATTEMPTS:
                    raise
            self.repeated += attempt < ATTEMPTS
        return sample

    def notes(self) -> list[str]:
        """The conditions and limits of the measurement, for the result."""
        kernel = running.read()
        notes = [kernel.note or f"{kernel.tracking} ({kernel.source})"]
        if self.witness == "count":
            notes.append("without PFNs: folio sizes and copies are from the kernel's counters of all processes")
        if not self.exclusive:
            notes.append("without root: only folio sizes that are enabled; khugepaged and other programs run on")
        if self.repeated:
            notes.append(
                f"{self.repeated} measurements were repeated: the kernel moved pages by itself, or had no such folios"
            )
        notes.append(
            "subtracted: a fork without the memory, the loop that writes bytes, changing the protection; not "
            "subtracted: stores to whole pages (cow, reuse) and to all or random words (anon-cow)"
        )
        if set(self.request.benchmarks) & set(ANON_COW):
            area = self.request.memory_of(ANON_COW[0]) >> 20
            notes.append(
                f"anon-cow: {self.request.children} children write {area} MiB each; ns for a page of each child"
            )
        return notes
