"""Laws that hold after any number of operations: shown by induction over one operation from any state.

A state is the free parts of what the policy stores, and any MMs with any mappings beside it. Of many guessed sentences
(`templates`) those are kept that hold of the first state and that every operation preserves; a law that no state with
all of them breaks is proved. What this does not prove may still be true: then operations are put one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Final

from foliolab.framework.contract.policy import exact_claim
from foliolab.framework.verify.attack import Budget
from foliolab.framework.verify.symbolic import algebra, term
from foliolab.framework.verify.symbolic.number import Unsupported
from foliolab.framework.verify.symbolic.paths import State
from foliolab.framework.verify.symbolic.questions import FEW, Truth, questions
from foliolab.framework.verify.symbolic.solver import Question
from foliolab.framework.verify.symbolic.space import FOLIO, Place, is_unknown
from foliolab.framework.verify.symbolic.templates import ONE, ZERO, Template, View, implies, templates
from foliolab.framework.verify.symbolic.term import ITE, VAR, Term
from foliolab.framework.verify.symbolic.unrolling import DUP, MAP, NEW, UNMAP, Course
from foliolab.framework.verify.symbolic.z3_terms import Unsolvable

MOST: Final = 1 << 26
"""Mappings of a folio, up to which it is looked at."""
PATIENCE: Final = 4.0
"""Seconds of computing for a question."""
WITHIN: Final = "any operations (at most 2^26 mappings at a time), any number of MMs, no references but mappings"


@dataclass(frozen=True)
class Part:
    """Bits of a cell that are free together.

    Args:
        place: the cell.
        low, width: its bits; width 0: all of them, with sign.
        kind: "id", "count" or "flag".
        initial: its value at first.
        free: a variable for it.
    """

    place: Place
    low: int
    width: int
    kind: str
    initial: int
    free: Term

    def of(self, value: Term) -> Term:
        """Its value in a cell's."""
        return algebra.low(algebra.shr(value, self.low), self.width) if self.width else value


class _Model:
    """MMs and their mappings: any number of MMs, or at most so many at a time.

    Args:
        course: whose.
        few: at most so many; 0: any number.
    """

    def __init__(self, course: Course, few: int) -> None:
        self.mm, self.nr, self.parent = course.mm_id(0), course.nr(0), course.mm_id(1)
        self.any = [course.mm_id(2), course.mm_id(3)]
        self.pages = course.pages
        self.largest = 1 << course.largest
        self.few = few
        self.held = [
            (self.mm if i == 0 else term.var(f"idheld{i}", 1, course.scheme.max_mm_id), self._var(f"held{i}"))
            for i in range(few)
        ]
        self.total = term.add(ZERO, *(count for _, count in self.held)) if few else term.var("total", 0, MOST)
        self._counts: dict[Term, Term] = {}

    def _var(self, name: str) -> Term:
        return term.var(name, 0, self.largest)

    def mapped(self, mm_id: Term) -> Term:
        """How many mappings the MM of an ID has."""
        if self.few:
            parts = (algebra.choose(algebra.eq(one, mm_id), count, ZERO) for one, count in self.held)
            return term.add(ZERO, *parts)
        if mm_id not in self._counts:
            self._counts[mm_id] = self._var(f"mapped{len(self._counts)}")
        return self._counts[mm_id]

    def facts(self, mms: list[Term]) -> Iterator[Term]:
        """What is true of these MMs, whatever the policy does."""
        if self.few:
            yield from (algebra.not_(algebra.eq(a, b)) for (a, _), (b, _) in combinations(self.held, 2))
            yield from (algebra.le(count, self.pages) for _, count in self.held)
            return
        for one in mms:
            yield algebra.le(self.mapped(one), algebra.choose(algebra.eq(one, ZERO), ZERO, self.pages))
        for a, b in combinations(mms, 2):
            yield implies(algebra.eq(a, b), algebra.eq(self.mapped(a), self.mapped(b)))
        yield from self.sums(mms, self.mapped, self.total)

    def sums(self, mms: list[Term], mapped: Callable[[Term], Term], total: Term) -> Iterator[Term]:
        """That all mappings are as many as those of two of these MMs, or more."""
        if not self.few:
            yield from (algebra.le(mapped(one), total) for one in mms)
            for a, b in combinations(mms, 2):
                yield implies(algebra.not_(algebra.eq(a, b)), algebra.le(term.add(mapped(a), mapped(b)), total))

    def legal(self, kind: int) -> Iterator[Term]:
        """When the kernel could do an operation."""
        count = self.mapped(self.mm)
        yield algebra.le(self.nr, self.pages)
        if kind == MAP:
            yield algebra.le(term.add(count, self.nr), self.pages)
        elif kind == UNMAP:
            yield algebra.le(self.nr, count)
        else:
            yield algebra.eq(count, ZERO)
            yield algebra.not_(algebra.eq(self.parent, self.mm))
            yield algebra.le(self.nr, self.mapped(self.parent))
        if kind != UNMAP:
            yield algebra.le(term.add(self.total, self.nr), term.const(MOST))


