"""What a text or a trace asks for is checked before it is made, and a failed import changes nothing."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foliolab.framework.contract import trace_records as rec
from foliolab.framework.contract.trace_reader import TraceReader, TraceSource
from foliolab.framework.errors import FolioLabError, PluginError, TraceFileError, UsageError
from foliolab.framework.plugins import starter
from foliolab.framework.replay import survey
from foliolab.framework.trace import events as ev
from foliolab.framework.trace import importers
from foliolab.framework.trace.file import Trace, Writer
from foliolab.framework.trace.header import Header
from foliolab.framework.trace.importers import checked
from foliolab.framework.trace.importers.ranges import FileRanges
from foliolab.framework.trace.importers.summary import summarise

SAMPLES = Path(__file__).parent / "samples"
PERF = " prog 7/7 [001] 10.000010000: "
FAULT = PERF + "exceptions:page_fault_user: address=0x10000 ip=0x1 error_code=0x7\n"
BPF = "# foliolab bpftrace 1\n10 0 F 7 7 10000 7\n"
SNAPSHOTS = '{"foliolab": "snapshots", "version": 1}\n'
RUNS = '{"time":%d,"processes":[{"pid":7,"parent":1,"start":5,"comm":"x","runs":%s}]}\n'
AGAIN = FAULT.replace("10.000010000", "10.000020000")
GOOD = RUNS % (1, "[[16, 1, 5, 0]]")
USUAL_VALUE: dict[str, object] = {"_text": "brk", "_arguments": (7,), "_row_kind": ev.NEW}
STRACE = "7 1700000000.000001 munmap(0x10000, 4096) = 0\n"


def convert(text: str, folder: Path, form: str = "") -> Trace:
    (folder / "text").write_text(text)
    importers.convert(folder / "text", folder / "out.folio", form)
    return Trace(folder / "out.folio")


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        (FAULT + AGAIN.replace("7/7", "9999999999999/7"), 2, "the pid of Fault cannot be 9999999999999"),
        (FAULT + AGAIN.replace(" 10.", " 9999999999999."), 2, "the time of Fault cannot be"),
        (FAULT + AGAIN.replace("0x10000", "0x1" + 16 * "0"), 2, "the address of Fault cannot be"),
        (FAULT + AGAIN.replace("0x10000", "0xzz") + FAULT, 2, "are not those of this event"),
        (FAULT + PERF + "kmem:mm_page_alloc: pfn=0x9 order=64 migratetype=1 gfp_flags=x\n", 2, "the order of Alloc"),
        (FAULT + PERF + "task:task_newtask: pid=99999999999 comm=x clone_flags=0\n", 2, "the child of Task"),
        (BPF + "10 0 F -7 7 10000 7\n", 3, "the pid of Fault cannot be -7"),
        (BPF + "10 -1 F 7 7 10000 7\n", 3, "the cpu of Fault cannot be -1"),
        (BPF + "10 0 A 7 7 5 99999999 0\n", 3, "the order of Alloc cannot be 99999999"),
        (BPF + f"{'9' * 5000} 0 F 7 7 10000 7\n" + BPF, 3, "cannot be read"),
        (STRACE + f"7 {'9' * 30}.000001 munmap(0x10000, 4096) = 0\n", 2, "the time of Call"),
        (STRACE + f"7 1700000000.000001 munmap(0x{'f' * 3000}, 4096) = 0\n", 2, "the args of Call"),
        (STRACE + f"7 1700000000.000001 brk(NULL) = 0x{'f' * 20}\n", 2, "the result of Call"),
        (SNAPSHOTS + "[1]\n" + GOOD, 2, "this is no snapshot"),
        (SNAPSHOTS + GOOD + "{}\n", 3, "it has no time, or no processes"),
        (SNAPSHOTS + RUNS % (-5, "[]"), 2, "Expected `int` >= 0"),
        (SNAPSHOTS + RUNS % (10**40, "[]"), 2, "this is no snapshot"),
        (SNAPSHOTS + RUNS % (1, "[[0, 134217728, 1, 0]]"), 2, "134,217,728 pages, and 1,048,576 are read at most"),
        (SNAPSHOTS + RUNS % (1, "[[0, 4, 4, 200]]"), 2, "<= 31"),
        (SNAPSHOTS + RUNS % (1, "[[0, 5, 4, 2]]"), 2, "longer than its folio"),
        (SNAPSHOTS + RUNS % (1, "[[1, 2, 4, 0], [2, 1, 9, 0]]"), 2, "not in ascending order"),
        (SNAPSHOTS + GOOD + "[" * 100_000 + "\n" + GOOD, 3, "this is no snapshot"),
        (SNAPSHOTS + GOOD.replace('"pid":7', '"pid":1e3') + GOOD, 2, "got `float`"),
    ],
)
def test_an_impossible_line_is_named_and_the_old_trace_stays(text: str, line: int, why: str, tmp_path: Path) -> None:
    out = tmp_path / "out.folio"
    out.write_bytes(b"the old one")
    with pytest.raises(TraceFileError, match=rf"text, line {line}: .*{why}"):
        convert(text, tmp_path)
    assert out.read_bytes() == b"the old one"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.folio", "text"]
    out.unlink()
    with pytest.raises(TraceFileError):
        convert(text, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["text"]


LONG = [
    " ", "\t ", "7", "7 ", "x", "(", ")", " = ", "=", "a=0x1 ", "address=1 ", "pid=1 comm=", "pfn=", "0x1", ": ",
    "[1] ", "1.", "1.1: ", "lost ", "PERF_RECORD_LOST ", "Lost ", '"', ",", "{", "[pid ", "<... x resumed>", "7/7 [1] ",
]  # fmt: skip


@pytest.mark.parametrize("form", importers.READERS)
def test_the_time_for_a_line_grows_with_its_length(form: str) -> None:
    """With a pattern that backtracks, a line of 100,000 characters takes minutes."""
    reader = importers.READERS[form]
    fault = "x-7 [001] 10.000001: page_fault_user: "
    traced = "1.5 x/7 kmem:mm_page_alloc("
    before = {
        "perf": FAULT.rstrip("\n"),
        "ftrace": fault,
        "perf-trace": traced,
        "strace": STRACE.partition("munmap")[0],
        "bpftrace": "10 0 F 7 7 ",
    }
    call = "7 1700000000.000001 munmap(0x10000"
    for start in ("", before.get(form, ""), call):
        for part in LONG:
            line = start + part * (100_000 // len(part)) + "\n"
            reader.recognise(line)
            source = TraceSource("text", [line, "\n", "\n"])
            try:
                list(reader.read(source))
            except FolioLabError as fault:
                assert "line 1" in fault.what


def test_many_threads_take_no_longer_each() -> None:
    """With a search among all threads for each, 15,000 of them take a minute."""
    new = (f"{tid} 1700000000.000001 munmap(0x10000, 4096) = 0\n" for tid in range(1, 15_000))
    ends = (f"{tid} 1700000000.000002 +++ exited with 0 +++\n" for tid in range(1, 15_000))
    records = list(importers.READERS["strace"].read(TraceSource("text", [*new, *ends])))
    assert sum(isinstance(record, rec.Torn) for record in records) == 14_999


def test_the_oldest_of_two_forks_under_way_is_taken_for_the_parent() -> None:
    lines = [
        "7 1700000000.000001 vfork( <unfinished ...>\n",
        "9 1700000000.000002 vfork( <unfinished ...>\n",
        "9 1700000000.000003 <... vfork resumed>) = 10\n",
        "9 1700000000.000004 vfork( <unfinished ...>\n",
        "11 1700000000.000005 exit_group(0) = ?\n",
        "12 1700000000.000006 exit_group(0) = ?\n",
    ]
    source = TraceSource("text", lines)
    tasks = [record for record in importers.READERS["strace"].read(source) if isinstance(record, rec.Task)]
    assert [(task.pid, task.child) for task in tasks] == [(7, 9), (9, 10), (9, 11)]


def test_an_address_that_strace_prints_is_read(tmp_path: Path) -> None:
    text = "7 1700000000.000001 mmap(0x7fab30cb2000, 8192, PROT_READ, MAP_PRIVATE|MAP_FIXED, 3, 0) = 0x7fab30cb2000\n"
    (row,) = (row for block in convert(text, tmp_path).blocks() for row in block.rows())
    assert (row["kind"], row["page"], row["nr"]) == (ev.UNMAP, 0x7FAB30CB2, 2)


@given(st.lists(st.tuples(st.sampled_from(["add", "remove", "move"]), st.integers(0, 9), st.integers(0, 9))))
def test_a_copy_of_ranges_is_its_own(steps: list[tuple[str, int, int]]) -> None:
    ranges = FileRanges()
    ranges.add(2, 8)
    known = [ranges.copy()]
    for name, start, length in steps:
        if name == "move":
            ranges.move(start, length, 20)
        else:
            getattr(ranges, name)(start, start + length)
        known.append(ranges.copy())
    again = FileRanges()
    again.add(2, 8)
    for (name, start, length), copy in zip(steps, known[1:], strict=True):
        if name == "move":
            again.move(start, length, 20)
        else:
            getattr(again, name)(start, start + length)
        assert (again.starts, again.ends) == (copy.starts, copy.ends)


# -- readers of plugins -----------------------------------------------------------------------------
def a_reader(read: Callable[[TraceSource], Iterator[rec.Record]]) -> dict[str, TraceReader]:
    return {"mine": TraceReader("mine", "mine", lambda head: True, read)}


def _raises(source: TraceSource) -> Iterator[rec.Record]:
    for line in source:
        yield rec.Fault(int(line), 0, 7, 7, 0x10000, 7, False)


def _exits(source: TraceSource) -> Iterator[rec.Record]:
    yield from (rec.Lost(1, 1) for _ in source)
    raise SystemExit(0)


def _nothing(source: TraceSource) -> None:
    return None


@pytest.mark.parametrize(
    ("read", "says"),
    [
        (_raises, "line 2: ValueError: .*test_hostile.py:"),
        (_exits, "line 3: SystemExit: 0"),
        (_nothing, "TypeError: .*not iterable"),
    ],
)
def test_a_reader_that_fails_is_named_with_its_line(
    read: Callable[[TraceSource], Iterator[rec.Record]], says: str, tmp_path: Path
) -> None:
    (tmp_path / "text").write_text("1\nx\n3\n")
    with pytest.raises(PluginError, match=f"trace reader mine: read fails on .*text.*{says}") as caught:
        importers.convert(tmp_path / "text", tmp_path / "out", readers=a_reader(read))
    assert caught.value.exit_code == 4
    assert ("line is: x;" in caught.value.hint) == (read is _raises)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("record", "says"),
    [
        (rec.Fault(1, 0, 7, 7, 1.5, 7, False), "the address of Fault cannot be 1.5"),  # type: ignore[arg-type]
        (rec.Name(1, 7, None), "the comm of Name cannot be None"),  # type: ignore[arg-type]
        (rec.Name(1, 7, "x" * 5000), "the comm of Name cannot be 'xxx"),
        (rec.Row(1, 7, ev.FORK, 0, 0, 0, 0, 9), "the kind of Row cannot be 2"),
        (rec.Row(1, 7, 99, 0, 0, 0, 0, 9), "the kind of Row cannot be 99"),
        (rec.Enter(1, 0, 7, 7, "munmap", (1, -1)), "the args of Enter"),
        ("a string", "the reader yields 'a string', which is no record"),
    ],
)
def test_a_reader_that_yields_nonsense_is_told_so(record: rec.Record, says: str, tmp_path: Path) -> None:
    def read(source: TraceSource) -> Iterator[rec.Record]:
        yield from (record for _ in source)

    (tmp_path / "text").write_text("1\n")
    with pytest.raises(TraceFileError, match=f"line 1: {says}"):
        importers.convert(tmp_path / "text", tmp_path / "out", readers=a_reader(read))


def test_what_is_surely_possible_is_possible() -> None:
    surely = 0
    for kind, limits in checked.LIMITS.items():
        usual = [limit - 1 if isinstance(limit, int) else USUAL_VALUE.get(limit.__name__, 1) for limit in limits]
        for at, limit in enumerate(limits):
            if limit is checked._text:
                continue  # FolioLab's own readers make texts of texts
            beyond = limit if isinstance(limit, int) else 1 << 70
            for value in (usual[at], -5000, beyond, None, 0.5, (1, -1), (1 << 70,)):
                record = kind(*usual[:at], value, *usual[at + 1 :])
                surely += (said := checked._surely_possible(record))
                assert not (said and checked.problem(record)), record
    assert surely > len(checked.LIMITS)


def test_integers_of_numpy_are_integers(tmp_path: Path) -> None:
    fields: Any = (np.int64(5), 0, 7, 7, np.uint64(0x10000), 7, False)

    def read(source: TraceSource) -> Iterator[rec.Record]:
        yield from (rec.Fault._make(fields) for _ in source)

    (tmp_path / "text").write_text("1\n")
    importers.convert(tmp_path / "text", tmp_path / "out", readers=a_reader(read))
    assert summarise(Trace(tmp_path / "out")).kinds == {"write": 1}


def test_a_reader_that_cannot_recognise_is_asked_for_nothing_that_another_knows(tmp_path: Path) -> None:
    def fails(head: str) -> bool:
        raise RuntimeError("no idea")

    broken = TraceReader("mine", "mine", fails, _raises)
    (tmp_path / "text").write_text(FAULT)
    importers.convert(tmp_path / "text", tmp_path / "out", readers={"mine": broken, **importers.READERS})
    with pytest.raises(PluginError, match="recognise fails: RuntimeError: no idea"):
        importers.choose({"mine": broken}, FAULT, "text")


def test_records_that_make_no_event_are_refused_with_the_reason(tmp_path: Path) -> None:
    absent = FAULT.replace("0x7", "0x6")
    with pytest.raises(TraceFileError, match="no allocation follows any of the 1 write faults"):
        convert(absent, tmp_path)
    with pytest.raises(TraceFileError, match="no write fault, fork, exec, exit or unmap"):
        convert(FAULT.replace("0x7", "0x5"), tmp_path)
    assert not (tmp_path / "out.folio").exists()


def test_the_scaffold_of_a_reader_imports_its_own_example(tmp_path: Path) -> None:
    scope: dict[str, object] = {}
    exec(starter.text("my-reader", "reader.py"), scope)
    reader = scope["READER"]
    assert isinstance(reader, TraceReader)
    text = starter.text("my-reader", "example.txt")
    (tmp_path / "text").write_text(text)
    importers.convert(tmp_path / "text", tmp_path / "out", readers={reader.name: reader})
    assert summarise(Trace(tmp_path / "out")).kinds == {"new": len(text.splitlines())}


# -- pipes ------------------------------------------------------------------------------------------
def fed(path: Path, content: bytes) -> threading.Thread:
    thread = threading.Thread(target=path.write_bytes, args=(content,))
    thread.start()
    return thread


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no FIFOs")
def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    pipe, out = tmp_path / "pipe", tmp_path / "out.folio"
    os.mkfifo(pipe)
    content = (SAMPLES / "phases.perf.txt").read_bytes()
    thread = fed(pipe, content)
    importers.convert(pipe, out)
    thread.join()
    importers.convert(SAMPLES / "phases.perf.txt", tmp_path / "other")
    kinds = summarise(Trace(tmp_path / "other")).kinds
    assert summarise(Trace(out)).kinds == kinds
    with pytest.raises(UsageError, match="not a file"):
        importers.target(pipe)
    thread = fed(pipe, out.read_bytes())
    assert [summarise(Trace(pipe)).kinds for _ in range(2)] == [kinds, kinds]
    thread.join()


def test_a_pipe_that_is_no_trace_is_not_read_to_its_end() -> None:
    if not Path("/dev/zero").exists():
        pytest.skip("there is no /dev/zero")
    with pytest.raises(TraceFileError, match="is no trace"):
        Trace("/dev/zero")


# -- traces -----------------------------------------------------------------------------------------
def trace(folder: Path, *parts: ev.Events) -> Trace:
    with Writer(folder / "t", Header()) as writer:
        for part in parts:
            writer.append(part)
    return Trace(folder / "t")


def surveyed(found: Trace) -> survey.Survey:
    summarise(found)
    return survey.survey(found, lambda phase, done, total: None)


MOST: dict[str, Any] = {name: np.iinfo(ev.COLUMNS[name]).max for name in ("flags", "order", "page", "nr", "other")}


@pytest.mark.parametrize("kind", [*range(ev.LAST_KIND + 2), 255])
def test_columns_full_of_ones_are_counted_or_refused(kind: int, tmp_path: Path) -> None:
    some: tuple[dict[str, Any], ...] = ({}, {"page": 512}, {"other": 5}, {"order": 9}, {"order": 0, "page": 0})
    for column in some:
        events = ev.columns(**{"time": [0, 1, 2], "kind": kind, "mm": 1, **MOST, **column})
        try:
            surveyed(trace(tmp_path, events))
        except TraceFileError as fault:
            assert fault.what.startswith(str(tmp_path))


def test_more_frames_than_can_be_replayed_are_refused_before_anything_is_made(tmp_path: Path) -> None:
    snapshot: dict[str, Any] = {"kind": ev.PRESENT, "mm": [1, 2, 3], "time": [0, 0, 0], "nr": 3 << 20}
    shared = trace(tmp_path, ev.columns(**snapshot, page=1 << 20, other=1 << 30))
    assert surveyed(shared).slots == 4  # three MMs map the same frames
    for other in ([1 << 30, 1 << 31, 1 << 32], 0):
        with pytest.raises(TraceFileError, match=r"36,864 MiB are mapped at once, 32,768 MiB can be replayed"):
            surveyed(trace(tmp_path, ev.columns(**snapshot, page=1 << 20, other=other)))
    with pytest.raises(TraceFileError, match="are mapped at once"):
        surveyed(trace(tmp_path, ev.columns(time=[0], kind=ev.MAP, mm=1, page=512, nr=1 << 31, other=7)))


def test_long_rows_are_bounded(tmp_path: Path) -> None:
    many = np.arange(5000)
    rows: dict[str, Any] = {"kind": ev.MAP, "mm": 1, "nr": 8 << 20, "other": 1, "time": many}
    with pytest.raises(TraceFileError, match="more address space"):
        surveyed(trace(tmp_path, ev.columns(**rows, page=512)))
    with pytest.raises(TraceFileError, match="windows of 2 MiB"):
        surveyed(trace(tmp_path, ev.columns(**rows, page=512 + (many << 23))))
    moves = [
        ev.columns(time=many, kind=ev.NEW, mm=1, page=many << 9),
        ev.columns(time=5000 + many, kind=ev.MOVE, mm=1, page=0, nr=5000 << 9, other=(5000 + many * 5000) << 9),
    ]
    with pytest.raises(TraceFileError, match=r"more address space|windows of 2 MiB"):
        surveyed(trace(tmp_path, *moves))


@given(st.lists(st.tuples(st.sampled_from(["exit", "gone", "fork"]), st.integers(1, 6)), max_size=60))
def test_forks_during_a_teardown_are_those_of_the_definition(steps: list[tuple[str, int]]) -> None:
    teardowns, exiting, gone = survey._Teardowns(), set[int](), set[int]()
    forks: list[tuple[int, frozenset[int]]] = []
    for number, (what, mm) in enumerate(steps):
        if what == "exit":
            teardowns.begin(1, mm)
            exiting.add(mm)
        elif what == "gone":
            teardowns.end(1, mm)
            exiting.discard(mm)
            gone.add(mm)
        else:
            teardowns.forked(1, number)
            forks.append((number, frozenset(exiting)))
    assert teardowns.unsure(gone) == [child for child, during in forks if not during.isdisjoint(gone)]


# -- what is documented -----------------------------------------------------------------------------
def test_the_documentation_has_every_event_and_record() -> None:
    text = (Path(__file__).parents[2] / "docs" / "traces.md").read_text()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    kinds = {int(row[0]): row[1] for row in cells if row[0].isdigit() and len(row) == 4}
    assert kinds == ev.KINDS
    flags = [int(row[0]) for row in cells if row[0].isdigit() and len(row) == 2]
    assert flags == [ev.REUSED, ev.COPIED, ev.UNCERTAIN, ev.KERNEL, ev.FILE, ev.REMEMBERED, ev.HAS_SLOT]
    named = {row[0].strip("`"): row[1] for row in cells if row[0].startswith("`")}
    columns = {name: str(8 * kind.itemsize) for name, kind in ev.COLUMNS.items()}
    assert {name: named[name] for name in columns} == columns
    records = {kind.__name__: kind._fields for kind in rec.Record.__args__}
    assert {name: tuple(named[name].replace("`", "").split(", ")) for name in records} == records
