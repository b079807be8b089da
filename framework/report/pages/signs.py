"""Text that any output survives: no control characters, and signs that its encoding has."""

from __future__ import annotations

from typing import Final

from foliolab.framework.escaping import visible

ASCII: Final = str.maketrans(
    {
        "✓": "+", "✗": "x", "▲": "^", "▼": "v", "▸": ">", "◐": "%", "■": "#", "·": ".", "…": "..", "–": "-", "−": "-",
        "×": "x", "≤": "<=", "≠": "!", "●": "*", "µ": "u", "±": "+-", "→": "->", "─": "-", "│": "|", "┌": "+",
        "┐": "+", "└": "+", "┘": "+", "├": "+", "┤": "+", "┬": "+", "┴": "+", "┼": "+",
    }
)  # fmt: skip
"""What stands for a sign where it cannot be written."""


def writable(text: str, encoding: str) -> str:
    """Text for an output of that encoding; control characters become visible."""
    shown = visible(text)
    try:
        shown.encode(encoding)
    except UnicodeEncodeError:
        return shown.translate(ASCII).encode(encoding, "replace").decode(encoding)
    except LookupError:  # no such encoding is known
        return shown.translate(ASCII).encode("ascii", "replace").decode("ascii")
    return shown
