"""A guest whose kernel's instructions are counted between the agent's marks.

The guest has one processor. Its kernel lies where it was linked (nokaslr), so that addresses mean functions, keeps its
LOCK prefixes, which it patches away on one processor otherwise (noreplace-smp), and puts stacks at the same addresses
in each run (norandmaps), so that a fork has as many page tables.
"""

from __future__ import annotations

import os
import re
import struct
import subprocess
from bisect import bisect_right
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Final

from foliolab.framework.errors import KernelError
from foliolab.framework.kernel.agent.build import COMMON, SOURCES, kept
from foliolab.framework.kernel.agent.channel import Gone
from foliolab.framework.kernel.counting.counts import Counts
from foliolab.framework.kernel.guest.machine import Extras, Guest
from foliolab.framework.kernel.guest.qemu import Qemu, qemu

PLUGIN: Final = Path(__file__).with_name("plugin.c")
CACHES: Final = Path(__file__).with_name("caches.h")
FLAGS: Final = (*COMMON, "-shared", "-fPIC", "-fvisibility=hidden")
APPEND: Final = "nokaslr norandmaps noreplace-smp"
CPU: Final = "max,-erms,-fsrm"
"""Without ERMS, pages are copied and cleared by words: TCG needs an iteration for each byte otherwise."""
CLOCK: Final = "shift=0"
"""An instruction takes a nanosecond of the guest's time: little else comes due while something is counted."""
SAME: Final = ("-seed", "1", "-rtc", "base=2026-01-01,clock=vm")
"""What a guest finds besides its kernel is the same in each run."""
VERSION: Final = re.compile(r"version (\d+)\.(\d+)(\.\d+)*")
VERSION_SECONDS: Final = 20.0
OLDEST: Final = (4, 2)
INTERFACES: Final = {(9, 1): 3, (9, 0): 2}
"""The version of the plugin interface from a version of QEMU on; before these it is 1."""

TEXT: Final = "tTwW"
"""Types of symbols that are functions, as nm has them."""
PADDING: Final = "__pfx_"
INTERRUPT, EXCEPTION = 1, 2
INTERRUPTS: Final = "asm_sysvec_"
STUBS: Final = ("irq_entries_start", "spurious_entries_start")
"""Tables of entry points of a few instructions each, which the kernel aligns to STUB or twice as much."""
STUB: Final = 8
EXCEPTIONS: Final = "asm_exc_"
UNKNOWN: Final = "?"
HEAD: Final = struct.Struct("<Q")
ROW: Final = struct.Struct("<9Q")


class Symbols:
    """The functions of a kernel.

    Args:
        text: of /proc/kallsyms.
    """

    def __init__(self, text: str) -> None:
        names: dict[int, str] = {}
        for line in text.splitlines():
            address, kind, name = line.split()[:3]
            if kind in TEXT and not name.startswith(PADDING):
                at = int(address, 16)
                names[at] = min(names.get(at, name), name, key=lambda one: (len(one), one))
        names.pop(0, None)
        self.addresses = sorted(names)
        self.names = [names[at] for at in self.addresses]

    def function(self, address: int) -> str:
        """The function that an address is in; what a compiler made of one (`.isra.0`, `.cold`) is that one."""
        at = bisect_right(self.addresses, address) - 1
        return self.names[at].partition(".")[0] if at >= 0 else UNKNOWN

    def entries(self) -> bytes:
        """The entry points of interrupts and exceptions, as the plugin reads them."""
        found = []
        for number, (address, name) in enumerate(zip(self.addresses, self.names, strict=True)):
            if name in STUBS:
                found += [(at, INTERRUPT) for at in range(address, self.addresses[number + 1], STUB)]
            elif name.startswith(INTERRUPTS):
                found.append((address, INTERRUPT))
            elif name.startswith(EXCEPTIONS):
                found.append((address, EXCEPTION))
        return b"".join(struct.pack("<QQ", *entry) for entry in found)


