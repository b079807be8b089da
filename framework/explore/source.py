"""Sources of steps: a sharing pattern, a trace, a scenario or a counterexample. Every lane does the same steps."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.contract.sharing_pattern import SharingPattern, Usage
from foliolab.framework.engine.operation import OPERATIONS, Operation, folio_size_text, pages_text
from foliolab.framework.engine.pagetable import PTRS_PER_PTE
from foliolab.framework.errors import UsageError
from foliolab.framework.explore.events import EventBlocks
from foliolab.framework.precision.stream import played
from foliolab.framework.replay.survey import Survey
from foliolab.framework.scenario import parser
from foliolab.framework.scenario.space import Layout
from foliolab.framework.scenario.syntax import Pages, Scenario, ScenarioStep
from foliolab.framework.trace import events as ev
from foliolab.framework.trace.events import EventSource
from foliolab.framework.trace.file import Trace
from foliolab.framework.trace.operations import operation_of
from foliolab.framework.verify.counterexample import Counterexample, Turn

UNKNOWN: Final = "unknown"
"""The kind of an event that has none."""


@dataclass(frozen=True)
class Touch:
    """The pages that a step acts on.

    Args:
        mm: the MM, as the source numbers it.
        page: first page on the map; -1 if the step acts on no page, or on none that the map shows.
        nr: number of pages.
    """

    mm: int
    page: int = -1
    nr: int = 0


class Source(ABC):
    """A sequence of steps to explore.

    Attributes:
        title: one line.
        kind: pattern, trace, scenario or counterexample.
        nr_steps: number of steps.
        mms: the maps, as many as MMs can live at a time, each with the name of the first process that has it. A map is
            handed on when a process exits; `Lane.names` has the present names.
        pages: pages of address space that one map shows.
        order: log2 of the pages of the largest folio.
        notes: sentences for the user about limits of the source.
    """

    title: str
    kind: str
    nr_steps: int
    mms: tuple[str, ...]
    pages: int
    order: int
    notes: tuple[str, ...] = ()

    @abstractmethod
    def describe(self, step: int) -> str:
        """A step in one sentence, without the full stop.

        Raises:
            UsageError: there is no such step.
        """

    @abstractmethod
    def touch(self, step: int) -> Touch:
        """The pages that a step acts on.

        Raises:
            UsageError: there is no such step.
        """

    def kinds(self, begin: int, end: int) -> tuple[tuple[str, ...], NDArray[np.uint8]]:
        """The kinds of steps begin to end-1: their names in alphabetical order, and the number of each step's."""
        kinds = [self._kind(step) for step in range(begin, end)]
        names = sorted(set(kinds))
        return tuple(names), np.array([names.index(kind) for kind in kinds], np.uint8)

    @abstractmethod
    def _kind(self, step: int) -> str:
        """What kind of step it is, in a word or two."""

    def check(self, step: int) -> None:
        """Refuse a number that is not that of a step.

        Raises:
            UsageError: there is no such step.
        """
        if not 0 <= step < self.nr_steps:
            raise UsageError(f"{self.title} has no step {step:,}", f"it has steps 0 to {self.nr_steps - 1:,}")


def nr_pages_text(nr: int) -> str:
    """A number of pages, such as "1 page"."""
    return f"{nr:,} page{'s' * (nr != 1)}"


def _touch(operation: Operation, shown: Callable[[int], int]) -> Touch:
    """The pages that an operation acts on; `shown` translates a page of address space to a page of the map."""
    mm = operation.get("mm", operation.get("parent", -1))
    return Touch(mm) if operation.start < 0 else Touch(mm, shown(operation.start), operation.get("nr", 1))


