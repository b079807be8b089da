"""Folios: order, references, flags; what a policy may ask about the folio it is given.

Sources: specification 1.1, 1.2 and 1.7.
"""

from __future__ import annotations

from foliolab.framework.engine.structs import (
    MAPPING_ANON,
    MMF_HAS_PINNED,
    ORDER_MASK,
    PG_anon_exclusive,
    PG_head,
    PG_locked,
    PG_lru,
    PG_lru_batch,
    PG_swapcache,
)
from foliolab.framework.machine.memory import Memory
from foliolab.framework.machine.pointers import MM, Folio, Page
from foliolab.framework.machine.primitives import (
    READ_ONCE,
    as_page,
    atomic_add,
    atomic_dec,
    atomic_inc,
    atomic_read,
    atomic_sub,
    atomic_sub_return,
    clear_bit,
    load,
    nth_page,
    pfn_to_page,
    set_bit,
    test_and_clear_bit,
    test_and_set_bit_lock,
    test_bit,
)

GUP_PIN_COUNTING_BIAS = 1024


def page_head_pfn(vm: Memory, pfn: int) -> int:
    """Frame of the head page of the folio that this frame belongs to (`page_folio`)."""
    head = READ_ONCE(pfn_to_page(vm, pfn).compound_head)
    if head & 1:
        return head >> 1
    return pfn


def folio_test_large(folio: Folio) -> bool:
    """Whether the folio has more than one page."""
    return test_bit(PG_head, folio.flags)


def folio_order(folio: Folio) -> int:
    """log2 of the number of pages."""
    if not folio_test_large(folio):
        return 0
    return load(folio._flags_1) & ORDER_MASK


def folio_nr_pages(folio: Folio) -> int:
    """Number of pages."""
    if not folio_test_large(folio):
        return 1
    return 1 << (load(folio._flags_1) & ORDER_MASK)


def folio_test_anon(folio: Folio) -> bool:
    """Whether the folio is anonymous."""
    return load(folio.mapping) == MAPPING_ANON


def folio_ref_count(folio: Folio) -> int:
    """Number of references."""
    return atomic_read(folio._refcount)


def folio_get(folio: Folio) -> None:
    """Take a reference."""
    atomic_inc(folio._refcount)


def folio_ref_add(folio: Folio, nr: int) -> None:
    """Take nr references."""
    atomic_add(nr, folio._refcount)


def folio_ref_sub_return(folio: Folio, nr: int) -> int:
    """Drop nr references; how many are left."""
    return atomic_sub_return(nr, folio._refcount)


def folio_trylock(folio: Folio) -> bool:
    """Take the folio lock if it is free; return whether it was."""
    return not test_and_set_bit_lock(PG_locked, folio.flags)


def folio_unlock(folio: Folio) -> None:
    """Release the folio lock."""
    clear_bit(PG_locked, folio.flags)


def folio_test_swapcache(folio: Folio) -> bool:
    """Whether the folio is in the swap cache, which holds one reference a page."""
    return test_bit(PG_swapcache, folio.flags)


def folio_free_swap(folio: Folio) -> bool:
    """Leave the swap cache if no PTE is a swap entry of this folio any more; whether that happened."""
    if not folio_test_swapcache(folio):
        return False
    if load(folio.private) > 0:
        return False
    clear_bit(PG_swapcache, folio.flags)
    atomic_sub(folio_nr_pages(folio), folio._refcount)
    return True


def free_swap_leaves_one_reference(folio: Folio) -> bool:
    """Whether the caller's reference is the only one after an attempt to leave the swap cache, under the folio lock."""
    if not folio_trylock(folio):
        return False
    folio_free_swap(folio)
    sole = folio_ref_count(folio) == 1
    folio_unlock(folio)
    return sole


def folio_add_lru(folio: Folio, batched: int) -> None:
    """Put a folio on the LRU; `batched`: leave it in the per-CPU batch on the way, which holds a reference."""
    if batched:
        atomic_inc(folio._refcount)
        set_bit(PG_lru_batch, folio.flags)
    else:
        set_bit(PG_lru, folio.flags)


def leave_lru_batch(folio: Folio) -> bool:
    """Move the folio from the per-CPU LRU batch to the LRU list; whether it was in one, and so holds a reference."""
    if not test_bit(PG_lru_batch, folio.flags) or not test_and_clear_bit(PG_lru_batch, folio.flags):
        return False  # not in one, or another CPU was first
    set_bit(PG_lru, folio.flags)
    return True


def lru_add_drain(folio: Folio) -> None:
    """Drain the LRU batch of a folio that others hold, too: the batch's reference is dropped."""
    if leave_lru_batch(folio):
        atomic_dec(folio._refcount)


def folio_maybe_dma_pinned(folio: Folio) -> bool:
    """Whether the folio may be pinned for DMA (FOLL_PIN)."""
    if folio_test_large(folio):
        return atomic_read(folio._pincount) > 0
    return atomic_read(folio._refcount) >= GUP_PIN_COUNTING_BIAS


def folio_needs_cow_for_dma(folio: Folio, mm: MM) -> bool:
    """Whether fork must copy for the child, since `mm` may have pinned the folio."""
    if load(mm.flags) >> MMF_HAS_PINNED & 1 == 0:
        return False
    return folio_maybe_dma_pinned(folio)


def PageAnonExclusive(page: Page) -> bool:
    """Whether the anonymous page belongs to exactly one MM."""
    return test_bit(PG_anon_exclusive, page.flags)


def SetPageAnonExclusive(page: Page) -> None:
    """Mark the anonymous page as exclusive."""
    set_bit(PG_anon_exclusive, page.flags)


def ClearPageAnonExclusive(page: Page) -> None:
    """Mark the anonymous page as possibly shared."""
    clear_bit(PG_anon_exclusive, page.flags)


def folio_page(folio: Folio, index: int) -> Page:
    """The folio's page of that index."""
    return nth_page(as_page(folio), index)
