"""`estimated-sharers`: Linux up to 6.8, where the mapcount of a folio's first page stands for its sharers.

Counts as `page-mapcount:large_mapcount=0,batched=0` and stores no `_large_mapcount`; only the question differs:
`folio_estimated_sharers` is the page mapcount of page 0, PMD mappings included, and callers compare it with 1.
Exclusive is here what is 1, as for MADV_FREE, mbind, migration, and MADV_COLD on a PMD; NUMA hinting and
MADV_COLD on PTEs asked whether it is above 1, so they also took a folio for exclusive whose page 0 is unmapped.

What it gets wrong: it calls a folio exclusive if one MM maps page 0 and others map the rest (page 0 unmapped, or
copied after fork), and shared if its only MM maps page 0 twice or not at all.

Sources: specification 1.10, and 1.2 for the counters; commits fa4e3f5ffa5e ("mm: add folio_estimated_sharers()")
and ebb34f78d72c, which replaces it and tells what its callers asked.
"""

from __future__ import annotations

from dataclasses import replace

from foliolab.framework.api import Folio, Values, atomic_read, folio_page
from foliolab.policies import page_mapcount

FIELDS = tuple(field for field in page_mapcount.FIELDS if field.name != "_large_mapcount")


def derive(values: Values) -> dict[str, int]:
    """The counters of that time: neither the large mapcount (6.10) nor batches (6.12)."""
    return {"LARGE_MAPCOUNT": 0, "BATCHED": 0}


def folio_estimated_sharers(folio: Folio) -> int:
    """The page mapcount of page 0, which counts the PMD mappings, too."""
    return atomic_read(folio_page(folio, 0)._mapcount) + 1 + atomic_read(folio._entire_mapcount) + 1


def maybe_mapped_shared(folio: Folio) -> bool:
    """Exclusive if the estimate is 1."""
    return folio_estimated_sharers(folio) != 1


POLICY = replace(
    page_mapcount.POLICY,
    name="estimated-sharers",
    summary="Linux up to 6.8: page-mapcount without a large mapcount; exclusive if page 0 is mapped once",
    references=(
        'commit fa4e3f5ffa5e ("mm: add folio_estimated_sharers()"), 6.3',
        "commit ebb34f78d72c (its callers, and the end of it), 6.9",
    ),
    fields=FIELDS,
    parameters=(),
    derive=derive,
    hooks=replace(page_mapcount.POLICY.hooks, maybe_mapped_shared=maybe_mapped_shared),
    models=None,  # its callers ask in two ways (above), and no kernel of that time was held against it
)
