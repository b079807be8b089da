"""The conformance kit: a sound policy passes; a mistake fails in one line, with the scenario where there is one."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from foliolab.framework.api import load
from foliolab.framework.contract.hooks import DEPRECATED_HOOKS
from foliolab.framework.contract.policy import Policy
from foliolab.framework.engine.engine import native_missing
from foliolab.framework.engine.machine import Machine
from foliolab.framework.isolation.process import can_fork
from foliolab.framework.plugins import registry as room
from foliolab.framework.plugins import validation
from foliolab.framework.testing import alike
from foliolab.framework.testing.checks import OF_EVERY, Outcome, checks_for, run_all
from foliolab.framework.testing.subject import Subject, subject_of
from foliolab.framework.verify import watchdog
from foliolab.policies import mm_id, mm_id_slots, page_mapcount

needs_native = pytest.mark.skipif(bool(native_missing()), reason=native_missing() or "-")


def never_shared(folio):
    return False


def endless(folio):
    n = 0
    while n >= 0:
        n += 1
    return False


def raises(folio):
    return load(folio._no_such_field) > 0


def variant(answer, name: str = "variant", **changes: Any) -> Policy:
    hooks = replace(mm_id.POLICY.hooks, maybe_mapped_shared=answer)
    return replace(mm_id.POLICY, name=name, hooks=hooks, models=None, mutants=None, **changes)


def outcome(policy: Policy, check: str, seconds: float = 3.0, first: bool = False) -> Outcome:
    subject = Subject(policy.with_parameters(), seconds, attacks=("random", "structural"), first=first)
    return next(one for one in checks_for(subject.scheme) if one.name == check).run(subject)


@pytest.mark.slow
def test_a_sound_policy_passes_every_check_and_each_claim_has_one() -> None:
    subject = subject_of(page_mapcount.POLICY, seconds=10)
    found = {check.name: result for check, result in run_all(subject)}
    assert set(found) == {*OF_EVERY, *(f"claim {name}" for name in subject.scheme.capabilities)}
    bad = {name: one for name, one in found.items() if one.verdict == "failed"}
    assert not bad
    assert found["owed"].verdict in ("passed", "partly") and found["workloads"].verdict == "passed"


def test_a_refuted_claim_comes_with_its_scenario() -> None:
    found = outcome(variant(never_shared), "claim safe", seconds=60, first=True)
    assert found.verdict == "failed" and found.counterexample is not None
    assert "called exclusive, 2 MMs map it" in found.text
    assert sum(len(thread) for thread in found.counterexample.threads) <= 8, "it is the minimal one"


@pytest.mark.parametrize(("answer", "says"), [(endless, "does not"), (raises, "_no_such_field")])
def test_a_hook_that_does_not_end_or_raises_is_one_line(answer, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "PATIENCE", 0.1)  # while an endless one is shortened, each run waits that long
    found = outcome(variant(answer), "owed", 120.0, first=True)  # the first refutation ends it
    assert found.verdict == "failed" and says in found.text and "test_checks.py" in found.text
    assert "\n" not in found.text


def test_no_claim_passes_while_what_every_policy_owes_is_refuted() -> None:
    subject = Subject(variant(raises).with_parameters(), 3.0, attacks=("random", "structural"))
    found = {check.name: check.run(subject) for check in checks_for(subject.scheme) if check.name.startswith("claim")}
    assert found and {one.verdict for one in found.values()} <= {"undecided", "failed"}
    assert any("correct that first" in one.text for one in found.values())


def test_what_is_not_documented_is_named() -> None:
    fields = (replace(mm_id.POLICY.with_parameters().fields[0], doc=""), *mm_id.POLICY.with_parameters().fields[1:])
    found = outcome(variant(never_shared, fields=fields, references=()), "documented")
    assert found.verdict == "failed" and "references" in found.text and fields[0].name in found.text


def test_a_declaration_that_is_none_ends_the_run() -> None:
    policy = variant(never_shared, max_order=99)
    names = [check.name for check, _ in run_all(Subject(policy.with_parameters(), 1.0))]
    assert names == ["declared"]
    assert "max_order" in outcome(policy, "declared").text


def test_parameters_are_tried_at_their_ends() -> None:
    found = outcome(mm_id_slots.POLICY, "parameters")
    assert found.verdict == "passed" and found.text.endswith("values")


@needs_native
def test_native_code_that_differs_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    scheme = page_mapcount.POLICY.with_parameters()
    assert alike.difference(scheme, steps=30) == ""
    right = Machine.apply

    def wrong(machine, one):
        said = right(machine, one)
        if machine.execution == "native" and one.name == "fork":
            machine.vm.buffer[machine.map.pages + 3] ^= 1
        return said

    monkeypatch.setattr(Machine, "apply", wrong)
    told = alike.difference(scheme, steps=60)
    assert "fork" in told and "1 bytes differ" in told


# -- foliolab check ----------------------------------------------------------------------------------
def check(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "foliolab.framework.cli", "check", *arguments]
    return subprocess.run(words, capture_output=True, text=True, cwd=folder, timeout=200, check=False)


FILE = """
from dataclasses import replace
from foliolab.policies import mm_id

def maybe_mapped_shared(folio):
    {body}

