"""Proofs for any number of operations: induction over one operation from any state.

The state is divided into variables, with the MMs and their mappings beside it. Of the invariant candidates
(`templates`) those are kept that hold in the first state and that every operation preserves, given all kept ones (the
Houdini algorithm). A law that no state with the kept invariants breaks is proved. Other laws may still hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Final

from foliolab.framework.machine.layout import PMD_ORDER
from foliolab.framework.verify.attack import Budget
from foliolab.framework.verify.finding import OWED
from foliolab.framework.verify.symbolic import algebra, term
from foliolab.framework.verify.symbolic.additive import MAX_MAPPINGS
from foliolab.framework.verify.symbolic.entries import CHECKS
from foliolab.framework.verify.symbolic.laws import EXACT_CLAIMS, GroundTruth, LawClaim, queries
from foliolab.framework.verify.symbolic.number import Unsupported
from foliolab.framework.verify.symbolic.paths import Fault, State
from foliolab.framework.verify.symbolic.solver import Reply, solve
from foliolab.framework.verify.symbolic.space import FOLIO, CellKey, is_unknown
from foliolab.framework.verify.symbolic.templates import ONE, ZERO, AbstractState, Template, implies, templates
from foliolab.framework.verify.symbolic.term import Op, Term
from foliolab.framework.verify.symbolic.unrolling import (
    DUP,
    DUP_PMD,
    MAP,
    MAP_PMD,
    NEW,
    NEW_PMD,
    UNMAP,
    UNMAP_PMD,
    Unrolling,
)
from foliolab.framework.verify.symbolic.z3_terms import Unsolvable

SECONDS: Final = 4.0
"""Computing time for a query."""
TOGETHER: Final = 16
"""Faults that are asked about in one query: a kernel's text has dozens of checks."""
ROUNDS: Final = 8
"""Attempts to find the cells that have no known value."""
FORKS: Final = (DUP, DUP_PMD)
REMOVES: Final = (UNMAP, UNMAP_PMD)
BY_PMD: Final = (MAP_PMD, DUP_PMD, UNMAP_PMD, NEW_PMD)
SHORT: Final = "proved for any number of operations"
BOUND: Final = f"{SHORT} and MMs (at most 2^26 mappings at a time), no references but mappings"


class NoProof(Exception):
    """Induction proves nothing about this class. The bounded queries follow."""


@dataclass(frozen=True)
class StateVariable:
    """A range of bits of a cell that is free.

    Args:
        key: the cell.
        low, width: the range; width 0: the whole cell, signed.
        kind: "id", "count" or "flag".
        initial: the value in the first state.
        free: the variable.
    """

    key: CellKey
    low: int
    width: int
    kind: str
    initial: int
    free: Term

    def value(self, cell: Term) -> Term:
        """The value of the range in a cell's value."""
        return algebra.low(algebra.shr(cell, self.low), self.width) if self.width else cell


