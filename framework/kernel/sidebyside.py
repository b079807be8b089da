"""A scenario on the engine, on the running kernel or on both, and the expectations that it states for each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, Literal

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine.engine import Execution
from foliolab.framework.errors import UsageError
from foliolab.framework.kernel import needs, probe, running
from foliolab.framework.kernel.session import RunningKernel, Session
from foliolab.framework.plugins.registry import Registry
from foliolab.framework.scenario.expectations import policies_of
from foliolab.framework.scenario.habits import USUAL
from foliolab.framework.scenario.model import Model
from foliolab.framework.scenario.record import Record
from foliolab.framework.scenario.result import ScenarioResult, ScenarioRun, judged, judged_in_all
from foliolab.framework.scenario.syntax import Scenario
from foliolab.framework.verify.interleavings import interleavings

Backend = Literal["model", "kernel", "both"]


REPEATS: Final = 10
"""How often steps at once run on the kernel: it may do another interleaving each time."""


@contextmanager
def this_kernel(wait: float = 0.0) -> Iterator[Session]:
    """The running kernel, for several scenarios.

    Args:
        wait: seconds to wait for another run that has the THP settings.

    Raises:
        KernelError: a capability of `needs.ALWAYS` is missing, or another run has the settings.
    """
    probe.require(*needs.ALWAYS)
    with RunningKernel(wait=wait) as session:
        yield session


def named(registry: Registry, scenario: Scenario) -> dict[str, Scheme]:
    """The policies that a scenario names, by the text that names them; those after `by` first.

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


def meant(names: Mapping[str, Scheme], scheme: Scheme | None) -> set[str]:
    """The names by which a scenario means a policy; what it expects of a policy, it expects under every caller.

    Args:
        names: as `named` returns them.
        scheme: the policy; None: no policy.
    """
    plain = scheme and scheme.under(None)
    return {text for text, known in names.items() if known == plain}


def run(
    registry: Registry,
    scenario: Scenario,
    schemes: Sequence[Scheme],
    backend: Backend = "model",
    execution: Execution = "native",
    kernel: Session | None = None,
) -> ScenarioResult:
    """Run a scenario and judge its expectations; of steps that run at once, every interleaving.

    Args:
        registry: has the policies that the scenario names.
        scenario: the scenario.
        schemes: the policies to run in the engine. On "both", the policy that models this kernel is added, and each is
            compared with the kernel. Only a difference from the policy that models this kernel is a failure.
        backend: the engine (model), the kernel, or both.
        execution: of the engine.
        kernel: from `this_kernel`; None if `backend` is "model".

    Raises:
        UsageError: the scenario names an unknown policy, or one that does not support its folio sizes.
        KernelError: the kernel refused a system call.
    """
    names = named(registry, scenario)

    def judge(by: str, records: Sequence[Record], scheme: Scheme | None, kernel: bool = False) -> ScenarioRun:
        return judged(
            scenario, by, records, meant(names, scheme), kernel, scheme.capabilities if scheme and not kernel else ()
        )

    matching = running.matching(registry) if kernel else None
    wanted = [] if backend == "kernel" else [*schemes]
    if wanted and matching is not None and matching not in wanted:
        wanted.append(matching)
    habits = kernel.habits(scenario) if kernel is not None and wanted else USUAL

    def play(scheme: Scheme) -> ScenarioRun:
        if scenario.at_once:
            found = interleavings(scenario, scheme)
            return judged_in_all(scenario, scheme.name, found, meant(names, scheme), scheme.capabilities)
        model = Model(scenario, scheme, execution, verdicts=True, habits=habits)
        return judge(scheme.name, list(model.run()), scheme)

    runs = tuple(map(play, wanted))
    if kernel is None:
        return ScenarioResult(scenario, runs)
    if skipped := needs.missing(scenario):
        return ScenarioResult(scenario, runs, skipped=skipped)
    discarded, seen = kernel.discarded, kernel.run(scenario)
    if scenario.at_once:
        binding = [run for run, scheme in zip(runs, wanted, strict=True) if scheme == matching]
        seen = _another(kernel, scenario, seen, binding)
    own = judge(f"Linux {running.read().release}", seen, matching, kernel=True)
    runs = tuple(one.compared(seen, scheme == matching) for one, scheme in zip(runs, wanted, strict=True))
    model = matching.name if matching is not None and matching in wanted else ""
    return ScenarioResult(scenario, runs, own, "", model, kernel.discarded - discarded)


def _another(kernel: Session, scenario: Scenario, seen: list[Record], binding: Sequence[ScenarioRun]) -> list[Record]:
    """What the kernel did with steps at once: of REPEATS times, the first that no outcome of the model has."""
    for _ in range(REPEATS - 1):
        if any(run.compared(seen, True).differences for run in binding):
            break
        seen = kernel.run(scenario)
    return seen
