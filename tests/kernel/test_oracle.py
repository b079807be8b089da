"""Scenarios on the running kernel: real folios, outcomes from PFNs and faults, and settings restored at the end."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from foliolab.framework.errors import KernelError
from foliolab.framework.kernel import guards, oracle, pagemap, settings
from foliolab.framework.kernel.agent.channel import VIEW, Frame
from foliolab.framework.kernel.oracle import Attempt, Disturbed
from foliolab.framework.kernel.seen import Seen
from foliolab.framework.kernel.session import RunningKernel, Session
from foliolab.framework.scenario.parser import parse
from foliolab.framework.scenario.record import Record
from foliolab.framework.scenario.syntax import Scenario

CHILD_EXITS = """scenario child-exits
region heap: 2 x {size} {level}, room 16
A: fork B
A: write heap[0]
B: write heap[0]
B: exit
A: write heap[1]
A: write heap[1]
A: dontneed heap[1]
A: write heap[1]
"""


def scenario(size: str = "64K", level: str = "pte") -> Scenario:
    return parse(CHILD_EXITS.format(size=size, level=level))


def played(session: RunningKernel, made: Scenario) -> tuple[Attempt, Sequence[Frame]]:
    """An attempt that was played, and its answers; not read yet."""
    attempt = Attempt(made, session.conditions)
    return attempt, session.channel.play(attempt.program)


def views(frames: Sequence[Frame]) -> list[Seen]:
    return [Seen.of(frame.payload)[1] for frame in frames if frame.kind == VIEW]


@pytest.mark.parametrize(("size", "level"), [("4K", "pte"), ("16K", "pte"), ("64K", "pte"), ("2M", "pte")])
def test_outcomes_of_a_fork_whose_child_exits(session: RunningKernel, size: str, level: str) -> None:
    records = session.run(scenario(size, level))
    outcomes = [record.text for record in records if record.outcomes]
    last = "reused"  # B has the only mapping of a small page; a large folio is mapped by A as well
    if size != "4K":
        last = "copied"
    assert outcomes == ["copied", last, "reused", "unchanged", "new page"]


def test_a_pmd_is_reused_as_a_whole(session: RunningKernel) -> None:
    text = "scenario whole\nregion heap: 1 x 2M pmd\nA: fork B\nB: exit\nA: write heap[5]\nA: write heap\n"
    assert [record.text for record in session.run(parse(text)) if record.outcomes] == ["reused", "unchanged"]


THREADS = """scenario threads
region heap: 1 x 16K pte
A: thread T
T: thread U
U: fork B
T: exit
U: write heap[0]
A: write heap[0]
B: thread V
B: exec
B: thread W
B: exit
U: write heap[1]
A: exec
"""


def test_threads_end_alone_and_with_their_process(session: RunningKernel) -> None:
    records = session.run(parse(THREADS))
    assert [record.text for record in records if record.outcomes] == ["copied", "unchanged", "reused"]
    assert records[2].views.keys() == {"A", "B"}, "threads see what their process sees"
    assert not records[-1].views["A"].present.any()


def test_every_page_lies_in_a_folio_of_the_asked_size(session: RunningKernel) -> None:
    for size, order in (("16K", 2), ("128K", 5), ("2M", 9)):
        populated = views(played(session, scenario(size))[1])[0]
        frames = populated.frames[: 2 << order]
        assert pagemap.off_size(frames, order, populated.flags[: 2 << order]) == []
        assert np.unique(frames >> order).size == 2


def test_a_region_without_its_folios_is_not_taken(session: RunningKernel) -> None:
    assert session.conditions.switches is not None
    refusing = dict.fromkeys(session.conditions.switches, session.conditions.switches[32])  # enables none but 32 KiB
    attempt = Attempt(scenario(), replace(session.conditions, switches=refusing))
    with pytest.raises(Disturbed, match=r"region heap: folios of 64 KiB were asked for"):
        attempt.read(session.channel.play(attempt.program))


@pytest.mark.parametrize(
    ("program", "says"),
    [
        ("start 1 16 0 0\nmunmap 0 0 -1", r"munmap: munmap: Invalid argument"),
        ("start 1 16 0 0\nfly 0", r"fly: command: Function not implemented"),
        ("start 1 16 0 0\nread 3 0 1", r"read: No such process"),
        ("start 0 16 0 0", r"start: Invalid argument"),
        ("put /proc/version 1", r"/proc/version: "),
        ("start 1 16 0 0\nread 0 0 1", r"process 0 died in read"),  # nothing is mapped there
    ],
)
def test_what_the_kernel_refuses_is_said(session: RunningKernel, program: str, says: str) -> None:
    with pytest.raises(KernelError, match=f"the running kernel refused {says}"):
        session.channel.play(program)
    assert session.run(scenario())  # the agent goes on


def test_disturbances_are_repeated_and_then_given_up(session: RunningKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    left = [2]

    def disturbed(before: object, after: object, allowed: object = None) -> list[str]:
        left[0] -= 1
        return ["pages migrated"] if left[0] >= 0 else []

    monkeypatch.setattr(guards, "moved", disturbed)
    records, discarded = oracle.run(scenario(), session.channel, session.conditions)
    assert discarded == 2 and records
    left[0] = 1000
    with pytest.raises(KernelError, match="pages migrated"):
        oracle.run(scenario(), session.channel, session.conditions)


def test_contents_pins_pipes_and_exec(session: RunningKernel, check_contents: Callable[[Session], None]) -> None:
    check_contents(session)


def test_a_process_after_exec_works_on(session: RunningKernel) -> None:
    text = "scenario again\nregion heap: 1 x 64K\nA: fork B\nB: exec\nA: fork C\nC: write heap[0]\nA: write heap[1]\n"
    records = session.run(parse(text))
    assert [record.text for record in records if record.outcomes] == ["copied", "copied"]
    assert not records[-1].views["B"].present.any()


def test_hidden_frames_leave_faults_and_presence(session: RunningKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """All PFNs read as 0, as without CAP_SYS_ADMIN."""
    real = pagemap.PageMap.pfn.fget  # type: ignore[attr-defined]
    monkeypatch.setattr(pagemap.PageMap, "pfn", property(lambda self: real(self) * 0))
    session.conditions = replace(session.conditions, hidden=True)
    for _ in range(4):  # other programs on the host may use folios of that size, too
        records: list[Record] = session.run(scenario("512K"))
        if [record.population for record in records][:2] == [2, 2]:
            break
    assert all(record.hidden for record in records)
    outcomes = [record.text for record in records if record.outcomes]
    assert outcomes == ["faulted", "faulted", "faulted", "unchanged", "new page"]
    assert [record.population for record in records][:2] == [2, 2]


def processes(name: str = "foliolab-agent") -> set[int]:
    """The PIDs of the agents' processes on this host."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().startswith(name.encode()):
                found.add(int(path.parent.name))
        except OSError:
            continue
    return found


