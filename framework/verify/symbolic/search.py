"""Class after class and bound after bound: what each claim comes to."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine.check import Violation
from foliolab.framework.verify.attack import Budget, Progress, Tell
from foliolab.framework.verify.counterexample import Counterexample
from foliolab.framework.verify.finding import OWED, Verdict
from foliolab.framework.verify.playback import confirm
from foliolab.framework.verify.symbolic import algebra, term
from foliolab.framework.verify.symbolic.attack import NAME, OWNERS
from foliolab.framework.verify.symbolic.induction import WITHIN, Induction
from foliolab.framework.verify.symbolic.questions import (
    Asked,
    claimed,
    claimed_keys,
    questions,
    truth_of_course,
    truth_of_sums,
)
from foliolab.framework.verify.symbolic.solver import Question
from foliolab.framework.verify.symbolic.space import FOLIO
from foliolab.framework.verify.symbolic.sums import Sums
from foliolab.framework.verify.symbolic.symmetry import Partition
from foliolab.framework.verify.symbolic.term import Term
from foliolab.framework.verify.symbolic.unrolling import Course
from foliolab.framework.verify.symbolic.witness import Script, counterexample, run
from foliolab.framework.verify.symbolic.z3_terms import Unsolvable

PATIENCE: Final = (0.5, 6.0, 1e9)
"""Seconds of computing for a question where the state is a sum: what takes longer is asked again after all others."""
FEW: Final = 2
"""MMs that are tried first, for small counterexamples."""
FEW_FIRST: Final = 0.5
LARGEST_FIRST: Final = 3.0
"""Seconds of computing for few MMs, and for the largest folio of a class."""
INDUCTION: Final = 0.4
"""Of a class's time, what induction may take."""
ALIKE: Final = 2
"""Steps after which orders are told apart by their terms."""


@dataclass(frozen=True)
class Outcome:
    """What a claim comes to in one class.

    Args:
        law: the law that was asked for.
        claim: the capability.
        verdict: see `finding.Finding`.
        what: the class, such as "files of order 6 to 9".
        within: how far that was looked at, or why it is not known.
        example: where refuted.
        asked: questions to the solver.
    """

    law: str
    claim: str
    verdict: Verdict
    what: str
    within: str
    example: Counterexample | None = None
    asked: int = 0

    @property
    def bound(self) -> str:
        """Class and bound."""
        return f"{self.what}: {self.within}"


@dataclass(frozen=True)
class Class:
    """Orders whose folios a policy's text treats alike."""

    anon: bool
    orders: tuple[int, ...]

    @property
    def told(self) -> str:
        """In words."""
        kind = "anonymous folios" if self.anon else "files' folios"
        if len(self.orders) == 1:
            return f"{kind} of order {self.orders[0]}"
        consecutive = self.orders[-1] - self.orders[0] == len(self.orders) - 1
        orders = f"{self.orders[0]} to {self.orders[-1]}" if consecutive else ", ".join(map(str, self.orders))
        return f"{kind} of order {orders}"


