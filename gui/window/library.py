"""What the window can choose from: every plugin's policies, workloads and patterns, and files that are being edited."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

from PySide6.QtCore import QFileSystemWatcher, QObject, QTimer, Signal

from foliolab.framework.engine.structs import layouts_of
from foliolab.framework.errors import FolioLabError, UsageError
from foliolab.framework.plugins import registry as room

if TYPE_CHECKING:
    from foliolab.framework.contract.policy import Policy, Scheme
    from foliolab.framework.plugins.discovery import PluginFailure
    from foliolab.framework.plugins.registry import Registry
    from foliolab.framework.verify.ledger import Ledger

SETTLE: Final = 60
"""Milliseconds without a change before a file counts as saved: editors write in several steps."""


class Library(QObject):
    """The registry, loaded anew whenever a watched file is saved.

    Signals:
        changed: there is another registry; what is on screen should be refreshed.
        saved: a watched file was saved, by its path (before `changed`).

    Attributes:
        registry: everything that plugins offer.
        files: policy files that were opened from disk, watched.
    """

    changed = Signal()
    saved = Signal(str)

    def __init__(self, files: Sequence[str] = ()) -> None:
        super().__init__()
        self.files: list[str] = [str(Path(path).resolve()) for path in files]
        self._seen: dict[str, str] = {}
        self._watcher = QFileSystemWatcher(self)
        self._watcher.fileChanged.connect(self._touched)
        self._watcher.directoryChanged.connect(self._touched)
        self._settle = QTimer(self, singleShot=True, interval=SETTLE)
        self._settle.timeout.connect(self._look)
        self.registry: Registry = room.load(self.files, check=layouts_of)
        self._watch()

    # -- what there is ---------------------------------------------------------------------------------
    @property
    def policies(self) -> list[Policy]:
        """All policies that can be used."""
        return list(self.registry.policies.values())

    @property
    def failures(self) -> list[PluginFailure]:
        """Plugins that cannot."""
        return self.registry.failures

    def scheme(self, text: str) -> Scheme:
        """A policy as a user would write it.

        Raises:
            UsageError: there is none, or it has no such parameter.
            PluginError: its plugin failed.
        """
        return self.registry.policy(text)

    def usable(self, texts: Sequence[str]) -> list[str]:
        """Those of the policies that there are."""
        found = []
        for text in texts:
            try:
                self.scheme(text)
            except FolioLabError:
                continue
            found.append(text)
        return found

    def ledger(self) -> Ledger:
        """What `verify` found about their texts; read anew each time, since a verification adds to it."""
        from foliolab.framework.verify.ledger import Ledger

        return Ledger(self.registry.findings)

    def failure_of(self, path: str) -> PluginFailure | None:
        """Why a file cannot be used; None if it can."""
        return next((one for one in self.failures if one.source == path), None)

    def names_of(self, path: str) -> tuple[str, ...]:
        """The policies that a file offers."""
        return next((one.policies for one in self.registry.plugins if one.source == path), ())

    # -- files -----------------------------------------------------------------------------------------
    def open(self, path: str | Path) -> str:
        """Load a policy file and watch it; its absolute path.

        Raises:
            UsageError: there is no such file, or it is no Python file.
        """
        where = Path(path).expanduser().resolve()
        if not where.is_file() or where.suffix != ".py":
            raise UsageError(f"{path} is no policy file", "name an existing Python file (*.py)")
        if str(where) not in self.files:
            self.files.append(str(where))
        self.reload()
        return str(where)

    def close(self, path: str) -> None:
        """Forget a file."""
        if path in self.files:
            self.files.remove(path)
            self.reload()

    def reload(self) -> None:
        """Ask all plugins again."""
        self.registry = room.load(self.files, check=layouts_of)
        self._watch()
        self.changed.emit()

    def _watch(self) -> None:
        """Watch the files, and their folders: many editors replace a file instead of writing to it."""
        wanted = {*self.files, *(str(Path(path).parent) for path in self.files)}
        gone = [path for path in (*self._watcher.files(), *self._watcher.directories()) if path not in wanted]
        if gone:
            self._watcher.removePaths(gone)
        fresh = [path for path in wanted if Path(path).exists()]
        if fresh:
            self._watcher.addPaths(fresh)
        self._seen = {path: _digest(path) for path in self.files}

    def _touched(self) -> None:
        self._settle.start()

    def _look(self) -> None:
        changed = [path for path in self.files if _digest(path) != self._seen.get(path)]
        if not changed:
            return
        for path in changed:
            self.saved.emit(path)
        self.reload()


def _digest(path: str) -> str:
    try:
        return sha256(Path(path).read_bytes()).hexdigest()
    except OSError:
        return ""
