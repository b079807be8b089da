"""The step that was done last, one memory access at a time, each with the line of text that did it."""

from __future__ import annotations

import linecache
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.contract.policy import Stored
from foliolab.framework.errors import FolioLabError
from foliolab.framework.explore.detail import FolioDetail, folio_detail, folio_of
from foliolab.framework.explore.lane import Lane, as_error
from foliolab.framework.explore.operation_lanes import CounterexampleLane
from foliolab.framework.machine.ref import Ref
from foliolab.framework.verify.field_names import change_text, field_of, name_of
from foliolab.framework.verify.operation import Operation

MOST: Final = 20_000
LOOK_UP: Final = 256
"""Accesses between two questions whether to go on."""
_ROOT: Final = __name__.rpartition(".explore.")[0]
_REPLAY: Final = f"{_ROOT}.replay."
_OBSERVERS: Final = (f"{_ROOT}.replay.owners", f"{_ROOT}.scenario.observe", f"{_ROOT}.explore.recount")
"""Text that looks at memory for us: what it reads is no part of a step."""


@dataclass(frozen=True)
class Access:
    """One access to a folio's struct pages or to a page table.

    Args:
        op: the primitive.
        field: what was accessed, as `verify.naming.name_of` writes it.
        old, new: before and after; alike for reads.
        file, line: of the text that did it.
        text: that line.
        frame: of the struct page, -1 for a page table.
        offset, size: bytes of memory.
        stored: the declaration, where it is a field of the policy.
        thread: whose, where there are several; -1 otherwise.
    """

    op: str
    field: str
    old: int
    new: int
    file: str
    line: int
    text: str
    frame: int
    offset: int
    size: int
    stored: Stored | None = None
    thread: int = -1

    @property
    def writes(self) -> bool:
        """Whether it changed anything."""
        return self.old != self.new

    @property
    def told(self) -> str:
        """In words: `atomic_add folio8._large_mapcount: 15 → 31`."""
        if not self.writes:
            return f"{self.op} {self.field}: {self.old}"
        return f"{self.op} {self.field}: {change_text(self.field, self.old, self.new, self.stored)}"


@dataclass
class Accesses:
    """The accesses of a step, in order.

    Args:
        lane: whose.
        step: which.
        accesses: all, or the first of them.
        stopped: why there are no more, a sentence; empty if these are all.
        pages: the struct pages of the folios that were accessed, as they were before the step, by head.
        frames: of threads: the frame of the playback that each access is.
    """

    lane: Lane
    step: int
    accesses: list[Access] = field(default_factory=list)
    stopped: str = ""
    pages: dict[int, NDArray[np.uint8]] = field(default_factory=dict)
    frames: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.accesses)

    def __getitem__(self, at: int) -> Access:
        return self.accesses[at]

    def heads(self) -> list[int]:
        """The first frames of the folios that were accessed, in order of their first access."""
        return list(self.pages)

    def folio(self, head: int, after: int) -> FolioDetail:
        """A folio as it was after an access.

        Args:
            head: its first frame.
            after: the access's number; -1: before the step. What the access itself changed counts as changed.
        """
        return folio_detail(self.lane, head, self._bytes(head, after), self._bytes(head, max(after - 1, -1)))

    def _bytes(self, head: int, after: int) -> NDArray[np.uint8] | None:
        """The struct pages of a folio after an access; None: as they are now, for nothing accessed them."""
        if self.frames and isinstance(self.lane, CounterexampleLane):
            nr = 1 << folio_of(self.lane, head)[1]
            return self.lane.struct_pages_at(self.frames[after] if after >= 0 else self.frames[0] - 1, head, nr)
        if head not in self.pages:
            return None
        raw = self.pages[head].copy()
        start = head * self.lane.stride
        for one in self.accesses[: after + 1]:
            if one.frame >= 0 and one.writes and start <= one.offset < start + raw.size:
                at = one.offset - start
                value = one.new & ((1 << 8 * one.size) - 1)
                raw[at : at + one.size] = np.frombuffer(value.to_bytes(one.size, "little"), np.uint8)
        return raw


class _Enough(BaseException):
    """There are as many accesses as are kept; nothing of a policy may catch this."""


class _Broken(_Enough):
    """Somebody has no time for more."""


