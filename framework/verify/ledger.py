"""The ledger: the verdicts of `verify` and `check`, kept where every listing of a policy shows them.

A verdict belongs to one policy text with its parameters (`policytree.policy_digest`) and to the files that the text
stands in. It names the version of engine and verifier that judged (`version.verifier_digest`); under another version
the verdict is stale, and its text says so. When the policy's text changes, its verdicts are no longer shown.

The user's own verdicts lie in the user's data folder, one file per text and origin. Verdicts that ship with a plugin
lie in a file of that plugin (hook `foliolab_findings`). A refutation has a confirmed counterexample, so a later run of
the same version that does not find one leaves the refutation in place.

`foliolab list` reads the ledger at its start. Therefore this module imports neither numpy nor msgspec.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from foliolab.framework import intake
from foliolab.framework.contract.policy import Scheme, name_of
from foliolab.framework.errors import ResultFileError
from foliolab.framework.verify.version import verifier_digest, version_text

if TYPE_CHECKING:
    from foliolab.framework.plugins.registry import Registry
    from foliolab.framework.verify.verifier import Verification

SCHEMA: Final = 4
"""The newest schema of ledger files that this module reads. Schema 1 named no version: its verdicts are stale. Up to
schema 2, "held" did not say that no attack was undecided. Up to schema 3, refutations had no counterexamples."""
STRENGTH: Final = {"undecided": 0, "partly": 1, "held": 2, "refuted": 3}
"""The verdicts by strength; a weaker verdict does not replace a stronger one of the same version."""
STALE: Final = "stale: judged by another version of the verifier"


@dataclass(frozen=True)
class KeptVerdict:
    """The verdict on one claim of one text.

    Args:
        claim: a capability; empty for what every policy owes.
        verdict: held, partly, refuted or undecided (see `finding.together`).
        date: of the run, such as 2026-11-23.
        attack: the attack that refuted the claim, or those under which it held, separated by commas.
        law: the broken law, where refuted.
        message: what happens, where refuted.
        version: of FolioLab; empty where unknown.
        verifier: digest of the engine and verifier that judged; empty where unknown.
        counterexamples: the shortest one of each law that broke, where refuted, as `Counterexample` is written, but
            without the command and the files of the host that found it.
    """

    claim: str
    verdict: str
    date: str
    attack: str = ""
    law: str = ""
    message: str = ""
    version: str = ""
    verifier: str = ""
    counterexamples: tuple[dict[str, Any], ...] = field(default=(), hash=False)

    @property
    def stale(self) -> bool:
        """Whether another version of engine and verifier judged."""
        return not self.verifier or self.verifier != verifier_digest()

    @property
    def source(self) -> str:
        """When and by which version the verdict was found, and whether it is stale."""
        found = f"verify, {self.date}, {version_text(self.version, self.verifier)}"
        return f"{STALE} ({found})" if self.stale else found

    @property
    def headline(self) -> str:
        """The claim, its verdict, the attacks, and what happens."""
        stale = " (stale)" if self.stale else ""
        by = f" by {self.attack}" if self.attack and self.verdict != "undecided" else ""
        held = " held" if self.verdict == "partly" else ""
        message = f": {self.message}" if self.message else ""
        return f"{self.claim or 'what every policy owes'} {self.verdict}{held}{stale}{by}{message}"

    @property
    def text(self) -> str:
        """The headline and the source in one line."""
        return f"{self.headline}; {self.source}"

    @property
    def _rank(self) -> tuple[bool, bool, int]:
        return self.verdict != "undecided", not self.stale, STRENGTH[self.verdict]


@dataclass(frozen=True)
class TextRecord:
    """The verdicts on one policy text.

    Args:
        policy: its name, without parameters.
        digest: of the text and its parameters (`policytree.policy_digest`).
        verdicts: one per claim.
        source: `policytree.source_digest`, by which another version of Python recognises a shipped text.
        origin: the files of the text, for one's own verdicts; empty for shipped ones.
        parameters: as a user writes them, such as slots=3; with the caller, such as slots=3+my-fork.
    """

    policy: str
    digest: str
    verdicts: tuple[KeptVerdict, ...]
    source: str = ""
    origin: str = ""
    parameters: str = ""

    @property
    def date(self) -> str:
        return max((one.date for one in self.verdicts), default="")


class Ledger:
    """The user's own verdicts and those that plugins ship.

    Args:
        shipped: files of findings, each with the policies of the plugin that offers it. Findings about a policy of
            another plugin are ignored.

    Attributes:
        problems: the files that cannot be read, one sentence each.
    """

    def __init__(self, shipped: Mapping[Path, Collection[str]] | None = None) -> None:
        self.problems: list[str] = []
        self._shipped: dict[str, list[TextRecord]] = {}
        self._own: dict[str, list[TextRecord]] = {}
        for path, policies in (shipped or {}).items():
            for record in self._records(path):
                if record.policy in policies:
                    self._shipped.setdefault(record.policy, []).append(record)
        for path in _own_files():
            for record in self._records(path):
                self._own.setdefault(record.policy, []).append(record)

    @classmethod
    def of(cls, registry: Registry) -> Ledger:
        return cls(files_of(registry, "findings"))

    def _records(self, path: Path) -> list[TextRecord]:
        try:
            return load(path)
        except ResultFileError as fault:
            self.problems.append(fault.what)
            return []

    def verdicts(self, scheme: Scheme) -> dict[str, KeptVerdict]:
        """The verdicts on exactly this text with these parameters, by claim; stale ones included."""
        record: TextRecord | None = None
        for found in self._about(scheme):
            record = merged(record, found)
        return {one.claim: one for one in record.verdicts} if record else {}

    def refuted(self, scheme: Scheme) -> list[KeptVerdict]:
        """The refutations of exactly this text with these parameters, stale ones included."""
        name = scheme.policy.name
        known = (*self._shipped.get(name, ()), *self._own.get(name, ()))
        if not any(one.verdict == "refuted" for record in known for one in record.verdicts):
            return []  # most policies: no digest is computed
        return [one for one in self.verdicts(scheme).values() if one.verdict == "refuted"]

    def earlier(self, scheme: Scheme) -> TextRecord | None:
        """The user's newest verdicts on any text that stood in the same files, with the same parameters."""
        records = self._own.get(scheme.policy.name, [])
        here = origin(scheme) if records else ""
        parameters = _chosen(scheme.name)
        found = [one for one in records if one.origin == here and one.parameters == parameters]
        return max(found, key=lambda one: one.date, default=None)

    def _about(self, scheme: Scheme) -> list[TextRecord]:
        shipped, own = self._shipped.get(scheme.policy.name, []), self._own.get(scheme.policy.name, [])
        if not shipped and not own:
            return []  # most policies of a user: no digest is computed
        from foliolab.framework.engine.policytree import policy_digest

        found = of_text(scheme, shipped)
        digest = policy_digest(scheme)
        own = [one for one in own if one.digest == digest]
        if own and is_shipped(scheme):
            here = origin(scheme)
            own = [one for one in own if one.origin == here]
        return found + own


