"""The parts of an address space whose mapping is known to be of a file, or shared."""

from __future__ import annotations

from bisect import bisect_left, bisect_right


class FileRanges:
    """Disjoint ranges of page numbers, ascending.

    Attributes:
        starts, ends: the ranges' first pages, and the pages behind their last.
    """

    def __init__(self) -> None:
        self.starts: list[int] = []
        self.ends: list[int] = []

    def __contains__(self, page: int) -> bool:
        place = bisect_right(self.starts, page) - 1
        return place >= 0 and page < self.ends[place]

    def copy(self) -> FileRanges:
        """The same ranges, for a forked child."""
        other = FileRanges()
        other.starts, other.ends = self.starts.copy(), self.ends.copy()
        return other

    def remove(self, start: int, end: int) -> None:
        """Forget the pages from `start` up to `end`: they are unmapped, or mapped anonymously."""
        if end <= start:
            return
        first = bisect_right(self.ends, start)
        behind = bisect_left(self.starts, end)
        if first >= behind:
            return
        left, right = self.starts[first], self.ends[behind - 1]
        pieces = [(left, start)] * (left < start) + [(end, right)] * (right > end)
        self.starts[first:behind] = [piece[0] for piece in pieces]
        self.ends[first:behind] = [piece[1] for piece in pieces]

    def add(self, start: int, end: int) -> None:
        """The pages from `start` up to `end` are of a file, or shared."""
        if end <= start:
            return
        self.remove(start, end)
        place = bisect_left(self.starts, start)
        self.starts.insert(place, start)
        self.ends.insert(place, end)

    def move(self, start: int, nr: int, to: int) -> None:
        """mremap: what is known about `nr` pages from `start` holds for those from `to` on."""
        first = bisect_right(self.ends, start)
        moved = [
            (max(low, start), min(high, start + nr))
            for low, high in zip(self.starts[first:], self.ends[first:], strict=True)
            if low < start + nr
        ]
        self.remove(start, start + nr)
        self.remove(to, to + nr)
        for low, high in moved:
            self.add(low - start + to, high - start + to)
