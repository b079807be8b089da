"""The picture of a folio's struct pages, to scale; mouse and keys select fields."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import QPoint, QRect, QSize, Qt, Signal
from PySide6.QtGui import (
    QBrush,
    QColor,
    QFontMetrics,
    QGuiApplication,
    QKeyEvent,
    QKeySequence,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QResizeEvent,
)

from foliolab.framework.explore.folio_detail import FieldDetail, FolioDetail
from foliolab.framework.verify.field_names import bits_of
from foliolab.gui.inspector import field_text
from foliolab.gui.inspector.picture_layout import EMPTY, Cell, PictureLayout, lay_out
from foliolab.gui.widgets.basics import bold
from foliolab.gui.widgets.painted import Painted
from foliolab.gui.window.theme import Theme

HATCHES: Final = (
    Qt.BrushStyle.BDiagPattern, Qt.BrushStyle.FDiagPattern, Qt.BrushStyle.HorPattern, Qt.BrushStyle.VerPattern,
    Qt.BrushStyle.DiagCrossPattern, Qt.BrushStyle.CrossPattern, Qt.BrushStyle.Dense6Pattern,
    Qt.BrushStyle.Dense7Pattern,
)  # fmt: skip
"""One for each field of the policy, so that color is not the only difference."""
NARROW: Final = 240
"""Least width of the picture, in pixels."""
TICKS: Final = 9.0
"""Least pixels of a bit for ticks between single bits."""
_CENTRE: Final = Qt.AlignmentFlag.AlignCenter


class FolioPicture(Painted):
    """The picture.

    Signals:
        chosen: (field): the user chose a field.
        writer_wanted: (field): the user clicked a field, or pressed Enter on it.

    Attributes:
        folio: the folio; None if nothing is mapped.
        policy: name of the policy.
    """

    chosen = Signal(object)
    writer_wanted = Signal(object)

    def __init__(self, theme: Theme) -> None:
        super().__init__(theme)
        self.folio: FolioDetail | None = None
        self.policy = ""
        self._layout = EMPTY
        self._at = -1
        self._colours: dict[str, int] = {}
        self.setMinimumWidth(NARROW)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName("Struct pages of the folio, to scale")
        self._describe()

    def show_folio(self, policy: str, folio: FolioDetail | None) -> None:
        """Show a folio; the chosen field stays chosen if the folio has it, too."""
        kept = self.field
        self.folio, self.policy = folio, policy
        names = [one.name.partition("[")[0] for one in folio.fields if one.owner == "policy"] if folio else []
        self._colours = {name: at for at, name in enumerate(dict.fromkeys(names))}
        self._lay_out()
        self._at = -1
        if kept is not None:
            same = (at for at, cell in enumerate(self._layout.cells) if self._same(cell.field, kept))
            self._at = next(same, -1)
        self._describe()

    @staticmethod
    def _same(one: FieldDetail, other: FieldDetail) -> bool:
        return (one.name, one.page) == (other.name, other.page)

    @property
    def field(self) -> FieldDetail | None:
        """The chosen field; None without one."""
        return self._layout.cells[self._at].field if 0 <= self._at < len(self._layout.cells) else None

    @property
    def picture_layout(self) -> PictureLayout:
        """The present layout."""
        return self._layout

    def choose(self, at: int) -> None:
        """Choose a field by its index in the layout."""
        if 0 <= at < len(self._layout.cells):
            self._at = at
            self._describe()
            self.update()
            self.chosen.emit(self._layout.cells[at].field)

    def area_of(self, field: FieldDetail) -> QRect:
        """The rectangle of a field; empty if it is not drawn."""
        found = (cell.area for cell in self._layout.cells if self._same(cell.field, field))
        return next(found, QRect())

    # -- size ------------------------------------------------------------------------------------------
    def _lay_out(self) -> None:
        if self.folio is not None:
            self._layout = lay_out(self.folio, self.width(), self.fontMetrics().height())
        else:
            self._layout = EMPTY
        self.setMinimumHeight(self._layout.height)
        self.updateGeometry()
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(400, max(self._layout.height, 60))

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if event.size().width() != event.oldSize().width():
            self._lay_out()

    # -- pointer and keys ------------------------------------------------------------------------------
    def _describe(self) -> None:
        field = self.field
        text = field_text.sentence(field, self.policy) if field is not None else "no field is chosen; arrows choose one"
        self.setAccessibleDescription(text if self.folio is not None else "nothing is mapped here")

    def at(self, point: QPoint) -> int:
        """Index of the field at a point; -1 if there is none."""
        cells = self._layout.cells
        return next((at for at, cell in enumerate(cells) if not cell.hidden and cell.area.contains(point)), -1)

    def choose_at(self, point: QPoint) -> None:
        """Choose the field at a point; none, if there is none."""
        self.choose(self.at(point))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        at = self.at(event.position().toPoint())
        self.choose(at)
        if at >= 0 and event.button() == Qt.MouseButton.LeftButton:
            self.writer_wanted.emit(self.field)

    def text_at(self, position: QPoint) -> str:
        at = self.at(position)
        return field_text.sentence(self._layout.cells[at].field, self.policy) if at >= 0 else ""

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Arrows choose a field, Enter goes to where it was last written, Ctrl+C copies the sentence about it."""
        key = Qt.Key(event.key())
        cells = self._layout.cells
        if key in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.field is not None:
            self.writer_wanted.emit(self.field)
        elif event.matches(QKeySequence.StandardKey.Copy) and self.field is not None:
            QGuiApplication.clipboard().setText(field_text.sentence(self.field, self.policy))
        elif not cells:
            super().keyPressEvent(event)
        elif key in (Qt.Key.Key_Right, Qt.Key.Key_Left):
            by = 1 if key == Qt.Key.Key_Right else -1
            self.choose(min(max(self._at + by, 0), len(cells) - 1))
        elif key in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            self.choose(self._beyond(1 if key == Qt.Key.Key_Down else -1))
        elif key in (Qt.Key.Key_Home, Qt.Key.Key_End):
            self.choose(0 if key == Qt.Key.Key_Home else len(cells) - 1)
        else:
            super().keyPressEvent(event)

    def _beyond(self, way: int) -> int:
        """Index of the nearest field in the next row below (1) or above (-1)."""
        cells = self._layout.cells
        if self._at < 0:
            return 0
        here = cells[self._at].area
        rows = sorted({cell.area.top() for cell in cells if (cell.area.top() - here.top()) * way > 0}, reverse=way < 0)
        if not rows:
            return self._at
        there = [at for at, cell in enumerate(cells) if cell.area.top() == rows[0] and not cell.hidden]
        return min(there, key=lambda at: abs(cells[at].area.center().x() - here.center().x()), default=self._at)

    # -- drawing ---------------------------------------------------------------------------------------
    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        theme, seen = self._theme, event.rect()
        painter.fillRect(seen, theme.colour("panel"))
        if self.folio is None:
            painter.setPen(theme.colour("quiet"))
            painter.drawText(self.rect(), _CENTRE | Qt.TextFlag.TextWordWrap, "Nothing is mapped here")
            painter.end()
            return
        self._headings(painter, seen)
        for area in self._layout.free:
            if area.intersects(seen):
                painter.fillRect(area, theme.colour("window"))
                painter.fillRect(area, QBrush(theme.colour("edge"), Qt.BrushStyle.BDiagPattern))
        for cell in self._layout.cells:
            if not cell.hidden and cell.area.intersects(seen):
                self._cell(painter, cell)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(theme.colour("quiet"), 1.4))
        for frame in self._layout.frames:
            painter.drawRect(frame)
        self._outlines(painter)
        painter.end()

    def _headings(self, painter: QPainter, seen: QRect) -> None:
        for heading in self._layout.headings:
            if heading.area.intersects(seen):
                painter.setFont(bold(self.font()))
                painter.setPen(self._theme.colour("text"))
                painter.drawText(heading.area, Qt.AlignmentFlag.AlignVCenter, heading.text)
        painter.setFont(self.font())
        painter.setPen(self._theme.colour("quiet"))
        for offset, area in self._layout.rows:
            if area.intersects(seen):
                painter.drawText(area, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, str(offset))

    def _cell(self, painter: QPainter, cell: Cell) -> None:
        theme, field, area = self._theme, cell.field, cell.area
        by_policy = field.owner == "policy"
        number = self._colours.get(field.name.partition("[")[0], 0)
        if by_policy:
            tint = QColor(theme.of_series(number))
            tint.setAlpha(64 if theme.dark else 50)
            painter.fillRect(area, tint)
            tint.setAlpha(90)
            if not cell.small:  # in a grid, a hatch would make the value hard to read
                painter.fillRect(area, QBrush(tint, HATCHES[number % len(HATCHES)]))
            painter.fillRect(QRect(area.left(), area.top(), 4, area.height()), theme.of_series(number))
        else:
            painter.fillRect(area, theme.colour("raised"))
        painter.setPen(QPen(theme.colour("edge"), 1))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRect(area)
        if cell.small:
            self._line(painter, area, 0, area.height(), self._value(field), strong=field.changed)
            return
        text = self.fontMetrics().height()
        self._line(painter, area, 2, text, field.name, quiet=not by_policy, halo=by_policy)
        looks = {"strong": field.changed, "quiet": not field.value, "halo": by_policy}
        self._line(painter, area, 3 + text, text, self._value(field), **looks)
        self._bits(painter, cell, area.top() + 2 * text + 6)

    def _value(self, field: FieldDetail) -> str:
        if field.changed:
            return f"▸ {field_text.changed(field)}"
        return field_text.short(field)

    def _line(
        self, painter: QPainter, area: QRect, down: int, height: int, text: str, *, strong: bool = False,
        quiet: bool = False, halo: bool = False,
    ) -> None:  # fmt: skip
        font = bold(self.font(), strong)
        painter.setFont(font)
        painter.setPen(self._theme.colour("quiet" if quiet else "text"))
        room = QRect(area.left() + 8, area.top() + down, area.width() - 11, height)
        metrics = QFontMetrics(font)
        shown = metrics.elidedText(text, Qt.TextElideMode.ElideRight, room.width())
        if halo:  # a hatch behind a text makes it hard to read
            ground = QColor(self._theme.colour("panel"))
            ground.setAlpha(200)
            wide = metrics.horizontalAdvance(shown) + 2
            painter.fillRect(QRect(room.left() - 1, room.top(), wide, room.height()), ground)
        painter.drawText(room, Qt.AlignmentFlag.AlignVCenter | Qt.TextFlag.TextSingleLine, shown)
        painter.setFont(self.font())

    def _bits(self, painter: QPainter, cell: Cell, top: int) -> None:
        """Draw the named bits to scale, the lowest at the left, like the bytes; a single bit is filled if it is set."""
        theme, field, area = self._theme, cell.field, cell.area
        named = field_text.bits_named(field)
        if not named:
            return
        bit = area.width() / field.bits
        height = area.bottom() - top
        if bit >= TICKS:
            painter.setPen(QPen(theme.colour("edge"), 1))
            for at in range(1, field.bits):
                painter.drawLine(area.left() + round(at * bit), area.bottom() - 3, area.left() + round(at * bit),
                                 area.bottom())  # fmt: skip
        for one in named:
            left = area.left() + round(one.low * bit)
            wide = max(round(one.width * bit), 3)
            now, then = bits_of(field.value, one), bits_of(field.before, one)
            room = QRect(left, top, wide, height)
            painter.fillRect(room, theme.colour("panel"))
            if one.width == 1 and now:
                painter.fillRect(room, theme.colour("text"))
            painter.setPen(QPen(theme.colour("changed" if now != then else "quiet"), 2 if now != then else 1))
            painter.drawRect(room)
            if wide > 24:
                text = f"{one.name} {then} ▸ {now}" if now != then else f"{one.name} {now}"
                painter.setPen(theme.colour("text"))
                shown = self.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, wide - 6)
                painter.drawText(room.adjusted(4, 0, -2, 0), Qt.AlignmentFlag.AlignVCenter, shown)

    def _outlines(self, painter: QPainter) -> None:
        """Outline the fields that the step changed, and the chosen field."""
        theme = self._theme
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(theme.colour("changed"), 2))
        for cell in self._layout.cells:
            if cell.field.changed and not cell.hidden:
                painter.drawRect(cell.area.adjusted(1, 1, -1, -1))
        if 0 <= self._at < len(self._layout.cells):
            painter.setPen(QPen(theme.colour("accent"), 3))
            painter.drawRect(self._layout.cells[self._at].area.adjusted(1, 1, -1, -1))
