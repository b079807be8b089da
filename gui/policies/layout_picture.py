"""Draws the fields of a policy to scale in the struct pages of a folio."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from PySide6.QtCore import QPoint, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy

from foliolab.gui.widgets.painted import Painted

if TYPE_CHECKING:
    from foliolab.framework.anatomy.layout import Anatomy, Box, StructPage
    from foliolab.gui.window.theme import Theme

ROW: Final = 8
"""Bytes in a line; a struct page of 64 bytes has eight lines."""
LINE: Final = 26
HEAD: Final = 26
GAP: Final = 12
LEFT: Final = 40
MOST_LINES: Final = 24
"""Lines of a struct page that are drawn; a scheme with a counter for every MM may have thousands."""


class LayoutPicture(Painted):
    """Struct pages with the policy's fields in colour and with a bar, and the kernel's own fields in grey."""

    def __init__(self, theme: Theme) -> None:
        super().__init__(theme)
        self.anatomy: Anatomy | None = None
        self._tips: list[tuple[QRectF, str]] = []
        self.setAccessibleName("Layout of struct folio")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def show_anatomy(self, anatomy: Anatomy | None) -> None:
        """Show the struct pages of a policy; None shows nothing."""
        self.anatomy = anatomy
        pages = anatomy.pages if anatomy else ()
        own = [box.name for page in pages for box in page.boxes if box.owner == "policy"]
        self.setAccessibleDescription(f"Fields of the policy: {', '.join(own) or 'none'}")
        self.setFixedHeight(max(self.sizeHint().height(), 10))
        self.update()

    def sizeHint(self) -> QSize:
        pages = self.anatomy.pages if self.anatomy else ()
        return QSize(460, sum(HEAD + _lines(page) * LINE + GAP for page in pages) + 30)

    def paintEvent(self, event: QPaintEvent) -> None:
        if self.anatomy is None:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self._tips = []
        top = 0.0
        for page in self.anatomy.pages:
            top = self._page(painter, page, top, self._theme) + GAP
        if self.anatomy.other_pages:
            painter.setPen(self._theme.colour("quiet"))
            painter.drawText(QRectF(0, top, self.width(), 24), 0, f"and {self.anatomy.other_pages} more tail pages")
        painter.end()

    def _page(self, painter: QPainter, page: StructPage, top: float, theme: Theme) -> float:
        role = {0: "head page", 1: "first tail page"}.get(page.number, "tail page")
        larger = f", {page.size} bytes instead of 64" if page.size > 64 else ""
        painter.setPen(theme.colour("text"))
        title = f"page[{page.number}]  {role}{larger}, {page.free_bytes} bytes free"
        painter.drawText(QRectF(0, top, self.width(), HEAD), Qt.AlignmentFlag.AlignVCenter, title)
        top += HEAD
        byte = (self.width() - LEFT - 2) / ROW
        lines = _lines(page)
        painter.setPen(QPen(theme.colour("edge"), 1))
        painter.setBrush(theme.colour("window"))
        painter.drawRect(QRectF(LEFT, top, byte * ROW, lines * LINE))
        painter.setPen(theme.colour("quiet"))
        for line in range(lines):
            number = QRectF(0, top + line * LINE, LEFT - 6, LINE)
            painter.drawText(number, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, str(line * ROW))
        for box in page.boxes:
            self._box(painter, box, top, byte, lines, theme)
        return top + lines * LINE

    def _box(self, painter: QPainter, box: Box, top: float, byte: float, lines: int, theme: Theme) -> None:
        """Draw a field; a field longer than a line continues in the next line."""
        own = box.owner == "policy"
        colour = theme.of_series(1) if own else theme.colour("raised")
        fill = QColor(colour)
        if own:
            fill.setAlpha(80)
        start = box.offset
        while start < box.offset + box.size and start // ROW < lines:
            end = min(box.offset + box.size, (start // ROW + 1) * ROW)
            rect = QRectF(LEFT + start % ROW * byte, top + start // ROW * LINE, (end - start) * byte, LINE)
            painter.setBrush(fill)
            painter.setPen(QPen(theme.colour("edge"), 1))
            painter.drawRect(rect.adjusted(0.5, 0.5, -0.5, -0.5))
            if own:
                painter.fillRect(QRectF(rect.left() + 1, rect.top() + 1, 3, rect.height() - 2), colour)
            painter.setPen(theme.colour("text" if own else "quiet"))
            room = rect.adjusted(8, 0, -4, 0)
            text = QFontMetricsF(self.font()).elidedText(box.name, Qt.TextElideMode.ElideRight, room.width())
            painter.drawText(room, Qt.AlignmentFlag.AlignVCenter, text)
            whose = "this policy's" if own else "the kernel's own"
            doc = f": {box.doc}" if box.doc else ""
            self._tips.append((rect, f"{box.name} ({box.ctype} at byte {box.offset}, {whose}){doc}"))
            start = end

    def text_at(self, position: QPoint) -> str:
        return next((text for rect, text in self._tips if rect.contains(position)), "")


def _lines(page: StructPage) -> int:
    return min(page.size // ROW, MOST_LINES)
