"""Python's keywords, texts, numbers and comments in the theme's colours."""

from __future__ import annotations

import keyword
import re
from typing import Final

from PySide6.QtGui import QColor, QFont, QSyntaxHighlighter, QTextCharFormat, QTextDocument

from foliolab.gui.theme import Theme

_PLAIN: Final = -1
_QUOTES: Final = ('"""', "'''")
_TOKEN: Final = re.compile(
    r"""(?P<comment>\#.*)
    |(?P<long>[rbfuRBFU]{0,2}(?P<quotes>\"{3}|'{3}))
    |(?P<text>[rbfuRBFU]{0,2}(?:"(?:\\.|[^"\\])*"?|'(?:\\.|[^'\\])*'?))
    |(?P<number>\b(?:0[xX][0-9a-fA-F_]+|0[bB][01_]+|\d[\d_]*(?:\.\d+)?)\b)
    |(?P<decorator>^\s*@[\w.]+)
    |(?P<word>[^\W\d]\w*)""",
    re.VERBOSE,
)
_KEYWORDS: Final = frozenset(keyword.kwlist)


class PythonHighlighter(QSyntaxHighlighter):
    """Colours a document as Python.

    Args:
        document: what to colour.
        theme: whose colours.
    """

    def __init__(self, document: QTextDocument, theme: Theme) -> None:
        super().__init__(document)
        self._formats = _formats(theme)

    def paint(self, theme: Theme) -> None:
        """Use another theme's colours."""
        self._formats = _formats(theme)
        self.rehighlight()

    def highlightBlock(self, text: str) -> None:
        """Colour one line; the state says whether it ends inside of a text of several lines."""
        at = 0
        self.setCurrentBlockState(_PLAIN)
        if self.previousBlockState() in (0, 1):
            at = self._long(text, 0, 0, self.previousBlockState())
        named = ""
        while match := _TOKEN.search(text, at):
            kind = match.lastgroup or ""
            at = match.end()
            if match["long"]:
                at = self._long(text, match.start(), match.end(), _QUOTES.index(match["quotes"]))
                continue
            if kind == "word":
                word = match["word"]
                kind = "keyword" if word in _KEYWORDS else "name" if named in ("def", "class") else ""
                named = word
            if kind in self._formats:
                self.setFormat(match.start(), match.end() - match.start(), self._formats[kind])

    def _long(self, text: str, start: int, inside: int, which: int) -> int:
        """Colour a text in three quotes; where it ends in this line."""
        end = text.find(_QUOTES[which], inside)
        if end < 0:
            self.setCurrentBlockState(which)
        end = len(text) if end < 0 else end + len(_QUOTES[which])
        self.setFormat(start, end - start, self._formats["text"])
        return end


def _formats(theme: Theme) -> dict[str, QTextCharFormat]:
    colours = {
        "keyword": theme.accent,
        "name": theme.text,
        "text": theme.good,
        "number": theme.doubtful,
        "comment": theme.quiet,
        "decorator": theme.doubtful,
    }
    made = {kind: QTextCharFormat() for kind in colours}
    for kind, colour in colours.items():
        made[kind].setForeground(QColor(colour))
    for kind in ("keyword", "name"):
        made[kind].setFontWeight(QFont.Weight.Bold)
    made["comment"].setFontItalic(True)
    return made
