"""The source of a policy. Of a policy in C one sees the C files, or the translation at the same line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from PySide6.QtCore import QSignalBlocker
from PySide6.QtWidgets import QComboBox, QSizePolicy, QWidget

from foliolab.gui.policies.texts import Text
from foliolab.gui.widgets.source_view import SourceView
from foliolab.gui.window.building import column, label, named, row
from foliolab.gui.window.plain import tip

if TYPE_CHECKING:
    from foliolab.gui.window.theme import Theme

NOWHERE = Text("")


class SourceTab(QWidget):
    """One of the texts of a policy, and a list of them where there are several."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._texts: Sequence[Text] = ()
        self._shown = NOWHERE
        self.view = SourceView(theme)
        self.path = label(role="quiet", selectable=True)
        self.path.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)  # it may be long
        self.chooser = named(
            QComboBox(), "Text to show", "The C files that the policy is made of, and their translation"
        )
        self.chooser.activated.connect(self._chosen)
        column(row(self.chooser, (self.path, 1)), (self.view, 1), of=self, margins=(0, 4, 0, 0))

    def show_texts(self, texts: Sequence[Text]) -> None:
        """Show the first text; while they are the texts that were shown before, the chosen one stays."""
        titles, at = [one.title for one in texts], self.chooser.currentIndex()
        same = titles == [self.chooser.itemText(number) for number in range(self.chooser.count())]
        if not same or texts[0].kind == "error":
            at = 0
        with QSignalBlocker(self.chooser):
            self.chooser.clear()
            self.chooser.addItems(titles)
            self.chooser.setCurrentIndex(at)
        self.chooser.setVisible(len(texts) > 1)
        shown = self._shown if at and texts == self._texts else texts[at]
        self._texts = texts
        self._show(shown)

    def _show(self, text: Text) -> None:
        self._shown = text
        self.path.setText(text.path or ("what is run, with the C line of each line" if text.translated else
                                        "the policy has no file of its own"))  # fmt: skip
        self.path.setToolTip(tip(text.path))
        self.view.show_source(text.read(), path=text.path)
        self.view.mark(text.line, text.kind)

    def show_function(self, name: str) -> None:
        """Show the first line of a function of the shown text, if the text has it."""
        lines = self._shown.read().split("\n")
        line = next((number for number, one in enumerate(lines, 1) if one.startswith(f"def {name}(")), 0)
        if line:
            self._show(replace(self._shown, line=line, kind="step"))

    def _chosen(self, at: int) -> None:
        """Show another text at the line that stands for the one where the cursor is."""
        text = self._texts[at]
        line = text.line_of(self._shown.place_at(self.view.line))
        self._show(replace(text, line=line, kind="step") if line else text)
