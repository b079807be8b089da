"""What is to be said about one page and one folio: for what is under the pointer, and for the inspector."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.anatomy.layout import Box, Owner, struct_page
from foliolab.framework.contract.policy import Scheme, Stored
from foliolab.framework.engine import structs
from foliolab.framework.engine.folio import GUP_PIN_COUNTING_BIAS
from foliolab.framework.engine.pagetable import PFN_SHIFT, PTE_PRESENT, PTE_WRITE, PTRS_PER_PTE
from foliolab.framework.errors import UsageError
from foliolab.framework.machine.layout import CTYPES
from foliolab.framework.replay import cells
from foliolab.framework.verify.field_names import value_text

if TYPE_CHECKING:
    from foliolab.framework.explore.lane import Lane

FLAGS: Final = {
    structs.PG_locked: "locked", structs.PG_lru: "lru", structs.PG_head: "head", structs.PG_swapcache: "swapcache",
    structs.PG_swapbacked: "swapbacked", structs.PG_buddy: "buddy", structs.PG_anon_exclusive: "anon_exclusive",
    structs.PG_lru_batch: "lru_batch", structs.PG_pagecache: "pagecache",
}  # fmt: skip
RIGHT: Final = "right"
FALSE_SHARED: Final = "false shared"
UNSAFE: Final = "unsafe"


@dataclass(frozen=True)
class Owning:
    """An MM that maps a folio.

    Args:
        mm: number of its map.
        name: who has it.
        mappings: pages of the folio that it maps.
    """

    mm: int
    name: str
    mappings: int


@dataclass(frozen=True)
class PageDetail:
    """A page of the map of an MM.

    Args:
        mm, page: which.
        frame: that it is mapped to; -1 if none.
        head: first frame of its folio; -1 if none.
        order: log2 of the pages of the folio.
        by_pmd, writable, swapped: how it is mapped.
        mapcount: mappings of the page, by the page tables.
        folio_mapcount: mappings of the folio, by the page tables; of a small one, of the page.
        policy_mapcount: mappings of the page as /proc/kpagecount would show them; None where it cannot say.
        policy_folio_mapcount: mappings of the folio as the policy counts them.
        flags: of the page, by their names.
        pins: of the folio, for DMA.
        references: of the folio.
        owners: MMs that map the folio.
        said_shared: the policy's answer: may several MMs map the folio? None: the folio is small, or it cannot say.
        verdict: right, false shared, unsafe; empty where no policy is asked.
        told: all that matters in one sentence.
    """

    mm: int
    page: int
    frame: int = -1
    head: int = -1
    order: int = 0
    by_pmd: bool = False
    writable: bool = False
    swapped: bool = False
    mapcount: int = 0
    folio_mapcount: int = 0
    policy_mapcount: int | None = None
    policy_folio_mapcount: int | None = None
    flags: tuple[str, ...] = ()
    pins: int = 0
    references: int = 0
    owners: tuple[Owning, ...] = ()
    said_shared: bool | None = None
    verdict: str = ""
    told: str = ""


@dataclass(frozen=True)
class FieldDetail:
    """An element of a field in a struct page of a folio.

    Args:
        name: with the index of an element of an array.
        page: number of the struct page.
        offset: bytes from the start of that struct page.
        bits: its width.
        owner: the policy, or the kernel whatever the policy.
        value: as it is now.
        before: as it was before the step.
        text: the value in words.
        doc: what it means, in one line.
        stored: the declaration, where it is the policy's; with `overlays` it is another view of bytes that other
            fields have.
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
        """Whether the step changed it."""
        return self.value != self.before


