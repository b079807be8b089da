"""Recording: its needs are probed, and the trace of a known program is exact."""

from __future__ import annotations

import itertools
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from foliolab.framework.errors import KernelError, TraceFileError, UsageError
from foliolab.framework.kernel import settings
from foliolab.framework.kernel.recording import bpftrace, probe, processes, session, snapshots, tracefs
from foliolab.framework.kernel.recording.processes import process_tree
from foliolab.framework.kernel.recording.session import Options
from foliolab.framework.kernel.recording.target import Target, gated, until
from foliolab.framework.trace import events as ev
from foliolab.framework.trace import importers
from foliolab.framework.trace.file import Trace

pytestmark = pytest.mark.host

HERE = Path(__file__).parent
PYTHON = (sys.executable, "-I", "-S")
LOCK_SECONDS = 200.0

linux = pytest.mark.skipif(platform.system() != "Linux", reason="needs Linux")


def need(way: str) -> None:
    """Skip, with the reason, if a method of recording does not work."""
    found = probe.method(way)
    if not found.available:
        pytest.skip(f"{way} cannot record here: {found.reason}")


@pytest.fixture
def only() -> Iterator[settings.Exclusive]:
    """The THP settings of the host, for this test alone."""
    try:
        with settings.exclusive(wait=LOCK_SECONDS) as thp:
            yield thp
    except KernelError as fault:
        pytest.skip(f"the THP settings cannot be had: {fault.what}")


def rows(path: Path) -> list[dict[str, int]]:
    return [row for block in Trace(path).blocks() for row in block.rows()]


def phases(folder: Path, kib: int, folios: int, pause: float = 0) -> tuple[tuple[str, ...], Path]:
    """The command that runs the known program, and the file with its output."""
    said = folder / "said.json"
    command = f'exec "$@" > {said}'
    return ("/bin/sh", "-c", command, "sh", *PYTHON, str(HERE / "phases.py"), str(kib), str(folios), str(pause)), said


# -- with the kernel --------------------------------------------------------------------------------
@pytest.mark.host
@pytest.mark.slow
@pytest.mark.parametrize("kib", [64, 2048])
@pytest.mark.parametrize("way", ["perf", "bpftrace"])
def test_copies_reuses_and_folios_come_out_exactly(
    way: str, kib: int, only: settings.Exclusive, tmp_path: Path
) -> None:
    need(way)
    if kib not in settings.sizes():
        pytest.skip(f"this kernel has no anonymous folios of {kib} KiB")
    only.only(kib)
    command, said = phases(tmp_path, kib, 4096 // kib * 2)
    header, status = session.record(Target(command), tmp_path / "t", way)
    known = json.loads(said.read_text())
    assert (status, header.lost, header.source) == (0, 0, way)
    assert header.thp[f"hugepages-{kib}kB/enabled"] == "madvise"
    assert header.kernel == platform.release()
    in_region = [row for row in rows(tmp_path / "t") if known["base"] <= row["page"] < known["base"] + known["pages"]]
    new = [row for row in in_region if row["kind"] == ev.NEW]
    assert Counter(row["order"] for row in new) == {known["order"]: known["new"]}
    assert all(row["page"] % row["nr"] == 0 for row in new)
    parent = new[0]["mm"]
    found = Counter((row["mm"] == parent, row["flags"]) for row in in_region if row["kind"] == ev.WRITE)
    assert found == {
        (True, ev.COPIED): known["parent_copied"],
        (True, ev.REUSED): known["parent_reused"],
        (False, ev.COPIED): known["child_copied"],
    }
    assert sum(row["nr"] for row in in_region if row["kind"] == ev.UNMAP) == known["unmapped"]


@pytest.mark.host
@pytest.mark.slow
@pytest.mark.parametrize("way", ["perf", "bpftrace"])
def test_a_running_process_is_recorded_from_what_it_has_mapped(
    way: str, only: settings.Exclusive, tmp_path: Path
) -> None:
    need(way)
    only.only(64)
    with subprocess.Popen([*PYTHON, str(HERE / "rounds.py"), "20"], stdout=subprocess.PIPE, text=True) as program:
        try:
            assert program.stdout is not None
            known = json.loads(program.stdout.readline())
            session.record(Target(pid=program.pid, seconds=2), tmp_path / "t", way)
        finally:
            program.kill()
    in_region = [row for row in rows(tmp_path / "t") if known["base"] <= row["page"] < known["base"] + known["pages"]]
    present = [row for row in in_region if row["kind"] == ev.PRESENT]
    assert sum(row["nr"] for row in present) == known["pages"]
    assert {row["order"] for row in present if row["nr"] == 16} == {4}
    writes = [(row["page"] % 16, row["flags"]) for row in in_region if row["kind"] == ev.WRITE]
    copies = [flags for index, flags in writes if index == 0]
    reuses = [flags for index, flags in writes if index == 1]
    assert len(copies) > 3
    assert set(copies) == {ev.COPIED}
    assert {flags & ev.OUTCOME for flags in reuses} == {ev.REUSED}


@pytest.mark.host
@pytest.mark.slow
def test_snapshots_see_who_maps_what(only: settings.Exclusive, tmp_path: Path) -> None:
    need("snapshots")
    only.only(64)
    for pause in (0.8, 3):  # on a busy host no snapshot may fall into a short phase
        command, said = phases(tmp_path, 64, 32, pause)
        session.record(Target(command), tmp_path / "t", "snapshots")
        known = json.loads(said.read_text())
        found = rows(tmp_path / "t")
        if sum(row["kind"] == ev.FORK for row in found) == 2:
            break
    assert sum(row["kind"] == ev.FORK for row in found) == 2
    in_region = [row for row in found if known["base"] <= row["page"] < known["base"] + known["pages"]]
    copied = Counter(row["mm"] for row in in_region if row["kind"] == ev.WRITE)
    assert sorted(copied.values()) == [known["child_copied"], known["parent_copied"]]


@linux
def test_strace_needs_no_privilege_and_gives_lifecycles(tmp_path: Path) -> None:
    need("strace")
    command, _ = phases(tmp_path, 4, 8)
    header, _ = session.record(Target(command), tmp_path / "t", "strace")
    kinds = Counter(row["kind"] for row in rows(tmp_path / "t"))
    assert (kinds[ev.FORK], kinds[ev.EXIT], kinds[ev.GONE], kinds[ev.WRITE]) == (2, 3, 3, 0)
    assert any("no writes" in note for note in header.notes)


@linux
def test_snapshots_tell_the_order_of_folios() -> None:
    need("snapshots")
    taken = snapshots.take([os.getpid()])
    (own,) = taken.processes
    assert own.comm
    assert len(own.page) > 100
    assert (np.diff(own.page) > 0).all()
    assert own.order.min() >= 0
    assert own.order.max() <= snapshots.LARGEST_ORDER
    line = json.loads(snapshots.line(taken))
    assert sum(run[1] for run in line["processes"][0]["runs"]) == len(own.page)


def foliolab(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "foliolab.framework.cli", *words], capture_output=True, text=True, check=False
    )


