"""The memory accesses of the last step, one by one, each with the line of text that did it."""

from __future__ import annotations

import linecache
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.contract.stored import Stored
from foliolab.framework.engine.operation import Operation
from foliolab.framework.errors import FolioLabError
from foliolab.framework.explore.counterexample_lane import CounterexampleLane
from foliolab.framework.explore.folio_detail import FolioDetail, folio_detail, folio_of
from foliolab.framework.explore.lane import Lane, as_error
from foliolab.framework.machine.ref import Ref
from foliolab.framework.verify.field_names import change_text, field_of, name_of
from foliolab.framework.verify.playback import Frame

MOST: Final = 20_000
"""Most accesses of a step that are recorded."""
STOP_EVERY: Final = 256
"""Accesses from one call of `stop` to the next."""
_ROOT: Final = __name__.rpartition(".explore.")[0]
_REPLAY: Final = f"{_ROOT}.replay."
_OBSERVERS: Final = (f"{_ROOT}.replay.owners", f"{_ROOT}.scenario.observe", f"{_ROOT}.explore.recount")
"""Modules that inspect memory on our behalf: their reads do not belong to the step."""


@dataclass(frozen=True)
class Access:
    """One access to a folio's struct pages or to a page table.

    Args:
        op: the primitive.
        field: the field, as `verify.field_names.name_of` writes it.
        old, new: the value before and after; equal for a read.
        file, line: location of the text that did it.
        frame: frame of the struct page; -1 for a page table, or if it is not recorded.
        offset, size: bytes of memory.
        stored: the declaration of the field, if it is the policy's.
        thread: number of the thread in a counterexample with threads; otherwise -1.
        count: how many accesses it stands for, of which it is the last: reads of a page table by one line.
    """

    op: str
    field: str
    old: int
    new: int
    file: str
    line: int
    frame: int = -1
    offset: int = -1
    size: int = 0
    stored: Stored | None = None
    thread: int = -1
    count: int = 1

    @property
    def place(self) -> tuple[int, int]:
        """The bytes of memory: the first one, and how many."""
        return self.offset, self.size

    @property
    def code(self) -> str:
        """The line of the text."""
        return linecache.getline(self.file, self.line).strip()

    @property
    def writes(self) -> bool:
        """Whether the access changed the value."""
        return self.old != self.new

    @property
    def description(self) -> str:
        """For example `atomic_add folio8._large_mapcount: 15 → 31`."""
        if not self.writes:
            return f"{self.op} {self.field}: {self.old}"
        return f"{self.op} {self.field}: {change_text(self.field, self.old, self.new, self.stored)}"


def access_of_frame(frame: Frame, scheme: Scheme, thread: int) -> Access | None:
    """The access that a frame of a counterexample's playback recorded; None for a frame without one.

    Args:
        frame: the frame.
        scheme: the policy, whose declaration of the field is looked up.
        thread: number of the thread; -1 without threads.
    """
    if not frame.op or not frame.location:
        return None
    file, _, line = frame.location.rpartition(":")
    stored = field_of(scheme, frame.field)
    number = int(line) if line.isdecimal() else 0
    return Access(frame.op, frame.field, frame.old, frame.new, file, number, stored=stored, thread=thread)


@dataclass
class Accesses:
    """The accesses of a step, in order.

    Args:
        lane: the lane that did the step.
        step: number of the step.
        accesses: all accesses, or the first ones.
        stopped: a sentence that says why later accesses are missing; empty if `accesses` is complete.
        pages: struct pages of the accessed folios before the step, by head frame.
        frames: in a counterexample with threads: the playback's frame of each access.
    """

    lane: Lane
    step: int
    accesses: list[Access] = field(default_factory=list)
    stopped: str = ""
    pages: dict[int, NDArray[np.uint8]] = field(default_factory=dict)
    frames: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.accesses)

    def __getitem__(self, index: int) -> Access:
        return self.accesses[index]

    def heads(self) -> list[int]:
        """Head frames of the accessed folios, in the order of their first access."""
        return list(self.pages)

    def folio(self, head: int, after: int) -> FolioDetail:
        """A folio as it was after an access; what that access changed is marked as changed.

        Args:
            head: head frame of the folio.
            after: index of the access; -1 for the state before the step.
        """
        return folio_detail(self.lane, head, self._bytes(head, after), self._bytes(head, max(after - 1, -1)))

    def _bytes(self, head: int, after: int) -> NDArray[np.uint8] | None:
        """Struct pages of a folio after an access; None if no access was to the folio: its present state is right."""
        if self.frames and isinstance(self.lane, CounterexampleLane):
            assert self.lane.machine is not None
            nr = 1 << folio_of(self.lane.machine, head)[1]
            return self.lane.struct_pages_at(self.frames[after] if after >= 0 else self.frames[0] - 1, head, nr)
        if head not in self.pages:
            return None
        raw = self.pages[head].copy()
        for access in self.accesses[: after + 1]:
            _patch(raw, head * self.lane.stride, access, access.new)
        return raw


