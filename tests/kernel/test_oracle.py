"""Scenarios on the running kernel: real folios, outcomes from PFNs and faults, and settings restored at the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from foliolab.framework.errors import KernelError
from foliolab.framework.kernel import guards, oracle, pagemap, settings
from foliolab.framework.kernel.check import Session
from foliolab.framework.kernel.oracle import Disturbed, KernelRun
from foliolab.framework.kernel.processes import Launcher, Tree
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


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize(("size", "level"), [("4K", "pte"), ("16K", "pte"), ("64K", "pte"), ("2M", "pte")])
def test_outcomes_of_a_fork_whose_child_exits(session: Session, size: str, level: str) -> None:
    records = session.run(scenario(size, level))
    outcomes = [record.text for record in records if record.outcomes]
    last = "reused"  # B has the only mapping of a small page; a large folio is mapped by A as well
    if size != "4K":
        last = "copied"
    assert outcomes == ["copied", last, "reused", "unchanged", "new page"]


def test_a_pmd_is_reused_as_a_whole(session: Session) -> None:
    text = "scenario whole\nregion heap: 1 x 2M pmd\nA: fork B\nB: exit\nA: write heap[5]\nA: write heap\n"
    assert [record.text for record in session.run(parse(text)) if record.outcomes] == ["reused", "unchanged"]


def test_every_page_lies_in_a_folio_of_the_asked_size(session: Session) -> None:
    for size, order in (("16K", 2), ("128K", 5), ("2M", 9)):
        with KernelRun(scenario(size), session.launcher, session.thp, session.cpus) as run:
            frames = run.views()["A"].frames[: 2 << order]
            assert pagemap.off_size(frames, order) == []
            assert np.unique(frames >> order).size == 2


def test_a_region_without_its_folios_is_not_taken(session: Session) -> None:
    class Refusing:
        """Settings that never enable a size."""

        def only(self, kib: int | None) -> None:
            session.thp.only(None)  # type: ignore[union-attr]

    with pytest.raises(Disturbed, match="heap"):
        KernelRun(scenario(), session.launcher, Refusing(), session.cpus)  # type: ignore[arg-type]


def test_what_the_kernel_refuses_is_said(session: Session) -> None:
    with Tree(session.launcher, 1, session.cpus) as tree, pytest.raises(KernelError, match=r"munmap.*Invalid argument"):
        tree.root.ask("munmap", 3, 5)


def test_a_process_that_dies_is_noticed(session: Session) -> None:
    with Tree(session.launcher, 2, session.cpus) as tree:
        child = tree.fork(tree.root)
        os.kill(child.pid, signal.SIGKILL)
        child.wait_gone()
        tree.alive.remove(child)
        assert not alive(child.pid) or Path(f"/proc/{child.pid}/stat").read_text().split()[2] in "ZX"
        os.kill(tree.root.pid, signal.SIGKILL)
        with pytest.raises(KernelError, match=r"died|takes no command"):
            tree.root.ask("read", 0, 0)


def test_nobody_is_left_behind(session: Session) -> None:
    text = "scenario many\nregion heap: 1 x 64K\n" + "".join(f"A: fork {name}\n" for name in "BCDEFG")
    with KernelRun(parse(text), session.launcher, session.thp, session.cpus) as run:
        list(run.run())
        pids = [process.pid for process in run.tree.alive]
        assert len(pids) == 7 and all(map(alive, pids))
    assert not any(map(alive, pids))


def test_disturbances_are_repeated_and_then_given_up(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    left = [2]

    def disturbed(before: object, after: object, allowed: object = None) -> list[str]:
        left[0] -= 1
        return ["pages migrated"] if left[0] >= 0 else []

    monkeypatch.setattr(guards, "moved", disturbed)
    records, discarded = oracle.run(scenario(), session.launcher, session.thp)
    assert discarded == 2 and records
    left[0] = 1000
    with pytest.raises(KernelError, match="pages migrated"):
        oracle.run(scenario(), session.launcher, session.thp)


def test_contents_pins_pipes_and_exec(session: Session) -> None:
    text = """scenario contents
