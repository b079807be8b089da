"""The shipped detectors on small streams: what is stranded, when it is found, and what finding it costs."""

from __future__ import annotations

import pytest
from tests.partial.conftest import BY_NAME, HEAP, SECOND, Run, Script, of

from foliolab.framework.api import Action, Detector, Known
from foliolab.framework.errors import PluginError
from foliolab.framework.partial.result import Followed
from foliolab.framework.trace import events as ev

WITHOUT_BLIND = [name for name in BY_NAME if name != "queue-blindly"]


def test_a_page_that_one_mm_unmaps_is_certainly_unmapped_and_every_queue_has_the_folio(
    script: Script, run: Run
) -> None:
    found = run(script(ev.UNMAP, page=HEAP + 3, nr=5)(ev.EXIT, after=3 * SECOND))
    assert (found.folios, found.partial, found.removals, found.certain, found.doubtful) == (1, 1, 1, 1, 0)
    assert found.page_ns == 5 * 3 * SECOND
    for name in WITHOUT_BLIND:
        one = of(found, name)
        # unmapped 1 ms after the first event; memory is short for the first time at 1 s
        assert one.page_ns == 5 * (SECOND - 1_000_000), name
        assert (one.walks, one.scan_walks) == (0, 0), name
        assert (one.splits, one.splits_in_vain, one.freed_pages) == (1, 0, 5), name
    assert of(found, "page-mapcounts").locks == 3, "queued, a pass of the shrinker, split"
    assert of(found, "reclaim-scan").locks == 1, "split"
    assert of(found, "reclaim-scan").queued == 0


def test_both_of_two_mms_must_unmap_a_page_and_without_counters_in_pages_that_is_in_doubt(
    script: Script, run: Run
) -> None:
    script(ev.FORK, other=2)(ev.UNMAP, page=HEAP, nr=4)(ev.UNMAP, mm=2, page=HEAP, nr=4)
    found = run(script(ev.EXIT, after=3 * SECOND)(ev.EXIT, mm=2))
    assert (found.removals, found.certain, found.doubtful, found.doubtful_partial) == (3, 1, 2, 1)
    today, queue, walk = (of(found, name) for name in ("page-mapcounts", "queue-doubtful", "walk-on-demand"))
    assert (today.queued, today.queued_whole, today.walks) == (1, 0, 0)
    assert (queue.queued, queue.queued_whole, queue.walks) == (1, 1, 1), "queued at the first removal, walked once"
    assert (walk.queued, walk.queued_whole, walk.walks) == (1, 0, 2), "walked at both removals"
    assert walk.entries_least == walk.entries_most == 2 * 16 * 2
    assert today.page_ns == queue.page_ns == walk.page_ns


def test_a_whole_folio_in_doubt_is_split_in_vain_only_by_the_detector_that_does_not_look(
    script: Script, run: Run
) -> None:
    script(ev.FORK, other=2)(ev.WRITE, mm=2, page=HEAP + 1, flags=ev.COPIED, other=999)
    found = run(script(ev.EXIT, mm=2, after=3 * SECOND))
    assert found.partial == 0
    assert found.page_ns == 0
    assert of(found, "queue-blindly").splits_in_vain == 1
    looked = of(found, "queue-doubtful")
    assert (looked.queued, looked.queued_whole, looked.walks, looked.splits) == (1, 1, 1, 0)
    assert of(found, "page-mapcounts").queued == 0
    assert of(found, "walk-on-demand").locks == 0


def test_a_child_that_exits_leaves_the_parents_folio_whole_and_beyond_doubt(script: Script, run: Run) -> None:
    found = run(script(ev.FORK, other=2)(ev.EXIT, mm=2)(ev.EXIT))
    assert (found.removals, found.certain, found.doubtful) == (1, 0, 0)
    assert all(not one.queued and not one.walks for one in found.detected)


def test_an_unmapped_part_of_what_a_pmd_maps_is_found(run: Run) -> None:
    script = Script()(ev.NEW, page=HEAP, order=9, other=512)(ev.FORK, other=2)
    found = run(script(ev.UNMAP, page=HEAP, nr=100)(ev.UNMAP, mm=2, page=HEAP + 50, nr=100)(ev.EXIT, after=SECOND))
    # the child maps the folio by a PMD until it unmaps a part; then 50 pages are mapped by nobody
    assert (found.removals, found.doubtful, found.certain) == (3, 1, 1)
    assert of(found, "walk-on-demand").walks == 1
    assert of(found, "walk-on-demand").splits == 1
    assert of(found, "page-mapcounts").freed_pages == 50


