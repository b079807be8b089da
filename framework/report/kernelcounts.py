"""`foliolab kernel count`: a table for each kernel and workload, a row a folio size; and all functions as CSV."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from foliolab.framework.errors import FolioLabError, NothingMeasured
from foliolab.framework.kernel.counting.counts import Counts
from foliolab.framework.kernel.counting.difference import difference
from foliolab.framework.kernel.counting.result import Cell, CountedKernel, CountsResult
from foliolab.framework.report.pages.page import Column, Page
from foliolab.framework.report.words import csv_text, signed, size_text

COLUMNS: Final = (
    "kernel", "workload", "size_kib", "pages", "status", "reason", "exact", "function", *Counts.__struct_fields__,
    "model_atomics",
)  # fmt: skip
CHANGES: Final = ("instructions", "locked")
"""The fields of `Counts` whose changes are shown."""
KEY: Final = (
    "Per page, in kernel mode, without what the call does when no page is there. locked: instructions with a LOCK "
    "prefix. modelled: those of them in functions that do what the model has. model: atomics that `compare` counts for "
    "the policy that models the kernel, without the lock of its free lists. Elsewhere: what a kernel does besides. "
    "Where modelled and model differ, or a function is not known, it says: not explained. ~: no two plays gave the "
    "smallest counts."
)


def render(result: CountsResult, page: Page, functions: bool = False) -> None:
    """Write the tables on a page.

    Args:
        functions: write the functions of each cell, too.
    """
    for kernel in result.kernels:
        _heading(kernel, page)
        cells = [cell for cell in result.cells if cell.kernel == kernel.name]
        for workload in result.config.workloads:
            if mine := [cell for cell in cells if cell.workload == workload and cell.status != "skipped"]:
                _table(workload, mine, page, functions)
    _changes(result, page)
    page.line()
    page.line(KEY, "quiet")


def table(result: CountsResult) -> str:
    """The result as CSV: a row a cell, and one a function of it. Counts are per page, without the bare call."""
    rows: list[list[Any]] = []
    for cell in result.cells:
        head = [cell.kernel, cell.workload, cell.size_kib, cell.pages, cell.status, cell.reason, cell.exact]
        metrics = Counts.__struct_fields__
        if cell.status != "measured":
            rows.append([*head, "", *(None for _ in metrics), None])
            continue
        rows.append([*head, "", *map(cell.per_page, metrics), cell.model.get("atomics")])
        found = {metric: cell.by_function(metric) for metric in metrics}
        for name in found["instructions"]:
            rows.append([*head, name, *(found[metric].get(name, 0.0) for metric in metrics), None])
    return csv_text(COLUMNS, rows, ".6g")


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


def _heading(kernel: CountedKernel, page: Page) -> None:
    page.line()
    page.line(f"{kernel.name}: {kernel.described}" if kernel.described else kernel.name, "strong")
    by = f"modelled by {kernel.policy}" if kernel.policy else "no policy models it"
    if kernel.described:
        page.line(f"  {by}; counted under TCG{f' (QEMU {kernel.qemu})' if kernel.qemu else ''}, one CPU")
    if kernel.lost:
        page.line(f"  lost: {kernel.lost}", "bad")
    page.line()


def _changes(result: CountsResult, page: Page) -> None:
    """A table of the changes against the first kernel, two columns a kernel; nothing for one kernel."""
    counted = {cell.key: cell for cell in result.cells if cell.status == "measured"}
    first, *others = [kernel.name for kernel in result.kernels] or [""]
    keys = [cell.key[1:] for cell in counted.values() if cell.kernel == first]
    keys = [key for key in keys if any((name, *key) in counted for name in others)]
    if not keys:
        return
    columns = {"workload": [workload for workload, _ in keys], "size": [size_text(size) for _, size in keys]}
    for name in others:
        for metric in CHANGES:
            found = [_change(counted.get((name, *key)), counted[first, *key], metric) for key in keys]
            columns[f"{name}: {metric}"] = found
    page.line()
    page.tables(
        f"Against {first}",
        [Column(name, [*map(page.text, texts)], right=name != "workload") for name, texts in columns.items()],
        [],
    )


def _change(cell: Cell | None, base: Cell, metric: str) -> str:
    """The change of a field of `Counts` in per cent."""
    if cell is None or not base.per_page(metric):
        return "–"
    return f"{signed((cell.per_page(metric) / base.per_page(metric) - 1) * 100, '.1f')} %"


def _table(workload: str, cells: list[Cell], page: Page, functions: bool) -> None:
    counted = [cell for cell in cells if cell.status == "measured"]
    if counted:
        page.tables(workload, _columns(counted, page), [])
    else:
        page.line(workload, "strong")
    for cell in cells:
        size = size_text(cell.size_kib)
        if cell.status == "failed":
            page.line(f"  {size}: failed: {cell.reason}", "bad")
            continue
        found = difference(cell)
        if found.outside:
            page.line(f"  {size}: elsewhere {'; '.join(_part(*part) for part in found.outside.items())}")
        if inside := found.differing():
            page.line(f"  {size}: not explained: modelled functions {_list(inside)}", "doubtful")
        if found.unknown:
            page.line(f"  {size}: not explained: {_list(found.unknown)}", "doubtful")
    for cell in counted if functions else ():
        page.line()
        page.tables(f"{workload}, {size_text(cell.size_kib)}: functions", _functions(cell, page), [])
    page.line()


def _columns(cells: list[Cell], page: Page) -> list[Column]:
    found = [difference(cell) for cell in cells]
    columns = {"size": [f"{'' if cell.exact else '~'}{size_text(cell.size_kib)}" for cell in cells]}
    columns |= {name: [f"{cell.per_page(name):,.1f}" for cell in cells] for name in ("instructions", "loads", "stores")}
    columns["locked"] = [f"{one.kernel:.3f}" for one in found]
    columns["modelled"] = [f"{one.modelled:.3f}" for one in found]
    columns["model"] = ["–" if one.model is None else f"{one.model:.3f}" for one in found]
    return [Column(name, [page.text(text) for text in texts], right=True) for name, texts in columns.items()]


def _functions(cell: Cell, page: Page) -> list[Column]:
    locked, counted = cell.by_function("locked"), cell.by_function("instructions")
    texts = {
        "function": [*counted],
        "instructions": [f"{value:,.2f}" for value in counted.values()],
        "locked": [f"{locked.get(name, 0.0):.3f}" for name in counted],
    }
    return [
        Column(name, [page.text(text) for text in cells], right=name != "function") for name, cells in texts.items()
    ]


def _part(what: str, functions: Mapping[str, float]) -> str:
    """A part of what the model does not have: what it is for, and its functions."""
    return f"{what} {sum(functions.values()):.3f} ({_list(functions)})"


def _list(functions: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in functions.items())
