"""Replaying a trace: what events mean, and how the machine grows with them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine.truth import scan
from foliolab.framework.errors import ModelError, TraceFileError
from foliolab.framework.replay.player import Plan, Player, with_ids
from foliolab.framework.replay.result import Replayed
from foliolab.framework.replay.survey import survey
from foliolab.framework.trace import events as ev
from foliolab.policies import exact, page_mapcount

sys.path.insert(0, str(Path(__file__).parent))
from scripted import HEAP, MM_ID, Script, check, played, quiet, result

EXACT = exact.POLICY.with_parameters()
BASE = page_mapcount.POLICY.with_parameters()


def faults(found: Replayed) -> dict[tuple[str, str, str], tuple[int, int]]:
    return {(f.of, f.kernel, f.policy): (f.certain, f.uncertain) for f in found.faults}


def snapshots(orphan: int) -> Script:
    """A parent and its two children on one folio of 16 pages; in the end only MM `orphan` has it."""
    script = Script()(ev.NEW, page=HEAP, order=4, other=16)(ev.FORK, other=2)(ev.FORK, other=3)
    for mm in {1, 2, 3} - {orphan}:
        script(ev.EXIT, mm)
    script(ev.WRITE, orphan, 5000, page=HEAP + 3, flags=ev.COPIED)
    return script(ev.EXIT, orphan, 2000)


def test_a_child_that_found_no_slot_is_falsely_shared_until_it_ends(tmp_path: Path) -> None:
    found = result(snapshots(3).trace(tmp_path), samples=3)
    wrong = found.false_shared
    assert (wrong.folio_ns, wrong.page_ns) == (7000, 16 * 7000)
    assert (wrong.episodes, wrong.longest, wrong.mean, wrong.peak) == (1, 7000, 7000.0, 1)
    assert (wrong.peak_at, found.sole_copies) == (4000, 1)
    assert found.owner_ns == [1000 + 7000, 1000 + 1000, 1000]
    assert found.false_share == pytest.approx(7 / 11)
    assert faults(found) == {("large", "copied", "copied"): (1, 0)}
    assert [sample.false_folios for sample in found.samples if 4000 <= sample.time < 11000] == [1, 1]


@pytest.mark.parametrize("orphan", [1, 2])
def test_an_mm_with_a_slot_is_known_to_be_alone(tmp_path: Path, orphan: int) -> None:
    found = result(snapshots(orphan).trace(tmp_path))
    assert found.false_shared.episodes == 0
    assert faults(found) == {("large", "copied", "reused"): (1, 0)}


def test_the_precise_scheme_reuses(tmp_path: Path) -> None:
    found = result(snapshots(3).trace(tmp_path), EXACT)
    assert faults(found) == {("large", "copied", "reused"): (1, 0)}
    assert found.sole_copies == 0


def test_a_wrong_answer_that_outlasts_the_trace_counts(tmp_path: Path) -> None:
    script = snapshots(3)
    del script.rows[-1]
    script(ev.LOST, 0, 3000, nr=5)
    found = result(script.trace(tmp_path))
    assert (found.false_shared.episodes, found.false_shared.longest) == (1, 5000 + 2000 + 3000)


def test_classes_and_certainty(tmp_path: Path) -> None:
    script = Script()(ev.NEW, page=HEAP, order=4, other=16)(ev.NEW, page=HEAP + 16, order=0, other=99)
    script(ev.NEW, page=HEAP + 32, order=4, other=32)(ev.FORK, other=2)
    script(ev.WRITE, page=HEAP, flags=ev.COPIED)(ev.WRITE, page=HEAP, flags=ev.REUSED)
    script(ev.WRITE, page=HEAP + 1, flags=ev.COPIED | ev.UNCERTAIN)
    script(ev.WRITE, page=HEAP + 16, flags=ev.COPIED)
    script(ev.WRITE, page=HEAP + 600, flags=ev.COPIED)(ev.WRITE, page=HEAP + 600)
    script(ev.WRITE, page=HEAP + 700, flags=ev.REUSED)
    script(ev.FREE_HINT, 0, other=32)(ev.WRITE, page=HEAP + 33, flags=ev.REUSED)
    found = result(script.trace(tmp_path))
    assert faults(found) == {
        ("large", "copied", "copied"): (1, 1),
        ("small", "copied", "copied"): (1, 0),
        ("small", "reused", "unchanged"): (1, 0),
        ("unknown", "copied", "new page"): (1, 0),
        ("small", "unknown", "unchanged"): (1, 0),
        ("unknown", "reused", "not mapped"): (1, 0),
        ("disturbed", "reused", "copied"): (1, 0),
    }
    assert found.count("large") == 2
    assert found.count("large", certain=True) == found.count("large", certain=False) == 1


def test_a_fault_that_the_kernel_did_not_complete_is_none(tmp_path: Path) -> None:
    """As on a signal's stack: the first write fails, since the kernel may not sleep; the second one finds a copy."""
    again = ev.KERNEL | ev.REUSED
    script = Script()(ev.NEW, page=HEAP, order=4, other=16)(ev.FORK, other=2)
    script(ev.WRITE, 1, page=HEAP + 3, flags=again)(ev.WRITE, 2, page=HEAP + 9, flags=ev.COPIED)
    script(ev.WRITE, 1, page=HEAP + 3, flags=ev.COPIED | ev.KERNEL)
    found = faults(result(script.trace(tmp_path)))
    assert found == {("large", "copied", "copied"): (2, 0)}


