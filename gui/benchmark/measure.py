"""The run that the workspace starts: what is asked for, the command that repeats it, and the job that measures."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from foliolab.framework.errors import UsageError
from foliolab.gui.jobs import Step

if TYPE_CHECKING:
    from foliolab.framework.plugins.registry import Registry
    from foliolab.framework.results.result import Result
    from foliolab.framework.run import RunRequest

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

    @property
    def words(self) -> list[str]:
        """The command that measures the same; policy files are added by the window."""
        words = ["foliolab", "compare", "--policies", ",".join(self.policies), "--baseline", self.baseline]
        words += ["--workloads", ",".join(self.workloads), "--sizes", self.sizes, "--memory", self.memory]
        words += ["--repeats", str(self.rounds)] if self.rounds else []
        return [*words, *(["--quick"] if self.quick else [])]


def request_of(wish: Wish, registry: Registry) -> RunRequest:
    """What to run.

    Raises:
        UsageError: too few policies, no workload, a size or amount that is none, or more memory than there is.
    """
    from foliolab.framework.cli.compare import QUICK_SPARE, SPARE
    from foliolab.framework.plugins.selection import parse_memory, parse_sizes
    from foliolab.framework.results.comparison import rounds_needed
    from foliolab.framework.run import RunRequest

    if len(wish.policies) < 2:
        raise UsageError("there is nothing to compare", "tick two policies or more")
    if not wish.workloads:
        raise UsageError("no workload is chosen", "tick one or more")
    chosen = [registry.workload(name) for name in wish.workloads]
    orders = parse_sizes(wish.sizes, {order for workload in chosen for order in workload.orders})
    cases = sum(order in workload.orders for workload in chosen for order in orders)
    request = RunRequest(
        policies=(wish.baseline, *(one for one in wish.policies if one != wish.baseline)),
        baseline=wish.baseline,
        workloads=wish.workloads,
        orders=tuple(orders),
        memory=parse_memory(wish.memory),
        repeats=wish.rounds or rounds_needed(max(cases * (len(wish.policies) - 1), 1)),
        quick=wish.quick,
        plugins=wish.files,
        command=shlex.join([*wish.words, *(word for file in wish.files for word in ("--plugin", file))]),
        spare=0.0 if wish.rounds else QUICK_SPARE if wish.quick else SPARE,
    )
    _enough_memory(request, registry)
    return request


def _enough_memory(request: RunRequest, registry: Registry) -> None:
    from foliolab.framework.host import memory_available
    from foliolab.framework.run import memory_needed
    from foliolab.framework.run.request import plan

    needed = memory_needed(plan(registry, request), [registry.policy(one) for one in request.policies])
    available = memory_available()
    if available is not None and needed > available:
        raise UsageError(
            f"this comparison takes up to {needed >> 20:,} MiB of memory, and {available >> 20:,} MiB are available",
            "choose less memory or fewer policies",
        )


def measure(wish: Wish, say: Callable[[object], None]) -> Result:
    """Measure, and tell of what is measured so far after each case; a run that is cancelled answers with that.

    Raises:
        FolioLabError: it could not be run.
    """
    from foliolab.framework.engine.engine import native_missing
    from foliolab.framework.plugins import registry as room
    from foliolab.framework.run import compare_run

    request = request_of(wish, room.load(wish.files))
    if native_missing():
        request = replace(request, execution="interpreted")
    last = 0.0

    def progress(phase: str, done: int, whole: int) -> None:
        nonlocal last
        if time.monotonic() - last > EVERY:
            last = time.monotonic()
            say(Step(phase, done, whole))

    return compare_run(request, progress, say)
