"""Options of one explored search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from foliolab.framework.verify.counterexample import MemoryModel

BUFFER: Final = 4
"""Capacity of a store buffer (TSO, Armv8)."""
LOG: Final = 4
"""Capacity of each thread's log of writes that it need not have seen yet (Armv8)."""


@dataclass(frozen=True)
class Options:
    """Options of a search.

    Args:
        model: the memory model (see `counterexample.MemoryModel`).
        bound: on preemptions; below 0 for none.
        symmetry: whether symmetry reduction is used where it applies.
        reduction: whether partial-order reduction is used where it applies: with sc, without a bound. It loses no
            violation, but the path to one may be longer than necessary.
        sleep_sets: whether it has sleep sets beside persistent sets.
        memory: bytes for states.
        keep_on: continue after a violation.
        ignore: laws whose violations are ignored.
        compiled: whether the compiled C text of the policy runs, in place of the translation.
    """

    model: MemoryModel = "sc"
    bound: int = -1
    symmetry: bool = True
    reduction: bool = False
    sleep_sets: bool = True
    memory: int = 1 << 30
    keep_on: bool = False
    ignore: frozenset[str] = frozenset()
    compiled: bool = False
