"""All maps: a row a policy and a column an MM, or one policy's alone, under one lens."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Final

from PySide6.QtCore import QPoint, QRectF, Signal
from PySide6.QtWidgets import QGridLayout, QLabel, QTabBar, QVBoxLayout, QWidget

from foliolab.framework.explore.view import View
from foliolab.gui.explore.faces import faces_of_bits
from foliolab.gui.explore.legend import Legend
from foliolab.gui.explore.lens import Lens
from foliolab.gui.explore.mapview import MapView
from foliolab.gui.window.theme import Theme

ALL: Final = -1
MOST_MAPS: Final = 16
"""Side by side; beyond, one policy is shown at first."""


class MapGrid(QWidget):
    """The maps of a session.

    Signals:
        wanted: other maps are to be painted, or others stand out: a list of (lane, map), the face of each byte.
        chosen: (lane, map, page): somebody clicked a page.
        hovered: (lane, map, page, place on the screen).
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
        self.lens = Lens()
        self.maps: dict[tuple[int, int], MapView] = {}
        self.tabs = QTabBar()
        self.tabs.setAccessibleName("Whose maps")
        self.tabs.setDrawBase(False)
        self.tabs.currentChanged.connect(self._arrange)
        self.legend = Legend(theme)
        self._area = QWidget()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 2, 6, 2)
        layout.setSpacing(3)
        layout.addWidget(self.tabs)
        layout.addWidget(self._area, 1)
        layout.addWidget(self.legend)

    # -- a session -------------------------------------------------------------------------------------
    def begin(self, policies: Sequence[str], mms: int, pages: int) -> None:
        """Show the maps of a new session."""
        self._names, self._mms, self._pages = list(policies), mms, pages
        self.tabs.blockSignals(True)
        while self.tabs.count():
            self.tabs.removeTab(0)
        self.tabs.addTab("All, side by side")
        for name in policies:
            self.tabs.addTab(name)
        self.tabs.setCurrentIndex(0 if len(policies) * mms <= MOST_MAPS else 1)
        self.tabs.blockSignals(False)
        self._arrange()

    @property
    def lane(self) -> int:
        """Whose maps are shown; ALL."""
        return self.tabs.currentIndex() - 1

    def show_lane(self, lane: int) -> None:
        """Show one policy's maps, or ALL."""
        if 0 <= lane + 1 < self.tabs.count():
            self.tabs.setCurrentIndex(lane + 1)

    def show_view(self, view: View) -> None:
        """Show what the session is now."""
        for (lane, mm), one in self.maps.items():
            cells = view.maps.get((lane, mm))
            if cells is not None:
                name = view.lanes[lane].names[mm] if mm < len(view.lanes[lane].names) else ""
                one.call(name or f"map {mm + 1}: nobody", view.lanes[lane].name)
                one.show_cells(cells, view.dots.get((lane, mm)))

    def touch(self, mm: int, first: int, nr: int) -> None:
        """Mark where the last step acted."""
        for (_, other), one in self.maps.items():
            one.touched = (first, nr) if other == mm else (-1, 0)
            one.update()

    def select(self, lane: int, mm: int, page: int) -> None:
        """Mark a page; the same one on the other maps is not marked."""
        for key, one in self.maps.items():
            one.select(page if key == (lane, mm) else -1)

    def judge(self, verdicts: bool) -> None:
        """Whether wrong answers are seen, or the truth alone."""
        self._verdicts = verdicts
        for one in self.maps.values():
            one.judge(verdicts)
        self.legend.judge(verdicts)
        self.wanted.emit(list(self.maps), faces_of_bits(verdicts))

    def begin_close(self, used: int) -> None:
        """Where little of a large map is used: see that part at first."""
        one = next(iter(self.maps.values()), None)
        place = one.cover_of() if one is not None else None
        if place is not None and 0 < 4 * used <= place.pages:
            self.lens.look(QRectF(*place.box(0, used)), 0.15)

    def look(self, first: int, nr: int) -> None:
        """Zoom to pages."""
        one = next(iter(self.maps.values()), None)
        place = one.cover_of() if one is not None else None
        if place is not None and 0 <= first < place.pages:
            self.lens.look(QRectF(*place.box(first, min(nr, place.pages - first))))

    def paint(self, theme: Theme) -> None:
        """Another theme."""
        self._theme = theme
        self.legend.paint(theme)
        for one in self.maps.values():
            one.paint(theme)

    # -- places ----------------------------------------------------------------------------------------
    def _arrange(self) -> None:
        """Make the maps that are to be seen."""
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
                grid.addWidget(self._heading(lane), 2 * row, 0, 1, columns)
            for mm in range(self._mms):
                one = self._made(lane, mm, aspect)
                place = (2 * row + 1, mm) if len(lanes) > 1 else divmod(mm, columns)
                grid.addWidget(one, *place)
                grid.setRowStretch(place[0], 1)
                grid.setColumnStretch(place[1], 1)
        self.wanted.emit(list(self.maps), faces_of_bits(self._verdicts))

    def _columns(self) -> int:
        """Columns of one policy's maps: as square as the area."""
        wide = max(self._area.width(), 1) / max(self._area.height(), 1)
        return min(self._mms, max(1, round(sqrt(self._mms * wide))))

    def _heading(self, lane: int) -> QLabel:
        label = QLabel(self._names[lane])
        label.setProperty("role", "heading")
        return label

    def _made(self, lane: int, mm: int, aspect: float) -> MapView:
        one = MapView(self.lens, self._theme)
        place = one.cover(self._pages, round(aspect, 1))
        one.judge(self._verdicts)
        one.chosen.connect(self._chosen)
        one.hovered.connect(self._hovered)
        if not self.maps:
            self.lens.cover(place.width, place.height)
        self.maps[lane, mm] = one
        return one

    def _empty(self) -> None:
        self.maps = {}
        old = self._area
        self._area = QWidget()
        self.layout().replaceWidget(old, self._area)  # type: ignore[union-attr]
        self._area.resize(old.size())
        self._area.setSizePolicy(self.sizePolicy())
        old.hide()
        old.setParent(None)
        old.deleteLater()
        box = self.layout()
        if isinstance(box, QVBoxLayout):
            box.setStretchFactor(self._area, 1)

    def _key(self) -> tuple[int, int]:
        sender = self.sender()
        return next((key for key, one in self.maps.items() if one is sender), (-1, -1))

    def _chosen(self, page: int) -> None:
        lane, mm = self._key()
        self.select(lane, mm, page)
        self.chosen.emit(lane, mm, page)

    def _hovered(self, page: int, place: QPoint) -> None:
        self.hovered.emit(*self._key(), page, place)
