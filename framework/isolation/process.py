"""The one supervisor of child processes: they run policies, attacks and jobs, which may crash, hang or eat memory.

Eight things here look strange. This is why they are there.

The signals that ask to stop (SIGINT, SIGTERM, SIGHUP) are blocked while a child starts. A terminal sends Ctrl-C to all
processes of its group, and a new child needs some tenths of a second until Python code in it can decide about signals;
a Ctrl-C meanwhile would print a traceback. The child inherits the blocked signals; the parent notes its own and raises
it after the start. multiprocessing starts its resource tracker with the first spawned process, and that unblocks
signals, so the tracker is started before. Later a child ignores all three, because the parent decides when it ends, or
takes SIGINT as the request to stop with what it has (`interruptible`).

A child ends with its parent, also if the parent is killed (see `lifetime`). At a normal end of the parent,
multiprocessing would send SIGTERM to what is left and wait for it, and the child ignores SIGTERM; so they are killed
before.

A wait never lasts longer than SLICE. Python runs signal handlers in the main thread, but the kernel may deliver Ctrl-C
to another one, such as a progress bar's. The wait of the main thread then is not interrupted.

Only a child that asks for it leads a process group, and is killed with all its processes. A group of its own is cut off
from the terminal: after Ctrl-Z or a hang-up a measurement would go on unseen. The window's jobs want exactly that.

A forked child closes the pipes that it inherits. A pipe reports its end when its last copy is closed, so a copy in a
process that a child has forked would hide the child's crash from the parent.

Children are killed with SIGKILL. Native code in an endless loop never returns to Python, where a handler of SIGTERM
would run. A child that has sent its answer gets GRACE seconds to end by itself. Every child is waited for, so that
no zombie is left.

A child that SIGKILL ended, though nobody here sent it, did not crash: the kernel's out-of-memory killer did that, or
somebody else. `Crash.killed` says so, and whoever blames policies for crashes does not blame one for this.

faulthandler is off in a child: the parent reports a crash in one line, and a dump of the child's stack would hide it.
"""

from __future__ import annotations

import atexit
import faulthandler
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Any, Final, Literal, Self
from weakref import WeakSet

from foliolab.framework.errors import FolioLabError, PluginError
from foliolab.framework.isolation import safepath
from foliolab.framework.isolation.lifetime import end_with
from foliolab.framework.isolation.limits import limit_memory
from foliolab.framework.isolation.memory import oom_kills
from foliolab.framework.isolation.signals import STOPS

SLICE: Final = 0.2
"""The longest wait, in seconds."""
GRACE: Final = 2.0
"""Seconds that a child has to end after its answer."""

_OPEN: Final[WeakSet[Connection]] = WeakSet()
"""The pipes of this process, which a forked child closes."""
_CHILDREN: Final[WeakSet[Child]] = WeakSet()
"""The children of this process."""


@dataclass(frozen=True)
class Answer:
    """The last message of a child: what its function returned."""

    value: Any


@dataclass(frozen=True)
class Failure:
    """The last message of a child: what its function raised.

    Attributes:
        error: the error; an exception that is not FolioLab's becomes a FolioLabError with its type and text.
        details: the traceback of such an exception; else empty.
    """

    error: FolioLabError
    details: str = ""


@dataclass(frozen=True)
class Crash:
    """The process ended without an answer.

    Attributes:
        how: such as "ended with signal SIGSEGV".
        killed: whether it was ended from outside, most likely for lack of memory.
    """

    how: str
    killed: bool = False


