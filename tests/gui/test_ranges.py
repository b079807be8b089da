"""Ranges by mouse and their arithmetic: a part of a whole, dragged and turned by the wheel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foliolab.gui.explore.step_times import StepTimes, seconds_text
from foliolab.gui.widgets.interval import Interval
from foliolab.gui.widgets.sorting import sort_key

WIDE, HIGH = 400, 40


@settings(max_examples=60, deadline=None)
@given(
    most=st.integers(0, 1_000_000),
    turns=st.lists(
        st.tuples(st.sampled_from(["zoom", "pan", "see"]), st.floats(-2e6, 2e6), st.floats(0.01, 9)), max_size=9
    ),
)
def test_a_part_stays_within_the_whole_and_never_vanishes(most: int, turns: list[tuple[str, float, float]]) -> None:
    part = Interval()
    part.cover(0, most)
    for kind, at, factor in turns:
        length = part.high - part.low
        if kind == "zoom":
            part.zoom(factor, at)
        elif kind == "pan":
            part.pan(at)
            assert part.high - part.low == length
        else:
            part.see(at, at + factor)
        assert 0 <= part.low <= part.high <= most
        assert part.high > part.low or most == 0
    part.fit()
    assert part.whole


@pytest.mark.parametrize("at", [0, 250, 999, 1000])
def test_the_wheel_zooms_around_the_number_under_it(at: int) -> None:
    part = Interval()
    part.cover(0, 1000)
    for _ in range(3):
        part.zoom(2, at)
        assert part.low <= at <= part.high
    assert part.high - part.low == 125
    for _ in range(40):
        part.zoom(1.25, at)
    assert part.high - part.low == 1, "each turn makes the part shorter, down to one step"
    for _ in range(60):
        part.zoom(1 / 1.25, at)
    assert part.whole, "and each turn back longer"


@pytest.fixture
def bar(qtbot: Any) -> Any:
    """A widget of 400 pixels that shows the part of a whole of 1000."""
    from PySide6.QtWidgets import QWidget

    from foliolab.gui.widgets.range_drag import RangeDrag

    widget: Any = QWidget()
    qtbot.addWidget(widget)
    widget.resize(WIDE, HIGH)
    widget.part = Interval()
    widget.part.cover(0, 1000)
    widget.drag = RangeDrag(
        widget, widget.part, lambda x: widget.part.low + x / WIDE * (widget.part.high - widget.part.low)
    )
    widget.clicks = []
    widget.drag.clicked.connect(widget.clicks.append)
    widget.show()
    return widget


def dragged(qtbot: Any, widget: Any, begin: int, end: int) -> None:
    from PySide6.QtCore import QPoint, Qt

    qtbot.mousePress(widget, Qt.MouseButton.LeftButton, pos=QPoint(begin, 9))
    for x in (begin + (end - begin) // 2, end):
        qtbot.mouseMove(widget, QPoint(x, 9))
    qtbot.mouseRelease(widget, Qt.MouseButton.LeftButton, pos=QPoint(end, 9))


def turned(widget: Any, x: int, turn: int, shift: bool = False) -> None:
    from PySide6.QtCore import QPoint, QPointF, Qt
    from PySide6.QtGui import QWheelEvent
    from PySide6.QtWidgets import QApplication

    keys = Qt.KeyboardModifier.ShiftModifier if shift else Qt.KeyboardModifier.NoModifier
    at = QPointF(x, 9)
    event = QWheelEvent(
        at, widget.mapToGlobal(at), QPoint(), QPoint(0, turn), Qt.MouseButton.NoButton, keys,
        Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    QApplication.sendEvent(widget, event)


@pytest.mark.parametrize(("begin", "end"), [(100, 300), (300, 100)])
def test_a_drag_shows_a_part_in_either_direction(bar: Any, qtbot: Any, begin: int, end: int) -> None:
    dragged(qtbot, bar, begin, end)
    assert (bar.part.low, bar.part.high) == (250, 750) and not bar.clicks
    dragged(qtbot, bar, 0, 200)
    assert (bar.part.low, bar.part.high) == (250, 500), "a drag within the part shows a part of it"
    dragged(qtbot, bar, -90, 4000)
    assert (bar.part.low, bar.part.high) == (194, 1000), "beyond the edge is more than the part, within the whole"


def test_a_click_is_no_drag_and_two_clicks_show_the_whole(bar: Any, qtbot: Any) -> None:
    from PySide6.QtCore import QPoint, Qt

    dragged(qtbot, bar, 100, 102)
    assert bar.part.whole and bar.clicks == [102]
    bar.part.see(10, 20)
    qtbot.mouseDClick(bar, Qt.MouseButton.LeftButton, pos=QPoint(100, 9))
    assert bar.part.whole


def test_the_wheel_zooms_with_shift_it_pans_and_escape_gives_up(bar: Any, qtbot: Any) -> None:
    from PySide6.QtCore import QPoint, Qt

    turned(bar, 0, 120)
    assert (bar.part.low, bar.part.high) == (0, 800)
    turned(bar, 0, -120, shift=True)
    assert (bar.part.low, bar.part.high) == (80, 880)
    qtbot.mousePress(bar, Qt.MouseButton.LeftButton, pos=QPoint(10, 9))
    qtbot.mouseMove(bar, QPoint(200, 9))
    qtbot.keyClick(bar, Qt.Key.Key_Escape)
    qtbot.mouseRelease(bar, Qt.MouseButton.LeftButton, pos=QPoint(200, 9))
    assert (bar.part.low, bar.part.high) == (80, 880), "a drag that is given up changes nothing"
    qtbot.keyClick(bar, Qt.Key.Key_Escape)
    assert bar.part.whole


def test_times_of_a_trace() -> None:
    times = StepTimes(np.array([0.0, 10, 20]), np.array([0.0, 1e-3, 5e-3]))
    assert times.known and not StepTimes().known
    assert not StepTimes(np.array([0.0, 9]), np.array([0.0, 0.0])).known, "all at one moment: no axis"
    assert float(times.at(15)) == pytest.approx(3e-3) and times.position(3e-3) == pytest.approx(15)
    assert times.text(10) == "1 ms" and StepTimes().text(3) == ""
    assert [seconds_text(one, 1e-4) for one in (3.0511, 3.0512)] == ["3.0511 s", "3.0512 s"]
    assert [seconds_text(one) for one in (0, 2.5, 3.2e-5, 7e-9)] == ["0 s", "2.5 s", "32 µs", "7 ns"]


def test_a_column_is_sorted_by_numbers_then_by_words_and_nothing_is_last() -> None:
    right = ["−3.2 %", "+0.5 %", "4K", "64 KiB", "2M", "apple", "mm-id 2", "Zebra", ""]
    assert sorted(reversed(right), key=sort_key) == right
    assert sort_key("✓ 99 %") < sort_key("✓ 100.0 %") and sort_key("1,000") > sort_key("▲ 20")


def test_the_curves_of_all_attacks_show_one_part_of_their_time(qtbot: Any) -> None:
    from PySide6.QtCore import QPoint, Qt

    from foliolab.gui.verify.growth import Growth
    from foliolab.gui.window.theme import LIGHT

    part = Interval()
    one, other = Growth(LIGHT, part), Growth(LIGHT, part)
    for growth in (one, other):
        qtbot.addWidget(growth)
        growth.resize(202, 43)
        growth.show()
        for second in range(11):
            growth.add(float(second), 10.0**second, second % 3)
    assert (part.low, part.high) == (0, 10_000)
    whole = other.grab().toImage()
    dragged(qtbot, one, 60, 120)
    assert (part.low, part.high) == (3000, 6000)
    assert other.grab().toImage() != whole
    one.add(20.0, 1.0, 1.0)
    assert (part.low, part.high, part.most) == (3000, 6000, 20_000), "an attack that goes on leaves the part"
    qtbot.mouseDClick(other, Qt.MouseButton.LeftButton, pos=QPoint(60, 9))
    assert part.whole
    one.add(30.0, 1.0, 1.0)
    assert part.high == 30_000, "the whole goes on"
    part.see(12_000, 13_000)
    assert not other.grab().isNull(), "a part without points of this attack"
    one.clear()
    assert (part.low, part.high, part.most) == (0, 0, 0)


def test_a_click_has_the_last_steps_first(qtbot: Any) -> None:
    from PySide6.QtCore import QPoint, Qt

    from foliolab.gui.explore.step_order import TEXT
    from foliolab.gui.explore.step_table import StepTable

    part = Interval()
    table = StepTable(part, lambda: None)
    qtbot.addWidget(table)
    part.cover(0, 1000)
    table.begin(StepTimes())
    table.show()
    header = table.horizontalHeader()
    wanted: list[int] = []
    table.wanted.connect(wanted.append)

    def click(column: int) -> str:
        place = QPoint(header.sectionViewportPosition(column) + 9, 5)
        qtbot.mouseClick(header.viewport(), Qt.MouseButton.LeftButton, pos=place)
        return str(table.rows.data(table.rows.index(0, 0)))

    assert [click(0), click(0)] == ["1", "1,000"]
    table.rows.learn(997, ["a", "b", "c"])
    assert [table.rows.data(table.rows.index(row, TEXT)) for row in (0, 2)] == ["c", "a"]
    table.activated.emit(table.rows.index(2, 0))
    assert wanted == [998]
    table.show_position(999)
    assert [index.row() for index in table.selectionModel().selectedRows()] == [1]
    assert click(0) == "1", "the order of the run"
    assert [click(TEXT), click(TEXT)] == ["1", "1"], "what steps do is known only of those in sight"
