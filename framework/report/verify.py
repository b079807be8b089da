"""`foliolab verify`: claims with their meaning and verdicts, coverage, counterexamples, a matrix of policies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import PurePath
from typing import Final

from foliolab.framework.contract.policy import CLAIMS
from foliolab.framework.engine.policytree import policy_digest
from foliolab.framework.report import interleaving
from foliolab.framework.report.pages.page import Column, Page, Style, Words
from foliolab.framework.verify.counterexample import MODELS
from foliolab.framework.verify.finding import OWED, Finding, Reached, together
from foliolab.framework.verify.laws import LAWS
from foliolab.framework.verify.timeline import Timeline
from foliolab.framework.verify.verifier import Verification
from foliolab.framework.verify.version import version_text

OWED_NAME: Final = "(every policy)"
OWED_TEXT: Final = (
    "counters are those of the page tables; everything fits its field, is the policy's own, and is back at its "
    "initial value at the end; no lock is lost; every operation ends"
)
SIGNS: Final[dict[str, tuple[str, Style]]] = {
    "held": ("✓", "good"),
    "partly": ("◐", "doubtful"),
    "undecided": ("?", "doubtful"),
    "refuted": ("✗", "bad"),
    "": ("–", "quiet"),
}
"""For each verdict its sign and its tone."""
MOST_UNTAKEN: Final = 12
"""Branches that were never taken, as far as the terminal lists them."""
MEANING: Final = (
    "held: nothing that was tried breaks it; what was tried is listed below. partly: held by some attacks, or for some "
    "classes, undecided by others. undecided: not decided within the budget, or a suspicion was not confirmed."
)


@dataclass(frozen=True)
class Shown:
    """A refuted claim and its counterexample.

    Args:
        timeline: its counterexample, played; None if there was no time for that.
        path: the file of the counterexample; empty if it was not written.
        command: the command that steps through it.
    """

    finding: Finding
    timeline: Timeline | None
    path: str
    command: str


def render(verification: Verification, shown: Sequence[Shown], page: Page) -> None:
    """Write the verdicts on one policy."""
    page.line(f"{verification.policy}: {headline(verification)}", "strong")
    version = version_text(verification.versions.get("foliolab", ""), verification.verifier)
    found = f"{version}, {verification.started[:10]}, {verification.seconds:.1f} s"
    page.line(f"  text {verification.digest}; {found}", "quiet")
    _claims(verification, page)
    _coverage(verification, page)
    for one in shown:
        page.line()
        _counterexample(one, page)
    _undecided(verification, page)
    if verification.interrupted:
        page.line("Interrupted: what was found until then is shown.", "strong")


def headline(verification: Verification) -> str:
    """The number of each verdict, and by which attacks and within which bounds claims are held, in one line."""
    verdicts = [verification.verdict(claim) for claim in verification.claims]
    counts = [(verdicts.count(word), word) for word in ("refuted", "undecided", "partly", "held")]
    text = ", ".join(f"{count} {word}" for count, word in counts if count) or "none claimed"
    held = "; ".join(_held_by(verification))
    return f"claims {text}; what every policy owes {verification.verdict(OWED)}{f' ({held})' if held else ''}"


def _held_by(verification: Verification) -> Iterator[str]:
    """By which attacks claims that are not refuted are held, each within its bounds, and who could not decide some."""
    shown = [one for one in verification.findings if verification.verdict(one.claim) in ("held", "partly")]
    for attack in dict.fromkeys(one.attack for one in shown):
        held = [one for one in shown if (one.attack, one.verdict) == (attack, "held")]
        bounds = dict.fromkeys(  # several laws of a claim may have the same
            part for one in held for part in (one.within.split(" and ") if one.within else [one.bound])
        )
        if bounds:
            yield f"held by {attack}: {' and '.join(bounds)}"
    unable = dict.fromkeys(one.attack for one in shown if one.verdict == "undecided")
    if unable:
        yield f"undecided by {', '.join(unable)}"


# -- claims × attacks ----------------------------------------------------------------------------
def _claims(verification: Verification, page: Page) -> None:
    names = [*verification.claims, OWED]
    attacks = list(dict.fromkeys(finding.attack for finding in verification.findings))
    first = [
        Column("claim", [page.text(name or OWED_NAME) for name in names], vertical="top"),
        Column("what it says", [page.text(CLAIMS.get(name, OWED_TEXT)) for name in names], vertical="top"),
    ]
    group = [
        Column(attack, [_sign(verdict_of(verification, name, attack), page) for name in names], vertical="top")
        for attack in attacks
    ]
    page.tables("", first, [group])
    page.line(f"  {MEANING}", "quiet")


def verdict_of(verification: Verification, claim: str, attack: str = "") -> str:
    """The verdict on a claim: of one attack, which may be "partly", or of all attacks; empty if there is none."""
    given = [one for one in verification.findings if one.claim == claim and attack in ("", one.attack)]
    return together(given) if given else ""


def _sign(verdict: str, page: Page) -> Words:
    sign, style = SIGNS[verdict]
    return page.text(f"{sign} {verdict}".rstrip(), style)


# -- what was covered ----------------------------------------------------------------------------
def _coverage(verification: Verification, page: Page) -> None:
    page.line()
    page.line("Covered", "strong")
    for attack in dict.fromkeys(finding.attack for finding in verification.findings):
        groups: dict[tuple[str, str], list[str]] = {}
        for finding in verification.findings:
            if finding.attack == attack:
                groups.setdefault((finding.verdict, finding.bound), []).append(finding.claim or OWED_NAME)
        for (verdict, bound), claims in groups.items():
            sign, style = SIGNS[verdict]
            lead = f"  {sign} {attack}, {verdict}: "
            page.line(f"{lead}{', '.join(dict.fromkeys(claims))}", style)
            page.line(f"      {bound}")
        for finding in verification.findings:
            if finding.attack == attack and finding.reached is not None:
                _untaken(finding.reached, page)


def _untaken(reached: Reached, page: Page) -> None:
    """Write the branches that were never taken, but for those that lie in another one of them."""
    outer = [one for one in reached.untaken if not one.nested]
    if outer:
        page.line(f"      never taken: {len(reached.untaken)} branches of the policy's text", "quiet")
    for file, found in groupby(outer[:MOST_UNTAKEN], key=lambda one: one.file):
        lines = ", ".join(f"{one.line} ({one.never})" for one in found)
        page.line(f"        {PurePath(file).name}: {lines}", "quiet")
    if len(outer) > MOST_UNTAKEN:
        page.line(f"        and {len(outer) - MOST_UNTAKEN} more; --json writes all of them", "quiet")


def _undecided(verification: Verification, page: Page) -> None:
    """Write which claims are open, each with the reason."""
    open_claims = [name for name in (*verification.claims, OWED) if verification.verdict(name) == "undecided"]
    suspicions = {one.claim: one for one in verification.findings if one.suspicion}
    silent = [name or OWED_NAME for name in open_claims if name not in suspicions]
    if open_claims:
        page.line()
    if silent:
        page.line(f"UNDECIDED: {', '.join(silent)}: no attack could decide within its budget.", "strong doubtful")
    for name in (name for name in open_claims if name in suspicions):
        one = suspicions[name]
        text = f"{one.attack} saw what the interpreted engine did not confirm: {one.suspicion}"
        page.line(f"UNDECIDED: {name or OWED_NAME}: {text}", "strong doubtful")


# -- counterexamples -----------------------------------------------------------------------------
def _counterexample(shown: Shown, page: Page) -> None:
    example = shown.finding.counterexample
    assert example is not None
    who = f"claim {example.claim}" if example.claim else "what every policy owes"
    page.line(f"Refuted: {who}, by {example.attack}", "strong bad")
    page.line(f"  {example.message}")
    page.line(f"  law {example.law}: {LAWS.get(example.law, 'unknown here')}")
    if shown.timeline is not None:
        page.line(f"  {machine_text(shown.timeline)}", "quiet")
        page.line()
        interleaving.render(shown.timeline, page)
    page.line()
    if example.schedule:
        page.line(f"schedule: {example.schedule}")
    if shown.path:
        page.line(f"written to {shown.path}")
        page.line(f"repeat it step by step: {shown.command}", "strong")


def introduction(timeline: Timeline, page: Page) -> None:
    """Write what a counterexample shows, whether the policy's text has changed since, and whether the law breaks."""
    example = timeline.counterexample
    page.line(f"{example.policy}: law {example.law}: {LAWS.get(example.law, 'unknown here')}", "strong")
    page.line(f"  {example.message}")
    page.line(f"  {machine_text(timeline)}; found by {example.attack}", "quiet")
    if example.schedule:
        page.line(f"  schedule: {example.schedule}", "quiet")
    if example.digest and example.digest != policy_digest(timeline.scheme):
        page.line("  The policy's text has changed since this was found.", "doubtful")
    if not timeline.breaks:
        page.line("  The law no longer breaks here.", "good")
    page.line()


