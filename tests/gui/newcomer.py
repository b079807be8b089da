"""A newcomer, who does word for word what a tour says, with mouse and keyboard, and looks for what it speaks of.

Words between “ and ” are on screen. The sentences that ask for something are

    Press “TEXT” [twice] [on the tool bar]           a button with this text
    Press the key “KEY”
    Click “TEXT”                                     a tab
    Click the cell of “ROW” under “HEADING”          of a table
    Choose “TEXT”                                    in a list that drops down
    write “LINE” above|below “LINE”                  in the file that the editor has opened
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from PySide6.QtCore import QPoint, QRect, Qt
from PySide6.QtGui import QAction
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractScrollArea,
    QApplication,
    QComboBox,
    QDockWidget,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QTabBar,
    QTableView,
    QToolBar,
    QToolButton,
    QTreeView,
    QWidget,
)

LEFT = Qt.MouseButton.LeftButton
QUOTED = re.compile("“([^”]*)”")
ASKS = re.compile(
    "Press the key “(?P<key>[^”]*)”"
    "|[Pp]ress “(?P<button>[^”]*)”(?P<twice> twice)?(?P<bar> on the tool bar)?"
    "|Click the cell of “(?P<row>[^”]*)” under “(?P<heading>[^”]*)”"
    "|Click “(?P<tab>[^”]*)”"
    "|Choose “(?P<choice>[^”]*)”"
    "|write “(?P<line>[^”]*)” (?P<where>above|below) “(?P<other>[^”]*)”"
)


class Newcomer:
    """Follows the words of a tour.

    Args:
        window: the window.
        edited: the file that the editor has opened; None before.
    """

    def __init__(self, window: QWidget, edited: Callable[[], Path | None]) -> None:
        self.window, self._edited = window, edited

    def does(self, text: str) -> int:
        """Do what a text asks for. Returns how much it asks for."""
        asked = list(ASKS.finditer(text))
        for match in asked:
            self._do(match)
        return len(asked)

    def does_not_see(self, text: str) -> list[str]:
        """What a text names as being on screen, and what is not there."""
        words = QUOTED.findall(ASKS.sub("", text))
        seen = list(self.texts())
        return [word for word in words if not any(word in one for one in seen)]

    def _do(self, asked: re.Match[str]) -> None:
        if key := asked["key"]:
            target = QApplication.focusWidget()
            assert target is not None, "no widget has the focus, so that no key does anything"
            QTest.keyClick(target, Qt.Key[f"Key_{key}"])
        elif text := asked["button"]:
            for _ in range(2 if asked["twice"] else 1):
                click(self.button(text, on_bar=bool(asked["bar"])))
        elif text := asked["tab"]:
            bar, at = self.tab(text)
            click(bar, bar.tabRect(at).center())
        elif text := asked["choice"]:
            self._choose(text)
        elif asked["row"]:
            view, place = self.cell(asked["row"], asked["heading"])
            click(view.viewport(), place.center())
        else:
            self._write(asked["line"], asked["where"], asked["other"])

    # -- where things are --------------------------------------------------------------------------------
    def shown(self, kind: type[Any]) -> Iterator[Any]:
        """The widgets of a kind that can be seen and reached, those of the tour itself left out."""
        guide: Any = self.window
        for one in self.window.findChildren(kind):
            seen = one.viewport() if isinstance(one, QAbstractScrollArea) else one  # which covers all of it
            if one.isVisible() and not seen.visibleRegion().isEmpty() and not guide.guide.isAncestorOf(one):
                yield one

    def button(self, text: str, *, on_bar: bool) -> QAbstractButton:
        found = [one for one in self.shown(QAbstractButton) if label_of(one) == text and one.isEnabled()]
        if on_bar:
            bars = [bar for bar in self.shown(QToolBar) if bar.orientation() == Qt.Orientation.Horizontal]
            found = [one for one in found if any(bar.isAncestorOf(one) for bar in bars)]
        assert len(found) == 1, f"{len(found)} buttons {text!r} can be pressed"
        return found[0]

    def tab(self, text: str) -> tuple[QTabBar, int]:
        found = [
            (bar, at)
            for bar in self.shown(QTabBar)
            for at in range(bar.count())
            if bar.tabText(at).replace("&", "") == text and bar.isTabVisible(at)
        ]
        assert len(found) == 1, f"{len(found)} tabs {text!r} are shown"
        return found[0]

    def cell(self, row: str, heading: str) -> tuple[QTableView, QRect]:
        for view in self.shown(QTableView):
            model = view.model()
            headings = [model.headerData(at, Qt.Orientation.Horizontal) for at in range(model.columnCount())]
            rows = [model.index(at, 0).data() for at in range(model.rowCount())]
            if heading in headings and row in rows:
                place = view.visualRect(model.index(rows.index(row), headings.index(heading)))
                assert view.viewport().rect().contains(place.center()), f"the cell of {row!r} is out of sight"
                return view, place
        tables = [one.accessibleName() for one in self.shown(QTableView)]
        raise AssertionError(f"none of the tables {tables} has a row {row!r} and a heading {heading!r}")

    # -- what is done ------------------------------------------------------------------------------------
    def _choose(self, text: str) -> None:
        (combo,) = (one for one in self.shown(QComboBox) if one.findText(text) >= 0)
        click(combo)
        view = combo.view()
        assert view.isVisible()
        QTest.qWait(QApplication.doubleClickInterval() + 100)  # before, Qt takes a click for the end of the first one
        click(view.viewport(), view.visualRect(combo.model().index(combo.findText(text), 0)).center())

    def _write(self, line: str, where: str, other: str) -> None:
        file = self._edited()
        assert file is not None, "no editor is open"
        lines = file.read_text(encoding="utf-8").split("\n")
        (at,) = (number for number, one in enumerate(lines) if one.strip() == other)
        indented = lines[at][: lines[at].index(other)] + line
        lines.insert(at + (where == "below"), indented)
        file.write_text("\n".join(lines), encoding="utf-8")

    # -- what is seen ------------------------------------------------------------------------------------
    def texts(self) -> Iterator[str]:
        """All texts on screen."""
        for button in self.shown(QAbstractButton):
            yield label_of(button)
        for label in self.shown(QLabel):
            yield label.text()
        for combo in self.shown(QComboBox):
            yield combo.currentText()
        for field in self.shown(QLineEdit):
            yield field.text()
        for page in self.shown(QPlainTextEdit):
            yield page.toPlainText()
        for dock in self.shown(QDockWidget):
            yield dock.windowTitle()
        for bar in self.shown(QTabBar):
            yield from (bar.tabText(at) for at in range(bar.count()))
        for view in self.shown(QAbstractItemView):
            yield from cells_of(view)


def label_of(button: QAbstractButton) -> str:
    """The text on a button; empty if it has only an icon."""
    if isinstance(button, QToolButton):
        action: Any = button.defaultAction()
        icon_only = button.toolButtonStyle() == Qt.ToolButtonStyle.ToolButtonIconOnly and not button.icon().isNull()
        if icon_only or (action is not None and action.priority() == QAction.Priority.LowPriority):
            return ""
    return button.text().replace("&", "")


def cells_of(view: QAbstractItemView) -> Iterator[str]:
    """The texts of the cells that are in sight, and of the headings."""
    model: Any = view.model()
    if model is None:
        return
    columns = model.columnCount() if isinstance(view, QTableView | QTreeView) else 1
    if columns > 1:
        yield from (str(model.headerData(column, Qt.Orientation.Horizontal) or "") for column in range(columns))
    sight = view.viewport().rect()
    tops = [model.index(row, 0) for row in range(model.rowCount())]
    for top in tops:
        for parent in (top, *(model.index(row, 0, top) for row in range(model.rowCount(top)))):
            for column in range(columns):
                index = parent.siblingAtColumn(column)
                if view.visualRect(index).intersects(sight):
                    yield str(index.data() or "")


def click(widget: QWidget, place: QPoint | None = None) -> None:
    """Click a widget where it can be seen."""
    place = place if place is not None else widget.rect().center()
    assert widget.visibleRegion().contains(place), f"{widget} cannot be clicked there: something covers it"
    QTest.mouseClick(widget, LEFT, Qt.KeyboardModifier.NoModifier, place)
