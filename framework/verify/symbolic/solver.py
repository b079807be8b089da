"""Asks z3 whether a term can be true under assumptions.

z3 gets linear arithmetic. Equations with large factors, and congruences, are free Booleans at first: if the rest is
unsatisfiable, nothing else is needed. Otherwise their solutions are enumerated (`diophantine`), and z3 gets them as
lists of values.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final, Literal

import z3

from foliolab.framework.verify.attack import Budget
from foliolab.framework.verify.symbolic.diophantine import TooMany, groups, solutions
from foliolab.framework.verify.symbolic.term import FALSE, Op, Term, subterms
from foliolab.framework.verify.symbolic.z3_terms import Translator, Unsolvable, split_variables

LISTED: Final = 64
"""Solutions of an equation that z3 gets as one list."""
CHUNK: Final = 24
"""Solutions that z3 gets at a time, where there are more."""
CHUNKS: Final = 40
MAX_SOLUTIONS: Final = 1 << 17
POLL: Final = 0.1
"""Seconds between two looks at the budget while z3 works."""


@dataclass(frozen=True)
class Reply:
    """The answer to a query.

    Args:
        answer: whether the query is satisfiable.
        values: values of the variables by name, if it is.
        queries: how often z3 was asked.
        reason: why the answer is unknown, if time is not the reason.
    """

    answer: Literal["unsatisfiable", "satisfiable", "unknown"]
    values: dict[str, int] = field(default_factory=dict)
    queries: int = 0
    reason: str = ""


class Translations:
    """What z3 got so far of some queries: terms that occur again are not translated again."""

    def __init__(self) -> None:
        self._translators: dict[frozenset[Term], Translator] = {}

    def translator(self, terms: list[Term]) -> Translator:
        """The translator for the terms of a query; which bits they use decides how they look in z3."""
        in_bits = split_variables(terms)
        if in_bits not in self._translators:
            self._translators[in_bits] = Translator(z3.Context(), in_bits)
        return self._translators[in_bits]

    def forget(self) -> None:
        """Begin anew: an interruption of z3 may reach the next query of its context."""
        self._translators.clear()


def solve(
    question: Term, given: Iterable[Term], budget: Budget, seconds: float, translations: Translations | None = None
) -> Reply:
    """Whether a question can be true together with all given terms.

    Args:
        question: a Boolean term.
        given: the assumptions.
        budget: ends the query early.
        seconds: of computing; not of wall-clock time, so that a busy host changes no answer.
        translations: of queries with the same terms; by default each query has its own.
    """
    if question is FALSE:
        return Reply("unsatisfiable")
    translations = translations or Translations()
    reply = _reply([question, *given], budget, time.process_time() + seconds, translations)
    if reply.answer == "unknown":
        translations.forget()
    return reply


def _reply(terms: list[Term], budget: Budget, until: float, translations: Translations) -> Reply:
    query = _Query(terms, budget, until, translations.translator(terms))
    try:
        found = query.run()
    except Unsolvable as fault:
        return Reply("unknown", {}, query.checks, fault.what)
    except z3.Z3Exception:  # an interruption that comes just after an answer ends the next call of z3
        found = z3.unknown
    if found == z3.unsat:
        return Reply("unsatisfiable", {}, query.checks)
    return Reply("satisfiable", found, query.checks) if isinstance(found, dict) else Reply("unknown", {}, query.checks)


@dataclass
class _Equation:
    """An equation, the z3 Boolean that stands for it, and its solutions.

    Args:
        boolean: the z3 Boolean.
        modulus: of the congruence.
        factors: one for each number.
        numbers: the unknown numbers.
        expressions: the same in z3.
        solutions: values of the numbers, small ones first.
    """

    boolean: Any
    modulus: int
    factors: list[int]
    numbers: list[Term]
    expressions: list[Any]
    solutions: list[tuple[int, ...]] = field(default_factory=list)

    def is_one_of(self, some: list[tuple[int, ...]], context: z3.Context) -> Any:
        """The numbers are one of some solutions."""
        rows = [[x == value for x, value in zip(self.expressions, row, strict=True)] for row in some]
        return z3.Or([z3.And(row, context) for row in rows], context)


class _Query:
    def __init__(self, terms: list[Term], budget: Budget, until: float, translate: Translator) -> None:
        self.terms = terms
        self.parts = subterms(terms)
        self.budget = budget
        self.until = until
        self.checks = 0
        self.translate = translate
        self.context = translate.context
        self.solver = z3.SimpleSolver(ctx=self.context)  # faster here than the solver with all tactics

    @property
    def _is_late(self) -> bool:
        return not self.budget.left or time.process_time() > self.until

    def run(self) -> Any:
        """Values by name if the terms are satisfiable, else z3's answer."""
        question, *given = [self.translate(term) for term in self.terms]
        self.solver.add(*self.translate.definitions(self.parts), *given)
        self.solver.push()  # selects z3's incremental core, which is faster here
        self.solver.add(question)
        answer = self._check()
        if answer != z3.sat or self.translate.equations.keys().isdisjoint(self.parts):
            return self._values() if answer == z3.sat else answer
        equations = self._solved_equations()
        if equations is None:
            return z3.unknown
        for equation in equations:
            if len(equation.solutions) <= LISTED:
                self.solver.add(equation.boolean == equation.is_one_of(equation.solutions, self.context))
        long = [equation for equation in equations if len(equation.solutions) > LISTED]
        if long:
            return self._in_chunks(long)
        answer = self._check()
        return self._values() if answer == z3.sat else answer

    def _values(self) -> dict[str, int]:
        model = self.solver.model()
        variables = {str(part.args[0]): self.translate(part) for part in self.parts if part.op == Op.VAR}
        return {name: model.eval(variable, model_completion=True).as_long() for name, variable in variables.items()}

    def _check(self) -> Any:
        """z3's answer. A thread interrupts z3 when the time is over."""
        if not self.budget.left:
            return z3.unknown
        self.checks += 1
        done = threading.Event()

        def watch() -> None:
            while not done.wait(POLL):
                if self._is_late:
                    self.context.interrupt()

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            return self.solver.check()
        except z3.Z3Exception:
            return z3.unknown
        finally:
            done.set()
            watcher.join()

    # -- equations ---------------------------------------------------------------------------------------
    def _in_chunks(self, equations: list[_Equation]) -> Any:
        """Give z3 some of many solutions at a time. That can find values, but never exclude them."""
        for chunk in range(CHUNKS):
            self.solver.push()
            for equation in equations:
                start = 1 + chunk * CHUNK
                some = equation.solutions[:1] + equation.solutions[start : start + CHUNK]
                self.solver.add(equation.boolean, equation.is_one_of(some, self.context))
            if self._check() == z3.sat:
                return self._values()
            self.solver.pop()
            if self._is_late:
                break
        return z3.unknown

    def _solved_equations(self) -> list[_Equation] | None:
        """All equations with their solutions within the bounds of their numbers; None if there are too many."""
        found = []
        for term in (part for part in self.parts if part in self.translate.equations):
            boolean = self.translate.equations[term]
            modulus = 1 << (term.args[1] if term.op == Op.CONGRUENT else _bits_beyond(term.args[0]))
            factors, numbers = groups(term.args[0], modulus)
            expressions = [self.translate(number) for number in numbers]
            found.append(_Equation(boolean, modulus, factors, numbers, expressions))
        numbers = [number for equation in found for number in equation.numbers]
        self.solver.add(*self.translate.definitions(subterms(numbers)))
        bound = self._bound(found)
        if bound is None:
            return None
        for equation in found:
            boxes = [(max(number.lo, -bound), min(number.hi, bound)) for number in equation.numbers]
            every = solutions(equation.factors, boxes, equation.modulus, lambda: not self.budget.left)
            try:
                equation.solutions = list(islice(every, MAX_SOLUTIONS))
            except (TooMany, InterruptedError):
                return None
            equation.solutions.sort(key=lambda row: (max(map(abs, row), default=0), len(set(map(abs, row)))))
        return found

    def _bound(self, equations: list[_Equation]) -> int | None:
        """The smallest power of two that no number of the equations can exceed; None if z3 does not find it."""
        numbers = [number for equation in equations for number in equation.numbers]
        expressions = [expression for equation in equations for expression in equation.expressions]
        low, high = 0, max((max(abs(number.lo), abs(number.hi)) for number in numbers), default=0).bit_length()
        while low < high:
            middle = (low + high) // 2
            self.solver.push()
            self.solver.add(z3.Or([z3.Or(x > 1 << middle, x < -(1 << middle)) for x in expressions]))
            answer = self._check()
            self.solver.pop()
            if answer == z3.unknown:
                return None
            low, high = (middle + 1, high) if answer == z3.sat else (low, middle)
        return 1 << high


def _bits_beyond(number: Term) -> int:
    """The bits of a modulus that is so large that only 0 is a multiple of it."""
    return max(abs(number.lo), abs(number.hi)).bit_length() + 2
