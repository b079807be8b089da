"""What is seen closely, and where the pointer rests: asked of the session, shown on the maps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from PySide6.QtCore import QObject, QPoint
from PySide6.QtWidgets import QStatusBar, QToolTip

from foliolab.gui.explore.facts import InSight, Key, Told
from foliolab.gui.explore.mapgrid import MapGrid
from foliolab.gui.explore.mapview import TEXT

if TYPE_CHECKING:
    from foliolab.framework.explore.folio_detail import FolioDetail
    from foliolab.framework.explore.page_detail import PageDetail
    from foliolab.gui.explore.running import Run

MOST: Final = 1500
"""Pages of which more is asked, on all maps together."""
STAYS: Final = 10_000
"""Milliseconds that the sentence about a cell stays in the status bar."""


class Sight(QObject):
    """Keeps what is drawn closely up to date.

    Attributes:
        run: that is watched; None without one.
    """

    def __init__(self, maps: MapGrid, bar: QStatusBar) -> None:
        super().__init__(maps)
        self._maps = maps
        self._bar = bar
        self._known: object = None
        self._place = QPoint()
        self.run: Run | None = None
        maps.hovered.connect(self._hover)

    def closely(self) -> None:
        """Ask for what is seen closely, where that is not known yet."""
        run = self.run
        if run is None or run.view is None:
            return
        maps = self._maps.maps
        each = MOST // max(len(maps), 1)
        wanted = {key: pages for key, one in maps.items() if (pages := one.in_sight(each))}
        close = bool(wanted) and next(iter(maps.values())).scale >= TEXT
        sight = (run.view.position, close, {key: (pages[0], len(pages)) for key, pages in wanted.items()})
        if not wanted or sight == self._known or run.questions.is_open("sight"):
            return
        self._known = sight
        run.questions.ask("sight", run.worker, InSight(wanted, close), self._seen)

    def _seen(self, found: dict[Key, tuple[dict[int, PageDetail], dict[int, FolioDetail]]]) -> None:
        for key, (pages, folios) in found.items():
            if key in self._maps.maps:
                self._maps.maps[key].show_details(pages, folios)

    def _hover(self, lane: int, mm: int, page: int, place: QPoint) -> None:
        """Say what a cell is."""
        if self.run is None or page < 0:
            QToolTip.hideText()
            return
        self._place = place
        self.run.questions.ask("hover", self.run.worker, Told(lane, mm, page), self._tip)

    def _tip(self, text: str) -> None:
        self._bar.showMessage(text, STAYS)
        if not self._place.isNull():
            QToolTip.showText(self._place, text)
