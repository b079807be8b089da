"""Templates of invariant candidates: formulas over the IDs, counts and flags that a policy stores.

A candidate may be false. `invariants` keeps those that hold in the first state and that every operation preserves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import combinations

from foliolab.framework.machine.layout import PMD_ORDER
from foliolab.framework.verify.symbolic import algebra, term
from foliolab.framework.verify.symbolic.term import Term

ZERO = term.const(0)
ONE = term.const(1)


@dataclass(frozen=True)
class AbstractState:
    """A state as the templates see it.

    Args:
        ids: the values of the stored IDs; 0 names no MM.
        counts: the values of the stored counts, minus their initial values.
        flags: the values of the stored bits.
        total: all mappings of the folio.
        pmds: those of them that are by a PMD.
        mapped: the mappings of the MM with an ID.
    """

    ids: list[Term]
    counts: list[Term]
    flags: list[Term]
    total: Term
    pmds: Term
    mapped: Callable[[Term], Term]


Formula = Callable[[AbstractState, Term, Term], Term]


@dataclass(frozen=True)
class Template:
    """An invariant candidate: a formula about a state and any MMs.

    Args:
        text: what the formula says; it differs for different formulas.
        mms: how many MMs it is about, 0 to 2.
        formula: the formula for a state and two MMs; it ignores those that it is not about.
    """

    text: str
    mms: int
    formula: Formula = field(compare=False)

    def instances(self, state: AbstractState, mms: list[Term]) -> Iterator[Term]:
        """The formula for each choice of MMs, given by their IDs; it holds if an ID is 0."""
        for chosen in combinations(mms, self.mms):
            first, second = (*chosen, ZERO, ZERO)[:2]
            yield algebra.any_(*(algebra.eq(mm_id, ZERO) for mm_id in chosen), self.formula(state, first, second))


def implies(*terms: Term) -> Term:
    """The last term follows from the others."""
    return algebra.any_(*(algebra.not_(premise) for premise in terms[:-1]), terms[-1])


def templates(ids: int, counts: int, flags: int) -> list[Template]:
    """All candidates for a state with so many IDs, counts and flags."""
    found = [template for i in range(ids) for template in _about_id(i)]
    if ids:
        found.append(Template("every MM that maps is named by an ID", 1, _all_named))
    for c in range(counts):
        found += _about_count(c)
        found += (template for i in range(ids) for template in _about_id_and_count(i, c))
    for f in range(flags):
        for value in (0, 1):
            found += _about_flag(f, value)
            found += (template for i in range(ids) for template in _about_flag_and_id(f, value, i))
    return found


def _pages(state: AbstractState) -> Term:
    """The pages that all mappings map: a page counts for each of them."""
    return term.add(state.total, term.times(state.pmds, (1 << PMD_ORDER) - 1))


def _maps(state: AbstractState, mm_id: Term) -> Term:
    return algebra.le(ONE, state.mapped(mm_id))


def _all_named(state: AbstractState, x: Term, y: Term) -> Term:
    return implies(_maps(state, x), algebra.any_(*(algebra.eq(mm_id, x) for mm_id in state.ids)))


def _about_id(i: int) -> Iterator[Template]:
    def differs(j: int) -> Formula:
        return lambda s, x, y: implies(algebra.eq(s.ids[i], s.ids[j]), algebra.eq(s.ids[i], ZERO))

    for j in range(i):
        yield Template(f"ID {i} and ID {j} name different MMs", 0, differs(j))
    yield Template(f"the MM of ID {i} maps", 1, lambda s, x, y: implies(algebra.eq(s.ids[i], x), _maps(s, x)))


def _about_count(c: int) -> Iterator[Template]:
    yield Template(f"count {c} is the total", 0, lambda s, x, y: algebra.eq(s.counts[c], s.total))
    yield Template(f"count {c} is at most the total", 0, lambda s, x, y: algebra.le(s.counts[c], s.total))
    yield Template(f"count {c} is the mappings by PMDs", 0, lambda s, x, y: algebra.eq(s.counts[c], s.pmds))
    yield Template(f"count {c} is the pages that are mapped", 0, lambda s, x, y: algebra.eq(s.counts[c], _pages(s)))


def _about_id_and_count(i: int, c: int) -> Iterator[Template]:
    def if_named(conclusion: Formula) -> Formula:
        return lambda s, x, y: implies(algebra.eq(s.ids[i], x), conclusion(s, x, y))

    exact = if_named(lambda s, x, y: algebra.eq(s.counts[c], s.mapped(x)))
    at_most = if_named(lambda s, x, y: algebra.le(s.counts[c], s.mapped(x)))
    others = if_named(lambda s, x, y: algebra.eq(term.add(s.counts[c], s.mapped(x)), s.total))
    used = if_named(lambda s, x, y: algebra.le(ONE, s.counts[c]))
    yield Template(f"count {c} is the mappings of the MM of ID {i}", 1, exact)
    yield Template(f"count {c} is at most the mappings of the MM of ID {i}", 1, at_most)
    yield Template(f"count {c} is the mappings of all MMs but that of ID {i}", 1, others)
    yield Template(f"count {c} is positive if ID {i} names an MM", 1, used)
    yield Template(
        f"count {c} is 0 if ID {i} is 0",
        0,
        lambda s, x, y: implies(algebra.eq(s.ids[i], ZERO), algebra.eq(s.counts[c], ZERO)),
    )


def _about_flag(f: int, value: int) -> Iterator[Template]:
    def flag(state: AbstractState) -> Term:
        return algebra.eq(state.flags[f], term.const(value))

    yield Template(f"flag {f} is {value}", 0, lambda s, x, y: flag(s))
    yield Template(
        f"flag {f} is {value} if nothing maps", 0, lambda s, x, y: implies(algebra.eq(s.total, ZERO), flag(s))
    )
    yield Template(
        f"flag {f} is {value} if one MM has all mappings",
        1,
        lambda s, x, y: implies(_maps(s, x), algebra.eq(s.mapped(x), s.total), flag(s)),
    )
    yield Template(
        f"at most one MM maps if flag {f} is {value}",
        2,
        lambda s, x, y: implies(flag(s), _maps(s, x), _maps(s, y), algebra.eq(x, y)),
    )
    yield Template(
        f"every MM that maps is named by an ID if flag {f} is {value}",
        1,
        lambda s, x, y: implies(flag(s), _all_named(s, x, y)),
    )


def _about_flag_and_id(f: int, value: int, i: int) -> Iterator[Template]:
    def if_flag(conclusion: Formula) -> Formula:
        return lambda s, x, y: implies(algebra.eq(s.flags[f], term.const(value)), conclusion(s, x, y))

    unused = if_flag(lambda s, x, y: algebra.eq(s.ids[i], ZERO))
    used = if_flag(lambda s, x, y: algebra.not_(algebra.eq(s.ids[i], ZERO)))
    yield Template(f"ID {i} names an MM if flag {f} is {value}", 0, used)
    yield Template(f"ID {i} is 0 if flag {f} is {value}", 0, unused)
