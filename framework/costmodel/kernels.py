"""Counts of kernels, from what `foliolab kernel count --json` wrote, per page and by term.

FolioLab has counts of some kernels in `kernels.json`: such a file in which functions are added up that have hardly a
locked instruction. It is made by

    python -m foliolab.framework.costmodel.kernels FILE… > kernels.json
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from foliolab.framework import intake
from foliolab.framework.costmodel.formula import Counts
from foliolab.framework.document import Count, SizeKib
from foliolab.framework.errors import ResultFileError
from foliolab.framework.kernel.counting.difference import LEAST, WALKS
from foliolab.framework.kernel.counting.result import ZONE_LOCKS

MADE_BY: Final = "`foliolab kernel count --json FILE` writes one"
KIND: Final = "kernel-counts"
SHIPPED: Final = Path(__file__).with_name("kernels.json")
LINE: Final = 64
FAULTING: Final = frozenset({"cow-byte", "reuse-byte", "child-reuse-byte", "cow", "reuse"})
"""Benchmarks that write to each page once, which takes one page fault a page."""


METRICS: Final = ("instructions", "locked", "string_stored", "near", "far")
COPIES: Final = frozenset({"memcpy_orig", "memset_orig", "copy_page", "copy_page_regs", "clear_page_orig"})
"""Functions that copy or clear pages, whose lines the term of copies has."""
REST: Final = ""
"""The name under which the functions are added up that are not named."""


class _Executed(msgspec.Struct, frozen=True, omit_defaults=True):
    instructions: Count = 0
    locked: Count = 0
    string_stored: Count = 0
    near: Count = 0
    far: Count = 0


class Cell(msgspec.Struct, frozen=True, omit_defaults=True):
    """A cell of such a file; see `kernel.counting.result.Cell`."""

    kernel: str
    workload: str
    size_kib: SizeKib
    pages: Count = 0
    status: str = "measured"
    reason: str = ""
    exact: bool = False
    functions: dict[str, _Executed] = {}
    bare: dict[str, _Executed] = {}
    model: dict[str, float] = {}

    def per_page(self, metric: str) -> float:
        """One of `METRICS` for a page, without what the call does when no page is there."""
        return float(getattr(_total(self.functions), metric) - getattr(_total(self.bare), metric)) / self.pages

    @property
    def locked(self) -> dict[str, float]:
        """The locked instructions of each named function for a page; largest first."""
        nothing = _Executed()
        found = {
            name: (one.locked - self.bare.get(name, nothing).locked) / self.pages
            for name, one in self.functions.items() if name != REST
        }  # fmt: skip
        return dict(sorted(found.items(), key=lambda one: (-one[1], one[0])))


class Kernel(msgspec.Struct, frozen=True):
    """A kernel of such a file; see `kernel.counting.result.CountedKernel`."""

    name: str
    release: str = ""
    policy: str = ""
    described: str = ""
    qemu: str = ""


class Counted(msgspec.Struct, frozen=True):
    """A file of counts, as far as it is used here; see `kernel.counting.result.CountsResult`."""

    kind: str
    kernels: list[Kernel]
    cells: list[Cell]
    command: str = ""
    finished: str = ""


@dataclass(frozen=True)
class CountedKernel:
    """The counts of one kernel.

    Args:
        name, release: of the kernel.
        policy: the shipped policy that models it.
        cells: counts per page, by benchmark and folio size in KiB.
        walks: by the same, the lines of those functions that do what the model has (`difference.WALKS`).
    """

    name: str
    release: str
    policy: str
    cells: Mapping[tuple[str, int], Counts]
    walks: Mapping[tuple[str, int], Counts]


def load(path: str | os.PathLike[str]) -> list[CountedKernel]:
    """The kernels of a file of counts that a policy models.

    Raises:
        ResultFileError: the file cannot be read, is of another kind, or none of its kernels is modelled.
    """
    found = _read(path)
    kernels = [
        CountedKernel(
            one.name,
            one.release,
            one.policy,
            _by_case(one.name, found.cells, _per_page),
            _by_case(one.name, found.cells, _walked),
        )
        for one in found.kernels
        if one.policy
    ]
    if not kernels:
        raise ResultFileError(
            f"no policy models a kernel of {os.fspath(path)}", "count a kernel that `foliolab kernel list` matches"
        )
    return kernels


def _read(path: str | os.PathLike[str]) -> Counted:
    data, where = intake.read(path, "file of counts", MADE_BY), os.fspath(path)
    try:
        found = msgspec.json.decode(data, type=Counted)
    except (ValueError, RecursionError) as error:
        raise ResultFileError(f"{where} has no counts of kernels: {error}", MADE_BY) from error
    if found.kind != KIND:
        raise ResultFileError(f"{where} is of kind {intake.excerpt(found.kind)}, not {KIND}", MADE_BY)
    return found


def stored() -> Counted:
    """All that FolioLab has of counted kernels.

    Raises:
        ResultFileError: the file is damaged or missing.
    """
    return _read(SHIPPED)


def summed(paths: Iterable[str | os.PathLike[str]]) -> bytes:
    """One file of the counts of several, with the functions that have locked instructions; of a cell twice, the last.

    Raises:
        ResultFileError: a file cannot be read.
    """
    kernels: dict[str, Kernel] = {}
    cells: dict[tuple[str, str, int], Cell] = {}
    files = [*map(_read, paths)]
    for file in files:
        kernels |= {kernel.name: kernel for kernel in file.kernels}
        for cell in file.cells:
            if cell.status == "measured":
                cells[cell.kernel, cell.workload, cell.size_kib] = _without_small(cell)
    found = Counted(
        kind=KIND,
        kernels=list(kernels.values()),
        cells=list(cells.values()),
        command="; ".join(file.command.partition(" --json")[0] for file in files),
        finished=max(file.finished for file in files),
    )
    return msgspec.json.encode(found).replace(b'{"kernel"', b'\n{"kernel"') + b"\n"


def _of_pages(cell: Cell) -> Cell:
    """A cell with lines only of functions that work on each page.

    Functions with less than one instruction a page are what a call does once, whose lines are in a cache where a
    benchmark of a GiB works. Lines of copies have a term of their own.
    """
    nothing = _Executed()
    once = {
        name for name, one in cell.functions.items()
        if one.instructions - cell.bare.get(name, nothing).instructions < cell.pages
    } | COPIES | (cell.bare.keys() - cell.functions.keys())  # fmt: skip
    functions, bare = (
        {name: msgspec.structs.replace(one, near=0, far=0) if name in once else one for name, one in held.items()}
        for held in (cell.functions, cell.bare)
    )
    return msgspec.structs.replace(cell, functions=functions, bare=bare)


def _without_small(cell: Cell) -> Cell:
    """A cell whose functions with hardly a locked instruction are added up."""
    cell = _of_pages(cell)
    large = WALKS | {name for name, value in cell.locked.items() if abs(value) >= LEAST}
    parts = []
    for functions in (cell.functions, cell.bare):
        small = _total({name: one for name, one in functions.items() if name not in large})
        named = {name: one for name, one in sorted(functions.items()) if name in large}
        parts.append({**named, REST: small} if functions else {})
    return msgspec.structs.replace(cell, functions=parts[0], bare=parts[1], model=_of_model(cell.model))


def _of_model(model: Mapping[str, float]) -> dict[str, float]:
    return {name: model[name] for name in ("atomics", ZONE_LOCKS) if name in model}


def _total(functions: Mapping[str, _Executed]) -> _Executed:
    return _Executed(*(sum(getattr(one, name) for one in functions.values()) for name in METRICS))


def _by_case(kernel: str, cells: list[Cell], counts: Callable[[Cell], Counts]) -> Mapping[tuple[str, int], Counts]:
    return {
        (cell.workload, cell.size_kib): counts(cell)
        for cell in cells
        if cell.kernel == kernel and cell.status == "measured" and cell.pages
    }


def _walked(cell: Cell) -> Counts:
    """The lines that L1 does not have, near or far, of the functions that do what the model has."""
    held = _of_pages(cell)
    functions, bare = (
        _total({name: one for name, one in part.items() if name in WALKS}) for part in (held.functions, held.bare)
    )
    return {"line": (functions.near + functions.far - bare.near - bare.far) / cell.pages}


def _per_page(cell: Cell) -> Counts:
    """The counts of the pages by term: those of the call, less those of the same call without pages."""
    lines = _of_pages(cell)
    return {
        "instruction": cell.per_page("instructions"),
        "locked": cell.per_page("locked"),
        "line": lines.per_page("near"),
        "far": lines.per_page("far"),
        "copied": cell.per_page("string_stored") / LINE,
        "fault": 1.0 if cell.workload in FAULTING else 0.0,
    }


if __name__ == "__main__":
    sys.stdout.buffer.write(summed(sys.argv[1:]))
