"""One map: the address space of an MM under one policy, one cell per page.

A repaint must not take longer than a frame, with up to 64 maps of 262,144 pages. So the cells are painted as one image
of the visible part, made by numpy lookups; and where cells are smaller than a pixel, each dot stands for 4, 16, 64, …
cells, and shows the heaviest of their styles. Lines, hatches and text are drawn only where cells are large.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QEvent, QPoint, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import (
    QBrush,
    QColor,
    QFont,
    QHelpEvent,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QWheelEvent,
)
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from foliolab.framework.explore.folio_detail import FolioDetail
from foliolab.framework.explore.page_detail import PageDetail
from foliolab.gui.explore.cell_styles import NOTHING, STYLES, palette32, styles_of_bits
from foliolab.gui.explore.tiles import Tiles, arrange
from foliolab.gui.explore.viewport import CLOSEST, Viewport
from foliolab.gui.window.theme import Theme, Themed

CAPTION: Final = 17
"""Pixels above the map for its name."""
TILES: Final = 1.5
FOLIOS: Final = 6.0
TEXT: Final = 18.0
"""Least pixels of a cell for lines between tiles of 2 MiB; for outlines of folios and hatches; for text in cells."""
ZOOM: Final = 1.25
"""Zoom factor of one step of the mouse wheel."""
DIMMED: Final = 190
"""How opaque the veil over pages is that the shown part of the run does not act on, of 255."""
DOT: Final = 0.75
"""Least pixels of a dot."""


class MapView(QWidget, Themed):
    """A map.

    Signals:
        chosen: (page): the user clicked the page, or pressed Enter.
        hovered: (page, pointer on the screen): the pointer rests on the page; page -1: on none.

    Attributes:
        caption: the process that has the map.
        page: the page of the keyboard's cursor.
        selected: the marked page; -1: none.
        touched: first page, and number of pages, that the last step acted on; (-1, 0): none.
        tiles: where pages are on the map; None before `cover`.
    """

    chosen = Signal(int)
    hovered = Signal(int, QPoint)

    def __init__(self, viewport: Viewport, theme: Theme) -> None:
        super().__init__()
        self._viewport = viewport
        self._theme = theme
        self.tiles: Tiles | None = None
        self._cells: NDArray[np.uint8] | None = None
        self._dots: NDArray[np.uint8] | None = None
        self._stale = False
        self._verdicts = True
        self._styles = styles_of_bits(True)
        self._palette = palette32(theme)
        self._page_styles = np.zeros(0, np.uint8)
        self._buffer = np.zeros((0, 0), np.uint32)
        self._part: NDArray[np.bool_] | None = None
        self._drag: QPointF | None = None
        self._moved = False
        self._pages: dict[int, PageDetail] = {}
        self._folios: dict[int, FolioDetail] = {}
        self.caption = ""
        self.page = 0
        self.selected = -1
        self.touched = (-1, 0)
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMinimumSize(72, 36)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        viewport.changed.connect(self.update)

    # -- content ---------------------------------------------------------------------------------------
    def cover(self, pages: int, aspect: float) -> Tiles:
        """Begin with an empty map of so many pages, of about this ratio of width to height."""
        self.tiles = arrange(pages, aspect)
        self._cells, self._dots = None, None
        self._page_styles = np.full(pages + 1, NOTHING + 1, np.uint8)
        self._page_styles[pages] = 0
        self.page, self.selected, self.touched = 0, -1, (-1, 0)
        self._pages.clear()
        self._folios.clear()
        self.update()
        return self.tiles

    def show_cells(self, cells: NDArray[np.uint8], dots: NDArray[np.uint8] | None = None) -> None:
        """Show a copy of a map.

        Args:
            cells: a byte a page (see `framework.explore.cells`), shape (pages,).
            dots: the heaviest style of each four pages, if it is known, shape (pages / 4, rounded up).
        """
        if self.tiles is None:
            return
        if _same(self._cells, cells) and _same(self._dots, dots):
            return  # most steps change only one or two maps
        self._cells = cells.copy()
        self._dots = None if dots is None else dots.copy()
        self._stale = True
        self.update()

    def set_caption(self, caption: str, policy: str) -> None:
        """Set the process that has the map, and the policy."""
        if caption != self.caption:
            self.caption = caption
            self.setAccessibleName(f"Map of {caption} under {policy}")
            self.update()

    def styles(self) -> NDArray[np.uint8]:
        """The style of each page, plus one element for cells outside the map."""
        if self._stale and self._cells is not None:
            np.take(self._styles, self._cells, out=self._page_styles[: self._cells.size], mode="clip")
            self._stale = False
        return self._page_styles

    def _shrunk(self, tiles: Tiles, level: int) -> NDArray[np.uint8]:
        """The heaviest style of each 4 ** level pages, plus one element for cells outside the map."""
        dots = self._dots
        if dots is None:
            dots = _quarter(self.styles()[: tiles.pages])
        for _ in range(level - 1):
            dots = _quarter(dots)
        return np.append(dots, np.uint8(0))

    def show_details(self, pages: dict[int, PageDetail], folios: dict[int, FolioDetail]) -> None:
        """Show details of visible pages (by number) and folios (by head frame), where cells are large."""
        self._pages, self._folios = pages, folios
        self.update()

    def show_verdicts(self, verdicts: bool) -> None:
        """Choose whether wrong answers of the policy are shown."""
        self._verdicts = verdicts
        self._styles = styles_of_bits(verdicts)
        self._dots, self._stale = None, True  # the dots have the previous styles
        self.update()

    def show_part(self, pages: NDArray[np.bool_] | None) -> None:
        """Dim all pages but these, shape (pages,); None: dim none."""
        self._part = None if pages is None else np.append(pages, True)  # cells outside of the map are never dimmed
        self.update()

    def paint(self, theme: Theme) -> None:
        self._theme = theme
        self._palette = palette32(theme)
        self.update()

    def select(self, page: int) -> None:
        """Mark a page, or none (-1)."""
        self.selected = page
        if page >= 0:
            self.page = page
        self.update()

    # -- geometry --------------------------------------------------------------------------------------
    @property
    def room(self) -> QRectF:
        """The rectangle of the map: as large as possible with square cells."""
        area = QRectF(1, CAPTION, max(self.width() - 2, 1), max(self.height() - CAPTION - 1, 1))
        whole = self._viewport.whole
        scale = min(area.width() / whole.width(), area.height() / whole.height())
        return QRectF(area.left(), area.top(), whole.width() * scale, whole.height() * scale)

    @property
    def scale(self) -> float:
        """Pixels of a cell."""
        return self.room.width() / self._viewport.seen.width()

    def _cell(self, point: QPointF) -> QPointF:
        room, seen = self.room, self._viewport.seen
        x = seen.left() + (point.x() - room.left()) / room.width() * seen.width()
        y = seen.top() + (point.y() - room.top()) / room.height() * seen.height()
        return QPointF(x, y)

    def _at(self, point: QPointF) -> int:
        if self.tiles is None or not self.room.contains(point):
            return -1
        cell = self._cell(point)
        return self.tiles.page_at(int(cell.x()), int(cell.y()))

    def _rect(self, box: tuple[int, int, int, int]) -> QRectF:
        room, seen, scale = self.room, self._viewport.seen, self.scale
        x, y, width, height = box
        return QRectF(
            room.left() + (x - seen.left()) * scale, room.top() + (y - seen.top()) * scale,
            width * scale, height * scale,
        )  # fmt: skip

    def _visible(self) -> tuple[int, int, int, int]:
        """The visible cells: columns x0…x1-1, rows y0…y1-1, as (x0, x1, y0, y1)."""
        assert self.tiles is not None
        seen = self._viewport.seen
        return (
            max(int(seen.left()), 0), min(int(np.ceil(seen.right())), self.tiles.width),
            max(int(seen.top()), 0), min(int(np.ceil(seen.bottom())), self.tiles.height),
        )  # fmt: skip

    def visible_pages(self, most: int) -> list[int]:
        """The visible pages, ascending; empty if there are more than `most`, or cells are too small for details."""
        if self.tiles is None or self.scale < FOLIOS:
            return []
        x0, x1, y0, y1 = self._visible()
        if (x1 - x0) * (y1 - y0) > most:
            return []
        seen = np.unique(self.tiles.pages_of_cells[y0:y1, x0:x1])
        return [int(page) for page in seen if page < self.tiles.pages]

    # -- painting --------------------------------------------------------------------------------------
    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), self._theme.colour("window"))
        if self.tiles is not None:
            painter.save()
            painter.setClipRect(self.room)
            self._paint_cells(painter, self.tiles)
            if self._part is not None:
                self._paint_part(painter, self.tiles, self._part)
            if self.scale >= TILES:
                self._paint_tiles(painter, self.tiles)
            if self.scale >= FOLIOS:
                self._paint_hatches(painter, self.tiles)
                self._paint_folios(painter, self.tiles)
            if self.scale >= TEXT:
                self._paint_texts(painter, self.tiles)
            self._paint_marks(painter, self.tiles)
            painter.restore()
        self._paint_caption(painter)
        painter.end()

    def _paint_cells(self, painter: QPainter, tiles: Tiles) -> None:
        """Paint the visible cells; if they are smaller than a pixel, dots that stand for several cells."""
        x0, x1, y0, y1 = self._visible()
        if x1 <= x0 or y1 <= y0:
            return
        level = 0
        while self.scale * (1 << level) < DOT and level < len(tiles.shrunk):
            level += 1
        step = 1 << level
        # whole dots, although the first and last one may be visible only in part
        x0, y0, x1, y1 = x0 // step, y0 // step, -(-x1 // step), -(-y1 // step)
        where = tiles.shrunk[level - 1] if level else tiles.pages_of_cells
        styles = np.take(self._shrunk(tiles, level) if level else self.styles(), where[y0:y1, x0:x1])
        if self._buffer.shape != styles.shape:
            self._buffer = np.empty(styles.shape, np.uint32)
        np.take(self._palette, styles, out=self._buffer, mode="clip")
        high, wide = styles.shape
        image = QImage(self._buffer.data, wide, high, 4 * wide, QImage.Format.Format_RGB32)
        box = self._rect((x0 * step, y0 * step, wide * step, high * step))
        painter.drawImage(box, image, QRectF(0, 0, wide, high))

    def _paint_part(self, painter: QPainter, tiles: Tiles, pages: NDArray[np.bool_]) -> None:
        """Dim the visible cells of all pages but these."""
        x0, x1, y0, y1 = self._visible()
        if x1 <= x0 or y1 <= y0:
            return
        veil = self._theme.colour("window")
        veil.setAlpha(DIMMED)
        shades = np.array([QColor(veil).rgba(), 0], np.uint32)
        cells = shades[np.take(pages, tiles.pages_of_cells[y0:y1, x0:x1], mode="clip").astype(np.intp)]
        high, wide = cells.shape
        image = QImage(cells.tobytes(), wide, high, 4 * wide, QImage.Format.Format_ARGB32)
        painter.drawImage(self._rect((x0, y0, wide, high)), image, QRectF(0, 0, wide, high))

    def _paint_tiles(self, painter: QPainter, tiles: Tiles) -> None:
        pen = QPen(self._theme.colour("window"), 1)
        painter.setPen(pen)
        wide, high = tiles.tile
        x0, x1, y0, y1 = self._visible()
        for x in range(-(-x0 // wide) * wide, x1 + 1, wide):
            line = self._rect((x, y0, 0, y1 - y0))
            painter.drawLine(line.topLeft(), line.bottomLeft())
        for y in range(-(-y0 // high) * high, y1 + 1, high):
            line = self._rect((x0, y, x1 - x0, 0))
            painter.drawLine(line.topLeft(), line.topRight())

    def _paint_hatches(self, painter: QPainter, tiles: Tiles) -> None:
        """Paint hatches, so that color is not the only difference between styles."""
        x0, x1, y0, y1 = self._visible()
        pages = tiles.pages_of_cells[y0:y1, x0:x1]
        styles = self.styles()[pages]
        painter.setPen(Qt.PenStyle.NoPen)
        ink = QColor(self._theme.colour("window"))
        ink.setAlpha(150)
        for number in np.unique(styles):
            if number == 0 or STYLES[number - 1].hatch == Qt.BrushStyle.NoBrush:
                continue
            painter.setBrush(QBrush(ink, STYLES[number - 1].hatch))
            for y, runs in enumerate(_runs(styles == number), y0):
                for begin, end in runs:
                    painter.drawRect(self._rect((x0 + begin, y, end - begin, 1)))

    def _paint_folios(self, painter: QPainter, tiles: Tiles) -> None:
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(self._theme.colour("text"), 1))
        drawn = set()
        for page, detail in self._pages.items():
            if detail.head < 0:
                continue
            first = page - (detail.frame - detail.head)
            if (first, detail.head) not in drawn:
                drawn.add((first, detail.head))
                begin, nr = max(first, 0), min(1 << detail.order, tiles.pages - max(first, 0))
                painter.drawRect(self._rect(tiles.box(begin, nr)).adjusted(0.5, 0.5, -1.5, -1.5))

    def _paint_texts(self, painter: QPainter, tiles: Tiles) -> None:
        font = QFont(self.font())
        font.setPixelSize(int(min(max(self.scale / 4.2, 8), 15)))
        painter.setFont(font)
        for page, detail in self._pages.items():
            if detail.frame < 0:
                continue
            box = self._rect((*tiles.cell_of(page), 1, 1)).adjusted(3, 2, -3, -2)
            painter.setPen(_ink(QColor.fromRgb(int(self._palette[self.styles()[page]]))))
            text = str(detail.mapcount)
            if self.scale >= 2 * TEXT:
                text = "\n".join([f"{detail.mapcount} ×", *(_short(flag) for flag in detail.flags)])
            painter.drawText(box, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop, text)
        self._paint_fields(painter, tiles)

    def _paint_fields(self, painter: QPainter, tiles: Tiles) -> None:
        """Write the policy's fields into the center of each folio."""
        for page, detail in self._pages.items():
            folio = self._folios.get(detail.head)
            if folio is None or detail.frame != detail.head or detail.order < 2:
                continue
            box = self._rect(tiles.box(page, min(1 << detail.order, tiles.pages - page)))
            lines = [f"{field.name} {field.text}" for field in folio.fields if field.owner == "policy" and field.page]
            height = painter.fontMetrics().height()
            lines = lines[: max(int(box.height() / height) - 3, 0)]
            if box.width() < 120 or not lines:
                continue
            widest = max(painter.fontMetrics().horizontalAdvance(line) for line in lines)
            note = QRectF(0, 0, min(widest + 10, box.width() - 8), height * len(lines) + 6)
            note.moveCenter(box.center())
            ground = QColor(self._theme.colour("panel"))
            ground.setAlpha(225)
            painter.fillRect(note, ground)
            painter.setPen(self._theme.colour("text"))
            painter.drawText(note.adjusted(5, 3, -5, -3), Qt.AlignmentFlag.AlignLeft, "\n".join(lines))

    def _paint_marks(self, painter: QPainter, tiles: Tiles) -> None:
        """Mark the pages of the last step, the selected page, and the keyboard's cursor."""
        painter.setBrush(Qt.BrushStyle.NoBrush)
        first, nr = self.touched
        if 0 <= first < tiles.pages and nr > 0:
            box = self._rect(tiles.box(first, min(nr, tiles.pages - first)))
            painter.setPen(QPen(self._theme.colour("changed"), 1.5, Qt.PenStyle.DashLine))
            painter.drawRect(box.adjusted(-1, -1, 0, 0))
        if 0 <= self.selected < tiles.pages:
            painter.setPen(QPen(self._theme.colour("accent"), 2.5))
            painter.drawRect(self._rect((*tiles.cell_of(self.selected), 1, 1)).adjusted(-1, -1, 0, 0))
        if self.hasFocus() and self.page != self.selected and self.page < tiles.pages:
            painter.setPen(QPen(self._theme.colour("accent"), 1, Qt.PenStyle.DotLine))
            painter.drawRect(self._rect((*tiles.cell_of(self.page), 1, 1)).adjusted(-1, -1, 0, 0))

    def _paint_caption(self, painter: QPainter) -> None:
        painter.setFont(self.font())
        painter.setPen(self._theme.colour("text" if self.hasFocus() else "quiet"))
        box = QRectF(2, 0, self.width() - 4, CAPTION - 1)
        text = painter.fontMetrics().elidedText(self.caption, Qt.TextElideMode.ElideRight, int(box.width()))
        painter.drawText(box, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, text)

    # -- mouse and keyboard ----------------------------------------------------------------------------
    def wheelEvent(self, event: QWheelEvent) -> None:
        turns = event.angleDelta().y() / 120
        if turns > 0 and self.scale >= CLOSEST:
            return
        self._viewport.zoom(ZOOM**turns, self._cell(event.position()))
        event.accept()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self._drag, self._moved = event.position(), False

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._drag is not None and event.buttons():
            moved = event.position() - self._drag
            if self._moved or moved.manhattanLength() > 4:
                self._moved = True
                self._viewport.pan(-moved.x() / self.scale, -moved.y() / self.scale)
                self._drag = event.position()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if not self._moved and event.button() == Qt.MouseButton.LeftButton:
            self.choose_at(event.position().toPoint())
        self._drag = None

    def choose_at(self, point: QPoint) -> None:
        """Choose the page at a point, if there is one."""
        if (page := self._at(QPointF(point))) >= 0:
            self._choose(page)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Zoom to the folio; if cells are large already, zoom out to the whole map."""
        page = self._at(event.position())
        if self.tiles is None or page < 0:
            return
        if self.scale >= TEXT:
            self._viewport.fit()
            return
        detail = self._pages.get(page)
        nr = 1 << detail.order if detail is not None else 16
        first = page // nr * nr
        self._viewport.look(QRectF(*self.tiles.box(first, min(nr, self.tiles.pages - first))))

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            self.hovered.emit(self._at(QPointF(event.pos())), event.globalPos())
            return True
        return super().event(event)

    def leaveEvent(self, event: QEvent) -> None:
        QToolTip.hideText()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Alt and arrows move the cursor, Enter chooses its page, + and - zoom."""
        key = event.key()
        moves = {
            Qt.Key.Key_Left: (-1, 0), Qt.Key.Key_Right: (1, 0), Qt.Key.Key_Up: (0, -1), Qt.Key.Key_Down: (0, 1),
        }  # fmt: skip
        if self.tiles is None:
            super().keyPressEvent(event)
        elif key in moves and event.modifiers() & Qt.KeyboardModifier.AltModifier:
            self._move(*moves[Qt.Key(key)])
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._choose(self.page)
        elif key in (Qt.Key.Key_Plus, Qt.Key.Key_Equal):
            self._zoom(ZOOM)
        elif key == Qt.Key.Key_Minus:
            self._zoom(1 / ZOOM)
        else:
            super().keyPressEvent(event)

    def _move(self, dx: int, dy: int) -> None:
        assert self.tiles is not None
        x, y = self.tiles.cell_of(self.page)
        page = self.tiles.page_at(x + dx, y + dy)
        if page >= 0:
            self.page = page
            self._viewport.show(x + dx, y + dy)
            self.hovered.emit(page, QPoint())
            self.update()

    def _zoom(self, factor: float) -> None:
        assert self.tiles is not None
        if factor < 1 or self.scale < CLOSEST:
            x, y = self.tiles.cell_of(self.page)
            self._viewport.zoom(factor, QPointF(x + 0.5, y + 0.5))

    def _choose(self, page: int) -> None:
        self.select(page)
        self.chosen.emit(page)


def _runs(rows: NDArray[np.bool_]) -> list[list[tuple[int, int]]]:
    """For each row the runs of True, as (begin, end)."""
    found = []
    for row in rows:
        edges = np.flatnonzero(np.diff(np.concatenate(([0], row.astype(np.int8), [0]))))
        found.append([(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)])
    return found


def _same(one: NDArray[np.uint8] | None, other: NDArray[np.uint8] | None) -> bool:
    if one is None or other is None:
        return one is other
    return np.array_equal(one, other)


def _quarter(styles: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The heaviest style of each four pages; missing pages at the end weigh nothing."""
    missing = -styles.size % 4
    four = np.pad(styles, (0, missing)) if missing else styles
    return np.maximum(np.maximum(four[::4], four[1::4]), np.maximum(four[2::4], four[3::4]))


def _ink(ground: QColor) -> QColor:
    return QColor("#101214") if ground.lightnessF() > 0.42 else QColor("#f4f6f8")


def _short(flag: str) -> str:
    """The name of a flag, abbreviated to fit into a cell."""
    return {"anon_exclusive": "AnonExcl", "swapbacked": "swapb.", "swapcache": "swapc."}.get(flag, flag)
