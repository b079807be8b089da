"""What is played: steps that every policy sees alike, each told in one sentence."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from foliolab.framework.contract.sharing_pattern import SharingPattern, Usage
from foliolab.framework.engine.operation import OPERATIONS, Operation, folio_size_text
from foliolab.framework.engine.operation import pages_text as span_text
from foliolab.framework.engine.pagetable import PTRS_PER_PTE
from foliolab.framework.errors import UsageError
from foliolab.framework.explore.events import EventBlocks
from foliolab.framework.precision.stream import played
from foliolab.framework.replay.survey import Progress, Survey
from foliolab.framework.scenario import parser
from foliolab.framework.scenario.space import Layout
from foliolab.framework.scenario.syntax import Pages, Scenario, ScenarioStep
from foliolab.framework.trace import events as ev
from foliolab.framework.trace.events import EventSource
from foliolab.framework.trace.file import Trace
from foliolab.framework.trace.operations import operation_of
from foliolab.framework.verify import counterexample as counterexamples
from foliolab.framework.verify.counterexample import FLUSH, Counterexample


@dataclass(frozen=True)
class Touch:
    """Where a step acts, on the map of an MM.

    Args:
        mm: the MM, as the source numbers it.
        page: first page of the map; -1 where it acts on no page, or on none that the map shows.
        nr: pages.
        other: another MM, such as a fork's child; 0 or -1 without one.
    """

    mm: int
    page: int = -1
    nr: int = 0
    other: int = -1


class Source(ABC):
    """What is played.

    Attributes:
        title: one line.
        kind: pattern, trace, scenario or counterexample.
        nr_steps: how many steps there are.
        mms: the maps that there can be at a time, by the name of who first has them; `Lane.names` says who has them
            now.
        pages: pages of address space that the map of one MM shows.
        order: log2 of the pages of the largest folio.
        notes: what a reader should know, a sentence each.
    """

    title: str
    kind: str
    nr_steps: int
    mms: tuple[str, ...]
    pages: int
    order: int
    notes: tuple[str, ...] = ()

    @abstractmethod
    def told(self, step: int) -> str:
        """A step in one plain sentence, without the full stop.

        Raises:
            UsageError: there is no such step.
        """

    @abstractmethod
    def touch(self, step: int) -> Touch:
        """Where a step acts."""

    def check(self, step: int) -> None:
        """Refuse a step that there is not."""
        if not 0 <= step < self.nr_steps:
            raise UsageError(f"{self.title} has no step {step:,}", f"it has steps 0 to {self.nr_steps - 1:,}")


def pages_text(nr: int) -> str:
    """A number of pages."""
    return f"{nr:,} page{'s' * (nr != 1)}"


def _touch(operation: Operation, shown: Callable[[int], int]) -> Touch:
    """Where an operation acts; `shown` is where the map shows a page of address space."""
    mm = operation.get("mm", operation.get("parent", -1))
    if operation.has("child"):
        return Touch(mm, other=operation.get("child"))
    return Touch(mm) if operation.start < 0 else Touch(mm, shown(operation.start), operation.get("nr", 1))


# -- events -------------------------------------------------------------------------------------------
class EventsSource(Source):
    """Events of a sharing pattern or of a recorded trace; a step is an event.

    Attributes:
        blocks: the events, by blocks.
        left_out: windows of 2 MiB that events name and the map does not show: those that fewest events name.
    """

    def __init__(self, title: str, kind: str, events: EventSource, survey: Survey, names: dict[int, str]) -> None:
        self.title = title
        self.kind = kind
        self.blocks = EventBlocks(events, survey)
        self.nr_steps = len(self.blocks)
        self.mms = tuple(self.name(number) for number in range(1, survey.slots))
        self.pages = self.blocks.pages
        self.order = survey.max_order
        self.left_out = self.blocks.left_out
        self._names = names
        self.mms = tuple(self.name(number) for number in range(1, survey.slots))

    def name(self, mm: int) -> str:
        """An MM by its number."""
        comm = getattr(self, "_names", {}).get(mm, "")
        return f"MM {mm}{f' ({comm})' if comm else ''}"

    def told(self, step: int) -> str:
        """See `Source.told`."""
        self.check(step)
        row = self.blocks.row(step)
        who, other, nr = self.name(row["mm"]), row["other"], row["nr"]
        kind = row["kind"]
        if operation := operation_of(row):
            return operation.sentence(self.name, self._span) + (self._outcome(row) if kind == ev.WRITE else "")
        pages = self._span(row["page"], nr)
        sentences = {
            ev.PRESENT: f"{who} maps {pages} when the recording begins, in folios of {folio_size_text(row['order'])}",
            ev.SPAWN: f"{who} starts {self.name(other)}, which shares its memory until it executes",
            ev.EXEC: f"{who} executes a program and goes on as {self.name(other)}",
            ev.GONE: f"{who} is gone for certain",
            ev.SPLIT: f"{who} protects a part of {pages}, which splits PMDs",
            ev.LOST: f"{nr:,} events were lost about here",
            ev.FREE_HINT: "the kernel itself migrated, split or swapped a folio",
        }
        return sentences.get(kind, f"an event of unknown kind {kind}")

    def touch(self, step: int) -> Touch:
        """See `Source.touch`."""
        self.check(step)
        row = self.blocks.row(step)
        kind, mm = row["kind"], row["mm"]
        if operation := operation_of(row):
            return _touch(operation, self.blocks.shown)
        if kind in (ev.SPAWN, ev.EXEC):
            return Touch(mm, other=row["other"])
        if kind in (ev.GONE, ev.LOST, ev.FREE_HINT):
            return Touch(mm)
        return Touch(mm, self.blocks.shown(row["page"]), max(row["nr"], 1))

    def _span(self, page: int, nr: int) -> str:
        shown = self.blocks.shown(page)
        if shown >= 0:
            return span_text(shown, nr)
        return f"{pages_text(nr)} from address {page << 12:#x} on" if nr != 1 else f"address {page << 12:#x}"

    def _outcome(self, row: dict[str, int]) -> str:
        done = {ev.REUSED: "reused", ev.COPIED: "copied"}.get(row["flags"] & ev.OUTCOME)
        return f", which the kernel {done}" if done else ""


def pattern_source(
    pattern: SharingPattern, mms: int, folios: int, order: int, seed: int = 1, progress: Progress | None = None
) -> EventsSource:
    """A sharing pattern; of one with too many events the first ones.

    Args:
        pattern: which.
        mms: processes that live at a time.
        folios: that the memory of one consists of.
        order: log2 of the pages of a folio.
        seed: of what is random.
        progress: told of the survey's progress.

    Raises:
        PluginError: the pattern fails.
        UsageError: it has no events.
    """
    from foliolab.framework.replay.survey import survey

    events = played(pattern, Usage(mms=mms, folios=folios, order=order), seed, cut=True)
    if not len(events):
        raise UsageError(f"sharing pattern {pattern.name} does nothing with {mms} MMs", "choose more MMs, or another")
    found = survey(events, progress or _quiet)
    title = f"{pattern.name}: {mms} MMs, {folios:,} folios of {folio_size_text(order)}"
    source = EventsSource(title, "pattern", events, found, {})
    if events.path.startswith("the beginning"):
        source.notes = (f"the pattern goes on; these are its first {len(events):,} events",)
    return source


def trace_source(path: str | os.PathLike[str], progress: Progress | None = None) -> EventsSource:
    """A recorded trace.

    Raises:
        TraceFileError: it cannot be read, or has no events.
    """
    from foliolab.framework.errors import TraceFileError
    from foliolab.framework.replay.survey import survey

    trace = Trace(path)
    found = survey(trace, progress or _quiet)
    if not found.events:
        raise TraceFileError(f"{trace.path} has no events: {trace.damaged or 'nothing was recorded'}", "record again")
    names = {one.mm: one.comm for one in trace.header.mms if one.comm}
    source = EventsSource(
        f"{Path(trace.path).name}: {trace.header.command}".removesuffix(": "), "trace", trace, found, names
    )
    notes = [f"the trace is damaged: {trace.damaged}"] if trace.damaged else []
    if source.left_out:
        notes.append(f"{source.left_out:,} windows of 2 MiB that fewest events name are not on the maps")
    source.notes = tuple(notes)
    return source


def _quiet(phase: str, done: int, total: int) -> None:
    pass


# -- scenarios ----------------------------------------------------------------------------------------
class ScenarioSource(Source):
    """A scenario; a step is one of its steps."""

    kind = "scenario"

    def __init__(self, scenario: Scenario, title: str) -> None:
        self.scenario = scenario
        self.title = title
        self.layout = Layout(scenario.regions)
        self.nr_steps = len(scenario.steps)
        self.pages = self.layout.nr_pages
        self.order = max((region.order for region in scenario.regions), default=0)
        forked = [step.name for step in scenario.steps if step.action == "fork"]
        self.mms = (scenario.first, *forked)

    def told(self, step: int) -> str:
        """See `Source.told`."""
        self.check(step)
        return _scenario_sentence(self.scenario.steps[step])

    def touch(self, step: int) -> Touch:
        """See `Source.touch`; MMs are numbered by their first place in `mms`."""
        self.check(step)
        one = self.scenario.steps[step]
        mm = self.mms.index(one.process)
        other = self.mms.index(one.name) if one.action == "fork" else -1
        if one.pages is None:
            return Touch(mm, other=other)
        where = self.layout.range(one.pages)
        return Touch(mm, where.start, where.stop - where.start, other)


_SCENARIO_VERBS: Final = {
    "exec": "executes a program", "read": "reads {pages}", "dontneed": "drops {pages} (MADV_DONTNEED)",
    "pin": "pins {pages} for DMA as {name}", "unpin": "undoes the pin {name}",
    "vmsplice": "puts a reference to {pages} into the pipe {name}", "close": "closes the pipe {name}",
    "peek": "reads through {name}", "cold": "calls {pages} cold (MADV_COLD)",
    "pageout": "asks for {pages} to be paged out (MADV_PAGEOUT)",
}  # fmt: skip
"""What a step does that is no single operation of the machine, or has a name of its own in scenarios."""
_SCENARIO_OPERATIONS: Final = {
    "fork": "fork", "exit": "exit", "write": "write", "munmap": "unmap", "mremap": "mremap", "mprotect": "protect",
}  # fmt: skip


def _scenario_sentence(step: ScenarioStep) -> str:
    if step.action not in _SCENARIO_OPERATIONS:
        verb = _SCENARIO_VERBS.get(step.action, step.action)
        return f"{step.process} {verb.format(name=step.name, pages=_span(step.pages))}"
    sentence = OPERATIONS[_SCENARIO_OPERATIONS[step.action]].sentence
    words = {"mm": step.process, "parent": step.process, "child": step.name}
    text = sentence.format(**words, pages=_span(step.pages), to=_span(step.to))
    return f"{text} without {_span(step.pages)}" if step.action == "fork" and step.pages is not None else text


def _span(pages: Pages | None) -> str:
    if pages is None:
        return ""
    if pages.nr == 1:
        return f"page {pages.first:,} of {pages.region}"
    return f"pages {pages.first:,} to {pages.last:,} of {pages.region}"


def scenario_source(path_or_text: str | os.PathLike[str]) -> ScenarioSource:
    """A scenario, from a file or from its text (which has more than one line).

    Raises:
        ScenarioError: it is wrong; names line and column.
        UsageError: there is no such file, or it has no steps.
    """
    text = os.fspath(path_or_text)
    scenario = parser.parse(text) if "\n" in text else parser.load(text)
    if not scenario.steps:
        raise UsageError(f"scenario {scenario.name} has no steps", "add one, such as A: fork B")
    return ScenarioSource(scenario, f"scenario {scenario.name}")


# -- counterexamples ----------------------------------------------------------------------------------
class CounterexampleSource(Source):
    """A counterexample: a step is an operation of the set-up or of the only thread, or a turn of a thread.

    The schedule counts the accesses of the policy that it was found for; under another policy the same turns are
    an interleaving as well, of other accesses.
    """

    kind = "counterexample"

    def __init__(self, counterexample: Counterexample) -> None:
        self.counterexample = counterexample
        self.title = f"counterexample of {counterexample.policy}: {counterexample.law}"
        self.threaded = len(counterexample.threads) > 1 or bool(counterexample.schedule)
        self.setup = [Operation.parse(text) for text in counterexample.setup]
        self.steps: list[Operation | tuple[int, int]] = [*self.setup]
        if self.threaded:
            self.steps += [*counterexample.turns, (-1, 0)]
        else:
            self.steps += counterexample.operations(0) if counterexample.threads else []
        self.nr_steps = len(self.steps)
        shape = counterexample.shape
        self.pages = shape.get("nr_vpns", PTRS_PER_PTE)
        self.order = shape.get("max_order", 9)
        self.mms = tuple(f"MM {number}" for number in range(shape.get("nr_mms", 1)))
        self.notes = (counterexample.message,)

    def told(self, step: int) -> str:
        """See `Source.told`."""
        self.check(step)
        one = self.steps[step]
        if isinstance(one, Operation):
            return one.sentence()
        thread, count = one
        if thread < 0:
            return "every thread runs on to its end"
        if count == FLUSH:
            return f"the oldest store in the buffer of thread {thread} takes effect"
        return f"thread {thread} does {count:,} memory access{'es' * (count != 1)}: {self._doing(thread)}"

    def touch(self, step: int) -> Touch:
        """See `Source.touch`."""
        self.check(step)
        one = self.steps[step]
        return _touch(one, lambda page: page) if isinstance(one, Operation) else Touch(-1)

    def _doing(self, thread: int) -> str:
        return "; ".join(self.counterexample.threads[thread])


def counterexample_source(path: str | os.PathLike[str] | Counterexample) -> CounterexampleSource:
    """A counterexample, from its file or as it is.

    Raises:
        ResultFileError: there is none, it is damaged, or its schema is newer.
        UsageError: it names operations or turns that there are not, or has no steps.
    """
    found = path if isinstance(path, Counterexample) else counterexamples.load(path)
    source = CounterexampleSource(found)
    if not source.nr_steps:
        raise UsageError(f"the counterexample of {found.policy} has no steps", "verify the policy again")
    return source
