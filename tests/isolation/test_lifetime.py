"""No process outlives the one that started it, whatever ends that one; temporary folders do not, either."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from foliolab.framework.isolation import memory, scratch
from foliolab.framework.isolation.commands import kept

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")
LONG = 60.0
PARENT = """
import os, subprocess, sys, threading, time
sys.path.insert(0, {folder!r})
import children
from foliolab.framework.isolation.commands import kept
from foliolab.framework.isolation.process import Child
from foliolab.framework.isolation.scratch import Scratch

def forked():
    return Child(children.hang, method="fork").process.pid

def by_a_thread():
    found = []
    thread = threading.Thread(target=lambda: found.append(Child(children.hang, method="fork")))
    thread.start()
    thread.join()
    time.sleep(0.5)  # the end of the thread must not end its child
    assert found[0].receive(60) == "started" and found[0].process.is_alive()
    return found[0].process.pid

def with_grandchild():
    child = Child(children.fork_process, method="fork", has_children=True)
    return child.process.pid, child.receive(60)

def command():
    tool = subprocess.Popen(kept(["sh", "-c", "sleep 600 & setsid sleep 600 & echo $$; wait"]), stdout=-1, text=True)
    return tool.pid, int(tool.stdout.readline())

def folder():
    global kept_folder
    kept_folder = Scratch()
    print(kept_folder.path, file=sys.stderr, flush=True)
    return os.getpid()

print({what}(), flush=True)
time.sleep(600)
"""


def processes() -> dict[int, int]:
    """The parent's PID of each process that is not a zombie."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = path.read_text(errors="replace").rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if state != "Z":
            found[int(path.parent.name)] = int(parent)
    return found


def below(root: int) -> set[int]:
    parents, found = processes(), {root}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def eventually(fits: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + LONG
    while not fits():
        assert time.monotonic() < end, what
        time.sleep(0.02)


@linux
@pytest.mark.parametrize("what", ["forked", "by_a_thread", "with_grandchild", "command"])
def test_a_killed_process_leaves_no_descendant(what: str) -> None:
    text = PARENT.format(folder=str(Path(__file__).parent), what=what)
    with subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        told = [int(word.strip("(),")) for word in parent.stdout.readline().split()]
        tree = below(parent.pid) | set(told)
        assert len(tree) >= {"command": 4, "with_grandchild": 3}.get(what, 2)
        parent.kill()
        parent.wait()
        eventually(lambda: not tree & set(processes()), f"{what}: processes are left")


@linux
def test_a_kept_command_ends_as_itself_and_takes_along_what_it_left_behind() -> None:
    done = subprocess.run(kept(["sh", "-c", "setsid sleep 600 & echo $!; exit 7"]), stdout=-1, text=True, check=False)
    assert done.returncode == 7
    eventually(lambda: int(done.stdout) not in processes(), "what it left behind is there")
    assert subprocess.run(kept(["sh", "-c", "kill -SEGV $$"]), check=False).returncode == -signal.SIGSEGV
    nothing = subprocess.run(kept(["/no/such/command"]), stderr=-1, text=True, check=False)
    assert nothing.returncode == 127 and nothing.stderr.startswith("/no/such/command: No such file")


@linux
def test_a_signal_for_the_keeper_reaches_the_command() -> None:
    text = "trap 'echo interrupted; exit 3' INT; echo ready; while :; do sleep 0.05; done"
    with subprocess.Popen(kept(["sh", "-c", text]), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "interrupted\n"
    assert process.returncode == 3


@linux
def test_a_folder_of_a_killed_process_is_removed_by_the_next_one(tmp_path: Path) -> None:
    text = PARENT.format(folder=str(Path(__file__).parent), what="folder")
    with subprocess.Popen(
        [sys.executable, "-c", text], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    ) as parent:  # fmt: skip
        assert parent.stdout is not None and parent.stdout.readline()
        (left,) = tmp_path.iterdir()
        with scratch.scratch(tmp_path) as mine:
            assert left.is_dir() and mine.is_dir() and left != mine
        parent.kill()
        parent.wait()
    (tmp_path / "foliolab-of-the-user").mkdir()
    with scratch.scratch(tmp_path) as mine:
        assert sorted(tmp_path.iterdir()) == sorted([mine, tmp_path / "foliolab-of-the-user"])
    assert list(tmp_path.iterdir()) == [tmp_path / "foliolab-of-the-user"]


@pytest.mark.parametrize(
    ("line", "file", "text"),
    [
        ("0::/a/b", "a/b/memory.events", "low 0\noom 4\noom_kill 3\noom_group_kill 0\n"),
        ("9:memory:/a/b", "memory/a/b/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"),
        ("9:cpu,memory:/not/here", "memory/memory.oom_control", "under_oom 1\noom_kill 3\n"),
    ],
)
def test_the_killer_is_counted_by_cgroups_of_both_versions(
    line: str, file: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own").write_text(f"8:pids:/x\n{line}\n")
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text(text)
    for name, path in (("OWN", "own"), ("MOUNT", ""), ("VMSTAT", "none")):
        monkeypatch.setattr(memory, name, tmp_path / path)
    assert memory.oom_kills() == 3
    (tmp_path / file).unlink()
    assert memory.oom_kills() is None


@linux
def test_what_a_command_leaves_behind_is_named_and_ended() -> None:
    script = 'setsid sleep 600 >&2 & until [ "$(cat /proc/$!/comm)" = sleep ]; do sleep 0.05; done; echo $!'
    for named in (True, False):
        done = subprocess.run(kept(["sh", "-c", script], named=named), capture_output=True, text=True, check=True)
        daemon = int(done.stdout)
        said = f"foliolab: the command has ended, and with it what it left behind: sleep ({daemon})\n"
        assert done.stderr == said * named
        assert not Path(f"/proc/{daemon}").exists()
