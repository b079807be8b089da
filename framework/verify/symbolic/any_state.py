"""A folio in any state: its fields as variables, and each operation run once from there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from foliolab.framework.machine.layout import PMD_ORDER
from foliolab.framework.verify.symbolic import algebra, term
from foliolab.framework.verify.symbolic.additive import MAX_MAPPINGS
from foliolab.framework.verify.symbolic.page_tables import BY_PMD, BY_PTES, PageTables
from foliolab.framework.verify.symbolic.paths import Fault, State
from foliolab.framework.verify.symbolic.space import FOLIO, Access, CellKey, Space, is_unknown
from foliolab.framework.verify.symbolic.templates import ZERO, AbstractState
from foliolab.framework.verify.symbolic.term import Op, Term
from foliolab.framework.verify.symbolic.unrolling import Unrolling

ROUNDS: Final = 8
"""Attempts to find the cells that have no known value."""
WIDE: Final = 64
"""Bits of a cell that may count the pages of all mappings."""


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

    def any_value(self, space: Space, suffix: str) -> Term:
        """A variable for anything that the range can hold, in or out of the interval of `free`."""
        low, high = 0, (1 << self.width) - 1
        ctype = space.cells["folio"][self.key[1]].ctype
        if not self.width:
            assert ctype is not None
            low, high = ctype.low, ctype.high
        return term.var(f"{self.free.args[0]}.{suffix}", low, high)


class AnyState:
    """A folio in any state, and each operation run from it.

    Args:
        unrolling: before its first step, where it will be again.
        by_pmd: operations by a PMD happen, too.
        volatile: cells that others change at any time: each read gives any value.

    Attributes:
        initial: the folio before its first mapping.
        variables: of the state.
        unknown: cells that may hold anything at any time.
        after, faults, accesses: for each kind of operation, the state after it, the breaches of laws on the way, and
            the accesses to the folio in order.

    Raises:
        NoProof: the state has no variables, or more than the folio's.
        Unsupported: the code does something that terms cannot express.
    """

    def __init__(self, unrolling: Unrolling, by_pmd: bool, volatile: frozenset[CellKey] = frozenset()) -> None:
        if unrolling.scheme.stored("mm"):
            raise NoProof
        self.unrolling = unrolling
        self.volatile = volatile
        self.by_pmd = by_pmd
        self.kinds = (*BY_PTES, *(BY_PMD if by_pmd else ()))
        self.initial = dict(unrolling.paths.state)
        self.variables: list[StateVariable] = []
        self.unknown: set[CellKey] = set()
        self.after: dict[int, State] = {}
        self.faults: dict[int, list[Fault]] = {}
        self.accesses: dict[int, list[Access]] = {}
        with self.entered():
            self._find_variables()

    @contextmanager
    def entered(self) -> Iterator[State]:
        """Functions that run meanwhile see the folio in any state."""
        space, paths = self.unrolling.space, self.unrolling.paths
        space.volatile, paths.state = self.volatile, self.state()
        try:
            yield paths.state
        finally:
            space.volatile, paths.state = frozenset(), dict(self.initial)

    def state(self) -> State:
        """The folio in any state."""
        state = dict(self.initial)
        for key in dict.fromkeys(variable.key for variable in self.variables):
            state[key] = term.add(*(term.times(v.free, 1 << v.low) for v in self.variables if v.key == key))
        for key in self.unknown:
            state[key] = self.unrolling.space.any_value(key)
        return state

    def begin_with(self, variables: list[StateVariable]) -> bool:
        """Number some variables of another state as they are numbered there. False if they are not all variables."""
        if not set(variables) <= set(self.variables):
            return False
        self.variables.sort(key=lambda one: variables.index(one) if one in variables else len(variables))
        return True

    def covers(self, state: State) -> bool:
        """Only what is variable or unknown differs from the first state."""
        covered = self.unknown | {variable.key for variable in self.variables}
        return all(v is self.initial[k] for k, v in state.items() if k[0] == FOLIO and k not in covered)

    def in_range(self, state: State) -> Term:
        """Each variable has a value within its interval."""
        pairs = [(variable.free, variable.value(state[variable.key])) for variable in self.variables]
        return algebra.all_(
            *(algebra.le(term.const(free.lo), value) for free, value in pairs),
            *(algebra.le(value, term.const(free.hi)) for free, value in pairs),
        )

    def abstract(self, tables: PageTables, state: State | None = None, kind: int | None = None) -> AbstractState:
        """A state as the templates see it, after an operation of some kind; None: any state."""
        values = [(v, v.free if state is None else v.value(state[v.key])) for v in self.variables]
        change = ZERO if kind is None else tables.change(kind)

        def mapped(mm_id: Term) -> Term:
            count = tables.mapped(mm_id)
            return algebra.choose(algebra.eq(mm_id, tables.mm), term.add(count, change), count)

        return AbstractState(
            [value for v, value in values if v.kind == "id"],
            [term.sub(value, term.const(v.initial)) for v, value in values if v.kind == "count"],
            [value for v, value in values if v.kind == "flag"],
            term.add(tables.total, change),
            tables.pmds if kind is None else term.add(tables.pmds, tables.change_by_pmd(kind)),
            tables.mapped if kind is None else mapped,
        )

    # -- variables ---------------------------------------------------------------------------------------
    def _find_variables(self) -> None:
        """Find the variables of the state, and run each operation from any of their values."""
        unrolling = self.unrolling
        unrolling.step()
        unrolling.step()
        sample = unrolling.paths.state
        unrolling.steps.clear()
        unrolling.legal.clear()
        changed = [key for key, value in sample.items() if key[0] == FOLIO and value is not self.initial[key]]
        self.unknown = {key for key in changed if is_unknown(sample[key])}
        self.variables = [v for key in changed if key not in self.unknown for v in self._variables(key, sample[key])]
        for _ in range(ROUNDS):
            lost, late = self._run_all()
            known = [self._as_it_changes(variable) for variable in self.variables]
            if not lost and not late and known == self.variables:
                break
            self.unknown |= lost
            self.variables = [variable for variable in known if variable.key not in self.unknown]
            self.variables += [v for key, value in late.items() if key not in lost for v in self._variables(key, value)]
        else:
            raise NoProof
        if not self.variables:
            raise NoProof

    def _variables(self, key: CellKey, sample: Term) -> Iterator[StateVariable]:
        cell = self.unrolling.space.cells["folio"][key[1]]
        initial = self.initial[key].value
        assert initial is not None
        ranges = list(self._ranges(key, 8 * cell.size))
        if cell.ctype is not None and cell.ctype.signed and len(ranges) == 1:
            most = MAX_MAPPINGS << PMD_ORDER if cell.ctype.bits == WIDE else MAX_MAPPINGS
            free = term.var(f"part{key[1]}", initial, min(initial + most, cell.ctype.high))
            yield StateVariable(key, 0, 0, "count", initial, free)
            return
        for low, width in ranges:
            first = initial >> low & ((1 << width) - 1)
            yield self._range(key, low, width, first, [algebra.low(algebra.shr(sample, low), width)])

    def _range(self, key: CellKey, low: int, width: int, first: int, values: list[Term]) -> StateVariable:
        """The variable of a range of bits with an initial value, and with some values later."""
        lowest, high, kind = 0, (1 << width) - 1, "flag"
        changed = [value for value in values if value.value != first]
        if width > 1 and changed and all(_is_mm_id(value) for value in changed):
            high, kind = min(high, self.unrolling.scheme.max_mm_id), "id"
        elif width > 1 and changed:  # bits that stay as they are count nothing
            lowest, high, kind = first, min(high, first + MAX_MAPPINGS), "count"
        return StateVariable(key, low, width, kind, first, term.var(f"part{key[1]}.{low}", lowest, high))

    def _as_it_changes(self, variable: StateVariable) -> StateVariable:
        """A variable whose bits the sample leaves as they are, but which an operation changes in some state."""
        if variable.kind != "flag" or variable.width == 1:
            return variable
        first = term.const(variable.initial)
        stay = {variable.free: first}.get
        values = [algebra.substitute(variable.value(state[variable.key]), stay) for state in self.after.values()]
        return self._range(variable.key, variable.low, variable.width, variable.initial, values)

    def _ranges(self, key: CellKey, bits: int) -> Iterator[tuple[int, int]]:
        """The ranges of bits that the fields of a cell declare, and the ranges between them."""
        edges = {0, bits}
        for field in self.unrolling.space.layouts["folio"].fields:
            for declared in field.bits:
                at = 8 * (field.offset - key[1]) + declared.low
                edges |= {edge for edge in (at, at + declared.width) if 0 < edge < bits}
        yield from ((low, high - low) for low, high in pairwise(sorted(edges)))

    # -- operations --------------------------------------------------------------------------------------
    def _run_all(self) -> tuple[set[CellKey], dict[CellKey, Term]]:
        """Run each operation.

        Returns:
            the cells that then have no known value, or that PMDs change without a variable; and other cells without a
            variable that change, with a value: they change only after more operations than the sample has.
        """
        before = self.state()
        lost: set[CellKey] = set()
        late: dict[CellKey, Term] = {}
        with_variable = {variable.key for variable in self.variables}
        for kind in self.kinds:
            self._run(kind, before)
            for key, value in self.after[kind].items():
                if key[0] != FOLIO or key in self.unknown or value is before[key]:
                    continue
                if is_unknown(value) or (kind in BY_PMD and key not in with_variable | late.keys()):
                    lost.add(key)
                elif key not in with_variable:
                    late.setdefault(key, value)
        return lost, late

    def _run(self, kind: int, before: State) -> None:
        """Run an operation on a state."""
        unrolling, paths, space = self.unrolling, self.unrolling.paths, self.unrolling.space
        paths.state = dict(before)
        paths.faults.clear()
        space.accesses = []
        unrolling.run(kind, "mm0", unrolling.mm_id(0), unrolling.nr(0))
        self.after[kind], self.faults[kind] = paths.state, list(paths.faults)
        self.accesses[kind], space.accesses = space.accesses, None
        paths.faults.clear()


def _is_mm_id(value: Term) -> bool:
    """A number is always the ID of an MM or a constant."""
    todo, found = [value], False
    while todo:
        number = todo.pop()
        if number.op == Op.ITE:
            todo += number.args[1:]
        elif number.op == Op.VAR and str(number.args[0]).startswith("id"):
            found = True
        elif number.value is None:
            return False
    return found
