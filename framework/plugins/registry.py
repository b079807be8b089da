"""The registry: every policy, workload and published figure that plugins offer, by unique name.

`load` asks all plugins and never fails because of one: see `Registry.failures`. Nothing of a registry is
pickled; a process that needs a policy calls `load` with the same files and asks for the same name.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Final, TypeVar

import pluggy

from foliolab.framework.contract.hookspecs import GROUP, Hooks
from foliolab.framework.contract.policy import Policy, Scheme
from foliolab.framework.contract.sharing_pattern import SharingPattern
from foliolab.framework.contract.trace_reader import TraceReader
from foliolab.framework.contract.workload import Workload
from foliolab.framework.errors import PluginError, UsageError
from foliolab.framework.plugins import validation
from foliolab.framework.plugins.declaration import Declared, location_of
from foliolab.framework.plugins.discovery import Attempt, Kind, PluginFailure, Source, Unusable, sources
from foliolab.framework.plugins.selection import nearest, parse_memory, parse_sizes, split

__all__ = ["Plugin", "PluginFailure", "Registry", "load", "parse_memory", "parse_sizes"]

PLAIN: Final = {
    "foliolab_policies": "POLICY",
    "foliolab_workloads": "WORKLOAD",
    "foliolab_sharing_patterns": "PATTERN",
}
"""What a plain file may hold in place of a hook."""

Check = Callable[[Scheme], object]
Offered = TypeVar("Offered", Policy, Workload, SharingPattern, Path)


@dataclass(frozen=True)
class Plugin:
    """A plugin that was loaded.

    Args:
        name: the entry point's, or the file's without its suffix.
        kind: "entry" or "file".
        source: the distribution and its version, or the file.
        version: the distribution's; empty for files.
        policies, workloads: the names of those that it offers.
        published: its files of published figures.
        scenarios: the names of its scenarios.
        patterns: the names of its sharing patterns.
    """

    name: str
    kind: Kind
    source: str
    version: str
    policies: tuple[str, ...]
    workloads: tuple[str, ...]
    published: tuple[Path, ...] = ()
    scenarios: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Offer:
    policies: tuple[Policy, ...]
    workloads: tuple[Workload, ...]
    published: tuple[Path, ...]
    trace_readers: tuple[TraceReader, ...] = ()
    scenarios: tuple[Path, ...] = ()
    patterns: tuple[SharingPattern, ...] = ()
    findings: tuple[Path, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        named: tuple[Policy | Workload | SharingPattern, ...] = (*self.policies, *self.workloads, *self.patterns)
        return tuple(one.name for one in named)


@dataclass
class Registry:
    """What plugins offer.

    Attributes:
        policies: by name, FolioLab's own first.
        workloads: by name, likewise.
        patterns: sharing patterns by name, likewise.
        published: files of published figures (see `published.load`).
        findings: files of what `verify` found about policies (see `verify.ledger`).
        scenarios: files of scenarios by name, FolioLab's own first.
        trace_readers: readers of what tracers write, besides FolioLab's own.
        plugins: those that were loaded.
        failures: those that were not, with the reason.
    """

    policies: dict[str, Policy] = field(default_factory=dict)
    workloads: dict[str, Workload] = field(default_factory=dict)
    patterns: dict[str, SharingPattern] = field(default_factory=dict)
    published: list[Path] = field(default_factory=list)
    findings: list[Path] = field(default_factory=list)
    scenarios: dict[str, Path] = field(default_factory=dict)
    trace_readers: list[TraceReader] = field(default_factory=list)
    plugins: list[Plugin] = field(default_factory=list)
    failures: list[PluginFailure] = field(default_factory=list)

    # -- what a user wrote ---------------------------------------------------------------------
    def policy(self, text: str) -> Scheme:
        """The policy that a user wrote as `name` or `name:parameter=value,parameter=value`.

        Raises:
            UsageError: no such policy, no such parameter, or a value it cannot take; names what is nearest.
            PluginError: the plugin that offers it failed.
        """
        name, colon, chosen = text.strip().partition(":")
        policy = self._find("policy", name, self.policies)
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
        return policy.with_parameters(values)

    def workload(self, name: str) -> Workload:
        """The workload of that name.

        Raises:
            UsageError: there is none; names the nearest.
            PluginError: the plugin that offers it failed.
        """
        return self._find("workload", name.strip(), self.workloads)

    def parse_policies(self, texts: Iterable[str]) -> list[Scheme]:
        """The policies of texts such as `mm-id,rmap-id:bits=6,stage=all,exact`; `all` is every policy.

        Raises:
            UsageError: as `policy`; also where one is named twice.
        """
        written: list[str] = []
        for item in split(texts):
            name, equals, _ = item.partition("=")
            if not equals or ":" in name:
                written.append(item)
            elif written and ":" in written[-1]:
                written[-1] += f",{item}"  # one more parameter of the policy before it
            else:
                raise UsageError(f"{item!r} belongs to no policy", "write POLICY:parameter=value")
        chosen = [s for text in written for s in self._all_or_one(text)]
        for i, scheme in enumerate(chosen):
            if scheme in chosen[:i]:
                raise UsageError(f"policy {scheme.name} is named twice", "name each policy once")
        if not chosen:
            raise UsageError("no policy is named", f"policies are {', '.join(self.policies)}")
        return chosen

    def _all_or_one(self, text: str) -> list[Scheme]:
        if text == "all":
            return [policy.with_parameters() for policy in self.policies.values()]
        return [self.policy(text)]

    def parse_workloads(self, texts: Iterable[str]) -> list[Workload]:
        """The workloads of texts such as `munmap,fork`, each once; `all` is every workload.

        Raises:
            UsageError: as `workload`; also where none is named.
        """
        found: dict[str, Workload] = {}
        for name in split(texts):
            found |= self.workloads if name == "all" else {name: self.workload(name)}
        if not found:
            raise UsageError("no workload is named", f"workloads are {', '.join(self.workloads)}")
        return list(found.values())

    def pattern(self, name: str) -> SharingPattern:
        """The sharing pattern of that name.

        Raises:
            UsageError: there is none; names the nearest.
            PluginError: the plugin that offers it failed.
        """
        return self._find("pattern", name.strip(), self.patterns)

    def scenario(self, name: str) -> Path:
        """The file of the scenario of that name.

        Raises:
            UsageError: there is none; names the nearest.
            PluginError: the plugin that offers it failed.
        """
        return self._find("scenario", name.strip(), self.scenarios)

    def origin(self, policy: str | Policy | Scheme) -> tuple[Kind, str]:
        """Where a policy comes from: ("entry", name of the entry point) or ("file", its path)."""
        name = policy if isinstance(policy, str) else policy.name
        name = name.partition(":")[0]
        for plugin in self.plugins:
            if name in plugin.policies:
                return plugin.kind, plugin.name if plugin.kind == "entry" else plugin.source
        raise UsageError(f"there is no policy {name!r}", nearest(name, self.policies, "policies are"))

    def files(self) -> list[str]:
        """The single files among the plugins: what another process needs to `load` the same."""
        return [plugin.source for plugin in self.plugins if plugin.kind == "file"]

    def _find(self, what: str, name: str, known: dict[str, Offered]) -> Offered:
        if name in known:
            return known[name]
        plural = {"policy": "policies", "workload": "workloads", "pattern": "patterns", "scenario": "scenarios"}[what]
        for failure in self.failures:
            if name in failure.offers or name == failure.name:
                raise PluginError(
                    f"{what} {name!r} cannot be used: plugin {failure.name} failed: {failure.message}",
                    "mend it, or leave it out; `foliolab list` shows every plugin",
                )
        hint = nearest(name, known, f"{plural} are")
        if self.failures:
            hint += f"; plugins that failed: {', '.join(f.name for f in self.failures)} (see `foliolab list`)"
        raise UsageError(f"there is no {what} {name!r}", hint)

    # -- registration --------------------------------------------------------------------------
    def _add(self, source: Source, offer: _Offer) -> None:
        """Take all that a plugin offers, or nothing.

        Raises:
            Unusable: a name is taken.
        """
        offers: tuple[tuple[str, Iterable[str], list[tuple[str, Declared | Path]]], ...] = (
            ("policy", self.policies, [(one.name, one) for one in offer.policies]),
            ("workload", self.workloads, [(one.name, one) for one in offer.workloads]),
            ("pattern", self.patterns, [(one.name, one) for one in offer.patterns]),
            ("scenario", self.scenarios, [(path.stem, path) for path in offer.scenarios]),
        )
        for what, taken, offered in offers:
            names: set[str] = set(taken)
            for name, value in offered:
                if name in names:
                    other = self._giver(name, what) or "itself, once before"
                    raise Unusable(
                        f"{what} {name!r} of {source.where} ({source.name}) is already given by {other}; "
                        "rename one of them",
                        str(value) if isinstance(value, Path) else location_of(value),
                        offer.names,
                        "clash",
                    )
                names.add(name)
        self.policies |= {one.name: one for one in offer.policies}
        self.workloads |= {one.name: one for one in offer.workloads}
        self.patterns |= {one.name: one for one in offer.patterns}
        self.published += offer.published
        self.findings += offer.findings
        self.scenarios |= {path.stem: path for path in offer.scenarios}
        self.trace_readers += offer.trace_readers
        names_of = tuple(p.name for p in offer.policies), tuple(w.name for w in offer.workloads)
        self.plugins.append(
            Plugin(
                source.name, source.kind, source.where, source.version, *names_of, offer.published,
                tuple(path.stem for path in offer.scenarios), tuple(one.name for one in offer.patterns),
            )
        )  # fmt: skip

    def _giver(self, name: str, what: str) -> str:
        for plugin in self.plugins:
            offered = {
                "policy": plugin.policies, "workload": plugin.workloads, "pattern": plugin.patterns,
                "scenario": plugin.scenarios,
            }  # fmt: skip
            if name in offered[what]:
                return f"{plugin.source} ({plugin.name})"
        return ""


def load(plugins: Sequence[str | os.PathLike[str]] = (), strict: bool = False, check: Check | None = None) -> Registry:
    """Load every plugin.

    Args:
        plugins: files to load besides the installed plugins and those in the user's plugin folder.
        strict: raise for the first plugin that fails (also where FOLIOLAB_STRICT_PLUGINS=1).
        check: called with each policy in its default form; what it raises is that plugin's failure
            (the engine's `layouts_of`, which this room must not know).

    Raises:
        PluginError: a plugin failed, and strict.
    """
    strict = strict or os.environ.get("FOLIOLAB_STRICT_PLUGINS", "0") not in ("", "0")
    registry = Registry()
    for source in sources(plugins):

        def read(attempt: Attempt, loaded: object, source: Source = source) -> None:
            offer = _read(attempt, loaded)
            attempt.phase = "check"
            for policy in offer.policies:
                validation.check_policy(policy, check)
            for workload in offer.workloads:
                validation.check_workload(workload)
            for pattern in offer.patterns:
                validation.check_pattern(pattern)
            registry._add(source, offer)

        failure = Attempt(source).run(read)
        if isinstance(failure, PluginFailure):
            registry.failures.append(failure)
            if strict:
                raise PluginError(
                    f"plugin {failure.name} ({failure.source}) failed: {failure.message}",
                    "mend it, remove it, or do without strict plugins",
                )
    return registry


def _read(attempt: Attempt, loaded: object) -> _Offer:
    """Everything that a loaded plugin offers, through its hooks or as plain values."""
    attempt.phase = "register"
    if isinstance(loaded, Policy):
        return _Offer((loaded,), (), ())
    if isinstance(loaded, Workload):
        return _Offer((), (loaded,), ())
    if isinstance(loaded, SharingPattern):
        return _Offer((), (), (), patterns=(loaded,))
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(Hooks)
    manager.register(loaded, attempt.source.name)
    manager.check_pending()
    attempt.phase = "hook"
    given = {
        caller.name: _call(caller, validation.OFFERS[caller.name])
        for caller in manager.get_hookcallers(loaded) or ()
        if caller.name in validation.OFFERS
    }
    if isinstance(loaded, ModuleType):
        for hook, constant in PLAIN.items():
            if hook not in given and hasattr(loaded, constant):
                given[hook] = validation.plain(loaded, constant, validation.OFFERS[hook])
    if not given and not manager.get_hookcallers(loaded):
        raise Unusable(
            "offers nothing: it has neither POLICY, WORKLOAD, PATTERN nor a function marked with @hookimpl",
            _first_line(attempt.source),
        )
    published, findings = (
        tuple(validation.existing(path, hook) for path in given.get(hook, ()))
        for hook in ("foliolab_published", "foliolab_findings")
    )
    return _Offer(
        tuple(given.get("foliolab_policies", ())), tuple(given.get("foliolab_workloads", ())), published,
        tuple(given.get("foliolab_trace_readers", ())),
        tuple(file for path in given.get("foliolab_scenarios", ()) for file in validation.scenarios(path)),
        tuple(given.get("foliolab_sharing_patterns", ())), findings,
    )  # fmt: skip


def _first_line(source: Source) -> str:
    return f"{source.where}:1" if source.kind == "file" else ""


def _call(caller: Any, kinds: tuple[type, ...]) -> list[Any]:
    (implementation,) = caller.get_hookimpls()
    function = implementation.function
    return validation.listed(function(), kinds, f"{caller.name}()", validation.line_of(function))
