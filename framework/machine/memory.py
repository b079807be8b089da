"""Interpreted memory: flat bytes behind typed references that check, count and report every access."""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NoReturn, Protocol

from foliolab.framework.errors import AccessError, FieldOverflow
from foliolab.framework.machine.layout import CTYPES, CType, Field, Layouts, Struct

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

HUGE: Final = 2 << 20
CACHE_LINE: Final = 64
FRONT: Final = 4096


class Observer(Protocol):
    """Sees every access before it takes effect."""

    def access(self, op: str, ref: Ref, old: int, new: int) -> None:
        """One access by primitive `op`: for reads `new` equals `old`."""


class Guard(Protocol):
    """Says whether the code that runs now may write a reference."""

    def check(self, ref: Ref) -> None:
        """Raise AccessError where it may not."""


def allocate(nbytes: int) -> NDArray[np.uint8]:
    """Zeroed bytes aligned to 2 MiB, on huge pages where the machine grants them.

    The kernel's own struct pages lie in a huge-page mapping; without one, TLB misses would be measured.
    FRONT bytes before the first one are mapped too: native code finds the policy's entries there.
    """
    import numpy as np

    area = mmap.mmap(-1, max(nbytes, 1) + FRONT + HUGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):  # a kernel without THP
            area.madvise(mmap.MADV_HUGEPAGE)
    raw = np.frombuffer(area, np.uint8)
    start = FRONT + -(raw.ctypes.data + FRONT) % HUGE
    return raw[start : start + nbytes]


class Ref:
    """A reference to one field (the kernel's `&folio->_large_mapcount`); arrays are indexed to an element."""

    __slots__ = ("ctype", "field", "mem", "off", "owner")

    def __init__(self, mem: Memory, off: int, field: Field, ctype: CType, owner: str) -> None:
        self.mem = mem
        self.off = off
        self.field = field
        self.ctype = ctype
        self.owner = owner

    def __getitem__(self, index: int) -> Ref:
        if not 0 <= index < self.field.count:
            raise AccessError(
                f"{self.owner}.{self.field.name}[{index}]: the array has {self.field.count} elements",
                "stay inside the declared count",
            )
        return Ref(self.mem, self.off + index * self.ctype.bytes, self.field, self.ctype, self.owner)

    def __repr__(self) -> str:
        return f"&{self.owner}.{self.field.name}@{self.off:#x}"

    def _no_number(self, *_: object) -> NoReturn:
        raise TypeError(f"{self.owner}.{self.field.name} is a field, not its value: read it by load() or atomic_read()")

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
        value &= (1 << ctype.bits) - 1
        return value - (1 << ctype.bits) if ctype.signed and value >> (ctype.bits - 1) else value

    def peek(self) -> int:
        """The value, unseen by observers."""
        value: int = self.mem.raw[self.ctype.code][self.off // self.ctype.bytes]
        return value

    def read(self, op: str) -> int:
        """Load through primitive `op`."""
        mem = self.mem
        value: int = mem.views[self.ctype.code][self.off // self.ctype.bytes]
        if mem.observer is not None:
            mem.observer.access(op, self, value, value)
        return value

    def write(self, op: str, value: int) -> None:
        """Store through primitive `op`."""
        mem = self.mem
        value = self._fit(value)
        if mem.guard is not None:
            mem.guard.check(self)
        view = mem.views[self.ctype.code]
        index = self.off // self.ctype.bytes
        if mem.observer is not None:
            mem.observer.access(op, self, view[index], value)
        view[index] = value

    def rmw(self, op: str, change: Callable[[int], int]) -> tuple[int, int]:
        """Read, modify and write in one step; returns the old and the new value."""
        mem = self.mem
        view = mem.views[self.ctype.code]
        index = self.off // self.ctype.bytes
        old = view[index]
        new = self._fit(change(old))
        if mem.guard is not None:
            mem.guard.check(self)
        if mem.observer is not None:
            mem.observer.access(op, self, old, new)
        view[index] = new
        return old, new


class Pointer:
    """A typed pointer; attributes are references to the struct's fields."""

    __slots__ = ("mem", "off")
    struct: Struct

    def __init__(self, mem: Memory, off: int) -> None:
        if off % 8:
            raise AccessError(
                f"struct {self.struct.name} at byte {off:#x}: not aligned to 8 bytes",
                "check the offset it was computed from",
            )
        if off < 0 or off + self.struct.size > mem.size:
            raise AccessError(
                f"struct {self.struct.name} at byte {off:#x}: outside the {mem.size:#x} bytes of modelled memory",
                "check the page or folio number it was computed from",
            )
        self.mem = mem
        self.off = off

    def __repr__(self) -> str:
        return f"{self.struct.name}@{self.off:#x}"

    def __getattr__(self, name: str) -> Any:
        known = ", ".join(self.struct.by_name)
        raise AccessError(f"struct {self.struct.name} has no field {name!r}", f"its fields are {known}")


def _property(field: Field, owner: str) -> property:
    ctype = CTYPES[field.ctype]
    return property(lambda ptr: Ref(ptr.mem, ptr.off + field.offset, field, ctype, owner))


def _pointer_class(struct: Struct) -> type[Pointer]:
    body: dict[str, Any] = {"__slots__": (), "struct": struct}
    body |= {f.name: _property(f, struct.name) for f in struct.fields}
    return type(struct.name, (Pointer,), body)


class Memory:
    """Flat bytes with the structs that live in them.

    Args:
        buffer: the bytes, shape (size,), uint8; shared with native code.
        layouts: the structs that pointers into it may have.
    """

    __slots__ = (
        "addr",
        "buffer",
        "guard",
        "layouts",
        "observer",
        "pointers",
        "policy",
        "raw",
        "size",
        "views",
        "waiter",
    )

    def __init__(self, buffer: NDArray[np.uint8], layouts: Layouts) -> None:
        self.buffer = buffer
        self.layouts = layouts
        self.size = int(buffer.size)
        self.addr = int(buffer.ctypes.data)
        raw: Any = buffer[: self.size - self.size % 8]
        whole: Any = memoryview(raw)
        self.raw: dict[str, Any] = {c.code: whole.cast(c.code) for c in CTYPES.values()}
        self.views: dict[str, Any] = dict(self.raw)  # what primitives go through; whoever schedules them may wrap it
        self.pointers = {s.name: _pointer_class(s) for s in layouts}
        self.observer: Observer | None = None
        self.guard: Guard | None = None
        self.policy: Sequence[Callable[..., int]] = ()
        self.waiter: Callable[[Ref, int], None] | None = None  # called by who finds a bit lock held

    def set_entries(self, addresses: Sequence[int]) -> None:
        """Tell native code where the policy's entries are; `allocate` made this memory's buffer."""
        table = (ctypes.c_int64 * len(addresses)).from_address(self.addr - 8 * len(addresses))
        table[:] = list(addresses[::-1])

    def view(self, ctype: CType) -> Any:
        """The whole memory as an array of `ctype`."""
        return self.raw[ctype.code]

    def at(self, struct: str, off: int) -> Pointer:
        """A pointer to the struct of that name at byte `off`."""
        return self.pointers[struct](self, off)
