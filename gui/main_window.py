"""The window: it holds the workspaces, and has the menus, the notices and the status bar that they share."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

from PySide6.QtCore import Qt
from PySide6.QtGui import QCloseEvent, QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QMainWindow, QStackedWidget, QToolBar, QWidget

from foliolab.framework.errors import FolioLabError
from foliolab.framework.verify import ledger
from foliolab.gui.tours.guide import Guide
from foliolab.gui.tours.tour import TOURS
from foliolab.gui.widgets.search_field import SearchField
from foliolab.gui.widgets.sheets import Sheets
from foliolab.gui.window import chosen_policy, dialogs, session
from foliolab.gui.window.building import FLUSH, column
from foliolab.gui.window.command_palette import CommandPalette
from foliolab.gui.window.commands import Command, Commands
from foliolab.gui.window.desk import Desk
from foliolab.gui.window.everything import FILES as OPENED
from foliolab.gui.window.everything import Everything
from foliolab.gui.window.foreign_files import ForeignFiles
from foliolab.gui.window.jobs import Jobs, JobsChip
from foliolab.gui.window.layouts import Layouts
from foliolab.gui.window.library import Library
from foliolab.gui.window.notices import Notices
from foliolab.gui.window.offered_files import OfferedFiles
from foliolab.gui.window.outputs import Outputs
from foliolab.gui.window.plugin_docks import PluginDocks
from foliolab.gui.window.recent import Recent
from foliolab.gui.window.session_file import SUFFIX
from foliolab.gui.window.sessions import Sessions
from foliolab.gui.window.settings import Settings
from foliolab.gui.window.theme import Theme, Themes
from foliolab.gui.window.undo import Undo
from foliolab.gui.window.workspace import Workspace

SIZE: Final = (1400, 900)
MENUS: Final = ("&File", "&Edit", "&Run", "&View", "&Go", "&Help")
FILES: Final = (
    "All that can be opened "
    "(*.json *.py *.c *.h *.patch *.diff *.scenario *.folio *.foliotrace *.trace *.folio-session);;"
    "Results and counterexamples (*.json);;Policies (*.py *.c);;Files of a kernel tree (*.c *.h *.patch *.diff);;"
    "Scenarios (*.scenario);;Traces (*.folio *.foliotrace *.trace);;Sessions (*.folio-session);;All files (*)"
)


class Window(QMainWindow):
    """The program's only window.

    Args:
        settings, themes, jobs, library: see `Desk`.
        kinds: the classes of the workspaces, in their order; the first is the home screen.
    """

    def __init__(
        self, settings: Settings, themes: Themes, jobs: Jobs, library: Library, kinds: Sequence[type[Workspace]]
    ) -> None:
        super().__init__()
        self.setWindowTitle("FolioLab")
        self.setAcceptDrops(True)
        self.settings, self.themes, self.jobs, self.library = settings, themes, jobs, library
        middle = QWidget()
        self.notices = Notices(middle)
        self.commands = Commands(self)
        self.undo = Undo(self.commands, self)
        jobs.setParent(self)
        data = ledger.folder().parent
        self.recent = Recent(data)
        self.desk = Desk(
            settings, themes, self.commands, self.jobs, self.notices, self.undo, library, self.recent, self.go,
            self.open, self.send, self.tour,
        )  # fmt: skip
        self.workspaces: dict[str, Workspace] = {}
        everything = Everything(self.desk, self.workspaces)
        self.palette_ = CommandPalette(everything.now, everything.later, self)
        self.sheets = Sheets(self.desk, self.workspaces, self)
        self.outputs = Outputs(self.desk, self, lambda: self.here)
        self.offered_files = OfferedFiles(library, self.notices, settings)
        self.foreign_files = ForeignFiles(self.desk, data / "imported")
        self.sessions = Sessions(self.desk, self.workspaces, data, lambda: self.here)
        self.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, self.sessions.dock)
        self.guide = Guide(self.desk, self, lambda name: self.workspaces[name].on_screen(), data / "tours")
        self.stack = QStackedWidget()
        column(self.guide, (self.stack, 1), of=middle, margins=FLUSH, spacing=0)
        self.setCentralWidget(middle)
        self.statusBar().addPermanentWidget(JobsChip(self.jobs))
        self._bar = self._workspaces_bar()
        self._closed = False
        self.commands.add(*self._always())
        self.undo.update_texts()
        for kind in kinds:
            self._add(kind)
        self._plugin_docks = PluginDocks(self.desk, self.workspaces, self)
        self._view = self.commands.fill(self.menuBar(), MENUS)["&View"]
        self._view.aboutToShow.connect(self._list_docks)
        themes.changed.connect(self._paint)
        library.changed.connect(self._refresh)
        self._paint(themes.now)
        self.layouts = Layouts(self.workspaces, settings)
        self._restore(kinds[0].name)
        if settings.note:
            self.notices.say(settings.note, "warning")

    # -- building --------------------------------------------------------------------------------------
    def _workspaces_bar(self) -> QToolBar:
        bar = QToolBar("Workspaces")
        bar.setObjectName("workspaces")
        bar.setMovable(False)
        bar.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextUnderIcon)
        self.addToolBar(Qt.ToolBarArea.LeftToolBarArea, bar)
        return bar

    def _add(self, kind: type[Workspace]) -> None:
        made = kind(self.desk)
        self.workspaces[made.name] = made
        self.stack.addWidget(made)
        show, keys = partial(self.go, made.name), f"Ctrl+{len(self.workspaces)}"
        command = Command(f"go.{made.name}", made.title, show, "&Go", (keys,), made.tip, made.name)
        self.commands.add(command)
        action = self.commands.action(command.name)
        action.setCheckable(True)
        self._bar.addAction(action)
        self.commands.add(*made.offered(), host=made)
        bar = QToolBar(f"{made.accessibleName()} tools")
        bar.setObjectName(f"tools.{made.name}")
        bar.setMovable(False)
        self.commands.furnish(bar, made.name)
        if bar.actions():
            made.addToolBar(bar)

    def _always(self) -> list[Command]:
        """The commands that every workspace has."""
        return [
            *self.undo.commands(),
            *self.sessions.commands(),
            Command("file.open", "&Open…", self.ask_file, "&File", ("Ctrl+O",), "Open a result, scenario, "
                    "counterexample, trace or policy file", "open"),
            Command("file.recent", "&Recent…", self.sheets.show_recent, "&File", ("Ctrl+Shift+R",),
                    "List every measurement and counterexample of this window, and the files opened last"),
            *self.outputs.commands(),
            Command("file.quit", "&Quit", self.close, "&File", ("Ctrl+Q",), "Quit FolioLab", breaks=True),
            Command("view.palette", "&Find anything…", self.palette_.ask, "&View", ("Ctrl+K", "Ctrl+Shift+P"),
                    "Find a command, policy, workload, scenario, step or file by some of its letters", "search"),
            Command("view.search", "&Search in this list", self.search, "&View", ("Ctrl+F",),
                    "Go to the search field of this workspace"),
            Command("view.theme", "&Dark or light", self.toggle_theme, "&View", ("Ctrl+Shift+D",),
                    "Switch between the dark and the light theme", "theme"),
            Command("view.reset", "&Reset layout", self.reset_layout, "&View", (),
                    "Put all docks back where they were first"),
            Command("view.history", "&History of notices…", self.sheets.show_history, "&View", (),
                    "Show what notices said in this session"),
            Command("view.notices", "Close all &notices", self.notices.clear, "&View", ("Ctrl+Shift+N",),
                    "Close all notices"),
            *chosen_policy.commands_of(lambda: self.here, self.notices),
            *(Command(f"help.tour.{tour.name}", f"Tour: {tour.title}", partial(self.tour, tour.name), "&Help", (),
                      tour.summary) for tour in TOURS),
            Command("help.shortcuts", "&Keyboard shortcuts…", self.sheets.show_shortcuts, "&Help", ("F1",),
                    "List all keyboard shortcuts", breaks=True),
            Command("help.glossary", "&Glossary…", self.sheets.show_glossary, "&Help", ("Shift+F1",),
                    "Show what each word means in FolioLab"),
            Command("help.about", "&About FolioLab", self.sheets.about, "&Help", (),
                    "Versions of FolioLab and its libraries", breaks=True),
        ]  # fmt: skip

    def _list_docks(self) -> None:
        """List the docks of the workspace in front at the end of the View menu."""
        for action in self._view.actions():
            if action.property("dock"):
                self._view.removeAction(action)
        for dock in self.here.docks.values():
            action = dock.toggleViewAction()
            action.setProperty("dock", True)
            self._view.addAction(action)

    def _restore(self, home: str) -> None:
        if not self.restoreGeometry(self.settings.state("window/geometry")):
            self.resize(*SIZE)
        self.layouts.restore()
        wanted = self.settings.text("window/workspace", home)
        self.go(wanted if wanted in self.workspaces else home)

    # -- the workspace in front ------------------------------------------------------------------------
    @property
    def here(self) -> Workspace:
        """The workspace in front."""
        found = self.stack.currentWidget()
        assert isinstance(found, Workspace)
        return found

    def go(self, name: str) -> None:
        """Show a workspace, by its name."""
        before, after = self.here, self.workspaces[name]
        if before is not after:
            before.hidden()
        self.stack.setCurrentWidget(after)
        for other in self.workspaces:
            self.commands.action(f"go.{other}").setChecked(other == name)
        self.commands.enter(name)
        self.setWindowTitle(f"{after.accessibleName()} · FolioLab")
        after.shown()

    def send(self, name: str, what: object) -> None:
        """Show a workspace and give it something to show. An error becomes a notice."""
        self.go(name)
        try:
            self.workspaces[name].receive(what)
        except FolioLabError as fault:
            self.notices.fault(fault)

    def open(self, path: Path) -> bool:
        """Open a file in the first workspace that takes it. An error becomes a notice.

        Returns:
            whether the file is shown, or will be once a job has read it.
        """
        if path.suffix == SUFFIX:
            return self.sessions.show(path)
        for name, workspace in self.workspaces.items():
            try:
                if workspace.takes(path):
                    self.go(name)
                    workspace.show_file(path)
                    self.settings.remember(OPENED, str(path))
                    return True
            except FolioLabError as fault:
                self.notices.fault(fault)
                return False
        if self.foreign_files.open(path):
            return True
        self.notices.say(
            f"FolioLab cannot open {path.name}", "error",
            "FolioLab opens results and counterexamples (.json), sessions (.folio-session), scenarios (.scenario), "
            "recorded traces (.folio), output of perf, trace-cmd, bpftrace and strace, policies "
            "(.py, .c), kernel trees (their folder, or tree:PATH) and patches of them (.patch).",
        )  # fmt: skip
        return False

    def tour(self, name: str) -> None:
        """Start a tour, by its name."""
        self.guide.start(next(tour for tour in TOURS if tour.name == name))

    # -- commands --------------------------------------------------------------------------------------
    def ask_file(self) -> None:
        """Ask for a file and open it."""
        path = dialogs.ask_open(self, self.settings, "Open", FILES)
        if path is not None:
            self.open(path)

    def search(self) -> None:
        """Go to the first search field that is shown; without one, open the palette."""
        fields = [one for one in self.here.findChildren(SearchField) if one.isVisible()]
        if fields:
            fields[0].setFocus()
            fields[0].selectAll()
        else:
            self.palette_.ask()

    def toggle_theme(self) -> None:
        """Switch between dark and light."""
        self.themes.toggle()
        self.settings.keep("window/theme", self.themes.now.name)

    def reset_layout(self) -> None:
        self.layouts.reset(self.undo)
        self.statusBar().showMessage("The layout is reset; Undo brings the previous one back", 4000)

    # -- events ----------------------------------------------------------------------------------------
    def _paint(self, theme: Theme) -> None:
        self.commands.paint(theme)
        for workspace in self.workspaces.values():
            workspace.paint(theme)

    def _refresh(self) -> None:
        self.offered_files.keep()
        for workspace in self.workspaces.values():
            workspace.refresh()

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Accept files anywhere in the window."""
        if event.mimeData().hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        for url in event.mimeData().urls():
            if url.isLocalFile():
                self.open(Path(url.toLocalFile()))
        event.acceptProposedAction()

    def closeEvent(self, event: QCloseEvent) -> None:
        """Store the settings, then stop the jobs and the workspaces; Qt may deliver this event twice."""
        if not self._closed:
            self._closed = True
            self.guide.leave()
            self._keep()
            self.jobs.shut()
            self.library.shut()
            self.recent.shut()
            for workspace in self.workspaces.values():
                workspace.shut()
        super().closeEvent(event)

    def _keep(self) -> None:
        self.settings.keep("window/geometry", self.saveGeometry())
        self.settings.keep("window/workspace", self.here.name)
        self.offered_files.keep()
        session.end(self.settings)
        self.layouts.keep()
        for workspace in self.workspaces.values():
            workspace.keep(self.settings)
        self.settings.write()
