"""The difference of two results: verdicts follow the data, and what is not known is not claimed."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from foliolab.framework import host
from foliolab.framework.errors import ResultFileError
from foliolab.framework.report import result_files
from foliolab.framework.results import difference as differences
from foliolab.framework.results.result import Cell, Config, Result


def result(samples: dict[int, list[float]]) -> Result:
    config = Config(
        policies=["a"], policy_parameters={"a": {}}, baseline="a", workloads=["w"], sizes=list(samples), memory=1 << 20,
        repeats=8, seed=1, quick=True,
    )  # fmt: skip
    cells = [Cell(workload="w", size_kib=size, policy="a", samples=found) for size, found in samples.items()]
    return Result(
        complete=True, command="foliolab compare", started="2026-01-01T00:00:00Z", finished="2026-01-01T00:00:01Z",
        config=config, machine=host.describe_host(), versions={}, kernel="6.1", git="", cells=cells,
    )  # fmt: skip


def noise(middle: float, spread: float, seed: int, count: int = 12) -> list[float]:
    return list(np.random.default_rng(seed).normal(middle, spread, count).clip(0.1))


def test_a_true_difference_is_found_and_noise_is_not() -> None:
    first = result({16: noise(10, 0.1, 1), 64: noise(10, 0.1, 2), 256: noise(10, 4, 3)})
    second = result({16: noise(12, 0.1, 4), 64: noise(10, 0.1, 5), 256: noise(10, 4, 6)})
    found = differences.difference(first, second)
    assert [case.word for case in found.cases] == ["slower", "same", "undecided"]
    assert [case.word for case in differences.difference(second, first).cases] == ["faster", "same", "undecided"]
    case = found.cases[0]
    assert case.low is not None and case.high is not None and case.low < 1.2 < case.high
    assert found.notes == ()


def test_false_alarms_are_rare() -> None:
    alarms = 0
    for seed in range(30):
        pair = [result({size: noise(10, 1, 1000 * seed + 10 * side + size) for size in (1, 2, 3)}) for side in (0, 1)]
        found = differences.difference(*pair)
        alarms += any(case.word in ("slower", "faster") for case in found.cases)
    assert alarms <= 5


def test_too_few_rounds_decide_nothing() -> None:
    found = differences.difference(result({16: [1.0, 1.1, 1.0]}), result({16: [9.0, 9.1, 9.0]}))
    assert found.cases[0].word == "undecided" and found.count("undecided") == 1


def test_what_only_one_has_is_said() -> None:
    found = differences.difference(result({16: [1.0] * 6}), result({64: [1.0] * 6}))
    assert [case.word for case in found.cases] == ["only in the first", "only in the second"]


def test_results_of_different_circumstances_are_noted() -> None:
    one = result({16: [1.0] * 6})
    other = msgspec.structs.replace(one, kernel="6.2", git="abc", versions={"numpy": "0"}, complete=False)
    notes = " ".join(differences.difference(one, other).notes)
    for word in ("kernels", "checkouts", "numpy", "second is incomplete"):
        assert word in notes


def test_files_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    result({16: [1.0]}).save(path)
    assert result_files.kind_of(path) == "compare"
    assert isinstance(result_files.load(path), Result)
    for text in ("{", "[]", '{"kind": "other"}', '{"kind": 3}', "{}"):
        path.write_text(text)
        assert result_files.kind_of(path) == ""
        with pytest.raises(ResultFileError, match="no result that can be compared"):
            result_files.load(path)
    assert result_files.kind_of(tmp_path / "absent.json") == ""
