"""The verifier: runs the attacks on one policy in parallel child processes, and combines their findings.

An attack that crashes, hangs or runs out of memory does not affect the others. Its claims are undecided, with the
reason.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from typing import Final

import msgspec

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.document import Document, Spread
from foliolab.framework.engine.policytree import policy_digest
from foliolab.framework.errors import FolioLabError
from foliolab.framework.host import HostInfo, cores, describe_host
from foliolab.framework.isolation.process import Answer, Child, Crash, Failure, can_fork, ready
from foliolab.framework.results.provenance import now, versions
from foliolab.framework.verify.attack import Attack, Budget, Progress, Tell
from foliolab.framework.verify.finding import OWED, Finding, Together, together
from foliolab.framework.verify.playback import confirm
from foliolab.framework.verify.version import verifier_digest

GRACE: Final = 3.0
"""Seconds after the end of its budget at which an attack is killed."""
MOST_JOBS: Final = 8
"""Processes of one attack, at most."""
AT_ONCE: Final = 0.25
"""Grace after Ctrl-C, in seconds; leaves 0.25 s for the report."""


class Verification(Document, frozen=True, kw_only=True):
    """The findings of all attacks on one policy.

    Attributes:
        policy: as a user writes it.
        digest: of the policy's text (`policytree.policy_digest`).
        verifier: digest of the engine and verifier that judged; empty in files of older versions.
        claims: the capabilities that the policy declares.
        interrupted: whether the verification was stopped early.
        seconds: how long the verification took.
        started: ISO 8601.
        command: the command line that repeats the verification.
    """

    WHAT = "verification"
    MADE_BY = "foliolab verify --json"

    policy: str
    digest: str
    claims: list[str]
    findings: list[Finding]
    interrupted: bool
    seconds: Spread
    started: str
    command: str = ""
    verifier: str = ""
    machine: HostInfo = msgspec.field(default_factory=describe_host)
    versions: dict[str, str] = msgspec.field(default_factory=versions)

    def verdict(self, claim: str) -> Together:
        """The verdict of all attacks together (`finding.together`)."""
        return together(finding for finding in self.findings if finding.claim == claim)

    @property
    def refuted(self) -> list[Finding]:
        """The shortest refutation of each broken law."""
        best: dict[str, Finding] = {}
        for finding in self.findings:
            example = finding.counterexample
            if finding.verdict == "refuted" and example is not None:
                known = best.get(example.law)
                if known is None or _length(finding) < _length(known):
                    best[example.law] = finding
        return list(best.values())


class Verdicts(Document, frozen=True, kw_only=True):
    """The file of `foliolab verify --json`: the verifications of all policies of one command.

    Attributes:
        verifications: in the order in which they ran.
        command: the command line that repeats them.
        complete: False if a policy is missing, since the run was stopped or still goes on.
        task: in the folder of a sweep, the key of the task that it answers; else empty.
    """

    WHAT = "file of verdicts"
    MADE_BY = "foliolab verify --json"

    verifications: list[Verification]
    command: str = ""
    complete: bool = True
    task: str = ""

    def check(self) -> None:
        """Refuse counterexamples that `Counterexample.check` refuses."""
        for finding in (finding for one in self.verifications for finding in one.findings):
            if finding.counterexample is not None:
                finding.counterexample.check()

    @property
    def refuted(self) -> bool:
        return any(finding.verdict == "refuted" for one in self.verifications for finding in one.findings)

    @property
    def undecided(self) -> bool:
        """Whether some claim is undecided, or only partly held."""
        open_verdicts = ("undecided", "partly")
        return any(one.verdict(claim) in open_verdicts for one in self.verifications for claim in (*one.claims, OWED))

    @property
    def interrupted(self) -> bool:
        return not self.complete or any(one.interrupted for one in self.verifications)


def _length(finding: Finding) -> tuple[int, int]:
    example = finding.counterexample
    assert example is not None
    return sum(map(len, example.threads)), sum(turn.accesses for turn in example.turns)


@dataclass
class _Running:
    """An attack in its child process.

    Args:
        findings: its result; None until it has ended.
        failure: why it ended without a result.
        early: the refutations that it reported before its end.
    """

    attack: Attack
    child: Child
    findings: list[Finding] | None = None
    failure: str = ""
    early: list[Finding] = field(default_factory=list)

    def answers(self, scheme: Scheme, why: str) -> list[Finding]:
        """The attack's findings. Without a result: its early refutations, and all other claims undecided (`why`)."""
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
        budget: of each attack.
        tell: called with progress and refutations.
        jobs: 0 runs the attacks in this process, one after the other, each with an equal share of the time; any other
            number runs each in a child process, all in parallel.
        first: end with the first refutation.
        command: the command line that repeats this verification.
        plugin: the file that the policy comes from; empty for an installed policy.

    Returns:
        the findings; a claim is undecided by an attack that failed or ran out of time.

    Raises:
        PluginError: the policy's text has what no execution allows.
    """
    began, started, judge, digest = time.monotonic(), now(), verifier_digest(), policy_digest(scheme)

    def heard(news: Progress | Finding) -> None:
        tell(_signed(news, digest, command, plugin) if isinstance(news, Finding) else news)

    if jobs and can_fork():
        findings, interrupted = _side_by_side(scheme, attacks, budget, heard, first)
    else:
        findings, interrupted = _in_turn(scheme, attacks, budget, heard, first)
    if not interrupted:  # after Ctrl-C time is short, and each attack has confirmed its refutations itself
        findings = [_confirmed(finding, scheme) for finding in findings]
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
    """The finding; undecided if the interpreted engine does not confirm its counterexample."""
    example = finding.counterexample
    if finding.verdict != "refuted" or (example is not None and confirm(example, scheme)):
        return finding
    why = f"{finding.bound}; a counterexample was found that the interpreted engine does not confirm"
    suspicion = example.message if example is not None else finding.bound
    return msgspec.structs.replace(
        finding, verdict="undecided", bound=why, within="", suspicion=suspicion, counterexample=None
    )


def _signed(finding: Finding, digest: str, command: str, plugin: str) -> Finding:
    """The finding; its counterexample names the policy's text, the command and the plugin file."""
    if finding.counterexample is None:
        return finding
    example = msgspec.structs.replace(finding.counterexample, digest=digest, command=command, plugin=plugin)
    return msgspec.structs.replace(finding, counterexample=example)


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
        for index, attack in enumerate(attacks):
            early.clear()
            try:
                findings += attack.run(scheme, budget.part(1 / (len(attacks) - index)), listen)
            except FolioLabError as fault:
                findings += _unable(scheme, attack, fault.what)
            if first and any(finding.verdict == "refuted" for finding in findings):
                break
    except KeyboardInterrupt:
        return [*findings, *early], True
    return findings, False


