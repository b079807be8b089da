"""Draws the cells of the matrix: the verdict, the figure and a small curve, or the button that measures the cell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from PySide6.QtCore import QAbstractItemModel, QEvent, QModelIndex, QPersistentModelIndex, QPointF, QRectF, QSize, Qt
from PySide6.QtCore import Signal as QtSignal
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QMouseEvent, QPainter, QPen
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem

from foliolab.gui.compare.answer import Answer
from foliolab.gui.compare.matrix import MEASURING, Role
from foliolab.gui.compare.pictures import spark, tone_colour

if TYPE_CHECKING:
    from foliolab.gui.window.theme import Theme

HEIGHT: Final = 58
PAD: Final = 9
CURVE: Final = 0.4
"""Share of the width of a cell for its curve."""
WIDE: Final = 165
"""Least width of a cell whose curve is as high as the cell; in narrower cells the curve is below the word."""
LEAST: Final = 110
"""Least width of a cell with a curve."""
BUTTON: Final = (68, 24)


class CellDelegate(QStyledItemDelegate):
    """Paints the cells in the colours of the theme.

    Signals:
        wanted: the cell whose button was clicked.
    """

    wanted = QtSignal(QModelIndex)

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.theme = theme

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> QSize:
        return QSize(170, HEIGHT)

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        state = option.state
        rect = QRectF(option.rect)
        font: QFont = option.font
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setClipRect(rect)
        painter.fillRect(rect, self.theme.colour("panel"))
        answer = index.data(Role.ANSWER)
        if isinstance(answer, Answer):
            self._tint(painter, rect, answer)
            self._answer(painter, rect, font, answer, str(index.data(Role.STATE)), float(index.data(Role.PROGRESS)))
        else:
            self._name(painter, rect, font, str(index.data()), str(index.data(Role.SUMMARY) or ""))
        if state & QStyle.StateFlag.State_Selected:
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(self.theme.colour("accent"), 2))
            painter.drawRoundedRect(rect.adjusted(2, 2, -2, -2), 4, 4)
        painter.restore()

    # -- parts -----------------------------------------------------------------------------------------
    def _tint(self, painter: QPainter, rect: QRectF, answer: Answer) -> None:
        """Draw a stripe in the colour of the verdict at the left, and a faint shade if the verdict is bad."""
        if not answer.known and answer.tone == "quiet":
            return
        colour = tone_colour(answer.tone, self.theme)
        if answer.old:
            colour = self.theme.colour("edge")
        if answer.tone == "bad":
            shade = QColor(colour)
            shade.setAlpha(26)
            painter.fillRect(rect, shade)
        if answer.tone != "quiet":
            painter.fillRect(QRectF(rect.left(), rect.top() + 8, 3, rect.height() - 16), colour)

    def _name(self, painter: QPainter, rect: QRectF, font: QFont, name: str, summary: str) -> None:
        inner = rect.adjusted(PAD, 6, -PAD, -6)
        bold = _weighted(font, QFont.Weight.DemiBold)
        painter.setPen(self.theme.colour("text"))
        line = _line(painter, inner, bold, name)
        painter.setPen(self.theme.colour("quiet"))
        small = _sized(font, 0.88)
        painter.setFont(small)
        box = QRectF(inner.left(), inner.top() + line, inner.width(), inner.height() - line)
        fit = max(int(box.height() // QFontMetricsF(small).lineSpacing()), 1)
        for number, text in enumerate(_wrapped(summary, small, box.width(), fit)):
            top = box.top() + number * QFontMetricsF(small).lineSpacing()
            painter.drawText(QPointF(box.left(), top + QFontMetricsF(small).ascent()), text)

    def _answer(
        self, painter: QPainter, rect: QRectF, font: QFont, answer: Answer, state: str, progress: float
    ) -> None:
        inner = rect.adjusted(PAD + 2, 7, -PAD, -7)
        if state:
            self._busy(painter, inner, font, state, progress)
            return
        if not answer.known:
            self._unknown(painter, rect, inner, font, answer)
            return
        theme = self.theme
        colour = theme.colour("quiet") if answer.old else tone_colour(answer.tone, theme)
        wide, drawn = inner.width() >= WIDE, inner.width() >= LEAST
        curve = QRectF(
            inner.right() - CURVE * inner.width(), inner.top() + 2, CURVE * inner.width(), inner.height() - 4
        )
        if not wide:
            curve.setTop(inner.top() + QFontMetricsF(font).lineSpacing() + 1)
        left = inner.adjusted(0, 0, -curve.width() - 8 if wide else 0, 0)
        painter.setPen(colour)
        word = f"{answer.sign} {answer.word}" if answer.tone != "quiet" else answer.word
        line = _line(painter, left, _weighted(font, QFont.Weight.DemiBold), word)
        painter.setPen(theme.colour("quiet" if answer.old else "text"))
        room = left.width() - (curve.width() + 4 if drawn and not wide and answer.curve.points else 0)
        second = QRectF(left.left(), left.top() + line, room, left.height() - line)
        if answer.figure:
            line = _line(painter, second, font, answer.figure)
            second = second.adjusted(0, line, 0, 0)
        painter.setPen(theme.colour("quiet"))
        caption = answer.old or answer.caption
        _line(painter, second.adjusted(0, 0, 0, 4), _sized(font, 0.88), caption)
        if drawn:
            if answer.old:
                painter.setOpacity(0.4)
            spark(painter, curve, answer.curve, theme)
            painter.setOpacity(1.0)

    def _busy(self, painter: QPainter, inner: QRectF, font: QFont, state: str, progress: float) -> None:
        painter.setPen(self.theme.colour("accent" if state == MEASURING else "quiet"))
        _line(painter, inner, font, "measuring…" if state == MEASURING else "waiting…")
        if state == MEASURING:
            bar = QRectF(inner.left(), inner.bottom() - 8, inner.width(), 4)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(self.theme.colour("edge"))
            painter.drawRoundedRect(bar, 2, 2)
            painter.setBrush(self.theme.colour("accent"))
            painter.drawRoundedRect(bar.adjusted(0, 0, -bar.width() * (1 - progress), 0), 2, 2)

    def _unknown(self, painter: QPainter, rect: QRectF, inner: QRectF, font: QFont, answer: Answer) -> None:
        painter.setPen(self.theme.colour("bad" if answer.tone == "bad" else "quiet"))
        word = f"{answer.sign} {answer.word}" if answer.tone == "bad" else answer.word
        button = button_of(rect)
        room = QRectF(inner.left(), rect.top(), button.left() - inner.left() - 6, rect.height())
        painter.setFont(font)
        text = QFontMetricsF(font).elidedText(word, Qt.TextElideMode.ElideRight, room.width())
        painter.drawText(room, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, text)
        if not answer.command:
            return
        painter.setBrush(self.theme.colour("raised"))
        painter.setPen(QPen(self.theme.colour("edge"), 1))
        painter.drawRoundedRect(button, 4, 4)
        painter.setPen(self.theme.colour("text"))
        painter.setFont(_sized(font, 0.9))
        painter.drawText(button, Qt.AlignmentFlag.AlignCenter, "Measure")

    def editorEvent(
        self,
        event: QEvent,
        model: QAbstractItemModel,
        option: QStyleOptionViewItem,
        index: QModelIndex | QPersistentModelIndex,
    ) -> bool:
        """Emit `wanted` for a click on the button of a cell."""
        answer = index.data(Role.ANSWER)
        if (
            event.type() == QEvent.Type.MouseButtonRelease
            and isinstance(event, QMouseEvent)
            and isinstance(answer, Answer)
            and not answer.known
            and answer.command
            and not index.data(Role.STATE)
            and button_of(QRectF(option.rect)).contains(event.position())
        ):
            self.wanted.emit(model.index(index.row(), index.column()))
            return True
        return super().editorEvent(event, model, option, index)


def button_of(rect: QRectF) -> QRectF:
    """The rectangle of the button in a cell."""
    width, height = BUTTON
    return QRectF(rect.right() - PAD - width, rect.center().y() - height / 2, width, height)


def _weighted(font: QFont, weight: QFont.Weight) -> QFont:
    made = QFont(font)
    made.setWeight(weight)
    return made


def _sized(font: QFont, factor: float) -> QFont:
    made = QFont(font)
    if font.pointSizeF() > 0:
        made.setPointSizeF(font.pointSizeF() * factor)
    return made


def _line(painter: QPainter, rect: QRectF, font: QFont, text: str) -> float:
    """Draw one line at the top of a rectangle, elided if it is too long. Returns its height."""
    metrics = QFontMetricsF(font)
    painter.setFont(font)
    shown = metrics.elidedText(text, Qt.TextElideMode.ElideRight, rect.width())
    painter.drawText(QPointF(rect.left(), rect.top() + metrics.ascent()), shown)
    return metrics.lineSpacing()


def _wrapped(text: str, font: QFont, width: float, most: int) -> list[str]:
    """Wrap a text into at most `most` lines; the last line is elided."""
    metrics = QFontMetricsF(font)
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if metrics.horizontalAdvance(longer) > width and lines[-1] and len(lines) < most:
            lines.append(word)
        else:
            lines[-1] = longer
    lines[-1] = metrics.elidedText(lines[-1], Qt.TextElideMode.ElideRight, width)
    return lines
