"""MADV_PAGEOUT, and the faults that bring pages back, on a swap device that writes at once as zram does.

What `madvise_cold_or_pageout_pte_range`, `shrink_folio_list` and `do_swap_page` do, as far as a process can
see it (specification 2.7 and 2.8; held against Linux 6.18 with zram): a folio goes out if the range covers all
its mappings; a large one that it covers in part is split first, if it is not maybe shared. Once written it is
freed, and comes back as small folios. Whoever else refers to a large folio keeps it where it is; a small one then
stays in the swap cache.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.engine.folio import GUP_PIN_COUNTING_BIAS
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.pagetable import PFN_SHIFT, PTE_PRESENT, PTE_SWAP_EXCLUSIVE, PTE_WRITE
from foliolab.framework.machine.primitives import PAGE_SIZE
from foliolab.framework.scenario.observe import ModelView, view_of


class Swap:
    """Swapping on a machine.

    Args:
        machine: whose memory.
        spare: an MM that nobody uses.
    """

    def __init__(self, machine: Machine, spare: int) -> None:
        self.machine = machine
        self.spare = spare
        self.cached: set[int] = set()
        """Frames of small folios that the kernel would still have in its swap cache."""

    def page_out(self, mm: int, start: int, nr: int) -> bool:
        """MADV_PAGEOUT of a range; whether any page left it."""
        here = view_of(self.machine, mm, start, nr)
        heads = [int(head) for head in dict.fromkeys(here.heads.tolist()) if head >= 0]
        return any([self._folio_out(mm, start, here, head) for head in heads])

    def _folio_out(self, mm: int, start: int, here: ModelView, head: int) -> bool:
        pages = np.flatnonzero(here.heads == head)
        size = int(here.sizes[pages[0]])
        references, mapcount = int(self.machine.folio(head)._refcount.peek()), self.machine.mapcount(head)
        if size == 1:
            pinned = references >= GUP_PIN_COUNTING_BIAS
            return mapcount == 1 and not pinned and self._page_out(mm, start + int(pages[0]))
        if pages.size < size or here.pmd[pages[0]]:
            free = can_split(self.machine, head)
        else:
            free = references == mapcount == size
        if not free:
            return False
        if here.pmd[pages[0]]:
            self.machine.split_pmd(mm, start + int(pages[0]))
        everything = view_of(self.machine, mm, 0, self.machine.shape.nr_vpns)
        self._make_small(mm, np.flatnonzero(everything.heads == head))  # as which its pages will come back
        return any([self._page_out(mm, start + int(page)) for page in pages])

    def _page_out(self, mm: int, vpn: int) -> bool:
        frame = self.machine.frame(mm, vpn)
        self.machine.swap_cache(frame)
        done = self.machine.swap_out(mm, vpn)
        self.cached.discard(frame)
        if int(self.machine.folio(frame)._refcount.peek()) > 1:  # besides the swap cache somebody refers to it
            self.cached.add(frame)
        return done

    def _make_small(self, mm: int, pages: NDArray[np.int64]) -> None:
        """Put a small folio with the same contents in the place of each page, writable only where it was."""
        table = self.machine.ptes(mm)
        for vpn in pages.tolist():
            shared = not int(table[vpn]) & PTE_WRITE
            old = self.machine.frame(mm, vpn)
            contents = self._contents(old).copy() if self.machine.shape.contents else None
            self.machine.unmap(mm, vpn, 1)
            self.machine.write(mm, vpn)
            if contents is not None:
                self._contents(self.machine.frame(mm, vpn))[:] = contents
            if shared:  # no longer AnonExclusive: as after a fork whose child is gone
                self.machine.create(self.spare)
                self.machine.copy_range(mm, self.spare, vpn, 1)
                self.machine.exit(self.spare)

    def _contents(self, frame: int) -> NDArray[np.uint8]:
        return self.machine.contents.buffer[frame * PAGE_SIZE : (frame + 1) * PAGE_SIZE]

    def bring_back(self, mm: int, vpn: int) -> bool:
        """Fault a page in that may be swapped out; whether it was.

        The last entry of a page that is read from the device takes it without the swap cache: it is a fresh one
        that nobody else can have.
        """
        if not self._is_out(mm, vpn):
            return False
        table = self.machine.ptes(mm)
        frame = int(table[vpn]) >> PFN_SHIFT
        if frame not in self.cached and int(self.machine.folio(frame).private.peek()) == 1:
            table[vpn] |= np.uint64(PTE_SWAP_EXCLUSIVE)
        self.cached.add(frame)
        self.machine.swap_in(mm, vpn)
        return True

    def _is_out(self, mm: int, vpn: int) -> bool:
        entry = int(self.machine.ptes(mm)[vpn])
        return entry != 0 and not entry & PTE_PRESENT


def can_split(machine: Machine, head: int) -> bool:
    """Not maybe shared, and no reference but its mappings' (specification 2.8)."""
    folio = machine.folio(head)
    return not machine.maybe_shared(head) and int(folio._refcount.peek()) == machine.mapcount(head)