@linux
def test_the_command_line_records_and_imports(tmp_path: Path) -> None:
    need("strace")
    done = foliolab("record", "--by", "strace", "-o", str(tmp_path / "t"), "--", "/bin/sh", "-c", "true & wait; exit 3")
    assert done.returncode == 0, done.stderr
    assert "ended with status 3" in done.stderr
    assert "1 fork, " in done.stdout
    assert "nothing, as far as the tracer says" in done.stdout
    sample = HERE / "samples" / "phases.perf.txt"
    done = foliolab("import", str(sample), "-o", str(tmp_path / "i"), "--json")
    assert json.loads(done.stdout)["outcomes"]["reused"] >= 24
    assert json.loads(done.stdout)["header"]["source"] == "perf"
    done = foliolab("import", str(tmp_path / "absent"))
    assert (done.returncode, done.stdout) == (2, "")
    assert "there is no file" in done.stderr
    done = foliolab("record")
    assert done.returncode == 2
    assert "nothing to record" in done.stderr


@linux
def test_a_command_is_recorded_several_times(tmp_path: Path) -> None:
    need("strace")
    done = foliolab("record", "--by", "strace", "--runs", "2", "-o", str(tmp_path / "t.folio"), "--", "/bin/true")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["t-1.folio", "t-2.folio"]
    assert done.stdout.endswith(f"foliolab replay {tmp_path}/t-1.folio {tmp_path}/t-2.folio\n")
    done = foliolab("record", "--runs", "2", "--pid", "1")
    assert (done.returncode, "repeats a command" in done.stderr) == (2, True)


