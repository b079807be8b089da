"""The contract of detectors: how a kernel finds out that a large folio is partially mapped, and queues it.

When a page of a large anonymous folio has lost its last mapping, its memory is stranded until the folio is split or
freed. A kernel with a counter in every page knows at once that this has happened. Without these counters it often
knows only that it may have happened. A detector says what is done then: at each removal of mappings, when the
shrinker takes a folio off the split queue, and when reclaim's scan comes to a folio.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple


class Action(IntEnum):
    """What a detector wants to be done with a folio.

    Attributes:
        NOTHING: leave it as it is; the shrinker drops such a folio from the queue.
        QUEUE: put it on the split queue, if it is not there. In the shrinker and in reclaim's scan as SPLIT.
        WALK: walk the rmap, and look at each entry that may map the folio. If a page turns out to be unmapped, the
            folio is queued at a removal, and split in the shrinker and in reclaim's scan; else as NOTHING.
        SPLIT: split it at once, which frees the pages that nothing maps.
    """

    NOTHING = 0
    QUEUE = 1
    WALK = 2
    SPLIT = 3


class Known(NamedTuple):
    """What the kernel knows about a folio without a walk: its counters, after mappings were removed.

    Attributes:
        pages: of the folio.
        mapped_pages: pages that are mapped, by every mapping anew; a PMD maps all of them.
        pmds: mappings by PMDs (`_entire_mapcount`).
        maybe_shared: the policy's `maybe_mapped_shared`.
        unmapped: pages that nothing maps. Only a kernel with a counter in every page knows that.
        queued: whether it is on the split queue.
    """

    pages: int
    mapped_pages: int
    pmds: int
    maybe_shared: bool
    unmapped: int
    queued: bool

    @property
    def certain(self) -> bool:
        """Whether fewer mapped pages than the folio has prove that one is unmapped (specification 3.4)."""
        return self.mapped_pages < self.pages

    @property
    def doubtful(self) -> bool:
        """Whether a page may be unmapped, and no counter of the folio as a whole can tell.

        Not if a PMD maps the folio, and not if a single MM maps it, which maps each page at most once.
        """
        return self.mapped_pages >= self.pages and self.maybe_shared and not self.pmds


Decide = Callable[[Known], Action]


@dataclass(frozen=True, kw_only=True)
class Detector:
    """A way to detect partially mapped folios.

    Args:
        name: unique; lower case with hyphens.
        summary: one line.
        references: mails and sections that propose or describe it.
        at_removal: asked whenever mappings of a folio were removed and others are left.
        in_shrinker: asked for each folio that the shrinker takes off the split queue, under memory pressure.
        in_scan: asked for each large anonymous folio to which reclaim's scan of the LRU lists comes, under memory
            pressure; None: the scan is not used.
        page_mapcounts: whether it reads `Known.unmapped`, and so needs a counter in every page.
    """

    name: str
    summary: str
    references: tuple[str, ...]
    at_removal: Decide
    in_shrinker: Decide
    in_scan: Decide | None = None
    page_mapcounts: bool = False