class PageTables:
    """The mappings of the MMs.

    Args:
        unrolling: gives the variables of the operation.
        owners: at most so many MMs map the folio at a time; 0: any number.
    """

    def __init__(self, unrolling: Unrolling, owners: int) -> None:
        self.mm, self.nr, self.parent = unrolling.mm_id(0), unrolling.nr(0), unrolling.mm_id(1)
        self.any_mms = [unrolling.mm_id(2), unrolling.mm_id(3)]
        self.pages = unrolling.pages
        self.most = min(MAX_MAPPINGS, unrolling.scheme.policy.max_mappings)
        self.owners = [
            (self.mm if i == 0 else term.var(f"idheld{i}", 1, unrolling.scheme.max_mm_id), self._count(f"held{i}"))
            for i in range(owners)
        ]
        self.total = term.add(*(count for _, count in self.owners)) if owners else term.var("total", 0, self.most)
        self._counts: dict[Term, Term] = {}

    def _count(self, name: str) -> Term:
        return term.var(name, 0, self.most)

    def mapped(self, mm_id: Term) -> Term:
        """The mappings of the MM with an ID."""
        if self.owners:
            return term.add(*(algebra.choose(algebra.eq(owner, mm_id), count, ZERO) for owner, count in self.owners))
        if mm_id not in self._counts:
            self._counts[mm_id] = self._count(f"mapped{len(self._counts)}")
        return self._counts[mm_id]

    def facts(self, mms: list[Term]) -> Iterator[Term]:
        """What is true of some MMs under any policy."""
        if self.owners:
            yield from (algebra.not_(algebra.eq(a, b)) for (a, _), (b, _) in combinations(self.owners, 2))
            return
        for mm_id in mms:
            yield implies(algebra.eq(mm_id, ZERO), algebra.eq(self.mapped(mm_id), ZERO))
        for a, b in combinations(mms, 2):
            yield implies(algebra.eq(a, b), algebra.eq(self.mapped(a), self.mapped(b)))
        yield from self.total_covers(mms, self.mapped, self.total)

    def change(self, kind: int) -> Term:
        """What an operation adds to the mappings of its MM."""
        return term.times(self.nr, -1) if kind in REMOVES else self.nr

    def least(self, kind: int) -> tuple[Callable[[Term], Term], Term]:
        """(the mappings of an MM, all mappings) before or after an operation, whichever are fewer."""
        if kind not in REMOVES:
            return self.mapped, self.total

        def mapped(mm_id: Term) -> Term:
            count = self.mapped(mm_id)
            return algebra.choose(algebra.eq(mm_id, self.mm), term.sub(count, self.nr), count)

        return mapped, term.sub(self.total, self.nr)

    def total_covers(self, mms: list[Term], mapped: Callable[[Term], Term], total: Term) -> Iterator[Term]:
        """The total is at least the mappings of any two of some MMs."""
        if not self.owners:
            yield from (algebra.le(mapped(mm_id), total) for mm_id in mms)
            for a, b in combinations(mms, 2):
                yield implies(algebra.not_(algebra.eq(a, b)), algebra.le(term.add(mapped(a), mapped(b)), total))

    def legal(self, kind: int) -> Iterator[Term]:
        """The kernel could do an operation."""
        yield algebra.eq(self.nr, ONE) if kind in BY_PMD else algebra.le(self.nr, self.pages)
        if kind in REMOVES:
            yield algebra.le(self.nr, self.mapped(self.mm))
        elif kind in FORKS:
            yield algebra.not_(algebra.eq(self.parent, self.mm))
            yield algebra.le(self.nr, self.mapped(self.parent))
        if kind not in REMOVES:
            yield algebra.le(term.add(self.total, self.nr), term.const(self.most))


