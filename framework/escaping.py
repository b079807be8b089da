"""Text from outside, made harmless for where it is shown: a terminal, Markdown, a table program.

Names, messages, keys of files and imported lines can hold anything. Whatever shows one calls a function of this module
at the last moment, so that everything before it handles the text as it is. HTML is escaped by its templates.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

FORMULA: Final = re.compile(r"[=+\-@\t\r\n＝＋－＠]")
"""What a cell begins with that a table program takes for a formula, or skips before one."""
NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|nan)")
_MARKDOWN: Final = str.maketrans({c: f"\\{c}" for c in "\\`*[]|"} | {"&": "&amp;", "<": "&lt;"})
_BLOCK: Final = re.compile(r"^(?=[#>]|~~~)")
"""The beginning of a line that starts a heading, a quotation or a block of code."""


def visible(text: str) -> str:
    r"""Text without control characters, beside ends of lines: each is written as in Python, such as \x1b or \u202e.

    Tabs become blanks. Formats that change the direction of text are control characters, too. A byte that the encoding
    of a file's name does not have is written as \x and two digits.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_shown, text.expandtabs(4)))


def _shown(character: str) -> str:
    if character == "\n" or character.isprintable() or unicodedata.category(character) == "Zs":
        return character
    number = ord(character)
    if 0xDC80 <= number <= 0xDCFF:  # a byte that could not be decoded
        number -= 0xDC00
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def line(text: str) -> str:
    """Text as one visible line."""
    return visible(" ".join(text.split()))


def markdown(text: str) -> str:
    """Text as one line of Markdown, or a cell, that means nothing but itself."""
    return _BLOCK.sub(r"\\", line(text).translate(_MARKDOWN))


def markdown_code(text: str) -> str:
    """Text as code within a line of Markdown; as plain text where a renderer could see an end of the code, or HTML."""
    return markdown(text) if set("`<") & set(text) else f"`{line(text)}`"


def csv_cell(text: str) -> str:
    """Text as a field of CSV: visible, and with an apostrophe before it where it would be a formula."""
    guard = "'" if FORMULA.match(text) and not NUMBER.fullmatch(text) else ""
    return guard + visible(text)
