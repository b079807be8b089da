"""Everything that is proved about one class of orders, for any number of operations or of threads.

The proofs share what they find: the variables of the state, what z3 was told, and the invariants. What holds where
others change cells at any time holds also where nobody does, and what holds for any number of MMs for two, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from foliolab.framework.machine.layout import PMD_ORDER
from foliolab.framework.verify.attack import Budget
from foliolab.framework.verify.symbolic.any_state import AnyState, NoProof
from foliolab.framework.verify.symbolic.induction import Induction, Proof
from foliolab.framework.verify.symbolic.invariants import Known, Questions
from foliolab.framework.verify.symbolic.laws import LawClaim
from foliolab.framework.verify.symbolic.number import Unsupported
from foliolab.framework.verify.symbolic.paths import DeadEnd
from foliolab.framework.verify.symbolic.sections import lock_sections
from foliolab.framework.verify.symbolic.term import Term
from foliolab.framework.verify.symbolic.threads import Threads
from foliolab.framework.verify.symbolic.unrolling import Unrolling
from foliolab.framework.verify.symbolic.z3_terms import Unsolvable

ONLY_PTES: Final = " by PTEs only"


class Proofs:
    """The proofs about one class of orders.

    Args:
        unrolling: before its first step.
        given: assumptions about its variables.
        budget: ends the proofs early.
    """

    def __init__(self, unrolling: Unrolling, given: list[Term], budget: Budget) -> None:
        self.unrolling = unrolling
        self.questions = Questions(given, budget)
        self.known = Known()

    @property
    def queries(self) -> int:
        """How often z3 was asked."""
        return self.questions.number

    def proved(self, wanted: set[LawClaim]) -> Iterator[Proof]:
        """The wanted laws and claims that hold, and those about locks, the strongest proofs first.

        What cannot be proved of folios that PMDs map, too, is tried for those that only PTEs map.
        """
        found: set[LawClaim] = set()
        unrolling = self.unrolling
        has_pmds = "pmd" in unrolling.scheme.capabilities and unrolling.largest >= PMD_ORDER
        for by_pmd in (True, False) if has_pmds else (False,):
            for proof in self._proved(lambda: wanted - found, by_pmd, "" if by_pmd == has_pmds else ONLY_PTES):
                if (proof.law, proof.claim) not in found:
                    found.add((proof.law, proof.claim))
                    yield proof

    def _proved(self, wanted: Callable[[], set[LawClaim]], by_pmd: bool, only: str) -> Iterator[Proof]:
        if not wanted():
            return
        try:
            any_state = AnyState(self.unrolling, by_pmd)
        except (NoProof, Unsupported):
            return
        threads = self._threads(any_state, only)
        if threads is not None:
            yield from threads.proved(wanted())
            self.known = threads.known
        induction = Induction(any_state, self.questions, self.known, only)
        yield from induction.proved(wanted())
        self.known = induction.known

    def _threads(self, any_state: AnyState, only: str) -> Threads | None:
        """The proof for any number of threads; None if no lock protects the state."""
        if self.unrolling.scheme.caller is not None:
            return None  # its text may change page tables in another order
        try:
            sections = lock_sections(any_state, self.questions)
            if sections is None:
                return None
            changing = AnyState(self.unrolling, any_state.by_pmd, sections.changing)
        except (NoProof, Unsupported, Unsolvable, DeadEnd):
            return None
        return Threads(changing, sections, self.questions, self.known, only)
