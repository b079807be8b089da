"""Records programs that unmap parts of large folios, and keeps what `foliolab partial` and `consequences` say of them.

`python tests/programs/partial_capture.py [NAME …] [--sizes 64,2048] [--runs 3] [--traces DIR]`. Needs root, perf and
the programs (`install.py`). Every program runs several times for each folio size, with that size "always" and all
others "never", under FolioLab's lock; the results lie in docs/data/partial. A trace that is in DIR already is used as
it is, so that a capture can be resumed.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from pathlib import Path
from shutil import which
from typing import Final

import msgspec
from capture import DATA, LARGEST, foliolab, nameless, record  # type: ignore[import-not-found]  # where this script lies
from programs import Program  # type: ignore[import-not-found]
from unmapping import UNMAPPING  # type: ignore[import-not-found]

from foliolab.framework.consequences.result import ConsequencesResult
from foliolab.framework.kernel import settings
from foliolab.framework.partial.result import PartialResult

SIZES: Final = (64, 2048)
RUNS: Final = 3
POLICIES: Final = "mm-id,no-page-mapcount,exact"
MOMENTS: Final = 10
PLACE: Final = DATA / "partial"


def traces_of(program: Program, kib: int, runs: int, folder: Path) -> list[Path]:
    """The traces of a program's runs with folios of a size; those that are missing are recorded."""
    found = [folder / f"{program.name}-{kib}-{number}.folio" for number in range(1, runs + 1)]
    for trace in found:
        if trace.exists():
            continue
        with tempfile.TemporaryDirectory(prefix="foliolab-programs-") as made, settings.exclusive(wait=None) as thp:
            Path(made).chmod(0o755)
            thp.only(kib, "always")
            record(program, kib, Path(made), trace)
    return found


def asked(traces: list[Path], name: str, *words: str) -> Path:
    """The result file of a verb on the traces, which it names by their files alone."""
    out = traces[0].with_name(f"{name}.json")
    files = [trace.name for trace in traces]
    done = subprocess.run(
        foliolab(words[0], *files, *words[1:], "--json", out.name),
        cwd=out.parent, check=False, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    if not out.exists():
        raise SystemExit(f"{name}: {words[0]} ended with status {done.returncode}")
    return out


def small_partial(result: PartialResult) -> PartialResult:
    """A result without what the page does not need and what names this machine's folders."""
    replace = msgspec.structs.replace
    runs = []
    for run in result.runs:
        header = replace(run.recording.header, mms=[], command=nameless(run.recording.header.command))
        runs.append(replace(run, recording=replace(run.recording, header=header)))
    return replace(result, command=nameless(result.command), runs=runs)


def small_consequences(result: ConsequencesResult) -> ConsequencesResult:
    """The same of a result of `foliolab consequences`."""
    sources = [msgspec.structs.replace(source, summary=nameless(source.summary)) for source in result.sources]
    return msgspec.structs.replace(result, command=nameless(result.command), sources=sources)


def capture(program: Program, kib: int, runs: int, folder: Path) -> None:
    """Record what is missing, ask both verbs, keep what they say."""
    name = f"{program.name}-{kib}"
    traces = traces_of(program, kib, runs, folder)
    PLACE.mkdir(parents=True, exist_ok=True)
    detected = small_partial(PartialResult.load(asked(traces, name, "partial")))
    words = ("consequences", "--policies", POLICIES, "--moments", str(MOMENTS))
    followed = small_consequences(ConsequencesResult.load(asked(traces, f"{name}-consequences", *words)))
    for out, result in ((PLACE / f"{name}.json", detected), (PLACE / f"{name}-consequences.json", followed)):
        result.save(out)
        size = out.stat().st_size
        print(f"{out.name}: {size:,} bytes", flush=True)
        if size > LARGEST:
            raise SystemExit(f"{out.name}: more than {LARGEST:,} bytes")


def main() -> None:
    """Capture what is named, or everything that is installed."""
    known = {program.name: program for program in UNMAPPING}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(known))
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="in KiB")
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--traces", type=Path, metavar="DIR", help="keep the traces here, and use those that are")
    given = parser.parse_args()
    if unknown := set(given.names) - known.keys():
        parser.error(f"there is no program {min(unknown)!r}; there are {', '.join(known)}")
    with tempfile.TemporaryDirectory(prefix="foliolab-partial-") as made:
        folder = (given.traces or Path(made)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        for name in given.names or known:
            absent = [command for command in known[name].needs if which(command) is None]
            if absent:
                print(f"{name}: left out, there is no {', '.join(absent)}; see install.py")
                continue
            for kib in map(int, given.sizes.split(",")):
                capture(known[name], kib, given.runs, folder)


if __name__ == "__main__":
    main()
