"""`rmap-id`: the precise scheme of November 2023; sums of sub-IDs tell whether one MM owns a large folio.

Besides the counters of Linux 6.7 (a mapcount in every page, `_entire_mapcount`, `_nr_pages_mapped`) it stores
the number of all mappings (`_total_mapcount`), up to six 64-bit rmap values (in page[3] and page[4]) and an
atomic seqcount. Mapping c entries adds c times the MM's k-th sub-ID to the k-th value; the folio is one MM's
alone if every value is the total times that MM's sub-ID. Arithmetic is modulo 2^64, as coded.

`stage` is how far the series is applied, as in its own measurements (specification 4.6):

mapcount   patch 3: only the total, by atomics, page by page; sharing is guessed from the first page.
rmap-id    patch 10: four values for every order up to 10; seqcount with shared writers; COW reuse.
123        patch 11: one, two or three values for the smaller orders.
batch      patch 14: the remap of a PMD to PTEs changes totals and values once, not page by page.
exclusive  patch 17: a lone writer, by compare-exchange, changes total and values without atomics.
nocmpxchg  patch 18: the same by add-and-return.
all        patch 20: the other counters change under the seqcount too; two atomics are left to a lone writer.

`batched=0` forks and zaps page by page, as 6.7 and the series do. `batched=1`, the default, does so once a
batch, as later kernels (and `_nr_pages_mapped` once a batch, as since August 2024): to compare with their
schemes. `order_c` and `bits_c` are the class table of specification 4.2. `patch17`: see `rmap_values`.

Deviations: `folio_mapped_shared` takes the MM that asks; a hook has none, so `maybe_mapped_shared` decodes
the values and looks for any ID that would pass. Struct mm gets its sub-IDs (of the classes with one to three
values; the others have a table) with its first mapping, not at its creation. Folios of order 1 (files only)
have no page[3], and the series does not track them: mapped twice they count as shared, for two mapcounts
cannot tell one owner of both pages from two. New folios may be mapped by PTEs, and partially mapped ones are
found as by 6.14. `prefetchw` is left out.

Sources: specification 4.1 to 4.6; series 20231124132626.235350-1-david@redhat.com ("[PATCH WIP v1 00/20]").
"""

from __future__ import annotations

from foliolab.framework.api import (
    MM,
    Folio,
    Hooks,
    Page,
    Parameter,
    Policy,
    Stored,
    Values,
    atomic_inc,
    atomic_read,
    atomic_set,
    folio_nr_pages,
    nth_page,
)
from foliolab.policies.parts.page_mapcounts import ENTIRELY_MAPPED, PAGE_MAPCOUNT, partially_mapped, set_page_mapcounts
from foliolab.policies.rmap_id import seqcount, subids
from foliolab.policies.rmap_id import values as rmap_values
from foliolab.policies.rmap_id.counters import (
    count_entire,
    count_pages,
    dup_entire,
    dup_pages,
    uncount_entire,
    uncount_pages,
)
from foliolab.policies.rmap_id.values import (
    STAGE_MAPCOUNT,
    add_batch_of,
    batch_of,
    begin,
    change_mapcount,
    counts_under_seqcount,
    end,
    is_only_mapped_by,
    is_shared,
    know,
    mapcount,
    set_mapcount,
)


def fields(values: Values) -> tuple[Stored, ...]:
    """What it stores at a stage."""
    stage = rmap_values.STAGES.index(values["stage"])
    subids_in_mm = rmap_values.derive(values)["IN_MM"]
    counters = (
        PAGE_MAPCOUNT,
        Stored("_total_mapcount", "i32", page=1, offset=16, init=-1, doc="mappings of any kind, minus 1"),
        Stored("_entire_mapcount", "i32", page=1, offset=24, init=-1, doc="PMD mappings, minus 1"),
        Stored("_nr_pages_mapped", "i32", page=1, offset=28, init=0, doc="pages mapped; 0x800000 for a PMD"),
    )
    if stage == STAGE_MAPCOUNT:
        return counters
    mine = (
        *counters,
        Stored(
            "_rmap_atomic_seqcount", "u64", page=1, offset=40, init=0, wraps=True, transient=True,
            doc="writers and sequence", bits=seqcount.BITS[rmap_values.form(stage)],
        ),
        Stored("_rmap_val", "u64", page=3, offset=16, count=4, init=0, wraps=True, doc="rmap values 0 to 3"),
        Stored("_rmap_val4", "u64", page=4, offset=16, count=2, init=0, wraps=True, doc="rmap values 4, 5"),
    )  # fmt: skip
    if not subids_in_mm:
        return mine
    return (
        *mine,
        Stored("mm_rmap_id", "u32", per="mm", offset=0, init=0, doc="the ID that the sub-IDs belong to"),
        Stored("mm_rmap_subid", "u64", per="mm", offset=8, count=subids_in_mm, wraps=True, doc="sub-IDs"),
    )


def new_anon(folio: Folio, page: Page, nr: int, mm: MM) -> None:
    set_page_mapcounts(folio, page, nr)
    set_mapcount(folio, nr, mm)


