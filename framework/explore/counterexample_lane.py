"""The lane of a counterexample."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine.engine import Execution, Shape
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.operation import Operation
from foliolab.framework.errors import FolioLabError, NativeBuildError, UsageError
from foliolab.framework.explore import recount
from foliolab.framework.explore.operation_lane import OperationLane, with_account
from foliolab.framework.explore.source import CounterexampleSource
from foliolab.framework.machine.ref import Ref
from foliolab.framework.replay.cells import Cells
from foliolab.framework.verify.playback import Playback, play

PATIENCE: Final = 20_000
"""Most accesses of a policy that answers while another thread is in the middle of an operation. It may wait for a lock
that is never released, because that thread does not run on."""


class _AccessLimit:
    """An observer that ends an answer after PATIENCE consecutive accesses to struct pages."""

    def __init__(self, end: int) -> None:
        self.end = end
        self.left = PATIENCE

    def access(self, op: str, ref: Ref, old: int, new: int) -> None:
        """See `machine.memory.Observer`."""
        self.left = self.left - 1 if ref.off < self.end else PATIENCE
        if self.left < 0:
            raise _NoAnswer


class _NoAnswer(Exception):
    pass


class CounterexampleLane(OperationLane):
    """One policy on a counterexample (see `Lane`).

    The counterexample is played once, on the interpreted engine, and its changes of memory are kept. Steps of the lane
    only apply these changes to a machine of their own: a native machine could not stop threads in the middle of an
    operation.

    Attributes:
        playback: the timeline, access by access; None if the policy could not be run.
    """

    source: CounterexampleSource

    def __init__(self, source: CounterexampleSource, scheme: Scheme, memory: int) -> None:
        self.playback: Playback | None = None
        self._ends: list[int] = []  # frames of the playback after each step
        self._shown = 0  # frames whose changes are in the machine's memory
        super().__init__(source, scheme, memory)

    @property
    def frames(self) -> tuple[int, int]:
        """The last step's frames begin…end-1 in the playback."""
        ends = [0, *self._ends]
        return (ends[max(self.position - 1, 0)], ends[self.position]) if self._ends else (0, 0)

    def _dry_run(self) -> None:
        pass  # the policy may be wrong: that is why it is explored, and only the interpreted engine runs it

    def _start(self) -> None:
        example = self.source.counterexample
        if self.playback is None:
            self.playback = play(example, self.scheme)
            self._ends = _step_ends(self.playback, self.source)
        given: Any = example.shape
        shape = Shape(**given)
        sizes, wide = with_account(shape)
        # native code that waits for the lock of an unfinished operation would never return
        execution: Execution = "interpreted" if self.source.threaded else "native"
        try:
            self.machine = Machine(self.scheme, wide, execution)
        except NativeBuildError:
            self.machine = Machine(self.scheme, wide, "interpreted")
        self.state = Cells(self.machine, sizes, shape.scratch)
        self._first = self.machine.vm.buffer[: self.machine.map.zone].copy()
        self._shown = 0
        self._recount(-1)

    def struct_pages_at(self, frame: int, head: int, nr: int) -> NDArray[np.uint8]:
        """The struct pages of frames head…head+nr-1 after a frame of the playback."""
        assert self.machine is not None and self.playback is not None
        first = self.machine.map.pages + head * self.stride
        raw = self._first[first : first + nr * self.stride].copy()
        for changed in self.playback.states[: frame + 1]:
            for offset, data in changed:
                if first <= offset < first + raw.size:
                    raw[offset - first : offset - first + len(data)] = np.frombuffer(data, np.uint8)
        return raw

    def _compiled(self, function: Any, kinds: str) -> Any:
        return super()._compiled(function, kinds) if not self.source.threaded else function

    def _do(self, step: int) -> None:
        assert self.machine is not None and self.playback is not None
        buffer = self.machine.vm.buffer
        for changed in self.playback.states[self._shown : self._ends[step]]:
            for offset, data in changed:
                buffer[offset : offset + len(data)] = np.frombuffer(data, np.uint8)
        self._shown = self._ends[step]

    def interpreted(self, step: int) -> Callable[[], Any]:
        """See `Lane.interpreted`; with threads, only the steps of the set-up are operations.

        Raises:
            UsageError: the step is a thread's turn.
        """
        assert self.machine is not None
        operation = self.source.steps[step]
        if not isinstance(operation, Operation):
            raise UsageError(f"step {step} of {self.source.title} is not an operation", "use the playback's frames")
        return partial(self.machine.with_execution("interpreted").apply, operation)

    def _recount(self, step: int) -> None:
        assert self.machine is not None and self.state is not None
        machine = self.machine
        if not self.source.threaded:
            super()._recount(step)
            return
        kept = self.state.all.copy()
        machine.vm.observer = _AccessLimit(machine.map.zone)
        try:
            recount.recount_owners(machine, self.state, step)
        except (FolioLabError, _NoAnswer):
            self.state.all[:] = kept  # the policy cannot answer in this state: keep its previous answers
        finally:
            machine.vm.observer = None
        self._collect(step)

    def _extra(self) -> Any:
        return self._shown

    def _set_extra(self, extra: Any) -> None:
        self._shown = extra

    def names(self) -> list[str]:
        if self.machine is None:
            return [""] * len(self.source.mms)
        return [name if alive else "" for name, alive in zip(self.source.mms, self._living().tolist(), strict=True)]


def _step_ends(playback: Playback, source: CounterexampleSource) -> list[int]:
    """Frames of the playback after each step; after a violation that ends it, there are no further frames."""
    if source.threaded:
        ends = [*playback.turns, len(playback.frames)]
    else:
        ends = [number + 1 for number, frame in enumerate(playback.frames) if not frame.op]
    last = len(playback.frames)
    ends = [*ends, *[last] * source.nr_steps][: source.nr_steps - 1]
    return [*ends, last]
