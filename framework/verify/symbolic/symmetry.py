"""Symmetry reduction for MM IDs that a policy only compares.

Then a one-to-one renaming of the IDs changes nothing: only which IDs are equal matters. Each comparison of two IDs
becomes a Boolean variable, with the laws of equality as assumptions. z3 has no IDs to choose, and the answer covers
every choice.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations

from foliolab.framework.verify.symbolic import algebra, term
from foliolab.framework.verify.symbolic.term import FALSE, TRUE, Op, Term, subterms


class Partition:
    """Which of some IDs are equal.

    Args:
        ids: free variables with the same interval, which does not contain 0.
    """

    def __init__(self, ids: list[Term]) -> None:
        self.ids = ids
        self._index = {mm_id: i for i, mm_id in enumerate(ids)}
        self._same: dict[tuple[Term, Term], Term] = {}

    def applies(self, terms: Iterable[Term]) -> bool:
        """Whether the terms only compare IDs, with each other or with 0, and there are enough IDs for all of them."""
        if not self.ids or self.ids[0].hi - self.ids[0].lo < len(self.ids):
            return False
        every = subterms(terms)
        ids = set(self.ids)
        for node in every:
            if node.op == Op.ITE and any(side in ids for side in node.args[1:]):
                if not all(side in ids or _is_zero(side) for side in node.args[1:]):
                    return False
                ids.add(node)
        differences = {node.args[0] for node in every if node.op == Op.EQ and self._sides(node.args[0], ids)}
        for node in every:
            used = [part for part in node.parts() if part in ids or part in differences]
            compares = node in ids or node in differences or (node.op == Op.EQ and node.args[0] in differences)
            if used and not compares:
                return False
        return all(node.op == Op.EQ or differences.isdisjoint(node.parts()) for node in every)

    @staticmethod
    def _sides(difference: Term, ids: set[Term]) -> tuple[Term, Term] | None:
        """(a, b) if a term is a - b for two IDs, or an ID and 0."""
        if difference in ids:
            return difference, term.const(0)
        if difference.op != Op.SUM or difference.args[0] != 0 or len(difference.args[1]) != 2:
            return None
        (a, factor), (b, other) = difference.args[1]
        if len(a) == len(b) == 1 and {factor, other} == {1, -1} and a[0] in ids and b[0] in ids:
            return a[0], b[0]
        return None

    def rewritten(self, node: Term) -> Term:
        """A term with Boolean variables in place of comparisons."""
        ids = {*self.ids, *(part for part in subterms([node]) if part.op == Op.ITE and self._is_id(part))}

        def change(part: Term) -> Term | None:
            sides = self._sides(part.args[0], ids) if part.op == Op.EQ else None
            return self._equal(*sides) if sides else None

        return algebra.substitute(node, change)

    def _is_id(self, node: Term) -> bool:
        while node.op == Op.ITE:
            node = node.args[2] if _is_zero(node.args[1]) else node.args[1]
        return node in self._index

    def _equal(self, a: Term, b: Term) -> Term:
        found = self._same.get((a, b))
        if found is None:
            found = self._same[a, b] = self._compared(a, b)
        return found

    def _compared(self, a: Term, b: Term) -> Term:
        if a is b:
            return TRUE
        for x, y in ((a, b), (b, a)):
            if x.op == Op.ITE:
                condition, *sides = x.args
                return algebra.choose(self.rewritten(condition), *(self._equal(side, y) for side in sides))
        if _is_zero(a) or _is_zero(b):
            return FALSE
        return self.same(self._index[a], self._index[b])

    def same(self, i: int, j: int) -> Term:
        """The Boolean variable for the equality of two IDs."""
        if i == j:
            return TRUE
        return algebra.eq(term.var(f"same.{max(i, j)}.{min(i, j)}", 0, 1), term.const(1))

    def laws(self) -> list[Term]:
        """Equality is transitive."""
        found = []
        for i, j, k in combinations(range(len(self.ids)), 3):
            a, b, c = self.same(i, j), self.same(j, k), self.same(i, k)
            for x, y, z in ((a, b, c), (a, c, b), (b, c, a)):
                found.append(algebra.any_(algebra.not_(algebra.all_(x, y)), z))
        return found

    def values(self, model: dict[str, int]) -> dict[str, int]:
        """Values of the IDs that are equal where the solver's values say so."""
        chosen: list[int] = []
        for i in range(len(self.ids)):
            equal = [j for j in range(i) if model.get(f"same.{i}.{j}", 0)]
            chosen.append(chosen[equal[0]] if equal else max(chosen, default=0) + 1)
        return {str(mm_id.args[0]): value for mm_id, value in zip(self.ids, chosen, strict=True)}


def _is_zero(node: Term) -> bool:
    return node.op == Op.CONST and node.args[0] == 0
