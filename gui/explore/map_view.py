"""One map: the address space of an MM under one policy, one cell per page."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QEvent, QPoint, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QHelpEvent, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QWheelEvent
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from foliolab.framework.explore.folio_detail import FolioDetail
from foliolab.framework.explore.page_detail import PageDetail
from foliolab.gui.explore.map_geometry import MapGeometry
from foliolab.gui.explore.map_painter import TEXT, MapPainter
from foliolab.gui.explore.tiles import Tiles, arrange
from foliolab.gui.explore.viewport import CLOSEST, Viewport
from foliolab.gui.window.theme import Theme, Themed

ZOOM: Final = 1.25
"""Zoom factor of one step of the mouse wheel."""


class MapView(QWidget, Themed):
    """A map.

    Signals:
        chosen: (page): the user clicked the page, or pressed Enter.
        hovered: (page, pointer on the screen): the pointer rests on the page; page -1: on none.

    Attributes:
        where: the places of its cells.
        painter: what it shows.
    """

    chosen = Signal(int)
    hovered = Signal(int, QPoint)

    def __init__(self, viewport: Viewport, theme: Theme) -> None:
        super().__init__()
        self._viewport = viewport
        self.where = MapGeometry(self, viewport)
        self.painter = MapPainter(self, self.where, theme)
        self._drag: QPointF | None = None
        self._moved = False
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMinimumSize(72, 36)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        viewport.changed.connect(self.update)

    # -- content ---------------------------------------------------------------------------------------
    def cover(self, pages: int, aspect: float) -> Tiles:
        """Begin with an empty map of so many pages, of about this ratio of width to height."""
        tiles = self.where.tiles = arrange(pages, aspect)
        self.painter.cells.cover(pages)
        self.painter.begin()
        self.update()
        return tiles

    def show_cells(self, cells: NDArray[np.uint8], dots: NDArray[np.uint8] | None = None) -> None:
        """Show a copy of a map.

        Args:
            cells: a byte a page (see `framework.explore.cells`), shape (pages,).
            dots: the heaviest style of each four pages, if it is known, shape (pages / 4, rounded up).
        """
        if self.where.tiles is not None and self.painter.cells.show(cells, dots):
            self.update()

    def set_caption(self, caption: str, policy: str) -> None:
        """Set the process that has the map, and the policy."""
        if caption != self.painter.caption:
            self.painter.caption = caption
            self.setAccessibleName(f"Map of {caption} under {policy}")
            self.update()

    def show_details(self, pages: dict[int, PageDetail], folios: dict[int, FolioDetail]) -> None:
        """Show details of visible pages (by number) and folios (by head frame), where cells are large."""
        self.painter.pages, self.painter.folios = pages, folios
        self.update()

    def show_verdicts(self, verdicts: bool) -> None:
        """Choose whether wrong answers of the policy are shown."""
        self.painter.cells.show_verdicts(verdicts)
        self.update()

    def show_part(self, pages: NDArray[np.bool_] | None) -> None:
        """Dim all pages but these, shape (pages,); None: dim none."""
        self.painter.part = None if pages is None else np.append(pages, True)
        self.update()

    def touch(self, first: int, nr: int) -> None:
        """Mark the pages that the last step acted on; (-1, 0): none."""
        self.painter.touched = (first, nr)
        self.update()

    def paint(self, theme: Theme) -> None:
        self.painter.use(theme)
        self.update()

    def select(self, page: int) -> None:
        """Mark a page, or none (-1)."""
        self.painter.selected = page
        if page >= 0:
            self.painter.page = page
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        self.painter.paint(painter)
        painter.end()

    # -- mouse and keyboard ----------------------------------------------------------------------------
    def wheelEvent(self, event: QWheelEvent) -> None:
        turns = event.angleDelta().y() / 120
        if turns > 0 and self.where.scale >= CLOSEST:
            return
        self._viewport.zoom(ZOOM**turns, self.where.cell_at(event.position()))
        event.accept()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self._drag, self._moved = event.position(), False

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._drag is not None and event.buttons():
            moved = event.position() - self._drag
            if self._moved or moved.manhattanLength() > 4:
                self._moved = True
                self._viewport.pan(-moved.x() / self.where.scale, -moved.y() / self.where.scale)
                self._drag = event.position()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if not self._moved and event.button() == Qt.MouseButton.LeftButton:
            self.choose_at(event.position().toPoint())
        self._drag = None

    def choose_at(self, point: QPoint) -> None:
        """Choose the page at a point, if there is one."""
        if (page := self.where.page_at(QPointF(point))) >= 0:
            self._choose(page)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Zoom to the folio; if cells are large already, zoom out to the whole map."""
        page = self.where.page_at(event.position())
        if self.where.tiles is None or page < 0:
            return
        if self.where.scale >= TEXT:
            self._viewport.fit()
            return
        detail = self.painter.pages.get(page)
        nr = 1 << detail.order if detail is not None else 16
        first = page // nr * nr
        self._viewport.look(QRectF(*self.where.tiles.box(first, min(nr, self.where.tiles.pages - first))))

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            self.hovered.emit(self.where.page_at(QPointF(event.pos())), event.globalPos())
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
        if self.where.tiles is None:
            super().keyPressEvent(event)
        elif key in moves and event.modifiers() & Qt.KeyboardModifier.AltModifier:
            self._move(*moves[Qt.Key(key)])
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._choose(self.painter.page)
        elif key in (Qt.Key.Key_Plus, Qt.Key.Key_Equal):
            self._zoom(ZOOM)
        elif key == Qt.Key.Key_Minus:
            self._zoom(1 / ZOOM)
        else:
            super().keyPressEvent(event)

    def _move(self, dx: int, dy: int) -> None:
        assert self.where.tiles is not None
        x, y = self.where.tiles.cell_of(self.painter.page)
        page = self.where.tiles.page_at(x + dx, y + dy)
        if page >= 0:
            self.painter.page = page
            self._viewport.show(x + dx, y + dy)
            self.hovered.emit(page, QPoint())
            self.update()

    def _zoom(self, factor: float) -> None:
        assert self.where.tiles is not None
        if factor < 1 or self.where.scale < CLOSEST:
            x, y = self.where.tiles.cell_of(self.painter.page)
            self._viewport.zoom(factor, QPointF(x + 0.5, y + 0.5))

    def _choose(self, page: int) -> None:
        self.select(page)
        self.chosen.emit(page)
