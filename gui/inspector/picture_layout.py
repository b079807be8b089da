"""The layout of the picture of a folio: each struct page is a cache line (64 bytes) of eight rows of eight bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from PySide6.QtCore import QRect

from foliolab.framework.explore.folio_detail import FieldDetail, FolioDetail
from foliolab.gui.inspector.field_text import bits_named

ROW: Final = 8
"""Bytes in a row."""
LINE: Final = 64
"""Bytes of a cache line."""
MARGIN: Final = 6
OFFSETS: Final = 26
"""Pixels for the byte offsets at the left."""
SMALLEST: Final = 62
"""Least width, in pixels, of a cell in the grid of a field that every page has."""
GAP: Final = 10


@dataclass(frozen=True)
class Cell:
    """A field in the picture.

    Args:
        field: the field.
        area: its rectangle.
        hidden: whether the field is another view of bytes that are drawn already; it is drawn only if it is chosen.
        small: whether the cell belongs to a grid, whose heading has the field's name.
    """

    field: FieldDetail
    area: QRect
    hidden: bool = False
    small: bool = False


@dataclass(frozen=True)
class Heading:
    """A line of text above a group of cells."""

    text: str
    area: QRect


@dataclass(frozen=True)
class PictureLayout:
    """The layout, in pixels.

    Args:
        cells: the fields.
        headings: lines of text above groups of cells.
        free: rectangles of unused bytes.
        rows: labels at the left (byte offset, or number of the page) with their rectangles.
        frames: rectangles of cache lines.
        height: height of the picture.
        byte: width of a byte.
    """

    cells: tuple[Cell, ...]
    headings: tuple[Heading, ...]
    free: tuple[QRect, ...]
    rows: tuple[tuple[int, QRect], ...]
    frames: tuple[QRect, ...]
    height: int
    byte: float


EMPTY: Final = PictureLayout((), (), (), (), (), 0, 0.0)


class _Builder:
    """Builds a layout from top to bottom."""

    def __init__(self, folio: FolioDetail, width: int, text: int) -> None:
        self.folio = folio
        self.width = width
        self.text = text
        self.row = 2 * text + 6
        self.y = MARGIN
        self.byte = (width - 2 * MARGIN - OFFSETS) / ROW
        self.cells: list[Cell] = []
        self.headings: list[Heading] = []
        self.free: list[QRect] = []
        self.rows: list[tuple[int, QRect]] = []
        self.frames: list[QRect] = []

    def page(self, number: int) -> None:
        """Add a struct page, by cache lines."""
        folio = self.folio
        kind = "head page" if number == 0 else "first tail page" if number == 1 else f"tail page {number}"
        for line in range(folio.stride // LINE):
            more = f", bytes {line * LINE} to {line * LINE + LINE - 1}" if folio.stride > LINE else ""
            self.heading(f"struct page {number} · {kind if folio.order else 'small folio'}{more}")
            top = self.y
            for first in range(line * LINE, (line + 1) * LINE, ROW):
                self.bytes_row(number, first)
            self.frames.append(QRect(MARGIN + OFFSETS, top, self.width - 2 * MARGIN - OFFSETS, self.y - top))
            self.y += GAP

    def heading(self, text: str) -> None:
        """Add a line of text."""
        self.headings.append(Heading(text, QRect(MARGIN, self.y, self.width - 2 * MARGIN, self.text + 4)))
        self.y += self.text + 6

    def bytes_row(self, number: int, first: int) -> None:
        """Add a row of eight bytes."""
        fields = [one for one in self.folio.fields if one.page == number and first <= one.offset < first + ROW]
        tall = self.row + (self.text + 2 if any(bits_named(one) for one in fields) else 0)
        self.rows.append((first, QRect(MARGIN, self.y, OFFSETS - 4, tall)))
        for one in fields:
            hidden = one.stored is not None and one.stored.overlays
            self.cells.append(Cell(one, self._area(one.offset - first, one.bits // 8, tall), hidden))
        for page, start, end in self.folio.free:
            low, high = max(start, first), min(end, first + ROW)
            if page == number and low < high:
                self.free.append(self._area(low - first, high - low, tall))
        self.y += tall

    def _area(self, start: int, size: int, tall: int) -> QRect:
        left = MARGIN + OFFSETS + round(start * self.byte)
        right = MARGIN + OFFSETS + round((start + size) * self.byte)
        return QRect(left, self.y, right - left, tall)

    def others(self) -> None:
        """Add the policy's fields of the struct pages that are not drawn in full, as grids."""
        rest: dict[str, list[FieldDetail]] = {}
        for one in self.folio.fields:
            if one.page >= self.folio.shown:
                rest.setdefault(one.name, []).append(one)
        for name, fields in rest.items():
            self.heading(f"{name} of pages {fields[0].page} to {fields[-1].page}")
            wide = self.width - 2 * MARGIN - OFFSETS
            across = max(wide // SMALLEST, 1)
            tall = self.text + 6
            for at, one in enumerate(fields):
                left = MARGIN + OFFSETS + (at % across) * wide // across
                right = MARGIN + OFFSETS + (at % across + 1) * wide // across
                if at % across == 0:
                    self.rows.append((one.page, QRect(MARGIN, self.y + at // across * tall, OFFSETS - 4, tall)))
                self.cells.append(Cell(one, QRect(left, self.y + at // across * tall, right - left, tall), small=True))
            self.y += -(-len(fields) // across) * tall + GAP


def lay_out(folio: FolioDetail, width: int, text: int) -> PictureLayout:
    """Lay out the picture of a folio.

    Args:
        folio: the folio.
        width: width of the picture, in pixels.
        text: height of a line of text, in pixels.
    """
    builder = _Builder(folio, width, text)
    for number in range(folio.shown):
        builder.page(number)
    builder.others()
    return PictureLayout(
        tuple(builder.cells), tuple(builder.headings), tuple(builder.free), tuple(builder.rows),
        tuple(builder.frames), builder.y, builder.byte,
    )  # fmt: skip
