"""Turns the solver's values into operations, runs them on the interpreted engine, and makes counterexamples."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine.check import Violation
from foliolab.framework.engine.engine import Shape
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.operation import Operation
from foliolab.framework.engine.policytree import policy_digest
from foliolab.framework.errors import FolioLabError
from foliolab.framework.verify.counterexample import Counterexample
from foliolab.framework.verify.laws import Watch
from foliolab.framework.verify.symbolic.unrolling import DUP, MAP, NEW, UNMAP

PMD_PAGES: Final = 512
FATAL: Final = ("field-width", "lost-lock", "access", "checks")
"""Laws after whose breach a run cannot go on."""


@dataclass
class Witness:
    """Operations on one folio; each MM maps its pages from the first on.

    Args:
        order: of the folio.
        anon: whether the folio is anonymous, not a file's.

    Attributes:
        operations: the operations so far.
        numbers: the number of each MM, by its ID.
        mapped: the pages that the MM of an ID maps; an MM that is not listed does not exist.
    """

    order: int
    anon: bool
    operations: list[Operation] = field(default_factory=list)
    numbers: dict[int, int] = field(default_factory=dict)
    mapped: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.anon:
            self.operations.append(Operation.of("file_folio", order=self.order))

    def _number(self, mm_id: int) -> int:
        return self.numbers.setdefault(mm_id, len(self.numbers))

    def _create(self, mm_id: int) -> int:
        mm = self._number(mm_id)
        if mm_id not in self.mapped:
            self.operations.append(Operation.of("create", mm=mm, mm_id=mm_id))
            self.mapped[mm_id] = 0
        return mm

    def step(self, kind: int, mm_id: int, nr: int) -> None:
        """Add a step of an unrolling."""
        if kind == NEW:
            mm = self._create(mm_id)
            self.operations.append(Operation.of("populate", mm=mm, start=0, nr=nr, order=self.order))
        elif kind == MAP:
            mm = self._create(mm_id)
            at = self.mapped[mm_id]
            self.operations.append(Operation.of("map_file", mm=mm, vpn=at, pfn=at, nr=nr))
        elif kind == DUP:
            mm = self._number(mm_id)
            if mm_id in self.mapped:
                self.operations.append(Operation.of("exit", mm=mm))
                del self.mapped[mm_id]
            parent = next(self.numbers[owner] for owner, count in self.mapped.items() if count >= nr)
            self.operations.append(Operation.of("fork", parent=parent, child=mm, start=0, nr=nr, mm_id=mm_id))
            self.mapped[mm_id] = 0
        elif kind == UNMAP:
            start = self.mapped[mm_id] - nr
            self.operations.append(Operation.of("unmap", mm=self._number(mm_id), start=start, nr=nr))
            nr = -nr
        self.mapped[mm_id] = self.mapped.get(mm_id, 0) + nr

    def map_by(self, counts: list[tuple[int, int]]) -> None:
        """Add operations after which each MM, given by its ID, has so many mappings."""
        counts = [(mm_id, count) for mm_id, count in counts if count]
        if not self.anon:
            for mm_id, count in counts:
                self.step(MAP, mm_id, count)
            return
        first, own = counts[0]
        self.step(NEW, first, 1 << self.order)
        for mm_id, count in counts[1:]:
            self.step(DUP, mm_id, count)
        if own < 1 << self.order:
            self.step(UNMAP, first, (1 << self.order) - own)

    def write(self, mm_id: int) -> None:
        """Add a write to the first page."""
        self.operations.append(Operation.of("write", mm=self.numbers[mm_id], start=0))

    def shape(self) -> Shape:
        """A machine with room for the operations."""
        pages = 1 << self.order
        return Shape(2 * max(pages, PMD_PAGES), max(len(self.numbers), 1), max(pages, PMD_PAGES), 1, self.order)

    def run(self, scheme: Scheme) -> list[Violation]:
        """All breaches of laws in a run on the interpreted engine."""
        watch = Watch(Machine(scheme, self.shape(), "interpreted"))
        found: list[Violation] = []
        try:
            for operation in self.operations:
                found += [violation for violation in watch.apply(operation) if violation not in found]
                if any(violation.law in FATAL for violation in found):
                    break
        except FolioLabError:
            return found
        return found

    def counterexample(self, scheme: Scheme, violation: Violation) -> Counterexample:
        """The counterexample that shows a breach."""
        shape = self.shape()
        fields = ("nr_pages", "nr_mms", "nr_vpns", "max_order")
        return Counterexample(
            policy=scheme.name,
            attack="symbolic",
            law=violation.law,
            claim=violation.claim,
            message=str(violation),
            shape={name: getattr(shape, name) for name in fields},
            threads=[[str(operation) for operation in self.operations]],
            digest=policy_digest(scheme),
        )
