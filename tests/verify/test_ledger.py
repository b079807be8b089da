"""The ledger: verdicts belong to one text and one verifier, refutations stay, a damaged file is reported."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

import foliolab.framework
from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine import policytree
from foliolab.framework.engine.policytree import policy_digest
from foliolab.framework.errors import ResultFileError
from foliolab.framework.plugins import registry
from foliolab.framework.verify import ledger
from foliolab.framework.verify.counterexample import Counterexample
from foliolab.framework.verify.finding import OWED, Finding, Verdict
from foliolab.framework.verify.ledger import KeptVerdict, Ledger, TextRecord
from foliolab.framework.verify.verifier import Verification
from foliolab.framework.verify.version import digest, verifier_digest
from foliolab.policies import mm_id, page_mapcount

MM_ID = mm_id.POLICY.with_parameters()
PAGE_MAPCOUNT = page_mapcount.POLICY.with_parameters()
UNBATCHED = page_mapcount.POLICY.with_parameters({"batched": 0})


def other_answer(folio: object) -> bool:
    """Another text of a hook."""
    return True


@pytest.fixture(autouse=True)
def own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The ledger of one test."""
    monkeypatch.setenv("FOLIOLAB_DATA", str(tmp_path))
    return tmp_path / "verify"


def run_of(scheme: Scheme = MM_ID, verifier: str | None = None, **verdicts: Verdict) -> Verification:
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
        versions={"foliolab": "1.2"},
        verifier=verifier_digest() if verifier is None else verifier,
    )


def test_what_is_kept_is_found_for_exactly_that_text() -> None:
    assert Ledger().verdicts(MM_ID) == {}
    path = ledger.keep(run_of(safe="refuted", reuse="held"), MM_ID)
    assert path is not None and path.is_file()
    found = Ledger().verdicts(MM_ID)
    judge = verifier_digest()
    expected = KeptVerdict("safe", "refuted", "2026-11-23", "random", "safe", "it breaks", "1.2", judge)
    assert replace(found["safe"], counterexamples=()) == expected
    by = f"FolioLab 1.2, verifier {judge[:8]}"
    assert found["safe"].text == f"safe refuted by random: it breaks; verify, 2026-11-23, {by}"
    assert found["reuse"].verdict == "held"
    assert found["pmd"].verdict == found[OWED].verdict == "undecided"
    assert [one.claim for one in Ledger().refuted(MM_ID)] == ["safe"]

    assert Ledger().verdicts(PAGE_MAPCOUNT) == {}
    ledger.keep(run_of(PAGE_MAPCOUNT, owed="refuted"), PAGE_MAPCOUNT)
    assert Ledger().refuted(PAGE_MAPCOUNT) != [] and Ledger().refuted(UNBATCHED) == [], "by parameters, too"
    other = replace(mm_id.POLICY, hooks=replace(mm_id.POLICY.hooks, maybe_mapped_shared=other_answer))
    assert Ledger().verdicts(other.with_parameters()) == {}, "so is another function"
    fewer = replace(mm_id.POLICY, capabilities=mm_id.POLICY.capabilities - {"safe"}, capabilities_of=None)
    assert Ledger().verdicts(fewer.with_parameters()) == {}, "and another declaration"


def test_a_refutation_is_kept_with_its_counterexample_without_what_belongs_to_this_host() -> None:
    run = run_of(safe="refuted", reuse="held")
    (refuted,) = run.refuted
    assert refuted.counterexample is not None
    named = msgspec.structs.replace(refuted.counterexample, command="foliolab verify /home/me", plugin="/home/me/p.py")
    findings = [msgspec.structs.replace(one, counterexample=named if one == refuted else None) for one in run.findings]
    ledger.keep(msgspec.structs.replace(run, findings=findings), MM_ID)
    found = Ledger().verdicts(MM_ID)
    (kept,) = found["safe"].counterexamples
    assert kept == json.loads(refuted.counterexample.encoded())
    assert found["reuse"].counterexamples == () and hash(found["safe"]) == hash(found["safe"])


def test_a_refutation_stays_and_what_held_is_not_undone() -> None:
    ledger.keep(run_of(safe="refuted", reuse="held"), MM_ID)
    ledger.keep(run_of(safe="held", reuse="undecided", pmd="held"), MM_ID)
    found = Ledger().verdicts(MM_ID)
    assert (found["safe"].verdict, found["reuse"].verdict, found["pmd"].verdict) == ("refuted", "held", "held")


def test_shipped_findings_and_ones_own_are_one_ledger(tmp_path: Path) -> None:
    shipped = tmp_path / "findings.json"
    ledger.save([ledger.record_of(run_of(safe="refuted"))], shipped)
    ledger.keep(run_of(safe="held", reuse="refuted"), MM_ID)
    assert {one.claim for one in Ledger({shipped: ["mm-id"]}).refuted(MM_ID)} == {"safe", "reuse"}
    assert ledger.load(shipped)[0].policy == "mm-id"