@linux
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGHUP])
def test_interrupting_keeps_what_there_is(stop: signal.Signals, tmp_path: Path) -> None:
    need("strace")
    recorder = subprocess.Popen(
        [sys.executable, "-m", "foliolab.framework.cli", "record", "--by", "strace", "-o", str(tmp_path / "t"),
         "--", "/bin/sh", "-c", f"true & wait; touch {tmp_path / 'mark'}; sleep 60"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    end = time.monotonic() + 120
    while not (tmp_path / "mark").exists() and time.monotonic() < end:
        time.sleep(0.05)
    if stop == signal.SIGINT:
        os.killpg(recorder.pid, stop)  # the terminal sends it to all
    else:
        recorder.send_signal(stop)
    out, said = recorder.communicate(timeout=120)
    assert "1 fork, " in out, said
    assert not Trace(tmp_path / "t").damaged
    assert {path.name for path in tmp_path.iterdir()} == {"t", "mark"}


def test_a_signal_before_the_tool_has_opened_its_file_ends_a_recording_of_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "strace"
    tool.write_text('#!/bin/sh\necho $$ > "$STARTED"\nexec sleep 120\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("STARTED", str(tmp_path / "started"))
    recorder = subprocess.Popen(
        [sys.executable, "-m", "foliolab.framework.cli", "record", "--by", "strace", "-o", str(tmp_path / "t"), "true"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    end = time.monotonic() + 120
    while not (tmp_path / "started").exists() and time.monotonic() < end:
        time.sleep(0.05)
    recorder.send_signal(signal.SIGTERM)
    _, said = recorder.communicate(timeout=120)
    assert recorder.returncode == 128 + signal.SIGTERM
    assert "a signal ended the recording before its first event" in said
    assert {path.name for path in tmp_path.iterdir()} == {"strace", "started"}


# -- without it -------------------------------------------------------------------------------------
@pytest.fixture
def endless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for a trace; `strace` is a program that writes a line of a call again and again."""
    tool = tmp_path / "bin" / "strace"
    tool.parent.mkdir()
    line = "7 1700000000.1 munmap(0x10000, 4096) = 0"
    tool.write_text(
        f'#!/bin/sh\nwhile [ "$1" != -o ]; do shift; done\nwhile :; do echo "{line}"; sleep 0.01; done > "$2"\n'
    )
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}{os.pathsep}{os.environ['PATH']}")
    folder = tmp_path / "traces"
    folder.mkdir()
    return folder


@linux
def test_a_recording_ends_at_its_limit(endless: Path) -> None:
    header, _ = session.record(Target(("true",)), endless / "t", "strace", Options(most=200))
    assert any("ended when its raw data reached 200 bytes" in note for note in header.notes)
    assert {path.name for path in endless.iterdir()} == {"t"}


@linux
def test_raw_data_that_cannot_be_converted_is_kept(endless: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise TraceFileError("the disk is full", "make room")

    monkeypatch.setattr(importers, "assemble", fail)
    with pytest.raises(TraceFileError) as caught:
        session.record(Target(("true",)), endless / "t", "strace", Options(most=100))
    assert caught.value.hint == f"make room; the raw data is kept: {endless / 't.main.txt'}"
    assert (endless / "t.main.txt").stat().st_size >= 100
    assert {path.name for path in endless.iterdir()} == {"t.main.txt"}


@linux
def test_what_runs_is_recorded_since_a_time(endless: Path) -> None:
    said: list[str] = []
    with subprocess.Popen(["sleep", "60"]) as program:
        options = Options(most=100, tell=said.append)
        session.record(Target(pid=program.pid), endless / "t", "strace", options)
        program.kill()
    (line,) = said
    assert line.startswith("recording with strace since ")
    assert line.endswith("; Ctrl-C ends it")


@linux
def test_snapshots_are_as_far_apart_as_they_should_be(tmp_path: Path) -> None:
    need("snapshots")
    options = Options(every=3600)
    header, _ = session.record(Target(pid=os.getpid(), seconds=0.3), tmp_path / "t", "snapshots", options)
    assert any(note.startswith("1 snapshots, 3600 s and more apart") for note in header.notes)
    done = foliolab("record", "--every", "60", "--", "true")
    assert (done.returncode, "add --by snapshots" in done.stderr) == (2, True)


def test_elsewhere_each_way_says_why_not(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    assert {way.reason for way in probe.probe()} == {"this is Darwin, not Linux"}
    with pytest.raises(KernelError, match="nothing can record here: perf: this is Darwin"):
        probe.best()
    with pytest.raises(KernelError, match="there is no Linux kernel here"):
        session.record(Target(("true",)), tmp_path / "t")


@linux
def test_a_tool_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    for way in ("perf", "bpftrace", "strace"):
        found = probe.method(way)
        assert (found.available, found.reason) == (False, f"there is no {way}")


@linux
def test_a_tool_that_fails_says_what_it_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for way in ("perf", "bpftrace", "strace"):
        tool = tmp_path / way
        tool.write_text("#!/bin/sh\necho 'Operation not permitted, says the guard' >&2\nexit 1\n")
        tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    for way in ("perf", "bpftrace", "strace"):
        found = probe.method(way)
        assert not found.available
        assert "says the guard" in found.reason


@linux
def test_what_cannot_be_recorded_says_so(tmp_path: Path) -> None:
    out = tmp_path / "t"
    for target, said in (
        (Target(), "nothing to record"),
        (Target(("true",), pid=1), "nothing to record"),
        (Target(("no-such-command-here",)), "no command 'no-such-command-here'"),
        (Target(pid=1 << 30), "no process"),
        (Target(("true",), seconds=-1), "--seconds -1 is negative"),
    ):
        with pytest.raises(UsageError, match=said):
            session.record(target, out, "strace")
    with pytest.raises(UsageError, match="no way to record called 'ebpf'"):
        session.record(Target(("true",)), out, "ebpf")
    with pytest.raises(UsageError, match="no folder"):
        session.record(Target(("true",)), tmp_path / "none" / "t", "strace")
    assert list(tmp_path.iterdir()) == []


@linux
def test_a_gated_command_starts_when_it_is_let_go(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    with gated(("touch", str(mark))) as command:
        time.sleep(0.2)
        assert not mark.exists()
        assert command.pid in process_tree(os.getpid())
        command.go()
        assert command.process.wait(10) == 0
    assert mark.exists()
    with gated(("touch", str(tmp_path / "other"))) as command:
        pass
    assert command.process.poll() is not None
    assert not (tmp_path / "other").exists()


@linux
def test_waiting_for_a_tool_ends_with_what_it_said(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("first\n\nlast words\n")
    with subprocess.Popen(["true"]) as process:
        process.wait()
        with pytest.raises(KernelError, match="it ended: last words"):
            until(lambda: False, process, "it", 5, tmp_path / "log")
    with subprocess.Popen(["sleep", "5"]) as process:
        with pytest.raises(KernelError, match=r"was not ready after \d+ s, of which it slept 0\.1 s"):
            until(lambda: False, process, "it", 0.1, tmp_path / "log")
        process.kill()


@linux
def test_a_tool_that_works_is_waited_for_however_long_it_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    ticks = itertools.count()
    monkeypatch.setattr("foliolab.framework.kernel.recording.target.TOLD_SECONDS", 0.05)
    monkeypatch.setattr("foliolab.framework.kernel.recording.target.used_ticks", lambda _: next(ticks))
    with subprocess.Popen(["sleep", "60"]) as process:
        until(lambda: len(said) == 8, process, "it", 0.1, tmp_path / "log", tell=said.append)
        assert all("works on" in text for text in said)  # four times as long as it may be stuck
        monkeypatch.undo()
        assert processes.used_ticks(os.getpid()) > 0
        process.kill()


def test_what_a_tool_mounted_is_noted_and_undone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text("proc /proc proc rw 0 0\n")
    monkeypatch.setattr(tracefs, "MOUNTS", mounts)
    called: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        called.append(command)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", run)
    notes: list[str] = []
    with tracefs.unmounted_after(notes):
        pass
    assert (notes, called) == ([], [])
    with tracefs.unmounted_after(notes):
        mounts.write_text("proc /proc proc rw 0 0\nnone /sys/kernel/tracing tracefs rw 0 0\n")
    assert called == [["umount", "/sys/kernel/tracing"]]
    assert notes == ["The recording tool mounted tracefs at /sys/kernel/tracing; it was unmounted again."]


def test_the_script_follows_the_processes_it_is_told() -> None:
    text = bpftrace.program([7, 8])
    assert "@t[7] = 1; @t[8] = 1;" in text
    assert text.index("BEGIN") < text.index("tracepoint:")
    assert text.count(bpftrace.READY_LINE) == 2
    everything = bpftrace.program([])
    assert "@t" not in "".join(line for line in everything.splitlines() if not line.startswith("//"))
    assert everything.count("/pid != @own") > 20


def test_lines_that_come_in_pieces_are_counted_once(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.write_text("# atta")
    with out.open() as said, out.open("a") as tool:
        attached = bpftrace._Appeared(said, bpftrace.READY_LINE, 2)
        for piece, ready in (("ched 1\n7 F\n", False), ("# attached", True), (" 2\n", True)):
            assert not attached() or ready
            tool.write(piece)
            tool.flush()
            assert attached() == ready


def test_a_recording_waits_for_what_bpftrace_has_not_printed_yet(tmp_path: Path) -> None:
    out = tmp_path / "main.txt"
    out.write_text("9 1 F 7 7 10000 7\n")
    recorder = bpftrace.BpftraceRecorder(tmp_path)
    late = ["/bin/sh", "-c", 'sleep 0.1; echo "8 0 X 7 7 1" >> "$0"; exec sleep 60', str(out)]
    with subprocess.Popen(late) as tool:
        recorder._drain(tool, 7)
        assert not recorder.notes
        assert " X 7 7 " in out.read_text()
        tool.kill()
    recorder._drain(tool, 8)  # whose end never comes, since bpftrace is gone
    assert recorder.notes == ["bpftrace did not print the end of the recording; how much is missing is not known."]
