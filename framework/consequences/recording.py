"""A recorded trace as a source of moments: the replay stops evenly in time, and every moment is looked at."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from foliolab.framework.consequences.moment import SCRATCH_A_PAGE
from foliolab.framework.consequences.tally import Tally
from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine.engine import Execution
from foliolab.framework.errors import NothingMeasured
from foliolab.framework.replay.player import Plan, Player, TooSmall
from foliolab.framework.replay.survey import survey
from foliolab.framework.trace.file import Trace

NEEDED: Final = ("allocations", "faults", "ranges")
"""Kinds of events without which a trace cannot tell which folios its MMs map."""


@dataclass(frozen=True)
class FromTrace:
    """A recorded trace.

    Args:
        path: its file.
        moments: how many, evenly in time.
        memory: bytes that the tables may take.
    """

    path: str
    moments: int
    memory: int = 1 << 30

    @property
    def name(self) -> str:
        return os.path.basename(self.path)

    @property
    def summary(self) -> str:
        return " ".join([f"recorded: {self.trace.header.command}.", *self.trace.header.shows.cannot_tell])

    @property
    def size(self) -> int:
        return 0

    @cached_property
    def trace(self) -> Trace:
        """The trace.

        Raises:
            TraceFileError: it cannot be read.
        """
        return Trace(self.path)

    def unfit(self, scheme: Scheme) -> str:
        """Why the trace cannot be followed: it has not the events that say which folios are mapped."""
        shows = self.trace.header.shows
        absent = [kind for kind in NEEDED if getattr(shows, kind) is False]
        return f"the trace cannot tell: its source shows no {', '.join(absent)}" if absent else ""

    def run(self, tally: Tally, execution: Execution) -> None:
        """See `MomentSource`.

        Raises:
            NothingMeasured: the trace has no events.
            ModelError: the tables would take more memory than they may.
        """
        found = survey(self.trace, _quiet)
        if not found.events:
            raise NothingMeasured(f"{self.path} has no events", "record again")
        plan = Plan(self.trace, found, self.memory, 0, execution, _quiet, before=SCRATCH_A_PAGE)
        player = Player(plan, tally.scheme)
        while True:
            tally.begin()
            try:
                self._play(player, tally)
                return
            except TooSmall as small:
                player.grow(small.why)

    def _play(self, player: Player, tally: Tally) -> None:
        state, chunk = player.start()
        assert player.machine is not None
        first, span = player.plan.survey.first, player.plan.survey.last - player.plan.survey.first
        # between the beginning and the end, at both of which little is mapped
        moments = [first + span * (2 * number + 1) // (2 * self.moments) for number in range(self.moments)]
        seen = done = 0
        for events in self.trace.blocks():
            chunk.load(events, done)
            done += events.size
            begin = 0
            while seen < len(moments) and moments[seen] < int(events.time[-1]):
                end = int(np.searchsorted(events.time, moments[seen], side="right"))
                player.play(state, begin, end)
                tally.look(player.machine, f"at {(moments[seen] - first) / 1e9:.3f} s")
                begin, seen = end, seen + 1
            player.play(state, begin, events.size)
            player.account.drain()
        if not seen:  # all events have one time
            tally.look(player.machine, "at the end")


def _quiet(phase: str, done: int, total: int) -> None:
    pass
