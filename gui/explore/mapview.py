"""One map: the address space of an MM under one policy, a cell a page."""

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
from foliolab.gui.explore.faces import FACES, NOTHING, faces_of_bits, palette32
from foliolab.gui.explore.lens import CLOSEST, Lens
from foliolab.gui.explore.tiles import Tiles, tiles
from foliolab.gui.window.theme import Theme

CAPTION: Final = 17
"""Pixels above the map for its name."""
TILE_LINES: Final = 1.5
FOLIO_LINES: Final = 6.0
TEXT: Final = 18.0
"""From so many pixels a cell on: lines between tiles of 2 MiB, outlines of folios and hatches, text in cells."""
STEP: Final = 1.25
DOT: Final = 0.75
"""Pixels of a dot, at least."""


class MapView(QWidget):
    """A map.

    Signals:
        chosen: (page): somebody clicked it, or pressed Enter on it.
        hovered: (page, place on the screen): the pointer rests on it; -1: nowhere.

    Attributes:
        caption: who has the map.
        page: where the keyboard's cursor is.
    """

    chosen = Signal(int)
    hovered = Signal(int, QPoint)

    def __init__(self, lens: Lens, theme: Theme) -> None:
        super().__init__()
        self._lens = lens
        self._theme = theme
        self._tiles: Tiles | None = None
        self._cells: NDArray[np.uint8] | None = None
        self._dots: NDArray[np.uint8] | None = None
        self._stale = False
        self._verdicts = True
        self._faces = faces_of_bits(True)
        self._palette = palette32(theme)
        self._outside = np.zeros(0, np.uint8)
        self._buffer = np.zeros((0, 0), np.uint32)
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
        self.setMinimumSize(72, 60)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        lens.changed.connect(self.update)

    # -- what it shows ---------------------------------------------------------------------------------
    def cover(self, pages: int, aspect: float) -> Tiles:
        """Show a map of so many pages."""
        self._tiles = tiles(pages, aspect)
        self._cells, self._dots = None, None
        self._outside = np.full(pages + 1, NOTHING + 1, np.uint8)
        self._outside[pages] = 0
        self.page, self.selected, self.touched = 0, -1, (-1, 0)
        self._pages.clear()
        self._folios.clear()
        self.update()
        return self._tiles

    def cover_of(self) -> Tiles | None:
        """Where its pages lie."""
        return self._tiles

    def show_cells(self, cells: NDArray[np.uint8], dots: NDArray[np.uint8] | None = None) -> None:
        """Show a map; it is copied, and painted if it is another one.

        Args:
            cells: a byte a page (see `framework.explore.cells`), shape (pages,).
            dots: the heaviest face of each four pages, where somebody knows it, shape (pages / 4, rounded up).
        """
        if self._tiles is None:
            return
        if _same(self._cells, cells) and _same(self._dots, dots):
            return  # most steps change one map or two
        self._cells = cells.copy()
        self._dots = None if dots is None else dots.copy()
        self._stale = True
        self.update()

    def call(self, caption: str, policy: str) -> None:
        """Say who has the map, and under which policy."""
        if caption != self.caption:
            self.caption = caption
            self.setAccessibleName(f"Map of {caption} under {policy}")
            self.update()

    def faces(self) -> NDArray[np.uint8]:
        """The face of each page, and one more of what is no page."""
        if self._stale and self._cells is not None:
            np.take(self._faces, self._cells, out=self._outside[: self._cells.size], mode="clip")
            self._stale = False
        return self._outside

    def _shrunk(self, place: Tiles, level: int) -> NDArray[np.uint8]:
        """The heaviest face of each 4 ** level pages, and one more of what is no page."""
        dots = self._dots
        if dots is None:
            dots = _quarter(self.faces()[: place.pages])
        for _ in range(level - 1):
            dots = _quarter(dots)
        return np.append(dots, np.uint8(0))

    def show_details(self, pages: dict[int, PageDetail], folios: dict[int, FolioDetail]) -> None:
        """What is known about pages and folios in sight, by page and by head; drawn where cells are large."""
        self._pages, self._folios = pages, folios
        self.update()

    def judge(self, verdicts: bool) -> None:
        """Whether the policy's wrong answers are seen."""
        self._verdicts = verdicts
        self._faces = faces_of_bits(verdicts)
        self._dots, self._stale = None, True  # they were by the other faces
        self.update()

    def paint(self, theme: Theme) -> None:
        """Another theme."""
        self._theme = theme
        self._palette = palette32(theme)
        self.update()

    def select(self, page: int) -> None:
        """Mark a page; -1: none."""
        self.selected = page
        if page >= 0:
            self.page = page
        self.update()

    # -- geometry --------------------------------------------------------------------------------------
    @property
    def room(self) -> QRectF:
        """Where the map is drawn: as large as fits, with square cells."""
        area = QRectF(1, CAPTION, max(self.width() - 2, 1), max(self.height() - CAPTION - 1, 1))
        whole = self._lens.whole
        scale = min(area.width() / whole.width(), area.height() / whole.height())
        return QRectF(area.left(), area.top(), whole.width() * scale, whole.height() * scale)

    @property
    def scale(self) -> float:
        """Pixels of a cell."""
        return self.room.width() / self._lens.seen.width()

    def _cell(self, point: QPointF) -> QPointF:
        room, seen = self.room, self._lens.seen
        x = seen.left() + (point.x() - room.left()) / room.width() * seen.width()
        y = seen.top() + (point.y() - room.top()) / room.height() * seen.height()
        return QPointF(x, y)

    def _at(self, point: QPointF) -> int:
        if self._tiles is None or not self.room.contains(point):
            return -1
        cell = self._cell(point)
        return self._tiles.at(int(cell.x()), int(cell.y()))

    def _rect(self, box: tuple[int, int, int, int]) -> QRectF:
        room, seen, scale = self.room, self._lens.seen, self.scale
        x, y, width, height = box
        return QRectF(
            room.left() + (x - seen.left()) * scale, room.top() + (y - seen.top()) * scale,
            width * scale, height * scale,
        )  # fmt: skip

    def _span(self) -> tuple[int, int, int, int]:
        """Cells in sight: x from, x to, y from, y to."""
        assert self._tiles is not None
        seen = self._lens.seen
        return (
            max(int(seen.left()), 0), min(int(np.ceil(seen.right())), self._tiles.width),
            max(int(seen.top()), 0), min(int(np.ceil(seen.bottom())), self._tiles.height),
        )  # fmt: skip

    def in_sight(self, most: int) -> list[int]:
        """The pages in sight, ascending; none if there are more than `most`, or cells are too small to say more."""
        if self._tiles is None or self.scale < FOLIO_LINES:
            return []
        x0, x1, y0, y1 = self._span()
        if (x1 - x0) * (y1 - y0) > most:
            return []
        seen = np.unique(self._tiles.place[y0:y1, x0:x1])
        return [int(page) for page in seen if page < self._tiles.pages]

    # -- painting --------------------------------------------------------------------------------------
    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw it."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), self._theme.colour("window"))
        if self._tiles is not None:
            painter.save()
            painter.setClipRect(self.room)
            self._paint_cells(painter, self._tiles)
            if self.scale >= TILE_LINES:
                self._paint_tiles(painter, self._tiles)
            if self.scale >= FOLIO_LINES:
                self._paint_hatches(painter, self._tiles)
                self._paint_folios(painter, self._tiles)
            if self.scale >= TEXT:
                self._paint_texts(painter, self._tiles)
            self._paint_marks(painter, self._tiles)
            painter.restore()
        self._paint_caption(painter)
        painter.end()

    def _paint_cells(self, painter: QPainter, place: Tiles) -> None:
        """The cells in sight; where they are smaller than a pixel, the heaviest of four stands for them."""
        x0, x1, y0, y1 = self._span()
        if x1 <= x0 or y1 <= y0:
            return
        level = 0
        while self.scale * (1 << level) < DOT and level < len(place.halves):
            level += 1
        step = 1 << level
        # whole dots, though the first and last one may be out of sight in part
        x0, y0, x1, y1 = x0 // step, y0 // step, -(-x1 // step), -(-y1 // step)
        where = place.halves[level - 1] if level else place.place
        faces = np.take(self._shrunk(place, level) if level else self.faces(), where[y0:y1, x0:x1])
        if self._buffer.shape != faces.shape:
            self._buffer = np.empty(faces.shape, np.uint32)
        np.take(self._palette, faces, out=self._buffer, mode="clip")
        high, wide = faces.shape
        image = QImage(self._buffer.data, wide, high, 4 * wide, QImage.Format.Format_RGB32)
        box = self._rect((x0 * step, y0 * step, wide * step, high * step))
        painter.drawImage(box, image, QRectF(0, 0, wide, high))

    def _paint_tiles(self, painter: QPainter, place: Tiles) -> None:
        pen = QPen(self._theme.colour("window"), 1)
        painter.setPen(pen)
        wide, high = place.tile
        x0, x1, y0, y1 = self._span()
        for x in range(-(-x0 // wide) * wide, x1 + 1, wide):
            line = self._rect((x, y0, 0, y1 - y0))
            painter.drawLine(line.topLeft(), line.bottomLeft())
        for y in range(-(-y0 // high) * high, y1 + 1, high):
            line = self._rect((x0, y, x1 - x0, 0))
            painter.drawLine(line.topLeft(), line.topRight())

    def _paint_hatches(self, painter: QPainter, place: Tiles) -> None:
        """A pattern over each cell that is not simply exclusive: the colour is not all that tells."""
        x0, x1, y0, y1 = self._span()
        pages = place.place[y0:y1, x0:x1]
        faces = self.faces()[pages]
        painter.setPen(Qt.PenStyle.NoPen)
        ink = QColor(self._theme.colour("window"))
        ink.setAlpha(150)
        for number in np.unique(faces):
            if number == 0 or FACES[number - 1].hatch == Qt.BrushStyle.NoBrush:
                continue
            painter.setBrush(QBrush(ink, FACES[number - 1].hatch))
            for y, runs in enumerate(_runs(faces == number), y0):
                for begin, end in runs:
                    painter.drawRect(self._rect((x0 + begin, y, end - begin, 1)))

    def _paint_folios(self, painter: QPainter, place: Tiles) -> None:
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(self._theme.colour("text"), 1))
        drawn = set()
        for page, detail in self._pages.items():
            if detail.head < 0:
                continue
            first = page - (detail.frame - detail.head)
            if (first, detail.head) not in drawn:
                drawn.add((first, detail.head))
                begin, nr = max(first, 0), min(1 << detail.order, place.pages - max(first, 0))
                painter.drawRect(self._rect(place.box(begin, nr)).adjusted(0.5, 0.5, -1.5, -1.5))

    def _paint_texts(self, painter: QPainter, place: Tiles) -> None:
        font = QFont(self.font())
        font.setPixelSize(int(min(max(self.scale / 4.2, 8), 15)))
        painter.setFont(font)
        for page, detail in self._pages.items():
            if detail.frame < 0:
                continue
            box = self._rect((*place.of(page), 1, 1)).adjusted(3, 2, -3, -2)
            painter.setPen(_ink(QColor.fromRgb(int(self._palette[self.faces()[page]]))))
            text = str(detail.mapcount)
            if self.scale >= 2 * TEXT:
                text = "\n".join([f"{detail.mapcount} ×", *(_short(flag) for flag in detail.flags)])
            painter.drawText(box, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop, text)
        self._paint_slots(painter, place)

    def _paint_slots(self, painter: QPainter, place: Tiles) -> None:
        """What the policy stores in a folio, in the middle of it."""
        for page, detail in self._pages.items():
            folio = self._folios.get(detail.head)
            if folio is None or detail.frame != detail.head or detail.order < 2:
                continue
            box = self._rect(place.box(page, min(1 << detail.order, place.pages - page)))
            lines = [f"{one.name} {one.text}" for one in folio.fields if one.owner == "policy" and one.page > 0]
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

    def _paint_marks(self, painter: QPainter, place: Tiles) -> None:
        """Where the last step acted, the selected page, the keyboard's cursor."""
        painter.setBrush(Qt.BrushStyle.NoBrush)
        first, nr = self.touched
        if 0 <= first < place.pages and nr > 0:
            box = self._rect(place.box(first, min(nr, place.pages - first)))
            painter.setPen(QPen(self._theme.colour("changed"), 1.5, Qt.PenStyle.DashLine))
            painter.drawRect(box.adjusted(-1, -1, 0, 0))
        if 0 <= self.selected < place.pages:
            painter.setPen(QPen(self._theme.colour("accent"), 2.5))
            painter.drawRect(self._rect((*place.of(self.selected), 1, 1)).adjusted(-1, -1, 0, 0))
        if self.hasFocus() and self.page != self.selected and self.page < place.pages:
            painter.setPen(QPen(self._theme.colour("accent"), 1, Qt.PenStyle.DotLine))
            painter.drawRect(self._rect((*place.of(self.page), 1, 1)).adjusted(-1, -1, 0, 0))

    def _paint_caption(self, painter: QPainter) -> None:
        painter.setFont(self.font())
        painter.setPen(self._theme.colour("text" if self.hasFocus() else "quiet"))
        box = QRectF(2, 0, self.width() - 4, CAPTION - 1)
        text = painter.fontMetrics().elidedText(self.caption, Qt.TextElideMode.ElideRight, int(box.width()))
        painter.drawText(box, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, text)

    # -- hand and keyboard -----------------------------------------------------------------------------
    def wheelEvent(self, event: QWheelEvent) -> None:
        """Zoom where the pointer is."""
        turns = event.angleDelta().y() / 120
        if turns > 0 and self.scale >= CLOSEST:
            return
        self._lens.zoom(STEP**turns, self._cell(event.position()))
        event.accept()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Begin to drag, or to click."""
        self._drag, self._moved = event.position(), False

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Drag the map."""
        if self._drag is not None and event.buttons():
            moved = event.position() - self._drag
            if self._moved or moved.manhattanLength() > 4:
                self._moved = True
                self._lens.pan(-moved.x() / self.scale, -moved.y() / self.scale)
                self._drag = event.position()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """A click chooses a page."""
        if not self._moved and (page := self._at(event.position())) >= 0:
            self._choose(page)
        self._drag = None

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Look at the folio; out again where it is close already."""
        page = self._at(event.position())
        if self._tiles is None or page < 0:
            return
        if self.scale >= TEXT:
            self._lens.fit()
            return
        detail = self._pages.get(page)
        nr = 1 << detail.order if detail is not None else 16
        first = page // nr * nr
        self._lens.look(QRectF(*self._tiles.box(first, min(nr, self._tiles.pages - first))))

    def event(self, event: QEvent) -> bool:
        """Resting with the pointer asks what the cell is."""
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            self.hovered.emit(self._at(QPointF(event.pos())), event.globalPos())
            return True
        return super().event(event)

    def leaveEvent(self, event: QEvent) -> None:
        """No tip where the pointer is not."""
        QToolTip.hideText()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Alt and arrows move the cursor, Enter chooses, + and - zoom."""
        key = event.key()
        moves = {
            Qt.Key.Key_Left: (-1, 0), Qt.Key.Key_Right: (1, 0), Qt.Key.Key_Up: (0, -1), Qt.Key.Key_Down: (0, 1),
        }  # fmt: skip
        if self._tiles is None:
            super().keyPressEvent(event)
        elif key in moves and event.modifiers() & Qt.KeyboardModifier.AltModifier:
            self._move(*moves[Qt.Key(key)])
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._choose(self.page)
        elif key in (Qt.Key.Key_Plus, Qt.Key.Key_Equal):
            self._zoom(STEP)
        elif key == Qt.Key.Key_Minus:
            self._zoom(1 / STEP)
        else:
            super().keyPressEvent(event)

    def _move(self, dx: int, dy: int) -> None:
        assert self._tiles is not None
        x, y = self._tiles.of(self.page)
        page = self._tiles.at(x + dx, y + dy)
        if page >= 0:
            self.page = page
            self._lens.show(x + dx, y + dy)
            self.hovered.emit(page, QPoint())
            self.update()

    def _zoom(self, factor: float) -> None:
        assert self._tiles is not None
        if factor < 1 or self.scale < CLOSEST:
            x, y = self._tiles.of(self.page)
            self._lens.zoom(factor, QPointF(x + 0.5, y + 0.5))

    def _choose(self, page: int) -> None:
        self.select(page)
        self.chosen.emit(page)


def _runs(rows: NDArray[np.bool_]) -> list[list[tuple[int, int]]]:
    """Of each row where it is true: (begin, end) of each stretch."""
    found = []
    for row in rows:
        edges = np.flatnonzero(np.diff(np.concatenate(([0], row.astype(np.int8), [0]))))
        found.append([(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)])
    return found


def _same(one: NDArray[np.uint8] | None, other: NDArray[np.uint8] | None) -> bool:
    if one is None or other is None:
        return one is other
    return np.array_equal(one, other)


def _quarter(faces: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The heaviest of each four; those that lack at the end weigh nothing."""
    lacking = -faces.size % 4
    four = np.pad(faces, (0, lacking)) if lacking else faces
    return np.maximum(np.maximum(four[::4], four[1::4]), np.maximum(four[2::4], four[3::4]))


def _ink(ground: QColor) -> QColor:
    return QColor("#101214") if ground.lightnessF() > 0.42 else QColor("#f4f6f8")


def _short(flag: str) -> str:
    """A flag's name as it fits into a cell."""
    return {"anon_exclusive": "AnonExcl", "swapbacked": "swapb.", "swapcache": "swapc."}.get(flag, flag)
