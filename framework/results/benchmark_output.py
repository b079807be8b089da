"""The output of the benchmarks that kernel developers run: pte-mapped-folio-benchmarks, vm-scalability, will-it-scale.

A file is what a terminal or a log shows, any number of runs in a row. What the benchmarks do not print, the user says:
in lines that begin with # and hold KEY=VALUE, which apply to what follows them, or behind the file's name, which
applies to all of it:

    # host=xeon kernel=6.14.0 size=64K test=munmap
    Average: 0.004997

`uname -a` says host and kernel as well, and a command line (of `set -x`, or behind a prompt) says the test.

Sources: pte-mapped-folio-benchmarks prints the average time of a test in seconds (specification 6.1); usemem of
vm-scalability prints bytes, time and throughput of each task; will-it-scale prints operations in each second and their
average, and its runtest.py a table by the number of tasks.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from foliolab.framework import intake
from foliolab.framework.document import LARGEST_KIB
from foliolab.framework.errors import ResultFileError, UsageError
from foliolab.framework.plugins.selection import parse_memory

PTE_MAPPED: Final = "pte-mapped-folio-benchmarks"
VM_SCALABILITY: Final = "vm-scalability"
WILL_IT_SCALE: Final = "will-it-scale"
MODES: Final = (
    "munmap-swapped-forked", "child-reuse-byte", "reuse-byte", "cow-byte", "dontneed", "munmap", "fork", "remap",
)  # fmt: skip
"""The tests of pte-mapped-folio-benchmarks (specification 6.1)."""
KEYS: Final = ("host", "kernel", "policy", "size", "test", "tasks", "memory")
MOST_BYTES: Final = 16 << 20
PAGE: Final = 4096
_HINT: Final = "say it in a line before the output, such as `# kernel=6.14 size=64K test=munmap`, or behind the file: "
_HINT_BEHIND: Final = "--beside FILE:kernel=6.14,size=64K,test=munmap"

_AVERAGE: Final = re.compile(r"Average:\s{0,32}(\d{1,10}(?:\.\d{1,20})?)\s*\Z", re.ASCII)
_TASK: Final = re.compile(r"(.{0,200}?)(\d{1,20}) bytes / (\d{1,20}) usecs = \d{1,20} KB/s\s*\Z", re.ASCII)
_TABLE: Final = re.compile(r"tasks,processes,processes_idle,threads,threads_idle,linear\s*\Z", re.ASCII)
_ROW: Final = re.compile(r"(\d{1,6}),(-?\d{1,20}),[\d.]{1,20},(-?\d{1,20}),[\d.]{1,20},\d{1,20}\s*\Z", re.ASCII)
_SECOND: Final = re.compile(r"min:\d{1,20} max:\d{1,20} total:(\d{1,20})\s*\Z", re.ASCII)
_OPERATIONS: Final = re.compile(r"average:(\d{1,20})\s*\Z", re.ASCII)
_UNAME: Final = re.compile(r"Linux (\S{1,200}) (\d{1,4}\.\d{1,4}\S{0,200}) #", re.ASCII)
_CASE: Final = re.compile(r"(?:^|[\s/])case-([\w-]{1,60})(?=\s|\Z)", re.ASCII)
_TESTCASE: Final = re.compile(r"(?:^|[\s/])(\w{1,60}_(?:processes|threads))(?=\s|\Z)", re.ASCII)
_TASKS: Final = re.compile(r"\s-t\s{0,8}(\d{1,6})(?=\s|\Z)", re.ASCII)
_MODE: Final = re.compile(rf"{PTE_MAPPED}\S{{0,20}}\s(?:.{{0,200}}?\s)?({'|'.join(MODES)})(?=\s|\Z)", re.ASCII)
_SIZE: Final = re.compile(r"(\d{1,7})([KM])(?:i?B)?\Z", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One run of a benchmark's test.

    Args:
        tool, test: the benchmark, and its test.
        size_kib: the folio size.
        value: the measurement.
        unit: of the value: ns a page, KB/s or operations/s.
        tasks: how many ran at the same time; 0 where the test has one only.
        host, kernel: what was measured; empty if unknown.
        policy: the policy that the user says it is; empty: the kernel says it.
    """

    tool: str
    test: str
    size_kib: int
    value: float
    unit: str
    tasks: int = 0
    host: str = ""
    kernel: str = ""
    policy: str = ""


def settings_of(text: str, where: str) -> dict[str, str]:
    """The KEY=VALUE pairs of a text, between blanks or commas.

    Raises:
        UsageError: a key is unknown, or a pair has no value.
    """
    found = {}
    for part in text.replace(",", " ").split():
        key, equals, value = part.partition("=")
        if key not in KEYS or not value:
            what = (
                f"the unknown key {intake.excerpt(key)}" if equals else f"{intake.excerpt(part)}, which is no KEY=VALUE"
            )
            raise UsageError(f"{where} has {what}", f"keys are {', '.join(KEYS)}")
        found[key] = value
    return found


def read(named: str | os.PathLike[str]) -> list[Measured]:
    """The runs in a file, in its order.

    Args:
        named: the file; with settings for all of it behind a colon.

    Raises:
        UsageError: something that the benchmark does not print is not said, or a setting is wrong.
        ResultFileError: the file cannot be read, or has no output of these benchmarks.
    """
    path, behind = _parted(os.fspath(named))
    data = intake.read(path, "benchmark's output", "check its path", MOST_BYTES)
    reader = _Reader(path, settings_of(behind, f"--beside {path}"))
    for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
        reader.line(number, line)
    reader.finish()
    if not reader.found:
        raise ResultFileError(
            f"{path} has no output of {PTE_MAPPED}, {VM_SCALABILITY} or {WILL_IT_SCALE}", "a trace: foliolab import"
        )
    return reader.found


