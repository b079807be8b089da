"""Class after class and bound after bound: what each claim comes to."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

from foliolab.framework.engine.check import Violation
from foliolab.framework.policy import Scheme
from foliolab.framework.verify.attack import Budget, Progress, Tell
from foliolab.framework.verify.counterexample import Counterexample
from foliolab.framework.verify.finding import OWED, Verdict
from foliolab.framework.verify.playback import confirm
from foliolab.framework.verify.symbolic import algebra, term
from foliolab.framework.verify.symbolic.attack import NAME, OWNERS
from foliolab.framework.verify.symbolic.course import Course
from foliolab.framework.verify.symbolic.lowering import Unsolvable
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
from foliolab.framework.verify.symbolic.witness import Script, counterexample, run

FEW_FIRST: Final = 0.6
"""Of the time that is left, what a question about few MMs may take before it is asked about more."""
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
        self.hard: set[tuple[str, str]] = set()
        """Questions that were not answered in time for some class."""
        self.began = time.monotonic()

    def outcomes(self) -> Iterator[Outcome]:
        """What is found, as soon as it is."""
        term.forget()
        classes = [one for anon in (True, False) for one in self.classes(anon)]
        for number, one in enumerate(classes):
            budget = self.budget.part(1 / (len(classes) - number))
            try:
                yield from _OneClass(self, one, budget).outcomes()
            except InterruptedError:
                for law, claim in claimed(self.scheme, one.anon):
                    yield Outcome(law, claim, "undecided", one.told, "the time was over")

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
        self.patience = 1e9
        """Seconds for a question."""

    def outcomes(self) -> Iterator[Outcome]:
        """What each claim comes to."""
        course = self.search.course(self.one.orders[-1], self.one.anon)
        if Sums(course).find():
            yield from self._by_sums()
        else:
            yield from self._by_steps()
        asked = self.search.asked
        for (law, claim), within in self.open.items():
            why = self.stuck.get((law, claim))
            if why:
                so_far = f"{why} (held for {within})" if within else why
                yield Outcome(law, claim, "undecided", self.one.told, so_far, None, asked)
            elif within:
                yield Outcome(law, claim, "held", self.one.told, within, None, asked)

    # -- the state is a sum ------------------------------------------------------------------------------
    def _by_sums(self) -> Iterator[Outcome]:
        """Few MMs first, what took too long elsewhere last; where something breaks, the other orders by themselves."""
        for hard in (False, True):
            for owners in OWNERS:
                within = f"any operations (fewer than 2^26), at most {owners} MMs at a time"
                found = list(self._of_sums(owners, within, hard))
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
            yield from single.outcomes()

    def _of_sums(self, owners: int, within: str, hard: bool) -> Iterator[Outcome]:
        if not any(self._wanted(key, hard) for key in self.open):
            return
        course = self.search.course(self.one.orders[-1], self.one.anon)
        sums = Sums(course)
        if not sums.find():
            raise AssertionError("what is a sum once is one always")
        held = sums.held_by(owners)
        ids = [mm_id for mm_id, _ in held]
        apart = [algebra.not_(algebra.eq(a, b)) for i, a in enumerate(ids) for b in ids[:i]]
        fits = [algebra.le(count, course.pages) for _, count in held]
        given = [*apart, *fits, _one_of(course.pages, self.one.orders)]
        if self.one.anon:
            given.append(algebra.le(term.const(1), held[0][1]))
        wanted = {key for key in self.open if self._wanted(key, hard)}
        for asked in questions(course, truth_of_sums(held), wanted):
            self.search.progress(f"{self.one.told}, {asked.law}, up to {owners} MMs", owners)
            yield from self._ask(asked, given, within, lambda values: self._held(values, owners, course))

    def _wanted(self, key: tuple[str, str], hard: bool) -> bool:
        return key not in self.stuck and (key in self.search.hard) == hard

    def _held(self, values: dict[str, int], owners: int, course: Course) -> Script:
        script = Script(values["P"].bit_length() - 1, course.anon)
        script.hold([(values.get(f"id{i}", 0), values.get(f"held{i}", 0)) for i in range(owners)])
        if course.anon:
            script.write(values["id0"])
        return script

    # -- one operation after the other -------------------------------------------------------------------
    def _by_steps(self) -> Iterator[Outcome]:
        course = self.search.course(self.one.orders[-1], self.one.anon)
        given = [_one_of(course.pages, self.one.orders)]
        for number in range(1, self.search.steps + 1):
            if self.open and all(key in self.stuck for key in self.open):
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
            wanted = {key for key in self.open if key not in self.stuck}
            for asked in questions(course, truth_of_course(course), wanted):
                self.search.progress(f"{self.one.told}, {asked.law}", number)
                mine = "asking" if asked.law == "reuse" else None
                yield from self._ask(asked, given, within, partial(self._stepped, course=course, asking=mine))

    def _stepped(self, values: dict[str, int], course: Course, asking: str | None) -> Script:
        script = Script(values["P"].bit_length() - 1, course.anon)
        for i, step in enumerate(course.steps):
            kind = values.get(f"kind{i}", 0) if step.kind.value is None else step.kind.value
            script.step(kind, values[f"id{i}"], values[f"nr{i}"])
        if asking is not None:
            script.write(values[asking])
        return script

    # -- questions ---------------------------------------------------------------------------------------
    def _ask(
        self, asked: Asked, given: list[Term], within: str, script_of: Callable[[dict[str, int]], Script]
    ) -> Iterator[Outcome]:
        """Ask whether a law can be broken; outcomes are refutations, the rest is noted."""
        key = (asked.law, asked.claim)
        if key not in self.open or key in self.stuck:
            return
        if not self.budget.left:
            self.stuck[key] = "the time was over"
            return
        reply, why = self._reply(asked, given)
        if reply == "no":
            self.open[key] = within
        elif reply == "unknown":
            self.stuck[key] = why or f"{within}: undecided, the time was over"
            if not why:
                self.search.hard.add(key)
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
        ids = [one for one in term.variables([asked.broken, *given]) if one.args[0].startswith(("id", "asking"))]
        partition = Partition(ids)
        broken = asked.broken
        if partition.applies([broken, *given]):
            given = [*(partition.rewritten(one) for one in given), *partition.laws()]
            broken = partition.rewritten(broken)
        question = Question(self.budget, [broken, *given])
        try:
            question.hold(*given)
            reply = question.ask(broken, self.patience)
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
