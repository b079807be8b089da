"""Plain text on a stream, for short reports that must start fast: no rich, no tables.

Colours appear only in a terminal that wants them, and are never the only carrier of a meaning. A stream that cannot
encode a sign gets ASCII in its place.
"""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from typing import IO, Final

from foliolab.framework.report.pages.page import Style
from foliolab.framework.report.pages.signs import writable

STYLES: Final = {"strong": "1", "quiet": "2", "bad": "31", "good": "32", "doubtful": "33", "name": "36"}


class Plain:
    """Plain text on a stream.

    Args:
        stream: the stream; None for stdout.
        colour: whether to use colours; None for colours in a terminal, unless NO_COLOR is set.
    """

    def __init__(self, stream: IO[str] | None = None, colour: bool | None = None) -> None:
        self.stream = sys.stdout if stream is None else stream
        terminal = self.stream.isatty()
        wanted = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        self.colour = terminal and wanted if colour is None else colour
        self.encoding = getattr(self.stream, "encoding", None) or "utf-8"
        self.width = min(shutil.get_terminal_size().columns, 120) if terminal else 0
        """Columns to wrap at; 0 in a pipe, where nothing wraps."""

    def sane(self, text: str) -> str:
        """Text without control characters, in signs that the stream can encode."""
        return writable(text, self.encoding)

    def paint(self, text: str, style: Style = "") -> str:
        text = self.sane(text)
        codes = ";".join(STYLES[word] for word in style.split())
        return f"\x1b[{codes}m{text}\x1b[0m" if self.colour and codes and text else text

    def line(self, text: str = "", style: Style = "") -> None:
        self.stream.write(self.paint(text, style) + "\n")

    def item(self, head: str, text: str, indent: int = 2, column: int = 0, style: Style = "") -> None:
        """Write a line with `head` at `indent` and text from `column` on, wrapped there in a terminal."""
        left = " " * indent + self.paint(head, style) + " " * max(column - indent - len(self.sane(head)), 1)
        column = max(column, indent + len(head) + 1)
        text = self.sane(text)
        if self.width > column + 20:
            text = f"\n{' ' * column}".join(textwrap.wrap(text, self.width - column) or [""])
        self.stream.write((left + text).rstrip() + "\n")
