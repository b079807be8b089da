"""The lane of a pattern or trace: the native replay of its events, which also records wrong answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.explore.events import CHUNK
from foliolab.framework.explore.lane import Lane
from foliolab.framework.explore.source import EventsSource
from foliolab.framework.replay import cells
from foliolab.framework.replay.loop import replay_chunk
from foliolab.framework.replay.player import FIRST_FRAMES, Plan, Player, TooSmall

_COLUMNS: Final = (cells.AT_HEAD, cells.AT_TIME, cells.AT_PAGE, cells.AT_NR, cells.AT_OTHER)


class EventLane(Lane):
    """One policy on events (see `Lane`).

    Attributes:
        player: replays the events; None before the first start.
    """

    by_trace = True
    pins = False
    source: EventsSource

    def __init__(self, source: EventsSource, scheme: Scheme, memory: int) -> None:
        plan = Plan(
            trace=source.blocks.events,
            survey=source.blocks.survey,
            memory=max(memory // 2, 1 << 26),  # the other half is for the copy of the newest checkpoint
            samples=0,
            execution="native",
            progress=lambda phase, done, total: None,
            watched=True,
            chunk=CHUNK,
            frames=FIRST_FRAMES + 2 * source.pages,  # generous: a machine that must grow starts again at position 0
        )
        self._plan = plan
        self.player: Player | None = None
        self._stopped_at = 0
        self._loaded = -1
        super().__init__(source, scheme, memory)

    def _start(self) -> None:
        if self.player is None:
            self.player = Player(self._plan, self.scheme)
        self.machine = None
        self.state, self._chunk = self.player.start()
        self.machine = self.player.machine
        self._loaded = -1

    @property
    def _windows(self) -> NDArray[np.int64]:
        return self.source.blocks.windows

    def _buffers(self) -> list[tuple[NDArray[np.uint8], tuple[int, int]]]:
        assert self.machine is not None and self.state is not None
        first = self.state.base + 8 * self.state.starts[_COLUMNS[0]]
        last = self.state.base + 8 * (self.state.starts[_COLUMNS[-1]] + self.state.lengths[_COLUMNS[-1]])
        return [(self.machine.vm.buffer, (first, last))]

    def _set_extra(self, extra: Any) -> None:
        self._loaded = -1  # the block of events in the machine's memory does not belong to the state

    def _load(self, step: int) -> int:
        """Load the block of a step into the machine's memory; return the block's first step."""
        number = step // CHUNK
        if number != self._loaded:
            self._chunk.load(self.source.blocks.block(number), number * CHUNK)
            self._loaded = number
        return number * CHUNK

    def _play(self, begin: int, end: int) -> int:
        assert self.player is not None and self.state is not None
        first = self._load(begin)
        end = min(end, first + CHUNK)
        self._stopped_at = 0
        try:
            self.player.play(self.state, begin - first, end - first)
        except TooSmall as small:
            self._stopped_at = first + int(self.state.all[cells.STEP])
            self.player.grow(small.why)
            self._restart()
            return 0
        finally:
            self._collect(first)
        return end

    def _restart(self) -> None:
        """Start again at position 0, on a larger machine."""
        self._wrongs.clear()
        self.position = 0
        self.machine, self.state, self.checkpoints = None, None, None  # release their memory before making new ones
        self._start()
        self._first_mark()

    def _failed_at(self) -> int:
        return self._stopped_at

    def _collect(self, first: int) -> None:
        """Take the list of wrong answers out of the machine; its steps count from `first`."""
        nr = int(self.state.all[cells.WRONGS]) if self.state is not None else 0
        if not nr or self.state is None:
            return
        table = self.state.table(cells.AT_WRONG)[:nr]
        kinds = (1 << cells.WRONG_SHIFT) - 1
        self._wrongs.append(np.stack([first + (table >> cells.WRONG_SHIFT), table & kinds], axis=1))
        table[:] = 0
        self.state.all[cells.WRONGS] = 0

    def interpreted(self, step: int) -> Callable[[], Any]:
        assert self.machine is not None and self.state is not None
        at = step - self._load(step)
        return self.machine.with_execution("interpreted").bind_function(
            replay_chunk, "mmiii", self.state.base, at, at + 1
        )

    def names(self) -> list[str]:
        if self.state is None:
            return [""] * len(self.source.mms)
        slots = self.state.table(cells.AT_SLOT).reshape(-1, cells.SLOT_CELLS)[: len(self.source.mms)]
        return [self.source.name(number) if users > 0 and number else "" for users, _, number in slots.tolist()]

    def _alive(self) -> int:
        assert self.state is not None
        return int(self.state.all[cells.LIVE])
