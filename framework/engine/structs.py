"""The structs of the modelled kernel, at their real offsets, and where a policy's fields go in them.

Offsets are those of 64-bit Linux (include/linux/mm_types.h). They are listed in specification 1.1 for Linux up to 6.14,
in 2.1 and 2.2 for the series and the merged work, in 4.4 for the precise scheme, in 5.1 for the RFC of April 2026.
"""

from __future__ import annotations

from functools import cache
from typing import Final

from foliolab.framework.contract.policy import Layout, Scheme
from foliolab.framework.contract.stored import Stored
from foliolab.framework.errors import LayoutError
from foliolab.framework.machine.layout import CTYPES, Field, Layouts, Struct

STRUCT_PAGE: Final = 64
PTE_SIZE: Final = 8
GATHER_MAX: Final = 510
"""Entries of one mmu_gather batch: a page of pointers less its head (MAX_GATHER_BATCH)."""
NR_ORDERS: Final = 20

# page->flags (bit numbers are the model's own; the kernel's depend on its configuration)
PG_locked: Final = 0
PG_dirty: Final = 4
PG_lru: Final = 5
PG_head: Final = 6
PG_swapcache: Final = 10
PG_swapbacked: Final = 12
PG_buddy: Final = 15
PG_anon_exclusive: Final = 17
PG_lru_batch: Final = 20  # stands for "in a per-CPU LRU batch", which holds one reference
PG_pagecache: Final = 21  # stands for page->mapping's i_pages entry, which holds one reference a page
PG_lazyfree: Final = 22  # stands for an anonymous folio without PG_swapbacked: MADV_FREE
PG_partially_mapped: Final = 9  # second page
ORDER_MASK: Final = 0xFF  # second page, low bits of _flags_1

MAPPING_ANON: Final = 1  # PAGE_MAPPING_ANON: low bit of page->mapping
MAPPING_FILE: Final = 2
TAIL_MAPPING: Final = 0x400

MMF_HAS_PINNED: Final = 0

PAGE_FIELDS: Final = (
    Field("flags", "u64", 0, doc="page flags"),
    Field("compound_head", "u64", 8, doc="tail pages: byte offset of the head page, plus 1"),
    Field("lru_next", "u64", 8, doc="free pages: next in the free list, page frame number plus 1"),
    Field("lru_prev", "u64", 16, doc="free pages: previous in the free list, page frame number plus 1"),
    Field("mapping", "u64", 24, doc="1 anonymous, 2 file, 0 free"),
    Field("gup_refs", "u32", 32, doc="model only (overlays index): references taken by get_user_pages"),
    Field("private", "u64", 40, doc="swapcache: PTEs that are still swap entries; free pages: order"),
    Field("_mapcount", "i32", 48, doc="mappings of this page, minus 1"),
    Field("_refcount", "i32", 52, doc="references"),
    Field("memcg_data", "u64", 56, doc="not modelled"),
)

_PINCOUNT_AND_NR_PAGES: Final[dict[Layout, tuple[int, int]]] = {
    "6.7": (32, 36),
    "6.14": (28, 32),
    "mm-id-v1": (28, 56),
    "6.15": (28, 56),
    "rfc-2026": (16, 56),
}
"""The offsets of `_pincount` and `_nr_pages` in the first tail page."""
_MAPCOUNT_1: Final = Stored("_mapcount_1", "i32", page=1, offset=48)
_ANY_FOLIO: Final = (
    Stored("_flags_1", "u64", page=1, offset=0, doc="low 8 bits: order; PG_partially_mapped"),
    Stored("_head_1", "u64", page=1, offset=8),
    _MAPCOUNT_1,
    Stored("_refcount_1", "i32", page=1, offset=52),
    Stored("_flags_2", "u64", page=2, offset=0),
    Stored("_head_2", "u64", page=2, offset=8),
    Stored("_deferred_list", "u64", page=2, offset=16, count=2, init=0, doc="non-zero while queued"),
)

PTE: Final = Struct("pte", PTE_SIZE, (Field("pte", "u64", 0),))

STATISTICS: Final = (
    "NR_ANON_MAPPED", "NR_FILE_MAPPED", "NR_ANON_THPS", "NR_SHMEM_PMDMAPPED", "NR_FILE_PMDMAPPED",
    "NR_ANON_PARTIALLY_MAPPED", "THP_DEFERRED_SPLIT_PAGE", "PGFREE", "PGCOPY", "PGREUSE",
)  # fmt: skip

CPU: Final = Struct(
    "cpu",
    128 + NR_ORDERS * 8 + 48 + GATHER_MAX * 8 + 16,
    (
        *(Field(name, "i64", 8 * i, doc="statistic") for i, name in enumerate(STATISTICS)),
        Field("gather_nr", "u64", 120, doc="entries in the mmu_gather batch"),
        Field("nr_anon", "i64", 128, count=NR_ORDERS, doc="anonymous folios by order"),
        Field("gather", "u64", 128 + NR_ORDERS * 8 + 48, count=GATHER_MAX, doc="page frame << 16 | pages"),
    ),
)

ZONE: Final = Struct(
    "zone",
    64 + 8 * NR_ORDERS + 32,
    (
        Field("lock", "u64", 0, doc="bit 0: the zone lock"),
        Field("nr_free", "u64", 8, doc="free pages"),
        Field("mm_ida", "u64", 16, doc="byte offset of the bitmap of MM IDs in use"),
        Field("mm_ida_words", "u64", 24, doc="its length in 64-bit words"),
        Field("max_mm_id", "u64", 32, doc="largest ID that may be handed out"),
        Field("has_contents", "u64", 40, doc="whether page contents are modelled"),
        Field("max_order", "u64", 48, doc="order of the largest free block"),
        Field("nr_pages", "u64", 56, doc="page frames"),
        Field("free_area", "u64", 64, count=NR_ORDERS, doc="first free block by order, frame plus 1"),
        Field("notify_moves", "u64", 64 + 8 * NR_ORDERS, doc="whether the policy has a hook move_pte"),
        Field("pins", "u64", 72 + 8 * NR_ORDERS, doc="model only: byte offset of the pins of each page by gup_fast"),
    ),
)

