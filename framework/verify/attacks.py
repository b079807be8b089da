"""The attacks by their names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.errors import NothingMeasured, UsageError
from foliolab.framework.plugins.selection import nearest
from foliolab.framework.verify.attack import Attack, Budget, Tell
from foliolab.framework.verify.finding import Finding

ATTACKS: Final = {
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
    wanted = list(names) or list(ATTACKS)
    for place, name in enumerate(wanted):
        if name not in ATTACKS:
            raise UsageError(f"there is no attack {name!r}", nearest(name, ATTACKS, "attacks are"))
        if name in wanted[:place]:
            raise UsageError(f"the attack {name} is named twice", "name each once")
    if tso and "explored" not in wanted:
        raise UsageError("store buffers are explored, and that attack is not chosen", "add explored to --attacks")
    return [_made(name, tso) for name in wanted]


@dataclass
class Missing:
    """An attack that cannot be had here: every claim is undecided by it, with the reason.

    Args:
        name: its name.
        why: such as a package that is not installed.
    """

    name: str
    why: str

    def run(self, scheme: Scheme, budget: Budget, tell: Tell) -> list[Finding]:
        """Say why not.

        Raises:
            NothingMeasured: always.
        """
        raise NothingMeasured(f"this attack cannot be had here: {self.why}", "install FolioLab anew")


def _made(name: str, tso: bool) -> Attack:
    module, kind = ATTACKS[name]
    try:
        make: Any = getattr(import_module(module), kind)
    except ImportError as fault:
        return Missing(name, str(fault))
    attack: Attack = make(tso=True) if tso and name == "explored" else make()
    return attack
