"""Every field of a folio's struct pages, with its value now and before the last step: what the inspector shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.anatomy.layout import Box, Owner, struct_page
from foliolab.framework.contract.policy import Scheme
from foliolab.framework.contract.stored import Per, Stored
from foliolab.framework.engine import structs
from foliolab.framework.engine.machine import Machine
from foliolab.framework.errors import UsageError
from foliolab.framework.machine.layout import CTYPES
from foliolab.framework.verify.field_names import value_text

if TYPE_CHECKING:
    from foliolab.framework.explore.lane import Lane

FLAGS: Final = {
    structs.PG_locked: "locked", structs.PG_lru: "lru", structs.PG_head: "head", structs.PG_swapcache: "swapcache",
    structs.PG_swapbacked: "swapbacked", structs.PG_buddy: "buddy", structs.PG_anon_exclusive: "anon_exclusive",
    structs.PG_lru_batch: "lru_batch", structs.PG_pagecache: "pagecache",
}  # fmt: skip
FULLY_SHOWN: Final = 3
"""Struct pages of a large folio of which every field is listed, at least: the head page and the two tail pages that
have kernel fields of their own."""


@dataclass(frozen=True)
class FieldDetail:
    """A field in a struct page of a folio; an array has one per element.

    Args:
        name: of the field, with the index of an array's element.
        page: number of the struct page within the folio.
        offset: bytes from the start of that struct page.
        bits: width of the field.
        owner: "policy", or "kernel" for a field that every policy has.
        value: now.
        before: the value before the step.
        text: the value in words.
        doc: what the field means, in one line.
        stored: the policy's declaration; None for a kernel field. A declaration with `overlays` is another view of
            bytes that other fields have.
    """

    name: str
    page: int
    offset: int
    bits: int
    owner: Owner
    value: int
    before: int
    text: str
    doc: str = ""
    stored: Stored | None = None

    @property
    def changed(self) -> bool:
        return self.value != self.before


@dataclass(frozen=True)
class FolioDetail:
    """The struct pages of a folio.

    Args:
        head: first frame.
        order: log2 of the number of pages.
        stride: bytes of a struct page.
        fields: all fields of the first `shown` struct pages, then the policy's fields of the others.
        free: unused bytes of the first `shown` struct pages, as (struct page, start, end).
        shown: number of struct pages of which all fields are listed.
    """

    head: int
    order: int
    stride: int
    fields: tuple[FieldDetail, ...]
    free: tuple[tuple[int, int, int], ...]
    shown: int

    @property
    def changes(self) -> tuple[FieldDetail, ...]:
        """The fields that the step changed."""
        return tuple(field for field in self.fields if field.changed)


def folio_of(machine: Machine, frame: int) -> tuple[int, int]:
    """(head, order) of the folio that a frame belongs to; (frame, 0) for a free frame or a small folio."""
    link = int(machine.page(frame).compound_head.peek())
    flags = int(machine.page(frame).flags.peek())
    head = link >> 1 if link & 1 and not flags >> structs.PG_buddy & 1 else frame
    head_flags = int(machine.page(head).flags.peek())
    if head_flags >> structs.PG_head & 1 and not head_flags >> structs.PG_buddy & 1:
        return head, int(machine.folio(head)._flags_1.peek()) & structs.ORDER_MASK
    return frame, 0


def folio_detail(
    lane: Lane, head: int, now: NDArray[np.uint8] | None = None, before: NDArray[np.uint8] | None = None
) -> FolioDetail:
    """Every field of a folio of a lane.

    Args:
        lane: the policy's lane.
        head: a frame of the folio.
        now: bytes of the folio's struct pages, uint8; the lane's present state by default.
        before: the bytes to compare with; the state before the last step by default.

    Raises:
        UsageError: the machine has no such frame, or the lane has no machine.
    """
    machine = lane.machine
    if machine is None or not 0 <= head < machine.shape.nr_pages:
        raise UsageError(f"there is no frame {head:,} under {lane.name}", "name a frame of its machine")
    head, order = folio_of(machine, head)
    now = lane.struct_pages(head, 1 << order) if now is None else now
    before = lane.before(head, 1 << order) if before is None else before
    return decode_folio(machine, head, now, before)


def decode_folio(machine: Machine, head: int, now: NDArray[np.uint8], before: NDArray[np.uint8]) -> FolioDetail:
    """Decode the struct pages of the folio at a head frame.

    Args:
        machine: gives the folio's order and the policy's layout.
        head: the first frame.
        now, before: bytes of the folio's struct pages at two moments, uint8.
    """
    scheme, stride = machine.scheme, machine.layouts["page"].size
    head, order = folio_of(machine, head)
    nr = 1 << order
    shown = min(nr, max([FULLY_SHOWN, *(one.page + 1 for one in scheme.stored("folio"))])) if order else 1
    fields: list[FieldDetail] = []
    free: list[tuple[int, int, int]] = []
    declared = {(one.name, one.per): one for one in scheme.fields}

    def add(number: int, boxes: list[Box]) -> None:
        fields.extend(_field(box, number, stride, now, before, declared) for box in boxes)

    for number in range(shown):
        page = struct_page(scheme, number)
        add(number, [*page.boxes, *(_overlays(scheme, number) if order else ())])
        free += [(number, start, end) for start, end in page.free]
    for number in range(shown, nr):
        add(number, [box for box in struct_page(scheme, number).boxes if box.owner == "policy"])
    return FolioDetail(head, order, stride, tuple(fields), tuple(free), shown)


def _overlays(scheme: Scheme, number: int) -> list[Box]:
    """The policy's additional views of bytes in a struct page."""
    found = []
    for stored in scheme.fields:
        if stored.overlays and (stored.per == "page" or (stored.per == "folio" and stored.page == number)):
            size = CTYPES[stored.ctype].bytes
            for i in range(stored.count):
                name = f"{stored.name}[{i}]" if stored.count > 1 else stored.name
                found.append(Box(name, stored.ctype, "policy", stored.offset + i * size, size, stored.doc))
    return found


def _field(
    box: Box,
    number: int,
    stride: int,
    now: NDArray[np.uint8],
    before: NDArray[np.uint8],
    declared: dict[tuple[str, Per], Stored],
) -> FieldDetail:
    start = number * stride + box.offset
    value, earlier = (_value(raw[start : start + box.size], box.ctype) for raw in (now, before))
    name = box.name.partition("[")[0]
    stored = declared.get((name, "folio")) or declared.get((name, "page")) if box.owner == "policy" else None
    return FieldDetail(
        name=box.name,
        page=number,
        offset=box.offset,
        bits=8 * box.size,
        owner=box.owner,
        value=value,
        before=earlier,
        text=value_text(box.name, value, stored),
        doc=box.doc,
        stored=stored,
    )


def _value(raw: NDArray[np.uint8], ctype: str) -> int:
    return int.from_bytes(raw.tobytes(), "little", signed=CTYPES[ctype].signed and not ctype.startswith("u"))