class Search:
    """One policy's classes, one after the other."""

    def __init__(self, scheme: Scheme, budget: Budget, steps: int, orders: range | None, tell: Tell) -> None:
        self.scheme = scheme
        self.budget = budget
        self.steps = steps
        self.orders = orders or range(1, scheme.policy.max_order + 1)
        self.tell = tell
        self.asked = 0
        self.began = time.monotonic()

    def outcomes(self) -> Iterator[Outcome]:
        """What is found, as soon as it is: classes with many orders first, and no question long before all were put."""
        term.forget()
        found = [one for anon in (True, False) for one in self.classes(anon)]
        found.sort(key=lambda one: -len(one.orders))
        classes = [_OneClass(self, one, self.budget) for one in found]
        sums = [one for one in classes if not self._late(one) and one.sums is not None]
        for patience in PATIENCE:
            for one in sums:
                try:
                    yield from one.by_sums(patience)
                except InterruptedError:
                    break
        others = [one for one in classes if one not in sums]
        for number, one in enumerate(others):
            one.budget = self.budget.part(1 / (len(others) - number))
            try:
                yield from one.by_steps()
            except InterruptedError:
                one.late()
        for one in classes:
            yield from one.rest()

    def _late(self, one: _OneClass) -> bool:
        """Whether time was over before it was known what a class is."""
        try:
            one.prepare()
        except InterruptedError:
            return True
        return False

    def course(self, order: int, anon: bool) -> Course:
        """A folio's course, before its first step."""
        return Course(self.scheme, order, self.orders[-1], anon, lambda: not self.budget.left)

    def classes(self, anon: bool) -> list[Class]:
        """The classes of orders: those with the same terms after a few steps."""
        alike: dict[object, list[int]] = {}
        for order in self.orders:
            if order == 1 and anon:
                continue  # the kernel has no such folios
            self.progress(f"classes of {'anonymous folios' if anon else 'files'}", order)
            course = self.course(order, anon)
            apart = {(FOLIO, course.space.layouts["folio"].by_name["_flags_1"].offset)}
            for _ in range(ALIKE):
                course.step()
            state = course.paths.state
            key = tuple(state[place] for place in sorted(state) if place not in apart)
            room = tuple(stored.page < 1 << order for stored in self.scheme.stored("folio"))
            alike.setdefault((key, room), []).append(order)
        return [Class(anon, tuple(orders)) for orders in alike.values()]

    def progress(self, what: str, depth: int) -> None:
        """Tell how far it is."""
        seconds = max(time.monotonic() - self.began, 1e-3)
        self.tell(Progress(NAME, what, self.asked, depth, self.asked / seconds))


