"""The lock sections of a policy's operations.

A policy is lock-protected if each operation takes one bit lock of the folio once, and accesses some cells of the folio
only while it holds that lock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from foliolab.framework.verify.symbolic import algebra
from foliolab.framework.verify.symbolic.any_state import AnyState, StateVariable
from foliolab.framework.verify.symbolic.invariants import Questions
from foliolab.framework.verify.symbolic.space import Access, CellKey
from foliolab.framework.verify.symbolic.templates import ONE, ZERO
from foliolab.framework.verify.symbolic.term import Term

REFERENCES: Final = ("_refcount", "flags")
"""Fields that tell of references which are not mappings: their number, and whether the folio is in the swap cache."""


@dataclass(frozen=True)
class Sections:
    """The lock sections of a policy's operations.

    Args:
        lock: the variable that is the lock.
        protected: the cells that operations access only while they hold it.
        changing: other cells that operations change.
    """

    lock: StateVariable
    protected: frozenset[CellKey]
    changing: frozenset[CellKey]


def lock_sections(any_state: AnyState, questions: Questions) -> Sections | None:
    """The lock sections, if each operation has exactly one, of the same lock."""
    every = list(any_state.accesses.values())
    locks = {(one.cells, one.bit) for listed in every for one in listed if one.kind == "lock"}
    if len(locks) != 1:
        return None
    (cells, bit), *_ = locks
    found = [v for v in any_state.variables if v.key == cells[0] and (v.low, v.width) == (bit, 1)]
    return _Finder(any_state, questions, found[0]).sections() if found else None


class _Finder:
    """Finds the sections of one lock."""

    def __init__(self, any_state: AnyState, questions: Questions, lock: StateVariable) -> None:
        self.any_state = any_state
        self.questions = questions
        self.lock = lock
        self.keys = {variable.key for variable in any_state.variables}

    def sections(self) -> Sections | None:
        every = list(self.any_state.accesses.values())
        if not self._is_harmless_write() or not all(self._is_one_section(listed) for listed in every):
            return None
        listed = [one for accesses in every for one in accesses]
        outside = {cell for one in listed if one.kind in ("read", "write") and self._is_free(one) for cell in one.cells}
        protected = frozenset(self.keys - outside)
        changed = {cell for one in listed if one.kind != "read" for cell in one.cells}
        return Sections(self.lock, protected, frozenset(changed - protected)) if self.lock.key in protected else None

    def _is_harmless_write(self) -> bool:
        """What decides about the reuse of a page changes no variable, and ends with the lock free.

        It depends on references that are not mappings, which may be any.
        """
        unrolling = self.any_state.unrolling
        space, paths = unrolling.space, unrolling.paths
        if not unrolling.anon or unrolling.scheme.policy.hooks.can_reuse is None:
            return True
        with self.any_state.entered():
            for cell in (cell for name in REFERENCES for cell in space.cells_of_field(name)):
                paths.state[cell] = space.any_value(cell)
            space.accesses = []
            mm = space.mm("mm0", unrolling.mm_id(0))
            unrolling.entries.run("can_reuse", space.folio(), space.page(0), 1, mm)
            listed, space.accesses, after = space.accesses, None, paths.state
        held = algebra.eq(self.lock.value(after[self.lock.key]), ONE)
        waits = [one.when for one in listed if one.kind == "wait"]
        changes = any(one.kind == "write" and not self.keys.isdisjoint(one.cells) for one in listed)
        return not changes and not any(self._may_be(condition) for condition in (*waits, held))

    def _is_free(self, access: Access) -> bool:
        """An access may happen while nobody holds the lock."""
        free = algebra.eq(self.lock.value(access.state[self.lock.key]), ZERO)
        return self._may_be(algebra.all_(access.when, free))

    def _may_be(self, condition: Term) -> bool:
        """A condition can be true in an operation that began while the lock was free."""
        here = algebra.substitute(condition, {self.lock.free: ZERO}.get)
        return self.questions.ask(here, self.questions.given).answer != "unsatisfiable"

    def _is_one_section(self, listed: list[Access]) -> bool:
        """An operation takes the lock once, on every path, and waits for no lock while it holds one."""
        released = [(at, one) for at, one in enumerate(listed) if one.kind == "unlock"]
        waits = [one.when for one in listed if one.kind == "wait"]
        again = [algebra.all_(a.when, b.when) for at, a in released for b in listed[at:] if b.kind == "lock"]
        never = algebra.not_(algebra.any_(*(one.when for one in listed if one.kind == "lock")))
        return not any(self._may_be(condition) for condition in (*waits, *again, never))
