"""The laws that every policy owes, those that follow from a claim, and a `Watch` that checks a run against them."""

from __future__ import annotations

import linecache
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from foliolab.framework.contract.caller import EQUIVALENT
from foliolab.framework.contract.stored import Stored
from foliolab.framework.engine.answers import wrong_answer
from foliolab.framework.engine.check import Violation, asks_policy, violations, wrong_reuse
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.operation import Operation
from foliolab.framework.engine.pagetable import PTRS_PER_PTE
from foliolab.framework.engine.structs import MAPPING_ANON, PG_partially_mapped, PG_swapcache
from foliolab.framework.engine.truth import Counts, Truth, scan
from foliolab.framework.errors import AccessError, FieldOverflow, FolioLabError, LostLock
from foliolab.framework.verify.equivalence import Twin
from foliolab.framework.verify.watchdog import Endless, Stuck, Watchdog

LAWS: Final = {
    "safe": "never called exclusive while several MMs map it",
    "exact": "called shared only while several MMs map it",
    "exact-up-to": "the same, while no more MMs than claimed ever mapped it at a time",
    "reuse": "a write fault reuses a page only for the sole owner, with no other reference",
    "mapcount": "the number of mappings is that of the page tables",
    "page-mapcount": "every page's mapcount is that of the page tables",
    "page-exclusive": "bit 56 of pagemap is set for no page that several MMs map, and, where page mapcounts are exact, "
    "for those that are mapped once",
    "average-mapcount": "the average mapcount follows the stated formula",
    "partial-mapping": "a folio counts as partially mapped exactly when one of its pages lost its last mapping and "
    "others kept theirs",
    "statistics": "the number of pages that count as mapped is that of the page tables",
    "statistics-zero": "statistics sum to zero when nothing is mapped",
    "initial-values": "everything stored is back at its initial value when nothing maps the folio; what an MM stores "
    "is back, or is what it was the time before, when the MM maps no large folio",
    "field-width": "every value fits the declared width of its field",
    "access": "nothing is written but the policy's own fields of the folio",
    "lost-lock": "no lock is held when its holder's operation has ended",
    "deadlock": "some thread can always make progress",
    "termination": "every operation ends",
    "checks": "no check of the text itself fires: `assert`, VM_WARN_ON",
    "raises": "no function of the policy fails with an error",
    "references": "a folio's reference count is the number of its mappings and holders",
    "frames": "no frame is both free and in use",
    "rss": "a process's resident size is that of its page tables",
    "anon-exclusive": "a page that is marked exclusive, or is writable, is mapped by one process only",
    "pinned": "a page of a private mapping that GUP-fast has pinned for writing is that process's own, and stays so",
    "migration": "no migration entry is left where no folio is being migrated",
    "expectation": "what a scenario expects holds in every interleaving of its steps at once",
    "equivalent": "an operation by itself leaves memory as Linux's own text of it does; for a caller that claims so",
}
"""Every law by its name."""


def spoils(broken: Sequence[Violation]) -> bool:
    """Whether a run must end here, because its state can no longer follow from a correct policy.

    That is so when a law is broken that every policy owes. A wrong answer leaves the state intact, except the wrong
    answer to a write fault ("reuse"), because the engine acts on that answer.
    """
    return any(one.claim == "" or one.law == "reuse" for one in broken)


def _location(fault: BaseException) -> str:
    steps = [
        (frame.f_globals.get("__name__", ""), frame.f_code.co_filename, line)
        for frame, line in traceback.walk_tb(fault.__traceback__)
    ]
    _, file, line = next((step for step in reversed(steps) if not step[0].startswith("foliolab.framework")), steps[-1])
    return f"{file}:{line}"


def fired(fault: AssertionError) -> Violation:
    """The breach that a check of the text found: its message, or else its line."""
    location = _location(fault)
    file, _, line = location.rpartition(":")
    said = str(fault) or linecache.getline(file, int(line)).strip()
    return Violation("checks", f"the check at {location} fires: {said}")


def failure(fault: BaseException) -> Violation:
    """The law that a policy's function breaks by raising an exception.

    Raises:
        BaseException: the exception is not the policy's fault; it is raised again.
    """
    match fault:
        case AccessError():
            law = {FieldOverflow: "field-width", LostLock: "lost-lock"}.get(type(fault), "access")
            location = _location(fault)
            return Violation(law, fault.what if location in fault.what else f"{fault.what}, at {location}")
        case Endless():
            return Violation("termination", fault.what)
        case Stuck():
            return Violation("termination", f"does not end, and touches no memory, at {_location(fault)}")
        case FolioLabError() | MemoryError():
            raise fault
        case AssertionError():
            return fired(fault)
        case _ if isinstance(fault, Exception):
            if hook := wrong_answer(fault):
                return Violation("raises", f"{hook}: {fault}")
            detail = f": {fault}" if str(fault) else ""
            return Violation("raises", f"{type(fault).__name__}{detail}, at {_location(fault)}")
    raise fault


