"""A scenario on the running kernel: real processes, real folios, outcomes read from page frame numbers (PFNs).

A write that changes the PFN copied the page. A write that faulted and kept the PFN reused the page. A write without a
fault changed nothing. A page that was absent before is a new page. A partial MADV_COLD splits a folio that the kernel
takes for exclusive: a second witness of the shared bit. Source: docs/real-kernels.md, "How an outcome is known".

Why attempts are discarded. Migration, compaction, khugepaged and swapping also change PFNs, without any process asking
for it, and that looks like a copy. So the counters of `guards` are read before and after; if one moved, or if a region
did not get folios of its size, the attempt proves nothing. It is discarded and the scenario runs again, at most
ATTEMPTS times. An outcome that the policy does not predict is never a reason to repeat.

Without CAP_SYS_ADMIN all PFNs read as 0: they are hidden. The page faults of the first touches then show the folios'
size. A copy and a reuse look equal (`FAULTED`), and the number of large folios on the host (`nr_anon`) is the witness,
if the THP settings are the scenario's own. Otherwise the memory of any program, the agent's own included, may be in
large folios, and the number says nothing. Also with settings of its own, a program may free large folios that it had
before, or ask for some by madvise: if the number is not the same again when all processes of the scenario have ended,
the attempt is discarded.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.errors import KernelError
from foliolab.framework.kernel import guards, pagemap, settings
from foliolab.framework.kernel.processes import Launcher, Process, Tree
from foliolab.framework.kernel.settings import Exclusive
from foliolab.framework.scenario.model import default_byte
from foliolab.framework.scenario.record import ABSENT, FAULTED, UNCOUNTED, Record, View
from foliolab.framework.scenario.space import Layout
from foliolab.framework.scenario.syntax import INITIAL_BYTE, Region, Scenario, ScenarioStep

PAGE: Final = pagemap.PAGE_SIZE
ATTEMPTS: Final = 5
SETTLED: Final = 0.2
"""Seconds until the last large folios of processes that have ended are freed."""
IN_SWAP_CACHE: Final = "the small folio was in the swap cache, which holds a reference; readahead puts it there"
IN_BATCH: Final = "the small folio was in a per-CPU LRU batch, which holds a reference"


class Disturbed(Exception):
    """The kernel moved pages by itself, or did not give the requested folios: the attempt is discarded."""


class KernelRun:
    """One attempt to run a scenario on the running kernel; a context manager.

    Args:
        scenario: checked for validity by the parser.
        launcher: starts the processes.
        thp: the THP settings, with the lock held; None leaves the settings as they are.
        cpus: numbers of the processors that the processes are spread over.

    Raises:
        KernelError: the kernel refused a system call.
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
        self.references: dict[str, tuple[str, int]] = {}
        """For each pin and pipe its process and its number in the agent."""
        self.zero_pfn = -1
        self.controlled = thp is not None
        """Whether no other program gets large folios of its sizes, so that their number on the host says something."""
        self.hidden = False
        self.sizes = sorted({region.size_kib for region in scenario.regions if region.order})
        self.nr_anon_before = self._nr_anon()
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
        faults = root.ask("populate", addr, region.populated * PAGE, nbytes, huge, INITIAL_BYTE, split)
        if region.populated:
            pages = pagemap.pagemap(root.pagemap, addr, region.populated)
            self.hidden = not pages.pfn.any()
            if self.hidden:
                if faults != [int(page % (1 << region.order) == 0) for page in range(region.populated)]:
                    raise Disturbed(
                        f"region {region.name}: {region.folios} folios were asked for, and the first touches took "
                        f"{sum(faults)} page faults"
                    )
            elif wrong := pagemap.off_size(pages.pfn, region.order):
                raise Disturbed(f"region {region.name}: {wrong[0]}")

    def run(self) -> Iterator[Record]:
        """Execute the steps and yield the record of each.

        Raises:
            KernelError: the kernel refused a step.
            Disturbed: the kernel moved pages by itself meanwhile.
        """
        for number, step in enumerate(self.scenario.steps):
            yield self.step(number, step)
        self.check_guards()

    def check_guards(self) -> None:
        """Check that the kernel moved nothing but what the scenario asked for.

        Raises:
            Disturbed: it did.
        """
        own = {"thp_split_page": self.splits} if self.splits else {}
        if any(step.action == "pageout" for step in self.scenario.steps):
            own |= {"pswpout": 1 << 30, "pswpin": 1 << 30}
        if moved := guards.moved(self.before, guards.read(), own):
            raise Disturbed("; ".join(moved))

    def step(self, number: int, step: ScenarioStep) -> Record:
        """Execute one step, then read the views of all processes."""
        record = Record(step)
        getattr(self, f"_{step.action}")(record, step, default_byte(number) if step.value is None else step.value)
        record.views = self.views()
        record.hidden = self.hidden
        if self.hidden:
            record.population = self.population() if self.controlled else UNCOUNTED
        return record

    def _nr_anon(self) -> int:
        """The number of large anonymous folios of the scenario's sizes on the whole host."""
        return sum(settings.stats(kib).get("nr_anon", 0) for kib in self.sizes)

    def population(self) -> int:
        """The number of large folios that the scenario has, as far as no other program changed `nr_anon`."""
        return self._nr_anon() - self.nr_anon_before

    def check_others(self) -> None:
        """Check, when all processes of the scenario have ended, that no other program changed what was counted.

        Raises:
            Disturbed: one did.
        """
        until = time.monotonic() + SETTLED
        while self.hidden and self.controlled and (left := self.population()):
            if time.monotonic() > until:
                raise Disturbed(f"other programs' large folios came or went (nr_anon {left:+})")
            time.sleep(SETTLED / 20)

    # -- views of the processes --------------------------------------------------------------------
    def views(self) -> dict[str, View]:
        """What /proc shows of each process."""
        seen = {name: self._frames(process) for name, process in self.processes.items()}
        frames = [pages for pages, _ in seen.values()]
        all_frames = np.concatenate(frames) if frames else np.zeros(0, np.int64)
        counts = np.zeros_like(all_frames) if self.hidden else pagemap.kpagecount(all_frames)
        parts = np.split(counts, np.cumsum([len(pages) for pages in frames])[:-1]) if frames else []
        no_pmd = np.zeros(self.layout.nr_pages, np.bool_)
        return {
            name: View(pages, count, exclusive, no_pmd)
            for (name, (pages, exclusive)), count in zip(seen.items(), parts, strict=True)
        }

    def _frames(self, process: Process) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """PFN and bit 56 of all pages; the zero page, which a read maps, counts as absent."""
        pages = pagemap.pagemap(process.pagemap, self.base, self.layout.nr_pages)
        present = pages.present
        pfn = pages.pfn
        if not self.hidden:
            present &= pfn != self.zero_pfn
        elif self.zero_pfn >= 0:
            present &= ~pagemap.zero_pages(process.pagemap, self.base, self.layout.nr_pages)
        return np.where(present, pfn, ABSENT), (pages.exclusive & present).astype(np.int64)

    # -- the actions -------------------------------------------------------------------------------
    def _range(self, step: ScenarioStep) -> tuple[Process, slice, int, int]:
        """The process of a step, and its pages: as a slice of the layout, and as address and size in bytes."""
        assert step.pages is not None
        pages = self.layout.range(step.pages)
        addr, nbytes = self.base + pages.start * PAGE, (pages.stop - pages.start) * PAGE
        return self.processes[step.process], pages, addr, nbytes

    def _fork(self, record: Record, step: ScenarioStep, value: int) -> None:
        hole = () if step.pages is None else self._range(step)[2:]
        self.processes[step.name] = self.tree.fork(self.processes[step.process], *hole)

    def _exec(self, record: Record, step: ScenarioStep, value: int) -> None:
        self._forget_references(step.process)
        self.tree.exec(self.processes[step.process])

    def _exit(self, record: Record, step: ScenarioStep, value: int) -> None:
        self._forget_references(step.process)
        self.tree.exit(self.processes.pop(step.process))

    def _forget_references(self, process: str) -> None:
        """Forget the pins and pipes of a process, which the agent itself releases."""
        self.references = {name: held for name, held in self.references.items() if held[0] != process}

    def _write(self, record: Record, step: ScenarioStep, value: int) -> None:
        process, pages, addr, nbytes = self._range(step)
        before, _ = self._frames(process)
        record.causes = self._causes(before[pages])
        faults = process.ask("write", addr, nbytes // PAGE, value, 1)
        self._judge(record, before[pages], self._frames(process)[0][pages], faults)

    def _judge(
        self, record: Record, before: NDArray[np.int64], after: NDArray[np.int64], faults: Sequence[int]
    ) -> None:
        """Set the outcomes of a record from the PFNs before and after the stores, and from their page faults."""
        reused = FAULTED if self.hidden else "reused"
        same = [reused if fault else "unchanged" for fault in faults]
        record.outcomes = tuple(
            "new page" if old == ABSENT else same[i] if old == new else "copied"
            for i, (old, new) in enumerate(zip(before.tolist(), after.tolist(), strict=True))
        )

    def _causes(self, frames: NDArray[np.int64]) -> tuple[str, ...]:
        """For each page the cause, other than its owners, that may decide a write; empty if there is none."""
        if self.hidden:
            return ()
        flags = pagemap.kpageflags(frames)
        small = (frames != ABSENT) & ~pagemap.has(flags, "THP")
        in_swap_cache, on_lru = pagemap.has(flags, "SWAPCACHE"), pagemap.has(flags, "LRU")
        causes = np.where(in_swap_cache, IN_SWAP_CACHE, np.where(on_lru, "", IN_BATCH))
        return tuple(np.where(small, causes, "").tolist())

    def _read(self, record: Record, step: ScenarioStep, value: int) -> None:
        process, _, addr, nbytes = self._range(step)
        if self.zero_pfn < 0:  # a read may map the zero page, so `_frames` must know its PFN from now on
            (zero,) = process.ask("zero")
            self.zero_pfn = int(pagemap.pagemap(process.pagemap, zero, 1).pfn[0])
        record.answer = ", ".join(map(str, dict.fromkeys(process.ask("read", addr, nbytes // PAGE))))

    def _munmap(self, record: Record, step: ScenarioStep, value: int) -> None:
        process, _, addr, nbytes = self._range(step)
        process.ask(step.action, addr, nbytes)

    _dontneed = _mprotect = _munmap

    def _mremap(self, record: Record, step: ScenarioStep, value: int) -> None:
        process, _, addr, nbytes = self._range(step)
        assert step.to is not None
        process.ask("mremap", addr, nbytes, self.base + self.layout.range(step.to).start * PAGE)

    def _pin(self, record: Record, step: ScenarioStep, value: int) -> None:
        process, pages, addr, _ = self._range(step)
        before, _ = self._frames(process)
        faults = process.ask("pin", addr, self._new_reference(step))
        self._judge(record, before[pages], self._frames(process)[0][pages], faults)

    def _vmsplice(self, record: Record, step: ScenarioStep, value: int) -> None:
        process, _, addr, _ = self._range(step)
        process.ask("vmsplice", addr, self._new_reference(step))

    def _new_reference(self, step: ScenarioStep) -> int:
        number = 1 + max((number for _, number in self.references.values()), default=0)
        self.references[step.name] = step.process, number
        return number

    def _unpin(self, record: Record, step: ScenarioStep, value: int) -> None:
        self.processes[step.process].ask("release", self.references.pop(step.name)[1])

    _close = _unpin

    def _peek(self, record: Record, step: ScenarioStep, value: int) -> None:
        (byte,) = self.processes[step.process].ask("peek", self.references[step.name][1])
        record.answer = str(byte)

    def _cold(self, record: Record, step: ScenarioStep, value: int) -> None:
        process, pages, addr, nbytes = self._range(step)
        large = self._large(process, pages)
        process.ask("cold", addr, nbytes)
        self._allow_splits()
        record.answer = "split" if self._large(process, pages) < large else "kept"

    def _allow_splits(self) -> None:
        """Count all splits up to now as requested by the scenario, for `check_guards`."""
        self.splits = guards.read().get("thp_split_page", 0) - self.before.get("thp_split_page", 0)

    def _large(self, process: Process, pages: slice) -> int:
        """The number of these pages that are in large folios; if PFNs are hidden, the number of large folios."""
        if self.hidden:
            return self.population()
        flags = pagemap.kpageflags(self._frames(process)[0][pages])
        return int(np.count_nonzero(pagemap.has(flags, "THP")))

    def _pageout(self, record: Record, step: ScenarioStep, value: int) -> None:
        process, pages, addr, nbytes = self._range(step)
        before = self._frames(process)[0][pages] != ABSENT
        process.ask("pageout", addr, nbytes)
        self._allow_splits()
        after = pagemap.pagemap(process.pagemap, self.base, self.layout.nr_pages)
        record.answer = "out" if (after.swapped[pages] & before).any() else "kept"


def run(
    scenario: Scenario, launcher: Launcher, thp: Exclusive | None, cpus: Sequence[int] | None = None
) -> tuple[list[Record], int]:
    """Run a scenario, and repeat it while the kernel disturbs it.

    Args:
        scenario, launcher, thp: as for `KernelRun`.
        cpus: as for `KernelRun`; None: the first processor that this process may use.

    Returns:
        The records of its steps, and the number of discarded attempts.

    Raises:
        KernelError: the kernel refused a system call, or disturbed every attempt.
    """
    cpus = cpus or sorted(os.sched_getaffinity(0))[:1]
    reason = ""
    for discarded in range(ATTEMPTS):
        try:
            with KernelRun(scenario, launcher, thp, cpus) as attempt:
                records = list(attempt.run())
            attempt.check_others()
            return records, discarded
        except Disturbed as disturbed:
            reason = str(disturbed)
    raise KernelError(
        f"the kernel disturbed scenario {scenario.name} {ATTEMPTS} times; the last time: {reason}",
        "try again when the host is less busy and has free memory",
    )
