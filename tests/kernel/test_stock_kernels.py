"""Two stock kernels of Debian as guests: they decide as the policies that claim to model them, and end with us.

The kernels and QEMU come from Debian's packages. What is not at hand is fetched only if FOLIOLAB_TEST_KERNELS is
"fetch", as CI sets it; else the tests skip, and say what is missing. None of this needs root.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from foliolab.framework.errors import FolioLabError, KernelError
from foliolab.framework.kernel import check, guestbench, matrix
from foliolab.framework.kernel.agent.build import agent
from foliolab.framework.kernel.agent.channel import Gone
from foliolab.framework.kernel.counting import run
from foliolab.framework.kernel.counting.difference import difference
from foliolab.framework.kernel.counting.result import Cell
from foliolab.framework.kernel.guest import fetching
from foliolab.framework.kernel.guest.machine import Guest
from foliolab.framework.kernel.guest.qemu import qemu
from foliolab.framework.kernel.images import debian, store
from foliolab.framework.kernel.matrix import Plan, Row
from foliolab.framework.kernel.session import READ_BACK, Session
from foliolab.framework.plugins.registry import load
from foliolab.framework.scenario.generate import Mix
from foliolab.framework.scenario.parser import load as load_scenario
from foliolab.framework.scenario.parser import parse

pytestmark = pytest.mark.slow

BASE, MM_ID = "6.12", "7.3"
FETCH = os.environ.get("FOLIOLAB_TEST_KERNELS") == "fetch"
SPIN = parse("scenario many\nregion heap: 1 x 64K\n" + "A: write heap\n" * 50)


@pytest.fixture(scope="session")
def images() -> dict[str, store.Image]:
    """The two kernels, with QEMU and a compiler."""
    try:
        agent()
        try:
            qemu()
        except KernelError:
            if not FETCH:
                raise
            fetching.fetch(print)
        source = None
        found = {}
        for name in (BASE, MM_ID):
            try:
                found[name] = store.image(name)
            except FolioLabError:
                if not FETCH:
                    raise
                source = source or debian.Debian(print)
                found[name] = source.get(source.offer(name))
    except FolioLabError as fault:
        pytest.skip(f"{fault.what} (FOLIOLAB_TEST_KERNELS=fetch fetches it)")
    return found


@pytest.fixture(scope="session")
def rows(images: dict[str, store.Image]) -> dict[str, Row]:
    """Both kernels against the three policies that model a kernel."""
    schemes = [policy.with_parameters() for policy in load().policies.values() if policy.models is not None]
    plan = Plan(40, 60, Mix())  # 6.12 reuses a large folio in random-80
    by_image = {row.name: row for row in matrix.rows([*images.values()], schemes, plan)}
    return {name: by_image[image.name] for name, image in images.items()}


@pytest.mark.parametrize(("name", "policy"), [(BASE, "page-mapcount"), (MM_ID, "mm-id")])
def test_a_kernel_does_what_its_policy_predicts_and_no_other(
    rows: dict[str, Row], images: dict[str, store.Image], name: str, policy: str
) -> None:
    row = rows[name]
    assert row.lost == "" and row.claims == (policy,) and row.behaves_like == [policy]
    found = row.agreements[policy]
    assert found.complete and found.writes > 4000 and not found.failed and not found.unexplained
    assert {kernel for large, _, kernel in found.tally if large} >= {"unchanged", "reused", "copied"}
    assert all(ours == theirs for _, ours, theirs in found.tally)
    assert all(found.compared[aspect] for aspect in ("presence", "identity", "kpagecount", "bit 56", "cold"))
    has_ram_disk = any(path.name.endswith("-brd.ko") for path in images[name].modules)
    assert bool(found.compared.get("pageout")) == has_ram_disk  # a kernel that an older FolioLab fetched has none


def test_the_two_are_told_apart_by_three_steps(rows: dict[str, Row]) -> None:
    for name, other, kernel in ((BASE, "mm-id", "copied"), (MM_ID, "page-mapcount", "reused")):
        one = rows[name].agreements[other].unexplained[0]
        assert [step.action for step in one.minimal.steps] == ["fork", "exit", "write"]
        assert one.shown.kernel == kernel


@pytest.fixture(scope="module")
def guest(images: dict[str, store.Image]) -> Iterator[Guest]:
    with Guest(images[MM_ID]) as started:
        yield started


def test_contents_pins_pipes_and_exec(guest: Guest, check_contents: Callable[[Session], None]) -> None:
    check_contents(guest)


def test_counts_repeat_and_are_those_of_the_policy(images: dict[str, store.Image]) -> None:
    def counted(*workloads: str) -> dict[str, Cell]:
        request = run.Request([images[BASE]], workloads, [4], 4 << 20)
        result = run.run(request, load(), lambda *news: None)
        assert result.lost == [] and result.kernels[0].policy == "page-mapcount"
        return {cell.workload: cell for cell in result.cells}

    first, second = counted("munmap", "fork", "reuse-byte"), counted("munmap", "reuse-byte")
    one, other = ({n: c.executed for n, c in found["reuse-byte"].functions.items()} for found in (first, second))
    assert first["reuse-byte"].exact and one == other
    one, other = ({n: c.executed for n, c in found["munmap"].functions.items()} for found in (first, second))
    assert one["folio_remove_rmap_ptes"] == other["folio_remove_rmap_ptes"]
    assert one["folio_remove_rmap_ptes"].locked == first["munmap"].pages == 1024
    for cell in first.values():
        found = difference(cell)
        assert found.explained and found.outside and cell.per_page("near") > 0


def test_kernels_are_measured_in_turns(images: dict[str, store.Image], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guestbench, "require_kvm", lambda request: None)  # what TCG takes is a time, too
    workloads = ("cow-byte", "child-reuse-byte")
    request = guestbench.Request([images[BASE], images[MM_ID]], workloads, [64], 2 << 20, 2, 1)
    result = guestbench.bench(request, lambda *news: None)
    assert result.complete and not result.lost and not result.failures
    assert [len(cell.samples) for cell in result.cells] == [2] * 4
    assert result.config.baseline == images[BASE].name
    assert [note.partition(":")[0] for note in result.notes[:2]] == [images[BASE].name, images[MM_ID].name]
    assert len(result.notes) == 3 and "whole kernels are compared" in result.notes[2]


def test_a_page_that_is_read_back_from_swap(images: dict[str, store.Image], guest: Guest) -> None:
    """Linux 7.3 reads it through the swap cache, and 6.12 past it; the model does as the kernel does."""
    with Guest(images[BASE]) as base:
        if not base.conditions.swap or not guest.conditions.swap:
            pytest.skip("the kernels were fetched without the module brd; `foliolab kernel get 6.12 7.3` fetches it")
        for kernel, bypasses in ((base, True), (guest, False)):
            assert kernel.habits(READ_BACK).swap_bypass == bypasses
            policy = load().policy("page-mapcount" if bypasses else "mm-id")
            found = check.check(kernel, policy, [READ_BACK])
            assert found.compared["pageout"] == 1 and not found.unexplained and not found.failed


def test_a_step_that_is_refused_does_not_end_the_guest(guest: Guest) -> None:
    with pytest.raises(KernelError, match=rf"kernel {re.escape(guest.image.name)} refused munmap") as caught:
        guest.channel.play("start 1 16 0 0\nmunmap 0 0 -1")
    assert not isinstance(caught.value, Gone)
    assert guest.run(SPIN)


def test_its_release_is_its_own_and_its_settings_are_not_the_hosts(guest: Guest) -> None:
    assert guest.kernel.release == guest.image.name != os.uname().release
    assert guest.accelerator == ("tcg" if guest.note else "kvm") and guest.boot_seconds > 0
    assert set(guest.conditions.switches or {}) == {4 << order for order in range(2, 10)}


def test_a_panic_is_quoted(images: dict[str, store.Image]) -> None:
    with Guest(images[BASE]) as guest, pytest.raises(Gone, match=r"has ended: QEMU .*Kernel panic - not syncing"):
        guest.channel.play("put /proc/sysrq-trigger c")


def test_a_guest_that_is_killed_says_so(images: dict[str, store.Image]) -> None:
    with Guest(images[BASE]) as guest:
        guest.kill()
        with pytest.raises(Gone, match=r"has ended: QEMU was killed"):
            guest.run(SPIN)


def test_a_guest_that_hangs_is_given_up(images: dict[str, store.Image]) -> None:
    with Guest(images[BASE]) as guest:
        guest.channel.seconds = 0.2
        with pytest.raises(Gone, match="does not answer"):
            guest.channel.play("get /proc/kmsg\n" * 100)  # reads until there is more to read
        pid = guest.process.pid
    assert not Path(f"/proc/{pid}").exists()


def test_kill_9_leaves_no_qemu_and_no_file(images: dict[str, store.Image], tmp_path: Path) -> None:
    program = """
