"""The capabilities of the running kernel that FolioLab can use on this host.

Each capability is tried; none is inferred from a version, since containers, lockdown and missing privileges
(docs/real-kernels.md, "Privileges") decide as well. A failed trial raises no error, also on other systems than Linux:
the result has the reason in one line.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import platform
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from foliolab.framework import host
from foliolab.framework.errors import KernelError
from foliolab.framework.kernel import guards, nodes, running, settings

PAGE_SIZE: Final = 4096
NR_IO_URING_SETUP: Final = 425
NR_IO_URING_REGISTER: Final = 427
IORING_REGISTER_BUFFERS: Final = 0
IO_URING_PARAMS: Final = 120
"""Size of struct io_uring_params in bytes. These numbers are the same on all architectures."""
LINUX: Final = "Linux"


@dataclass(frozen=True)
class Capability:
    """The result of trying a capability.

    Args:
        name: one of `NAMES`, `folios of N KiB`, or `large folios`.
        available: whether the trial succeeded.
        reason: why it failed, one line; for an available capability a detail, or empty.
    """

    name: str
    available: bool
    reason: str = ""


class _Absent(Exception):
    """A capability is missing; the message is the reason."""


def probe() -> list[Capability]:
    """Try all capabilities; on another system than Linux, only the first."""
    first = capability(LINUX)
    if not first.available:
        return [first]
    return [first, *(capability(name) for name in NAMES[1:]), *folio_sizes()]


def capability(name: str) -> Capability:
    """Try one capability of `NAMES`."""
    return _tried(name, _PROBES[name])


def require(*names: str) -> None:
    """Check that this is Linux and that capabilities are available.

    Raises:
        KernelError: one is missing; the message has its name and the reason.
    """
    for name in (LINUX, *names):
        found = capability(name)
        if not found.available:
            raise KernelError(
                f"{name} cannot be used here: {found.reason}", "`foliolab doctor` shows all that works here"
            )


def folio_sizes() -> list[Capability]:
    """Allocate a folio of every anonymous size above 4 KiB; root enables a disabled size for the duration of that."""
    try:
        sizes = settings.sizes()
        if not sizes:
            return [Capability("large folios", False, f"{settings.THP} has none: the kernel is built without THP")]
        if os.geteuid() != 0:
            return [_tried(f"folios of {kib} KiB", partial(_enabled_folio, kib)) for kib in sizes]
        with settings.exclusive() as thp:
            return [_tried(f"folios of {kib} KiB", partial(_any_folio, thp, kib)) for kib in sizes]
    except KernelError as fault:
        return [Capability("large folios", False, f"not tried: {fault.what}")]


def _tried(name: str, attempt: Callable[[], str]) -> Capability:
    try:
        return Capability(name, True, attempt())
    except _Absent as why:
        return Capability(name, False, str(why))
    except KernelError as fault:
        return Capability(name, False, fault.what)
    except OSError as fault:
        return Capability(name, False, fault.strerror or str(fault))
    except (AttributeError, ImportError, ValueError) as fault:  # Python was built without the call
        return Capability(name, False, f"not in this Python: {fault}")


# -- the trials: each returns a detail, or raises an error with the reason ------------------------
def _linux() -> str:
    if platform.system() != "Linux":
        raise _Absent(f"this is {platform.system() or 'an unknown system'}; the model runs everywhere")
    return platform.release()


def _configuration() -> str:
    kernel = running.read()
    if kernel.note:
        raise _Absent(kernel.note)
    return kernel.source


def _root() -> str:
    if (user := os.geteuid()) != 0:
        raise _Absent(f"user id {user}; THP settings and PFNs are root's")
    return ""


def _thp_settings() -> str:
    switches = settings.switches()
    if not switches:
        raise _Absent(f"{settings.THP} is missing: the kernel is built without THP")
    for path in switches.values():
        try:
            os.close(os.open(path, os.O_WRONLY))
        except OSError as fault:
            raise _Absent(f"{path} cannot be written: {fault.strerror}") from fault
    return f"{len(switches)} sizes"


def _pfns() -> str:
    with _page() as address:
        if _own_entry(address)[0] == 0:
            raise _Absent("/proc/self/pagemap shows PFNs as 0: CAP_SYS_ADMIN is missing")
    return ""


def _kpagecount() -> str:
    from foliolab.framework.kernel import pagemap

    with _page() as address:
        (count,) = pagemap.kpagecount([_needed_pfn(address, "kpagecount")]).tolist()
    if count != 1:
        raise _Absent(f"/proc/kpagecount says {count} of a page that is mapped once")
    return ""


def _kpageflags() -> str:
    from foliolab.framework.kernel import pagemap

    with _page() as address:
        flags = pagemap.kpageflags([_needed_pfn(address, "kpageflags")])
    if not pagemap.has(flags, "ANON")[0]:
        raise _Absent("/proc/kpageflags does not call an anonymous page one")
    return ""


def _bit_56() -> str:
    with _page() as address:
        if not _own_entry(address)[1]:
            raise _Absent("pagemap's bit 56 is not set for a page that is mapped once")
    return ""


def _nr_anon() -> str:
    sizes = settings.sizes()
    if not sizes:
        raise _Absent(f"{settings.THP} is missing: the kernel is built without THP")
    found = [kib for kib in sizes if "nr_anon" in settings.stats(kib)]
    if found != sizes:
        raise _Absent("hugepages-*/stats has no nr_anon: the kernel is older than 6.12")
    return ""


def _vmstat() -> str:
    return f"{len(guards.read())} counters"


def _pidfd() -> str:
    os.close(os.pidfd_open(os.getpid()))
    return ""


def _io_uring() -> str:
    libc = ctypes.CDLL(None, use_errno=True)
    params = ctypes.create_string_buffer(IO_URING_PARAMS)
    ring = libc.syscall(NR_IO_URING_SETUP, 1, params)
    if ring < 0:
        raise _Absent(f"io_uring_setup: {os.strerror(ctypes.get_errno())} (see /proc/sys/kernel/io_uring_disabled)")
    try:
        with _page() as address:
            if libc.syscall(NR_IO_URING_REGISTER, ring, IORING_REGISTER_BUFFERS, _iovec(address), 1) < 0:
                raise _Absent(f"registering a buffer: {os.strerror(ctypes.get_errno())} (see ulimit -l)")
    finally:
        os.close(ring)
    return ""


def _vmsplice() -> str:
    libc = ctypes.CDLL(None, use_errno=True)
    read_end, write_end = os.pipe()
    try:
        with _page() as address:
            if libc.vmsplice(write_end, _iovec(address), ctypes.c_size_t(1), 0) != PAGE_SIZE:
                raise _Absent(f"vmsplice: {os.strerror(ctypes.get_errno())}")
    finally:
        os.close(read_end)
        os.close(write_end)
    return ""


def _swap() -> str:
    devices = [line.split()[0] for line in (host.PROC / "swaps").read_text().splitlines()[1:] if line.split()]
    if not devices:
        raise _Absent("no swap is active, so nothing can be paged out")
    return ", ".join(devices)


def _numa_nodes() -> str:
    found = nodes.of_this_host()
    if len(found) < 2:
        raise _Absent("one node: pages cannot be moved to another one; guests have two")
    return f"{len(found)}"


def _cpus() -> str:
    if (cores := host.cores()) < 2:
        raise _Absent("one CPU: the effects of two at once cannot be tried")
    return f"{cores}"


_PROBES: Final[Mapping[str, Callable[[], str]]] = {
    LINUX: _linux,
    "kernel configuration": _configuration,
    "root": _root,
    "THP settings": _thp_settings,
    "PFNs": _pfns,
    "kpagecount": _kpagecount,
    "kpageflags": _kpageflags,
    "bit 56": _bit_56,
    "nr_anon": _nr_anon,
    "vmstat": _vmstat,
    "pidfd": _pidfd,
    "io_uring buffers": _io_uring,
    "vmsplice": _vmsplice,
    "swap": _swap,
    "CPUs": _cpus,
    "NUMA nodes": _numa_nodes,
}
NAMES: Final = tuple(_PROBES)
"""The names that `capability` and `require` accept."""


# -- a folio of a size -----------------------------------------------------------------------------
def _any_folio(thp: settings.Exclusive, kib: int) -> str:
    """Enable a size, allocate a folio, and check it by PFNs."""
    from foliolab.framework.kernel import pagemap

    thp.allow(kib)
    order = settings.order_of(kib)
    with _touched(kib) as address:
        descriptor = pagemap.open_pagemap()
        try:
            pfns = pagemap.pagemap(descriptor, address, 1 << order).pfn
        finally:
            os.close(descriptor)
        if not pfns.any():
            return _enabled_folio(kib)  # root without CAP_SYS_ADMIN, as in a container
        if wrong := pagemap.off_size(pfns, order):
            raise _Absent(wrong[0])
    return ""


def _enabled_folio(kib: int) -> str:
    """Allocate a folio of an enabled size, and check it by the kernel's counter of allocations."""
    if (mode := settings.resolved_mode(kib)) not in ("always", "madvise"):
        raise _Absent(f"set to {mode}, and changing that takes root")
    before = settings.stats(kib)
    with _touched(kib):
        after = settings.stats(kib)
    if after.get("anon_fault_alloc", 0) <= before.get("anon_fault_alloc", 0):
        raise _Absent("a fault got a smaller folio: memory is fragmented, or THP is disabled for this process")
    return f"set to {mode}; by the kernel's count of them"


