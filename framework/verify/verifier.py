"""The verifier: attacks on one policy, side by side in processes of their own, and what they found together.

An attack that crashes, hangs or uses up its memory does not end the others: its claims are undecided, with the reason.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from typing import Final

import msgspec

from foliolab.framework import document
from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine.policytree import policy_digest
from foliolab.framework.errors import FolioLabError
from foliolab.framework.isolation.process import Answer, Child, Crash, Failure, can_fork, ready
from foliolab.framework.results.provenance import MachineInfo, describe_machine, now, versions
from foliolab.framework.verify.attack import Attack, Budget, Progress, Tell
from foliolab.framework.verify.finding import OWED, Finding, Verdict
from foliolab.framework.verify.playback import confirm
from foliolab.framework.verify.version import verifier_digest

SCHEMA: Final = 1
GRACE: Final = 5.0
"""Seconds after its budget before an attack that does not end is ended."""
AT_ONCE: Final = 0.25
"""Seconds that attacks have to answer after Ctrl-C; they leave 0.25 s of half a second for the report."""


class Verification(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the attacks found about one policy.

    Attributes:
        policy: as a user would write it.
        digest: of its text (`policytree.policy_digest`).
        verifier: digest of the engine and verifier that judged; empty in files of older versions.
        claims: what it declares.
        findings: the attacks' answers.
        interrupted: whether it was stopped early.
        seconds: how long it took.
    """

    policy: str
    digest: str
    claims: list[str]
    findings: list[Finding]
    interrupted: bool
    seconds: float
    started: str
    command: str = ""
    verifier: str = ""
    machine: MachineInfo = msgspec.field(default_factory=describe_machine)
    versions: dict[str, str] = msgspec.field(default_factory=versions)
    schema: int = SCHEMA

    def verdict(self, claim: str) -> Verdict:
        """All attacks together: refuted by any; held if one says so and none was left undecided by all."""
        found = {finding.verdict for finding in self.findings if finding.claim == claim}
        if "refuted" in found:
            return "refuted"
        return "held" if "held" in found else "undecided"

    @property
    def refuted(self) -> list[Finding]:
        """The refutations, one for each law that breaks, the shortest first."""
        best: dict[str, Finding] = {}
        for finding in self.findings:
            example = finding.counterexample
            if finding.verdict == "refuted" and example is not None:
                mine = best.get(example.law)
                if mine is None or _length(finding) < _length(mine):
                    best[example.law] = finding
        return list(best.values())


def _length(finding: Finding) -> tuple[int, int]:
    example = finding.counterexample
    assert example is not None
    return sum(map(len, example.threads)), sum(count for _, count in example.turns)


def save(verification: Verification, path: str | os.PathLike[str]) -> None:
    """Write it, atomically.

    Raises:
        ResultFileError: the place cannot be written to.
    """
    document.save(verification, path)


def load(path: str | os.PathLike[str]) -> Verification:
    """Read one.

    Raises:
        ResultFileError: there is none, it is damaged, or its schema is newer.
    """
    return document.load(path, Verification, SCHEMA, "verification", "foliolab verify --json")


@dataclass
class _Running:
    """An attack in its process."""

    attack: Attack
    child: Child
    findings: list[Finding] | None = None
    failure: str = ""
    early: list[Finding] = field(default_factory=list)
    """What it said before its end."""

    def answers(self, scheme: Scheme, why: str) -> list[Finding]:
        """What is known of it; `why` it is not more, if it did not come to its end."""
        if self.findings is not None:
            return self.findings
        known = {finding.claim for finding in self.early}
        unable = _unable(scheme, self.attack, self.failure or why)
        return [*self.early, *(finding for finding in unable if finding.claim not in known)]


def verify(
    scheme: Scheme,
    attacks: Sequence[Attack],
    budget: Budget,
    tell: Tell = lambda progress: None,
    jobs: int = 1,
    first: bool = False,
    command: str = "",
    plugin: str = "",
) -> Verification:
    """Attack a policy.

    Args:
        scheme: the policy.
        attacks: who attacks.
        budget: what each of them may use; all start at once.
        tell: told how far they are.
        jobs: 0: one attack after the other in this process, each with an equal share; else side by side.
        first: end all of them with the first refutation.
        command: what repeats this.
        plugin: the file that the policy comes from; empty for installed ones.

    Returns:
        their answers; what an attack could not say for want of time, or since it failed, is undecided.
    """
    began, started, judge = time.monotonic(), now(), verifier_digest()
    if jobs and can_fork():
        findings, interrupted = _side_by_side(scheme, attacks, budget, tell, first)
    else:
        findings, interrupted = _in_turn(scheme, attacks, budget, tell, first)
    if not interrupted:  # else there is no time: each attack has confirmed what it told
        findings = [_confirmed(finding, scheme) for finding in findings]
    digest = policy_digest(scheme)
    return Verification(
        policy=scheme.name,
        digest=digest,
        claims=sorted(scheme.capabilities),
        findings=[_signed(finding, digest, command, plugin) for finding in findings],
        interrupted=interrupted,
        seconds=time.monotonic() - began,
        started=started,
        command=command,
        verifier=judge,
    )


