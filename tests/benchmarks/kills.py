"""End commands at random moments, and look at what is left: `python tests/benchmarks/kills.py --kills 100 --seed 1`.

Each command first runs to its end, which also leaves a complete result. Then it is started again and ended by SIGTERM,
SIGHUP, SIGKILL or SIGINT, sent to the program alone or to its process group as a terminal does, at a random moment.
After each, no descendant may be there a second later, the complete result must still be there, what was announced or on
the disk before must be readable, and `foliolab kernel restore` must bring back the settings. At last each command runs
to its end once more, and nothing may be left of the earlier ones: temporary files, folders, shared memory.
`--docs` writes the table into docs/kills.md. The exit code is 1 if anything is wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from foliolab.framework.errors import FolioLabError, KernelError
from foliolab.framework.isolation import scratch
from foliolab.framework.kernel import probe, settings
from foliolab.framework.kernel.recording import probe as recorders
from foliolab.framework.precision.result import PrecisionResult
from foliolab.framework.results.result import Result
from foliolab.framework.results.saving import is_complete
from foliolab.framework.trace.file import Trace
from foliolab.framework.verify.counterexample import Counterexample
from foliolab.framework.verify.verifier import Verdicts

PAGE: Final = Path(__file__).parents[2] / "docs" / "kills.md"
MARK: Final = re.compile(r"(?<=<!-- begin kills -->\n).*(?=<!-- end kills -->)", re.DOTALL)
ENV: Final = "FOLIOLAB_KILLS"
SIGNALS: Final = (signal.SIGTERM, signal.SIGHUP, signal.SIGKILL, signal.SIGINT)
OUTLIVING: Final = 1.0
"""Seconds after which a descendant that is still there counts as an orphan."""
PATIENCE: Final = 120.0
"""Seconds in which a command must end after a signal."""
SHARED: Final = Path("/dev/shm")


def _cells(path: Path) -> int:
    return len(Result.load(path).cells)


def _points(path: Path) -> int:
    return len(PrecisionResult.load(path).points)


def _verdicts(path: Path) -> int:
    return len(Verdicts.load(path).verifications)


def _tasks(path: Path) -> int:
    json.loads(path.read_bytes())
    return 1


def _events(path: Path) -> int:
    trace = Trace(path)
    return int(len(trace) > 0 and not trace.damaged)  # a shorter recording is a whole one, too


def _nothing(path: Path) -> int:
    return len(path.read_bytes())


def _cannot_record() -> str:
    return "; ".join(f"{one.name}: {one.reason}" for one in (recorders.method("strace"),) if not one.available)


def _cannot_check() -> str:
    found = [probe.capability(name) for name in ("root", "THP settings")]
    return "; ".join(one.reason for one in found if not one.available)


@dataclass(frozen=True)
class Command:
    """A command that is ended.

    Args:
        words: after `foliolab`.
        results: pattern of the files that it writes in its folder.
        count: reads one of them, and counts the cases in it.
        whole: whether such a file says that it is complete.
        unable: why it cannot run on this host; empty if it can.
    """

    name: str
    words: tuple[str, ...]
    results: str
    count: Callable[[Path], int]
    whole: bool = True
    unable: Callable[[], str] = lambda: ""


SMALL: Final = ("--policies", "page-mapcount,mm-id", "--sizes", "16K,64K,256K", "--memory", "4M")
COMMANDS: Final = (
    Command("compare", ("compare", *SMALL, "--workloads", "munmap,fork,cow", "--repeats", "20", "--json", "r.json"),
            "r*.json", _cells),
    Command("verify", ("verify", "owner-vma", "mm-id", "exact", "--budget", "1.5", "--json", "v.json"),
            "v*.json", _verdicts),
    Command("sweep", ("sweep", *SMALL, "--workloads", "munmap,fork", "--repeats", "10", "--workers", "2", "-o", "out"),
            "out/compare-*.json", _tasks, whole=False),
    Command("record", ("record", "--by", "strace", "-o", "t.folio", "--", "sh", "-c",
                       "sleep 3 & for i in 1 2 3 4 5 6; do sh -c true; sleep 0.3; done"),
            "t.folio", _events, whole=False, unable=_cannot_record),
    Command("kernel check", ("kernel", "check", "--scenarios", "150", "--wait", "60", "--save", "found"),
            "found/*.scenario", _nothing, whole=False, unable=_cannot_check),
    Command("precision", ("precision", "--policies", "page-mapcount,mm-id,exact", "--mms", "2-6", "--json", "p.json"),
            "p*.json", _points),
)  # fmt: skip


@dataclass
class Row:
    """What happened to a command."""

    command: str
    signals: Counter[str] = field(default_factory=Counter)
    longest: float = 0.0
    wrong: dict[str, list[str]] = field(
        default_factory=lambda: {kind: [] for kind in ("orphans", "lost", "settings", "left", "exit code")}
    )


class Kills:
    """Starts a command in a folder of its own and ends it.

    Args:
        folder: for the results and temporary files.
    """

    def __init__(self, command: Command, folder: Path, seed: int) -> None:
        self.command = command
        self.random = random.Random(f"{seed} {command.name}")
        self.row = Row(command.name)
        self.work, self.temporary = folder / "work", folder / "tmp"
        for path in (self.work, self.temporary):
            path.mkdir(parents=True)
        self.mark = f"{os.getpid()}-{command.name}-{seed}"
        self.seconds = 2.0
        self.settings = _settings()
        self.shared = _shared()

    # -- running ------------------------------------------------------------------------------------
    def start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "foliolab.framework.cli", *self.command.words], text=True, cwd=self.work,
            stdin=subprocess.DEVNULL, stdout=(self.work / "said.txt").open("w"), stderr=subprocess.STDOUT,
            env={**os.environ, ENV: self.mark, "TMPDIR": str(self.temporary)}, start_new_session=True,
        )  # fmt: skip

    def _forget(self) -> None:
        """Remove what an earlier run has left that this one would count as its own."""
        for name in ("out", "counterexamples"):
            shutil.rmtree(self.work / name, ignore_errors=True)
        for path in self.work.glob("*.partial.*"):
            path.unlink()

    def to_the_end(self) -> None:
        """Run the command once without ending it."""
        self._forget()
        began = time.monotonic()
        with self.start() as process:
            process.wait()
        self.seconds = time.monotonic() - began

    def kill(self, number: signal.Signals) -> None:
        """Start the command, end it at a random moment, and look at what is left."""
        self._forget()
        process = self.start()
        with suppress(subprocess.TimeoutExpired):
            process.wait(self.random.uniform(0.05, self.seconds))
        before = self._found()
        alone = number == signal.SIGKILL or self.random.random() < 0.5
        with suppress(ProcessLookupError):
            (os.kill if alone else os.killpg)(process.pid, number)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._wrong("orphans", number, f"the program did not end within {PATIENCE:g} s")
            process.kill()
            process.wait()
        self.row.signals[number.name] += 1
        self._orphans(number)
        self._lost(number, before)
        self._settings(number)
        if process.returncode not in (-number, 128 + number, 0, 1, 3, 5):
            self._wrong("exit code", number, f"exit code {process.returncode}")

    # -- looking ------------------------------------------------------------------------------------
    def _wrong(self, kind: str, number: signal.Signals, what: str) -> None:
        self.row.wrong[kind].append(f"{self.command.name}, {number.name}: {what}")

    def _orphans(self, number: signal.Signals) -> None:
        ended = time.monotonic()
        while (left := marked(self.mark)) and time.monotonic() - ended < PATIENCE:
            time.sleep(0.02)
            if (seconds := time.monotonic() - ended) > OUTLIVING:
                self._wrong("orphans", number, f"after {seconds:.1f} s: {', '.join(map(_command_of, left))}")
                for pid in left:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                break
        self.row.longest = max(self.row.longest, time.monotonic() - ended)

    def _found(self) -> dict[Path, int]:
        """The cases in each result file; -1: it cannot be read."""
        found = {}
        for path in self.work.glob(self.command.results):
            try:
                found[path] = self.command.count(path)
            except (OSError, ValueError, FolioLabError):
                found[path] = -1 if path.exists() else 0
        return found

    def _lost(self, number: signal.Signals, before: dict[Path, int]) -> None:
        after = self._found()
        for path, cases in after.items():
            if cases < 0:
                self._wrong("lost", number, f"{path.name} cannot be read")
            elif self.command.whole and not _is_partial(path) and not is_complete(path):
                self._wrong("lost", number, f"{path.name} was complete")
        for path, cases in before.items():
            if after.get(path, 0) < cases and not (_is_partial(path) and path not in after):
                self._wrong("lost", number, f"{path.name} had {cases} cases, now {after.get(path, 0)}")
        for text in _announced((self.work / "said.txt").read_text(errors="replace")):
            examples = list((self.work / "counterexamples").glob(f"{text}-*.json"))
            try:
                for path in examples:
                    Counterexample.load(path)
            except FolioLabError as fault:
                self._wrong("lost", number, fault.what)
            if not examples:
                self._wrong("lost", number, f"the counterexample of {text} was announced, and is not there")

    def _settings(self, number: signal.Signals) -> None:
        with suppress(KernelError):  # no root; or somebody else has the settings now
            settings.restore()
            if _settings() != self.settings:
                self._wrong("settings", number, f"{_settings()} instead of {self.settings}")

    def nothing_left(self) -> None:
        """After the last, undisturbed run."""
        left = [*self.temporary.iterdir(), *self.work.rglob(".*")]
        left += [Path(name) for name in _shared() - self.shared]
        left += self.work.rglob("*.partial.*")
        for path in left:
            self.row.wrong["left"].append(f"{self.command.name}: {path}")


def _is_partial(path: Path) -> bool:
    return ".partial" in path.suffixes


def marked(mark: str) -> list[int]:
    """The processes with this mark in their environment; zombies have none."""
    text, found = f"{ENV}={mark}\0".encode(), []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if text in path.read_bytes():
                found.append(int(path.parent.name))
    return found


def _command_of(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")[-120:]
    return str(pid)


def _announced(said: str) -> set[str]:
    """The policies of which a refutation was announced."""
    return set(re.findall(r"^([\w-]+): \w+: refuted: ", said, re.MULTILINE))


def _settings() -> dict[str, str]:
    return {str(kib): settings.mode_of(path) for kib, path in settings.switches().items()}


def _shared() -> set[str]:
    return set(map(str, scratch.abandoned(SHARED)))


@contextmanager
def default_signals() -> Iterator[None]:
    """What is started in the block does not ignore signals, as it would behind a shell or nohup."""
    before = {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)}
    for number in before:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# -- the table ---------------------------------------------------------------------------------------------
def table(rows: Sequence[Row]) -> str:
    """The Markdown table of docs/kills.md: a line for each command."""
    names = [number.name for number in SIGNALS]
    kinds = list(rows[0].wrong)
    lines = [f"| command | {' | '.join(names)} | last descendant gone after | {' | '.join(kinds)} |"]
    lines.append("|---" + "|---:" * (len(names) + 1 + len(kinds)) + "|")
    for row in rows:
        counts = [str(row.signals[name]) for name in names]
        wrong = [str(len(row.wrong[kind])) for kind in kinds]
        lines.append(f"| {row.command} | {' | '.join(counts)} | {row.longest:.2f} s | {' | '.join(wrong)} |")
    return "\n".join(lines) + "\n"


def _document(text: str, options: argparse.Namespace, total: int) -> None:
    system = os.uname()
    command = f"python tests/benchmarks/kills.py --kills {options.kills} --seed {options.seed}"
    head = f"`{command}`: {total} kills, on Linux {system.release} ({system.machine}), {time.strftime('%Y-%m-%d')}.\n"
    page = PAGE.read_text()
    PAGE.write_text(MARK.sub(lambda found: f"\n{head}\n{text}\n", page))


def main() -> int:
    """End all commands, as often as asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=100, help="of all commands together (100)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="commands, separated by commas")
    parser.add_argument("--docs", action="store_true", help="write the table into docs/kills.md")
    options = parser.parse_args()
    chosen = [one for one in COMMANDS if not options.only or one.name in options.only.split(",")]
    rows, total = [], 0
    usable = [one for one in chosen if not (why := one.unable()) or print(f"without {one.name}: {why}")]
    with tempfile.TemporaryDirectory(prefix="foliolab-kills-") as folder, default_signals():
        for number, command in enumerate(usable):
            kills = Kills(command, Path(folder) / str(number), options.seed)
            kills.to_the_end()
            count = options.kills // len(usable) + (number < options.kills % len(usable))
            for turn in range(count):
                kills.kill(SIGNALS[turn % len(SIGNALS)])
                sys.stderr.write(f"\r{command.name}: {turn + 1} of {count} ")
            total += count
            kills.to_the_end()
            kills.nothing_left()
            rows.append(kills.row)
            sys.stderr.write(f"in runs of {kills.seconds:.1f} s\n")
    text = table(rows)
    print(text)
    wrong = [what for row in rows for found in row.wrong.values() for what in found]
    print("\n".join(wrong))
    if options.docs:
        _document(text, options, total)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
