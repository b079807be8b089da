"""The table of verdicts: a row for each workload, size and policy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from foliolab.framework.report.words import figure_text, origin_text
from foliolab.gui.benchmark.series import SIGNS, sentence, size_name
from foliolab.gui.widgets.cell_table import Cell, CellTable
from foliolab.gui.window.theme import Theme

if TYPE_CHECKING:
    from foliolab.framework.results.comparison import Row

COLUMNS: Final = (
    "Workload",
    "Size",
    "Policy",
    "ns/page",
    "Change",
    "95 % interval",
    "Verdict",
    "Rounds",
    "Published, imported",
)
ROLES: Final = {"faster": "good", "slower": "bad", "same": "text", "baseline": "quiet"}


class VerdictTable(CellTable):
    """The table that `foliolab compare` prints, for one workload or for all."""

    def __init__(self, theme: Theme) -> None:
        super().__init__("Verdicts", COLUMNS, theme)
        self.setSortingEnabled(True)

    def show_verdicts(self, rows: Sequence[Row]) -> None:
        self.show_rows([_cells(row) for row in rows])


def _cells(row: Row) -> list[Cell]:
    change = interval = ""
    if row.ratio is not None and row.ratio_low is not None and row.ratio_high is not None and row.verdict != "baseline":
        change = f"{100 * (row.ratio - 1):+.1f} %"
        interval = f"{100 * (row.ratio_low - 1):+.1f} … {100 * (row.ratio_high - 1):+.1f}"
    beside = ", ".join(figure_text(figure) for figure in row.beside)
    tip = row.reason or sentence(row)
    return [
        Cell(row.workload, tip=tip),
        _number(size_name(row.size_kib), row.size_kib, tip),
        Cell(row.policy, tip=tip),
        _number("" if row.ns_per_page is None else f"{row.ns_per_page:.2f}", row.ns_per_page, tip),
        _number(change, row.ratio, tip),
        Cell(interval, tip=tip),
        Cell(f"{SIGNS.get(row.verdict, '·')} {row.verdict}", ROLES.get(row.verdict, "doubtful"), tip),
        _number(str(row.rounds), row.rounds, tip),
        Cell(beside, tip="\n".join([tip, *map(origin_text, row.beside)])),
    ]


def _number(text: str, number: float | None, tip: str) -> Cell:
    return Cell(text, tip=tip, right=True, number=number)
