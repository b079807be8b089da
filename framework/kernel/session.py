"""Kernels that play scenarios: the one that runs, and guests (`guest.machine`)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Final, Self

from foliolab.framework.kernel import needs, nodes, oracle, probe, settings
from foliolab.framework.kernel.agent.channel import Channel
from foliolab.framework.kernel.agent.local import NAME, LocalAgent
from foliolab.framework.kernel.oracle import Conditions
from foliolab.framework.scenario.habits import Habits
from foliolab.framework.scenario.parser import parse
from foliolab.framework.scenario.record import Record
from foliolab.framework.scenario.syntax import Scenario

READ_BACK: Final = parse(
    """scenario read-back
region heap: 1 x 4K
A: fork B
A: exit
B: pageout heap[0]
B: vmsplice heap[0] as p  # a read fault, and a reference
B: write heap[0]          # copied, unless the read fault has found the page exclusive
"""
)
MOVED_TWICE: Final = parse(
    """scenario moved-twice
region heap: 1 x 64K pte
A: migrate heap
A: migrate heap           # splits a folio that is marked as partially mapped
A: cold heap[0]           # split, unless it was split before
"""
)


class Session:
    """Runs scenarios on a kernel; a context manager.

    Attributes:
        name: of the kernel, for messages.
        channel: to the agent on it, while the context lasts.
        conditions: that scenarios find there, while the context lasts.
        discarded: number of attempts that the kernel disturbed.
    """

    name: str
    channel: Channel
    conditions: Conditions

    def __init__(self) -> None:
        self.discarded = 0
        self._bypass: bool | None = None
        self._requeues: bool | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        try:
            self._start(self._stack)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, at: TracebackType | None) -> None:
        self._stack.__exit__(kind, fault, at)

    def _start(self, stack: ExitStack) -> None:
        """Set `channel` and `conditions`; what the stack has is ended with the context."""
        raise NotImplementedError

    def habits(self, scenario: Scenario) -> Habits:
        """What this kernel does in its own way, as far as it makes a difference to a scenario; it is asked once.

        Raises:
            Gone: the kernel does not answer any more.
            KernelError: the kernel refused a step of the scenario that asks it.
        """
        actions = {step.action for step in scenario.steps}
        swaps = self.conditions.swap and not self.conditions.hidden and "pageout" in actions
        if swaps and self._bypass is None:
            self._bypass = self.run(READ_BACK)[-1].text != "copied"
        moves = len(self.conditions.nodes) > 1 and "migrate" in actions
        if moves and self._requeues is None:
            self._requeues = self.run(MOVED_TWICE)[-1].text != "split"
        return Habits(self._bypass is not False, self._requeues is not False)

    def run(self, scenario: Scenario) -> list[Record]:
        """Run a scenario, and repeat it while the kernel disturbs it (see `oracle`).

        Raises:
            Gone: the kernel does not answer any more.
            KernelError: the kernel refused a step, or disturbed every attempt.
        """
        records, discarded = oracle.run(scenario, self.channel, self.conditions)
        self.discarded += discarded
        return records


class RunningKernel(Session):
    """Runs scenarios on the running kernel; it has the THP settings and the agent.

    Args:
        cpus: numbers of the processors that a scenario's processes are spread over; None: one.
        wait: seconds to wait for another run to end.

    Raises:
        KernelError: another run has the THP settings, or the agent cannot be built or started.
    """

    name: Final = NAME

    def __init__(self, cpus: Sequence[int] | None = None, wait: float = 0.0) -> None:
        super().__init__()
        self.cpus = tuple(cpus) if cpus else tuple(sorted(os.sched_getaffinity(0))[:1])
        self.wait = wait

    def _start(self, stack: ExitStack) -> None:
        thp = None if needs.fixed() else stack.enter_context(settings.exclusive(self.wait))
        self.agent = stack.enter_context(LocalAgent())
        self.channel = self.agent.channel
        switches = None if thp is None else {kib: os.fspath(path) for kib, path in thp.lent().items()}
        swap = probe.capability("swap").available
        every = tuple(sorted(os.sched_getaffinity(0)))
        self.conditions = Conditions(self.cpus, switches, bool(needs.hidden()), swap, every, nodes.of_this_host())
