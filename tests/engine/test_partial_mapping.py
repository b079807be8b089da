"""Partial mappings and the deferred split queue: specification 1.6 and 3.4."""

from __future__ import annotations

from typing import Any

import pytest

from foliolab.framework.engine.check import violations
from foliolab.framework.engine.engine import Shape
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.structs import PG_partially_mapped
from foliolab.framework.engine.truth import scan
from foliolab.policies import exact, mm_id, mm_id_v1, no_page_mapcount, page_mapcount

PMD = 512
BASE = page_mapcount.POLICY.with_parameters()
MM_ID = mm_id.POLICY.with_parameters()
NO_MC = no_page_mapcount.POLICY.with_parameters()
KEPT = [BASE, page_mapcount.POLICY.with_parameters({"batched": 0}), MM_ID, mm_id_v1.POLICY.with_parameters()]
KEPT += [exact.POLICY.with_parameters()]
AVERAGED = [NO_MC, mm_id_v1.POLICY.with_parameters({"page_mapcounts": 0})]
ALL = KEPT + AVERAGED


def name_of(scheme: Any) -> str:
    return str(scheme.name)


def machine(scheme: Any, nr_mms: int = 4, nr_pages: int = 2048, nr_vpns: int = 1024) -> Machine:
    m = Machine(scheme, Shape(nr_pages, nr_mms, nr_vpns), "interpreted")
    m.create(0)
    return m


def stats(m: Machine, *names: str) -> tuple[int, ...]:
    return tuple(m.statistic(name) for name in names)


def flagged(m: Machine, pfn: int = 0) -> bool:
    return bool(m.folio(pfn)._flags_1.peek() >> PG_partially_mapped & 1)


def queued(m: Machine, pfn: int = 0) -> bool:
    return bool(m.folio(pfn)._deferred_list[0].peek())


@pytest.mark.parametrize("scheme", ALL, ids=name_of)
def test_partial_mapping_of_a_sole_owner_is_found(scheme) -> None:
    """3.4: complete while one MM maps the folio. The flag is sticky, counted once, and goes with the folio."""
    m = machine(scheme)
    counts = ("NR_ANON_PARTIALLY_MAPPED", "THP_DEFERRED_SPLIT_PAGE")
    m.populate(0, 0, 16, 4)
    assert (flagged(m), queued(m), stats(m, *counts)) == (False, False, (0, 0))
    m.unmap(0, 3, 1)
    assert (flagged(m), queued(m), stats(m, *counts)) == (True, True, (1, 1))
    m.unmap(0, 4, 5)
    assert (flagged(m), queued(m), stats(m, *counts)) == (True, True, (1, 1))
    m.unmap(0, 0, 16)
    assert stats(m, *counts) == (0, 1)


@pytest.mark.parametrize("scheme", ALL, ids=name_of)
def test_what_is_never_queued(scheme) -> None:
    """1.6: whole unmaps (2024), file folios, folios in the swapcache."""
    m = machine(scheme)
    m.populate(0, 0, 16, 4)
    m.fork(0, 1)
    m.unmap(0, 0, 16)
    m.unmap(1, 0, 16)
    assert m.statistic("THP_DEFERRED_SPLIT_PAGE") == 0
    file = m.file_folio(4)
    m.map_file(0, 0, file, 16)
    m.unmap(0, 0, 7)
    assert (flagged(m, file), m.statistic("THP_DEFERRED_SPLIT_PAGE")) == (False, 0)
    m.populate(0, 64, 16, 4)
    pfn = m.frame(0, 64)
    m.swap_cache(pfn)
    m.unmap(0, 64, 7)
    assert (flagged(m, pfn), queued(m, pfn), m.statistic("THP_DEFERRED_SPLIT_PAGE")) == (False, False, 0)


@pytest.mark.parametrize("scheme", KEPT, ids=name_of)
def test_exact_detection_needs_the_last_mapping_of_a_page(scheme) -> None:
    """3.4's note: the parent unmaps page 3 -> nothing; the child unmaps page 3 -> queued."""
    m = machine(scheme)
    m.populate(0, 0, 16, 4)
    m.fork(0, 1)
    m.unmap(0, 3, 1)
    assert not flagged(m)
    m.unmap(1, 3, 1)
    assert flagged(m)


@pytest.mark.parametrize("scheme", ALL, ids=name_of)
def test_missed_partial_mapping_a(scheme) -> None:
    """3.4 (A): THP, fork, both unmap the same up-to-half of it; found once the child exits, at the next unmap."""
    m = machine(scheme)
    m.populate(0, 0, PMD, 9, pmd=True)
    m.fork(0, 1)
    m.unmap(0, 0, 200)
    m.unmap(1, 0, 200)
    assert scan(m).partially_mapped[0]
    assert flagged(m) is (scheme in KEPT)
    m.exit(1)
    m.unmap(0, 200, 1)
    assert flagged(m)
    assert violations(m) == []


@pytest.mark.parametrize("scheme", ALL, ids=name_of)
def test_missed_partial_mapping_b(scheme) -> None:
    """3.4 (B), scaled: P = 4, three children, all four processes unmap all but one page: c = P."""
    m = machine(scheme)
    m.populate(0, 0, 4, 2)
    for child in (1, 2, 3):
        m.fork(0, child)
    for who in range(4):
        m.unmap(who, 0, 3)
    assert m.mapcount(0) == 4
    assert scan(m).partially_mapped[0]
    assert flagged(m) is (scheme in KEPT)
    m.exit(3)
    assert flagged(m), "c < P proves it"
