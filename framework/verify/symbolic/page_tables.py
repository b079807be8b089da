"""The mappings of the MMs beside a folio in any state, and what an operation does to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Final

from foliolab.framework.verify.symbolic import algebra, term
from foliolab.framework.verify.symbolic.additive import MAX_MAPPINGS
from foliolab.framework.verify.symbolic.templates import ONE, ZERO, implies
from foliolab.framework.verify.symbolic.term import Term
from foliolab.framework.verify.symbolic.unrolling import (
    DUP,
    DUP_PMD,
    MAP,
    MAP_PMD,
    NEW_PMD,
    UNMAP,
    UNMAP_PMD,
    Unrolling,
)

BY_PTES: Final = (MAP, DUP, UNMAP)
"""What can happen to a folio after its first mapping, by PTEs."""
BY_PMD: Final = (MAP_PMD, DUP_PMD, UNMAP_PMD)
"""The same by a PMD."""
FORKS: Final = (DUP, DUP_PMD)
REMOVES: Final = (UNMAP, UNMAP_PMD)


class PageTables:
    """The mappings of the MMs.

    Args:
        unrolling: gives the variables of the operation.
        owners: at most so many MMs map the folio at a time; 0: any number.
        by_pmd: some mappings may be by a PMD.
    """

    def __init__(self, unrolling: Unrolling, owners: int, by_pmd: bool) -> None:
        self.mm, self.nr, self.parent = unrolling.mm_id(0), unrolling.nr(0), unrolling.mm_id(1)
        self.any_mms = [unrolling.mm_id(2), unrolling.mm_id(3)]
        self.pages = unrolling.pages
        self.most = min(MAX_MAPPINGS, unrolling.scheme.policy.max_mappings)
        self.owners = [
            (self.mm if i == 0 else term.var(f"idheld{i}", 1, unrolling.scheme.max_mm_id), self._count(f"held{i}"))
            for i in range(owners)
        ]
        self.total = term.add(*(count for _, count in self.owners)) if owners else self._count("total")
        self.pmds = self._count("pmds") if by_pmd else ZERO
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
        yield algebra.le(self.pmds, self.total)
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

    def change_by_pmd(self, kind: int) -> Term:
        """What an operation adds to the mappings by PMDs."""
        return self.change(kind) if kind in (*BY_PMD, NEW_PMD) else ZERO

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
            yield algebra.le(self.nr, self.pmds if kind in BY_PMD else term.sub(self.total, self.pmds))
        elif kind in FORKS:
            yield algebra.not_(algebra.eq(self.parent, self.mm))
            yield algebra.le(self.nr, self.mapped(self.parent))
        if kind not in REMOVES:
            yield algebra.le(term.add(self.total, self.nr), term.const(self.most))
