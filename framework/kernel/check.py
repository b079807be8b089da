"""The differential test: scenarios in the engine and on the running kernel, every decision compared.

Once two states differ everything after it may, so a scenario is compared up to its first difference. That one
is shrunk to the shortest scenario that still shows it.
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
from foliolab.framework.errors import KernelError
from foliolab.framework.kernel import needs, oracle, settings
from foliolab.framework.kernel.processes import Launcher
from foliolab.framework.machine.layout import PMD_ORDER
from foliolab.framework.scenario.difference import Difference, differences
from foliolab.framework.scenario.generate import Mix, all_scenarios, random_scenario, shrink
from foliolab.framework.scenario.model import Model
from foliolab.framework.scenario.record import Record
from foliolab.framework.scenario.syntax import Scenario

SHRINK: Final = 150
"""Scenarios tried at most to find a smaller one."""
SHRUNK: Final = 3
"""Disagreements that are shrunk; the others are reported as they were found."""


WITNESSED: Final = 4
"""How often in a row the number of large folios must differ before it counts: it is the whole machine's."""


class Session:
    """The running kernel, held for as long as scenarios run on it; a context manager.

    Args:
        cpus: processors to spread a scenario's processes over; one: all on it.
        wait: seconds to wait for another run to end.

    Raises:
        KernelError: it cannot be had.
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
        """A scenario on the kernel, repeated while the kernel moves pages by itself.

        Raises:
            KernelError: it refused a step, or disturbed every attempt.
        """
        records, discarded = oracle.run(scenario, self.launcher, self.thp, self.cpus)
        self.discarded += discarded
        return records


@dataclass(frozen=True)
class Disagreement:
    """One scenario in which engine and kernel differ.

    Args:
        scenario: as it was found.
        difference: the first one in it.
        minimal: the smallest scenario found that shows one of the same kind; the same where none was sought.
        shown: the first difference in that.
    """

    scenario: Scenario
    difference: Difference
    minimal: Scenario
    shown: Difference

    @property
    def explained(self) -> bool:
        """Whether a small folio's outcome has a named cause besides its owner."""
        return bool(self.difference.cause) and not self.difference.large


@dataclass
class Agreement:
    """What a check found.

    Attributes:
        tally: (large, model's outcome, kernel's outcome) -> writes.
        compared: aspect -> how often it was compared.
        scenarios: how many ran.
        discarded: attempts that the kernel disturbed, and that were repeated.
        failed: messages of scenarios that could not be run on the kernel.
        disagreements: where the two differ.
        hidden: page frame numbers were hidden, so that a copy and a reuse are told apart by how many large folios
            are left only.
        complete: False where it was interrupted.
    """

    tally: dict[tuple[bool, str, str], int] = field(default_factory=dict)
    compared: dict[str, int] = field(default_factory=dict)
    scenarios: int = 0
    discarded: int = 0
    failed: list[str] = field(default_factory=list)
    disagreements: list[Disagreement] = field(default_factory=list)
    hidden: bool = False
    complete: bool = False

    @property
    def writes(self) -> int:
        """Pages written and compared."""
        return sum(self.tally.values())

    @property
    def unexplained(self) -> list[Disagreement]:
        """Disagreements about large folios, and those about small ones that have no named cause."""
        return [one for one in self.disagreements if not one.explained]

    def count(self, model: Sequence[Record], kernel: Sequence[Record], first: Difference | None) -> None:
        """Add a scenario's comparisons, up to its first difference."""
        self.scenarios += 1
        self.hidden |= any(record.hidden for record in kernel)
        for number, (one, other) in enumerate(zip(model, kernel, strict=True)):
            if first is not None and number > first.number:
                break
            for large, mine, theirs in zip(one.large, one.outcomes, other.outcomes, strict=True):
                key = large, mine, theirs
                self.tally[key] = self.tally.get(key, 0) + 1
            pages = sum(len(view.frames) for view in one.views.values())
            looked = ["presence", "bit 56", *(["population"] if other.hidden else ["kpagecount", "identity"])]
            for aspect in looked:
                self.compared[aspect] = self.compared.get(aspect, 0) + pages
            if one.answer:
                self.compared[one.step.action] = self.compared.get(one.step.action, 0) + 1


Progress = Callable[[Agreement], None]


