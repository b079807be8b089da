"""Counts of kernels, from what `foliolab kernel count --json` wrote, per page and by term.

FolioLab has counts of some kernels in `kernels.json`: such a file whose functions are added up. It is made by

    python -m foliolab.framework.costmodel.kernels FILE… > kernels.json
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from foliolab.framework import intake
from foliolab.framework.costmodel.formula import Counts
from foliolab.framework.document import Count, SizeKib
from foliolab.framework.errors import ResultFileError

MADE_BY: Final = "`foliolab kernel count --json FILE` writes one"
KIND: Final = "kernel-counts"
SHIPPED: Final = Path(__file__).with_name("kernels.json")
LINE: Final = 64
FAULTING: Final = frozenset({"cow-byte", "reuse-byte", "child-reuse-byte", "cow", "reuse"})
"""Benchmarks that write to each page once, which takes one page fault a page."""


METRICS: Final = ("instructions", "locked", "string_stored")


class _Executed(msgspec.Struct, frozen=True):
    instructions: Count = 0
    locked: Count = 0
    string_stored: Count = 0


class _Cell(msgspec.Struct, frozen=True):
    kernel: str
    workload: str
    size_kib: SizeKib
    pages: Count = 0
    status: str = "measured"
    reason: str = ""
    functions: dict[str, _Executed] = {}
    bare: dict[str, _Executed] = {}


class _Kernel(msgspec.Struct, frozen=True):
    name: str
    release: str = ""
    policy: str = ""


class _File(msgspec.Struct, frozen=True):
    kind: str
    kernels: list[_Kernel]
    cells: list[_Cell]


@dataclass(frozen=True)
class CountedKernel:
    """The counts of one kernel.

    Args:
        name, release: of the kernel.
        policy: the shipped policy that models it.
        cells: counts per page, by benchmark and folio size in KiB.
    """

    name: str
    release: str
    policy: str
    cells: Mapping[tuple[str, int], Counts]


def load(path: str | os.PathLike[str]) -> list[CountedKernel]:
    """The kernels of a file of counts that a policy models.

    Raises:
        ResultFileError: the file cannot be read, is of another kind, or none of its kernels is modelled.
    """
    found = _read(path)
    kernels = [
        CountedKernel(one.name, one.release, one.policy, dict(_cells(one.name, found.cells)))
        for one in found.kernels
        if one.policy
    ]
    if not kernels:
        raise ResultFileError(
            f"no policy models a kernel of {os.fspath(path)}", "count a kernel that `foliolab kernel list` matches"
        )
    return kernels


def _read(path: str | os.PathLike[str]) -> _File:
    data, where = intake.read(path, "file of counts", MADE_BY), os.fspath(path)
    try:
        found = msgspec.json.decode(data, type=_File)
    except (ValueError, RecursionError) as error:
        raise ResultFileError(f"{where} has no counts of kernels: {error}", MADE_BY) from error
    if found.kind != KIND:
        raise ResultFileError(f"{where} is of kind {intake.excerpt(found.kind)}, not {KIND}", MADE_BY)
    return found


def summed(paths: Iterable[str | os.PathLike[str]]) -> bytes:
    """One file of the counts of several, without the names of functions; of a cell that is in two, the last one's.

    Raises:
        ResultFileError: a file cannot be read.
    """
    kernels: dict[str, _Kernel] = {}
    cells: dict[tuple[str, str, int], _Cell] = {}
    for file in map(_read, paths):
        kernels |= {kernel.name: kernel for kernel in file.kernels}
        for cell in file.cells:
            if cell.status == "measured":
                whole = {"": _total(cell.functions)}, {"": _total(cell.bare)}
                key = cell.kernel, cell.workload, cell.size_kib
                cells[key] = msgspec.structs.replace(cell, functions=whole[0], bare=whole[1])
    found = _File(kind=KIND, kernels=list(kernels.values()), cells=list(cells.values()))
    return msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n"


def _total(functions: Mapping[str, _Executed]) -> _Executed:
    return _Executed(*(sum(getattr(one, name) for one in functions.values()) for name in METRICS))


def _cells(kernel: str, cells: list[_Cell]) -> list[tuple[tuple[str, int], Counts]]:
    return [
        ((cell.workload, cell.size_kib), _per_page(cell))
        for cell in cells
        if cell.kernel == kernel and cell.status == "measured" and cell.pages
    ]


def _per_page(cell: _Cell) -> Counts:
    """The counts of the pages: those of the call, less those of the same call without pages."""
    counted, bare = _total(cell.functions), _total(cell.bare)
    totals = {name: getattr(counted, name) - getattr(bare, name) for name in METRICS}
    return {
        "instruction": totals["instructions"] / cell.pages,
        "locked": totals["locked"] / cell.pages,
        "copied": totals["string_stored"] / LINE / cell.pages,
        "fault": 1.0 if cell.workload in FAULTING else 0.0,
    }


if __name__ == "__main__":
    sys.stdout.buffer.write(summed(sys.argv[1:]))
