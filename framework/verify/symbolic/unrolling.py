"""A course of operations on one folio, with free IDs and counts: its terms, and what is true beside them.

Each step maps, forks or unmaps nr pages in the MM of some ID; equal IDs are the same MM. An MM maps a folio's pages
from the first on, so that a count says what it maps, and every course can be run for real (see `witness`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.verify.symbolic import algebra, term
from foliolab.framework.verify.symbolic.number import Unsupported, lift, term_of
from foliolab.framework.verify.symbolic.paths import DeadEnd, Fault, Paths, State, merge_states
from foliolab.framework.verify.symbolic.space import Space, is_unknown
from foliolab.framework.verify.symbolic.term import Term
from foliolab.framework.verify.symbolic.text import Text

MAP, DUP, UNMAP, NEW = range(4)
KINDS: Final = ("map", "fork", "unmap", "new")
ENTRY: Final = {
    (MAP, False): "add_ptes", (DUP, False): "dup_file_ptes", (DUP, True): "dup_anon_ptes",
    (UNMAP, False): "remove_ptes", (UNMAP, True): "remove_ptes", (NEW, True): "new_anon",
}  # fmt: skip
"""The engine's entry for a kind of step, on files and on anonymous folios."""

ANSWER: Final = 30_000
"""Terms that one answer may take."""


@dataclass(frozen=True)
class Step:
    """One operation.

    Args:
        kind: a number out of KINDS, as a term.
        mm_id: whose; free.
        nr: pages.
        signed: by how much the MM's mappings grow.
    """

    kind: Term
    mm_id: Term
    nr: Term
    signed: Term


