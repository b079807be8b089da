"""The ledger: outcomes belong to one text, refutations stay, a damaged file is said and stops nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine.policytree import policy_digest
from foliolab.framework.errors import ResultFileError
from foliolab.framework.plugins import registry
from foliolab.framework.verify import ledger
from foliolab.framework.verify.counterexample import Counterexample
from foliolab.framework.verify.finding import OWED, Finding, Verdict
from foliolab.framework.verify.ledger import Ledger, Outcome, Record
from foliolab.framework.verify.verifier import Verification
from foliolab.policies import mm_id, page_mapcount

MM_ID = mm_id.POLICY.with_parameters()


def other_answer(folio: object) -> bool:
    """Another text of a hook."""
    return True


@pytest.fixture(autouse=True)
def own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A ledger of this test's own."""
    monkeypatch.setenv("FOLIOLAB_DATA", str(tmp_path))
    return tmp_path / "verify"


def run_of(scheme: Scheme = MM_ID, **verdicts: Verdict) -> Verification:
    """A run with these verdicts; `owed` is what every policy owes."""
    findings = []
    for name, verdict in verdicts.items():
        claim = OWED if name == "owed" else name
        example = None
        if verdict == "refuted":
            example = Counterexample(
                policy=scheme.name, attack="random", law="safe", claim=claim, message="it breaks", shape={}
            )
        findings.append(Finding("random", claim, verdict, "some", example))
    return Verification(
        policy=scheme.name,
        digest=policy_digest(scheme),
        claims=sorted(scheme.capabilities),
        findings=findings,
        interrupted=False,
        seconds=1.0,
        started="2026-11-23T20:00:00+00:00",
    )


def test_what_is_kept_is_found_for_exactly_that_text() -> None:
    assert Ledger().outcomes(MM_ID) == {}
    path = ledger.keep(run_of(safe="refuted", reuse="held"))
    assert path is not None and path.is_file()
    found = Ledger().outcomes(MM_ID)
    assert found["safe"] == Outcome("safe", "refuted", "2026-11-23", "random", "safe", "it breaks")
    assert found["safe"].told == "safe refuted (verify, 2026-11-23, by random): it breaks"
    assert found["reuse"].verdict == "held"
    assert found["pmd"].verdict == found[OWED].verdict == "undecided"
    assert [one.claim for one in Ledger().refuted(MM_ID)] == ["safe"]

    assert Ledger().outcomes(page_mapcount.POLICY.with_parameters()) == {}
    assert Ledger().outcomes(mm_id.POLICY.with_parameters({"slots": 3})) == {}, "other parameters are another text"
    other = replace(mm_id.POLICY, hooks=replace(mm_id.POLICY.hooks, maybe_mapped_shared=other_answer))
    assert Ledger().outcomes(other.with_parameters()) == {}, "so is another function"
    fewer = replace(mm_id.POLICY, capabilities=mm_id.POLICY.capabilities - {"safe"}, capabilities_of=None)
    assert Ledger().outcomes(fewer.with_parameters()) == {}, "and another declaration"


def test_a_refutation_stays_and_what_held_is_not_undone() -> None:
    ledger.keep(run_of(safe="refuted", reuse="held"))
    ledger.keep(run_of(safe="held", reuse="undecided", pmd="held"))
    found = Ledger().outcomes(MM_ID)
    assert (found["safe"].verdict, found["reuse"].verdict, found["pmd"].verdict) == ("refuted", "held", "held")


def test_shipped_findings_and_ones_own_are_one_ledger(tmp_path: Path) -> None:
    shipped = tmp_path / "findings.json"
    ledger.save([ledger.record_of(run_of(safe="refuted"))], shipped)
    ledger.keep(run_of(safe="held", reuse="refuted"))
    assert {one.claim for one in Ledger([shipped]).refuted(MM_ID)} == {"safe", "reuse"}
    assert ledger.load(shipped)[0].policy == "mm-id"


def test_what_ships_is_known_to_another_python_by_its_files(tmp_path: Path) -> None:
    shipped = tmp_path / "findings.json"
    record = replace(ledger.record_of(run_of(safe="refuted"), MM_ID), digest="another Python's")
    ledger.save([record], shipped)
    assert [one.claim for one in Ledger([shipped]).refuted(MM_ID)] == ["safe"]
    assert Ledger([shipped]).refuted(mm_id.POLICY.with_parameters({"slots": 3})) == []
    ledger.save([replace(record, source="other files")], shipped)
    assert Ledger([shipped]).refuted(MM_ID) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"schema": 1}',
        '{"schema": 99, "records": []}',
        '{"schema": 1, "records": [{"policy": "mm-id", "digest": "x", "outcomes": [{"claim": 3}]}]}',
        '{"schema": 1, "records": [{"policy": "p", "digest": "x", "outcomes": '
        '[{"claim": "safe", "verdict": "perhaps", "date": ""}]}]}',
    ],
)
def test_a_damaged_file_is_said_and_left_out(text: str, own_folder: Path) -> None:
    ledger.keep(run_of(safe="refuted"))
    bad = own_folder / "bad.json"
    bad.write_text(text)
    found = Ledger()
    assert len(found.problems) == 1 and "bad.json" in found.problems[0]
    assert [one.claim for one in found.refuted(MM_ID)] == ["safe"]
    with pytest.raises(ResultFileError):
        ledger.load(bad)


def test_a_damaged_file_of_the_same_text_is_written_anew() -> None:
    path = ledger.keep(run_of(safe="refuted"))
    assert path is not None
    path.write_text("{")
    ledger.keep(run_of(safe="refuted"))
    assert json.loads(path.read_text())["records"][0]["policy"] == "mm-id"
    assert Ledger().problems == []


def test_a_folder_that_cannot_be_written_stops_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FOLIOLAB_DATA", str(tmp_path / "file"))
    assert ledger.keep(run_of(safe="refuted")) is None
    assert Ledger().refuted(MM_ID) == []


def test_the_shipped_file_can_be_read() -> None:
    shipped = Path(mm_id.__file__).with_name("findings.json")
    assert all(isinstance(record, Record) for record in ledger.load(shipped))


def test_reading_needs_nothing_slow(tmp_path: Path) -> None:
    """`foliolab list` starts with it: neither numpy nor msgspec, even where a digest is computed."""
    ledger.keep(run_of(safe="refuted"))
    code = (
        "import sys\n"
        "from foliolab.framework.verify.ledger import Ledger\n"
        "from foliolab.policies import mm_id\n"
        "assert [one.claim for one in Ledger().refuted(mm_id.POLICY.with_parameters())] == ['safe']\n"
        "slow = {'numpy', 'numba', 'msgspec', 'z3', 'hypothesis', 'rich'} & set(sys.modules)\n"
        "assert not slow, slow\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_shipped_findings_are_about_the_present_texts() -> None:
    """Who changes a policy verifies it again: `foliolab verify --all --save-findings policies/findings.json`."""
    found = registry.load()
    ledger = Ledger(found.findings.values())
    for policy in found.policies.values():
        scheme = policy.with_parameters()
        outcomes = ledger.outcomes(scheme)
        assert {*outcomes} >= {"", *scheme.capabilities}, f"{policy.name}: {sorted(outcomes)}"
