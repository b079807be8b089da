"""A sharing pattern as events: what `pattern.Processes` promises, on a clock of steps."""

from __future__ import annotations

import time
from array import array
from collections.abc import Iterator
from random import Random
from typing import Final

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.contract.sharing_pattern import SharingPattern, Usage
from foliolab.framework.engine.answers import describe
from foliolab.framework.engine.pagetable import PMD_ORDER
from foliolab.framework.errors import FolioLabError, ModelError, PluginError
from foliolab.framework.isolation.blame import location_outside, time_limit
from foliolab.framework.trace import events as ev
from foliolab.framework.trace.events import Events, columns
from foliolab.framework.trace.file import BLOCK_EVENTS

HEAP: Final = 1 << 20
"""Page of the address space at which a process's page 0 lies; the start of a PMD."""
FILE: Final = 1 << PMD_ORDER
"""Frame that stands for page 0 of the file."""
ROW: Final = ("time", "mm", "kind", "order", "page", "nr", "other")
MOST_PAGES: Final = 1 << 18
MOST_EVENTS: Final = 4_000_000
SECONDS: Final = 20.0
"""How long a pattern may take."""


class TooMany(ModelError):
    """A pattern has more events than are kept, or takes too long."""


class Recorded:
    """Events in memory, as a trace.

    Args:
        path: what they are called.
        events: all of them.
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


class Stream:
    """Writes down what a pattern does (see `pattern.Processes`).

    Args:
        usage: how much it may use.
        seed: of `random`.

    Attributes:
        random: for the pattern.
        now: steps since the start; the next event's time.
    """

    def __init__(self, usage: Usage, seed: int) -> None:
        self.usage = usage
        self.random = Random(seed)
        self.now = 0
        self._alive: set[int] = set()
        self._born = 0
        self._until = time.monotonic() + SECONDS
        self._rows = array("q")  # one number after the other: a list a column takes thrice as long

    def start(self) -> int:
        """A new process; it shows with its first event."""
        return self._birth()

    def fork(self, parent: int) -> int:
        """A child that shares all that the parent maps."""
        self._live(parent)
        child = self._birth()
        self._add(ev.FORK, parent, other=child)
        return child

    def exit(self, process: int) -> None:
        """A process ends."""
        self._live(process)
        self._alive.remove(process)
        self._add(ev.EXIT, process)

    def populate(self, process: int, page: int, nr: int, order: int | None = None) -> None:
        """New anonymous folios, an event each."""
        order = self.usage.order if order is None else order
        self._range(process, page, nr)
        if order == 1 or not 0 <= order <= PMD_ORDER:
            raise ModelError(f"there are no anonymous folios of order {order}", f"orders are 0 and 2 to {PMD_ORDER}")
        if page % (1 << order) or nr % (1 << order):
            raise ModelError(
                f"pages {page} to {page + nr - 1} are not whole folios of {1 << order} pages", "align them to folios"
            )
        for first in range(page, page + nr, 1 << order):
            self._add(ev.NEW, process, page=HEAP + first, order=order)

    def write(self, process: int, page: int, nr: int = 1) -> None:
        """Writes, an event a page."""
        self._range(process, page, nr)
        for one in range(page, page + nr):
            self._add(ev.WRITE, process, page=HEAP + one)

    def unmap(self, process: int, page: int, nr: int = 1) -> None:
        """Unmap pages."""
        self._range(process, page, nr)
        self._add(ev.UNMAP, process, page=HEAP + page, nr=nr)

    def map_file(self, process: int, page: int, file_page: int, nr: int = 1) -> None:
        """Map pages of the file."""
        self._range(process, page, nr)
        self._pages(file_page, nr, "the file")
        self._add(ev.MAP, process, HEAP + page, nr, self.usage.order, FILE + file_page)

    def wait(self, steps: int) -> None:
        """Time passes."""
        if steps < 0:
            raise ModelError(f"it waits for {steps} steps", "time does not go back")
        self.now += int(steps)

    def recorded(self, name: str) -> Recorded:
        """What was written down so far."""
        table: NDArray[np.int64] = np.frombuffer(self._rows, np.int64).reshape(-1, len(ROW))
        return Recorded(name, columns(**dict(zip(ROW, table.T, strict=True))))

    def _birth(self) -> int:
        if len(self._alive) >= self.usage.mms:
            raise ModelError(
                f"it has more than {self.usage.mms} processes at a time", "let one exit first, or mind `usage.mms`"
            )
        self._born += 1
        self._alive.add(self._born)
        return self._born

    def _live(self, process: int) -> None:
        if process not in self._alive:
            raise ModelError(f"process {process} does not live", "use what `start` and `fork` return, until `exit`")

    def _range(self, process: int, page: int, nr: int) -> None:
        self._live(process)
        self._pages(page, nr, "a process's memory")

    def _pages(self, page: int, nr: int, what: str) -> None:
        if nr < 1 or page < 0 or page + nr > MOST_PAGES:
            raise ModelError(
                f"pages {page} to {page + nr - 1} are not in {what}", f"it has pages 0 to {MOST_PAGES - 1}"
            )

    def _add(self, kind: int, process: int, page: int = 0, nr: int = 0, order: int = 0, other: int = 0) -> None:
        if len(self._rows) >= len(ROW) * MOST_EVENTS:
            raise TooMany(f"it has more than {MOST_EVENTS:,} events", "let it end sooner")
        if len(self._rows) % (len(ROW) << 12) == 0 and time.monotonic() > self._until:
            raise TooMany(f"it has not come to its end after {SECONDS:g} s", "let it end sooner")
        self._rows.extend((self.now, process, kind, order, page, nr, other))
        self.now += 1


def played(pattern: SharingPattern, usage: Usage, seed: int, cut: bool = False) -> Recorded:
    """The events of a pattern.

    Args:
        pattern: which.
        usage: how much it may use.
        seed: of what is random.
        cut: of a pattern with too many events the first ones will do.

    Raises:
        PluginError: its code fails, asks for what cannot be, or does not end; names it with file and line.
    """
    stream = Stream(usage, seed)
    what = f"sharing pattern {pattern.name}"
    try:
        with time_limit(SECONDS, what):
            pattern.play(stream, usage)
    except PluginError:
        raise
    except FolioLabError as fault:
        if cut and isinstance(fault, TooMany):
            return stream.recorded(f"the beginning of {pattern.name} with {usage.mms} MMs")
        place = location_outside(fault)
        raise PluginError(f"{what}: {fault.what}{f' ({place})' if place else ''}", fault.hint) from fault
    except Exception as fault:  # whatever a plugin's own code raises
        raise PluginError(f"{what}: {describe(fault)}", "mend it, or leave it out") from fault
    return stream.recorded(f"{pattern.name} with {usage.mms} MMs")
