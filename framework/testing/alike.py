"""Compare the interpreted text with native code: every byte of memory must agree after each operation."""

from __future__ import annotations

from random import Random
from typing import Final

import numpy as np

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine.machine import Machine
from foliolab.framework.errors import ModelError
from foliolab.framework.verify.random_operations.choice import Chooser
from foliolab.framework.verify.random_operations.sequence import Scene, scenes

STEPS: Final = 150


def difference(scheme: Scheme, seed: int = 1, steps: int = STEPS) -> str:
    """Do the same random operations interpreted and native, and describe the first difference; empty without one.

    Args:
        steps: operations on each kind of machine; fewer with large folios.

    Raises:
        PluginError: the policy's text failed.
    """
    differences = (_difference_on(scheme, scene, seed, min(steps, 3 * scene.steps)) for scene in scenes(scheme))
    return next(filter(None, differences), "")


def _difference_on(scheme: Scheme, scene: Scene, seed: int, steps: int) -> str:
    interpreted, native = (Machine(scheme, scene.shape, how) for how in ("interpreted", "native"))
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
            return f"operation {step} ({operation}): interpreted it answers {expected!r}, natively {found!r}"
        where = np.flatnonzero(interpreted.vm.buffer != native.vm.buffer)
        if where.size:
            first = [int(machine.vm.buffer[where[0]]) for machine in (interpreted, native)]
            return (
                f"operation {step} ({operation}) leaves other memory natively: {where.size} bytes differ, the first "
                f"at offset {int(where[0])}, {first[0]} interpreted and {first[1]} native"
            )
    return ""