def _parted(named: str) -> tuple[str, str]:
    """The file and the settings behind it; a file's name may have colons."""
    path, colon, behind = named.rpartition(":")
    return (path, behind) if colon and "=" in behind and not Path(named).exists() else (named, "")


@dataclass
class _Reader:
    """Follows the lines of a file.

    Attributes:
        path: the file.
        settings: those that apply.
        found: the runs.
        rates: of the tasks of the run that is being read: KB/s each.
        seconds: operations in each second of the run that is being read, once it measures.
        number: of the present line.
        measuring: whether the warm-up is over.
    """

    path: str
    settings: dict[str, str]
    found: list[Measured] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    seconds: list[int] = field(default_factory=list)
    number: int = 0
    measuring: bool = False

    def line(self, number: int, line: str) -> None:
        self.number = number
        text = line.strip()
        for pattern, take in self._takers():
            if found := pattern.match(text):
                take(found)
                return
        if text.startswith("#") and "=" in text:
            self.finish()
            self.settings |= settings_of(text.lstrip("# "), f"line {number} of {self.path}")
        elif found := _UNAME.search(text):
            self.finish()
            self.settings |= {"host": found[1], "kernel": found[2]}
        elif text == "measurement":
            self.measuring = True
        elif text == "warmup" or text.startswith("testcase:"):
            self.finish()
        else:
            self._command(text)

    def _takers(self) -> Iterator[tuple[re.Pattern[str], Callable[[re.Match[str]], None]]]:
        yield _AVERAGE, self._average
        yield _TASK, self._task
        yield _ROW, self._row
        yield _SECOND, self._second
        yield _OPERATIONS, lambda found: self._operations(float(found[1]))

    def finish(self) -> None:
        """End the run that is being read."""
        if self.rates:
            rates, self.rates = self.rates, []
            self._add(VM_SCALABILITY, sum(rates), "KB/s", tasks=len(rates))
        if self.seconds:
            self._operations(sum(self.seconds) / len(self.seconds))
        self.measuring = False

    # -- lines -------------------------------------------------------------------------------------
    def _command(self, text: str) -> None:
        """A command line, which names the test."""
        for pattern in (_CASE, _TESTCASE, _MODE):
            if found := pattern.search(text):
                self.finish()
                self.settings["test"] = found[1]
                self.settings.pop("tasks", None)
                if tasks := _TASKS.search(text):
                    self.settings["tasks"] = tasks[1]
                return

    def _average(self, found: re.Match[str]) -> None:
        nbytes = parse_memory(self.settings.get("memory", "1G"))
        self._add(PTE_MAPPED, float(found[1]) * 1e9 / (nbytes // PAGE), "ns a page")

    def _task(self, found: re.Match[str]) -> None:
        if found[1].strip():
            return  # "read again": another test, of memory that is mapped already
        if float(found[3]):
            self.rates.append(float(found[2]) / 1024 * 1e6 / float(found[3]))

    def _row(self, found: re.Match[str]) -> None:
        tasks = int(found[1])
        test = self.settings.get("test") or Path(self.path).name.partition(".")[0]
        for mode, rate in (("processes", int(found[2])), ("threads", int(found[3]))):
            if tasks and rate > 0:
                self._add(WILL_IT_SCALE, rate, "operations/s", tasks, f"{_plain(test)}_{mode}")

    def _second(self, found: re.Match[str]) -> None:
        if self.measuring:
            self.seconds.append(int(found[1]))

    def _operations(self, rate: float) -> None:
        self.seconds.clear()
        self.measuring = False
        self._add(WILL_IT_SCALE, rate, "operations/s", int(self._setting("tasks", "number of tasks") or 0))

    # -- what is added -----------------------------------------------------------------------------
    def _add(self, tool: str, value: float, unit: str, tasks: int = 0, test: str = "") -> None:
        if not value > 0:
            raise ResultFileError(
                f"line {self.number} of {self.path}: {tool} measured {value:g} {unit}", "run it again"
            )
        kernel, policy = self.settings.get("kernel", ""), self.settings.get("policy", "")
        if not (kernel or policy):
            self._setting("kernel", "kernel")
        self.found.append(
            Measured(
                tool=tool, test=test or self._setting("test", "test"), size_kib=self._size(), value=value, unit=unit,
                tasks=tasks, host=self.settings.get("host", ""), kernel=kernel, policy=policy,
            )
        )  # fmt: skip

    def _setting(self, key: str, what: str) -> str:
        value = self.settings.get(key, "")
        if not value:
            raise UsageError(f"line {self.number} of {self.path} does not say the {what}", _HINT + _HINT_BEHIND)
        return value

    def _size(self) -> int:
        text = self._setting("size", "folio size")
        found = _SIZE.match(text)
        kib = int(found[1]) << (10 if found[2] in "Mm" else 0) if found else 0
        if not 4 <= kib <= LARGEST_KIB:
            raise UsageError(f"{self.path}: {intake.excerpt(text)} is no folio size", "write 4K, 64K or 2M")
        return kib


def _plain(test: str) -> str:
    """A will-it-scale test's name without the word for its tasks."""
    return test.removesuffix("_processes").removesuffix("_threads")
