"""The microbenchmarks of the patch series on several kernels in guests, interleaved.

The guests run side by side, and only one works at a time. In each round every benchmark runs at every folio size on
every kernel, in a random order, as `counting.cells` plays it. Times need KVM: under TCG an instruction takes what its
translation takes. The result is compared as that of `compare`: its policies are the kernels.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Final

from foliolab.framework.errors import ExitCode, KernelError
from foliolab.framework.kernel.agent.channel import BYTES, Gone
from foliolab.framework.kernel.bench import KIND
from foliolab.framework.kernel.counting import cells
from foliolab.framework.kernel.guest.machine import Guest
from foliolab.framework.kernel.guest.qemu import kvm_missing, qemu
from foliolab.framework.kernel.images.store import Image
from foliolab.framework.results import provenance
from foliolab.framework.results.result import Cell, Config, Failure, Result, Status

PAGE: Final = 4096
NS: Final = struct.Struct("<q")
CHILD_WORKS: Final = "child-reuse-byte"
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Request:
    """What is to be measured.

    Attributes:
        images: the kernels; the first is the baseline.
        benchmarks: names out of `cells.WORKLOADS`.
        sizes: folio sizes in KiB.
        memory: bytes that each benchmark works on, a multiple of 2 MiB.
        rounds: number of measurements of each case.
        seed: of the order.
        command: the command line that repeats the run.
    """

    images: Sequence[Image]
    benchmarks: Sequence[str]
    sizes: Sequence[int]
    memory: int
    rounds: int
    seed: int
    command: str = ""


@dataclass
class _Case:
    samples: list[float] = field(default_factory=list)
    status: Status = "measured"
    reason: str = ""


Key = tuple[str, int, str]
"""A benchmark, a folio size in KiB, and a kernel."""


def require_kvm() -> None:
    """Refuse a host on which guests have no times of their own.

    Raises:
        KernelError: KVM does not work here, or there is no QEMU.
    """
    if why := kvm_missing(qemu()):
        raise KernelError(
            f"times of kernels in guests need KVM, and it cannot be used here: {why}",
            "`foliolab kernel count NAME` counts what a kernel executes, without KVM",
        )


def bench(request: Request, progress: Progress) -> Result:
    """Run all measurements. After Ctrl-C the result is marked as not complete.

    Raises:
        KernelError: KVM does not work here, or a kernel does not boot.
    """
    require_kvm()
    started = provenance.now()
    run = _Run(request, progress)
    run.all()
    names = [image.name for image in request.images]
    return Result(
        kind=KIND,
        complete=run.complete,
        command=request.command,
        **provenance.origin(started),
        config=Config(
            policies=names,
            policy_parameters={name: {} for name in names},
            baseline=names[0],
            workloads=list(request.benchmarks),
            sizes=list(request.sizes),
            memory=request.memory,
            repeats=request.rounds,
            seed=request.seed,
            quick=False,
        ),
        cells=[
            Cell(
                workload=key[0], size_kib=key[1], policy=key[2],
                samples=case.samples, status=case.status, reason=case.reason,
            )
            for key, case in run.cases.items() if case.samples or case.reason
        ],
        failures=[
            Failure(
                workload=key[0], size_kib=key[1], policy=key[2], message=case.reason,
                exit_code=int(ExitCode.COMPARISON_FAILED),
            )
            for key, case in run.cases.items() if case.status == "failed"
        ],
        notes=run.notes,
    )  # fmt: skip


class _Run:
    def __init__(self, request: Request, progress: Progress) -> None:
        self.request = request
        self.progress = progress
        self.pages = request.memory // PAGE
        self.guests: dict[str, Guest] = {}
        self.cases: dict[Key, _Case] = {}
        self.notes: list[str] = []
        self.complete = True

    def all(self) -> None:
        try:
            with ExitStack() as stack:
                for image in self.request.images:
                    self.progress(f"{image.name} boots", 0, 0)
                    self._boot(stack, image)
                for turn in range(self.request.rounds):
                    self._round(turn)
        except KeyboardInterrupt:
            self.complete = False

    def _boot(self, stack: ExitStack, image: Image) -> None:
        guest = stack.enter_context(Guest(image))
        cells.quiet(guest)
        self.guests[image.name] = guest
        self.notes.append(f"{image.name}: {guest.kernel.described}, in a guest ({guest.accelerator.upper()})")
        for benchmark in self.request.benchmarks:
            for kib in self.request.sizes:
                why = cells.unfit(guest, benchmark, kib)
                case = _Case(status="skipped", reason=why) if why else _Case()
                self.cases[benchmark, kib, image.name] = case
                if not why:
                    self._play(guest, benchmark, kib)  # a first time takes longer
            if benchmark in cells.BARE:
                self._play(guest, benchmark, self.request.sizes[0], bare=True)

    def _round(self, turn: int) -> None:
        keys = [key for key, case in self.cases.items() if case.status == "measured"]
        random.Random(f"{self.request.seed}:{turn}").shuffle(keys)
        bare: dict[tuple[str, str], int] = {}
        for number, key in enumerate(keys):
            done = turn * len(keys) + number
            self.progress(f"round {turn + 1} of {self.request.rounds}", done, self.request.rounds * len(keys))
            self._measure(key, bare)

    def _measure(self, key: Key, bare: dict[tuple[str, str], int]) -> None:
        """Add a sample to a case, or say why there is none."""
        benchmark, kib, kernel = key
        guest, case = self.guests[kernel], self.cases[key]
        try:
            if benchmark in cells.BARE and (benchmark, kernel) not in bare:
                bare[benchmark, kernel] = self._play(guest, benchmark, kib, bare=True)
            ns = self._play(guest, benchmark, kib) - bare.get((benchmark, kernel), 0)
        except Gone:
            raise
        except KernelError as fault:
            case.status, case.reason, case.samples = "failed", fault.what, []
            return
        if ns <= 0:
            case.status, case.samples = "failed", []
            case.reason = "took no longer than what is subtracted; use more --memory"
            return
        case.samples.append(ns / self.pages)

    def _play(self, guest: Guest, benchmark: str, kib: int, bare: bool = False) -> int:
        """Play a case; its nanoseconds."""
        lines = cells.program(guest, benchmark, kib, self.pages, bare)
        lines.append(f"elapsed {int(benchmark == CHILD_WORKS)}")
        frames = guest.channel.play("\n".join(lines))
        if not bare:
            cells.check_folios(guest, frames, kib, self.pages)
        (ns,) = NS.unpack([frame.payload for frame in frames if frame.kind == BYTES][-1])
        return int(ns)
