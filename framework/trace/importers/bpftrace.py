"""The reader of the output of FolioLab's bpftrace script (`kernel/recording/foliolab.bt`).

A line is a record: nanoseconds, CPU, a letter, PID, TID, and the letter's fields. Addresses and flags are hexadecimal,
counts and PFNs decimal. bpftrace empties one CPU's buffer after the other, so the lines are not in the order of time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Final

from foliolab.framework.contract import trace_records as rec
from foliolab.framework.contract.trace_reader import TraceSource
from foliolab.framework.contract.trace_records import Record
from foliolab.framework.trace.importers.calls import ARGUMENTS

MAGIC: Final = "# foliolab bpftrace 1"
LOST: Final = re.compile(r"Lost (\d{1,40}) events", re.ASCII)
FIRST_FIELD: Final = 5
"""Number of words before the letter's fields."""
_SIGN: Final = 1 << 63

_task: Final = lru_cache(4096)(int)
"""The number of a task: many records wait to be sorted, and those of a task have one number in memory."""
Context = tuple[int, int, int, int]
Make = Callable[[Context, Sequence[str]], "Record | None"]


def _signed(text: str) -> int:
    value = int(text, 16)
    return value - 2 * _SIGN if value >= _SIGN else value


def _reaped(context: Context, words: Sequence[str]) -> Record | None:
    child = _signed(words[0])
    return rec.Reaped(*context, child) if child > 0 else None


def _enter(context: Context, words: Sequence[str]) -> Record | None:
    call, *args = words
    if len(args) < ARGUMENTS[call]:
        raise ValueError(f"{call} has {len(args)} arguments")
    return rec.Enter(*context, call, tuple(int(arg, 16) for arg in args))


LETTERS: Final[dict[str, tuple[int, Make]]] = {
    "F": (2, lambda c, w: rec.Fault(*c, int(w[0], 16), int(w[1], 16), kernel=False)),
    "K": (2, lambda c, w: rec.Fault(*c, int(w[0], 16), int(w[1], 16), kernel=True)),
    "A": (3, lambda c, w: rec.Alloc(*c, int(w[0]), int(w[1]), w[2] != "0") if int(w[0]) > 0 else None),
    "C": (1, lambda c, w: rec.Cached(*c, int(w[0]))),
    "T": (2, lambda c, w: rec.Task(*c, int(w[0]), int(w[1], 16), " ".join(w[2:]))),
    "P": (0, lambda c, w: rec.ExecBegin(*c)),
    "E": (0, lambda c, w: rec.Exec(*c, " ".join(w))),
    "X": (1, lambda c, w: rec.Exit(*c, last=w[0] != "0")),
    "G": (0, lambda c, w: rec.Torn(*c)),
    "W": (1, _reaped),
    "S": (2, _enter),
    "R": (2, lambda c, w: rec.Leave(*c, w[0], _signed(w[1]))),
    "H": (1, lambda c, w: rec.Hint(c[0], int(w[0]), "khugepaged collapsed pages")),
    "M": (0, lambda c, w: rec.Hint(c[0], 0, "pages were migrated")),
    "N": (0, lambda c, w: rec.Name(c[0], c[2], " ".join(w))),
}
"""For each letter the least number of its fields, and the function that makes the record."""


def read(source: TraceSource) -> Iterator[Record]:
    """The records of a text, in the order of its lines.

    Raises:
        TraceFileError: a line cannot be read.
    """
    newest = 0
    for line in source:
        words = line.split()
        if not words or line.startswith("#"):
            continue
        if not words[0].isdecimal() or len(words) < FIRST_FIELD or words[2] not in LETTERS:
            if lost := LOST.search(line):
                yield rec.Lost(newest, int(lost[1]))
            elif words[0].isdecimal():
                source.unreadable(line, "this is no record")
            else:
                source.foreign += 1  # output of the recorded command, or a message of bpftrace
            continue
        needed, make = LETTERS[words[2]]
        try:
            if len(words) < FIRST_FIELD + needed:
                raise ValueError(f"{words[2]} has {len(words) - FIRST_FIELD} words, not {needed}")
            newest = int(words[0])
            record = make((newest, int(words[1]), _task(words[3]), _task(words[4])), words[FIRST_FIELD:])
        except (ValueError, KeyError, OverflowError) as why:
            source.unreadable(line, f"this record cannot be read ({why})")
            continue
        if record is not None:
            yield record


def recognise(head: str) -> bool:
    """Whether a text begins with the first line that the script prints."""
    return any(line.startswith(MAGIC) for line in head.splitlines()[:20])
