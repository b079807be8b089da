"""Policies with an additive state: only who maps how many pages in the end matters, not the order of operations.

A state is additive if, from any state, mapping nr pages adds to each cell a term that depends on the MM's ID and is
proportional to nr, and unmapping subtracts the same. Other cells may count operations; cells with unknown values are
free. This is proved on terms, for a state of free cells. The state after any number of operations is then the one
after a single mapping operation of each MM that still maps the folio (a closed form, as in loop acceleration).
"""

from __future__ import annotations

from typing import Final

from foliolab.framework.verify.symbolic import algebra, term
from foliolab.framework.verify.symbolic.paths import State
from foliolab.framework.verify.symbolic.space import FOLIO, Cell, CellKey, is_unknown
from foliolab.framework.verify.symbolic.term import Term, as_sum, variables
from foliolab.framework.verify.symbolic.unrolling import DUP, MAP, NEW, UNMAP, Unrolling

MAX_MAPPINGS: Final = 1 << 26
"""Mappings of a folio, and operations on it, up to which the state is examined."""


class AdditiveState:
    """What each operation adds to the cells of the folio.

    Args:
        unrolling: before its first step.

    Attributes:
        added: for each cell, the term that mapping `nr` pages in the MM of `mm_id` adds.
        counted: for each cell, the number that every operation adds.
        unknown: cells whose value is not known.
    """

    def __init__(self, unrolling: Unrolling) -> None:
        self.unrolling = unrolling
        self.mm_id, self.nr = unrolling.mm_id(0), unrolling.nr(0)
        self.initial = dict(unrolling.paths.state)
        self.added: dict[CellKey, Term] = {}
        self.counted: dict[CellKey, int] = {}
        self.unknown: set[CellKey] = set()
        self.known_mm: State = {}

    def find(self) -> bool:
        """Whether the policy has an additive state."""
        first = NEW if self.unrolling.anon else MAP
        self.unrolling.paths.faults.clear()
        state = self._after(self.initial, first, "mm0")
        if self.unrolling.paths.faults:
            return False
        self.known_mm = {key: value for key, value in state.items() if key[0] == "mm0"}
        for key, change in self._changes(self.initial, state).items():
            if is_unknown(change):
                self.unknown.add(key)
            elif change.value is None:
                self.added[key] = change
            else:
                self.counted[key] = change.value
        for kind in (DUP, UNMAP):  # cells that the first operation does not change count operations, or `_is_sum` fails
            for key, change in self._changes(self.initial, self._after(self.initial, kind, "mm0")).items():
                if is_unknown(change):
                    self.unknown.add(key)
                elif key not in self.added:
                    self.counted.setdefault(key, change.value if change.value is not None else 0)
        for key in self.unknown:
            self.added.pop(key, None)
            self.counted.pop(key, None)
        return all(self._is_proportional(change) for change in self.added.values()) and self._is_sum()

    def _after(self, state: State, kind: int, mm: str) -> State:
        paths = self.unrolling.paths
        paths.state = dict(state)
        self.unrolling.run(kind, mm, self.mm_id, self.nr)
        after, paths.state = paths.state, dict(self.initial)
        return after

    def _cell(self, key: CellKey) -> Cell:
        return self.unrolling.space.cells["folio"][key[1]]

    def _changes(self, before: State, after: State) -> dict[CellKey, Term]:
        """The differences of the folio's cells, modulo their widths."""
        found = {}
        for key, old in before.items():
            if key[0] == FOLIO and after[key] is not old:
                change = algebra.modulo(term.sub(after[key], old), 8 * self._cell(key).size)
                if change.value != 0:
                    found[key] = change
        return found

    def _state(self, sums: dict[CellKey, Term]) -> State:
        """The state with these sums. The cells that count operations, or are unknown, are free."""
        found = dict(self.initial)
        for key, value in sums.items():
            found[key] = self._fit(key, value)
        for key, step in self.counted.items():
            operations = term.var(f"anycount{key[1]}", 0, MAX_MAPPINGS)
            found[key] = self._fit(key, term.add(found[key], term.times(operations, step)))
        for key in self.unknown:
            found[key] = self.unrolling.space.any_value(key)
        return found

    def _fit(self, key: CellKey, value: Term) -> Term:
        cell = self._cell(key)
        if cell.ctype is None:
            return algebra.low(value, 8 * cell.size)
        return algebra.wrap(value, cell.ctype.bits, cell.ctype.signed)

    def _free_sum(self, key: CellKey) -> Term:
        """A variable for any value of a sum."""
        ctype, low = self._cell(key).ctype, self.initial[key].lo
        high = low + MAX_MAPPINGS
        if ctype is not None and ctype.bits == algebra.WORD:
            low, high = ctype.low, ctype.high
        elif ctype is not None:
            high = min(high, ctype.high)
        return term.var(f"sum{key[1]}", low, high)

    def _is_proportional(self, change: Term) -> bool:
        """A change is nr times a term in the MM's ID."""
        constant, products = as_sum(change)
        if constant or any(sum(atom is self.nr for atom in monomial) != 1 for monomial in products):
            return False
        return set(variables([change])) <= {self.nr, self.mm_id}

    def _is_sum(self) -> bool:
        """Every operation adds or subtracts what is expected, from any state."""
        paths = self.unrolling.paths
        any_state = self._state({key: self._free_sum(key) for key in self.added})
        for kind in (DUP, UNMAP) if self.unrolling.anon else (MAP, DUP, UNMAP):
            for mm in ("mm0",) if kind == UNMAP else ("mm0", "fresh"):
                paths.faults.clear()
                start = any_state | self.known_mm if mm == "mm0" else any_state
                after = self._after(start, kind, mm)
                if paths.faults or not self._is_expected(start, after, -1 if kind == UNMAP else 1):
                    return False
                if any(after[mm, offset] is not value for (_, offset), value in self.known_mm.items()):
                    return False
        return True

    def _is_expected(self, before: State, after: State, sign: int) -> bool:
        changes = self._changes(before, after)
        for key in dict.fromkeys([*self.added, *self.counted, *changes]):  # a fixed order, for equal counterexamples
            if key in self.unknown:
                continue
            expected = term.times(self.added.get(key, term.const(0)), sign)
            if key in self.counted:
                expected = term.const(self.counted[key])
            difference = term.sub(changes.get(key, term.const(0)), expected)
            if algebra.modulo(difference, 8 * self._cell(key).size).value != 0:
                return False
        return True

    def map_by(self, owners: int) -> list[tuple[Term, Term]]:
        """Set the unrolling to any state in which at most so many MMs map the folio. Return their IDs and counts."""
        unrolling = self.unrolling
        mms = [(unrolling.mm_id(i), term.var(f"held{i}", 0, 1 << unrolling.largest)) for i in range(owners)]
        sums = {}
        for key, change in self.added.items():
            parts = (algebra.substitute(change, {self.mm_id: mm_id, self.nr: nr}.get) for mm_id, nr in mms)
            sums[key] = term.add(self.initial[key], *parts)
        known = {("asking", offset): value for (_, offset), value in self.known_mm.items()}
        unrolling.paths.state = self._state(sums) | known
        unrolling.mappings = mms
        return mms
