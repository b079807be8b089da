"""A sharing pattern as the events of a trace, on a clock of steps."""

from __future__ import annotations

import time
from array import array
from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.contract.sharing_pattern import SharingPattern, Usage
from foliolab.framework.engine.answers import describe
from foliolab.framework.engine.operation import Operation
from foliolab.framework.engine.processes import PatternProcesses
from foliolab.framework.errors import FolioLabError, ModelError, PluginError
from foliolab.framework.isolation.blame import location_outside, time_limit
from foliolab.framework.machine.layout import PMD_ORDER
from foliolab.framework.trace import events as ev
from foliolab.framework.trace.events import Events, columns
from foliolab.framework.trace.file import BLOCK_EVENTS

HEAP: Final = 1 << 20
"""Page of the address space at which a process's page 0 lies; the start of a PMD."""
FILE: Final = 1 << PMD_ORDER
"""Frame that stands for page 0 of the file."""
EVENT: Final = ("time", "mm", "kind", "order", "page", "nr", "other")
"""Columns of an event, in the order in which they are kept."""
MOST_EVENTS: Final = 4_000_000
SECONDS: Final = 20.0
"""How long a pattern may take."""


class TooMany(ModelError):
    """A pattern has more events than are kept, or takes too long."""


class RecordedEvents:
    """Events in memory; an `EventSource`.

    Args:
        path: what they are called.
    """

    def __init__(self, path: str, events: Events) -> None:
        self.path = path
        self.events = events

    def __len__(self) -> int:
        return self.events.size

    def blocks(self) -> Iterator[Events]:
        """The events, a block at a time."""
        for start in range(0, self.events.size, BLOCK_EVENTS):
            yield self.events.part(slice(start, start + BLOCK_EVENTS))


class EventRecorder:
    """Writes down a pattern's operations as events; a new process shows with its first event.

    Args:
        order: of the file's folios.
    """

    def __init__(self, order: int) -> None:
        self._order = order
        self._now = 0
        self._until = time.monotonic() + SECONDS
        self._numbers = array("q")  # one number after the other: a list for each column takes three times as long

    def do(self, operation: Operation) -> None:
        """Write down an operation of `PatternProcesses`: one event, or one for each folio or page."""
        name, given = operation.name, dict(operation.arguments)
        if name == "write":
            first = HEAP + given["start"]
            for page in range(first, first + given["nr"]):
                self._add(ev.WRITE, given["mm"], page)
        elif name == "populate":
            first, order = HEAP + given["start"], given["order"]
            for page in range(first, first + given["nr"], 1 << order):
                self._add(ev.NEW, given["mm"], page, order=order)
        elif name == "unmap":
            self._add(ev.UNMAP, given["mm"], HEAP + given["start"], given["nr"])
        elif name == "map_file":
            self._add(ev.MAP, given["mm"], HEAP + given["vpn"], given["nr"], self._order, FILE + given["pfn"])
        elif name == "fork":
            self._add(ev.FORK, given["parent"], other=given["child"])
        elif name == "exit":
            self._add(ev.EXIT, given["mm"])

    def wait(self, steps: int) -> None:
        """The next event is that much later."""
        self._now += steps

    def recorded(self, name: str) -> RecordedEvents:
        table: NDArray[np.int64] = np.frombuffer(self._numbers, np.int64).reshape(-1, len(EVENT))
        return RecordedEvents(name, columns(**dict(zip(EVENT, table.T, strict=True))))

    def _add(self, kind: int, mm: int, page: int = 0, nr: int = 0, order: int = 0, other: int = 0) -> None:
        if len(self._numbers) >= len(EVENT) * MOST_EVENTS:
            raise TooMany(f"it has more than {MOST_EVENTS:,} events", "let it end sooner")
        if len(self._numbers) % (len(EVENT) << 12) == 0 and time.monotonic() > self._until:
            raise TooMany(f"it has not come to its end after {SECONDS:g} s", "let it end sooner")
        self._numbers.extend((self._now, mm, kind, order, page, nr, other))
        self._now += 1


def played(pattern: SharingPattern, usage: Usage, seed: int, cut: bool = False) -> RecordedEvents:
    """The events of a pattern.

    Args:
        usage: how much it may use.
        cut: take the first events of a pattern that has too many.

    Raises:
        PluginError: the pattern's code fails, asks for something impossible, or does not end; names file and line.
    """
    recorder = EventRecorder(usage.order)
    what = f"sharing pattern {pattern.name}"
    try:
        with time_limit(SECONDS, what):
            pattern.play(PatternProcesses(usage, seed, recorder.do, recorder.wait), usage)
    except PluginError:
        raise
    except FolioLabError as fault:
        if cut and isinstance(fault, TooMany):
            return recorder.recorded(f"the beginning of {pattern.name} with {usage.mms} MMs")
        location = location_outside(fault)
        raise PluginError(f"{what}: {fault.what}{f' ({location})' if location else ''}", fault.hint) from fault
    except Exception as fault:  # whatever a plugin's own code raises
        raise PluginError(f"{what}: {describe(fault)}", "mend it, or leave it out") from fault
    return recorder.recorded(f"{pattern.name} with {usage.mms} MMs")
