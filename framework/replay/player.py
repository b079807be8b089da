"""A trace under one policy: a machine that is large enough, the events in chunks, and samples in between."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine.engine import Execution, Shape
from foliolab.framework.engine.machine import Machine
from foliolab.framework.errors import BeyondDeclared, ModelError
from foliolab.framework.machine.layout import PMD_ORDER
from foliolab.framework.replay import cells
from foliolab.framework.replay.account import MOST, Account
from foliolab.framework.replay.cells import Cells, Sizes
from foliolab.framework.replay.histories import PREDECESSORS
from foliolab.framework.replay.loop import CLUSTER_SHIFT, PREDECESSORS_SHIFT, replay_chunk
from foliolab.framework.replay.snapshot import WAS_READ
from foliolab.framework.replay.survey import MOST_FRAMES, MOST_WINDOWS, Progress, Survey
from foliolab.framework.trace import events as ev
from foliolab.framework.trace.events import Events, EventSource
from foliolab.framework.trace.file import BLOCK_EVENTS

FIRST_FRAMES: Final = 1 << 16
"""Page frames to begin with, if the trace allocates more than these in total: 256 MiB."""
PART_BITS: Final = 39
"""Events are replayed in parts of at most 2^39 ns, some 9 minutes: times 2^23 pages, the sums fit 64 bits."""
LEAST_IDS: Final = 16
FIRST: Final = PREDECESSORS_SHIFT // 8
"""The byte of an event's head that says how many predecessors its folio has."""


class TooSmall(Exception):
    """The machine is too small; `why` is a status of `cells` that says in which respect."""

    def __init__(self, why: int) -> None:
        self.why = why


@dataclass(frozen=True)
class Plan:
    """How to replay a trace, for every policy.

    Args:
        survey: the result of a first pass.
        memory: bytes that a machine's tables may take.
        samples: samples evenly in time, and at most as many after forks, execs and exits.
        progress: called for each block.
        late: whether MMs are torn down when the teardown is certainly over, not when it begins (see `events.EXIT`).
        watched: whether an observer follows (see `cells.Sizes`).
        changes: rows of the list of changes to the mappings of large folios (see `cells.Sizes`).
        before: bytes of scratch memory, for each page of address space, that an observer uses before the replay's own.
        chunk: events in the machine's memory at a time.
        frames: page frames to begin with, at most.
        predecessors: MMs that mapped the folios of the snapshot first and have left (`predecessors`).
        slots: MMs that the recorded kernel remembers of a folio, if `trace` says of a part of the folios which ones
            these were (`histories.Regrouped.as_read`); 0: that does not count.
    """

    trace: EventSource
    survey: Survey
    memory: int
    samples: int
    execution: Execution
    progress: Progress
    late: bool = False
    watched: bool = False
    changes: int = 0
    before: int = 0
    chunk: int = BLOCK_EVENTS
    frames: int = FIRST_FRAMES
    predecessors: int = 0
    slots: int = 0


