"""The ledger: what `verify` found about each policy's text, kept where every listing of the policy sees it.

An outcome belongs to exactly one text (`policytree.policy_digest`): it vanishes when the text changes. One's own
outcomes lie in the user's data folder, one file a text; findings that ship with policies lie in a file of their
plugin's (hook `foliolab_findings`). A refutation comes with a confirmed counterexample, so it stays: a later run
that did not find it anew takes nothing back. Reading needs neither numpy nor msgspec: `foliolab list` starts with it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.errors import ResultFileError

if TYPE_CHECKING:
    from foliolab.framework.verify.verifier import Verification

SCHEMA: Final = 1
"""The newest schema of its files that is read."""
STRENGTH: Final = {"undecided": 0, "held": 1, "refuted": 2}
"""The verdicts; a weaker one does not take the place of a stronger one about the same text."""


@dataclass(frozen=True)
class Outcome:
    """What is known about one claim of one text.

    Args:
        claim: a capability; empty: what every policy owes.
        verdict: held, refuted, undecided.
        date: of the run that said so, such as 2026-11-23.
        attack: who refuted it; otherwise who held it, separated by commas.
        law: the law that breaks, where refuted.
        message: what happens, where refuted.
    """

    claim: str
    verdict: str
    date: str
    attack: str = ""
    law: str = ""
    message: str = ""

    @property
    def told(self) -> str:
        """In words, as it stands beside a policy."""
        what = self.claim or "what every policy owes"
        by = f", by {self.attack}" if self.attack and self.verdict != "undecided" else ""
        return f"{what} {self.verdict} (verify, {self.date}{by}){f': {self.message}' if self.message else ''}"


@dataclass(frozen=True)
class Record:
    """What is known about one text.

    Args:
        policy: its name, without parameters.
        digest: of the text (`policytree.policy_digest`).
        outcomes: one a claim.
        source: of its files (`policytree.source_digest`), by which another version of Python knows what ships.
    """

    policy: str
    digest: str
    outcomes: tuple[Outcome, ...]
    source: str = ""


class Ledger:
    """Outcomes of one's own and of plugins.

    Args:
        shipped: files of findings that plugins offer.
    """

    def __init__(self, shipped: Iterable[Path] = ()) -> None:
        self.problems: list[str] = []
        """Files that could not be read, each in a sentence."""
        self._records: dict[tuple[str, str], Record] = {}
        self._sources: dict[tuple[str, str], Record] = {}
        self._names: set[str] = set()
        self._refuted: set[str] = set()
        for path in (*shipped, *_own_files()):
            try:
                for record in _read(path):
                    self._add(record)
            except ResultFileError as fault:
                self.problems.append(fault.what)

    def _add(self, record: Record) -> None:
        key = record.policy, record.digest
        self._records[key] = merged(self._records.get(key), record)
        self._names.add(record.policy)
        if record.source:
            self._sources[record.policy, record.source] = record
        if any(one.verdict == "refuted" for one in record.outcomes):
            self._refuted.add(record.policy)

    def outcomes(self, scheme: Scheme) -> dict[str, Outcome]:
        """What is known about exactly this text, by claim; of an unknown one nothing."""
        if scheme.policy.name not in self._names:
            return {}  # no digest is computed for a policy that nobody has verified
        from foliolab.framework.engine.policytree import policy_digest, source_digest

        name = scheme.policy.name
        record = self._records.get((name, policy_digest(scheme)))
        if record is None and any(known == name for known, _ in self._sources):
            record = self._sources.get((name, source_digest(scheme)))
        return {one.claim: one for one in record.outcomes} if record else {}

    def refuted(self, scheme: Scheme) -> list[Outcome]:
        """What is refuted about exactly this text."""
        if scheme.policy.name not in self._refuted:
            return []
        return [one for one in self.outcomes(scheme).values() if one.verdict == "refuted"]


def merged(old: Record | None, new: Record) -> Record:
    """Two records of the same text as one: a refutation stays, and what held is not undone by a shorter run."""
    if old is None:
        return new
    found = {one.claim: one for one in old.outcomes}
    for one in new.outcomes:
        known = found.get(one.claim)
        if known is None or STRENGTH[one.verdict] >= STRENGTH[known.verdict]:
            found[one.claim] = one
    return Record(new.policy, new.digest, tuple(found[claim] for claim in sorted(found)), new.source or old.source)


def record_of(verification: Verification, scheme: Scheme | None = None) -> Record:
    """What a run says about each claim.

    Args:
        verification: the run.
        scheme: the policy as it stands in its files, if the record is to ship.
    """
    date = verification.started[:10]
    outcomes = []
    for claim in ("", *verification.claims):
        findings = [one for one in verification.findings if one.claim == claim]
        verdict = verification.verdict(claim)
        if verdict == "refuted":
            first = min((one for one in findings if one.counterexample), key=lambda one: len(str(one.counterexample)))
            assert first.counterexample is not None
            example = first.counterexample
            outcomes.append(Outcome(claim, verdict, date, first.attack, example.law, example.message))
        else:
            held = sorted({one.attack for one in findings if one.verdict == verdict})
            outcomes.append(Outcome(claim, verdict, date, ", ".join(held)))
    source = ""
    if scheme is not None:
        from foliolab.framework.engine.policytree import source_digest

        source = source_digest(scheme)
    return Record(verification.policy.partition(":")[0], verification.digest, tuple(outcomes), source)


# -- files ---------------------------------------------------------------------------------------
def folder() -> Path:
    """Where one's own outcomes are kept: in $FOLIOLAB_DATA or the user's data folder."""
    chosen = os.environ.get("FOLIOLAB_DATA")
    if chosen:
        return Path(chosen) / "verify"
    import platformdirs

    return Path(platformdirs.user_data_dir("foliolab", appauthor=False)) / "verify"


def keep(verification: Verification) -> Path | None:
    """Write a run's outcomes into the ledger; where they are, or None where the folder cannot be written."""
    record = record_of(verification)
    path = folder() / f"{re.sub(r'[^a-z0-9-]', '_', record.policy)}-{record.digest}.json"
    with suppress(OSError, ResultFileError):
        path.parent.mkdir(parents=True, exist_ok=True)
        old: Record | None = None
        with suppress(ResultFileError):  # there is none yet, or it is damaged and is written anew
            old = next((one for one in _read(path) if one.digest == record.digest), None)
        save([merged(old, record)], path)
        return path
    return None


