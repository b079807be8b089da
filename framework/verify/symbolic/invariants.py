"""The invariants of a policy: what is true of a folio, and stays true whatever operation follows.

Of the candidates (`templates`) those are kept that hold in the first state and that every operation preserves, given
all kept ones (the Houdini algorithm).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from foliolab.framework.verify.attack import Budget
from foliolab.framework.verify.symbolic import algebra, term
from foliolab.framework.verify.symbolic.any_state import AnyState, NoProof, StateVariable
from foliolab.framework.verify.symbolic.page_tables import FORKS, PageTables
from foliolab.framework.verify.symbolic.paths import State
from foliolab.framework.verify.symbolic.solver import Reply, Translations, solve
from foliolab.framework.verify.symbolic.templates import ONE, ZERO, AbstractState, Template, templates
from foliolab.framework.verify.symbolic.term import Term
from foliolab.framework.verify.symbolic.unrolling import NEW, NEW_PMD

SECONDS: Final = 4.0
"""Computing time for a query."""


@dataclass
class Questions:
    """The questions that the proofs of a class ask.

    Args:
        given: what is true of the class.
        budget: ends the proofs early.

    Attributes:
        number: how often z3 was asked.
    """

    given: list[Term]
    budget: Budget
    number: int = 0
    _translations: Translations = field(default_factory=Translations)

    def ask(self, question: Term, given: list[Term]) -> Reply:
        """Whether a question can be true under assumptions."""
        reply = solve(question, given, self.budget, SECONDS, self._translations)
        self.number += reply.queries
        return reply


@dataclass(frozen=True)
class Known:
    """Invariants that were found for the same operations and more: they are true here, too.

    Args:
        variables: of the state that they are about.
        kept: the invariants.
    """

    variables: list[StateVariable] = field(default_factory=list)
    kept: list[Template] = field(default_factory=list)


class Invariants:
    """The invariants of the states that a number of MMs reach.

    Args:
        any_state: the operations.
        tables: the mappings.
        questions: to the solver.
        known: where to begin.

    Attributes:
        kept: the invariants.

    Raises:
        NoProof: a query is not answered, or the variables do not cover the state.
    """

    def __init__(self, any_state: AnyState, tables: PageTables, questions: Questions, known: Known) -> None:
        self.any_state = any_state
        self.tables = tables
        self.questions = questions
        self.known = known.kept if any_state.begin_with(known.variables) else []
        here = any_state.abstract(tables)
        self.here = here
        every = templates(len(here.ids), len(here.counts), len(here.flags))
        self.kept = self.known + self._true_at_first([one for one in every if one not in self.known])
        self._keep_preserved()

    def mms(self, kind: int | None = None) -> list[Term]:
        """The MMs that the assumptions are about."""
        tables = self.tables
        return [tables.mm, *tables.any_mms, *self.here.ids, *([tables.parent] if kind in FORKS else [])]

    def assumptions(self, mms: Iterable[Term]) -> list[Term]:
        """What is true of some MMs in every state that the policy reaches."""
        every = list(dict.fromkeys([*mms, *(mm_id for mm_id, _ in self.tables.owners)]))
        formulas = [formula for template in self.kept for formula in template.instances(self.here, every)]
        mapped = [algebra.le(ONE, self.tables.total)] if self.any_state.unrolling.anon else []
        return [*self.questions.given, *self.tables.facts(every), *mapped, *formulas]

    def check_consistent(self, given: list[Term]) -> None:
        """Check that the assumptions do not contradict each other: everything would follow from a contradiction.

        Raises:
            NoProof: they do, or the solver does not know.
        """
        question = algebra.eq(term.var("something", 0, 1), ONE)
        if self.questions.ask(question, given).answer != "satisfiable":
            raise NoProof

    # -- operations --------------------------------------------------------------------------------------
    def _keep_preserved(self) -> None:
        """Remove what an operation can make false, until no operation can."""
        consistent: set[int] = set()
        checked: dict[int, int] = {}
        while any(checked.get(kind) != len(self.kept) for kind in self.any_state.kinds):
            for kind in self.any_state.kinds:
                if checked.get(kind) != len(self.kept):
                    checked[kind] = len(self.kept)
                    if self._remove_broken(kind):
                        consistent.add(kind)  # and so it is with fewer invariants
        for kind in self.any_state.kinds:
            if kind not in consistent:
                self.check_consistent(self._given(kind))

    def _given(self, kind: int) -> list[Term]:
        """What is true before and after a legal operation."""
        tables, mms = self.tables, self.mms(kind)
        after = self._after(kind)
        given = [*self.assumptions(mms), *tables.legal(kind)]
        given += tables.total_covers(mms, after.mapped, after.total)
        if self.any_state.unrolling.anon:
            given.append(algebra.le(ONE, after.total))
        return given

    def _after(self, kind: int) -> AbstractState:
        return self.any_state.abstract(self.tables, self.any_state.after[kind], kind)

    def _remove_broken(self, kind: int) -> bool:
        """Remove what an operation can make false. False if there was nothing."""
        given, state = self._given(kind), self.any_state.after[kind]
        before = self.kept
        tried = [template for template in before if template not in self.known]
        self.kept = self.known + self._true_in(self._after(kind), state, given, tried)
        return len(self.kept) < len(before)

    # -- the first state ---------------------------------------------------------------------------------
    def _true_at_first(self, candidates: list[Template]) -> list[Template]:
        """The candidates that hold in the first state: a file's unmapped folio, or a new anonymous folio."""
        any_state, tables, unrolling = self.any_state, self.tables, self.any_state.unrolling
        given = [*self.questions.given, *tables.facts([tables.mm, *tables.any_mms]), algebra.eq(tables.total, ZERO)]
        if not unrolling.anon:
            return self._true_in(any_state.abstract(tables, any_state.initial), any_state.initial, given, candidates)
        for kind in (NEW, NEW_PMD) if any_state.by_pmd else (NEW,):
            state = self._first_mapping(kind)
            mapped = algebra.eq(tables.nr, ONE if kind == NEW_PMD else tables.pages)
            candidates = self._true_in(any_state.abstract(tables, state, kind), state, [*given, mapped], candidates)
        return candidates

    def _first_mapping(self, kind: int) -> State:
        """The state after the first mapping of an anonymous folio."""
        any_state, tables, paths = self.any_state, self.tables, self.any_state.unrolling.paths
        before, paths.state = paths.state, dict(any_state.initial)
        paths.faults.clear()
        any_state.unrolling.run(kind, "mm0", tables.mm, tables.nr)
        state, paths.state = paths.state, before
        if paths.faults or not any_state.covers(state):
            raise NoProof
        return state

    # -- candidates --------------------------------------------------------------------------------------
    def _true_in(
        self, after: AbstractState, state: State, given: list[Term], candidates: list[Template]
    ) -> list[Template]:
        """The candidates that hold in a later state.

        Raises:
            NoProof: a variable may be out of its range there, or the solver does not know.
        """
        needed = self.any_state.in_range(state)
        formulas = {template: algebra.all_(*template.instances(after, self.tables.any_mms)) for template in candidates}
        while True:
            reply = self.questions.ask(algebra.not_(algebra.all_(needed, *formulas.values())), given)
            if reply.answer == "unsatisfiable":
                return list(formulas)
            if reply.answer == "unknown":
                raise NoProof
            variables = term.variables([*formulas.values(), needed, *given])
            values = {v: term.const(reply.values.get(str(v.args[0]), v.lo)) for v in variables}
            false = [t for t, formula in formulas.items() if algebra.substitute(formula, values.get).value != 1]
            if not false or algebra.substitute(needed, values.get).value != 1:
                raise NoProof
            for template in false:
                del formulas[template]
