"""The trace file: written events are read back, and a damaged file is read up to the damage, which is reported."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foliolab.framework.errors import ExitCode, TraceFileError
from foliolab.framework.trace import events as ev
from foliolab.framework.trace import file
from foliolab.framework.trace.file import Trace, Writer
from foliolab.framework.trace.header import AddressSpace, Header

HEADER = Header(source="perf", command="redis-server --save ''", kernel="6.18.0", mm_id=True)


def some(nr: int, start: int = 0, seed: int = 1) -> ev.Events:
    """Random events."""
    random = np.random.default_rng(seed)
    given = {name: random.integers(0, 1 << 8 * kind.itemsize, nr, kind) for name, kind in ev.COLUMNS.items()}
    return ev.columns(**{**given, "time": start + np.sort(random.integers(0, 1 << 30, nr))})


def whole(trace: Trace) -> ev.Events:
    """All events of a trace, copied from the mapped memory."""
    return ev.join([block.part(np.arange(block.size)) for block in trace.blocks()])


def same(one: ev.Events, other: ev.Events) -> bool:
    return list(one.rows()) == list(other.rows())


def write(path: Path, *parts: ev.Events, header: Header = HEADER) -> Path:
    with Writer(path, header) as writer:
        for part in parts:
            writer.append(part)
    return path


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 40), max_size=6), st.integers(1, 50))
def test_what_goes_in_comes_out(tmp_path: Path, sizes: list[int], block: int) -> None:
    parts = [some(size, i << 31, i) for i, size in enumerate(sizes)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(file, "BLOCK_EVENTS", block)
        trace = Trace(write(tmp_path / "t", *parts))
        assert len(trace) == sum(sizes)
        assert all(part.size == block for part in list(trace.blocks())[:-1])
        assert same(whole(trace), ev.join(parts))
        assert trace.damaged == ""
        assert trace.header == HEADER


def test_blocks_are_views_of_the_file(tmp_path: Path) -> None:
    trace = Trace(write(tmp_path / "t", some(1000)))
    (block,) = trace.blocks()
    assert not any(column.flags.owndata or column.flags.writeable for column in block)
    assert all(column.ctypes.data % 8 == 0 for column in block), "each column begins at a multiple of 8"
    assert trace.span == (int(block.time[0]), int(block.time[-1]))


def test_the_header_that_is_known_at_the_end_counts(tmp_path: Path) -> None:
    with Writer(tmp_path / "t", Header(source="perf")) as writer:
        writer.append(some(5))
        writer.header = Header(source="perf", lost=7, mms=[AddressSpace(mm=1, pid=4711, comm="redis-server")])
    assert Trace(tmp_path / "t").header == writer.header


def test_an_empty_trace(tmp_path: Path) -> None:
    trace = Trace(write(tmp_path / "t"))
    assert (len(trace), list(trace.blocks()), trace.span, trace.damaged) == (0, [], (0, 0), "")


def test_times_must_not_go_back(tmp_path: Path) -> None:
    with Writer(tmp_path / "t", HEADER) as writer:
        writer.append(ev.columns(time=[5, 5, 6], kind=ev.NEW))
        for times in ([5], [7, 6]):
            with pytest.raises(TraceFileError, match="goes back"):
                writer.append(ev.columns(time=times, kind=ev.NEW))
        writer.append(ev.columns(time=[6], kind=ev.NEW))
    assert whole(Trace(tmp_path / "t")).time.tolist() == [5, 5, 6, 6]


def test_columns_must_be_equally_long(tmp_path: Path) -> None:
    uneven = ev.columns(time=[1, 2])._replace(page=np.zeros(3, np.uint64))
    with Writer(tmp_path / "t", HEADER) as writer, pytest.raises(TraceFileError, match="differ in length"):
        writer.append(uneven)
    with pytest.raises(ValueError, match="no column where"):
        ev.columns(where=1)
    with pytest.raises(OverflowError):
        ev.columns(order=300)


@pytest.mark.parametrize("cut", [0.3, 0.5, 0.9, 0.999])
def test_a_file_that_is_cut_off_is_read_up_to_its_last_whole_block(
    tmp_path: Path, cut: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file, "BLOCK_EVENTS", 100)
    events = some(1000)
    path = write(tmp_path / "t", events)
    os.truncate(path, int(path.stat().st_size * cut))
    trace = Trace(path)
    read = whole(trace)
    assert 0 < read.size < 1000 or cut > 0.9
    assert read.size % 100 == 0
    assert same(read, events.part(slice(0, read.size)))
    assert "without its index" in trace.damaged
    assert trace.header == HEADER


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_whatever_is_damaged_it_is_noticed(tmp_path: Path, data: st.DataObject) -> None:
    """A flipped bit or a cut gives an error, or some of the events and a message; never other events."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(file, "BLOCK_EVENTS", 16)
        events = some(60)
        content = bytearray(write(tmp_path / "t", events).read_bytes())
        at = data.draw(st.integers(0, len(content) - 1), label="at")
        if data.draw(st.booleans(), label="cut"):
            del content[at:]
        else:
            content[at] ^= 1 << data.draw(st.integers(0, 7), label="bit")
        (tmp_path / "t").write_bytes(content)
        try:
            trace = Trace(tmp_path / "t")
            read = whole(trace)
        except TraceFileError as fault:
            assert fault.hint
            return
        assert same(read, events.part(slice(0, read.size)))
        assert trace.damaged or (read.size == 60 and len(content) > at), "all there, or a word about what is not"


