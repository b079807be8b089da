"""Attaching to processes that run: who belongs to the recording, and what they map when the trace begins."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from foliolab.framework.contract.trace_records import Exit, Fault, Lost, Reaped, Record, Task
from foliolab.framework.errors import KernelError, UsageError
from foliolab.framework.kernel import settings
from foliolab.framework.kernel.recording import cgroups, probe, processes, session, snapshots
from foliolab.framework.kernel.recording.attachment import Attachment
from foliolab.framework.kernel.recording.snapshots import Snapshot
from foliolab.framework.kernel.recording.target import Target
from foliolab.framework.trace import events as ev
from foliolab.framework.trace.events import Events, columns
from foliolab.framework.trace.file import Trace
from foliolab.framework.trace.importers.beginning import Beginning
from foliolab.framework.trace.importers.snapshots import ProcessSnapshot
from foliolab.framework.trace.importers.spaces import CLONE_THREAD
from foliolab.framework.trace.importers.summary import summarise

HERE = Path(__file__).parent
PYTHON = (sys.executable, "-I", "-S")
LOCK_SECONDS = 200.0
linux = pytest.mark.skipif(platform.system() != "Linux", reason="needs Linux")
Row = dict[str, int]


class Kept:
    """A destination that keeps events."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def append(self, events: Events, /) -> None:
        self.rows += events.rows()


def begun(rows: Sequence[Row], at: int) -> tuple[list[Row], Beginning]:
    """The rows of a trace that begins at a time, and the beginning."""
    kept = Kept()
    beginning = Beginning(kept, at)
    for row in rows:  # a block each
        beginning.append(columns(**{name: [row.get(name, 0)] for name in ev.COLUMNS}))
    beginning.close()
    return kept.rows, beginning


def mapped(rows: Sequence[Row]) -> dict[tuple[int, int], tuple[int, int]]:
    """By MM and page of PRESENT rows, the frame and the order."""
    return {
        (row["mm"], row["page"] + at): (row["other"] + at, row["order"])
        for row in rows
        if row["kind"] == ev.PRESENT
        for at in range(row["nr"])
    }


def read(mm: int, time: int = 1, **changed: int) -> Row:
    """A folio of four pages that was read."""
    return {"kind": ev.PRESENT, "mm": mm, "time": time, "page": 100, "nr": 4, "order": 2, "other": 400, **changed}


# -- the beginning -----------------------------------------------------------------------------------
def test_what_happens_while_processes_are_read_is_carried_out() -> None:
    rows: list[Row] = [
        read(1),
        {"kind": ev.WRITE, "mm": 1, "time": 2, "page": 101, "nr": 1, "flags": ev.COPIED, "other": 900},
        {"kind": ev.FORK, "mm": 1, "time": 3, "other": 2},
        {"kind": ev.NEW, "mm": 1, "time": 4, "page": 200, "nr": 4, "order": 2, "other": 500},
        {"kind": ev.UNMAP, "mm": 1, "time": 5, "page": 102, "nr": 2},
        {"kind": ev.WRITE, "mm": 2, "time": 6, "page": 100, "nr": 1, "flags": ev.REUSED},
        {"kind": ev.WRITE, "mm": 2, "time": 9, "page": 103, "nr": 1, "flags": ev.COPIED, "other": 901},
    ]
    found, beginning = begun(rows, 6)
    new = {(1, 200 + at): (500 + at, 2) for at in range(4)}
    first = {(1, 100): (400, 2), (1, 101): (900, 0)}
    second = {(2, 100): (400, 2), (2, 101): (900, 0), (2, 102): (402, 2), (2, 103): (403, 2)}
    assert mapped(found) == first | second | new
    assert {row["time"] for row in found if row["kind"] == ev.PRESENT} == {6}
    assert [row["kind"] for row in found if row["kind"] != ev.PRESENT] == [ev.WRITE]
    assert (beginning.unknown, beginning.ended) == (set(), set())


