"""The recording of programs, with a fake recorder and a fake program: resuming, failures, ends, packages."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from scripts import HERE, script  # type: ignore[import-not-found]  # beside this file

record = script("record")
onerun, packages, program = record.onerun, record.packages, sys.modules["program"]
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="processes are looked for in /proc")
RECORDER = """
import os, signal, subprocess, sys
words = sys.argv[sys.argv.index("--") + 1 :]
out = sys.argv[sys.argv.index("-o") + 1]
perf = os.fork()
if perf == 0:
    os.execvp(sys.executable, [{perf!r}, "-c", {starts!r}, "--", *words])
signal.signal(signal.SIGINT, lambda number, frame: os.kill(perf, signal.SIGKILL))
_, status = os.waitpid(perf, 0)
code = os.waitstatus_to_exitcode(status)
if code:
    print(f"foliolab: the command ended with status {{code}}", file=sys.stderr)
open(out, "w").write("recorded")
"""
STARTS = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(15, b"perf", 0, 0, 0)
words = sys.argv[sys.argv.index("--") + 1 :]
child = os.fork()
if child == 0:
    ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)
    os.execvp(words[0], words)
os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) & 0xFF)
"""
SERVER = "import pathlib, sys, time; pathlib.Path(sys.argv[1]).write_text('up'); time.sleep(60)"


def made(**changed: object) -> object:
    """A program that ends by itself and leaves a number."""
    words = (sys.executable, "-I", "-S", "-c", "import sys; open(sys.argv[1], 'w').write('7')")
    fields = {
        "name": "fake", "title": "Fake", "what": "It writes 7.", "unit": "writes", "command": program.script(*words),
        "drive": program.printed("done"), "end": 0, **changed,
    }  # fmt: skip
    return program.Program(**fields)


@pytest.fixture
def recorder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """A recorder in FolioLab's place: a process named perf executes the command, and a text is the trace."""
    path, asked = tmp_path / "recorder.py", list[list[str]]()
    path.write_text(RECORDER.format(perf=sys.executable, starts=STARTS))

    def foliolab(*words: str) -> list[str]:
        asked.append(list(words))
        return [sys.executable, "-I", "-S", str(path), *words]

    found = SimpleNamespace(folios={0: 5, 4: 3}, header=SimpleNamespace(lost=0))
    monkeypatch.setattr(onerun, "foliolab", foliolab)
    monkeypatch.setattr(onerun, "Trace", lambda trace: trace)
    monkeypatch.setattr(onerun, "summarise", lambda trace: found)
    return asked


@LINUX
def test_a_run_is_recorded_once_and_an_interrupted_one_again(tmp_path: Path, recorder: list[list[str]]) -> None:
    fake = made()
    assert record.record_all(tmp_path, [fake], [64], 2) == 0
    assert [words[words.index("-o") + 1].rpartition("/")[2] for words in recorder] == [
        "fake-64-1.folio",
        "fake-64-2.folio",
    ]
    note = onerun.note_of(tmp_path / "fake-64-1.folio")
    assert (note.work, note.large, note.why) == (7, 3, "")
    assert record.record_all(tmp_path, [fake], [64], 2) == 0
    assert len(recorder) == 2
    (tmp_path / "fake-64-2.note").unlink()  # as if it had been interrupted before its end
    assert record.record_all(tmp_path, [fake], [64], 2) == 0
    assert len(recorder) == 3
    assert not list(tmp_path.glob("run-*"))


@LINUX
def test_a_server_is_told_to_end_and_is_gone_whatever_its_load_does(tmp_path: Path, recorder: list[list[str]]) -> None:
    pids: list[int] = []

    def drive(folder: Path) -> int:
        program.wait_for(folder / "done")
        pids.extend(pid for pid in onerun.process_tree(os.getpid()) if str(folder / "done") in cmdline(pid))
        if len(recorder) > 1:
            raise program.LoadFailed("the load broke")
        return 3

    server = made(command=program.script(sys.executable, "-I", "-S", "-c", SERVER), drive=drive, end=15)
    note = onerun.run_once(server, 64, tmp_path / "fake-64-1.folio")
    assert (note.work, note.why) == (3, "")
    broken = onerun.run_once(server, 64, tmp_path / "fake-64-2.folio")
    assert "the load broke" in broken.why
    assert not (tmp_path / "fake-64-2.folio").exists()
    assert pids
    end = time.monotonic() + 20
    while any(cmdline(pid) for pid in pids) and time.monotonic() < end:
        time.sleep(0.02)
    assert not any(cmdline(pid) for pid in pids)


