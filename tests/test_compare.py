"""The comparison: every verdict by its rule, counted metrics exactly, and what makes a comparison fail."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foliolab.framework.errors import ExitCode, UsageError
from foliolab.framework.host import HostInfo
from foliolab.framework.results import comparison as comparing
from foliolab.framework.results.comparison import Row, compare, failed, rounds_needed, summarise
from foliolab.framework.results.provenance import now
from foliolab.framework.results.result import Cell, Config, Failure, Result

BASE = "page-mapcount"
TEN = [10.0, 10.1, 9.9, 10.2, 9.8, 10.05, 9.95, 10.15]


def cell(policy: str = "mm-id", workload: str = "munmap", size_kib: int = 16, **others: Any) -> Cell:
    return Cell(policy=policy, workload=workload, size_kib=size_kib, **others)


def result(cells: Sequence[Cell], failures: Sequence[Failure] = (), **others: Any) -> Result:
    def seen(name: str) -> list[Any]:
        return list(dict.fromkeys(getattr(one, name) for one in cells))

    config: dict[str, Any] = {
        "policies": seen("policy") or [BASE],
        "policy_parameters": {},
        "baseline": BASE,
        "workloads": seen("workload") or ["munmap"],
        "sizes": seen("size_kib") or [16],
        "memory": 1 << 30,
        "repeats": 8,
        "seed": 1,
        "quick": False,
    }
    return Result(
        complete=True,
        command="foliolab compare",
        started=now(),
        finished=now(),
        config=Config(**(config | others)),
        machine=HostInfo(cpu="a CPU", cores=2, memory_bytes=1 << 33, os="an OS"),
        versions={},
        kernel="6.15",
        git="",
        cells=list(cells),
        failures=list(failures),
    )


def against(samples: Sequence[float], base: Sequence[float] = TEN, **others: Any) -> Row:
    """The row of one policy against the baseline."""
    cells = [cell(BASE, samples=list(base)), cell(samples=list(samples), **others)]
    return compare(result(cells))[1]


def times(factor: float, values: Sequence[float] = TEN) -> list[float]:
    return [value * factor for value in values]


@pytest.mark.parametrize(
    ("samples", "verdict"),
    [
        (times(0.7), "faster"),
        (times(1.3), "slower"),
        (times(0.94), "faster"),
        (TEN, "same"),
        (times(1.005), "same"),
        (TEN[::-1], "same"),
        (times(0.7)[:4], "too few"),
        ([5, 20, 5, 20, 5, 20, 5, 20], "too noisy"),
    ],
)
def test_the_verdicts(samples: Sequence[float], verdict: str) -> None:
    row = against(samples)
    assert row.verdict == verdict
    assert row.rounds == len(samples)


def test_the_figures() -> None:
    row = against(times(0.75))
    assert row.ns_per_page == pytest.approx(7.5, rel=0.01)
    assert (row.ratio, row.ratio_low, row.ratio_high) == pytest.approx((0.75, 0.75, 0.75))
    assert row.p is not None and row.p_adjusted == row.p < 0.001


def test_a_difference_below_the_floor_is_the_same_however_certain() -> None:
    base = [10 + n / 1e6 for n in range(20)]
    row = against(times(1.009, base), base)
    assert row.p_adjusted is not None and row.p_adjusted < 1e-6
    assert row.verdict == "same"
    assert against(times(1.011, base), base).verdict == "slower"


def test_rounds_are_paired() -> None:
    """A machine whose speed drifts threefold still shows a tenth: a draw takes both sides of a round."""
    drift = [10.0 * 3 ** (n / 19) for n in range(20)]
    row = against(times(0.9, drift), drift)
    assert (row.ratio, row.ratio_low, row.ratio_high) == pytest.approx((0.9, 0.9, 0.9))
    assert row.verdict == "too noisy"  # the rank test does not pair, and says no more than it knows


def test_only_rounds_that_both_have_count() -> None:
    row = against([*times(0.7), 1e6, 1e6], TEN)
    assert (row.rounds, row.verdict) == (8, "faster")
    assert against([7.0] * 20, TEN[:3]).verdict == "too few"


@pytest.mark.parametrize(("flagged", "verdict"), [([0, 1, 2], "faster"), ([0, 1, 2, 3], "too noisy"), ([], "faster")])
def test_flagged_rounds_stay_in_until_they_are_half(flagged: list[int], verdict: str) -> None:
    row = against(times(0.7), flagged=flagged)
    assert (row.verdict, row.flagged) == (verdict, len(flagged))


def test_flags_of_both_sides_count_a_round_once() -> None:
    cells = [cell(BASE, samples=TEN, flagged=[0, 1, 2]), cell(samples=times(0.7), flagged=[2, 3])]
    row = compare(result(cells))[1]
    assert (row.flagged, row.verdict) == (4, "too noisy")


def grid(tests: int, rounds: int, factor: float = 0.5) -> list[Row]:
    base = [10 + n / 100 for n in range(rounds)]
    cells = []
    for size in range(1, tests + 1):
        cells += [cell(BASE, size_kib=size, samples=base), cell(size_kib=size, samples=times(factor, base))]
    return [row for row in compare(result(cells)) if row.policy != BASE]


def test_holm_covers_the_whole_grid() -> None:
    needed = rounds_needed(100)
    assert needed == 8
    assert {row.verdict for row in grid(100, needed)} == {"faster"}
    short = grid(100, needed - 1)
    assert {row.verdict for row in short} == {"too few"}
    assert all(row.p is not None and row.p < 0.05 <= (row.p_adjusted or 0) for row in short)
    # What the interval alone can say, it says with few rounds as well.
    assert {row.verdict for row in grid(100, needed - 1, 1.001)} == {"same"}


def test_few_rounds_need_few_tests() -> None:
    assert rounds_needed(1) == 5
    assert {row.verdict for row in grid(6, 5)} == {"faster"}
    assert {row.verdict for row in grid(7, 5)} == {"too few"}


def simulate(rng: np.random.Generator, factor: float, spread: float, rounds: int = 10) -> str:
    machine = rng.lognormal(0, 0.02, rounds)
    base = 10 * machine * rng.lognormal(0, spread, rounds)
    return against((10 * factor * machine * rng.lognormal(0, spread, rounds)).tolist(), base.tolist()).verdict


def test_false_alarms_are_rare() -> None:
    rng = np.random.default_rng(3)
    found = [simulate(rng, 1.0, spread) for spread in (0.01, 0.05) for _ in range(300)]
    assert set(found) <= {"same", "faster", "slower", "too noisy"}
    assert sum(verdict in ("faster", "slower") for verdict in found) / len(found) < comparing.ALPHA


def test_a_family_of_equals_rarely_raises_one_alarm() -> None:
    rng = np.random.default_rng(4)
    alarms = 0
    for _ in range(60):
        cells = []
        for size in range(1, 21):
            for policy in (BASE, "mm-id"):
                cells.append(cell(policy, size_kib=size, samples=(10 * rng.lognormal(0, 0.03, 9)).tolist()))
        rows = compare(result(cells))
        alarms += any(row.verdict in ("faster", "slower") for row in rows)
    assert alarms / 60 <= 0.1


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([0.5, 0.8, 0.9, 1.1, 1.5]))
def test_a_true_shift_is_found(seed: int, factor: float) -> None:
    rng = np.random.default_rng(seed)
    assert simulate(rng, factor, 0.01, 12) == ("faster" if factor < 1 else "slower")


def test_the_baselines_own_rows() -> None:
    rows = compare(result([cell(BASE, samples=TEN), cell(samples=times(0.7))]))
    assert [row.policy for row in rows] == [BASE, "mm-id"]
    assert (rows[0].verdict, rows[0].ratio, rows[0].ratio_low, rows[0].ratio_high) == ("baseline", 1, 1, 1)
    rows = compare(result([cell(BASE, samples=TEN), cell(samples=times(0.7))]), baseline="mm-id")
    assert [row.verdict for row in rows] == ["slower", "baseline"]
    with pytest.raises(UsageError, match="mm_id was not measured") as caught:
        compare(result([cell(BASE, samples=TEN), cell(samples=TEN)]), baseline="mm_id")
    assert caught.value.hint == "choose mm-id"


def test_counted_metrics_are_compared_exactly() -> None:
    cells = [
        cell(BASE, samples=TEN, counted={"atomics": 2.0, "loads": 3.0, "stores": 0.1 + 0.2}),
        cell(samples=TEN, counted={"atomics": 1.25, "lock_sections": 1.0, "loads": 3.0, "stores": 0.3}),
    ]
    row = compare(result(cells))[1]
    assert row.counted_difference == {"atomics": -0.75, "loads": 0.0, "stores": 0.3 - (0.1 + 0.2)}
    # A failed measurement keeps what was counted.
    cells[1] = cell(counted={"atomics": 1.25}, status="failed", reason="it raised")
    assert compare(result(cells))[1].counted_difference == {"atomics": -0.75}


@pytest.mark.parametrize(
    ("ours", "theirs", "reason"),
    [
        ({"status": "failed", "reason": "it raised"}, {"samples": TEN}, "it raised"),
        ({"samples": []}, {"samples": TEN}, "measured, without"),
        (
            {"samples": TEN},
            {"status": "failed", "reason": "it raised"},
            "the baseline page-mapcount: it",
        ),
        ({"samples": TEN, "status": "failed", "reason": "it raised"}, {"samples": TEN}, "it raised"),
    ],
)
def test_not_measured_says_why(ours: dict[str, Any], theirs: dict[str, Any], reason: str) -> None:
    found = result([cell(BASE, **theirs), cell(**ours)])
    row = compare(found)[1]
    assert row.verdict == "not measured" and reason in row.reason and row.ratio is None
    error = failed(compare(found), found)
    assert error is not None and error.exit_code == ExitCode.COMPARISON_FAILED


def test_a_cell_that_is_missing_is_not_measured() -> None:
    cells = [cell(BASE, samples=TEN), cell(samples=TEN), cell(BASE, workload="fork", samples=TEN)]
    found = result(cells)
    row = compare(found)[-1]
    assert (row.workload, row.policy, row.verdict) == ("fork", "mm-id", "not measured")
    error = failed(compare(found), found)
    assert error is not None and "1 of 4 comparisons were not measured" in error.what
    assert error.hint == "the run did not get to it"


def test_a_cell_skipped_without_a_reason_was_not_reached() -> None:
    found = result([cell(BASE, samples=TEN), cell(samples=TEN), cell(BASE, "fork", samples=TEN)])
    found.cells.append(cell(workload="fork", status="skipped"))
    row = compare(found)[-1]
    assert not row.skipped and row.reason == "the run did not get to it"
    assert failed(compare(found), found) is not None


def test_a_good_comparison_does_not_fail() -> None:
    found = result([cell(BASE, samples=TEN), cell(samples=times(2))])
    assert failed(compare(found), found) is None


def test_nothing_measured_fails() -> None:
    for found in (
        result([]),
        result([cell(BASE, status="failed", reason="no memory"), cell(status="failed", reason="no memory")]),
        result([cell(BASE, status="skipped", reason="too small"), cell(status="skipped", reason="too small")]),
    ):
        error = failed(compare(found), found)
        assert error is not None and error.exit_code == ExitCode.NOTHING_MEASURED


def test_what_does_not_apply_is_no_failure_unless_a_policy_is_never_compared() -> None:
    skipped = [cell(p, workload="remap", status="skipped", reason="PMD only") for p in (BASE, "mm-id")]
    found = result([cell(BASE, samples=TEN), cell(samples=TEN), *skipped])
    rows = compare(found)
    assert failed(rows, found) is None
    assert summarise(rows, BASE)[0] == {"mm-id": {"same": 1}}
    found = result([cell(BASE, samples=TEN), cell(status="skipped", reason="too large"), *skipped])
    error = failed(compare(found), found)
    assert error is not None and error.exit_code == ExitCode.COMPARISON_FAILED and error.hint == "too large"


def test_a_failed_plugin_has_its_own_exit_code() -> None:
    failure = Failure(policy="mine", workload="munmap", size_kib=16, message="mine.py:3 raised ValueError")
    cells = [cell(BASE, samples=TEN), cell("mine", status="failed", reason="mine.py:3 raised ValueError")]
    found = result(cells, [failure])
    error = failed(compare(found), found)
    assert error is not None and error.exit_code == ExitCode.PLUGIN_FAILED
    assert "mine, munmap" in error.what and "mine.py:3" in error.hint
    other = Failure(policy="", workload="", size_kib=0, message="interrupted", exit_code=1)
    found = result([cell(BASE, samples=TEN), cell(samples=TEN)], [other])
    error = failed(compare(found), found)
    assert error is not None and error.exit_code == ExitCode.COMPARISON_FAILED


def test_the_change_is_the_quotient_of_the_two_times_that_are_shown() -> None:
    """The median of the ratios of these rounds is 1.04, while the medians went from 9.07 to 8.44."""
    base = [9.07, 9.0, 12.0, 8.0, 9.5, 9.06, 9.2]
    ours = [8.44, 9.4, 8.3, 8.32, 9.9, 7.0, 8.44]
    row = against(ours, base)
    assert row.ns_per_page == 8.44 and row.ratio == pytest.approx(8.44 / 9.07)


def test_a_request_of_a_few_bytes_is_not_shown_as_a_million_rows() -> None:
    config = msgspec.structs.replace(result([]).config, workloads=[f"w{n}" for n in range(6_000)])
    with pytest.raises(UsageError, match=r"was asked for .* and has 0 of them"):
        compare(msgspec.structs.replace(result([]), config=config))
