"""The five questions, answered within about a minute for a policy."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Final

from foliolab.framework.anatomy import atomics
from foliolab.framework.anatomy.layout import cost
from foliolab.framework.consequences import session as consequences
from foliolab.framework.consequences.result import PolicyOutcome, totals
from foliolab.framework.consequences.sources import FromPattern, MomentSource, usage_for
from foliolab.framework.contract.asker import Asker
from foliolab.framework.contract.policy import Scheme
from foliolab.framework.contract.sharing_pattern import SharingPattern
from foliolab.framework.engine.policytree import policy_digest
from foliolab.framework.errors import FolioLabError
from foliolab.framework.isolation.limits import TooSlow, limited
from foliolab.framework.kernel.witnesses import Witness
from foliolab.framework.precision.result import Point, PrecisionResult
from foliolab.framework.precision.session import PrecisionRequest, precision
from foliolab.framework.review.review import Paragraph, Review, Tone
from foliolab.framework.verify import attacks
from foliolab.framework.verify.attack import Budget
from foliolab.framework.verify.finding import OWED
from foliolab.framework.verify.ledger import KeptVerdict, merged, record_of
from foliolab.framework.verify.verifier import Verification, verify

SECONDS: Final = 15.0
"""What each attack may take where no verdict on the present text is kept."""
PATIENCE: Final = 40.0
"""Seconds after which one of the other measurements is given up: a policy's code may not end."""
MMS: Final = 4
FOLIOS: Final = 4
ORDER: Final = 2
SIZE: Final = "16K"
COUNTED: Final = 4
"""The order of the folio whose atomics are counted: 16 pages."""
MOMENTS: Final = 40
OPERATIONS: Final = {
    "dup (fork)": "fork", "remove, others stay (child unmaps)": "unmap, others stay",
    "remove, the last mapping": "unmap, the last mapping",
}  # fmt: skip
"""The operations whose atomics are named."""
NAMED: Final = ("allocator", "last-child")
"""The patterns whose decisions and figures are looked at, where they are here."""


@dataclass(frozen=True)
class Subject:
    """A policy, and what is known about exactly its text.

    Args:
        scheme: the policy.
        written: as the user writes it, for commands.
        plugin: the file that it comes from; empty for an installed policy.
        verdicts: kept ones, by claim.
        witnesses: the kernels that were held against it.
    """

    scheme: Scheme
    written: str
    plugin: str
    verdicts: dict[str, KeptVerdict]
    witnesses: tuple[Witness, ...]


@dataclass(frozen=True)
class Measures:
    """What reviews measure with.

    Args:
        baseline: the policy that stands beside each; its written name.
        patterns: ways of sharing, for precision and for /proc.
        askers: who asks, for /proc.
        options: of commands, such as --plugin FILE.
        seconds: for each attack.
        tell: called with what is done now.
        keep: called with new verdicts.
    """

    baseline: Scheme
    patterns: Sequence[SharingPattern]
    askers: Sequence[Asker]
    options: Sequence[str] = ()
    seconds: float = SECONDS
    tell: Callable[[str], None] = lambda text: None
    keep: Callable[[Verification, Scheme], object] = lambda verification, scheme: None


def review(subject: Subject, measures: Measures) -> Review:
    """Answer the five questions about one policy."""
    scheme = subject.scheme
    alone = policy_digest(scheme) == policy_digest(measures.baseline)
    parts: list[tuple[str, Callable[[Subject, Measures], Paragraph]]] = [
        ("Right", right), ("Precise", precise), ("Cost", costs), ("/proc", proc), ("Linux agrees", linux),
    ]  # fmt: skip
    paragraphs = []
    for question, answer in parts:
        measures.tell(f"{subject.written}: {question}")
        try:
            with nullcontext() if answer is right else limited(PATIENCE):  # the verifier has its own watchdogs
                paragraphs.append(replace(answer(subject, measures), question=question))
        except TooSlow:
            paragraphs.append(_unknown(question, f"no answer within {PATIENCE:g} s", subject, measures))
        except FolioLabError as fault:
            paragraphs.append(_unknown(question, fault.what, subject, measures))
    baseline = "" if alone else measures.baseline.name
    return Review(subject.written, scheme.policy.summary, policy_digest(scheme), baseline, tuple(paragraphs))


def _unknown(question: str, why: str, subject: Subject, measures: Measures) -> Paragraph:
    command = _command(["check", subject.written], measures)
    return Paragraph(question, "unknown", "Unknown.", (), f"It could not be measured: {why}.", command)