def test_a_budget_of_looks_delays_the_scan_and_the_long_queue(run: Run) -> None:
    script = Script()
    for number in range(8):
        script(ev.NEW, page=HEAP + 16 * number, order=4, other=64 + 16 * number)
    found = run(script(ev.UNMAP, page=HEAP + 16 * 7, nr=2)(ev.EXIT, after=20 * SECOND), looks=2)
    assert of(found, "page-mapcounts").looks == 1
    slow = of(found, "reclaim-scan")
    assert slow.page_ns == of(found, "page-mapcounts").page_ns + 2 * 3 * SECOND, "it is the eighth of eight folios"  # type: ignore[operator]
    assert of(run(script, looks=0), "reclaim-scan").page_ns == of(found, "page-mapcounts").page_ns


def test_memory_that_is_never_short_strands_until_the_folio_is_freed(script: Script, run: Run) -> None:
    found = run(script(ev.UNMAP, page=HEAP, nr=1)(ev.EXIT, after=SECOND), interval=60.0)
    for one in found.detected:
        assert one.page_ns == found.page_ns == SECOND
        assert (one.splits, one.looks, one.unsplit) == (0, 0, 1)
    assert of(found, "page-mapcounts").locks == 2, "queued, and taken off when it is freed"


def test_folios_from_before_and_folios_that_the_kernel_changes_are_left_out(run: Run) -> None:
    script = Script()(ev.PRESENT, page=HEAP, nr=16, order=4, other=64)
    script(ev.NEW, page=HEAP + 16, order=4, other=128)(ev.UNMAP, page=HEAP, nr=1)(ev.UNMAP, page=HEAP + 16, nr=1)
    script(ev.FREE_HINT, mm=0, other=128, after=SECOND // 2)(ev.UNMAP, page=HEAP + 17, nr=8)
    found = run(script(ev.EXIT, after=4 * SECOND))
    assert (found.folios, found.earlier, found.disturbed, found.partial, found.removals) == (1, 1, 1, 1, 1)
    assert found.page_ns == SECOND // 2


def test_folios_of_files_are_never_queued(run: Run) -> None:
    script = Script()(ev.MAP, page=HEAP, nr=16, order=4, other=64)(ev.UNMAP, page=HEAP, nr=3)
    found = run(script(ev.EXIT, after=2 * SECOND))
    assert (found.folios, found.earlier, found.removals, found.page_ns) == (0, 0, 0, 0)


def test_a_walk_looks_at_all_live_descendants_at_most(script: Script, run: Run) -> None:
    script(ev.FORK, other=2)(ev.FORK, other=3)(ev.UNMAP, mm=3, page=HEAP, nr=16)(ev.FORK, mm=2, other=4)
    script(ev.EXIT, mm=4)(ev.UNMAP, mm=2, page=HEAP, nr=1)
    walk = of(run(script(ev.EXIT)), "walk-on-demand")
    # after the removals by 3, 4 and 2, MMs 1 and 2 map it; 3 may have its copy of the area still, 4 until it is gone
    assert walk.walks == 3
    assert walk.entries_least == 16 * (2 + 2 + 2)
    assert walk.entries_most == 16 * (3 + 4 + 3)
    assert (walk.queued, walk.queued_whole) == (1, 0), "when the parent is gone, one MM maps 15 pages"


def test_a_detector_that_fails_is_named_with_the_folio(script: Script, run: Run) -> None:
    def divide(known: Known) -> Action:
        return Action(known.pages // known.pmds)

    mine = Detector(name="mine", summary="x", references=(), at_removal=divide, in_shrinker=divide)
    with pytest.raises(PluginError, match=r"detector mine failed for Known\(pages=16.*ZeroDivisionError"):
        run(script(ev.UNMAP, page=HEAP, nr=1), detectors=[mine])


def test_an_unmap_that_was_not_recorded_is_told(script: Script, run: Run) -> None:
    found = run(script(ev.NEW, page=HEAP, order=2, other=256))
    assert any("an unmap that was not recorded" in note for note in found.notes)


def _always(action: Action) -> Detector:
    def decide(known: Known) -> Action:
        assert known.unmapped == 0, "it declares no counters in pages"
        return action

    return Detector(
        name=f"always-{action.name.lower()}", summary="x", references=(), at_removal=decide, in_shrinker=decide
    )


@pytest.mark.parametrize("action", list(Action))
def test_a_detector_of_ones_own_does_what_it_says(script: Script, run: Run, action: Action) -> None:
    mine = _always(action)
    script(ev.FORK, other=2)(ev.UNMAP, page=HEAP, nr=4)
    found: Followed = run(script(ev.LOST, after=SECOND // 2, nr=1), detectors=[mine])
    one = of(found, mine)
    whole = {Action.NOTHING: (0, 0, 0), Action.QUEUE: (1, 0, 0), Action.WALK: (0, 1, 0), Action.SPLIT: (0, 0, 1)}
    assert (one.queued, one.walks, one.splits_in_vain) == whole[action]
