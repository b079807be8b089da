"""The walkthrough of a run: after each step every policy's answer about the folio that it changed, and the truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.policytree import policy_digest
from foliolab.framework.engine.truth import Truth, heads_of, scan
from foliolab.framework.explore.page_detail import FALSE_SHARED, UNSAFE, verdict_of
from foliolab.framework.report.diagram import Mark
from foliolab.framework.report.pages.page import Style
from foliolab.framework.report.walkthrough.drawing import MOST_PAGES, Drawing, Names, drawing, page_tables
from foliolab.framework.report.walkthrough.runs import Happened, Run
from foliolab.framework.report.walkthrough.sources import Sources
from foliolab.framework.report.walkthrough.walkthrough import Answer, Line, Source, Value, Walkthrough
from foliolab.framework.verify.field_names import value_text
from foliolab.framework.verify.timeline import values_of

MOST_STEPS: Final = 200
MOST_FOLIOS: Final = 2
"""Folios that are drawn for each policy at most: those with wrong answers, then those that change most."""
MOST_PROCESSES: Final = 8
"""Processes whose mappings are shown at most."""
MARKS: Final[dict[str, tuple[str, Style]]] = {FALSE_SHARED: ("▲ ", "doubtful"), UNSAFE: ("✗ ", "bad")}


@dataclass(frozen=True)
class _Folio:
    """A folio after a step, under one policy.

    Args:
        head: its first frame.
        owners: mappings by the name of the process, from the page tables.
        answer: what the policy says.
        verdict: how that compares with the truth; empty for a folio that was freed.
    """

    head: int
    owners: dict[str, int]
    answer: str
    verdict: str


@dataclass(frozen=True)
class _Moment:
    """A step, and for each policy the folio that it changed; None where it changed no large folio."""

    happened: Happened
    folios: tuple[_Folio | None, ...]


def walkthrough(run: Run, steps: range, command: str) -> Walkthrough:
    """The walkthrough of steps of a run.

    Args:
        steps: checked by `runs.check_steps`.
        command: that repeats it.

    Raises:
        FolioLabError: a policy fails.
    """
    seen = _Seen(run)
    moments = list(seen.moments(steps))
    processes = list(dict.fromkeys(name for moment in moments for one in moment.folios if one for name in one.owners))
    processes = processes[:MOST_PROCESSES]
    states = _States(run, seen, processes)
    lines = tuple(_lines(moments, processes, states, steps))
    sources = [source for scheme in run.schemes for source in _question(Sources(scheme))]
    policies = tuple(one.name for one in run.schemes)
    return Walkthrough(
        title=f"{run.title}, steps {steps.start} to {steps.stop - 1}, under {', '.join(policies)}",
        verdict=tuple(_verdict(run, moments)),
        notes=(),
        facts=(*((one.name, f"text {policy_digest(one)}") for one in run.schemes), *run.facts),
        command=command,
        heads=run.heads,
        truth=("pages of the changed folio that each process maps", tuple(processes)),
        policies=policies,
        lines=lines,
        drawings=states.drawings,
        sources=tuple(sources),
        start=states.start,
    )


def _question(sources: Sources) -> list[Source]:
    sources.question()
    return sources.found


def _verdict(run: Run, moments: list[_Moment]) -> Iterator[Answer]:
    for policy, scheme in enumerate(run.schemes):
        answers = [one for moment in moments if (one := moment.folios[policy]) is not None and one.verdict]
        wrong = Counter(one.verdict for one in answers)
        kinds = [kind for kind in (UNSAFE, FALSE_SHARED) if wrong[kind]]
        parts = [f"{kind} after {wrong[kind]} of {len(answers)} steps" for kind in kinds]
        sign, style = MARKS[UNSAFE] if wrong[UNSAFE] else MARKS[FALSE_SHARED] if parts else ("✓ ", "good")
        text = ", ".join(parts) or f"right after all {len(answers)} steps that change a large folio"
        yield f"{sign}{scheme.name}: {text}", f"strong {style}"  # type: ignore[misc]


def _lines(moments: list[_Moment], processes: list[str], states: _States, steps: range) -> Iterator[Line]:
    states.begin(steps)
    for number, moment in zip(steps, moments, strict=True):
        happened = moment.happened
        first = moment.folios[0]
        mappings = tuple(first.owners.get(name, 0) for name in processes) if first else ()
        answers = tuple(map(_answer, moment.folios, happened.outcomes))
        mark = Mark(happened.lane, "begin", happened.text, "", number, number, mappings, happened.location)
        minor = not any(moment.folios) and not any(happened.outcomes)
        yield Line(mark, states.after(number), answers=answers, minor=minor)


def _answer(folio: _Folio | None, outcome: str) -> Answer:
    if folio is None:
        return outcome, ""
    sign, style = MARKS.get(folio.verdict, ("", ""))
    said = f"{sign}{folio.verdict}" if sign else folio.answer
    return f"{outcome}; {said}" if outcome else said, style


# -- first pass: which folios change -----------------------------------------------------------------
class _Seen:
    """What steps change, found by comparing struct pages.

    Attributes:
        changes: for each policy how often each folio changed; a wrong answer counts more than all changes.
        sizes: for each policy the pages of each folio.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        nr = len(run.schemes)
        self.changes: list[Counter[int]] = [Counter() for _ in range(nr)]
        self.sizes: list[dict[int, int]] = [{} for _ in range(nr)]

    def moments(self, steps: range) -> Iterator[_Moment]:
        run = self.run
        run.start(steps.start)
        before = [_Pages(run.machine(policy)) for policy in range(len(run.schemes))]
        for number in steps:
            happened = run.step(number)
            folios = []
            for policy in range(len(run.schemes)):
                machine = run.machine(policy)
                now = _Pages(machine)
                folios.append(self._folio(policy, machine, before[policy], now))
                before[policy] = now
            yield _Moment(happened, tuple(folios))

    def _folio(self, policy: int, machine: Machine, before: _Pages, now: _Pages) -> _Folio | None:
        """The folio that a step changed: of several, one with a wrong answer, or else the first."""
        heads = now.changed_since(before)
        if not heads:
            return None
        truth, processes = scan(machine), self.run.processes(policy)
        found = [self._judged(machine, truth, processes, head) for head in heads]
        for one in found:
            self.sizes[policy][one.head] = max(now.nr_pages_of[one.head], before.nr_pages_of[one.head], 1)
            self.changes[policy][one.head] += 1_000_000 if one.verdict in MARKS else 1
        return next((one for one in found if one.verdict in MARKS), found[0])

    def _judged(self, machine: Machine, truth: Truth, processes: dict[int, str], head: int) -> _Folio:
        if truth.nr_pages_of[head] <= 1:
            return _Folio(head, {}, "freed", "")
        counts = truth.mappings[:, head].tolist()
        owners = {processes.get(mm, f"MM {mm}"): nr for mm, nr in enumerate(counts) if nr}
        if not owners:
            return _Folio(head, {}, "not mapped", "")
        shared = machine.maybe_shared(head)
        return _Folio(head, owners, "maybe shared" if shared else "exclusive", verdict_of(shared, len(owners)))