def _command(words: Sequence[str], measures: Measures) -> str:
    return shlex.join(["foliolab", *words, *measures.options])


def _both(subject: Subject, measures: Measures) -> list[Scheme]:
    """The baseline, and the policy beside it if it is another one."""
    same = policy_digest(subject.scheme) == policy_digest(measures.baseline)
    return [subject.scheme] if same else [measures.baseline, subject.scheme]


def _policies(subject: Subject, measures: Measures) -> list[str]:
    written = [measures.baseline.name] if len(_both(subject, measures)) > 1 else []
    return ["--policies", ",".join([*written, subject.written])]


# -- right -------------------------------------------------------------------------------------------
def right(subject: Subject, measures: Measures) -> Paragraph:
    """From verdicts on the present text; where one is missing, stale or undecided, the attacks run for a short time."""
    scheme = subject.scheme
    claims = [OWED, *sorted(scheme.capabilities)]
    verdicts = {claim: one for claim, one in subject.verdicts.items() if not one.stale}
    fresh = any(claim not in verdicts or verdicts[claim].verdict == "undecided" for claim in claims)
    if fresh:
        budget = Budget(measures.seconds)
        found = verify(scheme, attacks.chosen(), budget, plugin=subject.plugin)
        measures.keep(found, scheme)
        whole = merged(replace(record_of(found), verdicts=tuple(verdicts.values())), record_of(found))
        verdicts = {one.claim: one for one in whole.verdicts}
    by_verdict = {word: _of(word, claims, verdicts) for word in ("refuted", "held", "partly", "undecided")}
    sentences = [f"✗ {verdicts[claim].headline}." for claim in by_verdict["refuted"]]
    if by_verdict["held"]:
        sentences.append(f"Held: {_claims(by_verdict['held'])}.")
    date = max((one.date for one in verdicts.values()), default="")
    sentences.append(f"Attacked now, {measures.seconds:g} s each." if fresh else f"Verdicts of {date} on this text.")
    unknown = " ".join(
        f"{heading}: {_claims(by_verdict[word])}."
        for heading, word in (("Held by some attacks, undecided by others", "partly"), ("Undecided", "undecided"))
        if by_verdict[word]
    )
    tone, answer = _rightness(scheme, bool(by_verdict["refuted"]), bool(unknown))
    return Paragraph("", tone, answer, tuple(sentences), unknown, _command(["verify", subject.written], measures))


def _of(word: str, claims: Sequence[str], verdicts: Mapping[str, KeptVerdict]) -> list[str]:
    """The claims with a verdict; those without any are undecided."""
    return [claim for claim in claims if (verdicts[claim].verdict if claim in verdicts else "undecided") == word]


def _rightness(scheme: Scheme, refuted: bool, undecided: bool) -> tuple[Tone, str]:
    if refuted:
        return "bad", "It breaks what it claims."
    if undecided:
        return "doubtful", "Nothing that was tried breaks it, but not all is decided."
    if "safe" not in scheme.capabilities:
        return "doubtful", "It keeps its claims; it does not claim to be safe."
    return "good", "It keeps its claims, and is safe: no shared folio is called exclusive."


def _claims(names: Sequence[str]) -> str:
    return ", ".join(name or "what every policy owes" for name in names)


# -- precise -----------------------------------------------------------------------------------------
def precise(subject: Subject, measures: Measures) -> Paragraph:
    """By sharing patterns on few folios, interpreted."""
    schemes = _both(subject, measures)
    request = PrecisionRequest(
        patterns=measures.patterns, schemes=schemes, mms=(MMS,), order=ORDER, folios=FOLIOS, execution="interpreted"
    )
    result = precision(request, lambda what, done, total: None, lambda made: None)
    words = ["precision", "--mms", str(MMS), "--size", SIZE, "--folios", str(FOLIOS), *_policies(subject, measures)]
    command = _command(words, measures)
    own = [point for point in result.points if point.policy == subject.scheme.name]
    shares = {point.workload: _share(point.false("time")) for point in own if point.false("time")[1]}
    stopped = [f"{point.workload}: {point.stopped}" for point in own if point.stopped and point.exit_code]
    unknown = f"Not measured: {'; '.join(stopped)}." if stopped else ""
    if not shares:
        return Paragraph("", "unknown", "Unknown.", (), unknown or "No pattern fits the policy.", command)
    unsafe = [point for point in own if point.wrong("time")[0]]
    sentences = [f"Time false shared: {_shares(shares, f'{MMS} MMs on {FOLIOS} folios of {SIZE}')}"]
    if len(schemes) > 1:
        sentences.append(f"{measures.baseline.name}: {_shares(_false(result, measures.baseline.name), 'as above')}")
    sentences += [
        f"✗ {point.workload}: folios are called exclusive for {_percent(_share(point.wrong('time')))} of the time that "
        "several MMs map them."
        for point in unsafe
    ]
    worst = max(shares.values())
    answer = (
        "It calls a shared folio exclusive." if unsafe and "safe" in subject.scheme.capabilities
        else "It never calls an exclusive folio shared." if not worst
        else f"It calls an exclusive folio shared, for up to {_percent(worst)} of the time."
    )  # fmt: skip
    tone: Tone = (
        "bad" if unsafe and "safe" in subject.scheme.capabilities else "doubtful" if worst or unsafe else "good"
    )
    return Paragraph("", tone, answer, tuple(sentences), unknown, command)


