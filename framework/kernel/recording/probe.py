"""Which methods of recording work on this host: each is tried, on `true` or on this process."""

from __future__ import annotations

import os
import platform
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from foliolab.framework.errors import KernelError
from foliolab.framework.isolation.scratch import scratch
from foliolab.framework.kernel.recording import tracefs
from foliolab.framework.kernel.recording.bpftrace import BpftraceRecorder
from foliolab.framework.kernel.recording.perf import PerfRecorder
from foliolab.framework.kernel.recording.recorder import Recorder
from foliolab.framework.kernel.recording.snapshot_recorder import SnapshotRecorder
from foliolab.framework.kernel.recording.strace import StraceRecorder

RECORDERS: Final[dict[str, type[Recorder]]] = {
    recorder.name: recorder for recorder in (PerfRecorder, BpftraceRecorder, SnapshotRecorder, StraceRecorder)
}
"""The recorders by name, the preferred one first."""


@dataclass(frozen=True)
class Method:
    """The result of trying a method of recording.

    Args:
        name: a key of `RECORDERS`.
        available: whether the trial succeeded.
        reason: why it failed, one line; for an available method, what its traces contain.
    """

    name: str
    available: bool
    reason: str


def method(name: str) -> Method:
    """Try one method. A failure is reported in the result and never raised.

    Args:
        name: a key of `RECORDERS`.
    """
    with tracefs.unmounted_after([]):
        return _tried(name)


def probe() -> list[Method]:
    """Try all methods, at once, since most of a trial is waiting for a tool."""
    with tracefs.unmounted_after([]), ThreadPoolExecutor(len(RECORDERS)) as pool:
        return list(pool.map(_tried, RECORDERS))


def _tried(name: str) -> Method:
    if platform.system() != "Linux":
        return Method(name, False, f"this is {platform.system() or 'an unknown system'}, not Linux")
    recorder = RECORDERS[name]
    with scratch() as folder:
        try:
            recorder(folder).trial()
        except KernelError as fault:
            return Method(name, False, fault.what)
        except (OSError, subprocess.SubprocessError) as fault:
            return Method(name, False, f"{type(fault).__name__}: {fault}")
    return Method(name, True, recorder.shows)


def best() -> Method:
    """The first method that works.

    Raises:
        KernelError: none works; the message has the reason of each.
    """
    tried = []
    for name in RECORDERS:
        tried.append(method(name))
        if tried[-1].available:
            return tried[-1]
    why = "; ".join(f"{one.name}: {one.reason}" for one in tried)
    root = "" if os.name == "posix" and os.geteuid() == 0 else "run as root, or "
    raise KernelError(f"nothing can record here: {why}", f"{root}install perf or strace")