def test_a_plugin_ships_findings_about_its_own_policies_only(tmp_path: Path) -> None:
    ledger.save([ledger.record_of(run_of(safe="refuted"))], tmp_path / "findings.json")
    plugin = tmp_path / "other.py"
    plugin.write_text(
        "from pathlib import Path\n"
        "from foliolab.framework.api import hookimpl\n"
        "@hookimpl\ndef foliolab_findings():\n    return [Path(__file__).with_name('findings.json')]\n"
    )
    found = registry.load([plugin])
    assert tmp_path / "findings.json" in found.findings.values()
    assert "safe" not in {one.claim for one in Ledger.of(found).refuted(MM_ID)}  # FolioLab's own findings count


def test_what_ships_is_known_to_another_python_by_its_files(tmp_path: Path) -> None:
    shipped = tmp_path / "findings.json"
    record = ledger.shipped_record(run_of(PAGE_MAPCOUNT, owed="refuted"), PAGE_MAPCOUNT)
    ledger.save([replace(record, digest="another Python's")], shipped)
    known = Ledger({shipped: ["page-mapcount"]})
    assert [one.claim for one in known.refuted(PAGE_MAPCOUNT)] == [OWED]
    assert known.refuted(UNBATCHED) == []
    ledger.save([replace(record, digest="another Python's", source="other files")], shipped)
    assert Ledger({shipped: ["page-mapcount"]}).refuted(PAGE_MAPCOUNT) == []


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
        '{"schema": 4, "records": [{"policy": "p", "digest": "x", "verdicts": '
        '[{"claim": "safe", "verdict": "refuted", "date": "", "counterexamples": ["no"]}]}]}',
    ],
)
def test_a_damaged_file_is_said_and_left_out(text: str, own_folder: Path) -> None:
    ledger.keep(run_of(safe="refuted"), MM_ID)
    bad = own_folder / "bad.json"
    bad.write_text(text)
    found = Ledger()
    assert len(found.problems) == 1 and "bad.json" in found.problems[0]
    assert [one.claim for one in found.refuted(MM_ID)] == ["safe"]
    with pytest.raises(ResultFileError):
        ledger.load(bad)


def test_a_damaged_file_of_the_same_text_is_written_anew() -> None:
    path = ledger.keep(run_of(safe="refuted"), MM_ID)
    assert path is not None
    path.write_text("{")
    ledger.keep(run_of(safe="refuted"), MM_ID)
    assert json.loads(path.read_text())["records"][0]["policy"] == "mm-id"
    assert Ledger().problems == []


def test_a_folder_that_cannot_be_written_stops_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FOLIOLAB_DATA", str(tmp_path / "file"))
    assert ledger.keep(run_of(safe="refuted"), MM_ID) is None
    assert Ledger().refuted(MM_ID) == []


def test_the_shipped_file_can_be_read() -> None:
    shipped = Path(mm_id.__file__).with_name("findings.json")
    assert all(isinstance(record, TextRecord) for record in ledger.load(shipped))


