"""SARIF and JUnit files of `foliolab verify`: what readers of these formats require, escaped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as xml

import pytest

from foliolab.framework.errors import ResultFileError
from foliolab.framework.report.verify import Shown
from foliolab.framework.report.verify_files import Entry, junit, sarif, write
from foliolab.framework.verify.counterexample import Counterexample
from foliolab.framework.verify.finding import OWED, Finding
from foliolab.framework.verify.verifier import Verdicts, Verification

HOSTILE = "folio 0 <b>&\"'\x1b[31m\x00 ]]> is shared"


def example(law: str, claim: str) -> Counterexample:
    return Counterexample(
        policy="mine", attack="random", law=law, claim=claim, message=HOSTILE, shape={}, threads=[["create mm=0"]]
    )


def verification(*findings: Finding, interrupted: bool = False) -> Verification:
    return Verification(
        policy="mine", digest="abc", claims=["exact", "safe"], findings=list(findings), interrupted=interrupted,
        seconds=1.25, started="2026-11-30T04:00:00+00:00", command="foliolab verify mine", versions={"foliolab": "1"},
    )  # fmt: skip


REFUTED = Finding("random", "safe", "refuted", "found", example("safe", "safe"), seconds=0.5)
FINDINGS = (REFUTED, Finding("random", "exact", "undecided", "the time was over"), Finding("random", OWED, "held", "9"))


@pytest.fixture
def entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Entry:
    monkeypatch.chdir(tmp_path)
    shown = [Shown(REFUTED, None, "ce/mine-safe.json", "foliolab step ce/mine-safe.json")]
    return verification(*FINDINGS), shown, f"{tmp_path / 'a folder' / 'mine.py'}:12"


def test_sarif_has_what_the_standard_requires(entry: Entry) -> None:
    log: Any = json.loads(sarif([entry]))
    assert log["version"] == "2.1.0" and log["$schema"].endswith("sarif-2.1.0.json")
    (run,) = log["runs"]
    driver = run["tool"]["driver"]
    assert driver["name"] == "FolioLab" and driver["version"] == "1"
    assert run["invocations"] == [{"executionSuccessful": True, "commandLine": "foliolab verify mine"}]
    assert [(one["ruleId"], one["kind"], one["level"]) for one in run["results"]] == [
        ("law/safe", "fail", "error"),
        ("claim/exact", "open", "none"),
        ("claim/owed", "pass", "none"),
    ]
    for one in run["results"]:
        assert driver["rules"][one["ruleIndex"]]["id"] == one["ruleId"]
        assert driver["rules"][one["ruleIndex"]]["shortDescription"]["text"] and one["message"]["text"]
        (place,) = one["locations"]
        assert place["physicalLocation"] == {
            "artifactLocation": {"uri": "a%20folder/mine.py"},
            "region": {"startLine": 12},
        }
    assert HOSTILE in run["results"][0]["message"]["text"]
    assert run["results"][0]["properties"]["counterexample"] == "ce/mine-safe.json"
    assert "the time was over" in run["results"][1]["message"]["text"]
    elsewhere: Any = json.loads(sarif([(entry[0], [], "/opt/x/y.py:3"), (entry[0], [], "")]))
    uris = [one["locations"][0].get("physicalLocation") for one in elsewhere["runs"][0]["results"]]
    assert uris[0]["artifactLocation"]["uri"] == "file:///opt/x/y.py" and uris[-1] is None


def test_junit_has_what_readers_require(entry: Entry) -> None:
    top = xml.fromstring(junit([entry]))
    assert top.tag == "testsuites" and top.attrib["tests"] == "3"
    (suite,) = top
    assert {name: suite.get(name) for name in ("name", "tests", "failures", "errors", "skipped", "time")} == {
        "name": "mine", "tests": "3", "failures": "1", "errors": "1", "skipped": "0", "time": "1.250",
    }  # fmt: skip
    assert suite.get("timestamp") == "2026-11-30T04:00:00"
    cases = {case.get("name"): case for case in suite.iter("testcase")}
    assert list(cases) == ["exact", "safe", "owed"]
    assert all(case.get("classname") == "foliolab.verify.mine" and case.get("line") == "12" for case in cases.values())
    failure, error = cases["safe"].find("failure"), cases["exact"].find("error")
    assert failure is not None and failure.get("type") == "refuted" and "foliolab step" in (failure.text or "")
    assert (failure.get("message") or "").startswith("folio 0 <b>&\"'\N{REPLACEMENT CHARACTER}[31m")
    assert error is not None and "the time was over" in (error.get("message") or "")
    assert len(cases["owed"]) == 0


def test_files_are_written_where_asked(entry: Entry, tmp_path: Path) -> None:
    write([entry], {"sarif": tmp_path / "v.sarif", "junit": None})
    assert json.loads((tmp_path / "v.sarif").read_text())["runs"]
    assert [one.name for one in tmp_path.iterdir()] == ["v.sarif"]
    with pytest.raises(ResultFileError, match="cannot be written"):
        write([entry], {"junit": tmp_path / "nowhere" / "v.xml"})


def test_undecided_is_known_beside_refuted() -> None:
    assert Verdicts(verifications=[verification(*FINDINGS)]).undecided
    held = [Finding("random", claim, "held", "9") for claim in ("exact", "safe", OWED)]
    assert not Verdicts(verifications=[verification(*held)]).undecided
    partly = Finding("symbolic", "safe", "undecided", "late")
    assert Verdicts(verifications=[verification(*held, partly)]).undecided
