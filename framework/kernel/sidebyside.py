"""A scenario on the engine and on the running kernel, with what it expects of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine.engine import Execution
from foliolab.framework.errors import UsageError
from foliolab.framework.kernel import needs, probe, running
from foliolab.framework.kernel.check import Session
from foliolab.framework.plugins.registry import Registry
from foliolab.framework.scenario.difference import differences
from foliolab.framework.scenario.expectations import policies_of
from foliolab.framework.scenario.model import Model
from foliolab.framework.scenario.record import Record
from foliolab.framework.scenario.result import ScenarioResult, ScenarioRun, judged
from foliolab.framework.scenario.syntax import Scenario

Place = Literal["model", "kernel", "both"]
Kernel = Callable[[Scenario], tuple[list[Record], int]]
"""Runs a scenario on the running kernel: its records, and how many disturbed attempts were discarded."""


@contextmanager
def this_kernel(wait: float = 0.0) -> Iterator[Kernel]:
    """The running kernel, for several scenarios.

    Args:
        wait: seconds to wait for another run to end that holds the machine's THP settings.

    Raises:
        KernelError: it, or this user, cannot show what its processes do; or another run holds it.
    """
    probe.require(*needs.ALWAYS)
    with Session(wait=wait) as session:

        def run(scenario: Scenario) -> tuple[list[Record], int]:
            before = session.discarded
            records = session.run(scenario)
            return records, session.discarded - before

        yield run


def named(registry: Registry, scenario: Scenario) -> dict[str, Scheme]:
    """The policies that a scenario names, by what it calls them, its own first.

    Raises:
        UsageError: there is no such policy.
    """
    found = {}
    for text in policies_of(scenario):
        try:
            found[text] = registry.policy(text)
        except UsageError as fault:
            raise UsageError(f"{scenario.source}: {fault.what}", fault.hint) from fault
    return found


def run(
    registry: Registry,
    scenario: Scenario,
    schemes: Sequence[Scheme],
    place: Place = "model",
    execution: Execution = "native",
    kernel: Kernel | None = None,
) -> ScenarioResult:
    """Run a scenario, and hold what was seen against what it expects.

    Args:
        schemes: the policies, for the engine; on both, the one that models this kernel is run besides.
        place: the engine, the kernel, or both.
        kernel: what `this_kernel` gives, unless the place is the model.

    Raises:
        UsageError: it names a policy that there is not, or one cannot have folios of that size.
        KernelError: the kernel refused something.
    """
    names = named(registry, scenario)

    def judge(by: str, records: Sequence[Record], scheme: Scheme | None, kernel: bool = False) -> ScenarioRun:
        meant = {text for text, known in names.items() if known == scheme}
        return judged(scenario, by, records, meant, kernel)

    matching = running.matching(registry) if kernel else None
    wanted = [] if place == "kernel" else [*schemes]
    if wanted and matching is not None and matching not in wanted:
        wanted.append(matching)
    runs = tuple(
        judge(scheme.name, list(Model(scenario, scheme, execution, verdicts=True).run()), scheme) for scheme in wanted
    )
    if kernel is None:
        return ScenarioResult(scenario, runs)
    if skipped := needs.missing(scenario):
        return ScenarioResult(scenario, runs, skipped=skipped)
    seen, discarded = kernel(scenario)
    own = judge(f"Linux {running.read().release}", seen, matching, kernel=True)
    model = next((one for one in runs if matching is not None and one.by == matching.name), None)
    if model is None:
        return ScenarioResult(scenario, runs, own, discarded=discarded)
    return ScenarioResult(scenario, runs, own, "", model.by, tuple(differences(model.records, seen)), discarded)
