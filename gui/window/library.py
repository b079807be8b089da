"""The policies, workloads and patterns of all plugins and of the opened files, which are watched for changes."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from PySide6.QtCore import QFileSystemWatcher, QObject, QTimer, Signal

from foliolab.framework.errors import FolioLabError
from foliolab.framework.plugins import registry as room
from foliolab.gui.window.jobs import Job, Jobs
from foliolab.gui.window.translating import failed, translate
from foliolab.gui.window.trial import FileTrial
from foliolab.gui.window.watched import Watched

if TYPE_CHECKING:
    from foliolab.framework.contract.policy import Policy, Scheme
    from foliolab.framework.kernel.witnesses import Witnesses
    from foliolab.framework.plugins.discovery import PluginFailure
    from foliolab.framework.plugins.registry import Registry
    from foliolab.framework.verify.ledger import Ledger
    from foliolab.gui.window.checked import Checked

SETTLE: Final = 60
"""Milliseconds without a change before a file counts as saved; editors write in several steps."""
Opened = Callable[[str], None]


class Library(QObject):
    """The registry, which is loaded again whenever a watched file is saved.

    A Python file is loaded in a process of its own first: one that never ends, or ends its process, is a failure, and
    is not tried again before it changes. C text is translated by a job first, so that the window never waits for the
    parser: a kernel tree takes a second or more, and a text that hangs the parser much longer. Until then a file offers
    nothing.

    Args:
        files: policy files and kernel trees to load and watch.
        jobs: runs the translations.

    Signals:
        changed: the registry was replaced.
        saved: the name of a watched file that was saved and is loaded again; emitted before `changed`.

    Attributes:
        registry: everything that plugins offer.
        checks: results of the checks after saves, by policy.

    Raises:
        UsageError: there is no such kernel tree.
    """

    changed = Signal()
    saved = Signal(str)

    def __init__(self, files: Sequence[str], jobs: Jobs) -> None:
        super().__init__()
        self._jobs = jobs
        self._watched: dict[str, Watched] = {}
        self._seen: dict[str, str] = {}
        self._pending: dict[str, list[Opened]] = {}
        self._unusable: dict[str, PluginFailure] = {}
        self._trials: dict[str, FileTrial] = {}
        self._saved: set[str] = set()
        self.checks: dict[str, Checked] = {}
        self._job: Job | None = None
        self._ledger: tuple[Registry, list[tuple[str, int, int, int]], Ledger] | None = None
        self._watcher = QFileSystemWatcher(self)
        self._watcher.fileChanged.connect(self._touched)
        self._watcher.directoryChanged.connect(self._touched)
        self._settle = QTimer(self, singleShot=True, interval=SETTLE)
        self._settle.timeout.connect(self._reload_if_changed)
        for one in map(Watched.of, files):
            self._watched[one.name] = one
        self._watch()
        for one in self._watched.values():
            self._note(one)
        self.registry: Registry = self._loaded()
        self._translate()

    @property
    def settled(self) -> bool:
        """Whether all files are loaded, or cannot be."""
        return not self._pending

    # -- contents --------------------------------------------------------------------------------------
    @property
    def files(self) -> list[str]:
        """The watched policy files, as absolute paths, and the kernel trees, as `tree:PATH…`."""
        return list(self._watched)

    @property
    def sound(self) -> list[str]:
        """Those of the files that loaded without an error: what another process needs to load the same policies."""
        loaded = {plugin.source for plugin in self.registry.plugins}
        return [file for file in self._watched if file in loaded]

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
        """The kept verdicts, read from disk again if a verification has added some."""
        from foliolab.framework.verify.ledger import Ledger, folder

        with suppress(OSError):  # there is no such folder yet, or a file has gone meanwhile
            files = [(entry.name, entry.stat()) for entry in os.scandir(folder())]
            stamp = sorted((name, stat.st_mtime_ns, stat.st_size, stat.st_ino) for name, stat in files)
            if self._ledger is None or self._ledger[0] is not self.registry or self._ledger[1] != stamp:
                self._ledger = self.registry, stamp, Ledger.of(self.registry)
            return self._ledger[2]
        return Ledger.of(self.registry)

    def witnesses(self) -> Witnesses:
        """The kernels that policies were held against."""
        from foliolab.framework.kernel.witnesses import Witnesses

        return Witnesses.of(self.registry)

    def failure_of(self, path: str) -> PluginFailure | None:
        """Why a file failed to load; None if it did not fail."""
        return next((failure for failure in self.failures if failure.source == path), None)

    def names_of(self, path: str) -> tuple[str, ...]:
        """The names of the policies that a file offers."""
        return next((plugin.offers["policies"] for plugin in self.registry.plugins if plugin.source == path), ())

    # -- files -----------------------------------------------------------------------------------------
    def open(self, path: str | Path, then: Opened = lambda file: None) -> str:
        """Load a policy file or a kernel tree, and watch it.

        Args:
            path: of the file, or `tree:PATH…`.
            then: called with its name when it is loaded, or cannot be; mostly later.

        Returns:
            its name in `files`.

        Raises:
            UsageError: there is no such file or folder, or it ends neither in .py nor in .c.
        """
        one = Watched.of(path)
        one.check()
        self._watched[one.name] = one
        self._watch()
        self._note(one)
        if one.name in self._pending:
            self._pending[one.name].append(then)
            self._translate()
        else:
            self.reload()
            then(one.name)
        return one.name

    def close(self, path: str) -> None:
        """Stop watching a file, and unload its policies."""
        if self._watched.pop(path, None) is not None:
            if (trial := self._trials.pop(path, None)) is not None:
                trial.stop()
            for kept in (self._seen, self._pending, self._unusable):
                kept.pop(path, None)
            self._watch()
            self.reload()

    def reload(self) -> None:
        """Load all plugins again."""
        self.registry = self._loaded()
        self.changed.emit()

    def _loaded(self) -> Registry:
        """The registry of the files that can be loaded now, with the failures of those without a translation."""
        files = []
        for name, one in self._watched.items():
            try:
                if one.tree is not None:
                    Watched.of(name)
            except FolioLabError as fault:  # the tree has gone a moment ago
                self._unusable[name] = failed(name, fault)
            if name not in self._pending and name not in self._unusable:
                files.append(name)
        registry = room.load(files)
        registry.failures.extend(self._unusable.values())
        return registry

    def _watch(self) -> None:
        """Watch what the files are made of."""
        wanted = set[str]().union(*(one.paths() for one in self._watched.values()))
        before = {*self._watcher.files(), *self._watcher.directories()}
        if gone := before - wanted:
            self._watcher.removePaths(list(gone))
        if new := [path for path in wanted - before if Path(path).exists()]:
            self._watcher.addPaths(new)

    def _touched(self) -> None:
        self._settle.start()

    def _note(self, one: Watched) -> None:
        """Note how a file is now, before it is loaded; C text has to be translated, a Python file to be tried."""
        self._seen[one.name] = one.stamp()
        self._unusable.pop(one.name, None)
        if one.is_c:
            self._pending.setdefault(one.name, [])
            return
        if (running := self._trials.pop(one.name, None)) is not None:
            running.stop()
        if (begun := room.begin_trial(one.name)) is not None:
            self._pending.setdefault(one.name, [])
            trial = self._trials[one.name] = FileTrial(begun, self)
            trial.ended.connect(self._tried)

    def _tried(self, failure: PluginFailure | None) -> None:
        """Load the file that was tried, unless that failed."""
        name = next((name for name, trial in self._trials.items() if trial is self.sender()), None)
        if name is None:
            return
        del self._trials[name]
        if failure is not None:
            self._unusable[name] = failure
        self._load({name: self._pending.pop(name, [])})

    def _load(self, opened: dict[str, list[Opened]]) -> None:
        """Load everything again, now with these files, and tell who waits for them."""
        for name in self._saved & set(opened):
            self._saved.discard(name)
            self.saved.emit(name)
        self.reload()
        for name, waiting in opened.items():
            for then in waiting:
                then(name)

    def shut(self) -> None:
        """End the trials that still run, and look no more for changes."""
        self._settle.stop()
        self._watcher.blockSignals(True)
        for trial in self._trials.values():
            trial.stop()
        self._trials.clear()

    def _reload_if_changed(self) -> None:
        self._watch()  # a file that was replaced is another one
        changed = [one for name, one in self._watched.items() if one.stamp() != self._seen.get(name)]
        for one in changed:
            self._note(one)
            self._saved.add(one.name)
        if any(one.is_c for one in changed):
            self._translate()
        if ready := [one.name for one in changed if one.name not in self._pending]:
            self._load({name: [] for name in ready})

    # -- C text ----------------------------------------------------------------------------------------
    def _translate(self) -> None:
        """Translate what is pending; a running translation starts again, because it may have read older texts."""
        pending = self._pending_c()
        if not pending:
            return
        job, self._job = self._job, None
        if job is not None:
            job.cancelled = True
            job.kill()
        self._job = self._jobs.start("translating", translate, tuple(pending))
        self._job.answered.connect(self._translated)
        self._job.failed.connect(self._lost)
        self._job.ended.connect(self._ended)

    def _translated(self, found: dict[str, PluginFailure | None]) -> None:
        if self.sender() is self._job:
            self._unusable |= {
                name: failure for name, failure in found.items() if failure is not None and name in self._pending
            }

    def _lost(self, fault: FolioLabError) -> None:
        if self.sender() is self._job:
            self._unusable |= {name: failed(name, fault) for name in self._pending_c()}

    def _pending_c(self) -> list[str]:
        """The C texts that are to be translated."""
        return [name for name in self._pending if name in self._watched and self._watched[name].is_c]

    def _ended(self) -> None:
        """Load what was translated. A translation that was cancelled answers nothing."""
        job = self.sender()
        if job is not self._job or not isinstance(job, Job):
            return
        self._job = None
        if job.cancelled:
            fault = FolioLabError("its translation was cancelled", "open it again")
            self._unusable |= {name: failed(name, fault) for name in self._pending_c()}
        self._load({name: self._pending.pop(name) for name in self._pending_c()})