class Player:
    """Replays a trace under one policy.

    Attributes:
        asked: the policy as it was asked for.
        scheme: the policy as it is replayed: with more MM IDs, if it has a parameter for them that was not chosen.
        account: the results so far.
        machine: the machine in its present state.
    """

    def __init__(self, plan: Plan, scheme: Scheme) -> None:
        self.plan = plan
        survey = plan.survey
        self.asked = scheme
        predecessors = max(plan.predecessors, plan.slots)
        slots = survey.slots + predecessors
        self.scheme = with_ids(scheme, slots)
        frames = min(survey.pages + (1 << PMD_ORDER), plan.frames)
        self.sizes = Sizes(
            frames=_whole(frames + (1 << PMD_ORDER)),
            slots=slots,
            windows=survey.windows,
            mms=survey.mms,
            clusters=int(survey.cluster.max()) + 1,
            pfns=survey.pfns,
            events=plan.chunk,
            predecessors=predecessors,
            watched=plan.watched,
            changes=plan.changes,
        )
        self.machine: Machine | None = None
        self.account = Account(self.sizes)

    def run(self) -> None:
        """Replay. If the machine turns out too small, start again with a larger one.

        Raises:
            ModelError: the machine would take more memory than it may, or the policy cannot tell the MMs apart.
        """
        while True:
            try:
                self._attempt()
                return
            except TooSmall as small:
                self.grow(small.why)

    def grow(self, why: int) -> None:
        """Let the next machine be larger, in the respect that `TooSmall.why` says."""
        sizes = self.sizes
        if why == cells.NO_FRAMES:
            self.sizes = replace(sizes, frames=2 * sizes.frames)
        elif why == cells.NO_SLOTS:
            self.sizes = replace(sizes, slots=2 * sizes.slots)
            self.scheme = with_ids(self.asked, self.sizes.slots)
        elif why == cells.NO_WINDOWS:
            self.sizes = replace(sizes, windows=2 * sizes.windows)
        elif why == cells.NO_CHANGES:
            self.sizes = replace(sizes, changes=2 * sizes.changes)
        else:
            raise BeyondDeclared(
                f"policy {self.scheme.name} tells {self.scheme.max_mm_id} MMs apart, the trace has more at a time",
                "choose a parameter of the policy that allows for more, or leave the policy out",
            )
        self.machine = None  # free its memory before the next one is made

    def _shape(self) -> Shape:
        shape = Shape(
            nr_pages=self.sizes.frames,
            nr_mms=self.sizes.slots,
            nr_vpns=self.sizes.vpns,
            max_order=self.plan.survey.max_order,
            scratch=self._before + self.sizes.scratch,
        )
        if self.sizes.frames > MOST_FRAMES or self.sizes.windows > MOST_WINDOWS:
            raise ModelError(
                f"the trace uses more than {MOST_FRAMES >> 18} GiB of memory, or {MOST_WINDOWS:,} windows of 2 MiB",
                "record a shorter time, or fewer processes",
            )
        needed = shape.nbytes(self.scheme)
        if needed > self.plan.memory:
            raise ModelError(
                f"policy {self.scheme.name}: {self.sizes.frames >> 8:,} MiB of modelled memory, "
                f"{self.sizes.slots:,} MMs and {self.sizes.windows:,} windows of 2 MiB take {needed >> 20:,} MiB of "
                f"tables, {self.plan.memory >> 20:,} MiB are allowed",
                "allow more with --memory, record a shorter time, or leave the policy out",
            )
        return shape

    @property
    def _before(self) -> int:
        return self.plan.before * self.sizes.vpns

    def start(self) -> tuple[Cells, ChunkLoader]:
        """Make the machine, before the first event.

        Returns:
            its cells, and the loader of events.

        Raises:
            ModelError: the machine would take more memory than it may.
        """
        self.machine = Machine(self.scheme, self._shape(), self.plan.execution, one_thread=True)
        state = Cells(self.machine, self.sizes, self._before)
        self.account = Account(self.sizes)
        self.account.begin(self.machine, state)
        state.all[cells.KEEP_PFNS] = int(self.plan.survey.kinds[ev.FREE_HINT] > 0)
        return state, ChunkLoader(state, self.plan)

    def _attempt(self) -> None:
        self.plan.progress(f"prepare {self.scheme.name}", 0, 0)
        state, chunk = self.start()
        account = self.account
        moments = _SampleTimes(self.plan)
        done = 0
        for events in self.plan.trace.blocks():
            chunk.load(events, done)
            begin = 0
            for end, moment in [*moments.of(events), (events.size, -1)]:
                self.play(state, begin, end)
                if moment >= 0:
                    account.sample(moment)
                begin = end
            account.drain()
            done += events.size
            account.events = done
            self.plan.progress(f"replay {self.scheme.name}", done, self.plan.survey.events)
        account.finish(self.plan.survey.last - self.plan.survey.first)
        if max(account.page_ns) == MOST:
            raise ModelError(
                "the sums of pages times nanoseconds do not fit 64 bits", "record a shorter time, or fewer processes"
            )

    def play(self, state: Cells, begin: int, end: int) -> None:
        """Replay events begin…end-1 of the chunk.

        Raises:
            TooSmall: the machine is too small; the loop has stopped at one of the events.
        """
        if begin == end:
            return
        times, now = state.table(cells.AT_TIME), int(state.all[cells.NOW])
        cuts: list[int] = []
        if times[end - 1] >> PART_BITS != now >> PART_BITS:
            cuts = (begin + np.flatnonzero(np.diff(times[begin:end] >> PART_BITS, prepend=now >> PART_BITS))).tolist()
        for first, behind in pairwise([begin, *cuts, end]):
            if first in cuts:  # the cells' sums have 64 bits, the account's have no limit
                state.all[cells.NOW] = times[first]
                self.account.drain()
            if first < behind:
                self._run(state, first, behind)

    def _run(self, state: Cells, begin: int, end: int) -> None:
        assert self.machine is not None
        call = self.machine.bind_function(replay_chunk, "mmiii", state.base, begin, end)
        started = time.perf_counter()
        call()
        self.account.seconds += time.perf_counter() - started
        if state.all[cells.STATUS] != cells.FINE:
            raise TooSmall(int(state.all[cells.STATUS]))


