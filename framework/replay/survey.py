"""A first pass over a trace: the size of the machine that it needs, and the MMs that share memory from the start."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.errors import TraceFileError
from foliolab.framework.machine.layout import PMD_ORDER
from foliolab.framework.trace import events as ev
from foliolab.framework.trace.events import Events, EventSource

MOST_MMS: Final = 1 << 24
"""Larger MM numbers are refused: a trace numbers its MMs from 1."""
WINDOW_BITS: Final = 42
PAGE_LIMIT: Final = 1 << 51
MOST_PFNS: Final = 1 << 24
MOST_FRAMES: Final = 1 << 23
MOST_WINDOWS: Final = 1 << 20
"""Limits of the replay's tables: 32 GiB of modelled memory, and 2 TiB of used address space."""
MOST_IN_ALL: Final = 1 << 22
"""Windows that all processes use together."""
MOST_STEPS: Final = 1 << 24
"""Windows that long rows may add, one by one: a row of a few bytes may name a million."""
NEXT_EVENTS: Final = 32
"""Within so many events the next one of an MM is looked for: others of the host may come between two of a thread."""
_PFN_LIMIT: Final = 1 << 52
_LIFE: Final = (ev.FORK, ev.SPAWN, ev.EXEC, ev.EXIT, ev.GONE)

Progress = Callable[[str, int, int], None]


@dataclass
class Survey:
    """The result of a pass over a trace.

    Attributes:
        events: how many there are, up to the first damage.
        first, last: times of the first and the last event, ns.
        kinds: events by kind; 0 counts unknown kinds.
        mms: one more than the largest MM number.
        slots: slots needed: the most MMs at a time, and one.
        windows: windows needed: the most windows of 2 MiB that a family of MMs uses, and window 0.
        pages: pages allocated in total.
        max_order: largest order of a folio, up to the PMD's.
        max_pfn: largest recorded frame number that may matter.
        cluster: by MM, the number of the cluster of MMs that share frames from the start; 0 for others.
        forks: forks, execs and exits.
        gone: by MM, whether the end of its teardown is recorded.
        unsure: by MM, whether it was forked while another MM of its family was being torn down.
        unsure_writes: write faults at such times.
        retried: the numbers of faults that the kernel did not complete, in order; see `retried`.
    """

    events: int = 0
    first: int = 0
    last: int = 0
    kinds: NDArray[np.int64] = field(default_factory=lambda: np.zeros(ev.LAST_KIND + 1, np.int64))
    mms: int = 1
    slots: int = 1
    windows: int = 1
    pages: int = 0
    max_order: int = 0
    max_pfn: int = 0
    cluster: NDArray[np.int64] = field(default_factory=lambda: np.zeros(1, np.int64))
    forks: int = 0
    gone: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(1, np.bool_))
    unsure: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(1, np.bool_))
    unsure_writes: int = 0
    retried: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    @property
    def pfns(self) -> int:
        """Entries of the table of recorded frame numbers: enough for all of them, up to a limit."""
        return 1 << min(self.max_pfn.bit_length(), MOST_PFNS.bit_length() - 1)


def survey(trace: EventSource, progress: Progress) -> Survey:
    """Go over a trace once.

    Raises:
        TraceFileError: its MM numbers or its times are impossible.
    """
    found = Survey(cluster=_clusters(trace))
    lives, again = _Lives(trace.path, found.cluster), [found.retried]
    for events in trace.blocks():
        at_once = np.isin(events.kind, (ev.PRESENT, ev.MAP)) & (events.page < PAGE_LIMIT)
        _check_frames(trace, int(events.nr[at_once].max(initial=0)))
        again.append(retried(events) + found.events)
        _count(found, events)
        lives.see(events)
        found.mms = max(found.mms, lives.family.size)
        progress("survey", found.events, len(trace))
    found.retried = np.concatenate(again)
    found.slots = lives.most_alive + 1
    found.windows = lives.most_windows + 2
    found.gone, found.unsure = np.zeros((2, found.mms), np.bool_)
    found.gone[list(lives.gone)] = True
    found.unsure[lives.teardowns.unsure(lives.gone)] = True
    if found.last - found.first >= 1 << 62:
        raise TraceFileError(f"{trace.path}: its times span {found.last - found.first} ns", "import it again")
    return found


