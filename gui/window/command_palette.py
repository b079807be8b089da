"""The palette (Ctrl+K): finds a command, policy, workload, scenario, step or file by some of its letters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from PySide6.QtCore import QEvent, QObject, QSize, Qt, QTimer
from PySide6.QtGui import QIcon, QKeyEvent
from PySide6.QtWidgets import QDialog, QLineEdit, QListWidget, QListWidgetItem, QWidget

from foliolab.framework.escaping import visible
from foliolab.gui.window.building import column, named
from foliolab.gui.window.finding import Findable
from foliolab.gui.window.plain import tip

THING: Final = Qt.ItemDataRole.UserRole
MOST: Final = 80
"""Rows shown; who wants others types more."""
PAUSE: Final = 120
"""Milliseconds without a key after which things that take longer to find are asked for."""
SIZE: Final = (620, 400)
ROW: Final = 24
"""Pixels of a row."""
More = Callable[[str, Callable[[Sequence[Findable]], None]], None]


class CommandPalette(QDialog):
    """The list of what can be found, filtered by what is typed.

    Args:
        things: makes what is known at once; called each time the palette opens.
        more: asks for what takes longer, such as the steps of a run that say what was typed.
        parent: the window.
    """

    def __init__(self, things: Callable[[], Sequence[Findable]], more: More, parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self.setAccessibleName("Command palette")
        self._make, self._ask_more, self._window = things, more, parent
        self._things: list[Findable] = []
        self._late: list[Findable] = []
        self.entry = QLineEdit(placeholderText="Type letters of a command, policy, workload, scenario, step or file")
        named(self.entry, "What to find")
        self.entry.textChanged.connect(self._typed)
        self.entry.installEventFilter(self)
        self.list = named(QListWidget(), "What matches")
        self.list.itemActivated.connect(self._choose)
        self._pause = QTimer(self, singleShot=True, interval=PAUSE)
        self._pause.timeout.connect(self._ask)
        column(self.entry, self.list, of=self)

    def ask(self) -> None:
        """Show the palette in the upper half of the window."""
        parent = self._window
        self._things = list(self._make())
        self.entry.clear()
        self._typed("")
        self.resize(min(SIZE[0], parent.width() - 20), min(SIZE[1], parent.height() - 20))
        corner = parent.mapToGlobal(parent.rect().topLeft())
        down = min(parent.height() // 8, parent.height() - self.height())
        self.move(corner.x() + (parent.width() - self.width()) // 2, corner.y() + down)
        self.show()
        self.entry.setFocus()

    def _typed(self, wanted: str) -> None:
        self._late = []
        self._fill(wanted)
        if wanted.strip():
            self._pause.start()
        else:
            self._pause.stop()

    def _ask(self) -> None:
        wanted = self.entry.text().strip()
        if wanted and self.isVisible():
            self._ask_more(wanted, partial(self._came, wanted))

    def _came(self, wanted: str, found: Sequence[Findable]) -> None:
        """Add what was found meanwhile, unless something else is typed by now; the chosen row stays chosen."""
        if found and self.isVisible() and wanted == self.entry.text().strip():
            chosen = self.list.currentItem().text() if self.list.currentRow() > 0 else ""
            self._late += found
            self._fill(self.entry.text())
            for again in self.list.findItems(chosen, Qt.MatchFlag.MatchExactly) if chosen else ():
                self.list.setCurrentItem(again)

    def _fill(self, wanted: str) -> None:
        self.list.clear()
        matching = []
        for at, one in enumerate(self._things):
            if (cost := one.cost(wanted)) is not None:
                matching.append((not one.can, cost, at, one))
        matching += [(not one.can, 0, len(self._things) + at, one) for at, one in enumerate(self._late)]
        for _, _, _, one in sorted(matching, key=lambda row: row[:3])[:MOST]:
            self.list.addItem(self._item(one))
        self.list.setCurrentRow(0)

    def _item(self, one: Findable) -> QListWidgetItem:
        text = visible(f"{one.title}    {one.keys}" if one.keys else one.title)
        item = QListWidgetItem(one.icon or QIcon(), text)
        item.setData(THING, one)
        item.setToolTip(tip(one.details or one.title))
        item.setSizeHint(QSize(0, ROW))
        if not one.can:
            item.setFlags(item.flags() & ~Qt.ItemFlag.ItemIsEnabled)
        return item

    def _choose(self, item: QListWidgetItem) -> None:
        one = item.data(THING)
        self.hide()
        if isinstance(one, Findable) and one.can:
            one.go()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Send arrow keys from the entry to the list; Return chooses the row."""
        if watched is self.entry and isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            if event.key() in (Qt.Key.Key_Down, Qt.Key.Key_Up, Qt.Key.Key_PageDown, Qt.Key.Key_PageUp):
                self.list.event(event)
                return True
            if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
                item = self.list.currentItem()
                if item is not None:
                    self._choose(item)
                return True
        return super().eventFilter(watched, event)
