"""Interpreted memory: flat bytes, the structs that live in them, and who observes or restricts the accesses."""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, overload

from foliolab.framework.machine.layout import CTYPES, CType, Layouts
from foliolab.framework.machine.pointers import MM, Cpu, Folio, Page, Pointer, Pte, Zone, pointer_class
from foliolab.framework.machine.ref import Ref

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
        self.pointers = {s.name: pointer_class(s) for s in layouts}
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

    @overload
    def at(self, struct: Literal["page"], off: int) -> Page: ...
    @overload
    def at(self, struct: Literal["folio"], off: int) -> Folio: ...
    @overload
    def at(self, struct: Literal["mm"], off: int) -> MM: ...
    @overload
    def at(self, struct: Literal["cpu"], off: int) -> Cpu: ...
    @overload
    def at(self, struct: Literal["zone"], off: int) -> Zone: ...
    @overload
    def at(self, struct: Literal["pte"], off: int) -> Pte: ...
    @overload
    def at(self, struct: str, off: int) -> Pointer: ...
    def at(self, struct: str, off: int) -> Pointer:
        """A pointer to the struct of that name at byte `off`."""
        return self.pointers[struct](self, off)