@pytest.mark.parametrize(
    ("flags", "between"),
    [(ev.REUSED, ()), (ev.REUSED | ev.KERNEL, (ev.FORK, 1)), (ev.REUSED | ev.KERNEL, (ev.EXIT, 2))],
)
def test_other_faults_on_one_page_count_twice(tmp_path: Path, flags: int, between: tuple[int, ...]) -> None:
    """User code's faults, those with a fork between them, and those without another one of the same MM."""
    script = Script()(ev.NEW, page=HEAP, order=4, other=16)(ev.FORK, other=2)(ev.WRITE, 1, page=HEAP + 3, flags=flags)
    page = HEAP + 3
    if between:
        script(*between, other=3)
        page += between[0] == ev.EXIT
    script(ev.WRITE, 1, page=page, flags=ev.COPIED | ev.KERNEL)
    found = faults(result(script.trace(tmp_path)))
    assert ("large", "reused", "copied") in found


def detaching() -> Script:
    """A program that detaches by forking twice; the second fork comes while the first process is torn down."""
    script = Script()(ev.NEW, page=HEAP, order=4, other=16)(ev.FORK, other=2)(ev.EXIT, 1)
    script(ev.FORK, 2, other=3)(ev.EXIT, 2, 500)(ev.GONE, 1, 2500)(ev.GONE, 2, 2000)
    for page in range(4):
        script(ev.WRITE, 3, 1000, page=HEAP + page, flags=ev.COPIED)
    return script(ev.EXIT, 3)


def test_a_fork_during_a_teardown_makes_uncertain_what_follows(tmp_path: Path) -> None:
    trace = detaching().trace(tmp_path)
    early, late = result(trace), result(trace, late=True)
    assert faults(early) == {("large", "copied", "reused"): (0, 4)}, "the first program had gone: a slot was free"
    assert early.false_shared.episodes == 0
    assert faults(late) == {("large", "copied", "copied"): (0, 4)}, "both slots were taken"
    assert late.false_shared.longest == 5000
    assert late.owner_ns[2:] == [3000]


def test_a_fork_after_the_teardown_is_certain(tmp_path: Path) -> None:
    script = Script()(ev.NEW, page=HEAP, order=4, other=16)(ev.FORK, other=2)(ev.EXIT, 1)(ev.GONE, 1)
    script(ev.FORK, 2, other=3)(ev.EXIT, 2)(ev.GONE, 2)(ev.WRITE, 3, page=HEAP, flags=ev.REUSED)
    trace = script.trace(tmp_path)
    assert not survey(trace, quiet).unsure.any()
    for late in (False, True):
        assert faults(result(trace, late=late)) == {("large", "reused", "reused"): (1, 0)}


def test_a_write_during_a_teardown_makes_the_next_ones_uncertain(tmp_path: Path) -> None:
    script = Script()(ev.NEW, page=HEAP, order=4, other=16)(ev.FORK, other=2)(ev.EXIT, 2)
    script(ev.WRITE, page=HEAP, flags=ev.COPIED | ev.UNCERTAIN)(ev.GONE, 2)(ev.WRITE, page=HEAP + 1, flags=ev.REUSED)
    assert faults(result(script.trace(tmp_path))) == {
        ("large", "copied", "reused"): (0, 1),
        ("large", "reused", "reused"): (0, 1),
    }


def test_an_exit_whose_end_is_not_recorded_is_never_late(tmp_path: Path) -> None:
    script = Script()(ev.NEW, page=HEAP, order=4, other=16)(ev.EXIT)
    assert len(scan(played(script.trace(tmp_path), late=True).machine).folios()) == 0


