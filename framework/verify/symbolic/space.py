"""Symbolic memory: one folio and the MMs that map it, behind the same references as interpreted memory.

The bytes of the folio and of each MM are divided into cells at the borders of their fields; fields that overlap share
cells. Each cell holds a term. Fields of single pages are not modelled: a read gives any value of the type, so that
answers which depend on them are over-approximated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, Literal

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
SMALL_CHANGE: Final = 3
"""Products up to which the change of an element is written as a sum, not as a choice."""

CellKey = tuple[str, int]
"""A cell: FOLIO or the name of an MM, and the byte offset."""


@dataclass(frozen=True)
class Cell:
    """A range of bytes without a border of a field inside.

    Args:
        offset: of the first byte.
        size: in bytes.
        ctype: the type, if exactly one field covers these bytes; None: unsigned bytes, part of several fields.
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


AccessKind = Literal["read", "write", "lock", "unlock", "wait"]


@dataclass(frozen=True)
class Access:
    """One access to the folio while an operation runs.

    Args:
        kind: what it does; a locked operation that changes memory is a "write".
        cells: the cells that it reads or writes, by offset.
        when: the condition of the path on which it happens.
        state: what the folio holds after it.
        bit: of the first cell, where a bit lock is taken, released or waited for.
    """

    kind: AccessKind
    cells: tuple[CellKey, ...]
    when: Term
    state: State
    bit: int = 0


