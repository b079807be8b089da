"""Bounded unrolling: operations in a row on one folio, with free MM IDs and page counts.

Each step maps, forks or unmaps nr pages in the MM of some ID; equal IDs are the same MM. An MM maps the pages of the
folio from the first on. So a count says which pages are mapped, and the engine can run every unrolling (see `witness`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.verify.symbolic import algebra, term
from foliolab.framework.verify.symbolic.entries import Entries
from foliolab.framework.verify.symbolic.number import Unsupported, lift, term_of
from foliolab.framework.verify.symbolic.paths import DeadEnd, Fault, Paths, State, merge_states
from foliolab.framework.verify.symbolic.space import Space, is_unknown
from foliolab.framework.verify.symbolic.term import Term

MAP, DUP, UNMAP, NEW, MAP_PMD, DUP_PMD, UNMAP_PMD, NEW_PMD = range(8)
"""The kinds of steps. Those by a PMD occur in proofs for any number of operations only."""
ENTRY: Final = {
    MAP: "add_ptes", UNMAP: "remove_ptes", NEW: "new_anon",
    MAP_PMD: "add_pmd", DUP_PMD: "dup_pmd", UNMAP_PMD: "remove_pmd", NEW_PMD: "new_anon_pmd",
}  # fmt: skip
"""The engine's entry for a kind of step; that for DUP depends on the kind of folio."""

ANSWER_TERMS: Final = 30_000
"""Terms that one answer may create."""


@dataclass(frozen=True)
class Step:
    """One operation.

    Args:
        kind: MAP, DUP, UNMAP or NEW, as a term.
        mm_id: the ID of the MM.
        nr: the number of pages.
        change: of the MM's mappings: nr or -nr.
    """

    kind: Term
    mm_id: Term
    nr: Term
    change: Term


