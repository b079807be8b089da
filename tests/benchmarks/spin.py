"""SPIN on the same protocols: how many states it stores, and how long it takes.

    python tests/benchmarks/spin.py

SPIN (Debian package `spin`; it needs gcc) is the field's standard explicit-state model checker. The models in
`promela/` have the same shared variables and the same atomic steps as the explored execution of the policies' text,
written by hand, which is what an author would have to do without one.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

MODELS = Path(__file__).parent / "promela"
PATIENCE = 600
"""Seconds that one run of SPIN may take."""


@dataclass(frozen=True)
class SpinRun:
    """What SPIN's verifier said of a model.

    Args:
        model: the protocol.
        reduced: whether with SPIN's partial-order reduction.
        states, transitions: stored, and executed.
        seconds: of the search alone.
        whole_s: the same, with the time in which `spin` and the C compiler make the verifier.
        errors: violated assertions and invalid end states.
    """

    model: str
    reduced: bool
    states: int
    transitions: int
    seconds: float
    whole_s: float
    errors: int


def missing() -> str:
    """Why SPIN cannot be run here; empty where it can."""
    for tool in ("spin", "gcc"):
        if not shutil.which(tool):
            return f"{tool} is not installed (Debian package {tool}): SPIN's figures are left out"
    return ""


def _number(text: str, pattern: str) -> float:
    found = re.search(pattern, text)
    assert found is not None, f"SPIN printed no {pattern!r}:\n{text}"
    return float(found[1])


def run(model: str, reduced: bool, threads: int = 3) -> SpinRun:
    """Let SPIN search a model's states completely.

    Args:
        model: a file in `promela/`, without its ending.
        reduced: with partial-order reduction.
        threads: how many.
    """
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        flags = ["-O2", "-DSAFETY", "-DMEMLIM=8192", *([] if reduced else ["-DNOREDUCE"])]
        for command in (
            ["spin", f"-DTHREADS={threads}", "-a", str(MODELS / f"{model}.pml")],
            ["gcc", *flags, "-o", "pan", "pan.c"],
        ):
            subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=PATIENCE)
        said = subprocess.run(
            ["./pan", "-m1000000", "-w24"], cwd=folder, check=True, capture_output=True, text=True, timeout=PATIENCE
        ).stdout
    whole = time.perf_counter() - began
    return SpinRun(
        model,
        reduced,
        int(_number(said, r"(\d+) states, stored")),
        int(_number(said, r"(\d+) transitions")),
        _number(said, r"elapsed time ([\d.e+-]+) seconds"),
        whole,
        int(_number(said, r"errors: (\d+)")),
    )


def main() -> None:
    """Print both models' figures."""
    if why := missing():
        sys.exit(why)
    for model in ("mm_id", "page_mapcount"):
        for reduced in (False, True):
            found = run(model, reduced)
            how = "with" if reduced else "without"
            print(
                f"{model:15} {how:7} reduction: {found.states:9,} states {found.transitions:9,} transitions "
                f"{found.seconds:6.2f} s, {found.errors} errors"
            )


if __name__ == "__main__":
    main()
