"""Answers made of results that were really measured, small ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from foliolab.framework.plugins import registry as room
from foliolab.framework.verify.ledger import KeptVerdict
from foliolab.gui.compare import answers, measure, store
from foliolab.gui.compare.answer import QUESTIONS
from foliolab.gui.compare.measure import Cell, Done


@pytest.fixture(scope="module")
def registry() -> Any:
    return room.load()


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FOLIOLAB_DATA", str(tmp_path))
    return tmp_path


def measured(cell: Cell, baseline: str) -> list[object]:
    said: list[object] = []
    measure.measure([cell], baseline, (), said.append)
    return said


def kept_of(said: list[object]) -> store.Kept:
    (done,) = [one for one in said if isinstance(one, Done)]
    assert not done.failure
    return msgspec.json.decode(done.kept, type=store.Kept)


def test_the_memory_is_what_the_policy_declares(registry: Any) -> None:
    from foliolab.framework.anatomy.layout import cost

    for policy in registry.policies.values():
        scheme = policy.with_parameters()
        answer = answers.memory(scheme, ())
        assert answer.figure.startswith(str(cost(scheme, 4).bits))
        assert (answer.word == "grows") == any(cost(scheme, order).extra for order in range(1, 10))
        assert answer.known and len(answer.rows) == len(answer.curve.points) == 9


@pytest.mark.parametrize(
    "verdicts, word, tone",
    [
        (("held", "held"), "keeps its claims", "doubtful"),
        (("held", "refuted"), "refuted", "bad"),
        (("held",), "undecided", "doubtful"),
    ],
)
def test_right_is_what_the_ledger_says(registry: Any, verdicts: tuple[str, ...], word: str, tone: str) -> None:
    scheme = registry.policies["page-mapcount"].with_parameters()  # it does not claim to be safe
    claims = ["", *sorted(scheme.capabilities)]
    known = {
        claim: KeptVerdict(claim, verdicts[0], "2026-01-01") for claim in claims[: len(claims) if verdicts[1:] else 1]
    }
    if verdicts[1:]:
        known[claims[1]] = KeptVerdict(claims[1], verdicts[1], "2026-01-01", "random", "law", "what happens")
    answer = answers.right(scheme, known, ())
    assert (answer.word, answer.tone) == (word, tone)
    assert len(answer.curve.points) == len(claims)
    assert answer.old == "judged by another verifier", "these verdicts name no version"
    if word == "refuted":
        assert "what happens" in answer.sentence


def test_only_who_claims_to_be_safe_is_called_right_without_reserve(registry: Any) -> None:
    scheme = registry.policies["mm-id"].with_parameters()
    known = {claim: KeptVerdict(claim, "held", "2026-01-01") for claim in ["", *scheme.capabilities]}
    assert (answers.right(scheme, known, ()).word, answers.right(scheme, known, ()).tone) == ("held", "good")
    known["safe"] = KeptVerdict("safe", "refuted", "2026-01-01", "random", "law", "what happens")
    assert answers.right(scheme, known, ()).values["unsafe"]


def test_nothing_is_made_up_where_nothing_is_known(registry: Any) -> None:
    scheme = next(iter(registry.policies.values())).with_parameters()
    answer = answers.right(scheme, {}, ("foliolab", "verify"))
    assert not answer.known and answer.word == "not measured" and not answer.figure


def test_every_question_that_takes_time_has_a_way_and_a_command(registry: Any) -> None:
    names = list(registry.policies)
    for question in QUESTIONS:
        assert (question.name in measure.WAYS) == question.takes_time
        words = measure.command(Cell(question.name, names[1]), registry, names[0])
        assert words[0] == "foliolab" and names[1] in " ".join(words)
    assert measure.command(Cell("cost", names[0]), registry, names[0]) == ()


def test_precision_is_measured_kept_and_read(registry: Any, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from foliolab.framework.precision.result import PrecisionResult

    monkeypatch.setattr(measure, "_execution", lambda: "interpreted")  # compiling takes longer than playing
    monkeypatch.setattr(measure, "MMS", "2")
    exact = "exact"
    kept = kept_of(measured(Cell("precise", exact), exact))
    answer = answers.precise(msgspec.json.decode(bytes(kept.result), type=PrecisionResult), exact)
    assert (answer.word, answer.tone) == ("exact", "good")
    assert kept.digests == {exact: store.digest(registry.policy(exact))}
    assert store.keep(kept)
    again = store.find("precise", exact)
    assert again is not None and not store.is_old(again, registry.policy)
    other = msgspec.structs.replace(kept, digests={exact: "of another text"})
    assert store.is_old(other, registry.policy)
    store.path_of("precise", exact).unlink()
    assert store.find("precise", exact) is None


def test_what_cannot_be_measured_says_why(data: Path) -> None:
    said = measured(Cell("precise", "no-such-policy"), "no-such-policy")
    (done,) = [one for one in said if isinstance(one, Done)]
    assert "no-such-policy" in done.failure and not done.kept


def test_a_damaged_answer_is_none(data: Path) -> None:
    path = store.path_of("precise", "x")
    path.parent.mkdir(parents=True)
    path.write_text("{")
    assert store.find("precise", "x") is None