def test_a_spawned_child_copies_nothing_and_leaves_with_exec(tmp_path: Path) -> None:
    script = Script()(ev.NEW, page=HEAP, order=4, other=16)(ev.SPAWN, other=2)
    script(ev.NEW, 2, page=HEAP + 16, order=4, other=32)  # in the memory that both use
    script(ev.EXEC, 2, other=3)(ev.NEW, 3, page=HEAP, order=2, other=64)
    found = played(script.trace(tmp_path))
    assert found.machine is not None
    truth = scan(found.machine)
    assert sorted(truth.nr_pages_of[truth.folios()].tolist()) == [4, 16, 16]
    assert found.account.replayed("").owner_ns[1:] == []
    script(ev.EXIT, 1)(ev.EXIT, 3)(ev.GONE, 3)
    assert len(scan(machine_of(script, tmp_path)).folios()) == 0


def test_the_memory_lives_as_long_as_its_last_user(tmp_path: Path) -> None:
    script = Script()(ev.NEW, page=HEAP, order=4, other=16)(ev.SPAWN, other=2)(ev.EXIT, 1)
    assert len(scan(machine_of(script, tmp_path)).folios()) == 1
    script(ev.GONE, 2)  # without EXIT
    assert len(scan(machine_of(script, tmp_path)).folios()) == 0


def machine_of(script: Script, folder: Path, scheme: Scheme = MM_ID) -> Any:
    return played(script.trace(folder), scheme).machine


def test_exec_starts_empty_and_its_addresses_are_its_own(tmp_path: Path) -> None:
    script = Script()(ev.NEW, page=HEAP, order=9, other=512)(ev.EXEC, 1, other=2)
    script(ev.WRITE, 2, page=HEAP, flags=ev.REUSED)(ev.NEW, 1, page=HEAP, order=4)
    found = result(script.trace(tmp_path))
    assert faults(found) == {("unknown", "reused", "not mapped"): (1, 0)}
    assert found.not_modelled == {"events of MMs that had gone": 1}


def test_processes_of_a_snapshot_share_by_frame(tmp_path: Path) -> None:
    """A folio of 16 pages in a parent (all), a child (a quarter) and another one (the other half, elsewhere)."""
    script = Script()(ev.PRESENT, 1, page=HEAP, nr=16, order=4, other=160)
    script(ev.PRESENT, 2, page=HEAP, nr=4, order=4, other=160)(ev.PRESENT, 3, page=HEAP + 777, nr=8, order=4, other=168)
    script(ev.PRESENT, 4, page=HEAP, nr=16, order=4, other=320)
    machine = machine_of(script, tmp_path)
    truth = scan(machine)
    assert sorted(truth.owners[truth.folios()].tolist()) == [1, 3]
    shared = int(np.flatnonzero(truth.owners == 3)[0])
    assert truth.page_mapcount[shared : shared + 16].tolist() == [2] * 4 + [1] * 4 + [2] * 8


def test_a_folio_that_nobody_maps_whole(tmp_path: Path) -> None:
    script = Script()(ev.PRESENT, 1, page=HEAP + 5, nr=3, order=9, other=1024 + 100)
    script(ev.PRESENT, 2, page=HEAP + 5, nr=2, order=9, other=1024 + 100)
    script(ev.PRESENT, 1, page=HEAP + 100, nr=40, order=0, other=7000)
    script(ev.PRESENT, 2, page=HEAP + 110, nr=10, order=0, other=7010)
    script(ev.WRITE, 1, page=HEAP + 5, flags=ev.COPIED)
    script(ev.WRITE, 2, page=HEAP + 111, flags=ev.COPIED)(ev.WRITE, 2, page=HEAP + 99, flags=ev.COPIED)
    found = result(script.trace(tmp_path), samples=2)
    assert faults(found) == {
        ("earlier", "copied", "copied"): (1, 0),
        ("small", "copied", "copied"): (1, 0),
        ("unknown", "copied", "new page"): (1, 0),
    }
    assert found.samples[-1].frames == 512 + 1 + 40 + 1 + 1


def test_frames_name_folios_only_while_the_snapshot_lasts(tmp_path: Path) -> None:
    script = Script()(ev.NEW, 3, page=HEAP, order=4, other=160)(ev.PRESENT, 1, page=HEAP, nr=16, order=4, other=160)
    script(ev.WRITE, 1, page=HEAP, flags=ev.REUSED)(ev.PRESENT, 2, page=HEAP, nr=16, order=4, other=160)
    truth = scan(machine_of(script(ev.FREE_HINT, 0, other=160), tmp_path))
    assert truth.owners[truth.folios()].tolist() == [1, 1, 1]