class Induction:
    """Tries to prove laws of one class.

    Args:
        course: before its first step.
        given: what is known of its variables.
        budget: when to give up.

    Attributes:
        asked: questions to the solver.
    """

    def __init__(self, course: Course, given: list[Term], budget: Budget) -> None:
        self.course = course
        self.given = given
        self.budget = budget
        self.asked = 0
        self.initial = dict(course.paths.state)
        self.parts: list[Part] = []
        self.unknown: set[Place] = set()
        self._after: dict[int, State] = {}

    def proved(self, wanted: set[tuple[str, str]]) -> Iterator[tuple[str, str]]:
        """Those of some laws and claims that hold after any number of operations."""
        few = {exact_claim(k): k for k in FEW}
        try:
            if self.course.scheme.stored("mm") or not self._prepare():
                return
            for number in sorted({few.get(claim, 0) for _, claim in wanted}):
                mine = {key for key in wanted if few.get(key[1], 0) == number}
                yield from self._with(_Model(self.course, number), mine)
        except (Unsupported, Unsolvable):
            return

    # -- the state ---------------------------------------------------------------------------------------
    def _prepare(self) -> bool:
        """Find the parts of the state, and run each operation from any of its values."""
        course = self.course
        course.step()
        course.step()
        probe, course.paths.state = course.paths.state, dict(self.initial)
        course.steps.clear()
        course.legal.clear()
        changed = [p for p, v in probe.items() if p[0] == FOLIO and v is not self.initial[p]]
        self.unknown = {place for place in changed if is_unknown(probe[place])}
        for place in changed:
            if place not in self.unknown:
                self.parts += self._parts(place, probe[place])
        for _ in range(8):
            more = self._run_all()
            if not more:
                return bool(self.parts)
            self.unknown |= more
            self.parts = [part for part in self.parts if part.place not in self.unknown]
        return False

    def _parts(self, place: Place, probe: Term) -> Iterator[Part]:
        cell = self.course.space.cells["folio"][place[1]]
        initial = self.initial[place].value
        assert initial is not None
        if cell.ctype is not None and cell.ctype.signed:
            free = term.var(f"part{place[1]}", initial, min(initial + MOST, cell.ctype.high))
            yield Part(place, 0, 0, "count", initial, free)
            return
        for low, width in self._ranges(place, 8 * cell.size):
            value = algebra.low(algebra.shr(probe, low), width)
            high, kind = (1 << width) - 1, "count"
            if width == 1:
                kind = "flag"
            elif _names_mms(value):
                high, kind = min(high, self.course.scheme.max_mm_id), "id"
            else:
                high = min(high, (initial >> low & high) + MOST)
            first = initial >> low & ((1 << width) - 1)
            free = term.var(f"part{place[1]}.{low}", first if kind == "count" else 0, high)
            yield Part(place, low, width, kind, first, free)

    def _ranges(self, place: Place, bits: int) -> Iterator[tuple[int, int]]:
        """Bits of a cell that belong together: as its fields declare, the others as they are left."""
        edges = {0, bits}
        for field in self.course.space.layouts["folio"].fields:
            for one in field.bits:
                at = 8 * (field.offset - place[1]) + one.low
                edges |= {edge for edge in (at, at + one.width) if 0 < edge < bits}
        found = sorted(edges)
        yield from ((low, high - low) for low, high in pairwise(found))

    def _generic(self) -> State:
        state = dict(self.initial)
        for place in {part.place for part in self.parts}:
            state[place] = term.add(
                ZERO, *(term.times(one.free, 1 << one.low) for one in self.parts if one.place == place)
            )
        for place in self.unknown:
            state[place] = self.course.space.any_of(place)
        return state

    def _run_all(self) -> set[Place]:
        """Run each operation; cells that it changes or loses though they are not followed."""
        course = self.course
        course.paths.faults.clear()
        generic = self._generic()
        self.faults: dict[int, list[Term]] = {}
        lost: set[Place] = set()
        followed = {part.place for part in self.parts}
        for kind in (DUP, UNMAP) if course.anon else (MAP, DUP, UNMAP):
            course.paths.state = dict(generic)
            course.run(kind, "mm0", course.mm_id(0), course.nr(0))
            after = self._after[kind] = course.paths.state
            self.faults[kind] = [fault.when for fault in course.paths.faults]
            course.paths.faults.clear()
            for place, value in after.items():
                if place[0] != FOLIO or place in self.unknown:
                    continue
                if is_unknown(value) or (place not in followed and value is not generic[place]):
                    lost.add(place)
        course.paths.state = generic
        return lost

    def _view(self, state: State | None, model: _Model, change: Term) -> View:
        """A state, with the mappings of the operation's MM changed by something; None: any state."""
        values = [(part, part.free if state is None else part.of(state[part.place])) for part in self.parts]

        def mapped(mm_id: Term) -> Term:
            count = model.mapped(mm_id)
            if change is ZERO:
                return count
            return algebra.choose(algebra.eq(mm_id, model.mm), term.add(count, change), count)

        return View(
            [value for part, value in values if part.kind == "id"],
            [term.sub(value, term.const(part.initial)) for part, value in values if part.kind == "count"],
            [value for part, value in values if part.kind == "flag"],
            term.add(model.total, change),
            mapped,
        )

    # -- induction ---------------------------------------------------------------------------------------
    def _with(self, model: _Model, wanted: set[tuple[str, str]]) -> Iterator[tuple[str, str]]:
        here = self._view(None, model, ZERO)
        kept = templates(len(here.ids), len(here.counts), len(here.flags))
        kept = self._at_first(model, kept)
        if not self._steady(model, kept):
            return
        course = self.course
        first, other = model.any
        maps = [algebra.le(ONE, model.mapped(one)) for one in model.any]
        several = algebra.all_(algebra.not_(algebra.eq(first, other)), *maps)
        sole = algebra.all_(maps[0], algebra.eq(model.mapped(first), model.total))
        course.held = [(first, model.total)]
        truth = Truth(several, sole, model.total, {}, (first, several))
        held = self._hypotheses(model, kept, [*model.any, *here.ids])
        self._possible(held)
        for asked in questions(course, truth, wanted):
            if not asked.why_not and self._ask(held, asked.broken) == "no":
                yield asked.law, asked.claim

    def _hypotheses(self, model: _Model, kept: list[Template], mms: list[Term]) -> list[Term]:
        here = self._view(None, model, ZERO)
        mms = list(dict.fromkeys([*mms, *(one for one, _ in model.held)]))
        said = [one for template in kept for one in template.of(here, mms)]
        some = [algebra.le(ONE, model.total)] if self.course.anon else []
        return [*self.given, *model.facts(mms), *some, *said]

    def _ask(self, held: list[Term], question: Term) -> str | dict[str, int]:
        if question is term.FALSE:
            return "no"
        solver = Question(self.budget, [question, *held])
        solver.hold(*held)
        reply = solver.ask(question, PATIENCE)
        self.asked += solver.asked
        return reply.values if reply.answer == "yes" else reply.answer

    def _possible(self, held: list[Term]) -> None:
        """Look whether what is assumed can be so: of a contradiction everything would follow.

        Raises:
            Unsupported: it is not known to be.
        """
        some = term.var("something", 0, 1)
        if not isinstance(self._ask(held, algebra.eq(some, ONE)), dict):
            raise Unsupported("no such state is known", "see the bounded questions")

    def _at_first(self, model: _Model, kept: list[Template]) -> list[Template]:
        """Those that hold of the first state: a file's unmapped folio, or a new anonymous one with all its pages."""
        course = self.course
        state, change = self.initial, ZERO
        given = [*self.given, *model.facts([model.mm, *model.any]), algebra.eq(model.total, ZERO)]
        if course.anon:
            course.paths.state = dict(self.initial)
            course.paths.faults.clear()
            course.run(NEW, "mm0", model.mm, model.nr)
            state, change = course.paths.state, model.nr
            course.paths.state = self._generic()
            given.append(algebra.eq(model.nr, model.pages))
            if course.paths.faults:
                raise Unsupported("a new folio is at fault", "see the bounded questions")
        outside = [place for place in state if place[0] == FOLIO and not self._covered(place, state[place])]
        if outside:
            raise Unsupported("a new folio is of another kind", "see the bounded questions")
        after = self._view(state, model, change)
        return self._filtered(given, model, kept, after, [self._in_range(state)])

    def _covered(self, place: Place, value: Term) -> bool:
        known = place in self.unknown or any(part.place == place for part in self.parts)
        return known or value is self.initial[place]

    def _in_range(self, state: State) -> Term:
        """Whether each part holds a value that any state may hold."""
        said = []
        for part in self.parts:
            value = part.of(state[part.place])
            said += [algebra.le(term.const(part.free.lo), value), algebra.le(value, term.const(part.free.hi))]
        return algebra.all_(*said)

    def _filtered(
        self, given: list[Term], model: _Model, kept: list[Template], after: View, needed: list[Term]
    ) -> list[Template]:
        """Those whose sentences hold of a later state.

        Raises:
            Unsupported: something that is needed does not hold, or is not known to.
        """
        said = {template: algebra.all_(*template.of(after, model.any)) for template in kept}
        while True:
            every = algebra.all_(*needed, *said.values())
            reply = self._ask(given, algebra.not_(every))
            if reply == "no":
                return list(said)
            if isinstance(reply, str):
                raise Unsupported("induction takes too long", "see the bounded questions")
            free = term.variables([*said.values(), *needed, *given])
            values = {one: term.const(reply.get(str(one.args[0]), one.lo)) for one in free}
            false = [one for one, what in said.items() if algebra.substitute(what, values.get).value != 1]
            if not false or any(algebra.substitute(one, values.get).value != 1 for one in needed):
                raise Unsupported("a state is left that is followed", "see the bounded questions")
            for one in false:
                del said[one]

    def _steady(self, model: _Model, kept: list[Template]) -> bool:
        """Leave those that every operation preserves; whether no operation is at fault."""
        while True:
            before = len(kept)
            for kind, state in self._after.items():
                nr = term.times(model.nr, -1) if kind == UNMAP else model.nr
                after = self._view(state, model, nr)
                mms = [model.mm, *model.any, *self._view(None, model, ZERO).ids]
                if kind == DUP:
                    mms.append(model.parent)
                held = [*self._hypotheses(model, kept, mms), *model.legal(kind)]
                held += model.sums(mms, after.mapped, after.total)
                if self.course.anon:
                    held.append(algebra.le(ONE, after.total))
                self._possible(held)
                kept[:] = self._filtered(held, model, kept, after, [self._in_range(state)])
            if len(kept) == before:
                break
        for kind, faults in self.faults.items():
            mms = [model.mm, *model.any, *self._view(None, model, ZERO).ids]
            held = [*self._hypotheses(model, kept, mms), *model.legal(kind)]
            if any(self._ask(held, fault) != "no" for fault in faults):
                return False
        return True


def _names_mms(value: Term) -> bool:
    """Whether a number is always some MM's ID or a constant."""
    todo, found = [value], False
    while todo:
        one = todo.pop()
        if one.op == ITE:
            todo += one.args[1:]
        elif one.op == VAR and str(one.args[0]).startswith("id"):
            found = True
        elif one.value is None:
            return False
    return found
