"""Random scenarios find engines that take the bits of a batch's first PTE for those of all, as Linux 6.17 did.

The unchanged engine stands for the kernel, and everything that `foliolab kernel check` compares is compared.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from wrong_engines import WRONG, wrong_engine

from foliolab.framework.errors import FolioLabError
from foliolab.framework.plugins.registry import load
from foliolab.framework.scenario.difference import Difference, differences
from foliolab.framework.scenario.formatter import format_scenario
from foliolab.framework.scenario.generate import Mix, random_scenario, shrink
from foliolab.framework.scenario.model import Model
from foliolab.framework.scenario.record import Record
from foliolab.framework.scenario.syntax import Scenario

SCHEME = load().policy("mm-id")
LIMIT = 300
"""Scenarios in which each must be found."""


def first_difference(name: str, scenario: Scenario) -> Difference | None:
    """Where a wrong engine differs first; where it refuses to go on before that, the step says so."""
    right = list(Model(scenario, SCHEME).run())
    wrong: list[Record] = []
    with wrong_engine(name, SCHEME) as scheme:
        try:
            wrong += Model(scenario, scheme).run()
        except FolioLabError as fault:
            return Difference(len(wrong), "outcome", fault.what)
    return next(differences(wrong, right), None)


@pytest.mark.slow
@pytest.mark.parametrize("name", WRONG)
def test_it_is_found(name: str) -> None:
    swap = {"pageout"} if "swap" in name or "pageout" in name else set()
    mix = Mix(actions=Mix().actions | swap)
    assert any(first_difference(name, random_scenario(seed, mix)) for seed in range(1, LIMIT + 1))


def test_what_linux_617_did_is_shrunk_to_a_few_steps() -> None:
    name = "mremap: writable"
    mix = Mix(orders=(2, 3, 4))
    scenarios = (random_scenario(seed, mix) for seed in range(1, LIMIT + 1))
    found = next(scenario for scenario in scenarios if first_difference(name, scenario))
    small = shrink(found, lambda scenario: first_difference(name, scenario) is not None)
    assert first_difference(name, small)
    assert {"fork", "mremap", "write"} <= {step.action for step in small.steps}, format_scenario(small)
    assert len(small.steps) < len(found.steps) / 3