def test_a_child_is_as_it_was_read_and_not_as_its_parent_was() -> None:
    rows = [read(1), {"kind": ev.FORK, "mm": 1, "time": 2, "other": 2}, read(2, 3, nr=2)]
    rows.append({"kind": ev.WRITE, "mm": 2, "time": 4, "page": 100, "nr": 1, "flags": ev.COPIED, "other": 9})
    found, _ = begun(rows, 5)
    assert {page: what for (mm, page), what in mapped(found).items() if mm == 2} == {100: (9, 0), 101: (401, 2)}


def test_exec_exit_and_vfork_before_the_beginning() -> None:
    rows: list[Row] = [
        read(1),
        {"kind": ev.SPAWN, "mm": 1, "time": 2, "other": 2},
        read(2, 3),  # it uses its parent's pages, and has none of its own
        {"kind": ev.WRITE, "mm": 2, "time": 3, "page": 100, "nr": 1, "flags": ev.COPIED, "other": 9},
        read(3, 3, page=300),
        {"kind": ev.EXEC, "mm": 3, "time": 4, "other": 4},
        read(5, 4, page=500),
        {"kind": ev.EXIT, "mm": 5, "time": 5},
        {"kind": ev.GONE, "mm": 5, "time": 6},
        {"kind": ev.WRITE, "mm": 6, "time": 6, "page": 1, "nr": 1},
    ]
    found, beginning = begun(rows, 7)
    assert {key: what[0] for key, what in mapped(found).items()} == {
        (1, 100): 9,
        **{(1, 100 + at): 400 + at for at in (1, 2, 3)},
    }
    assert [(row["mm"], row["other"]) for row in found if row["kind"] == ev.SPAWN] == [(1, 2)]
    assert beginning.ended == {3, 5}
    assert beginning.unknown == {6}


def test_pages_that_move_while_they_are_read_are_found_once() -> None:
    move: Row = {"kind": ev.MOVE, "mm": 1, "time": 2, "page": 100, "nr": 4, "other": 700}
    for rows in ([read(1), move], [read(1, page=700), move]):  # read before it moved, or behind
        assert mapped(begun(rows, 3)[0]) == {(1, 700 + at): (400 + at, 2) for at in range(4)}


