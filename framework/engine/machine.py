"""Operations on a modelled machine, by MM number and page number: what scenarios, workloads and tests call."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Final

import numpy as np

from foliolab.framework.engine import declared, entrypoints, fault
from foliolab.framework.engine.binding import BindingEngine
from foliolab.framework.engine.folio import GUP_PIN_COUNTING_BIAS
from foliolab.framework.engine.fork import OK
from foliolab.framework.engine.pagecounts import PageCounts
from foliolab.framework.engine.pagetable import PTE_DIRTY, PTE_PRESENT, PTE_PROT, PTE_VM_SHARED, PTE_WRITE, PTRS_PER_PTE
from foliolab.framework.engine.structs import (
    MAPPING_ANON,
    MAPPING_FILE,
    ORDER_MASK,
    PG_buddy,
    PG_head,
    PG_lazyfree,
    PG_swapcache,
)
from foliolab.framework.engine.truth import Counts
from foliolab.framework.errors import BeyondDeclared, ModelError
from foliolab.framework.machine.layout import PMD_ORDER

OUTCOMES: Final = {
    fault.UNCHANGED: "unchanged",
    fault.REUSED: "reused",
    fault.COPIED: "copied",
    fault.NEW_PAGE: "new page",
}


class Machine(BindingEngine):
    """An engine with operations; every operation checks its arguments, so that bad input cannot corrupt state.

    Operations name MMs by number (0 … nr_mms-1), pages of address space by number, and run on CPU `cpu`.
    """

    cpu = 0

    @property
    def _here(self) -> tuple[int, int]:
        return self.map.cpus[self.cpu], self.map.zone

    def _range(self, mm: int, start: int, nr: int) -> int:
        if not 0 <= mm < self.shape.nr_mms:
            raise ModelError(f"there is no MM {mm}", f"MMs are 0 to {self.shape.nr_mms - 1}")
        if nr < 1 or start < 0 or start + nr > self.shape.nr_vpns:
            raise ModelError(
                f"pages {start} to {start + nr - 1} are outside the address space of MM {mm}",
                f"it has pages 0 to {self.shape.nr_vpns - 1}",
            )
        return self.map.mms[mm]

    def _live(self, mm: int, start: int = 0, nr: int = 1) -> int:
        off = self._range(mm, start, nr)
        if not self.is_alive(mm):
            raise ModelError(f"MM {mm} does not exist", "create it or fork it first")
        return off

    def _folio(self, pfn: int, kind: int = 0) -> tuple[int, int]:
        """(head, pages) of the folio of a frame, which must be in use (and of that kind, if one is asked for)."""
        if not 0 <= pfn < self.shape.nr_pages:
            raise ModelError(f"there is no frame {pfn}", f"frames are 0 to {self.shape.nr_pages - 1}")
        link = self.page(pfn).compound_head.peek()
        head = link >> 1 if link & 1 else pfn
        folio = self.folio(head)
        if folio._refcount.peek() < 1 or folio.flags.peek() >> PG_buddy & 1:
            raise ModelError(f"frame {pfn} is free", "name a frame that something uses")
        if kind and folio.mapping.peek() != kind:
            raise ModelError(f"frame {pfn} is not {'anonymous' if kind == MAPPING_ANON else 'of a file'}")
        large = folio.flags.peek() >> PG_head & 1
        return head, 1 << (folio._flags_1.peek() & ORDER_MASK) if large else 1

    def _may_grow(self, growth: Callable[..., Counts], *numbers: int) -> None:
        """Refuse an operation after which a folio has more mappings than the policy declares (see `declared`)."""
        if declared.is_limited(self):
            declared.refuse_growth(self, growth(self, *numbers))

    @staticmethod
    def _enough(outcome: int, what: str) -> None:
        if outcome != OK:
            raise ModelError(f"no memory (or no MM ID) for {what}", "use a larger shape, or free something first")

    # -- MMs ---------------------------------------------------------------------------------------
    def is_alive(self, mm: int) -> bool:
        """Whether the MM exists."""
        return bool(self.vm.at("mm", self.map.mms[mm]).mm_id.peek())

    def mm_id(self, mm: int) -> int:
        """The MM's ID, 0 if it does not exist."""
        return int(self.vm.at("mm", self.map.mms[mm]).mm_id.peek())

    def create(self, mm: int, mm_id: int = 0) -> None:
        """A new, empty MM; with the lowest free ID unless one is given."""
        off = self._range(mm, 0, 1)
        if self.is_alive(mm):
            raise ModelError(f"MM {mm} exists already", "choose another number")
        if not 0 <= mm_id <= self.scheme.max_mm_id:
            raise BeyondDeclared(
                f"there is no MM ID {mm_id} with policy {self.scheme.name}", f"IDs are 1 to {self.scheme.max_mm_id}"
            )
        if mm_id and mm_id in map(self.mm_id, range(self.shape.nr_mms)):
            raise ModelError(f"MM ID {mm_id} is in use", "an ID belongs to one MM at a time")
        self._enough(self._call(entrypoints.mm_create, self.map.zone, off, mm_id), "a new MM")
        if self._bound is None:
            self.init_mm(mm)

    def exit(self, mm: int, flush: bool = True) -> None:
        """Unmap everything and free the MM; without `flush`, its references stay until `flush_gather`."""
        off = self._live(mm)
        self._call(entrypoints.zap_range, *self._here, off, 0, self.shape.nr_vpns, int(flush))
        self._call(entrypoints.mm_drop, self.map.zone, off)

    def fork(self, parent: int, child: int, start: int = 0, nr: int | None = None, mm_id: int = 0) -> None:
        """Create the child with a copy of the parent's page tables (of a range: the rest is MADV_DONTFORK)."""
        nr = self.shape.nr_vpns - start if nr is None else nr
        self._live(parent, start, nr)
        self._may_grow(declared.mapped, parent, start, nr)
        self.create(child, mm_id)
        self.copy_range(parent, child, start, nr)

    def copy_range(self, parent: int, child: int, start: int, nr: int) -> None:
        """Copy one more range of the parent's page tables to a child in which nothing is mapped there."""
        old = self._live(parent, start, nr)
        self._may_grow(declared.mapped, parent, start, nr)
        numbers = (*self._here, old, self.map.mms[child], start, nr)
        self._enough(self._call(entrypoints.fork_range, *numbers), "fork")

    # -- mappings ----------------------------------------------------------------------------------
    def populate(self, mm: int, start: int, nr: int, order: int, pmd: bool = False, batched: bool = False) -> None:
        """First touch of nr pages with anonymous folios of one order.

        Args:
            pmd: map each folio by a PMD (order 9 only); otherwise it is split at once, and a policy that does not
                claim `pmd` sees PTEs only.
            batched: leave the folios in a per-CPU LRU batch, which holds a reference.
        """
        off = self._live(mm, start, nr)
        if order == 1 or not 0 <= order <= self.shape.max_order:
            raise ModelError(f"there are no anonymous folios of order {order}", "use 0, or 2 to the largest order")
        if start % (1 << order) or nr % (1 << order):
            raise ModelError(f"pages {start} to {start + nr - 1} are not whole folios of order {order}")
        if pmd and order != PMD_ORDER:
            raise ModelError(f"a PMD maps folios of order {PMD_ORDER}, not {order}")
        if pmd and "pmd" not in self.scheme.capabilities:
            raise ModelError(f"policy {self.scheme.name} does not claim that folios may be mapped by a PMD")
        if self.is_mapped(mm, start, nr):
            raise ModelError(f"some of pages {start} to {start + nr - 1} of MM {mm} are mapped already")
        if order:  # a PMD that is split counts until its PTEs are there
            splits = order == PMD_ORDER and "pmd" in self.scheme.capabilities
            declared.refuse(self, 1 if pmd else (1 << order) + splits)
        way = int(pmd) if "pmd" in self.scheme.capabilities else entrypoints.NO_PMDS
        numbers = (*self._here, off, start, nr, order, way, int(batched))
        self._enough(self._call(entrypoints.populate, *numbers), f"{nr} pages")

    def file_folio(self, order: int, shmem: bool = False) -> int:
        """A new folio in the page cache; its first frame."""
        if order > self.scheme.policy.max_order:
            raise BeyondDeclared(
                f"policy {self.scheme.name} is for folios up to order {self.scheme.policy.max_order}, not {order}"
            )
        pfn = int(self._call(entrypoints.file_alloc, self.map.zone, order, int(shmem)))
        if pfn < 0:
            raise ModelError(f"no memory for a file folio of order {order}", "use a larger shape")
        return pfn

    def map_file(
        self,
        mm: int,
        vpn: int,
        pfn: int,
        nr: int,
        shared: bool = False,
        write: bool = False,
        pmd: bool = False,
    ) -> None:
        """Map pages pfn…pfn+nr-1 of a file folio at page `vpn`, by PTEs or by a PMD."""
        off = self._live(mm, vpn, nr)
        if self.is_mapped(mm, vpn, nr):
            raise ModelError(f"some of pages {vpn} to {vpn + nr - 1} of MM {mm} are mapped already")
        head, pages = self._folio(pfn, MAPPING_FILE)
        if pfn + nr > head + pages:
            raise ModelError(f"frames {pfn} to {pfn + nr - 1} are not in one folio", f"it ends at {head + pages - 1}")
        if pmd and (pages != PTRS_PER_PTE or nr != pages or vpn % PTRS_PER_PTE):
            raise ModelError(f"a PMD maps whole folios of order {PMD_ORDER} at aligned pages, not this one")
        self._may_grow(declared.added, head, 1 if pmd else nr)
        flags = PTE_PROT | (PTE_VM_SHARED if shared else 0) | (PTE_WRITE | PTE_DIRTY if write and shared else 0)
        if pmd:
            self._call(entrypoints.file_map_huge, self._here[0], off, vpn, pfn, flags)
        else:
            self._call(entrypoints.file_map, self._here[0], off, vpn, pfn, nr, flags)

    def drop_file(self, pfn: int) -> None:
        """Truncate a file folio that nothing maps."""
        self._folio(pfn, MAPPING_FILE)
        if self.mapcount(pfn):
            raise ModelError(f"the file folio of frame {pfn} is mapped", "unmap it first")
        self._call(entrypoints.file_drop, *self._here, pfn)

    def unmap(self, mm: int, start: int, nr: int, flush: bool = True) -> None:
        """munmap or MADV_DONTNEED of nr pages."""
        off = self._live(mm, start, nr)
        self._may_grow(declared.split_edges, mm, start, nr)
        self._call(entrypoints.zap_range, *self._here, off, start, nr, int(flush))

    def flush_gather(self) -> None:
        """Drop the references that an unflushed unmap still holds on this CPU."""
        self._call(entrypoints.flush_gather, *self._here)

    def split_pmd(self, mm: int, start: int, nr: int = 1) -> None:
        """Map by PTEs what PMDs map in the range (mprotect of a part)."""
        off = self._live(mm, start, nr)
        self._may_grow(declared.split, mm, start, nr)
        self._call(entrypoints.split_range, *self._here, off, start, nr)

    def protect(self, mm: int, start: int, nr: int) -> None:
        """mprotect nr pages to read-only and back to writable."""
        off = self._live(mm, start, nr)
        self._may_grow(declared.split_edges, mm, start, nr)
        self._call(entrypoints.protect_range, *self._here, off, start, nr)

    def mremap(self, mm: int, start: int, to: int, nr: int) -> None:
        """Move nr pages to an unmapped range that does not overlap."""
        off = self._live(mm, start, nr)
        self._range(mm, to, nr)
        if abs(start - to) < nr or self.is_mapped(mm, to, nr):
            raise ModelError(f"mremap of MM {mm}: pages {to} to {to + nr - 1} are in use")
        whole = start % PTRS_PER_PTE == to % PTRS_PER_PTE
        self._may_grow(declared.split_edges if whole else declared.split, mm, start, nr)
        self._call(entrypoints.move_range, *self._here, off, start, to, nr)

    def write(self, mm: int, start: int, nr: int = 1, value: int = 1, nbytes: int = 1) -> str:
        """Store into the first bytes of nr pages; the outcome of the last: unchanged, reused, copied, new page."""
        off = self._live(mm, start, nr)
        self._may_grow(declared.split, mm, start, nr)
        end = start + nr
        outcome = fault.UNCHANGED
        while start < end:
            answer = int(self._call(entrypoints.write_range, *self._here, off, start, end - start, value, nbytes))
            start += answer >> 3
            outcome = answer & 7
            if outcome == fault.SWAPPED:
                self._call(entrypoints.swap_in, self._here[0], off, start)
            elif outcome == fault.NOT_MAPPED:
                outcome = int(self._call(entrypoints.touch_new, *self._here, off, start))
                if outcome == fault.NEW_PAGE and self.contents.size:
                    self._call(entrypoints.write_range, *self._here, off, start, 1, value, nbytes)
                start += 1
            if outcome == fault.NO_MEMORY:
                raise ModelError(f"no memory to write page {start} of MM {mm}", "use a larger shape")
        return OUTCOMES[outcome]

    # -- references --------------------------------------------------------------------------------
    def frame(self, mm: int, vpn: int) -> int:
        """The frame that a page is mapped to, -1 if none."""
        self._range(mm, vpn, 1)
        pmd = int(self.pmds(mm)[vpn // PTRS_PER_PTE])
        if pmd:
            return (pmd >> 12) + vpn % PTRS_PER_PTE
        value = int(self.ptes(mm)[vpn])
        return value >> 12 if value & 1 else -1

    def is_mapped(self, mm: int, start: int, nr: int) -> bool:
        """Whether any of the pages has a PTE (also a swap entry) or lies below a PMD."""
        first, last = start // PTRS_PER_PTE, (start + nr - 1) // PTRS_PER_PTE
        return bool(self.ptes(mm)[start : start + nr].any() or self.pmds(mm)[first : last + 1].any())

    def get_user(self, pfn: int, nr: int = 1) -> None:
        """Take references of the folio that are neither mappings nor pins (vmsplice)."""
        self._folio(pfn)
        if nr < 1:
            raise ModelError(f"{nr} references cannot be taken", "take one or more")
        self._call(entrypoints.get_user, pfn, nr)

    def put_user(self, pfn: int, nr: int = 1) -> None:
        """Drop references that get_user took."""
        head, _ = self._folio(pfn)
        if not 1 <= nr <= self.page(head).gup_refs.peek():
            raise ModelError(f"frame {pfn}: {nr} references were not taken by get_user")
        self._call(entrypoints.put_user, *self._here, pfn, nr)

    def pin(self, mm: int, vpn: int) -> int:
        """Pin a mapped page for DMA through this MM; its frame."""
        pfn = self.frame(mm, vpn)
        if pfn < 0:
            raise ModelError(f"page {vpn} of MM {mm} is not mapped", "touch it first")
        self._call(entrypoints.pin, self.map.mms[mm], pfn)
        return pfn

    def gup_fast(self, mm: int, vpn: int) -> int:
        """`pin_user_pages_fast` for writing: pin a page of a private mapping, after a write fault where it needs one.

        Returns:
            its frame; -1 if the page is in swap, or there is no memory.
        """
        off = self._live(mm, vpn)
        if self.pmds(mm)[vpn // PTRS_PER_PTE]:
            raise ModelError(f"a PMD maps page {vpn} of MM {mm}", "split it first")
        if int(self.ptes(mm)[vpn]) & PTE_VM_SHARED:
            raise ModelError(f"page {vpn} of MM {mm} is of a shared mapping", "gup_fast is for private mappings")
        return int(self._call(entrypoints.gup_fast, *self._here, off, vpn))

    def unpin(self, pfn: int) -> None:
        """Undo one pin."""
        head, pages = self._folio(pfn)
        folio = self.folio(head)
        pinned = folio._pincount.peek() if pages > 1 else folio._refcount.peek() // GUP_PIN_COUNTING_BIAS
        if pinned < 1:
            raise ModelError(f"the folio of frame {pfn} is not pinned", "pin it first")
        self._call(entrypoints.unpin, *self._here, pfn)

    def drain(self, pfn: int) -> None:
        """Drain the LRU batch that the folio is in."""
        self._folio(pfn)
        self._call(entrypoints.drain, *self._here, pfn)

    def swap_cache(self, pfn: int) -> bool:
        """Put an anonymous folio into the swap cache; whether it was outside."""
        self._folio(pfn, MAPPING_ANON)
        return bool(self._call(entrypoints.swap_cache, pfn))

    def swap_out(self, mm: int, vpn: int) -> bool:
        """Replace the PTE of a page whose folio is in the swap cache by a swap entry; False if it is pinned."""
        off = self._live(mm, vpn)
        if not int(self.ptes(mm)[vpn]) & PTE_PRESENT:
            raise ModelError(f"no PTE maps page {vpn} of MM {mm}", "split a PMD, or touch the page first")
        head, _ = self._folio(self.frame(mm, vpn), MAPPING_ANON)
        if not self.page(head).flags.peek() >> PG_swapcache & 1:
            raise ModelError(f"the folio of page {vpn} of MM {mm} is not in the swap cache", "call swap_cache first")
        return bool(self._call(entrypoints.swap_out, *self._here, off, vpn))

    def swap_in(self, mm: int, vpn: int) -> None:
        """Map a swapped page again."""
        off = self._live(mm, vpn)
        entry = int(self.ptes(mm)[vpn])
        if entry == 0 or entry & PTE_PRESENT:
            raise ModelError(f"page {vpn} of MM {mm} is not swapped out", "swap it out first")
        self._call(entrypoints.swap_in, self._here[0], off, vpn)

    def free(self, mm: int, start: int, nr: int) -> None:
        """MADV_FREE of nr pages that PTEs map; a folio of which the range has a part only stays as it is."""
        off = self._live(mm, start, nr)
        tables = slice(start // PTRS_PER_PTE, (start + nr - 1) // PTRS_PER_PTE + 1)
        if self.pmds(mm)[tables].any():
            raise ModelError(f"a PMD maps some of pages {start} to {start + nr - 1} of MM {mm}", "split it first")
        self._call(entrypoints.free_range, *self._here, off, start, nr)

    def discard(self, mm: int, vpn: int) -> bool:
        """Reclaim the lazily freed folio that an MM maps from page `vpn` on, by PTEs; False if some of it stays."""
        off = self._live(mm, vpn)
        head, pages = self._folio(self.frame(mm, vpn), MAPPING_ANON)
        frames = [self.frame(mm, at) for at in range(vpn, min(vpn + pages, self.shape.nr_vpns))]
        if frames != [*range(head, head + pages)] or self.pmds(mm)[vpn // PTRS_PER_PTE]:
            raise ModelError(f"PTEs of MM {mm} do not map a whole folio from page {vpn} on", "name its first page")
        if not self.page(head).flags.peek() >> PG_lazyfree & 1:
            raise ModelError(f"the folio of page {vpn} of MM {mm} was not freed lazily", "call free first")
        return bool(self._call(entrypoints.discard, *self._here, off, vpn))

    def migrate(self, mm: int, vpn: int, child: int = -1) -> None:
        """Begin to migrate the anonymous folio whose first page PTEs map at `vpn`, and map it again.

        Args:
            child: an MM that another thread may fork from this one meanwhile; -1 for none.
        """
        off = self._live(mm, vpn)
        if not int(self.ptes(mm)[vpn]) & PTE_PRESENT:
            raise ModelError(f"no PTE maps page {vpn} of MM {mm}", "split a PMD, or touch the page first")
        _, pages = self._folio(self.frame(mm, vpn), MAPPING_ANON)
        self._range(mm, vpn, pages)
        other = off if child < 0 else self._range(child, 0, 1)
        self._call(entrypoints.migrate, *self._here, off, other, vpn)

    # -- questions ---------------------------------------------------------------------------------
    def maybe_shared(self, pfn: int) -> bool:
        """The policy's answer: may several MMs map the folio of this frame?"""
        return bool(self._call(entrypoints.maybe_shared, pfn))

    def mapcount(self, pfn: int) -> int:
        """The policy's count of the folio's mappings."""
        return int(self._call(entrypoints.mapcount, pfn))

    def kpagecount(self, pfn: int) -> int:
        """/proc/kpagecount of a frame."""
        return int(self._call(entrypoints.kpagecount, pfn))

    def kpagecounts(self, pages: range) -> Counts:
        """/proc/kpagecount of the pages of one folio, shape (len(pages),)."""
        if self.execution == "native":
            return np.array([self.kpagecount(page) for page in pages], np.int64)
        return self._page_counts.of(pages, self.kpagecount)

    @cached_property
    def _page_counts(self) -> PageCounts:
        return PageCounts(self.vm)

    @cached_property
    def _page_bits(self) -> PageCounts:
        return PageCounts(self.vm)

    def exclusives(self, pages: range) -> Counts:
        """pagemap's exclusive bit (56) of the pages of one folio, 0 or 1, shape (len(pages),)."""
        if self.execution == "native":
            return np.array([self.exclusive(page) for page in pages], np.int64)
        return self._page_bits.of(pages, self.exclusive)

    def exclusive(self, pfn: int) -> bool:
        """pagemap's exclusive bit (56) of a frame."""
        return bool(self._call(entrypoints.exclusive, pfn))

    def smaps(self, mm: int, start: int = 0, nr: int | None = None) -> tuple[int, int, float]:
        """(RSS, USS, PSS) of a range, in pages."""
        nr = self.shape.nr_vpns - start if nr is None else nr
        rss, uss, pss = self._call(entrypoints.smaps, self._range(mm, start, nr), start, nr)
        return int(rss), int(uss), pss / 4096
