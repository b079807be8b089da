"""A session file: what the window shows, with bookmarks and notes, to be opened again here or on another machine."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Annotated, Final

import msgspec

from foliolab.framework import intake
from foliolab.framework.document import Document, Name, write_atomically
from foliolab.framework.errors import FolioLabError, ResultFileError, UsageError

SUFFIX: Final = ".folio-session"
KIND: Final = f"Session (*{SUFFIX})"
MOST_FILE: Final = 32 << 20
"""Bytes of a file that goes with a session; a longer trace is only named."""
Text = Annotated[str, msgspec.Meta(max_length=1 << 20)]
Digest = Annotated[str, msgspec.Meta(pattern="^([0-9a-f]{64})?$")]
"""The digest of a file that goes with the session; empty for none."""


class State(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a workspace shows; each workspace has a subclass of its own."""


class Bookmark(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A place in a workspace that one wants to find again.

    Attributes:
        workspace: its name.
        title: what was shown there.
        made: when, as results write it.
        state: what the workspace showed, as its `State`.
        note: what one wrote about it.
    """

    workspace: Name
    title: Name
    made: Name
    state: msgspec.Raw
    note: Text = ""


class Attached(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file that goes with a session.

    Attributes:
        name: without a folder.
        data: its bytes.
    """

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    data: bytes


class SessionFile(Document, frozen=True, kw_only=True):
    """What the window shows.

    Attributes:
        workspace: the one in front.
        saved: when, as results write it.
        states: of the workspaces, by their names.
        bookmarks, notes: what one wrote.
        files: scenarios, traces, counterexamples, results and policy files that it needs, by their SHA-256.
    """

    WHAT = "session"
    MADE_BY = "foliolab gui"
    MOST_BYTES = intake.MOST_BYTES

    workspace: Name
    saved: Name
    states: dict[Name, msgspec.Raw]
    bookmarks: Annotated[list[Bookmark], msgspec.Meta(max_length=1000)] = msgspec.field(default_factory=list)
    notes: Text = ""
    files: dict[Name, Attached] = msgspec.field(default_factory=dict)

    def check(self) -> None:
        """Refuse a file that is not what its digest says, or whose name is not that of a file.

        Raises:
            UsageError: says which.
        """
        for digest, one in self.files.items():
            shown = intake.excerpt(one.name)
            if one.name in (".", "..") or not one.name.isprintable() or set(one.name) & {"/", "\\"}:
                raise UsageError(f"{shown} is no name of a file", "ask for the session again")
            if hashlib.sha256(one.data).hexdigest() != digest:
                raise UsageError(f"its file {shown} is damaged", "ask for the session again")


class Files:
    """The files that go with a session: those of an opened one, or those collected for one that is saved.

    Args:
        folder: where files of an opened session are written, each under its digest.
        found: the files so far.
    """

    def __init__(self, folder: Path, found: dict[str, Attached] | None = None) -> None:
        self._folder = folder
        self.found = dict(found or {})

    def keep(self, name: str, data: bytes) -> str:
        """Add a file; returns its digest."""
        digest = hashlib.sha256(data).hexdigest()
        self.found.setdefault(digest, Attached(name=name[:200], data=data))
        return digest

    def keep_file(self, path: str | os.PathLike[str]) -> str:
        """Add a file of the disk; returns its digest, empty if it is too large or cannot be read."""
        try:
            return self.keep(Path(path).name, intake.read(path, "file", most=MOST_FILE))
        except ResultFileError:
            return ""

    def path(self, digest: str) -> Path:
        """The path of a file, which is written to the disk if it is not there.

        Raises:
            UsageError: the session has no such file.
            NotWritten: it cannot be written.
        """
        one = self.found.get(digest)
        if one is None:
            raise UsageError("the session lacks a file that it needs", "ask for the session again")
        target = self._folder / digest[:16] / one.name
        if not target.is_file() or target.read_bytes() != one.data:
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
            except OSError as fault:
                raise FolioLabError(f"{target.parent} cannot be made: {fault.strerror or fault}") from fault
            write_atomically(target, one.data)
        return target


def state_of(raw: msgspec.Raw, kind: type[State], where: str) -> State:
    """Read the state of a workspace.

    Args:
        where: the file and the workspace, for messages.

    Raises:
        ResultFileError: it is none.
    """
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise ResultFileError(
            f"{where} is not a {SessionFile.WHAT} that this FolioLab reads: {intake.excerpt(str(fault))}",
            "save the session anew",
        ) from fault
