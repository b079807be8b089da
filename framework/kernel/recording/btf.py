"""Offsets in the kernel's structs, from its own type information (BTF).

Source: Documentation/bpf/btf.rst. Only what leads to a named member is read.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

from foliolab.framework.errors import KernelError

RUNNING: Final = Path("/sys/kernel/btf/vmlinux")
MAGIC: Final = 0xEB9F
STRUCT, UNION = 4, 5
MODIFIERS: Final = frozenset({8, 9, 10, 11, 18})
"""typedef, volatile, const, restrict, type tag: they stand for another type."""
MEMBER: Final = 12
BEHIND: Final = {1: (4, 0), 3: (12, 0), 4: (0, 12), 5: (0, 12), 6: (0, 8), 13: (0, 8), 14: (4, 0), 15: (0, 12),
                 17: (4, 0), 19: (0, 12)}  # fmt: skip
"""By kind of type, the bytes behind its entry: always, and for each of its elements."""


class Types:
    """The structs of a kernel.

    Args:
        data: BTF, as /sys/kernel/btf/vmlinux has it.

    Raises:
        KernelError: it is no BTF, or ends too early.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at: list[int] = [0]  # by type ID
        self._structs: dict[bytes, int] = {}
        try:
            self._index()
        except (struct.error, IndexError, ValueError) as fault:
            raise KernelError(f"the kernel's type information cannot be read ({fault})", f"see {RUNNING}") from fault

    @staticmethod
    def of_running() -> Types:
        """Those of the running kernel.

        Raises:
            KernelError: it has no type information.
        """
        try:
            return Types(RUNNING.read_bytes())
        except OSError as fault:
            raise KernelError(
                f"the kernel's type information cannot be read ({RUNNING}: {fault.strerror})",
                "it needs a kernel with CONFIG_DEBUG_INFO_BTF",
            ) from fault

    def size(self, name: str) -> int:
        """The bytes of a struct.

        Raises:
            KernelError: there is no such struct.
        """
        return self._entry(self._struct(name))[3]

    def has(self, name: str, member: str) -> bool:
        """Whether a struct has a member, in itself or in one of its unnamed structs and unions."""
        return self._offset(self._struct(name), member.encode()) is not None

    def offset(self, name: str, member: str) -> int:
        """The offset of a member in bytes, which may be in an unnamed struct or union.

        Raises:
            KernelError: there is no such struct, or no such member.
        """
        found = self._offset(self._struct(name), member.encode())
        if found is None:
            raise KernelError(f"this kernel's struct {name} has no {member}", "it is another kernel than was expected")
        return found // 8

    def _index(self) -> None:
        magic, _, _, head, first, length, names, nr_names = struct.unpack_from("<HBBIIIII", self._data)
        if magic != MAGIC:
            raise ValueError("it does not begin as BTF does")
        self._names = self._data[head + names : head + names + nr_names]
        at, end = head + first, head + first + length
        while at < end:
            name, kind, nr, _ = self._entry(at)
            if kind in (STRUCT, UNION) and name:
                self._structs.setdefault(self._name(name), at)
            self._at.append(at)
            fixed, each = BEHIND.get(kind, (0, 0))
            at += 12 + fixed + nr * each

    def _entry(self, at: int) -> tuple[int, int, int, int]:
        """(offset of the name, kind, number of elements, size or type) of a type."""
        name, info, size = struct.unpack_from("<III", self._data, at)
        return name, info >> 24 & 0x1F, info & 0xFFFF, size

    def _name(self, offset: int) -> bytes:
        return self._names[offset : self._names.index(b"\0", offset)]

    def _struct(self, name: str) -> int:
        if (found := self._structs.get(name.encode())) is None:
            raise KernelError(f"this kernel has no struct {name}", "it is another kernel than was expected")
        return found

    def _offset(self, at: int, member: bytes) -> int | None:
        """The offset of a member in bits."""
        _, kind, nr, aliased = self._entry(at)
        while kind in MODIFIERS:
            at = self._at[aliased]
            _, kind, nr, aliased = self._entry(at)
        if kind not in (STRUCT, UNION):
            return None
        packed = struct.unpack_from("<I", self._data, at + 4)[0] >> 31  # the width of bit fields is in the upper byte
        for number in range(nr):
            name, of, bits = struct.unpack_from("<III", self._data, at + 12 + number * MEMBER)
            bits = bits & 0xFFFFFF if packed else bits
            if name and self._name(name) == member:
                return int(bits)
            if not name and (inner := self._offset(self._at[of], member)) is not None:
                return int(bits) + inner
        return None
