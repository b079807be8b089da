"""The interpreted text and the native one, operation by operation: every byte of memory must agree."""

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
    """Do the same operations interpreted and native; where memory first differs, empty if it does not.

    Args:
        scheme: the policy.
        seed: of the operations.
        steps: operations on each kind of machine; with large folios fewer.

    Raises:
        PluginError: the policy's text failed.
    """
    for scene in scenes(scheme):
        told = _on(scheme, scene, seed, min(steps, 3 * scene.steps))
        if told:
            return told
    return ""


def _on(scheme: Scheme, scene: Scene, seed: int, steps: int) -> str:
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
            said = interpreted.apply(operation)
        except ModelError:
            return ""  # out of memory, in the middle of it: the sequence ends here
        also = native.apply(operation)
        if said != also:
            return f"operation {step} ({operation}): interpreted it answers {said!r}, natively {also!r}"
        where = np.flatnonzero(interpreted.vm.buffer != native.vm.buffer)
        if where.size:
            mine, theirs = (int(machine.vm.buffer[where[0]]) for machine in (interpreted, native))
            return (
                f"operation {step} ({operation}) leaves other memory natively: {where.size} bytes differ, the first "
                f"at offset {int(where[0])}, {mine} interpreted and {theirs} native"
            )
    return ""
