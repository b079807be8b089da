"""The work of a job that checks policies after a save: they compile, run, and withstand a few seconds of attacks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from foliolab.framework.errors import FolioLabError
from foliolab.gui.window.checked import Checked
from foliolab.gui.window.jobs import Step

if TYPE_CHECKING:
    from foliolab.framework.contract.policy import Scheme
    from foliolab.framework.plugins.registry import Registry

SECONDS: Final = 3.0
ATTACKS: Final = ("structural", "random", "explored")
LEFT_OUT: Final = ("documented", "workloads")
"""Checks that only `foliolab check` runs; a text that is being written need not be documented."""


def check(policies: Sequence[str], files: Sequence[str], say: Callable[[object], None]) -> None:
    """Check policies one after the other.

    Args:
        policies: their names.
        files: policy files besides the installed plugins.
        say: called with `Step` and `Checked`.
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
        except Exception as fault:  # the policy's code can raise anything
            say(Checked(name, "failed", describe(fault)))


def _checked(registry: Registry, scheme: Scheme, say: Callable[[object], None]) -> Checked:
    """Run the quick checks of the conformance kit, up to the first that fails."""
    from foliolab.framework.testing.checks import checks_for
    from foliolab.framework.testing.subject import Subject
    from foliolab.framework.verify import ledger

    kind, source = registry.origin(scheme)
    subject = Subject(
        scheme, SECONDS, ATTACKS, plugin=source if kind == "file" else "", registry=registry, first=True,
        say=lambda text: say(Step(f"{scheme.name}: {text}")),
    )  # fmt: skip
    for check in sorted(checks_for(scheme), key=lambda check: check.name != "native"):  # compile first
        if check.name in LEFT_OUT:
            continue
        subject.say(check.name)
        outcome = check.run(subject)
        if outcome.verdict != "failed":
            continue
        message = " ".join(outcome.text.split())
        if outcome.counterexample is None:
            return Checked(scheme.name, "failed", message)
        ledger.keep(subject.verification(), scheme)
        claim = outcome.counterexample.claim or "what every policy owes"
        return Checked(scheme.name, "refuted", f"{claim}: {outcome.counterexample.message}")
    return Checked(scheme.name, "checked", "it compiles and runs, and a few seconds of attacks refuted nothing")
