"""The explored attack: programs of a few threads, each searched exhaustively as far as memory and time allow.

First the litmus programs, which are quick; then every pair of operations, those that differ most first; then, deeper,
what was too large; then every triple. See `derived` for pairs and triples.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine.callers import changed_operations
from foliolab.framework.verify.attack import Budget, Tell
from foliolab.framework.verify.counterexample import MemoryModel
from foliolab.framework.verify.explored.coverage import Coverage
from foliolab.framework.verify.explored.crew import Crew
from foliolab.framework.verify.explored.derived import pairs, triples
from foliolab.framework.verify.explored.programs import Program, programs
from foliolab.framework.verify.explored.search import Means, Searcher, Task
from foliolab.framework.verify.finding import Finding

LITMUS: Final = 1 / 30
"""The share of the budget that the first search of a litmus program may take."""
LITMUS_SECONDS: Final = 1.0
"""The same in seconds, at least: the first one prepares the policy's text, too."""
SHORT: Final = 1 / 120
"""The same for a derived program."""
PAIRS_END, DEEPER_END, ALL_PAIRS_END, CUT_END = 0.6, 0.8, 0.9, 0.95
"""Shares of the budget at which the first search of pairs ends, the deeper one of litmus programs, the further one of
pairs, and the deeper one of pairs that were cut. What is then left is for triples."""
SCHEDULES: Final = 200_000


class Explored:
    """Explores the interleavings of a few threads on one folio (see `Attack`).

    Args:
        model: the memory model: sc, tso or armv8.
        preemptions: bounds on preemptions that are tried in turn for a program that is too large.
        schedules: random schedules for each such program.
        program: the only program to explore; None for the listed and the derived ones.
    """

    name = "explored"
    compiled = False
    """Whether the compiled C text of the policy runs, in place of the translation."""

    def __init__(
        self,
        model: MemoryModel = "sc",
        preemptions: tuple[int, ...] = (1, 2, 3),
        schedules: int = SCHEDULES,
        program: Program | None = None,
    ) -> None:
        self.model: MemoryModel = model
        self.preemptions = preemptions
        self.schedules = schedules
        self.program = program

    def run(self, scheme: Scheme, budget: Budget, tell: Tell) -> list[Finding]:
        from foliolab.framework.verify.explored.exploration import uncollected

        means = Means(self.name, self.model, self.compiled, self.preemptions, self.schedules)
        listed, two, three = tuple(_listed(scheme)), pairs(scheme), triples(scheme)
        if self.program is not None:
            listed, two, three = (self.program,), (), ()
        coverage = Coverage(scheme, budget, tell, means, listed, two, three)

        def program(task: Task) -> Program:
            if task.family == "litmus":
                return coverage.litmus[task.number]
            derived = coverage.pairs if task.family == "pairs" else coverage.triples
            return derived[task.number].program

        searcher = Searcher(scheme, means, budget, program, coverage.progress)
        with uncollected(), Crew(searcher, budget.jobs) as crew:
            for stage in _stages(coverage, crew.jobs):
                for outcome in crew.outcomes(stage):
                    coverage.take(outcome)
        self.ended(coverage)
        return coverage.findings()

    def ended(self, coverage: Coverage) -> None:
        """Called at the end of a run."""


def _listed(scheme: Scheme) -> Iterator[Program]:
    """The litmus programs; under a caller, those in which a thread runs an operation that it changes."""
    changed = changed_operations(scheme.caller) if scheme.caller else None
    for one in programs(scheme):
        if changed is None or any(operation.name in changed for thread in one.threads for operation in thread):
            yield one


def _stages(coverage: Coverage, jobs: int) -> Iterator[Iterator[Task]]:
    """The tasks, in stages; the outcomes of a stage are known when the next one begins."""
    seconds = coverage.budget.seconds
    yield _first(coverage, "litmus", max(LITMUS * seconds, LITMUS_SECONDS), 1.0)
    yield _first(coverage, "pairs", SHORT * seconds, PAIRS_END)
    yield _deeper(coverage, "litmus", DEEPER_END, jobs)
    yield _first(coverage, "pairs", SHORT * seconds, ALL_PAIRS_END)
    yield _deeper(coverage, "pairs", CUT_END, jobs)
    yield _first(coverage, "triples", SHORT * seconds, 1.0)


def _left(coverage: Coverage, end: float) -> float:
    """Seconds until a share of the budget is used up; 0 if nothing is left to do."""
    budget = coverage.budget
    return 0.0 if coverage.is_over else max(budget.left - budget.seconds * (1 - end), 0.0)


def _first(coverage: Coverage, family: str, seconds: float, end: float) -> Iterator[Task]:
    """The first search of each program of a family that has had none."""
    total = len({"litmus": coverage.litmus, "pairs": coverage.pairs, "triples": coverage.triples}[family])
    for number in range(total):
        if not (left := _left(coverage, end)):
            return
        if number not in coverage.ended[family]:
            yield Task(family, number, min(seconds, left), ignore=frozenset(coverage.refuted))


def _deeper(coverage: Coverage, family: str, end: float, jobs: int) -> Iterator[Task]:
    """Longer searches of the programs that were too large, each with an equal share of the time, or twice that."""
    cut = [number for number, ended in coverage.ended[family].items() if ended in ("time", "memory", "unconfirmed")]
    for done, number in enumerate(cut):
        if not (left := _left(coverage, end)):
            return
        share = 2 * jobs / (len(cut) - done + 1)
        yield Task(family, number, left * min(share, 1.0), deep=True, ignore=frozenset(coverage.refuted))
