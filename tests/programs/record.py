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
import itertools
import json
import os
import shutil
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, Final

import figures  # type: ignore[import-not-found]  # found where this script lies
import onerun  # type: ignore[import-not-found]
import packages  # type: ignore[import-not-found]
from figures import SIZES
from program import Program  # type: ignore[import-not-found]
from programs import ARENA, PROGRAMS  # type: ignore[import-not-found]

RUNS: Final = 5
INTERRUPTED: Final = 130
LEAST_LARGE: Final = 8
"""So many folios of a size the first run must get, or the others of that size are left out (not the first size)."""


def trace_of(folder: Path, program: Program, kib: int, number: int) -> Path:
    """The file in which a run's trace is kept."""
    return folder / f"{program.name}-{kib}-{number}.folio"


def obtain(folder: Path, programs: Sequence[Program], dry_run: bool) -> set[str]:
    """Fetch the packages that are missing, unless an earlier command did.

    Returns:
        The names of programs that cannot be had.
    """
    root, known = folder / "root", onerun.packages_of(folder)
    inside = packages.INSIDE in os.environ  # all has been asked for
    needs = {program.name: list(program.packages) for program in programs if program.packages}
    new = {name: some for name, some in needs.items() if known.get(name) != some and not inside}
    if new:
        apt, wants = packages.wanted(new, folder / "apt")
        missing = {name: size for name, size in wants.missing.items() if name not in packages.unpacked(root)}
        if missing:
            size = f"{sum(missing.values()) / 1e6:.0f} MB"
            print(f"{'would unpack' if dry_run else 'unpacking'} {size} in {root}: {', '.join(missing)}", flush=True)
        for name, why in wants.unavailable.items():
            print(f"{name}: left out: {why}", flush=True)
        if wants.no_packages:
            print(f"no packages of Debian, so only what is installed: {wants.no_packages}", flush=True)
            return set()
        if apt is not None and missing and not dry_run:
            packages.unpack(apt, list(missing), root)
        known |= {**new, **wants.unavailable}
    if not dry_run:
        root.mkdir(exist_ok=True)
        (folder / onerun.PACKAGES).write_text(json.dumps(known))
    return {name for name, why in known.items() if isinstance(why, str)}


def worthwhile(folder: Path, program: Program, kib: int) -> bool:
    """Whether further runs with folios of a size are recorded: of the first size always, else if the first got some."""
    first = trace_of(folder, program, kib, 1)
    note = onerun.note_of(first)
    return kib == SIZES[0] or note is None or not onerun.done(first) or note.large >= LEAST_LARGE


def record_all(folder: Path, programs: Iterable[Program], sizes: Sequence[int], runs: int) -> int:
    """Record the runs that are missing, the first run of each program first; how many failed."""
    failed, programs = 0, list(programs)
    for kib in sizes:
        for number in range(1, runs + 1):
            for program in programs:
                trace = trace_of(folder, program, kib, number)
                if onerun.done(trace) or (number > 1 and not worthwhile(folder, program, kib)):
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


def runs_of(text: str) -> int:
    """How often to record.

    Raises:
        argparse.ArgumentTypeError: it is not a number from 1 up.
    """
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r}: choose a number from 1 up")
    return int(text)


def sizes_of(text: str) -> list[int]:
    """Sizes in KiB, with commas between them.

    Raises:
        argparse.ArgumentTypeError: one is not of those that the page has.
    """
    try:
        sizes = [int(word) for word in text.split(",")]
    except ValueError:
        sizes = []
    if not sizes or not set(sizes) <= set(SIZES):
        raise argparse.ArgumentTypeError(f"{text!r}: choose of {', '.join(map(str, SIZES))}")
    return sizes


def arguments() -> argparse.ArgumentParser:
    """The command's options."""
    known = ", ".join(one.name for one in (*PROGRAMS, ARENA))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=known)
    parser.add_argument("--all", action="store_true", help="all programs")
    parser.add_argument("--into", type=Path, required=True, metavar="DIR", help="for traces and packages")
    parser.add_argument("--runs", type=runs_of, metavar="N", default=RUNS, help=f"[{RUNS}]")
    usual, every = SIZES[0], ",".join(map(str, SIZES))
    parser.add_argument("--sizes", type=sizes_of, default=[usual], metavar="LIST", help=f"KiB: {every} [{usual}]")
    parser.add_argument("--dry-run", action="store_true", help="say what would be unpacked and recorded")
    parser.add_argument("--figures", action="store_true", help="record nothing, compute all figures anew")
    return parser


def alone(folder: Path, parser: argparse.ArgumentParser) -> IO[str]:
    """A lock on the folder: the traces of two commands would replace each other."""
    mine = (folder / "lock").open("w")
    try:
        fcntl.flock(mine, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        parser.error(f"another command records into {folder}")
    return mine


def main() -> int:
    """Fetch, record, and compute figures; 1 if a run failed."""
    parser = arguments()
    given = parser.parse_args()
    programs, folder = chosen(given.names, given.all, parser), given.into.resolve()
    if not given.dry_run:
        folder.mkdir(parents=True, exist_ok=True)
    if given.figures:
        figures.write_all(folder, True)
        return 0
    if os.geteuid() != 0 and not given.dry_run:
        parser.error("recording needs root")
    absent = obtain(folder, programs, given.dry_run)
    programs = [program for program in programs if program.name not in absent]
    if given.dry_run:
        every = (
            trace_of(folder, *one) for one in itertools.product(programs, given.sizes, range(1, given.runs + 1))
        )  # fmt: skip
        missing = [trace.stem for trace in every if not onerun.done(trace)]
        print(f"would record {len(missing)} runs{': ' if missing else ''}{', '.join(missing)}")
        return 0
    packages.enter(folder / "root")
    with alone(folder, parser):
        for left in folder.glob(f"{onerun.PREFIX}*"):  # by a command that was killed
            shutil.rmtree(left, ignore_errors=True)
        packages.mount(folder)
        try:
            failed = record_all(folder, programs, given.sizes, given.runs)
        except KeyboardInterrupt:
            print("interrupted; the same command goes on from here")
            return INTERRUPTED
        figures.write_all(folder)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
