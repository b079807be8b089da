"""How long each verb takes until its first line and until its end, with an empty native cache and with a filled one.

    python tests/benchmarks/startup.py
    python tests/benchmarks/startup.py --verbs compare,replay --repeats 5

Each run is a fresh process; the figures are medians. It reports; it does not gate.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from replay import generate

from foliolab.framework.engine.engine import native_missing

FIRST_S: Final = 5.0
WHOLE_S: Final = 12.0
EVENTS: Final = 200_000
GOOD: Final = (0, 1, 5)
"""Exit codes of a verb that has done its work."""

VERBS: Final[dict[str, str]] = {
    "--help": "--help",
    "list": "list",
    "show": "show mm-id",
    "doctor": "doctor",
    "run": "run third-stays",
    "compare": "compare --quick --json {folder}/result.json",
    "precision": "precision --policies page-mapcount,mm-id,no-page-mapcount",
    "consequences": "consequences last-child third-stays",
    "replay": "replay {folder}/trace.folio --policies page-mapcount,mm-id",
    "verify": "verify no-page-mapcount --budget 5 --output {folder}/found",
    "check": "check no-page-mapcount --seconds 2 --output {folder}/found",
    "sweep": "sweep -o {folder}/sweep{run} --policies page-mapcount,mm-id --workloads munmap --sizes 64K",
    "report": "report {folder}/result.json --format md",
    "diff": "diff {folder}/result.json {folder}/result.json",
}
"""What is run of each verb; `report` and `diff` need what `compare` leaves."""


@dataclass(frozen=True)
class Times:
    """Seconds until the first line on either stream, and until the end."""

    first: float
    whole: float


def run(verb: str, folder: str, cache: str, number: int) -> Times:
    """Run a verb in a fresh process.

    Raises:
        subprocess.CalledProcessError: it failed; with what it wrote.
    """
    arguments = VERBS[verb].format(folder=folder, run=number).split()
    command = [sys.executable, "-P", "-c", "from foliolab.framework.cli import main; main()", *arguments]
    environment = {**os.environ, "FOLIOLAB_CACHE": cache, "PYTHONUNBUFFERED": "1"}
    start = time.perf_counter()
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdout is not None
        written = [process.stdout.readline()]
        first = time.perf_counter() - start
        written += process.stdout
    whole = time.perf_counter() - start
    if process.returncode not in GOOD:
        raise subprocess.CalledProcessError(process.returncode, command, b"".join(written))
    return Times(first, whole)


def measured(verb: str, repeats: int, folder: str) -> Iterator[tuple[str, list[Times]]]:
    """The times of a verb, cold and warm."""
    caches = [f"{folder}/{verb}{i}" for i in range(repeats)]
    yield "cold", [run(verb, folder, cache, number) for number, cache in enumerate(caches)]
    yield "warm", [run(verb, folder, caches[0], number) for number in range(repeats, 2 * repeats)]


def line(verb: str, repeats: int, folder: str) -> str:
    """A row of the table."""
    cells, slow = [f"{verb:14}"], False
    for _, times in measured(verb, repeats, folder):
        first = statistics.median(one.first for one in times)
        whole = statistics.median(one.whole for one in times)
        slow |= first > FIRST_S or whole > WHOLE_S
        cells.append(f"{first:10.2f} {whole:10.2f}")
    return "  ".join(cells) + ("  above the target" if slow else "")


def main() -> int:
    """Measure every verb; 3 where nothing can be measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3, help="fresh processes a figure (3)")
    parser.add_argument("--verbs", default=",".join(VERBS), help="which, separated by commas (all)")
    options = parser.parse_args()
    if reason := native_missing():
        print(f"startup: nothing measured: {reason}", file=sys.stderr)
        return 3
    print(f"targets, cold: first line {FIRST_S:g} s, complete {WHOLE_S:g} s")
    print(f"{'':14}  {'cold: first':>10} {'whole':>10}  {'warm: first':>10} {'whole':>10}")
    with tempfile.TemporaryDirectory(prefix="foliolab-startup-") as folder:
        generate(Path(folder, "trace.folio"), "snapshot", EVENTS)
        for verb in options.verbs.split(","):
            try:
                print(line(verb, options.repeats, folder), flush=True)
            except subprocess.CalledProcessError as fault:
                said = fault.output.decode(errors="replace").strip().splitlines()
                print(f"{verb:14}  not measured: {said[-1] if said else 'it said nothing'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
