"""What is played: steps that every policy sees alike, each told in one sentence."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from foliolab.framework.contract.sharing_pattern import SharingPattern, Usage
from foliolab.framework.engine.pagetable import PTRS_PER_PTE
from foliolab.framework.errors import UsageError
from foliolab.framework.explore.events import EventBlocks
from foliolab.framework.precision.stream import played
from foliolab.framework.replay.survey import Progress, Survey
from foliolab.framework.scenario import parser
from foliolab.framework.scenario.space import Layout
from foliolab.framework.scenario.syntax import Pages, Scenario, Step
from foliolab.framework.trace import events as ev
from foliolab.framework.trace.events import EventSource
from foliolab.framework.trace.file import Trace
from foliolab.framework.verify import counterexample as counterexamples
from foliolab.framework.verify.counterexample import FLUSH, Counterexample
from foliolab.framework.verify.operation import Operation, parameters

KIB_PER_PAGE: Final = 4


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


def size_text(order: int) -> str:
    """The size of a folio."""
    kib = KIB_PER_PAGE << order
    return f"{kib >> 10} MiB" if kib >> 10 else f"{kib} KiB"


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
        size = size_text(row["order"]) if row["order"] <= ev.LAST_KIND else "unknown size"
        at = self._place(row["page"])
        sentences = {
            ev.PRESENT: f"{who} maps {pages_text(nr)} from {at} on when the recording begins, in folios of {size}",
            ev.FORK: f"{who} forks {self.name(other)}",
            ev.SPAWN: f"{who} starts {self.name(other)}, which shares its memory until it executes",
            ev.EXEC: f"{who} executes a program and goes on as {self.name(other)}",
            ev.EXIT: f"{who} exits",
            ev.GONE: f"{who} is gone for certain",
            ev.NEW: f"{who} faults in a new folio of {size} at {at}",
            ev.WRITE: f"{who} writes {at}{self._outcome(row)}",
            ev.UNMAP: f"{who} unmaps {pages_text(nr)} from {at} on",
            ev.MOVE: f"{who} moves {pages_text(nr)} from {at} to {self._place(other)}",
            ev.SPLIT: f"{who} protects a part of {pages_text(nr)} from {at} on, which splits PMDs",
            ev.LOST: f"{nr:,} events were lost about here",
            ev.FREE_HINT: "the kernel itself migrated, split or swapped a folio",
            ev.MAP: f"{who} maps {pages_text(nr)} of a file from {at} on, in folios of {size}",
        }
        return sentences.get(kind, f"an event of unknown kind {kind}")

    def touch(self, step: int) -> Touch:
        """See `Source.touch`."""
        self.check(step)
        row = self.blocks.row(step)
        kind, mm = row["kind"], row["mm"]
        if kind in (ev.FORK, ev.SPAWN, ev.EXEC):
            return Touch(mm, other=row["other"])
        if kind in (ev.EXIT, ev.GONE, ev.LOST, ev.FREE_HINT):
            return Touch(mm)
        nr = 1 << row["order"] if kind == ev.NEW else max(row["nr"], 1)
        page = row["page"] >> row["order"] << row["order"] if kind == ev.NEW else row["page"]
        return Touch(mm, self.blocks.shown(page), nr)

    def _place(self, page: int) -> str:
        shown = self.blocks.shown(page)
        return f"page {shown:,}" if shown >= 0 else f"address {page << 12:#x}"

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
    title = f"{pattern.name}: {mms} MMs, {folios:,} folios of {size_text(order)}"
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
    "fork": "forks {name}", "exec": "executes a program", "exit": "exits", "write": "writes {pages}",
    "read": "reads {pages}", "munmap": "unmaps {pages}", "dontneed": "drops {pages} (MADV_DONTNEED)",
    "mremap": "moves {pages} to {to}", "mprotect": "protects {pages} and makes it writable again",
    "pin": "pins {pages} for DMA as {name}", "unpin": "undoes the pin {name}",
    "vmsplice": "puts a reference to {pages} into the pipe {name}", "close": "closes the pipe {name}",
    "peek": "reads through {name}", "cold": "calls {pages} cold (MADV_COLD)",
    "pageout": "asks for {pages} to be paged out (MADV_PAGEOUT)",
}  # fmt: skip


def _scenario_sentence(step: Step) -> str:
    verb = _SCENARIO_VERBS.get(step.action, step.action)
    told = verb.format(name=step.name, pages=_span(step.pages), to=_span(step.to))
    if step.action == "fork" and step.pages is not None:
        told += f" without {_span(step.pages)}"
    return f"{step.process} {told}"


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
            return operation_sentence(one)
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
        if not isinstance(one, Operation):
            return Touch(-1)
        mm = one.get("mm", one.get("parent", -1))
        if "child" in dict(one.numbers):
            return Touch(mm, other=one.get("child"))
        page = one.get("start", one.get("vpn", -1)) if {"start", "vpn"} & {*dict(one.numbers)} else -1
        return Touch(mm, page, one.get("nr", 1) if page >= 0 else 0)

    def _doing(self, thread: int) -> str:
        return "; ".join(self.counterexample.threads[thread])


_OPERATION_VERBS: Final = {
    "create": "MM {mm} comes to be", "exit": "MM {mm} exits", "fork": "MM {parent} forks MM {child}",
    "populate": "MM {mm} faults in {nr} from page {start} on, in folios of {order}",
    "unmap": "MM {mm} unmaps {nr} from page {start} on", "write": "MM {mm} writes {nr} from page {start} on",
    "split_pmd": "MM {mm} splits the PMDs of {nr} from page {start} on",
    "protect": "MM {mm} protects {nr} from page {start} on, and makes them writable again",
    "mremap": "MM {mm} moves {nr} from page {start} to page {to}", "pin": "MM {mm} pins page {vpn} for DMA",
    "unpin": "frame {pfn} is unpinned", "get_user": "somebody takes a reference to frame {pfn}",
    "put_user": "somebody drops a reference to frame {pfn}", "file_folio": "a folio of {order} of a file is made",
    "map_file": "MM {mm} maps {nr} of the file folio at frame {pfn} from page {vpn} on",
    "drop_file": "the file folio at frame {pfn} is truncated", "flush_gather": "the mmu_gather batch is flushed",
    "drain": "the LRU batch with frame {pfn} is drained", "swap_cache": "frame {pfn} enters the swap cache",
    "swap_out": "page {vpn} of MM {mm} is swapped out", "swap_in": "page {vpn} of MM {mm} is swapped in",
    "maybe_shared": "somebody asks whether the folio of frame {pfn} may be mapped by several MMs",
}  # fmt: skip


def operation_sentence(operation: Operation) -> str:
    """An operation of a machine in one sentence."""
    numbers: dict[str, str] = {name: "0" for name in parameters(operation.do)} | {"nr": pages_text(1)}
    for name, value in operation.numbers:
        numbers[name] = f"{value:,}"
    numbers["nr"] = pages_text(operation.get("nr", 1))
    if "order" in numbers:
        numbers["order"] = size_text(operation.get("order"))
    return _OPERATION_VERBS.get(operation.do, str(operation)).format(**numbers)


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
