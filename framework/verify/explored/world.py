"""The world of an exploration: a small machine after its set-up, and each thread's calls of the engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine import entrypoints, zone
from foliolab.framework.engine.declared import is_limited, refuse
from foliolab.framework.engine.engine import Shape
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.operation import Operation, several_mms
from foliolab.framework.engine.pagetable import PFN_SHIFT, PTE_PRESENT
from foliolab.framework.errors import UsageError
from foliolab.framework.machine.primitives import pfn_folio
from foliolab.framework.verify.explored.nodes import HELD_AT, MAPPINGS_AT
from foliolab.framework.verify.playback import counted, folio_of_interest
from foliolab.framework.verify.watchdog import Watchdog

MOST_THREADS: Final = 4
COPIES: Final = frozenset({"write", "fork", "copy_range", "gup_fast"})
"""Operations that may allocate a small folio for each page."""
FAULTS: Final = frozenset({"write", "gup_fast"})
TRIES: Final = 3
"""Operations that fault; and how often one takes a new folio, at most, where other threads change the PTE meanwhile."""
HOLDS: Final = {"get_user": 1, "pin": 1, "put_user": -1, "unpin": -1}
"""Operations that take references (1) or release them (-1)."""


@dataclass(frozen=True)
class Call:
    """One call of an entry point of the engine.

    Args:
        numbers: its integer arguments.
        operation: the operation that the call is part of.
        number: the index of the operation in the thread.
        first, last: whether this is the operation's first or last call.
    """

    function: Callable[..., int]
    numbers: tuple[int, ...]
    operation: Operation
    number: int
    first: bool
    last: bool

    @property
    def memories(self) -> int:
        return entrypoints.ENTRY_POINTS[self.function].count("m")

    @property
    def holds(self) -> int:
        """References that the operation takes (above 0) or releases (below 0)."""
        return HOLDS.get(self.operation.name, 0) * self.operation.get("nr", 1)


@dataclass(frozen=True)
class ThreadProgram:
    """A thread's calls and its own resources.

    Args:
        calls: in order.
        mms: the MMs that only this thread uses.
        cpu: byte offset of its CPU's data.
        reserve: page frames that it allocates from.
    """

    calls: tuple[Call, ...]
    mms: tuple[int, ...]
    cpu: int
    reserve: tuple[int, ...]


class World:
    """A machine after its set-up, and the threads that run on it.

    The allocator is not examined. Each thread allocates small folios from a reserve of its own, and its freed blocks go
    to the free lists only when a state is judged. Everything else is the engine's own code.

    Args:
        shape: the machine, with a CPU for each thread.
        setup: operations that run first, each as a whole.
        threads: each thread's operations. Where two threads use the same MM, they take its locks (`engine.locks`).

    Attributes:
        folio: (head, pages) of the folio that the threads share.
        several: the MMs that several threads use.
        swaps: whether something goes to the swap cache: the kernel does not mark such folios as partially mapped.
        most_owners: how many MMs may map the folio at a time, at most.
        given: the truth that the set-up leaves (see `_given`).
        references: byte offset of the folio's reference count.
        words: the initial memory, as 64-bit words.

    Raises:
        UsageError: there are too many threads, or one does what is not modelled in an MM that several threads use.
        ModelError: the modelled kernel refuses an operation.
        BeyondDeclared: together, the threads may map the folio more often than the policy declares.
        PluginError: a thread that runs alone makes the policy fail.
    """

    def __init__(
        self, scheme: Scheme, shape: Shape, setup: Sequence[Operation], threads: Sequence[Sequence[Operation]]
    ) -> None:
        if not 1 <= len(threads) <= MOST_THREADS:
            raise UsageError(f"{len(threads)} threads cannot be explored", f"use 1 to {MOST_THREADS}")
        self.scheme = scheme
        self.shape = shape
        self.setup = tuple(setup)
        self.operations = tuple(map(tuple, threads))
        self.swaps = any("swap" in one.name for part in (self.setup, *self.operations) for one in part)
        self.machine = Machine(scheme, shape, "interpreted")
        for operation in setup:
            self._apply(operation)
        self.folio = folio_of_interest(self.machine)
        self.counted = counted(self.machine, self.folio)
        self._owned(threads)
        self.given = self._given()
        self.most_owners = sum(map(len, self.mms)) + len(self.several) + (self.given & (1 << HELD_AT) - 1)
        self.references = pfn_folio(self.machine.vm, self.folio[0])._refcount.off
        reserves = [self._reserve(operations) for operations in threads]
        self.base = self.machine.snapshot()
        self.words: list[int] = self.base.view("int64").tolist()
        self._peaks = 0
        self.programs = tuple(
            ThreadProgram(self._calls(t, operations), self.mms[t], self.machine.map.cpus[t], reserves[t])
            for t, operations in enumerate(threads)
        )
        refuse(self.machine, self._mapped() + self._peaks)
        self.machine.cpu = 0
        where = self.machine.map
        self.tables = (where.pgds[0], where.pmds[0], where.scratch)
        self.table_bytes = (
            (where.pmds[0] - where.pgds[0]) // shape.nr_mms,
            (where.scratch - where.pmds[0]) // shape.nr_mms,
        )

    def _apply(self, operation: Operation) -> None:
        with Watchdog(self.machine.vm, 1 << self.shape.max_order):
            self.machine.apply(operation)

    def _owned(self, threads: Sequence[Sequence[Operation]]) -> None:
        """Determine which thread uses which MMs, and which MMs several threads use."""
        self.several = several_mms(threads)
        self.machine.several = self.several
        used = [{mm for operation in operations for mm in operation.mms} for operations in threads]
        self.mms = tuple(tuple(sorted(mms - self.several)) for mms in used)

    def _given(self) -> int:
        """Packed like a node's TRUTH: MMs that no thread uses and that map the folio, and the set-up's references."""
        used = {mm for mms in self.mms for mm in mms} | self.several
        others = [self.mappings(mm) for mm in range(self.shape.nr_mms) if mm not in used]
        held = sum(HOLDS.get(o.name, 0) * o.get("nr", 1) for o in self.setup)
        return sum(count > 0 for count in others) | held << HELD_AT | sum(others) << MAPPINGS_AT

    def _reserve(self, operations: Sequence[Operation]) -> tuple[int, ...]:
        wanted = sum(self._copies(one) for one in operations if one.name in COPIES)
        vm, area = self.machine.vm, self.machine.vm.at("zone", self.machine.map.zone)
        return tuple(zone.alloc_folio(vm, area, 0) for _ in range(wanted))

    def _copies(self, operation: Operation) -> int:
        """Small folios that an operation may allocate; a fault that another thread disturbs begins anew."""
        anew = operation.name in FAULTS and not self.several.isdisjoint(operation.mms)
        return operation.get("nr", 1) * (TRIES if anew else 1)

    def _calls(self, thread: int, operations: Sequence[Operation]) -> tuple[Call, ...]:
        """The calls of a thread's operations. Each operation is split after the operations before it have run."""
        machine = self.machine
        machine.cpu = thread
        found: list[Call] = []
        before = peak = self._mapped()
        for number, operation in enumerate(operations):
            parts = machine.bind_operation(operation).entries
            for i, (function, numbers) in enumerate(parts):
                found.append(Call(function, numbers, operation, number, i == 0, i == len(parts) - 1))
            if number < len(operations) - 1 or is_limited(machine):
                self._apply(operation)
                peak = max(peak, self._mapped())
        self._peaks += peak - before
        machine.restore(self.base)
        return tuple(found)

    def table_of(self, offset: int) -> int:
        """The MM whose page tables contain a byte offset; -1 for none."""
        ptes, pmds, end = self.tables
        if not ptes <= offset < end:
            return -1
        return (offset - ptes) // self.table_bytes[0] if offset < pmds else (offset - pmds) // self.table_bytes[1]

    def of_several(self, word: int) -> bool:
        """Whether a 64-bit word lies in the page tables of an MM that several threads use, or is one of its locks."""
        return bool(self.several) and self.table_of(8 * word) in self.several

    def is_entry(self, word: int) -> bool:
        """Whether a 64-bit word is a PTE."""
        ptes, pmds, _ = self.tables
        return ptes <= 8 * word < pmds

    def entries(self, mm: int) -> dict[int, int]:
        """The words of an MM's page tables that map the folio now, with their values."""
        start = self.machine.map.pgds[mm] >> 3
        return {start + vpn: int(entry) for vpn, entry in enumerate(self.machine.ptes(mm)) if self.maps(int(entry))}

    def maps(self, entry: int) -> bool:
        """Whether a page-table entry maps the folio or a page of it."""
        head, pages = self.folio
        frame = (entry >> PFN_SHIFT) & ((1 << 40) - 1)
        return bool(entry & PTE_PRESENT) and head <= frame < head + pages

    def _mapped(self) -> int:
        """All mappings of the folio now; 0 if no number of them goes beyond what the policy declares."""
        return sum(map(self.mappings, range(self.shape.nr_mms))) if is_limited(self.machine) else 0

    def mappings(self, mm: int) -> int:
        """The number of PTEs and PMDs of an MM that map the folio now."""
        tables = self.machine.ptes(mm), self.machine.pmds(mm)
        return sum(self.maps(int(entry)) for table in tables for entry in table[table != 0])
