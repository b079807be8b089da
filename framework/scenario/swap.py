"""MADV_PAGEOUT, and the faults that bring pages back, on a swap device that writes synchronously, as zram does.

This is what `madvise_cold_or_pageout_pte_range`, `shrink_folio_list` and `do_swap_page` do, as far as a process can
see it (specification 2.7 and 2.8; compared with Linux 6.12 to 7.3, zram and RAM disks). A folio is paged out if the
range covers all its mappings. A large folio that the range covers in part is split first, unless it is maybe shared: in
every MM that maps it, since Linux up to 6.14 may take a folio for exclusive that others map. What others map of it then
stays. A folio is freed once it is written, and comes back as small folios. Other references keep a large folio in
memory; a small folio with other references stays in the swap cache.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.engine.folio import GUP_PIN_COUNTING_BIAS, folio_nr_pages
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.pagetable import (
    PFN_SHIFT,
    PTE_DIRTY,
    PTE_PRESENT,
    PTE_SWAP_EXCLUSIVE,
    PTE_WRITE,
    PTRS_PER_PTE,
)
from foliolab.framework.engine.structs import PG_dirty, PG_lazyfree
from foliolab.framework.engine.truth import frames_of
from foliolab.framework.machine.primitives import PAGE_SIZE
from foliolab.framework.scenario.observe import ModelView, view_of


class Swap:
    """Swapping on a machine.

    Args:
        spare: an MM that no process uses.
        do: runs an operation of the machine.
        bypass: whether the last swap entry of a page is read past the swap cache. Linux 6.12 to 6.18 do so, 7.2 and 7.3
            do not: there a page that a read fault brings back is mapped read-only, and is not AnonExclusive.
    """

    def __init__(self, machine: Machine, spare: int, do: Callable[..., Any], bypass: bool = True) -> None:
        self.machine = machine
        self.spare = spare
        self._do = do
        self.bypass = bypass
        self.cached: set[int] = set()
        """Frames of small folios that are still in the kernel's swap cache."""

    def page_out(self, mm: int, start: int, nr: int) -> bool:
        """MADV_PAGEOUT on a range; whether any page was paged out."""
        here = view_of(self.machine, mm, start, nr)
        heads = [int(head) for head in dict.fromkeys(here.heads.tolist()) if head >= 0]
        return any([self._folio_out(mm, start, here, head) for head in heads])

    def _folio_out(self, mm: int, start: int, here: ModelView, head: int) -> bool:
        pages = np.flatnonzero(here.heads == head)
        size = int(here.sizes[pages[0]])
        if size > 1:
            if here.pmd[pages[0]] or not is_batch(start + pages, here.frames[pages], size):
                free = can_split(self.machine, head)
            elif self.is_lazy(head):
                return self.machine.mapcount(head) == size and self._discard(mm, start + int(pages[0]))
            else:
                free = int(self.machine.folio(head)._refcount.peek()) == self.machine.mapcount(head) == size
            if not free:
                return False
            self.split(head)
        return any([self._small_out(mm, start + int(page)) for page in pages])

    def _small_out(self, mm: int, vpn: int) -> bool:
        """Page out a page of a small folio, if no other MM maps it and nobody has pinned it."""
        frame = self.machine.frame(mm, vpn)
        if self.is_lazy(frame):
            return self.machine.mapcount(frame) == 1 and self._discard(mm, vpn)
        pinned = int(self.machine.folio(frame)._refcount.peek()) >= GUP_PIN_COUNTING_BIAS
        return self.machine.mapcount(frame) == 1 and not pinned and self._page_out(mm, vpn)

    def is_lazy(self, head: int) -> bool:
        """Whether a folio was freed by MADV_FREE, and not found written since."""
        return bool(int(self.machine.page(head).flags.peek()) >> PG_lazyfree & 1)

    def free(self, mm: int, start: int, nr: int) -> None:
        """MADV_FREE on a range: a large folio of which the range has a part only is split, if that is possible."""
        here = view_of(self.machine, mm, start, nr)
        for head in dict.fromkeys(here.heads[here.sizes > 1].tolist()):
            pages = np.flatnonzero(here.heads == head)
            whole = is_batch(start + pages, here.frames[pages], int(here.sizes[pages[0]]))
            if not whole and can_split(self.machine, head):
                self.split(head)
        self._do("free", mm=mm, start=start, nr=nr)

    def _discard(self, mm: int, vpn: int) -> bool:
        """Reclaim a lazily freed folio; whether any of its pages went: it stays in part if a later page was written."""
        self._do("discard", mm=mm, vpn=vpn)
        return self.machine.frame(mm, vpn) < 0

    def _page_out(self, mm: int, vpn: int) -> bool:
        frame = self.machine.frame(mm, vpn)
        self._do("swap_cache", pfn=frame)
        done: bool = self._do("swap_out", mm=mm, vpn=vpn)
        self.cached.discard(frame)
        if int(self.machine.folio(frame)._refcount.peek()) > 1:  # there are references besides the swap cache's
            self.cached.add(frame)
        return done

    def split(self, head: int) -> None:
        """`split_folio`: whatever maps a page of the folio maps a small one then, and may write it if it could before.

        The kernel keeps the frames, the engine takes new ones.
        """
        found = self._mappings(head)
        dirty = any(self._entry(mm, vpn) & PTE_DIRTY for places in found.values() for mm, vpn in places)
        flags = int(self.machine.page(head).flags.peek()) & (1 << PG_lazyfree | 1 << PG_dirty) | dirty << PG_dirty
        for frame, places in found.items():
            clean = [(mm, vpn) for mm, vpn in places if not self._entry(mm, vpn) & PTE_DIRTY]
            self._make_small(frame, places)
            for mm, vpn in clean:
                self.machine.ptes(mm)[vpn] &= ~np.uint64(PTE_DIRTY)
            self.machine.column("page", "flags")[self.machine.frame(*places[0])] |= np.uint64(flags)

    def _entry(self, mm: int, vpn: int) -> int:
        return int(self.machine.ptes(mm)[vpn])

    def _mappings(self, head: int) -> dict[int, list[tuple[int, int]]]:
        """The PTEs that map each page of a large folio, as MM and page of address space. PMDs are split first."""
        size = folio_nr_pages(self.machine.folio(head))
        found: dict[int, list[tuple[int, int]]] = {}
        for mm in range(self.machine.shape.nr_mms):
            pmds, table = self.machine.pmds(mm), self.machine.ptes(mm)
            for index in np.flatnonzero((pmds != 0) & (frames_of(pmds) == head)).tolist():
                self._do("split_pmd", mm=mm, start=index * PTRS_PER_PTE)
            present = np.flatnonzero(table & np.uint64(PTE_PRESENT))
            frames = frames_of(table[present])
            inside = (frames >= head) & (frames < head + size)
            for vpn, frame in zip(present[inside].tolist(), frames[inside].tolist(), strict=True):
                found.setdefault(frame, []).append((mm, vpn))
        return found

    def _make_small(self, frame: int, places: list[tuple[int, int]]) -> None:
        """Replace a page of a large folio by a small folio with the same contents.

        Args:
            frame: of the page.
            places: where it is mapped: MM and page of address space.
        """
        at = places[0][1]
        self._do("create", mm=self.spare)
        self._do("write", mm=self.spare, start=at)
        if self.machine.shape.contents:
            self._contents(self.machine.frame(self.spare, at))[:] = self._contents(frame)
        writable = [(mm, vpn) for mm, vpn in places if int(self.machine.ptes(mm)[vpn]) & PTE_WRITE]
        for mm, vpn in places:
            self._do("unmap", mm=mm, start=vpn, nr=1)
            if vpn != at:
                self._do("mremap", mm=self.spare, start=at, to=vpn, nr=1)
                at = vpn
            self._do("copy_range", parent=self.spare, child=mm, start=vpn, nr=1)
        self._do("exit", mm=self.spare)
        for mm, vpn in writable:  # the only owner, so that it is reused
            self._do("write", mm=mm, start=vpn, nbytes=0)

    def _contents(self, frame: int) -> NDArray[np.uint8]:
        return self.machine.contents.buffer[frame * PAGE_SIZE : (frame + 1) * PAGE_SIZE]

    def bring_back(self, mm: int, vpn: int) -> bool:
        """Fault in a page if it is swapped out; whether it was.

        A page that is read past the swap cache has no other user, so that it is exclusive.
        """
        if not self._is_out(mm, vpn):
            return False
        table = self.machine.ptes(mm)
        frame = int(table[vpn]) >> PFN_SHIFT
        if self.bypass and frame not in self.cached and int(self.machine.folio(frame).private.peek()) == 1:
            table[vpn] |= np.uint64(PTE_SWAP_EXCLUSIVE)
        self.cached.add(frame)
        self._do("swap_in", mm=mm, vpn=vpn)
        return True

    def _is_out(self, mm: int, vpn: int) -> bool:
        entry = int(self.machine.ptes(mm)[vpn])
        return entry != 0 and not entry & PTE_PRESENT


def is_batch(vpns: NDArray[np.int64], frames: NDArray[np.int64], size: int) -> bool:
    """Whether PTEs map all of a folio at once: as many as it has pages, consecutive, in one page table."""
    linear = np.array_equal(vpns - vpns[0], frames - frames[0])
    return vpns.size == size and linear and bool(vpns[0] // PTRS_PER_PTE == vpns[-1] // PTRS_PER_PTE)


def can_split(machine: Machine, head: int) -> bool:
    """Whether a folio is not maybe shared, and has no references besides its mappings (specification 2.8)."""
    folio = machine.folio(head)
    return not machine.maybe_shared(head) and int(folio._refcount.peek()) == machine.mapcount(head)
