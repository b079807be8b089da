"""The slots of folios that were there before a recording: which MMs the kernel remembers of each (struct folio).

A snapshot shows who maps a folio. Whether the kernel copies at a write depends on whom it remembers, and that is in its
memory alone. The system goes on while it is read, one folio after the other: a folio whose slots change under the
lock is read again, and all are read twice. The trace begins in between, so that a folio that was found alike both
times had these slots then. `trace.importers.remembered` compares them with what the processes map at that moment.

Source: commit 6af8cb80d3a9 ("mm/rmap: basic MM owner tracking for large folios (!hugetlb)"); specification 2.2.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np

from foliolab.framework.contract.trace_records import Row
from foliolab.framework.errors import KernelError
from foliolab.framework.kernel.recording.kernel_memory import KernelMemory
from foliolab.framework.trace import events
from foliolab.framework.trace.importers.snapshots import ProcessSnapshot

ID: Final = (1 << 31) - 1
LOCK: Final = 1 << 31
SHARED: Final = 1 << 63
TAIL: Final = 1
"""The bit of a tail page's pointer to its head."""
TRIES: Final = 20
"""How often a folio is read whose slots are locked, and how often the list of processes."""


class Remembered(NamedTuple):
    """What the kernel remembers of a large folio.

    Attributes:
        total: number of its mappings.
        slots: the ID of an MM, and the number of its mappings; (0, 0): nobody has the slot.
        shared: whether it is maybe mapped by several MMs.
    """

    total: int
    slots: tuple[tuple[int, int], tuple[int, int]]
    shared: bool

    @property
    def consistent(self) -> bool:
        """Whether the flag is what the slots say: nobody shares a folio of which one slot has all mappings."""
        alone = any(who and count == self.total for who, count in self.slots)
        return self.total > 0 and self.shared != alone

    def count(self, mm_id: int) -> int:
        """The mappings that an MM has by its slot; 0 if it has none."""
        return next((count for who, count in self.slots if who == mm_id), 0)


class Reader:
    """Reads slots.

    Args:
        memory: of the kernel.

    Raises:
        KernelError: this kernel has no slots, or they cannot be found.
    """

    def __init__(self, memory: KernelMemory) -> None:
        types = memory.types
        if not types.has("folio", "_mm_ids"):
            raise KernelError("this kernel has no MM IDs", "Linux 6.15 and later have, with CONFIG_MM_ID")
        self.memory = memory
        self._size = types.size("page")
        head = "compound_head" if types.has("page", "compound_head") else "compound_info"
        self._head = types.offset("page", head)
        names = ("_large_mapcount", "_mm_id_mapcount", "_mm_ids")
        self._total, self._counts, self._ids = (types.offset("folio", name) - self._size for name in names)
        if not 0 <= min(self._total, self._counts) < self._ids == self._counts + 8 <= self._size - 8:
            raise KernelError("this kernel's struct folio is not laid out as expected", "report its release")
        self._pages = memory.word(memory.symbol("vmemmap_base"))

    def folio(self, pfn: int, order: int) -> Remembered | None:
        """The slots of the folio whose first page is at `pfn`; None if none is there, or they stay locked."""
        page = self._pages + pfn * self._size
        for _ in range(TRIES):
            try:
                second = self.memory.read(page + self._size, self._size)
            except KernelError:
                return None
            (head,) = struct.unpack_from("<Q", second, self._head)
            if not head & TAIL or not (head == page | TAIL or self._by_mask(head, order)):
                return None
            (ids,) = struct.unpack_from("<Q", second, self._ids)
            if ids & LOCK:
                continue
            (total,) = struct.unpack_from("<i", second, self._total)
            counts = struct.unpack_from("<ii", second, self._counts)
            first, other = (
                (who, count + 1) if who else (0, 0)
                for who, count in zip((ids & ID, ids >> 32 & ID), counts, strict=True)
            )
            return Remembered(total + 1, (first, other), bool(ids & SHARED))
        return None

    def _by_mask(self, head: int, order: int) -> bool:
        """Whether a tail page says by a mask where its head is, as `compound_info` does."""
        mask = -(self._size << order) & ((1 << 64) - 1)
        return head | TAIL == mask | TAIL

    def mm_ids(self) -> dict[int, int]:
        """By PID, the MM ID of each process.

        Raises:
            KernelError: the list of processes changed each time that it was read.
        """
        types = self.memory.types
        pid, mm = (types.offset("task_struct", name) for name in ("tgid", "mm"))
        mm_id = types.offset("mm_struct", "mm_id")
        for left in reversed(range(TRIES)):
            try:
                found = {}
                for task in self.memory.tasks():
                    if of := self.memory.word(task + mm):
                        (number,) = struct.unpack("<I", self.memory.read(of + mm_id, 4))
                        found[struct.unpack("<i", self.memory.read(task + pid, 4))[0]] = number & ID
                return found
            except KernelError:
                if not left:
                    raise
        raise AssertionError


class Reading(NamedTuple):
    """Slots that were read.

    Attributes:
        at: ns of CLOCK_MONOTONIC to which they belong.
        span: ns between the first and the last of them.
        rows: the record of each MM with each folio that it maps: see `events.SLOTS`.
        folios: number of large folios that were there.
        same: number of those that were found alike both times.
    """

    at: int
    span: int
    rows: list[Row]
    folios: int
    same: int


def folios_of(processes: Iterable[ProcessSnapshot]) -> dict[int, int]:
    """The large folios that processes map: by the PFN of the first page, the order."""
    found: dict[int, int] = {}
    for process in processes:
        large = process.order > 1
        heads = process.pfn[large] >> process.order[large] << process.order[large]
        found.update(zip(heads.tolist(), process.order[large].tolist(), strict=True))
    return found


def read(reader: Reader, processes: Sequence[ProcessSnapshot]) -> Reading:
    """Read the slots of all large folios that processes have mapped.

    Raises:
        KernelError: the kernel's memory cannot be read.
    """
    folios = folios_of(processes)
    began = time.monotonic_ns()
    ids = reader.mm_ids()
    once = {pfn: reader.folio(pfn, order) for pfn, order in folios.items()}
    at = time.monotonic_ns()
    again = {pfn: reader.folio(pfn, order) for pfn, order in folios.items()} if reader.memory.changes else once
    later = reader.mm_ids() if reader.memory.changes else ids
    same = {pfn: found for pfn, found in once.items() if found is not None and found == again[pfn] and found.consistent}
    known = {pid: mm_id for pid, mm_id in ids.items() if mm_id and later.get(pid) == mm_id}
    rows = [
        row for process in processes if process.pid in known for row in _rows(at, process, known[process.pid], same)
    ]
    return Reading(at, time.monotonic_ns() - began, rows, len(folios), len(same))


def _rows(at: int, process: ProcessSnapshot, mm_id: int, same: dict[int, Remembered]) -> Iterator[Row]:
    large = process.order > 1
    for pfn in np.unique(process.pfn[large] >> process.order[large] << process.order[large]).tolist():
        if found := same.get(pfn):
            yield Row(at, process.pid, events.SLOTS, 0, 0, found.total, found.count(mm_id), pfn)
