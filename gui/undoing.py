"""What was changed, and how to take it back: one stack for the window."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtGui import QUndoCommand, QUndoStack
from PySide6.QtWidgets import QWidget

from foliolab.gui.commands import Command, Commands

MOST = 50
"""Changes that can be taken back."""


class _Change(QUndoCommand):
    """A change; it is done when it is pushed."""

    def __init__(self, text: str, do: Callable[[], object], back: Callable[[], object]) -> None:
        super().__init__(text)
        self._do, self._back = do, back

    def redo(self) -> None:
        """Do it."""
        self._do()

    def undo(self) -> None:
        """Take it back."""
        self._back()


class Undo(QUndoStack):
    """The changes of the window, the newest last.

    Args:
        commands: gets Undo and Redo, whose texts say what they would do.
        window: around everything.
    """

    def __init__(self, commands: Commands, window: QWidget) -> None:
        super().__init__(window)
        self.setUndoLimit(MOST)
        self._commands = commands
        self.indexChanged.connect(self.tell)

    def commands(self) -> list[Command]:
        """Undo and Redo."""
        return [
            Command("edit.undo", "&Undo", self.undo, "&Edit", ("Ctrl+Z",), "Take the latest change back"),
            Command("edit.redo", "&Redo", self.redo, "&Edit", ("Ctrl+Shift+Z", "Ctrl+Y"),
                    "Change again what was taken back"),
        ]  # fmt: skip

    def change(self, text: str, do: Callable[[], object], back: Callable[[], object]) -> None:
        """Do something that can be taken back.

        Args:
            text: what it is, for the menu, such as "Remove mine.py".
            do, back: do it, also again; take it back.
        """
        self.push(_Change(text, do, back))

    def tell(self) -> None:
        """Say in the menu what would be undone."""
        for name, word, text, can in (
            ("edit.undo", "&Undo", self.undoText(), self.canUndo()),
            ("edit.redo", "&Redo", self.redoText(), self.canRedo()),
        ):
            self._commands.action(name).setText(f"{word}: {text}" if text else word)
            self._commands.enable(name, can)
