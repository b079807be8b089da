"""A session: policies in lockstep on the same steps, forward, back, and to the next wrong answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.errors import UsageError
from foliolab.framework.explore.accesses import Accesses, accesses_of
from foliolab.framework.explore.counterexample_lane import CounterexampleLane
from foliolab.framework.explore.event_lane import EventLane
from foliolab.framework.explore.history import MOST_POINTS, History, Marks
from foliolab.framework.explore.lane import SPACING, Lane
from foliolab.framework.explore.parallel import Parallel
from foliolab.framework.explore.scenario_lane import ScenarioLane
from foliolab.framework.explore.source import CounterexampleSource, EventsSource, ScenarioSource, Source
from foliolab.framework.explore.stretch import Stretches

MEMORY: Final = 2 << 30
CALL: Final = 0.016
"""Seconds that one call should take. Shorter calls leave threads idle more often, at the end of each, while the last
lane finishes; longer calls delay views."""
PATIENCE: Final = 2.0
"""Seconds after which the recording of a step's accesses ends."""
WORTHWHILE: Final = 0.001
"""Work that takes at least this many seconds is given to threads; handing it out takes about a tenth of that."""

Stop = Callable[[], bool]


def lane_of(source: Source, scheme: Scheme, memory: int) -> Lane:
    """The lane of a policy on a source.

    Raises:
        UsageError: there is no kind of lane for the source.
    """
    if isinstance(source, EventsSource):
        return EventLane(source, scheme, memory)
    if isinstance(source, ScenarioSource):
        return ScenarioLane(source, scheme, memory)
    if isinstance(source, CounterexampleSource):
        return CounterexampleLane(source, scheme, memory)
    raise UsageError(f"{source.title} cannot be explored", "choose a pattern, trace, scenario or counterexample")


def _never() -> bool:
    return False


