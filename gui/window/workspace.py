"""The base class of workspaces: docks, commands, pictures to export, and the command line that repeats the view."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDockWidget, QFrame, QMainWindow, QScrollArea, QWidget

from foliolab.gui.window.commands import Command
from foliolab.gui.window.desk import Desk
from foliolab.gui.window.exporting import Exportable
from foliolab.gui.window.finding import Findable
from foliolab.gui.window.session_file import Files, State
from foliolab.gui.window.settings import Settings
from foliolab.gui.window.sharing import Shareable
from foliolab.gui.window.theme import Theme, paint_all


class Workspace(QMainWindow):
    """One task of the window: a central widget with docks around it.

    A subclass sets the class attributes, builds its widgets in `__init__` and overrides the hooks that it needs.
    `__init__` must be fast, because all workspaces are made before the window is shown; slow work belongs in `shown`.

    Attributes:
        name: unique, lower case; also the name of its icon (see `icons`).
        title: with & before its mnemonic.
        tip: one sentence for menus and tool tips.
    """

    STATE: ClassVar[type[State] | None] = None
    """What a session keeps of it; None for nothing."""
    name: ClassVar[str] = ""
    title: ClassVar[str] = ""
    tip: ClassVar[str] = ""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk
        self.docks: dict[str, QDockWidget] = {}
        self.setWindowFlags(Qt.WindowType.Widget)
        self.setDockNestingEnabled(True)
        self.setObjectName(self.name)
        self.setAccessibleName(self.title.replace("&", ""))

    def dock(
        self, name: str, title: str, widget: QWidget, area: Qt.DockWidgetArea, *, shown: bool = True
    ) -> QDockWidget:
        """Put a widget into a new dock. The saved layout finds the dock by its name."""
        made = QDockWidget(title, self)
        made.setObjectName(f"{self.name}.{name}")
        made.setAccessibleName(title)
        made.setWidget(widget)
        self.addDockWidget(area, made)
        made.setVisible(shown)
        self.docks[name] = made
        return made

    def panel(self, widget: QWidget) -> QScrollArea:
        """Make a scrolling panel of controls for a dock."""
        made = QScrollArea()
        made.setWidgetResizable(True)
        made.setFrameShape(QFrame.Shape.NoFrame)
        made.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        made.setWidget(widget)
        made.setMinimumWidth(widget.minimumSizeHint().width() + 14)
        return made

    def command(self, name: str, text: str, run: Callable[..., object], **options: object) -> Command:
        """Make a command of this workspace; `options` are the other arguments of `Command`."""
        return Command(f"{self.name}.{name}", text, run, workspace=self.name, **options)  # type: ignore[arg-type]

    def send_policy(self, workspace: str, policy: str, baseline: str) -> None:
        """Show a policy in another workspace; where policies are compared, beside a baseline."""
        policies = list(dict.fromkeys([baseline, policy]))
        self.desk.send(workspace, {"policy": policy, "policies": policies, "quick": True})

    # -- to override -----------------------------------------------------------------------------------
    def offered(self) -> Sequence[Command]:
        """Commands that only this workspace has."""
        return ()

    def shown(self) -> None:
        """Called each time the workspace comes to the front."""

    def hidden(self) -> None:
        """Called when another workspace comes to the front."""

    def paint(self, theme: Theme) -> None:
        """Called when the theme changes."""
        paint_all(self, theme)

    def refresh(self) -> None:
        """Called when the library changes: a policy file was saved, or a plugin was added or removed."""

    def exportables(self) -> Sequence[Exportable]:
        """Pictures and tables that are on screen now."""
        return ()

    def shareable(self) -> Shareable | None:
        """What is on screen, to be sent as one page; None if there is nothing to send."""
        return None

    def findables(self) -> Sequence[Findable]:
        """What the palette finds here, besides the commands: policies, workloads, steps."""
        return ()

    def find_later(self, wanted: str, tell: Callable[[Sequence[Findable]], None]) -> None:
        """Search for what takes longer than a moment, and call `tell` if something is found."""

    def state(self, files: Files) -> State | None:
        """What is shown, for a session; None for nothing. Files that it needs are added to `files`."""
        return None

    def restore(self, state: State, files: Files) -> None:
        """Show what a session kept.

        Raises:
            FolioLabError: it cannot be shown here.
        """

    def policy(self) -> str:
        """The policy that is chosen, as on the command line; empty for none."""
        return ""

    def place(self) -> str:
        """What is shown, in a few words, as the title of a bookmark; empty for nothing."""
        return ""

    def on_screen(self) -> dict[str, object]:
        """What is on screen, by words of the workspace's own; the stops of tours wait for it."""
        return {}

    def repeated(self) -> Sequence[str]:
        """The words of the command line that repeats the view, such as ["foliolab", "verify", "mm-id"]."""
        return ()

    def takes(self, path: Path) -> bool:
        """Whether this workspace can show a file."""
        return False

    def show_file(self, path: Path) -> None:
        """Show a file for which `takes` returned True.

        Raises:
            FolioLabError: the file cannot be read.
        """

    def show_object(self, what: object) -> None:
        """Show something that is neither a file nor choices, such as a counterexample or a result."""

    def choose(self, what: dict[str, Any]) -> None:
        """Set the choices of the workspace; each workspace has its own keys, such as "policy"."""

    def receive(self, what: object) -> None:
        """Show something that another workspace or a tour sent through `Desk.send`: a path, choices, or an object.

        Raises:
            FolioLabError: a file cannot be read, or a choice is not possible.
        """
        if isinstance(what, Path):
            self.show_file(what)
        elif isinstance(what, dict):
            self.choose(what)
        else:
            self.show_object(what)

    def keep(self, settings: Settings) -> None:
        """Called when the window closes: store choices under keys that begin with the workspace's name."""

    def shut(self) -> None:
        """Called once when the window closes: stop threads, timers and processes."""

    @property
    def command_line(self) -> str:
        """The command line that repeats the view, with the policy files that it needs; empty if there is none."""
        return shlex.join(self.with_plugins(self.repeated()))

    def with_plugins(self, words: Sequence[str]) -> list[str]:
        """The words of a command line, with the policy files that it needs."""
        found = list(words)
        for file in self.desk.library.files if found and "--plugin" not in found else ():
            if any(name in word for name in self.desk.library.names_of(file) for word in found):
                found += ["--plugin", file]
        return found
