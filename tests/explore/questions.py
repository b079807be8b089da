"""A maker of sessions, and questions to them, in a module that the session's process can import."""

from __future__ import annotations

import signal
import threading
import time
from typing import Any

from foliolab.framework.errors import UsageError
from foliolab.framework.explore.session import Session
from foliolab.framework.explore.source import pattern_source
from foliolab.framework.plugins import registry

MEMORY = 1 << 29


class Make:
    """Makes a session of a pattern; picklable."""

    def __init__(self, *policies: str, file: str = "", pattern: str = "random", mms: int = 4) -> None:
        self.policies, self.files = policies, (file,) if file else ()
        self.pattern, self.mms = pattern, mms

    def __call__(self) -> Session:
        found = registry.load(self.files)
        source = pattern_source(found.pattern(self.pattern), self.mms, 32, 4)
        return Session(source, [found.policy(name) for name in self.policies], MEMORY)


def position(session: Session) -> int:
    return session.position


def crash(session: Session) -> None:
    signal.raise_signal(signal.SIGSEGV)


def hang(session: Session) -> None:
    while True:
        time.sleep(0.01)


def rest(session: Session) -> None:
    time.sleep(0.2)


def wrong(session: Session) -> None:
    raise UsageError("not like this", "but like that")


def unsendable(session: Session) -> Any:
    return threading.Lock()
