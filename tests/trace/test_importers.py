"""Texts of tracers become the right events; damaged, foreign and ambiguous lines are recognised."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from texts import BASES, COPIED, PAGES, REUSED, SAMPLES, alloc, convert, fault, only, perf, rows

from foliolab.framework.contract.trace_records import Exit, Fault, Lost, Task, Torn
from foliolab.framework.errors import TraceFileError, UsageError
from foliolab.framework.plugins import registry
from foliolab.framework.trace import addressspaces, file, importers
from foliolab.framework.trace import events as ev
from foliolab.framework.trace.addressspaces import AddressSpaces
from foliolab.framework.trace.file import Trace
from foliolab.framework.trace.header import Header, Shows
from foliolab.framework.trace.importers import batch
from foliolab.framework.trace.importers.assembly import Assembly
from foliolab.framework.trace.importers.batch import Batch
from foliolab.framework.trace.importers.order import in_order
from foliolab.framework.trace.importers.spaces import Spaces
from foliolab.framework.trace.importers.summary import summarise


# -- real captures of a program whose outcomes are known --------------------------------------------
@pytest.mark.parametrize("form", ["perf", "bpftrace"])
def test_the_sample_has_exactly_the_copies_and_reuses_of_its_program(form: str, tmp_path: Path) -> None:
    header = importers.convert(SAMPLES / f"phases.{form}.txt", tmp_path / "t")
    assert header.source == form
    assert header.lost == 0
    found = [row for row in rows(tmp_path / "t") if BASES[form] <= row["page"] < BASES[form] + PAGES]
    outcomes = Counter((row["mm"], row["flags"]) for row in only(found, ev.WRITE))
    forks = only(rows(tmp_path / "t"), ev.FORK)
    parent, second = forks[0]["mm"], forks[1]["other"]
    assert outcomes == {(parent, COPIED): 8, (parent, REUSED): 24, (second, COPIED): 8}
    new = only(found, ev.NEW)
    assert sum(row["nr"] for row in new) == PAGES
    assert {row["order"] for row in new} == {0, 4}
    assert all(row["page"] % row["nr"] == 0 for row in new)
    assert [(row["page"], row["nr"]) for row in only(found, ev.UNMAP)] == [(BASES[form], PAGES // 2)]
    assert len(only(rows(tmp_path / "t"), ev.EXIT)) == len(only(rows(tmp_path / "t"), ev.GONE)) == 3


def test_snapshots_show_the_copies_between_them(tmp_path: Path) -> None:
    importers.convert(SAMPLES / "phases.snapshots.jsonl", tmp_path / "t")
    found = rows(tmp_path / "t")
    assert len(only(found, ev.FORK)) == 2
    child = only(found, ev.FORK)[1]["other"]
    copied = Counter(row["mm"] for row in only(found, ev.WRITE))
    assert copied[1] >= 8  # whole folios that were copied are seen as such, reuse is not seen at all
    assert copied[child] == 8
    assert all(row["flags"] & ev.UNCERTAIN for row in only(found, ev.WRITE))
    dropped = {page for row in only(found, ev.UNMAP) for page in range(row["page"], row["page"] + row["nr"])}
    assert dropped >= set(range(BASES["snapshots"], BASES["snapshots"] + PAGES // 2))


def snapshot(time: int, **runs: list[list[int]]) -> str:
    entries = [{"pid": int(pid[1:]), "parent": 1, "start": 5, "comm": "x", "runs": of} for pid, of in runs.items()]
    return json.dumps({"time": time, "processes": entries}) + "\n"


def test_what_the_kernel_collapsed_between_snapshots_is_no_copy(tmp_path: Path) -> None:
    head = json.dumps({"foliolab": "snapshots", "version": 1}) + "\n"
    kept = [0x300, 1, 77, 0]
    small = [[0x200, 2, 50, 0], [0x202, 14, 90, 0], kept]
    text = head + snapshot(1, p7=small) + snapshot(2, p7=[[0x200, 16, 0x100, 4], kept])
    _, found = convert(text + snapshot(3, p7=[[0x200, 15, 0x100, 4], [0x20F, 1, 7, 0], kept]), tmp_path)
    assert not [row for row in only(found, ev.WRITE) if row["time"] == 2]
    (copied,) = only(found, ev.WRITE)
    assert (copied["page"], copied["other"], copied["time"]) == (0x20F, 7, 3)
    with pytest.raises(TraceFileError, match=r"line 2: this is no snapshot"):
        convert(head + '{"time": 3}\n' + snapshot(4, p7=small), tmp_path)
    with pytest.raises(TraceFileError, match="newer than 1"):
        convert(head.replace("1}", "9}") + snapshot(1, p7=small), tmp_path)


def test_files_of_a_collector_that_was_started_again_follow_each_other(tmp_path: Path) -> None:
    head = json.dumps({"foliolab": "snapshots", "version": 1, "boot": "a"}) + "\n"
    first, second = (snapshot(time, p7=[[0x200, nr, 50, 0]]) for time, nr in ((1, 2), (5, 3)))
    text = head + first + first[:30] + "\n" + head + second
    header, found = convert(text, tmp_path)
    assert [(ev.KINDS[row["kind"]], row["time"], row["nr"]) for row in found] == [("present", 1, 2), ("present", 5, 1)]
    assert any(note.startswith("Line 3 was cut off where its collector ended") for note in header.notes)
    for more in (second, first[:9] + "\n" + head):
        with pytest.raises(TraceFileError, match="line 3: this is no snapshot"):
            convert(head + first + first[:30] + "\n" + more, tmp_path)
    header, found = convert(text + head.replace('"a"', '"b"') + first, tmp_path)
    assert len(found) == 2 and any("started again before line 6" in note for note in header.notes)


# -- what a fault's outcome is read from -------------------------------------------------------------
def test_outcomes(tmp_path: Path) -> None:
    _, found = convert(
        perf(
            f"10 7/7 {fault(0x10000, 7)}",
            f"11 7/7 {alloc(0x99)}",
            f"20 7/7 {fault(0x11000, 7)}",
            f"30 7/7 {fault(0x12ABC, 7)}",
            f"31 7/7 {alloc(0x98, 0, '|__GFP_ZERO')}",  # the zero page is replaced
            f"40 7/7 {fault(0x25000, 6)}",
            f"41 7/7 {alloc(0x100, 4)}",
            f"50 7/7 {fault(0x13000, 4)}",  # a read: its allocation is the page cache's
            f"51 7/7 {alloc(0x200)}",
            f"60 7/7 {fault(0x14000, 3, 'kernel')}",
        ),
        tmp_path,
    )
    assert [(r["kind"], r["page"], r["flags"], r["order"], r["nr"], r["other"]) for r in found] == [
        (ev.WRITE, 0x10, COPIED, 0, 1, 0x99),
        (ev.WRITE, 0x11, REUSED, 0, 1, 0),
        (ev.NEW, 0x12, 0, 0, 1, 0x98),
        (ev.NEW, 0x20, 0, 4, 16, 0x100),
        (ev.WRITE, 0x14, REUSED | ev.KERNEL, 0, 1, 0),
    ]


def test_a_page_for_the_page_cache_is_no_copy(tmp_path: Path) -> None:
    cached = "filemap:mm_filemap_add_to_page_cache: dev 254:0 ino 69 pfn=0x99 ofs=0 order=0"
    lines = [f"10 7/7 {fault(0x10000, 7)}", f"11 7/7 {alloc(0x99)}", f"12 7/7 {cached}"]
    assert convert(perf(*lines), tmp_path)[1][0]["flags"] == REUSED
    assert convert(perf(*lines, f"13 7/7 {alloc(0x9A)}"), tmp_path)[1][0]["flags"] == COPIED
    other = cached.replace("0x99", "0x55")
    assert convert(perf(*lines[:2], f"12 7/7 {other}"), tmp_path)[1][0]["flags"] == COPIED


def test_an_allocation_of_another_thread_or_after_a_system_call_is_no_copy(tmp_path: Path) -> None:
    _, found = convert(
        perf(
            f"10 7/7 {fault(0x10000, 7)}",
            f"11 7/8 {alloc(0x99)}",
            "12 7/7 syscalls:sys_enter_brk: brk: 0x00000000",
            f"13 7/7 {alloc(0x99)}",
        ),
        tmp_path,
    )
    assert [row["flags"] for row in found] == [REUSED]


def test_a_silent_thread_does_not_hold_the_others_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "FEW", 100)
    taken: list[ev.Events] = []
    assembly = Assembly(taken, AddressSpaces(os.devnull), Shows(allocations=True))
    assembly.run([Fault(0, 0, 7, 7, 0x10000, 7, False)])
    assembly.run(Fault(20_000 * i, 0, 8, 8, 0x20000 + 4096 * i, 7, False) for i in range(5000))
    done = ev.join(taken)
    assert done.size > 2000  # before the end
    assert (int(done.page[0]), int(done.flags[0])) == (0x10, REUSED)


def test_many_address_spaces_are_no_matter_of_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def text(forks: int) -> str:
        lines = ['7 1.000000 execve("/bin/server", [], 0x1) = 0']
        for child in range(10, 10 + forks):
            lines += [
                f"7 2.{child:06} fork() = {child}",
                f"{child} 2.{child:06} exit_group(0) = ?",
                f"{child} 2.{child:06} +++ exited with 0 +++",
            ]
        return "".join(f"{line}\n" for line in lines)

    (tmp_path / "text").write_text(text(20))
    few = importers.convert(tmp_path / "text", tmp_path / "t")
    assert [one.pid for one in few.mms] == [7, *range(10, 30)]
    monkeypatch.setattr(importers, "IN_HEADER", 8)
    monkeypatch.setattr(addressspaces, "IN_HEADER", 8)
    header = importers.convert(tmp_path / "text", tmp_path / "t")
    trace = Trace(tmp_path / "t")
    assert not header.mms and not trace.header.mms and not trace.damaged
    assert sorted(trace.spaces(), key=lambda one: one.mm) == few.mms
    monkeypatch.setattr(file, "RELEASED_BYTES", 64)
    assert sorted(trace.spaces(), key=lambda one: one.mm) == few.mms and not trace.damaged
    assert trace.nr_spaces == summarise(trace).processes == 21
    monkeypatch.setattr(addressspaces, "IN_HEADER", 1 << 20)
    alive, gone = Spaces(Batch([]), AddressSpaces(tmp_path)), 1000
    for child in range(10, 10 + gone):
        alive.task(Task(child, 0, 7, 7, child, 0, ""))
        alive.exit(Exit(child, 0, child, child, True))
        alive.torn(Torn(child, 0, child, child))
    assert len(alive) == 1 + gone
    sizes = {name: len(held) for name, held in vars(alive).items() if isinstance(held, dict | set)}
    assert max(sizes.values()) <= 1, sizes


def test_a_damaged_section_of_address_spaces_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importers, "IN_HEADER", 0)
    text = perf(f"10 7/7 {fault(0x10000, 7)}", f"11 7/7 {alloc(0x99)}", f"12 8/8 {fault(0x10000, 7)}")
    (tmp_path / "text").write_text(text)
    importers.convert(tmp_path / "text", tmp_path / "t")
    data = (tmp_path / "t").read_bytes()
    (tmp_path / "t").write_bytes(data.replace(b'{"mm":2', b'{"mm":3'))
    trace = Trace(tmp_path / "t")
    assert [one.mm for one in trace.spaces()] == [1, 3]
    assert trace.damaged == "the section of its address spaces fails its checksum"
    (tmp_path / "t").write_bytes(data.replace(b'{"mm":2', b'{!mm":2'))
    trace = Trace(tmp_path / "t")
    assert [one.mm for one in trace.spaces()] == [1] and "checksum" in trace.damaged
    assert len(trace) == sum(block.size for block in trace.blocks())


def test_repeated_records_of_perf_are_dropped(tmp_path: Path) -> None:
    line = f"10 7/7 {fault(0x10000, 7)}"
    header, found = convert(perf(line, line, f"11 7/7 {alloc(0x99)}"), tmp_path)
    assert [row["flags"] for row in found] == [COPIED]
    assert "1 records twice" in " ".join(header.notes)


# -- what a source does not show is unknown ----------------------------------------------------------
def test_without_allocations_no_outcome_is_known(tmp_path: Path) -> None:
    header, found = convert(perf(f"10 7/7 {fault(0x10000, 7)}", f"11 7/7 {fault(0x11000, 7)}"), tmp_path)
    assert [row["flags"] & ev.OUTCOME for row in found] == [0, 0]
    assert header.shows.faults and header.shows.allocations is header.shows.history is False
    assert any("copied a page or reused it" in sentence for sentence in header.shows.cannot_tell)
    assert [mm.earlier for mm in header.mms] == [True]


def test_the_first_allocation_decides_the_faults_before_it(tmp_path: Path) -> None:
    text = perf(f"10 7/7 {fault(0x10000, 7)}", f"11 7/7 {fault(0x11000, 6)}", f"12 7/7 {alloc(0x99)}")
    header, found = convert(text, tmp_path)
    assert [row["flags"] for row in only(found, ev.WRITE)] == [REUSED]
    assert header.shows.allocations


def test_a_task_without_flags_is_what_its_own_records_say(tmp_path: Path) -> None:
    fork = "sched:sched_process_fork: comm=prog pid=7 child_comm=prog child_pid="
    text = perf(
        f"10 7/7 {fork}8", f"11 7/8 {fault(0x10000, 6)}", f"12 7/8 {alloc(0x90, 4)}", f"20 7/7 {fork}9",
        f"21 9/9 {fault(0x11000, 7)}", f"22 9/9 {alloc(0x99)}", f"23 7/7 {fork}10",
    )  # fmt: skip
    header, found = convert(text, tmp_path)
    assert [(row["mm"], row["other"]) for row in only(found, ev.FORK)] == [(1, 3), (1, 4)]
    assert [mm.pid for mm in header.mms] == [7, 9, 10]
    # 9 may have been a vfork
    assert [row["flags"] for row in only(found, ev.WRITE)] == [COPIED | ev.UNCERTAIN]
    assert header.shows.threads is False


def test_a_source_implies_what_it_shows_in_old_traces_too() -> None:
    assert Header(source="strace").shows.faults is False
    assert Header(source="perf").shows == Shows()
    assert Header(source="snapshots", shows=Shows(history=True)).shows.history


# -- address spaces --------------------------------------------------------------------------------
def newtask(child: int, flags: int) -> str:
    return f"task:task_newtask: pid={child} comm=some prog clone_flags={flags:x} oom_score_adj=0"


def test_forks_threads_and_spawns(tmp_path: Path) -> None:
    _, found = convert(
        perf(
            f"10 7/7 {newtask(8, 0x1200000)}",
            "11 7/7 sched:sched_process_fork: comm=some prog pid=7 child_comm=some prog child_pid=8",
            f"12 7/7 {newtask(9, 0x3D0F00)}",
            "13 7/7 sched:sched_process_fork: comm=some prog pid=7 child_comm=some prog child_pid=9",
            f"14 7/9 {fault(0x10000, 7)}",
            f"20 7/7 {newtask(10, 0x4100)}",
            f"21 10/10 {fault(0x11000, 7)}",
            "22 10/10 sched:sched_prepare_exec: interp=x filename=x pid=10 comm=x",
            f"23 10/10 {fault(0x12000, 3, 'kernel')}",
            "24 10/10 sched:sched_process_exec: filename=x pid=10 old_pid=10",
            f"25 10/10 {fault(0x13000, 7)}",
            "30 7/9 sched:sched_process_exit: comm=x pid=9 prio=120 group_dead=false",
            "31 8/8 sched:sched_process_exit: comm=x pid=8 prio=120 group_dead=true",
            "35 7/7 syscalls:sys_exit_wait4: 0x8",
        ),
        tmp_path,
    )
    shown = [(row["kind"], row["mm"], row["other"]) for row in only(found, ev.FORK, ev.SPAWN, ev.EXEC)]
    assert shown == [(ev.FORK, 1, 2), (ev.SPAWN, 1, 3), (ev.EXEC, 3, 4)]
    assert [(row["mm"], row["page"]) for row in only(found, ev.WRITE)] == [(1, 16), (3, 17), (4, 18), (4, 19)]
    assert [(row["kind"], row["mm"]) for row in only(found, ev.EXIT, ev.GONE)] == [(ev.EXIT, 2), (ev.GONE, 2)]


def test_during_a_relatives_teardown_nothing_is_certain(tmp_path: Path) -> None:
    header, found = convert(
        perf(
            f"10 7/7 {newtask(8, 0)}",
            f"11 7/7 {fault(0x10000, 7)}",
            "20 8/8 sched:sched_process_exit: comm=x pid=8 prio=120 group_dead=true",
            f"21 7/7 {fault(0x11000, 7)}",
            f"22 7/7 {newtask(9, 0)}",
            "25 8/8 mmap:exit_mmap: mt_mod 0x1, DESTROY",
            f"26 7/7 {fault(0x12000, 7)}",
        ),
        tmp_path,
    )
    assert [bool(row["flags"] & ev.UNCERTAIN) for row in only(found, ev.WRITE)] == [False, True, False]
    assert [bool(row["flags"] & ev.UNCERTAIN) for row in only(found, ev.FORK)] == [False, True]
    assert header.exit_uncertainty_ns == 5000


def test_a_teardown_whose_end_is_not_seen_ends_all_the_same(tmp_path: Path) -> None:
    late = [f"{900_000 + i} 7/7 {fault(0x20000 + 4096 * i, 7)}" for i in range(3000)]
    text = perf(
        f"10 7/7 {newtask(8, 0)}",
        "20 8/8 sched:sched_process_exit: comm=x pid=8 prio=120 group_dead=true",
        *late,
    ).replace(" 10.90", " 12.90")
    header, found = convert(text, tmp_path)
    assert "1 teardown was not seen" in " ".join(header.notes)
    assert not found[-1]["flags"] & ev.UNCERTAIN


# -- system calls ----------------------------------------------------------------------------------
def call(time: int, name: str, args: str, result: int) -> list[str]:
    given = ", ".join(f"a: {arg}" for arg in args.split())
    return [
        f"{time} 7/7 syscalls:sys_enter_{name}: {given}",
        f"{time + 1} 7/7 syscalls:sys_exit_{name}: {result % (1 << 64):#x}",
    ]


def test_ranges(tmp_path: Path) -> None:
    _, found = convert(
        perf(
            *call(10, "munmap", "0x10000 0x1800", 0),
            *call(20, "munmap", "0x20000 0x1000", -22),
            *call(30, "madvise", "0x30000 0x2000 0x4", 0),
            *call(40, "madvise", "0x30000 0x2000 0xe", 0),
            *call(50, "brk", "0x0", 0x50000),
            *call(52, "brk", "0x4e000", 0x4E000),
            *call(60, "mremap", "0x60000 0x4000 0x2000 0x1", 0x80000),
            *call(70, "mmap", "0x90000 0x2000 0x3 0x32 0xffffffff", 0x90000),
        ),
        tmp_path,
    )
    assert [(row["kind"], row["page"], row["nr"], row["other"]) for row in found] == [
        (ev.UNMAP, 0x10, 2, 0),
        (ev.UNMAP, 0x30, 2, 0),
        (ev.UNMAP, 0x4E, 2, 0),
        (ev.UNMAP, 0x62, 2, 0),
        (ev.MOVE, 0x60, 2, 0x80),
        (ev.UNMAP, 0x90, 2, 0),
    ]


def test_writes_in_mappings_of_files_are_marked_also_in_children(tmp_path: Path) -> None:
    _, found = convert(
        perf(
            *call(10, "mmap", "0x0 0x4000 0x3 0x2 0x3", 0x10000),
            *call(12, "mmap", "0x0 0x4000 0x3 0x21 0xffffffff", 0x20000),
            *call(14, "mmap", "0x11000 0x1000 0x3 0x32 0xffffffff", 0x11000),
            f"20 7/7 {newtask(8, 0)}",
            *(f"{30 + i} 8/8 {fault(0x1000 * page, 7)}" for i, page in enumerate((0x10, 0x11, 0x12, 0x20, 0x24))),
            *(line.replace("7/7", "8/8") for line in call(38, "mmap", "0x0 0x1000 0x3 0x1 0x3", 0x30000)),
            *call(40, "munmap", "0x12000 0x1000", 0),
            f"50 7/7 {fault(0x12000, 7)}",
            f"51 7/7 {fault(0x30000, 7)}",
            f"52 8/8 {fault(0x12000, 7)}",
        ),
        tmp_path,
    )
    marked = [(row["mm"], row["page"]) for row in only(found, ev.WRITE) if row["flags"] & ev.FILE]
    assert marked == [(2, 0x10), (2, 0x12), (2, 0x20), (2, 0x12)]


@pytest.mark.parametrize(("orders", "rows_expected"), [((4, 4), 2), ((4, 0), 0), ((4, 4, 0), 0), ((3, 4, 3), 0)])
def test_populated_folios_are_known_if_they_fill_the_range(
    orders: tuple[int, ...], rows_expected: int, tmp_path: Path
) -> None:
    begin, end = call(10, "mmap", "0x0 0x20000 0x3 0x8022 0xffffffff", 0x100000)
    taken = [f"{20 + i} 7/7 {alloc(0x100 + 16 * i, order)}" for i, order in enumerate(orders)]
    header, found = convert(perf(begin, *taken, end.replace("11 ", "30 ", 1)), tmp_path)
    shown = [(row["page"], row["order"], row["other"]) for row in only(found, ev.NEW)]
    assert shown == [(0x100, 4, 0x100), (0x110, 4, 0x110)][:rows_expected]
    assert bool(rows_expected) or "populated in folios of unknown order" in " ".join(header.notes)


def test_a_partial_mprotect_splits_only_where_there_are_pmds(tmp_path: Path) -> None:
    protect = call(50, "mprotect", "0x40001000 0x1000 0x1", 0)
    whole = call(60, "mprotect", "0x40000000 0x200000 0x1", 0)
    assert only(convert(perf(f"1 7/7 {fault(0x0, 7)}", *protect), tmp_path)[1], ev.SPLIT) == []
    huge = [f"10 7/7 {fault(0x40001000, 6)}", f"11 7/7 {alloc(0x1000, 9)}"]
    split = only(convert(perf(*huge, *protect, *whole), tmp_path)[1], ev.SPLIT)
    assert [(row["page"], row["nr"]) for row in split] == [(0x40001, 1)]


# -- damaged, foreign and unordered texts ------------------------------------------------------------
def test_other_events_and_callchains_are_skipped_and_losses_counted(tmp_path: Path) -> None:
    text = (
        "# captured on: today\n"
        + perf(f"10 7/7 {fault(0x10000, 7)}", "11 7/7 sched:sched_switch: prev_comm=x ==> next_comm=y")
        + "\tffffffff8100 do_something ([kernel.kallsyms])\n\n"
        + " some prog 7/7 [001] 10.000020000: PERF_RECORD_LOST lost 1234\n"
        + perf(f"30 7/7 {fault(0x11000, 7)}")
    )
    header, found = convert(text, tmp_path)
    assert header.lost == 1234
    assert [row["kind"] for row in found] == [ev.WRITE, ev.LOST, ev.WRITE]
    assert found[1]["nr"] == 1234


def test_an_unreadable_event_is_named_with_its_line(tmp_path: Path) -> None:
    good = perf(f"10 7/7 {fault(0x10000, 7)}")
    bad = " some prog 7/7 [001] 10.000020000: exceptions:page_fault_user: address=0x1\n"
    with pytest.raises(TraceFileError, match=r"text, line 2: exceptions:page_fault_user cannot be read"):
        convert(good + bad + good, tmp_path)
    header, found = convert(good + bad, tmp_path)
    assert len(found) == 1
    assert "ends in the middle of line 2" in " ".join(header.notes)


@pytest.mark.parametrize("name", ["phases.perf.txt", "phases.bpftrace.txt", "phases.snapshots.jsonl"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=12)
@given(at=st.floats(0.25, 0.999))
def test_a_text_cut_off_anywhere_is_read_up_to_there(name: str, at: float, tmp_path: Path) -> None:
    text = (SAMPLES / name).read_text()
    header, found = convert(text[: int(len(text) * at)], tmp_path)
    assert all(a["time"] <= b["time"] for a, b in pairwise(found))
    assert found or header.notes


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(form=st.sampled_from(["perf", "bpftrace", "strace", "snapshots"]), text=st.text(max_size=300))
def test_any_text_is_read_or_refused(form: str, text: str, tmp_path: Path) -> None:
    try:
        convert(text, tmp_path, form)
    except TraceFileError as fault_:
        assert str(tmp_path) in fault_.what


def test_lines_out_of_order_are_sorted(tmp_path: Path) -> None:
    lines = (SAMPLES / "phases.bpftrace.txt").read_text().splitlines()
    first = convert("\n".join(lines), tmp_path)[1]
    head, body = lines[0], [line for line in lines[1:] if line[0].isdigit()]
    by_cpu = sorted(body, key=lambda line: line.split()[1])
    assert convert("\n".join([head, *by_cpu]), tmp_path)[1] == first


@given(st.lists(st.integers(0, 1000), max_size=60), st.integers(0, 1000))
def test_records_no_later_than_the_window_come_out_sorted(times: list[int], window: int) -> None:
    newest, kept = 0, []
    for time in times:
        newest = max(newest, time)
        if time >= newest - window:
            kept.append(time)
    assert [record.time for record in in_order((Lost(t, 1) for t in kept), window)] == sorted(kept)


# -- formats, plugins, interruption -----------------------------------------------------------------
@pytest.mark.parametrize("form", ["perf", "bpftrace", "strace", "snapshots"])
def test_formats_are_recognised_by_their_content(form: str) -> None:
    (sample,) = SAMPLES.glob(f"phases.{form}.*")
    assert importers.choose(importers.READERS, sample.read_text()[:65536], "x").name == form


def test_what_cannot_be_imported_says_so(tmp_path: Path) -> None:
    with pytest.raises(TraceFileError, match="is of no known format"):
        convert("once upon a time\n", tmp_path)
    with pytest.raises(TraceFileError, match="is empty"):
        convert("", tmp_path)
    with pytest.raises(TraceFileError, match="holds no event"):
        convert("once upon a time\n", tmp_path, "perf")
    with pytest.raises(UsageError, match="no trace format 'trance'"):
        convert("x", tmp_path, "trance")
    with pytest.raises(TraceFileError, match="there is no file"):
        importers.convert(tmp_path / "absent", tmp_path / "out")
    text = tmp_path / "text"
    text.write_text(perf(f"10 7/7 {fault(0, 7)}"))
    with pytest.raises(UsageError, match="overwritten by its own trace"):
        importers.convert(text, text)
    assert text.read_text().startswith(" some prog")


def test_a_plugin_reads_a_format_of_its_own(tmp_path: Path) -> None:
    plugin = tmp_path / "mine.py"
    text = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text()
    plugin.write_text(text.partition("```python trace-reader\n")[2].partition("```")[0])
    readers = importers.with_plugins(registry.load([plugin], strict=True).trace_readers.values())
    (tmp_path / "text").write_text("mine 5 7 16\nmine 6 7 17\n")
    header = importers.convert(tmp_path / "text", tmp_path / "out", readers=readers)
    assert header.source == "mine"
    assert [row["page"] for row in rows(tmp_path / "out")] == [16, 17]
    with pytest.raises(UsageError, match="two trace readers 'perf'"):
        importers.with_plugins([importers.READERS["perf"]])


def test_an_interrupted_import_leaves_what_there_is(tmp_path: Path) -> None:
    def records() -> Iterable[Exit]:
        yield Exit(1, 0, 7, 7, True)
        raise KeyboardInterrupt

    def more() -> Iterable[object]:
        yield Fault(1, 0, 7, 7, 0x1000, 7, False)
        yield from records()

    with pytest.raises(KeyboardInterrupt):
        importers.assemble(more(), tmp_path / "t", Header(source="x"))  # type: ignore[arg-type]
    assert not Trace(tmp_path / "t").damaged
    assert [row["kind"] for row in rows(tmp_path / "t")][:1] == [ev.WRITE]


def test_the_summary_counts(tmp_path: Path) -> None:
    importers.convert(SAMPLES / "phases.perf.txt", tmp_path / "t")
    summary = summarise(Trace(tmp_path / "t"))
    assert summary.kinds["fork"] == 2
    assert summary.outcomes["copied"] >= 16
    assert summary.folios[4] == 1
    assert summary.events == sum(summary.kinds.values())
    first = json.loads((SAMPLES / "phases.snapshots.jsonl").read_text().splitlines()[1])
    importers.convert(SAMPLES / "phases.snapshots.jsonl", tmp_path / "t")
    assert summarise(Trace(tmp_path / "t")).kinds["present"] >= len(first["processes"][0]["runs"])