def files_of(registry: Registry, kind: str) -> dict[Path, Collection[str]]:
    """The files of a kind that plugins offer, each with the policies of the same plugin."""
    return {
        registry.offers[kind][name]: plugin.offers["policies"]
        for plugin in registry.plugins
        for name in plugin.offers[kind]
    }


class OfText(Protocol):
    """A record on one policy text."""

    @property
    def digest(self) -> str:
        """`policytree.policy_digest`."""

    @property
    def source(self) -> str:
        """`policytree.source_digest`; empty where unknown."""


Kept = TypeVar("Kept", bound=OfText)


def of_text(scheme: Scheme, shipped: Sequence[Kept]) -> list[Kept]:
    """The shipped records on exactly this text with these parameters, also if another version of Python made them."""
    from foliolab.framework.engine.policytree import policy_digest, source_digest

    if not shipped:
        return []
    digest = policy_digest(scheme)
    if found := [one for one in shipped if one.digest == digest]:
        return found
    source = source_digest(scheme)
    return [one for one in shipped if one.source and one.source == source]


def is_shipped(scheme: Scheme) -> bool:
    """Whether all of a policy's text is FolioLab's own: then verdicts of another checkout are not about it."""
    return all(name.startswith("foliolab.") for name in _modules(scheme))


def origin(scheme: Scheme) -> str:
    """The files, outside of the framework, that a policy's text stands in.

    By them, verdicts on an earlier text of the same files are found. Verdicts on a plugin follow its text to other
    files; those on a shipped policy stay with the checkout.
    """
    files = (
        getattr(sys.modules.get(name), "__file__", None)
        for name in _modules(scheme)
        if not name.startswith("foliolab.framework.")
    )
    return os.pathsep.join(sorted({os.path.realpath(file) for file in files if file}))


def _modules(scheme: Scheme) -> set[str]:
    from foliolab.framework.engine.policytree import text_modules

    return text_modules(scheme)


def merged(old: TextRecord | None, new: TextRecord) -> TextRecord:
    """Two records of the same text as one.

    A verdict of the present version replaces a stale one. Of the same version the stronger one stays: a shorter run
    that finds nothing does not undo a refutation. "Undecided" replaces only "undecided".
    """
    if old is None:
        return new
    found = {one.claim: one for one in old.verdicts}
    for one in new.verdicts:
        known = found.get(one.claim)
        if known is None or one._rank >= known._rank:
            found[one.claim] = one
    verdicts = tuple(found[claim] for claim in sorted(found))
    return replace(new, verdicts=verdicts, source=new.source or old.source)


