"""A dry run of a policy on the interpreted engine, before its native code runs.

Native code that loops cannot be interrupted, and native code that writes to a wrong address damages the process. The
interpreted engine detects both and reports file and line.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine.engine import Shape
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.operation import Operation
from foliolab.framework.errors import ModelError, PluginError
from foliolab.framework.verify.laws import Watch

FATAL: Final = frozenset({"termination", "access", "raises", "checks", "lost-lock", "deadlock"})
"""Laws whose violation means that native code may not end, or may write to memory of others."""
LARGEST: Final = 4
"""Largest order of the folios in a dry run: larger folios take long, interpreted, and take the same code paths."""
FRAMES: Final = 1024


@lru_cache(maxsize=64)
def dry_run(scheme: Scheme, order: int) -> None:
    """Run every kind of operation once on the interpreted engine.

    Args:
        scheme: the policy.
        order: log2 of the pages of the largest folio that will be explored.

    Raises:
        PluginError: a function of the policy loops, raises, or writes outside its fields; names file and line.
        LayoutError: its fields do not fit.
    """
    order = min(max(order, 2), LARGEST)
    machine = Machine(scheme, Shape(nr_pages=FRAMES, nr_mms=4, nr_vpns=512), "interpreted")
    watch = Watch(machine)
    for operation in _operations(1 << order, order):
        try:
            violations = watch.apply(operation, look=False)
        except ModelError:
            continue  # for example too few MM IDs: a limit of the model that a real run reports when it meets it
        fatal = next((one for one in violations if one.law in FATAL), None)
        if fatal is not None:
            raise PluginError(
                f"policy {scheme.name}: {fatal} (in a dry run of `{operation}`)",
                "correct the policy; `foliolab verify` says more",
            )


def _operations(size: int, order: int) -> list[Operation]:
    return [
        Operation.of("create", mm=0),
        Operation.of("populate", mm=0, start=0, nr=4 * size, order=order),
        Operation.of("maybe_shared", pfn=0),
        Operation.of("fork", parent=0, child=1),
        Operation.of("write", mm=1, start=0, nr=2),
        Operation.of("unmap", mm=0, start=1, nr=size),
        Operation.of("fork", parent=1, child=2),
        Operation.of("maybe_shared", pfn=size),
        Operation.of("exit", mm=0),
        Operation.of("write", mm=2, start=size, nr=size),
        Operation.of("protect", mm=2, start=0, nr=size),
        Operation.of("mremap", mm=2, start=2 * size, to=8 * size, nr=size),
        Operation.of("unmap", mm=1, start=0, nr=2 * size),
        Operation.of("exit", mm=1),
        Operation.of("write", mm=2, start=3 * size, nr=size),
        Operation.of("exit", mm=2),
    ]
