"""Witnesses: kernels that were held against a policy's text, with the number of page writes that were compared.

A witness belongs to one policy text with its parameters, as a verdict does (`verify.ledger`): when the text changes,
its witnesses are no longer shown. `foliolab kernel check --save-witnesses` writes them into a file, which ships with a
plugin by the hook `foliolab_witnesses`. A file holds figures and the names of kernels, nothing of a kernel itself.

`foliolab list` reads witnesses at its start. Therefore this module imports neither numpy nor msgspec.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from foliolab.framework import intake
from foliolab.framework.contract.policy import Scheme
from foliolab.framework.errors import ResultFileError
from foliolab.framework.verify.ledger import files_of, of_text

if TYPE_CHECKING:
    from foliolab.framework.kernel.matrix import Row
    from foliolab.framework.plugins.registry import Registry

SCHEMA: Final = 1
NONE: Final = "no kernel was held against this text: `foliolab kernel check` does that"


@dataclass(frozen=True)
class Witness:
    """A kernel that was held against a policy's text.

    Attributes:
        release: of the kernel, as `uname -r` prints it.
        options: those that choose its scheme, such as "CONFIG_MM_ID=y, CONFIG_PAGE_MAPCOUNT=y", "no MM IDs", or
            "configuration unknown".
        scenarios: that were played.
        writes: page writes whose outcomes were compared.
        differences: scenarios that differ without an explanation; 0: the kernel did all that the text predicts.
        date: of the run, such as 2026-11-30.
        version: of FolioLab.
    """

    release: str
    options: str
    scenarios: int
    writes: int
    differences: int
    date: str
    version: str = ""

    @property
    def agrees(self) -> bool:
        return not self.differences

    @property
    def text(self) -> str:
        """The kernel and what was found, in one line."""
        found = f"{self.writes:,} page writes, {_counted(self.differences)}, {self.date}"
        return f"Linux {self.release} ({self.options}): {found}"


@dataclass(frozen=True)
class TextWitnesses:
    """The witnesses of one policy text.

    Attributes:
        policy: its name, without parameters.
        digest: of the text and its parameters (`policytree.policy_digest`).
        source: `policytree.source_digest`, by which another version of Python recognises a shipped text.
        witnesses: one a release, by release.
    """

    policy: str
    digest: str
    source: str
    witnesses: tuple[Witness, ...]


class Witnesses:
    """The witnesses that plugins ship.

    Args:
        files: of witnesses, each with the policies of the plugin that offers it. Witnesses of another plugin's policy
            are ignored.

    Attributes:
        problems: the files that cannot be read, one sentence each.
    """

    def __init__(self, files: Mapping[Path, Collection[str]]) -> None:
        self.problems: list[str] = []
        self._known: dict[str, list[TextWitnesses]] = {}
        for path, policies in files.items():
            try:
                records = load(path)
            except ResultFileError as fault:
                self.problems.append(fault.what)
                continue
            for record in records:
                if record.policy in policies:
                    self._known.setdefault(record.policy, []).append(record)

    @classmethod
    def of(cls, registry: Registry) -> Witnesses:
        """The witnesses of a registry's policies."""
        return cls(files_of(registry, "witnesses"))

    def about(self, scheme: Scheme) -> tuple[Witness, ...]:
        """The witnesses of exactly this text with these parameters; empty if there is none."""
        found = of_text(scheme, self._known.get(scheme.policy.name, ()))
        return tuple(witness for record in found for witness in record.witnesses)

    def summary(self, scheme: Scheme) -> str:
        """What a list says of a policy in one line: how many kernels, from which to which, writes and differences."""
        found = self.about(scheme)
        if len(found) < 2:
            return found[0].text if found else NONE
        writes, differences = sum(one.writes for one in found), sum(one.differences for one in found)
        kernels = f"{len(found)} kernels, {found[0].release} to {found[-1].release}"
        return f"{kernels}: {writes:,} page writes, {_counted(differences)}, {max(one.date for one in found)}"

    def sentences(self, scheme: Scheme) -> list[str]:
        """What a listing says of a policy: a line a witness, NONE, or nothing if the policy models no kernel."""
        if scheme.policy.models is None:
            return []
        return [witness.text for witness in self.about(scheme)] or [NONE]