def version(program: Qemu) -> tuple[int, ...]:
    """The version of QEMU.

    Raises:
        KernelError: it does not say.
    """
    try:
        said = subprocess.run(
            [program.program, "--version"], env={**os.environ, **program.environment}, timeout=VERSION_SECONDS,
            capture_output=True, text=True, errors="replace", check=False,
        ).stdout  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as fault:
        raise KernelError(f"{program.program} does not say its version: {fault}", "install it again") from fault
    found = VERSION.search(said)
    if found is None:
        raise KernelError(f"{program.program} does not say its version", "install it again")
    return tuple(map(int, found[0].removeprefix("version ").split(".")))


def plugin(of: tuple[int, ...]) -> bytes:
    """The plugin for a version of QEMU, built if the cache does not have it.

    Raises:
        KernelError: QEMU is too old, or there is no compiler.
    """
    if of < OLDEST:
        raise KernelError(
            f"QEMU {'.'.join(map(str, of))} has no plugins", f"install QEMU {'.'.join(map(str, OLDEST))} or newer"
        )
    interface = next((number for since, number in INTERFACES.items() if of >= since), 1)
    return kept("the plugin that counts", [PLUGIN, CACHES, SOURCES / "marks.h"], (*FLAGS, f"-DAPI={interface}"))


class CountingGuest(Guest):
    """A guest under TCG with the plugin; a context manager.

    Attributes:
        version: of QEMU.
        symbols: of the kernel.
    """

    def _start(self, stack: ExitStack) -> None:
        program = qemu()
        self.note = "only TCG counts"
        self.version = version(program)
        library = stack.enter_context(_held("plugin", plugin(self.version)))
        entries = stack.enter_context(_held("entries"))
        self._counts = stack.enter_context(_held("counts"))
        words = f"/proc/self/fd/{library.fileno()},entries={entries.fileno()},counts={self._counts.fileno()}"
        descriptors = (library.fileno(), entries.fileno(), self._counts.fileno())
        options = (*SAME, "-cpu", CPU, "-icount", CLOCK, "-plugin", words)
        try:
            self._boot(program, "tcg", stack, Extras(options, descriptors, APPEND))
        except Gone as fault:
            if "plugin" not in fault.what:
                raise
            raise KernelError(
                f"{program.program} was built without plugins, or refuses the one that counts: {fault.what}",
                "install a QEMU that has them, such as Debian's: apt install qemu-system-x86, or "
                "`foliolab kernel get qemu`",
            ) from fault
        (listed,) = self.channel.play("get /proc/kallsyms")
        self.symbols = Symbols(listed.text)
        if not self.symbols.addresses:
            raise KernelError(
                f"{self.name} does not say where its functions are: it lacks CONFIG_KALLSYMS=y",
                "build it with that, or leave it out",
            )
        os.pwrite(entries.fileno(), self.symbols.entries(), 0)
        self._read = 0
        self.channel.play("arm")

    def counts(self) -> list[dict[str, Counts]]:
        """What was counted between each pair of marks since the last call, by the kernel's function."""
        data = os.pread(self._counts.fileno(), os.fstat(self._counts.fileno()).st_size - self._read, self._read)
        self._read += len(data)
        found = []
        at = 0
        while at < len(data):
            (number,) = HEAD.unpack_from(data, at)
            at += HEAD.size
            functions: dict[str, Counts] = {}
            for address, locked, instructions, *accesses in ROW.iter_unpack(data[at : at + number * ROW.size]):
                name = self.symbols.function(address)
                one = Counts(instructions, instructions * locked, *accesses)
                functions[name] = functions.get(name, Counts()) + one
            at += number * ROW.size
            found.append(functions)
        return found


def _held(name: str, data: bytes = b"") -> IO[bytes]:
    held = open(os.memfd_create(f"foliolab-{name}"), "w+b", buffering=0)  # noqa: SIM115  (the caller closes it)
    held.write(data)
    return held
