"""The host's THP settings on a made-up /sys: one run at a time, and values that are restored however it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foliolab.framework.errors import ExitCode, KernelError
from foliolab.framework.kernel import settings
from foliolab.framework.kernel.ending import signals_blocked

if sys.platform != "linux":
    pytest.skip("flock and signals as on Linux", allow_module_level=True)

BEFORE = {16: "never", 64: "madvise", 2048: "inherit"}


def make(root: Path, modes: dict[int, str]) -> None:
    for kib, mode in modes.items():
        folder = root / f"hugepages-{kib}kB"
        (folder / "stats").mkdir(parents=True)
        (folder / "enabled").write_text(" ".join(f"[{m}]" if m == mode else m for m in settings.MODES) + "\n")
        (folder / "stats" / "nr_anon").write_text(f"{kib}\n")
    (root / "hugepages-8kB").mkdir()  # only shmem has this size
    (root / "enabled").write_text("always [madvise] never\n")


def modes() -> dict[int, str]:
    return {kib: settings.mode_of(path) for kib, path in settings.switches().items()}


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    make(tmp_path / "thp", BEFORE)
    monkeypatch.setattr(settings, "THP", tmp_path / "thp")
    monkeypatch.setattr(settings, "RUN", tmp_path / "run")
    return tmp_path


HEAD = """
import os, signal, sys, time
from pathlib import Path
from foliolab.framework.kernel import settings
root = Path({root!r})
settings.THP, settings.RUN = root / "thp", root / "run"
import signal
for number in (signal.SIGTERM, signal.SIGHUP):  # they are ignored if the tests run under nohup
    signal.signal(number, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)
