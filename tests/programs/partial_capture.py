"""Keeps what `foliolab partial` and `consequences` say of recordings, in docs/data/partial.

`python tests/programs/partial_capture.py --from DIR [NAME …]`, where DIR has the traces of `record.py`. What is
there of just these traces is kept as it is.
"""

from __future__ import annotations

import argparse
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import onerun  # type: ignore[import-not-found]  # found where this script lies
from figures import SIZES, nameless  # type: ignore[import-not-found]
from partial_page import ASKER, DATA, FIGURES  # type: ignore[import-not-found]
from programs import ARENA, PROGRAMS  # type: ignore[import-not-found]

from foliolab.framework.consequences.result import ConsequencesResult, Figured
from foliolab.framework.document import write_atomically
from foliolab.framework.partial.result import PartialResult
from foliolab.framework.trace.file import Trace

RUNS: Final = 3
"""How many runs of each are asked about."""
POLICIES: Final = "mm-id,no-page-mapcount,exact"
MOMENTS: Final = 10


def asked(traces: list[Path], out: Path, *words: str) -> Path:
    """The result file of a verb on the traces, which it names by their files alone.

    Raises:
        SystemExit: the verb wrote none.
    """
    out.unlink(missing_ok=True)
    files = [trace.name for trace in traces]
    done = subprocess.run(
        onerun.foliolab(words[0], *files, *words[1:], "--json", out.name),
        cwd=out.parent, check=False, capture_output=True, text=True,
    )  # fmt: skip
    if not out.exists():
        raise SystemExit(f"{out.stem}: {words[0]} ended with status {done.returncode}: {done.stderr[-500:]}")
    return out


def small_partial(result: PartialResult) -> PartialResult:
    """A result without what the page does not need and what names this machine's folders."""
    replace = msgspec.structs.replace
    runs = []
    for run in result.runs:
        header = replace(run.recording.header, mms=[], thp={}, command="", notes=[])
        runs.append(replace(run, recording=replace(run.recording, header=header), notes=[]))
    return replace(result, command=nameless(result.command), runs=runs)


def small_consequences(result: ConsequencesResult) -> ConsequencesResult:
    """The same of a result of `foliolab consequences`: what the page shows of each policy."""
    replace = msgspec.structs.replace
    sources = [
        replace(
            source,
            summary="",
            outcomes=[
                replace(
                    one,
                    decisions=[decided for decided in one.decisions if decided.name == ASKER],
                    figures=[of if of.name in FIGURES else Figured(name=of.name) for of in one.figures],
                )
                for one in source.outcomes
            ],
        )
        for source in result.sources
    ]
    askers = [one for one in result.askers if one.name == ASKER]
    return replace(result, command=nameless(result.command), sources=sources, askers=askers)


def compact(value: Any) -> Any:
    """A struct as what JSON has, without the fields that have their default value."""
    if isinstance(value, msgspec.Struct):
        shown = {}
        for field in msgspec.structs.fields(value):
            held = getattr(value, field.name)
            usual = field.default_factory() if field.default_factory is not msgspec.NODEFAULT else field.default
            if held != usual or field.name in ("kind", "schema"):
                shown[field.encode_name] = compact(held)
        return shown
    if isinstance(value, dict):
        return {name: compact(held) for name, held in value.items()}
    return [compact(held) for held in value] if isinstance(value, (list, tuple)) else value


def keep(result: msgspec.Struct, out: Path) -> None:
    """Write a result as small as it can be read again."""
    write_atomically(out, msgspec.json.encode(compact(result)) + b"\n")
    print(f"{out.name}: {out.stat().st_size:,} bytes", flush=True)


def is_of(outs: Sequence[Path], traces: Sequence[Path]) -> bool:
    """Whether files are there that say something about just these traces."""
    if not all(out.exists() for out in outs):
        return False
    known = [run.recording.header.started for run in PartialResult.load(outs[0]).runs]
    return known == [Trace(trace).header.started for trace in traces]


def capture(name: str, kib: int, folder: Path, runs: int) -> None:
    """Ask both verbs about the runs of a program, and keep what they say."""
    notes = sorted(folder.glob(f"{name}-{kib}-[0-9]*.note"))
    traces = [path.with_suffix(".folio") for path in notes if onerun.done(path)][:runs]
    outs = DATA / f"{name}-{kib}.json", DATA / f"{name}-{kib}-consequences.json"
    if not traces or (len(traces) == 1 and kib != SIZES[0]) or is_of(outs, traces):
        return
    DATA.mkdir(parents=True, exist_ok=True)
    keep(small_partial(PartialResult.load(asked(traces, folder / f"{outs[0].stem}.json", "partial"))), outs[0])
    words = ("consequences", "--policies", POLICIES, "--moments", str(MOMENTS))
    followed = ConsequencesResult.load(asked(traces, folder / f"{outs[1].stem}.json", *words))
    keep(small_consequences(followed), outs[1])


def main() -> None:
    """Ask about what is named, or everything that is recorded."""
    known = [program.name for program in (*PROGRAMS, ARENA)]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(known))
    parser.add_argument("--from", dest="folder", type=Path, required=True, metavar="DIR", help="where the traces are")
    parser.add_argument("--runs", type=int, default=RUNS, help=f"that are asked about, of each [{RUNS}]")
    given = parser.parse_args()
    if unknown := set(given.names) - set(known):
        parser.error(f"there is no program {min(unknown)!r}; there are {', '.join(known)}")
    for name in given.names or known:
        for kib in SIZES:
            capture(name, kib, given.folder.resolve(), given.runs)


if __name__ == "__main__":
    main()
