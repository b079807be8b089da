"""The records of a reader, each checked before anything is made of it.

A text may hold any number, and a plugin's reader may yield anything: what no kernel can print is refused with its line.
A plugin's reader may also hang: it is ended when it neither reads a line nor makes a record for too long.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import repeat, takewhile
from operator import index, rshift
from types import FrameType
from typing import Any, Final

from foliolab.framework.contract import trace_records as rec
from foliolab.framework.contract.trace_reader import TraceReader, TraceSource
from foliolab.framework.contract.trace_records import Record
from foliolab.framework.errors import FolioLabError, PluginError
from foliolab.framework.escaping import visible
from foliolab.framework.isolation import signals
from foliolab.framework.isolation.blame import location_of_frame, location_outside, time_limit
from foliolab.framework.isolation.limits import OURS, Patience, TooSlow
from foliolab.framework.plugins.declaration import location_of
from foliolab.framework.trace import events
from foliolab.framework.trace.importers.calls import Call

MOST_TEXT: Final = 1024
"""Characters of a name. The kernel's have 15."""
RECOGNISE_SECONDS: Final = 5.0
"""Seconds that a reader may take to recognise the beginning of a text."""
TOLD_SECONDS: Final = 10.0
"""Seconds without a line read and a record made after which the user is told."""
READ_SECONDS: Final = 300.0
"""Seconds after which such a reader is ended. It may have read a long text whole, and sort it."""


def _text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= MOST_TEXT


def _flag(value: object) -> bool:
    return value in (False, True)


def _flags(value: object) -> bool:
    return value is None or _below(value, 1 << 64)


def _arguments(value: object) -> bool:
    if not isinstance(value, tuple):
        return False
    for argument in value:  # a generator takes twice as long
        if not (0 <= argument < ADDRESS if argument.__class__ is int else _below(argument, ADDRESS)):
            return False
    return True


_RESULTS: Final = 1 << 63


def _result(value: object) -> bool:
    """Whether a system call can return this: an error down to -4095, a number, or an address."""
    return isinstance(value, int) and -4096 < value < _RESULTS


def _row_kind(value: object) -> bool:
    """Whether a row may be of this kind: not one that names an MM, since a reader does not know the MMs' numbers."""
    return value in events.KINDS and value not in (events.FORK, events.SPAWN, events.EXEC)


def _below(value: object, limit: int) -> bool:
    try:
        return 0 <= index(value) < limit  # type: ignore[arg-type]  # an integer of numpy is one, too
    except TypeError:
        return False


TIME, CPU, TASK, ADDRESS, FRAME, ORDER, COUNT = 1 << 62, 1 << 20, 1 << 31, 1 << 64, 1 << 52, 32, 1 << 32
_WHO: Final = (TIME, CPU, TASK, TASK)
Limit = int | Callable[[object], bool]
LIMITS: Final[dict[type, tuple[Limit, ...]]] = {
    rec.Fault: (*_WHO, ADDRESS, 1 << 64, _flag),
    rec.Alloc: (*_WHO, FRAME, ORDER, _flag),
    rec.Cached: (*_WHO, FRAME),
    rec.Task: (*_WHO, TASK, _flags, _text),
    rec.ExecBegin: _WHO,
    rec.Exec: (*_WHO, _text),
    rec.Exit: (*_WHO, _flag),
    rec.Torn: _WHO,
    rec.Reaped: (*_WHO, TASK),
    rec.Enter: (*_WHO, _text, _arguments),
    rec.Leave: (*_WHO, _text, _result),
    Call: (*_WHO, _text, _arguments, _result),
    rec.Lost: (TIME, 1 << 62),
    rec.Hint: (TIME, FRAME, _text),
    rec.Name: (TIME, TASK, _text),
    rec.Row: (TIME, TASK, _row_kind, 1 << 8, ORDER, FRAME, COUNT, 1 << 64),
}
"""Of each field the number that it must be below, or the function that says whether it is possible."""


def _bits(limit: Limit) -> int:
    """How many bits a field may have, whose limit is a power of two; 0 if its limit is a function."""
    return 1 if limit is _flag else limit.bit_length() - 1 if isinstance(limit, int) else 0


_BITS: Final = {kind: tuple(takewhile(bool, map(_bits, limits))) for kind, limits in LIMITS.items()}
_NUMBERS: Final = frozenset(kind for kind, limits in LIMITS.items() if len(_BITS[kind]) == len(limits))
"""Records that have nothing but numbers."""
_ADDRESS_BITS: Final = repeat(_bits(ADDRESS))


