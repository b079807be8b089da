"""Promela models of the explored programs: they hold, and they find a planted mistake."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from foliolab.framework.contract.policy import Policy
from foliolab.policies import mm_id, page_mapcount

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import explore
import spin

pytestmark = pytest.mark.skipif(bool(spin.missing()), reason=spin.missing() or "SPIN is there")


@pytest.mark.parametrize(
    ("model", "policy"),
    [("mm_id", mm_id.POLICY), ("page_mapcount", page_mapcount.POLICY)],
    ids=lambda one: str(one)[:8],
)
def test_a_model_holds_and_has_more_states_than_the_reduced_search(model: str, policy: Policy) -> None:
    found = spin.run(model, reduced=True)
    assert found.errors == 0
    ours = explore.measured(explore.Row(policy, 3, 2, reduction=True), 1).found
    assert 1000 < ours.states < found.states


@pytest.mark.parametrize(
    ("model", "right", "wrong"),
    [
        ("mm_id", "atomic { !(slot_id[0] & TOP) -> slot_id[0] = slot_id[0] | TOP }", "slot_id[0] = slot_id[0] | TOP"),
        ("page_mapcount", "large_mapcount = large_mapcount - NR;", "large_mapcount = large_mapcount - 1;"),
    ],
)
def test_a_model_notices_a_mistake(
    model: str, right: str, wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (spin.MODELS / f"{model}.pml").read_text()
    assert right in text
    (tmp_path / f"{model}.pml").write_text(text.replace(right, wrong))
    monkeypatch.setattr(spin, "MODELS", tmp_path)
    assert spin.run(model, reduced=True).errors > 0


def test_a_tool_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert "spin is not installed" in spin.missing()
    with pytest.raises((FileNotFoundError, subprocess.SubprocessError)):
        spin.run("mm_id", reduced=True)
