"""The window: workspaces, menus, notices, the status bar; what is the same in all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from PySide6.QtCore import QByteArray, Qt
from PySide6.QtGui import QCloseEvent, QDragEnterEvent, QDropEvent, QGuiApplication
from PySide6.QtWidgets import QApplication, QFileDialog, QMainWindow, QStackedWidget, QToolBar, QVBoxLayout, QWidget

from foliolab.framework.errors import FolioLabError
from foliolab.gui.about import about
from foliolab.gui.commandpalette import CommandPalette
from foliolab.gui.commands import Command, Commands
from foliolab.gui.exporting import FORMS, Exportable, export
from foliolab.gui.jobs import Jobs, JobsChip
from foliolab.gui.library import Library
from foliolab.gui.notices import Notices
from foliolab.gui.plugin_docks import PluginDocks
from foliolab.gui.settings import Settings
from foliolab.gui.theme import Theme, Themes
from foliolab.gui.tours.guide import Guide
from foliolab.gui.tours.tour import TOURS, Tour
from foliolab.gui.undoing import Undo
from foliolab.gui.workspace import Desk, Workspace

LAYOUT: Final = 1
"""Version of the docks; another one's layout is not restored."""
SIZE: Final = (1400, 900)
MENUS: Final = ("&File", "&Edit", "&Run", "&View", "&Go", "&Help")
FILES: Final = (
    "All that can be opened (*.json *.py *.scenario *.foliotrace *.trace);;Results and counterexamples (*.json);;"
    "Policies (*.py);;Scenarios (*.scenario);;All files (*)"
)


