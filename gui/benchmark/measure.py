"""The measurement that the workspace starts: the choices, the request, and the work of the job."""

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
"""Least seconds between two reports of progress."""


@dataclass(frozen=True)
class Wish:
    """The choices of the controls, as on the command line.

    Args:
        policies: two or more, as they are written on the command line.
        baseline: one of them.
        workloads: names.
        sizes: such as "4K,64K,2M", or "all".
        memory: such as "64M".
        rounds: 0 for the number that a verdict needs.
        quick: take less time for each case.
        files: policy files besides the installed plugins.
        cpu: the processor to predict on, for which executed instructions are counted; empty for none.
    """

    policies: tuple[str, ...]
    baseline: str
    workloads: tuple[str, ...]
    sizes: str
    memory: str
    rounds: int = 0
    quick: bool = False
    files: tuple[str, ...] = ()
    cpu: str = ""


def request_of(wish: Wish, registry: Registry, execution: Execution | None = None) -> RunRequest:
    """Make the request of a run.

    Args:
        wish: the choices.
        registry: all plugins.
        execution: native, or interpreted if numba is missing, by default; finding that out imports numba.

    Raises:
        UsageError: too few policies, no workload, a size or amount that is not understood, or a processor is chosen
            and executed instructions cannot be counted.
    """
    from foliolab.framework.costmodel import choice
    from foliolab.framework.run.request import build

    if len(wish.policies) < 2:
        raise UsageError("there is nothing to compare", "tick two policies or more")
    if not wish.workloads:
        raise UsageError("no workload is chosen", "tick one or more")
    request = build(
        registry,
        policies=wish.policies,
        baseline=wish.baseline,
        workloads=wish.workloads,
        sizes=(wish.sizes,),
        memory=wish.memory,
        repeats=wish.rounds or None,
        quick=wish.quick,
        execution=execution,
        cpu=wish.cpu,
    )
    choice.check(request)
    return request


def measure(wish: Wish, say: Callable[[object], None]) -> Result:
    """Measure; the work of a job. After each case, `say` gets the result so far. A cancelled run returns it, too.

    Raises:
        FolioLabError: the run could not start.
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
