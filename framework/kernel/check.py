"""The differential test: scenarios in the engine and on a kernel, with every decision compared.

A difference makes later ones likely, since the states diverge. So a scenario is compared up to its first difference,
which is then shrunk to the smallest scenario that has one of its kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine.engine import Execution
from foliolab.framework.errors import BeyondDeclared, KernelError
from foliolab.framework.kernel.agent.channel import Gone
from foliolab.framework.kernel.session import Session
from foliolab.framework.machine.layout import PMD_ORDER
from foliolab.framework.scenario.difference import Difference, differences
from foliolab.framework.scenario.generate import Mix, all_scenarios, random_scenario, shrink
from foliolab.framework.scenario.model import Model, unfit
from foliolab.framework.scenario.record import UNCOUNTED, UNKNOWN, Record
from foliolab.framework.scenario.situations import Situations
from foliolab.framework.scenario.syntax import Scenario

SHRINK_ATTEMPTS: Final = 150
"""The largest number of scenarios that are tried to shrink one."""
SHRUNK: Final = 3
"""The number of disagreements that are shrunk, besides the first of each aspect; others are reported as found."""
SHORT_STEPS: Final = 3
"""The most steps of the sequences that are all tried, so that a difference is found in its shortest form."""
HIDDEN_RUNS: Final = 4
"""How often in a row a scenario must differ, in the same way, if page frame numbers are hidden: then counters of the
whole host are the witness."""


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
            shown = [view.present & (view.anon_exclusive != UNKNOWN) for view in theirs.views.values()]
            if known := sum(int(pages.sum()) for pages in shown):
                self.compared["AnonExclusive"] = self.compared.get("AnonExclusive", 0) + known
            if ours.answer:
                self.compared[ours.step.action] = self.compared.get(ours.step.action, 0) + 1


Progress = Callable[[Agreement], None]


def first_difference(
    session: Session,
    scheme: Scheme,
    scenario: Scenario,
    execution: Execution = "native",
    seen: list[Record] | None = None,
) -> tuple[list[Record], list[Record], Difference | None]:
    """The records of a scenario in the engine and on the kernel, and the first difference between them.

    Args:
        session: the kernel.
        scheme: the policy.
        scenario: the scenario.
        execution: of the engine.
        seen: the kernel's records, if it has run the scenario already.

    Raises:
        BeyondDeclared: the scenario is not for this policy.
        Gone: the kernel does not answer any more.
        KernelError: the kernel cannot run the scenario.
    """
    habits = session.habits(scenario)
    model = list(Model(scenario, scheme, execution, situations=True, habits=habits).run())
    kernel = session.run(scenario) if seen is None else seen
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
    """Compare a policy with a kernel; as for `check_all`."""
    (found,) = check_all(session, [scheme], scenarios, most, progress and (lambda all_found: progress(all_found[0])))
    return found


def check_all(
    session: Session,
    schemes: Sequence[Scheme],
    scenarios: Iterable[Scenario],
    most: int = 0,
    progress: Callable[[Sequence[Agreement]], None] | None = None,
    found: list[Agreement] | None = None,
) -> list[Agreement]:
    """Compare policies with a kernel, which runs each scenario once. Ctrl-C ends the check and keeps its results.

    Args:
        session: the kernel.
        schemes: the policies.
        scenarios: to run.
        most: number of unexplained disagreements after which a policy is compared no more; the check ends when none is
            left. 0: no limit.
        progress: called after each scenario.
        found: agreements to add to, one a policy; they keep what was found until an error.

    Returns:
        The agreement of each policy.

    Raises:
        Gone: the kernel does not answer any more.
    """
    found = [Agreement() for _ in schemes] if found is None else found
    try:
        for scenario in scenarios:
            open_ = [pair for pair in zip(schemes, found, strict=True) if not most or len(pair[1].unexplained) < most]
            if not open_:
                break
            _check_scenario(session, open_, scenario)
            for agreement in found:
                agreement.discarded = session.discarded
            if progress:
                progress(found)
        for agreement in found:
            agreement.complete = True
    except KeyboardInterrupt:
        pass
    return found


def _check_scenario(session: Session, pairs: Sequence[tuple[Scheme, Agreement]], scenario: Scenario) -> None:
    fit = [(scheme, found) for scheme, found in pairs if not unfit(scenario, scheme)]
    seen: list[Record] | None = None
    for scheme, found in fit:
        try:
            if seen is None:
                seen = session.run(scenario)
            model, kernel, first = first_difference(session, scheme, scenario, seen=seen)
        except BeyondDeclared:
            continue  # it is not for this policy
        except Gone:
            raise
        except KernelError as fault:
            found.failed.append(f"{scenario.name}: {fault.what}")
            continue
        found.count(model, kernel, first)
        if first is not None:
            disagreement = Disagreement(scenario, first, scenario, first)
            if not disagreement.explained and _worth_shrinking(found, first):
                disagreement = _minimised(session, scheme, disagreement)
            found.disagreements.append(disagreement)


def _worth_shrinking(found: Agreement, first: Difference) -> bool:
    known = {one.shown.aspect for one in found.unexplained}
    return len(found.unexplained) < SHRUNK or first.aspect not in known


def _minimised(session: Session, scheme: Scheme, found: Disagreement) -> Disagreement:
    """Shrink the scenario of a disagreement. The kind of a difference is its aspect, folio size and cause."""
    best = found.difference

    def fails(scenario: Scenario) -> bool:
        nonlocal best
        try:
            first = first_difference(session, scheme, scenario)[2]
        except Gone:
            raise
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

    return check(session, scheme, shortest_first(count, seed, mix), 1, progress)


def shortest_first(count: int, seed: int, mix: Mix, steps: int = SHORT_STEPS) -> Iterator[Scenario]:
    """All sequences of one to `steps` steps on a folio of the lowest order, then `count` random scenarios."""
    for depth in range(1, steps + 1):
        yield from all_scenarios(depth, min(order for order in mix.orders if order))
    yield from random_scenarios(count, seed, mix)


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
        habits = session.habits(scenario)
        kernel = session.run(scenario)
        for mutant in mutants:
            if mutant.caught:
                continue
            model = list(Model(scenario, mutant.scheme, habits=habits).run())
            found = differences(model, kernel)
            first = next((difference for difference in found if difference.large or not difference.cause), None)
            if first is not None:
                mutant.caught, mutant.difference = number, f"{first.aspect}: {first.what}"
        if progress:
            progress(mutants, number)
        if all(mutant.caught for mutant in mutants):
            break
    return mutants
