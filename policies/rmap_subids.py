"""Sub-IDs of the precise scheme: what an MM's rmap ID adds to a folio's rmap values.

An ID of 24 bits is cut into slices, one for each value; the bits of a slice, read as digits of a number in
base P + 1, are its sub-ID. P is the number of pages of the largest folio of an order class. All arithmetic is
modulo 2^64, as coded in the patches; nothing here checks or claims that it stays below.

Source: specification 4.2; series 20231124132626.235350-1-david@redhat.com, patches 7 and 11.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from foliolab.framework.api import Parameter, UsageError, u64

RMAP_ID_BITS: Final = 24
RMAP_ID_MIN: Final = 1
RMAP_ID_MAX: Final = (1 << RMAP_ID_BITS) - 1
CLASSES: Final = (1, 2, 3, 4, 5, 6)
PUBLISHED: Final = ((2, 24), (5, 12), (9, 8), (10, 6), (12, 5), (15, 4))
"""The classes of the series: largest order, bits of an ID in one value."""
PARAMETERS: Final = (
    *(
        Parameter(f"order_{c}", f"ORDER_{c}", order, 2, 30, doc=f"largest order of class {c}; gives its P")
        for c, (order, _) in zip(CLASSES, PUBLISHED, strict=True)
    ),
    *(
        Parameter(f"bits_{c}", f"BITS_{c}", bits, 4, RMAP_ID_BITS, doc=f"bits of an ID in one value of class {c}")
        for c, (_, bits) in zip(CLASSES, PUBLISHED, strict=True)
    ),
)
TABLE_BITS: Final = 8
VALUES_BELOW_ORDER_3: Final = 4  # page[3] is the last page of an order-2 folio
VALUES_MAX: Final = 6


def calc_subid(pages: int, digit: int) -> int:
    """The sub-ID of a slice, by definition; modulo 2^64."""
    value, power = 0, 1
    while digit:
        value += (digit & 1) * power
        power *= pages + 1
        digit >>= 1
    return u64(value)


def table(pages: int) -> tuple[int, ...]:
    """The sub-IDs of the slices of up to 8 bits; longer ones are put together, 8 bits by 8 bits."""
    return tuple(calc_subid(pages, digit) for digit in range(1 << TABLE_BITS))


def _safe_bits(pages: int, bits: int) -> int:
    """How many low digits of a value are plain digits: P times their sum is below 2^64."""
    return max(n for n in range(bits + 1) if (pages + 1) ** n <= 1 << 64)


def classes(values: Mapping[str, int]) -> tuple[tuple[int, int], ...]:
    """(largest order, bits per value) of the six classes.

    Raises:
        UsageError: the classes overlap, or their values do not fit in the folio.
    """
    chosen = tuple((values[f"order_{c}"], values[f"bits_{c}"]) for c in CLASSES)
    lowest = 2
    for (order, bits), c in zip(chosen, CLASSES, strict=True):
        if order < lowest:
            raise UsageError(
                f"policy rmap-id: order_{c}={order} leaves class {c} without an order",
                f"choose at least {lowest}: classes ascend",
            )
        room = VALUES_BELOW_ORDER_3 if lowest < 3 else VALUES_MAX
        if nr_values(bits) > room:
            raise UsageError(
                f"policy rmap-id: bits_{c}={bits} needs {nr_values(bits)} values in a folio of order {lowest}",
                f"it has room for {room}: choose at least {-(-RMAP_ID_BITS // room)} bits",
            )
        lowest = order + 1
    return chosen


def nr_values(bits: int) -> int:
    """How many values hold a whole ID."""
    return -(-RMAP_ID_BITS // bits)


def derive(values: Mapping[str, int]) -> dict[str, int | tuple[int, ...]]:
    """The constants that follow from the class table."""
    chosen = classes(values)
    pages = [1 << order for order, _ in chosen]
    named: dict[str, int | tuple[int, ...]] = {f"TABLE_{c}": table(p) for c, p in zip(CLASSES, pages, strict=True)}
    return named | {
        "BITS": tuple(bits for _, bits in chosen),
        "VALUES": tuple(nr_values(bits) for _, bits in chosen),
        "SAFE_BITS": tuple(_safe_bits(p, bits) for p, (_, bits) in zip(pages, chosen, strict=True)),
        "POWER_8": tuple(u64((p + 1) ** 8) for p in pages),
        "POWER_16": tuple(u64((p + 1) ** 16) for p in pages),
    }
