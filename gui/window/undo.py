"""The undo stack of the window."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from PySide6.QtGui import QUndoCommand, QUndoStack
from PySide6.QtWidgets import QWidget

from foliolab.gui.window.commands import Command, Commands

LIMIT: Final = 50
"""Changes that can be undone."""


class _Change(QUndoCommand):
    """A change as two functions; pushing it onto the stack calls `redo`."""

    def __init__(self, text: str, do: Callable[[], object], back: Callable[[], object]) -> None:
        super().__init__(text)
        self._do, self._back = do, back

    def redo(self) -> None:
        self._do()

    def undo(self) -> None:
        self._back()


class Undo(QUndoStack):
    """The changes made in the window, the newest last.

    Args:
        commands: gets Undo and Redo; their texts name the change.
        window: the parent.
    """

    def __init__(self, commands: Commands, window: QWidget) -> None:
        super().__init__(window)
        self.setUndoLimit(LIMIT)
        self._commands = commands
        self.indexChanged.connect(self.update_texts)

    def commands(self) -> list[Command]:
        """Undo and Redo."""
        return [
            Command("edit.undo", "&Undo", self.undo, "&Edit", ("Ctrl+Z",), "Undo the latest change"),
            Command("edit.redo", "&Redo", self.redo, "&Edit", ("Ctrl+Shift+Z", "Ctrl+Y"), "Redo what was undone"),
        ]

    def change(self, text: str, do: Callable[[], object], back: Callable[[], object]) -> None:
        """Make a change that can be undone.

        Args:
            text: names the change in the menu, such as "Remove mine.py".
            do: makes the change; called now, and again for each Redo.
            back: undoes the change.
        """
        self.push(_Change(text, do, back))

    def update_texts(self) -> None:
        """Name in the menu what Undo and Redo would change."""
        for name, word, text, can in (
            ("edit.undo", "&Undo", self.undoText(), self.canUndo()),
            ("edit.redo", "&Redo", self.redoText(), self.canRedo()),
        ):
            self._commands.action(name).setText(f"{word}: {text}" if text else word)
            self._commands.enable(name, can)
