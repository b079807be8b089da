"""A policy that fails is a lane with an error; the others go on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sources import EXACT, MM_ID, mixed

from foliolab.framework.api import READ_ONCE, atomic_sub, cpu_relax
from foliolab.framework.contract.policy import Policy, Scheme
from foliolab.framework.errors import PluginError
from foliolab.framework.explore.page_detail import page_detail
from foliolab.framework.explore.session import Session
from foliolab.framework.explore.session_thread import SessionThread
from foliolab.policies import exact, mm_id

MEMORY = 1 << 29


def with_hook(name: str, **hooks: Any) -> Scheme:
    policy: Policy = replace(
        mm_id.POLICY, name=name, hooks=replace(mm_id.POLICY.hooks, **hooks), models=None, mutants=None
    )
    return policy.with_parameters()


def raises(folio, page, nr, mm):
    return nr // (nr - nr), False


def loops(folio, page, nr, mm):
    while READ_ONCE(folio._large_mapcount) > -100:
        cpu_relax()
    return 0, False


def spins(folio):
    while True:
        pass


def steals(folio, page, nr, mm):
    atomic_sub(nr, folio._refcount)
    return 0, False


def grows(folio):
    found = [1]
    return len(found) > 1


def mixes(folio):
    both = 0 if READ_ONCE(folio._large_mapcount) > 0 else (0, 0)
    return both == 0


@pytest.mark.parametrize(
    ("hooks", "message"),
    [
        ({"remove_ptes": raises}, "ZeroDivisionError"),
        ({"remove_ptes": loops}, "does not end"),
        ({"maybe_mapped_shared": spins}, "does not end"),
        ({"remove_ptes": steals}, "_refcount"),
        ({"maybe_mapped_shared": grows}, "makes a list"),
        ({"maybe_mapped_shared": mixes}, "cannot be compiled"),
    ],
    ids=["raises", "loops", "spins", "steals", "grows", "cannot be compiled"],
)
def test_a_broken_policy_is_a_lane_with_an_error(hooks: dict[str, object], message: str) -> None:
    session = Session(mixed(), (EXACT, with_hook("broken", **hooks), MM_ID), MEMORY)
    broken = session.lanes[1]
    assert isinstance(broken.error, PluginError) and message in broken.error.what
    assert "test_broken.py" in broken.error.what
    session.advance(session.nr_steps)
    assert session.at_end
    assert all(session.lanes[i].error is None and session.lanes[i].totals().mapped for i in (0, 2))
    assert not broken.totals().mapped and not broken.cells(0).any()
    assert page_detail(broken, 0, 0).description == "broken does not run."
    assert not len(session.accesses(1))
    session.goto(10)
    assert session.back() and not session.lanes[0].error


def test_a_policy_that_runs_out_of_ids_stops_there() -> None:
    source = mixed(mms=6)
    limited = exact.POLICY.with_parameters({"mms": 3})
    assert limited.max_mm_id < 6
    session = Session(source, (limited, EXACT), MEMORY)
    session.advance(source.nr_steps)
    lane: Any = session.lanes[0]
    assert "tells" in str(lane.error)
    assert 0 < lane.position < source.nr_steps
    assert session.lanes[1].error is None
    stopped, state = lane.position, lane.snapshot()
    session.goto(stopped - 5)
    assert lane.position == stopped - 5
    assert not any([lane.error])
    session.goto(source.nr_steps)
    assert lane.error is not None and lane.position == stopped and lane.snapshot() == state
    session.goto(stopped)
    assert "map" in page_detail(lane, 0, 0).description or "of" in page_detail(lane, 0, 0).description


def test_too_little_memory_is_said() -> None:
    session = Session(mixed(), (MM_ID,), MEMORY)
    assert session.lanes[0].error is None


def test_a_thread_without_a_session_says_why() -> None:
    def make() -> Session:
        raise PluginError("the pattern fails", "correct it")

    thread = SessionThread(make)
    assert not thread.wait_ready(10)
    assert thread.failed is not None and "the pattern fails" in str(thread.failed)
    assert thread.view() is None
    assert thread.ask(lambda session: session.position).cancelled()
    assert thread.close()
