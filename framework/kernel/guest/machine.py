"""A guest: a kernel of its own that plays scenarios. It has no disk and no network, and ends with its parent.

Its swap is in its own memory.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from foliolab.framework.errors import KernelError
from foliolab.framework.isolation.commands import end, kept
from foliolab.framework.isolation.keeper import END_ALL
from foliolab.framework.isolation.process import ending
from foliolab.framework.kernel.agent.build import agent
from foliolab.framework.kernel.agent.channel import ABSENT, Channel, Gone
from foliolab.framework.kernel.guest.initramfs import behind, initramfs
from foliolab.framework.kernel.guest.qemu import Accelerator, Qemu, kvm_missing, qemu
from foliolab.framework.kernel.images.store import Image
from foliolab.framework.kernel.nodes import HAS_MEMORY, parse
from foliolab.framework.kernel.oracle import Conditions
from foliolab.framework.kernel.running import Running, parse_options
from foliolab.framework.kernel.session import Session
from foliolab.framework.kernel.settings import THP
from foliolab.framework.machine.layout import PMD_ORDER

MEMORY: Final = 512
"""Memory of a guest in MiB."""
FAR_MEMORY: Final = 128
"""What of it each NUMA node but the first has, in MiB."""
BOOT_LOOK: Final[dict[Accelerator, float]] = {"kvm": 30.0, "tcg": 60.0}
"""Seconds between two looks at a guest that boots. One that had no second of a processor's time meanwhile hangs."""
STARVED: Final = 0.5
"""The share of these seconds that QEMU stood in line for a processor, from which on it does not count as hanging."""
BOOT_WORK: Final = 100.0
"""Seconds of a processor's time that a boot may take. It needs 2 to 10, however many other programs run."""
SECONDS: Final = 120.0
"""Seconds after which a scenario that does not end counts as hung: a TCG guest on a busy host is slow."""
VERSION: Final = re.compile(r"Linux version (\S+) .*", re.DOTALL)
"""/proc/version, which small kernels have too that are built without sysctl."""
CONSOLE_BYTES: Final = 1 << 16
LAST_WORDS: Final = re.compile(r"Kernel panic[^\n]*|BUG: [^\n]*|foliolab: [^\n]*|qemu-system[^\n]*")


@dataclass(frozen=True)
class Extras:
    """What a guest gets besides.

    Attributes:
        words: options of QEMU.
        descriptors: that the words name.
        append: words for the kernel's command line.
    """

    words: tuple[str, ...] = ()
    descriptors: tuple[int, ...] = ()
    append: str = ""


NOTHING: Final = Extras()


