"""Where each page lies on a map: tiles of 2 MiB, each in Morton order, so that every folio is a rectangle."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import ceil, sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

TILE_PAGES: Final = 512
"""Pages of a PMD: 2 MiB."""


@dataclass(frozen=True)
class Tiles:
    """The places of the pages of a map.

    Args:
        pages: how many there are.
        columns: tiles beside each other.
        bits: log2 of the pages of a tile.

    Attributes:
        place: the page of each cell, shape (height, width), int64; `pages` where there is none.
        cell: the cell of each page as y * width + x, shape (pages,).
    """

    pages: int
    columns: int
    bits: int
    place: NDArray[np.int64]
    cell: NDArray[np.int64]

    @property
    def width(self) -> int:
        """Cells of a row."""
        return int(self.place.shape[1])

    @property
    def height(self) -> int:
        """Rows of cells."""
        return int(self.place.shape[0])

    @property
    def tile(self) -> tuple[int, int]:
        """Width and height of a tile in cells."""
        return 1 << (self.bits + 1) // 2, 1 << self.bits // 2

    @cached_property
    def halves(self) -> tuple[NDArray[np.intp], ...]:
        """`place` of maps of half the width and height, a quarter, …: which four, sixteen, … pages each dot is.

        In Morton order the four cells of a dot are four pages in a row; where there is none: as many as there are.
        """
        found = []
        for level in range(1, self.bits // 2 + 1):
            corner = self.place[:: 1 << level, :: 1 << level]
            nr = -(-self.pages // (1 << 2 * level))
            found.append(np.where(corner < self.pages, corner >> 2 * level, nr).astype(np.intp))
        return tuple(found)

    def at(self, x: int, y: int) -> int:
        """The page at a cell; -1 where there is none."""
        if not (0 <= x < self.width and 0 <= y < self.height):
            return -1
        page = int(self.place[y, x])
        return page if page < self.pages else -1

    def of(self, page: int) -> tuple[int, int]:
        """The cell (x, y) of a page."""
        y, x = divmod(int(self.cell[page]), self.width)
        return x, y

    def box(self, first: int, nr: int) -> tuple[int, int, int, int]:
        """The smallest rectangle (x, y, width, height) around pages first…first+nr-1."""
        rows, columns = np.divmod(self.cell[max(first, 0) : first + nr], self.width)
        x, y = int(columns.min()), int(rows.min())
        return x, y, int(columns.max()) - x + 1, int(rows.max()) - y + 1


def morton(bits: int) -> NDArray[np.int64]:
    """For each number of so many bits its cell: even bits are x, odd ones y; shape (2^bits, 2) of (x, y)."""
    numbers = np.arange(1 << bits)
    cells = np.zeros((1 << bits, 2), np.int64)
    for bit in range(bits):
        cells[:, bit % 2] |= (numbers >> bit & 1) << bit // 2
    return cells


@lru_cache(maxsize=32)
def tiles(pages: int, aspect: float) -> Tiles:
    """The places of so many pages.

    Args:
        pages: at least 1.
        aspect: width by height that the map should have, about.
    """
    bits = min(max(pages - 1, 0).bit_length(), TILE_PAGES.bit_length() - 1)
    wide, high = 1 << (bits + 1) // 2, 1 << bits // 2
    nr = -(-pages // (1 << bits))
    columns = min(max(round(sqrt(nr * aspect * high / wide)), 1), nr)
    rows = ceil(nr / columns)
    numbers = np.arange(pages)
    inside = morton(bits)[numbers & (1 << bits) - 1]
    tile_y, tile_x = np.divmod(numbers >> bits, columns)
    x = tile_x * wide + inside[:, 0]
    y = tile_y * high + inside[:, 1]
    place = np.full((rows * high, columns * wide), pages, np.int64)
    place[y, x] = numbers
    return Tiles(pages, columns, bits, place, y * (columns * wide) + x)