POLICY = replace(
    mm_id.POLICY, name="mine", models=None, mutants=None,
    hooks=replace(mm_id.POLICY.hooks, maybe_mapped_shared=maybe_mapped_shared),
)
"""


@pytest.mark.slow
def test_the_command_shows_the_scenario_and_writes_it(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(FILE.format(body="return False"))
    done = check("--plugin", "mine.py", "--seconds", "2", folder=tmp_path)
    assert done.returncode == 1, done.stderr
    assert "✗ claim safe" in done.stdout or "x claim safe" in done.stdout
    assert "mine does not conform" in done.stdout and "foliolab step counterexamples/mine-safe.json" in done.stdout
    assert (tmp_path / "counterexamples" / "mine-safe.json").is_file()
    words = [sys.executable, "-m", "foliolab.framework.cli", "show", "mine", "--plugin", "mine.py"]
    shown = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, check=True).stdout
    assert re.search(r"safe refuted by \w+: ", shown), "check keeps what it refuted"


@pytest.mark.slow
def test_the_command_as_json(tmp_path: Path) -> None:
    done = check("total-mapped-pages", "--seconds", "1", "--json", folder=tmp_path)
    (told,) = json.loads(done.stdout)
    assert done.returncode == 0 and told["policy"] == "total-mapped-pages"
    assert {one["verdict"] for one in told["checks"]} <= {"passed", "partly", "undecided"}
    assert "total-mapped-pages conforms" in done.stderr


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("raise ValueError('no luck')", "no luck"),
        ("POLICY = 7", "POLICY"),
        ("x = 1", "offers nothing"),
        (FILE.format(body="return False").replace('name="mine"', 'name="mm-id"'), "already given"),
        (FILE.format(body="return False").replace('name="mine"', 'name="mine", api_version=99'), "99"),
        (
            FILE.format(body="return False").replace('name="mine"', 'name="mine", capabilities=frozenset({"x"})'),
            "partial-mapping",
        ),
    ],
)
def test_a_file_that_is_none_is_one_line(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "mine.py").write_text(text)
    done = check("--plugin", "mine.py", folder=tmp_path)
    assert done.returncode in (2, 4) and says in done.stderr and "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 3


def test_a_policy_is_found_by_what_names_it() -> None:
    registry = room.load()
    assert subject_of("mm-id-slots:slots=3", registry).scheme.name == "mm-id-slots:slots=3"
    assert subject_of(mm_id_slots.POLICY.with_parameters({"slots": 3})).scheme.name == "mm-id-slots:slots=3"


# -- mistakes of a beginner, each in a line that says what to do ------------------------------------------
def not_loaded(folio):
    return folio._large_mapcount + 1 > 1


def misspelt(folio):
    return atomic_reed(folio._large_mapcount) > 0  # type: ignore[name-defined]  # noqa: F821


def not_imported(folio):
    return atomic_read(folio._large_mapcount) > 0  # type: ignore[name-defined]  # noqa: F821


def constant_nowhere(folio):
    return folio_nr_pages_limit > 3  # type: ignore[name-defined]  # noqa: F821


def one_number(folio, page, nr, mm):
    return 0


def test_a_field_used_as_a_number_is_told_to_be_read() -> None:
    found = outcome(variant(not_loaded), "declared")
    line = not_loaded.__code__.co_firstlineno + 1
    assert found.verdict == "failed" and f"test_checks.py:{line} uses the field folio._large_mapcount as" in found.text
    assert "read it by load() or atomic_read()" in found.text


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (misspelt, "reads 'atomic_reed', which is nowhere defined (did you mean atomic_read?"),
        (not_imported, "from foliolab.framework.api import atomic_read"),
        (constant_nowhere, "define it at the top of the file, or import it there"),
    ],
)
def test_a_name_that_nobody_defines_is_no_declaration(answer: Any, told: str) -> None:
    found = outcome(variant(answer), "declared")
    line = answer.__code__.co_firstlineno + 1
    assert found.verdict == "failed" and told in found.text and f"test_checks.py:{line} " in found.text


@pytest.mark.parametrize("check", ["owed", "workloads", pytest.param("native", marks=needs_native)])
def test_a_hook_that_answers_the_wrong_thing_is_named(check: str) -> None:
    hooks = replace(mm_id.POLICY.hooks, remove_ptes=one_number)
    policy = replace(mm_id.POLICY, name="variant", hooks=hooks, models=None, mutants=None)
    found = outcome(policy, check, 120.0, first=True)
    assert found.verdict == "failed" and "the hook remove_ptes does not return" in found.text


def test_pmd_is_not_claimed_without_the_hooks_that_hear_of_it() -> None:
    hooks = replace(mm_id.POLICY.hooks, add_pmd=None, dup_pmd=None)
    found = outcome(replace(mm_id.POLICY, name="variant", hooks=hooks, models=None, mutants=None), "declared")
    assert found.verdict == "failed" and "it claims pmd, and has no hook add_pmd, dup_pmd" in found.text


@pytest.mark.skipif(not can_fork(), reason="without fork, native code runs in this process")
def test_native_code_that_crashes_is_a_failed_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("foliolab.framework.testing.alike.difference", lambda *_: signal.raise_signal(signal.SIGSEGV))
    subject = Subject(mm_id.POLICY.with_parameters())
    outcome = next(check for check in checks_for(subject.scheme) if check.name == "native").run(subject)
    if native_missing():
        assert outcome.verdict == "skipped"
    else:
        assert outcome.verdict == "failed" and "SIGSEGV" in outcome.text


def test_a_deprecated_hook_says_what_to_use_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DEPRECATED_HOOKS, "can_reuse", "use may_reuse, which is told the page, too")
    with pytest.warns(FutureWarning, match="policy mm-id: the hook can_reuse is deprecated; use may_reuse"):
        validation.checked_policy(mm_id.POLICY)
