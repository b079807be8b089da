"""The cells of a map: the style of each page, and of dots that stand for 4, 16, 64, … pages."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foliolab.gui.explore.cell_styles import NOTHING, styles_of_bits


class MapCells:
    """The cells of a map; at first of none."""

    def __init__(self) -> None:
        self._pages = 0
        self._cells: NDArray[np.uint8] | None = None
        self._dots: NDArray[np.uint8] | None = None
        self._stale = False
        self._of_bits = styles_of_bits(True)
        self._styles = np.zeros(0, np.uint8)

    def cover(self, pages: int) -> None:
        """Begin with so many pages that have nothing."""
        self._pages = pages
        self._cells, self._dots = None, None
        self._styles = np.full(pages + 1, NOTHING + 1, np.uint8)
        self._styles[pages] = 0

    def show(self, cells: NDArray[np.uint8], dots: NDArray[np.uint8] | None) -> bool:
        """Take a copy of a map (see `MapView.show_cells`); return whether it differs from the one before."""
        if _same(self._cells, cells) and _same(self._dots, dots):
            return False  # most steps change only one or two maps
        self._cells = cells.copy()
        self._dots = None if dots is None else dots.copy()
        self._stale = True
        return True

    def show_verdicts(self, verdicts: bool) -> None:
        """Choose whether wrong answers of the policy have styles of their own."""
        self._of_bits = styles_of_bits(verdicts)
        self._dots, self._stale = None, True  # the dots have the previous styles

    @property
    def styles(self) -> NDArray[np.uint8]:
        """The style of each page, plus one element for cells outside the map."""
        if self._stale and self._cells is not None:
            np.take(self._of_bits, self._cells, out=self._styles[: self._cells.size], mode="clip")
            self._stale = False
        return self._styles

    def shrunk(self, level: int) -> NDArray[np.uint8]:
        """The heaviest style of each 4 ** level pages, plus one element for cells outside the map."""
        dots = self._dots
        if dots is None:
            dots = _quarter(self.styles[: self._pages])
        for _ in range(level - 1):
            dots = _quarter(dots)
        return np.append(dots, np.uint8(0))


def _same(one: NDArray[np.uint8] | None, other: NDArray[np.uint8] | None) -> bool:
    if one is None or other is None:
        return one is other
    return np.array_equal(one, other)


def _quarter(styles: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The heaviest style of each four pages; missing pages at the end weigh nothing."""
    missing = -styles.size % 4
    four = np.pad(styles, (0, missing)) if missing else styles
    return np.maximum(np.maximum(four[::4], four[1::4]), np.maximum(four[2::4], four[3::4]))
