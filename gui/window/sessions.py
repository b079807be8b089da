"""Saves what all workspaces show as a session file, and opens one: together or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from foliolab.framework.errors import FolioLabError, UsageError
from foliolab.gui.window.session_file import SUFFIX, Bookmark, Files, SessionFile, State, state_of

if TYPE_CHECKING:
    from foliolab.gui.window.desk import Desk
    from foliolab.gui.window.notebook import Notebook
    from foliolab.gui.window.workspace import Workspace

FOLDER: Final = "opened"
"""Of files that came with sessions, in the user's data folder."""
MOST_TITLE: Final = 300


class Sessions:
    """The session of the window.

    Args:
        desk: shows workspaces and notices.
        workspaces: by name.
        notebook: has bookmarks and notes.
        folder: the user's data folder.
    """

    def __init__(self, desk: Desk, workspaces: Mapping[str, Workspace], notebook: Notebook, folder: Path) -> None:
        self._desk = desk
        self._workspaces = workspaces
        self._notebook = notebook
        self._files = Files(folder / FOLDER)
        notebook.wanted.connect(self.go)

    # -- saving ----------------------------------------------------------------------------------------
    def save(self, path: Path, workspace: str) -> None:
        """Write the session; `workspace` is the one in front.

        Raises:
            NotWritten: the file cannot be written.
        """
        path = path if path.suffix == SUFFIX else path.with_name(path.name + SUFFIX)
        self.now(workspace).save(path)
        self._desk.notices.say(f"the session is written to {path}; `foliolab gui {path.name}` opens it again")

    def now(self, workspace: str) -> SessionFile:
        """The session as it is."""
        from foliolab.framework.results.provenance import now

        files = Files(Path(), {})
        states = {name: one.state(files) for name, one in self._workspaces.items()}
        for bookmark in self._notebook.bookmarks:
            for digest, file in self._files.found.items():
                if digest.encode() in bytes(bookmark.state):
                    files.found[digest] = file
        return SessionFile(
            workspace=workspace,
            saved=now(),
            states={name: _raw(state) for name, state in states.items() if state is not None},
            bookmarks=self._notebook.bookmarks,
            notes=self._notebook.notes.toPlainText(),
            files=files.found,
        )

    # -- bookmarks -------------------------------------------------------------------------------------
    def bookmark(self, workspace: Workspace) -> None:
        """Make a bookmark of what a workspace shows.

        Raises:
            UsageError: it shows nothing yet.
        """
        from foliolab.framework.results.provenance import now

        title, state = workspace.place(), workspace.state(self._files)
        if not title or state is None:
            raise UsageError("this view has nothing to bookmark yet", "explore, measure or verify something first")
        made = Bookmark(workspace=workspace.name, title=title[:MOST_TITLE], made=now(), state=_raw(state))
        self._notebook.put(made)

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
        self._notebook.show_bookmarks(found.bookmarks)
        self._notebook.notes.setPlainText(found.notes)
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
