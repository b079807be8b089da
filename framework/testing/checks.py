"""The checks of a policy; its claims select them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from foliolab.framework.contract.policy import CLAIMS, Scheme
from foliolab.framework.engine.answers import describe
from foliolab.framework.errors import BeyondDeclared, CSourceError, FolioLabError, PluginError
from foliolab.framework.isolation.process import call_in_child
from foliolab.framework.plugins import validation
from foliolab.framework.plugins.discovery import Unusable
from foliolab.framework.testing.subject import Subject

if TYPE_CHECKING:
    from foliolab.framework.verify.counterexample import Counterexample

Verdict = Literal["passed", "partly", "failed", "undecided", "skipped"]
ORDER: Final = 4
"""The order of the folios that workloads use."""
PATIENCE: Final = 10.0
"""Seconds that one workload may take, interpreted; as long as the attacks, if they have more."""
NATIVE: Final = 120.0
"""Seconds that native code may take, with its compilation."""
CLAIM: Final = "claim "
WALKED: Final = 100_000
"""Operations that compiled C and native code do beside each other."""
EXPLORED: Final = 0.25
"""The share of the attacks' time for which interleavings of compiled C are explored; LEAST to MOST seconds."""
LEAST: Final = 2.0
MOST: Final = NATIVE / 2
COMPILED: Final = "compiled"
"""The check of policies that were written in C."""
OF_COMPILED: Final = "the compiled C text does, too, and none of its interleavings breaks a law"
OF_EVERY: Final = ("declared", "documented", "parameters", "owed", "workloads", "native")
"""The checks that do not depend on claims."""


@dataclass(frozen=True)
class Outcome:
    """What a check found.

    Args:
        verdict: partly: some attacks found nothing, others could not decide; undecided: neither
            shown nor refuted within the budget; skipped: the check cannot run here.
        text: one line: what is wrong, or what was covered.
        counterexample: the shortest one that was found, if any.
        note: what a reader wants to know also of a check that passed.
    """

    verdict: Verdict
    text: str = ""
    counterexample: Counterexample | None = None
    note: str = ""


@dataclass(frozen=True)
class Check:
    """One check.

    Args:
        name: as in reports and `expected_failures`.
        summary: what holds for a policy that passes.
        function: the check; an exception that it raises is a failure.
    """

    name: str
    summary: str
    function: Callable[[Subject], Outcome]

    def run(self, subject: Subject) -> Outcome:
        """Check the policy. An exception in its code is a failure, described in one line with its location."""
        try:
            return self.function(subject)
        except FolioLabError as fault:
            hint = f" ({fault.hint})" if fault.hint else ""
            return Outcome("failed", f"{fault.what}{hint}")
        except Exception as fault:
            return Outcome("failed", describe(fault))


def checks_for(scheme: Scheme) -> list[Check]:
    """The checks of a policy: those of every policy and one for each claim, in the order of their cost."""
    return [
        Check("declared", "the declaration keeps the contract, and the fields fit struct folio", _declared),
        Check("documented", "the summary, references, and the text of each field and parameter are there", _documented),
        Check("parameters", "each parameter can take its extreme values", _parameters),
        Check("owed", "it keeps what every policy owes, whatever is done to a folio", _claimed("")),
        *(Check(f"{CLAIM}{name}", CLAIMS[name], _claimed(name)) for name in sorted(scheme.capabilities)),
        Check("workloads", "each workload that is for it runs, and it writes only its own fields", _workloads),
        Check("native", "native code leaves the same bytes in memory as the interpreted text", _native),
        *([Check(COMPILED, OF_COMPILED, _compiled)] if _is_c(scheme) else []),
    ]


def _is_c(scheme: Scheme) -> bool:
    from foliolab.framework.csource.textmodule import translated_module

    return translated_module(scheme.policy) is not None


def run_all(subject: Subject) -> Iterator[tuple[Check, Outcome]]:
    """Run the checks one after the other. A wrong declaration ends them, because the others depend on it."""
    for check in checks_for(subject.scheme):
        subject.say(check.name)
        outcome = check.run(subject)
        yield check, outcome
        if check.name == "declared" and outcome.verdict == "failed":
            return


# -- declaration -----------------------------------------------------------------------------------
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
        wrong.append("summary is empty: describe the idea in one line")
    if not [text for text in policy.references if text.strip()]:
        wrong.append("references is empty: name the mail, commit or text that defines it")
    wrong += [f"field {field.name} has no doc" for field in subject.scheme.fields if not field.doc.strip()]
    wrong += [f"parameter {parameter.name} has no doc" for parameter in policy.parameters if not parameter.doc.strip()]
    return Outcome("failed", "; ".join(wrong)) if wrong else Outcome("passed", policy.summary)


def _parameters(subject: Subject) -> Outcome:
    from foliolab.framework.engine.structs import layouts_of

    tried = 0
    for parameter in subject.policy.parameters:
        for value in parameter.choices or (parameter.low, parameter.high):
            layouts_of(subject.policy.with_parameters({parameter.name: value}))
            tried += 1
    return Outcome("passed", f"{tried} values" if tried else "no parameters")


