"""The channel to an agent: a program goes out as text, its answers come back as frames.

A program is a list of lines (`controller.c` carries them out). Each frame is two little-endian words, kind and length,
and bytes. The last frame of a program is END; after an ERROR the rest of the program is not carried out.
"""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from foliolab.framework.errors import KernelError

BYTES, ABSENT, VIEW, ERROR, END = 1, 2, 3, 4, 5
"""Kinds of frames, as in agent.h."""
HEAD: Final = struct.Struct("<II")
MOST: Final = 1 << 28
"""The largest frame in bytes: the views of a scenario are far smaller."""


class Frame(NamedTuple):
    """One answer of an agent."""

    kind: int
    payload: bytes

    @property
    def text(self) -> str:
        return self.payload.decode(errors="replace")


class Gone(KernelError):
    """The kernel under test does not answer any more: nothing can be asked of it."""


class _Patience:
    """How long an answer is awaited."""

    def __init__(self, seconds: float, progress: Callable[[], float] | None) -> None:
        self._until = time.monotonic() + seconds
        self._progress = progress

    def left(self) -> float:
        """Seconds that are left; none or less if the answer is late."""
        left = self._until - time.monotonic()
        if left <= 0 and self._progress is not None and (more := self._progress()) > 0:
            self._until += more - left
            left = more
        return left


class Channel:
    """One end of a connection to an agent.

    Args:
        sock: the connection; the channel closes it.
        name: of the kernel under test, for messages.
        seconds: that a program may take; it may be set.
        ending: called when the agent does not answer any more; how it ended, as a clause, and a hint.
    """

    def __init__(self, sock: socket.socket, name: str, seconds: float, ending: Callable[[], tuple[str, str]]) -> None:
        self.sock = sock
        self.name = name
        self.seconds = seconds
        self._ending = ending
        self._held = bytearray()

    def close(self) -> None:
        self.sock.close()

    def play(self, program: str, progress: Callable[[], float] | None = None) -> list[Frame]:
        """Have a program carried out; its frames without END.

        Args:
            program: its lines.
            progress: see `receive`.

        Raises:
            Gone: the agent has ended, or does not answer in time.
            KernelError: the kernel refused a line.
        """
        self.send(program)
        return self.receive(progress)

    def send(self, program: str) -> None:
        """Send a program; `receive` takes its frames.

        Raises:
            Gone: the agent has ended.
        """
        text = program.encode()
        try:
            self.sock.sendall(struct.pack("<I", len(text)) + text)
        except OSError as fault:
            raise self._gone() from fault

    def receive(self, progress: Callable[[], float] | None = None) -> list[Frame]:
        """The frames of the oldest program that was sent; as for `play`.

        Args:
            progress: asked when the channel's seconds have passed; until it says 0, the agent gets as many again as
                it says. None: the agent gets no more.
        """
        patience = _Patience(self.seconds, progress)
        frames = []
        while True:
            kind, length = HEAD.unpack(self._take(HEAD.size, patience))
            if length > MOST:
                raise Gone(f"{self.name} sent a frame of {length} bytes", "please report it")
            frame = Frame(kind, self._take(length, patience))
            if kind == END:
                break
            frames.append(frame)
        if frames and frames[-1].kind == ERROR:
            raise KernelError(f"{self.name} refused {frames[-1].text}", "`foliolab doctor` shows what works here")
        return frames

    def _take(self, nr: int, patience: _Patience) -> bytes:
        while len(self._held) < nr:
            while (left := patience.left()) > 0 and not select.select([self.sock], [], [], left)[0]:
                pass
            if left <= 0:
                raise Gone(f"{self.name} does not answer", "it hangs, or this host is too busy; try again")
            try:
                part = self.sock.recv(1 << 20)
            except OSError as fault:
                raise self._gone() from fault
            if not part:
                raise self._gone()
            self._held += part
        taken = bytes(self._held[:nr])
        del self._held[:nr]
        return taken

    def _gone(self) -> Gone:
        how, hint = self._ending()
        return Gone(f"{self.name} has ended: {how}", hint)
