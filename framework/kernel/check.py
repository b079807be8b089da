"""The differential test: scenarios in the engine and on the running kernel, with every decision compared.

A difference makes later ones likely, since the states diverge. So a scenario is compared up to its first difference,
which is then shrunk to the smallest scenario that has one of its kind.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Final, Self

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine.engine import Execution
from foliolab.framework.errors import BeyondDeclared, KernelError
from foliolab.framework.kernel import needs, oracle, settings
from foliolab.framework.kernel.processes import Launcher
from foliolab.framework.machine.layout import PMD_ORDER
from foliolab.framework.scenario.difference import Difference, differences
from foliolab.framework.scenario.generate import Mix, all_scenarios, random_scenario, shrink
from foliolab.framework.scenario.model import Model, unfit
from foliolab.framework.scenario.record import UNCOUNTED, Record
from foliolab.framework.scenario.situations import Situations
from foliolab.framework.scenario.syntax import Scenario

SHRINK_ATTEMPTS: Final = 150
"""The largest number of scenarios that are tried to shrink one."""
SHRUNK: Final = 3
"""The number of disagreements that are shrunk; the others are reported as they were found."""
HIDDEN_RUNS: Final = 4
"""How often in a row a scenario must differ, in the same way, if page frame numbers are hidden: then counters of the
whole host are the witness."""


class Session:
    """Runs scenarios on the running kernel; a context manager that has the THP settings and the launcher.

    Args:
        cpus: numbers of the processors that a scenario's processes are spread over; None: one.
        wait: seconds to wait for another run to end.

    Attributes:
        discarded: number of attempts that the kernel disturbed.

    Raises:
        KernelError: another run has the THP settings, or no process can be started.
    """

    def __init__(self, cpus: Sequence[int] | None = None, wait: float = 0.0) -> None:
        self.cpus = list(cpus) if cpus else sorted(os.sched_getaffinity(0))[:1]
        self.wait = wait
        self.discarded = 0
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        try:
            self.thp = None if needs.fixed() else self._stack.enter_context(settings.exclusive(self.wait))
            self.launcher = self._stack.enter_context(Launcher())
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, at: TracebackType | None) -> None:
        self._stack.__exit__(kind, fault, at)

    def run(self, scenario: Scenario) -> list[Record]:
        """Run a scenario, and repeat it while the kernel disturbs it (see `oracle`).

        Raises:
            KernelError: the kernel refused a step, or disturbed every attempt.
        """
        records, discarded = oracle.run(scenario, self.launcher, self.thp, self.cpus)
        self.discarded += discarded
        return records


@dataclass(frozen=True)
class Disagreement:
    """A scenario in which engine and kernel differ.

    Args:
        scenario: as it was found.
        difference: the first difference in `scenario`.
        minimal: the smallest known scenario with a difference of the same kind; `scenario` if it was not shrunk.
        shown: the first difference in `minimal`.
    """

    scenario: Scenario
    difference: Difference
    minimal: Scenario
    shown: Difference

    @property
    def explained(self) -> bool:
        """Whether the difference is the outcome of a small folio that a cause other than its owners decided."""
        return bool(self.difference.cause) and not self.difference.large


@dataclass
class Agreement:
    """The result of a check.

    Attributes:
        tally: number of writes by (folio is large, model's outcome, kernel's outcome).
        compared: number of comparisons by aspect.
        scenarios: number of scenarios that ran.
        discarded: number of attempts that the kernel disturbed.
        failed: messages of scenarios that could not be run on the kernel.
        disagreements: scenarios in which the two differ.
        hidden: page frame numbers were hidden (see `oracle`).
        uncounted: the number of large folios was not compared, because other programs change it.
        situations: how many compared steps met each situation.
        complete: False if the check was interrupted.
    """

    tally: dict[tuple[bool, str, str], int] = field(default_factory=dict)
    compared: dict[str, int] = field(default_factory=dict)
    scenarios: int = 0
    discarded: int = 0
    failed: list[str] = field(default_factory=list)
    disagreements: list[Disagreement] = field(default_factory=list)
    hidden: bool = False
    uncounted: bool = False
    situations: Situations = field(default_factory=Situations)
    complete: bool = False

    @property
    def writes(self) -> int:
        """The number of compared page writes."""
        return sum(self.tally.values())

    @property
    def unexplained(self) -> list[Disagreement]:
        """Disagreements on large folios, and those on small folios without a named cause."""
        return [one for one in self.disagreements if not one.explained]

    def count(self, model: Sequence[Record], kernel: Sequence[Record], first: Difference | None) -> None:
        """Add a scenario's comparisons, up to its first difference."""
        self.scenarios += 1
        self.hidden |= any(record.hidden for record in kernel)
        for number, (ours, theirs) in enumerate(zip(model, kernel, strict=True)):
            if first is not None and number > first.number:
                break
            self.situations.add(ours.situations)
            for key in zip(ours.large, ours.outcomes, theirs.outcomes, strict=True):
                self.tally[key] = self.tally.get(key, 0) + 1
            pages = sum(len(view.frames) for view in ours.views.values())
            aspects = ["presence", "bit 56"]
            if not theirs.hidden:
                aspects += ["kpagecount", "identity"]
            elif theirs.population != UNCOUNTED:
                aspects += ["population"]
            self.uncounted |= theirs.hidden and theirs.population == UNCOUNTED
            for aspect in aspects:
                self.compared[aspect] = self.compared.get(aspect, 0) + pages
            if ours.answer:
                self.compared[ours.step.action] = self.compared.get(ours.step.action, 0) + 1


Progress = Callable[[Agreement], None]


