"""Records the programs and replays what was recorded: `python tests/programs/capture.py [NAME …] [--sizes 64,2048]`.

Needs root, perf, and the programs (`install.py`). Every program runs once for each folio size, with that size
"always" and all others "never", under FolioLab's lock; the results lie in docs/data. Traces are deleted, unless
--traces names a folder for them.
"""

from __future__ import annotations

import argparse
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from shutil import which
from typing import Final

import msgspec
from programs import PROGRAMS, Program  # type: ignore[import-not-found]  # found where this script lies

from foliolab.framework.kernel import settings
from foliolab.framework.replay.result import ReplayResult, ReplaySample

ROOT: Final = Path(__file__).parents[2]
DATA: Final = ROOT / "docs" / "data"
SIZES: Final = (64, 2048)
MOST_SECONDS: Final = 90
SAMPLES: Final = 24
LARGEST: Final = 100_000
"""Bytes that a result file may have."""


def foliolab(*words: str) -> list[str]:
    """FolioLab's command line in this interpreter."""
    return [sys.executable, "-m", "foliolab.framework.cli", *words]


def record(program: Program, kib: int, folder: Path, trace: Path) -> None:
    """Record a program; the settings are the caller's."""
    place = folder / f"of-{kib}"
    place.mkdir()
    program.prepare(place)
    recorder = subprocess.Popen(
        foliolab("record", "-o", str(trace), "--by", "perf", "--seconds", str(MOST_SECONDS), "--")
        + program.command(place)
    )
    try:
        program.drive(place)
        if recorder.wait():
            raise SystemExit(f"{program.name}, {kib} KiB: the recording failed")
    finally:
        if recorder.poll() is None:
            recorder.send_signal(signal.SIGINT)
            recorder.wait()


def nameless(command: str) -> str:
    """A command without the folders of this machine."""
    for folder, name in ((sys.prefix, "VENV"), (str(ROOT), "."), (tempfile.gettempdir(), "TMP")):
        command = command.replace(folder, name)
    return re.sub(r"TMP/(?:[\w.-]+/)*(?=[\w.-]+\.(?:folio|json)\b)", "", command)


def small(result: ReplayResult) -> ReplayResult:
    """A result with what the page needs, and no more samples than a reader would look at."""
    replace = msgspec.structs.replace

    def thinned(samples: list[ReplaySample]) -> list[ReplaySample]:
        step = max(len(samples) / SAMPLES, 1)
        return [samples[int(place * step)] for place in range(int(len(samples) / step))]

    header = result.recording.header
    header = replace(header, mms=[], command=nameless(header.command))
    return replace(
        result,
        command=nameless(result.command),
        recording=replace(result.recording, path=Path(result.recording.path).name, header=header),
        policies=[replace(one, samples=thinned(one.samples)) for one in result.policies],
    )


def replay(trace: Path, costs: Path, teardown: str, name: str) -> None:
    """Replay under all policies, with the teardowns at their beginning ("exit") or end ("gone"); keep the result."""
    out = trace.with_name(f"{name}.json")
    options = ("--policies", "all", "--teardown", teardown, "--costs", str(costs), "--json", str(out))
    done = subprocess.run(foliolab("replay", str(trace), *options), check=False, stdout=subprocess.DEVNULL)
    if not out.exists():
        raise SystemExit(f"{name}: the replay ended with status {done.returncode}")
    DATA.mkdir(parents=True, exist_ok=True)
    small(ReplayResult.load(out)).save(DATA / f"{name}.json")
    out.unlink()
    size = (DATA / f"{name}.json").stat().st_size
    print(f"{name}: {size:,} bytes", flush=True)
    if size > LARGEST:
        raise SystemExit(f"{name}: more than {LARGEST:,} bytes; keep fewer samples")


def capture(program: Program, sizes: list[int], costs: Path, traces: Path) -> None:
    """Record with each size, as far as there is no trace yet; replay with both times of teardowns."""
    place = {kib: traces / f"{program.name}-{kib}.folio" for kib in sizes}
    if absent := [kib for kib in sizes if not place[kib].exists()]:
        with tempfile.TemporaryDirectory(prefix="foliolab-programs-") as made, settings.exclusive(wait=None) as thp:
            Path(made).chmod(0o755)
            for kib in absent:
                thp.only(kib, "always")
                record(program, kib, Path(made), place[kib])
    for kib in sizes:
        for teardown in ("exit", "gone"):
            replay(place[kib], costs, teardown, f"{program.name}-{kib}-{teardown}")


def measure_costs(out: Path) -> None:
    """What a copy and a reuse cost in the model, here."""
    options = ("--workloads", "cow-byte,reuse-byte", "--sizes", "64K", "--memory", "64M", "--json", str(out))
    subprocess.run(foliolab("compare", "--policies", "mm-id", *options), check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    """Capture what is named, or everything that is installed."""
    known = {program.name: program for program in PROGRAMS}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(known))
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="in KiB")
    parser.add_argument("--traces", type=Path, metavar="DIR", help="keep the traces here, and use those that are")
    given = parser.parse_args()
    if unknown := set(given.names) - known.keys():
        parser.error(f"there is no program {min(unknown)!r}; there are {', '.join(known)}")
    with tempfile.TemporaryDirectory(prefix="foliolab-costs-") as made:
        traces: Path = given.traces or Path(made)
        traces.mkdir(parents=True, exist_ok=True)
        costs = traces / "costs.json"
        if not costs.exists():
            measure_costs(costs)
        for name in given.names or known:
            absent = [command for command in known[name].needs if which(command) is None]
            if absent:
                print(f"{name}: left out, there is no {', '.join(absent)}; see install.py")
                continue
            capture(known[name], [int(kib) for kib in given.sizes.split(",")], costs, traces)


if __name__ == "__main__":
    main()