class Session:
    """Policies in lockstep on the steps of a source.

    Args:
        source: the steps.
        schemes: the policies; a policy that fails becomes a lane with an error.
        memory: bytes that all lanes may take, checkpoints included.

    Attributes:
        lanes: one lane per policy, in the order of `schemes`.
        position: steps done.
        farthest: the greatest position so far.
        history: series of all lanes, up to the farthest position.
        marks: steps that made answers wrong, up to the farthest position.
        awaited: callback: is another thread waiting? Default: no. Optional work then ends early.
        parallel: threads that serve several lanes, or paint several maps.

    Raises:
        UsageError: there is no policy.
    """

    def __init__(self, source: Source, schemes: Sequence[Scheme], memory: int = MEMORY) -> None:
        if not schemes:
            raise UsageError("there is no policy to explore", "choose one to four")
        self.source = source
        self.memory = memory
        self.position = 0
        self.farthest = 0
        each = memory // len(schemes)
        self.lanes = [lane_of(source, scheme, each) for scheme in schemes]
        for lane in self.lanes:
            lane.spacing = SPACING * 4 / max(len(schemes), 1)
        self.history = History(len(self.lanes))
        self.marks = Marks(len(self.lanes), source.nr_steps)
        self.awaited: Stop = _never
        self._stretches = Stretches(source)  # their durations are those of all lanes together
        self.parallel = Parallel(len(self.lanes))
        self._warm = False  # whether each lane has run once, so that its native code is loaded
        self._found: list[NDArray[np.int64]] = [np.zeros((0, 2), np.int64)] * len(self.lanes)
        self._note()

    @property
    def nr_steps(self) -> int:
        return self.source.nr_steps

    @property
    def at_end(self) -> bool:
        return self.position >= self.nr_steps

    # -- forward ----------------------------------------------------------------------------------------
    def advance(self, nr: int = 1) -> int:
        """Do so many steps, or all that are left; return how many."""
        begin = self.position
        end = min(begin + max(nr, 0), self.nr_steps)
        while self.position < end:
            self._call(end)
        return self.position - begin

    def play(self, seconds: float, end: int | None = None) -> int:
        """Do as many steps as fit into a time; return how many.

        Args:
            seconds: the time; exceeded by at most one call of native code (5 to 10 ms), which is always done.
            end: the position not to go beyond; the end of the source by default.
        """
        begin = self.position
        end = self.nr_steps if end is None else min(end, self.nr_steps)
        until = time.perf_counter() + seconds
        while self.position < end:
            left = until - time.perf_counter()
            if self.position > begin and left < CALL / 4:
                break
            self._call(end, min(CALL, max(left, CALL / 8)))
        return self.position - begin

    def _call(self, end: int, seconds: float = CALL) -> None:
        """Do some stretches of steps in every lane, then add a point to the history.

        In a run with no more steps than the history has points, each step gets its own, so that none is missed.
        """
        begin = self.position
        if begin >= self.farthest and self.nr_steps <= MOST_POINTS:
            end = min(end, begin + 1)
        plan = self._stretches.plan(begin, end, seconds)
        marks = [begin, *(stop for stop, _ in plan)]
        expected = sum(self._stretches.expected(marks[i + 1] - marks[i], heavy) for i, (_, heavy) in enumerate(plan))
        took = np.zeros((len(self.lanes), len(plan)))
        index = {id(lane): number for number, lane in enumerate(self.lanes)}

        def run(lane: Lane, number: int) -> None:
            began = time.perf_counter()
            lane.run(marks[number + 1])
            took[index[id(lane)], number] = time.perf_counter() - began

        threads = self._each(run, expected, len(plan))
        self.position = marks[-1]
        for i, (_, heavy) in enumerate(plan):
            self._stretches.add(marks[i + 1] - marks[i], float(took[:, i].sum()) / threads, heavy)
        self._collect()

    def _each(self, do: Callable[[Lane, int], None], seconds: float, nr: int = 1) -> int:
        """Call a function with every lane and the numbers 0…nr-1, in parallel threads if that is worthwhile.

        Args:
            do: the function.
            seconds: the expected duration of all calls.
            nr: calls per lane.

        Returns:
            the number of threads.
        """
        if self._warm and seconds >= WORTHWHILE:
            # the slowest lane first, so that it is not the one that all threads wait for at the end
            self.parallel.rounds(do, sorted(self.lanes, key=lambda lane: -lane.pace.step), nr)
            return self.parallel.threads
        for lane in self.lanes:  # the first time one after the other, because native code is loaded meanwhile
            for number in range(nr):
                do(lane, number)
        self._warm = True
        return 1

    def _collect(self) -> None:
        """Take the wrong answers that the latest call found out of the lanes, and add new ones to the marks."""
        self._found = [lane.take_wrongs() for lane in self.lanes]
        if self.position > self.farthest:
            running = [lane.error is None for lane in self.lanes]
            self.marks.add(self._found, self.farthest, self.position, running)
            self.farthest = self.position
            self._note()

    def _note(self) -> None:
        """Add the counters at this position to the history."""
        self.history.add(self.position, [lane.totals().series() for lane in self.lanes])

    # -- to a position ----------------------------------------------------------------------------------
    def goto(self, position: int) -> None:
        """Go to a position, forward or back.

        Raises:
            UsageError: the source has no such position.
        """
        if not 0 <= position <= self.nr_steps:
            raise UsageError(
                f"there is no position {position:,} in {self.source.title}", f"it has 0 to {self.nr_steps:,}"
            )
        if position >= self.position:
            self.advance(position - self.position)
            return
        self._each(lambda lane, _: lane.goto(position), WORTHWHILE)
        for lane in self.lanes:
            lane.take_wrongs()
        self.position = position

    def back(self) -> bool:
        """Undo the last step; return False at the start."""
        if self.position == 0:
            return False
        self.goto(self.position - 1)
        return True

    def prepare(self, stop: Stop | None = None) -> None:
        """Make the next `back` fast: a lane that goes back makes a checkpoint close to this position.

        Call it when there is nothing else to do. Position and state are the same afterwards.

        Args:
            stop: called before each lane; if it returns True, the remaining lanes are left out.
        """
        for lane in self.lanes:
            if self.position and not (stop and stop()) and lane.error is None:
                lane.goto(self.position - 1)
                lane.goto(self.position)
                lane.take_wrongs()

    # -- to wrong answers -------------------------------------------------------------------------------
    def next_wrong(self, lane: int | None = None, stop: Stop | None = None) -> bool:
        """Go on to the next step that makes an answer wrong; without one, to the end.

        Args:
            lane: search only this lane.
            stop: called every few milliseconds; if it returns True, the search ends at the position it has reached.

        Returns:
            whether such a step was found.
        """
        step = self.position
        if step < self.farthest:
            found = self.marks.after(step, lane)
            if found is not None and found[0] < self.farthest:
                low, high = found
                if low == high:
                    self.goto(low + 1)
                    return True
                return self._search(low, high + 1, lane, stop)
            self.goto(self.farthest)
        return self._search(self.position, self.nr_steps, lane, stop)

    def _search(self, begin: int, end: int, lane: int | None, stop: Stop | None) -> bool:
        """Go to the first of steps begin…end-1 that makes an answer wrong; return whether there is one."""
        self.goto(begin)
        while self.position < end and not (stop and stop()):
            before = self.position
            self._call(end)
            steps = self._steps(lane, before)
            if steps.size:
                self.goto(int(steps.min()) + 1)
                return True
        return False

    def previous_wrong(self, lane: int | None = None, stop: Stop | None = None) -> bool:
        """Go back to the last step before this position that made an answer wrong; without one, stay.

        Args:
            lane: search only this lane.
            stop: as for `next_wrong`.

        Returns:
            whether such a step was found.
        """
        here = self.position
        # the step that led here does not count: the previous search ended here
        found = self.marks.before(here - 1, lane)
        if found is None:
            return False
        low, high = found
        if low == high:
            self.goto(low + 1)
            return True
        self.goto(low)
        last = low
        while self.position <= high and not (stop and stop()):
            before = self.position
            self._call(high + 1)
            steps = self._steps(lane, before)
            if steps.size:
                last = int(steps.max())
        self.goto(last + 1)
        return True

    def _steps(self, lane: int | None, begin: int) -> NDArray[np.int64]:
        """The steps from `begin` on that made an answer wrong in the latest call."""
        lanes = self._found if lane is None else [self._found[lane]]
        steps = np.concatenate([rows[:, 0] for rows in lanes])
        return steps[(steps >= begin) & (steps < self.position)]

    # -- details ----------------------------------------------------------------------------------------
    def accesses(self, lane: int) -> Accesses:
        """The memory accesses of the last step in a lane (see `explore.accesses`)."""
        return accesses_of(self.lanes[lane], self.patience())

    def patience(self) -> Stop:
        """A callback for optional work: True once another thread waits, or PATIENCE seconds have passed."""
        until = time.perf_counter() + PATIENCE
        return lambda: self.awaited() or time.perf_counter() > until

    @property
    def page_operations(self) -> int:
        """Page operations of all lanes so far; the benchmarks of Explore divide them by time."""
        return sum(lane.totals().page_operations for lane in self.lanes)

    def close(self) -> None:
        """Release the memory and end the threads."""
        self.parallel.close()
        for lane in self.lanes:
            lane.close()
