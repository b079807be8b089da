"""Which steps are possible: living processes, existing address ranges, names that are in use."""

from __future__ import annotations

from typing import Final, NoReturn

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.engine.pagetable import PTRS_PER_PTE
from foliolab.framework.machine.layout import PMD_ORDER
from foliolab.framework.scenario.group import PRESENT, Group
from foliolab.framework.scenario.refusal import Refused
from foliolab.framework.scenario.syntax import (
    Expect,
    Item,
    Mark,
    Pages,
    Region,
    Scenario,
    ScenarioStep,
)

MAX_PROCESSES: Final = 64
MAX_PAGES: Final = 1 << 16
"""Pages of all regions together."""


class Layout:
    """The page numbers of regions in every process's address space; regions are aligned to 2 MiB."""

    def __init__(self, regions: tuple[Region, ...]) -> None:
        self.start: dict[str, int] = {}
        self.nr_pages = 0
        for region in regions:
            self.start[region.name] = start = -(-self.nr_pages // PTRS_PER_PTE) * PTRS_PER_PTE
            self.nr_pages = start + region.nr_pages

    def range(self, pages: Pages) -> slice:
        at = self.start[pages.region]
        return slice(at + pages.first, at + pages.last + 1)


class _AddressSpace:
    """For each page of a process: the VMA that it belongs to (0: none), and whether it is present."""

    def __init__(self, vma: NDArray[np.int32], present: NDArray[np.bool_]) -> None:
        self.vma = vma
        self.present = present


class Space:
    """The address spaces of a scenario's processes, step by step, as far as they are known without running it."""

    def __init__(self, scenario: Scenario) -> None:
        self.regions = {region.name: region for region in scenario.regions}
        self.layout = Layout(scenario.regions)
        vma = np.zeros(self.layout.nr_pages, np.int32)
        present = np.zeros(self.layout.nr_pages, np.bool_)
        for number, region in enumerate(scenario.regions, 1):
            at = self.layout.start[region.name]
            vma[at : at + region.nr_pages] = number
            present[at : at + region.populated] = True
        self.alive = {scenario.first: _AddressSpace(vma, present)}
        """The address space of each living process and thread."""
        self.process_of = {scenario.first: scenario.first}
        """The process of each process and thread that there was; a process is its own."""
        self.held: dict[str, tuple[str, str]] = {}
        """Pins and pipes: name -> (process, action)."""
        self._nr_vmas = len(scenario.regions)
        self._cold_done = self._paged_out = self._grouped = False
        self.group: Group | None = None
        """The steps that run at once, between `at once` and its end."""
        self._present_before: dict[str, NDArray[np.bool_]] = {}
        """Which pages of each process are present when the steps that run at once begin."""

    def apply(self, item: Item) -> None:
        """Check a line and update the address spaces.

        Raises:
            Refused: the step is not possible.
        """
        if isinstance(item, Mark):
            self._mark(item)
            return
        if isinstance(item, Expect):
            if self.group is not None and (item.process or item.number is not None):
                self._refuse("process", "between steps at once no moment is known", "write it below end")
            if item.process:
                self._process(item.process)
                if item.pages is not None:
                    self._known(item.pages, "pages")
            return
        who = self._process(item.process)
        if self._cold_done and item.action not in ("cold", "read", "exit"):
            self._refuse("action", f"{item.action} after cold", "cold may split folios: make it the last step")
        if item.pages is not None:
            self._known(item.pages, "pages")
        if self.group is not None:
            self._together(self.group, item)
        if self._grouped and item.action == "pageout":
            self._refuse("action", "pageout in a scenario with at once", "swapping is not explored")
        if self._grouped and self.group is None and item.action == "migrate":
            self._refuse("action", "migrate after steps at once", "what they left in the split queue is not known")
        self._paged_out |= item.action == "pageout"
        getattr(self, f"_{item.action}")(who, item)

    def _mark(self, mark: Mark) -> None:
        """Begin or end the steps that run at once."""
        if not mark.begins:
            if self.group is None:
                self._refuse("process", "nothing begins here that could end", "write at once above the first step")
            self.group.finish()
            for step in self.group.dropped():
                if step.pages is not None and step.process in self.alive:
                    self.alive[step.process].present[self._known(step.pages, "pages")] = False
            self.group = None
            return
        if self._grouped:
            self._refuse("process", "there are steps at once already", "a scenario has one group of them")
        large = sum(region.folios for region in self.regions.values() if region.order)
        if large != 1:
            self._refuse("process", f"there are {large} large folios", "what runs at once shares one large folio")
        if self._paged_out or self._cold_done:
            self._refuse("process", "at once after pageout or cold", "swapping is not explored; cold may split folios")
        self.group, self._grouped = Group([*self.regions.values()], self.process_of), True
        self._present_before = {name: who.present.copy() for name, who in self.alive.items()}

    def _together(self, group: Group, step: ScenarioStep) -> None:
        """Check a step that runs at once with others."""
        group.add(step)
        if step.pages is None or step.action not in PRESENT:
            return
        present = self._present_before[self.process_of[step.process]]
        if not present[self._known(step.pages, "pages")].all():
            self._refuse("pages", f"{step.pages} of {step.process} is not present", "write it above at once")

    @staticmethod
    def _refuse(operand: str, what: str, hint: str = "") -> NoReturn:
        raise Refused(operand, what, hint)

    def _process(self, name: str) -> _AddressSpace:
        if name in self.alive:
            return self.alive[name]
        if name in self.process_of:
            self._refuse("process", f"process {name} has exited", "use another process, or let it exit later")
        self._refuse("process", f"there is no process {name}", f"fork it; there are {', '.join(sorted(self.alive))}")

    def _known(self, pages: Pages, operand: str) -> slice:
        region = self.regions.get(pages.region)
        if region is None:
            self._refuse(operand, f"there is no region {pages.region}", f"there are {', '.join(self.regions)}")
        if pages.last >= region.nr_pages:
            self._refuse(
                operand, f"{pages} is beyond the region", f"{region.name} has pages 0 to {region.nr_pages - 1}"
            )
        return self.layout.range(pages)

    def _mapped(self, who: _AddressSpace, step: ScenarioStep) -> slice:
        assert step.pages is not None
        where = self._known(step.pages, "pages")
        if not who.vma[where].all():
            self._refuse(
                "pages", f"{step.process} has no mapping of all of {step.pages}", "it was unmapped, moved or not forked"
            )
        return where

    def _new(self, step: ScenarioStep, who: _AddressSpace, process: str) -> None:
        """A new process, or a thread of a process."""
        if step.name in self.process_of:
            self._refuse("name", f"there was a process {step.name} already", "give each a name of its own")
        if len(self.process_of) >= MAX_PROCESSES:
            self._refuse("name", f"more than {MAX_PROCESSES} processes and threads", "use fewer")
        self.process_of[step.name] = process
        self.alive[step.name] = who

    def _fork(self, who: _AddressSpace, step: ScenarioStep) -> None:
        child = _AddressSpace(who.vma.copy(), who.present.copy())
        if step.pages is not None:
            where = self._mapped(who, step)
            child.vma[where] = 0
            child.present[where] = False
        self._new(step, child, step.name)

    def _thread(self, who: _AddressSpace, step: ScenarioStep) -> None:
        self._new(step, who, self.process_of[step.process])

    def is_thread(self, name: str) -> bool:
        """Whether a name is a thread's, which another thread of its process has started."""
        return self.process_of[name] != name

    def _end_threads(self, process: str) -> None:
        """End all threads of a process but the first."""
        for name in [one for one in self.alive if self.process_of[one] == process != one]:
            del self.alive[name]

    def _exec(self, who: _AddressSpace, step: ScenarioStep) -> None:
        if self.is_thread(step.process):
            process = self.process_of[step.process]
            self._refuse("process", f"{step.process} is a thread, and ends in exec", f"write {process}: exec")
        self._end_threads(step.process)
        who.vma[:] = 0
        who.present[:] = False
        self._let_go(step.process)

    def _exit(self, who: _AddressSpace, step: ScenarioStep) -> None:
        del self.alive[step.process]
        if not self.is_thread(step.process):
            self._end_threads(step.process)
            self._let_go(step.process)

    def _let_go(self, process: str) -> None:
        self.held = {name: owner for name, owner in self.held.items() if owner[0] != process}

    def _write(self, who: _AddressSpace, step: ScenarioStep) -> None:
        who.present[self._mapped(who, step)] = True

    def _read(self, who: _AddressSpace, step: ScenarioStep) -> None:
        self._mapped(who, step)

    _mprotect = _pageout = _migrate = _read

    def _free(self, who: _AddressSpace, step: ScenarioStep) -> None:
        self._mapped(who, step)
        if any(region.order == PMD_ORDER for region in self.regions.values()):
            self._refuse(
                "action", "free beside folios of 2M", "use folios of up to 1M: how PMDs are freed is not modelled"
            )

    def _munmap(self, who: _AddressSpace, step: ScenarioStep) -> None:
        where = self._mapped(who, step)
        who.vma[where] = 0
        who.present[where] = False

    def _dontneed(self, who: _AddressSpace, step: ScenarioStep) -> None:
        who.present[self._mapped(who, step)] = False

    def _mremap(self, who: _AddressSpace, step: ScenarioStep) -> None:
        where = self._mapped(who, step)
        assert step.pages is not None and step.to is not None
        if len(set(who.vma[where])) > 1:
            self._refuse("pages", f"{step.pages} is not one mapping any more", "move its parts one by one")
        target = self._known(step.to, "to")
        if max(where.start, target.start) < min(where.stop, target.stop):
            self._refuse("to", f"{step.to} overlaps {step.pages}", "move it elsewhere")
        moved = who.present[where].copy()
        who.vma[where] = 0
        who.present[where] = False
        self._nr_vmas += 1
        who.vma[target] = self._nr_vmas
        who.present[target] = moved

    def _pin(self, who: _AddressSpace, step: ScenarioStep) -> None:
        self._write(who, step)
        self._hold(step)

    def _vmsplice(self, who: _AddressSpace, step: ScenarioStep) -> None:
        if not who.present[self._mapped(who, step)].all():
            self._refuse("pages", f"{step.pages} of {step.process} is not present", "write it first")
        self._hold(step)

    def _hold(self, step: ScenarioStep) -> None:
        if step.name in self.held:
            self._refuse("name", f"{step.name} is held already", "use another name")
        self.held[step.name] = self.process_of[step.process], step.action

    def _holds(self, step: ScenarioStep, *actions: str) -> None:
        process, action = self.held.get(step.name, ("", ""))
        if process != self.process_of[step.process] or action not in actions:
            self._refuse(
                "name",
                f"{step.process} holds no {step.name} to {step.action}",
                f"take it with {' or '.join(actions)} first",
            )

    def _unpin(self, who: _AddressSpace, step: ScenarioStep) -> None:
        self._holds(step, "pin")
        del self.held[step.name]

    def _close(self, who: _AddressSpace, step: ScenarioStep) -> None:
        self._holds(step, "vmsplice")
        del self.held[step.name]

    def _peek(self, who: _AddressSpace, step: ScenarioStep) -> None:
        self._holds(step, "pin", "vmsplice")

    def _cold(self, who: _AddressSpace, step: ScenarioStep) -> None:
        self._mapped(who, step)
        self._cold_done = True


def check(scenario: Scenario) -> None:
    """Check all steps of a scenario that does not come from the parser.

    Raises:
        Refused: a step is not possible.
    """
    space = Space(scenario)
    for item in scenario.items:
        space.apply(item)
