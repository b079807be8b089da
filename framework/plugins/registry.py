"""The registry: everything that plugins offer, by unique name.

`load` asks all plugins, and a plugin that fails never stops it: see `Registry.failures`. A registry is not pickled. A
process that needs a policy calls `load` with the same files and asks for the same name.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from foliolab.framework.contract.asker import Asker
from foliolab.framework.contract.caller import Caller
from foliolab.framework.contract.detector import Detector
from foliolab.framework.contract.policy import WITH, Policy, Scheme, caller_of, name_of
from foliolab.framework.contract.reporter import Reporter
from foliolab.framework.contract.sharing_pattern import SharingPattern
from foliolab.framework.contract.trace_reader import TraceReader
from foliolab.framework.contract.view import View
from foliolab.framework.contract.workload import Workload
from foliolab.framework.errors import FolioLabError, PluginError, UsageError
from foliolab.framework.escaping import visible
from foliolab.framework.plugins import validation
from foliolab.framework.plugins.discovery import (
    Attempt,
    PluginFailure,
    Source,
    SourceKind,
    source_of,
    sources,
)
from foliolab.framework.plugins.kinds import Kind
from foliolab.framework.plugins.offers import Offers, clash, names_of, read_offers
from foliolab.framework.plugins.selection import file_and_policy, nearest, parse_memory, parse_sizes, split

if TYPE_CHECKING:
    from foliolab.framework.plugins.configurations import Configuration
    from foliolab.framework.plugins.dry_run import Trial
    from foliolab.framework.plugins.published import Published

__all__ = ["KINDS", "Plugin", "PluginFailure", "Registry", "load", "parse_memory", "parse_sizes"]

Offered = TypeVar("Offered")
Read = TypeVar("Read")


@dataclass(frozen=True)
class Plugin:
    """A plugin that was loaded.

    Args:
        name: the entry point's, or the file's without its suffix.
        source: the distribution and its version, or the file.
        version: the distribution's; empty for files.
        offers: Kind.attribute -> the names of what it offers of that kind.
    """

    name: str
    kind: SourceKind
    source: str
    version: str
    offers: Mapping[str, tuple[str, ...]]


class Registry:
    """What plugins offer: a mapping from name to declaration for each kind.

    A further kind is one row here: see `Kind` for the columns. What a kind is good for is written where it is used.

    Attributes:
        plugins: those that were loaded.
        failures: those that were not, with the reason.
    """

    policies = Kind(
        "policy", "foliolab_policies", (Policy,), validation.checked_policy,
        "The policies that the plugin offers.", "POLICY", "policies",
    )  # fmt: skip
    callers = Kind(
        "caller", "foliolab_callers", (Caller,), validation.checked_caller,
        "Operations of the engine in another text, for `--caller`.", "CALLER",
    )  # fmt: skip
    workloads = Kind(
        "workload", "foliolab_workloads", (Workload,), validation.checked_workload,
        "The workloads that the plugin offers.", "WORKLOAD",
    )  # fmt: skip
    published = Kind(
        "file of published figures", "foliolab_published", (str, PathLike), validation.checked_file,
        "Paths of TOML files with published figures (format: `foliolab.framework.plugins.published`).",
        plural="files of published figures",
    )  # fmt: skip
    scenarios = Kind(
        "scenario", "foliolab_scenarios", (str, PathLike), validation.checked_scenarios,
        "Paths of scenario files (NAME.scenario), or of folders that hold them.",
    )  # fmt: skip
    patterns = Kind(
        "sharing pattern", "foliolab_sharing_patterns", (SharingPattern,), validation.checked_pattern,
        "The sharing patterns that the plugin offers, for `foliolab precision`.", "PATTERN",
    )  # fmt: skip
    askers = Kind(
        "asker", "foliolab_askers", (Asker,), validation.checked_asker,
        "Who asks policies whether folios are shared, for `foliolab consequences`.", "ASKER",
    )  # fmt: skip
    detectors = Kind(
        "detector", "foliolab_detectors", (Detector,), validation.checked_detector,
        "Designs that detect partially mapped folios, for `foliolab partial`.", "DETECTOR",
    )  # fmt: skip
    findings = Kind(
        "file of findings", "foliolab_findings", (str, PathLike), validation.checked_file,
        "Paths of files that `foliolab verify --save-findings` wrote about the plugin's policies.",
        plural="files of findings",
    )  # fmt: skip
    witnesses = Kind(
        "file of witnesses", "foliolab_witnesses", (str, PathLike), validation.checked_file,
        "Paths of files that `foliolab kernel check --save-witnesses` wrote about the plugin's policies.",
        plural="files of witnesses",
    )  # fmt: skip
    trace_readers = Kind(
        "trace reader", "foliolab_trace_readers", (TraceReader,), validation.checked_trace_reader,
        "Readers of what tracers write, for `foliolab import`.",
    )  # fmt: skip
    reporters = Kind(
        "report format", "foliolab_reporters", (Reporter,), validation.checked_reporter,
        "Formats for `foliolab report --format`.", "REPORTER",
    )  # fmt: skip
    views = Kind(
        "view", "foliolab_views", (View,), validation.checked_view,
        "Docks for the window.", "VIEW",
    )  # fmt: skip

    def __init__(self) -> None:
        self.offers: Offers = {kind.attribute: {} for kind in KINDS}
        self.plugins: list[Plugin] = []
        self.failures: list[PluginFailure] = []

    # -- what a user writes ---------------------------------------------------------------------
    def policy(self, text: str, typed: bool = False) -> Scheme:
        """The policy that a user writes as `name` or `name:parameter=value,parameter=value`.

        `FILE.py::name` is the policy of that name in a file.

        Args:
            typed: whether the user has typed the text, and so asked to load a file that it names. A text that
                comes from a data file loads nothing.

        Raises:
            UsageError: there is no such file, policy or parameter, the file is not loaded, or the value is not allowed;
                the hint names the nearest.
            PluginError: the plugin that offers it failed.
        """
        file, written = file_and_policy(text.strip())
        written, _, calls = written.partition(WITH)
        name, colon, chosen = written.partition(":")
        if file:
            self._check_offered(file, Registry.policies, name, typed)
        policy = self.find(Registry.policies, name)
        values: dict[str, int | str] = {}
        known = [p.name for p in policy.parameters]
        for item in chosen.split(",") if colon else ():
            key, equals, value = (part.strip() for part in item.partition("="))
            if not equals or not value:
                raise UsageError(
                    f"policy {name}: {item.strip()!r} is not a parameter's value", f"write {name}:name=value"
                )
            if key not in known:
                raise UsageError(f"policy {name} has no parameter {key!r}", nearest(key, known, "it has"))
            if key in values:
                raise UsageError(f"policy {name}: {key} is given twice", "choose one value")
            values[key] = value
        return policy.with_parameters(values).under(self.caller(calls) if calls else None)

    def caller(self, text: str) -> Caller:
        """The caller that a user writes as `name`, or as `FILE.py::name`, which loads the file.

        Raises:
            UsageError: there is no such file or caller; the hint names the nearest.
            PluginError: the plugin that offers it failed, or its text is not allowed.
        """
        from foliolab.framework.engine.callers import engine_tree

        file, _, name = text.strip().rpartition("::")
        if file:
            if not Path(file).expanduser().is_file():
                raise UsageError(f"{text}: there is no plugin file {file}", "name an existing file")
            self._check_offered(file, Registry.callers, name, True)
        caller = self.find(Registry.callers, name)
        engine_tree(caller)  # refuses a text that no execution allows
        return caller

    def _check_offered(self, file: str, kind: Kind[Any], name: str, may_load: bool) -> None:
        """Check that a plugin file offers a policy or a caller; load it if that was not done yet."""
        source = source_of(file)
        known = [plugin for plugin in self.plugins if plugin.source == source.where]
        if not known and not any(failure.source == source.where for failure in self.failures):
            if not may_load:
                raise UsageError(f"the plugin {file} is not loaded", f"if you trust it: --plugin {shlex.quote(file)}")
            self.take(source)
            known = [plugin for plugin in self.plugins if plugin.source == source.where]
        if not known:
            why = next(failure.message for failure in self.failures if failure.source == source.where)
            raise PluginError(f"plugin {source.name} failed: {why}", "correct it; `foliolab list` shows every plugin")
        offered = known[0].offers[kind.attribute]
        if name not in offered:
            raise UsageError(f"{file} offers no {kind.name} {name!r}", nearest(name, offered, f"its {kind.plural} are"))

    def workload(self, name: str) -> Workload:
        """The workload of that name. Raises as `find` does."""
        return self.find(Registry.workloads, name.strip())

    def parse_policies(self, texts: Iterable[str]) -> list[Scheme]:
        """The policies of texts such as `mm-id,rmap-id:bits=6,stage=all,exact`; `all` is every policy.

        Raises:
            UsageError: as `policy`, or a policy is named twice.
        """
        written: list[str] = []
        for item in split(texts):
            name, equals, _ = item.partition("=")
            if not equals or ":" in name:
                written.append(item)
            elif written and ":" in written[-1]:
                written[-1] += f",{item}"  # one more parameter of the policy before it
            else:
                raise UsageError(f"{item!r} does not follow a policy", "write POLICY:parameter=value")
        every = [policy.with_parameters() for policy in self.policies.values()]
        chosen = [s for text in written for s in (every if text == "all" else [self.policy(text, typed=True)])]
        for i, scheme in enumerate(chosen):
            if scheme in chosen[:i]:
                raise UsageError(f"policy {scheme.name} is named twice", "name each policy once")
        if not chosen:
            raise UsageError("no policy is named", f"policies are {', '.join(self.policies)}")
        return chosen

    def parse_workloads(self, texts: Iterable[str]) -> list[Workload]:
        """The workloads of texts such as `munmap,fork`, each once; `all` is every workload.

        Raises:
            UsageError: as `workload`, or no workload is named.
        """
        found: dict[str, Workload] = {}
        for name in split(texts):
            found |= self.workloads if name == "all" else {name: self.workload(name)}
        if not found:
            raise UsageError("no workload is named", f"workloads are {', '.join(self.workloads)}")
        return list(found.values())

    def pattern(self, name: str) -> SharingPattern:
        """The sharing pattern of that name. Raises as `find` does."""
        return self.find(Registry.patterns, name.strip())

    def parse_askers(self, texts: Iterable[str]) -> list[Asker]:
        """The askers of texts such as `khugepaged,mine`, each once; `all` is every one.

        Args:
            texts: none stands for those that are usual.

        Raises:
            UsageError: there is no such asker, or none is named.
            PluginError: the plugin that offers it failed.
        """
        texts = list(texts)
        if not texts:
            return [asker for asker in self.askers.values() if asker.usual]
        found: dict[str, Asker] = {}
        for name in split(texts):
            found |= self.askers if name == "all" else {name: self.find(Registry.askers, name)}
        if not found:
            raise UsageError("no asker is named", f"askers are {', '.join(self.askers)}")
        return list(found.values())

    def scenario(self, name: str) -> Path:
        """The file of the scenario of that name. Raises as `find` does."""
        return self.find(Registry.scenarios, name.strip())

    def origin(self, policy: str | Policy | Scheme) -> tuple[SourceKind, str]:
        """Where a policy comes from: ("entry", name of the entry point) or ("file", its path).

        Of an installed policy under a caller of a file, that file.
        """
        written = policy if isinstance(policy, str) else policy.name
        name, calls = name_of(written), caller_of(written)
        for plugin in self.plugins:
            if plugin.kind == "entry" and calls in plugin.offers["callers"]:
                calls = ""
        for plugin in sorted(self.plugins, key=lambda one: one.kind == "entry"):
            if name in plugin.offers["policies"] or calls in plugin.offers["callers"]:
                return plugin.kind, plugin.name if plugin.kind == "entry" else plugin.source
        raise UsageError(f"there is no policy {name!r}", nearest(name, self.policies, "policies are"))

    def parameters_of(self, text: str) -> Mapping[str, int] | None:
        """All parameters of a policy as a user writes it; None if there is no such policy."""
        try:
            return dict(self.policy(text).values)
        except FolioLabError:
            return None

    def published_figures(self) -> list[Published]:
        """The published figures of all plugins; a file that cannot be read is named on stderr and left out."""
        # Imported here: a calibration is made in a process that does not even load the code for published figures.
        from foliolab.framework.plugins import published

        return self._of_published(published.load)

    def configurations(self) -> list[Configuration]:
        """What patch series call kernels; a file that cannot be read is named on stderr and left out."""
        from foliolab.framework.plugins import published

        return self._of_published(published.load_configurations)

    def _of_published(self, read: Callable[[PathLike[str] | str], list[Read]]) -> list[Read]:
        found: list[Read] = []
        for path in self.published.values():
            try:
                found += read(path)
            except PluginError as fault:
                sys.stderr.write(visible(f"foliolab: {fault.what}\n"))
        return found

    def files(self) -> list[str]:
        """The single files among the plugins: what another process needs to `load` the same."""
        return [plugin.source for plugin in self.plugins if plugin.kind == "file"]

    def find(self, kind: Kind[Offered], name: str) -> Offered:
        """What plugins offer under a name.

        Raises:
            UsageError: there is none; the hint names the nearest.
            PluginError: the plugin that offers it failed.
        """
        known: dict[str, Offered] = self.offers[kind.attribute]
        if name in known:
            return known[name]
        for failure in self.failures:
            if name in failure.offers or name == failure.name:
                raise PluginError(
                    f"{kind.name} {name!r} cannot be used: plugin {failure.name} failed: {failure.message}",
                    "correct the plugin, or leave it out; `foliolab list` shows every plugin",
                )
        hint = nearest(name, known, f"{kind.plural} are")
        if self.failures:
            hint += f"; plugins that failed: {', '.join(f.name for f in self.failures)} (see `foliolab list`)"
        raise UsageError(f"there is no {kind.name} {name!r}", hint)

    def take(self, source: Source) -> PluginFailure | None:
        """Load a plugin, and take what it offers; its failure, which `failures` then has, or None."""

        def read(attempt: Attempt) -> None:
            self._add(source, _offers(attempt, source))

        failure = Attempt(source).prepare() or _tried(source, read) or Attempt(source).run(read)
        if failure is not None:
            self.failures.append(failure)
        return failure

    def _add(self, source: Source, offers: Offers) -> None:
        """Take everything that a plugin offers, or nothing.

        Raises:
            Unusable: a name is taken.
        """
        for kind in KINDS:
            for name, offered in offers[kind.attribute].items():
                if name in self.offers[kind.attribute]:
                    other = next(p for p in self.plugins if name in p.offers[kind.attribute])
                    raise clash(kind, name, source, f"{other.source} ({other.name})", offered, names_of(offers))
        for attribute, offered in offers.items():
            self.offers[attribute] |= offered
        names = {attribute: tuple(offered) for attribute, offered in offers.items()}
        self.plugins.append(Plugin(source.name, source.kind, source.where, source.version, names))


KINDS: Final[tuple[Kind[Any], ...]] = tuple(kind for kind in vars(Registry).values() if isinstance(kind, Kind))
"""Every kind of declaration, in the order in which they are listed."""

_loaded: Final[dict[tuple[str, str], tuple[str, object, Offers]]] = {}
"""The stamp, the loaded module and the offers of a source by (name, where): plugins are loaded once a process."""


def load(plugins: Sequence[str | os.PathLike[str]] = (), strict: bool = False) -> Registry:
    """Load every plugin that this process has not loaded yet, and every file that has changed since.

    Args:
        plugins: files to load besides the installed plugins and those in the user's plugin folder.
        strict: raise for the first plugin that fails (also where FOLIOLAB_STRICT_PLUGINS=1).

    Raises:
        PluginError: a plugin failed, and strict.
    """
    strict = strict or os.environ.get("FOLIOLAB_STRICT_PLUGINS", "0") not in ("", "0")
    registry = Registry()
    for source in sources(plugins):
        failure = registry.take(source)
        if failure is not None and strict:
            raise PluginError(
                f"plugin {failure.name} ({failure.source}) failed: {failure.message}",
                "correct it, remove it, or do without strict plugins",
            )
    return registry


def _tried(source: Source, read: Callable[[Attempt], None]) -> PluginFailure | None:
    """The failure of a plugin that this process does not run yet, from a process of its own."""
    if source.built_in or ((known := _loaded.get((source.name, source.where))) and known[0] == source.stamp()):
        return None
    from foliolab.framework.plugins import dry_run

    return dry_run.failure_of(source, read)


def begin_trial(file: str) -> Trial | None:
    """Begin to load a plugin file in a process of its own, as `load` does before it loads one itself.

    Args:
        file: its name; C text must have been translated.

    Returns:
        the trial; None where none is needed: the file is known to load well, or there are no forked processes.
    """
    from foliolab.framework.plugins import dry_run

    source = source_of(file)

    def read(attempt: Attempt) -> None:
        _offers(attempt, source)

    return dry_run.begin(source, read)


def _offers(attempt: Attempt, source: Source) -> Offers:
    """What a source offers, from the cache if its stamp is the same. Failures are not cached.

    The hooks of a file are called again: they may name a folder of scenarios whose files have changed.
    """
    key, stamp = (source.name, source.where), source.stamp()
    if key in _loaded and _loaded[key][0] == stamp:
        _, loaded, offers = _loaded[key]
        return offers if source.kind == "entry" else read_offers(attempt, loaded, KINDS)
    loaded = source.load()
    offers = read_offers(attempt, loaded, KINDS)
    _loaded[key] = stamp, loaded, offers
    return offers
