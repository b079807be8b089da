"""A lane of operations: after each operation of the machine the owners are recounted."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.engine.engine import Shape
from foliolab.framework.engine.pagetable import PTRS_PER_PTE
from foliolab.framework.explore import recount
from foliolab.framework.explore.lane import Lane
from foliolab.framework.replay import cells
from foliolab.framework.replay.cells import Sizes


def with_account(shape: Shape) -> tuple[Sizes, Shape]:
    """(tables of the account of owners, the shape with scratch memory for them behind its own)."""
    sizes = recount.sizes_for(shape.nr_pages, shape.nr_mms, shape.nr_vpns)
    return sizes, replace(shape, scratch=shape.scratch + sizes.scratch)


class OperationLane(Lane):
    """A lane that derives its page operations from the page tables before and after a step.

    A page that was mapped elsewhere before counts as moved; a page of a new MM counts as copied by fork.
    """

    @abstractmethod
    def _do(self, step: int) -> None:
        """Do a step."""

    def _play(self, begin: int, end: int) -> int:
        assert self.machine is not None and self.state is not None
        before, alive = self._tables(), self._living()
        self._do(begin)
        self._count(before, alive, self._tables())
        self._recount(begin)
        return begin + 1

    def _recount(self, step: int) -> None:
        """Recount the owners after a step (-1: at the start)."""
        assert self.machine is not None and self.state is not None
        recount.recount_owners(self.machine, self.state, step)
        self._collect(step)

    def _collect(self, step: int) -> None:
        """Take the kinds of answers that a step made wrong out of the machine."""
        assert self.state is not None
        if self.state.all[cells.WRONGS]:
            kinds = int(self.state.table(cells.AT_WRONG)[0]) & ((1 << cells.WRONG_SHIFT) - 1)
            self.state.table(cells.AT_WRONG)[:] = 0
            self.state.all[cells.WRONGS] = 0
            if step >= 0:
                self._wrongs.append(np.array([[step, kinds]], np.int64))

    def _living(self) -> NDArray[np.bool_]:
        assert self.machine is not None
        return np.array([self.machine.is_alive(mm) for mm in range(self.machine.shape.nr_mms)])

    def _tables(self) -> NDArray[np.int64]:
        """The frame that each page of each MM is mapped to, -1 for none; shape (nr_mms, pages)."""
        machine = self.machine
        assert machine is not None
        found = np.full((machine.shape.nr_mms, -(-machine.shape.nr_vpns // PTRS_PER_PTE) * PTRS_PER_PTE), -1, np.int64)
        for mm, row in enumerate(found):
            table, huge = machine.ptes(mm).astype(np.int64), machine.pmds(mm).astype(np.int64)
            row[: table.size] = np.where(table & 1, table >> 12, -1)
            for at in np.flatnonzero(huge).tolist():
                first = int(huge[at]) >> 12
                row[at * PTRS_PER_PTE : (at + 1) * PTRS_PER_PTE] = np.arange(first, first + PTRS_PER_PTE)
        return found

    def _count(self, before: NDArray[np.int64], alive: NDArray[np.bool_], after: NDArray[np.int64]) -> None:
        """Add the page operations of a step to the tallies."""
        assert self.state is not None
        tallies = self.state.table(cells.AT_TALLY)
        for mm in np.flatnonzero((before != after).any(axis=1)).tolist():
            changed = before[mm] != after[mm]
            old, new = before[mm][changed], after[mm][changed]
            old, new = old[old >= 0], new[new >= 0]
            moved = int(np.isin(new, old).sum()) if alive[mm] else 0
            tallies[cells.PAGES_MAPPED if alive[mm] else cells.PAGES_FORKED] += len(new) - moved
            tallies[cells.PAGES_UNMAPPED] += len(old) - moved
            tallies[cells.PAGES_MOVED] += moved

    def _alive(self) -> int:
        return int(self._living().sum())
