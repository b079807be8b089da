"""The microbenchmarks of the patch series on several kernels in guests, interleaved.

The guests run side by side, and only one works at a time. In each round every benchmark runs at every folio size on
every kernel, in a random order, as `counting.cells` plays it. Times need KVM: under TCG an instruction takes what its
translation takes. The result is compared as that of `compare`: its policies are the kernels.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Final

from foliolab.framework.errors import ExitCode, KernelError
from foliolab.framework.kernel import running
from foliolab.framework.kernel.agent.build import agent
from foliolab.framework.kernel.agent.channel import BYTES, Gone
from foliolab.framework.kernel.bench import KIND
from foliolab.framework.kernel.counting import cells
from foliolab.framework.kernel.guest.machine import Guest
from foliolab.framework.kernel.guest.qemu import kvm_missing, qemu
from foliolab.framework.kernel.images.configured import difference
from foliolab.framework.kernel.images.store import Image
from foliolab.framework.plugins.published import Published
from foliolab.framework.plugins.registry import Registry
from foliolab.framework.plugins.selection import ANON_ORDERS, size_text
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


def require_kvm(request: Request) -> None:
    """Refuse a host on which guests have no times of their own.

    Raises:
        KernelError: KVM does not work here, or there is no QEMU.
    """
    if why := kvm_missing(qemu()):
        raise KernelError(
            f"times of kernels in guests need KVM, and it cannot be used here: {why}",
            f"count what they execute, without KVM: `{_counting(request)}`",
        )


def _counting(request: Request) -> str:
    """The command that counts what a request would measure."""
    words = ["foliolab kernel count", *(image.name for image in request.images)]
    if len(request.benchmarks) < len(cells.WORKLOADS):
        words.append(f"--workloads {','.join(request.benchmarks)}")
    if len(request.sizes) < len(ANON_ORDERS):
        words.append(f"--sizes {','.join(size_text(kib << 10) for kib in request.sizes)}")
    return " ".join(words)


def published(images: Sequence[Image], registry: Registry) -> list[Published]:
    """The published figures of kernels against the first: those of the policies that model them.

    Args:
        images: the first is the baseline. A kernel that no policy is known to model has no figures.
    """
    policies = {}
    for image in images:
        scheme = running.matching(registry, image.kernel)
        policies[image.name] = scheme.name if scheme else ""
    first, *others = policies
    return [
        replace(figure, policy=name, baseline=first)
        for figure in registry.published_figures()
        for name in others
        if (figure.policy, figure.baseline) == (policies[name], policies[first])
    ]


def bench(request: Request, progress: Progress) -> Result:
    """Run all measurements. After Ctrl-C the result is marked as not complete.

    Raises:
        KernelError: KVM does not work here, or there is no QEMU or no compiler.
    """
    require_kvm(request)
    agent()  # what no kernel can do without is missed once
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
        images = self.request.images
        try:
            with ExitStack() as stack:
                for image in images:
                    self.progress(f"{image.name} boots", 0, 0)
                    with self._costs(image.name):
                        self._boot(stack, image)
                self.notes += [difference(images[0], other) for other in images[1:]]
                for turn in range(self.request.rounds):
                    self._round(turn)
        except KeyboardInterrupt:
            self.complete = False

    @contextmanager
    def _costs(self, kernel: str) -> Iterator[None]:
        """A guest that is lost costs what it was to measure, and no other kernel anything."""
        try:
            yield
        except KernelError as fault:
            for key, case in self.cases.items():
                if key[2] == kernel and case.status == "measured":
                    case.status, case.reason, case.samples = "failed", fault.what, []

    def _boot(self, stack: ExitStack, image: Image) -> None:
        for benchmark in self.request.benchmarks:
            for kib in self.request.sizes:
                self.cases[benchmark, kib, image.name] = _Case()
        guest = stack.enter_context(Guest(image))
        cells.quiet(guest)
        self.guests[image.name] = guest
        self.notes.append(f"{image.name}: {guest.kernel.described}, in a guest ({guest.accelerator.upper()})")
        for benchmark in self.request.benchmarks:
            for kib in self.request.sizes:
                if why := cells.unfit(guest, benchmark, kib):
                    self.cases[benchmark, kib, image.name] = _Case(status="skipped", reason=why)
                else:
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
            if self.cases[key].status == "measured":
                with self._costs(key[2]):
                    self._measure(key, bare)

    def _measure(self, key: Key, bare: dict[tuple[str, str], int]) -> None:
        """Add a sample to a case, or say why there is none.

        Raises:
            Gone: the kernel does not answer any more.
        """
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
