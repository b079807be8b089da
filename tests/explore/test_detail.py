"""Details of pages, folios and accesses agree with the machine's memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sources import BASE, EXACT, MM_ID, mixed, recorded, trace_rows

from foliolab.framework.engine.truth import scan
from foliolab.framework.errors import UsageError
from foliolab.framework.explore import accesses as module
from foliolab.framework.explore.folio_detail import folio_detail
from foliolab.framework.explore.page_detail import page_detail
from foliolab.framework.explore.session import Session
from foliolab.framework.trace import events as ev

MEMORY = 1 << 29


def test_pages() -> None:
    session = Session(mixed(mms=4), (MM_ID, EXACT), MEMORY)
    session.advance(300)
    for lane in session.lanes:
        machine = lane.machine
        assert machine is not None
        truth = scan(machine)
        seen = 0
        for mm in range(4):
            for page in range(0, session.source.pages):
                one = page_detail(lane, mm, page)
                assert one.description.endswith(".")
                if one.frame < 0:
                    continue
                seen += 1
                assert one.mapcount == truth.page_mapcount[one.frame]
                assert one.head == truth.heads[one.frame]
                assert 1 << one.order == truth.nr_pages_of[one.head]
                assert {owner.mm: owner.mappings for owner in one.owners} == {
                    who: int(count) for who, count in enumerate(truth.mappings[:, one.head]) if count
                }
                if one.order:
                    right = one.said_shared == (len(one.owners) > 1)
                    assert (one.verdict == "right") == right
                    assert lane.name in one.description
                assert "MM" in one.description
        assert seen > 50
    with pytest.raises(UsageError, match="no page"):
        page_detail(session.lanes[0], 0, session.source.pages)


def test_a_folio_before_and_after_a_step() -> None:
    source = mixed(mms=4)
    forks = [step for step in range(source.nr_steps) if source.blocks.row(step)["kind"] == ev.FORK]
    session = Session(source, (MM_ID, BASE), MEMORY)
    session.goto(forks[0] + 1)
    for lane in session.lanes:
        state = lane.snapshot()
        head = page_detail(lane, 0, 0).head
        folio = folio_detail(lane, head)
        assert lane.snapshot() == state and lane.position == session.position
        assert folio.order == 2
        names = {field.name for field in folio.fields}
        assert {stored.name for stored in lane.scheme.stored("folio")} <= {name.partition("[")[0] for name in names}
        assert {field.owner for field in folio.fields} == {"policy", "kernel"}
        changed = {field.name for field in folio.changes}
        assert changed
        for field in folio.fields:
            raw = lane.struct_pages(head + field.page, 1)[field.offset : field.offset + field.bits // 8]
            assert field.value & ((1 << field.bits) - 1) == int.from_bytes(raw.tobytes(), "little")
        session_before = Session(source, (lane.scheme,), MEMORY)
        session_before.goto(session.position - 1)
        earlier = folio_detail(session_before.lanes[0], head)
        assert [field.before for field in folio.fields] == [field.value for field in earlier.fields]
    with pytest.raises(UsageError, match="no frame"):
        folio_detail(session.lanes[0], 1 << 40)


def test_accesses_of_an_event() -> None:
    source = mixed(mms=4)
    forks = [step for step in range(source.nr_steps) if source.blocks.row(step)["kind"] == ev.FORK]
    session = Session(source, (MM_ID, BASE), MEMORY)
    session.goto(forks[0] + 1)
    for number, lane in enumerate(session.lanes):
        state, head = lane.snapshot(), page_detail(lane, 0, 0).head
        found = session.accesses(number)
        assert lane.snapshot() == state
        assert found.step == forks[0] and not found.stopped and len(found) > 20
        assert found.heads()
        by_policy = [one for one in found.accesses if one.stored is not None and one.writes]
        assert by_policy
        assert all(Path(one.file).is_file() and one.code for one in found.accesses)
        # what the policy itself wrote, by its own text
        assert any(Path(one.file).parent.name == "policies" for one in by_policy)
        assert all("replay" not in Path(one.file).parts for one in found.accesses if not one.writes)
        # access by access from before to after
        before, after = found.folio(head, -1), found.folio(head, len(found) - 1)
        now = folio_detail(lane, head)
        assert [field.value for field in before.fields] == [field.before for field in now.fields]
        assert [field.value for field in after.fields] == [field.value for field in now.fields]
        first = next(
            at for at, one in enumerate(found.accesses) if one.writes and one.field.startswith(f"folio{head}.")
        )
        assert found.folio(head, first).changes
        assert "→" in found[first].description


def test_every_step_can_be_looked_at(tmp_path: Path) -> None:
    source = recorded(tmp_path, trace_rows(4, 15))
    session = Session(source, (MM_ID,), MEMORY)
    while not session.at_end:
        session.advance(1)
        lane = session.lanes[0]
        state = lane.snapshot()
        found = module.accesses_of(lane)  # without the session's limit of time
        assert lane.snapshot() == state and lane.error is None
        assert not found.stopped
        raw = found.pages
        for head in raw:
            nr = raw[head].size // lane.stride
            np.testing.assert_array_equal(found._bytes(head, len(found) - 1), lane.struct_pages(head, nr))


def test_too_many_accesses_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 10)
    session = Session(mixed(), (MM_ID,), MEMORY)
    session.advance(100)
    state = session.lanes[0].snapshot()
    found = session.accesses(0)
    assert len(found) == 10 and "more than 10 accesses" in found.stopped
    assert session.lanes[0].snapshot() == state
    assert not len(Session(mixed(), (MM_ID,), MEMORY).accesses(0))


def test_events_are_described(tmp_path: Path) -> None:
    source = recorded(tmp_path, trace_rows(5))
    sentences = [source.describe(step) for step in range(source.nr_steps)]
    first = source.touch(0).page
    maps = f"MM 1 (server) maps pages {first:,} to {first + 11:,} when the recording begins, in folios of 64 KiB"
    assert sentences[0] == maps
    for word in ("forks", "faults in pages", "writes page", "unmaps", "moves", "exits", "protects"):
        assert any(word in one for one in sentences), word
    for step in range(source.nr_steps):
        touch = source.touch(step)
        assert touch.page < source.pages and touch.mm >= 1
    assert source.mms[0] == "MM 1 (server)"