def _surely_possible(record: Any) -> bool:
    """Whether a record of FolioLab's own readers is possible; decides nearly always, and in a third of the time.

    A number that is too large, or below 0, shifted by its bits, is not 0.
    """
    kind = record.__class__
    try:
        if any(map(rshift, record, _BITS[kind])):
            return False
        if kind is Call or kind is rec.Enter:
            return not any(map(rshift, record[5], _ADDRESS_BITS)) and (kind is rec.Enter or _result(record[6]))
        return kind in _NUMBERS or (kind is rec.Leave and _result(record[5]))
    except (KeyError, TypeError):
        return False


def problem(record: Record) -> str:
    """Why a record is impossible; empty if it is not."""
    limits = LIMITS.get(record.__class__)
    if limits is None:
        return f"the reader yields {_shown(record)}, which is no record of trace_records"
    for number, (value, limit) in enumerate(zip(record, limits, strict=True)):
        # the first condition decides nearly always, and a text has millions of numbers
        if value.__class__ is int and limit.__class__ is int:
            if 0 <= value < limit:
                continue
        elif limit(value) if callable(limit) else _below(value, limit):
            continue
        return f"the {record._fields[number]} of {type(record).__name__} cannot be {_shown(value)}"
    return ""


def _shown(value: object) -> str:
    try:
        text = str(value) if isinstance(value, int) else repr(value)
    except Exception:  # a plugin's own class, or a number of thousands of digits
        text = f"this {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:60]}…"


def recognised(reader: TraceReader, head: str) -> bool:
    """Whether a reader recognises the beginning of a text.

    Raises:
        PluginError: its function fails, or does not end.
    """
    with time_limit(RECOGNISE_SECONDS, f"trace reader {reader.name}: recognise"):
        try:
            return bool(reader.recognise(head))
        except (Exception, SystemExit) as fault:  # whatever a plugin's own code raises
            raise _failure(reader, "recognise", fault) from fault


def records_of(reader: TraceReader, source: TraceSource, foreign: bool = False) -> Iterator[Record]:
    """The records that a reader makes of a text.

    Args:
        foreign: whether it is a plugin's, which may hang.

    Raises:
        TraceFileError: a line cannot be read, or a record is impossible.
        PluginError: the reader fails or hangs; names its line, and the line of the text.
        KeyboardInterrupt: the user has pressed Ctrl-C, also if the reader has swallowed that.
    """

    def tell(seconds: float, frame: FrameType | None) -> None:
        sys.stderr.write(
            visible(
                f"foliolab: trace reader {reader.name} has read no line and made no record for {seconds:.0f} s"
                f"{_where(source)}, at {location_of_frame(frame)}; it is ended after {READ_SECONDS:.0f} s\n"
            )
        )

    try:
        if foreign:
            yield from _watched(reader, source, Patience(READ_SECONDS, TOLD_SECONDS, tell))
        else:
            for record in reader.read(source):
                if not _surely_possible(record) and (why := problem(record)):
                    source.refuse(why)
                yield record
    except TooSlow as fault:
        raise PluginError(
            f"trace reader {reader.name}: read hangs{_where(source)}: no line read and no record made for "
            f"{READ_SECONDS:.0f} s ({location_outside(fault) or location_of(reader)})",
            "mend the reader, or name another --format",
        ) from fault
    except (FolioLabError, MemoryError):
        raise
    except (Exception, SystemExit) as fault:
        raise _failure(reader, "read", fault, _where(source), source.text.strip()[:100]) from fault


def _watched(reader: TraceReader, source: TraceSource, patience: Patience) -> Iterator[Record]:
    """The checked records of a reader that may hang."""
    source.lines = _waiting(source.lines, patience)
    with patience.watching():
        patience.waited = 0
        for record in reader.read(source):
            patience.waited = OURS
            if signals.received():
                raise KeyboardInterrupt
            if why := problem(record):
                source.refuse(why)
            yield record
            patience.waited = 0
        patience.waited = OURS


def _waiting(lines: Iterable[str], patience: Patience) -> Iterator[str]:
    """Lines, for which a reader may wait as long as it takes."""
    patience.waited = OURS
    for line in lines:
        if signals.received():
            raise KeyboardInterrupt
        patience.waited = 0
        yield line
        patience.waited = OURS
    patience.waited = 0


def _where(source: TraceSource) -> str:
    return f" on {source.name}, line {source.number}" if source.number else f" on {source.name}"


def _failure(reader: TraceReader, function: str, fault: BaseException, where: str = "", line: str = "") -> PluginError:
    try:
        said = str(fault)
    except Exception:
        said = ""
    what = f"{type(fault).__name__}: {said.splitlines()[0]}" if said else type(fault).__name__
    location = location_outside(fault) or location_of(reader)
    return PluginError(
        f"trace reader {reader.name}: {function} fails{where}: {what} ({location})",
        f"{f'the line is: {line}; ' if line else ''}mend the reader, or name another --format",
    )
