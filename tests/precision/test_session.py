"""`precision` as a program calls it: claims that do not hold, patterns that fail, interruption; and its report."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.contract.sharing_pattern import Processes, SharingPattern, Usage
from foliolab.framework.engine import policytree
from foliolab.framework.errors import ExitCode, FolioLabError, NothingMeasured, PluginError, TraceFileError
from foliolab.framework.plugins.registry import load
from foliolab.framework.precision import stream
from foliolab.framework.precision.result import PrecisionResult
from foliolab.framework.precision.session import PrecisionRequest, exit_code, precision
from foliolab.framework.precision.stream import played
from foliolab.framework.report import precision as report
from foliolab.framework.report.pages.terminal import TerminalPage
from foliolab.framework.trace import events as ev
from foliolab.framework.trace.file import Writer
from foliolab.framework.trace.header import Header
from foliolab.policies import exact, mm_id, page_mapcount

EXACT, MM_ID = exact.POLICY.with_parameters(), mm_id.POLICY.with_parameters()
BASE = page_mapcount.POLICY.with_parameters()
USAGE = Usage(mms=3, folios=4, order=2)


def pair(p: Processes, usage: Usage) -> None:
    """A folio is shared by two for a step, and then by one."""
    parent = p.start()
    p.populate(parent, 0, usage.folio_pages)
    child = p.fork(parent)
    p.unmap(parent, 0, 1)
    p.exit(parent)
    p.write(child, 1)
    p.exit(child)


def pattern(play: Callable[[Processes, Usage], None] = pair, name: str = "pair") -> SharingPattern:
    return SharingPattern(name=name, summary="a test's", play=play)


def run(*patterns: SharingPattern, schemes: list[Scheme] | None = None, **options: Any) -> PrecisionResult:
    asked: dict[str, Any] = {"execution": "interpreted", "order": 2, "folios": 4, "mms": [2, 3], **options}
    return precision(PrecisionRequest(patterns, schemes or [MM_ID, EXACT], **asked))


def shown(found: PrecisionResult, encoding: str = "utf-8", width: int = 120) -> str:
    raw = io.BytesIO()
    text = io.TextIOWrapper(raw, encoding=encoding)
    report.render(found, TerminalPage(Console(file=text, width=width, highlight=False, emoji=False)))
    text.flush()
    return raw.getvalue().decode(encoding)


# -- claims that do not hold -------------------------------------------------------------------------
def always(folio: Any) -> bool:
    return True


def never(folio: Any) -> bool:
    return False


def liar(answer: Callable[[Any], bool], *claims: str) -> Scheme:
    hooks = dataclasses.replace(mm_id.POLICY.hooks, maybe_mapped_shared=answer)
    kept = {"capabilities": frozenset(claims), "capabilities_of": None}
    return dataclasses.replace(mm_id.POLICY, name="liar", hooks=hooks, **kept).with_parameters()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("answer", "claimed", "refuted"),
    [
        (always, ("safe", "exact"), ["exact"]),
        (always, ("safe", "exact-for-two"), ["exact-for-two"]),
        (never, ("safe",), ["safe"]),
        (never, ("safe", "exact"), ["safe"]),
        (never, ("exact",), ["exact"]),
        (always, ("safe",), []),
        (never, (), []),
    ],
)
def test_a_claim_that_does_not_hold_is_refuted(
    answer: Callable[[Any], bool], claimed: tuple[str, ...], refuted: list[str]
) -> None:
    found = run(pattern(), schemes=[liar(answer, *claimed)], mms=[2])
    assert [one.claim for one in found.refuted] == refuted
    assert exit_code(found) == (ExitCode.COMPARISON_FAILED if refuted else ExitCode.GOOD)
    assert ("REFUTED: liar claims" in shown(found)) == bool(refuted)
    assert ("UNSAFE" in shown(found)) == (answer is never)


def test_exact_for_two_says_nothing_of_three() -> None:
    def three(p: Processes, usage: Usage) -> None:
        parent = p.start()
        p.populate(parent, 0, 4)
        children = [p.fork(parent), p.fork(parent)]
        for process in (parent, *children):
            p.exit(process)

    assert run(pattern(three), schemes=[liar(always, "exact-for-two")], mms=[3]).refuted == []


# -- what is the same for all ----------------------------------------------------------------------------
def test_a_seed_repeats_the_events_and_another_one_does_not() -> None:
    for one in load().patterns.values():
        first, again, other = (list(played(one, USAGE, seed).events.rows()) for seed in (1, 1, 2))
        assert first == again
        assert first != other or one.name == "last-child"


@pytest.mark.parametrize("mms", [1, 2, 16])
@pytest.mark.parametrize("order", [2, 9])
def test_the_patterns_keep_to_their_usage(mms: int, order: int) -> None:
    for one in load().patterns.values():
        events = played(one, Usage(mms, 2, order), 3).events  # raises where they do not
        alive = {int(events.mm[0])}
        most = 1
        for row in events.rows():
            alive |= {row["other"]} if row["kind"] == ev.FORK else {row["mm"]}
            alive -= {row["mm"]} if row["kind"] == ev.EXIT else set()
            most = max(most, len(alive))
        assert most == mms
        assert not alive, "nobody is left behind"


# -- what fails ------------------------------------------------------------------------------------------
def unaligned(p: Processes, usage: Usage) -> None:
    p.populate(p.start(), 2, 4)


def dead(p: Processes, usage: Usage) -> None:
    one = p.start()
    p.exit(one)
    p.write(one, 0)


def crowd(p: Processes, usage: Usage) -> None:
    while True:
        p.start()


def outside(p: Processes, usage: Usage) -> None:
    p.unmap(p.start(), -1, 4)


def back(p: Processes, usage: Usage) -> None:
    p.wait(-1)


def small(p: Processes, usage: Usage) -> None:
    p.populate(p.start(), 0, 2, order=1)


def broken(p: Processes, usage: Usage) -> None:
    raise ZeroDivisionError("a pattern's own defect")


@pytest.mark.parametrize(
    ("play", "message"),
    [
        (unaligned, "are not whole folios of 4 pages"),
        (dead, "process 1 does not live"),
        (crowd, "more than 3 processes at a time"),
        (outside, "are not in a process's memory"),
        (back, "waits for -1 steps"),
        (small, "no anonymous folios of order 1"),
        (broken, "ZeroDivisionError: a pattern's own defect"),
    ],
)
def test_a_pattern_that_fails_is_named_with_its_line(play: Callable[[Processes, Usage], None], message: str) -> None:
    line = play.__code__.co_firstlineno
    with pytest.raises(PluginError) as caught:
        run(pattern(play), mms=[3])
    assert "sharing pattern pair: " in caught.value.what
    assert message in caught.value.what
    assert any(f"test_session.py:{n}" in caught.value.what for n in range(line, line + 5))


def test_a_pattern_that_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(p: Processes, usage: Usage) -> None:
        while True:
            p.wait(1)

    monkeypatch.setattr(stream, "SECONDS", 0.2)
    with pytest.raises(PluginError, match=r"did not end within 0\.2 s"):
        run(pattern(endless))


def test_a_pattern_of_too_many_events_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "MOST_EVENTS", 3)
    with pytest.raises(PluginError, match="more than 3 events"):
        run(pattern())


def test_a_pattern_without_events_measures_nothing() -> None:
    with pytest.raises(NothingMeasured, match="no events to play"):
        run(pattern(lambda p, usage: None))


def test_a_policy_that_fails_is_left_out_and_the_others_go_on() -> None:
    def raises(folio: Any) -> bool:
        zero = 0
        return 1 // zero > 0

    found = run(pattern(), pattern(name="again"), schemes=[liar(raises), EXACT])
    failed = [point for point in found.points if point.policy == "liar"]
    assert len(failed) == 1
    assert "ZeroDivisionError" in failed[0].stopped
    assert len([point for point in found.points if point.policy == EXACT.name]) == 4
    assert exit_code(found) == ExitCode.PLUGIN_FAILED
    assert "liar stopped: " in shown(found)


def test_a_policy_for_smaller_folios_stops_and_says_why() -> None:
    less = dataclasses.replace(mm_id.POLICY, name="less", max_order=2).with_parameters()
    found = run(pattern(), schemes=[less, EXACT], order=4)
    assert all(point.stopped for point in found.points if point.policy == "less")
    assert "less stopped 2 times: " in shown(found)


# -- interruption ------------------------------------------------------------------------------------------
def interrupts(p: Processes, usage: Usage) -> None:
    raise KeyboardInterrupt


def test_ctrl_c_leaves_what_there_was() -> None:
    found = run(pattern(), pattern(interrupts, "later"))
    assert not found.complete
    assert {point.workload for point in found.points} == {"pair"}
    assert "interrupted: what was done until then is shown" in shown(found)


def test_ctrl_c_in_a_policy_leaves_what_there_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policytree, "check_text", lambda tree, scheme: None)

    def impatient(folio: Any) -> bool:
        raise KeyboardInterrupt

    found = run(pattern(), schemes=[EXACT, liar(impatient)])
    assert not found.complete
    assert [point.policy for point in found.points] == [EXACT.name]


def test_ctrl_c_before_anything_was_played() -> None:
    with pytest.raises(NothingMeasured, match="interrupted"):
        run(pattern(interrupts))


# -- traces and files ----------------------------------------------------------------------------------------
def a_trace(path: Path) -> str:
    with Writer(path, Header(source="test", command="redis-server")) as writer:
        writer.append(
            ev.columns(
                time=[10, 1_000_010, 3_000_010, 5_000_010],
                kind=[ev.NEW, ev.FORK, ev.EXIT, ev.WRITE],
                mm=[1, 1, 2, 1],
                order=[4, 0, 0, 0],
                page=[512, 0, 0, 512],
                other=[16, 2, 0, 0],
            )
        )
    return str(path)


def test_a_recorded_trace_has_its_own_time(tmp_path: Path) -> None:
    path = a_trace(tmp_path / "a.folio")
    found = run(traces=[path], schemes=[MM_ID, BASE])
    one, base = found.points
    assert (one.workload, one.mms, one.most_owners) == (path, 2, 2)
    assert (one.exclusive_time, one.shared_time, one.false_shared.ops) == (3_000_000, 2_000_000, 0)
    assert base.exclusive_time == 3_000_000
    assert "redis-server" in shown(found)


def test_what_is_no_trace(tmp_path: Path) -> None:
    (tmp_path / "b").write_text("nothing of the kind")
    with pytest.raises(TraceFileError, match="is no trace"):
        run(pattern(), traces=[str(tmp_path / "b")])


def test_the_file_has_everything(tmp_path: Path) -> None:
    found = run(pattern())
    found.save(tmp_path / "r.json")
    assert PrecisionResult.load(tmp_path / "r.json") == found
    (tmp_path / "r.json").write_text('{"schema": 1, "kind": "replay-trace"}')
    with pytest.raises(FolioLabError, match="is not a precision result"):
        PrecisionResult.load(tmp_path / "r.json")


@pytest.fixture(scope="module")
def of_two_patterns() -> PrecisionResult:
    patterns = (load().patterns[name] for name in ("daemons", "allocator"))
    return run(*patterns, schemes=[MM_ID, EXACT, liar(never)], folios=2)


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize("width", [60, 200])
def test_the_report_fits(of_two_patterns: PrecisionResult, encoding: str, width: int) -> None:
    text = shown(of_two_patterns, encoding, width)
    assert "2, 3 MMs at a time, 2 folios of 16 KiB, seed 1" in text
    assert "always 0: exact" in text
    assert "UNSAFE" in text
    tables = [line for line in text.splitlines() if "%" in line and ":" not in line]
    assert all(len(line) <= width for line in tables)
