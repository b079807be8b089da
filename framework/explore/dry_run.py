"""A policy tried out before it runs natively, where what loops or writes elsewhere would take the program along."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine.engine import Shape
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.operation import Operation
from foliolab.framework.errors import ModelError, PluginError
from foliolab.framework.verify.laws import Watch

FATAL: Final = frozenset({"termination", "access", "raises", "lost-lock", "deadlock"})
"""Laws without which native code may not end, or may write to what is not its own."""
LARGEST: Final = 4
"""Order of the folios that are tried, at most: larger ones take long, interpreted, and go the same ways."""
FRAMES: Final = 1024


@lru_cache(maxsize=64)
def rehearse(scheme: Scheme, order: int) -> None:
    """Run every kind of operation once on the interpreted engine.

    Args:
        scheme: the policy.
        order: of the folios that are to be played.

    Raises:
        PluginError: a function of the policy loops, raises, or writes what is not its own; names file and line.
        LayoutError: its fields do not fit.
    """
    order = min(max(order, 2), LARGEST)
    machine = Machine(scheme, Shape(nr_pages=FRAMES, nr_mms=4, nr_vpns=512), "interpreted")
    watch = Watch(machine)
    for operation in _operations(1 << order, order):
        try:
            broken = watch.apply(operation, look=False)
        except ModelError:
            continue  # such as too few IDs: whoever needs more will say so
        fatal = next((one for one in broken if one.law in FATAL), None)
        if fatal is not None:
            raise PluginError(
                f"policy {scheme.name}: {fatal} (tried out with `{operation}`)",
                "mend it; `foliolab verify` says more",
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
