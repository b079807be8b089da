"""Whether a truth can hold: linear arithmetic by z3, equations with large factors by exact enumeration first."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, Literal

import z3

from foliolab.framework.verify.attack import Budget
from foliolab.framework.verify.symbolic.diophantine import TooMany, groups, solutions
from foliolab.framework.verify.symbolic.term import CONGRUENT, Term
from foliolab.framework.verify.symbolic.z3_terms import Lowering, split_variables

Answer = Literal["no", "yes", "unknown"]
LISTED: Final = 64
"""Solutions of an equation that the solver is given as one list."""
CHUNK: Final = 24
MANY: Final = 1 << 17
"""Solutions that are looked for at most."""
LOOK: Final = 0.1
"""Seconds between two looks at the budget while the solver works."""


@dataclass(frozen=True)
class Reply:
    """The solver's answer.

    Args:
        answer: whether there are such values.
        values: the variables' values by name, where there are.
    """

    answer: Answer
    values: dict[str, int]


class Question:
    """A set of truths that grows; each is asserted for good, questions are put on top.

    Args:
        budget: when to give up.
        about: terms that will be spoken of: whose bits matter is known from the beginning.
    """

    def __init__(self, budget: Budget, about: Iterable[Term] = ()) -> None:
        self.budget = budget
        self.context = z3.Context()
        self._solver = z3.SimpleSolver(ctx=self.context)  # its core alone: faster here than with all tactics
        self._equations: dict[Term, Any] = {}
        self._lower = Lowering(self.context, self._equations, split_variables(about))
        self.asked = 0

    def hold(self, *terms: Term) -> None:
        """Require some truths."""
        for term in terms:
            lowered = self._lower(term)
            self._solver.add(*self._lower.take_given(), lowered)

    def ask(self, term: Term, seconds: float = 1e9) -> Reply:
        """Whether a truth can hold, too; `seconds` of computing, so that a busy machine changes no answer."""
        try:
            return self._ask(term, seconds)
        except z3.Z3Exception:  # an interruption that came when z3 had just answered ends whatever is next
            return Reply("unknown", {})

    def _ask(self, term: Term, seconds: float) -> Reply:
        lowered = self._lower(term)
        self._solver.add(*self._lower.take_given())
        self._solver.push()
        try:
            self._solver.add(lowered)
            return self._with_equations(time.process_time() + seconds)
        finally:
            self._solver.pop()

    def _check(self, until: float, *assumptions: Any) -> Any:
        """z3's answer; it is interrupted when the budget or the time is over."""
        self.asked += 1
        done = threading.Event()

        def watch() -> None:
            while not done.wait(LOOK):
                if not self.budget.left or time.process_time() > until:
                    self.context.interrupt()

        if not self.budget.left:
            return z3.unknown
        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            return self._solver.check(*assumptions)
        except z3.Z3Exception:
            return z3.unknown
        finally:
            done.set()
            watcher.join()

    # -- equations ---------------------------------------------------------------------------------------
    def _with_equations(self, until: float) -> Reply:
        """Check; where there are equations, with their solutions in place of them."""
        if not self._equations:
            return self._reply(self._check(until))
        first = self._check(until)  # equations as free truths: if there is nothing even so, there is nothing
        if first != z3.sat:
            return self._reply(first)
        meanings = self._meanings(until)
        if meanings is None:
            return Reply("unknown", {})
        for stands, meaning in meanings:
            if meaning.whole:
                self._solver.add(stands == meaning.one_of(meaning.listed))
        partial = [(stands, meaning) for stands, meaning in meanings if not meaning.whole]
        return self._by_chunks(partial, until) if partial else self._reply(self._check(until))

    def _by_chunks(self, partial: list[tuple[Any, _Meaning]], until: float) -> Reply:
        """Some of many solutions at a time: enough to find something, seldom to exclude it."""
        for chunk in range(40):
            self._solver.push()
            try:
                for stands, meaning in partial:
                    few = meaning.listed[:1] + meaning.listed[1 + chunk * CHUNK : 1 + (chunk + 1) * CHUNK]
                    self._solver.add(stands, meaning.one_of(few))
                found = self._check(until)
                if found == z3.sat:
                    return self._reply(found)
            finally:
                self._solver.pop()
            if time.process_time() > until or not self.budget.left:
                break
        return Reply("unknown", {})

    def _meanings(self, until: float) -> list[tuple[Any, _Meaning]] | None:
        """All solutions of each equation within what its numbers can be now; None if that is too much."""
        wanted = []
        for term, stands in self._equations.items():
            modulus = 1 << (term.args[1] if term.op == CONGRUENT else _beyond(term.args[0]))
            factors, numbers = groups(term.args[0], modulus)
            wanted.append((stands, modulus, factors, numbers, [self._lower(number) for number in numbers]))
        self._solver.add(*self._lower.take_given())
        every = [
            (number, one) for _, _, _, numbers, lowered in wanted for number, one in zip(numbers, lowered, strict=True)
        ]
        reach = self._reach(every, until)
        if reach is None:
            return None
        found = []
        for stands, modulus, factors, numbers, lowered in wanted:
            boxes = [(max(number.lo, -reach), min(number.hi, reach)) for number in numbers]
            try:
                listed = list(islice(solutions(factors, boxes, modulus, lambda: not self.budget.left), MANY))
            except (TooMany, InterruptedError):
                return None
            listed.sort(key=lambda one: (max(map(abs, one), default=0), len(set(map(abs, one)))))
            found.append((stands, _Meaning(self.context, lowered, listed)))
        return found

    def _reach(self, numbers: list[tuple[Term, Any]], until: float) -> int | None:
        """A power of two that none of the numbers can exceed, the smallest one."""
        low, high = 0, max((max(abs(number.lo), abs(number.hi)) for number, _ in numbers), default=0).bit_length()
        while low < high:
            middle = (low + high) // 2
            beyond = z3.Or([z3.Or(one > 1 << middle, one < -(1 << middle)) for _, one in numbers])
            self._solver.push()
            self._solver.add(beyond)
            answer = self._check(until)
            self._solver.pop()
            if answer == z3.unknown:
                return None
            if answer == z3.sat:
                low = middle + 1
            else:
                high = middle
        return 1 << high

    def _reply(self, answer: Any) -> Reply:
        if answer == z3.unsat:
            return Reply("no", {})
        if answer != z3.sat:
            return Reply("unknown", {})
        model = self._solver.model()
        values = {
            name: model.eval(made, model_completion=True).as_long() for name, made in self._lower.variables.items()
        }
        return Reply("yes", values)


def _beyond(number: Term) -> int:
    """Bits of a modulus so large that only 0 is a multiple of it."""
    return max(abs(number.lo), abs(number.hi)).bit_length() + 2


@dataclass
class _Meaning:
    """The solutions of an equation.

    Args:
        numbers: the solver's expressions.
        listed: their values, small ones first.
    """

    context: z3.Context
    numbers: list[Any]
    listed: list[tuple[int, ...]]

    @property
    def whole(self) -> bool:
        """Whether all of them can be given to the solver at once."""
        return len(self.listed) <= LISTED

    def one_of(self, some: Iterable[tuple[int, ...]]) -> Any:
        """That the numbers are one of these."""
        return z3.Or([z3.And(list(self._are(one)), self.context) for one in some], self.context)

    def _are(self, values: tuple[int, ...]) -> Iterator[Any]:
        for number, value in zip(self.numbers, values, strict=True):
            yield number == value
