"""Policies whose state is a sum: then the order of operations does not matter, only who maps how much in the end.

A policy is one if, from any state, mapping nr pages adds something to each of its cells that depends on the MM's ID
and, in proportion, on nr alone, and unmapping takes the same away; other cells may count operations, or stay unknown
if no answer looks at them. That is shown on terms, for a state of free cells, not tried. A state that any number
of operations reaches is then that of one mapping for each MM that still maps the folio.
"""

from __future__ import annotations

from typing import Final

from foliolab.framework.verify.symbolic import algebra, term
from foliolab.framework.verify.symbolic.paths import State
from foliolab.framework.verify.symbolic.space import FOLIO, Cell, Place, is_unknown
from foliolab.framework.verify.symbolic.term import Term, as_sum, variables
from foliolab.framework.verify.symbolic.unrolling import DUP, MAP, NEW, UNMAP, Course

MOST: Final = 1 << 26
"""Mappings of a folio, and operations on it, up to which a sum is one."""


class Sums:
    """What each operation adds to the cells of a course's folio.

    Attributes:
        added: to each cell by mapping `nr` pages in the MM of `mm_id`.
        counted: to each cell by every operation.
        unknown: cells that are not followed.
    """

    def __init__(self, course: Course) -> None:
        self.course = course
        self.mm_id, self.nr = course.mm_id(0), course.nr(0)
        self.initial = dict(course.paths.state)
        self.added: dict[Place, Term] = {}
        self.counted: dict[Place, int] = {}
        self.unknown: set[Place] = set()
        self.known_mm: State = {}

    def find(self) -> bool:
        """Whether the policy is one whose state is a sum."""
        course = self.course
        first = NEW if course.anon else MAP
        course.paths.faults.clear()
        state = self._after(self.initial, first, "mm0")
        if course.paths.faults:
            return False
        self.known_mm = {place: value for place, value in state.items() if place[0] == "mm0"}
        for place, change in self._changes(self.initial, state).items():
            if is_unknown(change):
                self.unknown.add(place)
            elif change.value is None:
                self.added[place] = change
            else:
                self.counted[place] = change.value
        self._other_cells()
        return self._is_first(first) and self._is_sum()

    def _after(self, state: State, kind: int, mm: str) -> State:
        course = self.course
        course.paths.state = dict(state)
        course.run(kind, mm, self.mm_id, self.nr)
        after, course.paths.state = course.paths.state, dict(self.initial)
        return after

    def _cell(self, place: Place) -> Cell:
        return self.course.space.cells["folio"][place[1]]

    def _changes(self, before: State, after: State) -> dict[Place, Term]:
        """By how much the folio's cells differ, modulo their widths."""
        found = {}
        for place, old in before.items():
            if place[0] == FOLIO and after[place] is not old:
                change = algebra.modulo(term.sub(after[place], old), 8 * self._cell(place).size)
                if change.value != 0:
                    found[place] = change
        return found

    def _other_cells(self) -> None:
        """Cells that the first operation leaves alone and others change: they count, or the check will fail."""
        for kind in (DUP, UNMAP):
            for place, change in self._changes(self.initial, self._after(self.initial, kind, "mm0")).items():
                if is_unknown(change):
                    self.unknown.add(place)
                elif place not in self.added:
                    self.counted.setdefault(place, change.value if change.value is not None else 0)
        for place in self.unknown:
            self.added.pop(place, None)
            self.counted.pop(place, None)

    def state(self, sums: dict[Place, Term], tag: str) -> State:
        """A state in which the sums are given and all that counts or is unknown is free."""
        found = dict(self.initial)
        for place, value in sums.items():
            found[place] = self._fit(place, value)
        for place, step in self.counted.items():
            times = term.var(f"{tag}count{place[1]}", 0, MOST)
            found[place] = self._fit(place, term.add(found[place], term.times(times, step)))
        for place in self.unknown:
            found[place] = self.course.space.any_of(place)
        return found

    def _fit(self, place: Place, value: Term) -> Term:
        cell = self._cell(place)
        if cell.ctype is None:
            return algebra.low(value, 8 * cell.size)
        return algebra.wrap(value, cell.ctype.bits, cell.ctype.signed)

    def _generic(self) -> State:
        """Any state: each sum is a free number of its cell."""
        sums = {}
        for place in self.added:
            cell = self._cell(place)
            wide = cell.ctype is not None and cell.ctype.bits == algebra.WORD
            low = cell.ctype.low if cell.ctype is not None and wide else self.initial[place].lo
            high = cell.ctype.high if cell.ctype is not None and wide else low + MOST
            if cell.ctype is not None:
                high = min(high, cell.ctype.high)
            sums[place] = term.var(f"sum{place[1]}", low, high)
        return self.state(sums, "any")

    def _is_first(self, first: int) -> bool:
        """Whether the first mapping adds as every later one, and in proportion to its pages."""
        for change in self.added.values():
            constant, products = as_sum(change)
            if constant or any(sum(atom is self.nr for atom in monomial) != 1 for monomial in products):
                return False
            if set(variables([change])) - {self.nr, self.mm_id}:
                return False
        return True

    def _is_sum(self) -> bool:
        course = self.course
        generic = self._generic()
        kinds = (DUP, UNMAP) if course.anon else (MAP, DUP, UNMAP)
        for kind in kinds:
            for mm in ("mm0",) if kind == UNMAP else ("mm0", "fresh"):
                course.paths.faults.clear()
                start = dict(generic)
                if mm == "mm0":
                    start |= self.known_mm
                after = self._after(start, kind, mm)
                if course.paths.faults or not self._as_expected(start, after, -1 if kind == UNMAP else 1):
                    return False
                if any(after[mm, offset] is not value for (_, offset), value in self.known_mm.items()):
                    return False
        return True

    def _as_expected(self, before: State, after: State, sign: int) -> bool:
        changes = self._changes(before, after)
        for place in {*changes, *self.added, *self.counted} - self.unknown:
            change = changes.get(place, term.const(0))
            if place in self.counted:
                expected = term.const(self.counted[place])
            else:
                expected = term.times(self.added.get(place, term.const(0)), sign)
            bits = 8 * self._cell(place).size
            if algebra.modulo(term.sub(change, expected), bits).value != 0:
                return False
        return True

    # -- what it is good for -----------------------------------------------------------------------------
    def held_by(self, owners: int) -> list[tuple[Term, Term]]:
        """Put the course into any state in which at most so many MMs map the folio; their IDs and counts."""
        course = self.course
        mms = [(course.mm_id(i), term.var(f"held{i}", 0, 1 << course.largest)) for i in range(owners)]
        sums: dict[Place, Term] = {}
        for place, change in self.added.items():
            sums[place] = term.add(self.initial[place], *(self._of(change, *mm) for mm in mms))
        known = {("asking", place[1]): value for place, value in self.known_mm.items()}
        course.paths.state = self.state(sums, "any") | known
        course.held = mms
        return mms

    def _of(self, change: Term, mm_id: Term, nr: Term) -> Term:
        stands = {self.mm_id: mm_id, self.nr: nr}
        return algebra.substitute(change, stands.get)
