"""The check after a save: does the text compile, run, and survive a few seconds of attacks? In a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from foliolab.framework.errors import FolioLabError
from foliolab.gui.jobs import Step

if TYPE_CHECKING:
    from foliolab.framework.policy import Scheme
    from foliolab.framework.registry import Registry

SECONDS: Final = 3.0
ATTACKS: Final = ("structural", "random")
State = Literal["checked", "refuted", "failed"]


@dataclass(frozen=True)
class Checked:
    """What came out for a policy.

    Args:
        policy: its name.
        state: checked: it compiles, runs, and nothing was refuted.
        message: what is wrong, with file and line where there is such a place; else what was done.
    """

    policy: str
    state: State
    message: str


def check(policies: Sequence[str], files: Sequence[str], say: Callable[[object], None]) -> None:
    """Check policies one after the other.

    Args:
        policies: their names.
        files: policy files besides the installed plugins.
        say: told `Step` and `Checked`.
    """
    from foliolab.framework import registry as room
    from foliolab.framework.engine.structs import layouts_of
    from foliolab.framework.run import blame

    registry = room.load(files, check=layouts_of)
    for name in policies:
        say(Step(f"compiling {name}"))
        try:
            scheme = registry.policy(name)
            message = _runs(registry, scheme)
            if message:
                say(Checked(name, "failed", " ".join(message.split())))
                continue
            say(Step(f"attacking {name}"))
            say(_attacked(registry, scheme))
        except FolioLabError as fault:
            say(Checked(name, "failed", fault.what))
        except Exception as fault:  # whatever a policy's own code raises
            say(Checked(name, "failed", blame.message(fault)))


def _runs(registry: Registry, scheme: Scheme) -> str:
    """Compile it and play a small pattern; why that does not work, empty if it does."""
    from foliolab.framework.engine.engine import native_missing
    from foliolab.framework.precision.session import PrecisionRequest, precision

    patterns = list(registry.patterns.values())[:1]
    if not patterns:
        return ""
    execution: Literal["native", "interpreted"] = "interpreted" if native_missing() else "native"
    result = precision(PrecisionRequest(patterns, [scheme], mms=(2,), folios=4, execution=execution))
    return next((point.stopped for point in result.points if point.stopped), "")


def _attacked(registry: Registry, scheme: Scheme) -> Checked:
    from foliolab.framework.verify import attacks, ledger, verifier
    from foliolab.framework.verify.attack import Budget

    kind, source = registry.origin(scheme)
    plugin = source if kind == "file" else ""
    found = verifier.verify(scheme, attacks.chosen(ATTACKS), Budget(SECONDS), _quiet, first=True, plugin=plugin)
    refuted = found.refuted
    if not refuted:
        return Checked(scheme.name, "checked", "compiles, runs, and nothing was refuted within a few seconds")
    ledger.keep(found)
    example = refuted[0].counterexample
    assert example is not None
    claim = refuted[0].claim or "what every policy owes"
    return Checked(scheme.name, "refuted", f"{claim}: {example.message}")


def _quiet(news: object) -> None:
    pass
