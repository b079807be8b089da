"""What was asked for and not measured fails a report and a difference; a machine that drifted is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from foliolab.framework.report import difference as report
from foliolab.framework.report import result_files
from foliolab.framework.results.difference import difference
from foliolab.framework.results.result import Cell, Result

FIRST = Path(__file__).parents[1] / "report" / "first.json"


@pytest.fixture
def whole() -> Result:
    return Result.load(FIRST)


def changed(result: Result, change: Callable[[Cell], Cell | None]) -> Result:
    return msgspec.structs.replace(result, cells=[cell for one in result.cells if (cell := change(one)) is not None])


def test_what_was_measured_is_not_lost(whole: Result) -> None:
    assert not whole.lost and not difference(whole, whole).failed


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda cell: None, "the run did not get to it"),
        (lambda cell: None if cell.policy == "mm-id" else cell, "munmap, 16 KiB, mm-id: the run did not get to it"),
        (
            lambda cell: msgspec.structs.replace(cell, samples=[], flagged=[], status="failed", reason="it broke"),
            "it broke",
        ),
        (lambda cell: msgspec.structs.replace(cell, samples=[]), "the run did not get to it"),
        (lambda cell: msgspec.structs.replace(cell, counted={}), "is counted in the first only"),
    ],
)
def test_what_is_lost_fails_a_difference(whole: Result, change: Callable[[Cell], Cell | None], says: str) -> None:
    found = difference(whole, changed(whole, change))
    assert found.failed and any(says in text for text in found.lost)
    assert "not measured" in report.markdown(found, ("a", "b"))
    assert len(report.lost(found)) <= report.MOST_LOST + 1


def test_what_does_not_apply_is_not_lost(whole: Result) -> None:
    def skipped(cell: Cell) -> Cell:
        gone = cell.workload == "fork"
        return msgspec.structs.replace(cell, samples=[], flagged=[], status="skipped", reason="no") if gone else cell

    assert not changed(whole, skipped).lost


def test_what_was_not_asked_for_is_not_lost(whole: Result) -> None:
    config = msgspec.structs.replace(whole.config, workloads=["munmap", "fork"])
    fewer = changed(whole, lambda cell: cell if cell.workload != "reuse" else None)
    assert not difference(whole, msgspec.structs.replace(fewer, config=config)).failed


def test_results_without_a_common_case_are_no_comparison(whole: Result) -> None:
    sides = []
    for name in ("munmap", "fork"):
        part = changed(whole, lambda cell, name=name: cell if cell.workload == name else None)  # type: ignore[misc]
        sides.append(msgspec.structs.replace(part, config=msgspec.structs.replace(whole.config, workloads=[name])))
    assert difference(*sides).lost == ("the two have no case in common",)


def test_a_report_says_by_its_code_that_something_is_missing(
    foliolab: Callable[..., Any], tmp_path: Path, whole: Result
) -> None:
    kept, half = tmp_path / "whole.json", tmp_path / "half.json"
    whole.save(kept)
    changed(whole, lambda cell: cell if cell.size_kib != 64 else None).save(half)
    assert foliolab("report", kept).code == 0
    done = foliolab("report", half)
    assert done.code == 1 and "9 of 27 comparisons were not measured" in done.err and "| policy |" in done.out
    done = foliolab("diff", kept, half)
    assert done.code == 1 and "✗ not measured: munmap, 64 KiB, page-mapcount" in done.out


def test_a_machine_that_drifted_is_named(whole: Result) -> None:
    slower = changed(whole, lambda cell: msgspec.structs.replace(cell, samples=[2 * ns for ns in cell.samples]))
    assert any("the machine drifted: the baseline page-mapcount" in note for note in difference(whole, slower).notes)
    other = changed(slower, lambda cell: msgspec.structs.replace(cell, counted={**cell.counted, "atomics": 9.0}))
    assert not any("drifted" in note for note in difference(whole, other).notes), "the baseline does something else"


def test_hostile_names_stay_text_in_every_format(foliolab: Callable[..., Any], tmp_path: Path, whole: Result) -> None:
    evil = '=1+1<img src=x>|`\x1b]0;own\x07[c](javascript:1)\u202e"'
    text = msgspec.json.encode(whole).decode().replace("mm-id", msgspec.json.encode(evil)[1:-1].decode())
    path = tmp_path / "evil.json"
    path.write_text(text.replace("6.1", f"6.1{msgspec.json.encode(evil)[1:-1].decode()}"))
    assert isinstance(result_files.load(path), Result)
    done = foliolab("report", path)
    assert not {"\x1b", "\x07", "\u202e"} & set(done.out + done.err)
    assert "<img" not in done.out and "](" not in done.out.replace("\\](", "") and "\\x1b" in done.out
    for form in ("html", "csv", "svg"):
        foliolab("report", path, "--format", form)
        written = path.with_suffix(f".{form}").read_text()
        assert not {"\x1b", "\x07", "\u202e"} & set(written)
        assert "<img" not in written or form == "csv"
    assert "'=1+1" in path.with_suffix(".csv").read_text()
    done = foliolab("diff", path, path, "--all", "--markdown")
    assert done.code == 0 and "<img" not in done.out and "\x1b" not in done.out


def test_what_is_too_large_to_show_is_refused_in_one_sentence(
    foliolab: Callable[..., Any], tmp_path: Path, whole: Result
) -> None:
    config = msgspec.structs.replace(whole.config, workloads=[*whole.config.workloads, *map(str, range(9000))])
    path = tmp_path / "r.json"
    msgspec.structs.replace(whole, config=config).save(path)
    for words in (["report", path], ["diff", path, path], ["history", path]):
        done = foliolab(*words)
        assert done.code == 2 and "was asked for 81,027 cases and has 27 of them" in done.err and str(path) in done.err
    many = [f"policy {n}" for n in range(200)]
    config = msgspec.structs.replace(whole.config, policies=[*whole.config.policies, *many])
    msgspec.structs.replace(whole, config=config).save(path)
    done = foliolab("report", path, "--format", "svg")
    assert done.code == 2 and "a picture has room for 300 curves" in done.err
