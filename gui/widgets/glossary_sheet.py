"""The glossary of the documentation, in the Help menu."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import QDialog, QLineEdit, QTextBrowser, QWidget

from foliolab.framework.errors import FolioLabError
from foliolab.gui.window.building import column, named
from foliolab.gui.window.matching import says
from foliolab.gui.window.plain import as_html

NAME: Final = "glossary.md"
PLACES: Final = (Path(__file__).parents[1] / NAME, Path(__file__).resolve().parents[2] / "docs" / NAME)
"""Where the page lies: the wheel has it beside the desktop (see pyproject.toml), a checkout in its documentation."""
SIZE: Final = QSize(720, 520)
Entry = tuple[str, str]
"""A term, or several with commas between them, and what it means."""


class GlossarySheet(QDialog):
    """The words that FolioLab uses, each in one sense; only those that have the typed words are shown.

    Args:
        parent: the window.

    Raises:
        FolioLabError: the page cannot be read.
    """

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Glossary")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.entries = entries(read())
        self.entry = QLineEdit(placeholderText="Search words", clearButtonEnabled=True)
        named(self.entry, "Search words").textChanged.connect(self._show)
        self.page = named(QTextBrowser(openLinks=False), "Glossary")
        column(self.entry, (self.page, 1), of=self)
        self._show("")

    def sizeHint(self) -> QSize:
        return SIZE

    def _show(self, wanted: str) -> None:
        """Show the entries that have the typed words; first those whose terms have them."""
        shown = [(term, text) for term, text in self.entries if says(wanted, f"{term} {text}")]
        shown.sort(key=lambda entry: not says(wanted, entry[0]))
        html = "".join(f"<dt><b>{as_html(term)}</b></dt><dd>{_marked(text)}<br></dd>" for term, text in shown)
        self.page.setHtml(f"<dl>{html}</dl>" if shown else "<p>No entry of the glossary has these words.</p>")


def read() -> str:
    """The text of the page.

    Raises:
        FolioLabError: it is not there, or cannot be read.
    """
    path = next((path for path in PLACES if path.is_file()), PLACES[0])
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        raise FolioLabError(f"the glossary cannot be read: {fault}", "install FolioLab again") from fault


def entries(text: str) -> list[Entry]:
    """The entries of a page, which has them as a definition list of MyST: a term, and below it a colon and a text."""
    blocks = (block.split("\n: ", 1) for block in text.split("\n\n"))
    return [(block[0].strip(), " ".join(block[1].split())) for block in blocks if len(block) == 2]


def _marked(text: str) -> str:
    """A text as HTML, with its code and emphasis; of links only their words are kept."""
    html = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", as_html(text))
    html = re.sub(r"`([^`]+)`", r"<code>\1</code>", html)
    return re.sub(r"\*([^*]+)\*", r"<i>\1</i>", html)
