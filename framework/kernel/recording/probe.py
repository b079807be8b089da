"""Which ways of recording work here: each is tried, on `true` or on this process."""

from __future__ import annotations

import os
import platform
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from foliolab.framework.errors import KernelError
from foliolab.framework.kernel.recording import bpftrace, perf, snapshots, strace, tracefs

SEES: Final = {
    "perf": "faults with their outcome, lifecycles, ranges",
    "bpftrace": "the same as perf, at a higher cost",
    "snapshots": "which process maps which folio, some times a second",
    "strace": "lifecycles and ranges, no faults",
}
"""The ways, the best first, and what each sees."""
TRIALS: Final[dict[str, Callable[[Path], object]]] = {
    "perf": perf.trial,
    "bpftrace": bpftrace.trial,
    "snapshots": snapshots.trial,
    "strace": strace.trial,
}


@dataclass(frozen=True)
class Way:
    """A way to record.

    Args:
        name: one of `SEES`.
        available: whether it worked when it was tried.
        reason: why not, one line; where it is available, what it sees.
    """

    name: str
    available: bool
    reason: str


def one(name: str) -> Way:
    """Try one way. Never fails.

    Args:
        name: one of `SEES`.
    """
    if platform.system() != "Linux":
        return Way(name, False, f"this is {platform.system() or 'an unknown system'}, not Linux")
    with tempfile.TemporaryDirectory(prefix="foliolab-") as folder, tracefs.undone([]):
        try:
            TRIALS[name](Path(folder))
        except KernelError as fault:
            return Way(name, False, fault.what)
        except (OSError, subprocess.SubprocessError) as fault:
            return Way(name, False, f"{type(fault).__name__}: {fault}")
    return Way(name, True, SEES[name])


def probe() -> list[Way]:
    """Try all ways, which takes some seconds where bpftrace is installed. Never fails."""
    return [one(name) for name in SEES]


def best() -> Way:
    """The first way that works.

    Raises:
        KernelError: none does; says why, each.
    """
    tried = []
    for name in SEES:
        tried.append(one(name))
        if tried[-1].available:
            return tried[-1]
    why = "; ".join(f"{way.name}: {way.reason}" for way in tried)
    root = "" if os.name == "posix" and os.geteuid() == 0 else "run as root, or "
    raise KernelError(f"nothing can record here: {why}", f"{root}install perf or strace")
