"""A scenario on the running kernel: real processes, real folios, outcomes read from page frame numbers.

A write that changes the PFN copied the page. A write that faulted and kept the PFN reused the page. A write without a
fault changed nothing. A page that was absent before is a new page. A partial MADV_COLD splits a folio that the kernel
takes for exclusive: a second witness of the shared bit. Source: docs/real-kernels.md, "How an outcome is known".
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.errors import KernelError
from foliolab.framework.kernel import guards, pagemap, settings
from foliolab.framework.kernel.processes import Launcher, Process, Tree
from foliolab.framework.kernel.settings import Exclusive
from foliolab.framework.scenario.model import default_byte
from foliolab.framework.scenario.record import ABSENT, FAULTED, Record, View
from foliolab.framework.scenario.space import Layout
from foliolab.framework.scenario.syntax import INITIAL_BYTE, Region, Scenario, ScenarioStep

PAGE: Final = pagemap.PAGE_SIZE
ATTEMPTS: Final = 5
"""How often a scenario is repeated that the kernel disturbed."""


IN_SWAP_CACHE: Final = "the small folio was in the swap cache, which holds a reference; readahead puts it there"
IN_BATCH: Final = "the small folio was in a per-CPU LRU batch, which holds a reference"


class Disturbed(Exception):
    """The kernel moved pages by itself, or did not give the folios that were asked for: repeat."""


class KernelRun:
    """One run of a scenario on the running kernel; a context manager.

    Args:
        scenario: a valid one.
        launcher: where processes come from.
        thp: the settings, held; None: they are taken as they are.
        cpus: processors to spread the processes over; one: all on it.

    Raises:
        KernelError: the kernel refused something.
        Disturbed: a region did not get its folios.
    """

    def __init__(self, scenario: Scenario, launcher: Launcher, thp: Exclusive | None, cpus: Sequence[int]) -> None:
        self.scenario = scenario
        self.layout = Layout(scenario.regions)
        self.before = guards.read()
        self.splits = 0
        size = 1 + sum(step.action == "fork" for step in scenario.steps)
        self.tree = Tree(launcher, size, cpus)
        self.processes = {scenario.first: self.tree.root}
        self.held: dict[str, tuple[str, int]] = {}
        self.zero = -1
        self.hidden = False
        self.sizes = sorted({region.size_kib for region in scenario.regions if region.order})
        self.inhabitants = self._nr_anon()
        self.populated = 0
        try:
            (self.base,) = self.tree.root.ask("reserve", self.layout.nr_pages * PAGE)
            for region in scenario.regions:
                self._populate(region, thp)
        except BaseException:
            self.tree.close()
            raise

    def __enter__(self) -> KernelRun:
        return self

    def __exit__(self, *fault: object) -> None:
        self.tree.close()

    def _populate(self, region: Region, thp: Exclusive | None) -> None:
        start = self.layout.start[region.name]
        addr, nbytes = self.base + start * PAGE, region.nr_pages * PAGE
        root = self.tree.root
        root.ask("map", addr, nbytes)
        if thp is not None:
            thp.only(region.size_kib)
        split = int(region.order == 9 and not region.pmd)
        huge = int(region.order > 0)
        root.ask("populate", addr, region.populated * PAGE, nbytes, huge, INITIAL_BYTE, split)
        if region.populated:
            pages = pagemap.pagemap(root.pagemap, addr, region.populated)
            self.hidden = not pages.pfn.any()
            if self.hidden:
                self.populated += region.folios if region.order else 0
                if self.population() != self.populated:
                    raise Disturbed(f"region {region.name}: the kernel did not give {region.folios} large folios")
            elif wrong := pagemap.off_size(pages.pfn, region.order):
                raise Disturbed(f"region {region.name}: {wrong[0]}")

    def run(self) -> Iterator[Record]:
        """Do the steps one by one.

        Raises:
            KernelError: the kernel refused a step.
            Disturbed: it moved pages by itself meanwhile.
        """
        for number, step in enumerate(self.scenario.steps):
            yield self.step(number, step)
        self.check_guards()

    def check_guards(self) -> None:
        """See that nothing moved but what the scenario itself asked for."""
        own = {"thp_split_page": self.splits} if self.splits else {}
        if any(step.action == "pageout" for step in self.scenario.steps):
            own |= {"pswpout": 1 << 30, "pswpin": 1 << 30}
        if moved := guards.moved(self.before, guards.read(), own):
            raise Disturbed("; ".join(moved))

    def step(self, number: int, step: ScenarioStep) -> Record:
        """Do one step, and look at every process afterwards."""
        record = Record(step)
        getattr(self, f"_{step.action}")(record, step, default_byte(number) if step.value is None else step.value)
        record.views = self.views()
        record.hidden = self.hidden
        if self.hidden:
            record.population = self.population()
        return record

    def _nr_anon(self) -> int:
        """Large anonymous folios of the scenario's sizes on the whole machine."""
        return sum(settings.stats(kib).get("nr_anon", 0) for kib in self.sizes)

    def population(self) -> int:
        """How many of them the scenario has: the witness that needs no privilege."""
        return self._nr_anon() - self.inhabitants

    # -- looking -----------------------------------------------------------------------------------
    def views(self) -> dict[str, View]:
        """What each process sees."""
        seen = {name: self._frames(process) for name, process in self.processes.items()}
        frames = [pages for pages, _ in seen.values()]
        every = np.concatenate(frames) if frames else np.zeros(0, np.int64)
        counts = np.zeros_like(every) if self.hidden else pagemap.kpagecount(every)
        parts = np.split(counts, np.cumsum([len(pages) for pages in frames])[:-1]) if frames else []
        none = np.zeros(self.layout.nr_pages, np.bool_)
        return {
            name: View(pages, count, exclusive, none)
            for (name, (pages, exclusive)), count in zip(seen.items(), parts, strict=True)
        }

    def _frames(self, process: Process) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(PFNs, bit 56) of all pages; the zero page, which a read maps, counts as absent."""
        pages = pagemap.pagemap(process.pagemap, self.base, self.layout.nr_pages)
        there = pages.present
        pfn = pages.pfn
        if not self.hidden:
            there &= pfn != self.zero
        elif self.zero >= 0:
            there &= ~pagemap.zero_pages(process.pagemap, self.base, self.layout.nr_pages)
        return np.where(there, pfn, ABSENT), (pages.exclusive & there).astype(np.int64)

    # -- the actions -------------------------------------------------------------------------------
    def _at(self, step: ScenarioStep) -> tuple[Process, int, int]:
        """(process, address, bytes) of a step."""
        assert step.pages is not None
        where = self.layout.range(step.pages)
        return self.processes[step.process], self.base + where.start * PAGE, (where.stop - where.start) * PAGE

    def _fork(self, record: Record, step: ScenarioStep, value: int) -> None:
        hole = () if step.pages is None else self._at(step)[1:]
        self.processes[step.name] = self.tree.fork(self.processes[step.process], *hole)

    def _exec(self, record: Record, step: ScenarioStep, value: int) -> None:
        self._let_go_all(step.process)
        self.tree.exec(self.processes[step.process])

    def _exit(self, record: Record, step: ScenarioStep, value: int) -> None:
        self._let_go_all(step.process)
        self.tree.exit(self.processes.pop(step.process))

    def _let_go_all(self, process: str) -> None:
        """The agent itself lets go of them."""
        self.held = {name: held for name, held in self.held.items() if held[0] != process}

    def _write(self, record: Record, step: ScenarioStep, value: int) -> None:
        process, addr, nbytes = self._at(step)
        where = self.layout.range(step.pages) if step.pages else slice(0)
        before, _ = self._frames(process)
        record.causes = self._causes(before[where])
        faults = process.ask("write", addr, nbytes // PAGE, value, 1)
        self._judge(record, before[where], self._frames(process)[0][where], faults)

    def _judge(
        self, record: Record, before: NDArray[np.int64], after: NDArray[np.int64], faults: Sequence[int]
    ) -> None:
        reused = FAULTED if self.hidden else "reused"
        same = [reused if fault else "unchanged" for fault in faults]
        record.outcomes = tuple(
            "new page" if old == ABSENT else same[i] if old == new else "copied"
            for i, (old, new) in enumerate(zip(before.tolist(), after.tolist(), strict=True))
        )

    def _causes(self, frames: NDArray[np.int64]) -> tuple[str, ...]:
        """What besides the owner may decide a write to these pages."""
        if self.hidden:
            return ()
        flags = pagemap.kpageflags(frames)
        small = (frames != ABSENT) & ~pagemap.has(flags, "THP")
        cached, listed = pagemap.has(flags, "SWAPCACHE").tolist(), pagemap.has(flags, "LRU").tolist()
        return tuple(
            "" if not one else IN_SWAP_CACHE if cached[i] else "" if listed[i] else IN_BATCH
            for i, one in enumerate(small.tolist())
        )

    def _read(self, record: Record, step: ScenarioStep, value: int) -> None:
        process, addr, nbytes = self._at(step)
        if self.zero < 0:
            self._find_zero_page(process)
        record.answer = ", ".join(map(str, dict.fromkeys(process.ask("read", addr, nbytes // PAGE))))

    def _find_zero_page(self, process: Process) -> None:
        """A read of memory that was never written maps it; the agent has a page for that."""
        (addr,) = process.ask("zero")
        pages = pagemap.pagemap(process.pagemap, addr, 1)
        self.zero = int(pages.pfn[0])

    def _munmap(self, record: Record, step: ScenarioStep, value: int) -> None:
        process, addr, nbytes = self._at(step)
        process.ask(step.action, addr, nbytes)

    _dontneed = _mprotect = _munmap

    def _mremap(self, record: Record, step: ScenarioStep, value: int) -> None:
        process, addr, nbytes = self._at(step)
        assert step.to is not None
        process.ask("mremap", addr, nbytes, self.base + self.layout.range(step.to).start * PAGE)

    def _pin(self, record: Record, step: ScenarioStep, value: int) -> None:
        process, addr, _ = self._at(step)
        where = self.layout.range(step.pages) if step.pages else slice(0)
        before, _ = self._frames(process)
        faults = process.ask("pin", addr, self._hold(step))
        self._judge(record, before[where], self._frames(process)[0][where], faults)

    def _vmsplice(self, record: Record, step: ScenarioStep, value: int) -> None:
        process, addr, _ = self._at(step)
        process.ask("vmsplice", addr, self._hold(step))

    def _hold(self, step: ScenarioStep) -> int:
        number = len(self.held) + 1 + max((n for _, n in self.held.values()), default=0)
        self.held[step.name] = step.process, number
        return number

    def _unpin(self, record: Record, step: ScenarioStep, value: int) -> None:
        self.processes[step.process].ask("let_go", self.held.pop(step.name)[1])

    _close = _unpin

    def _peek(self, record: Record, step: ScenarioStep, value: int) -> None:
        (byte,) = self.processes[step.process].ask("peek", self.held[step.name][1])
        record.answer = str(byte)

    def _cold(self, record: Record, step: ScenarioStep, value: int) -> None:
        process, addr, nbytes = self._at(step)
        where = self.layout.range(step.pages) if step.pages else slice(0)
        large = self._large(process, where)
        process.ask("cold", addr, nbytes)
        self._count_splits()
        record.answer = "split" if self._large(process, where) < large else "kept"

    def _count_splits(self) -> None:
        """What has been split by now the step itself asked for."""
        self.splits = guards.read().get("thp_split_page", 0) - self.before.get("thp_split_page", 0)

    def _large(self, process: Process, where: slice) -> int:
        """How many pages there belong to large folios; where frames are hidden, how many such folios there are."""
        if self.hidden:
            return self.population()
        flags = pagemap.kpageflags(self._frames(process)[0][where])
        return int(np.count_nonzero(pagemap.has(flags, "THP")))

    def _pageout(self, record: Record, step: ScenarioStep, value: int) -> None:
        process, addr, nbytes = self._at(step)
        where = self.layout.range(step.pages) if step.pages else slice(0)
        before = self._frames(process)[0][where] != ABSENT
        process.ask("pageout", addr, nbytes)
        self._count_splits()
        pages = pagemap.pagemap(process.pagemap, self.base, self.layout.nr_pages)
        record.answer = "out" if (pages.swapped[where] & before).any() else "kept"


def run(
    scenario: Scenario, launcher: Launcher, thp: Exclusive | None, cpus: Sequence[int] | None = None
) -> tuple[list[Record], int]:
    """A scenario, repeated while the kernel disturbs it.

    Args:
        cpus: default: one that this process may use.

    Returns:
        Its records, and how many attempts were discarded.

    Raises:
        KernelError: the kernel refused something, or disturbed every attempt.
    """
    cpus = cpus or sorted(os.sched_getaffinity(0))[:1]
    why = ""
    for discarded in range(ATTEMPTS):
        try:
            with KernelRun(scenario, launcher, thp, cpus) as attempt:
                return list(attempt.run()), discarded
        except Disturbed as disturbed:
            why = str(disturbed)
    raise KernelError(
        f"the kernel disturbed scenario {scenario.name} {ATTEMPTS} times; the last time: {why}",
        "try again when the machine is quieter and has free memory",
    )
