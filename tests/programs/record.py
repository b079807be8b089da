"""Records programs and what their memory does: `python tests/programs/record.py --all --runs 5 --into DIR`.

The programs come from Debian's packages, unpacked in DIR; the system stays as it is (`packages.py`). A program runs
several times, with large folios of one size on and all others off, under FolioLab's lock; its server is ended whatever
happens. What is recorded already is not recorded again, so that an interrupted command goes on where it was. Traces
stay in DIR; what docs/real-programs.md needs of them is computed by replays and written to docs/data/programs.

Needs root, perf and overlayfs.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import figures  # type: ignore[import-not-found]  # found where this script lies
import onerun  # type: ignore[import-not-found]
import packages  # type: ignore[import-not-found]
from program import Program  # type: ignore[import-not-found]
from programs import ARENA, PROGRAMS  # type: ignore[import-not-found]

SIZES: Final = (64, 2048)
RUNS: Final = 5
INTERRUPTED: Final = 130
LEAST_LARGE: Final = 8
"""So many folios of a size the first run must get, or the others of that size are left out (not the smallest size)."""


def trace_of(folder: Path, program: Program, kib: int, number: int) -> Path:
    """The trace of a run."""
    return folder / f"{program.name}-{kib}-{number}.folio"


def obtain(folder: Path, programs: Sequence[Program], dry_run: bool) -> dict[str, str]:
    """Fetch the packages that are missing, unless an earlier command did.

    Returns:
        Why programs cannot be had, by their names.
    """
    root, path = folder / "root", folder / "packages.json"
    needs = {program.name: list(program.packages) for program in programs if program.packages}
    known: dict[str, list[str] | str] = json.loads(path.read_text()) if path.exists() else {}
    inside = packages.INSIDE in os.environ  # all has been asked for
    new = {name: some for name, some in needs.items() if known.get(name) != some and not inside}
    if new:
        apt, wants = packages.wanted(new, folder / "apt")
        missing = {name: size for name, size in wants.missing.items() if name not in packages.unpacked(root)}
        if missing:
            size = f"{sum(missing.values()) / 1e6:.0f} MB"
            print(f"{'would unpack' if dry_run else 'unpacking'} {size} in {root}: {', '.join(missing)}", flush=True)
        for name, why in wants.unavailable.items():
            print(f"{name}: left out: {why}", flush=True)
        if apt is not None and missing and not dry_run:
            packages.unpack(apt, list(missing), root)
        known |= {**new, **wants.unavailable}
    if not dry_run:
        root.mkdir(exist_ok=True)
        path.write_text(json.dumps(known))
    return {name: why for name, why in known.items() if name in needs and isinstance(why, str)}


def worthwhile(folder: Path, program: Program, kib: int, smallest: int) -> bool:
    """Whether further runs with folios of a size are recorded: the first one got some, or it is the smallest size."""
    note = onerun.note_of(trace_of(folder, program, kib, 1))
    return (
        kib == smallest
        or note is None
        or not onerun.done(trace_of(folder, program, kib, 1))
        or note.large >= LEAST_LARGE
    )


def record_all(folder: Path, programs: Iterable[Program], sizes: Sequence[int], runs: int) -> int:
    """Record the runs that are missing, the first run of each program first; how many failed."""
    failed, programs = 0, list(programs)
    for kib in sizes:
        for number in range(1, runs + 1):
            for program in programs:
                trace = trace_of(folder, program, kib, number)
                if onerun.done(trace) or (number > 1 and not worthwhile(folder, program, kib, min(sizes))):
                    continue
                began = time.monotonic()
                note = onerun.run_once(program, kib, trace)
                failed += bool(note.why)
                said = note.why or f"{note.work:,} {program.unit}, {note.large:,} large folios, {note.lost:,} lost"
                print(f"{trace.stem}: {said} ({time.monotonic() - began:.1f} s, load {note.load:g})", flush=True)
    return failed


def chosen(names: Sequence[str], every: bool, parser: argparse.ArgumentParser) -> list[Program]:
    """The programs that are named, or all."""
    known = {program.name: program for program in (*PROGRAMS, ARENA)}
    if unknown := set(names) - known.keys():
        parser.error(f"there is no program {min(unknown)!r}; there are {', '.join(known)}")
    if not names and not every:
        parser.error("name programs, or --all")
    return [known[name] for name in names] or list(known.values())


def main() -> int:
    """Fetch, record, and compute figures; 1 if a run failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(one.name for one in (*PROGRAMS, ARENA)))
    parser.add_argument("--all", action="store_true", help="all programs")
    parser.add_argument("--into", type=Path, required=True, metavar="DIR", help="for traces and packages")
    parser.add_argument("--runs", type=int, default=RUNS, help=f"of each program and size [{RUNS}]")
    parser.add_argument("--sizes", default="64", help=f"in KiB, such as {','.join(map(str, SIZES))} [64]")
    parser.add_argument("--dry-run", action="store_true", help="say what would be unpacked and recorded")
    parser.add_argument("--figures", action="store_true", help="record nothing, compute the figures of what there is")
    given = parser.parse_args()
    programs, sizes = chosen(given.names, given.all, parser), [int(kib) for kib in given.sizes.split(",")]
    folder: Path = given.into.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if given.figures:
        return figures.write_all(folder, programs, SIZES, {})
    if os.geteuid() != 0 and not given.dry_run:
        parser.error("recording needs root")
    unavailable = obtain(folder, programs, given.dry_run)
    programs = [program for program in programs if program.name not in unavailable]
    missing = [
        trace_of(folder, program, kib, number).stem
        for kib in sizes for number in range(1, given.runs + 1) for program in programs
        if not onerun.done(trace_of(folder, program, kib, number))
    ]  # fmt: skip
    if given.dry_run:
        print(f"would record {len(missing)} runs: {', '.join(missing)}")
        return 0
    packages.enter(folder / "root")
    mine = (folder / "lock").open("w")
    try:
        fcntl.flock(mine, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        parser.error(f"another command records into {folder}")
    packages.mount(folder)
    try:
        failed = record_all(folder, programs, sizes, given.runs)
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here")
        return INTERRUPTED
    return figures.write_all(folder, programs, SIZES, unavailable) or int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