def first_difference(
    session: Session, scheme: Scheme, scenario: Scenario, execution: Execution = "native"
) -> tuple[list[Record], list[Record], Difference | None]:
    """A scenario's records in the engine and on the kernel, and the first difference between them."""
    model = list(Model(scenario, scheme, execution).run())
    for _ in range(WITNESSED):
        kernel = session.run(scenario)
        first = next(differences(model, kernel), None)
        if first is None or first.aspect != "population":
            break
    return model, kernel, first


def check(
    session: Session, scheme: Scheme, scenarios: Iterable[Scenario], most: int = 0, progress: Progress | None = None
) -> Agreement:
    """Hold a policy against the running kernel; Ctrl-C ends it with what there is.

    Args:
        scenarios: to be run.
        most: unexplained disagreements after which it ends; 0: none.
    """
    found = Agreement()
    try:
        for scenario in scenarios:
            _one(session, scheme, scenario, found)
            found.discarded = session.discarded
            if progress:
                progress(found)
            if most and len(found.unexplained) >= most:
                break
        found.complete = True
    except KeyboardInterrupt:
        pass
    return found


def _one(session: Session, scheme: Scheme, scenario: Scenario, found: Agreement) -> None:
    try:
        model, kernel, first = first_difference(session, scheme, scenario)
    except KernelError as fault:
        found.failed.append(f"{scenario.name}: {fault.what}")
        return
    found.count(model, kernel, first)
    if first is not None:
        here = Disagreement(scenario, first, scenario, first)
        if not here.explained and len(found.unexplained) < SHRUNK:
            here = minimised(session, scheme, here)
        found.disagreements.append(here)


def minimised(session: Session, scheme: Scheme, found: Disagreement) -> Disagreement:
    """The same disagreement in the smallest scenario that still has one of its kind."""
    best = found.difference

    def fails(scenario: Scenario) -> bool:
        nonlocal best
        try:
            first = first_difference(session, scheme, scenario)[2]
        except KernelError:
            return False
        if first is None or (first.aspect, first.large, bool(first.cause)) != kind:
            return False
        best = first
        return True

    kind = found.difference.aspect, found.difference.large, bool(found.difference.cause)
    cut = replace(found.scenario, items=found.scenario.items[: found.difference.number + 1])
    start = cut if fails(cut) else found.scenario
    minimal = shrink(start, fails, SHRINK)
    return replace(found, minimal=replace(minimal, name=f"{found.scenario.name}-minimal"), shown=best)


def random_scenarios(count: int, seed: int, mix: Mix) -> Iterator[Scenario]:
    """`count` scenarios, those of seeds from `seed` on."""
    return (random_scenario(seed + number, mix) for number in range(count))


def exhaustive(depth: int, orders: Iterable[int]) -> Iterator[Scenario]:
    """All sequences of `depth` steps over one folio of each order, those of 2 MiB by PTEs and by PMD."""
    for order in orders:
        yield from all_scenarios(depth, order)
        if order == PMD_ORDER:
            yield from all_scenarios(depth, order, pmd=True)


def refute(
    session: Session, scheme: Scheme, count: int, seed: int, mix: Mix, progress: Progress | None = None
) -> Agreement:
    """Look for the shortest scenario in which a policy differs from the running kernel.

    All sequences of one, two and three steps over a small folio come first, so that what is found there is the
    shortest there is; then random scenarios, of which the first that differs is shrunk.
    """

    def candidates() -> Iterator[Scenario]:
        for depth in (1, 2, 3):
            yield from all_scenarios(depth, min(order for order in mix.orders if order))
        yield from random_scenarios(count, seed, mix)

    return check(session, scheme, candidates(), 1, progress)


@dataclass
class Mutant:
    """A wrong variant of a policy, and what became of it.

    Attributes:
        scheme: the variant.
        caught: the number of the scenario that refuted it, from 1; 0: none did.
        difference: in words.
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
    """Whether the check finds what it should: each wrong variant must differ from the kernel somewhere.

    Each scenario runs once on the kernel, and in the engine under every variant that was not caught so far.
    """
    mutants = [Mutant(scheme) for scheme in schemes]
    for number, scenario in enumerate(scenarios, 1):
        kernel = session.run(scenario)
        for mutant in mutants:
            if mutant.caught:
                continue
            model = list(Model(scenario, mutant.scheme).run())
            first = next((one for one in differences(model, kernel) if one.large or not one.cause), None)
            if first is not None:
                mutant.caught, mutant.difference = number, f"{first.aspect}: {first.what}"
        if progress:
            progress(mutants, number)
        if all(mutant.caught for mutant in mutants):
            break
    return mutants