def _count(found: Survey, events: Events) -> None:
    if not found.events:
        found.first = int(events.time[0])
    found.last = int(events.time[-1])
    found.events += events.size
    kinds = np.where(events.kind <= ev.LAST_KIND, events.kind, 0)
    counts = np.bincount(kinds, minlength=ev.LAST_KIND + 1)
    found.kinds += counts
    found.forks += int(counts[list((ev.FORK, ev.SPAWN, ev.EXEC, ev.EXIT))].sum())
    modelled = events.order <= PMD_ORDER
    made = modelled & (events.kind == ev.NEW)
    found.unsure_writes += int(((events.kind == ev.WRITE) & (events.flags & ev.UNCERTAIN != 0)).sum())
    found.pages += int((1 << events.order[made].astype(np.int64)).sum()) + int(counts[ev.WRITE])
    here = modelled & (events.kind == ev.PRESENT)
    folios = events.nr[here].astype(np.int64) + (1 << events.order[here].astype(np.int64))
    found.pages += int(folios.sum()) if here.any() else 0
    cached = modelled & (events.kind == ev.MAP)
    found.pages += _cached_pages(events.part(cached))
    orders = events.order[made | here | cached]
    found.max_order = max(found.max_order, int(orders.max()) if orders.size else 0)
    many = here | cached
    named = events.other[(made & (events.order > 0)) | many]
    if named.size:
        found.max_pfn = max(found.max_pfn, int(named.max()) + int(events.nr[many].max() if many.any() else 0))


def retried(events: Events) -> NDArray[np.int64]:
    """The rows of write faults in kernel mode that were not completed: the same access faults again at once.

    Where the kernel may not sleep, as when it saves registers on a signal's stack, a write to a page that is not
    writable fails; the kernel then makes the page writable, and writes again. Nothing is allocated for the first fault,
    as if the page had been reused. (Linux, fault_in_writeable and its callers.)
    """
    wanted = ev.REUSED | ev.KERNEL
    rows = np.flatnonzero((events.kind == ev.WRITE) & (events.flags & (ev.OUTCOME | ev.KERNEL) == wanted))
    again: list[NDArray[np.int64]] = []
    for ahead in range(1, NEXT_EVENTS + 1):  # until the MM's next event is found
        rows = rows[rows + ahead < events.size]
        behind = rows + ahead
        same = events.mm[behind] == events.mm[rows]
        here = same & (events.kind[behind] == ev.WRITE) & (events.page[behind] == events.page[rows])
        again.append(rows[here])
        rows = rows[~same]
        if not rows.size:
            break
    return np.sort(np.concatenate(again))


def _cached_pages(maps: Events) -> int:
    """Pages of the page-cache folios that events map; each folio counts once."""
    order = maps.order.astype(np.int64)
    pfn = np.minimum(maps.other, _PFN_LIMIT).astype(np.int64)
    first = pfn >> order
    last = (pfn + np.maximum(maps.nr, 1) - 1) >> order
    distinct = np.unique(np.stack([first, last, order]), axis=1)
    return int(((distinct[1] - distinct[0] + 1) << distinct[2]).sum())


def _windows(pages: NDArray[np.uint64]) -> NDArray[np.int64]:
    return (pages >> np.uint64(PMD_ORDER)).astype(np.int64)


