"""The anatomy of a scheme: where its fields lie, which bytes stay free, and what the fields cost.

Specification 1.1 says where the words of a struct page lie (head and tail pages), 2.1 and 2.2 where those of the
first tail page lie in the series. A scheme declares its own fields.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from foliolab.framework.contract.policy import Layout, Scheme
from foliolab.framework.contract.stored import Stored
from foliolab.framework.engine.structs import STRUCT_PAGE, common_fields, page_stride
from foliolab.framework.machine.layout import CTYPES, Bits

Owner = Literal["policy", "kernel"]
ORDERS: Final = range(10)
LAYOUT_NAMES: Final[dict[Layout, str]] = {
    "6.7": "Linux 6.7",
    "6.14": "Linux <= 6.14",
    "mm-id-v1": "v1 series",
    "6.15": "Linux 6.15",
    "rfc-2026": "RFC of April 2026",
}
SHOWN_LAYOUTS: Final[tuple[Layout, ...]] = ("6.14", "mm-id-v1", "6.15")

_HEAD: Final = (
    Stored("flags", "u64", page=0, offset=0),
    Stored("lru", "u64", page=0, offset=8, count=2),
    Stored("mapping", "u64", page=0, offset=24),
    Stored("index", "u64", page=0, offset=32),
    Stored("private", "u64", page=0, offset=40),
    Stored("_mapcount", "i32", page=0, offset=48),
    Stored("_refcount", "i32", page=0, offset=52),
    Stored("memcg_data", "u64", page=0, offset=56),
)


@dataclass(frozen=True)
class Box:
    """One element of a field, in one struct page.

    Args:
        name: the field's, with the index of an element of an array.
        ctype: i8 … u64.
        owner: the policy, or the kernel whatever the policy.
        offset: bytes from the start of the struct page.
    """

    name: str
    ctype: str
    owner: Owner
    offset: int
    size: int
    doc: str = ""


@dataclass(frozen=True)
class StructPage:
    """A struct page of a folio.

    Args:
        number: 0 is the head page.
        size: bytes; above 64 the scheme makes every struct page larger.
        boxes: what lies in it, by offset.
        free: byte ranges [start, end) that nothing uses.
    """

    number: int
    size: int
    boxes: tuple[Box, ...]
    free: tuple[tuple[int, int], ...]

    @property
    def free_bytes(self) -> int:
        return sum(end - start for start, end in self.free)


@dataclass(frozen=True)
class Cost:
    """What a scheme stores for one folio.

    Args:
        bits: that it uses in the folio's struct pages.
        extra: bytes by which it makes the folio's struct pages larger; 0 where all fits into today's.
    """

    order: int
    bits: int
    extra: int

    @property
    def bits_per_page(self) -> float:
        """The bits used, spread over the folio's pages."""
        return self.bits / (1 << self.order)


@dataclass(frozen=True)
class Word:
    """A field with named bits: its bits from the highest down, free ones included (without a name)."""

    field: str
    ctype: str
    bits: tuple[Bits, ...]


@dataclass(frozen=True)
class Column:
    """The first tail page under one layout, with the scheme whose fields it holds."""

    layout: Layout
    scheme: str
    page: StructPage


@dataclass(frozen=True)
class Anatomy:
    """Where everything that a scheme stores lies, and what it costs.

    Args:
        order: of the folio that `pages` shows.
        pages: its struct pages up to the last that anything but the kernel's tail words lies in.
        other_pages: how many more struct pages it has, each with the per-page fields only.
        absent: fields that a folio of this order has no struct page for.
        first_tails: the first tail page under several layouts.
        order_1: the only tail page of an order-1 folio.
        absent_1: fields that an order-1 folio has no struct page for.
        overlays: fields that share their bytes with another on purpose.
        words: fields with named bits.
        per_mm: fields in struct mm.
        costs: by order.
    """

    scheme: Scheme
    order: int
    pages: tuple[StructPage, ...]
    other_pages: int
    absent: tuple[str, ...]
    first_tails: tuple[Column, ...]
    order_1: StructPage
    absent_1: tuple[str, ...]
    overlays: tuple[Stored, ...]
    words: tuple[Word, ...]
    per_mm: tuple[Stored, ...]
    costs: tuple[Cost, ...]


