"""Struct layouts: named, typed fields at real byte offsets."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from foliolab.framework.errors import LayoutError

PMD_ORDER: Final = 9
"""Order of the folio that one PMD maps, of 4 KiB pages on x86-64."""


@dataclass(frozen=True)
class CType:
    """A fixed-width integer as C would declare it."""

    name: str
    bits: int
    signed: bool
    code: str

    @cached_property
    def bytes(self) -> int:
        """Width in bytes."""
        return self.bits // 8

    @cached_property
    def low(self) -> int:
        """Smallest value that a policy may store."""
        return -(1 << (self.bits - 1)) if self.signed else 0

    @cached_property
    def high(self) -> int:
        """Largest value that a policy may store."""
        return (1 << (self.bits - 1)) - 1 if self.signed else (1 << self.bits) - 1

    def wrapped(self, value: int) -> int:
        """The value modulo the width, as this type holds it."""
        value &= (1 << self.bits) - 1
        return value - (1 << self.bits) if self.signed and value >> (self.bits - 1) else value


# A u64 surfaces as its signed bit pattern, interpreted and native alike, so that all arithmetic is int64.
CTYPES: Final = {
    c.name: c
    for c in (
        CType("i8", 8, True, "b"),
        CType("u8", 8, False, "B"),
        CType("i16", 16, True, "h"),
        CType("u16", 16, False, "H"),
        CType("i32", 32, True, "i"),
        CType("u32", 32, False, "I"),
        CType("i64", 64, True, "q"),
        CType("u64", 64, True, "q"),
    )
}


@dataclass(frozen=True)
class Bits:
    """A named range of bits inside a field, for pictures and explanations only."""

    name: str
    low: int
    width: int = 1


@dataclass(frozen=True)
class Field:
    """One field of a struct.

    Args:
        name: as the kernel names it.
        ctype: i8 … u64.
        offset: bytes from the start of the struct.
        count: number of elements; above 1 the field is an array.
        init: value in a fresh object; None where the field needs no initialisation.
        wraps: arithmetic on it is meant modulo its width, so overflow is no fault.
        doc: one line on its meaning.
        bits: named bit ranges inside it.
    """

    name: str
    ctype: str
    offset: int
    count: int = 1
    init: int | None = None
    wraps: bool = False
    doc: str = ""
    bits: tuple[Bits, ...] = ()

    def __post_init__(self) -> None:
        if self.ctype not in CTYPES:
            raise LayoutError(f"field {self.name}: there is no type {self.ctype!r}", f"use one of {', '.join(CTYPES)}")
        if self.offset < 0 or self.offset % CTYPES[self.ctype].bytes:
            raise LayoutError(
                f"field {self.name}: offset {self.offset} is not a multiple of its {CTYPES[self.ctype].bytes} bytes",
                "move it to an aligned offset",
            )
        if self.count < 1:
            raise LayoutError(f"field {self.name}: count {self.count} is below 1", "declare at least one element")

    @property
    def size(self) -> int:
        """Bytes that the whole field takes."""
        return CTYPES[self.ctype].bytes * self.count

    @property
    def end(self) -> int:
        """First byte behind the field."""
        return self.offset + self.size


@dataclass(frozen=True)
class Struct:
    """A struct: a name, a size in bytes, and its fields in any order; overlaps (unions) are allowed."""

    name: str
    size: int
    fields: tuple[Field, ...]

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for one in self.fields:
            if one.name in seen:
                raise LayoutError(f"struct {self.name}: two fields are called {one.name}", "rename one of them")
            seen.add(one.name)
            if one.end > self.size:
                raise LayoutError(
                    f"struct {self.name}: field {one.name} ends at byte {one.end} of {self.size}",
                    "move it or declare a larger struct",
                )

    @cached_property
    def by_name(self) -> dict[str, Field]:
        """The fields by their names."""
        return {one.name: one for one in self.fields}


@dataclass(frozen=True)
class Layouts:
    """Every struct that one engine uses, by name; the digest tells two sets apart."""

    structs: tuple[Struct, ...]
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        text = repr(
            [(s.name, s.size, [(f.name, f.ctype, f.offset, f.count, f.init) for f in s.fields]) for s in self.structs]
        )
        object.__setattr__(self, "digest", hashlib.sha256(text.encode()).hexdigest()[:16])

    @cached_property
    def by_name(self) -> dict[str, Struct]:
        """The structs by their names."""
        return {one.name: one for one in self.structs}

    def __getitem__(self, name: str) -> Struct:
        return self.by_name[name]

    def __iter__(self) -> Iterator[Struct]:
        return iter(self.structs)
