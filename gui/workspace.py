"""What every workspace is: docks of its own, commands, pictures to take along, the command that repeats it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDockWidget, QFrame, QMainWindow, QScrollArea, QWidget

from foliolab.gui.commands import Command, Commands
from foliolab.gui.exporting import Exportable
from foliolab.gui.jobs import Jobs
from foliolab.gui.library import Library
from foliolab.gui.notices import Notices
from foliolab.gui.settings import Settings
from foliolab.gui.theme import Theme, Themes
from foliolab.gui.tours.tour import Tour
from foliolab.gui.undoing import Undo


@dataclass(frozen=True)
class Desk:
    """What workspaces share.

    Args:
        settings: what is remembered.
        themes: the theme in use.
        commands: the registry of actions.
        jobs: long jobs.
        notices: quiet notices.
        undo: takes changes back.
        library: policies, workloads, patterns.
        go: show a workspace, by its name.
        open: open a file in the workspace that takes it; whether one did.
        send: show a workspace with something in it: (its name, what).
        tour: lead through a tour.
    """

    settings: Settings
    themes: Themes
    commands: Commands
    jobs: Jobs
    notices: Notices
    undo: Undo
    library: Library
    go: Callable[[str], None]
    open: Callable[[Path], bool]
    send: Callable[[str, object], None]
    tour: Callable[[Tour], None]


class Workspace(QMainWindow):
    """One task of the window: a centre, and docks around it.

    A subclass sets the class attributes, builds its widgets in `__init__` (which must be quick: what takes time
    happens in `shown`), and overrides what it needs of the rest.

    Attributes:
        name: unique, lower case.
        title: with & before its mnemonic.
        icon: a name of `icons`.
        keys: the shortcut that shows it.
        tip: what it is for, in one sentence.
    """

    name: ClassVar[str] = ""
    title: ClassVar[str] = ""
    icon: ClassVar[str] = ""
    keys: ClassVar[str] = ""
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
        """Put a widget into a dock; its place is remembered by its name."""
        made = QDockWidget(title, self)
        made.setObjectName(f"{self.name}.{name}")
        made.setAccessibleName(title)
        made.setWidget(widget)
        self.addDockWidget(area, made)
        made.setVisible(shown)
        self.docks[name] = made
        return made

    def panel(self, widget: QWidget) -> QScrollArea:
        """A panel of controls for a dock: it scrolls where there is no room for all of it."""
        made = QScrollArea()
        made.setWidgetResizable(True)
        made.setFrameShape(QFrame.Shape.NoFrame)
        made.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        made.setWidget(widget)
        made.setMinimumWidth(widget.minimumSizeHint().width() + 14)
        return made

    def command(self, name: str, text: str, run: Callable[..., object], **options: object) -> Command:
        """A command of this workspace; `options` as `Command` takes them."""
        return Command(f"{self.name}.{name}", text, run, place=self.name, **options)  # type: ignore[arg-type]

    # -- to override -----------------------------------------------------------------------------------
    def offered(self) -> Sequence[Command]:
        """Commands that only this workspace has."""
        return ()

    def shown(self) -> None:
        """It has come to the front; called each time."""

    def hidden(self) -> None:
        """Another workspace has come to the front."""

    def paint(self, theme: Theme) -> None:
        """The theme has changed: draw own pictures anew."""

    def refresh(self) -> None:
        """The library has changed: a policy file was saved, a plugin came or went."""

    def exportables(self) -> Sequence[Exportable]:
        """Pictures and tables that are on screen now."""
        return ()

    def repeated(self) -> Sequence[str]:
        """The words of the command that repeats what is on screen, such as ["foliolab", "verify", "mm-id"]."""
        return ()

    def takes(self, path: Path) -> bool:
        """Whether a file is one that this workspace shows."""
        return False

    def show_file(self, path: Path) -> None:
        """Show a file that it takes.

        Raises:
            FolioLabError: it cannot be read.
        """

    def receive(self, what: object) -> None:
        """Show something that another workspace sent."""

    def keep(self, settings: Settings) -> None:
        """The window closes: remember what was chosen, under keys that begin with the workspace's name."""

    def shut(self) -> None:
        """End threads, timers and processes; called once."""

    @property
    def command_line(self) -> str:
        """The command that repeats what is on screen; empty where there is none."""
        words = list(self.repeated())
        for file in self.desk.library.files if words else ():
            if any(name in word for name in self.desk.library.names_of(file) for word in words):
                words += ["--plugin", file]
        return shlex.join(words)
