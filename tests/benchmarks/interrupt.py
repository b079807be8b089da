"""How long a run takes to end after Ctrl-C: `python tests/benchmarks/interrupt.py`.

The unit is one start and end of `foliolab --version` on this host at this time, so that a slow or busy host does not
count against the program. It reports; it does not gate.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import time
from typing import Final

COMMANDS: Final = {
    "compare": ["compare", "--workloads", "munmap,fork", "--sizes", "64K", "--memory", "1G", "--repeats", "1000"],
    "verify": ["verify", "rmap-id", "--budget", "120"],
}
TARGET: Final = 2.0
"""Starts of the program that an end may take: half a second on an idle host where a start takes a quarter."""
WORK_S: Final = 8.0
"""Seconds before Ctrl-C."""


def _program(arguments: list[str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", "from foliolab.framework.cli import main; main()", *arguments]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


def _start() -> float:
    began = time.perf_counter()
    _program(["--version"]).wait()
    return time.perf_counter() - began


def _end(arguments: list[str]) -> float:
    with _program(arguments) as process:
        time.sleep(WORK_S)
        began = time.perf_counter()
        os.killpg(process.pid, signal.SIGINT)
        process.wait()
        return time.perf_counter() - began


def main() -> int:
    """Measure all commands."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=3, help="runs of each command (3)")
    options = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts what runs behind it without SIGINT
    for name, arguments in COMMANDS.items():
        pairs = [(_end(arguments), _start()) for _ in range(options.repeats)]
        ratio = statistics.median(end / start for end, start in pairs)
        seconds = statistics.median(end for end, _ in pairs)
        verdict = "" if ratio <= TARGET else "  above the target"
        print(f"foliolab {name:8} {ratio:5.2f} starts of the program  ({seconds:.2f} s; target {TARGET:g}){verdict}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