# -- whose records -----------------------------------------------------------------------------------
def test_records_are_chosen_by_descent(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Attachment(Target(pid=10))
    monkeypatch.setattr(Target, "running", lambda target: [10, 11])
    monkeypatch.setattr(time, "monotonic_ns", lambda: 50)
    taken = ProcessSnapshot(10, 1, 0, "server", np.array([7]), np.array([70]), np.array([0]), 45)
    monkeypatch.setattr(snapshots, "take", lambda pids: Snapshot(60, [taken], []))
    found.read()
    found.whole_host = True
    fault = lambda time, pid: Fault(time, 0, pid, pid, 0x7000, 7, False)  # noqa: E731
    records: list[Record] = [
        fault(1, 99), Task(2, 0, 10, 10, 20, 0, "child"), fault(3, 20), Task(4, 0, 20, 20, 21, CLONE_THREAD, ""),
        Task(5, 0, 20, 20, 22, None, ""), Exit(6, 0, 20, 20, True), fault(7, 22), Reaped(8, 0, 1, 1, 20), Lost(9, 3),
        Task(55, 0, 99, 99, 22, 0, "stranger"), fault(56, 22), fault(57, 21), fault(58, 11),
    ]  # fmt: skip
    chosen = [record for record in found.records(iter(records)) if record.time != 45]
    assert [(type(record).__name__, record.time) for record in chosen] == [
        ("Task", 2), ("Fault", 3), ("Task", 4), ("Task", 5), ("Exit", 6), ("Fault", 7), ("Reaped", 8), ("Lost", 9),
        ("Fault", 58),
    ]  # fmt: skip
    rows = [type(record).__name__ for record in found.records(iter(records))]
    assert rows.index("Row") == rows.index("Lost") + 1
    assert found.until == 60
    assert [type(record).__name__ for record in found.records(iter(()))] == ["Row", "Name"]


@linux
def test_an_orphan_is_of_the_family(tmp_path: Path) -> None:
    if not processes._is_random():
        pytest.skip("address spaces are not randomised here")
    forks = (
        "import os, time\n"
        "if os.fork() == 0:\n"
        "    if os.fork(): os._exit(0)\n"
        "    print(os.getpid(), flush=True)\n"
        "    time.sleep(60)\n"
        "os.wait()\n"
        "print('waited', flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([*PYTHON, "-c", forks], stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        said = [program.stdout.readline(), program.stdout.readline()]
        orphan = int(next(line for line in said if line != "waited\n"))
        try:
            assert orphan not in processes.process_tree(program.pid)
            assert {program.pid, orphan} <= set(processes.family(program.pid))
            assert {program.pid, orphan} <= set(Target(pid=orphan).running())
            assert os.getpid() not in processes.family(program.pid)
        finally:
            program.kill()
            os.kill(orphan, 9)
    assert Target(pid=program.pid).over()


# -- cgroups and containers --------------------------------------------------------------------------
@pytest.fixture
def mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hierarchy of cgroups that is a folder."""
    top = tmp_path / "cgroup"
    inside = {"web.service": "12\n", "web.service/worker": "15\n13\n", f"docker-{'0a1b2c3d' * 8}.scope": "20\n"}
    inside |= {"lxc.payload.box": "30\n", "machine-nest.scope": "", "pod/cri-containerd-feedfacecafe00.scope": "40\n"}
    for name, pids in inside.items():
        (top / name).mkdir(parents=True)
        (top / name / "cgroup.procs").write_text(pids)
    (tmp_path / "mounts").write_text(f"proc /proc proc rw 0 0\ncgroup2 {top} cgroup2 rw 0 0\n")
    monkeypatch.setattr(cgroups, "MOUNTS", tmp_path / "mounts")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return top


def test_a_cgroup_is_found_with_those_below_it(mounted: Path) -> None:
    for name in ("web.service", "/web.service", str(mounted / "web.service")):
        assert cgroups.pids(cgroups.find(name)) == [12, 13, 15]
    for name in ("mail.service", "/proc", "", ".."):
        with pytest.raises(UsageError, match="there is no cgroup"):
            cgroups.find(name)


@pytest.mark.parametrize(
    ("name", "pids"),
    [("0a1b2c3d0a1b", [20]), ("0a1b2c3d" * 8, [20]), ("box", [30]), ("nest", []), ("feedfacecafe00", [40])],
)
def test_a_container_is_found_by_its_cgroup(name: str, pids: list[int], mounted: Path) -> None:
    assert cgroups.pids(cgroups.of_container(name)) == pids


def test_a_container_engine_is_asked(mounted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("0a1b", "mail"):  # fewer than 12 digits are a name
        with pytest.raises(UsageError, match=f"there is no container '{name}'"):
            cgroups.of_container(name)
    engine = tmp_path / "bin" / "podman"
    engine.parent.mkdir()
    engine.write_text('#!/bin/sh\n[ "$5" = mail ] && echo 77\n')
    engine.chmod(0o755)
    (tmp_path / "proc" / "77").mkdir(parents=True)
    (tmp_path / "proc" / "77" / "cgroup").write_text("3:cpu:/\n0::/web.service\n")
    monkeypatch.setattr(cgroups, "PROC", tmp_path / "proc")
    assert cgroups.of_container("mail") == mounted / "web.service"
    with pytest.raises(UsageError, match="there is no container 'other'"):
        cgroups.of_container("other")


@linux
def test_what_cannot_be_attached_to_says_so(mounted: Path, tmp_path: Path) -> None:
    for target, said in (
        (Target(cgroup="none"), "there is no cgroup 'none'"),
        (Target(container="none"), "there is no container 'none'"),
        (Target(container="nest"), "no process is in"),
        (Target(pid=1, cgroup="web.service"), "more than one thing"),
        (Target(cgroup="web.service", user="root"), "no process is in|has its user already"),
    ):
        with pytest.raises(UsageError, match=said):
            session.record(target, tmp_path / "t", "strace")
    assert Target(cgroup="a b").text == "--cgroup 'a b'"
    assert not (tmp_path / "t").exists()


# -- with the kernel ---------------------------------------------------------------------------------
def happened(path: Path, since: int, until: int, known: dict[str, int]) -> Counter[Any]:
    """The events of a trace within a time, with PIDs for MMs: forks, ends, and what happened in a region."""
    pid = {space.mm: space.pid for space in Trace(path).header.mms}
    found: Counter[Any] = Counter()
    for block in Trace(path).blocks():
        for row in block.part((block.time > since) & (block.time <= until)).rows():
            kind, page = row["kind"], row["page"]
            if kind in (ev.FORK, ev.EXEC, ev.EXIT):
                found[kind, pid.get(row["mm"]), pid.get(row["other"])] += 1
            elif kind in (ev.NEW, ev.WRITE) and known["base"] <= page < known["base"] + known["pages"]:
                found[kind, pid.get(row["mm"]), page, row["flags"] & ev.OUTCOME, row["other"]] += 1
    return found


@pytest.mark.host
@pytest.mark.slow
def test_a_forking_server_is_recorded_as_from_its_start(tmp_path: Path) -> None:
    """Two recordings of a server at once: one from its start, and one that attaches later."""
    way = probe.method("perf")
    if not way.available:
        pytest.skip(f"perf cannot record here: {way.reason}")
    whole, part, said = tmp_path / "whole", tmp_path / "part", tmp_path / "said"
    server = ("/bin/sh", "-c", f'exec "$@" > {said}', "sh", *PYTHON, str(HERE / "server.py"), "200", "0.05")
    words = ["record", "--by", "perf", "-o", str(whole), "--", *server]
    try:
        with settings.exclusive(wait=LOCK_SECONDS) as thp:
            if 64 in settings.sizes():
                thp.only(64)
            first = subprocess.Popen(
                [sys.executable, "-m", "foliolab.framework.cli", *words], stdout=subprocess.DEVNULL
            )
            end = time.monotonic() + 120
            while not (said.exists() and said.read_text().endswith("\n")) and time.monotonic() < end:
                time.sleep(0.05)
            known = json.loads(said.read_text())
            try:
                session.record(Target(pid=known["pid"], seconds=2), part, "perf")
            finally:
                os.kill(known["pid"], 9)
            assert first.wait(200) == 0
    except KernelError as fault:
        pytest.skip(f"the THP settings cannot be had: {fault.what}")
    since, until = Trace(part).span
    until -= 20_000_000  # the two do not end at once
    one, other = happened(whole, since, until, known), happened(part, since, until, known)
    if Trace(whole).header.lost or Trace(part).header.lost:
        pytest.skip("the host was too busy, and events were lost")
    assert len(one) > 50
    assert one == other
    kept = Kept()
    beginning = Beginning(kept, since)
    for block in Trace(whole).blocks():
        beginning.append(block)
    pids = [{space.mm: space.pid for space in Trace(path).header.mms} for path in (whole, part)]
    attached = [row for block in Trace(part).blocks() for row in block.rows()]
    both = [
        {
            (pid[mm], page): what
            for (mm, page), what in mapped(rows).items()
            if known["base"] <= page < known["base"] + known["pages"]
        }
        for pid, rows in zip(pids, (kept.rows, attached), strict=True)
    ]
    assert len(both[0]) >= known["pages"]
    assert both[0] == both[1]
    counted = summarise(Trace(part))
    assert counted.older >= 1
    assert counted.inherited + counted.older <= counted.processes