@dataclass(frozen=True)
class WatchMemory:
    """What a `Watch` knows of the operations that it has seen.

    Args:
        most_owners: frames and their numbers; 0 for all others.
        partial, swapped, mapping, left: as in `Watch`.
    """

    most_owners: tuple[Counts, Counts]
    partial: dict[int, bool]
    swapped: set[int]
    mapping: set[int]
    left: dict[tuple[int, str, int], int]


class Watch:
    """Runs whole operations on a machine, one after the other, and checks every law after each.

    Args:
        machine: an interpreted one checks accesses and field widths, too.
        stopped: whether to abandon the running operation.
    """

    def __init__(self, machine: Machine, stopped: Callable[[], bool] = lambda: False) -> None:
        self.machine = machine
        self.most_owners = np.zeros(machine.shape.nr_pages, np.int64)
        self.partial: dict[int, bool] = {}
        """Large anonymous folios by head: whether a page lost its last mapping while other pages kept theirs."""
        self.swapped: set[int] = set()
        """Heads of folios that were in the swap cache: the kernel queues none of these (specification 1.6)."""
        self._at_once: set[int] = set()
        """Heads of the folios that the present operation unmaps as a whole, in one piece."""
        self.truth = scan(machine)
        self._mapping: set[int] = set()
        """MMs that mapped a large folio after the operation before."""
        self._left: dict[tuple[int, str, int], int] = {}
        """What an MM's fields held, besides `init`, when it last mapped no large folio any more."""
        self._twin = Twin(machine) if EQUIVALENT in machine.scheme.capabilities else None
        self._watchdog = Watchdog(machine.vm, 1 << machine.shape.max_order, stopped)

    def apply(self, operation: Operation, look: bool = True) -> list[Violation]:
        """Run an operation and return the violations, in the order in which they occurred.

        Args:
            look: whether to check the state afterwards. Otherwise only a failure of the operation itself is found.

        Raises:
            ModelError: the modelled kernel refuses the operation.
            Stopped: the operation is abandoned.
        """
        if operation.name == "write":
            return self._guarded(lambda: self._write(operation))
        return self._guarded(lambda: self._run(operation, look))

    def look(self) -> list[Violation]:
        """The violations in the present state.

        Raises:
            Stopped: the check is abandoned.
        """
        return self._guarded(self._look)

    @property
    def accesses(self) -> int:
        """How many accesses the operations have done so far."""
        return self._watchdog.accesses

    def memory(self) -> WatchMemory:
        """What this watch knows of the operations so far."""
        known = np.flatnonzero(self.most_owners)
        owners = known, self.most_owners[known]
        return WatchMemory(owners, dict(self.partial), set(self.swapped), set(self._mapping), dict(self._left))

    def recall(self, memory: WatchMemory) -> None:
        """Go on where another watch was, on a machine in the state that the other one's had then."""
        self.most_owners[:] = 0
        self.most_owners[memory.most_owners[0]] = memory.most_owners[1]
        self.partial, self.swapped = dict(memory.partial), set(memory.swapped)
        self._mapping, self._left = set(memory.mapping), dict(memory.left)
        self.truth = scan(self.machine)

    def shared(self, head: int) -> bool | None:
        """The policy's answer about a folio; None if the policy's function fails or does not end.

        Raises:
            Stopped: the call is abandoned.
        """
        try:
            with self._watchdog:
                return self.machine.maybe_shared(head)
        except (Exception, Stuck):
            return None

    def _guarded(self, act: Callable[[], list[Violation]]) -> list[Violation]:
        try:
            with self._watchdog:
                return act()
        except (Exception, Stuck) as fault:
            return [failure(fault)]

    def _run(self, operation: Operation, look: bool = True) -> list[Violation]:
        self._at_once = set(self._in_one_piece(operation))
        before = self.machine.snapshot() if self._twin else None
        self.machine.apply(operation)
        found = self._twin.differs(before, operation) if self._twin and before is not None else []
        return [*found, *self._look()] if look else found

    def _look(self) -> list[Violation]:
        truth = self.truth = scan(self.machine)
        self.most_owners = np.where(truth.folio_mapcount > 0, np.maximum(self.most_owners, truth.owners), 0)
        return [*violations(self.machine, truth, self.most_owners), *self._partial(truth), *self._idle_mms(truth)]

    # -- fields of MMs -----------------------------------------------------------------------------------
    def _idle_mms(self, truth: Truth) -> list[Violation]:
        """The counts in an MM that maps no large folio any more. What was assigned once, such as a number, may stay."""
        fields = [one for one in self.machine.scheme.stored("mm") if one.init is not None and not one.transient]
        found: list[Violation] = []
        for mm in range(self.machine.shape.nr_mms) if fields else ():
            if not self.machine.is_alive(mm):
                self._mapping.discard(mm)
                self._left = {key: value for key, value in self._left.items() if key[0] != mm}
            elif truth.mappings[mm][truth.nr_pages_of > 1].any():
                self._mapping.add(mm)
            elif mm in self._mapping:
                self._mapping.remove(mm)
                found += [one for stored in fields for one in self._left_in(mm, stored)]
        return found

    def _left_in(self, mm: int, stored: Stored) -> Iterator[Violation]:
        for element in range(stored.count):
            value = self.machine.field_of_mm(mm, stored.name, element)
            if value != stored.init and self._left.setdefault((mm, stored.name, element), value) != value:
                name = f"{stored.name}[{element}]" if stored.count > 1 else stored.name
                before = self._left[mm, stored.name, element]
                message = f"MM {mm} maps no large folio, but {name} is {value}, and was {before} the time before"
                yield Violation("initial-values", f"{message}; its initial value is {stored.init}")

    # -- the write fault ---------------------------------------------------------------------------------
    def _write(self, operation: Operation) -> list[Violation]:
        """Write page by page; check each reuse against the folio's other mappings and references."""
        start, nr = operation.get("start"), operation.get("nr", 1)
        others = [(name, value) for name, value in operation.arguments if name not in ("start", "nr")]
        for vpn in range(start, start + nr):
            single = Operation("write", (*others, ("start", vpn)))
            frame = self.machine.frame(operation.get("mm"), vpn)
            asked = frame >= 0 and asks_policy(self.machine, self.truth, frame)
            reused = self.machine.statistic("PGREUSE")
            broken = self._run(single)
            if asked and self.machine.statistic("PGREUSE") > reused:
                broken = [*self._reused(frame, operation.get("mm")), *broken]
            if broken:
                return broken
        return []

    def _reused(self, frame: int, mm: int) -> list[Violation]:
        why = wrong_reuse(self.machine, self.truth, frame)
        message = f"MM {mm} reuses page {frame} of folio {int(self.truth.heads[frame])}, {why}"
        return [Violation("reuse", message, "reuse")] if why else []

    # -- partial mapping ---------------------------------------------------------------------------------
    def _in_one_piece(self, operation: Operation) -> Iterator[int]:
        """The folios of which an operation takes all mappings at once: one batch of equal PTEs in one page table."""
        if operation.name not in ("unmap", "exit") or "partial-mapping" not in self.machine.scheme.capabilities:
            return
        mm = operation.get("mm")
        for head in self.partial if self.machine.is_alive(mm) else ():
            pages = int(self.truth.nr_pages_of[head])
            if not pages == self.truth.folio_mapcount[head] == self.truth.mappings[mm][head]:
                continue
            entries = self.machine.ptes(mm)
            frames = (entries >> np.uint64(12)).astype(np.int64)
            at = np.flatnonzero((entries & np.uint64(1) != 0) & (frames >= head) & (frames < head + pages))
            if at.size != pages:
                continue  # a PMD maps it, or one page twice
            start, bits = operation.get("start", 0), entries[at] & np.uint64(0xFFF)
            covered = start <= at[0] and at[-1] < start + operation.get("nr", len(entries))
            one_table = at[0] // PTRS_PER_PTE == at[-1] // PTRS_PER_PTE
            if covered and one_table and (frames[at] - at == head - at[0]).all() and np.unique(bits).size == 1:
                yield head

    def _partial(self, truth: Truth) -> list[Violation]:
        if "partial-mapping" not in self.machine.scheme.capabilities:
            return []
        flags = self.machine.column("page", "flags")
        anon = self.machine.column("page", "mapping") == MAPPING_ANON
        large = np.flatnonzero((truth.nr_pages_of > 2) & anon)
        self.partial = {head: self.partial.get(head, False) for head in large.tolist()}
        self.swapped &= set(self.partial)
        found: list[Violation] = []
        for head in self.partial:
            if int(flags[head]) >> PG_swapcache & 1:
                self.swapped.add(head)
            marked = bool(int(self.machine.column("folio", "_flags_1")[head]) >> PG_partially_mapped & 1)
            # An operation that unmaps the whole folio may unmap it in pieces; the states between are not checked.
            in_pieces = not truth.folio_mapcount[head] and head not in self._at_once
            self.partial[head] |= bool(truth.partially_mapped[head]) or (marked and in_pieces)
            if marked == self.partial[head] or (self.partial[head] and head in self.swapped):
                continue
            what = "is partially mapped and not marked so" if self.partial[head] else "is marked as partially mapped"
            found.append(Violation("partial-mapping", f"folio {head} {what}", "partial-mapping"))
        return found
