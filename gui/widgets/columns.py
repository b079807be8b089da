"""The columns of a table or tree: the order and the widths that the user chooses by its header, and that are kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from PySide6.QtCore import QObject, QSignalBlocker, Qt, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QHeaderView

from foliolab.framework import intake

if TYPE_CHECKING:
    from foliolab.gui.window.settings import Settings

NARROWEST: Final = 20
WIDEST: Final = 2000
"""A column is NARROWEST to WIDEST pixels wide, also where a file of settings says otherwise."""


class Columns(QObject):
    """The columns of a view. A click on a heading sorts, the next one in the opposite order, a third one no more.

    Args:
        header: the header of the view.
        name: of the view, under which the settings keep what the user chooses.

    Signals:
        sorted: the user has chosen another order; the view sorts its rows.

    Attributes:
        order: the heading that sorts, and whether descending; None: the rows have their own order.
        widths: in pixels, that the user has set, by heading.
    """

    sorted = Signal()

    def __init__(self, header: QHeaderView, name: str) -> None:
        super().__init__(header)
        self.order: tuple[str, bool] | None = None
        self.widths: dict[str, int] = {}
        self._header = header
        self._name = name.replace(" ", "-")
        self._headings: list[str] = []
        self._settings: Settings | None = None
        self._fitting = False
        header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        header.setStretchLastSection(True)
        header.setSectionsClickable(True)
        header.setSortIndicatorShown(True)
        header.setSortIndicatorClearable(True)
        header.sectionResized.connect(self._resized)
        header.sortIndicatorChanged.connect(self._sort_changed)

    def show(self, headings: Sequence[str]) -> None:
        """Take the headings of the columns, and mark the one that sorts."""
        self._headings = list(headings)
        order = Qt.SortOrder.DescendingOrder if self.descending else Qt.SortOrder.AscendingOrder
        with QSignalBlocker(self._header):
            self._header.setSortIndicator(self.at, order)

    def fit(self, others: Callable[[], object] | None = None) -> None:
        """Make the columns as wide as the user has set.

        Args:
            others: makes all columns as wide as usual before; None: those without a width of the user's stay.
        """
        self._fitting = True
        if others is not None:
            others()
        for at, heading in enumerate(self._headings):
            if heading in self.widths:
                self._header.resizeSection(at, self.widths[heading])
        self._fitting = False

    @property
    def at(self) -> int:
        """The column that sorts; -1 if none of those that are shown does."""
        if self.order is None or self.order[0] not in self._headings:
            return -1
        return self._headings.index(self.order[0])

    @property
    def descending(self) -> bool:
        return self.order is not None and self.order[1]

    def remember(self, settings: Settings) -> None:
        """Take the widths and the order that the user has chosen from the settings, and keep there what he chooses."""
        self._settings = settings
        if order := settings.text(f"order/{self._name}"):
            self.order = order[1:], order.startswith("-")
        for text in settings.texts(f"columns/{self._name}"):
            heading, _, width = text.rpartition("=")
            number = intake.number(width)
            if number is not None and NARROWEST <= number <= WIDEST:
                self.widths[heading] = number
        self.show(self._headings)
        self.fit()

    def _sort_changed(self, at: int, order: Qt.SortOrder) -> None:
        """Keep the order that the user has chosen."""
        self.order = (self._headings[at], order == Qt.SortOrder.DescendingOrder) if at >= 0 else None
        if self._settings is not None:
            kept = f"{'-' if self.descending else '+'}{self.order[0]}" if self.order is not None else ""
            self._settings.keep(f"order/{self._name}", kept)
        self.sorted.emit()

    def _resized(self, at: int, before: int, now: int) -> None:
        """Keep a width that the user has set by the mouse; the last column takes what is left."""
        if self._fitting or not self._pressed() or at >= len(self._headings) - 1:
            return
        self.widths[self._headings[at]] = min(max(now, NARROWEST), WIDEST)
        if self._settings is not None:
            kept = [f"{heading}={width}" for heading, width in self.widths.items()]
            self._settings.keep(f"columns/{self._name}", kept)

    def _pressed(self) -> bool:
        return bool(QGuiApplication.mouseButtons() & Qt.MouseButton.LeftButton)
