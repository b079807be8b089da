"""IDs that a text only compares: then any one-to-one change of them changes nothing, and few names stand for all."""

from __future__ import annotations

from collections.abc import Iterable

from foliolab.framework.verify.symbolic import algebra, term
from foliolab.framework.verify.symbolic.term import CONST, EQ, ITE, SUM, Term, everything


def only_compared(terms: Iterable[Term], ids: Iterable[Term]) -> bool:
    """Whether IDs occur in some terms only in comparisons of two of them, or of one of them with 0, no MM's ID."""
    names = set(ids)
    for one in everything(terms):
        if one.op == ITE and (one.args[1] in names or one.args[2] in names):
            if any(part not in names and not (part.op == CONST and part.args[0] == 0) for part in one.args[1:]):
                return False
            names.add(one)
        elif one.op == EQ:
            continue
        elif any(part in names for part in one.parts()) and not _is_difference(one, names):
            return False
    return all(_fits(one, names) for one in everything(terms))


def _is_difference(one: Term, names: set[Term]) -> bool:
    if one.op != SUM or one.args[0] != 0 or len(one.args[1]) != 2:
        return False
    (a, factor), (b, other) = one.args[1]
    return len(a) == len(b) == 1 and a[0] in names and b[0] in names and {factor, other} == {1, -1}


def _fits(one: Term, names: set[Term]) -> bool:
    """Whether a difference of IDs is only ever compared with 0, and an ID alone with nothing else."""
    return one.op == EQ or not any(_is_difference(part, names) for part in one.parts())


def first_names(ids: list[Term]) -> list[Term]:
    """That IDs are named 1, 2, … in the order in which they first occur."""
    held = [algebra.eq(ids[0], term.const(1))] if ids else []
    for i, one in enumerate(ids[1:], 1):
        held.append(algebra.le(one, term.const(i + 1)))
        held.append(algebra.any_(*(algebra.le(one, term.add(other, term.const(1))) for other in ids[:i])))
    return held