class Induction:
    """Tries to prove laws for one class of orders.

    Args:
        unrolling: before its first step.
        given: assumptions about its variables.
        budget: ends the attempt early.

    Attributes:
        queries: how often z3 was asked.
        bounds: the bound of a law that is proved, where it is not BOUND.
    """

    def __init__(self, unrolling: Unrolling, given: list[Term], budget: Budget) -> None:
        self.unrolling = unrolling
        self.given = given
        self.budget = budget
        self.queries = 0
        self.bounds: dict[LawClaim, str] = {}
        self.initial = dict(unrolling.paths.state)
        self.variables: list[StateVariable] = []
        self.unknown: set[CellKey] = set()
        self._after: dict[int, State] = {}
        self._faults: dict[int, list[Fault]] = {}
        self._by_pmd = "pmd" in unrolling.scheme.capabilities and unrolling.largest >= PMD_ORDER

    def proved(self, wanted: set[LawClaim]) -> Iterator[LawClaim]:
        """The wanted laws and claims that hold after any number of operations."""
        try:
            if not self._has_variables():
                return
            for owners in sorted({EXACT_CLAIMS.get(claim, 0) for _, claim in wanted}):
                laws = {key for key in wanted if EXACT_CLAIMS.get(key[1], 0) == owners}
                yield from self._proved_for(PageTables(self.unrolling, owners), laws)
        except (Unsupported, Unsolvable, NoProof):
            return

    # -- the state ---------------------------------------------------------------------------------------
    def _has_variables(self) -> bool:
        """Find the variables, unless the state has more than the folio's."""
        return not self.unrolling.scheme.stored("mm") and self._find_variables()

    def _find_variables(self) -> bool:
        """Find the variables of the state, and run each operation from any of their values."""
        unrolling = self.unrolling
        unrolling.paths.state, self.unknown = dict(self.initial), set()
        unrolling.step()
        unrolling.step()
        sample, unrolling.paths.state = unrolling.paths.state, dict(self.initial)
        unrolling.steps.clear()
        unrolling.legal.clear()
        changed = [key for key, value in sample.items() if key[0] == FOLIO and value is not self.initial[key]]
        self.unknown = {key for key in changed if is_unknown(sample[key])}
        self.variables = [v for key in changed if key not in self.unknown for v in self._variables(key, sample[key])]
        for _ in range(ROUNDS):
            lost, late = self._run_all()
            if not lost and not late:
                return bool(self.variables)
            self.unknown |= lost
            self.variables = [variable for variable in self.variables if variable.key not in self.unknown]
            self.variables += [v for key, value in late.items() if key not in lost for v in self._variables(key, value)]
        return False

    def _variables(self, key: CellKey, sample: Term) -> Iterator[StateVariable]:
        cell = self.unrolling.space.cells["folio"][key[1]]
        initial = self.initial[key].value
        assert initial is not None
        ranges = list(self._ranges(key, 8 * cell.size))
        if cell.ctype is not None and cell.ctype.signed and len(ranges) == 1:
            free = term.var(f"part{key[1]}", initial, min(initial + MAX_MAPPINGS, cell.ctype.high))
            yield StateVariable(key, 0, 0, "count", initial, free)
            return
        for low, width in ranges:
            first = initial >> low & ((1 << width) - 1)
            lowest, high, kind = 0, (1 << width) - 1, "flag"
            part = algebra.low(algebra.shr(sample, low), width)
            if width > 1 and _is_mm_id(part):
                high, kind = min(high, self.unrolling.scheme.max_mm_id), "id"
            elif width > 1 and part.value is None:  # bits that stay as they are count nothing
                lowest, high, kind = first, min(high, first + MAX_MAPPINGS), "count"
            yield StateVariable(key, low, width, kind, first, term.var(f"part{key[1]}.{low}", lowest, high))

    def _ranges(self, key: CellKey, bits: int) -> Iterator[tuple[int, int]]:
        """The ranges of bits that the fields of a cell declare, and the ranges between them."""
        edges = {0, bits}
        for field in self.unrolling.space.layouts["folio"].fields:
            for declared in field.bits:
                at = 8 * (field.offset - key[1]) + declared.low
                edges |= {edge for edge in (at, at + declared.width) if 0 < edge < bits}
        yield from ((low, high - low) for low, high in pairwise(sorted(edges)))

    def _kinds(self) -> tuple[int, ...]:
        """What can happen to a folio after its first mapping; by a PMD where the policy and the folios can."""
        return (MAP, DUP, UNMAP, *((MAP_PMD, DUP_PMD, UNMAP_PMD) if self._by_pmd else ()))

    def _any_state(self) -> State:
        state = dict(self.initial)
        for key in dict.fromkeys(variable.key for variable in self.variables):
            parts = [term.times(v.free, 1 << v.low) for v in self.variables if v.key == key]
            state[key] = term.add(*parts)
        for key in self.unknown:
            state[key] = self.unrolling.space.any_value(key)
        return state

    def _run_all(self) -> tuple[set[CellKey], dict[CellKey, Term]]:
        """Run each operation.

        Returns:
            the cells that then have no known value, or that PMDs change without a variable; and other cells without a
            variable that change, with a value: they change only after more operations than the sample has.
        """
        paths = self.unrolling.paths
        paths.faults.clear()
        before = self._any_state()
        lost: set[CellKey] = set()
        late: dict[CellKey, Term] = {}
        with_variable = {variable.key for variable in self.variables}
        for kind in self._kinds():
            paths.state = dict(before)
            self._run_kind(kind)
            after = self._after[kind] = paths.state
            self._faults[kind] = list(paths.faults)
            paths.faults.clear()
            for key, value in after.items():
                if key[0] != FOLIO or key in self.unknown or value is before[key]:
                    continue
                if is_unknown(value) or (kind in BY_PMD and key not in with_variable | late.keys()):
                    lost.add(key)
                elif key not in with_variable:
                    late.setdefault(key, value)
        paths.state = before
        return lost, late

    def _run_kind(self, kind: int) -> None:
        """Run an operation on the state."""
        self.unrolling.run(kind, "mm0", self.unrolling.mm_id(0), self.unrolling.nr(0))

    def _abstract(self, state: State | None, tables: PageTables, change: Term) -> AbstractState:
        """A state as the templates see it, with `change` more mappings of the operation's MM; None: any state."""
        values = [(v, v.free if state is None else v.value(state[v.key])) for v in self.variables]

        def mapped(mm_id: Term) -> Term:
            count = tables.mapped(mm_id)
            return algebra.choose(algebra.eq(mm_id, tables.mm), term.add(count, change), count)

        return AbstractState(
            [value for v, value in values if v.kind == "id"],
            [term.sub(value, term.const(v.initial)) for v, value in values if v.kind == "count"],
            [value for v, value in values if v.kind == "flag"],
            term.add(tables.total, change),
            tables.mapped if change is ZERO else mapped,
        )

    # -- induction ---------------------------------------------------------------------------------------
    def _proved_for(self, tables: PageTables, wanted: set[LawClaim]) -> Iterator[LawClaim]:
        yield from self._proved_by(tables, self.invariants(tables), wanted)

    def _proved_by(self, tables: PageTables, kept: list[Template], wanted: set[LawClaim]) -> Iterator[LawClaim]:
        """The wanted laws that follow from the invariants."""
        if not self._is_free_of_faults(tables, kept, lambda law: law != CHECKS):
            return
        if (CHECKS, OWED) in wanted and self._is_free_of_faults(tables, kept, CHECKS.__eq__):
            yield CHECKS, OWED
        first, second = tables.any_mms
        maps = [algebra.le(ONE, tables.mapped(mm_id)) for mm_id in tables.any_mms]
        shared = algebra.all_(algebra.not_(algebra.eq(first, second)), *maps)
        exclusive = algebra.all_(maps[0], algebra.eq(tables.mapped(first), tables.total))
        self.unrolling.mappings = [(first, tables.total)]
        truth = GroundTruth(shared, exclusive, tables.total, first, shared)
        given = self.assumptions(tables, kept, [*tables.any_mms, *self._abstract(None, tables, ZERO).ids])
        self._check_consistent(given)
        for query in queries(self.unrolling, truth, wanted - {(CHECKS, OWED)}):
            if not query.unsupported and self.ask(query.broken, given).answer == "unsatisfiable":
                yield query.law, query.claim

    def invariants(self, tables: PageTables) -> list[Template]:
        """The candidates that hold in the first state and that every operation preserves.

        Raises:
            NoProof: a query is not answered, or the variables do not cover the state.
        """
        here = self._abstract(None, tables, ZERO)
        kept = self._true_at_first(tables, templates(len(here.ids), len(here.counts), len(here.flags)))
        before = None
        while before != len(kept):
            before = len(kept)
            for kind, state in self._after.items():
                after = self._abstract(state, tables, tables.change(kind))
                mms = self.mms(tables, kind)
                given = [*self.assumptions(tables, kept, mms), *tables.legal(kind)]
                given += tables.total_covers(mms, after.mapped, after.total)
                if self.unrolling.anon:
                    given.append(algebra.le(ONE, after.total))
                self._check_consistent(given)
                kept = self._filtered(given, tables, kept, after, self._in_range(state))
        return kept

    def mms(self, tables: PageTables, kind: int | None = None) -> list[Term]:
        """The MMs that the assumptions are about."""
        parent = [tables.parent] if kind in FORKS else []
        return [tables.mm, *tables.any_mms, *self._abstract(None, tables, ZERO).ids, *parent]

    def assumptions(self, tables: PageTables, kept: list[Template], mms: list[Term]) -> list[Term]:
        """What is true of some MMs in every state that the policy reaches."""
        here = self._abstract(None, tables, ZERO)
        mms = list(dict.fromkeys([*mms, *(mm_id for mm_id, _ in tables.owners)]))
        formulas = [formula for template in kept for formula in template.instances(here, mms)]
        mapped = [algebra.le(ONE, tables.total)] if self.unrolling.anon else []
        return [*self.given, *tables.facts(mms), *mapped, *formulas]

    def ask(self, question: Term, given: list[Term]) -> Reply:
        """Whether a question can be true under assumptions."""
        reply = solve(question, given, self.budget, SECONDS)
        self.queries += reply.queries
        return reply

    def _check_consistent(self, given: list[Term]) -> None:
        """Check that the assumptions do not contradict each other: everything would follow from a contradiction.

        Raises:
            NoProof: they do, or the solver does not know.
        """
        question = algebra.eq(term.var("something", 0, 1), ONE)
        if self.ask(question, given).answer != "satisfiable":
            raise NoProof

    def _true_at_first(self, tables: PageTables, candidates: list[Template]) -> list[Template]:
        """The candidates that hold in the first state: a file's unmapped folio, or a new anonymous folio."""
        unrolling, paths = self.unrolling, self.unrolling.paths
        given = [*self.given, *tables.facts([tables.mm, *tables.any_mms]), algebra.eq(tables.total, ZERO)]
        if not unrolling.anon:
            return self._true_in(self.initial, ZERO, given, tables, candidates)
        for kind in (NEW, NEW_PMD) if self._by_pmd else (NEW,):
            paths.state = dict(self.initial)
            paths.faults.clear()
            unrolling.run(kind, "mm0", tables.mm, tables.nr)
            state, paths.state = paths.state, self._any_state()
            if paths.faults:
                raise NoProof
            mapped = algebra.eq(tables.nr, ONE if kind == NEW_PMD else tables.pages)
            candidates = self._true_in(state, tables.nr, [*given, mapped], tables, candidates)
        return candidates

    def _true_in(
        self, state: State, change: Term, given: list[Term], tables: PageTables, candidates: list[Template]
    ) -> list[Template]:
        """The candidates that hold in a first state, in which the operation's MM has `change` mappings."""
        covered = self.unknown | {variable.key for variable in self.variables}
        if any(v is not self.initial[k] for k, v in state.items() if k[0] == FOLIO and k not in covered):
            raise NoProof
        return self._filtered(given, tables, candidates, self._abstract(state, tables, change), self._in_range(state))

    def _in_range(self, state: State) -> Term:
        """Each variable has a value within its interval."""
        pairs = [(variable.free, variable.value(state[variable.key])) for variable in self.variables]
        return algebra.all_(
            *(algebra.le(term.const(free.lo), value) for free, value in pairs),
            *(algebra.le(value, term.const(free.hi)) for free, value in pairs),
        )

    def _filtered(
        self, given: list[Term], tables: PageTables, candidates: list[Template], after: AbstractState, needed: Term
    ) -> list[Template]:
        """The candidates that hold in a later state.

        Raises:
            NoProof: `needed` may be false there, or the solver does not know.
        """
        formulas = {template: algebra.all_(*template.instances(after, tables.any_mms)) for template in candidates}
        while True:
            reply = self.ask(algebra.not_(algebra.all_(needed, *formulas.values())), given)
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

    def _is_free_of_faults(self, tables: PageTables, kept: list[Template], of: Callable[[str], bool]) -> bool:
        """No operation breaks one of these laws on the way; a check that fires changes nothing, and others may hold."""
        for kind, faults in self._faults.items():
            given = [*self.assumptions(tables, kept, self.mms(tables)), *tables.legal(kind)]
            conditions = list(dict.fromkeys(fault.when for fault in faults if of(fault.law)))
            for first in range(0, len(conditions), TOGETHER):
                together = algebra.any_(*conditions[first : first + TOGETHER])
                if self.ask(together, given).answer != "unsatisfiable":
                    return False
        return True


def _is_mm_id(value: Term) -> bool:
    """A number is always the ID of an MM or a constant."""
    todo, found = [value], False
    while todo:
        term = todo.pop()
        if term.op == Op.ITE:
            todo += term.args[1:]
        elif term.op == Op.VAR and str(term.args[0]).startswith("id"):
            found = True
        elif term.value is None:
            return False
    return found
