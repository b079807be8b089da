"""How texts match what was typed. This module does not import Qt, so that a session's process can use it."""

from __future__ import annotations


def says(wanted: str, text: str) -> bool:
    """Whether a text has all words that were typed, in any order, in small letters or capitals."""
    low = text.lower()
    return all(word in low for word in wanted.lower().split())


def rank(wanted: str, text: str) -> int | None:
    """How well a text matches what was typed; lower is better.

    All typed letters must occur in the text in this order. Letters at the beginning of words, and letters that follow
    each other closely, rank better.

    Returns:
        the cost; None if the text does not match.
    """
    cost, at = 0, 0
    low = text.lower()
    for letter in wanted.lower():
        if letter == " ":
            continue
        found = low.find(letter, at)
        if found < 0:
            return None
        starts = found == 0 or not low[found - 1].isalnum()
        cost += (0 if starts else 2) + (found - at)
        at = found + 1
    return cost
