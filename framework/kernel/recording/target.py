"""The target of a recording, and how the processes of a recording are started, awaited and ended."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import FrameType
from typing import Final

from foliolab.framework.errors import KernelError, UsageError
from foliolab.framework.isolation import signals
from foliolab.framework.isolation.commands import kept
from foliolab.framework.kernel.recording import cgroups
from foliolab.framework.kernel.recording.processes import family, process_tree, used_ticks

POLL: Final = 0.05
LOOK_SECONDS: Final = 1.0
"""Time between two looks whether a tool works."""
TOLD_SECONDS: Final = 10.0
STOP_SECONDS: Final = 5.0
"""Time that a tool or command has to end before it is killed."""


@dataclass(frozen=True)
class Account:
    """A user that a command runs as.

    Attributes:
        name: of the user.
        ids: UID:GID:GROUPS, as `kept` takes them.
        names: environment variables that name the user; the others stay, as with su.
    """

    name: str
    ids: str
    names: dict[str, str]


@dataclass(frozen=True)
class Target:
    """A command that is started, or processes that run already; their descendants are recorded, too.

    Args:
        command: program and arguments; empty for running processes.
        pid: a running process; 0 for none.
        seconds: the longest time to record; 0: until the command or the processes end.
        user: name of the user that the command runs as; empty for this one.
        cgroup: the path of a cgroup, below its mount or as it stands in the file system; empty for none.
        container: the name or ID of a container; empty for none.
    """

    command: tuple[str, ...] = ()
    pid: int = 0
    seconds: float = 0
    user: str = ""
    cgroup: str = ""
    container: str = ""

    def check(self) -> None:
        """Check that the target exists.

        Raises:
            UsageError: no target or several, or there is no such command, process, cgroup or container.
        """
        if sum(map(bool, (self.command, self.pid, self.cgroup, self.container))) != 1:
            raise UsageError(
                "there is nothing to record, or more than one thing",
                "name one of --pid PID, --cgroup PATH, --container NAME, or a command after --",
            )
        if not self.seconds >= 0:
            what = "negative" if self.seconds < 0 else "no number"
            raise UsageError(f"--seconds {self.seconds:g} is {what}", "choose --seconds from 0 up")
        if self.command and shutil.which(self.command[0]) is None:
            raise UsageError(f"there is no command {self.command[0]!r}", "check its name, and $PATH")
        if self.runs_already and not self.running():
            if self.pid:
                raise UsageError(f"there is no process {self.pid}", "check the pid")
            raise UsageError(f"no process is in {self.folder}", "check that it runs")
        if self.user and self.runs_already:
            raise UsageError("a process that runs has its user already", "leave out --user")
        if self.account and os.geteuid() != 0:
            raise UsageError(f"only root can run a command as {self.user}", "run as root, or leave out --user")

    @property
    def text(self) -> str:
        """The target as a user types it."""
        for option, value in (("pid", str(self.pid or "")), ("cgroup", self.cgroup), ("container", self.container)):
            if value:
                return f"--{option} {shlex.quote(value)}"
        return f"{f'--user {shlex.quote(self.user)} ' if self.user else ''}-- {shlex.join(self.command)}"

    @property
    def runs_already(self) -> bool:
        """Whether it is not a command that the recorder starts."""
        return not self.command

    @cached_property
    def folder(self) -> Path | None:
        """The folder of the cgroup; None for other targets.

        Raises:
            UsageError: there is no such cgroup or container.
        """
        if self.container:
            return cgroups.of_container(self.container)
        return cgroups.find(self.cgroup) if self.cgroup else None

    def running(self) -> list[int]:
        """The PIDs of a target that runs already, with its descendants and relatives (see `processes.family`).

        Where FolioLab is one of them, it is left out with all that it has started.
        """
        found = family(*(cgroups.pids(self.folder) if self.folder else [self.pid]))
        if os.getpid() not in found:
            return found
        own = set(process_tree(os.getpid()))
        return [pid for pid in found if pid not in own or pid == self.pid]

    def over(self) -> bool:
        """Whether a target that runs already has ended."""
        return not (cgroups.pids(self.folder) if self.folder else process_tree(self.pid))

    @property
    def account(self) -> Account | None:
        """The user to change to; None if the command runs as the present one.

        Raises:
            UsageError: there is no such user.
        """
        if not self.user:
            return None
        import pwd  # Unix only, as recording is

        try:
            found = pwd.getpwnam(self.user)
        except (KeyError, ValueError):
            raise UsageError(f"there is no user {self.user!r}", "`getent passwd` lists them") from None
        if found.pw_uid == os.geteuid():
            return None
        groups = ",".join(map(str, os.getgrouplist(found.pw_name, found.pw_gid)))
        names = {"HOME": found.pw_dir, "SHELL": found.pw_shell, "USER": found.pw_name, "LOGNAME": found.pw_name}
        return Account(found.pw_name, f"{found.pw_uid}:{found.pw_gid}:{groups}", names)


def require_tool(name: str, package: str = "") -> str:
    """The path of a recording tool.

    Args:
        name: of the program.
        package: of the Debian package that has it; empty if it has the same name.

    Raises:
        KernelError: the tool is not installed.
    """
    path = shutil.which(name)
    if path is None:
        raise KernelError(f"there is no {name}", f"install it: apt-get install {package or name}")
    return path


@dataclass(frozen=True)
class Gated:
    """A command that waits until `go` is called.

    bpftrace and the snapshots follow a process by its PID, so they need the PID before the command's first event.

    Attributes:
        process: ends with the command, and with its exit status.
        pid: the command's own.
    """

    process: subprocess.Popen[bytes]
    pid: int
    go: Callable[[], object]


@contextmanager
def gated(command: tuple[str, ...], account: Account | None = None) -> Iterator[Gated]:
    """Start a command that waits, as `account`; it ends with the context."""
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            process = subprocess.Popen(
                kept(command, theirs.fileno(), account.ids if account else "-", named=True),
                pass_fds=(theirs.fileno(),),
                env={**os.environ, **account.names} if account else None,
            )
        try:
            yield Gated(process, int(ours.recv(32) or 0), lambda: ours.send(b"x"))
        finally:
            ours.close()
            finish(process)


def finish(
    process: subprocess.Popen[bytes], first: signal.Signals = signal.SIGTERM, seconds: float = STOP_SECONDS
) -> bool:
    """End a kept command: send it the signal `first`, and kill it after some seconds. False if it had to be killed."""
    for number in (first, signal.SIGUSR2):  # the keeper's END_ALL
        if process.poll() is None:
            process.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(seconds)
                return number == first
    if process.poll() is None:
        process.kill()
        process.wait()
        return False
    return True


@contextmanager
def interruptible(most: int = sys.maxsize) -> Iterator[list[int]]:
    """SIGINT, SIGTERM and SIGHUP end the recording and not FolioLab: each only adds its number to a list.

    Args:
        most: so many; the next raises KeyboardInterrupt.
    """
    stops: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        stops.append(number)
        signals.note(number)
        if len(stops) > most:
            raise KeyboardInterrupt

    before = {
        number: signal.signal(number, note)
        for number in signals.STOPS
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield stops
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def wait(target: Target, done: Callable[[], bool], tick: Callable[[], object] = lambda: None) -> None:
    """Wait until `done`, until the target's time is over, or until a signal; call `tick` repeatedly meanwhile."""
    end = time.monotonic() + target.seconds if target.seconds else None
    with interruptible() as stops:
        while not done() and not stops and (end is None or time.monotonic() < end):
            tick()
            time.sleep(POLL)


