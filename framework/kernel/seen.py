"""What /proc shows of a process of a scenario, from a frame of the agent (`view.c` sends it)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.kernel import pagemap
from foliolab.framework.scenario.record import ABSENT, UNKNOWN, View

IN_SWAP_CACHE: Final = "the small folio was in the swap cache, which holds a reference; readahead puts it there"
FREED: Final = "the small folio may be in a per-CPU batch of MADV_FREE, which holds a reference"
IN_BATCH: Final = "the small folio was in a per-CPU LRU batch, which holds a reference"
ANON_EXCLUSIVE: Final = 31
"""The bit of a run's flags for PG_anon_exclusive (see `view.c`)."""
RUN: Final = np.dtype([("entry", "<u8"), ("nr", "<u4"), ("count", "<u4"), ("flags", "<u4"), ("reserved", "<u4")])
"""The layout of `struct run` of agent.h: pages whose entries are alike, as a view has them one after the other."""


@dataclass(frozen=True)
class Seen:
    """What /proc shows of one process, each array of shape (nr_pages,).

    Attributes:
        frames: PFN; ABSENT for pages that are not present, and for the zero page, which a read maps.
        counts: kpagecount.
        exclusive: bit 56.
        flags: kpageflags, as far as the agent sends them.
        swapped: whether the page is swapped out.
        shows_anon_exclusive: whether this kernel shows AnonExclusive in kpageflags.
    """

    frames: NDArray[np.int64]
    counts: NDArray[np.int64]
    exclusive: NDArray[np.int64]
    flags: NDArray[np.uint64]
    swapped: NDArray[np.bool_]
    shows_anon_exclusive: bool = False

    @classmethod
    def of(cls, payload: bytes, shows_anon_exclusive: bool = False) -> tuple[int, Seen]:
        """The number of a process, and what its VIEW frame says."""
        runs = np.frombuffer(payload, RUN, offset=8)
        number, nr = struct.unpack_from("<Q", payload)[0], runs["nr"].astype(np.int64)
        entries, flags = np.repeat(runs["entry"], nr), np.repeat(runs["flags"], nr).astype(np.uint64)
        pages = pagemap.PageMap(entries)
        present = pages.present & ~pagemap.has(flags, "ZERO_PAGE")
        within = np.arange(len(entries)) - np.repeat(np.cumsum(nr) - nr, nr)  # index in the run
        frames = pages.pfn + np.where(pages.pfn > 0, within, 0)
        return number, cls(
            np.where(present, frames, ABSENT),
            np.where(present, np.repeat(runs["count"], nr), 0).astype(np.int64),
            (pages.exclusive & present).astype(np.int64),
            np.where(present, flags, np.uint64(0)),
            pages.swapped,
            shows_anon_exclusive,
        )

    @property
    def view(self) -> View:
        """What of it is compared with the engine's view."""
        known = self.shows_anon_exclusive & ~pagemap.has(self.flags, "COMPOUND_TAIL")
        exclusive = np.where(known, self.anon_exclusive, UNKNOWN)
        return View(self.frames, self.counts, self.exclusive, np.zeros(len(self.frames), np.bool_), exclusive)

    @property
    def anon_exclusive(self) -> NDArray[np.int64]:
        """The bit of AnonExclusive in kpageflags, as the agent sends it; a tail page has that of its head page."""
        return (self.flags >> np.uint64(ANON_EXCLUSIVE) & np.uint64(1)).astype(np.int64)

    def large(self, pages: slice) -> int:
        """The number of these pages that are in large folios."""
        return int(np.count_nonzero(pagemap.has(self.flags[pages], "THP")))

    def causes(self, pages: slice, freed: bool = False) -> tuple[str, ...]:
        """For each of these pages the cause, other than its owners, that may decide a write; empty if there is none.

        Args:
            freed: whether there was an MADV_FREE before.
        """
        frames, flags = self.frames[pages], self.flags[pages]
        small = (frames != ABSENT) & ~pagemap.has(flags, "THP")
        in_swap_cache, on_lru = pagemap.has(flags, "SWAPCACHE"), pagemap.has(flags, "LRU")
        causes = np.where(in_swap_cache, IN_SWAP_CACHE, np.where(on_lru, FREED if freed else "", IN_BATCH))
        return tuple(np.where(small, causes, "").tolist())