class Course:
    """Steps one after the other, all kinds and paths of each merged into one state.

    Args:
        scheme: the policy.
        order: of the folio; decides what the text does, while `pages` stays free.
        largest: order of the largest folio of all that are looked at.
        anon: an anonymous folio: its first step maps all of it; else one of a file.
        stopped: whether to end.

    Raises:
        Unsupported: the text does what terms cannot follow.
    """

    def __init__(self, scheme: Scheme, order: int, largest: int, anon: bool, stopped: Callable[[], bool]) -> None:
        self.scheme = scheme
        self.anon = anon
        self.order = order
        self.largest = largest
        self.pages = term.var("P", 2, 1 << largest)
        self.paths = Paths(stopped)
        self.space = Space(scheme, self.paths, order, self.pages, anon)
        self.text = Text(self.space)
        self.text.run("prepare", self.space.folio(), self.space.page(0), lift(self.pages, self.paths), None)
        self.steps: list[Step] = []
        self.legal: list[Term] = []
        self.faults: list[list[Fault]] = []
        self.held: list[tuple[Term, Term]] = []
        """MMs and their mappings besides those of the steps, see `sums`."""
        self.forks_map = False
        """Whether to fork a file's mappings does to the folio what to map its pages does; then it is not tried."""
        self.owners_then: list[Term] = []
        self._known_mm: dict[int, Term] = {}

    def mm_id(self, number: int) -> Term:
        """The ID of a step's MM."""
        return term.var(f"id{number}", 1, self.scheme.max_mm_id)

    def nr(self, number: int) -> Term:
        """The pages of a step."""
        return term.var(f"nr{number}", 1, 1 << self.largest)

    # -- the truth ---------------------------------------------------------------------------------------
    def count(self, mm_id: Term, before: int | None = None) -> Term:
        """Mappings of the MM of an ID after so many steps; all of them by default."""
        parts = (
            algebra.choose(algebra.eq(step.mm_id, mm_id), step.signed, term.const(0)) for step in self.steps[:before]
        )
        return term.add(term.const(0), *parts)

    def total(self) -> Term:
        """All mappings."""
        return term.add(term.const(0), *(step.signed for step in self.steps), *(count for _, count in self.held))

    def maps(self, number: int) -> Term:
        """Whether the MM of a step maps the folio."""
        return algebra.le(term.const(1), self.count(self.steps[number].mm_id))

    def owners(self) -> Term:
        """How many MMs map it."""
        found = []
        for i, step in enumerate(self.steps):
            first = (algebra.not_(algebra.eq(step.mm_id, other.mm_id)) for other in self.steps[:i])
            found.append(algebra.int_(algebra.all_(self.maps(i), *first)))
        return term.add(term.const(0), *found)

    def several(self) -> Term:
        """Whether two MMs or more map it."""
        pairs = []
        for i, step in enumerate(self.steps):
            for j, other in enumerate(self.steps[:i]):
                pairs.append(
                    algebra.all_(algebra.not_(algebra.eq(step.mm_id, other.mm_id)), self.maps(i), self.maps(j))
                )
        return algebra.any_(*pairs)

    # -- steps -------------------------------------------------------------------------------------------
    def kinds(self) -> tuple[int, ...]:
        """What the next step may be."""
        if self.anon:
            return (DUP, UNMAP) if self.steps else (NEW,)
        if not self.steps:
            return (MAP,)
        return (MAP, UNMAP) if self.forks_map else (MAP, DUP, UNMAP)

    def step(self) -> None:
        """One more operation, of any kind, by any MM."""
        number, kinds = len(self.steps), self.kinds()
        mm_id, nr = self.mm_id(number), self.nr(number)
        kind = term.var(f"kind{number}", 0, 2) if len(kinds) > 1 else term.const(kinds[0])
        before = self.paths.state
        faults: list[Fault] = []
        merged = None
        ends: dict[int, State] = {}
        for one in kinds:
            self.paths.state = dict(before)
            self.paths.faults.clear()
            chosen = algebra.eq(kind, term.const(one))
            self._run_known(one, number, mm_id, nr)
            faults += [Fault(f.law, algebra.all_(chosen, f.when), f.message) for f in self.paths.faults]
            mine = ends[one] = self.paths.state
            merged = mine if merged is None else merge_states(chosen, mine, merged)
        assert merged is not None
        if number == 1 and not self.anon and not faults and _covers(ends[MAP], ends[DUP]):
            self.forks_map = True
        self.paths.state = merged
        self.legal.append(self._legal(kind, kinds, mm_id, nr))
        self.faults.append(faults)
        down = algebra.eq(kind, term.const(UNMAP))
        self.steps.append(Step(kind, mm_id, nr, algebra.choose(down, term.times(nr, -1), nr)))
        self.owners_then.append(self.owners())

    def _run_known(self, kind: int, number: int, mm_id: Term, nr: Term) -> None:
        """Run one operation, in an MM that may have mapped the folio before: what it keeps must follow from its ID."""
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
        same = all(_alike(self.paths.state[place], value) for place, value in fresh.items())
        if kind != UNMAP and not (same and all(fresh[place] is value for place, value in known.items())):
            field = self.scheme.stored("mm")[0].name
            raise Unsupported(
                f"policy {self.scheme.name} keeps mm.{field}, which depends on more than the MM's ID",
                "the random and the explored attack follow what each MM keeps",
            )

    def run(self, kind: int, mm: str, mm_id: Term, nr: Term) -> None:
        """Run one operation on the state; what never ends leaves it as it was."""
        before = self.paths.state
        pointer = self.space.mm(mm, mm_id)
        pages = lift(nr, self.paths)
        try:
            self.text.run(ENTRY[kind, self.anon], self.space.folio(), self.space.page(0), pages, pointer, 0)
        except DeadEnd:
            self.paths.state = before
        self.space.forget_unknown(before)

    def _legal(self, kind: Term, kinds: tuple[int, ...], mm_id: Term, nr: Term) -> Term:
        """Whether the kernel could do the step."""
        count = self.count(mm_id)
        rules = [algebra.any_(*(algebra.eq(kind, term.const(one)) for one in kinds)), algebra.le(nr, self.pages)]
        for one in kinds:
            chosen = algebra.eq(kind, term.const(one))
            if one == NEW:
                rule = algebra.eq(nr, self.pages)
            elif one == MAP:
                rule = algebra.le(term.add(count, nr), self.pages)
            elif one == UNMAP:
                rule = algebra.le(nr, count)
            else:
                parents = (
                    algebra.all_(algebra.not_(algebra.eq(step.mm_id, mm_id)), algebra.le(nr, self.count(step.mm_id)))
                    for step in self.steps
                )
                rule = algebra.all_(algebra.eq(count, term.const(0)), algebra.any_(*parents))
            rules.append(algebra.any_(algebra.not_(chosen), rule))
        return algebra.all_(*rules)

    # -- answers -----------------------------------------------------------------------------------------
    def shared(self) -> Term:
        """What maybe_mapped_shared says."""
        return self.asked("maybe_mapped_shared", None)

    def asked(self, entry: str, mm_id: Term | None) -> Term:
        """What an entry answers now; references are the mappings."""
        before, most = self.paths.state, self.paths.most
        self.paths.state = dict(before)
        self.paths.most = min(most, term.made() + ANSWER)
        self.space.set_field("_refcount", term.add(self.total(), term.const(0) if self.anon else self.pages))
        mm = self.space.mm("asking", mm_id) if mm_id is not None else None
        try:
            return algebra.int_(term_of(self.text.answer(entry, self.space.page(0), 1, mm)))
        finally:
            self.paths.state, self.paths.most = before, most


def _alike(a: Term, b: Term) -> bool:
    """Whether two cells hold the same, or may both hold anything."""
    return a is b or (is_unknown(a) and is_unknown(b))


def _covers(a: State, b: State) -> bool:
    """Whether a state says of each cell what another one says, or that it may be anything."""
    return all(value is b.get(place) or is_unknown(value) for place, value in a.items())