class Child:
    """A function in a process of its own, with a pipe for messages in both directions.

    Args:
        work: called in the child as `work(pipe, *arguments)`. What it sends through `pipe` (a `Connection`) arrives
            here as it is; what it returns or raises arrives as Answer or Failure.
        method: `fork` is quick and passes everything; `spawn` needs picklable arguments, and is safe in a process
            with threads.
        interruptible: whether SIGINT raises KeyboardInterrupt in `work`; else it is ignored.
        has_children: whether `work` starts processes of its own.
        leads_group: whether these are killed together with it.

    Attributes:
        pipe: for `wait` and for Qt's notifiers; messages are taken with `receive` or `arrived`.
        over: whether the last message (Answer, Failure or Crash) has been taken.
    """

    def __init__(
        self,
        work: Callable[..., object],
        *arguments: object,
        method: Literal["fork", "spawn"] = "spawn",
        name: str | None = None,
        interruptible: bool = False,
        has_children: bool = False,
        leads_group: bool = False,
    ) -> None:
        context = safepath.context(method)
        self.over = False
        self._leads_group = leads_group
        self._oom_kills = oom_kills()
        self.pipe, there = context.Pipe()
        _OPEN.add(self.pipe)
        self.process = context.Process(
            target=_enter,
            args=(there, interruptible, leads_group, _in_main_thread(), work, arguments),
            name=name,
            daemon=not (has_children or leads_group),  # multiprocessing lets no daemon start processes
        )
        try:
            with _stops_held(method):
                self.process.start()
            _CHILDREN.add(self)
        except BaseException:
            self.end()
            raise
        finally:
            there.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self.end(GRACE if self.over else 0)

    def send(self, message: object) -> bool:
        try:
            self.pipe.send(message)
        except OSError:
            return False
        return True

    def receive(self, seconds: float) -> object | None:
        """The next message; None if there is no message within `seconds`, or if there will be no further message."""
        deadline = time.monotonic() + seconds
        while not self.over and not self.pipe.closed:
            left = deadline - time.monotonic()
            if self.pipe.poll(max(min(left, SLICE), 0)):
                return self._next()
            if left <= 0:
                break
        return None

    def arrived(self) -> Iterator[object]:
        """The messages that are there, without waiting."""
        while (message := self.receive(0)) is not None:
            yield message

    def interrupt(self) -> None:
        """Ask an interruptible child to stop with what it has."""
        if self.process.is_alive():
            with suppress(ProcessLookupError):
                os.kill(self.process.pid, signal.SIGINT)

    def end(self, grace: float = 0.0) -> None:
        """End the child, by force if it is still alive after `grace` seconds, and wait for its end."""
        self.pipe.close()
        if self.process.pid is None:
            return
        self.process.join(grace)
        self.kill()
        self.process.join()

    def kill(self) -> None:
        """Kill the child, and what it started if it leads a group, without waiting for the end; then call `end`."""
        if self._leads_group and self.process.pid is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()

    def _next(self) -> object:
        try:
            message = self.pipe.recv()
        except (EOFError, OSError):
            self.process.join(GRACE)
            code = self.process.exitcode
            message = Crash(ending(code, self._oom_kills), killed=code == -signal.SIGKILL)
        self.over = isinstance(message, (Answer, Failure, Crash))
        return message


def can_fork() -> bool:
    """Whether this platform can fork."""
    return "fork" in multiprocessing.get_all_start_methods()


def ready(children: Iterable[Child], seconds: float) -> list[Child]:
    """The children that have sent something; waits until one has, at most `seconds`."""
    by_pipe: dict[object, Child] = {child.pipe: child for child in children if not child.over}
    deadline = time.monotonic() + seconds
    while by_pipe:
        left = deadline - time.monotonic()
        found = wait([child.pipe for child in by_pipe.values()], max(min(left, SLICE), 0))
        if found or left <= 0:
            return [by_pipe[pipe] for pipe in found]
    return []


