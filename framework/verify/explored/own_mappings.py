"""How often the MMs of one thread map the folio, during a run of the thread."""

from __future__ import annotations


class OwnMappings:
    """The mappings of the folio by a thread's MMs.

    Args:
        mms: the MMs.
        counts: for each the number of PTEs and PMDs that map the folio.

    Attributes:
        seen: the most MMs that have mapped the folio at a time since the last look.
        most: the most mappings since then.
    """

    def __init__(self, mms: tuple[int, ...], counts: tuple[int, ...]) -> None:
        self._mms = mms
        self.restore(counts)
        self.look()

    def restore(self, counts: tuple[int, ...]) -> None:
        """Go on with other numbers."""
        self._counts = dict(zip(self._mms, counts, strict=True))
        self._mapped = {mm for mm, count in self._counts.items() if count}

    @property
    def counts(self) -> tuple[int, ...]:
        """For each MM the number of mappings."""
        return tuple(self._counts[mm] for mm in self._mms)

    def look(self) -> None:
        """Begin a segment; what is mapped in it is added, what is unmapped stays."""
        self.seen, self.most = len(self._mapped), sum(self._counts.values())

    def change(self, mm: int, change: int) -> None:
        """An MM maps the folio so many times more."""
        self._counts[mm] += change
        if change and self._counts[mm]:
            self._mapped.add(mm)
            self.seen = max(self.seen, len(self._mapped))
        elif change:
            self._mapped.discard(mm)
        if change > 0:
            self.most = max(self.most, sum(self._counts.values()))