def _share(part_and_whole: tuple[int, int]) -> float:
    part, whole = part_and_whole
    return 100 * part / whole if whole else 0.0


def _percent(share: float) -> str:
    """A share in per cent; one above 0 is never rounded to 0."""
    return f"{share:.1f} %" if share >= 0.1 or not share else f"{share:.1g} %"


def _false(result: PrecisionResult, policy: str) -> dict[str, float]:
    points: list[Point] = [point for point in result.points if point.policy == policy]
    return {point.workload: _share(point.false("time")) for point in points if point.false("time")[1]}


def _shares(shares: dict[str, float], where: str) -> str:
    """The shares in words, the worst first."""
    wrong = sorted(((share, name) for name, share in shares.items() if share), reverse=True)
    if not wrong:
        return f"never in {len(shares)} sharing patterns ({where})."
    named = ", ".join(f"{name} {_percent(share)}" for share, name in wrong)
    never = len(shares) - len(wrong)
    others = f"; never in {never} other sharing pattern{'s' * (never > 1)}" if never else ""
    return f"{named}{others} ({where})."


# -- cost --------------------------------------------------------------------------------------------
def costs(subject: Subject, measures: Measures) -> Paragraph:
    """Bits and atomic operations, counted exactly; times are not measured."""
    both = _both(subject, measures)
    scheme = subject.scheme
    command = _command(["compare", "--quick", *_policies(subject, measures)], measures)
    order = min(COUNTED, scheme.policy.max_order)
    counts = {one.name: _counts(one, order) for one in both}
    own = counts[scheme.name]
    stored = {one.name: cost(one, order) for one in both}
    others = [one.name for one in both if one is not scheme]

    def beside(of: Callable[[str], object]) -> str:
        return "".join(f" ({name}: {of(name)})" for name in others)

    nr = 1 << order
    bits, extra = stored[scheme.name].bits, stored[scheme.name].extra
    larger_by = f", and makes its struct pages {extra} bytes larger" if extra else ""
    sentences = [f"It stores {bits} bits in a folio of {nr} pages{beside(lambda name: stored[name].bits)}{larger_by}."]
    for name, found in own.items():
        compared = beside(lambda policy, name=name: _number(counts[policy].get(name)))  # type: ignore[misc]
        sentences.append(f"{name}: {_number(found)} atomics on its fields for {nr} pages{compared}.")
    problem = next((found for found in own.values() if isinstance(found, str)), "")
    if problem:
        return Paragraph("", "unknown", "Unknown.", tuple(sentences), "Times were not measured.", command)
    more = [name for name in own for other in others if _more(own[name], counts[other].get(name))]
    larger = any(bits > stored[other].bits or extra > stored[other].extra for other in others)
    dearer = [*(["memory"] if larger else []), *(f"atomics of {name}" for name in more)]
    answer = (
        f"It costs more than {others[0]}: {', '.join(dearer)}." if dearer
        else f"Its memory and atomics are no more than {others[0]}’s." if others else "It is the baseline."
    )  # fmt: skip
    tone: Tone = "doubtful" if dearer else "good"
    return Paragraph("", tone, answer, tuple(sentences), "Times were not measured: they take longer.", command)


