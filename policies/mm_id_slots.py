"""`mm-id-slots`: `mm-id` with any number of slots, and with the fields of 32-bit kernels. Only `slots=2` is a kernel's.

With `slots` slots, the first free slot is taken. The flag is set by an MM that finds no free slot, and by an MM that
takes a slot while others map the folio; it is cleared by rule S4 applied to every slot. Slots that do not fit in the
first tail page lie behind the end of today's struct page, which makes struct page larger.

`width=32` has the fields of 32-bit kernels: IDs of 15 bits, so that fork fails beyond 32,767 MMs, and counts of 16
bits; an MM whose count overflows loses its slot, and the folio counts as shared. The fields around them keep the layout
of 64-bit kernels.

Sources: specification 2.2 (rules A1 to A5 and S1 to S4, for 64 and for 32 bits), 2.4 (trace T2, which a third slot
repairs); commit 6af8cb80d3a9, 6.15. More than two slots is this project's question, no kernel's code.
"""

from __future__ import annotations

from dataclasses import replace

from foliolab.framework.api import (
    Bits,
    Folio,
    Parameter,
    Stored,
    Values,
    __clear_bit,
    __set_bit,
    exact_claim,
    load,
    store,
)
from foliolab.policies import mm_id
from foliolab.policies.mm_id import MM_ID_DUMMY, set_slot_id, slot_id

SLOTS = 3
MM_ID_MAPCOUNT_MAX = (1 << 31) - 1
CLAIMS = mm_id.POLICY.capabilities - {"exact-for-two"}


def slot_fields(slots: int, width: int) -> tuple[Stored, ...]:
    """The slots: 8 bytes of counts and 8 of IDs in the first tail page, or, if they need more, 32 each behind it."""
    half = width // 2
    room = max(slots, 2)  # the flags lie in the IDs of slots 0 and 1, even if there is no slot 1
    counts, ids = (32, 40) if room * half <= 64 else (64, 96)
    word = (Bits("id0", 0, half - 1), Bits("lock", half - 1), Bits("id1", half, half - 1), Bits("shared", width - 1))
    return (
        Stored(
            "_mm_id_mapcount", f"i{half}", page=1, offset=counts, count=room, init=-1,
            doc="mappings of the slot's MM, minus 1",
        ),
        Stored("_mm_ids", f"u{width}", page=1, offset=ids, init=0, doc="both IDs as one word", bits=word),
        Stored(
            "_mm_id", f"u{half}", page=1, offset=ids, count=room, init=0 if room > 2 else None, overlays=True,
            doc="ID of the slot's MM; top bit: a flag",
        ),
    )  # fmt: skip


def fields(values: Values) -> tuple[Stored, ...]:
    """The counters of `mm-id`, and so many slots of a width."""
    return (*mm_id.COUNTERS, *slot_fields(values["slots"], int(values["width"])))


def derive(values: Values) -> dict[str, int]:
    """The constants of specification 2.2 for a kernel of that width."""
    width = int(values["width"])
    bits = width // 2 - 1
    return {
        "MM_ID_MASK": (1 << bits) - 1,
        "MM_ID_MAPCOUNT_MAX": (1 << bits) - 1,
        "LOCK_BIT": bits,
        "SHARED_BIT": width - 1,
    }


def claims(values: Values) -> frozenset[str]:
    """Exact for as many MMs as there are slots, from two on, unless a count of 16 bits can overflow."""
    exact = values["slots"] > 1 and values["width"] == "64"
    return CLAIMS | {exact_claim(values["slots"])} if exact else CLAIMS


def add_to_slots(folio: Folio, nr: int, mm: int, total: int) -> None:
    """A1 to A5 for any number of slots, and the overflow of a 32-bit kernel's counts."""
    for slot in range(SLOTS):
        if slot_id(folio, slot) == mm:
            count = load(folio._mm_id_mapcount[slot]) + nr
            if count <= MM_ID_MAPCOUNT_MAX:
                store(folio._mm_id_mapcount[slot], count)
                return
            store(folio._mm_id_mapcount[slot], -1)
            set_slot_id(folio, slot, MM_ID_DUMMY)
            __set_bit(mm_id.SHARED_BIT, folio._mm_ids)
            return
    for slot in range(SLOTS):
        if slot_id(folio, slot) == MM_ID_DUMMY:
            set_slot_id(folio, slot, mm)
            store(folio._mm_id_mapcount[slot], nr - 1)
            if total != nr - 1:
                __set_bit(mm_id.SHARED_BIT, folio._mm_ids)  # others map it already
            return
    __set_bit(mm_id.SHARED_BIT, folio._mm_ids)


def sub_from_slots(folio: Folio, nr: int, mm: int, total: int) -> None:
    """S1 to S4 for any number of slots."""
    for slot in range(SLOTS):
        if slot_id(folio, slot) == mm and mm_id.sub_from_slot(folio, slot, nr):
            return
    for slot in range(SLOTS):
        if load(folio._mm_id_mapcount[slot]) == total:
            __clear_bit(mm_id.SHARED_BIT, folio._mm_ids)


POLICY = replace(
    mm_id.POLICY,
    name="mm-id-slots",
    summary="mm-id with 1 to 8 slots, or with the narrow fields of 32-bit kernels",
    models=None,
    mutants=None,
    fields=fields,
    parameters=(
        Parameter("slots", "SLOTS", SLOTS, 1, 8, doc="how many MMs a folio can tell apart"),
        Parameter("width", "", "64", choices=("64", "32"), doc="fields of 64-bit or of 32-bit kernels"),
    ),
    derive=derive,
    capabilities=claims({"slots": SLOTS, "width": "64"}),
    capabilities_of=claims,
    max_mm_id=lambda values: derive(values)["MM_ID_MASK"],
    replace=((mm_id.add_to_slots, add_to_slots), (mm_id.sub_from_slots, sub_from_slots)),
)
