"""A sharing pattern on a machine: what `pattern.Processes` promises, with a look after operations."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final

from foliolab.framework.consequences.sample import SCRATCH_A_PAGE
from foliolab.framework.contract.policy import Scheme
from foliolab.framework.contract.sharing_pattern import Usage
from foliolab.framework.engine.engine import Execution, Shape
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.pagetable import PMD_ORDER, PTRS_PER_PTE
from foliolab.framework.errors import ModelError

SPARE_FRAMES: Final = 1024


class Rehearsal:
    """Counts what a pattern does, and does nothing: it depends on nothing but the usage and the seed.

    Args:
        usage: how much the pattern may use.
        seed: of `random`.

    Attributes:
        random: for the pattern.
        operations: so far.
        mms: of the processes that live, which address space each has.
    """

    def __init__(self, usage: Usage, seed: int) -> None:
        self.usage = usage
        self.random = Random(seed)
        self.operations = 0
        self.mms: dict[int, int] = {}
        self._born = 0

    def start(self) -> int:
        """A new process that shares nothing."""
        free = set(range(self.usage.mms)) - set(self.mms.values())
        if not free:
            raise ModelError(
                f"it has more than {self.usage.mms} processes at a time", "let one exit first, or mind `usage.mms`"
            )
        self._born += 1
        self.mms[self._born] = min(free)
        return self._born

    def fork(self, parent: int) -> int:
        """A child that shares all that the parent maps."""
        self._count(parent)
        return Rehearsal.start(self)

    def exit(self, process: int) -> None:
        """A process ends."""
        self._count(process)
        del self.mms[process]

    def populate(self, process: int, page: int, nr: int, order: int | None = None) -> None:
        """New folios of an order."""
        self._count(process)

    def write(self, process: int, page: int, nr: int = 1) -> None:
        """Writes to pages."""
        self._count(process)

    def unmap(self, process: int, page: int, nr: int = 1) -> None:
        """Unmap pages."""
        self._count(process)

    def map_file(self, process: int, page: int, file_page: int, nr: int = 1) -> None:
        """Map pages of the file."""
        self._count(process)

    def wait(self, steps: int) -> None:
        """Time passes, but no operation takes place."""

    def _count(self, process: int) -> None:
        self.mm(process)
        self.operations += 1

    def mm(self, process: int) -> int:
        """The address space of a process.

        Raises:
            ModelError: it does not live.
        """
        if process not in self.mms:
            raise ModelError(f"process {process} does not live", "use what `start` and `fork` return, until `exit`")
        return self.mms[process]


class Played(Rehearsal):
    """Does what a pattern says.

    Args:
        scheme: the policy.
        usage: how much the pattern may use.
        seed: of `random`.
        execution: native, or interpreted.
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
        super().__init__(usage, seed)
        self._look = look
        self._every = every
        self._file: list[int] = []
        pages = -(-usage.nr_pages // PTRS_PER_PTE) * PTRS_PER_PTE
        frames = (usage.mms + 2) * pages + SPARE_FRAMES  # every process a copy of all, a file, and what is left over
        order = max(usage.order, PMD_ORDER)
        shape = Shape(frames, usage.mms, pages, scratch=SCRATCH_A_PAGE * pages, max_order=order)
        self.machine = Machine(scheme, shape, execution)

    def start(self) -> int:
        """A new process that shares nothing."""
        process = super().start()
        self.machine.create(self.mms[process])
        return process

    def fork(self, parent: int) -> int:
        """A child that shares all that the parent maps."""
        child = super().fork(parent)
        self.machine.fork(self.mms[parent], self.mms[child])
        self._told(f"process {parent} forks {child}")
        return child

    def exit(self, process: int) -> None:
        """A process ends."""
        self.machine.exit(self.mm(process))
        super().exit(process)
        self._told(f"process {process} exits")

    def populate(self, process: int, page: int, nr: int, order: int | None = None) -> None:
        """New folios of an order; small ones where pages of such a folio are there already."""
        mm = self.mm(process)
        size = 1 << (self.usage.order if order is None else order)
        for first in range(page, page + nr, size):
            if not self.machine.is_mapped(mm, first, size):
                self.machine.populate(mm, first, size, size.bit_length() - 1)
                continue
            for one in range(first, first + size):
                if not self.machine.is_mapped(mm, one, 1):
                    self.machine.write(mm, one)
        super().populate(process, page, nr)
        self._told(f"process {process} populates {_span(page, nr)}")

    def write(self, process: int, page: int, nr: int = 1) -> None:
        """Writes to pages."""
        self.machine.write(self.mm(process), page, nr)
        super().write(process, page, nr)
        self._told(f"process {process} writes {_span(page, nr)}")

    def unmap(self, process: int, page: int, nr: int = 1) -> None:
        """Unmap pages."""
        self.machine.unmap(self.mm(process), page, nr)
        super().unmap(process, page, nr)
        self._told(f"process {process} unmaps {_span(page, nr)}")

    def map_file(self, process: int, page: int, file_page: int, nr: int = 1) -> None:
        """Map pages of the file, privately, folio by folio."""
        mm = self.mm(process)
        if nr < 1 or file_page < 0 or file_page + nr > self.usage.nr_pages:
            raise ModelError(f"pages {file_page} to {file_page + nr - 1} are not in the file")
        self.machine.unmap(mm, page, nr)
        while len(self._file) < self.usage.folios:
            self._file.append(self.machine.file_folio(self.usage.order))
        size = self.usage.folio_pages
        at = file_page
        while at < file_page + nr:
            count = min(size - at % size, file_page + nr - at)
            self.machine.map_file(mm, page + at - file_page, self._file[at // size] + at % size, count)
            at += count
        super().map_file(process, page, file_page, nr)
        self._told(f"process {process} maps {_span(file_page, nr)} of the file")

    def _told(self, what: str) -> None:
        if self.operations % self._every == 0:
            self._look(self.machine, what)


def _span(page: int, nr: int) -> str:
    return f"page {page}" if nr == 1 else f"pages {page}-{page + nr - 1}"
