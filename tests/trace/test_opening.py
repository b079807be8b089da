"""What `foliolab import` finds inside a file: compressed texts, recordings of tools, and texts that are no trace."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from foliolab.framework.errors import TraceFileError, UsageError
from foliolab.framework.trace import importers
from foliolab.framework.trace.file import Trace
from foliolab.framework.trace.header import Header
from foliolab.framework.trace.importers import opening

SAMPLE = Path(__file__).with_name("samples") / "phases.perf.txt"
EVENTS = 342


def convert(data: bytes, folder: Path, form: str = "") -> Header:
    (folder / "text").write_bytes(data)
    return importers.convert(folder / "text", folder / "out.folio", form)


@pytest.mark.parametrize(
    "compress", [gzip.compress, lzma.compress, bz2.compress, lambda d: gzip.compress(bz2.compress(d))]
)
def test_a_compressed_text_is_opened_also_from_a_pipe(compress: Callable[[bytes], bytes], tmp_path: Path) -> None:
    data = compress(SAMPLE.read_bytes())
    read, write = os.pipe()
    assert os.write(write, data) == len(data) < 1 << 16  # a pipe holds as much
    os.close(write)
    importers.convert(f"/dev/fd/{read}", tmp_path / "t")
    os.close(read)
    assert len(Trace(tmp_path / "t")) == EVENTS


def test_a_damaged_compressed_text_leaves_the_old_trace(tmp_path: Path) -> None:
    (tmp_path / "out.folio").write_bytes(b"the old one")
    data = bytearray(gzip.compress(SAMPLE.read_bytes()))
    data[-300] ^= 0xFF
    with pytest.raises(TraceFileError, match="text is damaged"):
        convert(bytes(data), tmp_path)
    assert (tmp_path / "out.folio").read_bytes() == b"the old one"


@pytest.mark.parametrize("compress", [gzip.compress, lzma.compress])
def test_of_a_compressed_text_that_was_cut_off_the_beginning_is_read(
    compress: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    data = compress(SAMPLE.read_bytes())
    notes = convert(data[: len(data) // 2], tmp_path).notes
    assert [note for note in notes if "compressed file was cut off" in note] == notes[:1]
    assert 0 < len(Trace(tmp_path / "out.folio")) < EVENTS


def test_the_end_of_a_text_that_was_cut_off_is_noted(tmp_path: Path) -> None:
    text = SAMPLE.read_bytes()
    whole = text.splitlines(keepends=True)
    notes = convert(b"".join(whole[:300]) + whole[300][:30], tmp_path).notes
    assert "Line 301, the last one, has no end: the text may have been cut off there." in notes


@pytest.mark.parametrize(("magic", "tool"), [(b"\x28\xb5\x2f\xfd", "zstd"), (b"\x04\x22\x4d\x18", "lz4")])
def test_what_python_cannot_unpack_a_tool_does(
    magic: bytes, tool: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "_COMPRESSIONS", {b"\x1f\x8b": opening._COMPRESSIONS[b"\x1f\x8b"]})
    monkeypatch.setenv("PATH", str(tmp_path))
    data = magic + bytes(1000)
    with pytest.raises(TraceFileError, match=f"{tool} is not installed here"):
        convert(data, tmp_path)
    program = tmp_path / tool
    (tmp_path / "packed").write_bytes(gzip.compress(SAMPLE.read_bytes()))
    program.write_text(
        f'#!/bin/sh\ncase "$*" in "-dcq -- "*) ;; *) exit 1;; esac\nexec /bin/cat {tmp_path / "packed"}\n'
    )
    program.chmod(0o755)
    convert(data, tmp_path)
    assert len(Trace(tmp_path / "out.folio")) == EVENTS


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_a_text_may_have_a_byte_order_mark(encoding: str, tmp_path: Path) -> None:
    convert(SAMPLE.read_text().encode(encoding), tmp_path)
    assert len(Trace(tmp_path / "out.folio")) == EVENTS


def test_a_page_of_a_list_archive_loses_nothing(tmp_path: Path) -> None:
    convert(b"<html><body><pre>\n" + SAMPLE.read_bytes() + b"</pre></body></html>\n", tmp_path)
    assert len(Trace(tmp_path / "out.folio")) == EVENTS


@pytest.mark.parametrize(
    ("tool", "magic", "words"),
    [("perf", b"PERFILE2", "script --ns"), ("trace-cmd", b"\x17\x08Dtracing", "report -t -i")],
)
def test_a_recording_is_given_to_its_tool(
    tool: str, magic: bytes, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    data = magic + bytes(1000)
    with pytest.raises(TraceFileError, match=f"{tool} is not installed here") as refused:
        convert(data, tmp_path)
    assert f"{tool} {words}" in refused.value.hint
    program = tmp_path / tool
    program.write_text(f'#!/bin/sh\ncase "$*" in "{words}"*) ;; *) exit 1;; esac\nexec /bin/cat {SAMPLE}\n')
    program.chmod(0o755)
    convert(data, tmp_path)
    convert(gzip.compress(data), tmp_path)
    assert len(Trace(tmp_path / "out.folio")) == EVENTS
    program.write_text("#!/bin/sh\necho it is broken >&2; exit 3\n")
    with pytest.raises(TraceFileError, match="it is broken"):
        convert(data, tmp_path)


def test_the_trace_in_a_page_of_systrace_is_found(tmp_path: Path) -> None:
    line = "  x-7     (    7) [001] d...  10.000010: sched_process_fork: comm=x pid=7 child_comm=x child_pid=8\n"
    page = f"<!DOCTYPE html>\n<script>{'x' * 300_000}</script>\n<script># tracer: nop\n#\n{line * 3}"
    assert convert((page + line).encode(), tmp_path).source == "ftrace"


def test_a_text_that_a_mail_quotes_is_read(tmp_path: Path) -> None:
    text = "> 7 12:00:00 fork() = 8\n> 8 12:00:01 exit_group(0) = ?\n"
    assert convert(text.encode(), tmp_path).source == "strace"


@pytest.mark.parametrize(
    ("text", "what", "instead"),
    [
        ("00400000-7fff3000 ---p 00000000 00:00 0    [rollup]\nRss:    70652 kB\n", "smaps_rollup", "snapshots"),
        ("00400000-7fff3000 rw-p 00000000 00:00 0 \nSize: 4 kB\nRss:   4 kB\n", "smaps of", "snapshots"),
        ("00400000-7fff3000 rw-p 00000000 00:00 0 \n", "maps of", "snapshots"),
        ("             flags\tpage-count       MB  symbolic-flags\n", "page-types", "snapshots"),
        ("voffset\toffset\tlen\tflags\n", "page-types", "snapshots"),
        ("offset\tlen\tflags\n15\t1\t___U_lA____Ma_b\n", "page-types", "snapshots"),
        ("Name:\tbash\nVmRSS:\t    3400 kB\n", "sums of memory", "snapshots"),
        ("0   addr 85.541 TiB   size 10.000 MiB access 0 %   age 2.1 s\n", "DAMON", "perf"),
        ("==1== Cachegrind, a cache profiler\n==1== I   refs:      171,000\n", "tool of valgrind", "perf"),
        ("           3           1:     1234 write        8 byte(s) @ 0x7f by PC 0x7f\n", "DynamoRIO", "perf"),
        ("@[bash]: 12\n@[python]: 4\n", "bpftrace program", "bpftrace"),
        ("bash;main;do_fork;dup_mm 12\n", "folded", "perf"),
        ("x 7/7 [001] exceptions:page_fault_user: address=0x1 ip=0x0 error_code=0x4\n", "without their times", "time,"),
        ("x 7/7 [001] 1.5: address=0x1 ip=0x0 error_code=0x4\n", "without their names", "event,"),
        ("[001] 1.5: exceptions:page_fault_user: address=0x1 ip=0x0 error_code=0x4\n", "without their tasks", "pid,"),
        ("# tracer: function_graph\n 0)   |  /* page_fault_user: address=0x1 */\n", "tracer of functions", "nop"),
        ("# tracer: nop\n  x-7       0d..2. 12us : page_fault_user: address=0x1\n", "latency format", "latency"),
        ("x 7 [000] 1.5: damon:damon_aggregated: target_id=0 nr_regions=10\n", "DAMON", "perf"),
        (" S 00602264,1\n L 00602260,4\nI  04000720,2\n", "lackey", "perf"),
        ("0x7f20: W 0x7ffe10\n0x7f24: R 0x7ffe18\n#eof\n", "Pin", "perf"),
        ("tasks,processes,processes_idle,threads,threads_idle,linear\n0,0,100,0,100,0\n", "will-it-scale", "compare"),
        ("Average: 0.004997\n", "pte-mapped-folio-benchmarks", "compare"),
        ("1073741824 bytes / 812345 usecs = 1290000 KB/s\n", "vm-scalability", "compare"),
        ("x 7 10.5:    1   page-faults:u:   7fda3ea48290\n", "counts in software", "perf"),
        ("Attaching 1 probe...\n999 7 x 7f95088a3b70 14\n", "bpftrace program", "bpftrace"),
        (" 0.000 ( 0.000 ms): x/7 minfault [main+0x2] => 0x55ea (?k)\n", "perf trace -F", "perf"),
        ("% time     seconds  usecs/call     calls    errors syscall\n", "strace -c", "strace"),
        ("x 7/7 [000] 1.5: sched:sched_switch: prev_comm=x\n", r"events \(sched:sched_switch\)", "perf"),
        ('{"kind": "compare"}\n', "JSON", "report"),
        ("<html><body>hello</body></html>\n", "HTML", "perf"),
        ("once upon a time\n", "it begins with: once upon a time", "perf"),
    ],
)
def test_a_text_that_is_no_trace_is_named_with_what_to_do(text: str, what: str, instead: str, tmp_path: Path) -> None:
    with pytest.raises(TraceFileError, match=what) as refused:
        convert(text.encode(), tmp_path)
    assert instead in refused.value.hint
    with pytest.raises(TraceFileError) as forced:
        convert(text.encode(), tmp_path, "perf")
    assert "name another" not in forced.value.hint


@pytest.mark.parametrize(
    ("data", "what"), [(b"\x7fELF" + bytes(50), "is a program"), (b"ab\0cd" * 9, "is no text"), (b"", "is empty")]
)
def test_what_is_no_text_is_said(data: bytes, what: str, tmp_path: Path) -> None:
    with pytest.raises(TraceFileError, match=what):
        convert(data, tmp_path)


def test_a_trace_is_not_imported_again(tmp_path: Path) -> None:
    convert(SAMPLE.read_bytes(), tmp_path)
    with pytest.raises(UsageError, match="is a trace already"):
        importers.convert(tmp_path / "out.folio", tmp_path / "again.folio")


def test_progress_is_told_of_a_long_text(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(SAMPLE.read_bytes() + b"\n" * 70_000)
    told: list[tuple[int, int]] = []
    importers.convert(tmp_path / "text", tmp_path / "t", tell=lambda done, total: told.append((done, total)))
    assert told
    assert all(0 < done <= total == (tmp_path / "text").stat().st_size for done, total in told)
