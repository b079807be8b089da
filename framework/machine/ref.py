"""References to fields of interpreted memory: every access is checked, counted and reported."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn

from foliolab.framework.errors import AccessError, FieldOverflow
from foliolab.framework.machine.layout import CTYPES, CType, Field

if TYPE_CHECKING:
    from foliolab.framework.machine.memory import Memory


class Ref:
    """A reference to one field (the kernel's `&folio->_large_mapcount`); arrays are indexed to an element.

    Every access makes one, so each field has a class of its own (`ref_class`): a reference holds only where it points.

    Attributes:
        mem: the memory.
        off: the field's first byte in it.
        field: the field.
        ctype: its type.
        owner: the name of the struct.
        code: the type's letter, by which `Memory.views` has the memory as an array.
        width: the type's bytes.
    """

    __slots__ = ("mem", "off")
    field: Field
    ctype: CType
    owner: str
    code: str
    width: int

    def __init__(self, mem: Memory, off: int) -> None:
        self.mem = mem
        self.off = off

    def __getitem__(self, index: int) -> Ref:
        if not 0 <= index < self.field.count:
            raise AccessError(
                f"{self.owner}.{self.field.name}[{index}]: the array has {self.field.count} elements",
                "stay inside the declared count",
            )
        return type(self)(self.mem, self.off + index * self.width)

    def __repr__(self) -> str:
        return f"&{self.owner}.{self.field.name}@{self.off:#x}"

    def _no_number(self, *_: object) -> NoReturn:
        raise TypeError(f"{self.owner}.{self.field.name} is a field, not its value: read it by load() or atomic_read()")

    if not TYPE_CHECKING:  # a type checker should report arithmetic on a field, too
        __bool__ = __index__ = __int__ = __neg__ = __invert__ = __abs__ = _no_number
        __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __floordiv__ = __mod__ = _no_number
        __and__ = __rand__ = __or__ = __ror__ = __xor__ = __rxor__ = __lshift__ = __rshift__ = _no_number
        __lt__ = __le__ = __gt__ = __ge__ = __eq__ = __ne__ = _no_number
    __hash__ = object.__hash__

    def _fit(self, value: int) -> int:
        ctype = self.ctype
        if ctype.low <= value <= ctype.high:
            return value
        if not self.field.wraps:
            raise FieldOverflow(
                f"{self.owner}.{self.field.name}: {value} does not fit {ctype.name}",
                "widen the field, bound the value, or declare the field with wraps=True",
            )
        return ctype.wrapped(value)

    def peek(self) -> int:
        """The value, unseen by observers."""
        value: int = self.mem.raw[self.code][self.off // self.width]
        return value

    def read(self, op: str) -> int:
        """Load through primitive `op`."""
        mem = self.mem
        value: int = mem.views[self.code][self.off // self.width]
        if mem.observer is not None:
            mem.observer.access(op, self, value, value)
        return value

    def write(self, op: str, value: int) -> None:
        """Store through primitive `op`."""
        mem = self.mem
        value = self._fit(value)
        if mem.guard is not None:
            mem.guard.check(self)
        view = mem.views[self.code]
        index = self.off // self.width
        if mem.observer is not None:
            mem.observer.access(op, self, view[index], value)
        view[index] = value

    def rmw(self, op: str, change: Callable[[int], int]) -> tuple[int, int]:
        """Read, modify and write in one step; returns the old and the new value."""
        mem = self.mem
        view = mem.views[self.code]
        index = self.off // self.width
        old = view[index]
        new = self._fit(change(old))
        if mem.guard is not None:
            mem.guard.check(self)
        if mem.observer is not None:
            mem.observer.access(op, self, old, new)
        view[index] = new
        return old, new


def ref_class(field: Field, owner: str) -> type[Ref]:
    """The class of references to a field of a struct."""
    ctype = CTYPES[field.ctype]
    body = {"field": field, "ctype": ctype, "owner": owner, "code": ctype.code, "width": ctype.bytes}
    return type("Ref", (Ref,), {"__slots__": (), **body})
