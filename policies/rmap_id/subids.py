"""Sub-IDs of the precise scheme: what an MM's rmap ID adds to a folio's rmap values.

An ID of 24 bits is cut into slices, one for each value; the bits of a slice, read as digits of a number in
base P + 1, are its sub-ID. P is the number of pages of the largest folio of an order class. All arithmetic is
modulo 2^64, as coded in the patches; nothing here checks or claims that it stays below.

Sources: specification 4.2; series 20231124132626.235350-1-david@redhat.com, patches 7 and 11.
"""

from __future__ import annotations

from typing import Any, Final

from foliolab.framework.api import Parameter, UsageError, Values, u64

RMAP_ID_BITS: Final = 24
RMAP_ID_MIN: Final = 1
RMAP_ID_MAX: Final = (1 << RMAP_ID_BITS) - 1
CLASSES: Final = (1, 2, 3, 4, 5, 6)
PUBLISHED: Final = ((2, 24), (5, 12), (9, 8), (10, 6), (12, 5), (15, 4))
"""The classes of the series: largest order, bits of an ID in one value."""
VALUES_BELOW_ORDER_3: Final = 4  # page[3] is the last page of an order-2 folio
VALUES_MAX: Final = 6
VALUES_IN_MM: Final = 3
SIGN: Final = -(1 << 63)

PARAMETERS: Final = (
    *(
        Parameter(f"order_{c}", f"ORDER_{c}", order, 2, 30, doc=f"largest order of class {c}; gives its P")
        for c, (order, _) in zip(CLASSES, PUBLISHED, strict=True)
    ),
    *(
        Parameter(f"bits_{c}", f"BITS_{c}", bits, 4, RMAP_ID_BITS, doc=f"bits of an ID in a value of class {c}")
        for c, (_, bits) in zip(CLASSES, PUBLISHED, strict=True)
    ),
)


def calc_subid(pages: int, digit: int) -> int:
    """The sub-ID of a slice, by definition; modulo 2^64."""
    value = 0
    power = 1
    while digit:
        value = u64(value + (digit & 1) * power)
        power = u64(power * (pages + 1))
        digit >>= 1
    return value


def _plain_digits(pages: int, safe: int, rest: int, total: int) -> int:
    """The low digits whose sub-ID times total is `rest`, -1 if none: here no sum reaches 2^64."""
    digit = 0
    for i in range(safe - 1, -1, -1):
        step = u64(calc_subid(pages, 1 << i) * total)
        if rest ^ SIGN >= step ^ SIGN:  # unsigned
            rest = u64(rest - step)
            digit |= 1 << i
    if rest:
        return -1
    return digit


def find_slice(pages: int, bits: int, safe: int, value: int, total: int) -> int:
    """The slice of an ID whose sub-ID times total is the value modulo 2^64, -1 if there is none.

    Args:
        safe: how many low digits can be read off; what stands above is tried.
        total: 1 to pages.
    """
    for high in range(1 << (bits - safe)):
        low = _plain_digits(pages, safe, u64(value - calc_subid(pages, high << safe) * total), total)
        if low >= 0:
            return high << safe | low
    return -1


def safe_bits(pages: int, bits: int) -> int:
    """How many digits of a value can be read off: P times the sum of n digits is (P + 1)^n - 1."""
    return max(n for n in range(bits + 1) if (pages + 1) ** n <= 1 << 64)


def nr_values(bits: int) -> int:
    """How many values hold a whole ID."""
    return -(-RMAP_ID_BITS // bits)


def _check_room(c: int, bits: int, lowest: int) -> None:
    room = VALUES_BELOW_ORDER_3 if lowest < 3 else VALUES_MAX
    if nr_values(bits) > room:
        raise UsageError(
            f"policy rmap-id: bits_{c}={bits} needs {nr_values(bits)} values in a folio of order {lowest}",
            f"it has room for {room}: choose at least {nr_values(room)} bits",
        )


def classes(values: Values, first: int = 1) -> tuple[tuple[int, int], ...]:
    """(largest order, bits per value) of the six classes.

    Args:
        first: the first class that is used; it takes the orders of those before it.

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
        if c >= first:
            _check_room(c, bits, 2 if c == first else lowest)
        lowest = order + 1
    return chosen


def derive(values: Values, first: int = 1) -> dict[str, Any]:
    """The constants that follow from the class table; tuples are indexed by class (0 and 7 are none).

    The sub-IDs of a class with up to three values are kept in struct mm from MM_AT on, those of the others
    are looked up in SUBIDS from TABLE_AT on.
    """
    chosen = ((0, 0), *classes(values, first), (0, 0))
    pages = tuple(1 << order for order, _ in chosen)
    nr = tuple(nr_values(bits) if bits else 0 for _, bits in chosen)
    mm_at, table_at, in_mm = [-1] * 8, [0] * 8, 0
    subids: list[int] = []
    for c in CLASSES[first - 1 :]:
        if nr[c] <= VALUES_IN_MM:
            mm_at[c] = in_mm
            in_mm += nr[c]
        else:
            table_at[c] = len(subids)
            subids += [calc_subid(pages[c], digit) for digit in range(1 << chosen[c][1])]
    room = 1 << max(len(subids) - 1, 0).bit_length()
    return {
        "PAGES": pages,
        "BITS": tuple(bits for _, bits in chosen),
        "VALUES": nr,
        "SAFE_BITS": tuple(safe_bits(p, bits) for p, (_, bits) in zip(pages, chosen, strict=True)),
        "MM_AT": tuple(mm_at),
        "IN_MM": in_mm,
        "TABLE_AT": tuple(table_at),
        "SUBIDS": (*subids, *[0] * (room - len(subids))),
        "SUBIDS_MASK": room - 1,
    }
