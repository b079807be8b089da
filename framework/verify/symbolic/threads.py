"""Proofs for any number of threads: what an operation does under a lock happens at once for all others.

A policy is lock-protected if each operation takes one bit lock of the folio once, and accesses some cells of the folio
only while it holds that lock. Operations of any threads then change these cells one after the other, each as a whole,
in the order in which they got the lock (Lipton, "Reduction: a method of proving properties of parallel programs",
CACM 18, 1975). So induction over one operation (`induction`) holds for them, if each read of any other cell gives any
value. A lockless reader may see what stands in the cells in the middle of an operation; each of these states is asked
about (`_Reader`).

The counts then belong to mappings that were added and not yet removed. The engine adds a mapping before it sets the
page-table entry, and removes it after it has cleared the entry, so no MM has more entries than counted mappings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from foliolab.framework.verify.finding import OWED
from foliolab.framework.verify.symbolic import algebra, term
from foliolab.framework.verify.symbolic.induction import Induction, PageTables, StateVariable
from foliolab.framework.verify.symbolic.laws import LawClaim
from foliolab.framework.verify.symbolic.number import Unsupported
from foliolab.framework.verify.symbolic.paths import DeadEnd
from foliolab.framework.verify.symbolic.space import Access, CellKey
from foliolab.framework.verify.symbolic.templates import ONE, ZERO, Template
from foliolab.framework.verify.symbolic.term import Op, Term
from foliolab.framework.verify.symbolic.z3_terms import Unsolvable

SHORT: Final = "proved for any number of threads"
BOUND: Final = f"{SHORT}, MMs and operations (at most 2^26 mappings at a time), no references but mappings"
AT_REST: Final = f"{BOUND}, asked while no operation is under way"
UP_TO: Final = f"{AT_REST}, where an MM counts as an owner until its last unmap has ended"
FAIR: Final = f"{SHORT}: no lock section waits for anything, so each operation ends under a fair scheduler"
PROGRESS: Final = ("deadlock", OWED)
"""The law that some thread can always make progress."""
REFERENCES: Final = ("_refcount", "flags")
"""Fields that tell of references which are not mappings: their number, and whether the folio is in the swap cache."""
SEEN: Final = "seen"
RESTING: Final = -1
"""Stands in the place of a kind of step: no operation is under way."""


@dataclass(frozen=True)
class Sections:
    """The lock sections of a policy's operations.

    Args:
        lock: the variable that is the lock.
        protected: the cells that operations access only while they hold it.
    """

    lock: StateVariable
    protected: frozenset[CellKey]


class Threads(Induction):
    """Tries to prove laws for any number of threads, for one class of orders.

    A scheduler is fair here if a thread that tries to take a lock, which is free again and again, gets it at some time.

    Attributes:
        accesses: of each kind of step to the folio, in order.
        sections: the lock sections, once they are found.
    """

    accesses: dict[int, list[Access]]
    sections: Sections

    def proved(self, wanted: set[LawClaim]) -> Iterator[LawClaim]:
        """The wanted laws and claims that hold for any number of threads; then PROGRESS, if a lock was found."""
        self.accesses = {}
        if self.unrolling.scheme.caller is not None:
            return  # its text may change page tables in another order
        try:
            sections = self._sections()
        except (Unsupported, Unsolvable, DeadEnd):
            return
        if sections is None:
            return
        self._forget(sections)
        yield from super().proved({key for key in wanted if key[0] != "reuse"})

    # -- sections ----------------------------------------------------------------------------------------
    def _run_kind(self, kind: int) -> None:
        space = self.unrolling.space
        space.accesses = []
        super()._run_kind(kind)
        self.accesses[kind], space.accesses = space.accesses, None

    def _is_harmless_write(self, lock: StateVariable) -> bool:
        """What decides about the reuse of a page changes no variable, and ends with the lock free.

        It depends on references that are not mappings, which may be any.
        """
        unrolling, space = self.unrolling, self.unrolling.space
        if not unrolling.anon or unrolling.scheme.policy.hooks.can_reuse is None:
            return True
        before = unrolling.paths.state
        unrolling.paths.state = dict(before)
        for cell in (cell for name in REFERENCES for cell in space.cells_of_field(name)):
            unrolling.paths.state[cell] = space.any_value(cell)
        space.accesses = []
        mm = space.mm("mm0", unrolling.mm_id(0))
        unrolling.entries.run("can_reuse", space.folio(), space.page(0), 1, mm)
        listed, space.accesses, after = space.accesses, None, unrolling.paths.state
        unrolling.paths.state = before
        keys = {variable.key for variable in self.variables}
        held = algebra.eq(lock.value(after[lock.key]), ONE)
        waits = [one.when for one in listed if one.kind == "wait"]
        changes = any(one.kind == "write" and not keys.isdisjoint(one.cells) for one in listed)
        return not changes and not any(self._may_be(condition, lock) for condition in (*waits, held))

    def _sections(self) -> Sections | None:
        """The lock sections, if each operation has exactly one, of the same lock."""
        if not self._has_variables():
            return None
        locks = {(one.cells, one.bit) for listed in self.accesses.values() for one in listed if one.kind == "lock"}
        if len(locks) != 1:
            return None
        (cells, bit), *_ = locks
        found = [v for v in self.variables if v.key == cells[0] and (v.low, v.width) == (bit, 1)]
        if not found:
            return None
        lock, keys = found[0], {variable.key for variable in self.variables}
        every = list(self.accesses.values())
        if not self._is_harmless_write(lock) or not all(self._is_one_section(listed, lock) for listed in every):
            return None
        outside = {
            cell
            for listed in every
            for one in listed
            if one.kind in ("read", "write") and self._is_free(one, lock)
            for cell in one.cells
        }
        return Sections(lock, frozenset(keys - outside)) if lock.key in keys - outside else None

    def _is_free(self, access: Access, lock: StateVariable) -> bool:
        """An access may happen while nobody holds the lock."""
        free = algebra.eq(lock.value(access.state[lock.key]), ZERO)
        return self._may_be(algebra.all_(access.when, free), lock)

    def _may_be(self, condition: Term, lock: StateVariable) -> bool:
        """A condition can be true in an operation that began while the lock was free."""
        here = algebra.substitute(condition, {lock.free: ZERO}.get)
        return self.ask(here, self.given).answer != "unsatisfiable"

    def _is_one_section(self, listed: list[Access], lock: StateVariable) -> bool:
        """An operation takes the lock once, on every path, and waits for no lock while it holds one."""
        released = [(at, one) for at, one in enumerate(listed) if one.kind == "unlock"]
        waits = [one.when for one in listed if one.kind == "wait"]
        again = [algebra.all_(a.when, b.when) for at, a in released for b in listed[at:] if b.kind == "lock"]
        never = algebra.not_(algebra.any_(*(one.when for one in listed if one.kind == "lock")))
        return not any(self._may_be(condition, lock) for condition in (*waits, *again, never))

    def _forget(self, sections: Sections) -> None:
        """Every cell that the lock does not protect may change at any time."""
        listed = [one for accesses in self.accesses.values() for one in accesses]
        written = {cell for one in listed if one.kind != "read" for cell in one.cells}
        self.unrolling.space.volatile = frozenset(written - sections.protected)
        self.sections = sections

    # -- laws --------------------------------------------------------------------------------------------
    def _proved_for(self, tables: PageTables, wanted: set[LawClaim]) -> Iterator[LawClaim]:
        kept = self.invariants(tables)
        if not self._is_released(tables, kept):
            return
        for law, claim in self._proved_by(tables, kept, wanted):
            if law == "initial-values" and self.unrolling.space.volatile:
                continue  # what others may change at any time is not followed
            if law == "safe" and not _Reader(self, tables, kept).is_safe():
                continue
            self.bounds[law, claim] = {"safe": BOUND, "exact-up-to": UP_TO}.get(law, AT_REST)
            yield law, claim
        if PROGRESS not in self.bounds:
            self.bounds[PROGRESS] = FAIR
            yield PROGRESS

    def _is_released(self, tables: PageTables, kept: list[Template]) -> bool:
        """No operation ends with the lock held."""
        free = algebra.eq(self.sections.lock.free, ONE)
        given = self.assumptions(tables, kept, self.mms(tables))
        return self.ask(free, given).answer == "unsatisfiable"


class _Reader:
    """What a lockless reader may see: each of its reads, at any moment of any operation.

    Args:
        threads: the proof that the reader belongs to.
        tables: the mappings.
        kept: the invariants while the lock is free.
    """

    def __init__(self, threads: Threads, tables: PageTables, kept: list[Template]) -> None:
        self.threads = threads
        self.tables = tables
        self.kept = kept
        self.rest = dict(threads.unrolling.paths.state)

    def is_safe(self) -> bool:
        """An answer "exclusive" was right at the moment of one of the reads that it rests on.

        Each read gets a moment of its own, with a state of its own. False also where the reader does more than read.
        """
        found = self._answer()
        if found is None:
            return False
        exclusive, reads = found
        return self._is_never_wrong([exclusive], [(read, self._moments(exclusive, read)) for read in reads])

    def _answer(self) -> tuple[Term, list[Access]] | None:
        """(the answer is "exclusive", the reads of protected cells), in variables for what each read sees.

        None if the reader changes a protected cell, or may read one twice.
        """
        unrolling, protected = self.threads.unrolling, self.threads.sections.protected
        space = unrolling.space
        unrolling.paths.state = self.rest | {key: _seen(self.rest[key]) for key in protected}
        space.accesses = []
        shared = algebra.bool_(unrolling.answer("maybe_mapped_shared"))
        listed, space.accesses, unrolling.paths.state = space.accesses, None, self.rest
        reads = [one for one in listed if not protected.isdisjoint(one.cells)]
        if any(one.kind != "read" for one in reads):
            return None
        for one, other in combinations(reads, 2):
            if not set(one.cells).isdisjoint(other.cells) and algebra.all_(one.when, other.when) is not term.FALSE:
                return None
        return algebra.not_(shared), reads

    def _moments(self, exclusive: Term, read: Access) -> list[Term]:
        """The moments at which what a read sees allows "exclusive" although several MMs map the folio."""
        kinds = (RESTING, *self.threads.accesses)
        moments = [self._moment(kind, read) for kind in kinds]
        return [moment for moment in moments if self._may_be(exclusive, read.when, moment)]

    def _may_be(self, *terms: Term) -> bool:
        return self.threads.ask(algebra.all_(*terms), self.threads.given).answer != "unsatisfiable"

    def _is_never_wrong(self, chosen: list[Term], reads: list[tuple[Access, list[Term]]]) -> bool:
        """No choice of moments for the reads allows a wrong answer; a path may leave a read out."""
        if not reads:
            return not self._may_be(*chosen)
        (read, moments), *others = reads
        choices = [algebra.not_(read.when), *(algebra.all_(read.when, moment) for moment in moments)]
        return all(self._is_never_wrong([*chosen, choice], others) for choice in choices)

    def _moment(self, kind: int, read: Access) -> Term:
        """A read sees the cells as they are at some moment of a step, while two MMs map the folio."""
        threads, tables = self.threads, self.tables
        mms = threads.mms(tables, None if kind == RESTING else kind)
        given = threads.assumptions(tables, self.kept, mms)
        states = [(term.TRUE, self.rest)]
        mapped: Callable[[Term], Term] = tables.mapped
        if kind != RESTING:
            given += tables.legal(kind)
            mapped, total = tables.least(kind)
            given += tables.total_covers(mms, mapped, total)
            states += [(one.when, one.state) for one in threads.accesses[kind] if one.kind != "read"]
        seen = dict.fromkeys(
            algebra.all_(when, *(algebra.eq(_seen(self.rest[key]), state[key]) for key in read.cells))
            for when, state in states
        )
        first, second = tables.any_mms
        shared = [algebra.le(ONE, mapped(first)), algebra.le(ONE, mapped(second))]
        shared.append(algebra.not_(algebra.eq(first, second)))
        return _renamed(algebra.all_(*given, *shared, algebra.any_(*seen)), f"{read.cells[0][1]}", keep=SEEN)


def _seen(value: Term) -> Term:
    """What a read sees of a cell, in variables of its own."""
    return _renamed(value, SEEN)


def _renamed(formula: Term, suffix: str, keep: str = "") -> Term:
    """A formula in variables of its own; the folio's pages, and names that end with `keep`, stay."""

    def own(part: Term) -> Term | None:
        if part.op != Op.VAR or part.args[0] == "P" or (keep and part.args[0].endswith(keep)):
            return None
        return term.var(f"{part.args[0]}.{suffix}", part.lo, part.hi)

    return algebra.substitute(formula, own)
