"""An agent on the running kernel."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import suppress
from typing import Final, Self

from foliolab.framework.errors import KernelError
from foliolab.framework.isolation.commands import end
from foliolab.framework.isolation.process import ending
from foliolab.framework.kernel.agent.build import agent
from foliolab.framework.kernel.agent.channel import Channel

SECONDS: Final = 60.0
"""Seconds after which a scenario that does not end counts as hung."""
NAME: Final = "the running kernel"


class LocalAgent:
    """The agent as a process of this host; a context manager.

    The program is started from memory: what is executed is what the cache has signed, whoever can write to files.

    Attributes:
        channel: to the agent.

    Raises:
        KernelError: this is not Linux, or the agent cannot be built or started.
    """

    def __init__(self) -> None:
        if sys.platform != "linux":
            raise KernelError(f"{NAME} is not Linux but {sys.platform}", "use the model: --on model")
        program = agent()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with theirs, open(os.memfd_create("foliolab-agent"), "wb") as held:
                held.write(program)
                held.flush()
                os.fchmod(held.fileno(), 0o500)
                self.process = subprocess.Popen(
                    ["foliolab-agent", "channel", str(theirs.fileno())], executable=f"/proc/self/fd/{held.fileno()}",
                    pass_fds=[theirs.fileno(), held.fileno()], stdin=subprocess.DEVNULL,
                )  # fmt: skip
        except OSError as fault:
            ours.close()
            raise KernelError(
                f"the agent that plays scenarios cannot be started: {fault.strerror}",
                "see /proc/sys/vm/memfd_noexec; or use the model: --on model",
            ) from fault
        self.channel = Channel(ours, NAME, SECONDS, self._ending)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *fault: object) -> None:
        self.channel.close()  # the agent ends when its channel is closed
        end(self.process, 1.0)

    def _ending(self) -> tuple[str, str]:
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(1.0)
        return f"the agent {ending(self.process.returncode)}", "is there enough memory?"
