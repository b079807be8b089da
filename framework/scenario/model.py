"""A scenario on the engine: each step is carried out as operations of a machine, and recorded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any, Final

import numpy as np

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine.check import asks_policy, wrong_reuse
from foliolab.framework.engine.engine import Execution, Shape
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.operation import Operation
from foliolab.framework.engine.structs import PG_head
from foliolab.framework.engine.truth import scan
from foliolab.framework.errors import UsageError
from foliolab.framework.machine.primitives import PAGE_SIZE
from foliolab.framework.scenario.habits import USUAL, Habits
from foliolab.framework.scenario.migration import Migration
from foliolab.framework.scenario.observe import WORDS, ModelView, view_of
from foliolab.framework.scenario.record import Record, Verdict, View
from foliolab.framework.scenario.situations import OPERATION_OF, met
from foliolab.framework.scenario.space import Layout
from foliolab.framework.scenario.swap import Swap, can_split
from foliolab.framework.scenario.syntax import INITIAL_BYTE, Pages, Region, Scenario, ScenarioStep

SPARE_FRAMES: Final = 1024
SPLITTING: Final = ("pageout", "free", "migrate")
"""Actions that may split a folio, for which the engine takes new frames and an MM of its own."""


def default_byte(number: int) -> int:
    """The byte that step `number` (from 0) writes if it names none."""
    return 2 + number % 250


def unfit(scenario: Scenario, scheme: Scheme) -> str:
    """Why a scenario is not for a policy; empty if it is."""
    if "pmd" not in scheme.capabilities and any(region.pmd for region in scenario.regions):
        return f"{scenario.name} maps folios by PMDs, which it does not claim"
    order = max((region.order for region in scenario.regions), default=0)
    if order > scheme.policy.max_order:
        return f"{scenario.name} has folios of order {order}, the policy is for orders up to {scheme.policy.max_order}"
    alive = most = 1 + any(step.action in SPLITTING for step in scenario.steps)
    for step in scenario.steps:
        ends = step.action == "exit" and scenario.process_of[step.process] == step.process
        alive += (step.action == "fork") - ends
        most = max(most, alive)
    if most > scheme.max_mm_id:
        return f"{scenario.name} has {most} MMs at a time, the policy tells {scheme.max_mm_id} apart"
    return ""


class Model:
    """A scenario's run on the engine.

    Args:
        execution: native, or interpreted.
        verdicts: after each step, compare the policy's answer about every large folio with the truth, and judge every
            page that a write reused.
        situations: before each step, look which situations it is about to meet.
        habits: of the kernel that is modelled.

    Raises:
        UsageError: the scenario has no region, or the scheme does not support folios of that size.
    """

    def __init__(
        self,
        scenario: Scenario,
        scheme: Scheme,
        execution: Execution = "native",
        verdicts: bool = False,
        situations: bool = False,
        habits: Habits = USUAL,
    ) -> None:
        if not scenario.regions:
            raise UsageError(
                f"{scenario.source or scenario.name}: the scenario has no region", "add one: region heap: 1 x 64K"
            )
        self.scenario = scenario
        self.layout = Layout(scenario.regions)
        self.verdicts = verdicts
        self.situations = situations
        self.contents = any(step.action in ("read", "peek") for step in scenario.steps)
        self.machine = Machine(scheme, self._shape(), execution)
        self.swap = Swap(self.machine, self.machine.shape.nr_mms - 1, self._do, habits.swap_bypass)
        self.migration = Migration(self.swap, self._do, habits.requeues)
        self.mms = {scenario.first: 0}
        """The MM of each living process."""
        self.threads: Counter[str] = Counter()
        """Living threads of each process besides the one that it begins with."""
        self.operations: list[Operation] = []
        """The operations of the latest step; before the first, those that populate the regions."""
        self.held: dict[str, tuple[str, str, int]] = {}
        """Pins and pipes: name -> (process, action, frame)."""
        self.labels: dict[int, str] = {}
        """Names of large folios, by their first frame."""
        self.wrong: list[str] = []
        """The pages that the present step reused and may not have, with the reason."""
        self.split: set[int] = set()
        """First frames of the large folios that MADV_COLD has split."""
        self._planning = False
        """Whether operations are collected only, for steps that run at once."""
        self._taken: set[int] = set()
        """MMs that no child may be: they exist when the steps that run at once begin."""
        self._do("create", mm=0)
        for region in scenario.regions:
            self._populate(region)

    def _shape(self) -> Shape:
        forks = sum(step.action == "fork" for step in self.scenario.steps)
        touched = sum(step.pages.nr for step in self.scenario.steps if step.action in ("write", "pin") and step.pages)
        populated = sum(region.populated for region in self.scenario.regions)
        # a fork copies pages that may be pinned, at most all of them
        copied = forks * populated if any(step.action == "pin" for step in self.scenario.steps) else 0
        swapped = sum(step.pages.nr for step in self.scenario.steps if step.action in SPLITTING and step.pages)
        swapped = populated + swapped if swapped else 0  # a folio that is split keeps its other pages
        frames = populated + touched + copied + swapped + SPARE_FRAMES
        return Shape(
            nr_pages=-(-frames // 512) * 512,
            nr_mms=1 + forks + bool(swapped),
            nr_vpns=self.layout.nr_pages,
            nr_cpus=max(len(self.scenario.threads), 1),
            max_order=max((r.order for r in self.scenario.regions), default=0),
            contents=self.contents,
            scratch=8 * WORDS * self.layout.nr_pages,
        )

    def _populate(self, region: Region) -> None:
        if not region.populated:
            return
        start = self.layout.start[region.name]
        self._do("populate", mm=0, start=start, nr=region.populated, order=region.order, pmd=region.pmd)
        self._do("write", mm=0, start=start, nr=region.populated, value=INITIAL_BYTE)
        if region.order:
            for first in range(0, region.populated, 1 << region.order):
                pages = Pages(region.name, first, first + (1 << region.order) - 1)
                self.labels[self.machine.frame(0, start + first)] = str(pages)

    def _do(self, name: str, **arguments: int) -> Any:
        operation = Operation.of(name, **arguments)
        self.operations.append(operation)
        return None if self._planning else self.machine.apply(operation)

    def run(self) -> Iterator[Record]:
        for number, step in enumerate(self.scenario.steps):
            yield self.step(number, step)

    def step(self, number: int, step: ScenarioStep) -> Record:
        """Carry out a step.

        Raises:
            UsageError: it runs at once with others.
            ModelError: the modelled kernel refuses it.
        """
        if number in self.scenario.at_once:
            raise UsageError(
                f"{self.scenario.source or self.scenario.name} has steps at once, which are in no order",
                "`foliolab run` runs every interleaving of them",
            )
        self.operations = []
        record = Record(step, self.operations)
        if self.situations:
            record.situations = tuple(sorted(self._situations(step)))
        self._carry_out(number, record)
        self.look([record])
        return record

    def _carry_out(self, number: int, record: Record) -> None:
        step = record.step
        getattr(self, f"_{step.action}")(record, step, default_byte(number) if step.value is None else step.value)

    def look(self, records: Sequence[Record]) -> None:
        """Complete the records of steps that are over; only the last one gets verdicts."""
        views: dict[str, View] = {name: self.view(mm) for name, mm in self.mms.items()}
        for record in records:
            record.views, record.population = views, self.population()
            record.statistics = {name: self.machine.statistic(name) for name in self.scenario.statistics}
        if self.verdicts:
            records[-1].verdicts = tuple(self._verdicts())

    def plan(self) -> list[Record]:
        """The steps that run at once, as records whose operations have not run; the machine stays as it is.

        They are what each process does whatever the others do, and never allocate an MM ID that another one frees.
        """
        self._planning, self._taken = True, set(self.mms.values())
        records = []
        for number in self.scenario.at_once:
            self.operations = []
            records.append(Record(self.scenario.steps[number], self.operations))
            self._carry_out(number, records[-1])
        self._planning, self._taken = False, set()
        ids = self._free_ids()
        for record in records:
            record.operations[:] = [known for one in record.operations for known in self._planned(one, ids, records)]
        return records

    def _free_ids(self) -> Iterator[int]:
        used = {self.machine.mm_id(mm) for mm in range(self.machine.shape.nr_mms)}
        return (number for number in count(1) if number not in used)

    def _planned(self, operation: Operation, ids: Iterator[int], records: Sequence[Record]) -> Iterator[Operation]:
        """The operations of a step that runs at once: with MM IDs, and an exit in two steps.

        Args:
            records: of all steps that run at once; a migration looks for its entries in a child that they fork, too.
        """
        given = dict(operation.arguments)
        if operation.name in ("create", "fork"):
            yield Operation.of(operation.name, **given, mm_id=next(ids))
        elif operation.name == "migrate":
            every = (one for record in records for one in record.operations if operation not in record.operations)
            child = next((one.get("child") for one in every if one.get("parent", -1) == given["mm"]), -1)
            yield Operation.of("migrate", **given, child=child)
        elif operation.name == "exit":
            yield Operation.of("unmap", **given, start=0, nr=self.layout.nr_pages)
            yield operation
        else:
            yield operation

    def _situations(self, step: ScenarioStep) -> set[int]:
        """What the operation of a step is about to meet, as indices of `situations.NAMES`."""
        found: set[int] = set()
        for operation, where in self._operands(step):
            if where.start < where.stop:
                process = self.scenario.process_of[step.process]
                nr, threads = where.stop - where.start, 1 + self.threads[process]
                found |= {*met(self.machine, operation, self.mms[process], where.start, nr, threads)}
        return found

    def _operands(self, step: ScenarioStep) -> Iterator[tuple[str, slice]]:
        """The operations on several PTEs that a step consists of, and their pages."""
        operation = OPERATION_OF.get(step.action)
        where = self.layout.range(step.pages) if step.pages else slice(0, self.layout.nr_pages)
        if operation == "fork" and step.pages:
            yield operation, slice(0, where.start)
            yield operation, slice(where.stop, self.layout.nr_pages)
        elif operation:
            yield operation, where
        if step.to:
            yield "zap", self.layout.range(step.to)

    # -- actions
    def mm(self, name: str) -> int:
        """The MM of a process or a thread."""
        return self.mms[self.scenario.process_of[name]]

    def _at(self, step: ScenarioStep) -> tuple[int, int, int]:
        """(MM, first page, pages) of a step."""
        assert step.pages is not None
        where = self.layout.range(step.pages)
        return self.mm(step.process), where.start, where.stop - where.start

    def _fork(self, record: Record, step: ScenarioStep, value: int) -> None:
        child = min(set(range(self.machine.shape.nr_mms)) - set(self.mms.values()) - self._taken)
        parent = self.mm(step.process)
        end = self.layout.nr_pages
        if self._planning and step.pages is None:  # under the locks of the parent's threads, fork is one operation
            self._do("fork", parent=parent, child=child, start=0, nr=end)
        else:
            hole = slice(end, end) if step.pages is None else self.layout.range(step.pages)
            self._do("create", mm=child)
            for start, stop in ((0, hole.start), (hole.stop, end)):
                if start < stop:
                    self._do("copy_range", parent=parent, child=child, start=start, nr=stop - start)
        self.mms[step.name] = child

    def _thread(self, record: Record, step: ScenarioStep, value: int) -> None:
        """A thread has its process's MM."""
        self.threads[self.scenario.process_of[step.process]] += 1

    def _exec(self, record: Record, step: ScenarioStep, value: int) -> None:
        mm = self.mms[step.process]
        self._exit(record, step, value)
        self._do("create", mm=mm)
        self.mms[step.process] = mm

    def _exit(self, record: Record, step: ScenarioStep, value: int) -> None:
        if (whose := self.scenario.process_of[step.process]) != step.process:
            self.threads[whose] -= 1
            return
        del self.threads[step.process]
        for name, (process, _, _) in list(self.held.items()):
            if process == step.process:
                self._let_go(name)
        self._do("exit", mm=self.mms.pop(step.process))

    def _write(self, record: Record, step: ScenarioStep, value: int) -> None:
        self._fault(record, step, value, 1)

    def _fault(self, record: Record, step: ScenarioStep, value: int, nbytes: int) -> None:
        mm, start, nr = self._at(step)
        view = self.view(mm, start, nr)
        record.outcomes = tuple(self._store(mm, vpn, value, nbytes) for vpn in range(start, start + nr))
        record.large = tuple(bool(size > 1) for size in view.sizes)
        record.wrong, self.wrong = tuple(self.wrong), []

    def _store(self, mm: int, vpn: int, value: int, nbytes: int) -> str:
        """The outcome of a write. A page that comes back from swap has a new frame, so it counts as a new page."""
        swapped_in = self.swap.bring_back(mm, vpn)
        frame = self.machine.frame(mm, vpn)
        asks = self.verdicts and frame >= 0 and asks_policy(self.machine, scan(self.machine), frame)
        outcome: str = self._do("write", mm=mm, start=vpn, nr=1, value=value, nbytes=nbytes)
        if asks and outcome == "reused" and (why := wrong_reuse(self.machine, scan(self.machine), frame)):
            self.wrong.append(f"page {vpn}, {why}")
        return "new page" if swapped_in else outcome

    def _read(self, record: Record, step: ScenarioStep, value: int) -> None:
        mm, start, nr = self._at(step)
        bytes_read: dict[int, None] = {}
        for vpn in range(start, start + nr):
            self.swap.bring_back(mm, vpn)
            bytes_read[self._byte(self.machine.frame(mm, vpn))] = None
        record.answer = ", ".join(map(str, bytes_read))

    def _byte(self, frame: int) -> int:
        return int(self.machine.contents.buffer[frame * PAGE_SIZE]) if frame >= 0 else 0

    def _munmap(self, record: Record, step: ScenarioStep, value: int) -> None:
        mm, start, nr = self._at(step)
        self._do("unmap", mm=mm, start=start, nr=nr)

    _dontneed = _munmap

    def _free(self, record: Record, step: ScenarioStep, value: int) -> None:
        self.swap.free(*self._at(step))

    def _mremap(self, record: Record, step: ScenarioStep, value: int) -> None:
        mm, start, nr = self._at(step)
        assert step.to is not None
        to = self.layout.range(step.to).start
        self._do("unmap", mm=mm, start=to, nr=nr)
        self._do("mremap", mm=mm, start=start, to=to, nr=nr)

    def _mprotect(self, record: Record, step: ScenarioStep, value: int) -> None:
        mm, start, nr = self._at(step)
        self._do("protect", mm=mm, start=start, nr=nr)

    def _pin(self, record: Record, step: ScenarioStep, value: int) -> None:
        mm, start, _ = self._at(step)
        if self._planning:
            record.outcomes, record.large = ("",), (bool(self.view(mm, start, 1).sizes[0] > 1),)
            self._do("gup_fast", mm=mm, vpn=start)
            self._hold(step, self.machine.frame(mm, start))
            return
        self._fault(record, step, value, 0)
        self._hold(step, self._do("pin", mm=mm, vpn=start))

    def _hold(self, step: ScenarioStep, frame: int) -> None:
        self.held[step.name] = self.scenario.process_of[step.process], step.action, frame

    def pinned(self, step: ScenarioStep, frame: int) -> str:
        """Note the frame that a pin has found which ran at once with others.

        Returns:
            The outcome: copied, if the page had another frame before; else unchanged.
        """
        before = self.held[step.name][2]
        self._hold(step, frame)
        return "unchanged" if frame == before else "copied"

    def _vmsplice(self, record: Record, step: ScenarioStep, value: int) -> None:
        mm, start, _ = self._at(step)
        self.swap.bring_back(mm, start)
        frame = self.machine.frame(mm, start)
        self._do("get_user", pfn=frame)
        self._hold(step, frame)

    def _unpin(self, record: Record, step: ScenarioStep, value: int) -> None:
        self._let_go(step.name)

    _close = _unpin

    def _let_go(self, name: str) -> None:
        _, action, frame = self.held.pop(name)
        self._do("unpin" if action == "pin" else "put_user", pfn=frame)

    def _peek(self, record: Record, step: ScenarioStep, value: int) -> None:
        record.answer = str(self._byte(self.held[step.name][2]))

    def _cold(self, record: Record, step: ScenarioStep, value: int) -> None:
        """As `madvise_cold_or_pageout_pte_range`: a folio that is covered in part is split, if that is possible."""
        mm, start, nr = self._at(step)
        here = self.view(mm, start, nr)
        before = len(self.split)
        for head in set(here.heads[here.sizes > 1]):
            covered = int((here.heads == head).sum())
            if covered < here.sizes[here.heads == head][0] and can_split(self.machine, int(head)):
                self.split.add(int(head))
        record.answer = "split" if len(self.split) > before else "kept"

    def _pageout(self, record: Record, step: ScenarioStep, value: int) -> None:
        record.answer = "out" if self.swap.page_out(*self._at(step)) else "kept"

    def _migrate(self, record: Record, step: ScenarioStep, value: int) -> None:
        if self._planning:
            self.migration.begin(*self._at(step))
        else:
            record.answer = "moved" if self.migration.move(*self._at(step)) else "kept"

    # -- views
    def view(self, mm: int, start: int = 0, nr: int | None = None) -> ModelView:
        nr = self.layout.nr_pages - start if nr is None else nr
        return view_of(self.machine, mm, start, nr)

    def population(self) -> int:
        """Large folios in use, without those that MADV_COLD has split: the engine keeps them whole."""
        heads = np.flatnonzero((self.machine.column("page", "flags") >> np.uint64(PG_head)) & np.uint64(1))
        return len({*heads.tolist()} - self.split)

    def _verdicts(self) -> Iterator[Verdict]:
        truth = scan(self.machine)
        for head, label in sorted(self.labels.items()):
            if truth.nr_pages_of[head] < 2 or not truth.owners[head]:
                del self.labels[head]  # it is free, and its frames may be used by other folios
                continue
            owners, mapcount = int(truth.owners[head]), self.machine.mapcount(head)
            yield Verdict(label, owners, mapcount, self.machine.maybe_shared(head), head)