class Window(QMainWindow):
    """The program's one window.

    Args:
        settings, themes, library: see `workspace.Desk`.
        places: classes of workspaces, in their order; the first is home.
    """

    def __init__(self, settings: Settings, themes: Themes, library: Library, places: Sequence[type[Workspace]]) -> None:
        super().__init__()
        self.setWindowTitle("FolioLab")
        self.setAcceptDrops(True)
        self.settings, self.themes, self.library = settings, themes, library
        self.jobs = Jobs(self)
        self.notices = Notices()
        self.commands = Commands(self)
        self.undo = Undo(self.commands, self)
        self.palette_ = CommandPalette(self.commands, self)
        self.desk = Desk(
            settings, themes, self.commands, self.jobs, self.notices, self.undo, library, self.go, self.open, self.send,
            self.tour,
        )  # fmt: skip
        self.guide = Guide(self)
        self.stack = QStackedWidget()
        centre = QWidget()
        layout = QVBoxLayout(centre)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.guide)
        layout.addWidget(self.stack, 1)
        layout.addWidget(self.notices)
        self.setCentralWidget(centre)
        self.statusBar().addPermanentWidget(JobsChip(self.jobs))
        self.places: dict[str, Workspace] = {}
        self._bars: dict[str, QToolBar] = {}
        self._bar = self._places_bar()
        self._closed = False
        self.commands.add(*self._always())
        self.undo.tell()
        for place in places:
            self._add(place)
        self._plugin_docks = PluginDocks(self)
        self._menus()
        themes.changed.connect(self._paint)
        library.changed.connect(self._refresh)
        self._paint(themes.now)
        self._restore(places[0].name)
        if settings.note:
            self.notices.say(settings.note, "warning")

    # -- building --------------------------------------------------------------------------------------
    def _places_bar(self) -> QToolBar:
        bar = QToolBar("Workspaces")
        bar.setObjectName("places")
        bar.setMovable(False)
        bar.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextUnderIcon)
        self.addToolBar(Qt.ToolBarArea.LeftToolBarArea, bar)
        return bar

    def _add(self, kind: type[Workspace]) -> None:
        place = kind(self.desk)
        self.places[place.name] = place
        self.stack.addWidget(place)
        opener = _Opener(self, place.name)
        command = Command(
            f"go.{place.name}", place.title, opener.go, "&Go", (place.keys,), place.tip, place.icon, checkable=False
        )
        self.commands.add(command)
        action = self.commands.action(command.name)
        action.setCheckable(True)
        self._bar.addAction(action)
        self.commands.add(*place.offered(), host=place)
        bar = QToolBar(f"{place.accessibleName()} tools")
        bar.setObjectName(f"tools.{place.name}")
        bar.setMovable(False)
        self.commands.furnish(bar, place.name)
        if bar.actions():
            place.addToolBar(bar)
            self._bars[place.name] = bar

    def _always(self) -> list[Command]:
        return [
            *self.undo.commands(),
            Command("file.open", "&Open…", self.ask_file, "&File", ("Ctrl+O",), "Open a result, scenario, "
                    "counterexample, trace or policy file", "open"),
            Command("file.export", "&Export picture or table…", self.ask_export, "&File", ("Ctrl+E",),
                    "Save what is on screen as PNG, SVG or CSV", "export"),
            Command("file.command", "&Copy the command that repeats this", self.copy_command, "&File",
                    ("Ctrl+Shift+C",), "Copy the exact command line for what is on screen", "copy"),
            Command("file.quit", "&Quit", self.close, "&File", ("Ctrl+Q",), "End FolioLab", breaks=True),
            Command("view.palette", "Command &palette…", self.palette_.ask, "&View", ("Ctrl+Shift+P",),
                    "Find any command by a few letters", "search"),
            Command("view.theme", "&Dark or light", self.toggle_theme, "&View", ("Ctrl+Shift+D",),
                    "Change between the dark and the light theme", "theme"),
            Command("view.reset", "&Reset layout", self.reset_layout, "&View", (), "Put all docks back in their place"),
            Command("view.notices", "Close all &notices", self.notices.clear, "&View", ("Ctrl+Shift+N",),
                    "Close all notices"),
            *(Command(f"help.tour.{tour.name}", f"Tour: {tour.title}", _Starter(self, tour).start, "&Help", (),
                      tour.summary) for tour in TOURS),
            Command("help.about", "&About FolioLab", self.about, "&Help", (), "Versions and where to read on",
                    breaks=True),
        ]  # fmt: skip

    def _menus(self) -> None:
        menus = self.commands.fill(self.menuBar(), MENUS)
        self._view = menus["&View"]
        self._view.aboutToShow.connect(self._list_docks)

    def _list_docks(self) -> None:
        """The docks of the workspace in front, at the end of the View menu."""
        for action in self._view.actions():
            if action.property("dock"):
                self._view.removeAction(action)
        for dock in self.here.docks.values():
            action = dock.toggleViewAction()
            action.setProperty("dock", True)
            self._view.addAction(action)

    def _restore(self, home: str) -> None:
        self.fresh = {name: place.saveState(LAYOUT) for name, place in self.places.items()}
        if not self.restoreGeometry(self.settings.state("window/geometry")):
            self.resize(*SIZE)
        for name, place in self.places.items():
            place.restoreState(self.settings.state(f"{name}/docks"), LAYOUT)
        wanted = self.settings.text("window/place", home)
        self.go(wanted if wanted in self.places else home)

    # -- what is in front ------------------------------------------------------------------------------
    @property
    def here(self) -> Workspace:
        """The workspace in front."""
        found = self.stack.currentWidget()
        assert isinstance(found, Workspace)
        return found

    def go(self, name: str) -> None:
        """Show a workspace."""
        before, after = self.here, self.places[name]
        if before is not after:
            before.hidden()
        self.stack.setCurrentWidget(after)
        for one in self.places:
            self.commands.action(f"go.{one}").setChecked(one == name)
        self.commands.enter(name)
        self.setWindowTitle(f"{after.accessibleName()} · FolioLab")
        after.shown()

    def send(self, name: str, what: object) -> None:
        """Show a workspace with something in it; what goes wrong is a notice."""
        self.go(name)
        try:
            self.places[name].receive(what)
        except FolioLabError as fault:
            self.notices.fault(fault)

    def open(self, path: Path) -> bool:
        """Open a file in the workspace that takes it; whether one did."""
        for name, place in self.places.items():
            try:
                if place.takes(path):
                    self.go(name)
                    place.show_file(path)
                    self.settings.remember("window/files", str(path))
                    return True
            except FolioLabError as fault:
                self.notices.fault(fault)
                return False
        self.notices.say(
            f"{path.name} is nothing that FolioLab opens", "error",
            "It opens results and counterexamples (.json), scenarios (.scenario), recorded traces and policies (.py).",
        )  # fmt: skip
        return False

    def tour(self, tour: Tour) -> None:
        """Lead through a tour."""
        self.guide.start(tour)

    # -- commands --------------------------------------------------------------------------------------
    def ask_file(self) -> None:
        """Ask for a file, and open it."""
        path, _ = QFileDialog.getOpenFileName(self, "Open", self.settings.text("window/folder"), FILES)
        if path:
            self.settings.keep("window/folder", str(Path(path).parent))
            self.open(Path(path))

    def ask_export(self) -> None:
        """Ask where to, and export what is on screen."""
        offered = list(self.here.exportables())
        if not offered:
            self.notices.say("there is nothing on screen to export yet", "information")
            return
        wanted = self._which(offered)
        if wanted is None:
            return
        filters = ";;".join(FORMS[form] for form in wanted.forms)
        start = Path(self.settings.text("window/exports")) / f"{self.here.name}-{wanted.name}{wanted.forms[0]}"
        path, chosen = QFileDialog.getSaveFileName(self, f"Export: {wanted.title}", str(start), filters)
        if path:
            form = next((one for one, text in FORMS.items() if text == chosen), wanted.forms[0])
            self.export(wanted, Path(path) if Path(path).suffix in wanted.forms else Path(path + form))

    def _which(self, offered: list[Exportable]) -> Exportable | None:
        if len(offered) == 1:
            return offered[0]
        from PySide6.QtWidgets import QInputDialog

        titles = [one.title for one in offered]
        title, sure = QInputDialog.getItem(self, "Export", "What to export:", titles, 0, False)
        return offered[titles.index(title)] if sure else None

    def export(self, what: Exportable, path: Path) -> None:
        """Write a picture or table; says where, or why not."""
        try:
            export(what, path)
        except FolioLabError as fault:
            self.notices.fault(fault)
            return
        self.settings.keep("window/exports", str(path.parent))
        self.notices.say(f"{what.title} written to {path}")

    def copy_command(self) -> None:
        """Copy the command line that repeats what is on screen."""
        line = self.here.command_line
        if line:
            QGuiApplication.clipboard().setText(line)
            self.statusBar().showMessage(f"Copied: {line}", 8000)
        else:
            self.notices.say("choose something first: there is nothing on screen that a command could repeat")

    def toggle_theme(self) -> None:
        """From dark to light, and back."""
        self.themes.toggle()
        self.settings.keep("window/theme", self.themes.now.name)

    def reset_layout(self) -> None:
        """Put all docks back in their first place."""
        before = {name: place.saveState(LAYOUT) for name, place in self.places.items()}
        self.undo.change("Reset layout", self._reset, lambda: self._arrange(before))

    def _reset(self) -> None:
        for place in self.places.values():
            for dock in place.docks.values():
                dock.show()
                dock.setFloating(False)
        self._arrange(self.fresh)
        for name in self.places:
            self.settings.forget(f"{name}/docks")
        self.statusBar().showMessage("The layout is as it was at first", 4000)

    def _arrange(self, states: Mapping[str, QByteArray]) -> None:
        for name, place in self.places.items():
            place.restoreState(states[name], LAYOUT)

    def about(self) -> None:
        """Versions and where to read on."""
        about(self)

    # -- events ----------------------------------------------------------------------------------------
    def _paint(self, theme: Theme) -> None:
        self.commands.paint(theme)
        for place in self.places.values():
            place.paint(theme)

    def _refresh(self) -> None:
        for place in self.places.values():
            place.refresh()

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Files can be dropped anywhere."""
        if event.mimeData().hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """Open what was dropped."""
        for url in event.mimeData().urls():
            if url.isLocalFile():
                self.open(Path(url.toLocalFile()))
        event.acceptProposedAction()

    def closeEvent(self, event: QCloseEvent) -> None:
        """Remember the layout, and end everything that runs."""
        if not self._closed:
            self._closed = True
            self._keep()
            self.jobs.shut()
            for place in self.places.values():
                place.shut()
        super().closeEvent(event)

    def _keep(self) -> None:
        self.settings.keep("window/geometry", self.saveGeometry())
        self.settings.keep("window/place", self.here.name)
        self.settings.keep("window/policies", self.library.files)
        for name, place in self.places.items():
            self.settings.keep(f"{name}/docks", place.saveState(LAYOUT))
            place.keep(self.settings)
        self.settings.write()


class _Opener:
    """Shows one workspace."""

    def __init__(self, window: Window, name: str) -> None:
        self._window = window
        self._name = name

    def go(self) -> None:
        """Show it."""
        self._window.go(self._name)


class _Starter:
    """Starts one tour."""

    def __init__(self, window: Window, tour: Tour) -> None:
        self._window = window
        self._tour = tour

    def start(self) -> None:
        """Start it."""
        self._window.tour(self._tour)


def application() -> QApplication:
    """The running application."""
    found = QApplication.instance()
    assert isinstance(found, QApplication)
    return found
