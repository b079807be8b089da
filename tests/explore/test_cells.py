"""Maps agree with the page tables, and with the policy's answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sources import EXACT, HEURISTIC, MM_ID, mixed, recorded, trace_rows

from foliolab.framework.engine.folio import GUP_PIN_COUNTING_BIAS
from foliolab.framework.engine.truth import Truth, scan
from foliolab.framework.explore import cells as c
from foliolab.framework.explore.lane import Lane
from foliolab.framework.explore.session import Session

MEMORY = 1 << 29


def expected(lane: Lane, mm: int, truth: Truth) -> NDArray[np.uint8]:
    """The expected map, from a scan of all page tables and the policy's own answers."""
    machine = lane.machine
    assert machine is not None
    found = np.zeros(lane.source.pages, np.uint8)
    faces: dict[int, int] = {}
    for page in range(lane.source.pages):
        vpn = lane.vpn(mm, page)
        if vpn < 0:
            continue
        frame = machine.frame(mm, vpn)
        if frame < 0:
            found[page] = c.SWAPPED if int(machine.ptes(mm)[vpn]) else 0
            continue
        head = int(truth.heads[frame])
        if head not in faces:
            faces[head] = face_of(lane, head, truth)
        found[page] = faces[head] | (c.PAGE_SHARED if truth.page_mapcount[frame] > 1 else 0)
    return found


def face_of(lane: Lane, head: int, truth: Truth) -> int:
    machine = lane.machine
    assert machine is not None
    owners, size = int(truth.owners[head]), int(truth.nr_pages_of[head])
    bits = c.MAPPED
    if size == 1:
        pinned = int(machine.folio(head)._refcount.peek()) >= GUP_PIN_COUNTING_BIAS
        return bits | (c.SHARED if truth.page_mapcount[head] > 1 else 0) | (c.PINNED if pinned else 0)
    answer = machine.maybe_shared(head)
    bits |= c.SHARED if owners > 1 else 0
    bits |= c.FALSE_SHARED if answer and owners == 1 else 0
    bits |= c.UNSAFE if not answer and owners > 1 else 0
    bits |= c.PARTIAL if truth.partially_mapped[head] else 0
    bits |= c.PINNED if int(machine.folio(head)._pincount.peek()) else 0
    return bits


def check(session: Session) -> int:
    """Check every map of every lane; return all bits that occur."""
    seen = 0
    for lane in session.lanes:
        assert lane.error is None and lane.machine is not None
        truth = scan(lane.machine)
        for mm in range(len(session.source.mms)):
            shown = lane.cells(mm)
            np.testing.assert_array_equal(shown, expected(lane, mm, truth), f"{lane.name}, map {mm}")
            seen |= int(np.bitwise_or.reduce(shown))
        folios = truth.folios()[truth.nr_pages_of[truth.folios()] > 1]
        totals = lane.totals()
        assert totals.exclusive == int((truth.owners[folios] == 1).sum())
        assert totals.shared == int((truth.owners[folios] > 1).sum())
        operations = totals.mapped + totals.forked - totals.unmapped
        assert operations == int(truth.page_mapcount.sum())
    return seen


@pytest.mark.parametrize("order", [2, 4])
def test_maps_of_a_pattern(order: int) -> None:
    session = Session(mixed(mms=5, folios=1024 >> order, order=order), (MM_ID, HEURISTIC), MEMORY)
    seen = 0
    while not session.at_end:
        session.advance(session.nr_steps // 7)
        seen |= check(session)
    assert seen & (c.SHARED | c.PAGE_SHARED | c.PARTIAL | c.FALSE_SHARED) == (
        c.SHARED | c.PAGE_SHARED | c.PARTIAL | c.FALSE_SHARED
    )


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_maps_of_a_trace(tmp_path: Path, seed: int) -> None:
    source = recorded(tmp_path, trace_rows(seed))
    session = Session(source, (MM_ID, EXACT), MEMORY)
    while not session.at_end:
        session.advance(61)
        check(session)
    assert source.pages % 512 == 0


def test_a_map_is_painted_where_one_wants() -> None:
    session = Session(mixed(), (MM_ID,), MEMORY)
    session.advance(100)
    lane = session.lanes[0]
    out = np.full(lane.room, 7, np.uint8)
    shown = lane.cells(0, out)
    assert shown.base is out and len(shown) == session.source.pages
    np.testing.assert_array_equal(shown, lane.cells(0))
    assert not lane.cells(len(session.source.mms) + 3).any()


def test_names_follow_who_has_a_map() -> None:
    session = Session(mixed(mms=3), (MM_ID, EXACT), MEMORY)
    assert session.lanes[0].names() == ["", "", ""]
    session.advance(1)
    assert session.lanes[0].names() == ["MM 1", "", ""]
    names = set()
    while not session.at_end:
        session.advance(5)
        assert session.lanes[0].names() == session.lanes[1].names()
        names |= set(session.lanes[0].names())
    assert len(names) > 4
