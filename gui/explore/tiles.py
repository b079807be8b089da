"""Where each page lies on a map.

A map consists of tiles of 2 MiB, row by row. Within a tile, pages are in Morton order (Z-order): every naturally
aligned range of 2^n pages is a rectangle, and so is every folio.
"""

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
    """The positions of the pages of a map.

    Args:
        pages: number of pages.
        bits: log2 of the pages of a tile.
        pages_of_cells: the page at each cell, int64, shape (height, width); `pages` where there is none.
        cells_of_pages: the cell of each page as y * width + x, shape (pages,).
    """

    pages: int
    bits: int
    pages_of_cells: NDArray[np.int64]
    cells_of_pages: NDArray[np.int64]

    @property
    def width(self) -> int:
        """Cells in a row."""
        return int(self.pages_of_cells.shape[1])

    @property
    def height(self) -> int:
        """Rows of cells."""
        return int(self.pages_of_cells.shape[0])

    @property
    def tile(self) -> tuple[int, int]:
        """Width and height of a tile, in cells."""
        return 1 << (self.bits + 1) // 2, 1 << self.bits // 2

    @cached_property
    def shrunk(self) -> tuple[NDArray[np.intp], ...]:
        """`pages_of_cells` for maps that are 2, 4, 8, … times smaller in each direction.

        In Morton order, the 4, 16, 64, … cells that become one dot are consecutive pages. The elements are numbers of
        such groups of pages; where there is no page, the number of groups.
        """
        found = []
        for level in range(1, self.bits // 2 + 1):
            corner = self.pages_of_cells[:: 1 << level, :: 1 << level]
            nr = -(-self.pages // (1 << 2 * level))
            found.append(np.where(corner < self.pages, corner >> 2 * level, nr).astype(np.intp))
        return tuple(found)

    def page_at(self, x: int, y: int) -> int:
        """The page at a cell; -1 if there is none."""
        if not (0 <= x < self.width and 0 <= y < self.height):
            return -1
        page = int(self.pages_of_cells[y, x])
        return page if page < self.pages else -1

    def cell_of(self, page: int) -> tuple[int, int]:
        """The cell of a page, as (x, y)."""
        y, x = divmod(int(self.cells_of_pages[page]), self.width)
        return x, y

    def box(self, first: int, nr: int) -> tuple[int, int, int, int]:
        """The smallest rectangle (x, y, width, height) around pages first…first+nr-1."""
        rows, columns = np.divmod(self.cells_of_pages[max(first, 0) : first + nr], self.width)
        x, y = int(columns.min()), int(rows.min())
        return x, y, int(columns.max()) - x + 1, int(rows.max()) - y + 1


def morton(bits: int) -> NDArray[np.int64]:
    """Morton order: for each number of so many bits its cell, even bits x, odd bits y; shape (2^bits, 2)."""
    numbers = np.arange(1 << bits)
    cells = np.zeros((1 << bits, 2), np.int64)
    for bit in range(bits):
        cells[:, bit % 2] |= (numbers >> bit & 1) << bit // 2
    return cells


@lru_cache(maxsize=32)
def arrange(pages: int, aspect: float) -> Tiles:
    """Arrange pages on a map.

    Args:
        pages: number of pages, at least 1.
        aspect: the desired ratio of width to height.
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
    pages_of_cells = np.full((rows * high, columns * wide), pages, np.int64)
    pages_of_cells[y, x] = numbers
    return Tiles(pages, bits, pages_of_cells, y * (columns * wide) + x)
