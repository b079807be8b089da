"""The ranges of an address space that are known to be shared or of a file."""

from __future__ import annotations

from bisect import bisect_left, bisect_right


class FileRanges:
    """Disjoint ranges of page numbers, ascending.

    Attributes:
        starts: first page of each range.
        ends: first page behind each range.
    """

    def __init__(self) -> None:
        self.starts: list[int] = []
        self.ends: list[int] = []
        self._borrowed = False

    def __contains__(self, page: int) -> bool:
        index = bisect_right(self.starts, page) - 1
        return index >= 0 and page < self.ends[index]

    def copy(self) -> FileRanges:
        """A copy, which shares the lists until one of both changes: a process may fork any number of times."""
        other = FileRanges()
        other.starts, other.ends = self.starts, self.ends
        self._borrowed = other._borrowed = True
        return other

    def _own(self) -> None:
        if self._borrowed:
            self.starts, self.ends, self._borrowed = self.starts.copy(), self.ends.copy(), False

    def remove(self, start: int, end: int) -> None:
        """Remove the pages from `start` up to `end`, which are unmapped, or mapped anonymously."""
        first = bisect_right(self.ends, start)
        if end <= start or first == len(self.starts) or self.starts[first] >= end:
            return
        behind = bisect_left(self.starts, end, first)
        self._own()
        left, right = self.starts[first], self.ends[behind - 1]
        pieces = [(left, start)] * (left < start) + [(end, right)] * (right > end)
        self.starts[first:behind] = [piece[0] for piece in pieces]
        self.ends[first:behind] = [piece[1] for piece in pieces]

    def add(self, start: int, end: int) -> None:
        """Add the pages from `start` up to `end`, which are shared or of a file."""
        if end <= start:
            return
        self.remove(start, end)
        self._own()
        index = bisect_right(self.ends, start)
        self.starts.insert(index, start)
        self.ends.insert(index, end)

    def move(self, start: int, nr: int, to: int) -> None:
        """Move the ranges of `nr` pages from `start` to `to`, as mremap does."""
        first = bisect_right(self.ends, start)
        behind = bisect_left(self.starts, start + nr)
        moved = [
            (max(low, start), min(high, start + nr))
            for low, high in zip(self.starts[first:behind], self.ends[first:behind], strict=True)
        ]
        self.remove(start, start + nr)
        self.remove(to, to + nr)
        for low, high in moved:
            self.add(low - start + to, high - start + to)
