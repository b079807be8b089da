"""The command palette (Ctrl+Shift+P): finds a command by some of its letters."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QAction, QKeyEvent, QKeySequence
from PySide6.QtWidgets import QDialog, QLineEdit, QListWidget, QListWidgetItem, QWidget

from foliolab.gui.window.building import column, named
from foliolab.gui.window.commands import Commands
from foliolab.gui.window.plain import tip

ACTION = Qt.ItemDataRole.UserRole


def rank(wanted: str, text: str) -> int | None:
    """How well a text matches what was typed; lower is better.

    All typed letters must occur in the text in this order. Letters at the beginning of words, and letters that follow
    each other closely, rank better.

    Returns:
        the cost; None if the text does not match.
    """
    cost, at = 0, 0
    low = text.lower()
    for letter in wanted.lower():
        if letter == " ":
            continue
        found = low.find(letter, at)
        if found < 0:
            return None
        starts = found == 0 or not low[found - 1].isalnum()
        cost += (0 if starts else 2) + (found - at)
        at = found + 1
    return cost


class CommandPalette(QDialog):
    """The list of active commands, filtered by what is typed."""

    def __init__(self, commands: Commands, parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self.setAccessibleName("Command palette")
        self._commands = commands
        self._window = parent
        self.entry = named(QLineEdit(placeholderText="Type letters of a command"), "Command")
        self.entry.textChanged.connect(self._filter)
        self.entry.installEventFilter(self)
        self.list = named(QListWidget(), "Matching commands")
        self.list.itemActivated.connect(self._choose)
        column(self.entry, self.list, of=self)
        self.resize(560, 380)

    def ask(self) -> None:
        """Show the palette in the upper half of the window."""
        parent = self._window
        self.entry.clear()
        self._filter("")
        corner = parent.mapToGlobal(parent.rect().topLeft())
        self.move(corner.x() + (parent.width() - self.width()) // 2, corner.y() + parent.height() // 8)
        self.show()
        self.entry.setFocus()

    def _filter(self, wanted: str) -> None:
        self.list.clear()
        matching = []
        for command, action in self._commands.active():
            text = f"{command.menu}: {command.plain}" if command.menu else command.plain
            cost = rank(wanted, command.plain)
            cost = rank(wanted, text) if cost is None else cost
            if cost is not None:
                matching.append((not action.isEnabled(), cost, text, action))
        for _, _, text, action in sorted(matching, key=lambda row: row[:3]):
            self._offer(text, action)
        self.list.setCurrentRow(0)

    def _offer(self, text: str, action: QAction) -> None:
        keys = action.shortcut().toString(QKeySequence.SequenceFormat.NativeText)
        item = QListWidgetItem(action.icon(), f"{text}    {keys}" if keys else text)
        item.setData(ACTION, action)
        item.setToolTip(tip(action.toolTip()))
        if not action.isEnabled():
            item.setFlags(item.flags() & ~Qt.ItemFlag.ItemIsEnabled)
        self.list.addItem(item)

    def _choose(self, item: QListWidgetItem) -> None:
        action = item.data(ACTION)
        self.hide()
        if isinstance(action, QAction):
            action.trigger()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Send arrow keys from the entry to the list; Return runs the selected command."""
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
