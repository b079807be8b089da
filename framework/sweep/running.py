"""Run the unfinished tasks of a sweep. The task of a lost worker is tried again."""

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
from foliolab.framework.sweep.task import Done, Task, TaskLost, run

TRIES: Final = 3
LOOK: Final = 0.5
"""Seconds between two reports of progress."""


@dataclass
class State:
    """The progress of a sweep.

    Args:
        done: number of finished tasks, with those found in the folder.
        found: number of tasks that an earlier sweep finished.
        failed: reason by name of the task.
        seconds: work of all workers together.
        began: start by the monotonic clock.
    """

    total: int
    done: int = 0
    found: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    began: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> float | None:
        """Estimated seconds until the end; None before the first task is finished."""
        ran = self.done - self.found
        if not ran:
            return None
        passed = time.monotonic() - self.began
        return passed / ran * (self.total - self.done - len(self.failed))


Tell = Callable[[State], None]


def sweep(tasks: Sequence[Task], folder: Folder, make: Maker, tell: Tell = lambda state: None) -> State:
    """Run the unfinished tasks. Ctrl-C ends the sweep and keeps the finished ones.

    Args:
        make: makes the executor; called again after an executor has lost a process.

    Returns:
        the progress at the end.

    Raises:
        KeyboardInterrupt: the user pressed Ctrl-C.
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
    """Run tasks on one executor.

    Returns:
        the tasks to try again on a new executor.
    """
    running: dict[Future[Done], Task] = {}
    again: list[Task] = []
    before = state.done
    for task in waiting:
        try:
            running[executor.submit(run, task)] = task
        except BrokenExecutor:  # a process died while tasks were submitted
            again.append(task)
    started: set[Task] = set()
    lost: dict[Task, str] = {}
    while running:
        ready, _ = wait(running, timeout=LOOK, return_when=FIRST)
        for future in ready:
            task = running.pop(future)
            if why := _taken(future, task, folder, state):
                lost[task] = why
        started |= {task for future, task in running.items() if future.running()}
        tell(state)
    for task, why in lost.items():  # a broken pool also loses tasks that have not begun: these tries do not count
        tries[task] += task in started or state.done == before
        if tries[task] < TRIES:
            again.append(task)
        else:
            state.failed[task.name] = f"{why}, {TRIES} times"
    tell(state)
    return again


def _taken(future: Future[Done], task: Task, folder: Folder, state: State) -> str:
    """Keep the result of a task or the reason of its failure; if its process or worker was lost, how."""
    try:
        done = future.result()
        folder.keep(task, done.data)
    except TaskLost as fault:
        return fault.what
    except FolioLabError as fault:
        state.failed[task.name] = f"{fault.what}; {fault.hint}" if fault.hint else fault.what
        return ""
    except Exception:  # a broken pool, a killed worker, or an error of the cluster
        return "its worker was lost"
    state.done += 1
    state.seconds += done.seconds
    return ""
