"""Proofs for any number of threads: what an operation does under a lock happens at once for all others.

Operations of any threads change the cells that a lock protects (`sections`) one after the other, each as a whole,
in the order in which they got the lock (Lipton, "Reduction: a method of proving properties of parallel programs",
CACM 18, 1975). So induction over one operation (`induction`) holds for them, if each read of any other cell gives any
value. A lockless reader may see what stands in the cells in the middle of an operation; each of these states is asked
about (`_Reader`).

The counts then belong to mappings that were added and not yet removed. The engine adds a mapping before it sets the
page-table entry, and removes it after it has cleared the entry, so no MM has more entries than counted mappings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Final

from foliolab.framework.verify.finding import OWED
from foliolab.framework.verify.symbolic import algebra, term
from foliolab.framework.verify.symbolic.any_state import AnyState
from foliolab.framework.verify.symbolic.induction import LIMITS, Induction, Proof
from foliolab.framework.verify.symbolic.invariants import Invariants, Known, Questions
from foliolab.framework.verify.symbolic.laws import LawClaim
from foliolab.framework.verify.symbolic.sections import Sections
from foliolab.framework.verify.symbolic.space import Access, CellKey
from foliolab.framework.verify.symbolic.templates import ONE
from foliolab.framework.verify.symbolic.term import Op, Term

PROGRESS: Final = ("deadlock", OWED)
"""The law that some thread can always make progress."""
SEEN: Final = "seen"
RESTING: Final = -1
"""Stands in the place of a kind of step: no operation is under way."""


class Threads(Induction):
    """Tries to prove laws for any number of threads, for one class of orders.

    A scheduler is fair here if a thread that tries to take a lock, which is free again and again, gets it at some time.

    Args:
        any_state: the operations, where each read of a cell that the lock does not protect gives any value.
        sections: the lock sections of the operations.
    """

    within = "proved for any number of threads"

    def __init__(
        self, any_state: AnyState, sections: Sections, questions: Questions, known: Known, only: str = ""
    ) -> None:
        super().__init__(any_state, questions, known, only)
        self.sections = sections

    def proved(self, wanted: set[LawClaim]) -> Iterator[Proof]:
        """The wanted laws and claims that hold for any number of threads, and PROGRESS."""
        yield from super().proved({key for key in wanted if key[0] != "reuse"})

    def _proved_for(self, invariants: Invariants, wanted: set[LawClaim]) -> Iterator[Proof]:
        if not self._is_released(invariants):
            return
        for proof in super()._proved_for(invariants, wanted):
            if proof.law == "initial-values" and self.any_state.volatile:
                continue  # what others may change at any time is not followed
            if proof.law == "safe" and not _Reader(self, invariants).is_safe():
                continue
            yield proof
        if not invariants.tables.owners:
            yield self._proof(*PROGRESS)

    def _proof(self, law: str, claim: str) -> Proof:
        within = self.within + self.only
        bound = f"{self.within}, MMs and operations{self.only} {LIMITS}"
        if law != "safe":
            bound += ", asked while no operation is under way"
        if law == "exact-up-to":
            bound += ", where an MM counts as an owner until its last unmap has ended"
        if (law, claim) == PROGRESS:
            bound = f"{within}: no lock section waits for anything, so each operation ends under a fair scheduler"
        return Proof(law, claim, bound, within)

    def _is_released(self, invariants: Invariants) -> bool:
        """No operation ends with the lock held."""
        held = algebra.eq(self.sections.lock.free, ONE)
        given = invariants.assumptions(invariants.mms())
        return self.questions.ask(held, given).answer == "unsatisfiable"


class _Reader:
    """What a lockless reader may see: each of its reads, at any moment of any operation.

    Args:
        threads: the proof that the reader belongs to.
        invariants: while the lock is free.
    """

    def __init__(self, threads: Threads, invariants: Invariants) -> None:
        self.threads = threads
        self.invariants = invariants
        self.rest = dict(threads.unrolling.paths.state)
        space, protected = threads.unrolling.space, threads.sections.protected
        self.seen = {v: v.any_value(space, SEEN) for v in threads.any_state.variables if v.key in protected}
        """For each variable, what the reader sees; in the middle of a step it may be out of the variable's interval."""

    def is_safe(self) -> bool:
        """An answer "exclusive" was right at the moment of one of the reads that it rests on.

        Each read gets a moment of its own, with a state of its own. False also where the reader does more than read.
        """
        found = self._answer()
        if found is None:
            return False
        exclusive, reads = found
        return self._is_never_wrong([exclusive], [(read, self._moments(exclusive, read)) for read in reads])

    def _answer(self) -> tuple[Term, list[Access]] | None:
        """(the answer is "exclusive", the reads of protected cells), in variables for what each read sees.

        None if the reader changes a protected cell, or may read one twice.
        """
        unrolling, protected = self.threads.unrolling, self.threads.sections.protected
        space = unrolling.space
        unrolling.paths.state = self.rest | {key: self._seen_cell(key) for key in protected}
        space.accesses = []
        shared = algebra.bool_(unrolling.answer("maybe_mapped_shared"))
        listed, space.accesses, unrolling.paths.state = space.accesses, None, self.rest
        reads = [one for one in listed if not protected.isdisjoint(one.cells)]
        if any(one.kind != "read" for one in reads):
            return None
        for one, other in combinations(reads, 2):
            if not set(one.cells).isdisjoint(other.cells) and algebra.all_(one.when, other.when) is not term.FALSE:
                return None
        return algebra.not_(shared), reads

    def _seen_cell(self, key: CellKey) -> Term:
        parts = [term.times(seen, 1 << v.low) for v, seen in self.seen.items() if v.key == key]
        return term.add(*parts) if parts else self.threads.unrolling.space.any_value(key)

    def _moments(self, exclusive: Term, read: Access) -> list[Term]:
        """The moments at which what a read sees allows "exclusive" although several MMs map the folio."""
        kinds = (RESTING, *self.threads.any_state.kinds)
        moments = [self._moment(kind, read) for kind in kinds]
        return [moment for moment in moments if self._may_be(exclusive, read.when, moment)]

    def _may_be(self, *terms: Term) -> bool:
        questions = self.threads.questions
        return questions.ask(algebra.all_(*terms), questions.given).answer != "unsatisfiable"

    def _is_never_wrong(self, chosen: list[Term], reads: list[tuple[Access, list[Term]]]) -> bool:
        """No choice of moments for the reads allows a wrong answer; a path may leave a read out."""
        if not reads:
            return not self._may_be(*chosen)
        (read, moments), *others = reads
        choices = [algebra.not_(read.when), *(algebra.all_(read.when, moment) for moment in moments)]
        return all(self._is_never_wrong([*chosen, choice], others) for choice in choices)

    def _moment(self, kind: int, read: Access) -> Term:
        """A read sees the cells as they are at some moment of a step, while two MMs map the folio."""
        invariants, tables = self.invariants, self.invariants.tables
        mms = invariants.mms(None if kind == RESTING else kind)
        given = invariants.assumptions(mms)
        states = [(term.TRUE, self.rest)]
        mapped: Callable[[Term], Term] = tables.mapped
        if kind != RESTING:
            given += tables.legal(kind)
            mapped, total = tables.least(kind)
            given += tables.total_covers(mms, mapped, total)
            accesses = self.threads.any_state.accesses[kind]
            states += [(one.when, one.state) for one in accesses if one.kind != "read"]
        parts = [(v, seen) for v, seen in self.seen.items() if v.key in read.cells]
        sees = dict.fromkeys(
            algebra.all_(when, *(algebra.eq(seen, v.value(state[v.key])) for v, seen in parts))
            for when, state in states
        )
        first, second = tables.any_mms
        shared = [algebra.le(ONE, mapped(first)), algebra.le(ONE, mapped(second))]
        shared.append(algebra.not_(algebra.eq(first, second)))
        return _renamed(algebra.all_(*given, *shared, algebra.any_(*sees)), f"{read.cells[0][1]}")


def _renamed(formula: Term, suffix: str) -> Term:
    """A formula in variables of its own, but for the folio's pages and what a read sees."""

    def own(part: Term) -> Term | None:
        if part.op != Op.VAR or part.args[0] == "P" or part.args[0].endswith(SEEN):
            return None
        return term.var(f"{part.args[0]}.{suffix}", part.lo, part.hi)

    return algebra.substitute(formula, own)
