"""A jail in which a reader takes a file: a forked child with limits of CPU time and memory.

Forking a process that has imported and compiled everything makes an input cost milliseconds. A child takes one input
after the other; where it dies, the next child goes on behind that input.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from foliolab.framework.errors import FolioLabError

SECONDS: Final = 5
"""CPU time of one input."""
PATIENCE: Final = 90.0
"""Wall time after which a child counts as asleep for ever; long, since the machine may be busy."""
MIB: Final = 512
"""Memory of one input above that of the process before it."""
CODES: Final = {0, 1, 2, 3, 4}
Read = Callable[[Path], None]


@dataclass(frozen=True)
class Outcome:
    """How a reader took an input.

    Args:
        wrong: traceback, hang, memory or unnamed; empty where it was taken, or refused in one sentence.
        said: the end of what was written to stderr.
        mib: memory of the input, above that of the process before it.
    """

    wrong: str
    said: str = ""
    seconds: float = 0.0
    mib: int = 0


def outcomes(read: Read, inputs: Sequence[bytes], path: Path) -> Iterator[Outcome]:
    """Let a reader take each input, as a file of that path."""
    done = 0
    while done < len(inputs):
        for outcome in _some(read, inputs[done:], path):
            done += 1
            yield outcome


def _some(read: Read, inputs: Sequence[bytes], path: Path) -> Iterator[Outcome]:
    """The outcomes of the inputs up to the first that kills the child, that one included."""
    ours, theirs = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if not child:
        os.close(ours)
        _child(read, inputs, path, theirs)
    os.close(theirs)
    count, text = 0, b""
    try:
        while select.select([ours], [], [], PATIENCE)[0] and (more := os.read(ours, 1 << 16)):
            *lines, text = (text + more).split(b"\n")
            for line in lines:
                count += 1
                yield Outcome(**json.loads(line))
    finally:
        os.close(ours)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL if count < len(inputs) and not _ended(child) else 0)
        status = _status(child)
    if count < len(inputs):
        killed = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        hung = killed in (signal.SIGPROF, signal.SIGALRM, signal.SIGKILL)
        yield Outcome("hang" if hung else "traceback", f"the process ended by signal {killed}, status {status}")


_STATUS: dict[int, int] = {}


def _ended(child: int) -> bool:
    """Whether a child has ended within a second of closing its pipe."""
    for _ in range(100):
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            _STATUS[child] = status
            return True
        time.sleep(0.01)
    return False


def _status(child: int) -> int:
    return _STATUS.pop(child) if child in _STATUS else os.waitpid(child, 0)[1]


# -- in the child ----------------------------------------------------------------------------------------
def _child(read: Read, inputs: Sequence[bytes], path: Path, pipe: int) -> None:
    log = path.parent / "log"
    handle = os.open(log, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    null = os.open(os.devnull, os.O_RDWR)
    for wanted, target in ((null, 0), (null, 1), (handle, 2)):
        os.dup2(wanted, target)
    sys.stdin = os.fdopen(0)
    sys.stdout = os.fdopen(1, "w", errors="replace")
    sys.stderr = os.fdopen(2, "w", errors="replace", buffering=1)
    os.chdir(path.parent)
    try:
        for data in inputs:
            os.ftruncate(handle, 0)
            os.lseek(handle, 0, os.SEEK_SET)
            path.write_bytes(data)
            outcome = _one(read, path, handle)
            os.write(pipe, json.dumps(vars(outcome)).encode() + b"\n")
    finally:
        os._exit(0)


def _one(read: Read, path: Path, log: int) -> Outcome:
    before = _memory("VmRSS")
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, ((_memory("VmSize") + MIB << 20), hard))
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    began, code, wrong = time.process_time(), 0, ""
    try:
        read(path)
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else 1
    except FolioLabError as fault:
        sys.stderr.write(f"foliolab: {fault.what}\n")
        code = int(fault.exit_code)
    except MemoryError:
        wrong = "memory"
    except BaseException:
        traceback.print_exc()
    signal.setitimer(signal.ITIMER_PROF, 0)
    seconds, mib = time.process_time() - began, _memory("VmHWM") - before
    resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
    sys.stderr.flush()
    said = os.pread(log, 1 << 20, 0).decode(errors="replace")
    if "MemoryError" in said or "not enough memory" in said or mib > MIB:
        wrong = "memory"
    elif "Traceback" in said or "foliolab: unexpected" in said or code not in CODES:
        wrong = "traceback"
    elif code and said.startswith("foliolab: ") and path.name not in said:
        wrong = "unnamed"
    return Outcome(wrong, said[-3000:], round(seconds, 2), mib)


def _memory(name: str) -> int:
    """A line of /proc/self/status in MiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) >> 10
    return 0