# -- events -------------------------------------------------------------------------------------------
class EventsSource(Source):
    """Events of a sharing pattern or of a recorded trace; each event is a step.

    Attributes:
        blocks: the events, by blocks.
        left_out: number of windows of 2 MiB that the map does not show: those with the fewest events.
        timed: whether the events have times; otherwise only their order is known.
    """

    def __init__(self, title: str, kind: str, events: EventSource, survey: Survey, names: dict[int, str]) -> None:
        self.title = title
        self.kind = kind
        self.blocks = EventBlocks(events, survey)
        self.nr_steps = len(self.blocks)
        self.pages = self.blocks.pages
        self.order = survey.max_order
        self.left_out = self.blocks.left_out
        self.timed = isinstance(events, Trace) and events.header.shows.times is not False
        self._names = names
        self.mms = tuple(self.name(number) for number in range(1, survey.slots))

    def name(self, mm: int) -> str:
        """An MM of the events, with the name of its program if the trace has it."""
        comm = self._names.get(mm, "")
        return f"MM {mm}{f' ({comm})' if comm else ''}"

    def describe(self, step: int) -> str:
        self.check(step)
        row = self.blocks.row(step)
        mm, other, nr = self.name(row["mm"]), row["other"], row["nr"]
        kind = row["kind"]
        if operation := operation_of(row):
            return operation.sentence(self.name, self._span) + (self._outcome(row) if kind == ev.WRITE else "")
        pages = self._span(row["page"], nr)
        sentences = {
            ev.PRESENT: f"{mm} maps {pages} when the recording begins, in folios of {folio_size_text(row['order'])}",
            ev.SPAWN: f"{mm} starts {self.name(other)}, which shares its memory until it executes",
            ev.EXEC: f"{mm} executes a program and goes on as {self.name(other)}",
            ev.GONE: f"{mm} no longer exists; the recording missed its exit",
            ev.SPLIT: f"{mm} protects a part of {pages}, which splits PMDs",
            ev.LOST: f"{nr:,} events were lost about here",
            ev.FREE_HINT: "the kernel itself migrated, split or swapped a folio",
        }
        return sentences.get(kind, f"an event of unknown kind {kind}")

    def kinds(self, begin: int, end: int) -> tuple[tuple[str, ...], NDArray[np.uint8]]:
        numbers = self.blocks.part(begin, end).kind
        present = np.unique(numbers).tolist()
        texts = {number: ev.KINDS.get(number, UNKNOWN) for number in present}
        names = sorted(set(texts.values()))
        ranks = np.array([names.index(texts[number]) for number in present], np.uint8)
        return tuple(names), ranks[np.searchsorted(present, numbers)]

    def _kind(self, step: int) -> str:
        return ev.KINDS.get(self.blocks.row(step)["kind"], UNKNOWN)

    def touch(self, step: int) -> Touch:
        self.check(step)
        row = self.blocks.row(step)
        kind, mm = row["kind"], row["mm"]
        if operation := operation_of(row):
            return _touch(operation, self.blocks.shown)
        if kind in (ev.SPAWN, ev.EXEC, ev.GONE, ev.LOST, ev.FREE_HINT):
            return Touch(mm)
        return Touch(mm, self.blocks.shown(row["page"]), max(row["nr"], 1))

    def _span(self, page: int, nr: int) -> str:
        shown = self.blocks.shown(page)
        if shown >= 0:
            return pages_text(shown, nr)
        return f"{nr_pages_text(nr)} from address {page << 12:#x} on" if nr != 1 else f"address {page << 12:#x}"

    def _outcome(self, row: dict[str, int]) -> str:
        done = {ev.REUSED: "reused", ev.COPIED: "copied"}.get(row["flags"] & ev.OUTCOME)
        return f", which the kernel {done}" if done else ""


def pattern_source(pattern: SharingPattern, mms: int, folios: int, order: int, seed: int = 1) -> EventsSource:
    """The events of a sharing pattern; if there are too many, the first ones.

    Args:
        pattern: the pattern.
        mms: the most processes that live at a time.
        folios: folios of the memory of one process.
        order: log2 of the pages of a folio.
        seed: seed of the pattern's random numbers.

    Raises:
        PluginError: the pattern fails.
        UsageError: the pattern makes no events.
    """
    from foliolab.framework.replay.survey import survey

    events = played(pattern, Usage(mms=mms, folios=folios, order=order), seed, cut=True)
    if not len(events):
        raise UsageError(
            f"sharing pattern {pattern.name} does nothing with {mms} MMs", "choose more MMs, or another pattern"
        )
    found = survey(events, _quiet)
    title = f"{pattern.name}: {mms} MMs, {folios:,} folios of {folio_size_text(order)}"
    source = EventsSource(title, "pattern", events, found, {})
    if events.path.startswith("the beginning"):
        source.notes = (f"the pattern is longer; these are its first {len(events):,} events",)
    return source


def trace_source(path: str | os.PathLike[str]) -> EventsSource:
    """The events of a recorded trace.

    Raises:
        TraceFileError: the file cannot be read, or has no events.
    """
    from foliolab.framework.errors import TraceFileError
    from foliolab.framework.replay.survey import survey

    trace = Trace(path)
    found = survey(trace, _quiet)
    if not found.events:
        raise TraceFileError(f"{trace.path} has no events: {trace.damaged or 'nothing was recorded'}", "record again")
    names = {one.mm: one.comm for one in trace.header.mms if one.comm}
    source = EventsSource(
        f"{Path(trace.path).name}: {trace.header.command}".removesuffix(": "), "trace", trace, found, names
    )
    notes = [f"the trace is damaged: {trace.damaged}"] if trace.damaged else []
    if source.left_out:
        notes.append(f"the maps do not show {source.left_out:,} windows of 2 MiB: those with the fewest events")
    source.notes = tuple(notes)
    return source


def _quiet(phase: str, done: int, total: int) -> None:
    pass


# -- scenarios ----------------------------------------------------------------------------------------
class ScenarioSource(Source):
    """A scenario; its steps are the steps."""

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

    def describe(self, step: int) -> str:
        self.check(step)
        return _scenario_sentence(self.scenario.steps[step])

    def _kind(self, step: int) -> str:
        return self.scenario.steps[step].action

    def touch(self, step: int) -> Touch:
        """See `Source.touch`; an MM's number is its first index in `mms`."""
        self.check(step)
        action = self.scenario.steps[step]
        mm = self.mms.index(self.scenario.process_of[action.process])
        if action.pages is None:
            return Touch(mm)
        pages = self.layout.range(action.pages)
        return Touch(mm, pages.start, pages.stop - pages.start)