def anatomy(scheme: Scheme, order: int = 4, peers: Mapping[Layout, Scheme] | None = None) -> Anatomy:
    """The anatomy of a scheme.

    Args:
        order: of the folio to show; 1 and up.
        peers: for each layout the scheme to show it with, unless it is this one's own.
    """
    last = max([2, *(f.page for f in scheme.stored("folio"))])
    shown = min(last + 1, 1 << order)
    others = (1 << order) - shown
    layouts = [*SHOWN_LAYOUTS, *({scheme.policy.layout} - set(SHOWN_LAYOUTS))]
    schemes = dict(peers or {}) | {scheme.policy.layout: scheme}
    columns = [
        Column(layout, schemes[layout].name, struct_page(schemes[layout], 1))
        if layout in schemes
        else Column(layout, "", kernels_page(layout, 1))
        for layout in layouts
    ]
    return Anatomy(
        scheme=scheme,
        order=order,
        pages=tuple(struct_page(scheme, number) for number in range(shown)),
        other_pages=others,
        absent=_absent(scheme, order),
        first_tails=tuple(columns),
        order_1=struct_page(scheme, 1),
        absent_1=_absent(scheme, 1),
        overlays=tuple(f for f in scheme.fields if f.overlays),
        words=tuple(_word(f) for f in scheme.fields if f.bits),
        per_mm=scheme.stored("mm"),
        costs=tuple(cost(scheme, o) for o in ORDERS),
    )


def struct_page(scheme: Scheme, number: int) -> StructPage:
    """A struct page of a large folio, with the scheme's fields."""
    own = [f for f in scheme.fields if not f.overlays and (f.per == "page" or (f.per == "folio" and f.page == number))]
    return _page(number, page_stride(scheme), scheme.policy.layout, own)


def kernels_page(layout: Layout, number: int) -> StructPage:
    """A struct page of a large folio with nothing but the kernel's own fields."""
    return _page(number, STRUCT_PAGE, layout, [])


def _page(number: int, stride: int, layout: Layout, fields: list[Stored]) -> StructPage:
    boxes = [box for f in fields for box in _elements(f, "policy")]
    taken = {byte for box in boxes for byte in range(box.offset, box.offset + box.size)}
    for stored in _kernels_own(number, layout):
        for box in _elements(stored, "kernel"):
            bytes_of = set(range(box.offset, box.offset + box.size))
            if not bytes_of & taken:
                boxes.append(box)
                taken |= bytes_of
    boxes.sort(key=lambda box: box.offset)
    return StructPage(number, stride, tuple(boxes), _ranges(set(range(stride)) - taken))


def _kernels_own(number: int, layout: Layout) -> Iterable[Stored]:
    """The kernel's own fields of a struct page, whatever the scheme."""
    if number == 0:
        return _HEAD
    own = [f for f in common_fields(layout) if f.page == number]
    # every tail page has these four words; common_fields names them where struct folio does
    tail = (
        Stored(f"_flags_{number}" if number < 3 else "flags", "u64", offset=0),
        Stored(f"_head_{number}" if number < 3 else "compound_head", "u64", offset=8),
        Stored(f"_mapcount_{number}" if number == 1 else "_mapcount", "i32", offset=48),
        Stored(f"_refcount_{number}" if number == 1 else "_refcount", "i32", offset=52),
    )
    return [*own, *(f for f in tail if f.name not in {o.name for o in own})]


def _elements(stored: Stored, owner: Owner) -> Iterable[Box]:
    size = CTYPES[stored.ctype].bytes
    for i in range(stored.count):
        name = f"{stored.name}[{i}]" if stored.count > 1 else stored.name
        yield Box(name, stored.ctype, owner, stored.offset + i * size, size, stored.doc)


def _ranges(numbers: set[int]) -> tuple[tuple[int, int], ...]:
    found: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if found and found[-1][1] == number:
            found[-1] = (found[-1][0], number + 1)
        else:
            found.append((number, number + 1))
    return tuple(found)


def _absent(scheme: Scheme, order: int) -> tuple[str, ...]:
    fields = [*common_fields(scheme.policy.layout), *scheme.stored("folio")]
    names = (f.name for f in fields if f.page >= 1 << order and not f.overlays)
    return tuple(n for n in dict.fromkeys(names) if not n.startswith(("_flags_", "_head_")))


def _word(stored: Stored) -> Word:
    """A field's bits from the highest down, gaps as bits without a name."""
    below = CTYPES[stored.ctype].bits
    bits: list[Bits] = []
    for one in sorted(stored.bits, key=lambda b: -b.low):
        if one.low + one.width < below:
            bits.append(Bits("", one.low + one.width, below - one.low - one.width))
        bits.append(one)
        below = one.low
    if below:
        bits.append(Bits("", 0, below))
    return Word(stored.name, stored.ctype, tuple(bits))


def cost(scheme: Scheme, order: int) -> Cost:
    """What the scheme stores for one folio of an order; a small folio needs no scheme and uses nothing."""
    nr_pages = 1 << order
    extra = (page_stride(scheme) - STRUCT_PAGE) * nr_pages
    if order == 0:
        return Cost(order, 0, extra)
    folio = {
        (f.page, byte)
        for f in scheme.stored("folio")
        if f.page < nr_pages
        for byte in range(f.offset, f.offset + CTYPES[f.ctype].bytes * f.count)
    }
    page = {byte for f in scheme.stored("page") for byte in range(f.offset, f.offset + CTYPES[f.ctype].bytes * f.count)}
    return Cost(order, 8 * (len(folio) + len(page) * nr_pages), extra)
