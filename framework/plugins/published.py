"""Published figures: the run times that patch series report, as data to show beside measurements.

Plugins give them as TOML files. A file holds tables, each with one row of figures per policy:

    [[table]]
    source = "V1 (message ID)"       # where the figures are published
    machine = "Intel Xeon 4210R"     # the computer that was measured; "" if the source does not say
    baseline = "page-mapcount"       # the policy that is compared with, as a user writes it
    workload = "munmap"              # one workload, figures for several sizes in KiB …
    sizes = [16, 32]
    meaning = "time"                 # optional, see `Meaning`
    note = "one line"                # optional
    [table.percent]
    mm-id = [2, 3]                   # policy = one figure per size

or `size_kib = 2048` with `workloads = [...]`: one size, figures for several workloads. `[[configuration]]` entries
say what the series call a kernel (`configurations`).
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from foliolab.framework import intake
from foliolab.framework.contract.policy import WITH, caller_of, name_of
from foliolab.framework.document import LARGEST_KIB
from foliolab.framework.errors import PluginError
from foliolab.framework.plugins.configurations import Configuration
from foliolab.framework.plugins.configurations import read as read_configurations

Meaning = Literal["time", "throughput", "speed-up", "below", "absolute"]
"""What a percentage means. "time": the change of run time, negative is faster. "throughput": the change of work per
time, positive is faster. "speed-up": faster by this much, and the source does not say whether in time or in rate.
"below": the change was less than this. "absolute": no change, but what was measured; a file cannot have it."""

Resolve = Callable[[str], Mapping[str, int] | None]
"""policy text -> all its parameters, or None if there is no such policy."""

MOST_BYTES: Final = 256 << 10
MOST_LINE: Final = 1000
"""Characters of a line: reading a dotted key takes the square of its length."""
MOST_PERCENT: Final = 1e6
KEYS: Final = {
    "source", "machine", "baseline", "workload", "sizes", "workloads", "size_kib", "meaning", "note",
    "percent",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Published:
    """One published figure.

    Args:
        source: the publication.
        machine: the computer that was measured; empty if the source does not say.
        workload, size_kib, policy, baseline: the comparison.
        percent: the figure as published.
        meaning: see `Meaning`.
        note: one line; empty for none.
        imported: whether it comes from the output of a benchmark (`results.beside`), and not from a publication.
        unit: of a figure that is absolute.
        spread: the standard deviation over repeated runs, in the unit of the figure; None if it is not known.
    """

    source: str
    machine: str
    workload: str
    size_kib: int
    policy: str
    baseline: str
    percent: float
    meaning: Meaning = "time"
    note: str = ""
    imported: bool = False
    unit: str = ""
    spread: float | None = None

    @property
    def change_percent(self) -> float | None:
        """The change of run time, negative is faster; None if the figure has another meaning."""
        return self.percent if self.meaning == "time" else None

    @property
    def word(self) -> str:
        """What it is, as a heading."""
        return "imported" if self.imported else "published"

    @property
    def origin(self) -> tuple[str, str, str]:
        """What figures in one column have in common: `word`, source and machine."""
        return self.word, self.source, self.machine

    @property
    def rounding(self) -> float:
        """Half of the last digit in points: figures are whole points or tenths."""
        return 0.5 if float(self.percent).is_integer() else 0.05


def load(path: str | os.PathLike[str]) -> list[Published]:
    """The figures of a file.

    Raises:
        PluginError: the file cannot be read, or `parse` refuses it.
    """
    return parse(_text(path), str(path))


def load_configurations(path: str | os.PathLike[str]) -> list[Configuration]:
    """The configurations of a file.

    Raises:
        PluginError: the file cannot be read, or is not such a file.
    """
    return read_configurations(_document(_text(path), str(path)).get("configuration", []), str(path))


def _text(path: str | os.PathLike[str]) -> str:
    hint = "reinstall the plugin that they belong to"
    if not os.path.exists(path):
        raise PluginError(f"the published figures in {path} cannot be read: there is no such file", hint)
    data = intake.read(path, "file of published figures", hint, MOST_BYTES, PluginError)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise PluginError(f"the published figures in {path} are not text in UTF-8: byte {error.start}", hint) from error


def parse(text: str, where: str) -> list[Published]:
    """The figures of a TOML text; `where` names it in messages.

    Raises:
        PluginError: no TOML, an unknown or missing key, or a row without one figure per column.
    """
    document = _document(text, where)
    tables = document.get("table", [])
    if not isinstance(tables, list):
        raise PluginError(f"{where}: table is not a list of tables", "write [[table]], with two brackets")
    return [figure for number, table in enumerate(tables, 1) for figure in _table(table, f"{where}, table {number}")]


def _document(text: str, where: str) -> dict[str, Any]:
    try:
        if longest := next((number for number, line in enumerate(text.splitlines(), 1) if len(line) > MOST_LINE), 0):
            raise ValueError(f"line {longest} has more than {MOST_LINE} characters")
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also a number with too many digits
        raise PluginError(f"{where} is not TOML: {error}", "correct that line") from error
    if unknown := document.keys() - {"table", "configuration"}:
        raise PluginError(
            f"{where} has the unknown key {intake.plain(min(unknown))}",
            "figures stand in [[table]] entries, names of kernels in [[configuration]] entries",
        )
    return document


def _is(value: object, kind: type) -> bool:
    """Whether a TOML value is of a type; a boolean is not a number."""
    return isinstance(value, kind) and not isinstance(value, bool)


def _take(table: Mapping[str, Any], key: str, kind: type, where: str) -> Any:
    if not _is(table.get(key), kind):
        raise PluginError(f"{where}: {key} is missing or not of type {kind.__name__}", f"give {key}")
    return table[key]


def _columns(table: Mapping[str, Any], where: str) -> list[tuple[str, int]]:
    """The workload and the size of each column."""
    if "workload" in table:
        workload = _take(table, "workload", str, where)
        columns = [(workload, size) for size in _take(table, "sizes", list, where)]
    else:
        size_kib = _take(table, "size_kib", int, where)
        columns = [(workload, size_kib) for workload in _take(table, "workloads", list, where)]
    if not all(_is(workload, str) and _is(size, int) and 0 < size <= LARGEST_KIB for workload, size in columns):
        raise PluginError(f"{where}: a workload is not a name, or a size not a number of KiB", "correct it")
    return columns


def _table(table: Any, where: str) -> Iterable[Published]:
    if not isinstance(table, dict):
        raise PluginError(f"{where} is not a table", "write [[table]] and its keys below")
    if unknown := table.keys() - KEYS:
        raise PluginError(
            f"{where} has the unknown key {intake.plain(min(unknown))}", f"keys are {', '.join(sorted(KEYS))}"
        )
    meaning = table.get("meaning", "time")
    allowed = [one for one in get_args(Meaning) if one != "absolute"]
    if meaning not in allowed:
        raise PluginError(f"{where}: meaning={intake.plain(str(meaning))} is unknown", f"choose {', '.join(allowed)}")
    columns = _columns(table, where)
    for policy, row in _take(table, "percent", dict, where).items():
        if not isinstance(row, list) or len(row) != len(columns):
            raise PluginError(f"{where}: {policy} needs {len(columns)} figures", "give one per column")
        for (workload, size_kib), percent in zip(columns, row, strict=True):
            if not (_is(percent, int) or _is(percent, float)) or not abs(percent) <= MOST_PERCENT:
                raise PluginError(
                    f"{where}: {policy} has {intake.plain(repr(percent))} for a figure", "give a number of per cent"
                )
            yield Published(
                source=_take(table, "source", str, where),
                machine=_take(table, "machine", str, where),
                workload=workload,
                size_kib=size_kib,
                policy=policy,
                baseline=_take(table, "baseline", str, where),
                percent=float(percent),
                meaning=meaning,
                note=_take(table, "note", str, where) if "note" in table else "",
            )


def identity(policy: str, values: Mapping[str, int] | None) -> tuple[str, frozenset[object]]:
    """A key that is equal for two ways to write the same policy.

    Args:
        policy: as a user writes it, `name:parameter=value,…+caller`.
        values: all its parameters; None if they are unknown: then the written ones count.
    """
    chosen = policy.partition(WITH)[0].partition(":")[2]
    name = f"{name_of(policy)}{WITH}{caller_of(policy)}"
    if values is not None:
        return name, frozenset(values.items())
    return name, frozenset(part.strip() for part in chosen.split(",") if part.strip())
