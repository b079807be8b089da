"""Sentences that may hold of every state a policy reaches, made from what it stores: IDs, counts, flags.

They are guesses. `induction` keeps those that the first state fulfils and every operation preserves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import combinations

from foliolab.framework.verify.symbolic import algebra, term
from foliolab.framework.verify.symbolic.term import Term

ZERO = term.const(0)
ONE = term.const(1)


@dataclass(frozen=True)
class View:
    """A state, and what is true beside it.

    Args:
        ids: the values of parts that hold an MM's ID, or 0.
        counts: those of parts that count, as they differ from their initial values.
        flags: those of single bits.
        total: all mappings.
        mapped: how many mappings the MM of an ID has.
    """

    ids: list[Term]
    counts: list[Term]
    flags: list[Term]
    total: Term
    mapped: Callable[[Term], Term]


Sentence = Callable[[View, Term, Term], Term]


@dataclass(frozen=True)
class Template:
    """A sentence about a state and any MMs.

    Args:
        mms: how many MMs it speaks of.
        sentence: what it says of them.
    """

    mms: int
    sentence: Sentence

    def of(self, view: View, mms: list[Term]) -> Iterator[Term]:
        """What it says of some MMs, given by their IDs; 0 is none of them."""
        for some in combinations(mms, self.mms):
            nobody = (algebra.eq(one, ZERO) for one in some)
            first, second = (*some, ZERO, ZERO)[:2]
            yield algebra.any_(*nobody, self.sentence(view, first, second))


def implies(*terms: Term) -> Term:
    """That the last one follows from the others."""
    return algebra.any_(*(algebra.not_(one) for one in terms[:-1]), terms[-1])


def templates(ids: int, counts: int, flags: int) -> list[Template]:
    """All sentences for so many parts of each kind."""
    return [*_of_ids(ids), *_of_counts(ids, counts), *_of_flags(ids, flags)]


def _of_ids(ids: int) -> Iterator[Template]:
    for i in range(ids):
        yield from (Template(0, partial(_no_id_twice, i, j)) for j in range(i))
        yield Template(1, partial(_who_is_named_maps, i))
    if ids:
        yield Template(1, _who_maps_is_named)


def _of_counts(ids: int, counts: int) -> Iterator[Template]:
    for c in range(counts):
        yield Template(0, partial(_counts_all, c))
        yield Template(0, partial(_counts_no_more_than_all, c))
        for i in range(ids):
            yield Template(1, partial(_counts_whose, i, c))
            yield Template(1, partial(_counts_no_more_than_whose, i, c))
            yield Template(1, partial(_counts_if_used, i, c))
            yield Template(0, partial(_is_empty_if_unused, i, c))


def _of_flags(ids: int, flags: int) -> Iterator[Template]:
    for f in range(flags):
        for value in (0, 1):
            yield Template(0, partial(_is_always, f, value))
            yield Template(0, partial(_is_so_unmapped, f, value))
            yield Template(2, partial(_says_at_most_one_maps, f, value))
            for i in range(ids):
                yield Template(0, partial(_says_used, f, value, i))
                yield Template(0, partial(_says_unused, f, value, i))


def _no_id_twice(i: int, j: int, view: View, x: Term, y: Term) -> Term:
    return implies(algebra.eq(view.ids[i], view.ids[j]), algebra.eq(view.ids[i], ZERO))


def _who_is_named_maps(i: int, view: View, x: Term, y: Term) -> Term:
    return implies(algebra.eq(view.ids[i], x), algebra.le(ONE, view.mapped(x)))


def _who_maps_is_named(view: View, x: Term, y: Term) -> Term:
    return implies(algebra.le(ONE, view.mapped(x)), algebra.any_(*(algebra.eq(one, x) for one in view.ids)))


def _counts_all(c: int, view: View, x: Term, y: Term) -> Term:
    return algebra.eq(view.counts[c], view.total)


def _counts_no_more_than_all(c: int, view: View, x: Term, y: Term) -> Term:
    return algebra.le(view.counts[c], view.total)


def _counts_whose(i: int, c: int, view: View, x: Term, y: Term) -> Term:
    return implies(algebra.eq(view.ids[i], x), algebra.eq(view.counts[c], view.mapped(x)))


def _counts_no_more_than_whose(i: int, c: int, view: View, x: Term, y: Term) -> Term:
    return implies(algebra.eq(view.ids[i], x), algebra.le(view.counts[c], view.mapped(x)))


def _counts_if_used(i: int, c: int, view: View, x: Term, y: Term) -> Term:
    return implies(algebra.eq(view.ids[i], x), algebra.le(ONE, view.counts[c]))


def _is_empty_if_unused(i: int, c: int, view: View, x: Term, y: Term) -> Term:
    return implies(algebra.eq(view.ids[i], ZERO), algebra.eq(view.counts[c], ZERO))


def _is(f: int, value: int, view: View) -> Term:
    return algebra.eq(view.flags[f], term.const(value))


def _is_always(f: int, value: int, view: View, x: Term, y: Term) -> Term:
    return _is(f, value, view)


def _is_so_unmapped(f: int, value: int, view: View, x: Term, y: Term) -> Term:
    return implies(algebra.eq(view.total, ZERO), _is(f, value, view))


def _says_at_most_one_maps(f: int, value: int, view: View, x: Term, y: Term) -> Term:
    both = algebra.all_(algebra.le(ONE, view.mapped(x)), algebra.le(ONE, view.mapped(y)))
    return implies(_is(f, value, view), both, algebra.eq(x, y))


def _says_used(f: int, value: int, i: int, view: View, x: Term, y: Term) -> Term:
    return implies(_is(f, value, view), algebra.not_(algebra.eq(view.ids[i], ZERO)))


def _says_unused(f: int, value: int, i: int, view: View, x: Term, y: Term) -> Term:
    return implies(_is(f, value, view), algebra.eq(view.ids[i], ZERO))