def _counted(differences: int) -> str:
    return "1 difference" if differences == 1 else f"{differences} differences"


def record_of(scheme: Scheme, rows: Iterable[Row]) -> TextWitnesses:
    """The witnesses that rows are for a policy: kernels that it claims to model, and those that it agrees with.

    A row that was lost or interrupted is none.
    """
    from foliolab.framework.engine.policytree import policy_digest, source_digest
    from foliolab.framework.results.provenance import versions

    date, version = datetime.now(UTC).date().isoformat(), versions().get("foliolab", "")
    witnesses = []
    for row in rows:
        found = row.agreements.get(scheme.name)
        named = {*row.claims, *row.behaves_like}
        if found is not None and found.complete and found.writes and scheme.name in named and not row.lost:
            release, _, options = row.described.removeprefix("Linux ").partition(" ")
            witnesses.append(
                Witness(
                    release, options.strip("()"), found.scenarios, found.writes, len(found.unexplained), date, version
                )
            )
    return TextWitnesses(scheme.policy.name, policy_digest(scheme), source_digest(scheme), tuple(witnesses))


def keep(schemes: Sequence[Scheme], rows: Sequence[Row], path: Path) -> None:
    """Write the witnesses of policies that model a kernel into a file.

    Witnesses in it of other releases stay, if they are of the same text; those of other texts are removed.

    Raises:
        ResultFileError: the file cannot be written.
    """
    old: list[TextWitnesses] = []
    with suppress(ResultFileError):  # no such file yet, or a damaged one, which is replaced
        old = load(path)
    fresh = [record_of(scheme, rows) for scheme in schemes if scheme.policy.models is not None]
    names = {record.policy for record in fresh}
    records = [record for record in old if record.policy not in names]
    records += [_merged(next((one for one in old if one.digest == record.digest), None), record) for record in fresh]
    save([record for record in records if record.witnesses], path)


def _merged(old: TextWitnesses | None, new: TextWitnesses) -> TextWitnesses:
    from foliolab.framework.kernel.images.store import version_key

    found = {one.release: one for one in (*(old.witnesses if old else ()), *new.witnesses)}
    return replace(new, witnesses=tuple(sorted(found.values(), key=lambda one: version_key(one.release))))


def save(records: Iterable[TextWitnesses], path: str | os.PathLike[str]) -> None:
    """Write witnesses, to ship them beside policies.

    Raises:
        ResultFileError: the file cannot be written.
    """
    from foliolab.framework.document import write_atomically

    data = {"schema": SCHEMA, "records": [asdict(record) for record in records]}
    write_atomically(path, json.dumps(data, indent=1).encode() + b"\n")


def load(path: str | os.PathLike[str]) -> list[TextWitnesses]:
    """Read witnesses.

    Raises:
        ResultFileError: the file does not exist, or does not hold witnesses.
    """
    hint = "delete the file; `foliolab kernel check --save-witnesses` makes it anew"
    return intake.records(path, "witnesses", SCHEMA, _record, hint)


def _record(data: dict[str, Any]) -> TextWitnesses:
    intake.check_keys(data, tuple(TextWitnesses.__dataclass_fields__))
    for one in data["witnesses"]:
        intake.check_keys(one, tuple(Witness.__dataclass_fields__))
    witnesses = tuple(Witness(**one) for one in data["witnesses"])
    for one in witnesses:
        counts = (one.scenarios, one.writes, one.differences)
        if not all(isinstance(text, str) for text in (one.release, one.options, one.date, one.version)):
            raise TypeError("a name is no text")
        if not all(type(count) is int and 0 <= count <= intake.LARGEST for count in counts):
            raise ValueError(f"{one.release!r} has counts {counts}")
    if not all(isinstance(data[name], str) for name in ("policy", "digest", "source")):
        raise TypeError("a name is no text")
    return TextWitnesses(data["policy"], data["digest"], data["source"], witnesses)
