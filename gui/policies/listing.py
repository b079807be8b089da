"""The entries of the list of policies: usable policies by origin, and broken plugins."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from foliolab.framework.csource.textmodule import translation_of
from foliolab.framework.plugins.declaration import module_of
from foliolab.gui.widgets.basics import VERDICT_SIGNS

if TYPE_CHECKING:
    from foliolab.framework.plugins.discovery import PluginFailure
    from foliolab.framework.plugins.registry import Plugin
    from foliolab.framework.verify.ledger import KeptVerdict, Ledger
    from foliolab.gui.window.checked import Checked
    from foliolab.gui.window.library import Library

Group = Literal["own", "installed", "file", "broken"]
GROUPS: Final[dict[Group, str]] = {
    "file": "Opened from disk (watched)",
    "own": "FolioLab's own",
    "installed": "Other plugins",
    "broken": "Broken",
}
DISTRIBUTION: Final = "foliolab"
OWED: Final = "what every policy owes"
LOCATION: Final = re.compile(r"(?P<file>[^\s:][^\n:]*\.(?:py|c|h)):(?P<line>\d+): ")
"""A location in a message."""


@dataclass(frozen=True)
class Entry:
    """A policy, or a broken plugin.

    Args:
        name: the name of the policy, or of the broken plugin.
        group: the origin.
        source: the distribution, or the file.
        summary: one line about the policy, or the error of the broken plugin.
        claims: claims with their kept verdicts; None for a claim without one.
        failure: why the plugin is broken; None for a policy.
    """

    name: str
    group: Group
    source: str
    summary: str
    claims: tuple[tuple[str, KeptVerdict | None], ...] = ()
    failure: PluginFailure | None = None

    @property
    def broken(self) -> bool:
        """Whether the plugin is broken."""
        return self.failure is not None

    @property
    def key(self) -> tuple[bool, str]:
        """Identifies the entry."""
        return self.broken, self.name

    def status(self, checked: Checked | None) -> tuple[str, str]:
        """The worst that the loading, the last check and the kept verdicts say, as (sign and word, colour).

        Args:
            checked: the result of the last check; None without one.
        """
        verdicts = [kept.verdict for _, kept in self.claims if kept is not None]
        check = checked.state if checked is not None else ""
        if self.broken:
            return "✗ broken", "bad"
        for state in ("failed", "refuted"):
            if check == state or state in verdicts:
                return f"✗ {state}", "bad"
        if len(verdicts) == len(self.claims) and set(verdicts) == {"held"}:
            return "✓ held", "good"
        if "partly" in verdicts:
            return f"{VERDICT_SIGNS['partly']} partly", "doubtful"
        if check:
            return "✓ checked", "good"
        return ("? undecided", "doubtful") if verdicts else ("", "quiet")

    @property
    def claims_text(self) -> str:
        """The claims in one line, with the signs of their verdicts; stale verdicts are marked."""
        return ", ".join(_claim_text(claim, kept) for claim, kept in self.claims)

    @property
    def verdicts_text(self) -> str:
        """A line for each verdict: when and by which version it was found."""
        return "\n".join(kept.text for _, kept in self.claims if kept is not None)


def entries(library: Library, ledger: Ledger) -> list[Entry]:
    """All entries by group: opened files first, broken plugins last. A broken opened file stands with the files."""
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
    owed = [(OWED, kept[""])] if "" in kept and kept[""].verdict == "refuted" else []
    claims = [(claim, kept.get(claim)) for claim in sorted(scheme.capabilities)]
    group: Group = "file"
    if plugin.kind == "entry":
        group = "own" if plugin.source.partition(" ")[0].lower() == DISTRIBUTION else "installed"
    elif plugin.source not in library.files:
        group = "installed"
    return Entry(name, group, plugin.source, policy.summary, (*owed, *claims))


def _claim_text(claim: str, kept: KeptVerdict | None) -> str:
    if kept is None or kept.verdict not in ("held", "partly", "refuted"):
        return claim
    return f"{VERDICT_SIGNS[kept.verdict]} {claim}{' (stale)' if kept.stale else ''}"


def location_of(message: str) -> tuple[str, int]:
    """The file and line that a message names; ("", 0) if it names none."""
    found = LOCATION.search(message)
    return (found["file"], int(found["line"])) if found else ("", 0)


def source_of(library: Library, entry: Entry) -> tuple[str, int]:
    """The file of an entry, and the line where its policy is declared; ("", 0) if there is no file.

    C text declares no policy: the line is that of the function that unmaps.
    """
    if entry.failure is not None:
        file, line = location_of(entry.failure.message)
        if file and Path(file).is_file():
            return file, line
        return (entry.source, 0) if Path(entry.source).is_file() else ("", 0)
    policy = library.registry.policies[entry.name]
    if translation_of(module_of(policy)):
        code = policy.hooks.remove_ptes.__code__
        return code.co_filename, code.co_firstlineno
    if Path(entry.source).is_file():
        return entry.source, declared_at(entry.source, entry.name)
    file = str(getattr(module_of(policy), "__file__", "") or "")
    return (file, declared_at(file, entry.name)) if file else ("", 0)


def declared_at(file: str, name: str) -> int:
    """The line where a policy of this name is declared; 0 if the line is not found."""
    try:
        lines = Path(file).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return 0
    wanted = re.compile(rf"name\s*=\s*[\"']{re.escape(name)}[\"']")
    return next((number for number, line in enumerate(lines, 1) if wanted.search(line)), 0)
