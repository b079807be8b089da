"""Designs that detect partially mapped folios: the kernel's, and those that are discussed for a kernel without it.

Linux with a counter in every page queues a folio at the moment at which a page loses its last mapping. Without these
counters it may be in doubt. Three things are proposed for that: to queue every folio in doubt, to leave it to reclaim's
scan, and to walk the rmap on demand (specification 3.4). `queue-blindly` is no proposal: it shows what the shrinker's
look is worth.
"""

from __future__ import annotations

from foliolab.framework.api import Action, Detector, Known

SPLIT_QUEUE = "specification 1.6: the deferred split queue"
DISCUSSED = (
    "71247244-73fe-44ce-ab05-69c852f3aa1a@kernel.org (LSF/MM 2026: extend the deferred split queue, or leave it to "
    "the LRU scan?)"
)
REMEDIES = "specification 3.4: flags by rmap walkers, or candidates on the queue at which the shrinker looks"


def by_page_mapcounts(known: Known) -> Action:
    """Queue the folio when a page of it lost its last mapping."""
    return Action.QUEUE if known.unmapped else Action.NOTHING


def split(known: Known) -> Action:
    """Split what is on the queue."""
    return Action.SPLIT


def queue_doubtful(known: Known) -> Action:
    """Queue the folio if a page of it may be unmapped."""
    return Action.QUEUE if known.certain or known.doubtful else Action.NOTHING


def look(known: Known) -> Action:
    """Split if a page is certainly unmapped; walk if that is doubtful."""
    if known.certain:
        return Action.SPLIT
    return Action.WALK if known.doubtful else Action.NOTHING


def leave(known: Known) -> Action:
    """Do nothing now."""
    return Action.NOTHING


def walk_doubtful(known: Known) -> Action:
    """Queue the folio if a page of it is certainly unmapped; walk if that is doubtful."""
    if known.queued:
        return Action.NOTHING
    if known.certain:
        return Action.QUEUE
    return Action.WALK if known.doubtful else Action.NOTHING


DETECTORS = (
    Detector(
        name="page-mapcounts",
        summary="Linux today: a counter in every page; queue with the first page that loses its last mapping",
        references=(SPLIT_QUEUE,),
        at_removal=by_page_mapcounts,
        in_shrinker=split,
        page_mapcounts=True,
    ),
    Detector(
        name="queue-doubtful",
        summary="extend the split queue: queue every folio that may be partially mapped, and let the shrinker look",
        references=(DISCUSSED, REMEDIES),
        at_removal=queue_doubtful,
        in_shrinker=look,
    ),
    Detector(
        name="reclaim-scan",
        summary="queue nothing: reclaim's scan of the LRU lists looks at each large folio that it comes to",
        references=(DISCUSSED, REMEDIES),
        at_removal=leave,
        in_shrinker=leave,
        in_scan=look,
    ),
    Detector(
        name="walk-on-demand",
        summary="walk the rmap at a removal that leaves doubt, and queue the folio if a page of it is unmapped",
        references=(DISCUSSED,),
        at_removal=walk_doubtful,
        in_shrinker=split,
    ),
    Detector(
        name="queue-blindly",
        summary="no proposal, for comparison: queue every folio in doubt, and split it without a look",
        references=(DISCUSSED,),
        at_removal=queue_doubtful,
        in_shrinker=split,
    ),
)
