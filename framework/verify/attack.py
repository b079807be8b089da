"""What an attack is, the budget that it has, and how it tells how far it is."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.verify.finding import Finding


@dataclass(frozen=True)
class Progress:
    """How far an attack is.

    Args:
        attack: its name.
        what: what it does now, such as the program explored or the class solved.
        states: looked at so far.
        depth: of the search, or of the sequence.
        rate: states a second.
    """

    attack: str
    what: str
    states: int = 0
    depth: int = 0
    rate: float = 0.0


Tell = Callable[[Progress | Finding], None]
"""Told how far an attack is, and of a refutation as soon as it is confirmed: who is ended then has said it."""


class Stop(Protocol):
    """Whether somebody wants an end; an event of `threading` or of `multiprocessing`."""

    def is_set(self) -> bool:
        """Whether to end."""
        ...


@dataclass
class Budget:
    """What an attack may use.

    Args:
        seconds: how long it may take.
        memory: bytes that its states may take.
        seed: of everything random.
        stop: set by whoever wants it to end early (Ctrl-C); an attack looks at it several times a second.
    """

    seconds: float = 60.0
    memory: int = 1 << 30
    seed: int = 1
    stop: Stop = field(default_factory=threading.Event)
    started: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> float:
        """Seconds that are left; 0 when it is time to end."""
        return 0.0 if self.stop.is_set() else max(self.started + self.seconds - time.monotonic(), 0.0)

    def part(self, share: float) -> Budget:
        """A share of what is left, for one of several things to do."""
        return Budget(self.left * share, self.memory, self.seed, self.stop)


class Attack(Protocol):
    """One way to look for what is wrong with a policy."""

    name: str

    def run(self, scheme: Scheme, budget: Budget, tell: Tell) -> list[Finding]:
        """Attack a policy; answers about each claim that this attack can speak about.

        An attack that is stopped early answers with what is known so far.
        """
        ...
