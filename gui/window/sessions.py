"""Saves what all workspaces show as a session file, and opens one: together or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
from PySide6.QtWidgets import QDockWidget

from foliolab.framework.errors import FolioLabError, UsageError
from foliolab.gui.window import dialogs
from foliolab.gui.window.commands import Command
from foliolab.gui.window.everything import FILES as OPENED
from foliolab.gui.window.notebook import Notebook
from foliolab.gui.window.session_file import KIND, SUFFIX, Bookmark, Files, SessionFile, State, state_of

if TYPE_CHECKING:
    from foliolab.gui.window.desk import Desk
    from foliolab.gui.window.workspace import Workspace

FOLDER: Final = "opened"
"""Of files that came with sessions, in the user's data folder."""
MOST_TITLE: Final = 300


class Sessions:
    """The session of the window.

    Args:
        desk: shows workspaces and notices.
        workspaces: by name.
        folder: the user's data folder.
        front: the workspace in front.

    Attributes:
        notebook: bookmarks and notes.
        dock: shows them; the window places it.
    """

    def __init__(
        self, desk: Desk, workspaces: Mapping[str, Workspace], folder: Path, front: Callable[[], Workspace]
    ) -> None:
        self._desk = desk
        self._workspaces = workspaces
        self._front = front
        self._files = Files(folder / FOLDER)
        self.notebook = Notebook(desk.undo, self.bookmark)
        self.notebook.wanted.connect(self.go)
        self.dock = QDockWidget("Bookmarks and notes")
        self.dock.setObjectName("notes")
        self.dock.setWidget(self.notebook)
        self.dock.hide()

    def commands(self) -> list[Command]:
        """The commands of the window that concern sessions."""
        return [
            Command("file.session", "Save the sessio&n…", self.ask_save, "&File", ("Ctrl+Alt+S",),
                    "Write what all workspaces show, with bookmarks and notes, to a file that opens again", "save"),
            Command("edit.bookmark", "&Bookmark this", self.bookmark, "&Edit", ("Ctrl+D",),
                    "Remember what this workspace shows, to come back to it"),
            Command("view.notes", "&Bookmarks and notes", self.toggle, "&View", ("Ctrl+B",),
                    "Show or hide the bookmarks and notes of this session"),
        ]  # fmt: skip

    def toggle(self) -> None:
        """Show or hide the bookmarks and notes."""
        self.dock.setVisible(self.dock.isHidden())

    # -- saving ----------------------------------------------------------------------------------------
    def ask_save(self) -> None:
        """Ask for a file, and write the session to it."""
        name = f"session{SUFFIX}"
        path = dialogs.ask_save(self._front(), self._desk.settings, "Save the session", name, KIND)
        if path is not None:
            try:
                self.save(path)
            except FolioLabError as fault:
                self._desk.notices.fault(fault)

    def save(self, path: Path) -> None:
        """Write the session.

        Raises:
            NotWritten: the file cannot be written.
        """
        path = path if path.suffix == SUFFIX else path.with_name(path.name + SUFFIX)
        self.now().save(path)
        self._desk.notices.say(f"the session is written to {path}; `foliolab gui {path.name}` opens it again")

    def now(self) -> SessionFile:
        """The session file of what the window shows now."""
        from foliolab.framework.results.provenance import now

        files = Files(Path(), {})
        states = {name: one.state(files) for name, one in self._workspaces.items()}
        for bookmark in self.notebook.bookmarks:
            for digest, file in self._files.found.items():
                if digest.encode() in bytes(bookmark.state):
                    files.found[digest] = file
        return SessionFile(
            workspace=self._front().name,
            saved=now(),
            states={name: _raw(state) for name, state in states.items() if state is not None},
            bookmarks=self.notebook.bookmarks,
            notes=self.notebook.notes.toPlainText(),
            files=files.found,
        )

    # -- bookmarks -------------------------------------------------------------------------------------
    def bookmark(self) -> None:
        """Bookmark what the workspace in front shows; a notice says so if it shows nothing yet."""
        from foliolab.framework.results.provenance import now

        workspace = self._front()
        title, state = workspace.place(), workspace.state(self._files)
        if not title or state is None:
            self._desk.notices.say("this view has nothing to bookmark yet: explore, measure or verify something first")
            return
        self.notebook.put(Bookmark(workspace=workspace.name, title=title[:MOST_TITLE], made=now(), state=_raw(state)))
        self.dock.show()

    def go(self, bookmark: Bookmark) -> None:
        """Show the place of a bookmark. An error becomes a notice."""
        workspace = self._workspaces.get(bookmark.workspace)
        try:
            if workspace is None or workspace.STATE is None:
                raise UsageError(f"there is no workspace {bookmark.workspace!r}", "remove the bookmark")
            state = state_of(bookmark.state, workspace.STATE, f"the bookmark {bookmark.title!r}")
            self._desk.go(workspace.name)
            workspace.restore(state, self._files)
        except FolioLabError as fault:
            self._desk.notices.fault(fault)

    # -- opening ---------------------------------------------------------------------------------------
    def show(self, path: Path) -> bool:
        """Open a session file. An error becomes a notice; returns whether it is shown."""
        try:
            self.open(path)
        except FolioLabError as fault:
            self._desk.notices.fault(fault)
            return False
        self.dock.setVisible(bool(self.notebook.bookmarks or self.notebook.notes.toPlainText()))
        self._desk.settings.remember(OPENED, str(path))
        return True

    def open(self, path: Path) -> None:
        """Open a session file in place of the present session.

        Raises:
            ResultFileError: it is damaged or of another version; nothing has changed then.
        """
        found = SessionFile.load(path)
        states: dict[str, State] = {}
        for name, raw in found.states.items():
            kind = self._workspaces[name].STATE if name in self._workspaces else None
            if kind is not None:
                states[name] = state_of(raw, kind, f"{path}, {name},")
        for one in found.bookmarks:
            if one.workspace in self._workspaces and (kind := self._workspaces[one.workspace].STATE) is not None:
                state_of(one.state, kind, f"{path}, bookmark {one.title!r},")
        self._files.found |= found.files
        self.notebook.show_bookmarks(found.bookmarks)
        self.notebook.notes.setPlainText(found.notes)
        self._restore(states, found.workspace)
        self._offer_policies(path, found, partial(self._restore, states, found.workspace))

    def _restore(self, states: Mapping[str, State], front: str) -> None:
        """Let each workspace show its state; what one cannot show is a notice, and the others go on."""
        for name, state in states.items():
            try:
                self._workspaces[name].restore(state, self._files)
            except FolioLabError as fault:
                self._desk.notices.say(f"{name}: {fault.what}", "warning", fault.hint, about="session")
        if front in self._workspaces:
            self._desk.go(front)

    def _offer_policies(self, path: Path, found: SessionFile, again: partial[None]) -> None:
        """Offer the policy files of a session that are not loaded: they are code, and load only when one says so."""
        library = self._desk.library
        loaded = {data for file in library.files if (data := _bytes(file))}
        lacking = [digest for digest, one in found.files.items() if one.name.endswith(".py") and one.data not in loaded]
        if not lacking:
            return
        names = ", ".join(found.files[digest].name for digest in lacking)

        def load() -> None:
            left = list(lacking)

            def opened(file: str) -> None:
                left.pop()
                if not left:
                    self._desk.notices.resolve("session")
                    again()

            for digest in lacking:
                try:
                    library.open(self._files.path(digest), opened)
                except FolioLabError as fault:
                    self._desk.notices.fault(fault)

        text = f"{path.name} has policies of {names}, which is not loaded"
        details = "A policy file is code: load it only if you trust where the session comes from."
        self._desk.notices.say(text, "warning", details, ("Load it", load))


def _raw(state: State) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(state))


def _bytes(file: str) -> bytes:
    try:
        return Path(file).read_bytes() if file.endswith(".py") else b""
    except OSError:
        return b""