_SCENARIO_VERBS: Final = {
    "exec": "executes a program", "read": "reads {pages}", "dontneed": "drops {pages} (MADV_DONTNEED)",
    "pin": "pins {pages} for DMA as {name}", "unpin": "undoes the pin {name}",
    "vmsplice": "puts a reference to {pages} into the pipe {name}", "close": "closes the pipe {name}",
    "peek": "reads through {name}", "cold": "marks {pages} as cold (MADV_COLD)",
    "free": "frees {pages} lazily (MADV_FREE)", "pageout": "asks for {pages} to be paged out (MADV_PAGEOUT)",
    "thread": "starts the thread {name}", "migrate": "moves {pages} to another NUMA node (move_pages)",
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
    """A scenario from a file, or from its text.

    Args:
        path_or_text: a path, or a text of more than one line.

    Raises:
        ScenarioError: the text is wrong; names line and column.
        UsageError: there is no such file, or the scenario has no steps.
    """
    text = os.fspath(path_or_text)
    scenario = parser.parse(text) if "\n" in text else parser.load(text)
    if not scenario.steps:
        raise UsageError(f"scenario {scenario.name} has no steps", "add one, such as A: fork B")
    if scenario.at_once:
        raise UsageError(
            f"scenario {scenario.name} has steps at once, which are in no order",
            "`foliolab run --save-interleaving FILE` writes one interleaving; open that",
        )
    return ScenarioSource(scenario, f"scenario {scenario.name}")


# -- counterexamples ----------------------------------------------------------------------------------
class CounterexampleSource(Source):
    """A counterexample. A step is an operation of the set-up or of the only thread, or a turn of a thread.

    The schedule counts accesses of the policy that the counterexample was found for. Another policy does other
    accesses in the same turns; that is an interleaving, too, but not the same one.

    Attributes:
        steps: an operation, or a turn (thread, accesses); the turn (-1, 0) at the end lets every thread finish.
        threaded: whether there are turns.
    """

    kind = "counterexample"

    def __init__(self, counterexample: Counterexample) -> None:
        self.counterexample = counterexample
        self.title = f"counterexample of {counterexample.policy}: {counterexample.law}"
        self.threaded = len(counterexample.threads) > 1 or bool(counterexample.schedule)
        self.setup = [Operation.parse(text) for text in counterexample.setup]
        self.steps: list[Operation | Turn] = [*self.setup]
        if self.threaded:
            self.steps += [*counterexample.turns, Turn(-1)]
        else:
            self.steps += counterexample.operations(0) if counterexample.threads else []
        self.nr_steps = len(self.steps)
        shape = counterexample.shape
        self.pages = shape.get("nr_vpns", PTRS_PER_PTE)
        self.order = shape.get("max_order", 9)
        self.mms = tuple(f"MM {number}" for number in range(shape.get("nr_mms", 1)))
        self.notes = (counterexample.message,)

    def describe(self, step: int) -> str:
        self.check(step)
        action = self.steps[step]
        if isinstance(action, Operation):
            return action.sentence()
        thread, count = action.thread, action.accesses
        if thread < 0:
            return "every thread runs to its end"
        if action.flush:
            which = "the oldest store" if action.flush == 1 else f"store {action.flush}"
            return f"{which} in the buffer of thread {thread} takes effect"
        operations = "; ".join(self.counterexample.threads[thread])
        if action.waits:
            return f"thread {thread} does a store, which waits in its buffer: {operations}"
        if action.older:
            writes = f"the last {action.older} writes" if action.older > 1 else "the last write"
            return f"thread {thread} does a memory access, which reads what was there before {writes}: {operations}"
        return f"thread {thread} does {count:,} memory access{'es' * (count != 1)}: {operations}"

    def _kind(self, step: int) -> str:
        action = self.steps[step]
        return action.name.replace("_", " ") if isinstance(action, Operation) else "turn of a thread"

    def touch(self, step: int) -> Touch:
        self.check(step)
        action = self.steps[step]
        return _touch(action, lambda page: page) if isinstance(action, Operation) else Touch(-1)


def counterexample_source(path: str | os.PathLike[str] | Counterexample) -> CounterexampleSource:
    """A counterexample as a source.

    Args:
        path: its file, or the counterexample itself.

    Raises:
        ResultFileError: the file does not exist, is damaged, or has a newer schema.
        UsageError: it names unknown operations or turns, or has no steps.
    """
    found = path if isinstance(path, Counterexample) else Counterexample.load(path)
    source = CounterexampleSource(found)
    if not source.nr_steps:
        raise UsageError(f"the counterexample of {found.policy} has no steps", "verify the policy again")
    return source