@dataclass(frozen=True)
class FolioDetail:
    """A folio's struct pages.

    Args:
        head: first frame.
        order: log2 of its pages.
        stride: bytes of a struct page.
        fields: of the struct pages that have more than every tail page has, then the policy's fields of the others.
        free: bytes that nothing uses, (struct page, start, end) each, of the first struct pages.
        shown: struct pages of which all fields are there.
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


def page_detail(lane: Lane, mm: int, page: int) -> PageDetail:
    """What is to be said about a page of the map of an MM.

    Raises:
        UsageError: there is no such page.
    """
    if not 0 <= page < lane.source.pages or not 0 <= mm < len(lane.source.mms):
        raise UsageError(
            f"there is no page {page:,} of map {mm}",
            f"there are {len(lane.source.mms)} maps of {lane.source.pages:,} pages",
        )
    machine, vpn = lane.machine, lane.vpn(mm, page)
    if machine is None or vpn < 0:
        return PageDetail(mm, page, told=_unmapped(lane, mm, page))
    pmd, value = int(machine.pmds(mm)[vpn // PTRS_PER_PTE]), int(machine.ptes(mm)[vpn])
    entry = pmd or value
    if not entry & PTE_PRESENT:
        told = f"Page {page:,} of {_name(lane, mm)} is swapped out." if entry else _unmapped(lane, mm, page)
        return PageDetail(mm, page, swapped=bool(entry), told=told)
    frame = (entry >> PFN_SHIFT) + (vpn % PTRS_PER_PTE if pmd else 0)
    return _mapped(lane, mm, page, frame, entry, bool(pmd))


def _mapped(lane: Lane, mm: int, page: int, frame: int, entry: int, by_pmd: bool) -> PageDetail:
    machine, state = lane.machine, lane.state
    assert machine is not None and state is not None
    head, order = folio_of(lane, frame)
    flags = int(machine.page(frame).flags.peek())
    counts = state.table(cells.AT_PAGES)[frame // cells.COUNTS : frame // cells.COUNTS + 1].view(np.uint16)
    mapcount = int(counts[frame % cells.COUNTS])
    owners = _owners(lane, head, frame, order)
    references = int(machine.folio(head)._refcount.peek())
    pins = int(machine.folio(head)._pincount.peek()) if order else references // GUP_PIN_COUNTING_BIAS
    said = _asked(lambda: bool(machine.maybe_shared(frame))) if order else None
    verdict = ""
    if said is not None:
        verdict = RIGHT if said == (len(owners) > 1) else FALSE_SHARED if said else UNSAFE
    at_head = state.table(cells.AT_FOLIO).reshape(-1, cells.FOLIO_CELLS)[head >> 2]
    found = PageDetail(
        mm=mm,
        page=page,
        frame=frame,
        head=head,
        order=order,
        by_pmd=by_pmd,
        writable=bool(entry & PTE_WRITE),
        mapcount=mapcount,
        folio_mapcount=int(at_head[4]) if order > 1 else mapcount,
        policy_mapcount=_asked(lambda: machine.kpagecount(frame)),
        policy_folio_mapcount=_asked(lambda: machine.mapcount(frame)),
        flags=tuple(name for bit, name in FLAGS.items() if flags >> bit & 1),
        pins=pins,
        references=references,
        owners=owners,
        said_shared=said,
        verdict=verdict,
    )
    return _with_sentence(lane, found)


def _asked(question: Callable[[], Any]) -> Any:
    """An answer of the policy; None if it has none."""
    try:
        return question()
    except Exception:  # whatever a policy's own code raises
        return None


def folio_of(lane: Lane, frame: int) -> tuple[int, int]:
    """(head, order) of the folio of a frame; of a free or small one the frame itself."""
    machine = lane.machine
    assert machine is not None
    link = int(machine.page(frame).compound_head.peek())
    flags = int(machine.page(frame).flags.peek())
    head = link >> 1 if link & 1 and not flags >> structs.PG_buddy & 1 else frame
    head_flags = int(machine.page(head).flags.peek())
    if head_flags >> structs.PG_head & 1 and not head_flags >> structs.PG_buddy & 1:
        return head, int(machine.folio(head)._flags_1.peek()) & structs.ORDER_MASK
    return frame, 0


def _owners(lane: Lane, head: int, frame: int, order: int) -> tuple[Owning, ...]:
    """The MMs that map a folio, from the account of page tables; of a small one from the page tables."""
    machine, state = lane.machine, lane.state
    assert machine is not None and state is not None
    names = lane.names()
    if order >= 2:
        counts = state.table(cells.AT_COUNT).reshape(-1, int(state.all[cells.HEADS]))[:, head >> 2]
        mine = [(mm, int(counts[mm])) for mm in np.flatnonzero(counts).tolist()]
    else:
        mine = []
        for mm in range(machine.shape.nr_mms):
            table = machine.ptes(mm)
            here = int(((table >> np.uint64(PFN_SHIFT) == frame) & (table & np.uint64(PTE_PRESENT) != 0)).sum())
            if here:
                mine.append((mm, here))
    return tuple(Owning(mm, names[mm] if mm < len(names) else f"MM {mm}", count) for mm, count in mine)


def _name(lane: Lane, mm: int) -> str:
    return lane.names()[mm] or "nobody"


def _unmapped(lane: Lane, mm: int, page: int) -> str:
    if lane.machine is None:
        return f"{lane.name} does not run."
    name = lane.names()[mm]
    return f"{name} maps nothing at page {page:,}." if name else f"Map {mm + 1} belongs to nobody now."


def _with_sentence(lane: Lane, found: PageDetail) -> PageDetail:
    from dataclasses import replace

    from foliolab.framework.engine.operation import folio_size_text
    from foliolab.framework.explore.source import pages_text

    who = _name(lane, found.mm)
    if not found.order:
        others = [one.name for one in found.owners if one.mm != found.mm]
        shared = f"also mapped by {_listed(others)}" if others else "mapped by nobody else"
        return replace(found, told=f"Page {found.page:,} of {who} is a small folio, {shared}.")
    size = folio_size_text(found.order)
    index = found.frame - found.head
    where = f"Page {found.page:,} of {who} is page {index} of a {size} folio"
    others = [one.name for one in found.owners if one.mm != found.mm]
    mapped = f"which {_listed(others)} {'map' if len(others) > 1 else 'maps'} as well" if others else "which is its own"
    partial = ""
    mine = sum(one.mappings for one in found.owners if one.mm == found.mm)
    if mine < 1 << found.order:
        partial = f", it maps {pages_text(mine)} of it"
    said = (
        "has no answer" if found.said_shared is None else f"says {'maybe shared' if found.said_shared else 'exclusive'}"
    )
    verdict = f" ({found.verdict})" if found.verdict else ""
    return replace(found, told=f"{where}, {mapped}{partial}; {lane.name} {said}{verdict}.")


def _listed(names: list[str]) -> str:
    shown = names[:3]
    more = len(names) - len(shown)
    if more:
        return f"{', '.join(shown)} and {more} more"
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


# -- folios -------------------------------------------------------------------------------------------
def folio_detail(
    lane: Lane, head: int, now: NDArray[np.uint8] | None = None, before: NDArray[np.uint8] | None = None
) -> FolioDetail:
    """Every field of the folio of a frame.

    Args:
        lane: whose machine.
        head: a frame of it.
        now, before: the bytes of its struct pages at other moments than now, and before the step; uint8.

    Raises:
        UsageError: there is no such frame, or no machine.
    """
    machine = lane.machine
    if machine is None or not 0 <= head < machine.shape.nr_pages:
        raise UsageError(f"there is no frame {head:,} under {lane.name}", "name a frame of its machine")
    head, order = folio_of(lane, head)
    nr = 1 << order
    now = lane.struct_pages(head, nr) if now is None else now
    before = lane.before(head, nr) if before is None else before
    scheme = machine.scheme
    shown = min(nr, max([3, *(one.page + 1 for one in scheme.stored("folio"))]))
    fields: list[FieldDetail] = []
    free: list[tuple[int, int, int]] = []
    mine = {(one.name, one.per): one for one in scheme.fields}
    for number in range(shown if order else 1):
        page = struct_page(scheme, number) if order else _small(scheme)
        boxes = [*page.boxes, *(_overlays(scheme, number) if order else ())]
        fields += [_field(box, number, lane.stride, now, before, mine) for box in boxes]
        free += [(number, start, end) for start, end in page.free]
    for number in range(shown, nr):
        boxes = [box for box in struct_page(scheme, number).boxes if box.owner == "policy"]
        fields += [_field(box, number, lane.stride, now, before, mine) for box in boxes]
    return FolioDetail(head, order, lane.stride, tuple(fields), tuple(free), shown if order else 1)


def _small(scheme: Scheme) -> Any:
    """The only struct page of a small folio: a policy has no fields there but those of every page."""
    return struct_page(scheme, 0)


def _overlays(scheme: Scheme, number: int) -> list[Box]:
    """The policy's other views of bytes in a struct page."""
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
    mine: dict[tuple[str, Any], Stored],
) -> FieldDetail:
    start = number * stride + box.offset
    value, then = (_value(raw[start : start + box.size], box.ctype) for raw in (now, before))
    name = box.name.partition("[")[0]
    stored = mine.get((name, "folio")) or mine.get((name, "page")) if box.owner == "policy" else None
    return FieldDetail(
        name=box.name,
        page=number,
        offset=box.offset,
        bits=8 * box.size,
        owner=box.owner,
        value=value,
        before=then,
        text=value_text(box.name, value, stored),
        doc=box.doc,
        stored=stored,
    )


def _value(raw: NDArray[np.uint8], ctype: str) -> int:
    return int.from_bytes(raw.tobytes(), "little", signed=CTYPES[ctype].signed and not ctype.startswith("u"))