MM_FIELDS: Final = (
    Field("pgd", "u64", 0, doc="byte offset of the PTEs"),
    Field("pmd", "u64", 8, doc="byte offset of the PMDs"),
    Field("nr_ptes", "u64", 16, doc="pages of address space"),
    Field("mm_id", "u32", 24, doc="MM ID, 0 while the MM does not exist"),
    Field("flags", "u32", 28, doc="bit 0: MMF_HAS_PINNED"),
    Field("rss_anon", "i64", 32, doc="MM_ANONPAGES"),
    Field("rss_file", "i64", 40, doc="MM_FILEPAGES"),
    Field("rss_swap", "i64", 48, doc="MM_SWAPENTS"),
    Field("here", "u64", 56, doc="byte offset of this struct itself, for `memory_of`"),
)
MM_SIZE: Final = 64


def page_stride(scheme: Scheme) -> int:
    """Bytes from one struct page to the next: 64 unless the policy stores more than fits."""
    end = max((f.offset + CTYPES[f.ctype].bytes * f.count for f in scheme.fields if f.per != "mm"), default=0)
    return STRUCT_PAGE * -(-max(end, STRUCT_PAGE) // STRUCT_PAGE)


def common_fields(layout: Layout) -> tuple[Stored, ...]:
    """The fields of struct folio's tail pages that belong to no scheme."""
    pincount, nr_pages = _PINCOUNT_AND_NR_PAGES[layout]
    common = (
        *_ANY_FOLIO,
        Stored("_pincount", "i32", page=1, offset=pincount, init=0),
        Stored("_nr_pages", "u32", page=1, offset=nr_pages),
    )
    # the RFC of April 2026 puts the folio's own mapcount where the first tail page has its (specification 5.1)
    return tuple(f for f in common if f is not _MAPCOUNT_1) if layout == "rfc-2026" else common


def _check_offsets(scheme: Scheme, stride: int, own: list[tuple[Stored, Field]], others: list[Field]) -> None:
    """Refuse a policy's field that overlaps another, unless it repeats the kernel's field or is declared a union."""
    for i, (stored, field) in enumerate(own):
        later = [] if stored.overlays else [f for s, f in own[i + 1 :] if not s.overlays]
        for other in others + later:
            same = (field.name, field.offset, field.ctype) == (other.name, other.offset, other.ctype)
            if not same and field.offset < other.end and other.offset < field.end:
                raise LayoutError(
                    f"policy {scheme.name}: field {field.name} at page[{field.offset // stride}] byte "
                    f"{field.offset % stride} overlaps {other.name}",
                    "`foliolab show` draws what is free in each struct page",
                )


@cache
def layouts_of(scheme: Scheme) -> Layouts:
    """The structs of an engine that runs this scheme.

    Raises:
        LayoutError: a field of the policy lies where the kernel keeps something else.
    """
    stride = page_stride(scheme)
    per_page = [(s, s.at(stride)) for s in scheme.stored("page")]
    per_folio = [(s, s.at(stride)) for s in scheme.stored("folio")]
    per_mm = [(s, Field(s.name, s.ctype, MM_SIZE + s.offset, s.count, s.init)) for s in scheme.stored("mm")]
    head = list(PAGE_FIELDS)
    common = [s.at(stride) for s in common_fields(scheme.policy.layout)]
    _check_offsets(scheme, stride, per_page, head)
    _check_offsets(scheme, stride, per_folio, [*head, *common])
    page = Struct("page", stride, (*_without(head, per_page), *(f for _, f in per_page)))
    last = max([f.end for f in common] + [f.end for _, f in per_folio])
    # struct folio starts with a struct page, whose fields a policy initialises through the page, not the folio
    plain_head = [Field(f.name, f.ctype, f.offset, f.count, None, f.wraps, f.doc) for f in page.fields]
    folio = Struct(
        "folio",
        stride * -(-last // stride),
        (*plain_head, *_without(common, per_folio), *(f for _, f in per_folio)),
    )
    mm_end = max((f.end for _, f in per_mm), default=MM_SIZE)
    mm = Struct("mm", -(-mm_end // 64) * 64, (*MM_FIELDS, *(f for _, f in per_mm)))
    return Layouts((page, folio, PTE, CPU, ZONE, mm))


@cache
def engine_layouts(scheme: Scheme) -> Layouts:
    """The structs with the kernel's fields only, which are equal for all policies of one kernel layout.

    The engine is compiled once for each of these layouts, not once for each policy.
    """
    stride = page_stride(scheme)
    common = [
        Field(f.name, f.ctype, f.offset, f.count)
        for f in (s.at(stride) for s in common_fields(scheme.policy.layout))
        if f.name != "_nr_pages"
    ]
    folio = Struct("folio", 3 * stride, (*PAGE_FIELDS, *common))
    return Layouts((Struct("page", stride, PAGE_FIELDS), folio, PTE, CPU, ZONE, Struct("mm", MM_SIZE, MM_FIELDS)))


def _without(fields: list[Field], own: list[tuple[Stored, Field]]) -> list[Field]:
    """The fields that the policy does not declare itself."""
    names = {f.name for _, f in own}
    return [f for f in fields if f.name not in names]
