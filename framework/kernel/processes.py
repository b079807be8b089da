"""Launcher, processes and process trees: the controlling side of `agent.py`."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from foliolab.framework.errors import KernelError
from foliolab.framework.kernel import pagemap

AGENT: Final = Path(__file__).with_name("agent.py")
TIMEOUT: Final = 20.0
"""Seconds after which a process that does not answer counts as hung."""


class Launcher:
    """The small process that forks the first process of every tree; a context manager.

    Raises:
        KernelError: the process cannot be started.
    """

    def __init__(self) -> None:
        if sys.platform != "linux":
            raise KernelError(f"the running kernel is not Linux but {sys.platform}", "use the model: --on model")
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, "-I", "-S", os.fspath(AGENT), "launch", str(theirs.fileno())]
        try:
            self.process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
        except OSError as fault:
            self.control.close()
            raise KernelError(
                f"{sys.executable} cannot be started: {fault.strerror}", "reinstall Python, or use --on model"
            ) from fault
        finally:
            theirs.close()
        self.control.settimeout(TIMEOUT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, at: TracebackType | None) -> None:
        self.control.close()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(TIMEOUT)
        self.process.kill()
        self.process.wait()

    def first(self, socks: Sequence[socket.socket], cpu: int) -> int:
        """Fork the first agent of a tree; return its PID.

        Args:
            socks: the agents' ends of the sockets.
            cpu: the processor that the agent runs on.

        Raises:
            KernelError: the launcher does not answer.
        """
        try:
            socket.send_fds(self.control, [str(cpu).encode()], [sock.fileno() for sock in socks])
            answer = self.control.recv(64)
        except OSError as fault:
            raise KernelError(f"the launcher of processes does not answer: {fault}", "try again") from fault
        if not answer:
            raise KernelError("the launcher of processes has ended", "is there enough memory?")
        return int(answer)


class Process:
    """One process of a tree, with descriptors of its pidfd and its pagemap.

    Args:
        pid: its PID.
        sock: for commands and answers.
    """

    def __init__(self, pid: int, sock: socket.socket) -> None:
        self.pid = pid
        self.sock = sock
        try:
            self.pidfd = os.pidfd_open(pid)
        except OSError as fault:
            raise KernelError(
                f"process {pid} has ended at once: {fault.strerror}", "is there enough memory?"
            ) from fault
        self.pagemap = pagemap.open_pagemap(pid)

    def ask(self, command: str, *numbers: int) -> list[int]:
        """Send a command and wait for its answer.

        Raises:
            KernelError: the command failed, or the process died.
        """
        self.send(command, *numbers)
        return self.answer(command)

    def send(self, command: str, *numbers: int) -> None:
        try:
            self.sock.send(" ".join([command, *map(str, numbers)]).encode())
        except OSError as fault:
            raise KernelError(f"process {self.pid} takes no command: {fault}", "try again") from fault

    def answer(self, command: str) -> list[int]:
        """Wait for the answer to a command."""
        wait = select.poll()
        wait.register(self.sock, select.POLLIN)
        wait.register(self.pidfd, select.POLLIN)
        ready = dict(wait.poll(1000 * TIMEOUT))
        if self.sock.fileno() not in ready:
            why = "died" if ready else f"does not answer within {TIMEOUT:.0f} s"
            raise KernelError(f"process {self.pid} {why} in {command}", "is there enough memory?")
        try:
            answer = self.sock.recv(1 << 16).decode(errors="replace")
        except ConnectionError:
            answer = ""
        if not answer:
            raise KernelError(f"process {self.pid} died in {command}", "is there enough memory?")
        word, _, rest = answer.partition(" ")
        if word != "ok":
            raise KernelError(f"the running kernel refused {rest}", "`foliolab doctor` shows what works here")
        return [int(number) for number in rest.split()]

    def wait_gone(self) -> None:
        """Wait until the process has ended. By then all its mappings are gone: exit_mm runs before exit_notify."""
        wait = select.poll()
        wait.register(self.pidfd, select.POLLIN)
        if not wait.poll(1000 * TIMEOUT):
            raise KernelError(f"process {self.pid} does not end within {TIMEOUT:.0f} s", "kill it, and try again")
        self.close()

    def close(self) -> None:
        os.close(self.pidfd)
        os.close(self.pagemap)

    def reopen_pagemap(self) -> None:
        """Open the pagemap again after an exec: the old descriptor shows the old address space."""
        os.close(self.pagemap)
        self.pagemap = pagemap.open_pagemap(self.pid)


class Tree:
    """The processes of one scenario; a context manager that kills all of them at the end.

    Args:
        launcher: forks the first one.
        size: the largest number of processes.
        cpus: numbers of processors; process i runs on processor i modulo their count.
    """

    def __init__(self, launcher: Launcher, size: int, cpus: Sequence[int]) -> None:
        self.cpus = list(cpus)
        pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(size)]
        self.socks = [ours for ours, _ in pairs]
        self.alive: list[Process] = []
        self.used = 1
        try:
            pid = launcher.first([theirs for _, theirs in pairs], self.cpus[0])
            self.root = self._join(0, pid)
        except BaseException:
            self.close()
            raise
        finally:
            for _, theirs in pairs:
                theirs.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _join(self, number: int, pid: int) -> Process:
        process = Process(pid, self.socks[number])
        self.alive.append(process)
        process.answer("starting")
        return process

    def fork(self, parent: Process, addr: int = 0, nbytes: int = 0) -> Process:
        """Fork a process; if nbytes is not 0, the child does not get that range of memory."""
        number = self.used
        self.used += 1
        (pid,) = parent.ask("fork", number, self.cpus[number % len(self.cpus)], addr, nbytes)
        return self._join(number, pid)

    def exec(self, process: Process) -> None:
        process.ask("exec")
        process.reopen_pagemap()

    def exit(self, process: Process) -> None:
        process.send("exit")
        self.alive.remove(process)
        process.wait_gone()

    def close(self) -> None:
        for process in self.alive:
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        for process in self.alive:
            with suppress(KernelError):
                process.wait_gone()
        self.alive = []
        for sock in self.socks:
            sock.close()
