"""The laws: what a policy owes, what it owes if it claims so, and a watch that holds a run against them."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from foliolab.framework.engine.answers import wrong_answer
from foliolab.framework.engine.check import Violation, references, violations
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.operation import Operation
from foliolab.framework.engine.structs import (
    MAPPING_ANON,
    PG_anon_exclusive,
    PG_partially_mapped,
    PG_swapcache,
)
from foliolab.framework.engine.truth import Truth, scan
from foliolab.framework.errors import AccessError, FieldOverflow, FolioLabError, LostLock
from foliolab.framework.verify.watchdog import Endless, Stuck, Watchdog

LAWS: Final = {
    "safe": "never called exclusive while several MMs map it",
    "exact": "called shared only while several MMs map it",
    "exact-up-to": "the same, while no more MMs than claimed ever mapped it at a time",
    "reuse": "a write fault reuses a page only for the sole owner, with no other reference",
    "mapcount": "the number of mappings is that of the page tables",
    "page-mapcount": "every page's mapcount is that of the page tables",
    "average-mapcount": "the average mapcount follows the stated formula",
    "partial-mapping": "a folio counts as partially mapped exactly when one of its pages lost its last mapping",
    "statistics": "as many pages count as mapped as are",
    "statistics-zero": "statistics sum to zero when nothing is mapped",
    "initial-values": "everything stored is back at its initial value when nothing maps the folio",
    "field-width": "every value fits the declared width of its field",
    "access": "nothing is written but the policy's own fields of the folio",
    "lost-lock": "no lock is held when its taker is done",
    "deadlock": "somebody can always go on",
    "termination": "every operation comes to its end",
    "raises": "no function of the policy fails with an error",
    "references": "a folio has as many references as there are reasons",
    "frames": "no frame is free and in use",
    "rss": "a process's resident size is that of its page tables",
    "anon-exclusive": "a page that is marked exclusive, or writable, is one process's alone",
}
"""Every law by its name."""

SHOWN_BY: Final = {"partial-mapping": "partial-mapping", "reuse": "reuse"}
"""Laws that follow from a claim, beside those that `engine.check` knows."""


def spoils(broken: Sequence[Violation]) -> bool:
    """Whether a run tells nothing more: its state is none that a policy that owes what all owe can bring about.

    What an answer claims and is not spoils nothing, but for the write fault's: the engine acts on that one.
    """
    return any(one.claim == "" or one.law == "reuse" for one in broken)


def _place(fault: BaseException) -> str:
    """File and line of the author's text that an exception came from."""
    steps = [
        (frame.f_globals.get("__name__", ""), frame.f_code.co_filename, line)
        for frame, line in traceback.walk_tb(fault.__traceback__)
    ]
    _, file, line = next((step for step in reversed(steps) if not step[0].startswith("foliolab.framework")), steps[-1])
    return f"{file}:{line}"


def failure(fault: BaseException) -> Violation:
    """The law that a policy's function breaks which ends by an exception.

    Raises:
        BaseException: it is none that a policy's function is to blame for.
    """
    match fault:
        case AccessError():
            law = {FieldOverflow: "field-width", LostLock: "lost-lock"}.get(type(fault), "access")
            place = _place(fault)
            return Violation(law, fault.what if place in fault.what else f"{fault.what}, at {place}")
        case Endless():
            return Violation("termination", fault.what)
        case Stuck():
            return Violation("termination", f"does not end, and touches no memory, at {_place(fault)}")
        case FolioLabError() | MemoryError():
            raise fault
        case _ if isinstance(fault, Exception):
            if told := wrong_answer(fault):
                return Violation("raises", f"{told}: {fault}")
            said = f": {fault}" if str(fault) else ""
            return Violation("raises", f"{type(fault).__name__}{said}, at {_place(fault)}")
    raise fault


