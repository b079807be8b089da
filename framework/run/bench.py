"""The bench: the machines of all policies, in the state that a workload prepared, for interleaved rounds."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine.engine import Execution, Shape
from foliolab.framework.engine.machine import Machine
from foliolab.framework.machine.memory import allocate
from foliolab.framework.machine.primitives import PAGE_SIZE
from foliolab.framework.run.cases import Case, shape_of


@dataclass
class Ready:
    """A machine whose workload is prepared."""

    machine: Machine
    calls: Sequence[Callable[[], Any]]
    state: NDArray[np.uint8]


class Bench:
    """Machines of one shape for all policies. They serve several cases, so that their memory is touched and warm."""

    def __init__(self, execution: Execution) -> None:
        self.execution: Execution = execution
        self._machines: dict[tuple[Scheme, Shape], Machine] = {}
        self._states: dict[int, NDArray[np.uint8]] = {}
        self._contents = allocate(0)

    def prepare(self, case: Case, scheme: Scheme) -> Ready:
        """Bring a machine into the state before the timed part."""
        shape = shape_of(case.workload, case.setting)
        machine = self._machine(scheme, shape)
        timed = case.workload.prepare(machine, case.setting)
        calls = [timed] if callable(timed) else list(timed)
        state = self._states.setdefault(id(machine), np.empty_like(machine.vm.buffer))
        np.copyto(state, machine.vm.buffer)
        return Ready(machine, calls, state)

    def forget(self, keep: Shape | None = None) -> None:
        """Free the machines of other shapes."""
        for key in [key for key in self._machines if key[1] != keep]:
            self._states.pop(id(self._machines.pop(key)), None)

    def _machine(self, scheme: Scheme, shape: Shape) -> Machine:
        machine = self._machines.get((scheme, shape))
        if machine is None:
            self.forget(shape)
            machine = Machine(scheme, shape.fitting(scheme), self.execution, self._contents_for(shape))
            self._machines[scheme, shape] = machine
        else:
            machine.reset()
        return machine

    def _contents_for(self, shape: Shape) -> NDArray[np.uint8] | None:
        """Memory for page contents. All policies share it, because times do not depend on the contents."""
        if not shape.contents:
            return None
        wanted = shape.nr_pages * PAGE_SIZE
        if self._contents.size < wanted:
            self._contents = allocate(wanted)
            self._contents[::PAGE_SIZE] = 1  # touched before the first round
        return self._contents[:wanted]


def run_once(ready: Ready) -> int:
    """Restore the state and time the calls.

    Returns:
        nanoseconds from the last start of a thread to the last end.
    """
    ready.machine.restore(ready.state)
    if len(ready.calls) == 1:
        (call,) = ready.calls
        gc.disable()
        start = time.perf_counter_ns()
        call()
        end = time.perf_counter_ns()
        gc.enable()
        return end - start
    return _run_threads(ready.calls)


def _run_threads(calls: Sequence[Callable[[], Any]]) -> int:
    starts, ends = [0] * len(calls), [0] * len(calls)
    faults: list[BaseException] = []
    together = threading.Barrier(len(calls))

    def body(i: int) -> None:
        try:
            together.wait()
            starts[i] = time.perf_counter_ns()
            calls[i]()
            ends[i] = time.perf_counter_ns()
        except BaseException as fault:  # raised in the caller below
            faults.append(fault)

    threads = [threading.Thread(target=body, args=(i,)) for i in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]
    return max(ends) - max(starts)