def test_a_damaged_block_ends_the_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file, "BLOCK_EVENTS", 100)
    path = write(tmp_path / "t", some(500))
    trace = Trace(path)
    content = bytearray(path.read_bytes())
    content[trace.index[2].offset + 500] ^= 1
    path.write_bytes(content)
    trace = Trace(path)
    assert len(trace) == 500
    assert whole(trace).size == 200
    assert len(trace) == 200
    assert trace.damaged.startswith("block 2 at byte")
    assert "checksum; 300 events" in trace.damaged


def test_an_out_of_order_file_ends_where_time_goes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The writer refuses such times, so the file is made of parts of two files."""
    monkeypatch.setattr(file, "BLOCK_EVENTS", 10)
    late = write(tmp_path / "late", ev.columns(time=np.arange(1000, 1010), kind=ev.NEW))
    early = write(tmp_path / "early", ev.columns(time=np.arange(10), kind=ev.NEW))
    one, other = Trace(late).index[0], Trace(early).index[0]
    size = file._block_bytes(10)
    content = late.read_bytes()[: one.offset + size] + early.read_bytes()[other.offset : other.offset + size]
    (tmp_path / "both").write_bytes(content)
    trace = Trace(tmp_path / "both")
    assert len(trace) == 20
    assert whole(trace).size == 10
    assert "go back" in trace.damaged


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"FOLIO", "is no trace"),
        (b"PERFILE2" + bytes(100), "is no trace"),
        (b"FOLIOTRC" + (2).to_bytes(4, "little") + bytes(100), "version 2"),
        (b"FOLIOTRC" + (1).to_bytes(4, "little") + (8).to_bytes(4, "little") + b'{"lost":', "header"),
        (b"FOLIOTRC" + (1).to_bytes(4, "little") + (16).to_bytes(4, "little") + b'{"lost": "many"}', "header"),
    ],
)
def test_what_is_no_trace_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "t").write_bytes(content)
    with pytest.raises(TraceFileError, match=message) as caught:
        Trace(tmp_path / "t")
    assert caught.value.hint
    assert caught.value.exit_code == ExitCode.USAGE


def test_places_that_cannot_be_read_or_written(tmp_path: Path) -> None:
    with pytest.raises(TraceFileError, match="there is no trace"):
        Trace(tmp_path / "none")
    with pytest.raises(TraceFileError, match="cannot be read"):
        Trace(tmp_path)
    with pytest.raises(TraceFileError, match="cannot be written"):
        Writer(tmp_path / "none" / "t", HEADER)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_a_full_disk_is_an_error_of_ours() -> None:
    with pytest.raises(TraceFileError, match="room"), Writer("/dev/full", HEADER) as writer:
        writer.append(some(100_000))


def test_a_closed_writer_says_so(tmp_path: Path) -> None:
    with Writer(tmp_path / "t", HEADER) as writer:
        writer.append(some(3))
    size = (tmp_path / "t").stat().st_size
    writer.close()
    assert (tmp_path / "t").stat().st_size == size
    with pytest.raises(TraceFileError, match="closed"):
        writer.append(some(3, 1 << 40))


def test_an_exception_closes_the_file_whole(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), Writer(tmp_path / "t", HEADER) as writer:
        writer.append(some(10))
        raise KeyboardInterrupt
    trace = Trace(tmp_path / "t")
    assert (len(trace), trace.damaged) == (10, "")


KILLED = """
import sys, os, signal
from foliolab.framework.trace import events as ev
from foliolab.framework.trace.file import Writer
from foliolab.framework.trace.header import Header
writer = Writer(sys.argv[1], Header(source="perf"))
writer.append(ev.columns(time=range(100_000), kind=ev.NEW, page=range(100_000)))
writer.append(ev.columns(time=range(100_000, 100_010), kind=ev.NEW))
writer.flush()
writer.append(ev.columns(time=range(200_000, 200_010), kind=ev.NEW))
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL")
def test_a_killed_writer_leaves_what_was_flushed(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "t")], check=False)
    assert done.returncode == -signal.SIGKILL
    trace = Trace(tmp_path / "t")
    assert len(trace) == 100_010
    assert whole(trace).time.tolist() == list(range(100_010))
    assert "without its index" in trace.damaged


def test_a_trace_can_start_at_a_later_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file, "BLOCK_EVENTS", 10)
    events = some(45)
    trace = Trace(write(tmp_path / "t", events))
    assert same(ev.join([part for part in trace.blocks(3)]), events.part(slice(30, None)))
