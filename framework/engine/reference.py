"""References that are no mappings: GUP gets and pins, the swap cache, swap entries (specification 1.2 and 2.7)."""

from __future__ import annotations

from foliolab.framework.engine.folio import (
    GUP_PIN_COUNTING_BIAS,
    ClearPageAnonExclusive,
    PageAnonExclusive,
    folio_get,
    folio_maybe_dma_pinned,
    folio_nr_pages,
    folio_ref_add,
    folio_test_large,
    folio_test_swapcache,
    page_head_pfn,
)
from foliolab.framework.engine.pagetable import (
    PFN_SHIFT,
    PTE_ANON,
    PTE_SWAP,
    PTE_SWAP_EXCLUSIVE,
    PTE_WRITE,
    get_and_clear,
    pte_ref,
)
from foliolab.framework.engine.rmap import folio_add_anon_rmap_ptes, folio_remove_rmap_ptes
from foliolab.framework.engine.structs import MMF_HAS_PINNED, PG_swapcache
from foliolab.framework.engine.zap import folio_put_refs
from foliolab.framework.machine.memory import Memory
from foliolab.framework.machine.pointers import MM, Cpu, Zone
from foliolab.framework.machine.primitives import WRITE_ONCE, atomic_add, load, pfn_folio, pfn_to_page, set_bit, store


def folio_get_user(vm: Memory, pfn: int, nr: int) -> None:
    """Take (nr > 0) references of a folio by get_user_pages without FOLL_PIN; vmsplice does this."""
    page = pfn_to_page(vm, page_head_pfn(vm, pfn))
    store(page.gup_refs, load(page.gup_refs) + nr)
    folio_ref_add(pfn_folio(vm, page_head_pfn(vm, pfn)), nr)


def folio_put_user(vm: Memory, cpu: Cpu, zone: Zone, pfn: int, nr: int) -> None:
    """Drop references that folio_get_user took."""
    head = page_head_pfn(vm, pfn)
    page = pfn_to_page(vm, head)
    store(page.gup_refs, load(page.gup_refs) - nr)
    folio_put_refs(vm, cpu, zone, head, nr)


def pin_folio(vm: Memory, mm: MM, pfn: int) -> None:
    """`try_grab_folio(FOLL_PIN)`: pin the folio for DMA."""
    folio = pfn_folio(vm, page_head_pfn(vm, pfn))
    store(mm.flags, load(mm.flags) | 1 << MMF_HAS_PINNED)
    if folio_test_large(folio):
        folio_get(folio)
        atomic_add(1, folio._pincount)
    else:
        folio_ref_add(folio, GUP_PIN_COUNTING_BIAS)


def unpin_folio(vm: Memory, cpu: Cpu, zone: Zone, pfn: int) -> None:
    """`unpin_user_page`."""
    head = page_head_pfn(vm, pfn)
    folio = pfn_folio(vm, head)
    if folio_test_large(folio):
        atomic_add(-1, folio._pincount)
        folio_put_refs(vm, cpu, zone, head, 1)
    else:
        folio_put_refs(vm, cpu, zone, head, GUP_PIN_COUNTING_BIAS)


def add_to_swap_cache(vm: Memory, pfn: int) -> bool:
    """Put an anonymous folio into the swap cache, which takes a reference a page; False if it is in."""
    folio = pfn_folio(vm, page_head_pfn(vm, pfn))
    if folio_test_swapcache(folio):
        return False
    folio_ref_add(folio, folio_nr_pages(folio))
    store(folio.private, 0)
    set_bit(PG_swapcache, folio.flags)
    return True


def try_to_unmap_one(vm: Memory, cpu: Cpu, zone: Zone, mm: MM, vpn: int) -> bool:
    """Swap out one PTE: clear it, share AnonExclusive, remove the rmap, write the swap entry.

    Returns:
        False if the page is AnonExclusive and may be pinned; the PTE then stays as it was.
    """
    entry = pte_ref(vm, mm, vpn)
    value = get_and_clear(entry)
    pfn = value >> PFN_SHIFT
    head = page_head_pfn(vm, pfn)
    folio = pfn_folio(vm, head)
    page = pfn_to_page(vm, pfn)
    swap = pfn << PFN_SHIFT | PTE_SWAP
    if PageAnonExclusive(page):
        if folio_maybe_dma_pinned(folio):
            WRITE_ONCE(entry, value)
            return False
        ClearPageAnonExclusive(page)
        swap |= PTE_SWAP_EXCLUSIVE
    store(folio.private, load(folio.private) + 1)
    WRITE_ONCE(entry, swap)
    store(mm.rss_anon, load(mm.rss_anon) - 1)
    store(mm.rss_swap, load(mm.rss_swap) + 1)
    folio_remove_rmap_ptes(vm, cpu, folio, page, 1, mm, vpn)
    folio_put_refs(vm, cpu, zone, head, 1)
    return True


def swap_in_one(vm: Memory, cpu: Cpu, mm: MM, vpn: int) -> None:
    """`do_swap_page` of a page that is still in the swap cache: map it again, writable if it was exclusive."""
    entry = pte_ref(vm, mm, vpn)
    swap = load(entry)
    pfn = swap >> PFN_SHIFT
    folio = pfn_folio(vm, page_head_pfn(vm, pfn))
    exclusive = swap & PTE_SWAP_EXCLUSIVE != 0
    folio_get(folio)
    store(folio.private, load(folio.private) - 1)
    folio_add_anon_rmap_ptes(vm, cpu, folio, pfn_to_page(vm, pfn), 1, mm, exclusive, vpn)
    value = pfn << PFN_SHIFT | PTE_ANON
    if not exclusive:
        value &= ~PTE_WRITE
    WRITE_ONCE(entry, value)
    store(mm.rss_swap, load(mm.rss_swap) - 1)
    store(mm.rss_anon, load(mm.rss_anon) + 1)
