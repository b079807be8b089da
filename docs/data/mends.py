"""What would mend the shipped texts whose laws the verifier broke: a variant for each, verified like any policy.

The pages about findings take a variant by its name: that of the text, and `-mended`. Its verdicts lie beside this file;
`foliolab verify` with this plugin and `--save-findings` makes them anew (docs/findings.md has the command).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from foliolab.framework.api import (
    Folio,
    Policy,
    atomic_add_negative,
    atomic_add_return,
    atomic_inc_and_test,
    atomic_sub_return,
    folio_nr_pages,
    hookimpl,
)
from foliolab.policies import (
    exact,
    likely_mapped_shared,
    mm_id,
    mm_id_slots,
    mm_id_v1,
    owner_vma,
    page_mapcount,
    rmap_id,
)
from foliolab.policies.parts import page_mapcounts as parts


def add_entire_mapcount(folio: Folio) -> tuple[int, int]:
    """As merged, but the difference may be negative."""
    if not atomic_inc_and_test(folio._entire_mapcount):
        return 0, 0
    mapped = atomic_add_return(parts.ENTIRELY_MAPPED, folio._nr_pages_mapped)
    if mapped >= 2 * parts.ENTIRELY_MAPPED:
        return 0, 0
    pages = folio_nr_pages(folio)
    return pages - (mapped & parts.FOLIO_PAGES_MAPPED), pages


def remove_entire_mapcount(folio: Folio) -> tuple[int, int, bool]:
    """As merged, but the difference may be negative."""
    if not atomic_add_negative(-1, folio._entire_mapcount):
        return 0, 0, False
    mapped = atomic_sub_return(parts.ENTIRELY_MAPPED, folio._nr_pages_mapped)
    if mapped >= parts.ENTIRELY_MAPPED:
        return 0, 0, False
    pages = folio_nr_pages(folio)
    nr = pages - mapped
    return nr, pages, 0 < nr < pages


def counted_with_its_sign(policy: Policy) -> Policy:
    """A text with page mapcounts whose number of mapped pages may change by a negative number at a PMD."""
    return replace(
        policy,
        name=f"{policy.name}-mended",
        summary="the number of mapped pages may change by a negative number when a PMD is mapped or unmapped",
        models=None,
        mutants=None,
        replace=(
            *policy.replace,
            (parts.add_entire_mapcount, add_entire_mapcount),
            (parts.remove_entire_mapcount, remove_entire_mapcount),
        ),
    )


COUNTED = (page_mapcount, likely_mapped_shared, mm_id_v1, mm_id, mm_id_slots, owner_vma, exact)
RMAP_ID = replace(
    rmap_id.POLICY,
    name="rmap-id-mended",
    summary="for folios of at most 32 pages, for which its arithmetic is wide enough, and without the claim `exact`",
    max_order=5,
    capabilities=rmap_id.CLAIMS - {"exact"},
    capabilities_of=None,
)


@hookimpl
def foliolab_policies() -> list[Policy]:
    """The variants, which the registry takes as policies."""
    return [*(counted_with_its_sign(module.POLICY) for module in COUNTED), RMAP_ID]


@hookimpl
def foliolab_findings() -> list[Path]:
    """What `foliolab verify` said of them."""
    return [Path(__file__).with_name("mends-findings.json")]
