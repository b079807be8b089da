"""Read access to the memory of the running kernel: drgn, on /proc/kcore or on a vmcore of this kernel.

No debug information is needed: symbols are the kernel's own (kallsyms), and offsets come from BTF.
"""

from __future__ import annotations

import os
import platform
import struct
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Final

from foliolab.framework.errors import KernelError
from foliolab.framework.kernel.recording.btf import Types

KCORE: Final = Path("/proc/kcore")
PROC: Final = Path("/proc")
MOST_TASKS: Final = 1 << 22
MACHINES: Final = ("x86_64", "AMD64")
OTHER: Final = "the running kernel's memory is in /proc/kcore, or in a vmcore that was made since it booted"


class KernelMemory:
    """The memory of a kernel.

    Args:
        read: bytes at an address of the kernel, so many; raises OSError or ValueError where nothing can be read.
        symbol: the address of a symbol; raises LookupError.
        types: the kernel's structs.
        source: the file, in words.
        changes: whether it is the memory of a running kernel, and no copy.
    """

    def __init__(
        self,
        read: Callable[[int, int], bytes],
        symbol: Callable[[str], int],
        types: Types,
        source: str = "",
        changes: bool = True,
    ) -> None:
        self.types = types
        self.source = source
        self.changes = changes
        self._read = read
        self._symbol = symbol

    def read(self, address: int, size: int) -> bytes:
        """Bytes at an address.

        Raises:
            KernelError: they cannot be read.
        """
        try:
            found = self._read(address, size)
        except (OSError, ValueError) as fault:
            raise KernelError(f"the kernel's memory at {address:#x} cannot be read ({fault})", OTHER) from fault
        if len(found) != size:
            raise KernelError(f"the kernel's memory at {address:#x} cannot be read", OTHER)
        return found

    def word(self, address: int) -> int:
        """The 64 bits at an address."""
        return int(struct.unpack("<Q", self.read(address, 8))[0])

    def symbol(self, name: str) -> int:
        """The address of a symbol.

        Raises:
            KernelError: it is not known.
        """
        try:
            return self._symbol(name)
        except LookupError as fault:
            raise KernelError(
                f"the kernel does not tell the address of {name}", "it needs CONFIG_KALLSYMS_ALL"
            ) from fault

    def tasks(self) -> Iterator[int]:
        """The addresses of the first threads of all processes (`for_each_process`).

        Raises:
            KernelError: the list cannot be followed: a process ended meanwhile.
        """
        first, link = self.symbol("init_task"), self.types.offset("task_struct", "tasks")
        at = first
        for _ in range(MOST_TASKS):
            at = self.word(at + link) - link
            if at == first:
                return
            yield at
        raise KernelError("the kernel's list of processes has no end", "try again")


def opened(core: str = "") -> KernelMemory:
    """The memory of the running kernel.

    Args:
        core: a vmcore of this kernel; empty for /proc/kcore.

    Raises:
        KernelError: it cannot be read here; the message says what is missing.
    """
    path = Path(core or KCORE)
    if platform.machine() not in MACHINES:
        raise KernelError(f"struct pages are found on x86-64 only, and this is {platform.machine()}", "use such a host")
    types = Types.of_running()
    try:
        path.open("rb").close()
    except FileNotFoundError as fault:
        hint = (
            "check the file" if core else "it needs a kernel with CONFIG_PROC_KCORE, or a vmcore: --kernel-memory FILE"
        )
        raise KernelError(f"there is no {path}", hint) from fault
    except OSError as fault:
        raise KernelError(f"{path} cannot be read ({fault.strerror})", "record as root") from fault
    try:
        drgn = import_module("drgn")
        load = import_module("drgn.helpers.linux.kallsyms").load_vmlinux_kallsyms
    except ImportError as fault:
        raise KernelError(f"drgn cannot be imported ({fault})", "install it: pip install drgn") from fault
    program = drgn.Program()
    try:
        program.set_core_dump(os.fspath(path))
        program.register_symbol_finder("kallsyms", load(program), enable_index=0)
        stext = (
            program["VMCOREINFO"].string_().decode("ascii", "replace").partition("SYMBOL(_stext)=")[2].split("\n")[0]
        )
    except (OSError, ValueError, LookupError, drgn.FaultError) as fault:
        raise KernelError(f"drgn cannot read {path} ({fault})", OTHER) from fault
    if core and int(stext or "0", 16) != _stext():
        raise KernelError(f"{path} is not the memory of the running kernel: its code is elsewhere", OTHER)

    def read(address: int, size: int) -> bytes:
        try:
            return bytes(program.read(address, size))
        except drgn.FaultError as fault:
            raise OSError(str(fault)) from fault

    def symbol(name: str) -> int:
        return int(program.symbol(name).address)

    return KernelMemory(read, symbol, types, os.fspath(path), not core)


def _stext() -> int:
    """Where the running kernel's code begins, which differs from boot to boot; 0 if that is hidden."""
    with (PROC / "kallsyms").open() as lines:
        for line in lines:
            words = line.split()
            if words[2] == "_stext":
                return int(words[0], 16)
    return 0
