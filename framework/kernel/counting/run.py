"""Counts of kernels, one after the other, with the model's counts beside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from foliolab.framework.anatomy.atomics import LOCK, Counter
from foliolab.framework.contract.policy import Scheme
from foliolab.framework.contract.workload import Setting
from foliolab.framework.errors import KernelError
from foliolab.framework.kernel import running
from foliolab.framework.kernel.agent.build import agent
from foliolab.framework.kernel.agent.channel import Gone
from foliolab.framework.kernel.counting import cells
from foliolab.framework.kernel.counting.machine import CountingGuest, plugin, version
from foliolab.framework.kernel.counting.result import ZONE_LOCKS, Cell, Config, CountedKernel, CountsResult
from foliolab.framework.kernel.guest.qemu import qemu
from foliolab.framework.kernel.images.store import Image
from foliolab.framework.kernel.settings import order_of
from foliolab.framework.machine.ref import Ref
from foliolab.framework.plugins.registry import Registry
from foliolab.framework.results import provenance
from foliolab.framework.run.cases import Case, counting_setting, unfit
from foliolab.framework.run.count import count, own_fields

PAGE: Final = 4096
PATIENCE: Final = 120.0
"""Seconds after which the model's count of a cell is given up."""
Progress = Callable[[str, int, int], None]
"""Called with what is counted, the number of cells that are done, and that of all."""


@dataclass(frozen=True)
class Request:
    """What is to be counted.

    Attributes:
        images: the kernels.
        workloads: names out of `cells.WORKLOADS`.
        sizes: folio sizes in KiB.
        memory: bytes that each cell works on, a multiple of 2 MiB.
        command: the command line that repeats the run.
    """

    images: Sequence[Image]
    workloads: Sequence[str]
    sizes: Sequence[int]
    memory: int
    command: str = ""

    @property
    def pages(self) -> int:
        """Pages that each cell works on."""
        return self.memory // PAGE


def run(request: Request, registry: Registry, progress: Progress) -> CountsResult:
    """Count all cells of all kernels. After Ctrl-C the result is marked as not complete.

    Raises:
        KernelError: QEMU or a compiler is missing.
    """
    plugin(version(qemu()))  # what no kernel can do without is missed once, before the first boots
    agent()
    started = provenance.now()
    made = _Run(request, registry, progress)
    made.all()
    return CountsResult(
        complete=made.complete,
        command=request.command,
        **provenance.origin(started),
        config=Config(
            kernels=[image.name for image in request.images],
            workloads=list(request.workloads),
            sizes=list(request.sizes),
            memory=request.memory,
        ),
        kernels=made.kernels,
        cells=made.cells,
    )


@dataclass
class _Counter(Counter):
    """Counts the acquisitions of the zone's lock, too."""

    zone_locks: int = 0

    def access(self, op: str, ref: Ref, old: int, new: int) -> None:
        super().access(op, ref, old, new)
        self.zone_locks += op == LOCK and ref.owner == "zone"


class _Run:
    def __init__(self, request: Request, registry: Registry, progress: Progress) -> None:
        self.request = request
        self.registry = registry
        self.progress = progress
        self.kernels: list[CountedKernel] = []
        self.cells: list[Cell] = []
        self.complete = True

    def all(self) -> None:
        try:
            for image in self.request.images:
                self._kernel(image)
        except KeyboardInterrupt:
            self.complete = False

    def _kernel(self, image: Image) -> None:
        """Count a kernel; if it is lost, what was counted stays, and the kernel says why."""
        known = CountedKernel(name=image.name)
        at = len(self.kernels)
        self.kernels.append(known)
        try:
            self._tell(image, "boots")
            with CountingGuest(image) as guest:
                scheme = running.matching(self.registry, guest.kernel)
                known = CountedKernel(
                    name=image.name,
                    release=guest.kernel.release,
                    described=guest.kernel.described,
                    policy=scheme.name if scheme else "",
                    qemu=".".join(map(str, guest.version)),
                )
                self.kernels[at] = known
                self._cells(guest, scheme)
        except KernelError as fault:
            why = fault.what if isinstance(fault, Gone) else f"{fault.what}; {fault.hint}"
            self.kernels[at] = msgspec.structs.replace(known, lost=why)

    def _cells(self, guest: CountingGuest, scheme: Scheme | None) -> None:
        bare: dict[str, cells.Played] = {}
        cells.quiet(guest)
        for workload in self.request.workloads:
            for kib in self.request.sizes:
                self._tell(guest.image, f"{workload} {kib}K")
                self.cells.append(self._cell(guest, scheme, workload, kib, bare))

    def _cell(
        self, guest: CountingGuest, scheme: Scheme | None, workload: str, kib: int, bare: dict[str, cells.Played]
    ) -> Cell:
        name, pages = guest.image.name, self.request.pages
        if why := cells.unfit(guest, workload, kib):
            return Cell(kernel=name, workload=workload, size_kib=kib, pages=pages, status="skipped", reason=why)
        try:
            if workload in cells.BARE and workload not in bare:
                bare[workload] = cells.play(guest, workload, kib, pages, bare=True)
            played = cells.play(guest, workload, kib, pages)
        except Gone:
            raise
        except KernelError as fault:
            return Cell(kernel=name, workload=workload, size_kib=kib, pages=pages, status="failed", reason=fault.what)
        without = bare.get(workload)
        return Cell(
            kernel=name,
            workload=workload,
            size_kib=kib,
            pages=pages,
            exact=played.exact and (without is None or without.exact),
            plays=played.plays,
            spread=played.spread,
            functions=dict(played.functions),
            bare=dict(without.functions) if without else {},
            model=self._model(scheme, workload, kib),
        )

    def _model(self, scheme: Scheme | None, workload: str, kib: int) -> dict[str, float]:
        """The model's counts of a cell; empty if it has none."""
        if scheme is None or workload not in self.registry.workloads:
            return {}
        order = order_of(kib)
        case = Case(self.registry.workload(workload), Setting(order, self.request.pages, 1))
        if order not in case.workload.orders or unfit(case.workload, scheme, order):
            return {}
        seen = _Counter(own_fields(scheme))
        found = count(case, scheme, PATIENCE, seen)
        return found | {ZONE_LOCKS: seen.zone_locks / case.workload.pages(counting_setting(case))}

    def _tell(self, image: Image, what: str) -> None:
        request = self.request
        done = len(self.cells)
        self.progress(f"{image.name}: {what}", done, len(request.images) * len(request.workloads) * len(request.sizes))