class _Lives:
    """Follows the live MMs, their families, and the windows that each family uses."""

    def __init__(self, path: str, cluster: NDArray[np.int64]) -> None:
        self.path = path
        self.cluster = cluster
        self.family = np.zeros(1, np.int64)  # by MM, from 1; 0: not seen
        self.alive: set[int] = set()
        self.ended: list[int] = []
        self.members: dict[int, int] = defaultdict(int)
        self.windows: dict[int, set[int]] = defaultdict(set)
        self.of_cluster: dict[int, int] = {}
        self.teardowns = _Teardowns()
        self.gone: set[int] = set()
        self.families = 0
        self.most_alive = 0
        self.most_windows = 0
        self.steps = self.total = 0

    def see(self, events: Events) -> None:
        self._room_for(events)
        kind = events.kind
        acting = np.flatnonzero(np.isin(kind, (ev.PRESENT, ev.FORK, ev.SPAWN, ev.NEW, ev.WRITE, ev.MAP)))
        mms, first = np.unique(events.mm[acting], return_index=True)
        unseen = acting[first[(self.family[mms] == 0) & (mms > 0)]]
        rows = np.union1d(unseen, np.flatnonzero(np.isin(kind, _LIFE)))
        for what, mm, other in zip(
            kind[rows].tolist(), events.mm[rows].tolist(), events.other[rows].tolist(), strict=True
        ):
            self._life(what, mm, other)
        self._use(events)
        for family in self.ended:
            self.total -= len(self.windows.pop(family, ()))
            self.teardowns.end_family(family)
        self.ended.clear()

    def _room_for(self, events: Events) -> None:
        largest = int(events.mm.max())
        births = events.other[np.isin(events.kind, (ev.FORK, ev.SPAWN, ev.EXEC))]
        if births.size:
            largest = max(largest, int(births.max()))
        if largest >= MOST_MMS:
            raise TraceFileError(
                f"{self.path} has an MM number {largest}; numbers from {MOST_MMS} on are refused", "import it again"
            )
        if largest >= self.family.size:
            # pages of zeros that are never written to take no memory
            grown = np.zeros(2 * largest + 2, np.int64)
            grown[: self.family.size] = self.family
            self.family = grown

    def _life(self, what: int, mm: int, other: int) -> None:
        self._teardown(what, mm, other)
        if what in (ev.EXIT, ev.GONE, ev.EXEC):
            self._death(mm)
        elif mm and not self.family[mm]:
            self._birth(mm, 0)
        if what == ev.EXEC and other and not self.family[other]:
            self._birth(other, 0)
        if what == ev.FORK and other and not self.family[other]:
            self._birth(other, int(self.family[mm]))
        if what == ev.SPAWN and other:
            self.family[other] = self.family[mm]

    def _teardown(self, what: int, mm: int, child: int) -> None:
        family = int(self.family[mm])
        if what == ev.EXIT and family:
            self.teardowns.begin(family, mm)
        elif what == ev.GONE:
            self.gone.add(mm)
            self.teardowns.end(family, mm)
        elif what == ev.FORK:
            self.teardowns.forked(family, child)

    def _birth(self, mm: int, family: int) -> None:
        if not family:
            cluster = int(self.cluster[mm]) if mm < self.cluster.size else 0
            family = self.of_cluster.get(cluster, 0)
            if not family:
                self.families += 1
                family = self.families
                if cluster:
                    self.of_cluster[cluster] = family
        self.family[mm] = family
        self.members[family] += 1
        self.alive.add(mm)
        self.most_alive = max(self.most_alive, len(self.alive))

    def _death(self, mm: int) -> None:
        if mm not in self.alive:
            return
        self.alive.remove(mm)
        family = int(self.family[mm])
        self.members[family] -= 1
        if not self.members[family]:
            del self.members[family]
            self.ended.append(family)  # its windows still count for this block

    def _use(self, events: Events) -> None:
        """Add the windows that the events of a block name, or may name."""
        kind = events.kind
        near = events.page < PAGE_LIMIT
        copied = (kind == ev.WRITE) & (events.flags & ev.OUTCOME == ev.COPIED)
        at = near & (copied | (kind == ev.NEW) | (kind == ev.PRESENT) | (kind == ev.MAP))
        pairs = [(events.mm[at], _windows(events.page[at]))]
        wide = near & ((kind == ev.PRESENT) | (kind == ev.MAP)) & (events.nr > 1)
        pairs.append((events.mm[wide], _windows(events.page[wide] + events.nr[wide] - np.uint64(1))))
        keys = np.concatenate([self.family[mms] << WINDOW_BITS | windows for mms, windows in pairs])
        for key in np.unique(keys).tolist():
            self._add(key >> WINDOW_BITS, (key & ((1 << WINDOW_BITS) - 1),))
        many = ((kind == ev.PRESENT) | (kind == ev.MAP)) & (events.nr > 1 << PMD_ORDER)
        rare = near & ((kind == ev.MOVE) | many)
        for row in events.part(rare).rows():
            self._spread(row)

    def _spread(self, row: dict[str, int]) -> None:
        """Add the windows between the ends of a long row; for a move, those that are in use."""
        family = int(self.family[row["mm"]])
        first, last = row["page"] >> PMD_ORDER, (row["page"] + row["nr"]) >> PMD_ORDER
        used = self.windows[family]
        if row["kind"] in (ev.PRESENT, ev.MAP):
            last = min(last, first + MOST_WINDOWS)
            self._step(last - first)
            self._add(family, range(first, last + 1))
        elif row["other"] < PAGE_LIMIT:
            by = (row["other"] >> PMD_ORDER) - first
            self._step(min(len(used), last - first))
            within: Iterable[int] = range(first, last + 1) if last - first < len(used) else used
            moved = [window + by for window in within if first <= window <= last and window in used]
            self._add(family, moved)
            self._add(family, [window + 1 for window in moved])

    def _step(self, windows: int) -> None:
        self.steps += windows
        if self.steps > MOST_STEPS:
            raise TraceFileError(
                f"{self.path} maps and moves more address space than a process has", "record a shorter time"
            )

    def _add(self, family: int, windows: Iterable[int]) -> None:
        used = self.windows[family]
        self.total -= len(used)
        used.update(windows)
        self.total += len(used)
        self.most_windows = max(self.most_windows, len(used))
        if len(used) > MOST_WINDOWS or self.total > MOST_IN_ALL:
            raise TraceFileError(
                f"{self.path} uses more than {MOST_WINDOWS:,} windows of 2 MiB in a process and its relatives, "
                f"or {MOST_IN_ALL:,} in all",
                "record a shorter time",
            )


