"""Policies in lockstep on the same steps: forward, back, and to where one of them is wrong."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.errors import UsageError
from foliolab.framework.explore.accesses import Accesses, accesses_of
from foliolab.framework.explore.event_lane import EventLane
from foliolab.framework.explore.history import History, Marks
from foliolab.framework.explore.lane import SPACING, Lane
from foliolab.framework.explore.operation_lanes import CounterexampleLane, ScenarioLane
from foliolab.framework.explore.parallel import Together
from foliolab.framework.explore.source import CounterexampleSource, EventsSource, ScenarioSource, Source
from foliolab.framework.explore.stretch import Stretches

MEMORY: Final = 2 << 30
CALL: Final = 0.016
"""Seconds that one call should take: long ones leave no thread waiting for the last lane, and make few views."""
PATIENCE: Final = 2.0
"""Seconds that a step may take, access by access."""
WORTH: Final = 0.001
"""Seconds from which on lanes run side by side: to hand them out takes about a tenth of that."""

Stop = Callable[[], bool]


def lane_of(source: Source, scheme: Scheme, memory: int) -> Lane:
    """A policy on a source."""
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
    """Policies in lockstep.

    Args:
        source: what is played.
        schemes: the policies; one that fails becomes a lane with an error.
        memory: bytes that all lanes may take, their tables and what is kept of earlier states.

    Attributes:
        lanes: in the order of `schemes`.
        position: steps done.
        history: series of all lanes, up to the farthest position.
        marks: where answers became wrong, up to the farthest position.
        awaited: whether somebody waits for the thread that the session is in; never by itself.
        together: does the same in several lanes, or for several maps, side by side.

    Raises:
        UsageError: no policy.
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
        self._stretches = Stretches(source)  # of all lanes together
        self.together: Together[Any] = Together(len(self.lanes))
        self._warm = False
        self._found: list[NDArray[np.int64]] = [np.zeros((0, 2), np.int64)] * len(self.lanes)
        self._note()

    @property
    def nr_steps(self) -> int:
        """Steps of the source."""
        return self.source.nr_steps

    @property
    def at_end(self) -> bool:
        """Whether there is no step left."""
        return self.position >= self.nr_steps

    # -- forward ----------------------------------------------------------------------------------------
    def advance(self, nr: int = 1) -> int:
        """Do so many steps, or as many as there are; how many it did."""
        begin = self.position
        end = min(begin + max(nr, 0), self.nr_steps)
        while self.position < end:
            self._call(end)
        return self.position - begin

    def play(self, seconds: float, end: int | None = None) -> int:
        """Do as many steps as fit into a time, at least one call's; how many it did.

        Args:
            seconds: about; a call of native code takes 5 to 10 ms.
            end: no further than to this position.
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
        """Some stretches of steps in every lane: a point of the history, and a chance to stop, after it."""
        begin = self.position
        plan = self._stretches.plan(begin, end, seconds)
        marks = [begin, *(stop for stop, _ in plan)]
        expected = sum(self._stretches.expected(marks[i + 1] - marks[i], heavy) for i, (_, heavy) in enumerate(plan))
        took = np.zeros((len(self.lanes), len(plan)))
        order = {id(lane): number for number, lane in enumerate(self.lanes)}

        def run(lane: Lane, number: int) -> None:
            began = time.perf_counter()
            lane.run(marks[number + 1])
            took[order[id(lane)], number] = time.perf_counter() - began

        threads = self._each(run, expected, len(plan))
        self.position = marks[-1]
        for i, (_, heavy) in enumerate(plan):
            self._stretches.add(marks[i + 1] - marks[i], float(took[:, i].sum()) / threads, heavy)
        self._take(begin)

    def _each(self, do: Callable[[Lane, int], None], seconds: float, nr: int = 1) -> int:
        """Do `nr` things in every lane, side by side if they take about so long that it is worth while.

        Returns:
            on how many threads.
        """
        if self._warm and seconds >= WORTH:
            # the slowest first: nobody waits for one that began last
            self.together.rounds(do, sorted(self.lanes, key=lambda lane: -lane.seconds_a_step), nr)
            return self.together.threads
        for lane in self.lanes:  # at first one behind the other: native code is loaded on the way
            for number in range(nr):
                do(lane, number)
        self._warm = True
        return 1

    def _take(self, begin: int) -> None:
        """Note what the lanes found from a step on."""
        self._found = [lane.take_wrongs() for lane in self.lanes]
        if self.position > self.farthest:
            running = [lane.error is None for lane in self.lanes]
            self.marks.add(self._found, self.farthest, self.position, running)
            self.farthest = self.position
            self._note()

    def _note(self) -> None:
        values = []
        for lane in self.lanes:
            totals = lane.totals()
            values.append((totals.false_share, totals.false_shared, totals.unsafe, totals.page_operations))
        self.history.add(self.position, values)

    # -- anywhere ---------------------------------------------------------------------------------------
    def goto(self, position: int) -> None:
        """Go to a position, forward or back.

        Raises:
            UsageError: there is no such position.
        """
        if not 0 <= position <= self.nr_steps:
            raise UsageError(
                f"there is no position {position:,} in {self.source.title}", f"it has 0 to {self.nr_steps:,}"
            )
        if position >= self.position:
            self.advance(position - self.position)
            return
        self._each(lambda lane, _: lane.goto(position), WORTH)
        for lane in self.lanes:
            lane.take_wrongs()
        self.position = position

    def back(self) -> bool:
        """Undo the last step; False at the start."""
        if self.position == 0:
            return False
        self.goto(self.position - 1)
        return True

    def prepare(self, stop: Stop | None = None) -> None:
        """Make the next `back` quick: run again, from the last checkpoint, what lies before this position.

        It is worth while when nothing else is to be done; everything is then as it was.

        Args:
            stop: asked before each lane; True: the others are not prepared.
        """
        for lane in self.lanes:
            if self.position and not (stop and stop()) and lane.error is None:
                lane.goto(self.position - 1)
                lane.goto(self.position)
                lane.take_wrongs()

    # -- to wrong answers -------------------------------------------------------------------------------
    def next_wrong(self, lane: int | None = None, stop: Stop | None = None) -> bool:
        """Go on to the next step after which an answer is wrong that was not.

        Args:
            lane: of this lane only.
            stop: asked every few milliseconds; True ends the search where it is.

        Returns:
            whether one was found; without one it goes to the end.
        """
        step = self.position
        if step < self.farthest:
            found = self.marks.behind(step, lane)
            if found is not None and found[0] < self.farthest:
                low, high = found
                if low == high:
                    self.goto(low + 1)
                    return True
                return self._search(low, high + 1, lane, stop)
            self.goto(self.farthest)
        return self._search(self.position, self.nr_steps, lane, stop)

    def _search(self, begin: int, end: int, lane: int | None, stop: Stop | None) -> bool:
        """The first of steps begin…end-1 that makes an answer wrong."""
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
        """Go back to the last step before this position after which an answer is wrong that was not.

        Args:
            lane: of this lane only.
            stop: as for `next_wrong`.

        Returns:
            whether one was found; without one it stays where it is.
        """
        here = self.position
        # the step that led here does not count: it is where the last search ended
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
        """The steps from `begin` on that the latest call found to make an answer wrong."""
        lanes = self._found if lane is None else [self._found[lane]]
        steps = np.concatenate([rows[:, 0] for rows in lanes])
        return steps[(steps >= begin) & (steps < self.position)]

    # -- looking ----------------------------------------------------------------------------------------
    def accesses(self, lane: int) -> Accesses:
        """The step that was done last, access by access (see `explore.accesses`)."""
        return accesses_of(self.lanes[lane], self.patience())

    def patience(self) -> Stop:
        """What says when to stop with something that only shows: somebody else waits, or it has taken too long."""
        until = time.perf_counter() + PATIENCE
        return lambda: self.awaited() or time.perf_counter() > until

    @property
    def page_operations(self) -> int:
        """Of all lanes so far."""
        return sum(lane.totals().page_operations for lane in self.lanes)

    def close(self) -> None:
        """Give the memory back."""
        self.together.close()
        for lane in self.lanes:
            lane.close()