def cmdline(pid: int) -> str:
    """The words of a process; empty if it is gone or a zombie."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


@LINUX
@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("raise SystemExit(3)", "status 3"),
        ("pass", "no result"),
        ("open(sys.argv[1], 'w').write('0')", "none of its work"),
    ],
)
def test_a_program_that_did_not_work_fails_with_the_reason(
    tmp_path: Path, recorder: list[list[str]], monkeypatch: pytest.MonkeyPatch, text: str, why: str
) -> None:
    monkeypatch.setattr(onerun, "TRIES", 1)
    fake = made(command=program.script(sys.executable, "-I", "-S", "-c", f"import sys; {text}"))
    assert record.record_all(tmp_path, [fake], [64], 1) == 1
    note = onerun.note_of(tmp_path / "fake-64-1.folio")
    assert why in note.why
    assert not onerun.done(tmp_path / "fake-64-1.folio")


def test_further_runs_of_a_large_size_need_a_first_one_that_got_such_folios(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def run_once(one: object, kib: int, trace: Path) -> object:
        asked.append(trace.stem)
        trace.touch()
        note = onerun.Note(work=1, large=3)
        onerun.write_note(trace, note)
        return note

    monkeypatch.setattr(onerun, "run_once", run_once)
    record.record_all(tmp_path, [made()], [64, 2048], 3)
    assert asked == ["fake-64-1", "fake-64-2", "fake-64-3", "fake-2048-1"]


def test_packages_are_asked_for_once_and_what_cannot_be_had_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked, unpacked = [], []

    def wanted(programs: dict[str, list[str]], folder: Path) -> tuple[object, object]:
        asked.append(sorted(programs))
        return object(), packages.Wanted({"one": 2_000_000}, {"fake": "there is no such package"})

    monkeypatch.setattr(packages, "wanted", wanted)
    monkeypatch.setattr(packages, "unpack", lambda apt, names, root: unpacked.append(names))
    monkeypatch.delenv(packages.INSIDE, raising=False)
    programs = [made(packages=("none",)), made(name="other", packages=("one",))]
    assert record.obtain(tmp_path, programs, True) == {"fake"}
    assert (unpacked, "would unpack 2 MB" in capsys.readouterr().out) == ([], True)
    assert record.obtain(tmp_path, programs, False) == {"fake"}
    assert unpacked == [["one"]]
    record.obtain(tmp_path, programs, False)
    assert asked == [["fake", "other"], ["fake", "other"], ["fake"]]
    assert json.loads((tmp_path / "packages.json").read_text())["other"] == ["one"]
    assert onerun.unavailable(tmp_path) == {"fake": "there is no such package"}


def test_without_debians_packages_what_is_installed_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*words: object) -> None:
        raise packages.FolioLabError("there is no apt here", "install by hand")

    monkeypatch.setattr(packages, "Apt", refused)
    monkeypatch.delenv(packages.INSIDE, raising=False)
    assert record.obtain(tmp_path, [made(packages=("none",))], False) == set()
    assert "only what is installed: " in capsys.readouterr().out


def test_what_packages_scripts_would_do_is_done_below_the_root(tmp_path: Path) -> None:
    (tmp_path / packages.LIBRARIES / "blas").mkdir(parents=True)
    (tmp_path / packages.LIBRARIES / "blas" / "libblas.so.3").touch()
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "file").touch()
    (tmp_path / "etc" / "cron.d").mkdir(parents=True)
    packages.complete(tmp_path)
    packages.complete(tmp_path)
    assert (tmp_path / "usr" / "lib" / "file").exists()
    assert (tmp_path / packages.LIBRARIES / "libblas.so.3").exists()
    assert not (tmp_path / "lib").exists()
    assert not (tmp_path / "etc" / "cron.d").exists()
    assert (tmp_path / "etc" / "passwd").read_text().count("sshd:") >= 1


def test_programs_have_names_of_their_own_and_are_known_by_the_command() -> None:
    names = [one.name for one in (*record.PROGRAMS, record.ARENA)]
    assert len(names) == len(set(names)) >= 26
    done = subprocess.run(
        [sys.executable, str(HERE / "record.py"), "none", "--into", "x"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "there is no program 'none'; there are redis," in done.stderr


# -- the loads -------------------------------------------------------------------------------------
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize(
    "words",
    [
        ("detach.py", "1", "0.3", "at-once"), ("detach.py", "1", "0.3", "when-ready"), ("pool.py", "2", "2"),
        ("arena.py", "2", "0.2"), ("loader.py", "2", "1"),
    ],
)  # fmt: skip
def test_the_loads_end_and_leave_what_they_did(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(HERE / "loads" / words[0]), *words[1:], str(tmp_path / "done")],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert program.printed("done")(tmp_path) > 0


@pytest.mark.skipif(not os.path.exists("/bin/bash"), reason="needs bash")
def test_the_storm_ends(tmp_path: Path) -> None:
    words = ["bash", str(HERE / "loads" / "storm.sh"), "2", str(tmp_path / "done")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "done").read_text() == "2\n"


def test_a_request_reads_a_part_of_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(HERE / "loads"))
    import preloaded  # type: ignore[import-not-found]

    said: list[object] = []
    (body,) = preloaded.app({}, lambda status, headers: said.append(status))
    assert said == ["200 OK"]
    assert int(body) > preloaded.READ
