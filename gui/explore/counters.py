"""The table of live counters: one row per policy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem

from foliolab.framework.explore.view import LaneView
from foliolab.gui.window.exporting import Row
from foliolab.gui.window.theme import Theme

COLUMNS: Final = (
    ("Policy", ""),
    ("Right", "Part of the mapped folios about which the policy's answer is right"),
    ("False shared", "Folios that one process maps although the policy says that several may"),
    ("Unsafe", "Folios that several processes map although the policy says that only one does"),
    ("Wrong copies", "Write faults so far that copied although one process alone mapped the folio"),
    ("Wrong reuses", "Write faults so far that wrote in place although another process mapped the folio"),
    ("Became wrong", "How often an answer became wrong so far"),
)


class Counters(QTableWidget):
    """Answers of each policy about the folios that are mapped now, and wrong decisions so far."""

    def __init__(self, theme: Theme) -> None:
        super().__init__(0, len(COLUMNS))
        self.setObjectName("explore.verdicts")
        self.setAccessibleName("Counters of the policies")
        self._theme = theme
        self._lanes: Sequence[LaneView] = ()
        self.setHorizontalHeaderLabels([heading for heading, _ in COLUMNS])
        for column, (_, tip) in enumerate(COLUMNS):
            self.horizontalHeaderItem(column).setToolTip(tip)  # type: ignore[union-attr]
        self.verticalHeader().hide()
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setShowGrid(False)
        self.setMinimumHeight(60)
        self.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.horizontalHeader().setStretchLastSection(True)

    def show_lanes(self, lanes: Sequence[LaneView]) -> None:
        """Show the counters of these lanes; only cells that change are updated."""
        self._lanes = lanes
        if self.rowCount() != len(lanes):
            self.setRowCount(len(lanes))
            for row in range(len(lanes)):
                for column in range(len(COLUMNS)):
                    item = QTableWidgetItem()
                    if column:
                        item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                    self.setItem(row, column, item)
        for row, lane in enumerate(lanes):
            for column, (text, token, tip) in enumerate(_cells(lane)):
                cell = self.item(row, column)
                if cell is not None and cell.text() != text:
                    cell.setText(text)
                    cell.setToolTip(tip)
                    cell.setForeground(self._theme.colour(token))

    def paint(self, theme: Theme) -> None:
        """Use another theme."""
        self._theme = theme
        self.setRowCount(0)
        self.show_lanes(self._lanes)

    def table(self) -> tuple[Sequence[str], Sequence[Row]]:
        """Headings and rows, for export."""
        return [heading for heading, _ in COLUMNS], [[text for text, _, _ in _cells(lane)] for lane in self._lanes]


def _cells(lane: LaneView) -> list[tuple[str, str, str]]:
    """For each column its text, the name of its colour and its tool tip."""
    if lane.error is not None:
        tip = "\n".join(part for part in (lane.error.what, lane.error.hint) if part)
        return [(lane.name, "quiet", tip), (f"✗ stopped: {lane.error.what}", "bad", tip),
                *[("", "quiet", tip)] * (len(COLUMNS) - 2)]  # fmt: skip
    now = lane.totals
    folios = now.exclusive + now.shared
    right = 100 * (folios - now.false_shared - now.unsafe) / folios if folios else 100.0
    return [
        (lane.name, "text", ""),
        (f"✓ {right:.1f} %" if right == 100 else f"{right:.1f} %", "good" if right == 100 else "text", ""),
        (f"▲ {now.false_shared:,}" if now.false_shared else "0", "doubtful" if now.false_shared else "quiet", ""),
        (f"✗ {now.unsafe:,}" if now.unsafe else "0", "bad" if now.unsafe else "quiet", ""),
        (f"{now.false_copies:,}", "text" if now.false_copies else "quiet", ""),
        (f"✗ {now.wrong_reuses:,}" if now.wrong_reuses else "0", "bad" if now.wrong_reuses else "quiet", ""),
        (f"{now.false_begun + now.unsafe_begun:,}", "text", ""),
    ]
