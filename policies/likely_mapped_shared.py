"""`likely-mapped-shared`: Linux 6.9 to 6.14, `folio_likely_mapped_shared` in both its versions.

`version=6.10` (6.10 to 6.14) is `page-mapcount`, answer for answer. `version=6.9` differs from it twice: the folio
is shared if page 0 is mapped more than once, PMD mappings included, and nothing else is looked at; and there is no
`_large_mapcount` and no batch, so it counts as `page-mapcount:large_mapcount=0,batched=0`. From
`estimated-sharers` that differs only where page 0 is not mapped: then 6.9 says exclusive.

What it gets wrong: exclusive if several MMs map the folio and page 0 is mapped at most once, which 6.10 still says
unless a PMD maps it or there are more mappings than pages; and shared if one MM maps page 0 twice.

Sources: specification 1.10; commits ebb34f78d72c ("mm: convert folio_estimated_sharers() to
folio_likely_mapped_shared()") and eefb9b2725e3, which improves it by the large mapcount of 05c5323b2a34.
"""

from __future__ import annotations

from dataclasses import replace

from foliolab.framework.api import Folio, Parameter, Stored, Values
from foliolab.policies import estimated_sharers, page_mapcount
from foliolab.policies.estimated_sharers import folio_estimated_sharers

VERSIONS = ("6.9", "6.10")


def fields(values: Values) -> tuple[Stored, ...]:
    """What it stores, with or without the large mapcount."""
    return estimated_sharers.FIELDS if values["version"] == "6.9" else page_mapcount.FIELDS


def derive(values: Values) -> dict[str, int]:
    """The counters of page-mapcount in that version."""
    return estimated_sharers.derive(values) if values["version"] == "6.9" else {}


def maybe_mapped_shared(folio: Folio) -> bool:
    """`folio_likely_mapped_shared`: page 0 alone decides in 6.9, which has no large mapcount to ask first."""
    if page_mapcount.LARGE_MAPCOUNT:
        return page_mapcount.maybe_mapped_shared(folio)
    return folio_estimated_sharers(folio) > 1


POLICY = replace(
    page_mapcount.POLICY,
    name="likely-mapped-shared",
    summary="Linux 6.9 to 6.14: page-mapcount; with version=6.9 page 0 alone says whether a folio is shared",
    references=(
        'commit ebb34f78d72c ("mm: convert folio_estimated_sharers() to folio_likely_mapped_shared()"), 6.9',
        "commits 05c5323b2a34 and eefb9b2725e3 (asks the large mapcount first), 6.10",
    ),
    fields=fields,
    parameters=(Parameter("version", "", "6.10", choices=VERSIONS, doc="6.10 to 6.14, or 6.9 before it"),),
    derive=derive,
    hooks=replace(page_mapcount.POLICY.hooks, maybe_mapped_shared=maybe_mapped_shared),
    models=None,  # page-mapcount says which kernels: 6.10 behaves alike, and 6.9 was not held against it
)
