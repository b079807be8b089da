"""/proc/PID/pagemap, /proc/kpagecount and /proc/kpageflags as flat arrays.

A page frame number (PFN) identifies a page of memory. Two virtual pages with the same PFN share that page, and a write
that changes the PFN of its page was a copy: so PFNs show what the kernel did, exactly. They read as 0 without
CAP_SYS_ADMIN; kpagecount and kpageflags need CAP_DAC_READ_SEARCH (docs/real-kernels.md, "Privileges").

Bit 56 of a PMD-mapped page describes the head page of the folio (docs/real-kernels.md, "What /proc shows of a folio"),
so it is reliable only where PTEs map the folio.

Source of the entries' layout and the flags' numbers: Documentation/admin-guide/mm/pagemap.rst.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from foliolab.framework.errors import KernelError

PROC: Path = Path("/proc")
PAGE_SIZE: Final = 4096
ENTRY: Final = 8
"""Size of an entry of each of these files in bytes."""
PFN_MASK: Final = (1 << 55) - 1
EXCLUSIVE: Final = 56
SWAPPED: Final = 62
PRESENT: Final = 63
PAGEMAP_SCAN: Final = 0xC0606610
PAGE_IS_PFNZERO: Final = 1 << 5
CHUNK: Final = 1 << 18
"""The largest number of entries of one read: 2 MiB."""
GAP: Final = 128
"""The largest gap between two wanted entries that is read along: that is cheaper than one more system call."""

FLAGS: Final = (
    "LOCKED", "ERROR", "REFERENCED", "UPTODATE", "DIRTY", "LRU", "ACTIVE", "SLAB", "WRITEBACK", "RECLAIM", "BUDDY",
    "MMAP", "ANON", "SWAPCACHE", "SWAPBACKED", "COMPOUND_HEAD", "COMPOUND_TAIL", "HUGE", "UNEVICTABLE", "HWPOISON",
    "NOPAGE", "KSM", "THP", "OFFLINE", "ZERO_PAGE", "IDLE", "PGTABLE",
)  # fmt: skip
"""The names of the bits of kpageflags, from bit 0 on, without KPF_."""
BIT: Final = {name: bit for bit, name in enumerate(FLAGS)}

Words = NDArray[np.uint64]
Numbers = NDArray[np.int64]
Truths = NDArray[np.bool_]


@dataclass(frozen=True)
class PageMap:
    """The pagemap entries of consecutive pages.

    Attributes:
        raw: the entries, in the order of the pages.
    """

    raw: Words

    @property
    def present(self) -> Truths:
        return self._bit(PRESENT)

    @property
    def swapped(self) -> Truths:
        return self._bit(SWAPPED)

    @property
    def exclusive(self) -> Truths:
        """Bit 56: whether the kernel reports that the page is mapped exactly once."""
        return self._bit(EXCLUSIVE)

    @property
    def pfn(self) -> Numbers:
        """PFN of each page; 0 for a page that is not present, and for all pages without CAP_SYS_ADMIN."""
        return np.where(self.present, self.raw & np.uint64(PFN_MASK), np.uint64(0)).astype(np.int64)

    def _bit(self, bit: int) -> Truths:
        return (self.raw >> np.uint64(bit) & np.uint64(1)).astype(np.bool_)


def open_pagemap(pid: int | str = "self") -> int:
    """Open the pagemap of a process; the caller closes the descriptor.

    Raises:
        KernelError: there is no such process, or this user may not open it.
    """
    return _open(PROC / str(pid) / "pagemap", "run as root, or look at processes of your own")


def pagemap(fd: int, start: int, nr_pages: int) -> PageMap:
    """Read the entries of a range.

    Args:
        fd: from `open_pagemap`.
        start: address of the first page.
        nr_pages: number of pages.

    Raises:
        KernelError: the entries cannot be read, for example since the process has ended.
    """
    raw = np.empty(nr_pages, np.uint64)
    if nr_pages:  # an empty memoryview cannot be cast
        _fill(fd, start // PAGE_SIZE, raw.data.cast("B"), "pagemap")
    return PageMap(raw)


def kpagecount(pfns: ArrayLike) -> Numbers:
    """The number of mappings of each page.

    Args:
        pfns: in any order; the result is 0 for 0 and below.

    Raises:
        KernelError: kpagecount cannot be read.
    """
    return _of_pfns("kpagecount", pfns).astype(np.int64)


def kpageflags(pfns: ArrayLike) -> Words:
    """The flags of each page, with the bits of FLAGS.

    Args:
        pfns: in any order; the result is 0 for 0 and below.

    Raises:
        KernelError: kpageflags cannot be read.
    """
    return _of_pfns("kpageflags", pfns)


def has(flags: Words, name: str) -> Truths:
    """Whether each page has a flag of FLAGS, such as "THP"."""
    return (flags >> np.uint64(BIT[name]) & np.uint64(1)).astype(np.bool_)


@dataclass(frozen=True)
class Folios:
    """The folios of consecutive pages, in the order of the pages; one array element per folio.

    Attributes:
        start: index of the folio's first page among the pages.
        nr_pages: number of its pages that follow from there.
        head: PFN of the page at `start`.
        whole: whether that page is the folio's head page, or a small folio.
    """

    start: Numbers
    nr_pages: Numbers
    head: Numbers
    whole: Truths


def folios(pfns: ArrayLike, flags: Words) -> Folios:
    """Group pages to folios: a head page and the tail pages behind it, with consecutive PFNs.

    Pages that are not present (PFN 0) are in no folio. Tail pages without their head page before them are a part of a
    folio, for which `whole` is False.

    Args:
        pfns: of consecutive pages.
        flags: of the same pages.
    """
    pfn = np.asarray(pfns, np.int64)
    joined = np.zeros(len(pfn), np.bool_)
    joined[1:] = has(flags, "COMPOUND_TAIL")[1:] & (np.diff(pfn) == 1) & (pfn[:-1] > 0)
    start = np.flatnonzero(~joined)
    nr = np.diff(np.append(start, len(pfn)))
    present = pfn[start] > 0
    start, nr = start[present], nr[present]
    return Folios(start, nr, pfn[start], ~has(flags, "COMPOUND_TAIL")[start])


def off_size(pfns: ArrayLike, order: int, flags: Words | None = None) -> list[str]:
    """Check that every page is in a naturally aligned folio of exactly one order; the violation, or an empty list.

    Args:
        pfns: of consecutive pages, from the first page of a folio on.
        order: the requested order.
        flags: of the same pages; None: they are read.

    Raises:
        KernelError: kpageflags cannot be read.
    """
    pfn = np.asarray(pfns, np.int64)
    if absent := int(np.count_nonzero(pfn <= 0)):
        return [f"{absent} of {len(pfn)} pages are not present"]
    found = folios(pfn, kpageflags(pfn) if flags is None else flags)
    wrong = found.nr_pages != 1 << order
    if np.any(wrong):
        sizes, counts = np.unique(found.nr_pages[wrong], return_counts=True)
        held = ", ".join(f"{n} of {4 * s} KiB" for s, n in zip(sizes.tolist(), counts.tolist(), strict=True))
        return [f"folios of {4 << order} KiB were asked for; there are {held}"]
    if np.any(found.head & ((1 << order) - 1)) or not np.all(found.whole):
        return [f"folios of {4 << order} KiB do not start at a folio's head"]
    return []


def zero_pages(fd: int, start: int, nr_pages: int) -> Truths:
    """Whether each page of a range maps the kernel's zero page, by the ioctl PAGEMAP_SCAN, which needs no privilege.

    Before Linux 6.7, which added the ioctl, the result is False for all pages.

    Args:
        fd: from `open_pagemap`.
        start: address of the first page.
        nr_pages: number of pages.
    """
    import fcntl

    found = np.zeros(nr_pages, np.bool_)
    regions = np.zeros((nr_pages, 3), np.uint64)  # struct page_region: start, end, categories
    end = start + nr_pages * PAGE_SIZE
    # struct pm_scan_arg: size, flags, start, end, walk_end, vec, vec_len, max_pages, then four category masks
    words = [96, 0, start, end, 0, regions.ctypes.data, nr_pages, 0, 0, PAGE_IS_PFNZERO, 0, PAGE_IS_PFNZERO]
    try:
        number = fcntl.ioctl(fd, PAGEMAP_SCAN, bytearray(np.array(words, np.uint64).tobytes()))
    except OSError:
        return found
    for first, last, _ in regions[:number].tolist():
        found[(first - start) // PAGE_SIZE : (last - start) // PAGE_SIZE] = True
    return found


# -- reading -----------------------------------------------------------------------------------------
def _of_pfns(name: str, pfns: ArrayLike) -> Words:
    pfn = np.asarray(pfns, np.int64).reshape(-1)
    out = np.zeros(len(pfn), np.uint64)
    wanted = pfn > 0
    known = np.unique(pfn[wanted])
    if not len(known):
        return out
    starts = np.append(0, np.flatnonzero(np.diff(known) > GAP) + 1)
    firsts = known[starts]
    lengths = known[np.append(starts[1:], len(known)) - 1] - firsts + 1
    begins = np.cumsum(lengths) - lengths  # index of each run in `read`
    read = np.empty(int(lengths.sum()), np.uint64)
    fd = _opened(name, os.getpid(), PROC)
    view = read.data.cast("B")
    for first, length, begin in zip(firsts.tolist(), lengths.tolist(), begins.tolist(), strict=True):
        _fill(fd, first, view[begin * ENTRY : (begin + length) * ENTRY], name)
    run = np.searchsorted(firsts, pfn[wanted], side="right") - 1
    out[wanted] = read[begins[run] + pfn[wanted] - firsts[run]]
    return out


def _fill(fd: int, first: int, view: memoryview, name: str) -> None:
    """Fill a view with consecutive entries, from entry `first` on."""
    done = 0
    try:
        while done < len(view):
            got = os.preadv(fd, [view[done : done + CHUNK * ENTRY]], first * ENTRY + done)
            if got == 0:
                end = first + done // ENTRY
                raise KernelError(
                    f"{name} ends at entry {end}; {len(view) // ENTRY} entries from {first} on were requested",
                    "the process has ended, or there is no such page",
                )
            done += got
    except OSError as fault:
        raise KernelError(f"{name} cannot be read: {fault.strerror}", "has the process ended?") from fault


@lru_cache(maxsize=4)
def _opened(name: str, pid: int, proc: Path) -> int:
    """A descriptor that stays open for later calls; a forked child has another PID and opens its own."""
    return _open(proc / name, "run as root (CAP_DAC_READ_SEARCH), outside of a container that hides it")


def _open(path: Path, hint: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as fault:
        if fault.errno == errno.ENOENT:
            hint = "is /proc mounted, does the process exist, does the kernel have CONFIG_PROC_PAGE_MONITOR?"
        raise KernelError(f"{path} cannot be opened: {fault.strerror}", hint) from fault
