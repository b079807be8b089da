"""The processes of this host, as /proc shows them: who is whose child, and who shares memory by fork."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PROC: Path = Path("/proc")
_FIRST: Final = 3
"""The number of the first field behind the name in /proc/PID/stat; see proc_pid_stat(5)."""


@dataclass(frozen=True)
class _Process:
    """A process.

    Attributes:
        parent: the PID of its parent.
        ended: whether it is a zombie.
        layout: the beginnings of its code and of its stack, which fork copies, and exec chooses by chance; empty if
            they are not known.
    """

    parent: int
    ended: bool
    layout: tuple[str, ...]


def _all() -> dict[int, _Process]:
    found = {}
    for folder in PROC.iterdir():
        if folder.name.isdigit():
            with suppress(OSError, ValueError, IndexError):
                fields = (folder / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
                code, stack = fields[26 - _FIRST], fields[28 - _FIRST]
                layout = (code, stack) if int(stack) > 1 else ()
                found[int(folder.name)] = _Process(int(fields[4 - _FIRST]), fields[0] == "Z", layout)
    return found


def _below(roots: Iterable[int], every: dict[int, _Process]) -> dict[int, None]:
    children: dict[int, list[int]] = {}
    for pid, process in every.items():
        children.setdefault(process.parent, []).append(pid)
    found: dict[int, None] = {}
    left = list(roots)
    while left:
        pid = left.pop()
        if pid not in found and pid in every:
            found[pid] = None
            left += children.get(pid, [])
    return found


def process_tree(*roots: int) -> list[int]:
    """The PIDs of these processes and of all their running descendants."""
    return list(_below(roots, {pid: process for pid, process in _all().items() if not process.ended}))


def used_ticks(root: int) -> int:
    """The processor time that a process and its running descendants have used, in clock ticks."""
    used = 0
    for pid in process_tree(root):
        with suppress(OSError, ValueError, IndexError):
            fields = (PROC / str(pid) / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
            used += int(fields[14 - _FIRST]) + int(fields[15 - _FIRST])
    return used


def family(*roots: int) -> list[int]:
    """The PIDs of these processes, of their descendants, and of all that may share memory with them by fork.

    A process whose parent has ended is nobody's child any more, and a worker shares memory with its parent and its
    siblings. Address space layout randomisation tells them: only fork makes a process with the same layout. Processes
    that have ended count until their parent waits for them, since they may have forked meanwhile.
    """
    every = _all()
    found = _below(roots, every)
    if not _is_random():
        return list(found)
    while True:
        layouts = {every[pid].layout for pid in found} - {()}
        more = [pid for pid, process in every.items() if process.layout in layouts and pid not in found]
        if not more:
            return list(found)
        found |= _below(more, every)


def _is_random() -> bool:
    with suppress(OSError):
        return (PROC / "sys/kernel/randomize_va_space").read_text().strip() != "0"
    return False