def record_of(verification: Verification) -> TextRecord:
    """A run's verdict on each claim."""
    date, verifier = verification.started[:10], verification.verifier
    version = verification.versions.get("foliolab", "")
    verdicts = []
    for claim in ("", *verification.claims):
        findings = [one for one in verification.findings if one.claim == claim]
        verdict = verification.verdict(claim)
        if verdict == "refuted":
            first = min((one for one in findings if one.counterexample), key=lambda one: len(str(one.counterexample)))
            assert first.counterexample is not None
            attack, law, message = first.attack, first.counterexample.law, first.counterexample.message
            examples = _examples(verification, claim)
        else:
            gave = "undecided" if verdict == "undecided" else "held"
            attack = ", ".join(sorted({one.attack for one in findings if one.verdict == gave}))
            law, message, examples = "", "", ()
        verdicts.append(KeptVerdict(claim, verdict, date, attack, law, message, version, verifier, examples))
    name, chosen = name_of(verification.policy), _chosen(verification.policy)
    return TextRecord(name, verification.digest, tuple(verdicts), parameters=chosen)


def _examples(verification: Verification, claim: str) -> tuple[dict[str, Any], ...]:
    """The shortest counterexample of each law that broke for a claim, for whoever reads the ledger elsewhere."""
    from msgspec.structs import replace as changed

    found = (one.counterexample for one in verification.refuted if one.claim == claim)
    return tuple(json.loads(changed(one, command="", plugin="").encoded()) for one in found if one)


def _chosen(written: str) -> str:
    """The parameters and the caller in a policy as a user writes it: slots=3+my-fork."""
    return written.removeprefix(name_of(written)).removeprefix(":")


def shipped_record(verification: Verification, scheme: Scheme) -> TextRecord:
    """A run's verdicts, to ship beside the policy.

    Args:
        scheme: the policy as it stands in its files.
    """
    from foliolab.framework.engine.policytree import source_digest

    return replace(record_of(verification), source=source_digest(scheme))


# -- files ---------------------------------------------------------------------------------------
def folder() -> Path:
    """Where one's own verdicts are kept: in $FOLIOLAB_DATA or the user's data folder."""
    chosen = os.environ.get("FOLIOLAB_DATA")
    if chosen:
        return Path(chosen) / "verify"
    import platformdirs

    return Path(platformdirs.user_data_dir("foliolab", appauthor=False)) / "verify"


def keep(verification: Verification, scheme: Scheme) -> Path | None:
    """Write a run's verdicts into the ledger.

    Returns:
        the file, or None where the folder cannot be written.
    """
    record = replace(record_of(verification), origin=origin(scheme))
    key = hashlib.sha256(f"{record.digest} {record.origin}".encode()).hexdigest()[:16]
    path = folder() / f"{re.sub(r'[^a-z0-9-]', '_', record.policy)}-{key}.json"
    with suppress(OSError, ResultFileError):
        path.parent.mkdir(parents=True, exist_ok=True)
        old: TextRecord | None = None
        with suppress(ResultFileError):  # no such file yet, or a damaged one, which is replaced
            old = next((one for one in load(path) if (one.digest, one.origin) == (record.digest, record.origin)), None)
        save([merged(old, record)], path)
        return path
    return None


def save(records: Iterable[TextRecord], path: str | os.PathLike[str]) -> None:
    """Write records, for the ledger or to ship them beside policies.

    Raises:
        ResultFileError: the file cannot be written.
    """
    from foliolab.framework.document import write_atomically

    data = {"schema": SCHEMA, "records": [asdict(record) for record in records]}
    write_atomically(path, json.dumps(data, indent=1).encode() + b"\n")


def _own_files() -> list[Path]:
    with suppress(OSError):
        return sorted(folder().glob("*.json"))
    return []


def load(path: str | os.PathLike[str]) -> list[TextRecord]:
    """Read records.

    Raises:
        ResultFileError: the file does not exist, or does not hold records.
    """
    return intake.records(path, "findings", SCHEMA, _record, "delete the file; `foliolab verify` makes it anew")


def _record(data: dict[str, Any]) -> TextRecord:
    intake.check_keys(data, ("outcomes", "verdicts", *TextRecord.__dataclass_fields__))
    kept = data["outcomes" if "outcomes" in data else "verdicts"]
    for one in kept:
        intake.check_keys(one, KeptVerdict.__dataclass_fields__)
    verdicts = tuple(_kept(**one) for one in kept)
    for one in verdicts:
        if one.verdict not in STRENGTH or not all(isinstance(value, str) for value in list(vars(one).values())[:-1]):
            raise ValueError(f"{one.claim!r} is {one.verdict!r}")
    names = [data["policy"], data["digest"], *(data.get(name, "") for name in ("source", "origin", "parameters"))]
    if not all(isinstance(name, str) for name in names):
        raise TypeError("a name is no text")
    policy, digest, source, origin, parameters = names
    return TextRecord(policy, digest, verdicts, source, origin, parameters)


def _kept(counterexamples: Sequence[dict[str, Any]] = (), **texts: str) -> KeptVerdict:
    """A verdict as it stands in a file."""
    if not all(isinstance(one, dict) for one in counterexamples):
        raise TypeError("a counterexample is no object")
    return KeptVerdict(**texts, counterexamples=tuple(counterexamples))
