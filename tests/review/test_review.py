"""A review: five answers, from what is kept and from short measurements; what is not known is said."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from foliolab.framework.engine.policytree import policy_digest
from foliolab.framework.errors import FolioLabError
from foliolab.framework.isolation.process import can_fork
from foliolab.framework.kernel.witnesses import Witness
from foliolab.framework.plugins.registry import Registry, load
from foliolab.framework.report import review as report
from foliolab.framework.report.pages.document import DocumentPage, html, markdown
from foliolab.framework.review import questions
from foliolab.framework.review.questions import Measures, Subject, review
from foliolab.framework.review.review import Review
from foliolab.framework.verify.finding import OWED
from foliolab.framework.verify.ledger import KeptVerdict
from foliolab.framework.verify.version import verifier_digest

QUESTIONS = ["Right", "Precise", "Cost", "/proc", "Linux agrees"]


@pytest.fixture(scope="module")
def found() -> Registry:
    return load()


@pytest.fixture(scope="module")
def measures(found: Registry) -> Measures:
    return Measures(
        baseline=found.policy("mm-id"),
        patterns=[found.pattern("last-child")],
        askers=found.parse_askers([]),
        seconds=0.5,
    )


def subject(found: Registry, name: str, verdict: str = "held", **changes: Any) -> Subject:
    """A policy with the same verdict on all of its claims, of the present verifier."""
    scheme = found.policy(name)
    verdicts = {
        claim: KeptVerdict(claim, verdict, "2026-11-30", "random", verifier=verifier_digest())
        for claim in (OWED, *scheme.capabilities)
    }
    return replace(Subject(scheme, name, "", verdicts, ()), **changes)


@pytest.fixture(scope="module")
def told(found: Registry, measures: Measures) -> Review:
    return review(subject(found, "owner-vma"), measures)


def test_five_answers_beside_the_baseline(told: Review) -> None:
    assert [one.question for one in told.paragraphs] == QUESTIONS
    right, precise, cost, proc, linux = told.paragraphs
    assert (right.tone, right.unknown) == ("good", "") and "is safe" in right.answer
    assert precise.tone == "doubtful" and any(one.startswith("mm-id: last-child ") for one in precise.sentences)
    assert any("fork: 17 atomics on its fields for 16 pages (mm-id: 17)" in one for one in cost.sentences)
    assert cost.unknown.startswith("Times were not measured")
    assert proc.tone == "doubtful" and any("cow-reuse" in one for one in proc.sentences)
    assert (linux.tone, linux.answer) == ("unknown", "Unknown.")
    assert not told.bad
    assert precise.command == "foliolab precision --mms 4 --size 16K --folios 4 --policies mm-id,owner-vma"


def test_what_is_kept_decides(found: Registry, measures: Measures) -> None:
    kernel = Witness("7.3", "CONFIG_MM_ID=y", 10, 1000, 0, "2026-11-30")
    agreed = questions.linux(subject(found, "mm-id", witnesses=(kernel,)), measures)
    assert (agreed.tone, agreed.answer) == ("good", "One kernel, in 1,000 page writes.")
    differs = questions.linux(subject(found, "mm-id", witnesses=(kernel, replace(kernel, differences=1))), measures)
    assert differs.tone == "bad"
    assert questions.right(subject(found, "mm-id", "refuted"), measures).tone == "bad"
    partly = questions.right(subject(found, "mm-id", "partly"), measures)
    assert partly.tone == "doubtful" and "safe" in partly.unknown
    unsafe = questions.right(subject(found, "page-mapcount"), measures)
    assert unsafe.tone == "doubtful" and "does not claim to be safe" in unsafe.answer


@pytest.mark.skipif(not can_fork(), reason="this platform cannot fork")
def test_a_stale_verdict_is_judged_again(found: Registry, measures: Measures) -> None:
    kept = []
    stale = subject(found, "exact")
    stale = replace(stale, verdicts={name: replace(one, verifier="old") for name, one in stale.verdicts.items()})
    again = questions.right(stale, replace(measures, keep=lambda verification, scheme: kept.append(verification)))
    assert [one.digest for one in kept] == [policy_digest(stale.scheme)]
    assert "Attacked now, 0.5 s each." in again.sentences


def test_a_question_without_an_answer_is_unknown(
    found: Registry, measures: Measures, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(subject: Subject, measures: Measures) -> None:
        raise FolioLabError("the policy does not run")

    monkeypatch.setattr(questions, "precise", fails)
    monkeypatch.setattr(questions, "proc", fails)
    told = review(subject(found, "owner-vma"), measures)
    assert [one.tone for one in told.paragraphs] == ["good", "unknown", "good", "unknown", "unknown"]
    assert "the policy does not run" in told.paragraphs[1].unknown


def test_on_a_page_nothing_of_a_policy_is_run(told: Review) -> None:
    page = DocumentPage()
    report.render(replace(told, policy="<img src=x onerror=alert(1)>\x1b[31m", summary="|<script>"), page)
    text = html(page, "Review", [("command", "foliolab review x")])
    assert "<img" not in text and "<script>" not in text and "\x1b" not in text
    assert "✓ Right: It keeps its claims" in text and "more: foliolab verify owner-vma" in text
    assert "◐ Precise" in markdown(page, "Review", [("command", "foliolab review x")])
