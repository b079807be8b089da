"""What a constant mask selects."""

from __future__ import annotations


def runs(mask: int) -> list[tuple[int, int]]:
    """The runs of ones in a mask: (lowest bit, how many)."""
    found: list[tuple[int, int]] = []
    at = 0
    while mask >> at:
        if mask >> at & 1:
            length = 1
            while mask >> (at + length) & 1:
                length += 1
            found.append((at, length))
            at += length
        else:
            at += 1
    return found
