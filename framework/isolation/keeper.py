"""A program between FolioLab and a command: when either ends, it ends the command with all its descendants.

    python -I -S keeper.py PARENT GATE USER NAMED COMMAND...

The keeper has the same exit status as the command, and passes on the signals that PARENT sends it; END_ALL from PARENT
ends all at once. GATE is -1, or a descriptor: the command's process writes its PID there and waits for a byte before it
executes the command. USER is -, or UID:GID:GROUPS for a command that root starts as another user. A command
that runs `a & b &`, double-forks or starts a session cannot leave the keeper: orphans become its children
(PR_SET_CHILD_SUBREAPER). If NAMED is "named", stderr names those that are left when the command ends. This file imports
little, since it starts before each recorded command.
"""

import ctypes
import os
import resource
import signal
import sys
import time
from contextlib import suppress

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h
PF_EXITING = 4  # linux/sched.h
PARENT_ENDED, END_ALL = signal.SIGUSR1, signal.SIGUSR2
PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LOOK_SECONDS = 0.5
MOST_NAMED = 8
MOST_SECONDS = 5.0
"""How long to try to end the descendants: another user's, such as those of sudo, cannot be killed."""

libc = ctypes.CDLL(None)


def become(user: str) -> None:
    """Give up root for a user, for good."""
    uid, gid, groups = user.split(":")
    os.setgroups([int(group) for group in groups.split(",")])
    os.setgid(int(gid))
    os.setuid(int(uid))
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # setuid takes it back


def execute(command: list[str], keeper: int, gate: int, user: str) -> None:
    """Become the command."""
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != keeper:
        os._exit(1)
    if gate >= 0:
        os.write(gate, b"%d\n" % os.getpid())
        if not os.read(gate, 1):
            os._exit(1)
        os.close(gate)
    try:
        if user != "-":
            os.get_exec_path()  # imports a module, which the user may not be able to read
            become(user)
        os.execvp(command[0], command)
    except OSError as fault:
        os.write(2, f"{command[0]}: {fault.strerror}\n".encode(errors="replace"))
        os._exit(127)


def descendants() -> dict[int, str]:
    """All processes below this one, by PID: the name of each, empty for one that runs no code of its own any more."""
    parents, names = {}, {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                about, _, rest = file.read().rpartition(b")")
            fields = rest.split()
            parents[int(name)] = int(fields[1])
            comm = about.partition(b"(")[2].decode(errors="replace")
            names[int(name)] = "" if int(fields[6]) & PF_EXITING else comm or "?"
        except (OSError, ValueError, IndexError):
            continue
    found = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in found and pid not in found}:
        found |= more
    return {pid: names[pid] for pid in found - {os.getpid()}}


def end_all() -> None:
    """Kill all descendants, those too that are started meanwhile.

    The kernel needs a second until a killed bpftrace has detached its probes. Nothing waits for that.
    """
    until = time.monotonic() + MOST_SECONDS
    while time.monotonic() < until:
        found = descendants()
        for pid in found:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        ended(0)
        if not any(found.values()):
            break
        time.sleep(0.005)


def name_those_left() -> None:
    """Name the processes that the command has left behind: daemons, which would go on without a keeper."""
    left = [f"{visible(name)} ({pid})" for pid, name in sorted(descendants().items()) if name]
    if left:
        shown = ", ".join(left[:MOST_NAMED]) + f" and {len(left) - MOST_NAMED} more" * (len(left) > MOST_NAMED)
        os.write(2, f"foliolab: the command has ended, and with it what it left behind: {shown}\n".encode())


def visible(name: str) -> str:
    """A name without signs that a terminal would obey."""
    return "".join(sign if sign.isprintable() else "?" for sign in name)


def ended(child: int) -> int | None:
    """Reap what has ended; the wait status of the command if it has."""
    status = None
    with suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            if found[0] == child:
                status = found[1]
    return status


def main() -> None:
    """Start the command, and wait until it or the parent ends."""
    parent, gate, user, named, command = int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:5], sys.argv[5:]
    expected = {PARENT_ENDED, END_ALL, signal.SIGCHLD, *PASSED_ON}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, expected)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    libc.prctl(PR_SET_PDEATHSIG, PARENT_ENDED, 0, 0, 0)
    keeper = os.getpid()
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        execute(command, keeper, gate, user)
    if gate >= 0:
        os.close(gate)
    status = None
    while status is None and os.getppid() == parent:  # PARENT_ENDED also comes when only a thread of it ends
        info = signal.sigtimedwait(expected, LOOK_SECONDS)
        if info is not None and info.si_pid == parent:  # a terminal sends Ctrl-C to the command itself
            if info.si_signo == END_ALL:
                break
            if info.si_signo in PASSED_ON:
                os.kill(child, info.si_signo)
        status = ended(child)
    if status is not None and named == "named":
        name_those_left()
    end_all()
    leave(os.waitstatus_to_exitcode(1 << 8 if status is None else status))


def leave(code: int) -> None:
    """End as the command has ended: with its exit code, or by its signal, without a second core file."""
    if code < 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {-code})
        os.kill(os.getpid(), -code)
    os._exit(code & 0xFF)


if __name__ == "__main__":
    main()
