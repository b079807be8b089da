"""A trace under several policies: what one breaks the others survive, what there is is shown, files round-trip."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from rich.console import Console

from foliolab.framework.contract.policy import Policy, Scheme
from foliolab.framework.errors import ExitCode, NothingMeasured, ResultFileError
from foliolab.framework.host import describe_host
from foliolab.framework.replay import costs
from foliolab.framework.replay.result import Costs, ReplayResult
from foliolab.framework.replay.session import INTERRUPTED, ReplayRequest, exit_code, replay
from foliolab.framework.report import replay as report
from foliolab.framework.report.answer import answer
from foliolab.framework.report.pages.terminal import TerminalPage
from foliolab.framework.results.result import Cell, Config, Result
from foliolab.framework.trace import events as ev
from foliolab.framework.trace import file
from foliolab.framework.trace.file import Writer
from foliolab.framework.trace.header import Header
from foliolab.policies import exact, mm_id, page_mapcount

HEAP = 0x7F12_3456_0000 >> 12 & ~511
EXACT = exact.POLICY.with_parameters()
MM_ID = mm_id.POLICY.with_parameters()
BASE = page_mapcount.POLICY.with_parameters()
COSTS = Costs(copy_ns=300.0, reuse_ns=50.0, source="a test")


def orphans(nr: int) -> ev.Events:
    """So many times: a parent forks two children and ends with the first of them; the second writes a page."""
    rows: list[tuple[int, int, int, int, int]] = []
    for i in range(nr):
        one, two, three = range(3 * i + 1, 3 * i + 4)
        rows += [
            (ev.NEW, one, 4, HEAP, 16), (ev.FORK, one, 0, 0, two), (ev.FORK, one, 0, 0, three), (ev.EXIT, one, 0, 0, 0),
            (ev.EXIT, two, 0, 0, 0), (ev.WRITE, three, 0, HEAP + 3, 0), (ev.EXIT, three, 0, 0, 0),
        ]  # fmt: skip
    kind, mm, order, page, other = zip(*rows, strict=True)
    flags = np.where(np.array(kind) == ev.WRITE, ev.COPIED, 0)
    time = 1000 * np.arange(len(rows))
    return ev.columns(time=time, kind=kind, mm=mm, order=order, page=page, other=other, flags=flags)


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    path = tmp_path / "orphans.folio"
    with Writer(path, Header(source="test", kernel="6.18.0", mm_id=True, no_page_mapcount=False, lost=3)) as writer:
        writer.append(orphans(20))
    return path


def request(trace: Path, *schemes: Scheme, **options: Any) -> ReplayRequest:
    options = {"execution": "interpreted", "costs": COSTS, "samples": 4, **options}
    return ReplayRequest(path=str(trace), schemes=schemes or (BASE, MM_ID, EXACT), **options)


def changed(name: str, **hooks: Any) -> Scheme:
    """The two-slot policy with other hooks."""
    policy: Policy = mm_id.POLICY
    new = dataclasses.replace(policy.hooks, **hooks)
    return dataclasses.replace(policy, name=name, hooks=new).with_parameters()


def raises(folio: Any, page: Any, nr: Any, mm: Any) -> Any:
    return 1 // (nr - nr)


def never(folio: Any) -> bool:
    return False


def shown(found: ReplayResult, encoding: str = "utf-8") -> str:
    raw = io.BytesIO()
    text = io.TextIOWrapper(raw, encoding=encoding)
    report.render(found, TerminalPage(Console(file=text, width=160, highlight=False)))
    text.flush()
    return raw.getvalue().decode(encoding)


def test_what_a_precise_scheme_would_have_spared(trace: Path) -> None:
    found = replay(request(trace))
    assert found.complete
    assert exit_code(found) == ExitCode.GOOD
    spared = {one.policy: one for one in found.spared}
    assert set(spared) == {BASE.name, MM_ID.name}
    assert (spared[MM_ID.name].large, spared[MM_ID.name].small) == (20, 0)
    assert spared[MM_ID.name].bytes_copied == 20 * 4096
    assert spared[MM_ID.name].ns == 20 * 250.0
    assert spared[MM_ID.name].against == EXACT.name
    assert spared[MM_ID.name].frames_peak == 1, "the copy beside a folio of which 15 pages are left"
    assert [one.false_shared.episodes for one in found.policies][1:] == [20, 0]
    assert found.recording.kinds == {"fork": 40, "exit": 60, "new": 20, "write": 20}


def test_the_same_copies_are_counted_on_the_spot(trace: Path) -> None:
    """Two ways to the same number, where the streams of both policies do not part."""
    found = replay(request(trace))
    assert {one.policy: one.sole_copies for one in found.policies} == {BASE.name: 20, MM_ID.name: 20, EXACT.name: 0}


def test_a_policy_that_fails_stops_no_other(trace: Path) -> None:
    found = replay(request(trace, changed("broken", dup_ptes=raises), MM_ID, EXACT))
    first, *others = found.policies
    assert "ZeroDivisionError" in first.stopped
    assert "test_session.py" in first.stopped, "and where"
    assert [one.stopped for one in others] == ["", ""]
    assert [one.policy for one in found.spared] == [MM_ID.name]
    assert exit_code(found) == ExitCode.PLUGIN_FAILED
    assert "broken stopped after" in shown(found)


def test_a_policy_for_smaller_folios_says_so(tmp_path: Path) -> None:
    with Writer(tmp_path / "t", Header()) as writer:
        writer.append(ev.columns(time=1, kind=ev.NEW, mm=1, page=HEAP, order=9))
    small = dataclasses.replace(mm_id.POLICY, name="small", max_order=4).with_parameters()
    found = replay(request(tmp_path / "t", small, EXACT))
    assert "up to order 4" in found.policies[0].stopped
    assert found.policies[1].events == 1


@pytest.mark.parametrize(("bits", "fits"), [(52, True), (58, False), (61, False)])
def test_sums_over_a_long_time_are_right_or_refused(bits: int, fits: bool, tmp_path: Path) -> None:
    """A folio of 512 pages, mapped for 2^bits ns: the sum, in pages times ns, has 9 bits more."""
    with Writer(tmp_path / "t", Header()) as writer:
        kinds = [ev.NEW, ev.UNMAP, ev.NEW, ev.EXIT]
        times = [0, 1, 2, 1 << bits]
        writer.append(ev.columns(time=times, kind=kinds, mm=1, page=HEAP, order=9, nr=1))
    found = replay(request(tmp_path / "t", EXACT))
    (one,) = found.policies
    assert bool(one.stopped) != fits
    assert ("do not fit 64 bits" in one.stopped) != fits
    if fits:
        assert one.owner_ns[0] == pytest.approx(1 << bits, abs=2)
        assert one.owner_page_ns[0] == pytest.approx(512 << bits, abs=2048)
    found.save(tmp_path / "r.json")


def test_nothing_replayed_is_its_own_exit_code(trace: Path) -> None:
    found = replay(request(trace, memory=4096))
    assert all("MiB are allowed" in one.stopped for one in found.policies)
    assert exit_code(found) == ExitCode.NOTHING_MEASURED
    assert "stopped after 0 events" in shown(found)


def test_a_policy_that_calls_shared_folios_exclusive_is_reported_loudly(trace: Path) -> None:
    unsafe = changed("unsafe", maybe_mapped_shared=never)
    found = replay(request(trace, unsafe, EXACT))
    wrong = found.policies[0].unsafe
    assert wrong.episodes == 20
    assert wrong.folio_ns == 20 * 3000
    assert wrong.longest == 3000
    assert wrong.first == 1000
    assert exit_code(found) == ExitCode.COMPARISON_FAILED
    assert "UNSAFE: unsafe called folios exclusive that several MMs mapped, although it claims to be safe: 20" in shown(
        found
    )


def test_who_never_claimed_to_be_safe_does_not_fail(trace: Path) -> None:
    claims = frozenset({"reuse"})
    policy = dataclasses.replace(mm_id.POLICY, name="unsafe", capabilities=claims, capabilities_of=None)
    hooks = dataclasses.replace(policy.hooks, maybe_mapped_shared=never)
    found = replay(request(trace, dataclasses.replace(policy, hooks=hooks).with_parameters(), EXACT))
    assert found.policies[0].unsafe.episodes == 20
    assert exit_code(found) == ExitCode.GOOD
    assert "UNSAFE" in shown(found)


def test_large_numbers_are_shown(trace: Path) -> None:
    found = replay(request(trace))
    many = [msgspec.structs.replace(one, large=1_234_567, small=-4321, ns=-5e9) for one in found.spared]
    text = shown(msgspec.structs.replace(found, spared=many))
    assert "+1,234,567" in text
    assert "−4,321" in text
    assert "−5,000.00 ms" in text


def test_an_interruption_shows_what_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file, "BLOCK_EVENTS", 70)
    with Writer(tmp_path / "t", Header()) as writer:
        writer.append(orphans(20))

    def interrupt(phase: str, done: int, total: int) -> None:
        if MM_ID.name in phase and done == 70:
            raise KeyboardInterrupt

    found = replay(request(tmp_path / "t"), interrupt)
    assert not found.complete
    first, second = found.policies
    assert (first.events, first.stopped) == (140, "")
    assert (second.events, second.stopped) == (70, INTERRUPTED)
    assert second.false_shared.episodes == 10
    assert found.spared == []
    assert "interrupted: what was done until then is shown" in shown(found)
    with pytest.raises(NothingMeasured, match="interrupted"):
        replay(request(tmp_path / "t"), lambda phase, done, total: (_ for _ in ()).throw(KeyboardInterrupt))


def test_a_damaged_tail_is_left_out_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file, "BLOCK_EVENTS", 70)
    with Writer(tmp_path / "t", Header()) as writer:
        writer.append(orphans(20))
    content = bytearray((tmp_path / "t").read_bytes())
    content[file.Trace(tmp_path / "t").index[1].offset + 99] ^= 4
    (tmp_path / "t").write_bytes(content)
    found = replay(request(tmp_path / "t"))
    assert [one.events for one in found.policies] == [70, 70, 70]
    assert "checksum; 70 events" in found.recording.damaged
    assert "the trace is damaged: block 1" in shown(found)


def test_a_trace_without_events(tmp_path: Path) -> None:
    Writer(tmp_path / "t", Header()).close()
    with pytest.raises(NothingMeasured, match="has no events: nothing was recorded"):
        replay(request(tmp_path / "t"))


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_the_report(trace: Path, encoding: str) -> None:
    text = shown(replay(request(trace, recorded=frozenset({MM_ID.name}))), encoding)
    assert "140 events in 0.000 s, Linux 6.18.0, test" in text
    assert f"{MM_ID.name} (as recorded)" in text
    assert f"{MM_ID.name}: 20 of 20 certain outcomes on large folios as the kernel's" in text
    assert f"{EXACT.name}: 0 of 20 certain outcomes" in text
    assert "300 ns a copy, 50 ns a reuse: a test" in text
    assert "3 events were lost while recording" in text
    assert "pins, other references" in text


def test_results_round_trip(trace: Path, tmp_path: Path) -> None:
    found = replay(request(trace))
    found.save(tmp_path / "r.json")
    assert ReplayResult.load(tmp_path / "r.json") == found
    assert shown(ReplayResult.load(tmp_path / "r.json")) == shown(found)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is damaged"),
        (b'{"schema": 1}', "is not a replay's result"),
        (b'{"schema": 99, "kind": "replay-trace"}', "schema 99"),
    ],
)
def test_damaged_results_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "r.json").write_bytes(content)
    with pytest.raises(ResultFileError, match=message):
        ReplayResult.load(tmp_path / "r.json")
    with pytest.raises(ResultFileError, match="there is no replay's result"):
        ReplayResult.load(tmp_path / "none.json")


def bench(cells: list[Cell]) -> Result:
    policies = sorted({cell.policy for cell in cells})
    config = Config(
        policies=policies,
        policy_parameters={},
        baseline=policies[0],
        workloads=[costs.COPY, costs.REUSE],
        sizes=[4, 64],
        memory=1 << 20,
        repeats=3,
        seed=1,
        quick=False,
    )
    return Result(
        complete=True,
        command="",
        started="",
        finished="",
        config=config,
        machine=describe_host(),
        versions={},
        kernel="",
        git="",
        cells=cells,
    )


def cell(policy: str, workload: str, size_kib: int, *samples: float) -> Cell:
    return Cell(policy=policy, workload=workload, size_kib=size_kib, samples=list(samples))


def test_costs_come_from_the_policy_that_reuses(tmp_path: Path) -> None:
    cells = [
        cell("base", costs.COPY, 64, 300, 310, 305), cell("base", costs.REUSE, 64, 290, 300, 310),
        cell("new", costs.COPY, 64, 320, 330, 325), cell("new", costs.REUSE, 64, 40, 50, 45),
        cell("new", costs.REUSE, 4, 1, 1, 1),
    ]  # fmt: skip
    bench(cells).save(tmp_path / "r.json")
    found = costs.load_costs(tmp_path / "r.json")
    assert (found.copy_ns, found.reuse_ns) == (325, 45)
    assert found.source == "r.json: new, cow-byte and reuse-byte"
    slower = cell("base", costs.REUSE, 64, 310, 320, 330)  # than copies: a busy host
    for few in (cells[:1], [cells[0], slower]):
        bench(few).save(tmp_path / "r.json")
        with pytest.raises(ResultFileError, match="no times of cow-byte and reuse-byte"):
            costs.load_costs(tmp_path / "r.json")


@pytest.fixture
def detached(tmp_path: Path) -> Path:
    """A program that detaches by forking twice, faster than it is torn down; the kernel copies."""
    rows = [
        (ev.NEW, 1, 4, HEAP, 16, 0), (ev.FORK, 1, 0, 0, 2, 0), (ev.EXIT, 1, 0, 0, 0, 0), (ev.FORK, 2, 0, 0, 3, 0),
        (ev.EXIT, 2, 0, 0, 0, 0), (ev.GONE, 1, 0, 0, 0, 0), (ev.GONE, 2, 0, 0, 0, 0),
        (ev.WRITE, 3, 0, HEAP, 0, ev.COPIED), (ev.WRITE, 3, 0, HEAP + 1, 0, ev.COPIED),
    ]  # fmt: skip
    kind, mm, order, page, other, flags = zip(*rows, strict=True)
    with Writer(tmp_path / "detached", Header()) as writer:
        time = 1000 * np.arange(len(rows))
        writer.append(ev.columns(time=time, kind=kind, mm=mm, order=order, page=page, other=other, flags=flags))
    return tmp_path / "detached"


def test_teardowns_are_timed_as_the_kernel_shows(detached: Path) -> None:
    found = replay(request(detached, recorded=frozenset({MM_ID.name})))
    assert found.teardown == "gone"
    assert found.policies[1].agreement() == (2, 2)
    assert found.policies[1].agreement(certain=True) == (0, 0)
    assert found.policies[1].false_shared.episodes == 1
    (note,) = (note for note in found.notes if "teardown of a relative" in note)
    assert note.startswith("1 fork and 0 write faults")
    assert "mm-id agrees with the kernel on 0 of 2 outcomes (teardown before) and 2 of 2 (teardown after)" in note
    assert "mm-id: 2 of 2 uncertain outcomes" in shown(found)


@pytest.mark.parametrize(("teardown", "agree"), [("exit", 0), ("gone", 2)])
def test_or_as_the_user_says(detached: Path, teardown: Any, agree: int) -> None:
    found = replay(request(detached, recorded=frozenset({MM_ID.name}), teardown=teardown))
    assert found.teardown == teardown
    assert found.policies[1].agreement()[0] == agree


def test_without_a_policy_that_models_the_kernel_teardowns_are_early(detached: Path) -> None:
    assert replay(request(detached)).teardown == "exit"


def test_without_costs_no_time_is_made_up(trace: Path) -> None:
    found = replay(request(trace, costs=None))
    assert found.costs is None
    assert [one.ns for one in found.spared] == [None, None]


def test_without_the_yardstick_nothing_is_spared(trace: Path) -> None:
    found = replay(request(trace, BASE, MM_ID))
    assert found.spared == []
    assert found.yardstick is None
    assert "spared copies: exact did not replay the whole trace" in shown(found)


def test_the_yardstick_is_the_policy_exact_whatever_else_claims_to_be_exact(trace: Path) -> None:
    claims = dataclasses.replace(mm_id.POLICY, name="bold", capabilities=exact.POLICY.capabilities).with_parameters()
    found = replay(request(trace, claims, EXACT, MM_ID))
    of = {one.policy: (one.against, one.large) for one in found.spared}
    assert of == {"bold": ("exact", 20), "mm-id": ("exact", 20)}


@pytest.mark.parametrize(
    ("flags", "copies"), [(0, (0, 3)), (ev.REMEMBERED, (3, 3)), (ev.REMEMBERED | ev.HAS_SLOT, (0, 0))]
)
def test_slots_that_were_read_are_the_one_history(flags: int, copies: tuple[int, int], tmp_path: Path) -> None:
    """One MM maps a folio that is older than the trace; whether it has a slot is unknown, or was read."""
    path = tmp_path / "attached.folio"
    kinds = np.array([ev.PRESENT, *[ev.WRITE] * 3])
    start, outcome = (kinds == ev.PRESENT), np.where(kinds == ev.WRITE, ev.COPIED if copies[1] else ev.REUSED, flags)
    page = HEAP + np.array([0, 0, 1, 2])
    order, nr = 4 * start, np.where(start, 16, 1)
    with Writer(path, Header(source="test", kernel="6.18.0", mm_id=True, no_page_mapcount=False)) as writer:
        writer.append(
            ev.columns(
                time=1000 * np.arange(4), kind=kinds, mm=1, flags=outcome, order=order, page=page, nr=nr, other=160
            )
        )
    done = replay(request(path, MM_ID, EXACT, recorded=frozenset({"mm-id"}), execution="interpreted"))
    assert done.copies_of_older(done.policies[0]) == copies
    assert any("whom the kernel remembered of 1 large folio when" in note for note in done.notes) == bool(flags)
    assert done.policies[0].agreement() == ((3, 3) if flags else (0, 0))
    assert done.policies[0].count("read" if flags else "earlier") == 3
    last = "mm-id decides 3 of 3 certain writes to large folios as Linux 6.18.0 did, among them 3 to folios older than "
    assert answer([done])[-1].startswith(last if flags else "The trace shows no decision of the kernel")
    other = replay(request(path, MM_ID, EXACT, execution="interpreted"))
    assert other.copies_of_older(other.policies[0]) == (0, 3), "it models another kernel"
    assert not any("whom the kernel remembered" in note for note in other.notes)
