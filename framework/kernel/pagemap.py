"""What the kernel tells of pages: /proc/PID/pagemap, /proc/kpagecount, /proc/kpageflags, as flat arrays.

Sources: Documentation/admin-guide/mm/pagemap.rst for the layout of an entry and the flags' numbers. PFNs read
as 0 without CAP_SYS_ADMIN, kpagecount and kpageflags need CAP_DAC_READ_SEARCH.

Bit 56 of a PMD-mapped page describes the head page of the folio (docs/real-kernels.md, "What /proc shows of a folio").
It can be relied on only where the folio is mapped by PTEs.
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
"""Bytes of an entry in each of these files."""
PFN_MASK: Final = (1 << 55) - 1
EXCLUSIVE: Final = 56
FILE_OR_SHARED: Final = 61
SWAPPED: Final = 62
PRESENT: Final = 63
PAGEMAP_SCAN: Final = 0xC0606610
PAGE_IS_PFNZERO: Final = 1 << 5
CHUNK: Final = 1 << 18
"""Entries a read asks for at most: 2 MiB."""
GAP: Final = 128
"""Up to so many entries that nobody asked for are read along, which is cheaper than one more system call."""

FLAGS: Final = (
    "LOCKED", "ERROR", "REFERENCED", "UPTODATE", "DIRTY", "LRU", "ACTIVE", "SLAB", "WRITEBACK", "RECLAIM", "BUDDY",
    "MMAP", "ANON", "SWAPCACHE", "SWAPBACKED", "COMPOUND_HEAD", "COMPOUND_TAIL", "HUGE", "UNEVICTABLE", "HWPOISON",
    "NOPAGE", "KSM", "THP", "OFFLINE", "ZERO_PAGE", "IDLE", "PGTABLE",
)  # fmt: skip
"""The names of kpageflags' bits, from bit 0 on, without their KPF_."""
BIT: Final = {name: bit for bit, name in enumerate(FLAGS)}

Words = NDArray[np.uint64]
Numbers = NDArray[np.int64]
Truths = NDArray[np.bool_]


@dataclass(frozen=True)
class PageMap:
    """The pagemap entries of consecutive pages.

    Attributes:
        raw: the entries.
    """

    raw: Words

    @property
    def present(self) -> Truths:
        """Which pages are mapped."""
        return self._bit(PRESENT)

    @property
    def swapped(self) -> Truths:
        """Which are swapped out."""
        return self._bit(SWAPPED)

    @property
    def exclusive(self) -> Truths:
        """Bit 56: which are mapped once only, as the kernel tells it."""
        return self._bit(EXCLUSIVE)

    @property
    def pfn(self) -> Numbers:
        """PFN of each page; 0 where it is not present, and everywhere without CAP_SYS_ADMIN."""
        return np.where(self.present, self.raw & np.uint64(PFN_MASK), np.uint64(0)).astype(np.int64)

    def _bit(self, bit: int) -> Truths:
        return (self.raw >> np.uint64(bit) & np.uint64(1)).astype(np.bool_)


def open_pagemap(pid: int | str = "self") -> int:
    """A descriptor of a process's pagemap; whoever asked closes it.

    Raises:
        KernelError: there is no such process, or it may not be looked at.
    """
    return _open(PROC / str(pid) / "pagemap", "run as root, or look at processes of your own")


