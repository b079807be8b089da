"""The result of `foliolab kernel count`, and its file."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from foliolab.framework.document import Count, Finite, Name, SizeKib
from foliolab.framework.kernel.counting.counts import Counts, total
from foliolab.framework.results.run_result import Figures, RunResult

LOCKED: Final = "locked instructions per page"
ZONE_LOCKS: Final = "zone_locks"
"""How often the model takes the lock of its free lists, per page; among the model's counts of a cell."""
Status = Literal["measured", "skipped", "failed"]


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The request of a run.

    Attributes:
        kernels: names.
        workloads: names, in the order of the report.
        sizes: folio sizes in KiB.
        memory: bytes that each cell works on.
    """

    kernels: list[Name]
    workloads: list[Name]
    sizes: list[SizeKib]
    memory: Count


class CountedKernel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A kernel that was counted.

    Attributes:
        name: by which it was asked for.
        release, described: what it says of itself.
        policy: the policy that models it, as a user writes it; empty if none does.
        qemu: the version of QEMU.
        lost: why the kernel was not counted to its end; empty if it was.
    """

    name: Name
    release: str = ""
    described: str = ""
    policy: str = ""
    qemu: str = ""
    lost: str = ""


class Cell(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One workload at one folio size on one kernel.

    Attributes:
        kernel, workload, size_kib: the case.
        pages: of 4 KiB that it works on.
        status: "skipped" means that the workload or the kernel has no such case, and needs a reason.
        reason: why it was not measured; empty for a measured cell.
        exact: two plays gave the same counts but for lines, of `functions` and of `bare`, and none fewer instructions.
        plays: how often `functions` was counted until it repeated.
        spread: instructions between the largest and the smallest play, without the first.
        functions: by the kernel's function, over all pages.
        bare: the same for the call without what the cell is about; empty if nothing is left then.
        model: the counted metrics of the policy that models the kernel (`foliolab reference metrics`), per page, and
            `ZONE_LOCKS`.
    """

    kernel: Name
    workload: Name
    size_kib: SizeKib
    pages: Count
    status: Status = "measured"
    reason: str = ""
    exact: bool = False
    plays: Count = 0
    spread: Count = 0
    functions: dict[Name, Counts] = {}
    bare: dict[Name, Counts] = {}
    model: dict[Name, Finite] = {}

    def __post_init__(self) -> None:
        where = f"{self.kernel}, {self.workload}, {self.size_kib} KiB"
        if (self.status == "measured") == (not self.functions):
            raise ValueError(f"{where}: it is {self.status}, with {len(self.functions)} functions")
        if self.status != "measured" and not self.reason:
            raise ValueError(f"{where}: it is {self.status}, and does not say why")
        if not self.pages:
            raise ValueError(f"{where}: it has no pages")
        for name, counts in (*self.functions.items(), *self.bare.items()):
            if counts.locked > counts.instructions:
                raise ValueError(f"{where}: {name} has more locked instructions than instructions")

    @property
    def key(self) -> tuple[str, str, int]:
        return self.kernel, self.workload, self.size_kib

    @property
    def all(self) -> Counts:
        """What the window had in all."""
        return total(self.functions.values())

    def per_page(self, metric: str = "locked") -> float:
        """A field of `Counts` for a page, without what the bare call has."""
        counted = getattr(self.all, metric) - getattr(total(self.bare.values()), metric)
        return float(counted) / self.pages

    def by_function(self, metric: str = "locked") -> dict[str, float]:
        """A field of `Counts` for a page by the kernel's function, without what the bare call has; largest first."""
        nothing = Counts()
        found = {}
        for name in {*self.functions, *self.bare}:
            with_pages, without = self.functions.get(name, nothing), self.bare.get(name, nothing)
            if counted := getattr(with_pages, metric) - getattr(without, metric):
                found[name] = counted / self.pages
        return dict(sorted(found.items(), key=lambda one: (-abs(one[1]), one[0])))


class CountsResult(RunResult, frozen=True, kw_only=True):
    """Exact counts of kernels.

    Attributes:
        config: the request.
        kernels: each of `config.kernels` at most once.
        cells: at most one for each kernel, workload and size.
    """

    WHAT = "file of counts"
    MADE_BY = "foliolab kernel count NAME --json FILE"

    kind: Literal["kernel-counts"] = "kernel-counts"
    config: Config
    kernels: list[CountedKernel]
    cells: list[Cell]

    def __post_init__(self) -> None:
        config = self.config
        names = [kernel.name for kernel in self.kernels]
        if len({*names}) < len(names) or not {*names} <= {*config.kernels}:
            raise ValueError("a kernel is there twice, or was not asked for")
        seen: set[tuple[str, str, int]] = set()
        for cell in self.cells:
            known = cell.kernel in names and cell.workload in config.workloads and cell.size_kib in config.sizes
            if not known or cell.key in seen:
                raise ValueError(f"{', '.join(map(str, cell.key))}: not in the request, or there twice")
            seen.add(cell.key)

    @property
    def verb(self) -> str:
        return "kernel count"

    @property
    def lost(self) -> list[str]:
        sentences = [f"{kernel.name}: {kernel.lost}" for kernel in self.kernels if kernel.lost]
        cells = {cell.key: cell for cell in self.cells}
        for kernel in self.config.kernels:
            for workload in self.config.workloads:
                for size in self.config.sizes:
                    cell = cells.get((kernel, workload, size))
                    if cell is None or cell.status == "failed":
                        why = cell.reason if cell else "the run did not get to it"
                        sentences.append(f"{kernel}, {workload}, {size} KiB: {why}")
        return sentences

    @property
    def figures(self) -> Figures:
        """The locked instructions of each cell for a page."""
        values: dict[tuple[str, ...], float] = {
            (cell.workload, str(cell.size_kib), cell.kernel): cell.per_page()
            for cell in self.cells
            if cell.status == "measured"
        }
        return Figures(("workload", "KiB", "kernel"), LOCKED, values)