def test_nobody_is_left_behind(session: RunningKernel) -> None:
    text = "scenario many\nregion heap: 1 x 64K\n" + "".join(f"A: fork {name}\n" for name in "BCDEFG")
    assert len(session.run(parse(text))[-1].views) == 7
    assert processes() == {session.agent.process.pid}


def test_kill_9_leaves_no_process_and_settings_that_restore_puts_back(session: RunningKernel, tmp_path: Path) -> None:
    session.__exit__(None, None, None)  # release the lock
    before = {kib: settings.mode_of(path) for kib, path in settings.switches().items()}
    program = """
import sys, time
from foliolab.framework.kernel.oracle import Attempt
from foliolab.framework.kernel.session import RunningKernel, Session
from foliolab.framework.scenario.parser import load
with RunningKernel(wait=60) as held:
    lines = Attempt(load(sys.argv[1]), held.conditions).program.splitlines()
    held.channel.send("\\n".join([*lines[: lines.index("exit 1")], "get /proc/self/mem"]))
    print(held.agent.process.pid, flush=True)
    time.sleep(600)
"""
    file = tmp_path / "some.scenario"
    file.write_text(CHILD_EXITS.format(size="32K", level="pte"))
    with subprocess.Popen([sys.executable, "-c", program, str(file)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        assert pid in processes()
        process.kill()
        process.wait()
    end = time.monotonic() + 120
    while processes() and time.monotonic() < end:
        time.sleep(0.02)
    assert not processes()
    settings.restore()
    assert {kib: settings.mode_of(path) for kib, path in settings.switches().items()} == before
    session.__enter__()


def test_an_agent_that_is_gone_is_an_error(session: RunningKernel) -> None:
    os.kill(session.agent.process.pid, 9)
    with pytest.raises(KernelError, match=r"the running kernel has ended: the agent was"):
        session.run(scenario())


def test_a_read_leaves_the_page_absent_and_a_copy_is_of_order_0(session: RunningKernel) -> None:
    attempt, frames = played(session, replace(scenario("64K"), name="again"))
    attempt.read(frames)
    after_write = views(frames)[3]  # after populating, then of A and B after the fork, then of A after its write
    assert not pagemap.has(after_write.flags[:1], "THP").any()
    assert pagemap.has(after_write.flags[1:16], "THP").all()
