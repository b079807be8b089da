"""The prediction with the rest of the kernel: arithmetic, intervals, and distances from published figures."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foliolab.framework.calibration import Calibration, Rest, Unknown, calibrate, rest_of
from foliolab.framework.calibration.prediction import Forecast, Prediction, predict
from foliolab.framework.host import HostInfo
from foliolab.framework.plugins.published import Published
from foliolab.framework.results.comparison import compare
from foliolab.framework.results.result import Cell, Result

NO_MC = "no-page-mapcount"


def reuses(policy: str) -> bool:
    return policy != "page-mapcount"


def predicted(result: Result, calibration: Calibration, figures: tuple[Published, ...] = ()) -> Prediction:
    return predict(result, compare(result, published=figures), calibration, reuses)


def figure(percent: float, size_kib: int = 64, **others: Any) -> Published:
    fields: dict[str, Any] = {"source": "V1 (id)", "machine": "a Xeon", "workload": "munmap", "policy": NO_MC}
    return Published(size_kib=size_kib, baseline="page-mapcount", percent=percent, **(fields | others))


def widened(calibration: Calibration, size_kib: int, residual: float) -> Calibration:
    """The calibration with another residual at a size of its first operation."""
    operation = calibration.operations[0]
    points = [
        msgspec.structs.replace(point, residual=residual) if point.size_kib == size_kib else point
        for point in operation.points
    ]
    return msgspec.structs.replace(calibration, operations=[msgspec.structs.replace(operation, points=points)])


def width(forecast: Forecast) -> float:
    assert forecast.ratio_low is not None and forecast.ratio_high is not None
    return forecast.ratio_high - forecast.ratio_low


@settings(max_examples=30)
@given(per_page=st.floats(0, 300), per_folio=st.floats(0, 1000))
def test_raw_and_the_constants_are_added(maker: Any, per_page: float, per_folio: float) -> None:
    make = maker()
    found = predicted(make.model(), make.calibration({"munmap": make.rest(per_page, per_folio)}))
    for (_, size, policy), one in found.forecasts.items():
        rest = per_page + per_folio / (size // 4)
        assert one.ns_per_page == pytest.approx(make.RAW[policy] + rest)
        assert one.ratio == pytest.approx((make.RAW[policy] + rest) / (make.RAW["page-mapcount"] + rest))
        assert one.ratio_low == pytest.approx(one.ratio) and one.ratio_high == pytest.approx(one.ratio)


def test_the_kernels_own_policy_gives_the_kernel_back(make: Any) -> None:
    found = predicted(make.model(), make.calibration({"munmap": make.rest(20, 300)}))
    assert len(found.checks) == len(make.SIZES)
    assert all(check.deviation == pytest.approx(0) for check in found.checks)
    bent = predicted(make.model(), make.calibration({"munmap": lambda size: 50 + (30 if size == 64 else 0)}))
    off = {check.size_kib: check.measured - check.predicted for check in bent.checks}
    operation = bent.calibration.operations[0]
    assert {p.size_kib: p.residual for p in operation.points if p.fitted} == pytest.approx(
        {size: residual for size, residual in off.items() if size > 4}
    )
    without = make.model(raw={"page-mapcount": 10.0, NO_MC: 6.0})
    assert predicted(without, bent.calibration).checks == []


def test_what_is_common_to_two_policies_does_not_vary_between_them(maker: Any) -> None:
    make = maker(noise=0.2)
    calibration = make.calibration({"munmap": make.rest(5, 100)})
    model = maker().model(raw={"page-mapcount": 10.0, "mm-id": 10.0})
    for one in predicted(model, calibration).forecasts.values():
        assert (one.ratio, one.ratio_low, one.ratio_high) == (1, 1, 1)


def test_uncertain_constants_widen_the_interval(make: Any, maker: Any) -> None:
    noisy = maker(noise=0.15).calibration({"munmap": make.rest(20, 300)})
    sure = make.calibration({"munmap": make.rest(20, 300)})
    for size in make.SIZES:
        key = ("munmap", size, NO_MC)
        assert width(predicted(make.model(), noisy).forecasts[key]) > width(
            predicted(make.model(), sure).forecasts[key]
        )


@settings(max_examples=20)
@given(small=st.floats(0, 8), more=st.floats(0.5, 8))
def test_a_fit_is_not_known_better_than_it_fits(maker: Any, small: float, more: float) -> None:
    make = maker()
    calibration = make.calibration({"munmap": make.rest(20, 300)})
    key = ("munmap", 64, NO_MC)
    one, other = (
        predicted(make.model(), widened(calibration, 64, residual)).forecasts[key]
        for residual in (small, -(small + more))
    )
    assert width(one) < width(other)
    rest = 20 + 300 / 16
    assert other.ratio_low == pytest.approx((6 + rest - small - more) / (10 + rest - small - more))


def test_between_measured_sizes_the_worst_residual_counts_and_beyond_them_nothing_is_known(make: Any) -> None:
    bench = {"munmap": lambda size: 50 + (30 if size == 64 else 0)}
    calibration = make.calibration(bench, sizes=(16, 64, 256, 1024))
    between, beyond = (rest_of(calibration, "munmap", size, True) for size in (128, 2048))
    assert isinstance(between, Rest) and isinstance(beyond, Unknown)
    worst = max(abs(point.residual or 0) for point in calibration.operations[0].points)
    assert max(between.draws) - between.value == pytest.approx(worst)
    assert "not calibrated at this size" in beyond.reason
    assert isinstance(rest_of(calibration, "munmap", 4, True), Unknown)


def test_a_policy_that_copies_has_the_rest_of_a_copy(make: Any) -> None:
    times = {"cow-byte": make.rest(1500, 0), "reuse-byte": make.rest(500, 0), "munmap": make.rest(20, 0)}
    found = predicted(make.model(["reuse-byte", "munmap"]), make.calibration(times)).forecasts
    for size in make.SIZES:
        base, own = (found["reuse-byte", size, policy] for policy in ("page-mapcount", "mm-id"))
        assert base.operation == ("cow-byte" if size > 4 else "reuse-byte")
        assert base.ns_per_page == pytest.approx(1510 if size > 4 else 510)
        assert own.operation == "reuse-byte" and own.ns_per_page == pytest.approx(511)
        assert own.ratio == pytest.approx(511 / (1510 if size > 4 else 510))
        assert found["munmap", size, "page-mapcount"].operation == "munmap"


def test_where_nothing_is_known_nothing_is_predicted(make: Any) -> None:
    alone = make.calibration({"reuse-byte": make.rest(500, 0)})
    found = predicted(make.model(["reuse-byte", "fork"]), alone).forecasts
    assert found["reuse-byte", 64, "page-mapcount"].reason == "it copies here, and cow-byte: not calibrated"
    assert found["reuse-byte", 64, "mm-id"].reason.startswith("the baseline: it copies here")
    assert found["reuse-byte", 4, "mm-id"].ns_per_page == pytest.approx(511)
    assert found["fork", 64, "mm-id"].reason == "not calibrated"
    copying = make.calibration({"reuse-byte": make.rest(1500, 0)}, reuses=False)
    found = predicted(make.model(["reuse-byte"]), copying).forecasts
    assert found["reuse-byte", 64, "mm-id"].reason == "it reuses here, the calibrated kernel copies"
    assert found["reuse-byte", 64, "page-mapcount"].ns_per_page == pytest.approx(1510)


def test_a_single_size_is_predicted_as_measured(make: Any) -> None:
    calibration = make.calibration({"remap": make.rest(20, 0)}, sizes=(2048,))
    found = predicted(make.model(["remap"], sizes=(2048,)), calibration).forecasts
    assert found["remap", 2048, NO_MC].ns_per_page == pytest.approx(26)
    (check,) = predicted(make.model(["remap"], sizes=(2048,)), calibration).checks
    assert check.deviation == pytest.approx(0)


def test_what_is_not_trusted_at_any_size_predicts_nothing(make: Any) -> None:
    bench = make.bench({"reuse-byte": make.rest(1500, 0)})
    cells = [msgspec.structs.replace(cell, counted={"copies": 1.0}) for cell in bench.cells]
    made = calibrate(
        msgspec.structs.replace(bench, cells=cells), make.model(["reuse-byte"]), make.OWN, make.PARAMETERS, True
    )
    assert made.operations[0].constants is None
    found = rest_of(made, "reuse-byte", 64, True)
    assert isinstance(found, Unknown) and "the kernel copied 1.00 pages per page" in found.reason
    assert isinstance(rest_of(made, "reuse-byte", 4, True), Rest)


def test_a_rest_below_nothing_predicts_nothing(make: Any) -> None:
    calibration = make.calibration({"munmap": make.rest(-8, 0)})
    found = predicted(make.model(), calibration).forecasts
    assert found["munmap", 64, "page-mapcount"].ns_per_page == pytest.approx(2)
    assert "not distinguishable from 0 or less" in found["munmap", 64, NO_MC].reason
    assert found["munmap", 64, NO_MC].ns_per_page is None


def test_cells_that_were_not_measured(make: Any) -> None:
    model = make.model()
    cells = [
        Cell(workload=cell.workload, size_kib=cell.size_kib, policy=cell.policy, status="failed", reason="it raised")
        if cell.policy == NO_MC or cell.size_kib == 16
        else cell
        for cell in model.cells
    ]
    broken = msgspec.structs.replace(model, cells=cells)
    found = predicted(broken, make.calibration({"munmap": make.rest(20, 300)})).forecasts
    assert found["munmap", 64, NO_MC].reason == "it raised"
    assert found["munmap", 16, "mm-id"].reason == "it raised" and found["munmap", 64, "mm-id"].ratio is not None


def test_how_wide_the_intervals_are_is_told_beside_how_much_lies_inside(make: Any) -> None:
    calibration = widened(make.calibration({"munmap": make.rest(20, 300)}), 64, 5.0)
    found = predicted(make.model(), calibration, (figure(-8, 64), figure(-8, 256)))
    (tally,) = found.tallies
    widths = [width(found.forecasts["munmap", size, NO_MC]) for size in (64, 256)]
    assert widths[0] > widths[1] and tally.width == pytest.approx(sum(widths) / 2 * 100)


def test_how_it_stands_to_published_figures(make: Any) -> None:
    calibration = make.calibration({"munmap": make.rest(10, 0)})
    figures = (
        figure(-20, 64), figure(-19.6, 256), figure(-20.4, 16), figure(0, 4), figure(27, 64, meaning="speed-up"),
        figure(-40, 128),
    )  # fmt: skip
    found = predicted(make.model(), calibration, figures)
    standing = {size: found.forecasts["munmap", size, NO_MC].standings for size in (4, 16, 64, 128, 256)}
    assert all(len(each) == 1 for each in standing.values())  # a speed-up is no change of run time
    (at_64,), (at_16,), (at_128,) = standing[64], standing[16], standing[128]
    assert at_64.raw == pytest.approx(-20) and at_64.predicted == pytest.approx(0) and at_64.inside
    assert at_16.predicted == pytest.approx(0.4) and not at_16.inside
    assert at_128.predicted == pytest.approx(20) and not at_128.inside
    (tally,) = found.tallies
    assert (tally.policy, tally.workload, tally.figures, tally.inside) == (NO_MC, "munmap", 4, 1)
    assert tally.nearer == 3
    assert tally.raw == pytest.approx((20 + 20.4 + 19.6) / 4)
    assert tally.predicted == pytest.approx((0 + 0.4 + 0.4 + 20) / 4)


@pytest.mark.parametrize(("percent", "inside"), [(-20, True), (-19, False), (-20.04, True), (-20.1, False)])
def test_a_published_figure_is_known_to_its_last_digit(make: Any, percent: float, inside: bool) -> None:
    calibration = make.calibration({"munmap": make.rest(10, 0)})
    found = predicted(make.model(), calibration, (figure(percent),))
    (standing,) = found.forecasts["munmap", 64, NO_MC].standings
    assert standing.inside is inside


def test_another_machine_and_another_amount_of_memory_are_noted(make: Any) -> None:
    calibration = make.calibration({"munmap": make.rest(10, 0)})
    assert predicted(make.model(), calibration).notes == []
    other = make.model(machine=HostInfo(cpu="another CPU", cores=2, memory_bytes=1, os="an OS"))
    (note,) = predicted(other, calibration).notes
    assert "made on a CPU, this is another CPU" in note
    config = msgspec.structs.replace(make.model().config, memory=1 << 30)
    (note,) = predicted(make.model(config=config), calibration).notes
    assert "512 MiB, this result on 1024 MiB" in note
