"""Guests without QEMU: the initramfs, the command, and what is said where something is missing."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from foliolab.framework.errors import KernelError, UsageError
from foliolab.framework.kernel.agent.channel import Channel, Gone
from foliolab.framework.kernel.guest import fetching, initramfs, machine, qemu
from foliolab.framework.kernel.guest.machine import Guest
from foliolab.framework.kernel.guest.qemu import Qemu
from foliolab.framework.kernel.images.store import Image


def entries(archive: bytes) -> dict[str, tuple[int, bytes, tuple[int, int]]]:
    """Mode, data and device of each file of a newc archive."""
    found: dict[str, tuple[int, bytes, tuple[int, int]]] = {}
    at = 0
    while True:
        assert at % 4 == 0 and archive[at : at + 6] == b"070701"
        fields = [int(archive[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)]
        size, length = fields[6], fields[11]
        name = archive[at + 110 : at + 110 + length - 1].decode()
        start = (at + 110 + length + 3) // 4 * 4
        if name == "TRAILER!!!":
            return found
        found[name] = fields[1], archive[start : start + size], (fields[9], fields[10])
        at = (start + size + 3) // 4 * 4


# -- the initramfs -------------------------------------------------------------------------------------
def test_the_initramfs_has_the_agent_a_console_and_modules() -> None:
    found = entries(initramfs.initramfs(b"agent", [b"one", b"second"]))
    assert list(found) == ["dev", "dev/console", "init", "modules", "modules/00.ko", "modules/01.ko"]
    assert found["init"] == (0o100755, b"agent", (0, 0))
    assert stat.S_ISCHR(found["dev/console"][0]) and found["dev/console"][2] == (5, 1)
    assert stat.S_ISDIR(found["modules"][0]) and found["modules/01.ko"][1] == b"second"


def test_an_archive_behind_another_begins_where_the_kernel_looks() -> None:
    second = initramfs.initramfs(b"agent", [])
    both = initramfs.behind(b"x" * 700, second)
    assert both.endswith(second) and (len(both) - len(second)) == 1024


@pytest.mark.skipif(shutil.which("cpio") is None, reason="there is no cpio")
def test_cpio_reads_it(tmp_path: Path) -> None:
    listed = subprocess.run(
        ["cpio", "-t", "--quiet"], input=initramfs.initramfs(b"agent", [b"m"]), capture_output=True, check=True
    )
    assert listed.stdout.decode().split() == ["dev", "dev/console", "init", "modules", "modules/00.ko"]


# -- QEMU ----------------------------------------------------------------------------------------------
@pytest.fixture
def x86(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An x86-64 Linux without QEMU and with a cache of its own; the cache."""
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setenv("FOLIOLAB_CACHE", str(tmp_path))
    return tmp_path


def test_without_qemu_the_message_says_what_to_install(x86: Path) -> None:
    with pytest.raises(KernelError, match="QEMU is missing") as caught:
        qemu.qemu()
    assert "apt install qemu-system-x86" in caught.value.hint and "foliolab kernel get qemu" in caught.value.hint


def test_a_fetched_qemu_finds_its_libraries_and_firmware(x86: Path) -> None:
    program = x86 / "kernels/qemu/usr/bin/qemu-system-x86_64"
    program.parent.mkdir(parents=True)
    program.touch()
    found = qemu.qemu()
    assert found.program == str(program)
    assert f"{x86}/kernels/qemu/usr/lib/x86_64-linux-gnu" in found.environment["LD_LIBRARY_PATH"]
    assert found.firmware == ["-L", f"{x86}/kernels/qemu/usr/share/qemu", "-L", f"{x86}/kernels/qemu/usr/share/seabios"]


