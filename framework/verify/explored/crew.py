"""Searches several programs at a time, each in a process of its own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Final, Self

from foliolab.framework.errors import FolioLabError
from foliolab.framework.isolation.process import Child, Crash, Failure, can_fork, ready
from foliolab.framework.verify.attack import Progress
from foliolab.framework.verify.explored.search import Outcome, Searcher, Task

LATE: Final = 1.5
"""Seconds after the end of the budget at which searches that have not answered are given up."""


class Crew(AbstractContextManager["Crew"]):
    """Processes that search programs; with one, this process does it.

    Args:
        searcher: forked into each process.
        jobs: the number of processes.
    """

    def __init__(self, searcher: Searcher, jobs: int) -> None:
        self.searcher = searcher
        self.jobs = jobs if can_fork() else 1
        self._children: list[Child] = []
        self._exit = ExitStack()

    def __enter__(self) -> Self:
        if self.jobs > 1:
            from foliolab.framework.verify.explored.native import native

            native("search")  # compiled once, before the processes part
            share = self.searcher.budget.memory // self.jobs
            self.searcher.budget = replace(self.searcher.budget, memory=share)
            for number in range(self.jobs):
                child = Child(_serve, self.searcher, method="fork", name=f"explored-{number}")
                self._children.append(self._exit.enter_context(child))
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self._exit.close()

    def outcomes(self, tasks: Iterator[Task]) -> Iterator[Outcome]:
        """Search programs, in order; the outcomes come as they are found. The iterator must be exhausted.

        Args:
            tasks: advanced only when a process is free.

        Raises:
            FolioLabError: a process ended without an answer.
        """
        if not self._children:
            yield from map(self.searcher.search, tasks)
            return
        busy: dict[Child, Task] = {}
        late = 0.0
        free = list(self._children)
        while True:
            while free and (task := next(tasks, None)) is not None:
                child = free.pop()
                child.send(task)
                busy[child] = task
            late = late or (0.0 if self.searcher.budget.left else time.monotonic() + LATE)
            if not busy or (late and time.monotonic() > late):
                break
            for child in ready(busy, LATE / 3):
                message = child.receive(0)
                if isinstance(message, Outcome):
                    del busy[child]
                    free.append(child)
                    yield message
                elif isinstance(message, Progress):
                    self.searcher.tell(message)
                elif isinstance(message, Failure):
                    raise message.error
                elif isinstance(message, Crash):
                    raise FolioLabError(f"the process of a search {message.how}", "try again with less --memory")
        for given_up in busy.values():
            yield Outcome(given_up, "time")


def _serve(pipe: Connection, searcher: Searcher) -> None:
    """Search what the parent sends, until it ends."""
    from foliolab.framework.verify.explored.exploration import uncollected

    searcher.tell = pipe.send
    with uncollected():
        while True:
            pipe.send(searcher.search(pipe.recv()))