class Space:
    """Where the fields of the folio and of the MMs are. The terms of the cells are in `paths.state`.

    Args:
        scheme: the policy.
        paths: the holder of the state.
        order: of the folio.
        pages: the folio's number of pages, a free variable.
        anon: whether the folio is anonymous, not a file's.
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
        self.on_write: Callable[[CellKey], None] = lambda key: None
        """Called before each store to a cell."""
        self.accesses: list[Access] | None = None
        """The accesses of the operations that run, in order; None: they are not listed."""
        self.volatile: frozenset[CellKey] = frozenset()
        """Cells that others change at any time: each read gives any value."""
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
        """Store a value in every element of a field of the folio."""
        field = self.layouts["folio"].by_name[name]
        for i in range(field.count):
            Ref(self, FOLIO, "folio", field, i).put(value)

    def cells_of_field(self, name: str) -> list[CellKey]:
        """The cells of a field of the folio."""
        field = self.layouts["folio"].by_name[name]
        return [(FOLIO, offset) for offset in self.cells["folio"] if field.offset <= offset < field.end]

    def folio(self) -> Pointer:
        return Pointer(self, "folio", 0)

    def page(self, index: Any) -> Pointer:
        return Pointer(self, "page", index * self.stride)

    def mm(self, name: str, mm_id: Term) -> Pointer:
        """An MM. If the state does not have it yet, it is created as before its first mapping."""
        if (name, 0) not in self.paths.state:
            for cell in self.cells["mm"].values():
                self.paths.state[name, cell.offset] = term.const(0)
            for field in self.layouts["mm"].fields:
                for i in range(field.count):
                    if field.init is not None:
                        Ref(self, name, "mm", field, i).put(term.const(field.init))
            Ref(self, name, "mm", self.layouts["mm"].by_name["mm_id"], 0).put(mm_id)
        return Pointer(self, "mm", 0, name)

    def note(self, kind: AccessKind, cells: tuple[CellKey, ...], bit: int = 0) -> None:
        """List an access to the folio."""
        if self.accesses is not None and cells and cells[0][0] == FOLIO and not self.paths.repeats:
            self.accesses.append(Access(kind, cells, self.paths.here(), dict(self.paths.state), bit))

    def widen_unknown(self, before: State) -> None:
        """Replace each new value that depends on an unknown one by any value of the cell."""
        for key, value in self.paths.state.items():
            if key[0] == FOLIO and value is not before.get(key) and is_unknown(value):
                self.paths.state[key] = self.any_value(key)

    def any_value(self, key: CellKey) -> Term:
        """A new variable for anything that a cell of the folio can hold."""
        cell = self.cells["folio"][key[1]]
        if cell.ctype is not None:
            return term_of(self.unknown(cell.ctype))
        return self._unknown(0, (1 << 8 * cell.size) - 1)

    def unknown(self, ctype: CType | None = None) -> Any:
        """A new variable for any value of a type."""
        low, high = (ctype.low, ctype.high) if ctype else (-(1 << 62), 1 << 62)
        return Number(self._unknown(low, high), self.paths)

    def _unknown(self, low: int, high: int) -> Term:
        self.paths.unknowns += 1
        return term.var(f"{UNKNOWN}{self.paths.unknowns}[{low},{high}]", low, high)


class Pointer:
    """A typed pointer, as `machine.memory.Pointer`; `name` is FOLIO or the name of an MM."""

    __slots__ = ("kind", "mem", "name", "off")

    def __init__(self, mem: Space, kind: Any, off: Any = 0, name: str = FOLIO) -> None:
        self.mem = mem
        self.kind = kind
        self.off = off
        self.name = name

    def same(self, other: Any) -> bool:
        if not isinstance(other, Pointer) or (self.kind, self.name) != (other.kind, other.name):
            return False
        return term_of(self.off) is term_of(other.off)

    @property
    def struct(self) -> Struct:
        return self.mem.layouts[self.kind]

    def __getattr__(self, name: str) -> Ref:
        field = self.struct.by_name.get(name)
        if field is None:
            raise unsupported(f"reads {self.kind}.{name}, which does not exist")
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
        if not isinstance(other, Ref) or (self.name, self.kind, self.field) != (other.name, other.kind, other.field):
            return False
        return term_of(self.index) is term_of(other.index)

    def __getitem__(self, index: Any) -> Ref:
        number = algebra.int_(term_of(index))
        paths, count = self.mem.paths, self.field.count
        outside = algebra.any_(algebra.lt(number, term.const(0)), algebra.le(term.const(count), number))
        if outside is not term.FALSE:
            paths.fault("access", outside, f"{self.kind}.{self.field.name}: an index outside of its {count} elements")
            if paths.decide(outside):
                paths.dead_end()
        if number.value is None and count > INDEXED:
            raise unsupported(f"takes an unknown element of {self.field.name}, which has {count}")
        return Ref(self.mem, self.name, self.kind, self.field, lift(number, paths))

    # -- cells -------------------------------------------------------------------------------------------
    @property
    def is_modelled(self) -> bool:
        """Whether the state holds the value. It does not for fields of single pages."""
        return self.kind != "page"

    def _cells(self, index: int) -> list[Cell]:
        start = self.field.offset + index * self.ctype.bytes
        cells = self.mem.cells[self.kind]
        return [cells[offset] for offset in range(start, start + self.ctype.bytes) if offset in cells]

    def _elements(self) -> list[tuple[int, Term]]:
        """Each element that the index may select, and the condition."""
        number = term_of(self.index)
        if number.value is not None:
            return [(number.value, term.TRUE)]
        return [(i, algebra.eq(number, term.const(i))) for i in range(self.field.count)]

    def get(self) -> Term:
        """The value."""
        (first, _), *others = self._elements()
        found = self._element(first)
        for index, chosen in others:
            found = algebra.choose(chosen, self._element(index), found)
        return found

    def _element(self, index: int) -> Term:
        state, cells = self.mem.paths.state, self._cells(index)
        if not self.mem.volatile.isdisjoint((self.name, cell.offset) for cell in cells):
            return term_of(self.mem.unknown(self.ctype))
        if cells[0].ctype is self.ctype:
            return state[self.name, cells[0].offset]
        start = self.field.offset + index * self.ctype.bytes
        parts = (
            term.times(algebra.low(state[self.name, cell.offset], 8 * cell.size), 1 << 8 * (cell.offset - start))
            for cell in cells
        )
        return algebra.wrap(term.add(*parts), self.ctype.bits, self.ctype.signed)

    def put(self, value: Term) -> None:
        """Store a value that fits."""
        state = self.mem.paths.state
        for index, chosen in self._elements():
            for cell in self._cells(index):
                key = (self.name, cell.offset)
                if cell.ctype is self.ctype:
                    part = value
                else:
                    start = self.field.offset + index * self.ctype.bytes
                    part = algebra.low(algebra.shr(value, 8 * (cell.offset - start)), 8 * cell.size)
                self.mem.on_write(key)
                state[key] = part if chosen is term.TRUE else self._if_chosen(index, chosen, part, state[key])

    def _if_chosen(self, index: int, chosen: Term, part: Term, old: Term) -> Term:
        """The new value of an element that an unknown index may select."""
        number = term_of(self.index)
        if number.op == term.Op.VAR:
            part = algebra.substitute(part, {number: term.const(index)}.get)
        change = term.sub(part, old)
        if len(term.as_sum(change)[1]) <= SMALL_CHANGE:
            return term.add(old, term.mul(algebra.int_(chosen), change))
        return algebra.choose(chosen, part, old)

    def note(self, kind: AccessKind, bit: int | None = None) -> None:
        """List an access; `bit` is the number of a bit that is a lock."""
        if self.mem.accesses is None or not self.is_modelled:
            return
        cells = [cell for index, _ in self._elements() for cell in self._cells(index)]
        if bit is not None:
            at = 8 * self.field.offset + bit + term_of(self.index).lo * self.ctype.bits
            cells = [cell for cell in cells if 8 * cell.offset <= at < 8 * (cell.offset + cell.size)]
            bit = at - 8 * cells[0].offset
        self.mem.note(kind, tuple((self.name, cell.offset) for cell in cells), bit or 0)

    # -- the interface to the primitives -----------------------------------------------------------------
    def read(self, op: str) -> Any:
        if not self.is_modelled:
            return self.mem.unknown(self.ctype)
        found = lift(self.get(), self.mem.paths)
        self.note("read")
        return found

    def peek(self) -> Any:
        return self.read("peek")

    def write(self, op: str, value: Any) -> None:
        """Store. A value that does not fit is a fault."""
        if self.is_modelled:
            self.put(self._fit(algebra.int_(term_of(value))))
            self.note("write")

    def rmw(self, op: str, change: Callable[[Any], Any]) -> tuple[Any, Any]:
        """Read, modify and write. Return the old and the new value."""
        old = lift(self.get(), self.mem.paths) if self.is_modelled else self.mem.unknown(self.ctype)
        new = lift(self._fit(algebra.int_(term_of(change(old)))), self.mem.paths)
        if self.is_modelled:
            self.put(term_of(new))
            self.note("write")
        return old, new

    def _fit(self, value: Term) -> Term:
        ctype = self.ctype
        if ctype.low <= value.lo and value.hi <= ctype.high:
            return value
        if not self.field.wraps and self.is_modelled and not is_unknown(value):
            fits = algebra.all_(algebra.le(term.const(ctype.low), value), algebra.le(value, term.const(ctype.high)))
            what = f"{self.kind}.{self.field.name}: a value that does not fit {ctype.name}"
            self.mem.paths.fault("field-width", algebra.not_(fits), what)
        elif not self.field.wraps:
            return term_of(self.mem.unknown(ctype))
        return algebra.wrap(value, ctype.bits, ctype.signed)


def is_unknown(value: Term) -> bool:
    """Whether a term depends on a value that is not modelled."""
    return any(str(variable.args[0]).startswith(UNKNOWN) for variable in term.variables([value]))
