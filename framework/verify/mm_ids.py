"""MM IDs that tell much: the smallest, the largest, and those around the powers of two where fields end."""

from __future__ import annotations

from typing import Final

WIDTHS: Final = (4, 7, 8, 12, 15, 16, 20, 24, 31, 32)
"""Bits after which a narrower field, or a mask, would lose an ID's rest."""


def telling_ids(largest: int) -> tuple[int, ...]:
    """IDs from 1 to the largest: both ends, and for each width those that it just holds, and just does not.

    1 and 1 + 2^k are the same modulo 2^k; 2^k is 0, which is nobody's ID.
    """
    found = [1, 2, 3, largest, largest - 1, largest // 2, largest // 2 + 1]
    for bits in WIDTHS:
        found += [(1 << bits) - 1, 1 << bits, (1 << bits) + 1]
    return tuple(sorted({one for one in found if 1 <= one <= largest}))


def alike(largest: int) -> list[tuple[int, int]]:
    """Pairs of IDs that a field narrower than the largest one would confuse, with each other or with nobody's."""
    found = [(1, largest), (largest, largest - 1)] if largest > 1 else []
    for bits in WIDTHS:
        found += [(1, (1 << bits) + 1), (1, 1 << bits)]
    return [pair for pair in dict.fromkeys(found) if 1 <= pair[1] <= largest and pair[0] != pair[1] and min(pair) > 0]
