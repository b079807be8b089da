"""What is followed, against the page tables after each event; and rules that hold for every stream."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tests.partial.conftest import HEAP, SCHEME, SECOND, Script

from foliolab.framework.engine.structs import MAPPING_ANON
from foliolab.framework.engine.truth import scan
from foliolab.framework.partial.descent import Descent
from foliolab.framework.partial.design import Design
from foliolab.framework.partial.result import Detected
from foliolab.framework.partial.session import PartialRequest, follow
from foliolab.framework.partial.tracker import Tracker
from foliolab.framework.replay.changes import collect
from foliolab.framework.replay.player import Plan, Player
from foliolab.framework.replay.survey import survey
from foliolab.framework.trace import events as ev
from foliolab.framework.trace.file import Trace
from foliolab.policies.detectors import DETECTORS

KINDS = (ev.FORK, ev.FORK, ev.EXIT, ev.NEW, ev.NEW, ev.WRITE, ev.WRITE, ev.UNMAP, ev.UNMAP, ev.UNMAP, ev.MOVE)
NUMBER = st.integers(0, 1 << 11)
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
STEPS = st.lists(st.tuples(st.sampled_from(KINDS), NUMBER, NUMBER, NUMBER), min_size=8, max_size=50)


def stream(steps: list[tuple[int, int, int, int]]) -> Script:
    """Events of a few related MMs in a window of 2 MiB and the next one."""
    script = Script()(ev.NEW, page=HEAP, order=4, other=64)(ev.NEW, page=HEAP + 32, order=2, other=128)
    born = 1
    for number, (kind, a, b, c) in enumerate(steps):
        row = {"page": HEAP + b % 96, "nr": c % 12 + 1, "flags": ev.COPIED * (c % 2)}
        if kind == ev.FORK:
            born += 1
            row = {"other": born}
        elif kind == ev.NEW:
            order = (2, 3, 4)[c % 3]
            row |= {"order": order, "page": (HEAP + b % 96) >> order << order, "other": 256 + 16 * number}
        elif kind == ev.MOVE:
            row["other"] = HEAP + 512 + b % 96
        script(kind, a % min(born, 4) + 1, after=1 + a * 100_000, **row)
    return script


@settings(max_examples=12, phases=PHASES)
@given(STEPS)
def test_what_is_stranded_is_what_the_page_tables_say(steps: list[tuple[int, int, int, int]]) -> None:
    with TemporaryDirectory() as folder:
        trace = Trace(stream(steps).write(Path(folder) / "trace"))
        found = survey(trace, lambda phase, done, total: None)
        plan = Plan(trace, found, 1 << 30, 0, "interpreted", lambda phase, done, total: None, changes=1 << 10)
        player, tracker = Player(plan, SCHEME), Tracker([Design(one) for one in DETECTORS], Descent(), SECOND)
        state, chunk = player.start()
        (events,) = trace.blocks()
        chunk.load(events, 0)
        machine, page_ns, peak, pages = player.machine, 0, 0, 0
        assert machine is not None
        for index in range(events.size):
            passed = int(events.time[index]) - int(events.time[max(index - 1, 0)])
            page_ns, peak = page_ns + pages * passed, max(peak, pages if passed else 0)
            player.play(state, index, index + 1)
            tracker.take(events.part(slice(index, index + 1)), found.first, index, collect(state))
            truth = scan(machine)
            anon = machine.column("page", "mapping")[truth.heads] == MAPPING_ANON
            large = (truth.nr_pages_of[truth.heads] > 1) & (truth.folio_mapcount[truth.heads] > 0)
            pages = int((anon & large & (truth.page_mapcount == 0)).sum())
            assert tracker.stranded.pages == pages
            partial = {int(head) for head in np.flatnonzero(truth.partially_mapped)}
            assert {head for head, one in tracker._folios.items() if one and one.unmapped} == partial
        tracker.finish(found.last - found.first)
        assert (tracker.stranded.page_ns, tracker.stranded.peak) == (page_ns, peak)


def _none(one: Detected) -> dict[str, int]:
    values = {name: getattr(one, name) for name in one.__struct_fields__ if name != "detector"}
    assert all(isinstance(value, int) for value in values.values())
    return values


@settings(max_examples=15, phases=PHASES)
@given(STEPS, st.sampled_from((0, 1, 3)))
def test_rules_of_all_streams(steps: list[tuple[int, int, int, int]], looks: int) -> None:
    with TemporaryDirectory() as folder:
        path = stream(steps).write(Path(folder) / "trace")
        request = PartialRequest([str(path)], SCHEME, DETECTORS, 0.05, looks, execution="interpreted")
        run = follow(request).runs[0]
    of = {one.detector: _none(one) for one in run.detected}
    assert run.page_ns is not None
    assert run.peak_pages is not None
    for one in of.values():
        assert one["page_ns"] <= run.page_ns
        assert one["peak_pages"] <= run.peak_pages
        assert one["queued_whole"] <= one["queued"]
        assert one["splits_in_vain"] <= one["splits"] <= one["looks"]
        assert one["queued"] + one["splits"] <= one["locks"]
        assert one["entries_least"] <= one["entries_most"]
        assert one["scan_entries_least"] <= one["scan_entries_most"]
        assert 16 * one["walks"] * 0.25 <= one["entries_least"]
    today, walk, queue, scan_ = (
        of[name] for name in ("page-mapcounts", "walk-on-demand", "queue-doubtful", "reclaim-scan")
    )
    assert today["walks"] == today["queued_whole"] == walk["queued_whole"] == 0
    assert scan_["queued"] == scan_["walks"] == 0
    assert walk["page_ns"] == today["page_ns"], "a walk at each doubtful removal knows what counters in pages know"
    assert queue["queued"] >= today["queued"]
    if looks == 0:
        assert queue["page_ns"] == scan_["page_ns"] == today["page_ns"]
    assert run.certain is not None
    assert run.doubtful is not None
    assert run.removals is not None
    assert run.certain + run.doubtful <= run.removals
