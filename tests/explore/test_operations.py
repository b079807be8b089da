"""Scenarios and counterexamples as sources: owners agree with the page tables; going back equals a fresh run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sources import EXACT, HEURISTIC, MM_ID
from test_cells import expected

from foliolab.framework.engine.truth import scan
from foliolab.framework.errors import ResultFileError, UsageError
from foliolab.framework.explore import cells as c
from foliolab.framework.explore.counterexample_lane import CounterexampleLane
from foliolab.framework.explore.page_detail import page_detail
from foliolab.framework.explore.scenario_lane import ScenarioLane
from foliolab.framework.explore.session import Session
from foliolab.framework.explore.source import counterexample_source, scenario_source
from foliolab.framework.scenario.model import Model
from foliolab.framework.verify.counterexample import Counterexample
from foliolab.policies import mm_id

MEMORY = 1 << 28
SHIPPED = sorted((Path(__file__).parents[2] / "workloads" / "scenarios").glob("*.scenario"))
FILES = ["child-alive", "one-page-left", "slot-free-too-late", "cow-iouring-after-fork-swapped", "pmd-and-ptes",
         "moved-in-the-child", "pageout-of-a-part", "exec-leaves", "server-preforked-recycled"]  # fmt: skip
SHAPE: dict[str, Any] = {"nr_pages": 64, "nr_mms": 3, "nr_vpns": 8, "nr_cpus": 3, "max_order": 4}


def shipped(name: str) -> Path:
    return next(path for path in SHIPPED if path.stem == name)


@pytest.mark.parametrize("name", FILES)
def test_maps_of_a_scenario(name: str) -> None:
    source = scenario_source(shipped(name))
    session = Session(source, (MM_ID, HEURISTIC), MEMORY)
    check_scenario(session)
    fresh = {0: [lane.snapshot() for lane in session.lanes]}
    models = [Model(source.scenario, scheme, verdicts=True) for scheme in (MM_ID, HEURISTIC)]
    for step, one in enumerate(source.scenario.steps):
        assert session.advance() == 1
        check_scenario(session)
        fresh[session.position] = [lane.snapshot() for lane in session.lanes]
        for lane, model in zip(session.lanes, models, strict=True):
            verdicts = model.step(step, one).verdicts
            assert isinstance(lane, ScenarioLane) and lane.record is not None
            assert lane.totals().false_shared == sum(verdict.kind == "false shared" for verdict in verdicts)
            assert {name for name in lane.names() if name} == set(model.mms)
    for position in [*range(session.nr_steps, -1, -1), session.nr_steps]:
        session.goto(position)
        assert [lane.snapshot() for lane in session.lanes] == fresh[position], position
        check_scenario(session)


def check_scenario(session: Session) -> int:
    """As `check`, without page operations: swapping does some that are not counted."""
    seen = 0
    for lane in session.lanes:
        assert lane.error is None and lane.machine is not None
        truth = scan(lane.machine)
        for mm in range(len(session.source.mms)):
            shown = lane.cells(mm)
            assert shown.tolist() == expected(lane, mm, truth).tolist(), f"{lane.name}, map {mm}"
            seen |= int(shown.max()) if shown.size else 0
    return seen


def test_pins_and_swapped_pages_show() -> None:
    text = "scenario pins\n\nregion heap: 2 x 64K pte, room 16\n\nA: pin heap[3] as buffer\nA: pageout heap[16-31]\n"
    session = Session(scenario_source(text), (MM_ID,), MEMORY)
    session.advance(2)
    shown = session.lanes[0].cells(0)
    assert all(shown[:16] & c.PINNED) and not any(shown[16:] & c.PINNED)
    assert all(shown[16:32] == c.SWAPPED)
    assert "swapped out" in page_detail(session.lanes[0], 0, 20).description


def test_decisions_of_a_scenario() -> None:
    text = "scenario decides\n\nregion heap: 1 x 64K pte\n\nA: fork B\nB: exit\nA: write heap[0-3]\n"
    session = Session(scenario_source(text), (EXACT, HEURISTIC), MEMORY)
    session.advance(3)
    assert [lane.totals().false_copies for lane in session.lanes] == [0, 4]
    assert [lane.totals().forked for lane in session.lanes] == [16, 16]


def test_scenarios_are_told() -> None:
    source = scenario_source(shipped("slot-free-too-late"))
    for step in range(source.nr_steps):
        assert source.describe(step).split()[0] in source.mms
        assert source.touch(step).mm >= 0
    with pytest.raises(UsageError, match="has no step"):
        source.describe(source.nr_steps)
    with pytest.raises(UsageError, match="no steps"):
        scenario_source("scenario none\n\nregion heap: 1 x 64K pte\n")


# -- counterexamples ----------------------------------------------------------------------------------
def threaded() -> Counterexample:
    return Counterexample(
        policy="mm-id",
        attack="explored",
        law="safe",
        claim="safe",
        message="called exclusive",
        shape=SHAPE,
        setup=["create mm=0", "create mm=1", "file_folio order=2", "map_file mm=0 vpn=0 pfn=0 nr=4"],
        threads=[["map_file mm=1 vpn=0 pfn=0 nr=2", "unmap mm=1 start=0 nr=2"], ["maybe_shared pfn=0"]],
        schedule="0*5 1*1 0*2",
    )


def sequence() -> Counterexample:
    return Counterexample(
        policy="estimated-sharers",
        attack="random",
        law="safe",
        claim="safe",
        message="called exclusive although both map it",
        shape={**SHAPE, "nr_pages": 512, "nr_vpns": 64},
        setup=["create mm=0", "populate mm=0 start=0 nr=16 order=4"],
        threads=[["fork parent=0 child=1", "unmap mm=0 start=0 nr=1", "maybe_shared pfn=0"]],
    )


@pytest.mark.parametrize("example", [threaded(), sequence()], ids=["threads", "sequence"])
def test_a_counterexample(example: Counterexample, tmp_path: Path) -> None:
    example.save(tmp_path / "one.json")
    source = counterexample_source(tmp_path / "one.json")
    session = Session(source, (MM_ID, HEURISTIC), MEMORY)
    fresh = []
    for step in range(source.nr_steps):
        fresh.append([lane.snapshot() for lane in session.lanes])
        assert source.describe(step)
        assert session.advance() == 1
        check_scenario(session)
    assert all(lane.error is None for lane in session.lanes)
    for position in reversed(range(source.nr_steps)):
        assert session.back()
        assert [lane.snapshot() for lane in session.lanes] == fresh[position]
        assert session.position == position


def blind(folio):
    return False


def test_what_a_counterexample_breaks() -> None:
    hooks = replace(mm_id.POLICY.hooks, maybe_mapped_shared=blind)
    policy = replace(mm_id.POLICY, name="blind", hooks=hooks, models=None, mutants=None).with_parameters()
    session = Session(counterexample_source(sequence()), (policy, EXACT), MEMORY)
    lanes: Any = session.lanes
    assert lanes[0].playback.violations and not lanes[1].playback.violations
    assert session.next_wrong()
    assert session.lanes[0].totals().unsafe == 1 and session.lanes[1].totals().unsafe == 0
    assert all(session.lanes[0].cells(1)[1:16] & c.UNSAFE)


def test_accesses_of_a_counterexample() -> None:
    session = Session(counterexample_source(threaded()), (MM_ID,), MEMORY)
    lane = session.lanes[0]
    assert isinstance(lane, CounterexampleLane)
    session.goto(5)
    found = session.accesses(0)
    assert len(found) >= 5
    assert {one.thread for one in found.accesses} == {0}
    assert all(one.file and one.line for one in found.accesses)
    changes = [at for at, one in enumerate(found.accesses) if one.writes and one.stored is not None]
    folio = found.folio(0, changes[0])
    assert [field.name for field in folio.changes]
    session.goto(4)
    assert session.accesses(0).accesses  # an operation of the set-up


def test_a_counterexample_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ResultFileError):
        counterexample_source(tmp_path / "none.json")