def with_ids(scheme: Scheme, mms: int) -> Scheme:
    """The policy with IDs for so many MMs, if one of its parameters that were not chosen provides them.

    If none does, the policy is returned unchanged.
    """
    chosen = dict(scheme.chosen)
    wanted = max(LEAST_IDS, 1 << (mms + 1).bit_length())  # few different sizes, since native code is built for each
    if scheme.max_mm_id > mms:
        return scheme
    for parameter in scheme.policy.parameters:
        if parameter.choices or parameter.name in chosen:
            continue
        value = min(parameter.high, wanted)
        wider = scheme.policy.with_parameters({**chosen, parameter.name: value})
        if wider.max_mm_id > max(scheme.max_mm_id, min(mms, value - 2)):
            return wider
    return scheme


def _whole(frames: int) -> int:
    """Frames rounded up to whole blocks of PMD size."""
    return (frames + (1 << PMD_ORDER) - 1) >> PMD_ORDER << PMD_ORDER


class ChunkLoader:
    """Loads events into the machine's memory, in the form that the loop reads."""

    def __init__(self, state: Cells, plan: Plan) -> None:
        self.plan = plan
        self.survey = plan.survey
        head = state.table(cells.AT_HEAD)
        self.head = head.view(np.uint8).reshape(-1, 8)
        self.mm = head.view(np.uint32).reshape(-1, 2)[:, 1]
        self.columns = [state.table(at) for at in (cells.AT_TIME, cells.AT_PAGE, cells.AT_NR, cells.AT_OTHER)]

    def load(self, events: Events, number: int) -> None:
        """Load events, at most as many as the plan's `chunk`.

        Args:
            number: of the first of them in the trace, from 0.
        """
        n = events.size
        for byte, column in enumerate((events.kind, events.flags, events.order)):
            self.head[:n, byte] = column
        self.mm[:n] = events.mm
        survey = self.survey
        forks = np.flatnonzero(events.kind == ev.FORK)
        self.head[forks[survey.unsure[events.other[forks]]], 1] |= ev.UNCERTAIN
        if self.plan.late:
            exits = np.flatnonzero(events.kind == ev.EXIT)
            self.head[exits[survey.gone[events.mm[exits]]], 0] = ev.LOST  # the loop ignores it
        first, behind = np.searchsorted(survey.retried, (number, number + n))
        self.head[survey.retried[first:behind] - number, 0] = ev.LOST
        when, page, nr, other = self.columns
        np.subtract(events.time, np.uint64(survey.first), out=when[:n].view(np.uint64))
        page[:n].view(np.uint64)[:] = events.page
        other[:n].view(np.uint64)[:] = events.other
        nr[:n] = events.nr
        self.head[:n, FIRST] = 0
        rows = np.flatnonzero(events.kind == ev.PRESENT)
        cluster = survey.cluster
        if rows.size:
            flags = events.flags[rows]
            read = (flags & ev.REMEMBERED > 0) & (self.plan.slots > 0)
            self.head[rows, FIRST] = np.where(read, flags & PREDECESSORS | WAS_READ, self.plan.predecessors)
        if rows.size and cluster.size > 1:
            mms = events.mm[rows]
            numbers = cluster[np.minimum(mms, cluster.size - 1)] * (mms < cluster.size)
            nr[rows] |= numbers << CLUSTER_SHIFT


class _SampleTimes:
    """When to take samples: evenly in time, and after every n-th fork, exec or exit."""

    def __init__(self, plan: Plan) -> None:
        survey = plan.survey
        self.first = survey.first
        even: NDArray[Any] = np.linspace(0, survey.last - survey.first, max(plan.samples, 2)).astype(np.uint64)
        self.even = np.unique(even) + np.uint64(survey.first) if plan.samples else np.zeros(0, np.uint64)
        self.every = max(1, -(-survey.forks // plan.samples)) if plan.samples else 0
        self.taken = 0
        self.seen = 0

    def of(self, events: Events) -> Sequence[tuple[int, int]]:
        """(events before it, time since the first event) of each sample in a block, in order."""
        # if events of the same time follow in the next block, the sample is taken before them
        until = int(np.searchsorted(self.even, events.time[-1], side="right"))
        here = self.even[self.taken : until]
        self.taken = until
        cuts = np.searchsorted(events.time, here, side="right")
        moments = {(cut, when - self.first) for cut, when in zip(cuts.tolist(), here.tolist(), strict=True)}
        if self.every:
            life = np.flatnonzero(np.isin(events.kind, (ev.FORK, ev.SPAWN, ev.EXEC, ev.EXIT)))
            chosen = life[(self.seen + np.arange(life.size)) % self.every == self.every - 1]
            self.seen += life.size
            moments |= {(row + 1, int(events.time[row]) - self.first) for row in chosen.tolist()}
        return sorted(moments)