@contextmanager
def _touched(kib: int) -> Iterator[int]:
    """Touched memory with MADV_HUGEPAGE that has room for one folio of the size and for no larger one; its address."""
    size = kib << 10
    with _private(2 * size) as (memory, base):
        offset = -base % size
        memory.madvise(mmap.MADV_NOHUGEPAGE)
        memory.madvise(mmap.MADV_HUGEPAGE, offset, size)
        memory[offset] = 1
        yield base + offset


@contextmanager
def _page() -> Iterator[int]:
    """A mapped small page; its address."""
    with _private(PAGE_SIZE) as (memory, base):
        memory[0] = 1
        yield base


@contextmanager
def _private(size: int) -> Iterator[tuple[mmap.mmap, int]]:
    with mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        first = ctypes.c_char.from_buffer(memory)
        base = ctypes.addressof(first)
        del first  # a mapping with a buffer cannot be closed
        yield memory, base


def _own_entry(address: int) -> tuple[int, bool]:
    """PFN and bit 56 of a page of this process. Without numpy, since `foliolab doctor` must run without it."""
    with Path("/proc/self/pagemap").open("rb", buffering=0) as file:
        file.seek(address // PAGE_SIZE * 8)
        (word,) = struct.unpack("<Q", file.read(8))
    return word & ((1 << 55) - 1), bool(word >> 56 & 1)


def _needed_pfn(address: int, what: str) -> int:
    if pfn := _own_entry(address)[0]:
        return pfn
    raise _Absent(f"/proc/{what} is indexed by PFN, and PFNs cannot be read")


def _iovec(address: int) -> ctypes.Array[ctypes.c_size_t]:
    return (ctypes.c_size_t * 2)(address, PAGE_SIZE)