def first_difference(
    session: Session, scheme: Scheme, scenario: Scenario, execution: Execution = "native"
) -> tuple[list[Record], list[Record], Difference | None]:
    """The records of a scenario in the engine and on the kernel, and the first difference between them."""
    model = list(Model(scenario, scheme, execution).run())
    kernel = session.run(scenario)
    first = next(differences(model, kernel), None)
    for _ in range(HIDDEN_RUNS - 1):
        if first is None or not any(record.hidden for record in kernel):
            break
        kernel, before = session.run(scenario), first
        first = next(differences(model, kernel), None)
        if first is not None and first != before:
            raise KernelError(
                f"{scenario.name} differs in another way at each run: {before.what}; {first.what}",
                "other programs change the counters of this host; try again when they do not, or as root",
            )
    return model, kernel, first


def check(
    session: Session, scheme: Scheme, scenarios: Iterable[Scenario], most: int = 0, progress: Progress | None = None
) -> Agreement:
    """Compare a policy with the running kernel. Ctrl-C ends the check and keeps its results.

    Args:
        session: the kernel.
        scheme: the policy.
        scenarios: to run.
        most: number of unexplained disagreements after which the check ends; 0: no limit.
        progress: called after each scenario.
    """
    found = Agreement()
    try:
        for scenario in scenarios:
            _check_scenario(session, scheme, scenario, found)
            found.discarded = session.discarded
            if progress:
                progress(found)
            if most and len(found.unexplained) >= most:
                break
        found.complete = True
    except KeyboardInterrupt:
        pass
    return found


def _check_scenario(session: Session, scheme: Scheme, scenario: Scenario, found: Agreement) -> None:
    if unfit(scenario, scheme):
        return
    try:
        model, kernel, first = first_difference(session, scheme, scenario)
    except BeyondDeclared:
        return  # it is not for this policy
    except KernelError as fault:
        found.failed.append(f"{scenario.name}: {fault.what}")
        return
    found.count(model, kernel, first)
    if first is not None:
        disagreement = Disagreement(scenario, first, scenario, first)
        if not disagreement.explained and len(found.unexplained) < SHRUNK:
            disagreement = _minimised(session, scheme, disagreement)
        found.disagreements.append(disagreement)


def _minimised(session: Session, scheme: Scheme, found: Disagreement) -> Disagreement:
    """Shrink the scenario of a disagreement. The kind of a difference is its aspect, folio size and cause."""
    best = found.difference

    def fails(scenario: Scenario) -> bool:
        nonlocal best
        try:
            first = first_difference(session, scheme, scenario)[2]
        except (KernelError, BeyondDeclared):
            return False
        if first is None or (first.aspect, first.large, bool(first.cause)) != kind:
            return False
        best = first
        return True

    kind = found.difference.aspect, found.difference.large, bool(found.difference.cause)
    cut = replace(found.scenario, items=found.scenario.items[: found.difference.number + 1])
    start = cut if fails(cut) else found.scenario
    minimal = shrink(start, fails, SHRINK_ATTEMPTS)
    return replace(found, minimal=replace(minimal, name=f"{found.scenario.name}-minimal"), shown=best)


def random_scenarios(count: int, seed: int, mix: Mix) -> Iterator[Scenario]:
    """`count` random scenarios with the seeds from `seed` on."""
    return (random_scenario(seed + number, mix) for number in range(count))


def exhaustive(depth: int, orders: Iterable[int]) -> Iterator[Scenario]:
    """All sequences of `depth` steps on one folio of each order; on one of 2 MiB mapped by PTEs and by a PMD."""
    for order in orders:
        yield from all_scenarios(depth, order)
        if order == PMD_ORDER:
            yield from all_scenarios(depth, order, pmd=True)


def refute(
    session: Session, scheme: Scheme, count: int, seed: int, mix: Mix, progress: Progress | None = None
) -> Agreement:
    """Search the shortest scenario in which a policy differs from the running kernel.

    All sequences of one, two and three steps on a folio of the lowest order come first, so that a difference of up to
    three steps is found in its shortest form. Then come random scenarios, and the first that differs is shrunk.
    """

    def candidates() -> Iterator[Scenario]:
        for depth in (1, 2, 3):
            yield from all_scenarios(depth, min(order for order in mix.orders if order))
        yield from random_scenarios(count, seed, mix)

    return check(session, scheme, candidates(), 1, progress)


@dataclass
class Mutant:
    """A wrong variant of a policy in a self-test.

    Attributes:
        scheme: the variant.
        caught: the number of the scenario that refuted it, from 1; 0: it was not refuted.
        difference: a description of the first difference.
    """

    scheme: Scheme
    caught: int = 0
    difference: str = ""


def self_test(
    session: Session,
    schemes: Sequence[Scheme],
    scenarios: Iterable[Scenario],
    progress: Callable[[Sequence[Mutant], int], None] | None = None,
) -> list[Mutant]:
    """Check that each wrong variant of a policy differs from the kernel in some scenario.

    Each scenario runs once on the kernel, and in the engine under every variant that is not refuted yet.
    """
    mutants = [Mutant(scheme) for scheme in schemes]
    for number, scenario in enumerate(scenarios, 1):
        kernel = session.run(scenario)
        for mutant in mutants:
            if mutant.caught:
                continue
            model = list(Model(scenario, mutant.scheme).run())
            found = differences(model, kernel)
            first = next((difference for difference in found if difference.large or not difference.cause), None)
            if first is not None:
                mutant.caught, mutant.difference = number, f"{first.aspect}: {first.what}"
        if progress:
            progress(mutants, number)
        if all(mutant.caught for mutant in mutants):
            break
    return mutants
