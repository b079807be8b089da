"""The names that object files leave to others: functions, which it calls, and data."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from foliolab.framework.errors import CSourceError

PLT32: Final = 4
"""The relocation of a call (R_X86_64_PLT32)."""
_SECTIONS_AT, _SECTION_COUNTS_AT = 40, 58
_HEADER: Final = struct.Struct("<IIQQQQIIQQ")
_SYMBOL: Final = struct.Struct("<IBBHQQ")
_RELOCATION: Final = struct.Struct("<QQq")
_SYMBOLS, _RELOCATIONS = 2, 4


class _Section(NamedTuple):
    name: int
    kind: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    alignment: int
    entry: int


class _Symbol(NamedTuple):
    name: str
    is_defined: bool


def undefined(objects: Iterable[bytes]) -> dict[str, bool]:
    """The names that object files, linked together, leave to others, and whether one of them calls each.

    Raises:
        CSourceError: one is no object file of x86-64.
    """
    found: dict[str, bool] = {}
    defined: set[str] = set()
    for data in objects:
        if data[:6] != b"\x7fELF\2\1" or data[18:20] != b"\x3e\0":
            raise CSourceError("the compiler wrote no object file for x86-64", "let cc be a compiler for this machine")
        sections = list(_sections(data))
        symbols = list(_symbols(data, sections))
        defined |= {one.name for one in symbols if one.is_defined}
        called = {symbols[number].name for number in _called(data, sections)}
        for one in symbols:
            found[one.name] = found.get(one.name, False) or one.name in called
    return {name: found[name] for name in sorted(found.keys() - defined) if name}


def _sections(data: bytes) -> Iterator[_Section]:
    (at,) = struct.unpack_from("<Q", data, _SECTIONS_AT)
    size, count = struct.unpack_from("<HH", data, _SECTION_COUNTS_AT)
    for number in range(count):
        yield _Section(*_HEADER.unpack_from(data, at + number * size))


def _symbols(data: bytes, sections: list[_Section]) -> Iterator[_Symbol]:
    """All symbols, in their order; those that no other object sees have no name."""
    table = next(one for one in sections if one.kind == _SYMBOLS)
    strings = sections[table.link].offset
    for name, info, _, section, _, _ in _SYMBOL.iter_unpack(data[table.offset : table.offset + table.size]):
        start = strings + name
        text = data[start : data.index(b"\0", start)].decode(errors="replace") if info >> 4 else ""
        yield _Symbol(text, section != 0)


def _called(data: bytes, sections: list[_Section]) -> Iterator[int]:
    """The numbers of the symbols that are called."""
    for one in sections:
        if one.kind == _RELOCATIONS:
            for _, info, _ in _RELOCATION.iter_unpack(data[one.offset : one.offset + one.size]):
                if info & 0xFFFFFFFF == PLT32:
                    yield info >> 32
