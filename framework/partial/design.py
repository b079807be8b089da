"""A detector at work on the folios of a trace: its queue, its walks, its acquisitions of the lock, what is stranded.

How acquisitions of the split queue's lock are counted: one to queue a folio, one to take a queued folio off when it is
freed, one for each pass of the shrinker that finds something on the queue, and one for each split.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import islice

from foliolab.framework.contract.detector import Action, Decide, Detector, Known
from foliolab.framework.engine.answers import describe
from foliolab.framework.errors import PluginError


@dataclass(eq=False, slots=True)
class Folio:
    """A large anonymous folio as it stands after the last operation on it.

    Attributes:
        pages: of it.
        pfn: its first page frame in the trace; 0 if unknown.
        mm: the MM that mapped it first.
        owners: MMs that map it.
        walked: MMs that a walk may have to look at, at most.
        mapped_pages, pmds, maybe_shared, unmapped: as in `Known`.
        was_partial: whether a page of it was unmapped at some time.
    """

    pages: int
    pfn: int
    mm: int
    owners: int = 0
    walked: int = 0
    mapped_pages: int = 0
    pmds: int = 0
    maybe_shared: bool = False
    unmapped: int = 0
    was_partial: bool = False

    def known(self, queued: bool, page_mapcounts: bool) -> Known:
        """What the kernel knows without a walk."""
        unmapped = self.unmapped if page_mapcounts else 0
        return Known(self.pages, self.mapped_pages, self.pmds, self.maybe_shared, unmapped, queued)


@dataclass(slots=True)
class Stranded:
    """Pages that nothing maps and that are not free, over time.

    Attributes:
        pages: now.
        peak: at most, for any time at all.
        page_ns: pages × time until `since`, ns.
    """

    pages: int = 0
    peak: int = 0
    page_ns: int = 0
    since: int = 0

    def add(self, pages: int, now: int) -> None:
        """Change the number of pages at a time, ns."""
        if now > self.since:
            self.page_ns += self.pages * (now - self.since)
            self.peak = max(self.peak, self.pages)
            self.since = now
        self.pages += pages


@dataclass(eq=False)
class Design:
    """One detector on the folios of one trace.

    Args:
        looks: folios at which the shrinker and the scan may look together at one time of memory pressure; 0: all.

    Attributes:
        counts: what the detector did, by the names of `result.Detected`.
    """

    detector: Detector
    looks: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    stranded: Stranded = field(default_factory=Stranded)

    def __post_init__(self) -> None:
        self._queue: dict[Folio, None] = {}
        self._scanned: dict[Folio, None] = {}  # in the order in which the scan comes to them
        self._split: set[Folio] = set()

    def opened(self, folio: Folio) -> None:
        """A folio was allocated and mapped."""
        if self.detector.in_scan is not None:
            self._scanned[folio] = None

    def strand(self, folio: Folio, pages: int, now: int) -> None:
        """So many more pages of a folio are unmapped."""
        if folio not in self._split:
            self.stranded.add(pages, now)

    def removed(self, folio: Folio, now: int) -> None:
        """Mappings of a folio were removed, and others are left."""
        if folio in self._split:
            return
        action = self._asked(self.detector.at_removal, folio)
        if action == Action.WALK:
            self._walk(folio)
            action = Action.QUEUE if folio.unmapped else Action.NOTHING
        if action == Action.QUEUE and folio not in self._queue:
            self._queue[folio] = None
            self.counts["queued"] += 1
            self.counts["queued_whole"] += not folio.unmapped
            self.counts["locks"] += 1
        elif action == Action.SPLIT:
            self._splits(folio, now)

    def gone(self, folio: Folio, now: int, freed: bool = True) -> None:
        """A folio is freed, or (not `freed`) nothing more is known about it."""
        if folio in self._queue:
            del self._queue[folio]
            self.counts["locks"] += freed
        self._scanned.pop(folio, None)
        if folio in self._split:
            self._split.remove(folio)
            return
        self.stranded.add(-folio.unmapped, now)
        self.counts["unsplit"] += folio.was_partial

    def pressure(self, now: int) -> None:
        """Memory is short: the shrinker runs, and reclaim scans."""
        left = self.looks or len(self._queue) + len(self._scanned)
        if self._queue and left:
            self.counts["locks"] += 1
        for folio in list(islice(self._queue, left)):
            del self._queue[folio]
            self._looked(folio, self.detector.in_shrinker, now, scan=False)
            left -= 1
        if self.detector.in_scan is None:
            return
        for folio in list(islice(self._scanned, left)):
            del self._scanned[folio]
            self._looked(folio, self.detector.in_scan, now, scan=True)
            if folio not in self._split:
                self._scanned[folio] = None

    def _looked(self, folio: Folio, decide: Decide, now: int, scan: bool) -> None:
        self.counts["looks"] += 1
        action = self._asked(decide, folio)
        if action == Action.WALK:
            self._walk(folio, scan)
            action = Action.SPLIT if folio.unmapped else Action.NOTHING
        if action != Action.NOTHING:
            self._splits(folio, now)

    def _asked(self, decide: Decide, folio: Folio) -> Action:
        """The detector's decision.

        Raises:
            PluginError: its function failed, or what it gives is no Action.
        """
        known = folio.known(folio in self._queue, self.detector.page_mapcounts)
        try:
            return Action(decide(known))
        except Exception as fault:  # whatever a detector's own code raises
            raise PluginError(
                f"detector {self.detector.name} failed for {known}: {describe(fault)}",
                "correct it, or leave it out with --detectors",
            ) from fault

    def _walk(self, folio: Folio, scan: bool = False) -> None:
        least = folio.pages * folio.owners
        most = folio.pages * max(folio.owners, folio.walked)
        counts = self.counts
        if scan:
            counts["scan_walks"] += 1
            counts["scan_entries_least"] += least
            counts["scan_entries_most"] += most
        else:
            counts["walks"] += 1
            counts["entries_least"] += least
            counts["entries_most"] += most

    def _splits(self, folio: Folio, now: int) -> None:
        self._queue.pop(folio, None)
        self._split.add(folio)
        self.counts["locks"] += 1
        self.counts["splits"] += 1
        self.counts["splits_in_vain"] += not folio.unmapped
        self.counts["freed_pages"] += folio.unmapped
        self.stranded.add(-folio.unmapped, now)
