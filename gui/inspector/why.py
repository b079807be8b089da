"""Why the policy answers as it does: each line of its text that read something, with the value, and the way back."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QFontMetrics
from PySide6.QtWidgets import QHeaderView, QTreeWidget, QTreeWidgetItem, QWidget

from foliolab.framework.escaping import visible
from foliolab.framework.explore.reasons import Answer
from foliolab.framework.report.functions import function_at
from foliolab.gui.widgets.basics import button
from foliolab.gui.window.building import FLUSH, column, label, row
from foliolab.gui.window.plain import tip

SAYS: Final = {True: "maybe shared", False: "exclusive"}
MOST_ROWS: Final = 5
"""Rows that are shown without scrolling."""


class Why(QWidget):
    """The reasons of an answer; hidden if there are none.

    Signals:
        wanted: (access): go to the step that last changed what was read.
    """

    wanted = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName("Why the policy answers so")
        self.answer = Answer()
        self.title = label(role="heading", wraps=True)
        self.rows = QTreeWidget()
        self.rows.setAccessibleName("What the policy read for its answer")
        self.rows.setHeaderHidden(True)
        self.rows.setColumnCount(2)
        self.rows.setRootIsDecorated(False)
        self.rows.setUniformRowHeights(True)
        self.rows.setAllColumnsShowFocus(True)
        self.rows.header().setSectionResizeMode(0, QHeaderView.ResizeMode.ResizeToContents)
        self.rows.header().setStretchLastSection(True)
        self.rows.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.rows.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.rows.itemActivated.connect(self.go)
        self.back = button("Go to the step that set it", "Go to the earlier step that last changed this value", self.go)
        self.said = label(role="quiet", wraps=True)
        column(self.title, self.rows, row(self.back, (self.said, 1)), of=self, margins=FLUSH, spacing=3)
        self.show_answer("", Answer())

    def show_answer(self, policy: str, answer: Answer) -> None:
        """Show the reasons of an answer."""
        self.answer = answer
        self.setVisible(answer.shared is not None and bool(answer.reasons))
        says = SAYS.get(answer.shared, "") if answer.shared is not None else ""
        self.title.setText(f"Why does {policy} say {says}?")
        self.rows.clear()
        self.said.setText("")
        for reason in answer.reasons:
            access = reason.access
            place = f"{function_at(access.file, access.line).name or 'module'}, {Path(access.file).name}:{access.line}"
            item = QTreeWidgetItem([visible(reason.text), visible(access.code)])
            for at in range(2):
                item.setToolTip(at, tip(f"{access.code}\n{place}"))
            item.setData(0, Qt.ItemDataRole.AccessibleTextRole, f"{reason.text}, read by {place}: {access.code}")
            self.rows.addTopLevelItem(item)
        if answer.reasons:
            last = self.rows.topLevelItem(len(answer.reasons) - 1)
            if last is not None:
                last.setText(0, f"{last.text(0)} → {says}")
                self.rows.setCurrentItem(last)
        high = QFontMetrics(self.rows.font()).height() + 6
        self.rows.setFixedHeight(high * min(max(len(answer.reasons), 1), MOST_ROWS) + 4)

    def say(self, text: str) -> None:
        """Say what became of the search for a step."""
        self.said.setText(text)

    def go(self) -> None:
        """Go to the step that set what the chosen line read; nothing if there are no reasons."""
        at = self.rows.indexOfTopLevelItem(self.rows.currentItem()) if self.rows.currentItem() is not None else -1
        if 0 <= at < len(self.answer.reasons):
            self.wanted.emit(self.answer.reasons[at].access)
