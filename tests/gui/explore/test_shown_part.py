"""The part of a run that all views show: chosen on one of them, followed by the others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from foliolab.framework.engine.engine import native_missing
from foliolab.framework.explore.history import SERIES, History
from foliolab.framework.explore.view import HistoryView

if TYPE_CHECKING:
    from foliolab.gui.main_window import Window

needs_native = pytest.mark.skipif(bool(native_missing()), reason=native_missing() or "-")
PATIENCE = 120_000


def test_the_totals_of_a_part_are_those_of_its_steps() -> None:
    """Answers at their worst, decisions as they increased; before and after the part nothing counts."""
    history = History(1)
    right, wrong = [1.0, 0.5, 0.9, 0.2, 1.0], [0, 1, 1, 4, 9]
    for position in range(5):
        of = dict.fromkeys(SERIES, 0.0) | {"right": right[position], "wrong_copies": wrong[position]}
        of |= {"unsafe": 7.0 if position == 1 else 0.0}
        history.add(position, [[of[name] for name in SERIES]])
    nothing = np.zeros(0, np.int64)
    high, low = (np.array([[getattr(history, end)(0, name) for name in SERIES]]) for end in ("high", "low"))
    view = HistoryView(history.positions, high, low, nothing, nothing, nothing)
    found = view.between(2, 4)
    assert found is not None and (found.low, found.high) == (2, 4)
    values = dict(zip(SERIES, found.values[0].tolist(), strict=True))
    assert (values["right"], values["wrong_copies"], values["unsafe"]) == (0.2, 8.0, 0.0)
    assert view.between(5, 9) is None, "nothing is known of steps that were not done"
    later = view.between(3, 9)
    assert later is not None and later.high == 4, "as far as the run has come"


@pytest.fixture
def daemons(window: Window, qtbot: Any) -> Any:
    """A pattern at its end, with the state of the whole run."""
    window.send("explore", {"pattern": "daemons", "policies": ["mm-id", "exact"], "mms": 3, "span": 1 << 20})
    workspace: Any = window.here
    qtbot.waitUntil(lambda: workspace.facts is not None and workspace.run.view is not None, timeout=PATIENCE)
    end = workspace.facts.nr_steps
    workspace.controls.goto(end)
    qtbot.waitUntil(lambda: workspace.run.view.position == end and not workspace.run.view.busy, timeout=PATIENCE)
    return workspace


@needs_native
def test_all_views_follow_one_part(daemons: Any, window: Window, qtbot: Any, tmp_path: Path) -> None:
    part, end = daemons.shown_part.part, daemons.facts.nr_steps
    whole = daemons.counters.table()[1]
    part.see(10, 30)
    slider, plot, table = daemons.run_bar.slider.slider, daemons.plot.plot, daemons.steps
    assert (slider.minimum(), slider.maximum()) == (10, 30)
    low, high = plot.getViewBox().viewRange()[0]
    assert (low, high) == (pytest.approx(10, abs=1), pytest.approx(30, abs=1))
    assert table.rows.rowCount() == 20 and table.rows.data(table.rows.index(0, 0)) == "11"
    assert daemons.docks["counters"].windowTitle() == "Counters, steps 10 to 30"
    assert daemons.counters.table()[1] != whole
    shown = daemons.maps.maps[0, 0]
    qtbot.waitUntil(lambda: shown.painter.part is not None, timeout=PATIENCE)
    assert not shown.painter.part[:-1].all(), "pages that the part does not act on are dimmed"
    what = daemons.shareable()
    assert what.words[1:3] == ("--steps", "10-29"), "what is shared is the part"
    daemons.desk.commands.trigger("explore.run")
    assert part.whole and daemons.counters.table()[1] == whole and shown.painter.part is None
    assert (slider.minimum(), slider.maximum()) == (0, end)
    assert daemons.docks["counters"].windowTitle() == "Counters"


@needs_native
def test_the_timeline_the_curves_and_the_table_choose_it(daemons: Any, window: Window, qtbot: Any) -> None:
    from PySide6.QtCore import QPoint, Qt

    from foliolab.gui.explore.step_order import KIND, TEXT, TIME, WRONG

    part, marks, end = daemons.shown_part.part, daemons.run_bar.slider.marks, daemons.facts.nr_steps
    left, length = marks._groove()
    where = [QPoint(int(left + length * share), 8) for share in (0.25, 0.5)]
    qtbot.mousePress(marks, Qt.MouseButton.LeftButton, pos=where[0])
    qtbot.mouseMove(marks, where[1])
    qtbot.mouseRelease(marks, Qt.MouseButton.LeftButton, pos=where[1])
    assert part.low == pytest.approx(end / 4, abs=end / 50) and part.high == pytest.approx(end / 2, abs=end / 50)
    qtbot.mouseDClick(daemons.plot.plot.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(60, 30))
    assert part.whole
    daemons.docks["steps"].raise_()
    table = daemons.steps
    qtbot.waitUntil(lambda: "…" not in table.rows.data(table.rows.index(0, TEXT)), timeout=PATIENCE)
    assert table.isColumnHidden(TIME), "a pattern has no times"

    def column(number: int) -> list[str]:
        return [str(table.rows.data(table.rows.index(row, number))) for row in range(table.rows.rowCount())]

    qtbot.waitUntil(lambda: "write" in column(KIND), timeout=PATIENCE)
    wrong, kinds = column(WRONG), column(KIND)
    assert set(wrong) >= {"mm-id", "none"} and "exact" not in "".join(wrong)
    table.rows.sort_by(WRONG, False)
    assert column(WRONG) == sorted(wrong) and column(WRONG)[0] == "mm-id"
    table.rows.sort_by(KIND, True)
    assert column(KIND) == sorted(kinds, reverse=True)
    table.rows.sort_by(-1, False)
    corner = [QPoint(20, table.rowViewportPosition(row) + 5) for row in (1, 2)]
    qtbot.mousePress(table.viewport(), Qt.MouseButton.LeftButton, pos=corner[0])
    qtbot.mouseMove(table.viewport(), corner[1])
    qtbot.mouseRelease(table.viewport(), Qt.MouseButton.LeftButton, pos=corner[1])
    assert (part.low, part.high) == (1, 3)
    qtbot.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(20, table.rowViewportPosition(0) + 5))
    qtbot.waitUntil(lambda: daemons.run.view.position == 2, timeout=PATIENCE)
    state = daemons.state(window.sessions._files)
    assert (state.first, state.last) == (1, 3)
    part.fit()
    daemons.restore(state, window.sessions._files)
    assert (part.low, part.high) == (1, 3)
