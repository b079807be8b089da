"""Columns of tables: sorted by a click, and as wide as the user left them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


def test_a_width_that_the_user_sets_is_found_again(qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PySide6.QtCore import QSettings

    from foliolab.gui.widgets.cell_table import Cell, CellTable
    from foliolab.gui.window.settings import Settings
    from foliolab.gui.window.theme import LIGHT

    settings = Settings(QSettings(str(tmp_path / "x.ini"), QSettings.Format.IniFormat))
    settings.keep("columns/A-table", ["a=77", "b=-5", "c=x", "d=99999999999999999999"])
    first = CellTable("A table", ("a", "b", "last"), LIGHT)
    qtbot.addWidget(first)
    first.remember(settings)
    first.show_rows([[Cell("x"), Cell("a longer text"), Cell("z")]])
    assert first.columnWidth(0) == 77 and first.columnWidth(1) > 60, "the other is as wide as its text"
    monkeypatch.setattr(CellTable, "_pressed", lambda self: True)
    first.horizontalHeader().resizeSection(1, 200)
    second = CellTable("A table", ("a", "b", "last"), LIGHT)
    qtbot.addWidget(second)
    second.remember(settings)
    second.show_rows([[Cell("x"), Cell("y"), Cell("z")]])
    assert (second.columnWidth(0), second.columnWidth(1)) == (77, 200)


def test_rows_stay_in_their_order_until_a_heading_is_clicked(qtbot: Any) -> None:
    from PySide6.QtCore import QPoint, Qt

    from foliolab.gui.widgets.cell_table import Cell, CellTable
    from foliolab.gui.window.theme import LIGHT

    table = CellTable("Numbers", ("number",), LIGHT)
    qtbot.addWidget(table)
    table.sort_on_click()
    table.show_rows([[Cell(str(number), number=number)] for number in (10, 9, 100)])
    table.show()

    def texts() -> list[str]:
        return [item.text() for row in range(3) if (item := table.item(row, 0)) is not None]

    assert texts() == ["10", "9", "100"]
    qtbot.mouseClick(table.horizontalHeader().viewport(), Qt.MouseButton.LeftButton, pos=QPoint(20, 5))
    assert texts() == ["9", "10", "100"]