def machine_text(timeline: Timeline) -> str:
    """The size of the machine and its threads, in words."""
    example = timeline.counterexample
    size = f"{example.shape.get('nr_pages', 0)} page frames, {example.shape.get('nr_mms', 0)} MMs"
    operations = sum(map(len, example.threads))
    if not timeline.threaded:
        return f"{size}; {operations} operations one after another"
    accesses = sum(interleaving.is_shared(frame) for frame in timeline.frames)
    model = MODELS[example.memory_model]
    return f"{size}; {len(example.threads)} threads, {operations} operations, {accesses} accesses, {model}"


# -- all policies --------------------------------------------------------------------------------
def matrix(verifications: Sequence[Verification], page: Page) -> None:
    """Write a matrix of policies × claims."""
    claims = [name for name in CLAIMS if any(name in one.claims for one in verifications)]
    policies = Column("", [page.text(one.policy) for one in verifications])
    columns = [
        Column(
            (name or OWED_NAME).replace("-", "-\n"),
            [_mark(one, name, page) for one in verifications],
        )
        for name in (*claims, OWED)
    ]
    page.tables("Policies and their claims", [policies], [[column] for column in columns])
    signs = ", ".join(f"{sign} {word}" for word, (sign, _) in SIGNS.items() if word)
    page.line(f"  {signs}; nothing: not claimed", "quiet")


def _mark(verification: Verification, claim: str, page: Page) -> Words:
    if claim and claim not in verification.claims:
        return page.text("")
    verdict = verdict_of(verification, claim) or "undecided"
    sign, style = SIGNS[verdict]
    return page.text(sign, style)