class Unrolling:
    """Steps in a row. All kinds and paths of a step are merged into one state.

    Args:
        scheme: the policy.
        order: of the folio. It decides which code runs; the number of pages stays free.
        largest: the order of the largest folio of the class.
        anon: the folio is anonymous, and the first step maps all of it; else it is a file's.
        stopped: returns whether to end.

    Attributes:
        legal: for each step, whether the kernel could do it.
        faults: for each step, the breaches of laws on the way.
        owners_after: for each step, the number of MMs that map the folio after it.
        mappings: the IDs and counts of MMs that map the folio before the first step.

    Raises:
        Unsupported: the code does something that terms cannot express.
    """

    def __init__(self, scheme: Scheme, order: int, largest: int, anon: bool, stopped: Callable[[], bool]) -> None:
        self.scheme = scheme
        self.anon = anon
        self.order = order
        self.largest = largest
        self.pages = term.var("P", 2, 1 << largest)
        self.paths = Paths(stopped)
        self.space = Space(scheme, self.paths, order, self.pages, anon)
        self.entries = Entries(self.space)
        self.entries.run("prepare", self.space.folio(), self.space.page(0), lift(self.pages, self.paths), None)
        self.steps: list[Step] = []
        self.legal: list[Term] = []
        self.faults: list[list[Fault]] = []
        self.owners_after: list[Term] = []
        self.mappings: list[tuple[Term, Term]] = []
        self.fork_is_map = False
        """To fork the mappings of a file changes the folio as to map its pages does. Then forks are left out."""
        self._dup = "dup_anon_ptes" if anon else "dup_file_ptes"
        self._known_mm: dict[int, Term] = {}

    def mm_id(self, number: int) -> Term:
        """The variable for the ID of a step's MM."""
        return term.var(f"id{number}", 1, self.scheme.max_mm_id)

    def nr(self, number: int) -> Term:
        """The variable for the pages of a step."""
        return term.var(f"nr{number}", 1, 1 << self.largest)

    # -- the truth ---------------------------------------------------------------------------------------
    def count(self, mm_id: Term) -> Term:
        """The mappings of the MM with an ID."""
        return term.add(
            *(algebra.choose(algebra.eq(step.mm_id, mm_id), step.change, term.const(0)) for step in self.steps)
        )

    def total(self) -> Term:
        """All mappings of the folio."""
        return term.add(*(step.change for step in self.steps), *(count for _, count in self.mappings))

    def maps(self, mm_id: Term) -> Term:
        """The MM with an ID maps the folio."""
        return algebra.le(term.const(1), self.count(mm_id))

    def owners(self) -> Term:
        """The number of MMs that map the folio."""
        found = []
        for i, step in enumerate(self.steps):
            first = (algebra.not_(algebra.eq(step.mm_id, other.mm_id)) for other in self.steps[:i])
            found.append(algebra.int_(algebra.all_(self.maps(step.mm_id), *first)))
        return term.add(*found)

    def shared(self) -> Term:
        """Two MMs or more map the folio."""
        pairs = [(a.mm_id, b.mm_id) for i, a in enumerate(self.steps) for b in self.steps[:i]]
        return algebra.any_(
            *(algebra.all_(algebra.not_(algebra.eq(a, b)), self.maps(a), self.maps(b)) for a, b in pairs)
        )

    # -- steps -------------------------------------------------------------------------------------------
    def kinds(self) -> tuple[int, ...]:
        """The kinds that the next step may have."""
        if self.anon:
            return (DUP, UNMAP) if self.steps else (NEW,)
        if not self.steps:
            return (MAP,)
        return (MAP, UNMAP) if self.fork_is_map else (MAP, DUP, UNMAP)

    def step(self) -> None:
        """Add a step, of any kind, by any MM."""
        number, kinds = len(self.steps), self.kinds()
        mm_id, nr = self.mm_id(number), self.nr(number)
        kind = term.var(f"kind{number}", 0, 2) if len(kinds) > 1 else term.const(kinds[0])
        before = self.paths.state
        faults: list[Fault] = []
        merged = None
        ends: dict[int, State] = {}
        for value in kinds:
            self.paths.state = dict(before)
            self.paths.faults.clear()
            chosen = algebra.eq(kind, term.const(value))
            self._run_known(value, number, mm_id, nr)
            faults += [Fault(f.law, algebra.all_(chosen, f.when), f.message) for f in self.paths.faults]
            after = ends[value] = self.paths.state
            merged = after if merged is None else merge_states(chosen, after, merged)
        assert merged is not None
        if number == 1 and DUP in kinds and not self.anon and not faults and _covers(ends[MAP], ends[DUP]):
            self.fork_is_map = True
        self.paths.state = merged
        self.legal.append(self._legal(kind, kinds, mm_id, nr))
        self.faults.append(faults)
        removes = algebra.eq(kind, term.const(UNMAP))
        self.steps.append(Step(kind, mm_id, nr, algebra.choose(removes, term.times(nr, -1), nr)))
        self.owners_after.append(self.owners())

    def _run_known(self, kind: int, number: int, mm_id: Term, nr: Term) -> None:
        """Run an operation in an MM that may have mapped the folio before.

        The fields of the MM then have the values of its first mapping, with this MM's ID. The result must be the same
        as in a new MM.
        """
        mm = f"mm{number}"
        before = dict(self.paths.state)
        self.run(kind, mm, mm_id, nr)
        if not self.scheme.stored("mm"):
            return
        offsets = self.space.cells["mm"]
        if number == 0:
            self._known_mm = {offset: self.paths.state[mm, offset] for offset in offsets}
        first = self.mm_id(0)
        known = {
            (mm, offset): algebra.substitute(value, {first: mm_id}.get) for offset, value in self._known_mm.items()
        }
        fresh = self.paths.state
        self.paths.state = before | known
        self.run(kind, mm, mm_id, nr)
        same = all(_is_same(self.paths.state[key], value) for key, value in fresh.items())
        if kind != UNMAP and not (same and all(fresh[key] is value for key, value in known.items())):
            field = self.scheme.stored("mm")[0].name
            raise Unsupported(
                f"policy {self.scheme.name}: mm.{field} depends on more than the MM's ID",
                "the random and the explored attack model the fields of each MM",
            )

    def run(self, kind: int, mm: str, mm_id: Term, nr: Term) -> None:
        """Run an operation on the state. The state stays if no path comes to its end."""
        before = self.paths.state
        pointer = self.space.mm(mm, mm_id)
        pages = lift(nr, self.paths)
        try:
            self.entries.run(ENTRY.get(kind, self._dup), self.space.folio(), self.space.page(0), pages, pointer, 0)
        except DeadEnd:
            self.paths.state = before
        self.space.widen_unknown(before)

    def within(self, counts: list[Term]) -> Term:
        """These numbers of mappings, each at most that of the largest folio's pages, are as many as are declared."""
        most = self.scheme.policy.max_mappings
        return term.TRUE if len(counts) << self.largest <= most else algebra.le(term.add(*counts), term.const(most))

    def _legal(self, kind: Term, kinds: tuple[int, ...], mm_id: Term, nr: Term) -> Term:
        """The kernel could do the step."""
        count = self.count(mm_id)
        rules = [algebra.any_(*(algebra.eq(kind, term.const(value)) for value in kinds)), algebra.le(nr, self.pages)]
        for value in kinds:
            if value == NEW:
                rule = algebra.eq(nr, self.pages)
            elif value == MAP:
                rule = algebra.le(term.add(count, nr), self.pages)
            elif value == UNMAP:
                rule = algebra.le(nr, count)
            else:
                parents = (
                    algebra.all_(algebra.not_(algebra.eq(step.mm_id, mm_id)), algebra.le(nr, self.count(step.mm_id)))
                    for step in self.steps
                )
                rule = algebra.all_(algebra.eq(count, term.const(0)), algebra.any_(*parents))
            if value != UNMAP:
                changes = [step.change for step in self.steps]
                rule = algebra.all_(rule, self.within([*changes, *(held for _, held in self.mappings), nr]))
            rules.append(algebra.any_(algebra.not_(algebra.eq(kind, term.const(value))), rule))
        return algebra.all_(*rules)

    # -- answers -----------------------------------------------------------------------------------------
    def answer(self, entry: str, mm_id: Term | None = None) -> Term:
        """The result of an entry that only answers. The folio has no references but its mappings."""
        before, limit = self.paths.state, self.paths.max_terms
        self.paths.state = dict(before)
        self.paths.max_terms = min(limit, term.term_count() + ANSWER_TERMS)
        self.space.set_field("_refcount", term.add(self.total(), term.const(0) if self.anon else self.pages))
        mm = self.space.mm("asking", mm_id) if mm_id is not None else None
        try:
            result = self.entries.run(entry, self.space.folio(), self.space.page(0), 1, mm)
            return algebra.int_(term_of(result))
        finally:
            self.paths.state, self.paths.max_terms = before, limit


def _is_same(a: Term, b: Term) -> bool:
    """Two cells hold the same, or both may hold anything."""
    return a is b or (is_unknown(a) and is_unknown(b))


def _covers(a: State, b: State) -> bool:
    """Each cell of a holds the same as in b, or may hold anything."""
    return all(value is b.get(key) or is_unknown(value) for key, value in a.items())