def pagemap(fd: int, start: int, nr_pages: int) -> PageMap:
    """The entries of a range.

    Args:
        fd: from `open_pagemap`.
        start: address of the first page.
        nr_pages: how many.

    Raises:
        KernelError: they cannot be read, as when the process is gone.
    """
    raw = np.empty(nr_pages, np.uint64)
    if nr_pages:  # memoryviews of nothing cannot be cast
        _fill(fd, start // PAGE_SIZE, raw.data.cast("B"), "pagemap")
    return PageMap(raw)


def kpagecount(pfns: ArrayLike) -> Numbers:
    """How often each page is mapped.

    Args:
        pfns: in any order; 0 and below answer 0.

    Raises:
        KernelError: kpagecount cannot be read.
    """
    return _of_pfns("kpagecount", pfns).astype(np.int64)


def kpageflags(pfns: ArrayLike) -> Words:
    """The flags of each page, a bit each as in FLAGS.

    Args:
        pfns: in any order; 0 and below answer 0.

    Raises:
        KernelError: kpageflags cannot be read.
    """
    return _of_pfns("kpageflags", pfns)


def has(flags: Words, name: str) -> Truths:
    """Which pages have a flag, such as "THP"."""
    return (flags >> np.uint64(BIT[name]) & np.uint64(1)).astype(np.bool_)


def flag_names(flags: int) -> list[str]:
    """The names of the flags that are set; a bit without a name is `bit 33`."""
    return [FLAGS[bit] if bit < len(FLAGS) else f"bit {bit}" for bit in range(64) if flags >> bit & 1]


@dataclass(frozen=True)
class Folios:
    """The folios that consecutive pages lie in, in the order of the pages.

    Attributes:
        start: index of the first page of each that was looked at.
        nr_pages: how many of its pages follow each other there; all of them, where it is whole.
        head: PFN of the page at `start`.
        whole: whether that page is the folio's head, or a small folio.
    """

    start: Numbers
    nr_pages: Numbers
    head: Numbers
    whole: Truths


def folios(pfns: ArrayLike, flags: Words) -> Folios:
    """Group pages to folios: a head and the tails behind it, consecutive in pages and PFNs alike.

    Pages that are not present (PFN 0) belong to none. Tails without their head before them are a folio
    looked at in part: `whole` is False there.
    """
    pfn = np.asarray(pfns, np.int64)
    joined = np.zeros(len(pfn), np.bool_)
    joined[1:] = has(flags, "COMPOUND_TAIL")[1:] & (np.diff(pfn) == 1) & (pfn[:-1] > 0)
    start = np.flatnonzero(~joined)
    nr = np.diff(np.append(start, len(pfn)))
    there = pfn[start] > 0
    start, nr = start[there], nr[there]
    return Folios(start, nr, pfn[start], ~has(flags, "COMPOUND_TAIL")[start])


def off_size(pfns: ArrayLike, order: int) -> list[str]:
    """What speaks against each page lying in a folio of exactly that order, aligned; empty where nothing does.

    Args:
        pfns: of consecutive pages from a folio's start on, as many folios as there are.
        order: the folios' order that was asked for.

    Raises:
        KernelError: kpageflags cannot be read.
    """
    pfn = np.asarray(pfns, np.int64)
    if absent := int(np.count_nonzero(pfn <= 0)):
        return [f"{absent} of {len(pfn)} pages are not present"]
    found = folios(pfn, kpageflags(pfn))
    wrong = found.nr_pages != 1 << order
    if np.any(wrong):
        sizes, counts = np.unique(found.nr_pages[wrong], return_counts=True)
        held = ", ".join(f"{n} of {4 * s} KiB" for s, n in zip(sizes.tolist(), counts.tolist(), strict=True))
        return [f"folios of {4 << order} KiB were asked for; there are {held}"]
    if np.any(found.head & ((1 << order) - 1)) or not np.all(found.whole):
        return [f"folios of {4 << order} KiB do not start at a folio's head"]
    return []


def zero_pages(fd: int, start: int, nr_pages: int) -> Truths:
    """Which pages of a range map the kernel's zero page, by the ioctl PAGEMAP_SCAN, which needs no privilege.

    None, as far as is known, before Linux 6.7.

    Args:
        fd: from `open_pagemap`.
        start: address of the first page.
        nr_pages: how many.
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
    begins = np.cumsum(lengths) - lengths  # where each run lies in `read`
    read = np.empty(int(lengths.sum()), np.uint64)
    fd = _opened(name, os.getpid(), PROC)
    view = read.data.cast("B")
    for first, length, begin in zip(firsts.tolist(), lengths.tolist(), begins.tolist(), strict=True):
        _fill(fd, first, view[begin * ENTRY : (begin + length) * ENTRY], name)
    run = np.searchsorted(firsts, pfn[wanted], side="right") - 1
    out[wanted] = read[begins[run] + pfn[wanted] - firsts[run]]
    return out


def _fill(fd: int, first: int, view: memoryview, name: str) -> None:
    """Read consecutive entries from entry `first` on, as many as the bytes of `view` hold."""
    done = 0
    try:
        while done < len(view):
            got = os.preadv(fd, [view[done : done + CHUNK * ENTRY]], first * ENTRY + done)
            if got == 0:
                asked = f"{len(view) // ENTRY} from {first} on were asked for"
                raise KernelError(
                    f"{name} ends at entry {first + done // ENTRY}, {asked}",
                    "the process has ended, or there is no such page",
                )
            done += got
    except OSError as fault:
        raise KernelError(f"{name} cannot be read: {fault.strerror}", "is the process still there?") from fault


@lru_cache(maxsize=4)
def _opened(name: str, pid: int, proc: Path) -> int:
    """A descriptor that stays open from call to call; a forked child opens one of its own."""
    return _open(proc / name, "run as root (CAP_DAC_READ_SEARCH), outside of a container that hides it")


def _open(path: Path, hint: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as fault:
        if fault.errno == errno.ENOENT:
            hint = "is /proc mounted, is the process there, does the kernel have CONFIG_PROC_PAGE_MONITOR?"
        raise KernelError(f"{path} cannot be opened: {fault.strerror}", hint) from fault
