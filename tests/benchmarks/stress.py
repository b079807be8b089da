"""Try a finding on the running kernel: `python tests/benchmarks/stress.py --trials 6000`, as root.

A program of our own, `docs/data/drift.c`, brings two operations of a counterexample about at the same time, again and
again, and in a control one after the other. What it counted goes into `docs/data/stress.json`, with the kernel, the
host, the date and the policies that model this kernel: the pages about findings show it. Another finding gets another
program, named in STRESSED.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from foliolab.framework.document import write_atomically
from foliolab.framework.errors import KernelError
from foliolab.framework.host import describe_host
from foliolab.framework.kernel import running
from foliolab.framework.plugins.registry import load
from foliolab.framework.results.provenance import now

DATA: Final = Path(__file__).parents[2] / "docs" / "data"
STRESS: Final = DATA / "stress.json"
GROUPS: Final = (Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup"))
ROUND: Final = re.compile(r"^(at once|control): (\d+) trials in ([\d.]+) s, \d+ pages counted, ([+-]\d+)$", re.M)


@dataclass(frozen=True)
class Stress:
    """What a program brings about.

    Attributes:
        program: its file in docs/data.
        law: that may be broken.
        operations: of the threads of the counterexample, each once.
    """

    program: str
    law: str
    operations: tuple[str, ...]


STRESSED: Final = (Stress("drift.c", "statistics", ("split_pmd", "unmap")),)


@dataclass(frozen=True)
class Tried:
    """What a program counted on a kernel.

    Attributes:
        program, law, operations: as of Stress.
        command: that repeats it.
        kernel: its release.
        policies: the texts that model it.
        machine: processor and number of processors.
        date: of the run.
        rounds: with "kind" (at once, control), "trials", "seconds" and "changed": by how much the count was off.
    """

    program: str
    law: str
    operations: tuple[str, ...]
    command: str
    kernel: str
    policies: tuple[str, ...]
    machine: str
    date: str
    rounds: list[dict[str, Any]]


def rounds_of(printed: str) -> list[dict[str, Any]]:
    """What a program printed, a round each."""
    return [
        {"kind": kind, "trials": int(trials), "seconds": float(seconds), "changed": int(changed)}
        for kind, trials, seconds, changed in ROUND.findall(printed)
    ]


def tried(stress: Stress, trials: int) -> Tried:
    """Build a program and run it.

    Raises:
        KernelError: it cannot be built or run.
    """
    group = next((one for one in GROUPS if one.is_dir()), GROUPS[-1]) / "foliolab-stress"
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "stress"
        built = ["cc", "-O2", "-o", str(program), str(DATA / stress.program)]
        done = subprocess.run(built, capture_output=True, text=True, check=False)
        if done.returncode:
            raise KernelError(f"{stress.program} cannot be built: {done.stderr}", "install a C compiler")
        done = subprocess.run([program, group, str(trials)], capture_output=True, text=True, check=False)
    rounds = rounds_of(done.stdout)
    if done.returncode or not rounds:
        raise KernelError(f"{stress.program} ended with {done.returncode}: {done.stderr}", "run it as root")
    here, kernel = describe_host(), running.read()
    models = [one.name for one in load().policies.values() if kernel.behaves_as(one.models)]
    command = f"python tests/benchmarks/stress.py --trials {trials}"
    machine = f"{here.cpu}, {here.cores} processors"
    return Tried(
        stress.program, stress.law, stress.operations, command, os.uname().release, tuple(models), machine, now()[:10],
        rounds,
    )  # fmt: skip


def main() -> None:
    """Try what is in STRESSED, and write what was counted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=6000, metavar="N", help="of each of six rounds [6000]")
    trials = parser.parse_args().trials
    found = [asdict(tried(one, trials)) for one in STRESSED]
    kept = json.loads(STRESS.read_text("utf-8")) if STRESS.exists() else []
    others = [one for one in kept if all(one["program"] != f["program"] or one["kernel"] != f["kernel"] for f in found)]
    write_atomically(STRESS, json.dumps([*others, *found], indent=1).encode() + b"\n")


if __name__ == "__main__":
    main()
