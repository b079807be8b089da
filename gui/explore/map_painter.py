"""Paints a map: cells as one image of the visible part, then lines, hatches, texts and marks.

A repaint must not take longer than a frame, with up to 64 maps of 262,144 pages. So the cells are painted as one image
of the visible part, made by numpy lookups; and where cells are smaller than a pixel, each dot stands for 4, 16, 64, …
cells, and shows the heaviest of their styles. Lines, hatches and text are drawn only where cells are large.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QBrush, QColor, QFont, QImage, QPainter, QPen
from PySide6.QtWidgets import QWidget

from foliolab.framework.explore.folio_detail import FolioDetail
from foliolab.framework.explore.page_detail import PageDetail
from foliolab.gui.explore.cell_styles import STYLES, palette32
from foliolab.gui.explore.map_cells import MapCells
from foliolab.gui.explore.map_geometry import CAPTION, FOLIOS, MapGeometry
from foliolab.gui.explore.tiles import Tiles
from foliolab.gui.window.theme import Theme

TILES: Final = 1.5
TEXT: Final = 18.0
"""Least pixels of a cell for lines between tiles of 2 MiB; for text in cells."""
DIMMED: Final = 190
"""How opaque the veil over pages is that the shown part of the run does not act on, of 255."""
DOT: Final = 0.75
"""Least pixels of a dot."""


class MapPainter:
    """What a map shows, and how it is painted.

    Args:
        widget: whose font and focus decide.
        geometry: where the cells are.
        theme: the colours.

    Attributes:
        cells: the styles of the pages.
        pages, folios: details of visible pages (by number) and folios (by head frame), where cells are large.
        part: the pages that are not dimmed, and True for cells outside the map, shape (pages + 1,); None: dim none.
        caption: the process that has the map.
        page: the page of the keyboard's cursor.
        selected: the marked page; -1: none.
        touched: first page, and number of pages, that the last step acted on; (-1, 0): none.
    """

    def __init__(self, widget: QWidget, geometry: MapGeometry, theme: Theme) -> None:
        self._widget = widget
        self._geometry = geometry
        self._buffer = np.zeros((0, 0), np.uint32)
        self.cells = MapCells()
        self.pages: dict[int, PageDetail] = {}
        self.folios: dict[int, FolioDetail] = {}
        self.part: NDArray[np.bool_] | None = None
        self.caption = ""
        self.begin()
        self.use(theme)

    def begin(self) -> None:
        """Begin with another map: without details and marks."""
        self.page, self.selected, self.touched = 0, -1, (-1, 0)
        self.pages, self.folios = {}, {}

    def use(self, theme: Theme) -> None:
        """Use the colours of a theme."""
        self._theme = theme
        self._palette = palette32(theme)

    def paint(self, painter: QPainter) -> None:
        """Paint all."""
        painter.fillRect(self._widget.rect(), self._theme.colour("window"))
        tiles, scale = self._geometry.tiles, self._geometry.scale
        if tiles is not None:
            painter.save()
            painter.setClipRect(self._geometry.room)
            self._paint_cells(painter, tiles)
            if self.part is not None:
                self._paint_part(painter, tiles, self.part)
            if scale >= TILES:
                self._paint_tiles(painter, tiles)
            if scale >= FOLIOS:
                self._paint_hatches(painter, tiles)
                self._paint_folios(painter, tiles)
            if scale >= TEXT:
                self._paint_texts(painter, tiles)
            self._paint_marks(painter, tiles)
            painter.restore()
        self._paint_caption(painter)

    def _paint_cells(self, painter: QPainter, tiles: Tiles) -> None:
        """Paint the visible cells; if they are smaller than a pixel, dots that stand for several cells."""
        x0, x1, y0, y1 = self._geometry.visible()
        if x1 <= x0 or y1 <= y0:
            return
        level = 0
        while self._geometry.scale * (1 << level) < DOT and level < len(tiles.shrunk):
            level += 1
        step = 1 << level
        # whole dots, although the first and last one may be visible only in part
        x0, y0, x1, y1 = x0 // step, y0 // step, -(-x1 // step), -(-y1 // step)
        where = tiles.shrunk[level - 1] if level else tiles.pages_of_cells
        styles = np.take(self.cells.shrunk(level) if level else self.cells.styles, where[y0:y1, x0:x1])
        if self._buffer.shape != styles.shape:
            self._buffer = np.empty(styles.shape, np.uint32)
        np.take(self._palette, styles, out=self._buffer, mode="clip")
        high, wide = styles.shape
        image = QImage(self._buffer.data, wide, high, 4 * wide, QImage.Format.Format_RGB32)
        box = self._geometry.rect((x0 * step, y0 * step, wide * step, high * step))
        painter.drawImage(box, image, QRectF(0, 0, wide, high))

    def _paint_part(self, painter: QPainter, tiles: Tiles, pages: NDArray[np.bool_]) -> None:
        """Dim the visible cells of all pages but these."""
        x0, x1, y0, y1 = self._geometry.visible()
        if x1 <= x0 or y1 <= y0:
            return
        veil = self._theme.colour("window")
        veil.setAlpha(DIMMED)
        shades = np.array([QColor(veil).rgba(), 0], np.uint32)
        cells = shades[np.take(pages, tiles.pages_of_cells[y0:y1, x0:x1], mode="clip").astype(np.intp)]
        high, wide = cells.shape
        image = QImage(cells.tobytes(), wide, high, 4 * wide, QImage.Format.Format_ARGB32)
        painter.drawImage(self._geometry.rect((x0, y0, wide, high)), image, QRectF(0, 0, wide, high))

    def _paint_tiles(self, painter: QPainter, tiles: Tiles) -> None:
        pen = QPen(self._theme.colour("window"), 1)
        painter.setPen(pen)
        wide, high = tiles.tile
        x0, x1, y0, y1 = self._geometry.visible()
        for x in range(-(-x0 // wide) * wide, x1 + 1, wide):
            line = self._geometry.rect((x, y0, 0, y1 - y0))
            painter.drawLine(line.topLeft(), line.bottomLeft())
        for y in range(-(-y0 // high) * high, y1 + 1, high):
            line = self._geometry.rect((x0, y, x1 - x0, 0))
            painter.drawLine(line.topLeft(), line.topRight())

    def _paint_hatches(self, painter: QPainter, tiles: Tiles) -> None:
        """Paint hatches, so that color is not the only difference between styles."""
        x0, x1, y0, y1 = self._geometry.visible()
        pages = tiles.pages_of_cells[y0:y1, x0:x1]
        styles = self.cells.styles[pages]
        painter.setPen(Qt.PenStyle.NoPen)
        ink = QColor(self._theme.colour("window"))
        ink.setAlpha(150)
        for number in np.unique(styles):
            if number == 0 or STYLES[number - 1].hatch == Qt.BrushStyle.NoBrush:
                continue
            painter.setBrush(QBrush(ink, STYLES[number - 1].hatch))
            for y, runs in enumerate(_runs(styles == number), y0):
                for begin, end in runs:
                    painter.drawRect(self._geometry.rect((x0 + begin, y, end - begin, 1)))

    def _paint_folios(self, painter: QPainter, tiles: Tiles) -> None:
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(self._theme.colour("text"), 1))
        drawn = set()
        for page, detail in self.pages.items():
            if detail.head < 0:
                continue
            first = page - (detail.frame - detail.head)
            if (first, detail.head) not in drawn:
                drawn.add((first, detail.head))
                begin, nr = max(first, 0), min(1 << detail.order, tiles.pages - max(first, 0))
                painter.drawRect(self._geometry.rect(tiles.box(begin, nr)).adjusted(0.5, 0.5, -1.5, -1.5))

    def _paint_texts(self, painter: QPainter, tiles: Tiles) -> None:
        font = QFont(self._widget.font())
        font.setPixelSize(int(min(max(self._geometry.scale / 4.2, 8), 15)))
        painter.setFont(font)
        for page, detail in self.pages.items():
            if detail.frame < 0:
                continue
            box = self._geometry.rect((*tiles.cell_of(page), 1, 1)).adjusted(3, 2, -3, -2)
            painter.setPen(_ink(QColor.fromRgb(int(self._palette[self.cells.styles[page]]))))
            text = str(detail.mapcount)
            if self._geometry.scale >= 2 * TEXT:
                text = "\n".join([f"{detail.mapcount} ×", *(_short(flag) for flag in detail.flags)])
            painter.drawText(box, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop, text)
        self._paint_fields(painter, tiles)

    def _paint_fields(self, painter: QPainter, tiles: Tiles) -> None:
        """Write the policy's fields into the center of each folio."""
        for page, detail in self.pages.items():
            folio = self.folios.get(detail.head)
            if folio is None or detail.frame != detail.head or detail.order < 2:
                continue
            box = self._geometry.rect(tiles.box(page, min(1 << detail.order, tiles.pages - page)))
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
            box = self._geometry.rect(tiles.box(first, min(nr, tiles.pages - first)))
            painter.setPen(QPen(self._theme.colour("changed"), 1.5, Qt.PenStyle.DashLine))
            painter.drawRect(box.adjusted(-1, -1, 0, 0))
        if 0 <= self.selected < tiles.pages:
            painter.setPen(QPen(self._theme.colour("accent"), 2.5))
            painter.drawRect(self._geometry.rect((*tiles.cell_of(self.selected), 1, 1)).adjusted(-1, -1, 0, 0))
        if self._widget.hasFocus() and self.page != self.selected and self.page < tiles.pages:
            painter.setPen(QPen(self._theme.colour("accent"), 1, Qt.PenStyle.DotLine))
            painter.drawRect(self._geometry.rect((*tiles.cell_of(self.page), 1, 1)).adjusted(-1, -1, 0, 0))

    def _paint_caption(self, painter: QPainter) -> None:
        painter.setFont(self._widget.font())
        painter.setPen(self._theme.colour("text" if self._widget.hasFocus() else "quiet"))
        box = QRectF(2, 0, self._widget.width() - 4, CAPTION - 1)
        text = painter.fontMetrics().elidedText(self.caption, Qt.TextElideMode.ElideRight, int(box.width()))
        painter.drawText(box, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, text)


def _runs(rows: NDArray[np.bool_]) -> list[list[tuple[int, int]]]:
    """For each row the runs of True, as (begin, end)."""
    found = []
    for row in rows:
        edges = np.flatnonzero(np.diff(np.concatenate(([0], row.astype(np.int8), [0]))))
        found.append([(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)])
    return found


def _ink(ground: QColor) -> QColor:
    return QColor("#101214") if ground.lightnessF() > 0.42 else QColor("#f4f6f8")


def _short(flag: str) -> str:
    """The name of a flag, abbreviated to fit into a cell."""
    return {"anon_exclusive": "AnonExcl", "swapbacked": "swapb.", "swapcache": "swapc."}.get(flag, flag)