class _Recorder:
    """Writes down the accesses of a step."""

    def __init__(self, lane: Lane, found: Accesses, stop: Callable[[], bool] | None) -> None:
        assert lane.machine is not None
        self.lane = lane
        self.machine = lane.machine
        self.found = found
        self.pages = range(lane.machine.map.pages, lane.machine.map.zone)
        self.tables = range(lane.machine.map.pgds[0], lane.machine.map.scratch)
        self.stop = stop
        self.seen = 0

    def access(self, op: str, ref: Ref, old: int, new: int) -> None:
        """See `machine.memory.Observer`."""
        self.seen += 1
        if self.stop is not None and self.seen % LOOK_UP == 0 and self.stop():
            raise _Broken
        in_pages = ref.off in self.pages
        if not in_pages and ref.off not in self.tables:
            return
        place = _place(old == new)
        if place is None:
            return
        if len(self.found.accesses) >= MOST:
            raise _Enough
        frame = ref.off // self.lane.stride if in_pages else -1
        if in_pages:
            self._keep(frame)
        name = name_of(self.machine, ref)
        file, line = place
        self.found.accesses.append(
            Access(
                op=op,
                field=name,
                old=old,
                new=new,
                file=file,
                line=line,
                text=linecache.getline(file, line).strip(),
                frame=frame,
                offset=ref.off,
                size=ref.ctype.bytes,
                stored=field_of(self.machine.scheme, name),
            )
        )

    def _keep(self, frame: int) -> None:
        """Copy the struct pages of a frame's folio when it is seen first: this access has not yet had its effect."""
        head, order = folio_of(self.lane, frame)
        if head in self.found.pages and self.found.pages[head].size >= self.lane.stride << order:
            return
        raw = self.lane.struct_pages(head, 1 << order)
        start = head * self.lane.stride
        for one in reversed(self.found.accesses):  # what was a smaller folio before may have been written to already
            if one.frame >= 0 and one.writes and start <= one.offset < start + raw.size:
                at = one.offset - start
                value = one.old & ((1 << 8 * one.size) - 1)
                raw[at : at + one.size] = np.frombuffer(value.to_bytes(one.size, "little"), np.uint8)
        self.found.pages[head] = raw


def _module(frame: Any) -> str:
    name: str = frame.f_globals.get("__name__", "")
    return name


def _place(reads: bool) -> tuple[str, int] | None:
    """File and line of the innermost text that is no primitive; None for what we ourselves look at."""
    frame: Any = sys._getframe(2)
    while frame.f_back is not None and ".machine." in _module(frame):
        frame = frame.f_back
    file, line = frame.f_code.co_filename, frame.f_lineno
    if reads and _module(frame).startswith(_REPLAY):
        return None
    while frame is not None:
        if _module(frame) in _OBSERVERS:
            return None
        frame = frame.f_back
    return file, line


def accesses_of(lane: Lane, stop: Callable[[], bool] | None = None) -> Accesses:
    """The accesses of the step that a lane did last; none at position 0, or if the lane stands still.

    The step is run again on the interpreted engine, in the state before it; afterwards the lane is as it was.

    Args:
        lane: whose.
        stop: asked every few milliseconds; True: the accesses so far are all that is wanted.
    """
    found = Accesses(lane, lane.position - 1)
    if lane.machine is None or lane.position == 0:
        return found
    if isinstance(lane, CounterexampleLane) and not isinstance(lane.source.steps[found.step], Operation):
        _from_frames(lane, found)
        return found
    lane.rerun(lambda: _record(lane, found, stop))
    return found


def _record(lane: Lane, found: Accesses, stop: Callable[[], bool] | None) -> None:
    assert lane.machine is not None
    vm = lane.machine.vm
    run = lane.interpreted(found.step)
    vm.observer = _Recorder(lane, found, stop)
    try:
        run()
    except _Broken:
        found.stopped = "the step takes long, access by access; these are the first"
    except _Enough:
        found.stopped = f"the step has more than {MOST:,} accesses; these are the first"
    except Exception as fault:  # whatever a policy's own code raises
        error: FolioLabError = as_error(lane.scheme, fault)
        found.stopped = f"the interpreted engine stopped: {error.what}"
    finally:
        vm.observer = None
        vm.guard = None


def _from_frames(lane: CounterexampleLane, found: Accesses) -> None:
    """The accesses of a thread's turn, as the playback has them."""
    assert lane.playback is not None and lane.machine is not None
    begin, end = lane.frames
    for at, frame in enumerate(lane.playback.frames[begin:end], begin):
        if not frame.op or not frame.place:
            continue
        file, _, line = frame.place.rpartition(":")
        number = int(line) if line.isdecimal() else 0
        found.frames.append(at)
        found.accesses.append(
            Access(
                op=frame.op,
                field=frame.field,
                old=frame.old,
                new=frame.new,
                file=file,
                line=number,
                text=linecache.getline(file, number).strip(),
                frame=-1,
                offset=-1,
                size=0,
                stored=field_of(lane.machine.scheme, frame.field),
                thread=frame.thread,
            )
        )
