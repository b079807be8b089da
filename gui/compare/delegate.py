"""Draws the cells of the matrix: the verdict, the figure and a small curve, or the button that measures the cell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from PySide6.QtCore import QAbstractItemModel, QEvent, QModelIndex, QPersistentModelIndex, QPointF, QRectF, QSize, Qt
from PySide6.QtCore import Signal as QtSignal
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QMouseEvent, QPainter, QPen
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem

from foliolab.gui.compare.answer import BADGE, Answer
from foliolab.gui.compare.matrix import MEASURING, Role
from foliolab.gui.compare.pictures import mark_rows, spark, tone_colour

if TYPE_CHECKING:
    from foliolab.gui.window.theme import Theme

HEIGHT: Final = 58
PAD: Final = 9
CURVE: Final = 0.31
"""Share of the width of a cell for its curve."""
MARKS: Final = 0.4
"""Share of the width of a cell for the marks of its claims."""
WIDE: Final = 165
"""Least width of a cell whose curve is beside the figure; in narrower cells the figure may reach into it."""
LEAST: Final = 110
"""Least width of a cell with a curve."""
BUTTON: Final = (68, 24)
SMALLEST: Final = 0.72
"""The least size of a text that has to fit, as a share of the usual size."""


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
        is_over = bool(state & QStyle.StateFlag.State_MouseOver)
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
            if is_over and is_offered(answer) and answer.known and not index.data(Role.STATE):
                self._button(painter, rect, font)
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
        if is_faded(answer):
            colour = self.theme.colour("edge")
        if answer.tone == "bad" and not answer.reference:
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
        colour = theme.colour("quiet") if is_faded(answer) else tone_colour(answer.tone, theme)
        wide, drawn = inner.width() >= WIDE, inner.width() >= LEAST
        below = inner.top() + QFontMetricsF(font).lineSpacing() + 1  # the word has the whole width
        share = (MARKS if answer.curve.marks else CURVE) * inner.width()
        curve = QRectF(inner.right() - share, below, share, inner.bottom() - 2 - below)
        left = inner.adjusted(0, 0, -curve.width() - 8 if wide else 0, 0)
        if answer.curve.marks and mark_rows(curve, answer.curve) == 1:
            curve.setHeight(QFontMetricsF(font).lineSpacing())  # and so has the caption
            left = inner
        painter.setPen(colour)
        word = f"{answer.sign} {answer.word}" if answer.tone != "quiet" else answer.word
        line = _line(painter, inner, _weighted(font, QFont.Weight.DemiBold), word)
        painter.setPen(theme.colour("quiet" if is_faded(answer) else "text"))
        room = left.width() - (curve.width() + 4 if drawn and not wide and answer.curve.points else 0)
        second = QRectF(left.left(), left.top() + line, room, left.height() - line)
        if answer.figure:
            line = _line(painter, second, font, answer.figure)
            second = second.adjusted(0, line, 0, 0)
        painter.setPen(theme.colour("quiet"))
        caption = answer.old or answer.caption
        if answer.reference:
            badge = self._badge(painter, inner, font, BADGE if wide else "ref.")
            curve.setBottom(badge.top() - 2)
            second.setRight(min(left.right(), badge.left() - 4))
        small = _sized(font, 0.88)
        smallest = QFontMetricsF(fitted(small, caption, second.width()))
        if answer.old and smallest.horizontalAdvance(caption) > second.width():
            caption = "stale"  # the tool tip and the evidence say why
        _line(painter, second.adjusted(0, 0, 0, 4), small, caption)
        if drawn:
            if is_faded(answer):
                painter.setOpacity(0.4)
            spark(painter, curve, answer.curve, theme)
            painter.setOpacity(1.0)

    def _badge(self, painter: QPainter, inner: QRectF, font: QFont, text: str) -> QRectF:
        """Draw the badge of the reference result at the lower right. Returns its rectangle."""
        small = _sized(font, 0.78)
        metrics = QFontMetricsF(small)
        wide, high = metrics.horizontalAdvance(text) + 10, metrics.height() + 1
        box = QRectF(inner.right() - wide, inner.bottom() + 4 - high, wide, high)
        painter.setFont(small)
        painter.setBrush(self.theme.colour("raised"))
        painter.setPen(QPen(self.theme.colour("edge"), 1))
        painter.drawRoundedRect(box, 4, 4)
        painter.setPen(self.theme.colour("quiet"))
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, text)
        return box

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
        if answer.command:
            self._button(painter, rect, font)

    def _button(self, painter: QPainter, rect: QRectF, font: QFont) -> None:
        button = button_of(rect)
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
            and is_offered(answer)
            and not index.data(Role.STATE)
            and button_of(QRectF(option.rect)).contains(event.position())
        ):
            self.wanted.emit(model.index(index.row(), index.column()))
            return True
        return super().editorEvent(event, model, option, index)


def is_faded(answer: Answer) -> bool:
    """Whether an answer is drawn grey: of an older text, or not of this host."""
    return bool(answer.old or answer.reference)


def is_offered(answer: Answer) -> bool:
    """Whether the cell has a button: always where nothing is known, under the mouse for the reference result."""
    return bool(answer.command) and (not answer.known or bool(answer.reference))


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
    """Draw one line at the top of a rectangle, smaller if it is too long, elided at last. Returns its height."""
    fitting = fitted(font, text, rect.width())
    metrics = QFontMetricsF(fitting)
    painter.setFont(fitting)
    shown = metrics.elidedText(text, Qt.TextElideMode.ElideRight, rect.width())
    painter.drawText(QPointF(rect.left(), rect.top() + QFontMetricsF(font).ascent()), shown)
    return QFontMetricsF(font).lineSpacing()


def fitted(font: QFont, text: str, width: float) -> QFont:
    """A font for a text on one line, down to `SMALLEST` of its size if the text is too long."""
    wide = QFontMetricsF(font).horizontalAdvance(text)
    return font if wide <= width else _sized(font, max(SMALLEST, 0.94 * width / wide))


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
