"""Syntax colours of Python and C for a text document, in the theme's colours; pygments finds the tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from PySide6.QtGui import QFont, QSyntaxHighlighter, QTextCharFormat, QTextDocument

if TYPE_CHECKING:
    from pygments.lexer import RegexLexer

    from foliolab.gui.window.theme import Theme

COLOURS: Final[Mapping[str, str]] = {
    "Keyword": "accent",
    "Operator.Word": "accent",
    "Name.Function": "text",
    "Name.Class": "text",
    "Name.Decorator": "doubtful",
    "Literal.String": "good",
    "Literal.Number": "doubtful",
    "Comment": "quiet",
    "Comment.Preproc": "doubtful",
    "Comment.PreprocFile": "good",
}
"""The theme's colour for each pygments token type; a subtype has the colour of its parent."""
BOLD: Final = ("Keyword", "Operator.Word", "Name.Function", "Name.Class")
ITALIC: Final = ("Comment",)
C_SUFFIXES: Final = (".c", ".h")
MOST: Final = 1 << 19
"""Characters of a text that is coloured; a longer one would keep the window waiting."""


class _Token(NamedTuple):
    start: int
    length: int
    kind: str


class Highlighter(QSyntaxHighlighter):
    """Colours a document as Python, or as C.

    pygments needs the whole text, because a string may span lines, while Qt asks line by line and already while the
    text is being set. `read` therefore tokenizes a text before the document gets it.
    """

    def __init__(self, document: QTextDocument, theme: Theme) -> None:
        super().__init__(document)
        self._formats = _formats(theme)
        self._lines: dict[int, list[_Token]] = {}

    def read(self, text: str, path: str) -> None:
        """Tokenize the text that the document is about to get; the suffix of its path says the language."""
        self._lines = _tokens(text, path) if len(text) <= MOST else {}

    def paint(self, theme: Theme) -> None:
        self._formats = _formats(theme)
        self.rehighlight()

    def highlightBlock(self, text: str) -> None:
        for token in self._lines.get(self.currentBlock().blockNumber(), ()):
            self.setFormat(token.start, token.length, self._formats[token.kind])


def lexer(path: str) -> RegexLexer:
    """What finds the tokens of a text; the suffix of its path says the language. The first one takes long to make."""
    from pygments.lexers.c_cpp import CLexer
    from pygments.lexers.python import PythonLexer

    made: RegexLexer = CLexer() if path.endswith(C_SUFFIXES) else PythonLexer()
    return made


def _tokens(text: str, path: str) -> dict[int, list[_Token]]:
    """The coloured tokens by line number; a token that spans lines stands in each of them."""
    from pygments.token import string_to_tokentype

    kinds = {string_to_tokentype(name): name for name in COLOURS}
    found: dict[int, list[_Token]] = {}
    line = column = 0
    for _, token, value in lexer(path).get_tokens_unprocessed(text):
        kind = next((kinds[one] for one in reversed(token.split()) if one in kinds), "")
        for number, part in enumerate(value.split("\n")):
            if number:
                line, column = line + 1, 0
            if kind and part:
                found.setdefault(line, []).append(_Token(column, len(part), kind))
            column += len(part)
    return found


def _formats(theme: Theme) -> dict[str, QTextCharFormat]:
    made = {}
    for kind, colour in COLOURS.items():
        made[kind] = QTextCharFormat()
        made[kind].setForeground(theme.colour(colour))
        made[kind].setFontItalic(kind in ITALIC)
        if kind in BOLD:
            made[kind].setFontWeight(QFont.Weight.Bold)
    return made
