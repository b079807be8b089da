"""Compare the interpreted text with native code: every byte of memory must agree after each operation."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final

import numpy as np

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine.machine import Machine
from foliolab.framework.errors import ModelError
from foliolab.framework.machine.layout import PMD_ORDER
from foliolab.framework.verify.random_operations import walk
from foliolab.framework.verify.random_operations.choice import Chooser
from foliolab.framework.verify.random_operations.sequence import Scene, scenes

STEPS: Final = 150
TOGETHER: Final = 64
"""Native operations between two comparisons."""

Connect = Callable[[Machine], object]
"""What turns a native machine into the one that is compared, such as `csource.compiled.CompiledEntries.connect`."""


def difference(
    scheme: Scheme, seed: int = 1, steps: int = STEPS, connect: Connect | None = None, other: str = "natively"
) -> str:
    """Do the same random operations interpreted and native, and describe the first difference; empty without one.

    Args:
        steps: operations on each kind of machine; fewer with large folios.
        connect: called with each native machine before its first operation.
        other: how that machine runs, for the description.

    Raises:
        PluginError: the policy's text failed.
    """
    found = (
        _difference_on(scheme, scene, seed, min(steps, 3 * scene.steps), connect, other) for scene in scenes(scheme)
    )
    return next(filter(None, found), "")


def _difference_on(scheme: Scheme, scene: Scene, seed: int, steps: int, connect: Connect | None, other: str) -> str:
    interpreted, native = (Machine(scheme, scene.shape, how) for how in ("interpreted", "native"))
    if connect is not None:
        connect(native)
    pmds = bool(set(scene.kinds(scheme)) & {"pmd"})
    chooser = Chooser(interpreted, scene.orders, pmds)
    random = Random(seed)
    kinds = scene.kinds(scheme)
    for step in range(steps):
        operation = chooser.choose(random.choice(kinds), *(random.randrange(1 << 12) for _ in range(4)))
        if operation is None:
            continue
        try:
            expected = interpreted.apply(operation)
        except ModelError:
            return ""  # the machine is out of memory in the middle of an operation: the sequence ends here
        found = native.apply(operation)
        if found != expected:
            return f"operation {step} ({operation}): interpreted it answers {expected!r}, {other} {found!r}"
        if where := _bytes(interpreted, native):
            return f"operation {step} ({operation}) leaves other memory {other}: {where}"
    return ""


def _bytes(one: Machine, two: Machine) -> str:
    """How the memories of two machines differ; empty where they do not."""
    if np.array_equal(one.vm.buffer, two.vm.buffer):
        return ""
    where = np.flatnonzero(one.vm.buffer != two.vm.buffer)
    first = int(where[0])
    page, byte = divmod(first, one.layouts["page"].size)
    place = f"byte {byte} of struct page {page}" if page < one.shape.nr_pages else f"offset {first}"
    values = [int(machine.vm.buffer[first]) for machine in (one, two)]
    return f"{where.size} bytes differ, the first at {place}: {values[0]} became {values[1]}"


def walked_difference(scheme: Scheme, connect: Connect, operations: int, seed: int = 1) -> tuple[str, int]:
    """Compare the native text with another native form of it over many more operations than `difference` does.

    Args:
        connect: called with one of two native machines before its first operation.
        operations: on all kinds of machines together.

    Returns:
        the first difference, empty without one; and how many operations were done.
    """
    few = [scene for scene in scenes(scheme) if scene.shape.max_order <= PMD_ORDER]
    done = 0
    for scene in few:
        shape = walk.with_scratch(scene.shape)
        machines = [Machine(scheme, shape, "native", one_thread=True) for _ in range(2)]
        connect(machines[1])
        pair = Walkers(machines, seed)
        while pair.done < operations / len(few):
            before = machines[0].snapshot()
            if pair.step(TOGETHER):
                return _first_difference(pair, before), done + pair.done
        done += pair.done
    return "", done


class Walkers:
    """Machines that do the same random operations in native code.

    Attributes:
        done: operations that each has done.
    """

    def __init__(self, machines: list[Machine], seed: int) -> None:
        self.machines = machines
        self.done = 0
        for machine in machines:
            walk.begin(machine, seed)

    def step(self, nr: int) -> str:
        """Try nr operations on each machine; how the first machine's memory then differs from that of another."""
        counts = [
            machine.bind_function(walk.walk, walk.ARGUMENTS, machine.map.scratch, nr)() for machine in self.machines
        ]
        self.done += counts[0]
        return next(filter(None, (_bytes(self.machines[0], other) for other in self.machines[1:])), "")


def _first_difference(pair: Walkers, before: np.typing.NDArray[np.uint8]) -> str:
    """The first difference, for machines that differ after TOGETHER operations from a common state."""
    for machine in pair.machines:
        machine.restore(before)
    for _ in range(TOGETHER):
        if found := pair.step(1):
            return found
    return "the memories differ"
