"""All actions of the window in one registry: it feeds menus, tool bars, shortcuts and the palette."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QMenu, QMenuBar, QToolBar, QWidget

from foliolab.framework.errors import UsageError
from foliolab.gui.window.icons import icon
from foliolab.gui.window.theme import Theme


@dataclass(frozen=True)
class Command:
    """An action, as it is declared.

    Args:
        name: unique, such as `explore.play`.
        text: as a menu shows it, with & before the letter of its mnemonic.
        run: a bound method without arguments; with a truth value if `checkable`.
        menu: the menu's title; empty for none (it is in the palette all the same).
        keys: shortcuts.
        tip: one sentence.
        icon: a name of `icons`.
        checkable: whether it is on or off.
        workspace: the workspace whose tool bar and menus have it; empty for everywhere.
        bar: whether the workspace's tool bar has it.
        breaks: whether a separator stands before it in its menu.
        word: what stands beside the icon on the tool bar; empty for the icon alone.
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
        """The text without its mnemonic."""
        return self.text.replace("&&", "\0").replace("&", "").replace("\0", "&").removesuffix("…")


class Commands(QObject):
    """The registry. Names and shortcuts are unique among the commands that can be active together."""

    ran = Signal(str)

    def __init__(self, window: QWidget) -> None:
        super().__init__(window)
        self._window = window
        self._commands: dict[str, Command] = {}
        self._actions: dict[str, QAction] = {}
        self._workspace = ""

    def add(self, *commands: Command, host: QWidget | None = None) -> None:
        """Register commands.

        Args:
            host: the widget in which their shortcuts hold; the whole window by default.

        Raises:
            UsageError: a name or a shortcut is taken.
        """
        for command in commands:
            self._check(command)
            action = QAction(command.text, self._window)
            action.setObjectName(command.name)
            action.setCheckable(command.checkable)
            action.setShortcuts([QKeySequence(keys) for keys in command.keys])
            shown = action.shortcut().toString(QKeySequence.SequenceFormat.NativeText)
            tip = command.tip or command.plain
            action.setToolTip(f"{tip} ({shown})" if shown else tip)
            action.setStatusTip(tip)
            (action.toggled if command.checkable else action.triggered).connect(_Runner(self, command, action).run)
            (host or self._window).addAction(action)
            self._commands[command.name] = command
            self._actions[command.name] = action
            self._show(command)

    def _check(self, command: Command) -> None:
        if command.name in self._commands:
            raise UsageError(f"the command {command.name} is there twice", "choose another name")
        for keys in command.keys:
            for other in self._commands.values():
                together = not other.workspace or not command.workspace or other.workspace == command.workspace
                if together and keys in other.keys:
                    raise UsageError(f"{keys} means {other.name} and {command.name}", "choose another shortcut")

    def action(self, name: str) -> QAction:
        """The action of a command."""
        return self._actions[name]

    def trigger(self, name: str) -> None:
        """Do it, as a menu would."""
        self._actions[name].trigger()

    def enable(self, name: str, can: bool) -> None:
        """Whether it can be done now."""
        self._actions[name].setEnabled(can)

    def enter(self, workspace: str) -> None:
        """A workspace is shown: its commands are active, those of the others are not."""
        self._workspace = workspace
        for command in self._commands.values():
            self._show(command)

    def _show(self, command: Command) -> None:
        self._actions[command.name].setVisible(not command.workspace or command.workspace == self._workspace)

    def active(self) -> Iterator[tuple[Command, QAction]]:
        """Commands that can be found in the palette now."""
        for name, command in self._commands.items():
            if self._actions[name].isVisible():
                yield command, self._actions[name]

    def fill(self, bar: QMenuBar, titles: tuple[str, ...]) -> dict[str, QMenu]:
        """Make the menus, in this order."""
        menus = {title: bar.addMenu(title) for title in titles}
        for command in self._commands.values():
            menu = menus.get(command.menu)
            if menu is not None:
                if command.breaks:
                    menu.addSeparator()
                menu.addAction(self._actions[command.name])
        return menus

    def furnish(self, bar: QToolBar, workspace: str) -> None:
        """Put a workspace's commands on its tool bar."""
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
        """Draw the icons in the theme's colours."""
        for name, command in self._commands.items():
            if command.icon:
                self._actions[name].setIcon(icon(command.icon, theme))


class _Runner(QObject):
    """Runs a command and says so; an object, since a lambda would outlive what it captures."""

    def __init__(self, commands: Commands, command: Command, action: QAction) -> None:
        super().__init__(action)
        self._commands = commands
        self._command = command

    def run(self, on: bool = False) -> None:
        """Do it."""
        if self._command.checkable:
            self._command.run(on)
        else:
            self._command.run()
        self._commands.ran.emit(self._command.name)
