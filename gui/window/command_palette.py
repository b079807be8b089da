"""The command palette: type a few letters of what you want to do (Ctrl+Shift+P)."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QAction, QKeyEvent, QKeySequence
from PySide6.QtWidgets import QDialog, QLineEdit, QListWidget, QListWidgetItem, QVBoxLayout, QWidget

from foliolab.gui.window.commands import Commands

ACTION = Qt.ItemDataRole.UserRole


def rank(wanted: str, text: str) -> int | None:
    """How well a text fits what was typed: its letters in order, words' beginnings best; None if it does not.

    Lower is better.
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
    """A list of all commands that can be run now, narrowed by typing."""

    def __init__(self, commands: Commands, parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self.setAccessibleName("Command palette")
        self._commands = commands
        self._window = parent
        self.entry = QLineEdit(placeholderText="Type what you want to do")
        self.entry.setAccessibleName("Command")
        self.entry.textChanged.connect(self._narrow)
        self.entry.installEventFilter(self)
        self.list = QListWidget()
        self.list.setAccessibleName("Commands that fit")
        self.list.itemActivated.connect(self._choose)
        layout = QVBoxLayout(self)
        layout.addWidget(self.entry)
        layout.addWidget(self.list)
        self.resize(560, 380)

    def ask(self) -> None:
        """Show it in the middle of the window's upper half."""
        parent = self._window
        self.entry.clear()
        self._narrow("")
        corner = parent.mapToGlobal(parent.rect().topLeft())
        self.move(corner.x() + (parent.width() - self.width()) // 2, corner.y() + parent.height() // 8)
        self.show()
        self.entry.setFocus()

    def _narrow(self, wanted: str) -> None:
        self.list.clear()
        fitting = []
        for command, action in self._commands.active():
            text = f"{command.menu}: {command.plain}" if command.menu else command.plain
            cost = rank(wanted, command.plain)
            cost = rank(wanted, text) if cost is None else cost
            if cost is not None:
                fitting.append((not action.isEnabled(), cost, text, action))
        for _, _, text, action in sorted(fitting, key=lambda one: one[:3]):
            self._offer(text, action)
        self.list.setCurrentRow(0)

    def _offer(self, text: str, action: QAction) -> None:
        keys = action.shortcut().toString(QKeySequence.SequenceFormat.NativeText)
        item = QListWidgetItem(action.icon(), f"{text}    {keys}" if keys else text)
        item.setData(ACTION, action)
        item.setToolTip(action.toolTip())
        if not action.isEnabled():
            item.setFlags(item.flags() & ~Qt.ItemFlag.ItemIsEnabled)
        self.list.addItem(item)

    def _choose(self, item: QListWidgetItem) -> None:
        action = item.data(ACTION)
        self.hide()
        if isinstance(action, QAction):
            action.trigger()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Arrow keys move in the list while the entry has the focus; Return runs."""
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