def call_in_child(
    question: Callable[[], str],
    seconds: float,
    what: str = "native code",
    crash_hint: str = "look for an access outside of the folio; `foliolab verify` finds it interpreted",
    late_hint: str = "look for an endless loop",
    memory: int = 0,
) -> str:
    """Call a function in a forked process; in this process if it cannot fork, or may not, as a daemon.

    Args:
        question: the function; it may crash.
        seconds: that it may take.
        what: the function is in messages.
        crash_hint, late_hint: what to do where it crashed, or did not end in time.
        memory: bytes that it may have above those of this process; 0 for any.

    Raises:
        PluginError: the process crashed, or did not end in time.
        FolioLabError: raised by the function. Another exception becomes a FolioLabError.
    """
    if not can_fork() or multiprocessing.current_process().daemon:
        return question()
    with Child(_ask, question, memory, method="fork") as child:
        last = child.receive(seconds)
    if isinstance(last, Answer):
        return str(last.value)
    if isinstance(last, Failure):
        raise last.error
    if isinstance(last, Crash) and last.killed:
        raise FolioLabError(f"the process of {what} {last.how}", "free memory, and try again")
    if isinstance(last, Crash):
        raise PluginError(f"{what} crashed: its process {last.how}", crash_hint)
    raise PluginError(f"{what} did not end within {seconds:g} s", late_hint)


def _ask(pipe: Connection, question: Callable[[], str], memory: int) -> str:
    if memory:
        limit_memory(memory)
    return question()


def ending(code: int | None, kills: int | None = None) -> str:
    """How a process ended.

    Args:
        code: its exit code: minus the number of the signal that ended it.
        kills: `memory.oom_kills` before it started.
    """
    if code is None:
        return "closed its pipe and did not end"
    if code >= 0:
        return f"ended with exit status {code}"
    if code == -signal.SIGKILL:
        if kills is not None and (oom_kills() or 0) > kills:
            return "was ended by the kernel's out-of-memory killer"
        return "was killed from outside (SIGKILL), as the kernel's out-of-memory killer does"
    try:
        return f"ended with signal {signal.Signals(-code).name}"
    except ValueError:  # real-time signals have no names
        return f"ended with signal {-code}"


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


@atexit.register  # after multiprocessing's own function, hence called before it
def _end_all() -> None:
    for child in list(_CHILDREN):
        child.end()


@contextmanager
def _stops_held(method: str) -> Iterator[None]:
    """Block the signals that ask to stop for a child that is started in the block; raise this process's afterwards."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    if method == "spawn":
        resource_tracker.ensure_running()
    noted: list[int] = []
    # The mask is for the child. Another thread of this process may still take the signal, so the handler notes it.
    handled = {n: handler for n in STOPS if callable(handler := signal.getsignal(n))} if _in_main_thread() else {}
    for number in handled:
        signal.signal(number, lambda number, frame: noted.append(number))
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for number, handler in handled.items():
            signal.signal(number, handler)
    if noted:
        signal.raise_signal(noted[0])


# -- in the child ----------------------------------------------------------------------------------------
def _enter(
    pipe: Connection,
    interruptible: bool,
    leads_group: bool,
    by_main_thread: bool,
    work: Callable[..., object],
    arguments: tuple[Any, ...],
) -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None and parent.pid is not None
    end_with(parent.pid, by_main_thread)
    faulthandler.disable()
    for inherited in list(_OPEN):
        inherited.close()
    _OPEN.clear()
    _OPEN.add(pipe)
    _CHILDREN.clear()
    if leads_group:
        os.setpgrp()
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)
    last = _outcome(pipe, interruptible, work, arguments)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if last is not None:
        with suppress(OSError):
            pipe.send(last)
    _end_all()


def _outcome(
    pipe: Connection, interruptible: bool, work: Callable[..., object], arguments: tuple[Any, ...]
) -> Answer | Failure | None:
    """The last message; None if the child was interrupted, or if the parent is gone."""
    try:
        if interruptible:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
        return Answer(work(pipe, *arguments))
    except (KeyboardInterrupt, BrokenPipeError):
        return None
    except FolioLabError as fault:
        return Failure(fault)
    except MemoryError:
        return Failure(FolioLabError("it needs more memory than there is", "use less memory"))
    except Exception as fault:
        return Failure(FolioLabError(f"{type(fault).__name__}: {fault}", "please report it"), traceback.format_exc())
