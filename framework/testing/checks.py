"""The checks of a policy, selected by what it claims."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from foliolab.framework.contract.policy import CAPABILITIES, Scheme
from foliolab.framework.engine.answers import describe
from foliolab.framework.errors import FolioLabError, PluginError
from foliolab.framework.isolation.process import call_in_child
from foliolab.framework.plugins import validation
from foliolab.framework.plugins.discovery import Unusable
from foliolab.framework.testing.subject import Subject

if TYPE_CHECKING:
    from foliolab.framework.verify.counterexample import Counterexample

Verdict = Literal["passed", "failed", "undecided", "skipped"]
ORDER: Final = 4
"""Of the folios on which workloads are run."""
PATIENCE: Final = 30.0
"""Seconds that one workload may take, interpreted."""
NATIVE: Final = 120.0
"""Seconds that native code may take, its compilation included."""
CLAIM: Final = "claim "
OF_EVERY: Final = ("declared", "documented", "parameters", "owed", "workloads", "native")
"""The checks that do not depend on what is claimed."""


@dataclass(frozen=True)
class Outcome:
    """What a check found.

    Args:
        verdict: undecided: neither shown nor refuted within the budget; skipped: it cannot be checked here.
        text: one line: what is wrong, or what was covered.
        counterexample: the shortest scenario that shows it, where there is one.
    """

    verdict: Verdict
    text: str = ""
    counterexample: Counterexample | None = None


@dataclass(frozen=True)
class Check:
    """One check.

    Args:
        name: as reports and `expected_failures` write it.
        summary: what holds where it passes.
        function: looks at a subject; what it raises is a failure.
    """

    name: str
    summary: str
    function: Callable[[Subject], Outcome]

    def run(self, subject: Subject) -> Outcome:
        """Check; whatever the policy's own code raises is a failure, in one line with its place."""
        try:
            return self.function(subject)
        except FolioLabError as fault:
            hint = f" ({fault.hint})" if fault.hint else ""
            return Outcome("failed", f"{fault.what}{hint}")
        except Exception as fault:
            return Outcome("failed", describe(fault))


def checks_for(scheme: Scheme) -> list[Check]:
    """The checks of a policy: those of every policy, and one for each of its claims; cheap ones first."""
    return [
        Check("declared", "its declaration keeps the contract, and its fields fit struct folio", _declared),
        Check("documented", "it says what it is, where it comes from, and what its fields hold", _documented),
        Check("parameters", "each parameter can take its extreme values", _parameters),
        Check("owed", "it keeps what every policy owes, whatever is done to a folio", _claimed("")),
        *(Check(f"{CLAIM}{name}", CAPABILITIES[name], _claimed(name)) for name in sorted(scheme.capabilities)),
        Check(
            "workloads", "every workload that it is for runs with it, and it writes only what is its own", _workloads
        ),
        Check("native", "native code leaves every byte of memory as the interpreted text does", _native),
    ]


def run_all(subject: Subject) -> Iterator[tuple[Check, Outcome]]:
    """Run the checks one after the other; after a declaration that is none, the others make no sense."""
    for check in checks_for(subject.scheme):
        subject.say(check.name)
        outcome = check.run(subject)
        yield check, outcome
        if check.name == "declared" and outcome.verdict == "failed":
            return


# -- what every policy must be -----------------------------------------------------------------------
def _declared(subject: Subject) -> Outcome:
    from foliolab.framework.engine.policytree import policy_tree
    from foliolab.framework.engine.structs import layouts_of

    try:
        validation.checked_policy(subject.policy)
    except Unusable as fault:
        return Outcome("failed", str(fault))
    layouts_of(subject.scheme)
    policy_tree(subject.scheme)
    return Outcome("passed", f"{len(subject.scheme.fields)} fields, API version {subject.policy.api_version}")


def _documented(subject: Subject) -> Outcome:
    policy, wrong = subject.policy, []
    if not policy.summary.strip():
        wrong.append("summary is empty: say in one line what the idea is")
    if not [text for text in policy.references if text.strip()]:
        wrong.append("references is empty: name the mail, commit or text that defines it")
    wrong += [f"field {one.name} has no doc" for one in subject.scheme.fields if not one.doc.strip()]
    wrong += [f"parameter {one.name} has no doc" for one in policy.parameters if not one.doc.strip()]
    return Outcome("failed", "; ".join(wrong)) if wrong else Outcome("passed", policy.summary)


def _parameters(subject: Subject) -> Outcome:
    from foliolab.framework.engine.structs import layouts_of

    tried = 0
    for one in subject.policy.parameters:
        for value in one.choices or (one.low, one.high):
            layouts_of(subject.policy.with_parameters({one.name: value}))
            tried += 1
    return Outcome("passed", f"{tried} values" if tried else "it has none")


# -- what it claims ----------------------------------------------------------------------------------
def _claimed(claim: str) -> Callable[[Subject], Outcome]:
    """The check of a claim, by all attacks together; "" for what every policy owes."""

    def check(subject: Subject) -> Outcome:
        verification = subject.verification()
        found = [one for one in verification.findings if one.claim == claim]
        refuted = [(one.attack, one.counterexample) for one in found if one.verdict == "refuted" and one.counterexample]
        if refuted:
            attack, example = min(refuted, key=lambda one: sum(len(thread) for thread in one[1].threads))
            return Outcome("failed", f"refuted by {attack}: {example.message}", example)
        verdict = verification.verdict(claim)
        if claim and verdict == "held" and verification.verdict("") == "refuted":
            # attacks stop where the text is broken: what lies beyond was not looked at
            return Outcome("undecided", "what every policy owes is refuted; mend that first")
        told = "; ".join(f"{one.attack}: {one.bound}" for one in found if one.verdict == verdict)
        return Outcome("passed" if verdict == "held" else "undecided", told or "no attack could say")

    return check


# -- how it runs -------------------------------------------------------------------------------------
def _workloads(subject: Subject) -> Outcome:
    from foliolab.framework.contract.workload import Setting
    from foliolab.framework.run.cases import Case, applies
    from foliolab.framework.run.count import count

    ran = 0
    for workload in subject.installed().workloads.values():
        orders = [order for order in workload.orders if order <= subject.policy.max_order]
        if not orders or not applies(workload, subject.scheme):
            continue
        order = ORDER if ORDER in orders else orders[0]
        subject.say(f"workload {workload.name}")
        try:
            count(
                Case(workload, Setting(order, max(workload.small, 2 << order), subject.seed)), subject.scheme, PATIENCE
            )
        except Exception as fault:  # whatever a policy's own code raises
            return Outcome("failed", f"workload {workload.name}: {describe(fault)}")
        ran += 1
    return Outcome("passed", f"{ran} workloads") if ran else Outcome("skipped", "no workload is for what it claims")


def _native(subject: Subject) -> Outcome:
    from foliolab.framework.engine.engine import native_missing
    from foliolab.framework.testing.alike import difference

    missing = native_missing()
    if missing:
        return Outcome("skipped", missing)
    subject.say("compiling")

    def compare() -> str:
        try:
            return difference(subject.scheme, subject.seed)
        except FolioLabError:
            raise
        except Exception as fault:  # a policy's own code can raise anything
            raise PluginError(describe(fault)) from fault

    told = call_in_child(compare, NATIVE)
    return Outcome("failed", told) if told else Outcome("passed", "the same bytes after each operation")
