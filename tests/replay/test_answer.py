"""The sentences of a replay: each figure is the result's, and what a trace cannot show is not claimed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from foliolab.framework.replay.result import Costs, ReplayResult
from foliolab.framework.replay.session import ReplayRequest, replay
from foliolab.framework.report import replay as report
from foliolab.framework.report import runs
from foliolab.framework.report.answer import answer
from foliolab.framework.report.pages.document import DocumentPage, Grid
from foliolab.framework.report.pages.page import Words
from foliolab.framework.trace import events as ev
from foliolab.framework.trace.file import Writer
from foliolab.framework.trace.header import Header, Shows
from foliolab.policies import exact, mm_id

HEAP = 0x7F12_3456_0000 >> 12 & ~511
POLICIES = (mm_id.POLICY.with_parameters(), exact.POLICY.with_parameters())
COSTS = Costs(copy_ns=300.0, reuse_ns=50.0, source="a test")


def family(children: int, writes: bool = True, source: str = "perf") -> tuple[Header, ev.Events]:
    """A process with a folio of 64 KiB forks; all but the last child exit; a second later that one writes two pages."""
    mms = range(2, children + 2)
    rows = [(ev.NEW, 1, 4, HEAP, 16, 0)]
    rows += [(ev.FORK, 1, 0, 0, mm, 0) for mm in mms]
    rows += [(ev.EXIT, mm, 0, 0, 0, 0) for mm in range(1, children + 1)]
    if writes:
        rows += [(ev.WRITE, children + 1, 0, HEAP + page, 0, ev.COPIED) for page in range(2)]
    kind, mm, order, page, other, flags = (np.array(column) for column in zip(*rows, strict=True))
    time = np.arange(len(rows)) * 1000 + np.where(kind == ev.WRITE, 1_000_000_000, 0)
    return Header(source=source, kernel="6.18.0"), ev.columns(
        time=time, kind=kind, mm=mm, order=order, page=page, other=other, flags=flags
    )


def replayed(folder: Path, made: tuple[Header, ev.Events], **options: Any) -> ReplayResult:
    with Writer(folder / "app.folio", made[0]) as writer:
        writer.append(made[1])
    options = {"schemes": POLICIES, "recorded": frozenset({"mm-id"}), "samples": 0, "costs": COSTS, **options}
    return replay(ReplayRequest(path=str(folder / "app.folio"), execution="interpreted", **options))


def without(result: ReplayResult, **changed: Any) -> ReplayResult:
    """The result of a trace with another header."""
    header = msgspec.structs.replace(result.recording.header, **changed)
    return msgspec.structs.replace(result, recording=msgspec.structs.replace(result.recording, header=header))


def test_a_child_without_a_slot_is_left_alone(tmp_path: Path) -> None:
    assert answer([replayed(tmp_path, family(2))]) == [
        "app.folio: in 1 s 2 write faults fell on pages of large folios of known history; the kernel copied 2 of them.",
        "mm-id (exact for up to 2 MMs a folio) made 2 more copies of pages than exact, which knows every owner: 8 KiB, "
        "500 ns at 250 ns each (a test).",
        "The longest time for which mm-id called a folio maybe shared that one MM alone mapped is 1 s; such folios "
        "were 100.0 % of large folios x time.",
        "Up to 3 MMs mapped the same large folio at a time, more than 2 of them for 0.0001 % of large folios x time, "
        "so this run could show what mm-id's room for 2 MMs costs, and shows that it errs.",
        "mm-id decides 2 of 2 certain writes to large folios as Linux 6.18.0 did; this is one run, an example and no "
        "statistic, no event was lost.",
    ]


def test_two_mms_cannot_show_it(tmp_path: Path) -> None:
    found = answer([replayed(tmp_path, family(1))])
    assert "made no more copies than exact" in found[1]
    assert found[2] == "mm-id never called a large folio maybe shared that one MM alone mapped."
    assert found[3].startswith("At most 2 MMs mapped the same large folio at a time, so this run could not show")
    assert "mm-id decides 0 of 2 certain writes" in found[4]


def test_without_writes_nothing_is_said_about_copies(tmp_path: Path) -> None:
    found = answer([replayed(tmp_path, family(2, writes=False))])
    assert "no write fault fell on a large folio of known history." in found[0]
    assert not any("copies" in sentence for sentence in found)
    assert found[-2].endswith("shows that it errs, but no write fell on such a folio.")
    assert "no decision of the kernel" in found[-1]


def test_what_the_source_cannot_show_is_not_claimed(tmp_path: Path) -> None:
    found = answer([replayed(tmp_path, family(2, writes=False, source="strace"))])
    assert "cannot tell how often large folios were written to" in found[0]
    assert not any("write fell" in sentence for sentence in found)
    assert "strace need not show every fault" in found[-1]
    empty = Header(source="strace"), ev.columns(time=0, kind=ev.FORK, mm=1, other=2)
    assert "cannot tell whether the program had any" in answer([replayed(tmp_path, empty)])[-2]
    empty = Header(source="perf"), ev.columns(time=0, kind=ev.FORK, mm=1, other=2)
    assert "The program got no large folio" in answer([replayed(tmp_path, empty)])[-2]


def test_without_allocations_nothing_is_said_about_the_pages_that_were_written(tmp_path: Path) -> None:
    header = Header(source="perf", shows=Shows(faults=True, allocations=False))
    written = header, ev.columns(time=0, kind=ev.WRITE, mm=1, page=HEAP)
    assert answer([replayed(tmp_path, written)])[:2] == [
        "app.folio: 1 write fault fell on pages of which the trace cannot tell whether they are those of large folios, "
        "nor what the kernel did.",
        "The trace has no large folio, and cannot tell whether the program had any.",
    ]


def test_folios_of_a_snapshot_have_no_known_history(tmp_path: Path) -> None:
    header, made = family(2)
    kind = np.where(made.kind == ev.NEW, ev.PRESENT, made.kind)
    found = replayed(tmp_path, (header, made._replace(kind=kind, nr=np.where(kind == ev.PRESENT, 16, 0))))
    sentences = answer([without(found, shows=Shows(history=False))])
    assert sentences[0].endswith(
        "the kernel copied 2 pages of large folios older than the trace that one MM alone maps; no write fault fell on "
        "a large folio of known history."
    )
    assert sentences[1] == (
        "mm-id (exact for up to 2 MMs a folio) makes at least 0 and at most 2 more copies of pages of folios older "
        "than the trace than exact, depending on which MMs it remembers of them; the kernel made 2 more."
    )
    assert "is 1 µs to 1 s;" in sentences[2]
    assert sentences[2].endswith(", depending on which MMs it remembers of folios older than the trace.")
    assert "2 writes fell on large folios older than the trace" in sentences[-1]
    assert len(sentences) <= 5
    page = DocumentPage()
    report.render(found, page)
    shown = "\n".join(str(part) for part in page.parts)
    assert "knows no MM of older folios" in shown
    assert "Copies of pages of folios older than the trace; the kernel made 2" in shown


def test_without_times_no_duration_is_said(tmp_path: Path) -> None:
    found = replayed(tmp_path, family(2))
    sentences = answer([without(found, shows=Shows(times=False, ranges=False))])
    assert sentences[0].startswith("app.folio: 2 write faults fell")
    assert "for an unknown time" in sentences[2]
    assert "x time" not in " ".join(sentences)
    assert sentences[-1].endswith("what was unmapped is not shown, only the order of events is known.")


def test_several_runs_have_ranges(tmp_path: Path) -> None:
    first = without(replayed(tmp_path, family(1)), started="1")
    second = without(replayed(tmp_path, family(2)), started="2", lost=7)
    found = answer([first, second])
    assert len(found) == 5
    assert "made 0 to 2 more copies of pages than exact, which knows every owner: 0 KiB to 8 KiB" in found[1]
    assert "decides 2 of 4 certain writes" in found[4]
    assert "these are 2 runs, 7 events were lost" in found[4]


def test_runs_stand_in_rows_with_their_spread(tmp_path: Path) -> None:
    page = DocumentPage()
    found = [without(replayed(tmp_path, family(children)), started=str(children)) for children in (1, 2, 3)]
    runs.render(found, page)
    (grid,) = (part for part in page.parts if isinstance(part, Grid))
    rows = {row[0].text: [cell.text for cell in row[1:]] for row in grid.rows}
    assert [rows[word][1] for word in ("least", "median", "most")] == ["0", "2", "2"], "copies beyond exact"
    assert [rows[word][4] for word in ("least", "median", "most")] == ["2", "3", "4"], "MMs on a folio"
    assert [part.text for part in page.parts if isinstance(part, Words)][1].startswith("  app.folio: in 1 s 2 write")
    assert sum(isinstance(part, Words) and part.text.startswith("note") for part in page.parts) == 1


@pytest.mark.parametrize("schemes", [POLICIES[:1], POLICIES[1:]], ids=["without exact", "exact alone"])
def test_without_two_policies_no_cost_is_known(schemes: Any, tmp_path: Path) -> None:
    found = answer([replayed(tmp_path, family(2), schemes=schemes)])
    assert not any("more copies" in sentence for sentence in found)
    if schemes == POLICIES[:1]:
        assert "What mm-id (exact for up to 2 MMs a folio) costs beyond exact is not known" in found[1]
    else:
        assert found[-1].startswith("No policy here models the recorded kernel")
    stopped = answer([replayed(tmp_path, family(2), schemes=schemes, memory=4096)])
    assert stopped == []
