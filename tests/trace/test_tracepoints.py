"""What several tools print of the same tracepoints, on several architectures, is read alike."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from texts import COPIED, SAMPLES, alloc, convert, fault, only, perf

from foliolab.framework.contract.trace_reader import TraceSource
from foliolab.framework.trace import events as ev
from foliolab.framework.trace.importers import tracepoints
from foliolab.framework.trace.importers.ftrace import LAYOUT as ftrace_layout
from foliolab.framework.trace.importers.perf import LAYOUT as perf_layout

FTRACE = """\
CPU:1 [LOST 3 EVENTS]
            bash-7     [001] d...  10.000010: page_fault_user: address=0x10000 ip=0x7f error_code=0x7
            bash-7     [001] ....  10.000011: mm_page_alloc: page=0000000057 pfn=0x99 order=0 migratetype=1 gfp_flags=X
            bash-7     [001] ...21 10.000020: task_newtask: pid=8 comm=bash clone_flags=10100 oom_score_adj=0
            bash-8     [000] ....  10.000030: sys_munmap(addr: 20000, len: 1000)
            bash-8     [000] ....  10.000031: sys_munmap -> 0x0
            bash-8     [000] ....  10.000032: sched_process_exit: comm=bash pid=8 prio=120
"""


@pytest.mark.parametrize("report", ["trace_pipe", "trace-cmd", "systrace"])
def test_ftrace_is_read_as_perf_is(report: str, tmp_path: Path) -> None:
    text = FTRACE
    if report == "trace-cmd":
        text = re.sub(r"\] \S+ +10\.", "]  10.", text).replace("sys_munmap(", "sys_enter_munmap: ").replace(" ->", ":")
        text = text.replace("sys_munmap:", "sys_exit_munmap:")
    if report == "systrace":
        text = "<!DOCTYPE html>\n" + text.replace("-7     [", "-7     (    7) [").replace(
            "-8     [", "-8     (-----) ["
        )
    header, found = convert(text, tmp_path)
    assert header.lost == 3
    assert [(ev.KINDS[row["kind"]], row["flags"], row["page"]) for row in found] == [
        ("lost", 0, 0), ("write", COPIED, 0x10), ("unmap", 0, 0x20),
    ]  # fmt: skip
    assert {row["mm"] for row in only(found, ev.WRITE, ev.UNMAP)} == {1}  # 8 is a thread of 7


def test_usual_lines_are_read_as_lines_by_their_fields() -> None:
    text = (SAMPLES / "phases.perf.txt").read_text()
    as_ftrace = re.sub(r"(?m)^(\S+) (\d+)/(\d+) (\S+) +(\d+\.\d{6})\d*: +\w+:", r"\1-\3 (\2) \4 d.... \5: ", text)
    as_ftrace = re.sub(r"(?m): sys_(enter|exit)_(.*?): (.*)$", r": sys_\2 -> \3", as_ftrace)
    for layout, lines in ((perf_layout, text), (ftrace_layout, as_ftrace), (ftrace_layout, FTRACE)):
        by_fields = replace(layout, usual=lambda line: None)
        records = [list(one.read(TraceSource("x", lines.splitlines(True)))) for one in (layout, by_fields)]
        assert records[0] == records[1] and len(records[0]) >= 6
        assert sum(layout.usual(line) is not None for line in lines.splitlines(True)) >= 6


@pytest.mark.parametrize(
    ("before", "event"),
    [
        ("[001] 10.000010000", "exceptions:page_fault_user:u"),  # perf record -e EVENT:u
        ("[001] d.h.. 10.000010000", "exceptions:page_fault_user"),
        ("[001] 2026-11-30 12:00:00.418604 10.000010000", "exceptions:page_fault_user"),  # perf script -F +tod
    ],
)
def test_columns_and_modifiers_of_perf_are_passed_over(before: str, event: str, tmp_path: Path) -> None:
    text = f" x y 7/7 {before}:  {event}: address=0x10000 ip=0x7f error_code=0x7\n" + perf(f"11 7/7 {alloc(0x90)}")
    _, found = convert(text, tmp_path)
    assert [(row["time"], row["flags"]) for row in found] == [(10_000_011_000, COPIED)]


def test_a_process_whose_number_is_given_again_has_ended(tmp_path: Path) -> None:
    fork = "7/7 task:task_newtask: pid=8 comm=x clone_flags=11 oom_score_adj=0"
    _, found = convert(perf(f"10 {fork}", f"20 {fork}"), tmp_path)
    assert [(ev.KINDS[row["kind"]], row["mm"]) for row in found] == [
        ("fork", 1), ("exit", 2), ("fork", 1), ("gone", 2),
    ]  # fmt: skip


def test_what_is_remembered_of_tasks_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracepoints, "REMEMBERED", 4)
    clone = "task:task_newtask: pid={} comm=x clone_flags=10100 oom_score_adj=0"
    lines = []
    for tid in range(100, 120):  # each thread ends, and the newest ones are still known
        lines += [
            f"{tid} 7 {clone.format(tid)}",
            f"{tid} {tid} sched:sched_process_exit: comm=x pid={tid} group_dead=0",
        ]
    lines += [f"200 119 {fault(0x10000, 7)}", f"201 119 {alloc(0x90)}"]
    _, found = convert(perf(*lines), tmp_path)
    assert [(ev.KINDS[row["kind"]], row["mm"]) for row in found] == [("write", 1)]


def test_what_khugepaged_collapsed_is_a_hint(tmp_path: Path) -> None:
    text = (
        "k 29/29 [001] 1.000000001: huge_memory:mm_khugepaged_scan_pmd: mm=0xffff888105f98c80, scan_pfn=0x1f3, "
        "referenced=1, none_or_zero=0, status=succeeded, unmapped=0\n"
        "k 29/29 [001] 1.000000002: huge_memory:mm_khugepaged_scan_pmd: mm=0xffff888105f98c80, scan_pfn=0x1f4, "
        "referenced=1, none_or_zero=0, status=failed, unmapped=0\n"
    )
    header, found = convert(text, tmp_path)
    assert [(ev.KINDS[row["kind"]], row["other"]) for row in found] == [("free hint", 0x1F3)]
    assert "On this host khugepaged collapsed pages, 1 times." in header.notes


def test_perf_trace_is_read(tmp_path: Path) -> None:
    text = (
        "     0.000 ( 0.000 ms): x/7 minfault [main+0x2] => 0x55ea3601b018 (?k)\n"
        "     1.500 x/7 exceptions:page_fault_user(address: 0x10000, ip: 4195786, error_code: 7)\n"
        "     1.501 x/7 kmem:mm_page_alloc(pfn: 153, order: 0, gfp_flags: 1051072, migratetype: 1)\n"
        '     1.502 x/7 task:task_newtask(pid: 8, comm: "y", clone_flags: 17)\nLOST 9 events!\n'
    )
    header, found = convert(text, tmp_path)
    assert [(ev.KINDS[row["kind"]], row["time"]) for row in found] == [
        ("new", 1_501_000), ("fork", 1_502_000), ("lost", 1_502_000),
    ]  # fmt: skip  # the page was cleared: it replaces the zero page
    assert (header.source, header.lost, found[0]["other"]) == ("perf-trace", 9, 153)


@pytest.mark.parametrize(
    ("field", "kinds"),
    [
        ("error_code=0x7", [("write", COPIED)]),
        ("error_code=0x9200004f", [("write", COPIED)]),  # Arm64: a permission fault that writes
        ("esr=0x92000047", [("new", 0)]),  # a translation fault that writes
        ("error_code=0x92000007", []),  # it reads
        ("cause=0xf", [("write", ev.UNCERTAIN)]),  # RISC-V: a store, to a page that was there or not
        ("cause=0xd", []),
    ],
)
def test_faults_of_other_architectures_fit(field: str, kinds: list[tuple[str, int]], tmp_path: Path) -> None:
    text = perf(
        f"10 7/7 exceptions:page_fault_user: user page fault, address=0x10000 epc=0x55 {field}",
        f"11 7/7 {alloc(0x90)}",
        "12 7/7 task:task_newtask: pid=8 comm=x clone_flags=11 oom_score_adj=0",
    )
    _, found = convert(text, tmp_path)
    assert [(ev.KINDS[row["kind"]], row["flags"]) for row in only(found, ev.WRITE, ev.NEW)] == kinds