class _Teardowns:
    """Which MMs are between EXIT and GONE, and which MMs are forked meanwhile, by the family of both."""

    def __init__(self) -> None:
        self.children: dict[int, list[int]] = defaultdict(list)
        self.open: dict[int, dict[int, int]] = defaultdict(dict)  # by family and MM: how many children came before
        self.spans: list[tuple[int, int, int, int]] = []  # family, MM, first and behind the last of its children

    def begin(self, family: int, mm: int) -> None:
        self.open[family].setdefault(mm, len(self.children[family]))

    def end(self, family: int, mm: int) -> None:
        if (first := self.open.get(family, {}).pop(mm, None)) is not None:
            self.spans.append((family, mm, first, len(self.children[family])))

    def end_family(self, family: int) -> None:
        for mm in list(self.open.get(family, ())):
            self.end(family, mm)
        self.open.pop(family, None)

    def forked(self, family: int, child: int) -> None:
        if self.open.get(family):
            self.children[family].append(child)

    def unsure(self, gone: Set[int]) -> list[int]:
        """The MMs that were forked during a teardown whose end is recorded."""
        for family in list(self.open):
            self.end_family(family)
        steps = {family: [0] * (len(children) + 1) for family, children in self.children.items()}
        for family, mm, first, behind in self.spans:
            if mm in gone:
                steps[family][first] += 1
                steps[family][behind] -= 1
        return [
            child
            for family, children in self.children.items()
            for child, teardowns in zip(children, accumulate(steps[family]), strict=False)
            if teardowns
        ]


def _clusters(trace: EventSource) -> NDArray[np.int64]:
    """By MM, the number (from 1) of the cluster of MMs that map the same frames when the trace begins; else 0."""
    starts: list[NDArray[Any]] = []
    ends: list[NDArray[Any]] = []
    mms: list[NDArray[Any]] = []
    for events in trace.blocks():
        rows = events.part((events.kind == ev.PRESENT) & (events.mm < MOST_MMS) & (events.order <= PMD_ORDER))
        if not rows.size:
            break
        rows = rows._replace(other=np.minimum(rows.other, np.uint64(_PFN_LIMIT)))
        size = np.uint64(1) << rows.order.astype(np.uint64)
        starts.append(rows.other // size * size)
        ends.append(rows.other + rows.nr)
        mms.append(rows.mm)
    if not mms:
        return np.zeros(1, np.int64)
    start, end, mm = np.concatenate(starts), np.concatenate(ends), np.concatenate(mms).astype(np.int64)
    known = start > 0
    unknown = int((end - start)[~known].sum())
    start, end, mm = start[known], end[known], mm[known]
    order = np.argsort(start, kind="stable")
    start, end, mm = start[order], end[order], mm[order]
    if not mm.size:
        _check_frames(trace, unknown)
        return np.zeros(1, np.int64)
    reach = np.maximum.accumulate(end)
    _check_frames(trace, unknown + int((reach - np.maximum(start, np.concatenate([start[:1], reach[:-1]]))).sum()))
    overlaps = np.flatnonzero(start[1:] < reach[:-1])
    return _united(mm, zip(mm[overlaps].tolist(), mm[overlaps + 1].tolist(), strict=True))


def _check_frames(trace: EventSource, frames: int) -> None:
    """Refuse a trace before memory is allocated for the frames that it asks for at once."""
    if frames > MOST_FRAMES:
        raise TraceFileError(
            f"{trace.path}: {frames >> 8:,} MiB are mapped at once, {MOST_FRAMES >> 8:,} MiB can be replayed",
            "record fewer processes",
        )


def _united(mms: NDArray[np.int64], pairs: Any) -> NDArray[np.int64]:
    """By MM, the number of the class that the pairs unite."""
    parent = {int(mm): int(mm) for mm in np.unique(mms)}

    def root(mm: int) -> int:
        while parent[mm] != mm:
            parent[mm] = parent[parent[mm]]
            mm = parent[mm]
        return mm

    for left, right in pairs:
        parent[root(left)] = root(right)
    roots = {number: i + 1 for i, number in enumerate(sorted({root(mm) for mm in parent}))}
    cluster = np.zeros(max(parent) + 1, np.int64)
    for mm in parent:
        cluster[mm] = roots[root(mm)]
    return cluster