def test_reading_needs_nothing_slow(tmp_path: Path) -> None:
    """`foliolab list` reads the ledger: no import of numpy or msgspec, even if a digest is computed."""
    ledger.keep(run_of(safe="refuted"), MM_ID)
    code = (
        "import sys\n"
        "from foliolab.framework.verify.ledger import Ledger\n"
        "from foliolab.policies import mm_id\n"
        "assert [one.claim for one in Ledger().refuted(mm_id.POLICY.with_parameters())] == ['safe']\n"
        "slow = {'numpy', 'numba', 'msgspec', 'z3', 'hypothesis', 'rich'} & set(sys.modules)\n"
        "assert not slow, slow\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_shipped_findings_are_about_the_present_texts_engine_and_verifier() -> None:
    found = registry.load()
    known = Ledger.of(found)
    remake = "remake the shipped findings: foliolab verify --all --save-findings policies/findings.json"
    for policy in found.policies.values():
        scheme = policy.with_parameters()
        kept = known.verdicts(scheme)
        assert {*kept} >= {"", *scheme.capabilities}, f"{policy.name} was not verified in its present text; {remake}"
        assert not any(one.stale for one in kept.values()), f"engine or verifier changed since; {remake}"


# -- which version judged --------------------------------------------------------------------------------
def test_another_version_of_the_verifier_makes_a_verdict_stale_and_the_present_one_replaces_it() -> None:
    ledger.keep(run_of(verifier="0123456789ab", safe="refuted", reuse="held", pmd="held"), MM_ID)
    found = Ledger().verdicts(MM_ID)
    assert found["safe"].stale
    assert found["safe"].text == (
        "safe refuted (stale) by random: it breaks; stale: judged by another version of the verifier "
        "(verify, 2026-11-23, FolioLab 1.2, verifier 01234567)"
    )
    ledger.keep(run_of(safe="held", reuse="refuted"), MM_ID)
    found = Ledger().verdicts(MM_ID)
    assert (found["safe"].verdict, found["safe"].stale) == ("held", False)
    assert (found["reuse"].verdict, found["reuse"].stale) == ("refuted", False)
    assert (found["pmd"].verdict, found["pmd"].stale) == ("held", True), "undecided replaces nothing"
    ledger.keep(run_of(verifier="0123456789ab", safe="refuted"), MM_ID)
    assert Ledger().verdicts(MM_ID)["safe"].verdict == "held", "an older version does not undo the present one"


def test_findings_of_schema_1_are_stale(tmp_path: Path) -> None:
    outcome = {"claim": "safe", "verdict": "held", "date": "2026-01-01", "attack": "random", "law": "", "message": ""}
    record = {"policy": "mm-id", "digest": policy_digest(MM_ID), "outcomes": [outcome], "source": ""}
    shipped = tmp_path / "old.json"
    shipped.write_text(json.dumps({"schema": 1, "records": [record]}))
    (kept,) = Ledger({shipped: ["mm-id"]}).verdicts(MM_ID).values()
    assert kept.stale and "FolioLab (unknown version)" in kept.text


def test_verdicts_follow_a_plugins_text_and_stay_in_the_checkout_for_shipped_ones(
    own_folder: Path, tmp_path: Path
) -> None:
    path = ledger.keep(run_of(safe="refuted"), MM_ID)
    assert path is not None
    (record,) = ledger.load(path)
    assert str(Path(mm_id.__file__).resolve()) in record.origin
    ledger.save([replace(record, origin="/other/checkout/policies/mm_id.py")], path)
    assert Ledger().verdicts(MM_ID) == {} and Ledger().refuted(MM_ID) == [] and Ledger().earlier(MM_ID) is None
    ledger.save([replace(record, origin="")], path)
    assert Ledger().verdicts(MM_ID) == {}, "a verdict of unknown origin"

    text = (
        "from dataclasses import replace\n"
        "from foliolab.policies import mm_id\n"
        "def helper(folio):\n    return SHARED\n"
        "def maybe_mapped_shared(folio):\n    return helper(folio)\n"
        "SHARED = True\n"
        "POLICY = replace(mm_id.POLICY, name='mine', "
        "hooks=replace(mm_id.POLICY.hooks, maybe_mapped_shared=maybe_mapped_shared))\n"
    )
    schemes = []
    for file, kind in (
        ("here/mine.py", text),
        ("there/renamed.py", text),
        ("other/mine.py", text.replace("True", "1")),
    ):
        (tmp_path / file).parent.mkdir()
        (tmp_path / file).write_text(kind)
        schemes.append(registry.load([tmp_path / file]).policy("mine"))
    assert policytree.source_digest(schemes[0]) == policytree.source_digest(schemes[1])
    assert policy_digest(schemes[0]) == policy_digest(schemes[1]) != policy_digest(schemes[2])
    ledger.keep(run_of(schemes[0], safe="refuted"), schemes[0])
    assert [one.claim for one in Ledger().refuted(schemes[1])] == ["safe"]
    assert Ledger().verdicts(schemes[2]) == {}


def test_earlier_verdicts_are_of_the_same_files_and_parameters() -> None:
    path = ledger.keep(run_of(PAGE_MAPCOUNT, owed="refuted"), PAGE_MAPCOUNT)
    assert path is not None
    (record,) = ledger.load(path)
    ledger.save([replace(record, digest="an older text")], path)
    assert Ledger().verdicts(PAGE_MAPCOUNT) == {}
    earlier = Ledger().earlier(PAGE_MAPCOUNT)
    assert earlier is not None and earlier.digest == "an older text"
    assert Ledger().earlier(UNBATCHED) is None


def test_the_digest_of_the_verifier_is_of_code_alone() -> None:
    text = b'"""A module."""\nLIMIT = 3\n"""A limit."""\ndef f(x):\n    """Add."""\n    return x + LIMIT  # why\n'
    same = b"LIMIT=3\ndef f(x): return (x +\n  LIMIT)\n"
    assert digest({"a.py": text}) == digest({"a.py": same})
    for other in (text.replace(b"3", b"4"), text.replace(b"+", b"-"), text.replace(b"f(x)", b"f(x, y)")):
        assert digest({"a.py": other}) != digest({"a.py": text})
    assert digest({"b.py": text}) != digest({"a.py": text})
    assert len(verifier_digest()) == 12


def test_the_digest_follows_a_change_of_the_verifier(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "engine").mkdir()
    file = tmp_path / "engine" / "fault.py"
    monkeypatch.setattr(foliolab.framework, "__file__", str(tmp_path / "__init__.py"))
    monkeypatch.setenv("FOLIOLAB_CACHE", str(tmp_path / "cache"))
    found = []
    for text in ("A = 1\n", "A = 12\n", "A = 1\n"):
        file.write_text(text)
        verifier_digest.cache_clear()
        found.append((verifier_digest(), verifier_digest.__wrapped__()))
    verifier_digest.cache_clear()
    assert all(first == kept for first, kept in found)
    assert found[0] == found[2] != found[1]
