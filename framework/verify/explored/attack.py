"""The explored attack: programs from small to large, each exhaustively as far as memory and time allow."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import Any, Final

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.errors import FolioLabError, ModelError, UsageError
from foliolab.framework.verify.attack import Budget, Progress, Tell
from foliolab.framework.verify.counterexample import Counterexample
from foliolab.framework.verify.explored.programs import Program, programs
from foliolab.framework.verify.finding import OWED, Finding, Verdict
from foliolab.framework.verify.watchdog import Stuck

SPEAKS_OF: Final = frozenset({"safe", "exact", "reuse", "page-mapcount", "average-mapcount"})
"""Claims that this attack can speak about, beside "exact up to so many MMs" and what every policy owes."""
EXHAUSTIVE: Final = 2.0
"""How much of the time that is left one program may take before it is explored within bounds, as a multiple of an
equal share for all that are still to come."""
BOUNDED: Final = 0.5
"""The same for each bound, and for random schedules."""
SCHEDULES: Final = 200_000


@dataclass
class _Course:
    """What has been covered, and what was found.

    Args:
        scheme: the policy.
        budget: what there is.
        tell: told how far it is.
    """

    scheme: Scheme
    budget: Budget
    tell: Tell
    whole: list[str] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    full: int = 0
    """Programs whose states did not fit into memory."""
    late: int = 0
    """Programs for whose states the time was too short."""
    schedules: int = 0
    states: int = 0
    unjudged: int = 0
    interchangeable: int = 0
    refuted: dict[str, Finding] = field(default_factory=dict)
    unconfirmed: list[str] = field(default_factory=list)
    failure: str = ""
    share: float = 0.0
    explorer: Any = None
    began: float = field(default_factory=time.monotonic)


class Explored:
    """Every interleaving of a few threads on one folio (see `Attack`).

    Args:
        tso: let plain stores wait in store buffers (x86-TSO).
        preemptions: the bounds that are tried, one after the other, where a program is too large.
        schedules: random schedules of each such program.
    """

    name = "explored"

    def __init__(self, tso: bool = False, preemptions: tuple[int, ...] = (1, 2, 3), schedules: int = SCHEDULES) -> None:
        self.tso = tso
        self.preemptions = preemptions
        self.schedules = schedules

    def run(self, scheme: Scheme, budget: Budget, tell: Tell) -> list[Finding]:
        """Explore the programs that suit the policy; see `Attack.run`."""
        from foliolab.framework.verify.explored.exploration import uncollected

        course = _Course(scheme, budget, tell)
        with uncollected():
            self._run(course)
        return self._findings(course)

    def _run(self, course: _Course) -> None:
        scheme, budget = course.scheme, course.budget
        todo = list(programs(scheme))
        for number, program in enumerate(todo):
            course.share = 1 / (len(todo) - number + 2)
            if not budget.left or course.failure or self._is_over(course):
                break
            course.explorer = None
            try:
                self._explore(course, program)
            except ModelError:
                continue  # no such MM ID, or folios of that size, with this policy
            except FolioLabError as fault:
                course.failure = fault.what

    @staticmethod
    def _is_over(course: _Course) -> bool:
        """Whether there is nothing left to refute; what every policy owes spoils all else."""
        return OWED in course.refuted or _claims(course.scheme) <= course.refuted.keys()

    # -- one program -----------------------------------------------------------------------------------
    def _explore(self, course: _Course, program: Program) -> None:
        """One program: all of it, or what bounds leave of it."""
        from foliolab.framework.verify.explored.exploration import Options

        ignore = frozenset(f.counterexample.law for f in course.refuted.values() if f.counterexample is not None)
        options = Options(tso=self.tso, memory=course.budget.memory, ignore=ignore)
        found = self._once(course, program, options, EXHAUSTIVE, program.name)
        if found == "complete":
            course.whole.append(program.name)
        course.full += found == "memory"
        course.late += found == "time"
        if found in ("complete", "broken") or not course.budget.left:
            return
        reached = ""
        for bound in self.preemptions:
            told = f"{program.name}, at most {_preemptions(bound)}"
            found = self._once(course, program, replace(options, bound=bound), BOUNDED, told)
            if found == "complete":
                reached = f"{program.name} with at most {_preemptions(bound)}"
            if found != "complete" or not course.budget.left:
                break
        if reached:
            course.parts.append(reached)
        if found != "broken" and course.budget.left:
            self._once(course, program, options, BOUNDED, f"{program.name}, random schedules", walk=True)

    def _once(
        self, course: _Course, program: Program, options: object, share: float, told: str, walk: bool = False
    ) -> str:
        """One search; "complete", "broken", or why it is neither."""
        from foliolab.framework.verify.explored.exploration import Exploration, Explorer, Options
        from foliolab.framework.verify.explored.walker import Walker
        from foliolab.framework.verify.explored.world import World

        assert isinstance(options, Options)
        part = course.budget.part(min(share * course.share, 0.5))
        began = time.monotonic()

        def watchman(found: Exploration) -> bool:
            rate = found.transitions / max(time.monotonic() - began, 1e-3)
            course.tell(Progress(self.name, told, course.states + found.states, found.depth, rate))
            return part.left > 0

        before = course.explorer
        try:
            world = (
                before.world
                if before is not None
                else World(course.scheme, program.shape, program.setup, program.threads)
            )
        except (ModelError, UsageError):
            raise
        except (Exception, Stuck):  # whatever a policy's function raises, or that it does not end
            return "broken" if self._refute_alone(course, program) else "unconfirmed"
        if walk:
            search: Explorer = Walker(world, options, course.budget.seed, self.schedules, before)
        else:
            search = Explorer(world, options, before)
        found = search.run(watchman)
        course.schedules += found.states if walk else 0
        course.explorer = search
        watchman(found)
        course.states += found.states
        course.unjudged += found.unjudged
        course.interchangeable += found.symmetric
        refuted = self._refute(course, found)
        search.release()  # the next search, which learns from this one, has the memory to itself
        if refuted:
            return "broken"
        return "complete" if found.complete else found.stopped or "unconfirmed"

    def _refute_alone(self, course: _Course, program: Program) -> bool:
        """A program whose set-up, or one of whose threads, breaks a law all by itself; whether that is confirmed."""
        from foliolab.framework.verify.explored.witness import alone

        for operations in program.threads:
            example = alone(course.scheme, program.shape, (*program.setup, *operations), self.name)
            if example is not None:
                self._note(course, example, "found with a thread alone")
                return True
        return False

    def _refute(self, course: _Course, found: object) -> bool:
        """Make findings of what broke and is confirmed; whether there is one."""
        from foliolab.framework.verify.explored.exploration import Exploration
        from foliolab.framework.verify.explored.witness import counterexample

        assert isinstance(found, Exploration)
        new = False
        for broken in found.broken:
            example = counterexample(found, broken, self.name, self.tso)
            if example is None:
                course.unconfirmed.append(str(broken.violation))
                continue
            new = True
            self._note(course, example, f"found after {found.states:,} states of: {_words(found)}")
        return new

    def _note(self, course: _Course, example: Counterexample, bound: str) -> None:
        if example.claim not in course.refuted:
            seconds = time.monotonic() - course.began
            finding = Finding(self.name, example.claim, "refuted", bound, example, course.states, seconds)
            course.refuted[example.claim] = finding
            course.tell(finding)

    # -- what is said ------------------------------------------------------------------------------------
    def _findings(self, course: _Course) -> list[Finding]:
        seconds = time.monotonic() - course.began
        bound = self._bound(course)
        verdict: Verdict = "held" if course.whole and not course.failure and OWED not in course.refuted else "undecided"
        found = list(course.refuted.values())
        for claim in sorted(_claims(course.scheme) - course.refuted.keys()):
            found.append(Finding(self.name, claim, verdict, bound, None, course.states, seconds))
        return found

    def _bound(self, course: _Course) -> str:
        """What was covered, in words."""
        if course.failure:
            return f"cannot be explored: {course.failure}"
        said = []
        if course.whole:
            said.append(f"every interleaving of {len(course.whole)} programs: {'; '.join(course.whole)}")
        if course.full:
            said.append(f"the memory ({course.budget.memory >> 20:,} MiB) was reached in {_programs(course.full)}")
        if course.late:
            said.append(f"the time was too short for all of {_programs(course.late)}")
        if course.parts:
            said.append(f"not exhaustive: {'; '.join(course.parts)}")
        if course.schedules:
            said.append(f"{course.schedules:,} random schedules (PCT) of what was too large")
        if self.tso:
            said.append("store buffers of 4 stores (x86-TSO), page-table entries behind them")
        if course.interchangeable:
            said.append(f"in {course.interchangeable} of them threads that do the same were taken for one another")
        if course.unjudged:
            said.append(f"{course.unjudged:,} states between operations were not held against the page tables")
        if course.unconfirmed:
            said.append(f"{len(course.unconfirmed)} suspicions that the interpreted engine did not confirm")
        return ". ".join(said) or "nothing was explored within the budget"


def _preemptions(bound: int) -> str:
    return f"{bound} preemption{'s' if bound > 1 else ''} inside of operations"


def _programs(count: int) -> str:
    return f"{count} program{'s' if count > 1 else ''}"


def _words(found: object) -> str:
    from foliolab.framework.verify.explored.exploration import Exploration

    assert isinstance(found, Exploration) and found.world is not None
    return " | ".join("; ".join(operation.text for operation in mine) for mine in found.world.operations)


def _claims(scheme: Scheme) -> frozenset[str]:
    """The claims of a policy that this attack speaks about."""
    mine = {claim for claim in scheme.capabilities if claim in SPEAKS_OF or claim.startswith("exact-for-")}
    return frozenset({OWED, *mine})
