"""The table of verdicts: a row for each workload, size and policy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from PySide6.QtGui import QMouseEvent

from foliolab.framework.report.words import figure_text, origin_text
from foliolab.gui.benchmark.series import SIGNS, sentence, size_name
from foliolab.gui.widgets.cell_table import NUMBER, Cell, CellTable
from foliolab.gui.widgets.interval import Interval
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
SIZE: Final = COLUMNS.index("Size")
ROLES: Final = {"faster": "good", "slower": "bad", "same": "text", "baseline": "quiet"}


class VerdictTable(CellTable):
    """The table that `foliolab compare` prints, for one workload or for all; a drag over rows shows their sizes alone.

    Args:
        theme: the colours.
        part: the sizes that are shown, as log2 of KiB.
    """

    def __init__(self, theme: Theme, part: Interval) -> None:
        super().__init__("Verdicts", COLUMNS, theme)
        self._part = part

    def show_verdicts(self, rows: Sequence[Row]) -> None:
        self.show_rows([_cells(row) for row in rows])

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Show the sizes of the chosen rows alone, if they are of several sizes."""
        super().mouseReleaseEvent(event)
        chosen = [index for index in self.selectedIndexes() if index.column() == SIZE]
        sizes = {int(index.data(NUMBER)).bit_length() - 1 for index in chosen}
        if len(sizes) > 1:
            self._part.see(min(sizes), max(sizes))


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