def test_whole_pages_of_a_snapshot_that_one_mm_has_are_reused(tmp_path: Path) -> None:
    script = Script()(ev.PRESENT, 1, page=HEAP, nr=512, order=9, other=512)(ev.WRITE, 1, page=HEAP + 3, flags=ev.REUSED)
    script(ev.PRESENT, 1, page=HEAP, nr=512, order=9, other=512)  # a second snapshot changes nothing
    assert faults(result(script.trace(tmp_path))) == {("earlier", "reused", "reused"): (1, 0)}


def test_a_moved_folio_is_found_where_it_went(tmp_path: Path) -> None:
    far = HEAP + 512 * 100
    script = Script()(ev.NEW, page=HEAP + 512, order=9, other=512)(ev.NEW, page=HEAP + 1024, order=4, other=16)
    script(ev.FORK, other=2)(ev.MOVE, 1, page=HEAP + 500, nr=600, other=far + 7)
    script(ev.WRITE, 1, page=far + 7 + 12, flags=ev.COPIED)(ev.WRITE, 1, page=HEAP + 512, flags=ev.REUSED)
    script(ev.WRITE, 1, page=far + 7 + 524 + 3, flags=ev.COPIED)
    found = result(script.trace(tmp_path))
    assert faults(found) == {("large", "copied", "copied"): (2, 0), ("unknown", "reused", "not mapped"): (1, 0)}


def test_a_split_maps_by_ptes(tmp_path: Path) -> None:
    script = Script()(ev.NEW, page=HEAP, order=9, other=512)(ev.SPLIT, page=HEAP + 5, nr=1)(ev.SPLIT, page=1, nr=9)
    machine = machine_of(script, tmp_path)
    truth = scan(machine)
    assert truth.pmds.sum() == 0
    assert truth.ptes.sum() == 512


def test_a_fault_where_something_was_mapped_replaces_it(tmp_path: Path) -> None:
    script = Script()(ev.NEW, page=HEAP, order=9, other=512)(ev.NEW, page=HEAP + 16, order=4, other=64)
    found = played(script.trace(tmp_path))
    assert found.machine is not None
    truth = scan(found.machine)
    assert truth.page_mapcount.sum() == 512
    assert list(found.account.replayed("").not_modelled.values()) == [1]


def test_a_huge_munmap_and_addresses_that_cannot_be(tmp_path: Path) -> None:
    top = (1 << 51) - 512
    script = Script()(ev.NEW, page=HEAP, order=4, other=16)(ev.NEW, page=top, order=9, other=512)
    script(ev.UNMAP, page=0, nr=(1 << 32) - 1)(ev.UNMAP, page=HEAP - 5, nr=(1 << 32) - 1)
    script(ev.UNMAP, page=top - (1 << 31), nr=(1 << 31) + 3)
    for page in (1 << 51, (1 << 52) - 1, (1 << 64) - 1):
        script(ev.NEW, page=page)(ev.WRITE, page=page, flags=ev.COPIED)(ev.UNMAP, page=page, nr=9)
        script(ev.MOVE, page=HEAP, nr=1, other=page)(ev.PRESENT, page=page, nr=4, other=page)
    script(ev.WRITE, page=HEAP, flags=ev.REUSED, other=(1 << 64) - 1)(ev.FREE_HINT, other=(1 << 64) - 1)
    found = played(script.trace(tmp_path))
    assert found.machine is not None
    truth = scan(found.machine)
    assert truth.page_mapcount.sum() == 509
    assert found.account.replayed("").not_modelled == {"events at impossible addresses": 12}


def test_what_is_not_modelled_is_counted(tmp_path: Path) -> None:
    script = Script()(ev.NEW, page=HEAP, order=1)(ev.NEW, page=HEAP, order=10)(
        ev.NEW, page=HEAP, order=4, flags=ev.FILE
    )
    script(ev.NEW, 0, page=HEAP)(99, page=HEAP)(0)(ev.EXIT, 7)(ev.WRITE, 7, page=HEAP)(ev.FORK, other=0)
    found = result(script.trace(tmp_path))
    assert found.owner_ns == []
    assert found.not_modelled == {
        "events without an MM, or whose MM cannot be": 2,
        "events of MMs that had gone": 1,
        "folios of sizes that anonymous memory does not have": 2,
        "folios of files": 1,
        "events of unknown kinds": 2,
    }


