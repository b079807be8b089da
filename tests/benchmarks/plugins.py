"""No second-class plugins: how fast a policy is as a plain file, beside the same one as it ships.

    python tests/benchmarks/plugins.py
    python tests/benchmarks/plugins.py --policies mm-id,page-mapcount,owner-vma --rounds 7

Each policy's text is copied to a file under another name and loaded with --plugin's means. Printed are page operations
a second of a native replay (eight processes of 256 MiB that are forked, written to and exit, folios of 64 KiB) and
accesses a second interpreted, of the shipped policy and of the file, measured in turn, and the ratio of the two.
"""

from __future__ import annotations

import argparse
import re
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from foliolab.framework.engine.engine import Shape
from foliolab.framework.engine.machine import Machine
from foliolab.framework.explore.session import Session
from foliolab.framework.explore.source import pattern_source
from foliolab.framework.plugins import registry as room
from foliolab.framework.plugins.declaration import module_of

PATTERN, MMS, FOLIOS, ORDER = "snapshot", 8, 4096, 4
SECONDS = 1.5


class Counter:
    """Counts accesses."""

    def __init__(self) -> None:
        self.nr = 0

    def access(self, op: str, ref: Any, old: int, new: int) -> None:
        """One access."""
        self.nr += 1


def native(session: Session) -> float:
    """Page operations a second of a replay that goes on where it was."""
    if session.position > session.nr_steps // 2:
        session.goto(0)
    began, before = time.perf_counter(), session.page_operations
    session.play(SECONDS)
    return (session.page_operations - before) / (time.perf_counter() - began)


def interpreted(scheme: Any) -> float:
    """Accesses a second."""
    machine = Machine(scheme, Shape(4096, 4, 2048, max_order=9), "interpreted")
    machine.create(0)
    seen = Counter()
    machine.vm.observer = seen
    began = time.perf_counter()
    for _ in range(3):
        machine.populate(0, 0, 1024, ORDER)
        machine.fork(0, 1)
        machine.unmap(1, 0, 1024)
        machine.exit(1)
        machine.unmap(0, 0, 1024)
    return seen.nr / (time.perf_counter() - began)


def copied(policy: Any, folder: Path) -> Path:
    """The policy's text as a file, under another name."""
    text = Path(str(getattr(module_of(policy), "__file__", None))).read_text()
    path = folder / f"copy_of_{policy.name.replace('-', '_')}.py"
    path.write_text(re.sub(rf'name="{policy.name}"', f'name="copy-of-{policy.name}"', text, count=1))
    return path


def main() -> None:
    """Print the figures."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--policies", default="mm-id,page-mapcount,owner-vma", help="which, separated by commas")
    options.add_argument("--rounds", type=int, default=5, help="of each measurement, in turn")
    chosen = options.parse_args()
    shipped = room.load()
    with tempfile.TemporaryDirectory() as folder:
        names = chosen.policies.split(",")
        found = room.load([copied(shipped.policies[name], Path(folder)) for name in names], strict=True)
        print(f"{'policy':<18}{'native, M page operations/s':>34}{'interpreted, M accesses/s':>34}")
        print(f"{'':<18}{'shipped':>12}{'file':>11}{'ratio':>11}{'shipped':>12}{'file':>11}{'ratio':>11}")
        for name in names:
            both = [found.policy(name), found.policy(f"copy-of-{name}")]
            source = pattern_source(found.pattern(PATTERN), MMS, FOLIOS, ORDER)
            sessions = [Session(source, [scheme]) for scheme in both]
            for session in sessions:
                session.play(0.3)  # native code is loaded on the way
            fast: list[list[float]] = [[], []]
            slow: list[list[float]] = [[], []]
            for turn in range(chosen.rounds):
                for side in (0, 1) if turn % 2 else (1, 0):
                    fast[side].append(native(sessions[side]))
                    slow[side].append(interpreted(both[side]))
            cells = []
            for values in (fast, slow):
                one, other = (statistics.median(side) / 1e6 for side in values)
                ratio = statistics.median(b / a for a, b in zip(*values, strict=True))
                cells.append(f"{one:>12.2f}{other:>11.2f}{ratio:>11.3f}")
            print(f"{name:<18}{''.join(cells)}")
            for session in sessions:
                session.close()


if __name__ == "__main__":
    main()