class _Pages:
    """The struct pages of a machine at a moment."""

    def __init__(self, machine: Machine) -> None:
        self.stride = machine.layouts["page"].size
        first = machine.map.pages
        size = self.stride * machine.shape.nr_pages
        self.bytes: NDArray[np.uint8] = machine.vm.buffer[first : first + size].copy()
        self.heads, self.nr_pages_of = heads_of(machine)

    def changed_since(self, before: _Pages) -> list[int]:
        """The heads of the large folios whose struct pages differ, or did before they were freed."""
        if self.bytes.size != before.bytes.size:  # a machine that had to grow started again
            return []
        different = (self.bytes != before.bytes).reshape(-1, self.stride).any(axis=1)
        found = set()
        for state in (self, before):
            heads = np.unique(state.heads[different])
            found |= set(heads[state.nr_pages_of[heads] > 1].tolist())
        return sorted(found)


# -- second pass: what is stored ---------------------------------------------------------------------
class _States:
    """What is stored after each step in the folios that are drawn.

    Attributes:
        drawings: of the folios, for each policy.
        start: what is stored before the first step.
    """

    def __init__(self, run: Run, seen: _Seen, processes: list[str]) -> None:
        self.run = run
        self.start: tuple[Value, ...] = ()
        self._processes = processes
        self._folios: list[list[tuple[int, int, Names]]] = []
        self._before: dict[str, str] = {}
        drawings: list[Drawing] = []
        for policy, scheme in enumerate(run.schemes):
            chosen = sorted(head for head, _ in seen.changes[policy].most_common(MOST_FOLIOS))
            self._folios.append([(head, seen.sizes[policy][head], _names(policy, head)) for head in chosen])
            for head, nr, names in self._folios[-1]:
                size = f"{nr} pages" + (f", the first {MOST_PAGES} are drawn" if nr > MOST_PAGES else "")
                drawings.append(drawing(f"{scheme.name} · folio {head} · {size}", scheme, names, nr, processes))
        self.drawings = tuple(drawings)
        self._keys = {key for one in drawings for key in one.keys}

    def begin(self, steps: range) -> None:
        """Go to the state before the first step."""
        self.run.start(steps.start)
        self._before = self._now()
        self.start = tuple(self._before.items())

    def after(self, number: int) -> tuple[Value, ...]:
        """Do a step; what differs from the state before it."""
        self.run.step(number)
        now, before = self._now(), self._before
        self._before = now
        gone = [(key, "") for key in before if key not in now]
        return (*((key, text) for key, text in now.items() if before.get(key) != text), *gone)

    def _now(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for policy, folios in enumerate(self._folios):
            machine = self.run.machine(policy)
            heads = [head for head, _, _ in folios]
            for name, value in (values_of(machine, only=heads) if heads else {}).items():
                if (key := f"{policy}:{name}") in self._keys:
                    found[key] = value_text(name, value.value, value.stored)
            mms = {mm: name for mm, name in self.run.processes(policy).items() if name in self._processes}
            for head, nr, names in folios:
                found |= page_tables(machine, head, nr, names, mms)
        return found


def _names(policy: int, head: int) -> Names:
    return Names(f"{policy}:", f"folio{head}", lambda number: f"frame{head + number}")
