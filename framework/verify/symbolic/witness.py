"""From the solver's numbers to operations of a machine: what a counterexample consists of."""

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


@dataclass
class Script:
    """Operations on one folio; each MM maps its pages from the first on.

    Args:
        order: of the folio.
        anon: whether it is anonymous; else it is a file's.
    """

    order: int
    anon: bool
    operations: list[Operation] = field(default_factory=list)
    numbers: dict[int, int] = field(default_factory=dict)
    mapped: dict[int, int] = field(default_factory=dict)
    """Pages that the MM of an ID maps; none: it does not exist."""

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
        """One step of a course."""
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
            parent = next(self.numbers[one] for one, count in self.mapped.items() if count >= nr)
            self.operations.append(Operation.of("fork", parent=parent, child=mm, start=0, nr=nr, mm_id=mm_id))
            self.mapped[mm_id] = 0
        elif kind == UNMAP:
            start = self.mapped[mm_id] - nr
            self.operations.append(Operation.of("unmap", mm=self._number(mm_id), start=start, nr=nr))
            nr = -nr
        self.mapped[mm_id] = self.mapped.get(mm_id, 0) + nr

    def hold(self, counts: list[tuple[int, int]]) -> None:
        """Let each MM, by its ID, map so many pages."""
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
        """A write to the first page."""
        self.operations.append(Operation.of("write", mm=self.numbers[mm_id], start=0))

    def shape(self) -> Shape:
        """A machine that has room for it."""
        pages = 1 << self.order
        return Shape(2 * max(pages, PMD_PAGES), max(len(self.numbers), 1), max(pages, PMD_PAGES), 1, self.order)


def run(script: Script, scheme: Scheme) -> list[Violation]:
    """Everything that the interpreted run breaks, the write at the end included."""
    watch = Watch(Machine(scheme, script.shape(), "interpreted"))
    found: list[Violation] = []
    try:
        for operation in script.operations:
            found += [one for one in watch.apply(operation) if one not in found]
            if any(one.law in ("field-width", "lost-lock", "access") for one in found):
                break
    except FolioLabError:
        return found
    return found


def counterexample(script: Script, scheme: Scheme, violation: Violation) -> Counterexample:
    """The file that shows a violation."""
    shape = script.shape()
    return Counterexample(
        policy=scheme.name,
        attack="symbolic",
        law=violation.law,
        claim=violation.claim,
        message=str(violation),
        shape={
            "nr_pages": shape.nr_pages,
            "nr_mms": shape.nr_mms,
            "nr_vpns": shape.nr_vpns,
            "max_order": shape.max_order,
        },
        threads=[[str(operation) for operation in script.operations]],
        digest=policy_digest(scheme),
    )