def _patch(raw: NDArray[np.uint8], start: int, access: Access, value: int) -> None:
    """Write a value where an access wrote, if that lies in the copy of memory that begins at `start`."""
    if access.frame >= 0 and access.writes and start <= access.offset < start + raw.size:
        at = access.offset - start
        data = (value & ((1 << 8 * access.size) - 1)).to_bytes(access.size, "little")
        raw[at : at + access.size] = np.frombuffer(data, np.uint8)


class _TooMany(BaseException):
    """MOST accesses are recorded. A BaseException, so that no policy's `except Exception` catches it."""


class _Interrupted(_TooMany):
    """The caller's `stop` returned True."""


class _Recorder:
    """An observer of memory that records the accesses of a step."""

    def __init__(self, lane: Lane, found: Accesses, stop: Callable[[], bool] | None) -> None:
        assert lane.machine is not None
        self.lane = lane
        self.machine = lane.machine
        self.found = found
        self.struct_pages = range(lane.machine.map.pages, lane.machine.map.zone)
        self.page_tables = range(lane.machine.map.pgds[0], lane.machine.map.scratch)
        self.stop = stop
        self.seen = 0

    def access(self, op: str, ref: Ref, old: int, new: int) -> None:
        """See `machine.memory.Observer`."""
        self.seen += 1
        if self.stop is not None and self.seen % STOP_EVERY == 0 and self.stop():
            raise _Interrupted
        in_pages = ref.off in self.struct_pages
        if not in_pages and ref.off not in self.page_tables:
            return
        location = _location(old == new)
        if location is None:
            return
        if len(self.found.accesses) >= MOST:
            raise _TooMany
        frame = ref.off // self.lane.stride if in_pages else -1
        if in_pages:
            self._keep(frame)
        name = name_of(self.machine, ref)
        stored = field_of(self.machine.scheme, name)
        access = Access(op, name, old, new, *location, frame, ref.off, ref.ctype.bytes, stored)
        self.found.accesses.append(access)

    def _keep(self, frame: int) -> None:
        """Copy the struct pages of a frame's folio at its first access, which has not taken effect yet."""
        head, order = folio_of(self.machine, frame)
        if head in self.found.pages and self.found.pages[head].size >= self.lane.stride << order:
            return
        raw = self.lane.struct_pages(head, 1 << order)
        # earlier accesses may have written here while the frames belonged to a smaller folio: undo them
        for access in reversed(self.found.accesses):
            _patch(raw, head * self.lane.stride, access, access.old)
        self.found.pages[head] = raw


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def location_of_reader() -> tuple[str, int]:
    """File and line of the text that reads memory, for an observer's `access` to call."""
    frame: FrameType = sys._getframe(2)
    while frame.f_back is not None and ".machine." in _module(frame):
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno


def _location(reads: bool) -> tuple[str, int] | None:
    """File and line of the innermost function that is not a primitive; None if we look at memory ourselves."""
    frame: FrameType = sys._getframe(2)
    while frame.f_back is not None and ".machine." in _module(frame):
        frame = frame.f_back
    file, line = frame.f_code.co_filename, frame.f_lineno
    if reads and _module(frame).startswith(_REPLAY):
        return None
    caller: FrameType | None = frame
    while caller is not None:
        if _module(caller) in _OBSERVERS:
            return None
        caller = caller.f_back
    return file, line


def accesses_of(lane: Lane, stop: Callable[[], bool] | None = None) -> Accesses:
    """The accesses of the step that a lane did last; there are none at position 0, or if the lane has no machine.

    The step runs again on the interpreted engine, from the state before it; afterwards the lane is as it was.

    Args:
        lane: the lane.
        stop: called every STOP_EVERY accesses; if it returns True, recording ends with the accesses so far.
    """
    found = Accesses(lane, lane.position - 1)
    if lane.machine is None or lane.position == 0:
        return found
    if isinstance(lane, CounterexampleLane) and not isinstance(lane.source.steps[found.step], Operation):
        _from_playback(lane, found)
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
    except _Interrupted:
        found.stopped = "Recording the step's accesses takes too long; these are the first."
    except _TooMany:
        found.stopped = f"The step has more than {MOST:,} accesses; these are the first."
    except Exception as fault:  # whatever a policy's own code raises
        error: FolioLabError = as_error(lane.scheme, fault)
        found.stopped = f"The interpreted engine stopped: {error.what}."
    finally:
        vm.observer = None
        vm.guard = None


def _from_playback(lane: CounterexampleLane, found: Accesses) -> None:
    """The accesses of a thread's turn, which the playback has recorded already."""
    assert lane.playback is not None and lane.machine is not None
    begin, end = lane.frames
    for number, frame in enumerate(lane.playback.frames[begin:end], begin):
        access = access_of_frame(frame, lane.machine.scheme, frame.thread)
        if access is not None:
            found.frames.append(number)
            found.accesses.append(access)
