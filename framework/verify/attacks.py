"""The attacks by their names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.errors import NothingMeasured, UsageError
from foliolab.framework.plugins.selection import nearest
from foliolab.framework.verify.attack import Attack, Budget, Tell
from foliolab.framework.verify.finding import Finding

if TYPE_CHECKING:
    from foliolab.framework.verify.counterexample import MemoryModel
    from foliolab.framework.verify.explored.programs import Program

ATTACKS: Final = {
    "explored": ("foliolab.framework.verify.explored.attack", "Explored"),
    "random": ("foliolab.framework.verify.random_operations.attack", "Random"),
    "symbolic": ("foliolab.framework.verify.symbolic.attack", "Symbolic"),
    "structural": ("foliolab.framework.verify.structural", "Structural"),
}
"""Module and class of each attack. A module (and with it numba or z3) is imported only when its attack is chosen."""


def chosen(
    names: Iterable[str] = (), model: MemoryModel = "sc", program: Program | None = None, calls: bool = False
) -> list[Attack]:
    """The attacks of these names.

    Args:
        names: empty for all attacks, or for the explored one with a program.
        model: the memory model of the explored attack.
        program: the only program that is explored.
        calls: whether a caller is attacked: the symbolic attack runs no operation.

    Raises:
        UsageError: a name is unknown or given twice; another model than sc is given without the explored attack; or
            `program` with another one.
    """
    usual = [name for name in ATTACKS if not calls or name != "symbolic"]
    wanted = list(names) or (["explored"] if program else usual)
    if calls and "symbolic" in wanted:
        raise UsageError("the symbolic attack solves a policy's hooks; it runs no operation", "leave symbolic out")
    if program and wanted != ["explored"]:
        raise UsageError("a program is what the explored attack explores", "leave out --attacks")
    for index, name in enumerate(wanted):
        if name not in ATTACKS:
            raise UsageError(f"there is no attack {name!r}", nearest(name, ATTACKS, "attacks are"))
        if name in wanted[:index]:
            raise UsageError(f"the attack {name} is named twice", "name each once")
    if model != "sc" and "explored" not in wanted:
        raise UsageError(
            f"the memory model {model} is one of the explored attack, which is not chosen", "add explored to --attacks"
        )
    return [_made(name, model, program) for name in wanted]


@dataclass
class Missing:
    """An attack whose module cannot be imported. It leaves every claim undecided, with the reason.

    Args:
        why: the reason, such as a package that is not installed.
    """

    name: str
    why: str

    def run(self, scheme: Scheme, budget: Budget, tell: Tell) -> list[Finding]:
        raise NothingMeasured(f"the attack {self.name} cannot be loaded: {self.why}", "reinstall FolioLab")


def _made(name: str, model: MemoryModel, program: Program | None) -> Attack:
    module, kind = ATTACKS[name]
    try:
        make: Any = getattr(import_module(module), kind)
    except ImportError as fault:
        return Missing(name, str(fault))
    attack: Attack = make(model=model, program=program) if name == "explored" else make()
    return attack