def _confirmed(finding: Finding, scheme: Scheme) -> Finding:
    """A refutation whose counterexample does not break its law on the interpreted engine is none."""
    example = finding.counterexample
    if finding.verdict != "refuted" or (example is not None and confirm(example, scheme)):
        return finding
    why = f"{finding.bound}; a counterexample was found that the interpreted engine does not confirm"
    return replace(finding, verdict="undecided", bound=why, counterexample=None)


def _signed(finding: Finding, digest: str, command: str, plugin: str) -> Finding:
    """A counterexample says whose text it is about, and what found it."""
    if finding.counterexample is None:
        return finding
    example = msgspec.structs.replace(finding.counterexample, digest=digest, command=command, plugin=plugin)
    return replace(finding, counterexample=example)


def _in_turn(
    scheme: Scheme, attacks: Sequence[Attack], budget: Budget, tell: Tell, first: bool
) -> tuple[list[Finding], bool]:
    findings: list[Finding] = []
    early: list[Finding] = []

    def listen(news: Progress | Finding) -> None:
        if isinstance(news, Finding):
            early.append(news)
        tell(news)

    try:
        for place, attack in enumerate(attacks):
            early.clear()
            try:
                findings += attack.run(scheme, budget.part(1 / (len(attacks) - place)), listen)
            except FolioLabError as fault:
                findings += _unable(scheme, attack, fault.what)
            if first and any(finding.verdict == "refuted" for finding in findings):
                break
    except KeyboardInterrupt:
        return [*findings, *early], True
    return findings, False


def _unable(scheme: Scheme, attack: Attack, why: str) -> list[Finding]:
    """The answers of an attack that has none."""
    return [Finding(attack.name, claim, "undecided", why) for claim in (OWED, *sorted(scheme.capabilities))]


# -- side by side ----------------------------------------------------------------------------------------
def _side_by_side(
    scheme: Scheme, attacks: Sequence[Attack], budget: Budget, tell: Tell, first: bool
) -> tuple[list[Finding], bool]:
    stop = multiprocessing.get_context("fork").Event()
    budget = replace(budget, stop=stop)
    running: list[_Running] = []
    interrupted = False
    with ExitStack() as children:
        try:
            for attack in attacks:
                child = Child(_work, scheme, attack, budget, method="fork", name=attack.name)
                running.append(_Running(attack, children.enter_context(child)))
            _follow(running, budget.left + GRACE, tell, first)
        except KeyboardInterrupt:
            interrupted = True
        stop.set()
        with suppress(KeyboardInterrupt):
            _follow(running, AT_ONCE, lambda progress: None, False)
    why = "stopped" if interrupted or first else f"did not end within {budget.seconds + GRACE:.0f} s and was ended"
    return [finding for attack in running for finding in attack.answers(scheme, why)], interrupted


def _work(pipe: Connection, scheme: Scheme, attack: Attack, budget: Budget) -> list[Finding]:
    return attack.run(scheme, budget, pipe.send)


def _follow(running: list[_Running], seconds: float, tell: Tell, first: bool) -> None:
    """Take what the attacks send until all have ended, or time is over."""
    by_child = {attack.child: attack for attack in running}
    deadline = time.monotonic() + seconds
    while any(not child.over for child in by_child):
        left = deadline - time.monotonic()
        found = ready(by_child, left)
        for child in found:
            _take(by_child[child], tell)
        if first and any(map(_refutes, running)):
            return
        if not found and left <= 0:
            return


def _refutes(attack: _Running) -> bool:
    return any(finding.verdict == "refuted" for finding in attack.findings or attack.early)


def _take(attack: _Running, tell: Tell) -> None:
    match attack.child.receive(0):
        case Answer(value):
            attack.findings = value
        case Failure(error, details):
            attack.failure = f"failed: {error.what}" if details else error.what
        case Crash(how):
            attack.failure = f"its process {how}"
        case Finding() as finding:
            attack.early.append(finding)
            tell(finding)
        case Progress() as progress:
            tell(progress)
