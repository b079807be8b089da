"""IDs that a text only compares: then any one-to-one change of them changes nothing, and who equals whom says all.

Comparisons of IDs become truths of their own, one for each pair of steps, and equality's laws are said beside them.
The solver then has no IDs to choose, but the answer is about every choice of them.
"""

from __future__ import annotations

from collections.abc import Iterable

from foliolab.framework.verify.symbolic import algebra, term
from foliolab.framework.verify.symbolic.term import CONST, EQ, FALSE, ITE, SUM, TRUE, Term, everything


class Partition:
    """Which of some IDs are equal.

    Args:
        ids: free variables, of the same interval, from 1 on.
    """

    def __init__(self, ids: list[Term]) -> None:
        self.ids = ids
        self._place = {one: i for i, one in enumerate(ids)}
        self._same: dict[tuple[Term, Term], Term] = {}

    def applies(self, terms: Iterable[Term]) -> bool:
        """Whether terms only compare IDs, with each other or with 0, and there are enough IDs for all of them."""
        if not self.ids or self.ids[0].hi - self.ids[0].lo < len(self.ids):
            return False
        every = everything(terms)
        names = set(self.ids)
        for one in every:
            if one.op == ITE and any(side in names for side in one.args[1:]):
                if not all(side in names or _is_zero(side) for side in one.args[1:]):
                    return False
                names.add(one)
        compared = {one.args[0] for one in every if one.op == EQ and self._sides(one.args[0], names)}
        for one in every:
            if one in names or one in compared or (one.op == EQ and one.args[0] in compared):
                continue
            if any(part in names or part in compared for part in one.parts()):
                return False
        return all(one.op == EQ or not any(part in compared for part in one.parts()) for one in every)

    @staticmethod
    def _sides(difference: Term, names: set[Term]) -> tuple[Term, Term] | None:
        """The two IDs whose difference a term is."""
        if difference in names:
            return difference, term.const(0)
        if difference.op != SUM or difference.args[0] != 0 or len(difference.args[1]) != 2:
            return None
        (a, factor), (b, other) = difference.args[1]
        if len(a) == len(b) == 1 and {factor, other} == {1, -1} and a[0] in names and b[0] in names:
            return a[0], b[0]
        return None

    def rewritten(self, one: Term) -> Term:
        """A term with truths in place of comparisons."""
        names = set(self.ids)
        names.update(part for part in everything([one]) if part.op == ITE and self._is_id(part))

        def change(part: Term) -> Term | None:
            if part.op != EQ:
                return None
            sides = self._sides(part.args[0], names)
            return self._equal(sides[0], sides[1], change) if sides else None

        return algebra.substitute(one, change)

    def _is_id(self, one: Term) -> bool:
        while one.op == ITE:
            one = one.args[2] if _is_zero(one.args[1]) else one.args[1]
        return one in self._place

    def _equal(self, a: Term, b: Term, change: object) -> Term:
        found = self._same.get((a, b))
        if found is None:
            found = self._same[a, b] = self._compared(a, b, change)
        return found

    def _compared(self, a: Term, b: Term, change: object) -> Term:
        if a is b:
            return TRUE
        for one, other in ((a, b), (b, a)):
            if one.op == ITE:
                condition = self.rewritten(one.args[0])
                return algebra.choose(
                    condition, self._equal(one.args[1], other, change), self._equal(one.args[2], other, change)
                )
        if _is_zero(a) or _is_zero(b):
            return FALSE
        return self.same(self._place[a], self._place[b])

    def same(self, i: int, j: int) -> Term:
        """The truth that two IDs are equal."""
        if i == j:
            return TRUE
        return algebra.eq(term.var(f"same.{max(i, j)}.{min(i, j)}", 0, 1), term.const(1))

    def laws(self) -> list[Term]:
        """Equality is transitive."""
        found = []
        for i in range(len(self.ids)):
            for j in range(i):
                for k in range(j):
                    a, b, c = self.same(i, j), self.same(j, k), self.same(i, k)
                    for x, y, z in ((a, b, c), (a, c, b), (b, c, a)):
                        found.append(algebra.any_(algebra.not_(algebra.all_(x, y)), z))
        return found

    def values(self, model: dict[str, int]) -> dict[str, int]:
        """IDs that are equal as the solver's numbers say."""
        chosen: list[int] = []
        for i in range(len(self.ids)):
            like = [j for j in range(i) if model.get(f"same.{i}.{j}", 0)]
            chosen.append(chosen[like[0]] if like else max(chosen, default=0) + 1)
        return {str(one.args[0]): value for one, value in zip(self.ids, chosen, strict=True)}


def _is_zero(one: Term) -> bool:
    return one.op == CONST and one.args[0] == 0
