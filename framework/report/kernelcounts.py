"""`foliolab kernel count`: a table for each kernel and workload, a row a folio size, in plain text."""

from __future__ import annotations

from typing import Final

from foliolab.framework.errors import FolioLabError, NothingMeasured
from foliolab.framework.kernel.counting.difference import difference
from foliolab.framework.kernel.counting.result import Cell, CountedKernel, CountsResult
from foliolab.framework.report.pages.plain_text import Plain

HEAD: Final = (
    f"{'size':>6}{'instructions':>14}{'loads':>9}{'stores':>9}{'locked':>9}{'modelled':>10}{'model':>8}  elsewhere"
)
KEY: Final = (
    "Per page, in kernel mode, without what the call does when no page is there. locked: instructions with a LOCK "
    "prefix. modelled: those of them in functions that do what the model has. model: atomics that `compare` counts for "
    "the policy that models the kernel. elsewhere: the other functions with locked instructions. Where modelled and "
    "model differ, the modelled functions follow. ~: no two plays gave the smallest counts."
)


def render(result: CountsResult, out: Plain, functions: bool = False) -> None:
    """Print the tables.

    Args:
        functions: print the functions of each cell, too.
    """
    for kernel in result.kernels:
        _heading(kernel, out)
        cells = [cell for cell in result.cells if cell.kernel == kernel.name]
        for workload in result.config.workloads:
            if mine := [cell for cell in cells if cell.workload == workload and cell.status != "skipped"]:
                _table(workload, mine, out, functions)
    out.line()
    out.line(KEY, "quiet")


def check(result: CountsResult) -> None:
    """Refuse a result in which something is missing.

    Raises:
        NothingMeasured: nothing was counted.
        FolioLabError: a kernel or a cell was lost.
    """
    lost = result.lost
    if not any(cell.status == "measured" for cell in result.cells):
        raise NothingMeasured("nothing was counted", lost[0] if lost else "no workload applies to these sizes")
    if lost:
        raise FolioLabError(f"{len(lost)} of the counts are missing", lost[0])


def _heading(kernel: CountedKernel, out: Plain) -> None:
    out.line()
    out.line(f"{kernel.name}: {kernel.described}" if kernel.described else kernel.name, "strong")
    by = f"modelled by {kernel.policy}" if kernel.policy else "no policy models it"
    out.item("·", f"{by}; counted under TCG{f' (QEMU {kernel.qemu})' if kernel.qemu else ''}, one CPU")
    if kernel.lost:
        out.item("✗", f"lost: {kernel.lost}", style="bad")


def _table(workload: str, cells: list[Cell], out: Plain, functions: bool) -> None:
    out.line()
    out.line(workload, "name")
    out.line(HEAD, "quiet")
    for cell in cells:
        if cell.status == "failed":
            out.line(f"{_size(cell.size_kib):>6}  failed: {cell.reason}", "bad")
            continue
        found = difference(cell)
        figures = f"{cell.per_page('instructions'):14,.1f}{cell.per_page('loads'):9,.1f}{cell.per_page('stores'):9,.1f}"
        model = "–" if found.model is None else f"{found.model:.3f}"
        counts = f"{found.kernel:9.3f}{sum(found.inside.values()):10.3f}{model:>8}"
        others = _list(found.named())
        out.line(
            f"{'' if cell.exact else '~'}{_size(cell.size_kib)}".rjust(6) + figures + counts + f"  {others}".rstrip()
        )
        if inside := found.differing():
            out.line(f"{'':8}modelled functions: {_list(inside)}", "doubtful")
        if functions:
            _functions(cell, out)


def _functions(cell: Cell, out: Plain) -> None:
    locked = cell.by_function("locked")
    for name, value in cell.by_function("instructions").items():
        out.line(f"{'':8}{value:12,.2f}{locked.get(name, 0.0):9.3f}  {name}")


def _list(functions: list[tuple[str, float]]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in functions)


def _size(kib: int) -> str:
    return f"{kib >> 10}M" if kib >= 1 << 10 else f"{kib}K"
