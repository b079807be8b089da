"""The policies, workloads and patterns of all plugins and of the opened files, which are watched for changes."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

from PySide6.QtCore import QFileSystemWatcher, QObject, QTimer, Signal

from foliolab.framework.errors import FolioLabError, UsageError
from foliolab.framework.plugins import registry as room

if TYPE_CHECKING:
    from foliolab.framework.contract.policy import Policy, Scheme
    from foliolab.framework.plugins.discovery import PluginFailure
    from foliolab.framework.plugins.registry import Registry
    from foliolab.framework.verify.ledger import Ledger

SETTLE: Final = 60
"""Milliseconds without a change before a file counts as saved; editors write in several steps."""


class Library(QObject):
    """The registry, which is loaded again whenever a watched file is saved.

    Signals:
        changed: the registry was replaced.
        saved: the path of a watched file that was saved; emitted before `changed`.

    Attributes:
        registry: everything that plugins offer.
        files: the watched policy files, as absolute paths.
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
        self._settle.timeout.connect(self._reload_if_changed)
        self.registry: Registry = room.load(self.files)
        self._watch()

    # -- contents --------------------------------------------------------------------------------------
    @property
    def policies(self) -> list[Policy]:
        """The policies that loaded without an error."""
        return list(self.registry.policies.values())

    @property
    def failures(self) -> list[PluginFailure]:
        """The plugins that failed to load."""
        return self.registry.failures

    def scheme(self, text: str) -> Scheme:
        """Find a policy by its name with parameters, as on the command line.

        Raises:
            UsageError: no policy has this name, or it does not have such a parameter.
            PluginError: the plugin of the policy failed to load.
        """
        return self.registry.policy(text)

    def usable(self, texts: Sequence[str]) -> list[str]:
        """Those of the texts that name a policy."""
        found = []
        for text in texts:
            try:
                self.scheme(text)
            except FolioLabError:
                continue
            found.append(text)
        return found

    def ledger(self) -> Ledger:
        """The kept verdicts, read from disk each time because a verification may have added some."""
        from foliolab.framework.verify.ledger import Ledger

        return Ledger.of(self.registry)

    def failure_of(self, path: str) -> PluginFailure | None:
        """Why a file failed to load; None if it did not fail."""
        return next((failure for failure in self.failures if failure.source == path), None)

    def names_of(self, path: str) -> tuple[str, ...]:
        """The names of the policies that a file offers."""
        return next((plugin.offers["policies"] for plugin in self.registry.plugins if plugin.source == path), ())

    # -- files -----------------------------------------------------------------------------------------
    def open(self, path: str | Path) -> str:
        """Load a policy file and watch it.

        Returns:
            its absolute path.

        Raises:
            UsageError: the file does not exist, or does not end in .py.
        """
        absolute = Path(path).expanduser().resolve()
        if not absolute.is_file() or absolute.suffix != ".py":
            raise UsageError(f"{path} is not a policy file", "name an existing Python file (*.py)")
        if str(absolute) not in self.files:
            self.files.append(str(absolute))
        self.reload()
        return str(absolute)

    def close(self, path: str) -> None:
        """Stop watching a file, and unload its policies."""
        if path in self.files:
            self.files.remove(path)
            self.reload()

    def reload(self) -> None:
        """Load all plugins again."""
        self.registry = room.load(self.files)
        self._watch()
        self.changed.emit()

    def _watch(self) -> None:
        """Watch the files and their folders, because many editors replace a file instead of writing to it."""
        wanted = {*self.files, *(str(Path(path).parent) for path in self.files)}
        gone = [path for path in (*self._watcher.files(), *self._watcher.directories()) if path not in wanted]
        if gone:
            self._watcher.removePaths(gone)
        present = [path for path in wanted if Path(path).exists()]
        if present:
            self._watcher.addPaths(present)
        self._seen = {path: _digest(path) for path in self.files}

    def _touched(self) -> None:
        self._settle.start()

    def _reload_if_changed(self) -> None:
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
