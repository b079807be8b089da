"""Where a folio's fields stand in its picture: struct pages as 64-byte lines of eight rows of eight bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from PySide6.QtCore import QRect

from foliolab.framework.explore.folio_detail import FieldDetail, FolioDetail
from foliolab.gui.inspector.words import bits_named

ROW: Final = 8
"""Bytes in a row."""
LINE: Final = 64
"""Bytes of a cache line."""
MARGIN: Final = 6
OFFSETS: Final = 26
"""Pixels for the byte offsets at the left."""
SMALLEST: Final = 62
"""Pixels of a cell of a field that every page has."""
GAP: Final = 10


@dataclass(frozen=True)
class Cell:
    """A field with its place.

    Args:
        field: what.
        area: where.
        hidden: whether it is another view of bytes that are drawn already; it shows only when it is chosen.
        small: whether it stands in the grid of the other pages, without its name.
    """

    field: FieldDetail
    area: QRect
    hidden: bool = False
    small: bool = False


@dataclass(frozen=True)
class Heading:
    """A line of text above what belongs together."""

    text: str
    area: QRect


@dataclass(frozen=True)
class Places:
    """Everything's place.

    Args:
        cells: the fields.
        headings: what stands above them.
        free: areas of bytes that nothing uses.
        rows: byte offsets at the left, with their areas.
        frames: cache lines.
        height: of it all.
        byte: width of a byte in pixels.
    """

    cells: tuple[Cell, ...]
    headings: tuple[Heading, ...]
    free: tuple[QRect, ...]
    rows: tuple[tuple[int, QRect], ...]
    frames: tuple[QRect, ...]
    height: int
    byte: float


class _Placing:
    """Puts one part below the other."""

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
        """A struct page, line by line."""
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
        """A line of text."""
        self.headings.append(Heading(text, QRect(MARGIN, self.y, self.width - 2 * MARGIN, self.text + 4)))
        self.y += self.text + 6

    def bytes_row(self, number: int, first: int) -> None:
        """Eight bytes."""
        mine = [one for one in self.folio.fields if one.page == number and first <= one.offset < first + ROW]
        tall = self.row + (self.text + 2 if any(bits_named(one) for one in mine) else 0)
        self.rows.append((first, QRect(MARGIN, self.y, OFFSETS - 4, tall)))
        for one in mine:
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
        """The policy's fields of the struct pages that are not drawn in full, as a grid."""
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


def places_of(folio: FolioDetail, width: int, text: int) -> Places:
    """The places for a width.

    Args:
        folio: what.
        width: of the picture, pixels.
        text: height of a line of text, pixels.
    """
    placing = _Placing(folio, width, text)
    for number in range(folio.shown):
        placing.page(number)
    placing.others()
    return Places(
        tuple(placing.cells), tuple(placing.headings), tuple(placing.free), tuple(placing.rows),
        tuple(placing.frames), placing.y, placing.byte,
    )  # fmt: skip
