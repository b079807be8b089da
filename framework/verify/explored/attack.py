"""The explored attack: programs from small to large, each searched exhaustively as far as memory and time allow."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine.check import Violation
from foliolab.framework.errors import FolioLabError, ModelError, UsageError
from foliolab.framework.verify.attack import Budget, Progress, Tell
from foliolab.framework.verify.counterexample import Counterexample
from foliolab.framework.verify.explored.programs import Program, programs
from foliolab.framework.verify.finding import OWED, Finding, Verdict
from foliolab.framework.verify.watchdog import Stuck

if TYPE_CHECKING:
    from foliolab.framework.verify.explored.exploration import Exploration, Explorer, Options

EXAMINES: Final = frozenset({"safe", "exact", "reuse", "page-mapcount", "average-mapcount"})
"""Claims that this attack examines, beside exact-for-N and what every policy owes."""
EXHAUSTIVE: Final = 2.0
"""The share of the time left for the exhaustive search of a program, as a multiple of an equal share for all remaining
programs. A search that exceeds it is repeated within bounds."""
BOUNDED: Final = 0.5
"""The same for each bound on preemptions, and for random schedules."""
SCHEDULES: Final = 200_000


@dataclass
class Coverage:
    """The coverage and the refutations of a run.

    Args:
        tell: called with progress and refutations.
        whole: the programs that were explored completely.
        parts: the programs that were explored within a bound.
        full: the number of programs whose states exceeded the memory.
        late: the number of programs whose states exceeded the time.
        schedules: the number of random schedules.
        states: of all searches.
        unjudged: quiescent states that were not checked against the page tables.
        interchangeable: the number of searches with symmetry reduction.
        cut: the number of complete programs with paths that ended at a law that was already refuted.
        refuted: the refutation of each claim.
        laws: the laws that are refuted; they are ignored, so that a broken law does not hide the others.
        unconfirmed: violations that the interpreted engine did not confirm.
        failure: why the policy cannot be explored; empty if it can.
        share: an equal share of the time left.
        explorer: the previous search of the present program, whose tries are reused.
    """

    scheme: Scheme
    budget: Budget
    tell: Tell
    whole: list[str] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    full: int = 0
    late: int = 0
    schedules: int = 0
    states: int = 0
    unjudged: int = 0
    interchangeable: int = 0
    cut: int = 0
    refuted: dict[str, Finding] = field(default_factory=dict)
    laws: set[str] = field(default_factory=set)
    unconfirmed: list[Violation] = field(default_factory=list)
    failure: str = ""
    share: float = 0.0
    explorer: Explorer | None = None
    began: float = field(default_factory=time.monotonic)


class Explored:
    """Explores the interleavings of a few threads on one folio (see `Attack`).

    Args:
        tso: let plain stores wait in store buffers (x86-TSO).
        preemptions: bounds on preemptions that are tried in turn for a program that is too large.
        schedules: random schedules for each such program.
    """

    name = "explored"
    compiled = False
    """Whether the compiled C text of the policy runs, in place of the translation."""

    def __init__(self, tso: bool = False, preemptions: tuple[int, ...] = (1, 2, 3), schedules: int = SCHEDULES) -> None:
        self.tso = tso
        self.preemptions = preemptions
        self.schedules = schedules

    def run(self, scheme: Scheme, budget: Budget, tell: Tell) -> list[Finding]:
        from foliolab.framework.verify.explored.exploration import uncollected

        coverage = Coverage(scheme, budget, tell)
        with uncollected():
            self._run(coverage)
        return self._findings(coverage)

    def _run(self, coverage: Coverage) -> None:
        scheme, budget = coverage.scheme, coverage.budget
        todo = list(programs(scheme))
        for number, program in enumerate(todo):
            coverage.share = 1 / (len(todo) - number + 2)
            if not budget.left or coverage.failure or self._is_over(coverage):
                break
            coverage.explorer = None
            try:
                self._explore(coverage, program)
            except ModelError:
                continue  # this policy has no such MM ID, or no folios of that size
            except FolioLabError as fault:
                coverage.failure = fault.what

    def _is_over(self, coverage: Coverage) -> bool:
        """Whether nothing is left to refute."""
        return _claims(coverage.scheme) <= coverage.refuted.keys()

    # -- one program -----------------------------------------------------------------------------------
    def _explore(self, coverage: Coverage, program: Program) -> None:
        found = "broken"
        while found == "broken" and coverage.budget.left and not self._is_over(coverage):
            options = self._options(coverage)
            found = self._once(coverage, program, options, EXHAUSTIVE, program.name)
            if options.ignore >= coverage.laws:
                break  # a thread alone breaks it
        if found in ("complete", "cut"):
            coverage.whole.append(program.name)
            coverage.cut += found == "cut"
        coverage.full += found == "memory"
        coverage.late += found == "time"
        if found in ("complete", "cut", "broken") or not coverage.budget.left:
            return
        reached = ""
        for bound in self.preemptions:
            what = f"{program.name}, at most {_preemptions(bound)}"
            found = self._once(coverage, program, replace(options, bound=bound), BOUNDED, what)
            if found in ("complete", "cut"):
                reached = f"{program.name} with at most {_preemptions(bound)}"
            if found not in ("complete", "cut") or not coverage.budget.left:
                break
        if reached:
            coverage.parts.append(reached)
        if found != "broken" and coverage.budget.left:
            self._once(coverage, program, options, BOUNDED, f"{program.name}, random schedules", walk=True)

    def _options(self, coverage: Coverage) -> Options:
        from foliolab.framework.verify.explored.exploration import Options

        memory, ignore = coverage.budget.memory, frozenset(coverage.laws)
        return Options(tso=self.tso, memory=memory, ignore=ignore, compiled=self.compiled)

    def _once(
        self, coverage: Coverage, program: Program, options: Options, share: float, what: str, walk: bool = False
    ) -> str:
        """Run one search; return "complete", "cut", "broken", "memory", "time" or "unconfirmed".

        "cut" is complete, but for what lies behind laws that are already refuted.
        """
        from foliolab.framework.verify.explored.exploration import Explorer
        from foliolab.framework.verify.explored.walker import Walker
        from foliolab.framework.verify.explored.world import World

        part = coverage.budget.part(min(share * coverage.share, 0.5))
        began = time.monotonic()

        def keep_going(found: Exploration) -> bool:
            rate = found.transitions / max(time.monotonic() - began, 1e-3)
            coverage.tell(Progress(self.name, what, coverage.states + found.states, found.depth, rate))
            return part.left > 0

        before = coverage.explorer
        try:
            world = before.world if before else World(coverage.scheme, program.shape, program.setup, program.threads)
        except (ModelError, UsageError):
            raise
        except (Exception, Stuck):  # a policy's function may raise anything, or not end
            return "broken" if self._refute_alone(coverage, program) else "unconfirmed"
        if walk:
            search: Explorer = Walker(world, options, coverage.budget.seed, self.schedules, before)
        else:
            search = Explorer(world, options, before)
        found = search.run(keep_going)
        coverage.schedules += found.states if walk else 0
        coverage.explorer = search
        keep_going(found)
        coverage.states += found.states
        coverage.unjudged += found.unjudged
        coverage.interchangeable += found.symmetric
        refuted = self._refute(coverage, found)
        search.release()  # the next search reuses the tries, but needs the memory of the states
        if refuted:
            return "broken"
        if not found.complete:
            return found.stopped or "unconfirmed"
        return "cut" if found.cut else "complete"

    def _refute_alone(self, coverage: Coverage, program: Program) -> bool:
        """Refute a law that the set-up or a single thread breaks by itself; return whether it is confirmed."""
        from foliolab.framework.verify.explored.witness import alone

        for operations in program.threads:
            example = alone(coverage.scheme, program.shape, (*program.setup, *operations), self.name)
            if example is not None:
                self._note(coverage, example, "found with a thread alone")
                return True
        return False

    def _refute(self, coverage: Coverage, found: Exploration) -> bool:
        """Report the confirmed violations of a search; return whether there is one."""
        from foliolab.framework.verify.explored.witness import counterexample

        new = False
        for broken in found.broken:
            example = counterexample(found, broken, self.name, self.tso)
            if example is None:
                coverage.unconfirmed.append(broken.violation)
                continue
            if example.law in coverage.laws:
                continue
            new = True
            self._note(coverage, example, f"found after {found.states:,} states of: {words(found)}")
        return new

    def _note(self, coverage: Coverage, example: Counterexample, bound: str) -> None:
        coverage.laws.add(example.law)
        if example.claim not in coverage.refuted:
            seconds = time.monotonic() - coverage.began
            finding = Finding(self.name, example.claim, "refuted", bound, example, coverage.states, seconds)
            coverage.refuted[example.claim] = finding
            coverage.tell(finding)

    # -- findings ------------------------------------------------------------------------------------
    def _findings(self, coverage: Coverage) -> list[Finding]:
        seconds = time.monotonic() - coverage.began
        bound = self._bound(coverage)
        reached = len(coverage.whole) > coverage.cut and not coverage.failure
        short = _programs(len(coverage.whole)) + (f", {len(coverage.parts)} in part" if coverage.parts else "")
        suspicions = {one.claim: str(one) for one in reversed(coverage.unconfirmed)}
        found = list(coverage.refuted.values())
        for claim in sorted(_claims(coverage.scheme) - coverage.refuted.keys()):
            suspicion = suspicions.get(claim, "")
            verdict: Verdict = "held" if reached and not suspicion else "undecided"
            within = short if verdict == "held" else ""
            found.append(Finding(self.name, claim, verdict, bound, None, coverage.states, seconds, within, suspicion))
        return found

    def _bound(self, coverage: Coverage) -> str:
        if coverage.failure:
            return f"cannot be explored: {coverage.failure}"
        parts = []
        if coverage.whole:
            parts.append(f"every interleaving of {len(coverage.whole)} programs: {'; '.join(coverage.whole)}")
        if coverage.full:
            parts.append(f"the memory ({coverage.budget.memory >> 20:,} MiB) was reached in {_programs(coverage.full)}")
        if coverage.late:
            parts.append(f"the time was too short for all of {_programs(coverage.late)}")
        if coverage.parts:
            parts.append(f"not exhaustive: {'; '.join(coverage.parts)}")
        if coverage.schedules:
            parts.append(f"{coverage.schedules:,} random schedules (PCT) of what was too large")
        if self.tso:
            parts.append("store buffers of 4 stores (x86-TSO), page-table entries behind them")
        if coverage.interchangeable:
            parts.append(f"in {coverage.interchangeable} of them threads that do the same were taken for one another")
        if coverage.unjudged:
            parts.append(f"{coverage.unjudged:,} quiescent states were not checked against the page tables")
        if coverage.cut:
            laws = ", ".join(sorted(coverage.laws))
            parts.append(f"in {_programs(coverage.cut)} paths end where a refuted law breaks ({laws})")
        if coverage.unconfirmed:
            count, first = len(coverage.unconfirmed), coverage.unconfirmed[0]
            parts.append(f"{count} violations that the interpreted engine did not confirm, such as: {first}")
        return ". ".join(parts) or "nothing was explored within the budget"


def _preemptions(bound: int) -> str:
    return f"{bound} preemption{'s' if bound > 1 else ''} inside of operations"


def _programs(count: int) -> str:
    return f"{count} program{'s' if count > 1 else ''}"


def words(found: Exploration) -> str:
    """The operations of the threads."""
    assert found.world is not None
    return " | ".join("; ".join(operation.text for operation in thread) for thread in found.world.operations)


def _claims(scheme: Scheme) -> frozenset[str]:
    examined = {claim for claim in scheme.capabilities if claim in EXAMINES or claim.startswith("exact-for-")}
    return frozenset({OWED, *examined})
