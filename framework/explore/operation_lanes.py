"""Lanes of scenarios and counterexamples: operations of a machine, the account made anew after each."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine.engine import Execution, Shape
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.pagetable import PTRS_PER_PTE
from foliolab.framework.errors import FolioLabError, NativeBuildError, UsageError
from foliolab.framework.explore import recount
from foliolab.framework.explore.lane import Lane
from foliolab.framework.explore.source import CounterexampleSource, ScenarioSource
from foliolab.framework.machine.ref import Ref
from foliolab.framework.replay import cells
from foliolab.framework.replay.cells import Cells, Sizes
from foliolab.framework.scenario.model import Model
from foliolab.framework.scenario.record import Record
from foliolab.framework.verify.operation import Operation, apply
from foliolab.framework.verify.playback import Playback, play

PATIENCE: Final = 20_000
"""Accesses that a policy may do to answer in the middle of somebody's operation: it may wait for what never comes."""


class OperationsLane(Lane):
    """What lanes of operations have in common: page operations are what page tables show after a step.

    A page that was mapped elsewhere before counts as moved, one that a new MM has as copied by fork.
    """

    def _account(self, shape: Shape, start: int = 0) -> tuple[Sizes, Shape]:
        """(tables, the shape with room for them behind `start` bytes of scratch memory)."""
        sizes = recount.sizes_for(shape.nr_pages, shape.nr_mms, shape.nr_vpns)
        return sizes, replace(shape, scratch=start + sizes.scratch)

    @abstractmethod
    def _do(self, step: int) -> None:
        """Carry out a step."""

    def _play(self, begin: int, end: int) -> int:
        assert self.machine is not None and self.state is not None
        before, alive = self._tables(), self._living()
        self._do(begin)
        self._count(before, alive, self._tables())
        self._bring_up(begin)
        return begin + 1

    def _bring_up(self, step: int) -> None:
        assert self.machine is not None and self.state is not None
        recount.bring_up(self.machine, self.state, step)
        self._collect(step)

    def _collect(self, step: int) -> None:
        assert self.state is not None
        if self.state.all[cells.WRONGS]:
            kinds = int(self.state.table(cells.AT_WRONG)[0]) & ((1 << cells.WRONG_SHIFT) - 1)
            self.state.table(cells.AT_WRONG)[:] = 0
            self.state.all[cells.WRONGS] = 0
            if step >= 0:
                self._wrongs.append(np.array([[step, kinds]], np.int64))

    def _living(self) -> NDArray[np.bool_]:
        assert self.machine is not None
        return np.array([self.machine.is_alive(mm) for mm in range(self.machine.shape.nr_mms)])

    def _tables(self) -> NDArray[np.int64]:
        """The frame of each page of each MM, -1 without one, shape (nr_mms, pages)."""
        machine = self.machine
        assert machine is not None
        found = np.full((machine.shape.nr_mms, -(-machine.shape.nr_vpns // PTRS_PER_PTE) * PTRS_PER_PTE), -1, np.int64)
        for mm, row in enumerate(found):
            table, huge = machine.ptes(mm).astype(np.int64), machine.pmds(mm).astype(np.int64)
            row[: table.size] = np.where(table & 1, table >> 12, -1)
            for at in np.flatnonzero(huge).tolist():
                first = int(huge[at]) >> 12
                row[at * PTRS_PER_PTE : (at + 1) * PTRS_PER_PTE] = np.arange(first, first + PTRS_PER_PTE)
        return found

    def _count(self, before: NDArray[np.int64], alive: NDArray[np.bool_], after: NDArray[np.int64]) -> None:
        """Add the page operations of a step to the tallies."""
        assert self.state is not None
        tallies = self.state.table(cells.AT_TALLY)
        for mm in np.flatnonzero((before != after).any(axis=1)).tolist():
            changed = before[mm] != after[mm]
            gone, come = before[mm][changed], after[mm][changed]
            gone, come = gone[gone >= 0], come[come >= 0]
            moved = int(np.isin(come, gone).sum()) if alive[mm] else 0
            born = cells.PAGES_MAPPED if alive[mm] else cells.PAGES_FORKED
            tallies[born] += len(come) - moved
            tallies[cells.PAGES_UNMAPPED] += len(gone) - moved
            tallies[cells.PAGES_MOVED] += moved

    def _alive(self) -> int:
        return int(self._living().sum())


# -- scenarios ----------------------------------------------------------------------------------------
class _Explored(Model):
    """A scenario's run whose machine has room for the account."""

    def _shape(self) -> Shape:
        shape = super()._shape()
        sizes = recount.sizes_for(shape.nr_pages, shape.nr_mms, shape.nr_vpns)
        self.looked = shape.scratch
        self.sizes = sizes
        return replace(shape, scratch=shape.scratch + sizes.scratch)


class ScenarioLane(OperationsLane):
    """One policy on a scenario (see `Lane`)."""

    source: ScenarioSource

    def __init__(self, source: ScenarioSource, scheme: Scheme, memory: int, execution: Execution = "native") -> None:
        self._execution: Execution = execution
        self.record: Record | None = None
        """What the latest step did and answered."""
        super().__init__(source, scheme, memory)

    def _start(self) -> None:
        self.model = _Explored(self.source.scenario, self.scheme, self._execution)
        self.machine = self.model.machine
        self.state = Cells(self.machine, self.model.sizes, self.model.looked)
        self._bring_up(-1)

    def _do(self, step: int) -> None:
        assert self.machine is not None
        model, one = self.model, self.source.scenario.steps[step]
        before = self._decidable(step) if one.action in ("write", "pin") else []
        self.record = model.step(step, one)
        self._judge(before, self.record.outcomes)

    def interpreted(self, step: int) -> Callable[[], Any]:
        """See `Lane.interpreted`."""
        return partial(self._interpreted, step)

    def _interpreted(self, step: int) -> None:
        assert self.machine is not None
        model, native = self.model, self.machine
        model.machine = model.swap.machine = native.with_execution("interpreted")
        try:
            model.step(step, self.source.scenario.steps[step])
        finally:
            model.machine = model.swap.machine = native

    def _decidable(self, step: int) -> list[tuple[int, int, int, bool]]:
        """(head, owners, its own mappings, whether others refer to the folio) for each page of a write."""
        machine, state, one = self.machine, self.state, self.source.scenario.steps[step]
        assert machine is not None and state is not None and one.pages is not None
        mm = self.model.mms[one.process]
        where = self.source.layout.range(one.pages)
        counts = state.table(cells.AT_COUNT).reshape(machine.shape.nr_mms, -1)
        folios = state.table(cells.AT_FOLIO).reshape(-1, cells.FOLIO_CELLS)
        found = []
        for vpn in range(where.start, where.stop):
            frame = machine.frame(mm, vpn)
            head = int(state.table(cells.AT_LARGE)[frame >> 2]) - 1 if frame >= 0 else -1
            if head < 0:
                found.append((-1, 0, 0, False))
                continue
            references = int(machine.folio(head)._refcount.peek())
            owners, mappings = int(folios[head >> 2, 1]), int(folios[head >> 2, 4])
            found.append((head, owners, int(counts[mm, head >> 2]), references > mappings))
        return found

    def _judge(self, before: list[tuple[int, int, int, bool]], outcomes: tuple[str, ...]) -> None:
        """Count wrong decisions; a folio whose last mapping is copied is given back, which is right."""
        assert self.state is not None
        tallies = self.state.table(cells.AT_TALLY)
        copied: dict[int, int] = {}
        for (head, owners, mappings, referred), outcome in zip(before, outcomes, strict=False):
            if head < 0:
                continue
            if outcome == "copied":
                left = mappings - copied.get(head, 0)
                tallies[cells.SOLE_COPIES] += owners == 1 and left > 1 and not referred
                copied[head] = copied.get(head, 0) + 1
            elif outcome == "reused":
                tallies[cells.WRONG_REUSES] += owners > 1

    def _extra(self) -> Any:
        model = self.model
        return deepcopy((model.mms, model.held, model.labels, model.split, model.swap.cached)), self.record

    def _set_extra(self, extra: Any) -> None:
        (mms, held, labels, split, cached), self.record = extra
        model = self.model
        model.mms, model.held, model.labels, model.split, model.swap.cached = deepcopy(
            (mms, held, labels, split, cached)
        )

    def names(self) -> list[str]:
        """See `Lane.names`."""
        names = [""] * len(self.source.mms)
        for name, mm in self.model.mms.items() if self.machine is not None else ():
            names[mm] = name
        return names


# -- counterexamples ----------------------------------------------------------------------------------
class _Impatient:
    """Ends an answer that takes too many accesses to struct pages in a row."""

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


class CounterexampleLane(OperationsLane):
    """One policy on a counterexample (see `Lane`); what the playback did is shown again.

    Attributes:
        playback: the course, access by access; None if the policy could not be run.
    """

    source: CounterexampleSource

    def __init__(self, source: CounterexampleSource, scheme: Scheme, memory: int) -> None:
        self.playback: Playback | None = None
        self._ends: list[int] = []
        self._shown = 0
        self._silent = False
        super().__init__(source, scheme, memory)

    @property
    def frames(self) -> tuple[int, int]:
        """The playback's frames begin…end-1 of the step that was done last."""
        ends = [0, *self._ends]
        return (ends[max(self.position - 1, 0)], ends[self.position]) if self._ends else (0, 0)

    def _rehearse(self) -> None:
        pass  # that it is wrong is why it is looked at; the interpreted engine plays it

    def _start(self) -> None:
        example = self.source.counterexample
        if self.playback is None:
            self.playback = play(example, self.scheme)
            self._ends = _step_ends(self.playback, self.source)
        given: Any = example.shape
        shape = Shape(**given)
        sizes, wide = self._account(shape, shape.scratch)
        # natively, who waits for a lock of an operation that goes no further would wait for ever
        execution: Execution = "interpreted" if self.source.threaded else "native"
        try:
            self.machine = Machine(self.scheme, wide, execution)
        except NativeBuildError:
            self.machine = Machine(self.scheme, wide, "interpreted")
        self.state = Cells(self.machine, sizes, shape.scratch)
        self._first = self.machine.vm.buffer[: self.machine.map.zone].copy()
        self._shown = 0
        self._bring_up(-1)

    def struct_pages_at(self, frame: int, head: int, nr: int) -> NDArray[np.uint8]:
        """The struct pages of frames head…head+nr-1 as they were after a frame of the playback."""
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
        """See `Lane.interpreted`; of threads only the set-up is operations."""
        assert self.machine is not None
        operation = self.source.steps[step]
        if not isinstance(operation, Operation):
            raise UsageError(f"step {step} of {self.source.title} is no operation", "look at the playback's frames")
        return partial(apply, self.machine.with_execution("interpreted"), operation)

    def _bring_up(self, step: int) -> None:
        assert self.machine is not None and self.state is not None
        machine = self.machine
        if not self.source.threaded:
            super()._bring_up(step)
            return
        kept = self.state.all.copy()
        machine.vm.observer = _Impatient(machine.map.zone)
        try:
            recount.bring_up(machine, self.state, step)
        except (FolioLabError, _NoAnswer):
            self.state.all[:] = kept  # the policy cannot answer here: its last answers stand
        finally:
            machine.vm.observer = None
        self._collect(step)

    def _extra(self) -> Any:
        return self._shown

    def _set_extra(self, extra: Any) -> None:
        self._shown = extra

    def names(self) -> list[str]:
        """See `Lane.names`."""
        if self.machine is None:
            return [""] * len(self.source.mms)
        return [name if alive else "" for name, alive in zip(self.source.mms, self._living().tolist(), strict=True)]


def _step_ends(playback: Playback, source: CounterexampleSource) -> list[int]:
    """How many frames there were after each step; what breaks early has no more."""
    if source.threaded:
        ends = [*playback.turns, len(playback.frames)]
    else:
        ends = [number + 1 for number, frame in enumerate(playback.frames) if not frame.op]
    last = len(playback.frames)
    ends = [*ends, *[last] * source.nr_steps][: source.nr_steps - 1]
    return [*ends, last]


def violations_of(lane: Lane) -> list[str]:
    """What a counterexample's lane broke, a sentence each."""
    if isinstance(lane, CounterexampleLane) and lane.playback is not None:
        return [str(violation) for violation in lane.playback.violations]
    return []