import sys, time
from foliolab.framework.kernel.guest.machine import Guest
from foliolab.framework.kernel.images import store
with Guest(store.image(sys.argv[1])) as guest:
    print(guest.process.pid, flush=True)
    time.sleep(600)
"""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    words = [sys.executable, "-c", program, BASE]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        keeper = int(process.stdout.readline())
        children = Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split()
        process.send_signal(signal.SIGKILL)
    pids = [keeper, *map(int, children)]
    assert len(pids) == 2
    end = time.monotonic() + 60
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert list(tmp_path.iterdir()) == []
    assert not [path for path in store.folder().iterdir() if path.name.startswith(".foliolab")]


def test_scenarios_are_decided_alike_by_one_guest_and_by_the_engine(guest: Guest) -> None:
    found = check.check(guest, load().policy("mm-id"), check.random_scenarios(10, 500, Mix(orders=(0, 4, 9))))
    assert found.complete and found.scenarios == 10 and not found.disagreements and not found.failed


def test_folios_move_between_nodes_and_threads_share_what_they_have(images: dict[str, store.Image]) -> None:
    """Linux 7.3 queues what has moved for splitting; the model does as the kernel does."""
    moving = [
        load_scenario(load().scenario(f"migrate-{name}"))
        for name in ("reference", "sole-owner", "third-stays", "twice")
    ]
    mix = Mix(orders=(2, 4), actions=Mix().actions | {"thread", "migrate"})
    with Guest(images[MM_ID], nodes=2) as kernel:
        if len(kernel.conditions.nodes) < 2:
            pytest.skip("the kernel has one NUMA node")
        made = [*moving, *check.random_scenarios(4, 1, mix)]
        found = check.check(kernel, load().policy("mm-id"), made)
        assert found.compared["migrate"] > 8 and not found.unexplained and not found.failed