def _unable(scheme: Scheme, attack: Attack, why: str) -> list[Finding]:
    """Every claim undecided, for the reason `why`."""
    return [Finding(attack.name, claim, "undecided", why) for claim in (OWED, *sorted(scheme.capabilities))]


# -- side by side ----------------------------------------------------------------------------------------
def _side_by_side(
    scheme: Scheme, attacks: Sequence[Attack], budget: Budget, tell: Tell, first: bool
) -> tuple[list[Finding], bool]:
    stop = multiprocessing.get_context("fork").Event()
    budget = replace(budget, stop=stop, jobs=min(cores(), MOST_JOBS))
    running: list[_Running] = []
    interrupted = False
    with ExitStack() as children:
        try:
            for attack in attacks:
                child = Child(_work, scheme, attack, budget, method="fork", name=attack.name, has_children=True)
                running.append(_Running(attack, children.enter_context(child)))
            _follow(running, budget.left + GRACE, tell, first)
        except KeyboardInterrupt:
            interrupted = True
        stop.set()
        if not (first and any(map(_refutes, running))):  # what was asked for is known; the others are killed
            with suppress(KeyboardInterrupt):
                _follow(running, AT_ONCE, lambda progress: None, False)
    why = "stopped" if interrupted or first else f"did not end within {budget.seconds + GRACE:.0f} s and was killed"
    return [finding for attack in running for finding in attack.answers(scheme, why)], interrupted


def _work(pipe: Connection, scheme: Scheme, attack: Attack, budget: Budget) -> list[Finding]:
    return attack.run(scheme, budget, pipe.send)


def _follow(running: list[_Running], seconds: float, tell: Tell, first: bool) -> None:
    """Receive messages of the attacks until all have ended or `seconds` are over; `first`: or until a refutation."""
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