class _Boot:
    """One start of a guest."""

    def __init__(
        self,
        program: Qemu,
        image: Image,
        accelerator: Accelerator,
        memory: int,
        cpus: int,
        extras: Extras,
        stack: ExitStack,
    ) -> None:
        archive = initramfs(agent(), [path.read_bytes() for path in image.modules])
        if image.initrd is not None:
            archive = behind(image.initrd.read_bytes(), archive)
        self.console: IO[bytes] = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115  (the stack closes it)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs, open(os.memfd_create("foliolab-initramfs"), "wb") as held:
            held.write(archive)
            held.flush()
            command = program.command(
                accelerator, os.fspath(image.vmlinuz), f"/proc/self/fd/{held.fileno()}", theirs.fileno(), memory, cpus,
                extras.append,
            )  # fmt: skip
            try:
                self.process = subprocess.Popen(
                    kept([*command, *extras.words]), stdin=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno(), held.fileno(), *extras.descriptors],
                    stdout=self.console, stderr=subprocess.STDOUT, env={**os.environ, **program.environment},
                )  # fmt: skip
            except OSError as fault:
                ours.close()
                raise KernelError(f"QEMU cannot be started: {fault.strerror}", "is there enough memory?") from fault
        self.channel = Channel(ours, f"kernel {image.name}", BOOT_LOOK[accelerator], self.ending)
        self._worked = self._stood = 0.0
        stack.callback(self.end)

    def end(self) -> None:
        self.channel.close()
        with suppress(ProcessLookupError):
            self.process.send_signal(END_ALL)
        end(self.process, 10.0)

    def worked(self) -> float:
        """Seconds that QEMU has had of processors' time; 0 if this host does not say."""
        pid = self.process.pid
        seconds = 0.0
        with suppress(OSError, ValueError, IndexError):
            for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():  # of the keeper
                fields = Path(f"/proc/{child}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
                seconds += sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")  # utime, stime
        return seconds

    def stood(self) -> float:
        """Seconds that QEMU's threads were ready to run and had no processor; 0 if this host does not say."""
        pid = self.process.pid
        nanoseconds = 0
        with suppress(OSError, ValueError, IndexError):
            for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():  # of the keeper
                for thread in Path(f"/proc/{child}/task").iterdir():
                    nanoseconds += int((thread / "schedstat").read_text().split()[1])
        return nanoseconds / 1e9

    def patience(self) -> float:
        """Seconds that the guest gets besides for its boot; 0 if it hangs (see `Channel.receive`)."""
        before, self._worked = self._worked, self.worked()
        line, self._stood = self._stood, self.stood()
        goes_on = before + 1 <= self._worked or line + STARVED * self.channel.seconds <= self._stood
        return self.channel.seconds if goes_on and self._worked < BOOT_WORK else 0.0

    def ending(self) -> tuple[str, str]:
        """How the guest ended, with what it said last."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(5.0)
        said = self.said()
        how = "it closed its channel" if self.process.returncode is None else f"QEMU {ending(self.process.returncode)}"
        return f"{how}{f', after: {said}' if said else ''}", "try again, or leave this kernel out"

    def said(self) -> str:
        """The line of the console that tells most; empty if there is none."""
        size = self.console.seek(0, os.SEEK_END)
        self.console.seek(max(0, size - CONSOLE_BYTES))
        text = self.console.read().decode(errors="replace").replace("\r", "")
        found = LAST_WORDS.findall(text)
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return found[0].strip() if found else (lines[-1] if lines else "")


class Guest(Session):
    """Runs scenarios on a kernel in a guest; a context manager.

    Args:
        image: the kernel.
        cpus: of the guest.
        memory: of the guest, in MiB.
        nodes: NUMA nodes of the guest; those but the first have FAR_MEMORY each, and no processor.

    Attributes:
        kernel: release and options, once it has booted.
        accelerator: KVM or TCG.
        note: why it is not KVM; else empty.
        boot_seconds: that it took until it answered.
        drains: whether its LRU batches can be drained by a file of /proc/sys, which small kernels lack.

    Raises:
        KernelError: QEMU or a compiler is missing, or the kernel does not boot.
    """

    def __init__(self, image: Image, cpus: int = 1, memory: int = MEMORY, nodes: int = 1) -> None:
        super().__init__()
        self.image = image
        self.name = f"kernel {image.name}"
        self.cpus = cpus
        self.memory = memory
        self.nodes = nodes
        self.drains = True

    def _start(self, stack: ExitStack) -> None:
        program = qemu()
        self.note = kvm_missing(program)
        self._boot(program, "tcg" if self.note else "kvm", stack)

    def _boot(self, program: Qemu, accelerator: Accelerator, stack: ExitStack, extras: Extras = NOTHING) -> None:
        began = time.monotonic()
        boot = _Boot(program, self.image, accelerator, self.memory, self.cpus, self._with_nodes(extras), stack)
        self.process = boot.process
        self.channel = boot.channel
        self.accelerator = accelerator
        sizes = [4 << order for order in range(2, PMD_ORDER + 1)]
        switches = [f"{THP}/hugepages-{kib}kB/enabled" for kib in sizes]
        wanted = ("/proc/version", "/proc/config.gz", "/proc/swaps", HAS_MEMORY, *switches, f"{THP}/enabled")
        try:
            version, config, swaps, nodes, *files = self.channel.play(
                "\n".join(f"get {path}" for path in wanted), boot.patience
            )
        except Gone as fault:
            if boot.process.poll() is None:
                said = boot.said()
                raise Gone(
                    f"{self.name} does not boot: it did not answer in {time.monotonic() - began:.0f} s, of which QEMU "
                    f"worked for {boot.worked():.0f} s{f'; it said: {said}' if said else ''}",
                    "it needs CONFIG_VIRTIO_PCI=y and CONFIG_VIRTIO_CONSOLE=y, and a console on ttyS0 shows more",
                ) from fault
            raise
        self.boot_seconds = time.monotonic() - began
        self.channel.seconds = SECONDS
        options = self.image.options or parse_options(config.payload)
        self.kernel = Running(VERSION.sub(r"\1", version.text.strip()), options)
        *each, first = (frame.kind != ABSENT for frame in files)
        found = {kib: path for kib, path, there in zip(sizes, switches, each, strict=True) if there}
        if not found and first:  # before 6.8 there is one size
            found = {4 << PMD_ORDER: f"{THP}/enabled"}
        swap = len(swaps.text.splitlines()) > 1  # the first line names the columns
        self.conditions = Conditions(tuple(range(self.cpus)), found, swap=swap, nodes=parse(nodes.text))

    def _with_nodes(self, extras: Extras) -> Extras:
        """What the guest gets besides, with its NUMA nodes. Pages move between them when a scenario says so only."""
        if self.nodes < 2:
            return extras
        sizes = [self.memory - FAR_MEMORY * (self.nodes - 1), *[FAR_MEMORY] * (self.nodes - 1)]
        words = [
            word
            for number, size in enumerate(sizes)
            for word in (
                "-object", f"memory-backend-ram,id=node{number},size={size}M",
                "-numa", f"node,nodeid={number},memdev=node{number}{'' if number else f',cpus=0-{self.cpus - 1}'}",
            )
        ]  # fmt: skip
        append = f"{extras.append} numa_balancing=disable".strip()
        return Extras((*extras.words, *words), extras.descriptors, append)

    def kill(self) -> None:
        """End the guest at once, as a crash would."""
        os.kill(self.process.pid, signal.SIGKILL)
