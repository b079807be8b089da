"""Counted accesses per page as stacked bars: one bar for each policy at each folio size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from PySide6.QtCore import QPoint, QRectF, Qt
from PySide6.QtGui import QBrush, QColor, QPainter, QPaintEvent, QPen

from foliolab.gui.benchmark.series import size_name
from foliolab.gui.widgets.interval import Interval
from foliolab.gui.widgets.painted import Painted
from foliolab.gui.widgets.range_drag import RangeDrag
from foliolab.gui.window.exporting import Row
from foliolab.gui.window.theme import Theme

if TYPE_CHECKING:
    from foliolab.framework.results.result import Result

STACKED: Final = (
    ("atomics", "atomic operations", Qt.BrushStyle.SolidPattern),
    ("stores", "stores", Qt.BrushStyle.Dense4Pattern),
    ("loads", "loads", Qt.BrushStyle.BDiagPattern),
)
OTHERS: Final = ("cache_lines", "lock_sections")
LEFT, BOTTOM, TOP = 46, 34, 22


class CountedBars(Painted):
    """The bars of one workload. The values are counted, so they do not depend on the host.

    Args:
        theme: the colours.
        part: the sizes that are shown, as log2 of KiB; the mouse changes it.
    """

    def __init__(self, theme: Theme, part: Interval) -> None:
        super().__init__(theme)
        self._part = part
        self.drag = RangeDrag(self, part, self._x_at)
        part.changed.connect(self.update)
        self.setObjectName("benchmark.counted")
        self.setAccessibleName("Counted accesses per page")
        self._result: Result | None = None
        self._workload = ""
        self._bars: list[tuple[QRectF, str]] = []
        self.setMinimumHeight(100)

    def show_result(self, result: Result | None, workload: str) -> None:
        self._result, self._workload = result, workload
        cells = self._cells()
        texts = [f"{policy} {size_name(kib)}: {sum(values.values()):.3g} per page" for kib, policy, values in cells]
        self.setAccessibleDescription("; ".join(texts))
        self.update()

    def _cells(self) -> list[tuple[int, str, dict[str, float]]]:
        """The size in KiB, the policy and the counted accesses per page of each bar."""
        if self._result is None:
            return []
        found = []
        for cell in self._result.cells:
            shown = self._part.low <= cell.size_kib.bit_length() - 1 <= self._part.high
            if shown and cell.workload == self._workload and cell.counted:
                found.append(
                    (cell.size_kib, cell.policy, {name: cell.counted.get(name, 0.0) for name, _, _ in STACKED})
                )
        return sorted(found, key=lambda bar: (bar[0], self._order(bar[1])))

    def _order(self, policy: str) -> int:
        assert self._result is not None
        return self._result.config.policies.index(policy)

    def table(self) -> tuple[Sequence[str], Sequence[Row]]:
        """All counted metrics of the workload, as a table."""
        names = [name for name, _, _ in STACKED] + list(OTHERS)
        headings = ["policy", "size in KiB", *(f"{name} per page" for name in names)]
        if self._result is None:
            return headings, []
        sizes = {kib for kib, _, _ in self._cells()}
        of_workload = [cell for cell in self._result.cells if cell.workload == self._workload]
        cells = [cell for cell in of_workload if cell.counted and cell.size_kib in sizes]
        return headings, [
            [cell.policy, cell.size_kib, *(cell.counted.get(name, "") for name in names)] for cell in cells
        ]

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), self._theme.colour("panel"))
        self._bars.clear()
        cells = self._cells()
        if not cells:
            painter.setPen(self._theme.colour("quiet"))
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, "no accesses are counted yet")
            painter.end()
            return
        sizes = list(dict.fromkeys(kib for kib, _, _ in cells))
        most = max(sum(values.values()) for _, _, values in cells) or 1.0
        area = QRectF(LEFT, TOP, self.width() - LEFT - 8, self.height() - TOP - BOTTOM)
        self._axis(painter, area, most)
        group = area.width() / len(sizes)
        for at, kib in enumerate(sizes):
            bars = [(policy, values) for size, policy, values in cells if size == kib]
            wide = min(group * 0.82 / len(bars), 40.0)
            left = area.left() + at * group + (group - wide * len(bars)) / 2
            for column, (policy, values) in enumerate(bars):
                self._bar(
                    painter, QRectF(left + column * wide, area.top(), wide - 2, area.height()), policy, values, most
                )
            painter.setPen(self._theme.colour("text"))
            label = QRectF(area.left() + at * group, area.bottom() + 2, group, 14)
            painter.drawText(label, Qt.AlignmentFlag.AlignCenter, size_name(kib))
        self._legend(painter)
        self._names(painter, list(dict.fromkeys(policy for _, policy, _ in cells)))
        painter.end()

    def _axis(self, painter: QPainter, area: QRectF, most: float) -> None:
        painter.setPen(QPen(self._theme.colour("edge"), 1))
        painter.drawLine(area.bottomLeft(), area.bottomRight())
        for part in (0.0, 0.5, 1.0):
            y = area.bottom() - part * area.height()
            painter.setPen(self._theme.colour("quiet"))
            text = QRectF(0, y - 8, LEFT - 6, 16)
            painter.drawText(text, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, f"{most * part:.3g}")

    def _bar(self, painter: QPainter, room: QRectF, policy: str, values: dict[str, float], most: float) -> None:
        colour = self._theme.of_series(self._order(policy))
        bottom = room.bottom()
        for name, words, style in STACKED:
            tall = values[name] / most * room.height()
            box = QRectF(room.left(), bottom - tall, room.width(), tall)
            wash = QColor(colour)
            wash.setAlpha(70)
            painter.fillRect(box, wash)
            painter.fillRect(box, QBrush(colour, style))
            painter.setPen(QPen(colour, 1))
            painter.drawRect(box)
            self._bars.append((box, f"{policy}: {values[name]:.3f} {words} per page"))
            bottom -= tall

    def _names(self, painter: QPainter, policies: Sequence[str]) -> None:
        """Name the colours of the bars below them, as far as there is room; each bar's tool tip has its policy."""
        x, y = float(LEFT), self.height() - 17.0
        for at, policy in enumerate(policies):
            wide = painter.fontMetrics().horizontalAdvance(policy)
            if x + 16 + wide > self.width() - (24 if at + 1 < len(policies) else 4):
                painter.setPen(self._theme.colour("quiet"))
                painter.drawText(QRectF(x, y - 1, 16, 16), Qt.AlignmentFlag.AlignVCenter, "…")
                return
            painter.fillRect(QRectF(x, y + 2, 10, 10), self._theme.of_series(self._order(policy)))
            painter.setPen(self._theme.colour("text"))
            painter.drawText(QRectF(x + 14, y - 1, wide + 2, 16), Qt.AlignmentFlag.AlignVCenter, policy)
            x += wide + 26

    def _legend(self, painter: QPainter) -> None:
        x = float(LEFT)
        for _, words, style in STACKED:
            box = QRectF(x, 4, 12, 12)
            painter.fillRect(box, QBrush(self._theme.colour("text"), style))
            painter.setPen(QPen(self._theme.colour("quiet"), 1))
            painter.drawRect(box)
            painter.setPen(self._theme.colour("text"))
            wide = painter.fontMetrics().horizontalAdvance(f"{words} per page")
            painter.drawText(QRectF(x + 17, 2, wide + 4, 16), Qt.AlignmentFlag.AlignVCenter, f"{words} per page")
            x += wide + 36

    def _x_at(self, pixel: float) -> float:
        """The size whose bars stand at an x, as log2 of KiB."""
        sizes = list(dict.fromkeys(kib for kib, _, _ in self._cells()))
        if not sizes:
            return float(self._part.low)
        at = int((pixel - LEFT) / max(self.width() - LEFT - 8, 1) * len(sizes))
        return float(sizes[min(max(at, 0), len(sizes) - 1)].bit_length() - 1)

    def text_at(self, position: QPoint) -> str:
        return next((text for box, text in self._bars if box.contains(position)), "")
