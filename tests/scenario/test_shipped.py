"""Every scenario that ships: its form, what it expects of each policy that it names, and the running kernel."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from foliolab.framework.errors import KernelError
from foliolab.framework.kernel import needs, probe, running, settings, sidebyside
from foliolab.framework.kernel.session import Session
from foliolab.framework.plugins.registry import load as load_registry
from foliolab.framework.scenario.formatter import format_scenario
from foliolab.framework.scenario.heading import summary
from foliolab.framework.scenario.parser import load, load_in_order
from foliolab.framework.scenario.syntax import Expect

REGISTRY = load_registry()
NAMES = list(REGISTRY.scenarios)


@pytest.mark.parametrize("name", NAMES)
def test_its_form(name: str) -> None:
    path = REGISTRY.scenarios[name]
    scenario = load(path)
    assert scenario.name == path.stem == name
    assert format_scenario(scenario) == path.read_text()
    assert scenario.policy
    assert summary(path).endswith(".")
    assert any(step.answer for step in scenario.steps)
    assert max(map(len, path.read_text().splitlines())) <= 114


@pytest.mark.parametrize("name", NAMES)
def test_on_the_model(name: str) -> None:
    scenario = load(REGISTRY.scenarios[name])
    schemes = list(sidebyside.named(REGISTRY, scenario).values())
    result = sidebyside.run(REGISTRY, scenario, schemes)
    assert [(run.by, failure) for run in result.runs for failure in run.failures] == []
    expects = sum(isinstance(item, Expect) for item in scenario.items)
    wanted = expects + sum(bool(step.answer) for step in scenario.steps)
    found_bytes = sum(step.action in ("read", "peek") and bool(step.answer) for step in scenario.steps)
    wanted += found_bytes * (len(result.runs) - 1)  # they are checked for every policy
    assert sum(run.expected for run in result.runs) == wanted


def test_what_ships() -> None:
    starts = {name.partition("-")[0] for name in NAMES}
    assert {"cow", "server", "third", "child", "pmd", "swapcache", "nested", "daemon", "slot"} <= starts
    assert len([name for name in NAMES if name.startswith("cow-")]) == 18
    assert all(Path(path).suffix == ".scenario" for path in REGISTRY.scenarios.values())


@pytest.mark.slow
def test_no_policy_of_two_slots_or_better_is_ever_unsafe() -> None:
    """On all shipped scenarios, also of policies that these do not name."""
    safe = [s for s in (p.with_parameters() for p in REGISTRY.policies.values()) if "safe" in s.capabilities]
    assert {"mm-id", "exact"} <= {scheme.name for scheme in safe}
    for scenario in load_in_order(REGISTRY.scenarios.values()):  # steps at once: tests/verify/test_interleavings.py
        unsafe = {run.by: run.verdicts("unsafe") for run in sidebyside.run(REGISTRY, scenario, safe).runs}
        assert unsafe == dict.fromkeys((s.name for s in safe), 0), scenario.name


@pytest.fixture(scope="module")
def kernel() -> Iterator[Session]:
    """The running kernel, or the reason why not; another run has it for a minute at most."""
    if sys.platform != "linux":
        pytest.skip("this is not Linux")
    for what in (*needs.ALWAYS, "kernel configuration"):
        if not (found := probe.capability(what)).available:
            pytest.skip(f"{what}: {found.reason}")
    if running.matching(REGISTRY) is None:
        pytest.skip(f"no policy models Linux {running.read().release}")
    try:
        with settings.exclusive(120):
            pass
    except KernelError as fault:
        pytest.skip(fault.what)
    with sidebyside.this_kernel(60) as found_kernel:
        yield found_kernel


@pytest.mark.host
@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_on_both(name: str, kernel: Session) -> None:
    scenario = load(REGISTRY.scenarios[name])
    matching = running.matching(REGISTRY)
    assert matching is not None
    result = sidebyside.run(REGISTRY, scenario, [matching], "both", kernel=kernel)
    if result.skipped:
        pytest.skip(result.skipped)
    assert result.kernel is not None
    assert result.model == matching.name
    assert result.differences == ()
    assert result.kernel.failures == ()
