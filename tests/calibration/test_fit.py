"""The fit: known constants are recovered, doubts are remarked, and results that do not match are refused."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foliolab.framework import calibration
from foliolab.framework.calibration import CalibratedOperation, remarks
from foliolab.framework.errors import UsageError
from foliolab.framework.host import HostInfo
from foliolab.framework.results.result import Cell, Result


def changed(result: Result, where: tuple[str, int], **fields: Any) -> Result:
    """The result with one cell changed."""
    cells = [
        msgspec.structs.replace(cell, **fields) if (cell.workload, cell.size_kib) == where else cell
        for cell in result.cells
    ]
    return msgspec.structs.replace(result, cells=cells)


def fitted(make: Any, bench: Result, reuses: bool = True, **model: Any) -> CalibratedOperation:
    """The only operation of a calibration."""
    found = calibration.calibrate(bench, make.model(bench.config.workloads, **model), make.OWN, make.PARAMETERS, reuses)
    (operation,) = found.operations
    return operation


@settings(max_examples=40)
@given(per_page=st.floats(-5, 500), per_folio=st.floats(-5, 2000))
def test_constants_without_noise_come_back(maker: Any, per_page: float, per_folio: float) -> None:
    make = maker()
    operation = fitted(make, make.bench({"munmap": make.rest(per_page, per_folio)}))
    assert operation.constants is not None
    assert operation.constants.per_page == pytest.approx(per_page, abs=1e-6)
    assert operation.constants.per_folio == pytest.approx(per_folio, abs=1e-6)
    assert all(point.residual == pytest.approx(0, abs=1e-6) for point in operation.points)


def test_the_intervals_hold_the_truth_nearly_as_often_as_they_say(maker: Any) -> None:
    held = []
    for seed in range(60):
        make = maker(noise=0.05, rounds=15, seed=seed)
        found = fitted(make, make.bench({"munmap": make.rest(20, 300)})).constants
        assert found is not None
        held += [found.per_page_interval[0] <= 20 <= found.per_page_interval[1]]
        held += [found.per_folio_interval[0] <= 300 <= found.per_folio_interval[1]]
    assert np.mean(held) >= 0.85


def test_small_folios_are_measured_but_not_fitted(make: Any) -> None:
    bench = make.bench({"munmap": make.rest(20, 300)})
    other = changed(bench, ("munmap", 4), samples=[150.0] * 9)
    operation = fitted(make, other)
    small = operation.point(4)
    assert small is not None and operation.constants == fitted(make, bench).constants
    assert not small.fitted and "small folios" in small.reason
    assert small.rest == 150 - 11 and small.residual == pytest.approx(150 - 11 - 320)


def test_disturbed_rounds_and_noisy_sizes_do_not_rule(make: Any, maker: Any) -> None:
    bench = make.bench({"munmap": make.rest(20, 300)})
    disturbed = changed(bench, ("munmap", 64), samples=[49.75] * 7 + [900.0, 1500.0])
    found = fitted(make, disturbed).constants
    assert found is not None and found.per_page == pytest.approx(20) and found.per_folio == pytest.approx(300)
    noisy = changed(bench, ("munmap", 64), samples=[20.0, 40.0, 60.0, 80.0, 100.0, 120.0, 140.0, 160.0, 180.0])
    found = fitted(make, noisy).constants
    assert found is not None and found.per_page == pytest.approx(20, abs=0.5)


def test_the_same_seed_gives_the_same_intervals(maker: Any) -> None:
    made = [maker(noise=0.1).calibration({"fork": maker.rest(20, 300)}) for _ in range(2)]
    assert made[0].operations == made[1].operations


@pytest.mark.parametrize(
    ("rest", "sizes", "says"),
    [
        ((20, 300), (4, 16, 64, 2048), []),
        ((-5, 300), (16, 64, 2048), ["a is negative: per page the model takes longer than the kernel"]),
        ((20, -30), (16, 64, 2048), ["b is negative: per folio the model takes longer than the kernel"]),
        ((20, 300), (16, 64), ["two sizes: two constants fit them always, so the residuals say nothing"]),
        (
            (20, 300),
            (4, 2048),
            ["one size of large folios: two constants cannot be told apart; the rest is as measured there"],
        ),
        ((20, 300), (4,), ["no two sizes of large folios can be fitted: there are no constants"]),
    ],
)
def test_what_is_doubtful_is_said(make: Any, rest: tuple[int, int], sizes: tuple[int, ...], says: list[str]) -> None:
    operation = fitted(make, make.bench({"munmap": make.rest(*rest)}, sizes))
    assert remarks(operation) == says
    assert (operation.constants is None) == (len(set(sizes) - {4}) < 2)


def test_wide_intervals_and_sizes_that_do_not_fit_are_said(maker: Any) -> None:
    make = maker(noise=0.1, rounds=7)
    assert "b is not distinguishable from 0" in ", ".join(
        remarks(fitted(make, make.bench({"munmap": make.rest(20, 0)})))
    )
    vague = remarks(fitted(make, make.bench({"munmap": make.rest(20, 40)})))
    assert "b is badly determined: its interval reaches beyond ±50 % of it" in vague
    make = maker()
    bent = fitted(make, make.bench({"munmap": lambda size: 30 + (60 if size == 64 else 0)}))
    (said,) = [one for one in remarks(bent) if "do not describe it" in one]
    assert "at 64 KiB" in said


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"samples": [50.0, 51.0]}, "fewer than 3 rounds"),
        ({"flagged": [0, 1, 2, 3, 4]}, "half of the rounds are flagged"),
        ({"counted": {"copies": 1.0}}, "the kernel copied 1.00 pages per page, and its policy reuses"),
    ],
)
def test_sizes_that_are_not_fitted(make: Any, change: dict[str, Any], reason: str) -> None:
    bench = changed(make.bench({"reuse-byte": make.rest(20, 300)}), ("reuse-byte", 16), **change)
    point = fitted(make, bench).point(16)
    assert point is not None and not point.fitted and point.reason == reason


def test_a_kernel_that_copies_is_what_a_policy_that_copies_models(make: Any) -> None:
    bench = make.bench({"reuse-byte": make.rest(20, 300)})
    for size in make.SIZES:
        bench = changed(bench, ("reuse-byte", size), counted={"copies": float(size > 4)})
    assert all(point.fitted == (point.size_kib > 4) for point in fitted(make, bench, reuses=False).points)
    assert not any(point.fitted for point in fitted(make, bench).points)


def test_what_only_one_result_has_is_left_out_with_its_reason(make: Any) -> None:
    bench = make.bench({"munmap": make.rest(20, 300), "fork": make.rest(20, 300), "remap": make.rest(1, 1)})
    model = make.model(["munmap", "contention-1", "remap"])
    cells = [
        Cell(workload="remap", size_kib=cell.size_kib, policy=cell.policy, status="failed", reason="it raised")
        if cell.workload == "remap"
        else cell
        for cell in model.cells
    ]
    found = calibration.calibrate(bench, msgspec.structs.replace(model, cells=cells), make.OWN, make.PARAMETERS, True)
    assert [one.name for one in found.operations] == ["munmap"]
    assert found.left_out == {
        "fork": "not measured in the model",
        "remap": "it raised",
        "contention-1": "not measured on the kernel",
    }


def test_what_cannot_be_compared_is_refused(make: Any) -> None:
    bench, model = make.bench({"munmap": make.rest(20, 300)}), make.model()
    elsewhere = HostInfo(cpu="another CPU", cores=2, memory_bytes=1, os="an OS")
    for pair, policy, says in (
        ((model, bench), "mm-id", "the first result is of kind compare, not kernel-bench"),
        ((bench, bench), "mm-id", "the second result is of kind kernel-bench, not compare"),
        ((bench, make.model(machine=elsewhere)), "mm-id", "measured on a CPU, the model on another CPU"),
        ((bench, model), "exact", "does not have exact"),
        ((bench, make.model(["fork"])), "mm-id", "no operation and folio size in common"),
    ):
        with pytest.raises(UsageError, match=says):
            calibration.calibrate(*pair, policy, make.PARAMETERS, True)
    with pytest.raises(UsageError, match="does not have mm-id"):
        calibration.calibrate(bench, model, "mm-id", {"slots": 3}, True)


def test_no_published_figure_can_enter() -> None:
    code = "import sys, foliolab.framework.calibration; print([m for m in sys.modules if 'published' in m])"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
