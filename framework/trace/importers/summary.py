"""Counts of the events and folios of a trace."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from foliolab.framework.trace import events
from foliolab.framework.trace.file import Trace
from foliolab.framework.trace.header import Header

_PFN_LIMIT: Final = np.uint64(1 << 52)


@dataclass
class TraceSummary:
    """Counts of a trace.

    Attributes:
        path: the file.
        header: of the trace.
        damaged: what is wrong with the file; empty if nothing is.
        events: number of events.
        span_ns: time from the first to the last event.
        kinds: events by the name of their kind.
        outcomes: write-protect faults on anonymous memory by outcome: reused, copied, unknown.
        uncertain: those of them that occurred during the teardown of another process (`events.UNCERTAIN`).
        file_writes: write-protect faults in mappings that are shared or of a file.
        folios: anonymous folios by order, from faults and from the first snapshot.
        older: address spaces that were there when the trace began: how they came to be is not known.
        inherited: address spaces that one of these, or a child of one, has forked.
        processes: the number of address spaces: a process that executes a program has two.
    """

    path: str
    header: Header
    damaged: str = ""
    events: int = 0
    span_ns: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    outcomes: dict[str, int] = field(default_factory=dict)
    uncertain: int = 0
    file_writes: int = 0
    folios: dict[int, int] = field(default_factory=dict)
    older: int = 0
    inherited: int = 0
    processes: int = 0


def summarise(trace: Trace) -> TraceSummary:
    """Count the events of a trace; reads all of it."""
    found = TraceSummary(trace.path, trace.header, processes=trace.nr_spaces)
    kinds = np.zeros(256, np.int64)
    outcomes = np.zeros(4, np.int64)
    orders = np.zeros(256, np.int64)
    older = np.sort(np.fromiter((space.mm for space in trace.spaces() if space.earlier), np.int64))
    inherited = np.zeros(len(older), np.bool_)
    for block in trace.blocks():
        inherited |= np.isin(older, block.other[np.isin(block.kind, (events.FORK, events.SPAWN, events.EXEC))])
        kinds += np.bincount(block.kind, minlength=256)
        writes = block.flags[block.kind == events.WRITE]
        anonymous = writes[writes & events.FILE == 0]
        outcomes += np.bincount(anonymous & events.OUTCOME, minlength=4)
        found.file_writes += len(writes) - len(anonymous)
        found.uncertain += int(np.count_nonzero(anonymous & events.UNCERTAIN))
        new = (block.kind == events.NEW) & (block.flags & events.FILE == 0)
        orders += np.bincount(block.order[new], minlength=256)
        orders += _present(block)
    found.inherited = int(np.count_nonzero(inherited))
    found.older = len(older) - found.inherited
    first, last = trace.span
    found.damaged, found.span_ns = trace.damaged, last - first
    found.events = int(kinds.sum())
    found.kinds = {name: int(kinds[kind]) for kind, name in events.KINDS.items() if kinds[kind]}
    names = {0: "unknown", events.REUSED: "reused", events.COPIED: "copied"}
    found.outcomes = {name: int(outcomes[value]) for value, name in names.items() if outcomes[value]}
    found.folios = {order: int(count) for order, count in enumerate(orders.tolist()) if count}
    return found


def _present(block: events.Events) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Folios of PRESENT events by order, each large folio once; order 0 counts pages, of every MM that maps them."""
    rows = block.kind == events.PRESENT
    order, pfn, nr = block.order[rows].astype(np.uint64), np.minimum(block.other[rows], _PFN_LIMIT), block.nr[rows]
    large = order > 0
    size = np.minimum(order[large], 63)  # a damaged order; numpy shifts by less than 64
    heads = np.unique((pfn[large] >> size << size) | order[large] << np.uint64(56))
    counts = np.bincount((heads >> np.uint64(56)).astype(np.int64), minlength=256)
    counts[0] += int(nr[~large].sum())
    return counts
