"""Memory of terms: one folio and the MMs that map it, behind the same references as interpreted memory.

Fields of the folio and of MMs are cells, as fine as the fields overlap. Fields of single pages are not followed: what
is read from them is any value of their type, so an answer that rests on them is over-approximated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine.structs import (
    MAPPING_ANON,
    MAPPING_FILE,
    PG_head,
    PG_lru,
    PG_pagecache,
    layouts_of,
)
from foliolab.framework.machine.layout import CTYPES, CType, Field, Struct
from foliolab.framework.verify.symbolic import algebra, term
from foliolab.framework.verify.symbolic.number import Number, lift, term_of, unsupported
from foliolab.framework.verify.symbolic.paths import Paths, State
from foliolab.framework.verify.symbolic.term import Term

FOLIO: Final = "folio"
UNKNOWN: Final = "?"
INDEXED: Final = 64
"""Elements of an array that an unknown index may choose among."""
ADDED: Final = 3
"""Products in a change of an element that is written as a change, not as a choice."""

Place = tuple[str, int]
"""A cell: the folio or an MM, and the byte offset."""


@dataclass(frozen=True)
class Cell:
    """A range of bytes that no field divides.

    Args:
        offset: of its first byte.
        size: in bytes.
        ctype: what it holds, where all fields agree; None: a part of a larger word, held without sign.
    """

    offset: int
    size: int
    ctype: CType | None


def cells_of(struct: Struct) -> dict[int, Cell]:
    """The cells of a struct by offset."""
    spans = [
        (field.offset + i * CTYPES[field.ctype].bytes, CTYPES[field.ctype])
        for field in struct.fields
        for i in range(field.count)
    ]
    edges = sorted({edge for offset, ctype in spans for edge in (offset, offset + ctype.bytes)})
    found: dict[int, Cell] = {}
    for start, end in pairwise(edges):
        covering = {(offset, ctype) for offset, ctype in spans if offset <= start and end <= offset + ctype.bytes}
        if covering:
            whole = len(covering) == 1 and next(iter(covering))[1].bytes == end - start
            found[start] = Cell(start, end - start, next(iter(covering))[1] if whole else None)
    return found


class Space:
    """The cells' terms live in `paths.state`; this knows where fields are.

    Args:
        scheme: the policy.
        paths: who holds the state.
        order: of the folio.
        pages: its number of pages, a free variable.
        anon: whether it is anonymous; else of a file.
    """

    def __init__(self, scheme: Scheme, paths: Paths, order: int, pages: Term, anon: bool) -> None:
        self.scheme = scheme
        self.paths = paths
        self.order = order
        self.pages = pages
        self.layouts = layouts_of(scheme)
        self.stride = self.layouts["page"].size
        self.cells = {name: cells_of(self.layouts[name]) for name in ("folio", "mm")}
        self.own = {stored.name for stored in scheme.fields}
        self.pointers: dict[str, Callable[..., Pointer]] = {
            name: lambda mem, off, name=name: Pointer(mem, name, off) for name in ("folio", "page", "mm")
        }
        self.written: Callable[[Place], None] = lambda place: None
        self._unknowns = 0
        self._boot(anon)

    def _boot(self, anon: bool) -> None:
        for cell in self.cells["folio"].values():
            self.paths.state[FOLIO, cell.offset] = term.const(0)
        for field in self.layouts["folio"].fields:
            if field.init is not None and field.end <= self.stride << self.order:
                self.set_field(field.name, term.const(field.init))
        flags = 1 << PG_head | 1 << PG_lru | (0 if anon else 1 << PG_pagecache)
        self.set_field("flags", term.const(flags))
        self.set_field("mapping", term.const(MAPPING_ANON if anon else MAPPING_FILE))
        self.set_field("_flags_1", term.const(self.order))
        self.set_field("_nr_pages", self.pages)

    def set_field(self, name: str, value: Term) -> None:
        """Put a value into every element of a field of the folio."""
        field = self.layouts["folio"].by_name[name]
        for i in range(field.count):
            ref = Ref(self, FOLIO, "folio", field, i)
            ref.put(value)

    def folio(self) -> Pointer:
        """The folio."""
        return Pointer(self, "folio", 0)

    def page(self, index: Any) -> Pointer:
        """A page of it."""
        return Pointer(self, "page", index * self.stride)

    def mm(self, name: str, mm_id: Term) -> Pointer:
        """An MM, as it is before its first mapping unless it is known already."""
        if (name, 0) not in self.paths.state:
            for cell in self.cells["mm"].values():
                self.paths.state[name, cell.offset] = term.const(0)
            for field in self.layouts["mm"].fields:
                for i in range(field.count):
                    if field.init is not None:
                        Ref(self, name, "mm", field, i).put(term.const(field.init))
            Ref(self, name, "mm", self.layouts["mm"].by_name["mm_id"], 0).put(mm_id)
        return Pointer(self, "mm", 0, name)

    def forget_unknown(self, before: State) -> None:
        """Make cells that changed into something partly unknown wholly so."""
        for place, value in self.paths.state.items():
            if place[0] == FOLIO and value is not before.get(place) and is_unknown(value):
                self.paths.state[place] = self.any_of(place)

    def any_of(self, place: Place) -> Term:
        """Anything that a cell of the folio can hold."""
        cell = self.cells["folio"][place[1]]
        if cell.ctype is not None:
            return term_of(self.unknown(cell.ctype))
        self._unknowns += 1
        return term.var(f"{UNKNOWN}{self._unknowns}", 0, (1 << 8 * cell.size) - 1)

    def unknown(self, ctype: CType | None = None) -> Any:
        """Any value of a type."""
        self._unknowns += 1
        low, high = (ctype.low, ctype.high) if ctype else (-(1 << 62), 1 << 62)
        return Number(term.var(f"{UNKNOWN}{self._unknowns}", low, high), self.paths)


class Pointer:
    """A typed pointer, as `machine.memory.Pointer`; `name` tells MMs apart."""

    __slots__ = ("kind", "mem", "name", "off")

    def __init__(self, mem: Space, kind: Any, off: Any = 0, name: str = FOLIO) -> None:
        self.mem = mem
        self.kind = kind
        self.off = off
        self.name = name

    def same(self, other: Any) -> bool:
        """Whether it is the same pointer."""
        if not isinstance(other, Pointer) or (self.kind, self.name) != (other.kind, other.name):
            return False
        return term_of(self.off) is term_of(other.off)

    @property
    def struct(self) -> Struct:
        """What it points to."""
        return self.mem.layouts[self.kind]

    def __getattr__(self, name: str) -> Ref:
        field = self.struct.by_name.get(name)
        if field is None:
            raise unsupported(f"reads {self.kind}.{name}, which there is not")
        return Ref(self.mem, self.name, self.kind, field, 0)


class Ref:
    """A reference to a field, or to an element of it that may be unknown."""

    __slots__ = ("ctype", "field", "index", "kind", "mem", "name")

    def __init__(self, mem: Space, name: str, kind: str, field: Field, index: Any) -> None:
        self.mem = mem
        self.name = name
        self.kind = kind
        self.field = field
        self.index = index
        self.ctype = CTYPES[field.ctype]

    def same(self, other: Any) -> bool:
        """Whether it refers to the same element."""
        if not isinstance(other, Ref) or (self.name, self.kind, self.field) != (other.name, other.kind, other.field):
            return False
        return term_of(self.index) is term_of(other.index)

    def __getitem__(self, index: Any) -> Ref:
        number = algebra.int_(term_of(index))
        paths, count = self.mem.paths, self.field.count
        outside = algebra.any_(algebra.lt(number, term.const(0)), algebra.le(term.const(count), number))
        if outside is not term.FALSE:
            what = f"{self.kind}.{self.field.name}: an index outside of its {count} elements"
            paths.fault("access", outside, what)
            if outside is term.TRUE or paths.decide(outside):
                self.mem.paths.dead_end()
        if number.value is None and count > INDEXED:
            raise unsupported(f"takes an unknown element of {self.field.name}, which has {count}")
        return Ref(self.mem, self.name, self.kind, self.field, lift(number, paths))

    # -- cells -------------------------------------------------------------------------------------------
    @property
    def _followed(self) -> bool:
        return self.kind != "page"

    def _cells(self, index: int) -> list[Cell]:
        start = self.field.offset + index * self.ctype.bytes
        known = self.mem.cells[self.kind]
        return [known[at] for at in range(start, start + self.ctype.bytes) if at in known]

    def _elements(self) -> list[tuple[int, Term]]:
        number = term_of(self.index)
        if number.value is not None:
            return [(number.value, term.TRUE)]
        return [(i, algebra.eq(number, term.const(i))) for i in range(self.field.count)]

    def pattern(self) -> Term:
        """Its bits, without sign."""
        found: Term | None = None
        for index, chosen in self._elements():
            value = term.add(term.const(0), *(self._part(cell, index) for cell in self._cells(index)))
            found = value if found is None else algebra.choose(chosen, value, found)
        assert found is not None
        return found

    def _part(self, cell: Cell, index: int) -> Term:
        held = self.mem.paths.state[self.name, cell.offset]
        start = self.field.offset + index * self.ctype.bytes
        return term.times(algebra.low(held, 8 * cell.size), 1 << 8 * (cell.offset - start))

    def get(self) -> Term:
        """Its value."""
        found: Term | None = None
        for index, chosen in self._elements():
            cells = self._cells(index)
            if len(cells) == 1 and cells[0].ctype is self.ctype:
                value = self.mem.paths.state[self.name, cells[0].offset]
            else:
                parts = (self._part(cell, index) for cell in cells)
                value = algebra.wrap(term.add(term.const(0), *parts), self.ctype.bits, self.ctype.signed)
            found = value if found is None else algebra.choose(chosen, value, found)
        assert found is not None
        return found

    def put(self, value: Term) -> None:
        """Store a value that fits."""
        state = self.mem.paths.state
        for index, chosen in self._elements():
            for cell in self._cells(index):
                place = (self.name, cell.offset)
                if cell.ctype is self.ctype:
                    part = value
                else:
                    start = self.field.offset + index * self.ctype.bytes
                    part = algebra.low(algebra.shr(value, 8 * (cell.offset - start)), 8 * cell.size)
                self.mem.written(place)
                state[place] = part if chosen is term.TRUE else self._if_chosen(index, chosen, part, state[place])

    def _if_chosen(self, index: int, chosen: Term, part: Term, old: Term) -> Term:
        """An element's new value where the index is not known: what is added to it, if it is the one."""
        number = term_of(self.index)
        if number.op == term.VAR:
            part = algebra.substitute(part, {number: term.const(index)}.get)
        change = term.sub(part, old)
        if len(term.as_sum(change)[1]) <= ADDED:
            return term.add(old, term.mul(algebra.int_(chosen), change))
        return algebra.choose(chosen, part, old)

    # -- as the primitives use it ------------------------------------------------------------------------
    def read(self, op: str) -> Any:
        """Load."""
        if not self._followed:
            return self.mem.unknown(self.ctype)
        return lift(self.get(), self.mem.paths)

    def peek(self) -> Any:
        """Load."""
        return self.read("peek")

    def write(self, op: str, value: Any) -> None:
        """Store; what does not fit is a fault."""
        if self._followed:
            self.put(self._fit(algebra.int_(term_of(value))))

    def rmw(self, op: str, change: Callable[[Any], Any]) -> tuple[Any, Any]:
        """Read, modify and write; the old and the new value."""
        old = self.read(op)
        new = lift(self._fit(algebra.int_(term_of(change(old)))), self.mem.paths)
        if self._followed:
            self.put(term_of(new))
        return old, new

    def _fit(self, value: Term) -> Term:
        ctype = self.ctype
        if ctype.low <= value.lo and value.hi <= ctype.high:
            return value
        if not self.field.wraps and self._followed and not is_unknown(value):
            fits = algebra.all_(algebra.le(term.const(ctype.low), value), algebra.le(value, term.const(ctype.high)))
            what = f"{self.kind}.{self.field.name}: a value that does not fit {ctype.name}"
            self.mem.paths.fault("field-width", algebra.not_(fits), what)
        elif not self.field.wraps:
            return term_of(self.mem.unknown(ctype))
        return algebra.wrap(value, ctype.bits, ctype.signed)


def is_unknown(value: Term) -> bool:
    """Whether a term rests on something that is not followed."""
    return any(str(one.args[0]).startswith(UNKNOWN) for one in term.variables([value]))
