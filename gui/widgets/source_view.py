"""A read-only view of Python or C, with line numbers, and with marks for the line of a step and of an error."""

from __future__ import annotations

from typing import Final, Literal

from PySide6.QtCore import QEvent, QRect, QSize, Qt
from PySide6.QtGui import (
    QColor,
    QFontDatabase,
    QHelpEvent,
    QPainter,
    QPaintEvent,
    QResizeEvent,
    QTextBlock,
    QTextCharFormat,
    QTextCursor,
    QTextFormat,
)
from PySide6.QtWidgets import QPlainTextEdit, QTextEdit, QToolTip, QWidget

from foliolab.gui.widgets.highlighter import Highlighter
from foliolab.gui.window.theme import Theme, Themed

Kind = Literal["step", "error"]
SIGNS: Final[dict[str, str]] = {"step": "▶", "error": "✗"}
"""Beside the line number, so that colour alone never marks a line."""
TOKENS: Final[dict[str, str]] = {"step": "accent", "error": "bad"}
_TINT: Final = 60
"""Opacity of the background of a marked line, of 255."""


class SourceView(QPlainTextEdit, Themed):
    """Read-only source, in Python or C.

    Args:
        theme: the colours; `paint` changes them.
    """

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.path = ""
        self.first_line = 1
        self._theme = theme
        self._marks: dict[int, tuple[Kind, str]] = {}
        self._text: str | None = None
        self._highlighter = Highlighter(self.document(), theme)
        self._gutter = _Gutter(self)
        self.setReadOnly(True)
        self.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        self.setTabChangesFocus(True)
        self.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.setTabStopDistance(4 * self.fontMetrics().horizontalAdvance(" "))
        self.setAccessibleName("Source")
        self.blockCountChanged.connect(self._widen)
        self.updateRequest.connect(self._scrolled)
        self._widen()

    # -- contents --------------------------------------------------------------------------------------
    def show_source(self, text: str, first_line: int = 1, path: str = "") -> None:
        """Show a text without marks; if it is the text that is shown already, the view does not scroll.

        Args:
            text: the source.
            first_line: the number of its first line in its file.
            path: the file; its suffix says the language, and screen readers read it.
        """
        self._marks.clear()
        if (text, first_line, path) != (self._text, self.first_line, self.path):
            self._text, self.first_line, self.path = text, first_line, path
            self._highlighter.read(text, path)
            self.setPlainText(text)
            self._widen()
        self._show_marks()

    def mark(self, line: int, kind: Kind, message: str = "") -> None:
        """Mark a line and scroll to it; a line outside of the text is ignored.

        Args:
            line: its number in the file.
            kind: the line of a step, or of an error. At most one line is that of a step.
            message: the tool tip of the line; screen readers read it.
        """
        block = self.document().findBlockByNumber(line - self.first_line)
        if line < self.first_line or not block.isValid():
            return
        if kind == "step":
            self._marks = {at: mark for at, mark in self._marks.items() if mark[0] != "step"}
        self._marks[line] = (kind, message)
        self._show_marks()
        cursor = QTextCursor(block)
        self.setTextCursor(cursor)
        self._scroll_to(block)

    @property
    def line(self) -> int:
        """The line of the cursor, by its number in the file."""
        return self.textCursor().blockNumber() + self.first_line

    @property
    def marks(self) -> dict[int, Kind]:
        """The marks, by the number of the line in the file."""
        return {line: kind for line, (kind, _) in self._marks.items()}

    def line_text(self, line: int) -> str:
        """The text of a line, by its number in the file; empty outside of the text."""
        block = self.document().findBlockByNumber(line - self.first_line)
        return block.text() if block.isValid() and line >= self.first_line else ""

    def paint(self, theme: Theme) -> None:
        self._theme = theme
        self._highlighter.paint(theme)
        self._show_marks()

    # -- marks -----------------------------------------------------------------------------------------
    def _show_marks(self) -> None:
        chosen = []
        for line, (kind, _) in self._marks.items():
            colour = self._theme.colour(TOKENS[kind])
            whole = QTextEdit.ExtraSelection()
            whole.cursor = QTextCursor(self.document().findBlockByNumber(line - self.first_line))
            tint = QColor(colour)
            tint.setAlpha(_TINT)
            made = QTextCharFormat()
            made.setBackground(tint)
            made.setProperty(QTextFormat.Property.FullWidthSelection, True)
            whole.format = made
            chosen.append(whole)
            if kind == "error":
                chosen.append(self._underlined(line, colour))
        self.setExtraSelections(chosen)
        self.setAccessibleDescription(self._described())
        self._gutter.update()

    def _underlined(self, line: int, colour: QColor) -> QTextEdit.ExtraSelection:
        wave = QTextEdit.ExtraSelection()
        cursor = QTextCursor(self.document().findBlockByNumber(line - self.first_line))
        cursor.movePosition(QTextCursor.MoveOperation.EndOfBlock, QTextCursor.MoveMode.KeepAnchor)
        made = QTextCharFormat()
        made.setUnderlineStyle(QTextCharFormat.UnderlineStyle.WaveUnderline)
        made.setUnderlineColor(colour)
        wave.cursor, wave.format = cursor, made
        return wave

    def _described(self) -> str:
        parts = [self.path] if self.path else []
        for line, (kind, message) in sorted(self._marks.items()):
            parts.append(f"{kind} at line {line}: {message or self.line_text(line).strip()}")
        return "; ".join(parts)

    def _scroll_to(self, block: QTextBlock) -> None:
        """Scroll only if the line is out of sight or at the edge, so that the text does not jump while one reads."""
        top = self.blockBoundingGeometry(block).translated(self.contentOffset()).top()
        height = self.blockBoundingRect(block).height()
        if not height <= top <= self.viewport().height() - 2 * height:
            self.centerCursor()

    def viewportEvent(self, event: QEvent) -> bool:
        """Show the message of a marked line as a tool tip."""
        if isinstance(event, QHelpEvent):
            line = self.cursorForPosition(event.pos()).blockNumber() + self.first_line
            QToolTip.showText(event.globalPos(), self._marks.get(line, ("step", ""))[1], self.viewport())
            return True
        return super().viewportEvent(event)

    # -- line numbers ----------------------------------------------------------------------------------
    @property
    def gutter_width(self) -> int:
        """Width in pixels of the line numbers and signs."""
        digits = len(str(self.first_line + self.blockCount()))
        return (digits + 3) * self.fontMetrics().horizontalAdvance("9")

    def _widen(self) -> None:
        self.setViewportMargins(self.gutter_width, 0, 0, 0)
        self._arrange_gutter()

    def _arrange_gutter(self) -> None:
        inside = self.contentsRect()
        self._gutter.setGeometry(QRect(inside.left(), inside.top(), self.gutter_width, inside.height()))

    def _scrolled(self, area: QRect, by: int) -> None:
        if by:
            self._gutter.scroll(0, by)
        else:
            self._gutter.update(0, area.y(), self._gutter.width(), area.height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._arrange_gutter()

    def paint_gutter(self, event: QPaintEvent) -> None:
        """Draw the numbers and signs of the visible lines."""
        theme = self._theme
        painter = QPainter(self._gutter)
        painter.fillRect(event.rect(), theme.colour("window"))
        painter.setFont(self.font())
        unit = self.fontMetrics().horizontalAdvance("9")
        block = self.firstVisibleBlock()
        top = self.blockBoundingGeometry(block).translated(self.contentOffset()).top()
        while block.isValid() and top <= event.rect().bottom():
            height = self.blockBoundingRect(block).height()
            line = block.blockNumber() + self.first_line
            kind = self._marks[line][0] if line in self._marks else None
            painter.setPen(theme.colour(TOKENS[kind] if kind else "quiet"))
            area = QRect(0, int(top), self._gutter.width() - unit, int(height))
            painter.drawText(area, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, str(line))
            if kind:
                painter.drawText(area.adjusted(unit // 2, 0, 0, 0), Qt.AlignmentFlag.AlignVCenter, SIGNS[kind])
            top += height
            block = block.next()
        painter.end()


class _Gutter(QWidget):
    """The column of the line numbers; the view draws it."""

    def __init__(self, view: SourceView) -> None:
        super().__init__(view)
        self._view = view

    def sizeHint(self) -> QSize:
        return QSize(self._view.gutter_width, 0)

    def paintEvent(self, event: QPaintEvent) -> None:
        self._view.paint_gutter(event)
