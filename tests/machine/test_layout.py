"""Layouts: fields at real offsets, and what a declaration may not say."""

from __future__ import annotations

import pytest

from foliolab.framework.engine.structs import layouts_of
from foliolab.framework.errors import LayoutError
from foliolab.framework.machine.layout import CTYPES, Field, Layouts, Struct
from foliolab.policies import mm_id, mm_id_v1, no_page_mapcount, page_mapcount


@pytest.mark.parametrize(
    ("name", "width", "low", "high"),
    [
        ("i8", 1, -(1 << 7), (1 << 7) - 1),
        ("u8", 1, 0, (1 << 8) - 1),
        ("i16", 2, -(1 << 15), (1 << 15) - 1),
        ("u16", 2, 0, (1 << 16) - 1),
        ("i32", 4, -(1 << 31), (1 << 31) - 1),
        ("u32", 4, 0, (1 << 32) - 1),
        ("i64", 8, -(1 << 63), (1 << 63) - 1),
        # a u64 surfaces as its signed bit pattern
        ("u64", 8, -(1 << 63), (1 << 63) - 1),
    ],
)
def test_ranges(name: str, width: int, low: int, high: int) -> None:
    ctype = CTYPES[name]
    assert (ctype.bytes, ctype.low, ctype.high) == (width, low, high)


@pytest.mark.parametrize(
    ("declare", "says"),
    [
        (lambda: Field("a", "u128", 0), "u128"),
        (lambda: Field("a", "u64", 4), "not a multiple of its 8 bytes"),
        (lambda: Field("a", "u8", -1), "offset -1"),
        (lambda: Field("a", "u8", 0, count=0), "count 0"),
        (lambda: Struct("s", 8, (Field("a", "u64", 0), Field("a", "u32", 0))), "two fields are called a"),
        (lambda: Struct("s", 8, (Field("a", "u32", 4, count=2),)), "ends at byte 12 of 8"),
    ],
)
def test_refused(declare: object, says: str) -> None:
    with pytest.raises(LayoutError, match=says):
        declare()  # type: ignore[operator]


def test_digest_tells_layouts_apart() -> None:
    def digest(field: Field) -> str:
        return Layouts((Struct("s", 16, (field,)),)).digest

    base = digest(Field("a", "u32", 0))
    assert base == digest(Field("a", "u32", 0, doc="prose does not count"))
    others = {
        digest(f)
        for f in (
            Field("b", "u32", 0),
            Field("a", "i32", 0),
            Field("a", "u32", 4),
            Field("a", "u32", 0, count=2),
            Field("a", "u32", 0, init=0),
        )
    }
    assert len(others) == 5
    assert base not in others


# -- 1.1 and 2.2: where Linux keeps its fields ------------------------------------------------------
@pytest.mark.parametrize(
    ("policy", "offsets"),
    [
        (  # specification 1.1; Linux up to 6.14
            page_mapcount,
            {
                "_flags_1": 0, "_head_1": 8, "_large_mapcount": 16, "_entire_mapcount": 20,
                "_nr_pages_mapped": 24, "_pincount": 28, "_nr_pages": 32,
            },
        ),
        (  # specification 2.2; Linux 6.15 on 64 bits
            mm_id,
            {
                "_large_mapcount": 16, "_nr_pages_mapped": 20, "_entire_mapcount": 24, "_pincount": 28,
                "_mm_id_mapcount": 32, "_mm_ids": 40, "_mm_id": 40, "_mapcount_1": 48, "_refcount_1": 52,
                "_nr_pages": 56,
            },
        ),
        (
            no_page_mapcount,
            {
                "_large_mapcount": 16, "_entire_mapcount": 24, "_pincount": 28, "_mm_id_mapcount": 32,
                "_mm_ids": 40, "_nr_pages": 56,
            },
        ),
        (mm_id_v1, {"_mm0_mapcount": 32, "_mm1_mapcount": 36, "_mm_ids": 40}),  # specification 2.1
    ],
    ids=lambda value: getattr(value, "__name__", "").rpartition(".")[2],
)  # fmt: skip
def test_offsets_in_the_first_tail_page(policy: object, offsets: dict[str, int]) -> None:
    layouts = layouts_of(policy.POLICY.with_parameters())  # type: ignore[attr-defined]
    folio = layouts["folio"].by_name
    assert layouts["page"].size == 64
    assert {name: folio[name].offset - 64 for name in offsets} == offsets


def test_struct_page_offsets() -> None:
    page = layouts_of(page_mapcount.POLICY.with_parameters())["page"].by_name
    wanted = {"flags": 0, "_mapcount": 48, "_refcount": 52, "memcg_data": 56}
    assert {name: page[name].offset for name in wanted} == wanted


def test_no_page_mapcount_stores_nothing_in_the_pages() -> None:
    scheme = no_page_mapcount.POLICY.with_parameters()
    assert scheme.stored("page") == ()
    assert "_nr_pages_mapped" not in layouts_of(scheme)["folio"].by_name