def test_mm_numbers_out_of_all_bounds_are_refused(tmp_path: Path) -> None:
    for script in (Script()(ev.NEW, (1 << 32) - 1), Script()(ev.FORK, other=1 << 30)):
        with pytest.raises(TraceFileError, match="MM number"):
            survey(script.trace(tmp_path), quiet)


# -- sizes -------------------------------------------------------------------------------------------
def generations(nr: int) -> Script:
    """A family with many children at a time, each with a window of its own, and strangers beside it."""
    script = Script()(ev.NEW, page=HEAP, order=4, other=16)
    for child in range(2, nr):
        script(ev.FORK, other=child)(ev.NEW, child, page=HEAP + 512 * child, order=9, other=512 * child)
        script(ev.EXEC, 100 + child, other=200 + child)(ev.NEW, 200 + child, page=7, order=2, other=4)
    return script


def test_a_machine_that_is_too_small_grows(tmp_path: Path) -> None:
    trace = generations(12).trace(tmp_path)
    wanted = result(trace, BASE, samples=4)
    found = survey(trace, quiet)
    found.slots, found.windows = 1, 2
    small = Player(Plan(trace, found, 1 << 30, 4, "interpreted", quiet, frames=16), BASE)
    small.run()
    check(small)
    again = small.account.replayed(BASE.name)
    assert (small.sizes.slots, small.sizes.windows, small.sizes.frames) == (32, 16, 8192)
    assert (again.owner_ns, again.faults, again.not_modelled) == (wanted.owner_ns, wanted.faults, wanted.not_modelled)
    assert (again.samples, again.frames_peak) == (wanted.samples, wanted.frames_peak)


def test_ids_grow_with_the_slots(tmp_path: Path) -> None:
    trace = generations(12).trace(tmp_path)
    found = survey(trace, quiet)
    found.slots = 16
    small = Player(Plan(trace, found, 1 << 30, 0, "interpreted", quiet), EXACT)
    small.run()
    check(small)
    assert small.sizes.slots == 32
    assert small.scheme.max_mm_id >= 32


def test_the_survey_finds_the_sizes(tmp_path: Path) -> None:
    found = survey(generations(12).trace(tmp_path), quiet)
    assert found.slots == 11 + 10 + 1, "one to spare"
    assert found.windows == 11 + 2, "the heap, ten of the children, none of the strangers; window 0, one to spare"
    assert found.max_order == 9
    assert found.mms > 211


def test_clusters_of_a_snapshot(tmp_path: Path) -> None:
    script = Script()(ev.PRESENT, 1, page=HEAP, nr=16, order=4, other=160)
    script(ev.PRESENT, 2, page=HEAP, nr=16, order=4, other=320)(ev.PRESENT, 3, page=HEAP, nr=2, order=4, other=161)
    script(ev.PRESENT, 4, page=HEAP, nr=9, other=1000)(ev.PRESENT, 5, page=HEAP + 99, nr=5, other=1008)
    cluster = survey(script.trace(tmp_path), quiet).cluster
    assert cluster[1] == cluster[3] != cluster[2]
    assert cluster[4] == cluster[5] not in (cluster[1], cluster[2])


def test_memory_is_limited(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="MiB are allowed") as caught:
        result(generations(12).trace(tmp_path), memory=1 << 16)
    assert "--memory" in caught.value.hint


def test_a_policy_gets_ids_for_the_mms_that_there_are() -> None:
    assert with_ids(EXACT, 10) is EXACT
    assert with_ids(EXACT, 100).max_mm_id >= 100
    assert with_ids(MM_ID, 5000) is MM_ID
    chosen = exact.POLICY.with_parameters({"mms": 8})
    assert with_ids(chosen, 100) is chosen, "what the user chose stays"


def test_more_mms_than_a_policy_can_tell_apart(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="tells 3 MMs apart"):
        result(generations(12).trace(tmp_path), exact.POLICY.with_parameters({"mms": 4}))


def test_samples_are_even_and_around_forks(tmp_path: Path) -> None:
    script = Script()(ev.NEW, page=HEAP, order=4, other=16)
    for child in range(2, 42):
        script(ev.FORK, other=child, after=100)(ev.EXIT, child, after=100)
    script(ev.LOST, 0, after=1_000_000 - 8000)
    found = result(script.trace(tmp_path), samples=11)
    times = [sample.time for sample in found.samples]
    assert set(range(0, 1_000_001, 100_000)) <= set(times), "evenly in time"
    assert 11 < len(times) <= 22, "and a bounded number more"
    assert times == sorted(times)
    assert sum(1 for when in times if when <= 8000) > 5
    assert result(script.trace(tmp_path), samples=0).samples == []
