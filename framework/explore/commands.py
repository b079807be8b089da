"""The commands and questions that a window has for a session, whether it runs in a thread or in a process."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.explore.session import Session
from foliolab.framework.explore.view import View

T = TypeVar("T")
MapKey = tuple[int, int]
"""(number of the lane, number of the map)."""
FLAT_OUT: Final = float("inf")
"""The speed for `play` that means: as fast as possible."""


class SessionCommands(ABC):
    """A session that runs elsewhere.

    Commands return at once and are done in order. Every command except `show` ends a search or a run in progress.
    """

    @abstractmethod
    def command(self, name: str, *arguments: Any) -> None:
        """Give a command by the name of its method; the methods below are its typed form."""

    @abstractmethod
    def ask(self, question: Callable[[Session], T]) -> Future[T]:
        """Have a function called with the session, between two stretches of steps.

        Args:
            question: the function. If the session runs in a process, function and answer must be picklable.

        Returns:
            its result or exception; cancelled if the session ends first.
        """

    @abstractmethod
    def view(self) -> View | None:
        """The newest view; None before the first. Its maps are valid until the next call."""

    def play(self, speed: float = FLAT_OUT) -> None:
        """Play.

        Args:
            speed: steps a second, or FLAT_OUT.
        """
        self.command("play", speed)

    def pause(self) -> None:
        """Stop playing."""
        self.command("pause")

    def step(self, nr: int = 1) -> None:
        """Do so many steps."""
        self.command("step", nr)

    def back(self) -> None:
        """Undo the last step."""
        self.command("back")

    def goto(self, position: int) -> None:
        """Go to a position; one beyond an end means the end."""
        self.command("goto", position)

    def next_wrong(self, lane: int | None = None) -> None:
        """Go on to the next wrong answer (see `Session.next_wrong`)."""
        self.command("next_wrong", lane)

    def previous_wrong(self, lane: int | None = None) -> None:
        """Go back to the last wrong answer (see `Session.previous_wrong`)."""
        self.command("previous_wrong", lane)

    def show(self, maps: Sequence[MapKey], weights: NDArray[np.integer[Any]] | None = None) -> None:
        """Choose the maps of the next views.

        Args:
            maps: the maps.
            weights: weight of each byte of a map, 0 to 127, shape (256,); views then have `dots`, too.
        """
        self.command("show", tuple(maps), weights)
