"""Scripts that record where FolioLab is not installed: their output is for `foliolab import`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from foliolab.framework.errors import UsageError
from foliolab.framework.kernel.recording.bpftrace import SCRIPT
from foliolab.framework.kernel.recording.strace import OPTIONS
from foliolab.framework.trace.importers import bpftrace, perf
from foliolab.framework.trace.importers.opening import PERF_FIELDS

FOLDER: Final = Path(__file__).with_name("scripts")
WAYS: Final = ("perf", "bpftrace", "strace", "snapshots")


def script(way: str) -> str:
    """The script of a way to record.

    Raises:
        UsageError: there is no such way.
    """
    if way not in WAYS:
        raise UsageError(f"there is no script for {way!r}", f"choose {', '.join(WAYS)}")
    text = (FOLDER / f"{way}.sh").read_text("utf-8")
    for mark, value in {
        "@EVENTS@": " \\\n  ".join(perf.EVENTS),
        "@FIELDS@": PERF_FIELDS,
        "@MAGIC@": bpftrace.MAGIC,
        "@PROGRAM@": _program(),
        "@OPTIONS@": " ".join(OPTIONS),
    }.items():
        text = text.replace(mark, value)
    return text


def _program() -> str:
    """The probes of FolioLab's bpftrace script, a line each where that fits, without comments."""
    lines = SCRIPT.read_text("utf-8").replace("/\n{ ", "/ { ").splitlines()
    return "\n".join(line for line in lines if line.strip() and not line.startswith("//"))
