"""Whether a Dask cluster still wants a task: its client may have stopped or died, but a thread cannot be ended."""

from __future__ import annotations

import sys
from collections.abc import Callable


def watch() -> Callable[[], bool]:
    """A function that says whether the task of this thread is no longer wanted; never, outside of a Dask worker.

    A worker that is told to forget a task which it runs calls it "cancelled", and then ignores its result.
    """
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return _wanted
    try:
        worker = distributed.get_worker()
        key = worker.get_current_task()
    except (ValueError, KeyError):  # this process has a client only
        return _wanted

    def is_forgotten() -> bool:
        task = worker.state.tasks.get(key)
        return task is None or task.state == "cancelled"

    return is_forgotten


def _wanted() -> bool:
    return False
