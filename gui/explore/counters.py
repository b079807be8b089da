"""The table of live counters: one row per policy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from foliolab.framework.explore.history import SERIES
from foliolab.framework.explore.view import LaneView, RangeTotals
from foliolab.gui.widgets.cell_table import Cell, CellTable
from foliolab.gui.window.theme import Theme

COLUMNS: Final = (
    ("Policy", ""),
    ("Right", "Part of the mapped folios about which the policy's answer is right"),
    ("False shared", "Folios that one MM maps although the policy says that several may"),
    ("Unsafe", "Folios that several MMs map although the policy says that only one does"),
    ("Wrong copies", "Write faults so far that copied although one MM alone mapped the folio"),
    ("Wrong reuses", "Write faults so far that wrote in place although another MM mapped the folio"),
    ("Became wrong", "How often an answer became wrong so far"),
)


class Counters(CellTable):
    """Answers of each policy about the folios that are mapped now, and wrong decisions so far.

    Of a part of the run: the worst answers in it, and the wrong decisions in it.

    Attributes:
        wanted: the heading of a column that is to be in sight once the next counters are shown; empty for none.
    """

    def __init__(self, theme: Theme) -> None:
        super().__init__("Counters of the policies", [heading for heading, _ in COLUMNS], theme)
        self.setObjectName("explore.verdicts")
        for column, (_, tip) in enumerate(COLUMNS):
            self.horizontalHeaderItem(column).setToolTip(tip)  # type: ignore[union-attr]
        self.wanted = ""
        self.setMinimumHeight(60)

    def show_lanes(self, lanes: Sequence[LaneView], part: RangeTotals | None = None) -> None:
        """Show the counters of these lanes.

        Args:
            lanes: the lanes.
            part: the part of the run that is shown; None for the counters now, and since the start.
        """
        values = [lane.totals.series() for lane in lanes] if part is None else part.values.tolist()
        self.show_rows([_cells(*one) for one in zip(lanes, values, strict=True)])
        column = next((at for at, (heading, _) in enumerate(COLUMNS) if heading == self.wanted), -1)
        if column >= 0:
            self.scrollTo(self.model().index(0, column))
            self.wanted = ""


def _cells(lane: LaneView, values: Sequence[float]) -> list[Cell]:
    if lane.error is not None:
        tip = "\n".join(part for part in (lane.error.what, lane.error.hint) if part)
        stopped = Cell(f"✗ stopped: {lane.error.what}", "bad", tip)
        return [Cell(lane.name, "quiet", tip), stopped, *[Cell("", tip=tip)] * (len(COLUMNS) - 2)]
    of = dict(zip(SERIES, values, strict=True))
    right = 100 * of["right"]
    return [
        Cell(lane.name),
        Cell(
            f"✓ {right:.1f} %" if right == 100 else f"{right:.1f} %", "good" if right == 100 else "text", right=True,
            number=right,
        ),
        _counter("▲ ", of["false_shared"], "doubtful"),
        _counter("✗ ", of["unsafe"], "bad"),
        _counter("", of["wrong_copies"], "text"),
        _counter("✗ ", of["wrong_reuses"], "bad"),
        _counter("", of["became_wrong"], "text"),
    ]  # fmt: skip


def _counter(sign: str, number: float, role: str) -> Cell:
    return Cell(f"{sign}{number:,.0f}" if number else "0", role if number else "quiet", right=True, number=number)
