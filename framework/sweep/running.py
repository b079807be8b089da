"""Runs the tasks of a sweep that are not done yet; a lost worker costs a second try, not the sweep."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED as FIRST
from concurrent.futures import BrokenExecutor, Executor, Future, wait
from dataclasses import dataclass, field
from typing import Final

from foliolab.framework.errors import FolioLabError
from foliolab.framework.sweep.folder import Folder
from foliolab.framework.sweep.pool import Maker, stop
from foliolab.framework.sweep.task import Done, Task, TaskFailed, run

TRIES: Final = 3
LOOK: Final = 0.5
"""Seconds between two reports of the time that is left."""


@dataclass
class State:
    """How far a sweep is.

    Args:
        total: tasks.
        done: of them, those found in the folder included.
        found: those that were there already.
        failed: name of the task to what happened.
        seconds: of work that was done, all workers together.
        began: when, by the monotonic clock.
    """

    total: int
    done: int = 0
    found: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    began: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> float | None:
        """Seconds until it is over, at the pace so far; None while that is not known."""
        ran = self.done - self.found
        if not ran:
            return None
        passed = time.monotonic() - self.began
        return passed / ran * (self.total - self.done - len(self.failed))


Tell = Callable[[State], None]


def sweep(tasks: Sequence[Task], folder: Folder, make: Maker, tell: Tell = lambda state: None) -> State:
    """Run what is not done; Ctrl-C ends it, and keeps what is.

    Args:
        tasks: all of them.
        folder: of their results.
        make: makes the executor; called again when that one has lost a process.
        tell: told how far it is.

    Returns:
        how far it got.

    Raises:
        KeyboardInterrupt: somebody wants an end.
    """
    state = State(len(tasks))
    waiting = [task for task in tasks if not folder.has(task)]
    state.done = state.found = len(tasks) - len(waiting)
    tries: dict[Task, int] = dict.fromkeys(waiting, 0)
    tell(state)
    while waiting:
        executor = make()
        try:
            waiting = _round(waiting, executor, folder, state, tries, tell)
        except BaseException:
            stop(executor)
            raise
        executor.shutdown(wait=True)
    return state


def _round(
    waiting: Sequence[Task], executor: Executor, folder: Folder, state: State, tries: dict[Task, int], tell: Tell
) -> list[Task]:
    """Give all tasks to an executor; those that are to be given to a new one."""
    running: dict[Future[Done], Task] = {}
    again: list[Task] = []
    before = state.done
    for task in waiting:
        try:
            running[executor.submit(run, task)] = task
        except BrokenExecutor:  # it broke while it was being filled
            again.append(task)
    started: set[Task] = set()
    lost: list[Task] = []
    while running:
        ready, _ = wait(running, timeout=LOOK, return_when=FIRST)
        for future in ready:
            task = running.pop(future)
            if not _taken(future, task, folder, state):
                lost.append(task)
        started |= {task for future, task in running.items() if future.running()}
        tell(state)
    for task in lost:  # a pool that breaks takes along those that only waited
        tries[task] += task in started or state.done == before
        if tries[task] < TRIES:
            again.append(task)
        else:
            state.failed[task.name] = f"its worker was lost {TRIES} times"
    tell(state)
    return again


def _taken(future: Future[Done], task: Task, folder: Folder, state: State) -> bool:
    """Take what came of a task; False if its worker was lost, and it is to be tried again."""
    try:
        done = future.result()
        folder.keep(task, done.data)
    except (TaskFailed, FolioLabError) as fault:
        state.failed[task.name] = f"{fault.what}; {fault.hint}" if fault.hint else fault.what
        return True
    except Exception:  # a broken pool, a killed worker, a cluster's own error
        return False
    state.done += 1
    state.seconds += done.seconds
    return True
