"""The run that the workspace starts: what is asked for, the command that repeats it, and the job that measures."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from foliolab.framework.errors import UsageError
from foliolab.gui.window.jobs import Step

if TYPE_CHECKING:
    from foliolab.framework.engine.engine import Execution
    from foliolab.framework.plugins.registry import Registry
    from foliolab.framework.results.result import Result
    from foliolab.framework.run.request import RunRequest

EVERY: Final = 0.1
"""Seconds between two reports of progress."""


@dataclass(frozen=True)
class Wish:
    """What the controls say, as on a command line.

    Args:
        policies: two or more, as a user would write them.
        baseline: one of them.
        workloads: names.
        sizes: such as "4K,64K,2M", or "all".
        memory: such as "64M".
        rounds: 0 for as many as a verdict needs.
        quick: less time for each case.
        files: policy files besides the installed plugins.
    """

    policies: tuple[str, ...]
    baseline: str
    workloads: tuple[str, ...]
    sizes: str
    memory: str
    rounds: int = 0
    quick: bool = False
    files: tuple[str, ...] = ()


def request_of(wish: Wish, registry: Registry, execution: Execution | None = None) -> RunRequest:
    """What to run.

    Args:
        wish: what the controls say.
        registry: all plugins.
        execution: native by default, or interpreted if numba is missing; to find that out imports numba.

    Raises:
        UsageError: too few policies, no workload, or a size or amount that is not understood.
    """
    from foliolab.framework.run.request import build

    if len(wish.policies) < 2:
        raise UsageError("there is nothing to compare", "tick two policies or more")
    if not wish.workloads:
        raise UsageError("no workload is chosen", "tick one or more")
    return build(
        registry,
        policies=wish.policies,
        baseline=wish.baseline,
        workloads=wish.workloads,
        sizes=(wish.sizes,),
        memory=wish.memory,
        repeats=wish.rounds or None,
        quick=wish.quick,
        execution=execution,
    )


def measure(wish: Wish, say: Callable[[object], None]) -> Result:
    """Measure, and tell of what is measured so far after each case; a run that is cancelled answers with that.

    Raises:
        FolioLabError: it could not be run.
    """
    from foliolab.framework.plugins.registry import load
    from foliolab.framework.run.supervise import compare_run

    request = request_of(wish, load(wish.files))
    last = 0.0

    def progress(phase: str, done: int, whole: int) -> None:
        nonlocal last
        if time.monotonic() - last > EVERY:
            last = time.monotonic()
            say(Step(phase, done, whole))

    return compare_run(request, progress, say)
