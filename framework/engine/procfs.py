"""What users of /proc see: smaps' RSS, PSS and USS, pagemap's exclusive bit, kpagecount (specification 3.2 and 3.3)."""

from __future__ import annotations

from typing import Final

from foliolab.framework.engine import calls
from foliolab.framework.engine.calls import policy_call
from foliolab.framework.engine.folio import folio_test_large, page_head_pfn
from foliolab.framework.engine.pagetable import frame_of
from foliolab.framework.machine.memory import Memory
from foliolab.framework.machine.pointers import MM
from foliolab.framework.machine.primitives import atomic_read, pfn_folio, pfn_to_page

PSS_SHIFT: Final = 12


def kpagecount(vm: Memory, pfn: int) -> int:
    """/proc/kpagecount: how often the page is mapped, or the folio's average."""
    page = pfn_to_page(vm, pfn)
    folio = pfn_folio(vm, page_head_pfn(vm, pfn))
    if folio_test_large(folio):
        return policy_call(vm, calls.PAGE_MAPCOUNT, folio, page, 1, folio, 0)
    return atomic_read(page._mapcount) + 1


def page_is_exclusive(vm: Memory, pfn: int) -> bool:
    """pagemap's bit 56 (PM_MMAP_EXCLUSIVE); smaps calls such a page private."""
    page = pfn_to_page(vm, pfn)
    folio = pfn_folio(vm, page_head_pfn(vm, pfn))
    if folio_test_large(folio):
        return policy_call(vm, calls.PAGE_EXCLUSIVE, folio, page, 1, folio, 0) != 0
    return atomic_read(page._mapcount) == 0


def folio_maybe_mapped_shared(vm: Memory, pfn: int) -> bool:
    """`folio_maybe_mapped_shared` of the folio that this frame belongs to."""
    folio = pfn_folio(vm, page_head_pfn(vm, pfn))
    if folio_test_large(folio):
        return policy_call(vm, calls.MAYBE_MAPPED_SHARED, folio, folio, 0, folio, 0) != 0
    return atomic_read(folio._mapcount) > 0


def folio_mapcount(vm: Memory, pfn: int) -> int:
    """`folio_mapcount` of the folio that this frame belongs to."""
    folio = pfn_folio(vm, page_head_pfn(vm, pfn))
    if folio_test_large(folio):
        return policy_call(vm, calls.MAPCOUNT, folio, folio, 0, folio, 0)
    return atomic_read(folio._mapcount) + 1


def smaps(vm: Memory, mm: MM, start: int, end: int) -> tuple[int, int, int]:
    """Walk a range as smaps does.

    Returns:
        (RSS, USS, PSS << PSS_SHIFT), in pages.
    """
    rss = 0
    uss = 0
    pss = 0
    for vpn in range(start, end):
        pfn = frame_of(vm, mm, vpn)
        if pfn < 0:
            continue
        rss += 1
        if page_is_exclusive(vm, pfn):
            uss += 1
        count = kpagecount(vm, pfn)
        if count > 1:
            pss += (1 << PSS_SHIFT) // count
        else:
            pss += 1 << PSS_SHIFT
    return rss, uss, pss
