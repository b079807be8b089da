"""The check against a kernel that hides page frame numbers: what other programs change is no disagreement."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.kernel import check
from foliolab.framework.report import kernelcheck
from foliolab.framework.report.pages.plain_text import Plain
from foliolab.framework.scenario.generate import Mix
from foliolab.framework.scenario.habits import Habits
from foliolab.framework.scenario.model import Model
from foliolab.framework.scenario.record import FAULTED, UNCOUNTED, UNKNOWN, Record, View
from foliolab.framework.scenario.syntax import Scenario
from foliolab.policies import mm_id, no_page_mapcount

MIX = Mix(orders=(2,), actions=Mix().actions - {"read", "cold"})


class Kernel:
    """A kernel that decides like a policy, hides its frames, and counts large folios of others.

    Args:
        others: large folios of other programs; UNCOUNTED if the number is not to be compared.
    """

    discarded = 0

    def __init__(self, scheme: Scheme, others: int) -> None:
        self.scheme = scheme
        self.others = others

    def run(self, scenario: Scenario) -> list[Record]:
        return [self._hidden(record) for record in Model(scenario, self.scheme, "interpreted").run()]

    def habits(self, scenario: Scenario) -> Habits:
        return Habits()  # as the model has

    def _hidden(self, record: Record) -> Record:
        def hide(view: Any) -> View:
            frames = np.where(view.frames >= 0, 0, view.frames)
            return View(frames, view.counts * 0, view.exclusive, view.pmd, view.anon_exclusive * 0 + UNKNOWN)

        outcomes = tuple(FAULTED if one in ("reused", "copied") else one for one in record.outcomes)
        number = UNCOUNTED if self.others == UNCOUNTED else record.population + self.others
        views = {name: hide(view) for name, view in record.views.items()}
        return replace(record, outcomes=outcomes, views=views, hidden=True, population=number)


@pytest.fixture(autouse=True)
def interpreted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "SHRUNK", 0)
    monkeypatch.setattr(
        check, "Model", lambda scenario, scheme, *_, **options: Model(scenario, scheme, "interpreted", **options)
    )


def compared(scheme: Scheme, others: int, count: int = 3) -> check.Agreement:
    kernel: Any = Kernel(mm_id.POLICY.with_parameters(), others)
    return check.check(kernel, scheme, check.random_scenarios(count, 4, MIX))


def test_without_control_of_the_settings_the_number_of_folios_is_not_compared(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = compared(mm_id.POLICY.with_parameters(), UNCOUNTED)
    assert found.scenarios == 3 and found.hidden and found.uncounted and not found.disagreements
    assert found.compared["presence"] and "population" not in found.compared
    assert "as far as faults and bit 56 can tell" in kernelcheck.verdict(found, "mm-id")
    assert kernelcheck.data(found, "mm-id", "a kernel")["not_compared"] == ["population"]
    kernelcheck.render(found, "mm-id", "a kernel", Plain())
    assert "not compared: the number of large folios on the host (nr_anon)" in capsys.readouterr().out


def test_with_control_it_is_compared_and_a_wrong_policy_is_still_refuted_by_bit_56() -> None:
    assert not compared(mm_id.POLICY.with_parameters(), 0).disagreements
    counted = compared(mm_id.POLICY.with_parameters(), 8, 1)
    assert [one.difference.aspect for one in counted.disagreements] == ["population"]
    wrong = compared(no_page_mapcount.POLICY.with_parameters(), UNCOUNTED)
    assert wrong.disagreements and {one.difference.aspect for one in wrong.disagreements} == {"bit 56"}
