"""Ties a process to the one that started it, so that it does not outlive it, whatever ends the parent."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from typing import Final

PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h
LOOK_SECONDS: Final = 0.3


def end_with(parent: int, by_main_thread: bool) -> None:
    """Let this process end, by SIGKILL, as soon as its parent has ended; at once if that is over already.

    Args:
        parent: the PID of the process that started this one.
        by_main_thread: whether its main thread did. The kernel's own signal (PR_SET_PDEATHSIG) comes when the *thread*
            that forked ends, so after a fork by another thread this process looks for itself, in a thread.
    """
    if by_main_thread and sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it ended before the call
            os._exit(1)
    else:
        threading.Thread(target=_look, args=(parent,), name="parent", daemon=True).start()


def _look(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)
