"""The lanes of scenarios and counterexamples: after each operation of the machine the owners are recounted."""

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
from foliolab.framework.engine.operation import Operation
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
from foliolab.framework.verify.playback import Playback, play

PATIENCE: Final = 20_000
"""Most accesses of a policy that answers while another thread is in the middle of an operation. It may wait for a lock
that is never released, because that thread does not run on."""


class OperationsLane(Lane):
    """A lane that derives its page operations from the page tables before and after a step.

    A page that was mapped elsewhere before counts as moved; a page of a new MM counts as copied by fork.
    """

    @abstractmethod
    def _do(self, step: int) -> None:
        """Do a step."""

    def _play(self, begin: int, end: int) -> int:
        assert self.machine is not None and self.state is not None
        before, alive = self._tables(), self._living()
        self._do(begin)
        self._count(before, alive, self._tables())
        self._recount(begin)
        return begin + 1

    def _recount(self, step: int) -> None:
        """Recount the owners after a step (-1: at the start)."""
        assert self.machine is not None and self.state is not None
        recount.recount_owners(self.machine, self.state, step)
        self._collect(step)

    def _collect(self, step: int) -> None:
        """Take the kinds of answers that a step made wrong out of the machine."""
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
        """The frame that each page of each MM is mapped to, -1 for none; shape (nr_mms, pages)."""
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
            old, new = before[mm][changed], after[mm][changed]
            old, new = old[old >= 0], new[new >= 0]
            moved = int(np.isin(new, old).sum()) if alive[mm] else 0
            tallies[cells.PAGES_MAPPED if alive[mm] else cells.PAGES_FORKED] += len(new) - moved
            tallies[cells.PAGES_UNMAPPED] += len(old) - moved
            tallies[cells.PAGES_MOVED] += moved

    def _alive(self) -> int:
        return int(self._living().sum())


# -- scenarios ----------------------------------------------------------------------------------------
class _ExploredModel(Model):
    """A scenario's model whose machine has memory for the account of owners.

    Attributes:
        sizes: the account's tables.
        account_start: where they begin in scratch memory.
    """

    def _shape(self) -> Shape:
        shape = super()._shape()
        self.account_start = shape.scratch
        self.sizes, shape = _with_account(shape)
        return shape


class ScenarioLane(OperationsLane):
    """One policy on a scenario (see `Lane`).

    Attributes:
        model: the scenario's run.
        record: what the last step did and answered; None at the start.
    """

    source: ScenarioSource

    def __init__(self, source: ScenarioSource, scheme: Scheme, memory: int, execution: Execution = "native") -> None:
        self._execution: Execution = execution
        self.record: Record | None = None
        super().__init__(source, scheme, memory)

    def _start(self) -> None:
        self.model = _ExploredModel(self.source.scenario, self.scheme, self._execution)
        self.machine = self.model.machine
        self.state = Cells(self.machine, self.model.sizes, self.model.account_start)
        self._recount(-1)

    def _do(self, step: int) -> None:
        assert self.machine is not None
        action = self.source.scenario.steps[step]
        before = self._before_write(step) if action.action in ("write", "pin") else []
        self.record = self.model.step(step, action)
        self._judge(before, self.record.outcomes)

    def interpreted(self, step: int) -> Callable[[], Any]:
        return partial(self._interpreted, step)

    def _interpreted(self, step: int) -> None:
        assert self.machine is not None
        model, native = self.model, self.machine
        model.machine = model.swap.machine = native.with_execution("interpreted")
        try:
            model.step(step, self.source.scenario.steps[step])
        finally:
            model.machine = model.swap.machine = native

    def _before_write(self, step: int) -> list[tuple[int, int, int, bool]]:
        """For each page of a write: (head, owners, the writer's mappings, whether there are other references)."""
        machine, state, action = self.machine, self.state, self.source.scenario.steps[step]
        assert machine is not None and state is not None and action.pages is not None
        mm = self.model.mms[action.process]
        pages = self.source.layout.range(action.pages)
        counts = state.table(cells.AT_COUNT).reshape(machine.shape.nr_mms, -1)
        folios = state.table(cells.AT_FOLIO).reshape(-1, cells.FOLIO_CELLS)
        found = []
        for vpn in range(pages.start, pages.stop):
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
        """Count wrong decisions. To copy the last mapping of a folio is right: the folio is then freed."""
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
        names = [""] * len(self.source.mms)
        for name, mm in self.model.mms.items() if self.machine is not None else ():
            names[mm] = name
        return names


# -- counterexamples ----------------------------------------------------------------------------------
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


class CounterexampleLane(OperationsLane):
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
        sizes, wide = _with_account(shape)
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


def _with_account(shape: Shape) -> tuple[Sizes, Shape]:
    """(tables of the account of owners, the shape with scratch memory for them behind its own)."""
    sizes = recount.sizes_for(shape.nr_pages, shape.nr_mms, shape.nr_vpns)
    return sizes, replace(shape, scratch=shape.scratch + sizes.scratch)


def _step_ends(playback: Playback, source: CounterexampleSource) -> list[int]:
    """Frames of the playback after each step; after a violation that ends it, there are no further frames."""
    if source.threaded:
        ends = [*playback.turns, len(playback.frames)]
    else:
        ends = [number + 1 for number, frame in enumerate(playback.frames) if not frame.op]
    last = len(playback.frames)
    ends = [*ends, *[last] * source.nr_steps][: source.nr_steps - 1]
    return [*ends, last]
