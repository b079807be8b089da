"""Why a policy is wrong: what it read, and the step that set it."""

from __future__ import annotations

from sources import MM_ID, mixed

from foliolab.framework.explore.page_detail import page_detail
from foliolab.framework.explore.reasons import answer_of, last_change
from foliolab.framework.explore.session import Session


def test_a_wrong_answer_leads_back_to_the_step_that_set_what_was_read() -> None:
    session = Session(mixed(), [MM_ID], memory=1 << 27)
    try:
        assert session.next_wrong(0)
        lane = session.lanes[0]
        machine = lane.machine
        assert machine is not None
        pages = (page_detail(lane, mm, page) for mm in range(len(lane.source.mms)) for page in range(lane.source.pages))
        wrong = next(page for page in pages if page.verdict == "false shared")
        here, state = lane.position, bytes(machine.vm.buffer)
        answer = answer_of(machine, wrong.head, 1 << wrong.order)
        assert answer.shared is True
        assert [reason.text for reason in answer.reasons][-1].endswith("shared = 1")
        access = answer.reasons[-1].access
        assert access.code and access.file.endswith("mm_id.py")
        step = last_change(lane, access.place, lambda: False)
        assert (lane.position, bytes(machine.vm.buffer)) == (here, state), "the lane is as it was"
        assert step is not None and step < here - 1
        values = []
        for position in (step, step + 1):
            lane.goto(position)
            values.append(bytes(machine.vm.buffer[access.offset : access.offset + access.size]))
        assert values[0] != values[1]
        assert last_change(lane, access.place, lambda: True) is None, "the search can be ended"
    finally:
        session.close()
