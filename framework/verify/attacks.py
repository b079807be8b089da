"""The attacks by their names."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import Any, Final

from foliolab.framework.errors import UsageError
from foliolab.framework.selection import nearest
from foliolab.framework.verify.attack import Attack

PLACES: Final = {
    "explored": ("foliolab.framework.verify.explored.attack", "Explored"),
    "random": ("foliolab.framework.verify.random_operations.attack", "Random"),
    "symbolic": ("foliolab.framework.verify.symbolic.attack", "Symbolic"),
    "structural": ("foliolab.framework.verify.structural", "Structural"),
}
"""Module and class of each; what an attack needs (a compiler, a solver) is imported when it is chosen."""


def chosen(names: Iterable[str] = (), tso: bool = False) -> list[Attack]:
    """Attacks to run.

    Args:
        names: which; none for all.
        tso: explore with store buffers (x86-TSO).

    Raises:
        UsageError: no such attack, or one is named twice; or `tso` without the explored one.
    """
    wanted = list(names) or list(PLACES)
    for place, name in enumerate(wanted):
        if name not in PLACES:
            raise UsageError(f"there is no attack {name!r}", nearest(name, PLACES, "attacks are"))
        if name in wanted[:place]:
            raise UsageError(f"the attack {name} is named twice", "name each once")
    if tso and "explored" not in wanted:
        raise UsageError("store buffers are explored, and that attack is not chosen", "add explored to --attacks")
    return [_made(name, tso) for name in wanted]


def _made(name: str, tso: bool) -> Attack:
    module, kind = PLACES[name]
    make: Any = getattr(import_module(module), kind)
    attack: Attack = make(tso=True) if tso and name == "explored" else make()
    return attack
