"""Boundary MM IDs: the smallest, the largest, and those around the powers of two where fields end."""

from __future__ import annotations

from typing import Final

WIDTHS: Final = (4, 7, 8, 12, 15, 16, 20, 24, 31, 32)
"""Field widths in bits. A field or mask of such a width loses the higher bits of an ID."""


def boundary_ids(largest: int) -> tuple[int, ...]:
    """IDs from 1 to `largest`: both ends and, for each width, the IDs around the largest that fits.

    1 and 1 + 2^k are equal modulo 2^k. 2^k is 0 modulo 2^k, which is no MM's ID.
    """
    found = [1, 2, 3, largest, largest - 1, largest // 2, largest // 2 + 1]
    for bits in WIDTHS:
        found += [(1 << bits) - 1, 1 << bits, (1 << bits) + 1]
    return tuple(sorted({mm_id for mm_id in found if 1 <= mm_id <= largest}))


def confusable_pairs(largest: int) -> list[tuple[int, int]]:
    """Pairs of different IDs that a field too narrow for `largest` maps to the same value, or one of them to 0."""
    found = [(1, largest), (largest, largest - 1)] if largest > 1 else []
    for bits in WIDTHS:
        found += [(1, (1 << bits) + 1), (1, 1 << bits)]
    return [pair for pair in dict.fromkeys(found) if 1 <= pair[1] <= largest and pair[0] != pair[1] and min(pair) > 0]
