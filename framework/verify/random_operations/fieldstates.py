"""What a policy's fields have held: values and pairs of values, in classes that need no knowledge of the policy.

A value's class is its distance from the initial value (exact where it is small), whether that distance is the number of
the folio's mappings or of one MM's, and whether it is the ID of an MM, and of one that maps the folio. Folios share
their classes, so there are few, and a new one is a state that was not reached before.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any, Final

import numpy as np

from foliolab.framework.contract.stored import Stored
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.truth import Counts, Truth
from foliolab.framework.machine.layout import CTYPES

EXACT: Final = 64
"""The largest distance from the initial value that counts as a value of its own."""
SMALL: Final = 4
"""The same in pairs; larger distances are classed by their number of bits."""
MOST_OWNERS: Final = 4
"""Numbers of owners from here on are one class."""
MOST_REMEMBERED: Final = 1 << 18
"""Contents of folios that are remembered in order to be passed over quickly."""

Landmark = tuple[str, int]
"""A field and a small distance of its value from the initial one."""
Pair = tuple[Any, ...]
"""Two fields and the classes of their values."""


class FieldStates:
    """The values and pairs that were seen on one machine.

    Args:
        machine: its memory is read.

    Attributes:
        pairs: those that were seen so far.
    """

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.pairs: set[Pair] = set()
        self._remembered: set[tuple[int, ...]] = set()
        of_folio, of_page = (machine.scheme.stored(per) for per in ("folio", "page"))
        self._fields = [*_elements(of_folio), *(twice for one in _elements(of_page) for twice in (one, one))]
        self._names = [f"{one.name}[{i}]" for one, i in _elements(of_folio)]
        self._names += [f"{one.name}[{i}], {which}" for one, i in _elements(of_page) for which in ("least", "greatest")]
        self._folio = [machine.column("folio", one.name, i) for one, i in _elements(of_folio)]
        self._page = [machine.column("page", one.name, i) for one, i in _elements(of_page)]
        self._mm = list(_elements(machine.scheme.stored("mm")))

    def look(self, truth: Truth) -> set[Landmark]:
        """Add the pairs of what the large folios and the MMs hold now; return the values.

        Args:
            truth: of the present state.
        """
        values: set[Landmark] = set()
        ids = tuple(map(self.machine.mm_id, range(self.machine.shape.nr_mms)))
        heads = np.flatnonzero(truth.nr_pages_of > 1)
        if heads.size:
            columns = [*truth.mappings[:, heads], *self._values(heads, truth.nr_pages_of[heads])]
            for content in zip(*(column.tolist() for column in columns), strict=True):
                mappings, stored = content[: len(ids)], content[len(ids) :]
                values.update(self._landmarks(stored))
                key = (*ids, *content)
                if key not in self._remembered:
                    if len(self._remembered) < MOST_REMEMBERED:
                        self._remembered.add(key)
                    self.pairs.update(self._pairs(ids, mappings, stored))
        for mm, mm_id in enumerate(ids):
            if mm_id and self._mm:
                self.pairs.update(self._pairs_of_mm(mm))
        return values

    def _values(self, heads: Counts, sizes: Counts) -> Iterator[Counts]:
        """Every element of a field of the folios; of the fields of pages, the least and the greatest of each folio."""
        for column in self._folio:
            yield column[heads]
        edges = np.ravel(np.column_stack((heads, heads + sizes)))
        edges = edges[:-1] if edges[-1] == self.machine.shape.nr_pages else edges
        for column in self._page:
            yield np.minimum.reduceat(column, edges)[::2]
            yield np.maximum.reduceat(column, edges)[::2]

    def _landmarks(self, values: tuple[int, ...]) -> Iterator[Landmark]:
        for name, (stored, _), value in zip(self._names, self._fields, values, strict=True):
            distance = value - (stored.init or 0)
            if abs(distance) <= EXACT:
                yield name, distance

    def _pairs(self, ids: tuple[int, ...], mappings: tuple[int, ...], values: tuple[int, ...]) -> Iterator[Pair]:
        total = sum(mappings)
        maps = {mm_id: nr > 0 for mm_id, nr in zip(ids, mappings, strict=True) if mm_id}
        classes: list[Pair] = [("owners", min(sum(map(bool, mappings)), MOST_OWNERS))]
        for name, (stored, _), value in zip(self._names, self._fields, values, strict=True):
            distance = value - (stored.init or 0)
            classes.append((name, *_class(stored, value, distance, maps), distance == total, distance in mappings))
        yield from combinations(classes, 2)

    def _pairs_of_mm(self, mm: int) -> Iterator[Pair]:
        """The classes of what an MM's fields hold, and their pairs."""
        values = [(stored, i, self.machine.field_of_mm(mm, stored.name, i)) for stored, i in self._mm]
        classes = [(one.name, i, *_class(one, value, value - (one.init or 0), {})) for one, i, value in values]
        yield from ((one,) for one in classes)
        yield from combinations(classes, 2)


def _elements(fields: tuple[Stored, ...]) -> Iterator[tuple[Stored, int]]:
    return ((stored, i) for stored in fields for i in range(stored.count))


def _class(stored: Stored, value: int, distance: int, maps: dict[int, bool]) -> tuple[int, bool, bool]:
    """(size of the distance, whether the value is an MM's ID, whether that MM maps the folio).

    Args:
        maps: whether an MM maps the folio, by the IDs of all MMs. An ID may have a flag in its highest bit.
    """
    mapped = maps.get(value, maps.get(value & ~(1 << CTYPES[stored.ctype].bits - 1)))
    if mapped is not None and not -SMALL <= distance <= SMALL:
        return EXACT + (value not in maps), True, mapped
    size = distance if -SMALL <= distance <= SMALL else (SMALL + distance.bit_length()) * (1 if distance > 0 else -1)
    return size, mapped is not None, bool(mapped)