@pytest.mark.parametrize(("system", "machine"), [("darwin", "arm64"), ("linux", "aarch64")])
def test_elsewhere_guests_are_refused(x86: Path, monkeypatch: pytest.MonkeyPatch, system: str, machine: str) -> None:
    monkeypatch.setattr("sys.platform", system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    with pytest.raises(KernelError, match=f"guests need Linux on x86-64, and this is .* on {machine}"):
        qemu.qemu()


def test_a_guest_has_neither_disk_nor_network_and_bounded_memory() -> None:
    words = Qemu("/q").command("tcg", "/vmlinuz", "/initrd", 7, 300, 2)
    text = " ".join(words)
    assert text.startswith("/q -nodefaults -no-user-config")
    assert " -nic none " in text and " -m 300M -smp 2 " in text and " -no-reboot " in text and "-sandbox on," in text
    assert not any(word in text for word in ("-drive", "-hda", "-fsdev", "-netdev", "-virtfs"))
    assert "tcg,thread=single" in text and "kvm" in " ".join(Qemu("/q").command("kvm", "/v", "/i", 7, 300, 1))


@pytest.mark.skipif(sys.platform != "linux", reason="/proc says what a program has worked")
def test_a_guest_that_never_works_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program, image = tmp_path / "qemu", tmp_path / "vmlinuz"
    program.write_text("#!/bin/sh\nexec sleep 100\n")
    program.chmod(0o755)
    image.touch()
    monkeypatch.setattr(machine, "agent", lambda: b"agent")
    monkeypatch.setattr(machine, "kvm_missing", lambda program: "no KVM")
    monkeypatch.setattr(machine, "qemu", lambda: Qemu(os.fspath(program)))
    monkeypatch.setattr(machine, "BOOT_LOOK", {"tcg": 0.1})
    with pytest.raises(Gone, match=r"kernel 7\.3 does not boot: .* QEMU worked for 0 s"), Guest(Image("7.3", image)):
        pass


def test_a_boot_goes_on_while_qemu_works_or_waits_for_a_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    boot = machine._Boot.__new__(machine._Boot)  # no process is started
    boot._worked = boot._stood = 0.0
    boot.channel = Channel(socket.socket(), "x", 60.0, lambda: ("", ""))
    seconds = iter([1.2, 40.0, 40.9, 60.0, machine.BOOT_WORK])
    monkeypatch.setattr(machine._Boot, "worked", lambda self: next(seconds))
    line = iter([0.0, 0.0, 20.0, 20.0, 90.0])
    monkeypatch.setattr(machine._Boot, "stood", lambda self: next(line))
    assert [boot.patience() for _ in range(5)] == [60.0, 60.0, 0.0, 60.0, 0.0]
    seconds = iter([0.2, 0.4, 0.4, 0.5])
    line = iter([50.0, 90.0, 119.0, 150.0])
    boot._worked = boot._stood = 0.0
    assert [boot.patience() for _ in range(4)] == [60.0, 60.0, 0.0, 60.0], "a busy host has no processor for it"
    boot.channel.close()


# -- KVM -----------------------------------------------------------------------------------------------
def test_kvm_that_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    qemu.kvm_missing.cache_clear()
    monkeypatch.setattr(qemu, "KVM", tmp_path / "kvm")
    assert qemu.kvm_missing(Qemu("/q")) == f"{tmp_path}/kvm: No such file or directory"


def test_what_is_no_kvm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    qemu.kvm_missing.cache_clear()
    monkeypatch.setattr(qemu, "KVM", tmp_path / "kvm")
    (tmp_path / "kvm").touch()
    assert "Inappropriate ioctl" in qemu.kvm_missing(Qemu("/q"))


@pytest.mark.parametrize(("exit", "says"), [(0, ""), (1, "KVM does not work here: failed to set MSR")])
def test_kvm_is_tried(exit: int, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program in QEMU's place, and a device that answers as KVM does."""
    import fcntl

    qemu.kvm_missing.cache_clear()
    monkeypatch.setattr(qemu, "KVM", tmp_path / "kvm")
    (tmp_path / "kvm").touch()
    monkeypatch.setattr(fcntl, "ioctl", lambda device, number: qemu.API_VERSION)
    program = tmp_path / "qemu"
    program.write_text(
        f'#!/bin/sh\nread line; [ "$line" = quit ] || exit 9\necho "failed to set MSR" >&2\nexit {exit}\n'
    )
    program.chmod(0o755)
    assert qemu.kvm_missing(Qemu(os.fspath(program))) == says
    qemu.kvm_missing.cache_clear()


# -- fetching QEMU -------------------------------------------------------------------------------------
def test_qemu_is_fetched_on_debian_only(x86: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "freedesktop_os_release", lambda: {"ID": "fedora"})
    with pytest.raises(UsageError, match="qemu-system-x86 can be fetched on Debian only"):
        fetching.fetch(print)
