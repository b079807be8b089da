"""The truth: exact counts and owners, from the page tables alone.

A vectorised scan of every MM's PTEs and PMDs; no counter that a policy or the rmap keeps is looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.engine.engine import Engine
from foliolab.framework.engine.pagetable import PFN_SHIFT, PTE_PRESENT

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Truth:
    """The content of all page tables, by page frame.

    Attributes:
        heads: frame of the head page of the folio that each frame belongs to, shape (nr_pages,).
        nr_pages_of: pages of the folio whose head is that frame, 0 elsewhere, shape (nr_pages,).
        ptes: PTEs that map each frame, per MM, shape (nr_mms, nr_pages).
        pmds: PMDs that map the folio whose head is that frame, per MM, shape (nr_mms, nr_pages).
        swapped: swap entries of each frame, all MMs, shape (nr_pages,).
        free: whether each frame is in a free list, shape (nr_pages,).
    """

    heads: Counts
    nr_pages_of: Counts
    ptes: Counts
    pmds: Counts
    swapped: Counts
    free: NDArray[np.bool_]

    @cached_property
    def page_mapcount(self) -> Counts:
        """Mappings of each page, by PTE or PMD, shape (nr_pages,)."""
        total: Counts = self.ptes.sum(axis=0) + self.pmds.sum(axis=0)[self.heads]
        return total

    @cached_property
    def mappings(self) -> Counts:
        """Mappings of each folio by each MM, PTEs and PMDs alike, at its head, shape (nr_mms, nr_pages)."""
        at_heads = np.zeros_like(self.ptes)
        for mm, row in enumerate(self.ptes):
            at_heads[mm] = np.bincount(self.heads, weights=row, minlength=row.size).astype(np.int64)
        return at_heads + self.pmds

    @cached_property
    def folio_mapcount(self) -> Counts:
        """Mappings of each folio, at its head, shape (nr_pages,)."""
        total: Counts = self.mappings.sum(axis=0)
        return total

    @cached_property
    def owners(self) -> Counts:
        """How many MMs map each folio, at its head, shape (nr_pages,)."""
        count: Counts = (self.mappings > 0).sum(axis=0)
        return count

    @cached_property
    def partially_mapped(self) -> NDArray[np.bool_]:
        """Whether each folio, at its head, is mapped but has a page that nothing maps, shape (nr_pages,)."""
        unmapped = np.bincount(self.heads, weights=self.page_mapcount == 0, minlength=self.heads.size)
        return np.asarray((self.folio_mapcount > 0) & (unmapped > 0) & (self.nr_pages_of > 1))

    def folios(self) -> NDArray[np.int64]:
        """Head frames of all folios that are mapped."""
        return np.flatnonzero((self.nr_pages_of > 0) & (self.folio_mapcount > 0))

    def smaps(self, engine: Engine, mm: int) -> tuple[int, int, float]:
        """(RSS, USS, PSS) of an MM in pages, exactly: a page is private if it is mapped once."""
        of_mm = self.ptes[mm] + self.pmds[mm][self.heads]
        count = self.page_mapcount
        mapped = of_mm > 0
        pss = float((of_mm[mapped] / count[mapped]).sum())
        return int(of_mm.sum()), int(of_mm[count == 1].sum()), pss


def heads_of(engine: Engine) -> tuple[Counts, Counts]:
    """(heads, nr_pages_of) of every frame; a free frame is its own head with 0 pages."""
    return _folios(engine, free_frames(engine))


def _folios(engine: Engine, free: NDArray[np.bool_]) -> tuple[Counts, Counts]:
    frames = np.arange(engine.shape.nr_pages, dtype=np.int64)
    link = engine.column("page", "compound_head").astype(np.int64)
    heads = np.where((link & 1 != 0) & ~free, link >> 1, frames)
    size = np.bincount(heads[~free], minlength=frames.size).astype(np.int64)
    return heads, np.where(heads == frames, size, 0)


def scan(engine: Engine) -> Truth:
    """Read every page table."""
    shape = engine.shape
    free = free_frames(engine)
    heads, nr_pages_of = _folios(engine, free)
    ptes = np.zeros((shape.nr_mms, shape.nr_pages), np.int64)
    pmds = np.zeros_like(ptes)
    swapped = np.zeros(shape.nr_pages, np.int64)
    for mm in range(shape.nr_mms):
        table = engine.ptes(mm)
        here = table[(table & np.uint64(PTE_PRESENT)) != 0]
        ptes[mm] = np.bincount(frames_of(here), minlength=shape.nr_pages)
        gone = table[((table & np.uint64(PTE_PRESENT)) == 0) & (table != 0)]
        swapped += np.bincount(frames_of(gone), minlength=shape.nr_pages)
        huge = engine.pmds(mm)
        pmds[mm] = np.bincount(frames_of(huge[huge != 0]), minlength=shape.nr_pages)
    return Truth(heads, nr_pages_of, ptes, pmds, swapped, free)


def frames_of(entries: NDArray[np.uint64]) -> NDArray[np.int64]:
    """The page frames that page-table entries and swap entries name."""
    return (entries >> np.uint64(PFN_SHIFT)).astype(np.int64) & ((1 << 40) - 1)


def free_frames(engine: Engine) -> NDArray[np.bool_]:
    """Which frames are free, from the free lists, shape (nr_pages,)."""
    zone = engine.vm.at("zone", engine.map.zone)
    after = engine.column("page", "lru_next")
    free = np.zeros(engine.shape.nr_pages, np.bool_)
    for order in range(zone.max_order.peek() + 1):
        at = zone.free_area[order].peek()
        while at:
            free[at - 1 : at - 1 + (1 << order)] = True
            at = int(after[at - 1]) >> 1
    return free