region heap: 1 x 64K pte, room 4
A: vmsplice heap[0] as v
A: fork B
A: write heap[0] = 9
A: peek v
B: read heap[0]
A: pin heap[1] as p
A: write heap[1] = 7
A: peek p
A: unpin p
A: read heap[16]
A: write heap[16] = 3
A: fork C
C: exec
C: exit
A: read heap[16]
A: mremap heap[16] to heap[18]
A: read heap[18]
"""
    records = {record.step.line: record for record in session.run(parse(text))}
    assert records[6].text == "1" and records[7].text == "1"
    assert records[10].text == "7"
    assert records[12].text == "0" and not records[12].views["A"].present[16]
    assert records[17].text == "3" and records[19].text == "3"
    assert not records[15].views["C"].present.any()
    assert records[18].views["A"].present[18] and not records[18].views["A"].present[16]


def test_hidden_frames_leave_faults_and_presence(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """All PFNs read as 0, as without CAP_SYS_ADMIN."""
    real = pagemap.PageMap.pfn.fget  # type: ignore[attr-defined]
    monkeypatch.setattr(pagemap.PageMap, "pfn", property(lambda self: real(self) * 0))
    for _ in range(4):  # other programs on the host may use folios of that size, too
        records: list[Record] = session.run(scenario("512K"))
        if [record.population for record in records][:2] == [2, 2]:
            break
    assert all(record.hidden for record in records)
    outcomes = [record.text for record in records if record.outcomes]
    assert outcomes == ["faulted", "faulted", "faulted", "unchanged", "new page"]
    assert [record.population for record in records][:2] == [2, 2]


def test_kill_9_leaves_no_process_and_settings_that_restore_puts_back(session: Session, tmp_path: Path) -> None:
    session.__exit__(None, None, None)  # release the lock
    before = {kib: settings.mode_of(path) for kib, path in settings.switches().items()}
    program = """
import sys, time
from foliolab.framework.kernel.check import Session
from foliolab.framework.kernel.oracle import KernelRun
from foliolab.framework.scenario.parser import load
with Session(wait=60) as held:
    run = KernelRun(load(sys.argv[1]), held.launcher, held.thp, held.cpus)
    records = run.run(); next(records)
    print(*[p.pid for p in run.tree.alive], held.launcher.process.pid, flush=True)
    time.sleep(600)
"""
    file = tmp_path / "some.scenario"
    file.write_text(CHILD_EXITS.format(size="32K", level="pte"))
    with subprocess.Popen([sys.executable, "-c", program, str(file)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pids = [int(word) for word in process.stdout.readline().split()]
        assert len(pids) == 3
        assert settings.mode_of(settings.switches()[32]) == "madvise"
        process.kill()
        process.wait()
    end = time.monotonic() + 120
    while any(map(alive, pids)) and time.monotonic() < end:
        time.sleep(0.02)
    assert not any(map(alive, pids))
    settings.restore()
    assert {kib: settings.mode_of(path) for kib, path in settings.switches().items()} == before
    session.__enter__()


def test_a_launcher_that_is_gone_is_an_error(session: Session) -> None:
    with Launcher() as launcher:
        launcher.process.kill()
        launcher.process.wait()
        with pytest.raises(KernelError, match=r"does not answer|has ended"):
            Tree(launcher, 1, session.cpus)


def test_without_linux_the_reason_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(KernelError, match="not Linux but darwin"):
        Launcher()


def test_a_read_leaves_the_page_absent_and_a_copy_is_of_order_0(session: Session) -> None:
    made = replace(scenario("64K"), name="again")
    with KernelRun(made, session.launcher, session.thp, session.cpus) as run:
        records = list(run.run())
        flags = pagemap.kpageflags(records[1].views["A"].frames[:1])
    assert not pagemap.has(flags, "THP").any()
