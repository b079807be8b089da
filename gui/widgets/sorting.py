"""The order of texts in a column: by their first number, such as that of "✓ 5.2 %", else by their letters."""

from __future__ import annotations

import re
from typing import Final

NUMBER: Final = re.compile(r"[-−+]?\d[\d,]*(?:\.\d+)?")
MOST: Final = 40
"""Characters of a text in which a number is looked for."""
UNITS: Final = {"K": 2.0**10, "M": 2.0**20, "G": 2.0**30, "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30}
"""Suffixes of sizes."""


def sort_key(text: str) -> tuple[int, float, str]:
    """What a column is sorted by: numbers come before words, and empty texts last."""
    found = NUMBER.search(text[:MOST])
    if found is None or any(letter.isalpha() for letter in text[: found.start()]):
        return (1 if text.strip() else 2), 0.0, text.lower()
    number = float(found[0].replace(",", "").replace("−", "-"))
    unit = re.match(r"\s?([KMG](?:iB)?)\b", text[found.end() :])
    return 0, number * UNITS.get(unit[1] if unit else "", 1.0), text.lower()
