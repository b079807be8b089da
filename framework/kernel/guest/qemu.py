"""QEMU: where it is, whether KVM works, and the command that starts a guest."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

from foliolab.framework.errors import KernelError
from foliolab.framework.isolation.commands import kept
from foliolab.framework.kernel.images import store

PROGRAM: Final = "qemu-system-x86_64"
MACHINES: Final = ("x86_64", "AMD64")
KVM: Path = Path("/dev/kvm")
KVM_GET_API_VERSION: Final = 0xAE00
API_VERSION: Final = 12
TRANSLATED_MB: Final = 128
"""How much translated code TCG keeps, in MiB; its own choice is a gigabyte."""
INSTALL: Final = "install it (Debian and Ubuntu: apt install qemu-system-x86), or `foliolab kernel get qemu`"

Accelerator = Literal["kvm", "tcg"]
BARE: Final = ("-nodefaults", "-no-user-config", "-display", "none")
TRIAL_SECONDS: Final = 20.0
CPUS: Final[dict[Accelerator, str]] = {"kvm": "host", "tcg": "max"}


@dataclass(frozen=True)
class Qemu:
    """An installed QEMU.

    Attributes:
        program: its path.
        folders: in which it looks for its firmware, besides its own.
        environment: variables that it needs.
    """

    program: str
    folders: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), hash=False)

    @property
    def firmware(self) -> list[str]:
        """The options that name the folders."""
        return [word for folder in self.folders for word in ("-L", folder)]

    def command(
        self, accelerator: Accelerator, kernel: str, initrd: str, channel: int, memory: int, cpus: int, append: str = ""
    ) -> list[str]:
        """The command of a guest without disk and network, with its console on standard output.

        Args:
            kernel, initrd: paths.
            channel: the descriptor of a connected socket, which becomes the guest's virtio port "foliolab".
            memory: of the guest, in MiB.
            cpus: of the guest.
            append: words for the kernel's command line.
        """
        accel = accelerator if accelerator == "kvm" else f"tcg,thread=single,tb-size={TRANSLATED_MB}"
        return [
            self.program, *self.firmware, *BARE, "-no-reboot", "-nic", "none",
            "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
            "-machine", "pc", "-accel", accel, "-cpu", CPUS[accelerator], "-m", f"{memory}M", "-smp", str(cpus),
            "-kernel", kernel, "-initrd", initrd,
            "-append", f"console=ttyS0 quiet panic=-1 oops=panic mitigations=off no_timer_check {append}".rstrip(),
            "-serial", "stdio", "-device", "virtio-serial-pci", "-chardev", f"socket,id=channel,fd={channel}",
            "-device", "virtserialport,chardev=channel,name=foliolab",
        ]  # fmt: skip


def qemu() -> Qemu:
    """QEMU on the PATH, or the one that `foliolab kernel get qemu` fetched.

    Raises:
        KernelError: there is none, or this is no x86-64 Linux.
    """
    if sys.platform != "linux" or platform.machine() not in MACHINES:
        raise KernelError(
            f"guests need Linux on x86-64, and this is {platform.system()} on {platform.machine()}",
            "use the model; or the running kernel, without --kernel",
        )
    if found := shutil.which(PROGRAM):
        return Qemu(found)
    root = fetched_root()
    program = root / "usr/bin" / PROGRAM
    if not program.is_file():
        raise KernelError(f"QEMU is missing: there is no {PROGRAM}", INSTALL)
    libraries = (root / "usr/lib/x86_64-linux-gnu", root / "lib/x86_64-linux-gnu")
    return Qemu(
        os.fspath(program),
        (os.fspath(root / "usr/share/qemu"), os.fspath(root / "usr/share/seabios")),
        {"LD_LIBRARY_PATH": ":".join(map(os.fspath, libraries)), "QEMU_MODULE_DIR": os.fspath(libraries[0] / "qemu")},
    )


def fetched_root() -> Path:
    """The folder into which `foliolab kernel get qemu` unpacks QEMU."""
    return store.folder() / "qemu"


@cache
def kvm_missing(program: Qemu) -> str:
    """Why KVM cannot be used, in a clause; empty if it can. QEMU tries it once: a device that opens may still fail."""
    import fcntl

    try:
        device = os.open(KVM, os.O_RDWR | os.O_CLOEXEC)
    except OSError as fault:
        return f"{KVM}: {fault.strerror}"
    try:
        version = fcntl.ioctl(device, KVM_GET_API_VERSION)
    except OSError as fault:
        return f"{KVM}: {fault.strerror}"
    finally:
        os.close(device)
    if version != API_VERSION:
        return f"{KVM} has version {version}"
    words = [
        program.program, *program.firmware, *BARE, "-machine", "pc", "-accel", "kvm", "-cpu", CPUS["kvm"],
        "-m", "32M", "-S", "-monitor", "stdio",
    ]  # fmt: skip
    try:
        done = subprocess.run(
            kept(words), input="quit\n", env={**os.environ, **program.environment}, timeout=TRIAL_SECONDS,
            capture_output=True, text=True, errors="replace", check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as fault:
        return f"QEMU with KVM: {fault}"
    said = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
    return f"KVM does not work here: {said[0]}" if done.returncode else ""