class _OneClass:
    def __init__(self, search: Search, one: Class, budget: Budget) -> None:
        self.search = search
        self.scheme = search.scheme
        self.one = one
        self.budget = budget
        self.open: dict[tuple[str, str], str] = {key: "" for key in claimed(self.scheme, one.anon)}
        """Claims that may still hold, and how far they were found to."""
        self.stuck: dict[tuple[str, str], str] = {}
        self.proved: set[tuple[str, str]] = set()
        """Claims that hold for any number of operations."""
        self.again: set[tuple[str, str]] = set()
        """Those that were not answered in time, but may be with more of it."""
        self.asked_of: dict[tuple[str, str], Asked] = {}
        self.patience = PATIENCE[-1]
        """Seconds for a question."""
        self.sums: Sums | None = None
        self.held: list[tuple[Term, Term]] = []

    def prepare(self) -> None:
        """Find out whether the state is a sum."""
        course = self.search.course(self.one.orders[-1], self.one.anon)
        sums = Sums(course)
        if sums.find():
            self.sums, self.course, self.held = sums, course, sums.held_by(OWNERS)

    def rest(self) -> Iterator[Outcome]:
        """What the claims come to that are not refuted."""
        asked = self.search.asked
        for (law, claim), within in self.open.items():
            why = self.stuck.get((law, claim))
            if why is None and not within:
                why = "the time was over"
            if why:
                so_far = f"{why} (held for {within})" if within else why
                yield Outcome(law, claim, "undecided", self.one.told, so_far, None, asked)
            else:
                yield Outcome(law, claim, "held", self.one.told, within, None, asked)

    def late(self) -> None:
        """The time was over in the midst of something."""
        for key in self.open:
            if key not in self.proved:
                self.stuck.setdefault(key, "the time was over")

    # -- the state is a sum ------------------------------------------------------------------------------
    def by_sums(self, patience: float) -> Iterator[Outcome]:
        """Ask what is not answered yet, for so long; where something breaks, the other orders by themselves."""
        self.patience = patience
        within = f"any operations (fewer than 2^26), at most {OWNERS} MMs at a time"
        found = list(self._of_sums(within))
        yield from found
        if found and len(self.one.orders) > 1:
            yield from self._other_orders(found)

    def _other_orders(self, found: list[Outcome]) -> Iterator[Outcome]:
        mine = {(one.law, one.claim) for one in found} & claimed_keys(self.scheme, self.one.anon)
        others = [order for order in self.one.orders if Class(self.one.anon, (order,)).told != found[0].what]
        for number, order in enumerate(others):
            budget = self.search.budget.part(1 / (2 * (len(others) - number) + 2))  # what breaks deserves time
            single = _OneClass(self.search, Class(self.one.anon, (order,)), budget)
            single.open = {key: "" for key in single.open if key in mine}
            single.prepare()
            yield from single.by_sums(PATIENCE[-1])
            yield from single.rest()

    def _of_sums(self, within: str) -> Iterator[Outcome]:
        course = self.course
        wanted = {key for key in self.open if key not in self.asked_of and self._wanted(key)}
        for asked in questions(course, truth_of_sums(self.held), wanted):
            self.asked_of[asked.law, asked.claim] = asked
        ids = [mm_id for mm_id, _ in self.held]
        apart = [algebra.not_(algebra.eq(a, b)) for i, a in enumerate(ids) for b in ids[:i]]
        fits = [algebra.le(count, course.pages) for _, count in self.held]
        given = [*apart, *fits, _one_of(course.pages, self.one.orders)]
        if self.one.anon:
            given.append(algebra.le(term.const(1), self.held[0][1]))
        for key, asked in self.asked_of.items():
            if key in self.open and self._wanted(key):
                self.search.progress(f"{self.one.told}, {asked.law}, up to {OWNERS} MMs", OWNERS)
                yield from self._ask(asked, given, within, lambda values: self._held(values, OWNERS, course))

    def _wanted(self, key: tuple[str, str]) -> bool:
        """Whether a question is not answered, though it can be asked."""
        return not self.open[key] and (key not in self.stuck or key in self.again)

    def _held(self, values: dict[str, int], owners: int, course: Course) -> Script:
        script = Script(values["P"].bit_length() - 1, course.anon)
        script.hold([(values.get(f"id{i}", 0), values.get(f"held{i}", 0)) for i in range(owners)])
        if course.anon:
            script.write(values.get("id0", 1))
        return script

    # -- any number of operations ------------------------------------------------------------------------
    def _by_induction(self) -> None:
        """What is proved so need not be asked of so many operations."""
        self.search.progress(f"{self.one.told}, by induction", 1)
        course = self.search.course(self.one.orders[-1], self.one.anon)
        attempt = Induction(course, [_one_of(course.pages, self.one.orders)], self.budget.part(INDUCTION))
        for key in attempt.proved(set(self.open)):
            self.open[key] = WITHIN
            self.proved.add(key)
        self.search.asked += attempt.asked

    # -- one operation after the other -------------------------------------------------------------------
    def by_steps(self) -> Iterator[Outcome]:
        """Ask after each of some operations, what induction does not prove."""
        self._by_induction()
        course = self.search.course(self.one.orders[-1], self.one.anon)
        given = [_one_of(course.pages, self.one.orders)]
        for number in range(1, self.search.steps + 1):
            if self.open and all(key in self.stuck or key in self.proved for key in self.open):
                return
            course.step()
            within = f"{number} operations in a row" if number > 1 else "1 operation"
            given.append(course.legal[-1])
            faults = [f for f in course.faults[-1] if f.when is not term.FALSE]
            for fault in faults:
                asked = Asked(fault.law, OWED, fault.when)
                self.open.setdefault((fault.law, OWED), "")
                yield from self._ask(asked, given, within, lambda values: self._stepped(values, course, None))
            given += [algebra.not_(fault.when) for fault in faults]
            wanted = {key for key in self.open if key not in self.stuck and key not in self.proved}
            for asked in questions(course, truth_of_course(course), wanted):
                self.search.progress(f"{self.one.told}, {asked.law}", number)
                mine = "asking" if asked.law == "reuse" else None
                yield from self._ask(asked, given, within, partial(self._stepped, course=course, asking=mine))

    def _stepped(self, values: dict[str, int], course: Course, asking: str | None) -> Script:
        script = Script(values["P"].bit_length() - 1, course.anon)
        for i, step in enumerate(course.steps):
            kind = values.get(f"kind{i}", 0) if step.kind.value is None else step.kind.value
            script.step(kind, values.get(f"id{i}", 1), values.get(f"nr{i}", 1))
        if asking is not None:
            script.write(values.get(asking, 1))
        return script

    # -- questions ---------------------------------------------------------------------------------------
    def _ask(
        self, asked: Asked, given: list[Term], within: str, script_of: Callable[[dict[str, int]], Script]
    ) -> Iterator[Outcome]:
        """Ask whether a law can be broken; outcomes are refutations, the rest is noted."""
        key = (asked.law, asked.claim)
        if key not in self.open or (key in self.stuck and key not in self.again):
            return
        self.stuck.pop(key, None)
        self.again.discard(key)
        if not self.budget.left:
            self.stuck[key] = "the time was over"
            return
        reply, why = self._reply(asked, given)
        if reply == "no":
            self.open[key] = within
        elif reply == "unknown":
            self.stuck[key] = why or f"{within}: undecided, the time was over"
            if not why:
                self.again.add(key)
        else:
            script = script_of(reply)
            broken = run(script, self.scheme)
            yield from self._confirmed(script, broken, within)
            if key in self.open and any((one.law, one.claim) == key for one in broken):
                self.stuck[key] = f"{within}: it breaks, but only after {broken[0].law} did"
            elif key in self.open:
                self.stuck[key] = f"{within}: a state was found in which it breaks, but the interpreted run does not"

    def _reply(self, asked: Asked, given: list[Term]) -> tuple[Literal["no", "unknown"] | dict[str, int], str]:
        if asked.why_not:
            return "unknown", asked.why_not
        if asked.broken is term.FALSE:
            return "no", ""
        reply, why = self._solved(asked.broken, given, self.patience)
        if reply == "unknown" and not why and self.held and self.patience == PATIENCE[0]:
            found = self._probed(asked.broken, given)
            return (found, "") if found else (reply, why)
        return reply, why

    def _probed(self, broken: Term, given: list[Term]) -> dict[str, int] | None:
        """What breaks a law with few MMs, or in the largest folio: easier to find than in all of a class."""
        largest = 1 << self.one.orders[-1]
        for fixed, patience in (
            ({count: term.const(0) for _, count in self.held[FEW:]}, FEW_FIRST),
            ({self.course.pages: term.const(largest)}, LARGEST_FIRST),
        ):
            some, *rest = (algebra.substitute(one, fixed.get) for one in (broken, *given))
            reply, _ = self._solved(some, rest, patience)
            if isinstance(reply, dict):
                return reply | {str(one.args[0]): value.args[0] for one, value in fixed.items()}
        return None

    def _solved(
        self, broken: Term, given: list[Term], patience: float
    ) -> tuple[Literal["no", "unknown"] | dict[str, int], str]:
        if broken is term.FALSE:
            return "no", ""
        ids = [one for one in term.variables([broken, *given]) if one.args[0].startswith(("id", "asking"))]
        partition = Partition(ids)
        if partition.applies([broken, *given]):
            given = [*(partition.rewritten(one) for one in given), *partition.laws()]
            broken = partition.rewritten(broken)
        question = Question(self.budget, [broken, *given])
        try:
            question.hold(*given)
            reply = question.ask(broken, patience)
        except Unsolvable as fault:
            return "unknown", fault.what
        self.search.asked += question.asked
        if reply.answer != "yes":
            return reply.answer, ""
        return (partition.values(reply.values) | reply.values if ids else reply.values), ""

    def _confirmed(self, script: Script, broken: list[Violation], within: str) -> Iterator[Outcome]:
        """Those breaches in the run of a script that a replay of the file confirms."""
        what = Class(self.one.anon, (script.order,)).told
        for violation in broken:
            key = (violation.law, violation.claim)
            if violation.claim and violation.claim not in self.scheme.capabilities:
                continue
            example = counterexample(script, self.scheme, violation)
            if confirm(example, self.scheme):
                self.open.pop(key, None)
                self.stuck.pop(key, None)
                yield Outcome(*key, "refuted", what, within, example, self.search.asked)


def _one_of(pages: Term, orders: tuple[int, ...]) -> Term:
    return algebra.any_(*(algebra.eq(pages, term.const(1 << order)) for order in orders))
