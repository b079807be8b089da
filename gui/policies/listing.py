"""What the list of policies shows: those that can be used, by where they come from, and those that cannot."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from foliolab.framework.plugins.declaration import module_of

if TYPE_CHECKING:
    from foliolab.framework.plugins.discovery import PluginFailure
    from foliolab.framework.plugins.registry import Plugin
    from foliolab.framework.verify.ledger import KeptVerdict, Ledger
    from foliolab.gui.window.library import Library

Group = Literal["own", "installed", "file", "broken"]
GROUPS: Final[dict[Group, str]] = {
    "file": "Opened from disk (watched)",
    "own": "FolioLab's own",
    "installed": "Other plugins",
    "broken": "Broken",
}
DISTRIBUTION: Final = "foliolab"
LOCATION: Final = re.compile(r"(?P<file>[^\n:]+\.py):(?P<line>\d+): ")
"""How messages name a location."""


@dataclass(frozen=True)
class Entry:
    """A policy, or a plugin that cannot be used.

    Args:
        name: of the policy; of the plugin where it is broken.
        group: where it comes from.
        source: the distribution, or the file.
        summary: one line; of a broken one what is wrong.
        claims: with their verdicts: (claim, verdict or empty).
        failure: why it cannot be used.
    """

    name: str
    group: Group
    source: str
    summary: str
    claims: tuple[tuple[str, str], ...] = ()
    failure: PluginFailure | None = None

    @property
    def broken(self) -> bool:
        """Whether it cannot be used."""
        return self.failure is not None

    @property
    def key(self) -> tuple[bool, str]:
        """What tells it from the others."""
        return self.broken, self.name

    @property
    def told(self) -> str:
        """Claims in a line, refuted ones crossed out by a sign."""
        signs = {"refuted": "✗ ", "held": "✓ "}
        return ", ".join(f"{signs.get(verdict, '')}{claim}" for claim, verdict in self.claims)


def entries(library: Library, ledger: Ledger) -> list[Entry]:
    """Everything, files first, broken ones last; an opened file that is broken stands with the files."""
    found = [
        _entry(name, plugin, library, ledger)
        for plugin in library.registry.plugins
        for name in plugin.offers["policies"]
    ]
    found += [
        Entry(
            failure.name,
            "file" if failure.source in library.files else "broken",
            failure.source,
            failure.message,
            failure=failure,
        )
        for failure in library.failures
    ]
    order = list(GROUPS)
    return sorted(found, key=lambda entry: order.index(entry.group))


def _entry(name: str, plugin: Plugin, library: Library, ledger: Ledger) -> Entry:
    policy = library.registry.policies[name]
    scheme = policy.with_parameters()
    kept = ledger.verdicts(scheme)
    owed = [_claim("what every policy owes", kept[""])] if "" in kept and kept[""].verdict == "refuted" else []
    claims = [_claim(one, kept.get(one)) for one in sorted(scheme.capabilities)]
    group: Group = "file"
    if plugin.kind == "entry":
        group = "own" if plugin.source.partition(" ")[0].lower() == DISTRIBUTION else "installed"
    elif plugin.source not in library.files:
        group = "installed"
    return Entry(name, group, plugin.source, policy.summary, (*owed, *claims))


def _claim(claim: str, kept: KeptVerdict | None) -> tuple[str, str]:
    if kept is None:
        return claim, ""
    return f"{claim} (stale)" if kept.stale else claim, kept.verdict


def location_of(message: str) -> tuple[str, int]:
    """The file and line that a message names; ("", 0) where it names none."""
    found = LOCATION.search(message)
    return (found["file"], int(found["line"])) if found else ("", 0)


def source_of(library: Library, entry: Entry) -> tuple[str, int]:
    """The file of an entry, and the line where its policy is declared; ("", 0) where there is no file."""
    if entry.failure is not None:
        file, line = location_of(entry.failure.message)
        if file and Path(file).is_file():
            return file, line
        return (entry.source, 0) if Path(entry.source).is_file() else ("", 0)
    policy = library.registry.policies[entry.name]
    if Path(entry.source).is_file():
        return entry.source, declared_at(entry.source, entry.name)
    file = str(getattr(module_of(policy), "__file__", "") or "")
    return (file, declared_at(file, entry.name)) if file else ("", 0)


def declared_at(file: str, name: str) -> int:
    """The line where a policy of that name is declared; 0 where that cannot be seen."""
    try:
        lines = Path(file).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return 0
    wanted = re.compile(rf"name\s*=\s*[\"']{re.escape(name)}[\"']")
    return next((number for number, line in enumerate(lines, 1) if wanted.search(line)), 0)
