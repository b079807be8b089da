"""Piles: ways to map one folio n times, and how the values that a policy stores grow with n."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import isqrt
from typing import Final

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine.engine import Shape
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.operation import Operation
from foliolab.framework.engine.pagetable import PTRS_PER_PTE
from foliolab.framework.machine.layout import CTYPES, PMD_ORDER

HEAD: Final = 0
"""First page frame of the first folio that a fresh machine allocates."""


@dataclass(frozen=True)
class Pile:
    """A way to map one folio n times.

    Args:
        name: a description.
        pages: counted mappings of one round; 1 for a PMD, which counts once.
        most_mms: the number of MMs, at most.
        pmd: whether PMDs map the folio.
        anon: whether the folio is anonymous and is forked; otherwise it is a file folio.
        per_mm: whether each MM maps the folio only once, so that n is a number of MMs.
        most: the largest n to try. The default is more than 16 bits hold.
        limit: the most mappings that the policy declares; the largest n is then that number.
    """

    name: str
    order: int
    pages: int
    most_mms: int
    pmd: bool = False
    anon: bool = False
    per_mm: bool = False
    most: int = 150_000
    limit: int = 1 << 62

    def numbers(self) -> Iterator[int]:
        """The values of n to try, in ascending order. 5 * 4^7 is more than 16 bits hold."""
        n, factor = (5, 4) if self.pages == 1 else (self.pages, 2)
        last = 0
        while self.reaches(n):
            last = n
            yield n
            n *= factor
        largest = min(self.most_mms, self.limit) if self.per_mm else self.limit // self.pages * self.pages
        if largest > last and (self.per_mm or self.reaches(largest)):
            yield largest

    def spread(self, n: int) -> tuple[int, int]:
        """(rounds in the first MM, MMs) for at least n mappings with few operations."""
        rounds = -(-n // self.pages)
        if self.per_mm or self.anon:
            return 1, min(rounds, self.most_mms)
        mms = min(max(isqrt(rounds), 1), self.most_mms)
        times = -(-rounds // mms)
        if times * mms * self.pages <= self.limit:
            return times, mms
        return times, -(-rounds // times)  # the last MM maps what is left

    def reaches(self, n: int) -> bool:
        times, mms = self.spread(n)
        return n <= min(self.most, self.limit) and times * mms * self.pages >= n

    def shape(self, n: int) -> Shape:
        times, mms = self.spread(n)
        apart = PTRS_PER_PTE if self.pmd else self.pages
        nr_pages = 2 << self.order
        return Shape(nr_pages, mms, max(times * apart, 1 << self.order if self.anon else 1), max_order=self.order)

    def operations(self, n: int, ids: Sequence[int]) -> Iterator[Operation]:
        """The operations that make n mappings; MM i has ID ids[i]."""
        times, mms = self.spread(n)
        yield Operation.of("create", mm=0, mm_id=ids[0])
        if self.anon:
            whole = 1 << self.order
            yield Operation.of("populate", mm=0, start=0, nr=whole, order=self.order, pmd=int(self.pmd))
        else:
            yield Operation.of("file_folio", order=self.order)
            apart, nr = (PTRS_PER_PTE,) * 2 if self.pmd else (self.pages,) * 2
            for i in range(times):
                yield Operation.of("map_file", mm=0, vpn=i * apart, pfn=HEAD, nr=nr, pmd=int(self.pmd))
        left = self.limit // self.pages - times
        for mm in range(1, mms):
            part = {"start": 0, "nr": left * self.pages} if left < times else {}
            yield Operation.of("fork", parent=0, child=mm, **part, mm_id=ids[mm])
            left -= times


def piles(scheme: Scheme) -> list[Pile]:
    """The piles that a policy's claims allow, the cheapest first."""
    largest = scheme.policy.max_order
    small = min(2, largest)
    mms = min(scheme.max_mm_id, 320)  # more than 8 bits hold
    found = [
        Pile("mappings of one page by one MM", small, 1, 1, most=512),
        Pile("MMs that map one page", small, 1, mms, per_mm=True),
    ]
    if largest >= PMD_ORDER and "pmd" in scheme.capabilities:
        found.append(Pile("PMDs that map a folio", PMD_ORDER, 1, 1, pmd=True, most=400))
        name = "MMs that map an anonymous folio by a PMD"
        found.append(Pile(name, PMD_ORDER, 1, mms, pmd=True, anon=True, per_mm=True))
    for order in sorted({min(largest, 9), largest}):
        found.append(
            Pile(f"mappings by one MM of all pages of a folio of order {order}", order, 1 << order, 1, most=70_000)
        )
        found.append(Pile(f"mappings of all pages of a folio of order {order}", order, 1 << order, min(mms, 16)))
        if order > 1:
            name = f"mappings of an anonymous folio of order {order} that is forked"
            found.append(Pile(name, order, 1 << order, min(mms, 16), anon=True))
    found.append(Pile("mappings of one page", small, 1, mms))
    limited = (replace(pile, limit=scheme.policy.max_mappings) for pile in found)
    return [pile for pile in limited if pile.limit >= pile.pages]


Extremes = dict[tuple[str, int], tuple[int, int]]
"""(lowest, highest) value of each field and element."""


def extremes(machine: Machine, order: int) -> Extremes:
    """The lowest and highest value of every field of the policy, in the folio at frame HEAD and in all MMs."""
    found: Extremes = {}
    pages = 1 << order
    for stored in machine.scheme.fields:
        if stored.per == "folio" and stored.page >= pages:
            continue
        for element in range(stored.count):
            if stored.per == "mm":
                values = [machine.field_of_mm(mm, stored.name, element) for mm in range(machine.shape.nr_mms)]
                found[stored.name, element] = min(values), max(values)
                continue
            column = machine.column(stored.per, stored.name, element)
            part = column[HEAD : HEAD + (pages if stored.per == "page" else 1)]
            found[stored.name, element] = int(part.min()), int(part.max())
    return found


@dataclass(frozen=True)
class Limit:
    """Where a field overflows if it keeps growing linearly.

    Args:
        field: its name, with the element of an array.
        at: the first number of mappings (or MMs) whose value does not fit.
    """

    field: str
    ctype: str
    at: int


def limits(scheme: Scheme, seen: dict[int, Extremes]) -> list[Limit]:
    """The limits of all fields that grew linearly over the last three numbers of mappings.

    Args:
        seen: extreme values by number of mappings.
    """
    numbers = sorted(seen)[-3:]
    if len(numbers) < 3:
        return []
    a, b, c = numbers
    found = []
    for stored in scheme.fields:
        if stored.wraps:
            continue
        ctype = CTYPES[stored.ctype]
        for element in range(stored.count):
            key = stored.name, element
            if key not in seen[c]:
                continue
            name = f"{stored.name}[{element}]" if stored.count > 1 else stored.name
            for side, end in enumerate((ctype.low, ctype.high)):
                one, two, three = (seen[n][key][side] for n in (a, b, c))
                rise = two - one
                if rise == 0 or (rise > 0) != (side == 1) or (three - two) * (b - a) != rise * (c - b):
                    continue
                at = c + -(-(abs(end - three) + 1) * (b - a) // abs(rise))
                found.append(Limit(name, stored.ctype, at))
    return found
