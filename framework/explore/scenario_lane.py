"""The lane of a scenario."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine.engine import Shape
from foliolab.framework.explore.operation_lane import OperationLane, with_account
from foliolab.framework.explore.source import ScenarioSource
from foliolab.framework.replay import cells
from foliolab.framework.replay.cells import Cells
from foliolab.framework.scenario.model import Model
from foliolab.framework.scenario.record import Record


class _ExploredModel(Model):
    """A scenario's model whose machine has memory for the account of owners.

    Attributes:
        sizes: the account's tables.
        account_start: where they begin in scratch memory.
    """

    def _shape(self) -> Shape:
        shape = super()._shape()
        self.account_start = shape.scratch
        self.sizes, shape = with_account(shape)
        return shape


class ScenarioLane(OperationLane):
    """One policy on a scenario (see `Lane`).

    Attributes:
        model: the scenario's run.
        record: what the last step did and answered; None at the start.
    """

    source: ScenarioSource

    def __init__(self, source: ScenarioSource, scheme: Scheme, memory: int) -> None:
        self.record: Record | None = None
        super().__init__(source, scheme, memory)

    def _start(self) -> None:
        self.model = _ExploredModel(self.source.scenario, self.scheme, "native")
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
        assert self.machine is not None
        model, native = self.model, self.machine

        def run() -> None:
            model.machine = model.swap.machine = native.with_execution("interpreted")
            try:
                model.step(step, self.source.scenario.steps[step])
            finally:
                model.machine = model.swap.machine = native

        return run

    def _before_write(self, step: int) -> list[tuple[int, int, int, bool]]:
        """For each page of a write: (head, owners, the writer's mappings, whether there are other references)."""
        machine, state, action = self.machine, self.state, self.source.scenario.steps[step]
        assert machine is not None and state is not None and action.pages is not None
        mm = self.model.mm(action.process)
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
