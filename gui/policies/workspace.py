"""The Policies workspace: installed policies, broken plugins, and opened files, which are checked at each save."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QAction, QDesktopServices, QGuiApplication
from PySide6.QtWidgets import QInputDialog, QMenu, QToolButton

from foliolab.framework.document import Name
from foliolab.framework.errors import FolioLabError, UsageError
from foliolab.framework.plugins import starter
from foliolab.framework.plugins.discovery import is_tree
from foliolab.gui.policies import check
from foliolab.gui.policies.details import SOURCE, TABS, Details, details_of
from foliolab.gui.policies.listing import Entry, entries, location_of, source_of
from foliolab.gui.policies.tree import PolicyTree
from foliolab.gui.widgets.search_field import SearchField
from foliolab.gui.window import dialogs
from foliolab.gui.window.building import page, splitter, tool_button
from foliolab.gui.window.checked import Checked
from foliolab.gui.window.commands import Command
from foliolab.gui.window.context_menus import ContextMenu
from foliolab.gui.window.desk import Desk
from foliolab.gui.window.exporting import Exportable, Row
from foliolab.gui.window.finding import Findable
from foliolab.gui.window.session_file import Files, State
from foliolab.gui.window.settings import Settings
from foliolab.gui.window.theme import Theme
from foliolab.gui.window.watched import SUFFIXES, short_name
from foliolab.gui.window.workspace import Workspace

if TYPE_CHECKING:
    from foliolab.gui.window.jobs import Job

RECENT: Final = "policies/recent"
SPLIT: Final = "policies/split"
POLICIES: Final = "Policies (*.py *.c)"
NEW: Final = "A policy in Python (*.py);;A policy in C (*.c)"
TREES: Final = "policies/trees"
"""Setting: the folders of kernel trees that were opened, the newest first."""
PARTS: Final = (".h", ".patch", ".diff")
"""The suffixes of files that belong to a kernel tree."""


class PoliciesState(State, frozen=True, kw_only=True):
    """What a session keeps: the chosen policy and caller (empty for none), and the tab of the details."""

    policy: Name
    caller: Name = ""
    tab: Annotated[int, msgspec.Meta(ge=0, le=2)] = 0


class PoliciesWorkspace(Workspace):
    """The list of policies, and the chosen policy in detail."""

    name = "policies"
    title = "&Policies"
    tip = "Installed policies, broken plugins, and your own policy files"
    STATE = PoliciesState

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.tree = PolicyTree()
        self.tree.remember(desk.settings)
        self.details = Details(desk.themes.now, desk.library)
        self.states = desk.library.checks
        self._saved: list[str] = []
        self._busy: list[str] = []
        self._job: Job | None = None
        self._stale = True
        self.recent = tool_button("Recent files", "Recent policy files")
        self.recent.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self._recent_menu = QMenu(self.recent)
        self._recent_menu.aboutToShow.connect(self._list_recent)
        self._recent_menu.triggered.connect(self._open_recent)
        self.recent.setMenu(self._recent_menu)
        self._build()
        self.tree.chosen.connect(self._chosen)
        self.details.wanted.connect(self._wanted)
        desk.library.saved.connect(self._on_saved)

    def _build(self) -> None:
        left = page(SearchField(self.tree, "policies"), (self.tree, 1), self.recent, spacing=0)
        self.splitter = splitter(Qt.Orientation.Horizontal, (left, 2), (self.details, 3), sizes=(460, 700))
        state = self.desk.settings.state(SPLIT)
        if not state.isEmpty():
            self.splitter.restoreState(state)
        self.setCentralWidget(self.splitter)
        names = ("edit", "verify", "explore", "benchmark", "check", "copy", "remove")
        ContextMenu(self.desk.commands, self.tree, [f"{self.name}.{name}" for name in names])

    def offered(self) -> Sequence[Command]:
        wanted = partial(partial, self._wanted)
        return [
            self.command("new", "&New policy…", self.ask_new, menu="&File", keys=("Ctrl+N",), icon="new", bar=True,
                         word="New policy", tip="Write a commented policy file, watch it, and open it in your editor"),
            self.command("open", "Open a &policy file…", self.ask_open, menu="&File", keys=("Ctrl+Shift+O",),
                         icon="open", bar=True, word="Open", tip="Open a policy file; it is checked at each save"),
            self.command("tree", "Open a &kernel tree…", self.ask_tree, menu="&File", keys=("Ctrl+Shift+K",),
                         tip="Open the folder of a kernel tree, a revision of it, or a patch of it"),
            self.command("edit", "Open in &editor", self.edit, menu="&File", keys=("Ctrl+Return",), icon="policies",
                         bar=True, tip="Open the file of the chosen policy in your editor"),
            self.command("remove", "&Remove from the list", self.remove, menu="&File", keys=("Del",), icon="close",
                         bar=True, tip="Remove the chosen file from the list; the file stays on disk"),
            self.command("check", "&Compile and check", self.check_chosen, menu="&Run", keys=("F5",), icon="restart",
                         bar=True, tip="Compile the chosen policy and attack it for a few seconds"),
            self.command("verify", "&Verify", wanted("verify"), menu="&Run", keys=("Ctrl+Shift+V",), icon="verify",
                         bar=True, tip="Open the chosen policy in Verify"),
            self.command("explore", "E&xplore", wanted("explore"), menu="&Run", keys=("Ctrl+Shift+X",), icon="explore",
                         bar=True, tip="Open the chosen policy in Explore"),
            self.command("benchmark", "&Benchmark", wanted("benchmark"), menu="&Run", keys=("Ctrl+Shift+B",),
                         icon="benchmark", bar=True, tip="Open the chosen policy in Benchmark"),
            self.command("copy", "Copy &details", self.copy_details, menu="&File", keys=(),
                         tip="Copy the error of a broken policy, with its traceback"),
        ]  # fmt: skip

    # -- hooks of workspaces ---------------------------------------------------------------------------
    def state(self, files: Files) -> PoliciesState:
        """The chosen policy; the files of opened policies go with the session, the text of kernels does not."""
        for file in self.desk.library.files:
            if file.endswith(".py"):
                files.keep_file(file)
        caller = self.details.caller.caller
        return PoliciesState(policy=self._name, caller=caller, tab=max(self.details.tabs.currentIndex(), 0))

    def restore(self, state: State, files: Files) -> None:
        """Choose the policy that a session kept."""
        assert isinstance(state, PoliciesState)
        if state.policy:
            self.choose({"policy": state.policy})
        self.details.caller.choose(state.caller)
        self.details.tabs.setCurrentIndex(state.tab)

    def policy(self) -> str:
        return self.details.caller.under(self._name)

    def place(self) -> str:
        return self._name

    def on_screen(self) -> dict[str, object]:
        """The chosen `policy`, the `tab` of its details, and what its last check said (`checked`)."""
        checked = self.states.get(self._name) if self._name not in self._busy else None
        return {
            "policy": self._name,
            "tab": TABS[max(self.details.tabs.currentIndex(), 0)],
            "checked": (checked.policy, checked.state) if checked is not None else (),
        }

    def findables(self) -> Sequence[Findable]:
        """All policies."""
        return [
            Findable("Policy", one.name, partial(self.desk.send, self.name, {"policy": one.name}), one.summary)
            for one in self.desk.library.policies
        ]

    def shown(self) -> None:
        """List the policies again: other workspaces may have found new verdicts."""
        self._list()
        self.tree.setFocus()

    def refresh(self) -> None:
        """Check the saved files, and list the policies again."""
        saved, self._saved = self._saved, []
        for path in saved:
            self._check_file(path)
        self._stale = True
        if self.isVisible() or saved:
            self._list()

    def paint(self, theme: Theme) -> None:
        super().paint(theme)
        if not self._stale:
            self._list()

    def keep(self, settings: Settings) -> None:
        """Store the position of the splitter."""
        settings.keep(SPLIT, self.splitter.saveState())

    def _list(self) -> None:
        self._stale = False
        library = self.desk.library
        self.tree.show_entries(entries(library, library.ledger()), self.states, self._busy, self.desk.themes.now)

    def _chosen(self, entry: Entry | None) -> None:
        checked = self.states.get(entry.name) if entry is not None and not entry.broken else None
        busy = entry is not None and entry.name in self._busy
        self.details.show_entry(self.desk.library, entry, checked, busy)
        usable = entry is not None and not entry.broken
        for name in ("check", "verify", "explore", "benchmark"):
            self.desk.commands.enable(f"policies.{name}", usable)
        self.desk.commands.enable("policies.copy", entry is not None and entry.broken)
        self.desk.commands.enable("policies.remove", entry is not None and entry.source in self.desk.library.files)

    # -- files -----------------------------------------------------------------------------------------
    def takes(self, path: Path) -> bool:
        """Whether a file is a policy, or a folder or file of a kernel tree."""
        return path.suffix in (*SUFFIXES, *PARTS) or is_tree(path) or path.is_dir()

    def show_file(self, path: Path) -> None:
        """Open a policy file or a kernel tree, watch it, and check it; ask what has to be known about a tree."""
        if is_tree(path) or path.suffix == ".py":
            self._open(path)
            return
        from foliolab.gui.policies import kernel_trees  # few windows show one

        if not kernel_trees.belongs_to_tree(path):
            self._open(path)
            return
        wanted = kernel_trees.wanted(path)
        if wanted.written:
            self._open(wanted.written)
        else:
            self._ask_about(wanted.folder, wanted.patch)

    def _open(self, written: str | Path) -> None:
        self.desk.settings.remember(RECENT, self.desk.library.open(written, self._opened))

    def _opened(self, file: str) -> None:
        """Check and choose what was opened, now that it is loaded."""
        self._check_file(file)
        self._list()
        self.tree.choose(source=file)
        self.details.tabs.setCurrentIndex(SOURCE)

    def ask_tree(self) -> None:
        """Ask for a kernel tree and open it."""
        self._ask_about()

    def _ask_about(self, folder: str = "", patch: str = "") -> None:
        from foliolab.gui.policies.tree_dialog import TreeDialog  # as `kernel_trees`

        recent = [one for one in self.desk.settings.texts(TREES) if Path(one).is_dir()]
        dialog = TreeDialog(self, recent, folder, patch)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.chosen.connect(self._tree_chosen)
        dialog.open()

    def _tree_chosen(self, folder: str, written: str) -> None:
        self.desk.settings.remember(TREES, folder)
        self.desk.open(Path(written))

    def choose(self, what: dict[str, Any]) -> None:
        """See `Workspace.choose`; the keys are `policy`, `tab` ("about", "layout" or "source") and `function`:
        the name of one that its source is to show.
        """
        self._list()
        name = str(what.get("policy", "")).partition(":")[0]
        if not self.tree.choose(name=name):
            raise UsageError(f"no policy is named {name!r}", "open its file or install its plugin")
        if "function" in what:
            self.details.texts.show_function(what["function"])
        if "tab" in what:
            self.details.tabs.setCurrentIndex(TABS.index(what["tab"]))

    def ask_open(self) -> None:
        """Ask for a policy file and open it."""
        path = dialogs.ask_open(self, self.desk.settings, "Open a policy file", POLICIES)
        if path is not None:
            self.desk.open(path)

    def ask_new(self) -> None:
        """Ask for a name and a file; write the file, watch it, and open it in the editor."""
        name, sure = QInputDialog.getText(self, "New policy", "Name of the policy, such as my-idea:")
        if not sure:
            return
        try:
            starter.text(name)
        except FolioLabError as fault:
            self.desk.notices.fault(fault)
            return
        path = dialogs.ask_save(self, self.desk.settings, "New policy file", starter.file_name(name), NEW)
        if path is not None:
            self.begin(name, path if path.suffix in SUFFIXES else Path(f"{path}.py"))
            self.edit()

    def begin(self, name: str, path: Path) -> None:
        """Write the file of a new policy and show it. An error becomes a notice."""
        try:
            if path.exists():  # the dialog asked whether to replace it, but no policy is worth losing another
                raise UsageError(f"{path} exists already and is not replaced", "open it, or choose another name")
            starter.write(name, path)
            self.show_file(path)
        except FolioLabError as fault:
            self.desk.notices.fault(fault)
            return
        self.desk.notices.say(f"{path.name} is written and watched: each save is checked")

    def edit(self) -> None:
        """Open the file of the chosen policy in the user's editor."""
        entry = self.tree.entry
        file = source_of(self.desk.library, entry)[0] if entry is not None else ""
        if not file:
            self.desk.notices.say("the chosen policy has no file")
        elif not QDesktopServices.openUrl(QUrl.fromLocalFile(file)):
            QGuiApplication.clipboard().setText(file)
            text = f"this desktop has no editor for {Path(file).name}; its path is copied"
            self.desk.notices.say(text, "warning", file)

    def remove(self) -> None:
        """Remove the chosen file from the list; this can be undone."""
        entry = self.tree.entry
        if entry is None or entry.source not in self.desk.library.files:
            self.desk.notices.say("only opened files can be removed from the list")
            return
        source = entry.source
        self.desk.undo.change(
            f"Remove {short_name(source)}", lambda: self._forget(source), lambda: self.desk.open(Path(source))
        )

    def _forget(self, source: str) -> None:
        for name in self.desk.library.names_of(source):
            self.states.pop(name, None)
        self.desk.library.close(source)

    def _list_recent(self) -> None:
        self._recent_menu.clear()
        for path in self.desk.settings.texts(RECENT):
            self._recent_menu.addAction(path).setData(path)
        if self._recent_menu.isEmpty():
            self._recent_menu.addAction("no recent files").setEnabled(False)

    def _open_recent(self, action: QAction) -> None:
        self.desk.open(Path(str(action.data())))

    # -- checks ----------------------------------------------------------------------------------------
    def _on_saved(self, path: str) -> None:
        self._saved.append(path)

    def _check_file(self, path: str) -> None:
        """Check the policies of a file; if the file is broken, a notice says so at once."""
        failure = self.desk.library.failure_of(path)
        if failure is not None:
            details = details_of(Entry("", "broken", path, "", failure=failure))
            self._say_broken(failure.name, failure.message, details, path)
            return
        self.desk.notices.resolve(path)
        self._check(list(self.desk.library.names_of(path)))

    def check_chosen(self) -> None:
        entry = self.tree.entry
        if entry is not None and not entry.broken:
            self._check([entry.name])
            self._list()

    def _check(self, names: list[str]) -> None:
        """Check policies. A running check starts again, because it may have read older texts."""
        if not names:
            return
        if self._job is not None:
            names = [*names, *(name for name in self._busy if name not in names)]
            self._job.cancelled = True
            self._job.kill()
        names = [name for name in names if name in self.desk.library.registry.policies]
        for name in names:
            self.states.pop(name, None)
        self._busy = names
        title = f"checking {names[0]}" if len(names) == 1 else f"checking {len(names)} policies"
        self._job = self.desk.jobs.start(title, check.check, tuple(names), tuple(self.desk.library.sound))
        self._job.reported.connect(self._on_report)
        self._job.failed.connect(self._lost)
        self._job.ended.connect(self._ended)

    def _on_report(self, news: object) -> None:
        if not isinstance(news, Checked):
            return
        self.states[news.policy] = news
        if news.policy in self._busy:
            self._busy.remove(news.policy)
        self.desk.notices.resolve(news.policy)
        if news.state == "checked":
            self.desk.notices.say(f"{news.policy}: {news.message}")
        else:
            self._say_broken(news.policy, news.message, news.message, news.policy)
        self._list()

    def _say_broken(self, name: str, message: str, details: str, about: str) -> None:
        file, line = location_of(message)
        where = f", line {line} of {Path(file).name}" if file else ""
        self.desk.notices.say(
            f"{name}{where}: {message.removeprefix(f'{file}:{line}: ')}", "error", details, about=about
        )

    def _lost(self, fault: FolioLabError, details: str) -> None:
        """The process of the check crashed: the policy that it checked fails."""
        if self._busy:
            self._on_report(Checked(self._busy[0], "failed", fault.what))
        else:
            self.desk.notices.fault(fault, details)

    def _ended(self) -> None:
        if self.sender() is not self._job:
            return  # another job has replaced this one
        self._job = None
        self._busy = []
        self._list()

    # -- other workspaces ------------------------------------------------------------------------------
    def _wanted(self, name: str) -> None:
        """Open the chosen policy in the editor or in another workspace; the first policy is the baseline."""
        if name == "edit":
            self.edit()
        elif name == "copy":
            self.copy_details()
        elif self._name:
            self.send_policy(name, self.policy(), self.desk.library.policies[0].name)
        else:
            self.desk.notices.say("choose a policy that is not broken first")

    @property
    def _name(self) -> str:
        entry = self.tree.entry
        return entry.name if entry is not None and not entry.broken else ""

    def copy_details(self) -> None:
        """Copy the report of a broken plugin."""
        if self.tree.entry is not None and self.tree.entry.broken:
            QGuiApplication.clipboard().setText(details_of(self.tree.entry))

    # -- the current view ------------------------------------------------------------------------------
    def exportables(self) -> Sequence[Exportable]:
        """The list of policies, and the layout if it is shown."""
        found = [Exportable("policies", "List of policies", None, self._table)]
        if self.details.picture.isVisible():
            found.append(Exportable("layout", "Layout of struct folio", self.details.picture))
        return found

    def _table(self) -> tuple[Sequence[str], Sequence[Row]]:
        library, witnesses = self.desk.library, self.desk.library.witnesses()
        rows = [
            (one.name, one.group, one.source, one.summary, one.claims_text,
             "" if one.broken else "; ".join(witnesses.sentences(library.scheme(one.name))))
            for one in entries(library, library.ledger())
        ]  # fmt: skip
        return ("policy", "group", "source", "summary", "claims", "witnesses"), rows

    def repeated(self) -> Sequence[str]:
        """`foliolab show` of the chosen policy."""
        return ("foliolab", "show", self._name) if self._name else ()
