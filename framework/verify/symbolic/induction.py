"""Proofs for any number of operations: induction over one operation from any state.

A law that no state with the policy's invariants breaks is proved. Other laws may still hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from foliolab.framework.verify.finding import OWED
from foliolab.framework.verify.symbolic import algebra
from foliolab.framework.verify.symbolic.any_state import AnyState, NoProof
from foliolab.framework.verify.symbolic.entries import CHECKS
from foliolab.framework.verify.symbolic.invariants import Invariants, Known, Questions
from foliolab.framework.verify.symbolic.laws import EXACT_CLAIMS, GroundTruth, LawClaim, queries
from foliolab.framework.verify.symbolic.number import Unsupported
from foliolab.framework.verify.symbolic.page_tables import PageTables
from foliolab.framework.verify.symbolic.templates import ONE
from foliolab.framework.verify.symbolic.z3_terms import Unsolvable

TOGETHER: Final = 16
"""Faults that are asked about in one query: a kernel's text has dozens of checks."""
LIMITS: Final = "(at most 2^26 mappings at a time), no references but mappings"


@dataclass(frozen=True)
class Proof:
    """A law that is proved.

    Args:
        law: the law.
        claim: the claim that its breach would refute.
        bound: of the proof, in words.
        within: the same in a few words, for a headline.
    """

    law: str
    claim: str
    bound: str
    within: str


class Induction:
    """Tries to prove laws for one class of orders.

    Args:
        any_state: the operations.
        questions: to the solver.
        known: invariants to begin with.
        only: words for the bound where the proof leaves out what can happen.

    Attributes:
        known: the invariants for any number of MMs, once they are found.
    """

    within = "proved for any number of operations"

    def __init__(self, any_state: AnyState, questions: Questions, known: Known, only: str = "") -> None:
        self.any_state = any_state
        self.unrolling = any_state.unrolling
        self.questions = questions
        self.known = known
        self.only = only

    def proved(self, wanted: set[LawClaim]) -> Iterator[Proof]:
        """The wanted laws and claims that hold after any number of operations."""
        with self.any_state.entered():
            for owners in sorted({EXACT_CLAIMS.get(claim, 0) for _, claim in wanted}):
                laws = {key for key in wanted if EXACT_CLAIMS.get(key[1], 0) == owners}
                try:
                    yield from self._proved_for(self._invariants(owners), laws)
                except (Unsupported, Unsolvable, NoProof):
                    continue

    def _invariants(self, owners: int) -> Invariants:
        """The invariants where at most so many MMs map the folio at a time; 0: any number."""
        tables = PageTables(self.unrolling, owners, self.any_state.by_pmd)
        found = Invariants(self.any_state, tables, self.questions, self.known)
        if not owners:
            self.known = Known(list(self.any_state.variables), found.kept)
        return found

    def _proof(self, law: str, claim: str) -> Proof:
        return Proof(law, claim, f"{self.within} and MMs{self.only} {LIMITS}", self.within + self.only)

    def _proved_for(self, invariants: Invariants, wanted: set[LawClaim]) -> Iterator[Proof]:
        """The wanted laws that follow from the invariants."""
        if not self._is_free_of_faults(invariants, lambda law: law != CHECKS):
            return
        if (CHECKS, OWED) in wanted and self._is_free_of_faults(invariants, CHECKS.__eq__):
            yield self._proof(CHECKS, OWED)
        tables = invariants.tables
        first, second = tables.any_mms
        maps = [algebra.le(ONE, tables.mapped(mm_id)) for mm_id in tables.any_mms]
        shared = algebra.all_(algebra.not_(algebra.eq(first, second)), *maps)
        exclusive = algebra.all_(maps[0], algebra.eq(tables.mapped(first), tables.total))
        self.unrolling.mappings = [(first, tables.total)]
        truth = GroundTruth(shared, exclusive, tables.total, first, shared)
        given = invariants.assumptions([*tables.any_mms, *invariants.here.ids])
        invariants.check_consistent(given)
        for query in queries(self.unrolling, truth, wanted - {(CHECKS, OWED)}):
            if not query.unsupported and self.questions.ask(query.broken, given).answer == "unsatisfiable":
                yield self._proof(query.law, query.claim)

    def _is_free_of_faults(self, invariants: Invariants, of: Callable[[str], bool]) -> bool:
        """No operation breaks one of these laws on the way; a check that fires changes nothing, and others may hold."""
        for kind, faults in self.any_state.faults.items():
            given = [*invariants.assumptions(invariants.mms()), *invariants.tables.legal(kind)]
            conditions = list(dict.fromkeys(fault.when for fault in faults if of(fault.law)))
            for first in range(0, len(conditions), TOGETHER):
                together = algebra.any_(*conditions[first : first + TOGETHER])
                if self.questions.ask(together, given).answer != "unsatisfiable":
                    return False
        return True
