"""The microbenchmarks of the patch series on the running kernel, interleaved, into a result file.

In each round every benchmark runs at every folio size, in a random order, each in a process of its own
(`sampler`). With root the THP settings are this run's alone, and PFNs are the witness; without, only what
happens to be enabled can be measured, and the result says so. The result has one policy, "linux".
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Final, Literal

from foliolab.framework.errors import ExitCode, KernelError, UsageError
from foliolab.framework.kernel import probe, running, sampler, settings
from foliolab.framework.kernel.sampler import ANON_COW, Request, Sample, Witness
from foliolab.framework.results import provenance
from foliolab.framework.results.result import Cell, Config, Failure, Result

POLICY: Final = "linux"
"""The name of the running kernel where a result names policies."""
KIND: Final = "kernel-bench"
BENCHMARKS: Final = (
    "munmap", "dontneed", "fork", "cow-byte", "reuse-byte", "child-reuse-byte", "cow", "reuse", "remap", *ANON_COW,
)  # fmt: skip
"""As the model's workloads are called."""
SMALL_KIB: Final = 4
PMD_KIB: Final = settings.PMD_KIB
AREA: Final = 2 << 20
"""Memory is a multiple of this."""
TRIES: Final = 4
"""How often a measurement is taken again that the kernel disturbed, in all."""
COPYING: Final = {"reuse-byte": "cow-byte", "child-reuse-byte": "cow-byte", "reuse": "cow"}
"""Benchmarks of reuse, and the one whose work a kernel does there that has to copy instead: a copy allocates, charges
and frees pages, which is no part of a reuse."""
COPIES: Final = "copies"
"""The counted metric: pages copied, per page."""

Progress = Callable[[str, int, int], None]
Key = tuple[str, int]
"""A benchmark and a folio size in KiB."""


@dataclass(frozen=True)
class BenchRequest:
    """What to measure.

    Args:
        benchmarks: out of BENCHMARKS.
        sizes: folio sizes in KiB.
        memory: bytes that each benchmark works on; anon-cow shares them among the parent and its children.
        rounds: how often each is measured.
        seed: of the order and of random words.
        children: of anon-cow.
        wait: seconds to wait for another run that has the THP settings.
        command: what repeats the run.
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
        """Bytes that a benchmark's area has: for anon-cow a share each for the parent and all children."""
        shares = self.children + 1 if benchmark in ANON_COW else 1
        return self.memory // shares // AREA * AREA

    def __post_init__(self) -> None:
        least = AREA * (self.children + 1 if set(self.benchmarks) & set(ANON_COW) else 1)
        if self.memory < least:
            raise UsageError(f"{self.memory} bytes are too little memory", f"use at least {least >> 20} MiB")


@dataclass
class _Case:
    """What is known so far of a benchmark at a size."""

    samples: list[float] = field(default_factory=list)
    flagged: list[int] = field(default_factory=list)
    copies: list[float] = field(default_factory=list)
    skipped: str = ""
    failed: str = ""


def memory_needed(request: BenchRequest) -> int:
    """Bytes that the largest of the benchmarks takes: what is copied is there twice."""
    copying = {"cow-byte", "cow", "reuse-byte", "reuse", "child-reuse-byte"} & set(request.benchmarks)
    return request.memory * (2 if copying else 1)


