"""The check after a save: does the text compile, run, and survive a few seconds of attacks? In a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from foliolab.framework.errors import FolioLabError
from foliolab.gui.window.jobs import Step

if TYPE_CHECKING:
    from foliolab.framework.contract.policy import Scheme
    from foliolab.framework.plugins.registry import Registry

SECONDS: Final = 3.0
ATTACKS: Final = ("structural", "random")
LEFT_OUT: Final = ("documented", "workloads")
"""Checks for which `foliolab check` is the place: a text that is being written need not be documented yet."""
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
    from foliolab.framework.engine.answers import describe
    from foliolab.framework.plugins import registry as room

    registry = room.load(files)
    for name in policies:
        say(Step(f"checking {name}"))
        try:
            say(_checked(registry, registry.policy(name), say))
        except FolioLabError as fault:
            say(Checked(name, "failed", fault.what))
        except Exception as fault:  # whatever a policy's own code raises
            say(Checked(name, "failed", describe(fault)))


def _checked(registry: Registry, scheme: Scheme, say: Callable[[object], None]) -> Checked:
    """Run the checks of the conformance kit that take a few seconds; the first that fails is told."""
    from foliolab.framework.testing.checks import checks_for
    from foliolab.framework.testing.subject import Subject
    from foliolab.framework.verify import ledger

    kind, source = registry.origin(scheme)
    subject = Subject(
        scheme, SECONDS, ATTACKS, plugin=source if kind == "file" else "", registry=registry, first=True,
        say=lambda text: say(Step(f"{scheme.name}: {text}")),
    )  # fmt: skip
    for one in sorted(checks_for(scheme), key=lambda one: one.name != "native"):  # what does not compile says so first
        if one.name in LEFT_OUT:
            continue
        subject.say(one.name)
        outcome = one.run(subject)
        if outcome.verdict != "failed":
            continue
        message = " ".join(outcome.text.split())
        if outcome.counterexample is None:
            return Checked(scheme.name, "failed", message)
        ledger.keep(subject.verification(), scheme)
        claim = outcome.counterexample.claim or "what every policy owes"
        return Checked(scheme.name, "refuted", f"{claim}: {outcome.counterexample.message}")
    return Checked(scheme.name, "checked", "compiles, runs, and nothing was refuted within a few seconds")
