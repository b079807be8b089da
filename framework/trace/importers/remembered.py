"""Whom the kernel remembered of folios when a trace begins: slots that were read, compared with what is mapped then."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from foliolab.framework.trace import events as ev
from foliolab.framework.trace.importers.batch import EventRow

KIND, MM, FLAGS, ORDER, NR, OTHER = 2, 1, 3, 4, 7, 8
PMD_PAGES: Final = 512


@dataclass
class _Folio:
    """A folio whose slots were read.

    Attributes:
        total: number of its mappings.
        counts: by MM, the mappings that it has by its slot; 0 if it has none.
        mapped: by MM, the pages of it that are mapped when the trace begins.
    """

    total: int
    counts: dict[int, int] = field(default_factory=dict)
    mapped: dict[int, int] = field(default_factory=dict)

    @property
    def fits(self) -> bool:
        """Whether the slots are of the moment at which the trace begins: all mappings are those of MMs of the trace.

        A PMD is one mapping, and so are 512 PTEs 512; a snapshot does not tell them apart.
        """
        if self.mapped.keys() != self.counts.keys():
            return False
        left, whole = self.total, 0
        for mm, count in self.counts.items():
            nr = self.mapped[mm]
            if count not in (0, nr) and (count, nr) != (1, PMD_PAGES):
                return False
            whole += not count and nr == PMD_PAGES
            left -= count or (1 if nr == PMD_PAGES else nr)
        return 0 <= left <= whole * (PMD_PAGES - 1) and not left % (PMD_PAGES - 1)


class Remembered:
    """The slots of a trace's first folios.

    Attributes:
        folios: number of folios whose slots were read.
        known: number of those whose slots are known for the beginning of the trace; see `mark`.
    """

    def __init__(self) -> None:
        self.known = 0
        self._folios: dict[int, _Folio] = {}

    @property
    def folios(self) -> int:
        return len(self._folios)

    def add(self, mm: int, pfn: int, total: int, count: int) -> None:
        """Take a row of kind SLOTS."""
        self._folios.setdefault(pfn, _Folio(total)).counts[mm] = count

    def mark(self, rows: list[EventRow]) -> None:
        """Mark the PRESENT rows of folios whose slots are known when the trace begins.

        Unknown are those that were changed while they were read, and those that other MMs map, too.
        """
        for row in rows:
            if (folio := self._of(row)) is not None:
                folio.mapped[row[MM]] = folio.mapped.get(row[MM], 0) + row[NR]
        fits = {pfn for pfn, folio in self._folios.items() if folio.fits}
        self.known = len(fits)
        for row in rows:
            if (folio := self._of(row)) is not None and _first(row) in fits:
                row[FLAGS] |= ev.REMEMBERED | (ev.HAS_SLOT if folio.counts[row[MM]] else 0)

    def _of(self, row: EventRow) -> _Folio | None:
        return self._folios.get(_first(row)) if row[KIND] == ev.PRESENT and row[ORDER] else None


def _first(row: EventRow) -> int:
    return row[OTHER] >> row[ORDER] << row[ORDER]