def bench(request: BenchRequest, progress: Progress) -> Result:
    """Measure.

    Args:
        request: what.
        progress: called with the phase, the steps done and the steps in all.

    Returns:
        the result; `complete` is False where Ctrl-C ended it.

    Raises:
        KernelError: nothing can be measured here, or another run has the THP settings.
    """
    probe.require("vmstat")
    started = provenance.now()
    run = _Run(request, progress)
    run.all()
    return Result(
        kind=KIND,
        complete=not run.interrupted,
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
        failures=[_failure(key, case) for key, case in run.cases.items() if case.failed],
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


def _failure(key: Key, case: _Case) -> Failure:
    return Failure(
        policy=POLICY,
        workload=key[0],
        size_kib=key[1],
        message=case.failed,
        exit_code=int(ExitCode.COMPARISON_FAILED),
    )


class _Run:
    def __init__(self, request: BenchRequest, progress: Progress) -> None:
        self.request = request
        self.progress = progress
        self.cpus = tuple(sorted(os.sched_getaffinity(0)))
        self.exclusive = all(probe.capability(name).available for name in ("root", "THP settings"))
        exact = all(probe.capability(name).available for name in ("PFNs", "kpageflags"))
        self.witness: Witness = "pfn" if exact else "count"
        self.repeated = 0
        self.interrupted = False
        self.cases = {(name, kib): _Case() for name in request.benchmarks for kib in request.sizes}
        for (name, kib), case in self.cases.items():
            case.skipped = self._unfit(name, kib)

    def _unfit(self, name: str, kib: int) -> str:
        """Why a benchmark cannot be measured at a size here; empty where it can."""
        if name == "remap" and kib != PMD_KIB:
            return f"remap is for folios of {PMD_KIB} KiB only"
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
        """All rounds; Ctrl-C ends them quietly."""
        request = self.request
        total = request.rounds * sum(not case.skipped for case in self.cases.values())
        done = 0
        try:
            with self._thp() as only:
                self._warm_up(only)
                for turn in range(request.rounds):
                    for key in self._shuffled(turn):
                        self.progress(f"round {turn + 1} of {request.rounds}", done, total)
                        if not self.cases[key].failed:
                            self._once(key, turn, only)
                        done += 1
                self.progress("done", done, total)
        except KeyboardInterrupt:
            self.interrupted = True

    def _shuffled(self, turn: int) -> Sequence[Key]:
        keys = [key for key, case in self.cases.items() if not case.skipped]
        random.Random(f"{self.request.seed}:{turn}").shuffle(keys)
        return keys

    @contextmanager
    def _thp(self) -> Iterator[Callable[[int], None]]:
        """What lets new folios have a size, if that is ours to decide."""
        with settings.exclusive(self.request.wait) if self.exclusive else nullcontext() as thp:
            yield thp.only if thp is not None else lambda kib: None

    def _warm_up(self, only: Callable[[int], None]) -> None:
        """Touch all memory once: on a virtual machine the host gives it at the first touch."""
        self.progress("warming up", 0, 0)
        only(SMALL_KIB)
        name = "cow-byte" if memory_needed(self.request) > self.request.memory else "munmap"
        sampler.sample(self._asked(name, SMALL_KIB, 0), self.witness)

    def _asked(self, name: str, kib: int, turn: int) -> Request:
        request = self.request
        return Request(
            name, kib, request.memory_of(name), self.cpus, request.children, (request.seed + turn) & 0x7FFFFFFF
        )

    def _once(self, key: Key, turn: int, only: Callable[[int], None]) -> None:
        """Take one sample; again where the kernel disturbed it, and flagged where it always does."""
        case = self.cases[key]
        try:
            only(key[1])
            taken = self._undisturbed(key, turn)
        except KernelError as fault:
            case.failed = fault.what
            return
        if taken.ns_per_page <= 0:
            case.failed = f"took no longer than what is subtracted, {TRIES} times; use more --memory"
            return
        if taken.moved:
            case.flagged.append(len(case.samples))
        case.samples.append(taken.ns_per_page)
        if taken.copies is not None:
            case.copies.append(taken.copies)

    def _undisturbed(self, key: Key, turn: int) -> Sample:
        for attempt in range(1, TRIES + 1):
            try:
                taken = sampler.sample(self._asked(*key, turn), self.witness)
                if not taken.moved and taken.ns_per_page > 0:
                    break
            except sampler.WrongFolios:
                if attempt == TRIES:
                    raise
            self.repeated += attempt < TRIES
        return taken

    def notes(self) -> list[str]:
        """What a reader of the result should know."""
        kernel = running.read()
        chosen = ", ".join(
            f"{name}={kernel.options.get(name, 'n')}" for name in (*running.DEFAULTS, "CONFIG_NO_PAGE_MAPCOUNT")
        )
        told = [kernel.note or f"{chosen} ({kernel.source})"]
        if self.witness == "count":
            told.append("without PFNs: folio sizes and copies are told by the kernel's counters of all processes")
        if not self.exclusive:
            told.append("without root: only folio sizes that are enabled; khugepaged and other programs run on")
        if self.repeated:
            told.append(
                f"{self.repeated} measurements were repeated: the kernel moved pages by itself, or had no such folios"
            )
        told.append(
            "subtracted: a fork without the memory, the loop that writes bytes, changing the protection; not "
            "subtracted: stores to whole pages (cow, reuse) and to all or random words (anon-cow)"
        )
        if set(self.request.benchmarks) & set(ANON_COW):
            area = self.request.memory_of(ANON_COW[0]) >> 20
            told.append(
                f"anon-cow: {self.request.children} children write {area} MiB each; ns for a page of each child"
            )
        return told
