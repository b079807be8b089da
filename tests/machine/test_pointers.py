"""The types of pointers: what annotations promise is what a memory has."""

from __future__ import annotations

import pytest

from foliolab.framework import api
from foliolab.framework.engine import structs
from foliolab.framework.engine.engine import Shape
from foliolab.framework.engine.machine import Machine
from foliolab.framework.errors import AccessError
from foliolab.framework.machine.pointers import POINTERS
from foliolab.policies import mm_id, page_mapcount, total_mapped_pages

DECLARED = {
    "page": structs.PAGE_FIELDS,
    "mm": structs.MM_FIELDS,
    "cpu": structs.CPU.fields,
    "zone": structs.ZONE.fields,
    "pte": structs.PTE.fields,
}


@pytest.mark.parametrize("struct", sorted(DECLARED))
def test_a_type_lists_the_fields_of_its_struct(struct: str) -> None:
    assert list(POINTERS[struct].__annotations__) == [field.name for field in DECLARED[struct]]


def test_every_policy_has_the_fields_that_the_type_of_a_folio_lists() -> None:
    for policy in (mm_id.POLICY, page_mapcount.POLICY, total_mapped_pages.POLICY):
        fields = structs.layouts_of(policy.with_parameters())["folio"].by_name
        assert set(api.Folio.__annotations__) <= fields.keys()


def test_pointers_are_of_the_types_that_policies_name() -> None:
    m = Machine(mm_id.POLICY.with_parameters(), Shape(8, 1, 8, max_order=3), "interpreted")
    folio, page, mm = m.folio(0), m.page(0), m.vm.at("mm", m.map.mms[0])
    assert [isinstance(one, kind) for one, kind in ((folio, api.Folio), (page, api.Page), (mm, api.MM))] == [True] * 3
    assert isinstance(api.as_page(folio), api.Page)
    assert isinstance(folio._mm_id[1], api.Ref)
    with pytest.raises(AccessError, match="struct page has no field '_mm_id'"):
        _ = page._mm_id
