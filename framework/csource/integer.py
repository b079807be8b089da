"""C's integer types, and how C converts between them."""

from __future__ import annotations

from typing import Final, NamedTuple

from foliolab.framework.csource.libclang import CType, types


class Integer(NamedTuple):
    """An integer type of C: its width, and whether it has negative values."""

    bits: int
    signed: bool

    @property
    def low(self) -> int:
        """The least value."""
        return -(1 << self.bits - 1) if self.signed else 0

    @property
    def high(self) -> int:
        """The greatest value."""
        return (1 << self.bits - self.signed) - 1

    def pattern(self, value: int) -> int:
        """A value of any size as this type holds it; an unsigned 64-bit one as its signed bit pattern."""
        value &= (1 << self.bits) - 1
        return value - (1 << self.bits) if (self.signed or self.bits == WORD) and value >> self.bits - 1 else value

    @property
    def field(self) -> str:
        """The type of a policy's field."""
        return f"{'i' if self.signed else 'u'}{self.bits}"


WORD: Final = 64
BOOL: Final = Integer(1, False)
INT: Final = Integer(32, True)
U64: Final = Integer(WORD, False)
_NAMES: Final = {
    "BOOL": BOOL, "CHAR_S": Integer(8, True), "SCHAR": Integer(8, True), "UCHAR": Integer(8, False),
    "SHORT": Integer(16, True), "USHORT": Integer(16, False), "INT": INT, "UINT": Integer(32, False),
    "LONG": Integer(64, True), "ULONG": U64, "LONGLONG": Integer(64, True), "ULONGLONG": U64,
    "ENUM": Integer(32, False),
}  # fmt: skip
_COUNTERS: Final = {"atomic_t": INT, "atomic_long_t": Integer(64, True), "atomic64_t": Integer(64, True)}


def integer_of(kind: CType) -> Integer | None:
    """The integer type that a type of clang's is; None for any other type."""
    return _NAMES.get(kind.get_canonical().kind.name)


def stored_as(kind: CType) -> Integer | None:
    """The integer that a field of that type holds: an integer, or the counter of an atomic_t; else None."""
    return integer_of(kind) or _COUNTERS.get(kind.spelling.replace("const ", "").replace("volatile ", ""))


def struct_of(kind: CType) -> str:
    """The name of the struct, or other type, that a pointer points to; empty where the type is no pointer."""
    kind = kind.get_canonical()
    if kind.kind != types().POINTER:
        return ""
    return _plain(kind.get_pointee().get_canonical().spelling)


def _plain(spelling: str) -> str:
    return spelling.replace("const ", "").replace("volatile ", "").removeprefix("struct ")


def is_out_parameter(kind: CType) -> bool:
    """Whether a parameter is the address of a caller's number, to be written."""
    kind = kind.get_canonical()
    if kind.kind != types().POINTER or kind.get_pointee().is_const_qualified():
        return False
    return kind.get_pointee().get_canonical().kind in (types().INT, types().UINT, types().BOOL)


def promoted(a: Integer, b: Integer) -> Integer:
    """The type in which C calculates with values of two types."""
    a, b = (INT if one.bits < INT.bits else one for one in (a, b))
    return max(a, b, key=lambda one: one.bits) if a.bits != b.bits else Integer(a.bits, a.signed and b.signed)
