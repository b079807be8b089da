"""The search of one program: exhaustive, and where that is too large within bounds on preemptions, then by chance."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.errors import FolioLabError, ModelError, UsageError
from foliolab.framework.verify.attack import Budget, Progress
from foliolab.framework.verify.counterexample import Counterexample, MemoryModel
from foliolab.framework.verify.explored.programs import HUGE, Program
from foliolab.framework.verify.watchdog import Stuck

if TYPE_CHECKING:
    from foliolab.framework.verify.explored.exploration import Explorer
    from foliolab.framework.verify.explored.options import Options
    from foliolab.framework.verify.explored.result import Exploration

BOUNDED: Final = 0.25
"""The share of a deep search's time for each bound on preemptions, and for random schedules."""

SHORTEST: Final = 10
SHORTEST_STATES: Final = 10_000
"""What the search for a shortest path may have: states per state of the reduced search, of which this many count at
least."""

Ended = Literal["complete", "broken", "memory", "time", "unconfirmed", "impossible", "failed"]
"""How a search ended. impossible: the policy has no such MM ID, or is not for so many mappings."""


Way = Literal["whole", "by chance", "with one stop"]
"""How a program is searched: exhaustively, by random schedules, or by those in which one thread stops once."""


@dataclass(frozen=True)
class Task:
    """A program to search.

    Args:
        family: litmus, pairs or triples.
        number: the program's, in its family.
        seconds: for the search.
        deep: whether a search that is too large is repeated within bounds.
        ignore: laws that are refuted already. They are ignored, so that a broken law does not hide the others.
    """

    family: str
    number: int
    seconds: float
    deep: bool = False
    ignore: frozenset[str] = frozenset()


class Suspicion(NamedTuple):
    """A violation that the interpreted engine did not confirm."""

    claim: str
    message: str


@dataclass
class Outcome:
    """What a search brought.

    Args:
        ended: how its exhaustive part ended.
        cut: whether paths ended at a law that was already refuted, in a search that was complete otherwise.
        examples: confirmed counterexamples, each with what was explored until then.
        unconfirmed: violations that the interpreted engine did not confirm.
        bounded: the program and the bound within which it was explored completely; empty for none.
        states: of all searches.
        schedules: random ones.
        unjudged: quiescent states that were not checked against the page tables.
        interchangeable: searches with symmetry reduction.
        failure: why the policy cannot be explored; empty if it can.
    """

    task: Task
    ended: Ended = "unconfirmed"
    cut: bool = False
    examples: list[tuple[Counterexample, str]] = field(default_factory=list)
    unconfirmed: list[Suspicion] = field(default_factory=list)
    bounded: str = ""
    states: int = 0
    schedules: int = 0
    unjudged: int = 0
    interchangeable: int = 0
    failure: str = ""


@dataclass(frozen=True)
class Means:
    """How programs are searched.

    Args:
        attack: its name.
        model: the memory model (see `counterexample.MemoryModel`).
        compiled: whether the compiled C text of the policy runs, in place of the translation.
        preemptions: bounds on preemptions, in turn.
        schedules: random schedules for each program.
    """

    attack: str
    model: MemoryModel
    compiled: bool
    preemptions: tuple[int, ...]
    schedules: int


Tell = Callable[[Progress], None]
TELL_EVERY: Final = 0.1
"""Seconds between two reports of progress, at least."""


