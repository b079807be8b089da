"""The drawing of a folio: its struct pages in rows of eight bytes, what every page stores, and the page tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from foliolab.framework.anatomy.layout import Box, struct_page
from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.pagetable import PFN_SHIFT, PTE_PRESENT, PTE_WRITE, PTRS_PER_PTE

ROW: Final = 8
"""Bytes in a row."""
MOST_ROWS: Final = 24
"""Rows of a struct page that are drawn at most; a policy may have arrays of any length."""
MOST_PAGES: Final = 64
"""Pages of a folio that are drawn at most."""
WRITABLE: Final = "w"
READ_ONLY: Final = "r"
BY_PMD: Final = "P"


@dataclass(frozen=True)
class Cell:
    """A field in the drawing of a struct page.

    Args:
        name: of the field, with the index of an element.
        row, column, width: in bytes but for the row.
        key: of its value; empty for a field of the kernel, which is not followed.
    """

    name: str
    row: int
    column: int
    width: int
    key: str


@dataclass(frozen=True)
class StructPageDrawing:
    """A struct page: its title, the number of its rows, and its fields."""

    title: str
    rows: int
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Strip:
    """Something that every page of the folio has: its name, and a key for each page."""

    name: str
    keys: tuple[str, ...]


@dataclass(frozen=True)
class Drawing:
    """A folio.

    Args:
        title: one line.
        pages: the struct pages that the policy stores something in, but for what every page has.
        strips: what every page has.
        tables: of each MM, how it maps each page.
        left_out: pages of the folio that are not drawn.
    """

    title: str
    pages: tuple[StructPageDrawing, ...]
    strips: tuple[Strip, ...]
    tables: tuple[Strip, ...]
    left_out: int

    @property
    def keys(self) -> set[str]:
        found = {cell.key for page in self.pages for cell in page.cells if cell.key}
        return found.union(*(strip.keys for strip in (*self.strips, *self.tables)))


@dataclass(frozen=True)
class Names:
    """How the values of a folio are named.

    Args:
        prefix: of every key, where several policies are drawn.
        folio: of the folio's own fields.
        page: of the fields of a page, by its number.
    """

    prefix: str
    folio: str
    page: Callable[[int], str]


def drawing(title: str, scheme: Scheme, names: Names, nr: int, mms: Iterable[str]) -> Drawing:
    """The drawing of a folio.

    Args:
        scheme: the policy.
        names: of its values.
        nr: pages of the folio.
        mms: the names of those whose page tables are drawn.
    """
    numbers = sorted({one.page for one in scheme.stored("folio") if not one.overlays and one.page < nr})
    shown = range(min(nr, MOST_PAGES))
    strips = [
        Strip(one.name, tuple(f"{names.prefix}{names.page(number)}.{one.name}" for number in shown))
        for one in scheme.stored("page")
        if not one.overlays and one.count == 1
    ]
    tables = [Strip(mm, tuple(_table_key(names, mm, number) for number in shown)) for mm in mms]
    pages = tuple(_struct_page(scheme, names, number) for number in numbers)
    return Drawing(title, pages, tuple(strips), tuple(tables), nr - len(shown))


def _struct_page(scheme: Scheme, names: Names, number: int) -> StructPageDrawing:
    page = struct_page(scheme, number)
    rows = min(-(-page.size // ROW), MOST_ROWS)
    kind = "head page" if number == 0 else "first tail page" if number == 1 else f"tail page {number}"
    every = {one.name for one in scheme.stored("page")}
    cells = [_cell(box, names, number, every) for box in page.boxes if box.offset < rows * ROW]
    return StructPageDrawing(f"struct page {number} · {kind}", rows, tuple(cells))


def _cell(box: Box, names: Names, number: int, every: set[str]) -> Cell:
    owner = names.page(number) if box.name.partition("[")[0] in every else names.folio
    key = f"{names.prefix}{owner}.{box.name}" if box.owner == "policy" else ""
    return Cell(box.name, box.offset // ROW, box.offset % ROW, min(box.size, ROW), key)


def _table_key(names: Names, mm: str, number: int) -> str:
    return f"{names.prefix}{names.folio}/{number}/{mm}"


def page_tables(machine: Machine, head: int, nr: int, names: Names, mms: Mapping[int, str]) -> dict[str, str]:
    """How each MM maps each drawn page of a folio, by key; nothing for a page that an MM does not map.

    Args:
        machine: in the state to look at.
        head, nr: first frame and number of pages.
        names: of the folio's values.
        mms: number and name of each MM to look at.
    """
    found: dict[str, str] = {}
    for mm, name in mms.items():
        entries = machine.ptes(mm).astype("int64")
        frames = (entries >> PFN_SHIFT) - head
        inside = (entries & PTE_PRESENT != 0) & (frames >= 0) & (frames < min(nr, MOST_PAGES))
        for entry, number in zip(entries[inside].tolist(), frames[inside].tolist(), strict=True):
            found[_table_key(names, name, number)] = WRITABLE if entry & PTE_WRITE else READ_ONLY
        if nr >= PTRS_PER_PTE and any(int(entry) >> PFN_SHIFT == head for entry in machine.pmds(mm) if entry):
            found |= {_table_key(names, name, number): BY_PMD for number in range(min(nr, MOST_PAGES))}
    return found
