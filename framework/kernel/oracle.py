"""A scenario on a real kernel: real processes, real folios, outcomes read from page frame numbers (PFNs).

A write that changes the PFN copied the page. A write that faulted and kept the PFN reused the page. A write without a
fault changed nothing. A page that was absent before is a new page. A partial MADV_COLD splits a folio that the kernel
takes for exclusive: a second witness of the shared bit. Source: docs/real-kernels.md, "How an outcome is known".

An `Attempt` writes a scenario as one program of the agent, and reads the records of its steps from the answers. No
step depends on the answer to an earlier one, so a scenario costs one round trip, be the kernel this one or a guest's.

Why attempts are discarded. Migration, compaction, khugepaged and swapping also change PFNs, without any process asking
for it, and that looks like a copy. So the counters of `guards` are read before and after; if one moved, or if a region
did not get folios of its size, the attempt proves nothing. It is discarded and the scenario runs again, at most
ATTEMPTS times. An outcome that the policy does not predict is never a reason to repeat.

Without CAP_SYS_ADMIN all PFNs read as 0: they are hidden. The page faults of the first touches then show the folios'
size. A copy and a reuse look equal (`FAULTED`), and the number of large folios on the host (`nr_anon`) is the witness,
if the THP settings are the scenario's own. Otherwise the memory of any program may be in large folios, and the number
says nothing. Also with settings of its own, a program may free large folios that it had before, or ask for some by
madvise: if the number is not the same again when all processes of the scenario have ended, the attempt is discarded.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.errors import KernelError
from foliolab.framework.kernel import guards, needs, pagemap
from foliolab.framework.kernel.agent.channel import ABSENT as NO_FILE
from foliolab.framework.kernel.agent.channel import VIEW, Channel, Frame
from foliolab.framework.kernel.seen import Seen
from foliolab.framework.kernel.settings import THP
from foliolab.framework.machine.layout import PMD_ORDER
from foliolab.framework.scenario.model import default_byte
from foliolab.framework.scenario.record import ABSENT, FAULTED, UNCOUNTED, UNSEEN, Record
from foliolab.framework.scenario.space import Layout
from foliolab.framework.scenario.syntax import INITIAL_BYTE, KERNEL_STATISTICS, Region, Scenario, ScenarioStep

ATTEMPTS: Final = 5
SETTLED: Final = 0.2
"""Seconds until the last large folios of processes that have ended are freed."""
UNLIMITED: Final = 1 << 30


class Disturbed(Exception):
    """The kernel moved pages by itself, or did not give the requested folios: the attempt is discarded."""


@dataclass(frozen=True)
class Conditions:
    """What a scenario finds on the kernel that plays it.

    Attributes:
        cpus: numbers of the processors; process i runs on processor i modulo their count.
        switches: for each folio size in KiB, the file that enables it; None leaves the settings as they are.
        hidden: page frame numbers are hidden.
        swap: whether pages can be swapped out.
        more_cpus: as `cpus`, for scenarios with steps that run at once or threads; empty: the same.
        nodes: numbers of the NUMA nodes with memory.
    """

    cpus: tuple[int, ...] = (0,)
    switches: Mapping[int, str] | None = field(default_factory=dict)
    hidden: bool = False
    swap: bool = False
    more_cpus: tuple[int, ...] = ()
    nodes: tuple[int, ...] = ()


class Attempt:
    """One attempt to play a scenario: its program, and the records from the answers.

    Args:
        scenario: checked for validity by the parser.
        conditions: of the kernel.

    Attributes:
        records: of the steps, after `read`.
    """

    def __init__(self, scenario: Scenario, conditions: Conditions) -> None:
        self.scenario = scenario
        self.conditions = conditions
        self.layout = Layout(scenario.regions)
        self.cpus = (conditions.more_cpus if scenario.at_once else ()) or conditions.cpus
        self._unseen = needs.unseen(scenario)
        self.sizes = sorted({region.size_kib for region in scenario.regions if region.order})
        self.records: list[Record] = []
        self._lines: list[str] = []
        self._readers: list[Callable[[], object]] = []
        self._frames: Iterator[Frame] = iter(())
        self._numbers = {scenario.first: 0}
        """The agent's number of each living process and thread."""
        self._held: dict[str, tuple[str, int]] = {}
        """For each pin and pipe its process and its number in the agent."""
        self._forks = 0
        """Processes and threads that were started, but for the first."""
        self._seen: dict[int, Seen] = {}
        self._seen_before: dict[int, Seen] = {}
        """The latest views, and those before, by the agent's number of the process."""
        self._alive: dict[str, int] = {}
        """The processes of the latest views."""
        self._counters_before: dict[str, int] = {}
        self._splits = 0
        self._statistics_before: dict[str, int] = {}
        self._shows_anon_exclusive = False
        self._nr_anon_before = 0
        self._population = 0
        self._population_before = 0
        self._awaited: list[str] | None = None
        """The lines that wait for commands which run at once; None where each is waited for before the next."""
        self._compose()

    @property
    def program(self) -> str:
        return "\n".join(self._lines)

    def read(self, frames: Sequence[Frame]) -> list[Record]:
        """The records of the steps.

        Args:
            frames: the answers to the program.

        Raises:
            Disturbed: the kernel moved pages by itself meanwhile, or a region did not get its folios.
            KernelError: the kernel lacks a file that is needed.
        """
        self._frames = iter(frames)
        for reader in self._readers:
            reader()
        return self.records

    # -- writing the program -----------------------------------------------------------------------
    def _line(self, *words: object) -> None:
        text = " ".join(map(str, words))
        if self._awaited is not None:
            self._awaited.append(f"await {text}")
            text = f"post {text}"
        self._lines.append(text)

    def _command(self, name: str, process: int, *numbers: int) -> None:
        """A command whose answer has no bytes."""
        self._line(name, process, *numbers)
        self._readers.append(self._next)

    def _next(self) -> Frame:
        return next(self._frames)

    def _compose(self) -> None:
        steps = self.scenario.steps
        processes = 1 + sum(step.action in ("fork", "thread") for step in steps)
        zero = self.conditions.hidden and any(step.action == "read" for step in steps)
        self._counters(self._start_counting)
        self._nr_anon(self._start_population)
        self._statistics(self._start_statistics)
        self._line("start", processes, self.layout.nr_pages, self.cpus[0], int(zero))
        for region in self.scenario.regions:
            self._populate(region)
        at_once = self.scenario.at_once
        for number in range(at_once.start):
            self._steps(range(number, number + 1))
        self._steps(at_once)
        for number in range(at_once.stop, len(steps)):
            self._steps(range(number, number + 1))
        self._counters(self._check_counters)

    def _populate(self, region: Region) -> None:
        start = self.layout.start[region.name]
        for kib, path in (self.conditions.switches or {}).items():
            self._line("put", path, "madvise" if kib == region.size_kib else "never")
        self._command("map", 0, start, region.nr_pages)
        split = int(region.order == PMD_ORDER and not region.pmd)
        huge = int(region.order > 0)
        self._line("populate", 0, start, region.populated, region.nr_pages, huge, INITIAL_BYTE, split)
        faults: list[int] = []
        self._readers.append(lambda: faults.extend(self._next().payload))
        self._look()
        self._nr_anon(self._count_population)
        if region.populated:
            self._readers.append(lambda: self._check_region(region, faults))

    def _steps(self, numbers: range) -> None:
        """A step, or several that run at once: their commands are sent first, then each is waited for."""
        records = [Record(self.scenario.steps[number]) for number in numbers]
        if not records:
            return
        self._awaited = [] if len(records) > 1 else None
        for number, record in zip(numbers, records, strict=True):
            self._readers.append(partial(self.records.append, record))
            step = record.step
            getattr(self, f"_{step.action}")(record, step, default_byte(number) if step.value is None else step.value)
        self._lines += self._awaited or []
        self._awaited = None
        if records[0].step.action in ("cold", "pageout", "free", "migrate"):
            self._counters(self._allow_splits)
        self._look()
        self._nr_anon(self._count_population)
        self._statistics(partial(self._count_statistics, records))
        self._readers += [partial(self._finish, record) for record in records]
        for number, record in zip(numbers, records, strict=True):
            if number in self._unseen:
                self._readers.append(partial(_hide, record))

    def _look(self) -> None:
        self._line("look")
        alive = {name: number for name, number in self._numbers.items() if self._process(name) == name}

        def read() -> None:
            self._alive = alive
            self._seen_before = self._seen
            self._seen = dict(Seen.of(self._next_view(), self._shows_anon_exclusive) for _ in alive)

        self._readers.append(read)

    def _next_view(self) -> bytes:
        frame = self._next()
        assert frame.kind == VIEW, "the agent and this text belong to different versions"
        return frame.payload

    def _counters(self, use: Callable[[dict[str, int]], None]) -> None:
        self._line("get", guards.VMSTAT)
        self._readers.append(lambda: use(guards.parse(self._next().text)))

    def _nr_anon(self, use: Callable[[int], None]) -> None:
        """Read the number of large anonymous folios of the scenario's sizes on the whole host, if it is a witness."""
        if not self.conditions.hidden:
            return
        for kib in self.sizes:
            self._line("get", _nr_anon_file(kib))
        self._readers.append(lambda: use(sum(self._number(kib) for kib in self.sizes)))

    def _statistics(self, use: Callable[[dict[str, int]], None]) -> None:
        """Read the statistics that the scenario expects something of, summed over its folio sizes."""
        names = [name for name in self.scenario.statistics if name in KERNEL_STATISTICS]
        if not names or self.conditions.switches is None:
            return
        for name in names:
            for kib in self.sizes:
                self._line("get", f"{THP}/hugepages-{kib}kB/stats/{KERNEL_STATISTICS[name]}")
        self._readers.append(lambda: use(self._sums(names)))

    def _sums(self, names: Sequence[str]) -> dict[str, int]:
        """The statistics from the next frames; those that this kernel lacks are left out."""
        found = {name: [self._next() for _ in self.sizes] for name in names}
        return {
            name: sum(int(frame.text) for frame in frames)
            for name, frames in found.items()
            if all(frame.kind != NO_FILE for frame in frames)
        }

    def _start_statistics(self, values: dict[str, int]) -> None:
        self._statistics_before = values

    def _count_statistics(self, records: Sequence[Record], values: dict[str, int]) -> None:
        for record in records:
            record.statistics = {name: value - self._statistics_before[name] for name, value in values.items()}

    def check_others(self, channel: Channel) -> None:
        """Check, when all processes of the scenario have ended, that no other program changed what was counted.

        Raises:
            Disturbed: one did.
        """
        until = time.monotonic() + SETTLED
        while self.conditions.hidden and self.conditions.switches is not None and self.sizes:
            self._frames = iter(channel.play("\n".join(f"get {_nr_anon_file(kib)}" for kib in self.sizes)))
            left = sum(self._number(kib) for kib in self.sizes) - self._nr_anon_before
            if not left:
                break
            if time.monotonic() > until:
                raise Disturbed(f"other programs' large folios came or went (nr_anon {left:+})")
            time.sleep(SETTLED / 20)

    def _number(self, kib: int) -> int:
        frame = self._next()
        if frame.kind == NO_FILE:
            raise KernelError(f"there are no counters for folios of {kib} KiB", "use Linux 6.12 or newer, or root")
        return int(frame.text)

    # -- reading -----------------------------------------------------------------------------------
    def _start_counting(self, counters: dict[str, int]) -> None:
        self._counters_before = counters

    def _start_population(self, number: int) -> None:
        self._nr_anon_before = number

    def _count_population(self, number: int) -> None:
        self._population_before = self._population
        self._population = number - self._nr_anon_before

    def _allow_splits(self, counters: dict[str, int]) -> None:
        """Count all splits up to now as requested by the scenario."""
        self._splits = counters.get("thp_split_page", 0) - self._counters_before.get("thp_split_page", 0)

    def _check_counters(self, counters: dict[str, int]) -> None:
        own = {"thp_split_page": self._splits} if self._splits else {}
        if any(step.action == "pageout" for step in self.scenario.steps):
            own |= {"pswpout": UNLIMITED, "pswpin": UNLIMITED}
        if any(step.action == "migrate" for step in self.scenario.steps):
            own |= {"pgmigrate_success": UNLIMITED}
        if moved := guards.moved(self._counters_before, counters, own):
            raise Disturbed("; ".join(moved))

    def _check_region(self, region: Region, faults: Sequence[int]) -> None:
        start = self.layout.start[region.name]
        where = slice(start, start + region.populated)
        seen = self._seen[0]
        if self.conditions.hidden:
            if faults != [int(page % (1 << region.order) == 0) for page in range(region.populated)]:
                raise Disturbed(
                    f"region {region.name}: {region.folios} folios were asked for, and the first touches took "
                    f"{sum(faults)} page faults"
                )
        elif wrong := pagemap.off_size(seen.frames[where], region.order, seen.flags[where]):
            raise Disturbed(f"region {region.name}: {wrong[0]}")
        # every page of a fresh region is AnonExclusive
        self._shows_anon_exclusive |= bool(region.order and seen.anon_exclusive[where].any())

    def _finish(self, record: Record) -> None:
        """Complete a record once its step is over, and the views after it are known."""
        step, hidden = record.step, self.conditions.hidden
        record.views = {name: self._seen[number].view for name, number in self._alive.items()}
        record.hidden = hidden
        if hidden:
            record.population = UNCOUNTED if self.conditions.switches is None else self._population
        if step.action not in ("write", "pin", "cold", "pageout") or self._process(step.process) not in self._alive:
            return
        assert step.pages is not None
        number, pages = self._alive[self._process(step.process)], self.layout.range(step.pages)
        old, new = self._seen_before[number], self._seen[number]
        if step.action == "cold":
            fewer = self._population < self._population_before if hidden else new.large(pages) < old.large(pages)
            record.answer = "split" if fewer else "kept"
        elif step.action == "pageout":
            record.answer = "out" if ((new.frames[pages] == ABSENT) & (old.frames[pages] != ABSENT)).any() else "kept"
        else:
            self._judge(record, old.frames[pages], new.frames[pages])
            if step.action == "write" and not hidden:
                record.causes = old.causes(pages, any(one.step.action == "free" for one in self.records))

    def _judge(self, record: Record, before: NDArray[np.int64], after: NDArray[np.int64]) -> None:
        """Set the outcomes of a record, which has "faulted" or "" for each page, from the PFNs before and after."""
        reused = FAULTED if self.conditions.hidden else "reused"
        same = [reused if faulted else "unchanged" for faulted in record.outcomes]
        record.outcomes = tuple(
            "new page" if old == ABSENT else same[i] if old == new else "copied"
            for i, (old, new) in enumerate(zip(before.tolist(), after.tolist(), strict=True))
        )

    # -- the actions -------------------------------------------------------------------------------
    def _range(self, step: ScenarioStep) -> tuple[int, int, int]:
        """The number of a step's process, its first page, and the number of its pages."""
        assert step.pages is not None
        pages = self.layout.range(step.pages)
        return self._numbers[step.process], pages.start, pages.stop - pages.start

    def _process(self, name: str) -> str:
        return self.scenario.process_of[name]

    def _fork(self, record: Record, step: ScenarioStep, value: int) -> None:
        hole = (0, 0) if step.pages is None else self._range(step)[1:]
        self._line("fork", self._numbers[step.process], *self._new(step), *hole)

    def _thread(self, record: Record, step: ScenarioStep, value: int) -> None:
        self._line("thread", self._numbers[step.process], *self._new(step))

    def _new(self, step: ScenarioStep) -> tuple[int, int]:
        """The number and the processor of a new process or thread."""
        self._forks += 1
        self._numbers[step.name] = self._forks
        return self._forks, self.cpus[self._forks % len(self.cpus)]

    def _exec(self, record: Record, step: ScenarioStep, value: int) -> None:
        number = self._numbers[step.process]
        self._forget(step.process)
        self._numbers[step.process] = number
        self._command("exec", number)

    def _exit(self, record: Record, step: ScenarioStep, value: int) -> None:
        number = self._numbers.pop(step.process)
        if self._process(step.process) != step.process:
            self._command("leave", number)
            return
        self._forget(step.process)
        self._command("exit", number)

    def _forget(self, process: str) -> None:
        """Forget the threads of a process, and the pins and pipes, which the agent itself releases."""
        self._numbers = {name: number for name, number in self._numbers.items() if self._process(name) != process}
        self._held = {name: held for name, held in self._held.items() if held[0] != process}

    def _write(self, record: Record, step: ScenarioStep, value: int) -> None:
        self._line("write", *self._range(step), value, 1)
        self._readers.append(lambda: self._faults(record))

    def _faults(self, record: Record) -> None:
        record.outcomes = tuple(FAULTED if fault else "" for fault in self._next().payload)

    def _read(self, record: Record, step: ScenarioStep, value: int) -> None:
        self._line("read", *self._range(step))
        self._readers.append(lambda: self._bytes(record))

    def _bytes(self, record: Record) -> None:
        record.answer = ", ".join(map(str, dict.fromkeys(self._next().payload)))

    def _munmap(self, record: Record, step: ScenarioStep, value: int) -> None:
        self._command(step.action, *self._range(step))

    _dontneed = _mprotect = _cold = _pageout = _free = _munmap

    def _mremap(self, record: Record, step: ScenarioStep, value: int) -> None:
        assert step.to is not None
        self._command("mremap", *self._range(step), self.layout.range(step.to).start)

    def _pin(self, record: Record, step: ScenarioStep, value: int) -> None:
        """At once with others only the frame tells something: a fault may have had nothing left to do."""
        process, page, _ = self._range(step)
        self._line("pin", process, page, self._new_reference(step))
        together = self._awaited is not None

        def read() -> None:
            self._faults(record)
            if together:
                record.outcomes = ("",)

        self._readers.append(read)

    def _vmsplice(self, record: Record, step: ScenarioStep, value: int) -> None:
        process, page, _ = self._range(step)
        self._command("vmsplice", process, page, self._new_reference(step))

    def _new_reference(self, step: ScenarioStep) -> int:
        number = 1 + max((number for _, number in self._held.values()), default=0)
        self._held[step.name] = self._process(step.process), number
        return number

    def _migrate(self, record: Record, step: ScenarioStep, value: int) -> None:
        """At once with others every folio moves, so that they meet migration entries; and nobody knows the moment."""
        together = self._awaited is not None
        self._line("migrate", *self._range(step), *self.conditions.nodes[:2], int(together))

        def read() -> None:
            moved = any(self._next().payload)
            record.answer = "" if together else "moved" if moved else "kept"

        self._readers.append(read)

    def _unpin(self, record: Record, step: ScenarioStep, value: int) -> None:
        self._command("release", self._numbers[step.process], self._held.pop(step.name)[1])

    _close = _unpin

    def _peek(self, record: Record, step: ScenarioStep, value: int) -> None:
        self._line("peek", self._numbers[step.process], self._held[step.name][1])
        self._readers.append(lambda: self._bytes(record))


