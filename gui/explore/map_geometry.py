"""Where the cells of a map are on its widget, and which of them are visible."""

from __future__ import annotations

from typing import Final

import numpy as np
from PySide6.QtCore import QPointF, QRectF
from PySide6.QtWidgets import QWidget

from foliolab.gui.explore.tiles import Tiles
from foliolab.gui.explore.viewport import Viewport

CAPTION: Final = 17
"""Pixels above the map for its name."""
FOLIOS: Final = 6.0
"""Least pixels of a cell for outlines of folios, and so for details of pages."""


class MapGeometry:
    """The geometry of a map.

    Args:
        widget: on which the map is; its size decides.
        viewport: the visible part of all maps.

    Attributes:
        tiles: where pages are on the map; None before it covers any.
    """

    def __init__(self, widget: QWidget, viewport: Viewport) -> None:
        self._widget = widget
        self._viewport = viewport
        self.tiles: Tiles | None = None

    @property
    def room(self) -> QRectF:
        """The rectangle of the map: as large as possible with square cells."""
        width, height = self._widget.width(), self._widget.height()
        area = QRectF(1, CAPTION, max(width - 2, 1), max(height - CAPTION - 1, 1))
        whole = self._viewport.whole
        scale = min(area.width() / whole.width(), area.height() / whole.height())
        return QRectF(area.left(), area.top(), whole.width() * scale, whole.height() * scale)

    @property
    def scale(self) -> float:
        """Pixels of a cell."""
        return self.room.width() / self._viewport.seen.width()

    def cell_at(self, point: QPointF) -> QPointF:
        """The column and row at a point, with fractions; also of points outside the map."""
        room, seen = self.room, self._viewport.seen
        x = seen.left() + (point.x() - room.left()) / room.width() * seen.width()
        y = seen.top() + (point.y() - room.top()) / room.height() * seen.height()
        return QPointF(x, y)

    def page_at(self, point: QPointF) -> int:
        """The page at a point; -1 if there is none."""
        if self.tiles is None or not self.room.contains(point):
            return -1
        cell = self.cell_at(point)
        return self.tiles.page_at(int(cell.x()), int(cell.y()))

    def rect(self, box: tuple[int, int, int, int]) -> QRectF:
        """The rectangle of cells (x, y, width, height) on the widget."""
        room, seen, scale = self.room, self._viewport.seen, self.scale
        x, y, width, height = box
        return QRectF(
            room.left() + (x - seen.left()) * scale, room.top() + (y - seen.top()) * scale,
            width * scale, height * scale,
        )  # fmt: skip

    def visible(self) -> tuple[int, int, int, int]:
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
        x0, x1, y0, y1 = self.visible()
        if (x1 - x0) * (y1 - y0) > most:
            return []
        seen = np.unique(self.tiles.pages_of_cells[y0:y1, x0:x1])
        return [int(page) for page in seen if page < self.tiles.pages]