class Watch:
    """A machine on which operations run whole, one after the other, with everything checked after each.

    Args:
        machine: interpreted, if accesses and widths are to be checked too.
        stopped: whether to give up the operation that runs.
    """

    def __init__(self, machine: Machine, stopped: Callable[[], bool] = lambda: False) -> None:
        self.machine = machine
        self.most_owners = np.zeros(machine.shape.nr_pages, np.int64)
        self.partial: dict[int, bool] = {}
        """Large anonymous folios by their head: whether a page lost its last mapping while others kept theirs."""
        self.swapped: set[int] = set()
        """Those that were in the swap cache, where the kernel queues nothing (specification 1.6)."""
        self.truth = scan(machine)
        self._dog = Watchdog(machine.vm, 1 << machine.shape.max_order, stopped)

    def apply(self, operation: Operation, look: bool = True) -> list[Violation]:
        """Run an operation; what is wrong then, the first of it being what broke first.

        Args:
            operation: what to do.
            look: whether to look at the state afterwards; if not, only what ends the operation is seen.

        Raises:
            ModelError: the modelled kernel refuses the operation.
            Stopped: it is to be given up.
        """
        if operation.name == "write":
            return self._guarded(lambda: self._write(operation))
        return self._guarded(lambda: self._run(operation, look))

    def look(self) -> list[Violation]:
        """What is wrong with the state now.

        Raises:
            Stopped: it is to be given up.
        """
        return self._guarded(self._look)

    def shared(self, head: int) -> bool | None:
        """What the policy says of a folio; None if its function fails or does not end.

        Raises:
            Stopped: it is to be given up.
        """
        try:
            with self._dog:
                return self.machine.maybe_shared(head)
        except (Exception, Stuck):
            return None

    def _guarded(self, act: Callable[[], list[Violation]]) -> list[Violation]:
        try:
            with self._dog:
                return act()
        except (Exception, Stuck) as fault:
            return [failure(fault)]

    def _run(self, operation: Operation, look: bool = True) -> list[Violation]:
        self.machine.apply(operation)
        return self._look() if look else []

    def _look(self) -> list[Violation]:
        truth = self.truth = scan(self.machine)
        self.most_owners = np.where(truth.folio_mapcount > 0, np.maximum(self.most_owners, truth.owners), 0)
        return [*violations(self.machine, truth, self.most_owners), *self._partial(truth)]

    # -- the write fault ---------------------------------------------------------------------------------
    def _write(self, operation: Operation) -> list[Violation]:
        """A write page by page, each held against who else maps the folio and who holds it."""
        start, nr = operation.get("start"), operation.get("nr", 1)
        others = [(name, value) for name, value in operation.arguments if name not in ("start", "nr")]
        for vpn in range(start, start + nr):
            one = Operation("write", (*others, ("start", vpn)))
            frame = self.machine.frame(operation.get("mm"), vpn)
            asked = frame >= 0 and self._asks(frame)
            reused = self.machine.statistic("PGREUSE")
            broken = self._run(one)
            if asked and self.machine.statistic("PGREUSE") > reused:
                broken = [*self._reused(frame, operation.get("mm")), *broken]
            if broken:
                return broken
        return []

    def _asks(self, frame: int) -> bool:
        """Whether a write fault on that page asks the policy: a large folio's page that is not AnonExclusive."""
        head = int(self.truth.heads[frame])
        exclusive = int(self.machine.column("page", "flags")[frame]) >> PG_anon_exclusive & 1
        return bool(self.truth.nr_pages_of[head] > 1 and not exclusive and not self.truth.pmds[:, head].any())

    def _reused(self, frame: int, mm: int) -> list[Violation]:
        head = int(self.truth.heads[frame])
        owners = int(self.truth.owners[head])
        if owners != 1:
            message = f"MM {mm} reuses page {frame} of folio {head}, which {owners} MMs map"
            return [Violation("reuse", message, "reuse")]
        extra = int(references(self.machine, self.truth)[head] - self.truth.folio_mapcount[head])
        if extra:
            message = f"MM {mm} reuses page {frame} of folio {head} with {extra} references that are no mappings"
            return [Violation("reuse", message, "reuse")]
        return []

    # -- partial mapping ---------------------------------------------------------------------------------
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
            # an operation that unmaps all of it may do so piece by piece: nobody sees in between
            self.partial[head] |= bool(truth.partially_mapped[head]) or (marked and not truth.folio_mapcount[head])
            if marked == self.partial[head] or (self.partial[head] and head in self.swapped):
                continue
            what = "is partially mapped and not marked so" if self.partial[head] else "is marked as partially mapped"
            found.append(Violation("partial-mapping", f"folio {head} {what}", "partial-mapping"))
        return found
