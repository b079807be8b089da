"""The maps of a session: a row per policy and a column per MM, or the maps of one policy."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPoint, QPointF, QRectF, QSignalBlocker, Signal
from PySide6.QtWidgets import QGridLayout, QTabBar, QWidget

from foliolab.framework.explore.view import View
from foliolab.gui.explore.cell_styles import styles_of_bits
from foliolab.gui.explore.legend import Legend
from foliolab.gui.explore.map_view import MapView
from foliolab.gui.explore.tiles import Tiles
from foliolab.gui.explore.viewport import Viewport
from foliolab.gui.window.building import column, label, named
from foliolab.gui.window.theme import Theme, Themed

ALL: Final = -1
MOST_MAPS: Final = 16
"""With more maps than these, only those of the first policy are shown at first."""


class MapGrid(QWidget, Themed):
    """The maps of a session.

    Signals:
        wanted: (list of (lane, map), weight of each byte): the views need other maps, or other weights.
        chosen: (lane, map, page): the user clicked a page.
        hovered: (lane, map, page, pointer on the screen): the pointer rests on a page; page -1: on none.

    Attributes:
        maps: the views that are shown, by (lane, map).
        viewport: the visible part of all maps.
    """

    wanted = Signal(object, object)
    chosen = Signal(int, int, int)
    hovered = Signal(int, int, int, QPoint)

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.setObjectName("explore.maps")
        self.setAccessibleName("Memory maps")
        self._theme = theme
        self._names: list[str] = []
        self._mms = 0
        self._pages = 1
        self._verdicts = True
        self._part: dict[int, NDArray[np.bool_]] | None = None
        self.viewport = Viewport()
        self.maps: dict[tuple[int, int], MapView] = {}
        self.tabs = named(QTabBar(), "Policy whose maps are shown")
        self.tabs.setDrawBase(False)
        self.tabs.currentChanged.connect(self._arrange)
        self.legend = Legend(theme)
        self._area = QWidget()
        self._layout = column(self.tabs, (self._area, 1), self.legend, of=self, margins=(6, 2, 6, 2), spacing=3)

    # -- a session -------------------------------------------------------------------------------------
    def begin(self, policies: Sequence[str], mms: int, pages: int) -> None:
        """Show the maps of a new session."""
        self._names, self._mms, self._pages, self._part = list(policies), mms, pages, None
        with QSignalBlocker(self.tabs):
            while self.tabs.count():
                self.tabs.removeTab(0)
            for text in ("All, side by side", *policies):
                self.tabs.addTab(text)
            self.tabs.setCurrentIndex(0 if len(policies) * mms <= MOST_MAPS else 1)
        self._arrange()

    @property
    def lane(self) -> int:
        """The lane whose maps are shown, or ALL."""
        return self.tabs.currentIndex() - 1

    def show_view(self, view: View) -> None:
        """Show the maps of a view."""
        for (lane, mm), map_view in self.maps.items():
            cells = view.maps.get((lane, mm))
            if cells is not None:
                name = view.lanes[lane].names[mm] if mm < len(view.lanes[lane].names) else ""
                map_view.set_caption(name or f"map {mm + 1}: no MM", view.lanes[lane].name)
                map_view.show_cells(cells, view.dots.get((lane, mm)))

    def touch(self, mm: int, first: int, nr: int) -> None:
        """Mark the pages that the last step acted on."""
        for (_, other), map_view in self.maps.items():
            map_view.touch(*((first, nr) if other == mm else (-1, 0)))

    def show_part(self, pages: dict[int, NDArray[np.bool_]] | None) -> None:
        """Dim the pages that the shown part of the run does not act on.

        Args:
            pages: the others, by map; None dims nothing: the whole run is shown, or they are not known.
        """
        self._part = pages
        for (_, mm), map_view in self.maps.items():
            map_view.show_part(self._of_part(mm))

    def _of_part(self, mm: int) -> NDArray[np.bool_] | None:
        return None if self._part is None else self._part.get(mm, np.zeros(self._pages, np.bool_))

    def select(self, lane: int, mm: int, page: int) -> None:
        """Mark a page on one map only."""
        for key, map_view in self.maps.items():
            map_view.select(page if key == (lane, mm) else -1)

    def choose_at(self, point: QPoint) -> None:
        """Choose the page at a point, as a click there does."""
        found = self.childAt(point)
        if isinstance(found, MapView):
            found.choose_at(found.mapFrom(self, point))

    def show_verdicts(self, verdicts: bool) -> None:
        """Choose whether wrong answers of policies are shown; otherwise only the truth is."""
        self._verdicts = verdicts
        for map_view in self.maps.values():
            map_view.show_verdicts(verdicts)
        self.legend.show_verdicts(verdicts)
        self.wanted.emit(list(self.maps), styles_of_bits(verdicts))

    def zoom_to_used(self, used: int) -> None:
        """Zoom to pages 0…used-1, if they are at most a quarter of the map."""
        tiles = self._tiles()
        if tiles is not None and 0 < 4 * used <= tiles.pages:
            self.viewport.look(QRectF(*tiles.box(0, used)), 0.15)

    def look(self, first: int, nr: int) -> None:
        tiles = self._tiles()
        if tiles is not None and 0 <= first < tiles.pages:
            self.viewport.look(QRectF(*tiles.box(first, min(nr, tiles.pages - first))))

    def seen(self) -> tuple[int, float]:
        """The page in the middle of what is visible (-1: none), and how much larger cells are than on the whole map."""
        tiles, seen = self._tiles(), self.viewport.seen
        middle = seen.center()
        page = tiles.page_at(int(middle.x()), int(middle.y())) if tiles is not None else -1
        return page, self.viewport.whole.width() / seen.width()

    def see(self, page: int, zoom: float) -> None:
        """Show cells so much larger than on the whole map, with a page in the middle."""
        tiles = self._tiles()
        self.viewport.fit()
        if tiles is not None and 0 <= page < tiles.pages and zoom > 1:
            x, y = tiles.cell_of(page)
            middle = QPointF(x + 0.5, y + 0.5)
            self.viewport.zoom(zoom, middle)
            moved = middle - self.viewport.seen.center()
            self.viewport.pan(moved.x(), moved.y())

    def paint(self, theme: Theme) -> None:
        self._theme = theme

    def _tiles(self) -> Tiles | None:
        """Where pages are on the maps; the same for all maps."""
        map_view = next(iter(self.maps.values()), None)
        return map_view.where.tiles if map_view is not None else None

    # -- arrangement -----------------------------------------------------------------------------------
    def _arrange(self) -> None:
        """Replace the views by those of the chosen policy, or of all."""
        self._empty()
        grid = QGridLayout(self._area)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(4)
        lanes = range(len(self._names)) if self.lane == ALL else [self.lane]
        columns = self._mms if len(lanes) > 1 else self._columns()
        width, height = max(self._area.width(), 200), max(self._area.height(), 150)
        rows = len(lanes) if len(lanes) > 1 else -(-self._mms // columns)
        aspect = width / columns / max(height / max(rows, 1) - 17, 20)
        for row, lane in enumerate(lanes):
            if len(lanes) > 1:
                grid.addWidget(label(self._names[lane], "heading"), 2 * row, 0, 1, columns)
            for mm in range(self._mms):
                position = (2 * row + 1, mm) if len(lanes) > 1 else divmod(mm, columns)
                grid.addWidget(self._make_view(lane, mm, aspect), *position)
                grid.setRowStretch(position[0], 1)
                grid.setColumnStretch(position[1], 1)
        self.wanted.emit(list(self.maps), styles_of_bits(self._verdicts))

    def _columns(self) -> int:
        """Number of columns for the maps of one policy: the maps become about as wide as high."""
        aspect = max(self._area.width(), 1) / max(self._area.height(), 1)
        return min(self._mms, max(1, round(sqrt(self._mms * aspect))))

    def _make_view(self, lane: int, mm: int, aspect: float) -> MapView:
        map_view = MapView(self.viewport, self._theme)
        tiles = map_view.cover(self._pages, round(aspect, 1))
        map_view.show_verdicts(self._verdicts)
        map_view.show_part(self._of_part(mm))
        map_view.chosen.connect(self._chosen)
        map_view.hovered.connect(self._hovered)
        if not self.maps:
            self.viewport.cover(tiles.width, tiles.height)
        self.maps[lane, mm] = map_view
        return map_view

    def _empty(self) -> None:
        self.maps = {}
        old = self._area
        self._area = QWidget()
        self._layout.replaceWidget(old, self._area)
        self._layout.setStretchFactor(self._area, 1)
        self._area.resize(old.size())
        self._area.setSizePolicy(self.sizePolicy())
        old.hide()
        old.setParent(None)
        old.deleteLater()

    def _key(self) -> tuple[int, int]:
        sender = self.sender()
        return next((key for key, map_view in self.maps.items() if map_view is sender), (-1, -1))

    def _chosen(self, page: int) -> None:
        lane, mm = self._key()
        self.select(lane, mm, page)
        self.chosen.emit(lane, mm, page)

    def _hovered(self, page: int, pointer: QPoint) -> None:
        self.hovered.emit(*self._key(), page, pointer)
