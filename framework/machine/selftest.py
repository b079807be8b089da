"""A self-test of native code: compile and run a small function of primitives on this host."""

from __future__ import annotations

from typing import Any, Final

from foliolab.framework.machine.calltree import CallTree
from foliolab.framework.machine.layout import Field, Layouts, Struct
from foliolab.framework.machine.memory import Memory, allocate
from foliolab.framework.machine.primitives import PRIMITIVES, atomic_add_return, pte_at

ROUNDS: Final = 1000
ANSWER: Final = 3 * ROUNDS
_LAYOUTS: Final = Layouts((Struct("pte", 64, (Field("pte", "u64", 0),)),))


def count(vm: Any, nr: int) -> int:
    """Add 3 atomically, nr times; the sum."""
    total = 0
    for _ in range(nr):
        total = atomic_add_return(3, pte_at(vm, 0).pte)
    return total


def run() -> int:
    """Compile and run the function; return its result, which should be ANSWER.

    Raises:
        NativeBuildError: it cannot be compiled.
        ImportError: numba, or a library it needs, is missing.
    """
    from foliolab.framework.machine.native import Library

    memory = Memory(allocate(4096), _LAYOUTS)
    library = Library(CallTree([count], PRIMITIVES, {}, {}), _LAYOUTS)
    return int(library.get(count, "mi")(memory.addr, ROUNDS))
