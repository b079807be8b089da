"""Reports and differences of replays: every format has the sentences and the figures, and two traces are told apart."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import msgspec
import pytest

from foliolab.framework.errors import UsageError
from foliolab.framework.replay.result import ReplayResult
from foliolab.framework.report import formats, result_files, studies
from foliolab.framework.report.answer import answer
from foliolab.framework.results.difference import difference

DATA = Path(__file__).parent / "replays"


def loaded(name: str) -> ReplayResult:
    found = result_files.load(DATA / f"{name}.json")
    assert isinstance(found, ReplayResult)
    return found


def test_markdown_begins_with_the_answer() -> None:
    found = loaded("daemon-64-exit")
    text = formats.study_text(found, "md")
    assert text.index("**The answer**") < text.index("| --") if "| --" in text else text.index("|---")
    for sentence in answer([found]):
        assert f"- {sentence}" in text.replace("\\", "")
    assert found.command in text


def test_html_draws_the_course() -> None:
    pytest.importorskip("jinja2")
    text = formats.study_text(loaded("daemon-64-exit"), "html")
    assert text.count("<svg") == text.count("</svg>") == 2
    assert ">3 MMs<" in text
    quiet = loaded("redis-64-exit")
    assert formats.study_text(quiet, "html").count("<svg") == 1, "nothing was falsely called shared"
    bare = [msgspec.structs.replace(one, samples=[]) for one in quiet.policies]
    assert "<svg" not in formats.study_text(msgspec.structs.replace(quiet, policies=bare), "html")


def test_csv_has_figures_faults_and_moments() -> None:
    found = loaded("daemon-64-exit")
    rows = list(csv.DictReader(io.StringIO(studies.table(found))))
    copies = [row for row in rows if (row["policy"], row["name"]) == ("mm-id", "copies beyond exact")]
    assert [row["value"] for row in copies] == ["9606"]
    one = next(one for one in found.policies if one.policy == "mm-id")
    assert sum(int(row["certain"]) for row in rows if row["of"] == "write fault" and row["policy"] == "mm-id") == sum(
        fault.certain for fault in one.faults
    )
    moments = [row for row in rows if row["of"] == "moment" and row["policy"] == "mm-id"]
    assert [int(row["false_folios"]) for row in moments] == [sample.false_folios for sample in one.samples]


def test_there_is_no_picture() -> None:
    with pytest.raises(UsageError, match="no picture of a result of foliolab replay"):
        formats.study_text(loaded("redis-64-exit"), "svg")


def test_a_difference_says_what_is_worse_and_of_what_it_is() -> None:
    daemon, redis = loaded("daemon-64-exit"), loaded("redis-64-exit")
    found = difference(redis, daemon)
    worse = {case.key: case.second for case in found.worse}
    assert worse["mm-id", "copies beyond exact"] == 9606
    assert any("the first is of redis-64.folio" in note for note in found.notes)
    same = difference(daemon, daemon)
    assert not same.worse and not same.notes and not same.failed
    assert all(case.word == "same" for case in same.cases)