# -- claims ------------------------------------------------------------------------------------------
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
        if claim and verification.verdict("") == "refuted":
            # most runs end where a law of every policy breaks, so that little of the claim was examined
            return Outcome("undecided", "what every policy owes is refuted; correct that first")
        bounds = "; ".join(f"{one.attack}, {one.verdict}: {one.bound}" for one in found)
        outcomes: dict[str, Verdict] = {"held": "passed", "partly": "partly"}
        return Outcome(outcomes.get(verdict, "undecided"), bounds or "no attack looks at it")

    return check


# -- execution ---------------------------------------------------------------------------------------
def _workloads(subject: Subject) -> Outcome:
    from foliolab.framework.contract.workload import Setting
    from foliolab.framework.run.cases import Case, unfit
    from foliolab.framework.run.count import count

    if why := _does_not_end(subject):
        return Outcome("skipped", why)
    ran, patience = 0, max(PATIENCE, subject.seconds)
    for workload in subject.installed().workloads.values():
        orders = [order for order in workload.orders if not unfit(workload, subject.scheme, order)]
        if not orders:
            continue
        order = ORDER if ORDER in orders else orders[0]
        subject.say(f"workload {workload.name}")
        try:
            count(
                Case(workload, Setting(order, max(workload.small, 2 << order), subject.seed)), subject.scheme, patience
            )
        except BeyondDeclared:
            continue
        except Exception as fault:  # whatever a policy's own code raises
            return Outcome("failed", f"workload {workload.name}: {describe(fault)}")
        ran += 1
    return Outcome("passed", f"{ran} workloads") if ran else Outcome("skipped", "no workload is for it")


def _does_not_end(subject: Subject) -> str:
    """Why nothing more is run: an attack found an operation that does not end. Empty if none was found."""
    found = subject.verified.refuted if subject.verified is not None else []
    endless = any(one.counterexample is not None and one.counterexample.law == "termination" for one in found)
    return "the policy's functions do not end; correct that first" if endless else ""


def _native(subject: Subject) -> Outcome:
    from foliolab.framework.engine.engine import native_missing
    from foliolab.framework.testing.alike import difference

    if why := native_missing() or _does_not_end(subject):
        return Outcome("skipped", why)
    subject.say("compiling")
    found = _in_child(lambda: difference(subject.scheme, subject.seed))
    return Outcome("failed", found) if found else Outcome("passed", "the same bytes after each operation")


def _compiled(subject: Subject) -> Outcome:
    from foliolab.framework.csource import compiled
    from foliolab.framework.engine.engine import native_missing
    from foliolab.framework.testing.alike import difference, walked_difference

    if why := compiled.missing() or native_missing() or _does_not_end(subject):
        return Outcome("skipped", why)
    subject.say("compiling the C text")
    unit = _in_child(lambda: compiled.CompiledEntries(subject.scheme).unit, "compiled C")

    def compare() -> str:
        entries = compiled.CompiledEntries(subject.scheme)
        found = difference(subject.scheme, subject.seed, connect=entries.connect, other="as compiled C")
        return found or walked_difference(subject.scheme, entries.connect, WALKED, subject.seed)[0]

    if found := _in_child(compare, "compiled C"):
        return Outcome("failed", found)
    same = f"{unit}: the same bytes after each operation, and as native code over {WALKED:,} more"
    subject.say("exploring the compiled C text")
    broken, _, bound = _in_child(lambda: _explored(subject), "compiled C").partition("\n")
    if broken:
        return Outcome("failed", f"explored as compiled: {broken}")
    return Outcome("passed", f"{same}; explored as compiled: {bound}", note=unit)


def _explored(subject: Subject) -> str:
    """What the interleavings of the compiled C text break, in one line, and in a second one what was explored."""
    from foliolab.framework.verify.attack import Budget
    from foliolab.framework.verify.explored.compiled_attack import CompiledExplored
    from foliolab.framework.verify.explored.compiled_text import compiled_text_of

    try:
        compiled_text_of(subject.scheme)
    except CSourceError as fault:  # a compiler without -fsanitize=thread
        return f"\nno, {fault.what}"
    attack = CompiledExplored()
    budget = Budget(min(max(subject.seconds * EXPLORED, LEAST), MOST), subject.memory, subject.seed)
    findings = attack.run(subject.scheme, budget, lambda news: None)
    return f"{'; '.join(attack.broken)}\n{findings[0].bound}"


def _in_child(compare: Callable[[], str], what: str = "native code") -> str:
    """What a comparison finds, in a process of its own: what it runs may crash.

    Raises:
        PluginError: it crashed, did not end, or the policy's text failed.
    """

    def guarded() -> str:
        try:
            return compare()
        except FolioLabError:
            raise
        except Exception as fault:  # a policy's own code can raise anything
            raise PluginError(describe(fault)) from fault

    return call_in_child(guarded, NATIVE, what)
