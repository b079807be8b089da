"""A lane: one policy's run of the shared steps, forward and back, with the maps and counters of its state."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine.answers import describe
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.pagetable import PTRS_PER_PTE
from foliolab.framework.errors import FolioLabError, PluginError
from foliolab.framework.explore import cells as painted
from foliolab.framework.explore.checkpoints import Checkpoints
from foliolab.framework.explore.dry_run import dry_run
from foliolab.framework.explore.source import Source
from foliolab.framework.explore.stretch import Pace
from foliolab.framework.replay import cells
from foliolab.framework.replay.cells import BUCKET_CELLS, BUCKETS, FALSE, MOST_OWNERS, UNSAFE, Cells

SPACING: Final = 0.012
"""Seconds of running from one checkpoint to the next, unless making a checkpoint takes long."""
SHARE: Final = 3
"""The time from one checkpoint to the next is at least this many times what the latest one took."""
SLOW: Final = 0.004
SLOW_SHARE: Final = 32
"""Replaces SHARE if a checkpoint takes more than SLOW seconds, because it delays the next view of the maps."""
CLOSE: Final = 0.004
"""After a long way back, a checkpoint is made this many seconds of running before the new position. The user often
steps back several times in a row; the next step back then starts from there."""


@dataclass(frozen=True)
class Totals:
    """Counters of a lane at a position. Only large folios are counted.

    Args:
        mms: living MMs.
        exclusive, shared: folios that one MM maps, and that several MMs map.
        false_shared, unsafe: exclusive folios that the policy calls shared, and the reverse.
        false_copies: write faults so far that copied although one MM alone mapped the folio (and more than one page
            of it), and nothing else referred to the folio.
        wrong_reuses: write faults so far that reused a page of a folio that another MM mapped, too.
        mapped, unmapped, forked, moved: pages so far that were mapped by faults, unmapped, copied to a child's page
            tables, moved by mremap.
        false_begun, unsafe_begun: how often so far an answer became wrong.
    """

    mms: int = 0
    exclusive: int = 0
    shared: int = 0
    false_shared: int = 0
    unsafe: int = 0
    false_copies: int = 0
    wrong_reuses: int = 0
    mapped: int = 0
    unmapped: int = 0
    forked: int = 0
    moved: int = 0
    false_begun: int = 0
    unsafe_begun: int = 0

    @property
    def page_operations(self) -> int:
        return self.mapped + self.unmapped + self.forked + self.moved

    @property
    def false_share(self) -> float:
        """Fraction of exclusive folios that the policy calls shared, 0 to 1."""
        return self.false_shared / self.exclusive if self.exclusive else 0.0

    @property
    def right(self) -> float:
        """Fraction of the mapped folios that the policy is right about, 0 to 1; 1 without folios."""
        folios = self.exclusive + self.shared
        return (folios - self.false_shared - self.unsafe) / folios if folios else 1.0

    @property
    def became_wrong(self) -> int:
        """How often so far an answer became wrong."""
        return self.false_begun + self.unsafe_begun

    def series(self) -> tuple[float, ...]:
        """The values of `history.SERIES`, in their order."""
        return (
            self.false_share, self.false_shared, self.unsafe, self.page_operations, self.right, self.false_copies,
            self.wrong_reuses, self.became_wrong,
        )  # fmt: skip


class Lane(ABC):
    """One policy on a source.

    An exception of the policy's code never leaves a lane: the lane stops before the failing step and reports it as
    `error`; the other lanes go on.

    Args:
        source: the steps.
        scheme: the policy.
        memory: bytes that the machine and its checkpoints may take.

    Attributes:
        machine: the policy's machine in the present state; None if none could be made.
        state: the account of owners in the machine's memory (`replay.cells`); None without a machine.
        position: steps done.
        pace: how long a step took lately.
        busy: one byte, 1 while the policy's native code may run. It can lie in shared memory, so that after a crash
            the parent process knows which policy ran.
    """

    by_trace = False
    """Whether pages of the map are addresses of a trace, which the machine stores elsewhere."""
    pins = True
    """Whether folios can be pinned."""

    def __init__(self, source: Source, scheme: Scheme, memory: int) -> None:
        self.source = source
        self.scheme = scheme
        self.memory = memory
        self.machine: Machine | None = None
        self.state: Cells | None = None
        self.position = 0
        self.farthest = 0
        self.spacing = SPACING
        self.checkpoints: Checkpoints | None = None
        self.busy = np.zeros(1, np.uint8)
        self._fault: FolioLabError | None = None
        self._fault_at = 0
        self._wrongs: list[NDArray[np.int64]] = []
        self.pace = Pace()
        self._since = 0.0  # seconds of running since the newest checkpoint
        self._before: dict[int, NDArray[np.uint8]] = {}  # struct pages before the last step, by head frame
        self._begin()

    # -- what each kind of lane defines -----------------------------------------------------------------
    @abstractmethod
    def _start(self) -> None:
        """Make `machine` and `state` at position 0."""

    @abstractmethod
    def _play(self, begin: int, end: int) -> int:
        """Do steps begin…end-1, or the first of them; return the new position."""

    @abstractmethod
    def names(self) -> list[str]:
        """The process that has each map now, "" if none has it; one name per element of `source.mms`."""

    @property
    def _windows(self) -> NDArray[np.int64]:
        """The windows of 2 MiB that the map shows, by number."""
        return np.arange(-(-self.source.pages // PTRS_PER_PTE), dtype=np.int64)

    def _buffers(self) -> list[tuple[NDArray[np.uint8], tuple[int, int]]]:
        """The buffers that make up the state, each with the range of bytes that does not belong to it."""
        assert self.machine is not None
        return [(self.machine.vm.buffer, (0, 0)), (self.machine.contents.buffer, (0, 0))]

    def _extra(self) -> Any:
        """Other parts of the state, for a checkpoint; the returned object must not change later."""
        return None

    def _set_extra(self, extra: Any) -> None:  # noqa: B027 (most lanes have nothing else)
        pass

    # -- running ----------------------------------------------------------------------------------------
    @property
    def name(self) -> str:
        """Name of the policy."""
        return self.scheme.name

    @property
    def error(self) -> FolioLabError | None:
        """Why the lane has stopped; None before the failing step."""
        return self._fault if self._fault is not None and self.position >= self._fault_at else None

    def run(self, end: int) -> None:
        """Go forward to a position, or until an error stops the lane."""
        try:
            while self.position < end and self.error is None:
                left = max(self._due - self._since, 0.0)
                self._advance(min(end, self.position + self.pace.steps(left)))
        except Exception as fault:  # whatever a policy's own code raises
            self._fail(fault)
        self.farthest = max(self.farthest, self.position)

    def goto(self, position: int) -> None:
        """Go to a position, forward or back."""
        if self.machine is None:
            return
        if position < self.position:
            self._restore(position)
            close = position - max(8, self.pace.steps(CLOSE))
            if close - self.position > position - close:
                self.run(close)
                self._mark()
        self.run(position)

    def take_wrongs(self) -> NDArray[np.int64]:
        """Return and forget the steps since the last call that made an answer wrong, those that ran again included.

        Returns:
            (step, kinds) each, shape (n, 2); the kinds are bits of `replay.cells.WRONG_…`.
        """
        found = np.concatenate(self._wrongs) if self._wrongs else np.zeros((0, 2), np.int64)
        self._wrongs.clear()
        return found

    def put_back(self, wrongs: NDArray[np.int64]) -> None:
        """Keep wrong steps again that `take_wrongs` has handed out."""
        self._wrongs = [wrongs]

    def _begin(self) -> None:
        try:
            self._dry_run()
            self._start()
            self._first_mark()
        except Exception as fault:  # whatever a policy's own code raises
            self.machine, self.state, self.checkpoints = None, None, None
            self._fault = as_error(self.scheme, fault)

    def _dry_run(self) -> None:
        """Refuse a policy whose native code would not end, or would damage the process."""
        dry_run(self.scheme, self.source.order)

    def _first_mark(self) -> None:
        self._before.clear()
        buffers = self._buffers()
        room = self.memory - 2 * sum(buffer.size for buffer, _ in buffers)
        self.checkpoints = Checkpoints(buffers, self._compiled, max(room, 16 << 20))
        self._mark()

    def _compiled(self, function: Any, kinds: str) -> Any:
        """A function over arrays, as native code if the machine is native."""
        assert self.machine is not None
        return self.machine.entry_point(function, kinds)

    def _advance(self, end: int) -> None:
        began, before = time.perf_counter(), self.position
        self._before.clear()
        self.busy[0] = 1
        try:
            self.position = self._play(before, end)
        finally:
            self.busy[0] = 0
        passed = time.perf_counter() - began
        if self.position > before:
            self._since += passed
            self.pace.add(self.position - before, passed)
            if self._since >= self._due:
                self._mark()

    def _mark(self) -> None:
        """Make a checkpoint at this position, unless there is one."""
        assert self.checkpoints is not None
        if self.position > self.checkpoints.newest:
            self.checkpoints.add(self.position, self._extra())
        self._since = 0.0

    @property
    def _due(self) -> float:
        """Seconds of running from one checkpoint to the next."""
        if self.checkpoints is None:
            return self.spacing
        took = self.checkpoints.seconds
        return max(self.spacing, (SLOW_SHARE if took > SLOW else SHARE) * took)

    def _restore(self, position: int) -> None:
        assert self.checkpoints is not None
        self._before.clear()
        self.position, extra = self.checkpoints.restore(position)
        self._since = 0.0
        self._set_extra(extra)

    def _fail(self, fault: BaseException) -> None:
        """Stop the lane in the state before the step that failed."""
        at = max(self.position, self._failed_at())
        self._fault, self._fault_at = as_error(self.scheme, fault), at
        if self.machine is None or self.checkpoints is None:  # growing the machine failed: there is no memory for it
            self.machine, self.state, self.checkpoints = None, None, None
            self.position, self._fault_at = 0, 0
            return
        try:
            self._restore(min(at, self.position))
            while self.position < at:
                self.position = self._play(self.position, at)
        except Exception:  # an earlier step fails when it runs again: stop there
            self._fault_at = self.position

    def _failed_at(self) -> int:
        """The step that failed, if the lane knows it more precisely than `position`; otherwise 0."""
        return 0

    def rerun(self, call: Callable[[], Any]) -> None:
        """Call a function in the state before the last step; afterwards the lane is as it was.

        Args:
            call: may change the machine's memory, for example by doing the step again.
        """
        here, kept = self.position, self.take_wrongs()
        self.goto(here - 1)
        try:
            call()
        finally:
            self._restore(here - 1)
            self.run(here)
            self._wrongs = [kept]

    @abstractmethod
    def interpreted(self, step: int) -> Callable[[], Any]:
        """A function that does a step on the interpreted engine, in the machine's memory."""

    def vpn(self, mm: int, page: int) -> int:
        """The virtual page number on the machine of a page of a map; -1 if its window of 2 MiB maps nothing."""
        if self.machine is None or self.state is None or not 0 <= page < self.source.pages:
            return -1
        window = int(self._map_windows[page // PTRS_PER_PTE])
        find = self.machine.entry_point(painted.window_at, "miiii")
        found = int(find(self.state.base, mm, window, int(self.by_trace)))
        return -1 if found < 0 else found * PTRS_PER_PTE + page % PTRS_PER_PTE

    def close(self) -> None:
        """Release the memory; the lane has an error afterwards."""
        self.machine, self.state, self.checkpoints = None, None, None
        self._fault, self._fault_at = FolioLabError(f"policy {self.scheme.name}: the session is closed"), 0

    # -- looking ----------------------------------------------------------------------------------------
    def cells(self, mm: int, out: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
        """Paint a map: a byte a page, bits of `explore.cells`.

        Args:
            mm: number of the map, from 0.
            out: destination, at least `room` bytes; a new array by default.

        Returns:
            the part of `out` that is the map, shape (source.pages,).
        """
        out = np.empty(self.room, np.uint8) if out is None else out
        if self.machine is None or self.state is None or mm >= self.state.all[cells.SLOTS]:
            out[: self.source.pages] = 0
            return out[: self.source.pages]
        run = self.machine.entry_point(painted.paint, "miivvii")
        run(self.state.base, mm, self._map_windows, out.view(np.int64), int(self.by_trace), int(self.pins))
        return out[: self.source.pages]

    def dots(self, whole: NDArray[np.uint8], weights: NDArray[np.int64], out: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Shrink a map to a dot for each four pages: the greatest of their weights (see `explore.cells.shrink`).

        Args:
            whole: the map as `cells` painted it, `room` bytes.
            weights: weight of each byte of the map, 0 to 127; shape (256,).
            out: destination, at least `room / 4` bytes.

        Returns:
            the part of `out` that is the map, shape (source.pages / 4, rounded up).
        """
        nr = -(-self.source.pages // 4)
        if self.machine is None:
            out[:nr] = weights[0]
            return out[:nr]
        self.machine.entry_point(painted.shrink, "vvv")(whole.view(np.int64), weights, out.view(np.int64))
        return out[:nr]

    @cached_property
    def room(self) -> int:
        """Bytes that `cells` needs: whole windows of 2 MiB, a byte a page."""
        return len(self._map_windows) * PTRS_PER_PTE

    @cached_property
    def _map_windows(self) -> NDArray[np.int64]:
        return np.ascontiguousarray(self._windows, np.int64)

    def totals(self) -> Totals:
        """The counters at this position."""
        if self.state is None or self.machine is None:
            return Totals()
        table = self.state.table(cells.AT_BUCKET).reshape(BUCKETS, BUCKET_CELLS)
        tallies = self.state.table(cells.AT_TALLY)
        return Totals(
            mms=self._alive(),
            exclusive=int(table[1, 0]),
            shared=int(table[2 : MOST_OWNERS + 1, 0].sum()),
            false_shared=int(table[FALSE, 0]),
            unsafe=int(table[UNSAFE, 0]),
            false_copies=int(tallies[cells.SOLE_COPIES]),
            wrong_reuses=int(tallies[cells.WRONG_REUSES]),
            mapped=int(tallies[cells.PAGES_MAPPED]),
            unmapped=int(tallies[cells.PAGES_UNMAPPED]),
            forked=int(tallies[cells.PAGES_FORKED]),
            moved=int(tallies[cells.PAGES_MOVED]),
            false_begun=int(tallies[cells.FALSE_EPISODES]) + int(table[FALSE, 0]),
            unsafe_begun=int(tallies[cells.UNSAFE_EPISODES]) + int(table[UNSAFE, 0]),
        )

    @abstractmethod
    def _alive(self) -> int:
        """Number of living MMs."""

    def snapshot(self) -> bytes:
        """The whole state as bytes; the same at a position, whichever way the lane reached it."""
        parts = []
        for buffer, (first, end) in self._buffers():
            parts += [buffer[:first].tobytes(), buffer[end:].tobytes()]
        return b"".join(parts)

    def before(self, head: int, nr: int) -> NDArray[np.uint8]:
        """The struct pages of frames head…head+nr-1 before the last step.

        The lane goes back one step to read them; the result is kept until the position changes.
        """
        assert self.machine is not None
        if self.position == 0:
            return self.struct_pages(head, nr)
        if head not in self._before or len(self._before[head]) < nr * self.stride:
            here = self.position
            kept = dict(self._before)
            self.goto(here - 1)
            kept[head] = self.struct_pages(head, nr)
            self.run(here)
            self._before = kept
        return self._before[head][: nr * self.stride]

    @property
    def stride(self) -> int:
        """Bytes of a struct page."""
        assert self.machine is not None
        return self.machine.layouts["page"].size

    def struct_pages(self, head: int, nr: int) -> NDArray[np.uint8]:
        """A copy of the struct pages of frames head…head+nr-1."""
        assert self.machine is not None
        start = self.machine.map.pages + head * self.stride
        return self.machine.vm.buffer[start : start + nr * self.stride].copy()


def as_error(scheme: Scheme, fault: BaseException) -> FolioLabError:
    """Any exception as an error that names the policy."""
    if isinstance(fault, FolioLabError):
        return fault
    if isinstance(fault, MemoryError):
        return FolioLabError(
            f"policy {scheme.name}: there is not enough memory for its tables", "choose fewer pages, or fewer policies"
        )
    return PluginError(f"policy {scheme.name}: {describe(fault)}", "correct the policy, or leave it out")