def save(records: Iterable[Record], path: str | os.PathLike[str]) -> None:
    """Write records, for the ledger or to ship them beside policies.

    Raises:
        ResultFileError: the place cannot be written to.
    """
    from foliolab.framework.document import write_atomically

    data = {"schema": SCHEMA, "records": [asdict(record) for record in records]}
    write_atomically(path, json.dumps(data, indent=1).encode() + b"\n")


def load(path: str | os.PathLike[str]) -> list[Record]:
    """Read records.

    Raises:
        ResultFileError: there is no such file, or it is none of records.
    """
    return _read(Path(path))


def _own_files() -> list[Path]:
    with suppress(OSError):
        return sorted(folder().glob("*.json"))
    return []


def _read(path: Path) -> list[Record]:
    try:
        data = json.loads(path.read_bytes())
        schema = data["schema"]
        if isinstance(schema, int) and schema > SCHEMA:
            raise ResultFileError(f"the findings {path} are of schema {schema}, this FolioLab reads up to {SCHEMA}")
        return [_record(one) for one in data["records"]]
    except OSError as fault:
        raise ResultFileError(f"the findings {path} cannot be read: {fault.strerror or fault}") from fault
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as fault:
        raise ResultFileError(
            f"the findings {path} are damaged: {type(fault).__name__}: {fault}",
            "delete the file; `foliolab verify` makes it anew",
        ) from fault


def _record(data: dict[str, Any]) -> Record:
    outcomes = tuple(Outcome(**one) for one in data["outcomes"])
    for one in outcomes:
        if one.verdict not in STRENGTH or not all(isinstance(value, str) for value in vars(one).values()):
            raise ValueError(f"{one.claim!r} is {one.verdict!r}")
    return Record(str(data["policy"]), str(data["digest"]), outcomes, str(data.get("source", "")))