def _hide(record: Record) -> None:
    """Say that the outcomes of a record are not to be seen."""
    record.outcomes = (UNSEEN,) * len(record.outcomes)


def _nr_anon_file(kib: int) -> str:
    """The file with the number of large anonymous folios of a size on the whole host."""
    return f"{THP}/hugepages-{kib}kB/stats/nr_anon"


def run(scenario: Scenario, channel: Channel, conditions: Conditions) -> tuple[list[Record], int]:
    """Run a scenario, and repeat it while the kernel disturbs it.

    Args:
        scenario: the scenario.
        channel: to the agent on the kernel.
        conditions: of the kernel.

    Returns:
        The records of its steps, and the number of discarded attempts.

    Raises:
        Gone: the kernel does not answer any more.
        KernelError: the kernel refused a system call, or disturbed every attempt.
    """
    reason = ""
    for discarded in range(ATTEMPTS):
        attempt = Attempt(scenario, conditions)
        try:
            records = attempt.read(channel.play(attempt.program))
            attempt.check_others(channel)
            return records, discarded
        except Disturbed as disturbed:
            reason = str(disturbed)
    raise KernelError(
        f"the kernel disturbed scenario {scenario.name} {ATTEMPTS} times; the last time: {reason}",
        "try again when the host is less busy and has free memory",
    )