class Searcher:
    """Searches one program after the other.

    Args:
        programs: the program of a task.
        budget: its memory, its seed, and the request to end.
    """

    def __init__(
        self, scheme: Scheme, means: Means, budget: Budget, programs: Callable[[Task], Program], tell: Tell
    ) -> None:
        self.scheme = scheme
        self.means = means
        self.budget = budget
        self.programs = programs
        self.tell = tell
        self._told = 0.0
        self._before: Explorer | None = None

    def search(self, task: Task) -> Outcome:
        """Search the program of a task."""
        outcome = Outcome(task)
        self._before = None
        try:
            self._explore(outcome, self.programs(task))
        except ModelError:
            outcome.ended = "impossible"
        except FolioLabError as fault:
            outcome.ended, outcome.failure = "failed", fault.what
        self._before = None
        return outcome

    def _explore(self, outcome: Outcome, program: Program) -> None:
        from foliolab.framework.verify.explored.options import Options

        task, means = outcome.task, self.means
        options = Options(
            model=means.model, reduction=True, memory=self.budget.memory, ignore=task.ignore, compiled=means.compiled
        )
        whole = Budget(task.seconds, self.budget.memory, self.budget.seed, self.budget.stop)
        if not task.deep and program.shape.max_order >= HUGE and self._cut(outcome, program, options, whole):
            return
        while True:
            outcome.ended = self._once(outcome, program, options, whole.part(0.5 if task.deep else 1), program.name)
            laws = task.ignore | {example.law for example, _ in outcome.examples}
            if outcome.ended != "broken" or laws <= options.ignore or not whole.left:
                break
            options = replace(options, ignore=laws)
        if not task.deep or outcome.ended in ("complete", "broken") or not whole.left:
            return
        ended: Ended = "unconfirmed"
        for bound in means.preemptions:
            what = f"{program.name}, at most {_preemptions(bound)}"
            ended = self._once(outcome, program, replace(options, bound=bound), whole.part(BOUNDED), what)
            if ended == "complete":
                outcome.bounded = f"{program.name} with at most {_preemptions(bound)}"
            if ended != "complete" or not whole.left:
                break
        if ended != "broken" and whole.left:
            self._once(outcome, program, options, whole, f"{program.name}, random schedules", "by chance")

    def _cut(self, outcome: Outcome, program: Program, options: Options, whole: Budget) -> bool:
        """Stop each thread once, where the threads have too many steps for a short search; return whether they have."""
        from foliolab.framework.verify.explored.cuts import Cuts

        ignore = options.ignore
        while whole.left:
            ended = self._once(outcome, program, replace(options, ignore=ignore), whole, program.name, "with one stop")
            if not isinstance(self._before, Cuts) or not self._before.is_long:
                return False
            laws = ignore | {example.law for example, _ in outcome.examples}
            if ended != "broken" or laws <= ignore:
                break
            ignore = laws
        outcome.ended = "broken" if outcome.examples else "unconfirmed" if outcome.unconfirmed else "time"
        return True

    def _once(
        self, outcome: Outcome, program: Program, options: Options, part: Budget, what: str, way: Way = "whole"
    ) -> Ended:
        from foliolab.framework.verify.explored.cuts import Cuts
        from foliolab.framework.verify.explored.exploration import Explorer
        from foliolab.framework.verify.explored.walker import Walker
        from foliolab.framework.verify.explored.world import World

        began = time.monotonic()
        most = 0  # a search that starts anew has fewer states again

        def keep_going(found: Exploration) -> bool:
            nonlocal most
            now, most = time.monotonic(), max(most, found.states)
            if now > self._told + TELL_EVERY:
                self._told = now
                rate = found.transitions / max(now - began, 1e-3)
                self.tell(Progress(self.means.attack, what, outcome.states + most, found.depth, rate))
            return part.left > 0

        before = self._before
        try:
            world = before.world if before else World(self.scheme, program.shape, program.setup, program.threads)
        except (ModelError, UsageError):
            raise
        except (Exception, Stuck):  # a policy's function may raise anything, or not end
            return "broken" if self._refuted_alone(outcome, program) else "unconfirmed"
        search = Explorer(world, options, before)
        if way == "by chance":
            search = Walker(world, options, self.budget.seed, self.means.schedules, before)
        elif way == "with one stop":
            search = Cuts(world, options, before)
        found = search.run(keep_going)
        if isinstance(search, Cuts) and not search.is_long:
            self._before = None if search.is_symmetric else search
            return "unconfirmed"
        if found.broken and search.reduces:
            search, found = self._shortest(search, options, keep_going)
        self._before = search
        keep_going(found)
        outcome.schedules += found.states if way == "by chance" else 0
        outcome.states += found.states
        outcome.unjudged += found.unjudged
        outcome.interchangeable += found.symmetric
        outcome.cut = found.complete and bool(found.cut)
        refuted = self._confirm(outcome, found)
        search.release()  # the next search reuses the tries, but needs the memory of the states
        if refuted:
            return "broken"
        if found.complete:
            return "complete"
        return "memory" if found.stopped == "memory" else "time" if found.stopped else "unconfirmed"

    def _shortest(
        self, reduced: Explorer, options: Options, keep_going: Callable[[Exploration], bool]
    ) -> tuple[Explorer, Exploration]:
        """Search once more without reduction, since only then the first path to a violation is a shortest one.

        Returns:
            that search, or the reduced one if that would be too large.
        """
        from foliolab.framework.verify.explored.exploration import Explorer

        assert reduced.found.world is not None
        most = SHORTEST * max(reduced.found.states, SHORTEST_STATES)
        whole = Explorer(reduced.found.world, replace(options, reduction=False), reduced)
        whole.run(lambda found: found.states < most and keep_going(found))
        if whole.found.broken:
            return whole, whole.found
        whole.release()
        return reduced, reduced.found

    def _refuted_alone(self, outcome: Outcome, program: Program) -> bool:
        """Refute a law that the set-up or a single thread breaks by itself; return whether it is confirmed."""
        from foliolab.framework.verify.explored.witness import alone

        for operations in program.threads:
            example = alone(self.scheme, program.shape, (*program.setup, *operations), self.means.attack)
            if example is not None:
                outcome.examples.append((example, "found with a thread alone"))
                return True
        return False

    def _confirm(self, outcome: Outcome, found: Exploration) -> bool:
        """Keep the violations of a search; return whether one is confirmed.

        The compiled text of a policy cannot be replayed by the interpreted engine, which runs the translation.
        """
        from foliolab.framework.verify.explored.witness import counterexample

        new = False
        for broken in found.broken:
            if self.means.compiled:
                where = f"{broken.violation} (in an interleaving of: {words(found)})"
                outcome.unconfirmed.append(Suspicion(broken.violation.claim, where))
                new = True
                continue
            laws = {known.law for known, _ in outcome.examples} | outcome.task.ignore
            if broken.violation.law in laws:
                continue  # where PMDs map a folio, a mistake breaks the law for each of 512 pages
            example = counterexample(found, broken, self.means.attack, self.means.model)
            if example is None:
                outcome.unconfirmed.append(Suspicion(broken.violation.claim, str(broken.violation)))
                continue
            if example.law in laws:
                continue
            new = True
            outcome.examples.append((example, f"found after {found.states:,} states of: {words(found)}"))
        return new


def _preemptions(bound: int) -> str:
    return f"{bound} preemption{'s' if bound > 1 else ''} inside of operations"


def words(found: Exploration) -> str:
    """The operations of the threads."""
    assert found.world is not None
    return " | ".join("; ".join(operation.text for operation in thread) for thread in found.world.operations)