"""


def other(root: Path, code: str) -> subprocess.Popen[str]:
    """Start another process with the same made-up /sys; returns after its first line of output."""
    text = HEAD.format(root=str(root)) + code
    process = subprocess.Popen([sys.executable, "-P", "-c", text], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    return process


@pytest.fixture
def holder(machine: Path) -> Iterator[subprocess.Popen[str]]:
    """A run that has changed a setting and does not end by itself."""
    process = other(machine, "with settings.exclusive() as t:\n t.only(16); print(1, flush=True); time.sleep(99)\n")
    yield process
    process.kill()
    process.wait()


# -- reading -----------------------------------------------------------------------------------------
def test_sizes_are_those_with_a_switch() -> None:
    assert settings.sizes() == [16, 64, 2048]
    assert settings.resolved_mode(64) == "madvise"
    assert settings.resolved_mode(2048) == "madvise"  # inherited
    assert settings.stats(64) == {"nr_anon": 64}


def test_a_kernel_without_mthp_has_one_size(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = machine / "old"
    old.mkdir()
    monkeypatch.setattr(settings, "THP", old)
    assert settings.sizes() == []
    (old / "enabled").write_text("[always] madvise never\n")
    assert settings.sizes() == [2048]
    (old / "hpage_pmd_size").write_text("1048576\n")
    with settings.exclusive() as thp:
        thp.only(1024)
        assert (old / "enabled").read_text() == "madvise"
    assert (old / "enabled").read_text() == "always"


def test_what_cannot_be_read_is_named(machine: Path) -> None:
    with pytest.raises(KernelError, match="no anonymous folios of 32 KiB"):
        settings.resolved_mode(32)
    with pytest.raises(KernelError, match="hugepages-8kB/stats is missing"):
        settings.stats(8)
    (machine / "thp/hugepages-64kB/stats/nr_anon").write_text("many\n")
    with pytest.raises(KernelError, match="nr_anon says 'many'"):
        settings.stats(64)
    switch = machine / "thp/hugepages-64kB/enabled"
    switch.write_text("on [off]\n")
    with pytest.raises(KernelError, match=r"enabled says 'on \[off\]'"):
        settings.resolved_mode(64)
    switch.unlink()
    switch.mkdir()
    with pytest.raises(KernelError, match="enabled cannot be read: Is a directory") as fault:
        settings.resolved_mode(64)
    assert fault.value.exit_code == ExitCode.NOTHING_MEASURED
    assert fault.value.hint


# -- changing and putting back -----------------------------------------------------------------------
def test_one_size_and_back() -> None:
    with settings.exclusive() as thp:
        assert not settings.state_file().exists()  # nothing has changed yet
        thp.only(64)
        assert modes() == {16: "never", 64: "madvise", 2048: "never"}
        state = json.loads(settings.state_file().read_text())
        assert state["pid"] == os.getpid()
        assert state["values"] == {f"hugepages-{kib}kB/enabled": mode for kib, mode in BEFORE.items()}
        thp.only(2048, "always")
        assert modes() == {16: "never", 64: "never", 2048: "always"}
        thp.only(4)
        assert set(modes().values()) == {"never"}
    assert modes() == BEFORE
    assert not settings.state_file().exists()


def test_one_more_size_leaves_the_others() -> None:
    with settings.exclusive() as thp:
        thp.allow(64)
        assert not settings.state_file().exists()  # it was allowed already
        thp.allow(16)
        assert modes() == BEFORE | {16: "madvise"}
    assert modes() == BEFORE


@pytest.mark.parametrize("fault", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_exception_puts_back(fault: type[BaseException]) -> None:
    with pytest.raises(fault), settings.exclusive() as thp:
        thp.only(16)
        raise fault
    assert modes() == BEFORE


def test_an_unknown_size_changes_nothing() -> None:
    with pytest.raises(KernelError, match="32 KiB"), settings.exclusive() as thp:
        thp.only(32)
    assert modes() == BEFORE


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_puts_back(holder: subprocess.Popen[str], number: int) -> None:
    assert modes()[16] == "madvise"
    holder.send_signal(number)
    holder.wait(10)
    assert modes() == BEFORE
    assert not settings.state_file().exists()


def test_after_kill_9_restore_puts_back(holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait()
    assert modes() == {16: "madvise", 64: "never", 2048: "never"}
    restored = settings.restore()
    assert restored is not None and len(restored) == 3
    assert modes() == BEFORE
    assert settings.restore() is None


def test_after_kill_9_the_next_run_puts_back_first(holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait()
    with settings.exclusive() as thp:
        assert modes() == BEFORE
        thp.only(2048)
    assert modes() == BEFORE


@given(
    st.fixed_dictionaries({kib: st.sampled_from(settings.MODES) for kib in (16, 64, 2048)}),
    st.lists(st.tuples(st.sampled_from(["only", "allow"]), st.sampled_from([16, 64, 2048]))),
)
def test_any_changes_are_put_back(before: dict[int, str], steps: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        make(Path(folder) / "thp", before)
        patch.setattr(settings, "THP", Path(folder) / "thp")
        patch.setattr(settings, "RUN", Path(folder) / "run")
        with settings.exclusive() as thp:
            for name, kib in steps:
                getattr(thp, name)(kib)
                assert settings.resolved_mode(kib) in ("always", "madvise")
        assert modes() == before


# -- what cannot be put back -------------------------------------------------------------------------
def test_a_file_that_cannot_be_restored_is_named_and_the_state_stays(machine: Path) -> None:
    switch = machine / "thp/hugepages-16kB/enabled"
    message = r"1 of 3 THP settings could not be restored; the first: .*16kB"
    with pytest.raises(KernelError, match=message) as fault, settings.exclusive() as thp:
        thp.only(16)
        switch.unlink()
        switch.mkdir()
    assert "kernel restore" in fault.value.hint
    assert {kib: m for kib, m in modes_of_files(machine).items() if kib != 16} == {64: "madvise", 2048: "inherit"}
    switch.rmdir()
    switch.write_text("madvise")
    assert settings.restore() == [f"{switch}: never"]


def modes_of_files(machine: Path) -> dict[int, str]:
    paths = {kib: machine / f"thp/hugepages-{kib}kB/enabled" for kib in BEFORE}
    return {kib: settings.mode_of(path) for kib, path in paths.items() if path.is_file()}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"values": 3}',
        '{"values": {"hugepages-16kB/enabled": "sometimes"}}',
        '{"values": {"hugepages-16kB/enabled": null}}',
        '{"values": {"../secret": "never"}}',
        '{"values": {"/etc/passwd": "never"}}',
        "\udcff",
    ],
)
def test_a_damaged_state_file_is_refused_and_kept(machine: Path, text: str) -> None:
    (machine / "secret").write_text("mine")
    settings.RUN.mkdir()
    settings.state_file().write_bytes(text.encode(errors="surrogateescape"))
    for attempt in (settings.restore, lambda: settings.exclusive().__enter__()):
        with pytest.raises(KernelError, match="is damaged") as fault:
            attempt()
        assert "as you want them" in fault.value.hint
    assert settings.state_file().exists()
    assert (machine / "secret").read_text() == "mine"
    assert modes() == BEFORE


# -- the lock ----------------------------------------------------------------------------------------
def test_a_second_run_is_told_who_has_it(holder: subprocess.Popen[str]) -> None:
    with pytest.raises(KernelError, match=f"process {holder.pid} .*is using"), settings.exclusive():
        pass
    with pytest.raises(KernelError, match=f"process {holder.pid} "):
        settings.restore()
    assert modes()[16] == "madvise"  # the holder's


def test_it_waits_for_the_first(machine: Path) -> None:
    first = other(machine, "with settings.exclusive():\n print(1, flush=True); time.sleep(0.4)\n")
    with settings.exclusive(wait=30):
        first.wait(10)
        assert first.returncode == 0
    first = other(machine, "with settings.exclusive():\n print(1, flush=True); time.sleep(0.4)\n")
    with settings.exclusive(wait=None):
        first.wait(10)


def test_a_lock_that_somebody_else_took_has_no_name(machine: Path) -> None:
    with settings.exclusive():
        pass
    locked = other(
        machine,
        "import fcntl\nf=settings.lock_file().open('w'); fcntl.flock(f, 2); print(1, flush=True); time.sleep(99)",
    )
    with pytest.raises(KernelError, match="another process is using"), settings.exclusive(0.01):
        pass
    locked.kill()
    locked.wait()


def test_a_forked_child_neither_restores_nor_keeps_the_lock() -> None:
    child = 0
    with settings.exclusive() as thp:
        thp.only(16)
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                thp.restore()
                os.write(writer, b"1")
                time.sleep(99)
            finally:
                os._exit(0)
        os.read(reader, 1)
        assert modes()[16] == "madvise"
    with settings.exclusive():  # free, although the child lives
        pass
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(reader)
    os.close(writer)


def test_a_child_that_leaves_the_block_changes_nothing() -> None:
    with settings.exclusive() as thp:
        thp.only(16)
        child = os.fork()
        if child == 0:
            return_code = 1
            try:
                with signals_blocked():
                    thp.restore()
                return_code = 0
            finally:
                os._exit(return_code)
        assert os.waitpid(child, 0)[1] == 0
        assert modes()[16] == "madvise"
        assert settings.state_file().exists()


def test_without_a_place_for_the_lock(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (machine / "file").write_text("")
    monkeypatch.setattr(settings, "RUN", machine / "file" / "run")
    with pytest.raises(KernelError, match="cannot be opened: Not a directory") as fault, settings.exclusive():
        pass
    assert "root" in fault.value.hint


def test_elsewhere_than_on_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(KernelError, match="not Linux but darwin"), settings.exclusive():
        pass
