"""strace's output is read whatever its options, and its tasks become the right processes."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from texts import SAMPLES, convert, only, rows

from foliolab.framework.trace import events as ev
from foliolab.framework.trace import importers


def test_strace_gives_lifecycles_and_ranges(tmp_path: Path) -> None:
    header = importers.convert(SAMPLES / "phases.strace.txt", tmp_path / "t")
    found = rows(tmp_path / "t")
    assert Counter(row["kind"] for row in only(found, ev.FORK, ev.SPAWN, ev.EXEC, ev.EXIT, ev.GONE)) == {
        ev.FORK: 2, ev.EXEC: 1, ev.EXIT: 3, ev.GONE: 3,
    }  # fmt: skip
    assert not only(found, ev.NEW, ev.WRITE)
    assert only(found, ev.UNMAP)[-1]["nr"] == 16
    assert "strace sees no faults" in " ".join(header.notes)


STRACE = """\
7 1700000000.000001 execve("/bin/x", ["x"], 0x7ff /* 3 vars */) = 0
7 1700000000.000010 vfork( <unfinished ...>
8 1700000000.000020 execve("/bin/y", ["y"], 0x7ff /* 3 vars */ <unfinished ...>
7 1700000000.000030 <... vfork resumed>)    = 8
8 1700000000.000031 <... execve resumed>)   = 0
7 1700000000.000040 clone3({flags=CLONE_VM|CLONE_THREAD|CLONE_SIGHAND, exit_signal=0, stack=0x7f}, 88) = 9
9 1700000000.000050 munmap(0x10000, 4096)   = 0
9 1700000000.000051 munmap(0x20000, 4096)   = -1 EINVAL (Invalid argument)
9 1700000000.000060 exit(0)                 = ?
9 1700000000.000061 +++ exited with 0 +++
8 1700000000.000070 +++ killed by SIGKILL +++
7 1700000000.000071 --- SIGCHLD {si_signo=SIGCHLD} ---
7 1700000000.000080 clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|SIGCHLD, child_tidptr=0x7f) = 10
7 1700000000.000090 exit_group(0)           = ?
7 1700000000.000099 +++ exited with 0 +++
"""


@pytest.mark.parametrize("spawn", ["vfork(", "clone3({flags=CLONE_VM|CLONE_VFORK, exit_signal=SIGCHLD}, 88"])
def test_strace_tells_threads_spawns_and_forks_apart(spawn: str, tmp_path: Path) -> None:
    name = spawn.partition("(")[0]
    _, found = convert(STRACE.replace("vfork(", spawn).replace("... vfork resumed", f"... {name} resumed"), tmp_path)
    assert [(ev.KINDS[row["kind"]], row["mm"], row["other"]) for row in found if row["kind"] != ev.UNMAP] == [
        ("spawn", 1, 2), ("exec", 2, 3), ("exit", 3, 0), ("gone", 3, 0), ("fork", 1, 4), ("exit", 1, 0), ("gone", 1, 0),
    ]  # fmt: skip
    assert [(row["mm"], row["page"]) for row in only(found, ev.UNMAP)] == [(1, 0x10)]


LIFE = [("fork", 1, 2), ("exit", 2, 0), ("gone", 2, 0), ("exit", 1, 0), ("gone", 1, 0)]
FORK_OF = "clone(child_stack=NULL, flags=CLONE_CHILD_SETTID|SIGCHLD, child_tidptr=0x7f)"


def life(found: Iterable[dict[str, int]]) -> list[tuple[str, int, int]]:
    kinds = (ev.FORK, ev.SPAWN, ev.EXEC, ev.EXIT, ev.GONE)
    return [(ev.KINDS[row["kind"]], row["mm"], row["other"]) for row in only(found, *kinds)]


@pytest.mark.parametrize(
    ("before", "behind"),
    [
        ("{pid} ", ""),
        ("[pid {pid}] ", ""),
        ("{pid}<some (name)> ", ""),
        ("{pid} 23:59:59.99999{n} ", ""),
        ("{pid} 23:59:5{n} ", ""),
        ("{pid}      0.00000{n} ", ""),
        ("{pid} 1700000000.00000{n} (+     0.000001) [  56] [00007f20683ce9f0] ", " <0.000100>"),
        ("{pid} [????????????????] ", ""),
    ],
)
def test_strace_is_read_whatever_its_options(before: str, behind: str, tmp_path: Path) -> None:
    calls = [
        (7, f"{FORK_OF} = 8{behind}"),
        (8, "mmap(NULL, 4096, 0x3 /* PROT_READ|PROT_WRITE */, 0x22 /* MAP_PRIVATE|MAP_ANONYMOUS */, -1, 0) = 0x10000"),
        (8, f"munmap(0x10000, 4096) = 0{behind}"),
        (8, "exit_group(0) = ?"),
        (8, "+++ exited with 0 +++"),
        (7, "exit_group(0) = ?"),
        (7, "+++ exited with 0 +++"),
    ]
    text = "".join(
        before.format(pid=pid, n=n) + call + "\n > /lib/libc.so.6(x+0x1) [0x2]\n" for n, (pid, call) in enumerate(calls)
    )
    header, found = convert(text, tmp_path)
    assert life(found) == LIFE
    assert [(row["mm"], row["page"]) for row in only(found, ev.UNMAP)] == [(2, 0x10)]
    assert header.shows.times is any(mark in before for mark in (":", "."))
    assert header.notes == ["strace sees no faults: the trace has lifecycles and ranges, no writes."]


def test_the_time_of_strace_goes_on_after_midnight(tmp_path: Path) -> None:
    _, found = convert("7 23:59:59 munmap(0x1000, 1) = 0\n7 00:00:01 munmap(0x1000, 1) = 0\n", tmp_path)
    assert found[1]["time"] - found[0]["time"] == 2_000_000_000


END = "exit_group(0) = ?\n{0}+++ exited with 0 +++\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # a message in the middle of a line
        (
            f"{FORK_OF[:-10]}strace: Process 8 attached\n{FORK_OF[-10:]} = 8\n"
            f"[pid 8] {END.format('[pid 8] ')}{END.format('')}",
            LIFE,
        ),
        # a daemon: the parent ends first, and the child forks without a prefix
        (
            f"{FORK_OF} = 8\n[pid 7] {END.format('[pid 7] ')}{FORK_OF} = 9\n"
            f"[pid 9] {END.format('[pid 9] ')}{END.format('')}",
            [
                ("fork", 1, 2), ("exit", 1, 0), ("gone", 1, 0), ("fork", 2, 3), ("exit", 3, 0), ("gone", 3, 0),
                ("exit", 2, 0), ("gone", 2, 0),
            ],
        ),
        # the first process is named only when it has a child
        (
            "vfork( <unfinished ...>\nstrace: Process 8 attached\n"
            f"[pid 8] {END.format('[pid 8] ')}[pid 7] <... vfork resumed>) = 8\n{END.format('')}",
            [("spawn", *LIFE[0][1:]), *LIFE[1:]],
        ),
        # 5 was there before: the call says that it made another task
        (
            f"7 {FORK_OF[:-1]} <unfinished ...>\n5 munmap(0x1000, 1) = 0\n7 <... clone resumed>) = 8\n"
            f"8 {END.format('8 ')}",
            [("fork", 2, 3), ("exit", 3, 0), ("gone", 3, 0)],
        ),
        # two calls under way, of which the younger one made the task
        (
            f"7 {FORK_OF[:-1]} <unfinished ...>\n9 {FORK_OF[:-1]} <unfinished ...>\n8 {END.format('8 ')}"
            "9 <... clone resumed>) = 8\n7 <... clone resumed>) = -1 EAGAIN (Resource temporarily unavailable)\n",
            LIFE[:3],
        ),
        # in a namespace of its own, the call returns another number
        (
            f"7 {FORK_OF} = 2 /* 8 in strace's PID NS */\n8 {END.format('8 ')}",
            LIFE[:3],
        ),
    ],
)  # fmt: skip
def test_the_parent_in_strace_is_the_one_whose_call_returned_the_child(
    text: str, expected: list[tuple[str, int, int]], tmp_path: Path
) -> None:
    header, found = convert(text, tmp_path)
    assert life(found) == expected
    assert not any("guess" in note or "another parent" in note for note in header.notes)


def test_an_exec_in_a_thread_is_one_of_its_process(tmp_path: Path) -> None:
    thread = "clone3({flags=CLONE_VM|CLONE_THREAD|CLONE_SIGHAND, stack=0x7f} => {parent_tid=[8]}, 88) = 8"
    text = (
        f'7 munmap(0x1000, 1) = 0\n7 {thread}\n8 execve("/bin/x", ["x"], 0x7f /* 3 vars */ <pid changed to 7 ...>\n'
        f"7 +++ superseded by execve in pid 8 +++\n7 <... execve resumed>) = 0\n7 {END.format('7 ')}"
    )
    header, found = convert(text, tmp_path)
    assert life(found) == [("exec", 1, 2), ("exit", 2, 0), ("gone", 2, 0)]
    assert [(mm.pid, mm.comm) for mm in header.mms] == [(7, ""), (7, "x")]


def test_a_child_that_is_not_followed_ends_where_its_parent_waits_for_it(tmp_path: Path) -> None:
    """strace without -f has no line of the child."""
    text = (
        f"1700000000.1 {FORK_OF} = 8\n"
        "1700000000.2 wait4(-1, [{WIFSTOPPED(s) && WSTOPSIG(s) == SIGSTOP}], WUNTRACED, NULL) = 8\n"
        "1700000000.3 wait4(-1, [{WIFEXITED(s) && WEXITSTATUS(s) == 0}], 0, NULL) = 8\n"
        "1700000000.4 exit_group(0) = ?\n"
    )
    header, found = convert(text, tmp_path)
    assert [(ev.KINDS[row["kind"]], row["mm"], row["time"] % 10**9 // 10**8) for row in found] == [
        ("fork", 1, 1), ("exit", 2, 3), ("gone", 2, 3), ("exit", 1, 4), ("gone", 1, 4),
    ]  # fmt: skip
    assert "1 tasks that a call made have no line: strace -f follows them." in header.notes


def test_a_process_of_which_strace_does_not_say_that_it_exited_ends_all_the_same(tmp_path: Path) -> None:
    """strace -qq; the child has a second thread, and its number is given again."""
    life = (
        f"7 1700000000.1 {FORK_OF} = 8\n8 1700000000.2 clone(flags=CLONE_VM|CLONE_THREAD) = 9\n"
        "9 1700000000.2 munmap(0x10000, 4096) = 0\n8 1700000000.3 exit_group(0) = ?\n"
        "7 1700000000.4 wait4(-1, [{WIFEXITED(s) && WEXITSTATUS(s) == 0}], 0, NULL) = 8\n"
    )
    header, found = convert(life + life.replace("1700000000", "1700000001"), tmp_path)
    assert [(ev.KINDS[row["kind"]], row["mm"]) for row in found if row["kind"] != ev.UNMAP] == [
        ("fork", 1), ("exit", 2), ("gone", 2), ("fork", 1), ("exit", 3), ("gone", 3),
    ]  # fmt: skip
    assert not any("another parent" in note for note in header.notes)


def test_flags_that_are_in_memory_are_not_known(tmp_path: Path) -> None:
    """`-e raw=all` prints where clone3 finds its flags, and not the flags."""
    text = "7 1700000000.1 clone3(0x7ffe1000, 0x58) = 0x8\n8 1700000000.2 munmap(0x10000, 0x1000) = 0\n"
    header, found = convert(text, tmp_path)
    assert header.shows.threads is False
    assert [(ev.KINDS[row["kind"]], row["mm"]) for row in found] == [("fork", 1), ("unmap", 2)]
