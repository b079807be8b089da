"""The interface of attacks: budget, progress and findings."""

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
    """The progress of an attack.

    Args:
        what: its present work, such as the program that is explored.
        states: the number of states visited so far.
        depth: of the search, or the length of the sequence.
        rate: states per second.
    """

    attack: str
    what: str
    states: int = 0
    depth: int = 0
    rate: float = 0.0


Tell = Callable[[Progress | Finding], None]
"""Called with an attack's progress, and with each refutation once it is confirmed, so a killed attack has already
reported it."""


class Stop(Protocol):
    """A request to end; an event of `threading` or of `multiprocessing`."""

    def is_set(self) -> bool: ...


@dataclass
class Budget:
    """The resources of an attack.

    Args:
        seconds: wall-clock time.
        memory: bytes for the states of a search.
        seed: of all random choices.
        stop: set to end the attack early (Ctrl-C). An attack polls it several times a second.
        jobs: processes that an attack may use; with 1 it runs in the caller's.
    """

    seconds: float = 60.0
    memory: int = 1 << 30
    seed: int = 1
    stop: Stop = field(default_factory=threading.Event)
    started: float = field(default_factory=time.monotonic)
    jobs: int = 1

    @property
    def left(self) -> float:
        """Seconds left; 0 once the attack must end."""
        return 0.0 if self.stop.is_set() else max(self.started + self.seconds - time.monotonic(), 0.0)

    def part(self, share: float) -> Budget:
        """A budget with a share of the time left."""
        return Budget(self.left * share, self.memory, self.seed, self.stop)


class Attack(Protocol):
    """One method of looking for a broken law."""

    name: str

    def run(self, scheme: Scheme, budget: Budget, tell: Tell) -> list[Finding]:
        """Attack a policy, and return findings about each claim that this attack can examine.

        An attack that is stopped early returns its findings so far.
        """
        ...
