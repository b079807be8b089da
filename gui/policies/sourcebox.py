"""A policy's text, read-only, with line numbers and a mark at the line of an error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from PySide6.QtCore import QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontDatabase, QPainter, QPaintEvent, QResizeEvent, QTextCursor, QTextFormat
from PySide6.QtWidgets import QPlainTextEdit, QTextEdit, QWidget

if TYPE_CHECKING:
    from foliolab.gui.theme import Theme

SIGNS: Final = {"error": "✖", "place": "▶"}


class SourceBox(QPlainTextEdit):
    """Shows a text; the window edits nothing, editors do."""

    def __init__(self) -> None:
        super().__init__()
        self.setReadOnly(True)
        self.setAccessibleName("Source text")
        self.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        self.theme: Theme | None = None
        self.marked = 0
        self.kind = "error"
        self._margin = _Margin(self)
        self.blockCountChanged.connect(self._fit)
        self.updateRequest.connect(self._scrolled)
        self._fit()

    def show_source(self, text: str) -> None:
        """Show another text; where it is read stays where it was if that is possible."""
        if text != self.toPlainText():
            at = self.verticalScrollBar().value()
            self.setPlainText(text)
            self.verticalScrollBar().setValue(at)
        self.mark(0)

    def mark(self, line: int, kind: str = "error") -> None:
        """Mark a line, from 1, and bring it into view; 0: none."""
        self.marked, self.kind = line, kind
        block = self.document().findBlockByNumber(line - 1)
        selections = []
        if line and block.isValid():
            cursor = QTextCursor(block)
            self.setTextCursor(cursor)
            self.centerCursor()
            selection = QTextEdit.ExtraSelection()
            colour = QColor(self._colour())
            colour.setAlpha(50)
            selection.format.setBackground(colour)
            selection.format.setProperty(QTextFormat.Property.FullWidthSelection, True)
            selection.cursor = cursor
            selections = [selection]
        self.setExtraSelections(selections)
        self._margin.update()

    def paint_in(self, theme: Theme) -> None:
        """Use a theme."""
        self.theme = theme
        if self.marked:
            self.mark(self.marked, self.kind)
        self._margin.update()

    def _colour(self) -> QColor:
        if self.theme is None:
            return QColor("#888888")
        return self.theme.colour("bad" if self.kind == "error" else "accent")

    # -- line numbers ----------------------------------------------------------------------------------
    def margin_width(self) -> int:
        """Room for a sign and the largest number."""
        return self.fontMetrics().horizontalAdvance("9" * max(len(str(self.blockCount())), 2) + "✖") + 16

    def _fit(self) -> None:
        self.setViewportMargins(self.margin_width(), 0, 0, 0)

    def _scrolled(self, rect: QRect, by: int) -> None:
        self._margin.update()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """The margin is as high as the text."""
        super().resizeEvent(event)
        inner = self.contentsRect()
        self._margin.setGeometry(QRect(inner.left(), inner.top(), self.margin_width(), inner.height()))

    def paint_margin(self, painter: QPainter, rect: QRect) -> None:
        """Draw the numbers of the lines in view."""
        if self.theme is None:
            return
        painter.fillRect(rect, self.theme.colour("window"))
        painter.setFont(self.font())
        block = self.firstVisibleBlock()
        offset = self.contentOffset()
        width = self.margin_width()
        while block.isValid():
            box = self.blockBoundingGeometry(block).translated(offset)
            if box.top() > rect.bottom():
                break
            number = block.blockNumber() + 1
            here = number == self.marked
            painter.setPen(self._colour() if here else self.theme.colour("quiet"))
            text = f"{SIGNS.get(self.kind, '✖')} {number}" if here else str(number)
            place = QRectF(0, box.top(), width - 6, box.height())
            painter.drawText(place, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, text)
            block = block.next()


class _Margin(QWidget):
    """Beside the text."""

    def __init__(self, box: SourceBox) -> None:
        super().__init__(box)
        self._box = box

    def sizeHint(self) -> QSize:
        return QSize(self._box.margin_width(), 0)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        self._box.paint_margin(painter, event.rect())
        painter.end()
