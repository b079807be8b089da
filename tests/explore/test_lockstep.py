"""Policies in lockstep find what separate replays find; forward and back is the same state, byte for byte."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sources import BASE, EXACT, FOUR, HEURISTIC, MM_ID, mixed, recorded, trace_rows

from foliolab.framework.errors import UsageError
from foliolab.framework.explore import lane as lanes
from foliolab.framework.explore.event_lane import EventLane
from foliolab.framework.explore.session import Session
from foliolab.framework.explore.source import EventsSource
from foliolab.framework.replay import cells
from foliolab.framework.replay.player import Plan
from foliolab.framework.replay.result import Replayed
from foliolab.framework.replay.session import replay_one

MEMORY = 1 << 29


def alone(source: EventsSource, lane: EventLane) -> object:
    """The result of a separate replay."""
    blocks = source.blocks
    plan = Plan(blocks.events, blocks.survey, 1 << 30, 0, "native", lambda *_: None)
    return replay_one(plan, lane.scheme)


def replayed(lane: EventLane) -> Replayed:
    """The result that `foliolab replay` and `precision` would give for the events so far."""
    assert lane.player is not None and lane.machine is not None
    account, kept = lane.player.account, lane.machine.snapshot()
    try:
        account.events = lane.position
        account.folio_ns, account.page_ns = [0] * cells.BUCKETS, [0] * cells.BUCKETS
        survey = lane.source.blocks.survey
        account.finish(survey.last - survey.first if lane.position == lane.source.nr_steps else 0)
        return account.replayed(lane.scheme.name)
    finally:
        lane.machine.restore(kept)


@pytest.mark.parametrize("order", [2, 4])
def test_a_lane_finds_what_a_replay_finds(order: int) -> None:
    source = mixed(order=order)
    session = Session(source, FOUR, MEMORY)
    while not session.at_end:
        session.play(0.01)
    for lane in session.lanes:
        assert isinstance(lane, EventLane)
        assert lane.error is None
        found, other = replayed(lane), alone(source, lane)
        same = ("events", "frames_peak", "owner_ns", "owner_page_ns", "exclusive_ops", "shared_ops", "most_owners",
                "false_shared", "unsafe", "faults", "sole_copies", "not_modelled")  # fmt: skip
        got, wanted = msgspec.structs.asdict(found), msgspec.structs.asdict(other)  # type: ignore[arg-type]
        assert {one: got[one] for one in same} == {one: wanted[one] for one in same}, lane.name
        assert found.exclusive_ops > 50


def test_a_recorded_trace_in_lockstep(tmp_path: Path) -> None:
    source = recorded(tmp_path, trace_rows(3))
    session = Session(source, (MM_ID, EXACT), MEMORY)
    session.advance(source.nr_steps)
    for lane in session.lanes:
        assert isinstance(lane, EventLane)
        wanted = alone(source, lane)
        assert replayed(lane).owner_ns == wanted.owner_ns  # type: ignore[attr-defined]
        assert replayed(lane).not_modelled == wanted.not_modelled  # type: ignore[attr-defined]


def states(session: Session) -> list[bytes]:
    return [lane.snapshot() for lane in session.lanes]


def test_back_is_a_fresh_run() -> None:
    source = mixed()
    session = Session(source, (MM_ID, BASE), MEMORY)
    fresh = {}
    for position in range(0, source.nr_steps + 1):
        if position % 97 in (0, 1, 2):
            fresh[position] = states(session)
        session.advance(1)
    assert session.at_end
    for position in sorted(fresh, reverse=True):
        session.goto(position)
        assert states(session) == fresh[position], position
    assert not session.back()


def test_steps_back_one_by_one() -> None:
    source = mixed(seed=5)
    session = Session(source, (MM_ID,), MEMORY)
    kept = []
    session.advance(200)
    for _ in range(30):
        kept.append(states(session))
        session.advance(1)
    for wanted in reversed(kept):
        assert session.back()
        assert states(session) == wanted


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_jumps_anywhere(data: st.DataObject) -> None:
    source = mixed(seed=data.draw(st.integers(1, 3)))
    session = Session(source, (MM_ID, HEURISTIC), MEMORY)
    for lane in session.lanes:
        lane.spacing = data.draw(st.sampled_from([1e-6, 1e-4, 1.0]))
    for _ in range(data.draw(st.integers(1, 6))):
        session.goto(data.draw(st.integers(0, source.nr_steps)))
    other = Session(source, (MM_ID, HEURISTIC), MEMORY)
    other.goto(session.position)
    assert states(session) == states(other)
    assert [lane.totals() for lane in session.lanes] == [lane.totals() for lane in other.lanes]


def test_memory_for_earlier_states_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "SHARE", 0)
    monkeypatch.setattr(lanes, "SLOW_SHARE", 0)  # a loaded machine copies slowly
    source = mixed(seed=2)
    session = Session(source, (MM_ID,), 1 << 20)
    lane = session.lanes[0]
    lane.spacing = 1e-9
    lane.goto(1)
    lane.goto(0)  # from here on it counts
    session.advance(source.nr_steps)
    assert lane.error is None
    assert lane.checkpoints is not None and lane.machine is not None
    positions = lane.checkpoints.positions
    assert positions[0] == 0 and positions == sorted(set(positions))
    assert len(positions) <= 161
    gaps = [later - earlier for earlier, later in pairwise(positions)]
    assert max(gaps[: len(gaps) // 2]) >= max(gaps[-5:])  # recent ones are dense, older ones sparse
    wanted = Session(source, (MM_ID,), MEMORY)
    wanted.goto(source.nr_steps // 3)
    session.goto(source.nr_steps // 3)
    assert states(session) == states(wanted)


def test_a_machine_grows() -> None:
    source = mixed()
    survey = source.blocks.survey
    session = Session(source, (MM_ID,), MEMORY)
    small = Session.__new__(Session)
    assert survey.slots > 2
    survey.slots = 2  # too few: the lane notices, and starts again on a larger machine
    try:
        small = Session(source, (MM_ID,), MEMORY)
        small.advance(source.nr_steps)
    finally:
        survey.slots = 5
    session.advance(source.nr_steps)
    both = small.lanes[0], session.lanes[0]
    assert all(lane.error is None for lane in both)
    assert both[0].totals() == both[1].totals()
    small.goto(100)
    session.goto(100)
    assert both[0].totals() == both[1].totals()


def test_there_are_no_other_positions() -> None:
    session = Session(mixed(), (MM_ID,), MEMORY)
    for position in (-1, session.nr_steps + 1):
        with pytest.raises(UsageError, match="there is no position"):
            session.goto(position)
    with pytest.raises(UsageError, match="no policy"):
        Session(mixed(), (), MEMORY)


def wrong_steps(session: Session, lane: int | None) -> list[int]:
    """The steps that made an answer wrong, found one step at a time."""
    found = []
    before = [(0, 0)] * len(session.lanes)
    while not session.at_end:
        session.advance(1)
        now = [(one.totals().false_begun, one.totals().unsafe_begun) for one in session.lanes]
        if any(a != b for at, (a, b) in enumerate(zip(before, now, strict=True)) if lane in (None, at)):
            found.append(session.position - 1)
        before = now
    return found


@pytest.mark.parametrize("lane", [None, 0, 1])
def test_goes_to_wrong_answers(lane: int | None) -> None:
    source = mixed(mms=6, seed=4)
    slow = Session(source, (MM_ID, HEURISTIC), MEMORY)
    wanted = wrong_steps(slow, lane)
    assert len(wanted) > 3
    session = Session(source, (MM_ID, HEURISTIC), MEMORY)
    found = []
    while session.next_wrong(lane):
        found.append(session.position - 1)
    assert found == wanted and session.at_end
    back = []
    while session.previous_wrong(lane):
        back.append(session.position - 1)
    assert back == wanted[::-1]
    # steps that are known already are found, too
    session.goto(0)
    again = []
    while session.next_wrong(lane):
        again.append(session.position - 1)
    assert again == wanted


def test_marks_say_where_policies_disagree() -> None:
    source = mixed(mms=6, seed=4)
    each = [set(wrong_steps(Session(source, (MM_ID, HEURISTIC), MEMORY), lane)) for lane in (0, 1)]
    session = Session(source, (MM_ID, HEURISTIC), MEMORY)
    session.advance(source.nr_steps)
    positions, counts = session.marks.disagreements()
    apart = each[0] ^ each[1]
    assert counts.sum() == len(apart)
    assert {int(position) - 1 for position in positions} <= apart
    assert len(positions) <= 2048


def test_a_short_run_has_a_point_for_every_step() -> None:
    """An answer that is wrong for one step is in the curve, however many steps were done at once."""
    source = mixed()
    session, slow = Session(source, (MM_ID,), MEMORY), Session(source, (MM_ID,), MEMORY)
    session.advance(source.nr_steps)
    shares = [slow.lanes[0].totals().false_share]
    while not slow.at_end:
        slow.advance()
        shares.append(slow.lanes[0].totals().false_share)
    assert session.history.positions.tolist() == list(range(source.nr_steps + 1))
    for found in (session.history.high(0, "false_share"), session.history.low(0, "false_share")):
        assert found.tolist() == shares


def test_a_search_can_be_stopped() -> None:
    session = Session(mixed(), (EXACT,), MEMORY)
    assert not session.next_wrong(stop=lambda: True)
    assert not session.at_end
    assert not session.next_wrong()
    assert session.at_end


def test_playing_takes_about_as_long_as_said_and_history_follows() -> None:
    session = Session(mixed(), (MM_ID, EXACT), MEMORY)
    while session.play(0.005):
        pass
    assert session.at_end
    assert session.history.last == session.nr_steps
    operations = session.history.high(0, "page_operations")
    assert (operations[1:] >= operations[:-1]).all()
    assert operations[-1] == session.lanes[0].totals().page_operations
    assert not session.history.high(1, "false_shared").any()
