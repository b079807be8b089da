"""Measuring in the window: curves that grow, views of a result, and what goes wrong."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from foliolab.framework.engine.engine import native_missing
from foliolab.policies import mm_id, page_mapcount

if TYPE_CHECKING:
    from foliolab.gui.main_window import Window

PATIENCE = 120_000
POLICIES = ["page-mapcount", "mm-id"]
needs_native = pytest.mark.skipif(bool(native_missing()), reason=native_missing() or "-")


def made_up() -> Any:
    """A result as a run writes it: two policies, three sizes, known times."""
    from foliolab.framework import host
    from foliolab.framework.results import provenance
    from foliolab.framework.results.result import Cell, Config, Result

    cells = []
    for size, factor in ((16, 1.1), (64, 1.0), (2048, 0.5)):
        for policy in POLICIES:
            ratio = factor if policy == POLICIES[1] else 1.0
            samples = [10.0 * ratio * (1 + 0.002 * (i % 5)) for i in range(24)]
            counted = {"atomics": 2.0 * ratio, "loads": 5.0, "stores": 3.0, "cache_lines": 1.0, "lock_sections": 0.1}
            cells.append(Cell(workload="munmap", size_kib=size, policy=policy, samples=samples, counted=counted))
    parameters = {one.POLICY.name: dict(one.POLICY.with_parameters().values) for one in (page_mapcount, mm_id)}
    config = Config(
        policies=POLICIES, policy_parameters=parameters, baseline=POLICIES[0],
        workloads=["munmap"], sizes=[16, 64, 2048], memory=1 << 24, repeats=24, seed=1, quick=True,
    )  # fmt: skip
    return Result(
        complete=True, command="foliolab compare --policies page-mapcount,mm-id --workloads munmap",
        started=provenance.now(), finished=provenance.now(), config=config, machine=host.describe_host(),
        versions={}, kernel="", git="", cells=cells,
    )  # fmt: skip


def compared(workspace: Any, qtbot: Any) -> Any:
    """The workspace, once the verdicts are there."""
    qtbot.waitUntil(lambda: not workspace._comparing.busy, timeout=PATIENCE)
    return workspace


@pytest.fixture
def shown(window: Window, qtbot: Any) -> Any:
    """The workspace with that result."""
    window.send("benchmark", made_up())
    return compared(window.here, qtbot)


@needs_native
def test_curves_grow_while_it_measures(window: Window, qtbot: Any) -> None:
    from PySide6.QtCore import Qt

    window.go("benchmark")
    workspace: Any = window.here
    workspace.controls.choose({"policies": POLICIES, "workloads": ["munmap"], "sizes": "16K,64K", "memory": "16M"})
    workspace.controls.rounds.setValue(6)
    qtbot.mouseClick(workspace.controls.start, Qt.MouseButton.LeftButton)
    assert workspace.command_line.startswith("foliolab compare --policies page-mapcount,mm-id --baseline page-mapcount")
    incomplete: list[bool] = []
    workspace.job.reported.connect(
        lambda news: incomplete.append(not news.complete) if hasattr(news, "complete") else None
    )
    qtbot.waitUntil(lambda: workspace.job is None, timeout=PATIENCE)
    assert any(incomplete), "there was something to see before the end"
    assert compared(workspace, qtbot).result.complete
    (curve,) = [one for one in workspace.plot.curves if not one.dashed]
    assert curve.name == "mm-id" and curve.x == [4.0, 6.0]
    assert len(curve.low) == len(curve.high) == 2
    assert workspace.table.rowCount() == 4


@needs_native
def test_a_stopped_run_keeps_what_was_measured(window: Window, qtbot: Any) -> None:
    window.go("benchmark")
    workspace: Any = window.here
    workspace.controls.choose(
        {"policies": POLICIES, "workloads": ["munmap", "fork"], "sizes": "16K,64K", "memory": "64M"}
    )
    workspace.controls.rounds.setValue(400)
    workspace.start_chosen()
    qtbot.waitUntil(lambda: workspace.result is not None, timeout=PATIENCE)
    workspace.stop()
    qtbot.waitUntil(lambda: workspace.job is None, timeout=PATIENCE)
    assert workspace.result is not None and not workspace.result.complete
    assert workspace.controls.start.isEnabled()


def test_ratio_and_absolute_and_another_baseline(shown: Any, qtbot: Any) -> None:
    (ratio,) = [one for one in shown.plot.curves if not one.dashed]
    assert ratio.y == pytest.approx([1.1, 1.0, 0.5], rel=0.01)
    shown.views.toggle_scale()
    curves = {one.name: one for one in shown.plot.curves}
    assert set(curves) == set(POLICIES)
    assert curves["mm-id"].y[2] == pytest.approx(5.02, rel=0.02)
    shown.views.toggle_scale()
    shown.views.baseline.setCurrentText("mm-id")
    compared(shown, qtbot)
    (other,) = [one for one in shown.plot.curves if not one.dashed]
    assert other.name == "page-mapcount" and other.y[2] == pytest.approx(2.0, rel=0.01)


def test_one_part_of_the_sizes_is_shown_everywhere(shown: Any, qtbot: Any, window: Window) -> None:
    """Chosen by rows of the table; curves, bars, the copied command and the session follow."""
    from PySide6.QtCore import QPoint, Qt

    shown.table.sort_by("Size")
    rows = [shown.table.rowViewportPosition(row) + 9 for row in (1, 2)]
    qtbot.mousePress(shown.table.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(30, rows[0]))
    qtbot.mouseMove(shown.table.viewport(), QPoint(30, rows[1]))
    qtbot.mouseRelease(shown.table.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(30, rows[1]))
    assert (shown.part.low, shown.part.high) == (4, 6), "from 16K to 64K"
    (curve,) = [one for one in shown.plot.curves if not one.dashed]
    assert list(curve.x) == [4.0, 6.0] and len(curve.texts) == len(curve.low) == 2
    assert {row[1] for row in shown.table.table()[1]} == {"16K", "64K"}
    assert {row[1] for row in shown.bars.table()[1]} == {16, 64}
    assert shown.command_line.endswith("--sizes 16K,64K")
    state = shown.state(window.sessions._files)
    assert (state.smallest, state.largest) == (16, 64)
    window.commands.trigger("benchmark.sizes")
    assert shown.part.whole and "--sizes" not in shown.command_line and shown.table.rowCount() == 6
    shown.restore(state, window.sessions._files)
    assert (shown.part.low, shown.part.high) == (4, 6)
    qtbot.mouseDClick(shown.plot.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(90, 60))
    assert shown.part.whole


def test_published_figures_are_dashed_and_can_be_hidden(shown: Any) -> None:
    dashed = [one for one in shown.plot.curves if one.dashed]
    assert dashed and all("published" in text for one in dashed for text in one.texts)
    shown.views.published.toggle()
    assert not [one for one in shown.plot.curves if one.dashed]


# -- predictions on a processor ------------------------------------------------------------------------
def counted_result() -> Any:
    """The same result with instructions counted: mm-id executes fewer the larger the folio."""
    from msgspec.structs import replace

    cells = []
    for cell in (one := made_up()).cells:
        more = 10.0 if cell.policy == POLICIES[0] else 640.0 / cell.size_kib
        counted = {"instructions": 100.0 + more, "locked": 2.0, "copied_pages": 0.0}
        cells.append(replace(cell, counted=cell.counted | counted))
    return replace(one, cells=cells)


def test_a_prediction_is_a_band_about_a_dotted_curve(window: Window, qtbot: Any) -> None:
    window.send("benchmark", counted_result())
    shown = compared(window.here, qtbot)
    assert not [one for one in shown.plot.curves if one.band]
    shown.controls.choose({"cpu": "xeon-4210r"})
    (band,) = [one for one in shown.plot.curves if one.band]
    assert band.name == "mm-id, predicted on xeon-4210r" and band.x == [4.0, 6.0, 11.0]
    assert all(low <= y <= high for low, y, high in zip(band.low, band.y, band.high, strict=True))
    assert band.low[0] < band.high[0] and band.y[0] > 1 > band.y[2]
    assert "predicted on Intel Xeon Silver 4210R (Cascade Lake) of mm-id, munmap, folios of 16K: +" in band.texts[0]
    assert "mm-id, predicted on xeon-4210r: " in shown.plot.accessibleDescription()
    drawn = shown.plot._drawn[band.name]
    assert drawn.area.isVisible() and not drawn.bars.isVisible() and drawn.line.opts["symbol"] is None
    shown.views.rest.setCurrentIndex(1)  # with the kernel, whose counts are shipped
    (whole,) = [one for one in shown.plot.curves if one.band]
    assert abs(whole.y[0] - 1) < abs(band.y[0] - 1), "what both policies do besides makes the change smaller"
    shown.views.rest.setCurrentIndex(0)
    shown.controls.choose({"cpu": ""})
    assert not [one for one in shown.plot.curves if one.band]


def test_without_counted_instructions_nothing_is_predicted(shown: Any) -> None:
    shown.controls.choose({"cpu": "xeon-4210r"})
    assert shown.plot.curves and not [one for one in shown.plot.curves if one.band]
    assert "instructions of this result were not counted" in shown.desk.notices.all[-1].text


@needs_native
def test_a_chosen_processor_is_part_of_the_command(window: Window) -> None:
    window.go("benchmark")
    workspace: Any = window.here
    workspace.controls.choose({"policies": POLICIES, "workloads": ["munmap"], "cpu": "epyc-7313"})
    assert workspace.controls.wish().cpu == "epyc-7313"
    assert "--cpu epyc-7313" in workspace.command_line or sys.platform != "linux"


def test_what_a_benchmark_measured_on_a_kernel_stands_in_the_table(shown: Any, qtbot: Any) -> None:
    from msgspec.structs import replace

    from foliolab.framework.results.beside import BesideCell

    made = BesideCell(
        tool="will-it-scale", test="munmap1", workload="munmap", size_kib=16, policy="mm-id", host="xeon",
        unit="ns a page", samples=[10.0, 12.0],
    )  # fmt: skip
    shown.show_result(replace(shown.result, beside=[made]))
    compared(shown, qtbot)
    cells = [shown.table.item(row, 8) for row in range(shown.table.rowCount())]
    assert [cell.text() for cell in cells if "11 ns a page ± 1.41" in cell.text()]
    assert any("imported: will-it-scale; xeon; munmap1" in cell.toolTip() for cell in cells)


def test_verdicts_and_counted_metrics_stand_beside(shown: Any) -> None:
    from PySide6.QtCore import QPoint

    verdicts = {shown.table.item(row, 6).text() for row in range(shown.table.rowCount())}
    assert {"▼ faster", "▲ slower", "= same", "· baseline"} <= verdicts
    shown.bars.grab()
    told = {shown.bars.text_at(QPoint(x, y)) for x in range(0, shown.bars.width(), 9) for y in range(0, 150, 7)}
    assert "mm-id: 1.000 atomic operations per page" in told
    assert "page-mapcount: 5.000 loads per page" in told


def test_the_picture_is_described_in_words(shown: Any) -> None:
    said = shown.plot.accessibleDescription()
    assert said.startswith("munmap: ratio of time to page-mapcount over folio size. ")
    assert "mm-id: 1.1 at 16K, 0.5 at 2M" in said


def test_without_a_calibration_the_rest_of_the_kernel_is_a_notice(shown: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from foliolab.framework import calibration

    monkeypatch.setattr(calibration, "default_path", lambda kernel: Path("/nowhere/at/all"))
    shown.views.rest.setCurrentIndex(1)
    assert "not calibrated" in shown.desk.notices.all[-1].text
    shown.views.rest.setCurrentIndex(0)
    assert shown.plot.curves


def test_a_result_is_saved_and_opened_in_compare(shown: Any, tmp_path: Path) -> None:
    from foliolab.framework.results.result import Result

    window = shown.window()
    shown.save(tmp_path / "result.json")
    assert Result.load(tmp_path / "result.json") == shown.result
    shown.compare()
    assert window.here.name == "compare"
    assert "result.json" in window.here.banner.text.text()


def test_pictures_and_tables(shown: Any, tmp_path: Path) -> None:
    from foliolab.gui.window.exporting import export

    for one in shown.exportables():
        for form in one.forms:
            export(one, tmp_path / f"{one.name}{form}")
            assert (tmp_path / f"{one.name}{form}").stat().st_size > 50
    assert "mm-id" in (tmp_path / "counted.csv").read_text()


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        ({"policies": ["exact"], "workloads": ["munmap"]}, "nothing to compare"),
        ({"policies": POLICIES, "workloads": []}, "no workload"),
        ({"policies": POLICIES, "workloads": ["munmap"], "sizes": "17K"}, "17K"),
    ],
)
def test_what_cannot_be_measured_is_a_notice(window: Window, choice: dict[str, Any], says: str) -> None:
    window.go("benchmark")
    workspace: Any = window.here
    workspace.controls.choose(choice)
    workspace.start_chosen()
    assert says in window.notices.all[-1].text
    assert workspace.job is None


def test_nothing_to_save_or_to_hand_on_is_said(window: Window) -> None:
    window.go("benchmark")
    for name in ("save", "compare"):
        window.notices.clear()
        window.commands.trigger(f"benchmark.{name}")
        assert "nothing is measured yet" in window.notices.all[-1].text