def new_anon_pmd(folio: Folio, mm: MM) -> None:
    atomic_set(folio._entire_mapcount, 0)
    atomic_set(folio._nr_pages_mapped, ENTIRELY_MAPPED)
    set_mapcount(folio, 1, mm)


def add_ptes(folio: Folio, page: Page, nr: int, mm: MM) -> int:
    know(mm)
    step = add_batch_of(folio, nr)
    first = 0
    for i in range(0, nr, step):
        exclusive = begin(folio)
        first += count_pages(folio, nth_page(page, i), step, batch_of(step), exclusive)
        change_mapcount(folio, step, mm, exclusive)
        end(folio, exclusive)
    return first


def add_pmd(folio: Folio, mm: MM) -> tuple[int, int]:
    know(mm)
    exclusive = begin(folio)
    counted = count_entire(folio, exclusive)
    change_mapcount(folio, 1, mm, exclusive)
    end(folio, exclusive)
    return counted


def dup_page(page: Page) -> None:
    """fork: one more PTE maps the page; from patch 20 on `dup_ptes` counts it."""
    if not counts_under_seqcount():
        atomic_inc(page._mapcount)


def dup_ptes(folio: Folio, page: Page, nr: int, mm: MM) -> None:
    know(mm)
    step = batch_of(nr)
    for i in range(0, nr, step):
        exclusive = begin(folio)
        if counts_under_seqcount():
            dup_pages(nth_page(page, i), step, exclusive)
        change_mapcount(folio, step, mm, exclusive)
        end(folio, exclusive)


def dup_pmd(folio: Folio, mm: MM) -> None:
    know(mm)
    exclusive = begin(folio)
    dup_entire(folio, exclusive)
    change_mapcount(folio, 1, mm, exclusive)
    end(folio, exclusive)


def remove_ptes(folio: Folio, page: Page, nr: int, mm: MM) -> tuple[int, bool]:
    """The total is decremented first."""
    step = batch_of(nr)
    last = 0
    for i in range(0, nr, step):
        exclusive = begin(folio)
        change_mapcount(folio, -step, mm, exclusive)
        last += uncount_pages(folio, nth_page(page, i), step, step, exclusive)
        end(folio, exclusive)
    return last, partially_mapped(folio, last)


def remove_pmd(folio: Folio, mm: MM) -> tuple[int, int, bool]:
    """The total is decremented first."""
    exclusive = begin(folio)
    change_mapcount(folio, -1, mm, exclusive)
    counted = uncount_entire(folio, exclusive)
    end(folio, exclusive)
    return counted


def maybe_mapped_shared(folio: Folio) -> bool:
    """`folio_mapped_shared`, specification 4.5."""
    total = mapcount(folio)
    if total == 1:
        return False
    if atomic_read(folio._entire_mapcount) >= 0 or total > folio_nr_pages(folio):
        return True
    return is_shared(folio)


def can_reuse(folio: Folio, page: Page, mm: MM) -> bool:
    """COW reuse: all references are mappings and all mappings are `mm`'s; a page alone is reused too."""
    return is_only_mapped_by(folio, mm)


CLAIMS = frozenset({"exact", "safe", "page-mapcount", "partial-mapping", "pmd", "reuse"})


def claims(values: Values) -> frozenset[str]:
    """What the authors claim: before the rmap values (stage=mapcount) sharing is only guessed."""
    return CLAIMS if values["stage"] != "mapcount" else CLAIMS - {"exact", "safe", "reuse"}


POLICY = Policy(
    name="rmap-id",
    summary="the precise scheme of Nov 2023 (never merged): sums of sub-IDs under an atomic seqcount",
    references=(
        "20231124132626.235350-1-david@redhat.com ([PATCH WIP v1 00/20], on v6.7-rc1)",
        "specification 4.1 to 4.6",
    ),
    layout="6.7",
    fields=fields,
    derive=rmap_values.derive,
    parameters=(
        Parameter("stage", "STAGE", "all", choices=rmap_values.STAGES, doc="how far the series is applied"),
        Parameter(
            "batched", rmap_values.__name__ + ".BATCHED", 1, 0, 1,
            doc="fork and zap once a batch, as kernels since 6.8",
        ),
        Parameter(
            "patch17", "PATCH17_AS_CODED", "intended", choices=("intended", "as-coded"),
            doc="whether an exclusive writer forgets the count in class 1",
        ),
        *subids.PARAMETERS,
    ),
    capabilities=CLAIMS,
    capabilities_of=claims,
    max_mm_id=subids.RMAP_ID_MAX,
    hooks=Hooks(
        new_anon=new_anon,
        new_anon_pmd=new_anon_pmd,
        add_ptes=add_ptes,
        add_pmd=add_pmd,
        dup_page=dup_page,
        dup_ptes=dup_ptes,
        dup_pmd=dup_pmd,
        remove_ptes=remove_ptes,
        remove_pmd=remove_pmd,
        mapcount=mapcount,
        maybe_mapped_shared=maybe_mapped_shared,
        can_reuse=can_reuse,
    ),
)  # fmt: skip
