"""A sharing pattern on a machine, with a look after its operations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from foliolab.framework.consequences.moment import SCRATCH_A_PAGE
from foliolab.framework.contract.policy import Scheme
from foliolab.framework.contract.sharing_pattern import SharingPattern, Usage
from foliolab.framework.engine.engine import Execution, Shape
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.operation import Operation
from foliolab.framework.engine.pagetable import PTRS_PER_PTE
from foliolab.framework.engine.processes import PatternProcesses
from foliolab.framework.errors import ModelError
from foliolab.framework.machine.layout import PMD_ORDER

SPARE_FRAMES: Final = 1024


def count_operations(pattern: SharingPattern, usage: Usage, seed: int) -> int:
    """How many operations a pattern does; without a machine, since they depend on the usage and the seed only."""
    done = 0

    def count(operation: Operation) -> None:
        nonlocal done
        done += operation.name != "create"

    pattern.play(PatternProcesses(usage, seed, count), usage)
    return done


class PatternPlayer:
    """Carries out a pattern's operations.

    Args:
        usage: how much the pattern may use.
        look: called with the machine and the operation in words.
        every: after how many operations each time.
    """

    def __init__(
        self,
        scheme: Scheme,
        usage: Usage,
        seed: int,
        execution: Execution,
        look: Callable[[Machine, str], None],
        every: int = 1,
    ) -> None:
        self.usage = usage
        self.processes = PatternProcesses(usage, seed, self._do)
        self._look = look
        self._every = every
        self._done = 0
        self._mms: dict[int, int] = {}  # the address space of each process
        self._file: list[int] = []
        pages = -(-usage.nr_pages // PTRS_PER_PTE) * PTRS_PER_PTE
        frames = (usage.mms + 2) * pages + SPARE_FRAMES  # a copy for each process, a file, and what is left over
        order = max(usage.order, PMD_ORDER)
        shape = Shape(frames, usage.mms, pages, scratch=SCRATCH_A_PAGE * pages, max_order=order)
        self.machine = Machine(scheme, shape.fitting(scheme), execution)

    def play(self, pattern: SharingPattern) -> None:
        pattern.play(self.processes, self.usage)

    def _do(self, operation: Operation) -> None:
        mm, start, nr = self._mms.get(operation.get("mm"), 0), operation.start, operation.get("nr", 1)
        if operation.name == "create":
            self.machine.create(self._new(operation.get("mm")))
            return
        if operation.name == "fork":
            self.machine.fork(self._mms[operation.get("parent")], self._new(operation.get("child")))
        elif operation.name == "exit":
            self.machine.exit(self._mms.pop(operation.get("mm")))
        elif operation.name == "populate":
            self._populate(mm, start, nr, operation.get("order"))
        elif operation.name == "map_file":
            self._map_file(mm, start, operation.get("pfn"), nr)
        elif operation.name == "write":
            self.machine.write(mm, start, nr)
        else:
            self.machine.unmap(mm, start, nr)
        self._done += 1
        if self._done % self._every == 0:
            self._look(self.machine, operation.sentence(mm=lambda process: f"process {process}"))

    def _new(self, process: int) -> int:
        self._mms[process] = min(set(range(self.usage.mms)) - set(self._mms.values()))
        return self._mms[process]

    def _populate(self, mm: int, start: int, nr: int, order: int) -> None:
        """New folios of an order; small ones in a range of which some pages are mapped already."""
        size = 1 << order
        for first in range(start, start + nr, size):
            if not self.machine.is_mapped(mm, first, size):
                self.machine.populate(mm, first, size, order)
                continue
            for page in range(first, first + size):
                if not self.machine.is_mapped(mm, page, 1):
                    self.machine.write(mm, page)

    def _map_file(self, mm: int, start: int, file_page: int, nr: int) -> None:
        """Map pages of the file privately, folio by folio, in place of what was there."""
        if file_page + nr > self.usage.nr_pages:
            raise ModelError(
                f"pages {file_page} to {file_page + nr - 1} are not in the file",
                f"it has pages 0 to {self.usage.nr_pages - 1}",
            )
        self.machine.unmap(mm, start, nr)
        while len(self._file) < self.usage.folios:
            self._file.append(self.machine.file_folio(self.usage.order))
        size = self.usage.folio_pages
        at = file_page
        while at < file_page + nr:
            count = min(size - at % size, file_page + nr - at)
            self.machine.map_file(mm, start + at - file_page, self._file[at // size] + at % size, count)
            at += count