def until(
    ready: Callable[[], bool],
    process: subprocess.Popen[bytes],
    what: str,
    seconds: float,
    log: Path,
    meanwhile: Callable[[], object] = bool,
    tell: Callable[[str], object] = bool,
) -> None:
    """Wait until a tool says that it is ready, as long as it works on it: on a busy host that takes minutes.

    Args:
        ready: whether it is.
        process: the tool.
        what: its name in messages.
        seconds: how long it may use no processor time before it counts as stuck.
        log: the file of its messages.
        meanwhile: called again and again until then.
        tell: is told now and then how long it takes.

    Raises:
        KernelError: the tool ended or is stuck; the message has the last line of its log.
    """
    start = told = looked = worked = time.monotonic()
    used = -1
    while not ready():
        now, ended = time.monotonic(), process.poll() is not None
        if now - looked > min(LOOK_SECONDS, seconds):
            looked, before, used = now, used, used_ticks(process.pid)
            worked = now if used != before else worked
        if ended or now - worked > seconds:
            if ended and ready():
                return
            message = last_message(log)
            problem = "ended" if ended else f"was not ready after {now - start:.0f} s, of which it slept {seconds:g} s"
            raise KernelError(
                f"{what} {problem}{f': {message}' if message else ''}",
                "`foliolab doctor` says what can record here; choose another with --by",
            )
        if now - told > TOLD_SECONDS:
            told = now
            tell(f"{what} is not ready after {now - start:.0f} s and works on; Ctrl-C ends it")
        meanwhile()
        time.sleep(POLL / 5)


def last_message(log: Path) -> str:
    """The last line of a tool's messages that is not blank; empty if there is none."""
    with suppress(OSError):
        lines = [line.strip() for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
        return lines[-1][:200] if lines else ""
    return ""