def _counts(scheme: Scheme, order: int) -> dict[str, int | str]:
    """Atomics of the three operations that matter, by PTEs; or why they cannot be counted."""
    found = [one for one in atomics.operations(scheme, order) if one.level == "PTE"]
    return {
        OPERATIONS.get(one.name, one.name): one.problem if one.atomics is None else one.atomics
        for one in found
        if one.name in OPERATIONS or one.atomics is None
    }


def _number(count: int | str | None) -> str:
    return "unknown" if count is None else str(count)


def _more(own: int | str, other: int | str | None) -> bool:
    return isinstance(own, int) and isinstance(other, int) and own > other


# -- /proc -------------------------------------------------------------------------------------------
def proc(subject: Subject, measures: Measures) -> Paragraph:
    """Decisions and figures at some moments of the two patterns in which answers are wrong most."""
    usage = replace(usage_for(ORDER, MMS), folios=FOLIOS)
    patterns = [one for one in measures.patterns if one.name in NAMED] or measures.patterns[:2]
    sources: list[MomentSource] = [FromPattern(pattern, usage, 1, MOMENTS) for pattern in patterns]
    request = consequences.ConsequencesRequest(
        sources=sources,
        schemes=[subject.scheme],
        askers=measures.askers,
        mms=MMS,
        execution="interpreted",
        patience=PATIENCE,
    )
    result = consequences.follow(request)
    names = [pattern.name for pattern in patterns]
    words = ["consequences", *names, "--mms", str(MMS), "--size", SIZE, *_policies(subject, measures)]
    command = _command(words, measures)
    outcomes = totals(result.sources)
    if not outcomes or not outcomes[0].moments:
        why = outcomes[0].stopped if outcomes else "interrupted"
        return Paragraph("", "unknown", "Unknown.", (), f"It could not be followed: {why}.", command)
    return replace(_consequences(outcomes[0], names), command=command)


def _consequences(outcome: PolicyOutcome, names: Sequence[str]) -> Paragraph:
    held = [one for one in outcome.decisions if one.held_back]
    risked = [one for one in outcome.decisions if one.risked]
    wrong = [one for one in outcome.figures if one.largest]
    sentences = [
        f"✗ {one.name} is done although the folio is shared: {one.risked:,} of {one.asked:,} times; first: "
        f"{one.first_risked}."
        for one in risked
    ]
    if held:
        shares = ", ".join(f"{one.name} {_percent(100 * one.held_back / one.asked)}" for one in held)
        sentences.append(f"Not done although the folio is exclusive: {shares}.")
    if wrong:
        errors = ", ".join(f"{one.name} {_percent(100 * one.mean_relative)}" for one in wrong)
        sentences.append(f"Mean error of figures in /proc: {errors}.")
    moments = f"{outcome.moments:,} moments of {' and '.join(names)}"
    sentences.append(f"{moments[0].upper()}{moments[1:]}.")
    unknown = f"It stopped early: {outcome.stopped}." if outcome.stopped else "Other patterns were not measured."
    if risked:
        return Paragraph("", "bad", "The kernel would act on wrong answers.", tuple(sentences), unknown, "")
    if wrong:
        answer = f"{len(wrong)} figure{'s' * (len(wrong) > 1)} in /proc would be wrong."
        return Paragraph("", "doubtful", answer, tuple(sentences), unknown, "")
    if held:
        return Paragraph("", "doubtful", "Figures are right; some decisions differ.", tuple(sentences), unknown, "")
    return Paragraph("", "good", "Decisions and figures are as the page tables say.", tuple(sentences), unknown, "")


# -- Linux -------------------------------------------------------------------------------------------
def linux(subject: Subject, measures: Measures) -> Paragraph:
    """From witnesses; no kernel is run."""
    found = subject.witnesses
    if found:
        sentences = tuple(f"{one.text}." for one in found[-3:])
        writes, differences = sum(one.writes for one in found), sum(one.differences for one in found)
        kernels = "One kernel" if len(found) == 1 else f"{len(found)} kernels"
        answer = (
            f"{kernels}, in {writes:,} page writes." if not differences
            else f"{kernels}: {differences:,} of {writes:,} page writes differ."
        )  # fmt: skip
        command = _command(["kernel", "check", "--matrix"], measures)
        return Paragraph("", "bad" if differences else "good", answer, sentences, "", command)
    command = _command(["kernel", "check", "--against", subject.written], measures)
    models = subject.scheme.policy.models is not None
    unknown = "No kernel was held against this text." if models else "It does not say which kernels it models."
    return Paragraph("", "unknown", "Unknown.", (), unknown, command)
