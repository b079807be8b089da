"""The registry of all actions: menus, tool bars, shortcuts and the command palette are filled from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QMenu, QMenuBar, QToolBar, QWidget

from foliolab.framework.errors import UsageError
from foliolab.gui.window import plain
from foliolab.gui.window.icons import icon
from foliolab.gui.window.theme import Theme


@dataclass(frozen=True)
class Command:
    """The declaration of an action.

    Args:
        name: unique, such as `explore.play`.
        text: as the menu shows it, with & before the letter of its mnemonic.
        run: called without arguments; if `checkable`, with the new state.
        menu: the title of the menu; empty if only the palette offers the action.
        keys: shortcuts.
        tip: one sentence.
        icon: a name of `icons`.
        checkable: whether the action is on or off.
        workspace: the workspace that has the action; empty for all.
        bar: whether the tool bar of the workspace has the action.
        breaks: whether a separator stands before the action in its menu.
        word: the text beside the icon on the tool bar; empty for the icon alone.
    """

    name: str
    text: str
    run: Callable[..., object]
    menu: str = ""
    keys: tuple[str, ...] = ()
    tip: str = ""
    icon: str = ""
    checkable: bool = False
    workspace: str = ""
    bar: bool = False
    breaks: bool = False
    word: str = ""

    @property
    def plain(self) -> str:
        """The text without the mark of its mnemonic."""
        return self.text.replace("&&", "\0").replace("&", "").replace("\0", "&").removesuffix("…")


class Commands(QObject):
    """The registry. Names are unique; shortcuts are unique among the commands that can be active together.

    Signals:
        ran: the name of a command that has run.

    Attributes:
        pointed: the widget whose context menu was opened last; None after a command has run.
    """

    ran = Signal(str)

    def __init__(self, window: QWidget) -> None:
        super().__init__(window)
        self._window = window
        self._commands: dict[str, Command] = {}
        self._actions: dict[str, QAction] = {}
        self._workspace = ""
        self.pointed: QWidget | None = None

    def add(self, *commands: Command, host: QWidget | None = None) -> None:
        """Register commands.

        Args:
            host: the widget in which the shortcuts work; the whole window by default.

        Raises:
            UsageError: a name or a shortcut is already used.
        """
        for command in commands:
            self._check(command)
            action = QAction(command.text, self._window)
            action.setObjectName(command.name)
            action.setCheckable(command.checkable)
            action.setShortcuts([QKeySequence(keys) for keys in command.keys])
            shown = action.shortcut().toString(QKeySequence.SequenceFormat.NativeText)
            tip = command.tip or command.plain
            action.setToolTip(plain.tip(f"{tip} ({shown})" if shown else tip))
            action.setStatusTip(tip)
            (action.toggled if command.checkable else action.triggered).connect(_Runner(self, command, action).run)
            (host or self._window).addAction(action)
            self._commands[command.name] = command
            self._actions[command.name] = action
            self._show(command)

    def _check(self, command: Command) -> None:
        if command.name in self._commands:
            raise UsageError(f"the command name {command.name} is already used", "choose another name")
        for keys in command.keys:
            for other in self._commands.values():
                both_active = not other.workspace or not command.workspace or other.workspace == command.workspace
                if both_active and keys in other.keys:
                    raise UsageError(
                        f"the shortcut {keys} of {command.name} is already used by {other.name}",
                        "choose another shortcut",
                    )

    def action(self, name: str) -> QAction:
        return self._actions[name]

    def trigger(self, name: str) -> None:
        """Run a command as its menu entry would."""
        self._actions[name].trigger()

    def enable(self, name: str, can: bool) -> None:
        """Set whether a command can run now."""
        self._actions[name].setEnabled(can)

    def enter(self, workspace: str) -> None:
        """Activate the commands of a workspace, and deactivate those of the others."""
        self._workspace = workspace
        for command in self._commands.values():
            self._show(command)

    def _show(self, command: Command) -> None:
        self._actions[command.name].setVisible(not command.workspace or command.workspace == self._workspace)

    def active(self) -> Iterator[tuple[Command, QAction]]:
        """The commands of the window and of the workspace in front, with their actions."""
        for name, command in self._commands.items():
            if self._actions[name].isVisible():
                yield command, self._actions[name]

    def all(self) -> Iterator[tuple[Command, QAction, bool]]:
        """All commands with their actions, and whether each is one of the window or of the workspace in front."""
        for name, command in self._commands.items():
            yield command, self._actions[name], self._actions[name].isVisible()

    def fill(self, bar: QMenuBar, titles: tuple[str, ...]) -> dict[str, QMenu]:
        """Make menus with these titles, in this order, and fill them."""
        menus = {title: bar.addMenu(title) for title in titles}
        for command in self._commands.values():
            menu = menus.get(command.menu)
            if menu is not None:
                if command.breaks:
                    menu.addSeparator()
                menu.addAction(self._actions[command.name])
        return menus

    def furnish(self, bar: QToolBar, workspace: str) -> None:
        """Put the commands of a workspace on its tool bar."""
        bar.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        for command in self._commands.values():
            if command.bar and command.workspace == workspace:
                action = self._actions[command.name]
                if command.word:
                    action.setIconText(command.word)
                else:
                    action.setPriority(QAction.Priority.LowPriority)
                bar.addAction(action)

    def paint(self, theme: Theme) -> None:
        """Draw the icons in the colours of a theme."""
        for name, command in self._commands.items():
            if command.icon:
                self._actions[name].setIcon(icon(command.icon, theme))


class _Runner(QObject):
    """Runs a command and emits `ran`.

    A QObject owned by the action: Qt disconnects it when the action is deleted. A lambda would stay connected and keep
    what it captures alive.
    """

    def __init__(self, commands: Commands, command: Command, action: QAction) -> None:
        super().__init__(action)
        self._commands = commands
        self._command = command

    def run(self, on: bool = False) -> None:
        if self._command.checkable:
            self._command.run(on)
        else:
            self._command.run()
        self._commands.pointed = None
        self._commands.ran.emit(self._command.name)
