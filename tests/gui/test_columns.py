"""Columns of tables: sorted by a click, and as wide as the user left them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


def test_a_width_that_the_user_sets_is_found_again(qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PySide6.QtCore import QSettings

    from foliolab.gui.widgets.cell_table import Cell, CellTable
    from foliolab.gui.widgets.columns import Columns
    from foliolab.gui.window.settings import Settings
    from foliolab.gui.window.theme import LIGHT

    settings = Settings(QSettings(str(tmp_path / "x.ini"), QSettings.Format.IniFormat))
    settings.keep("columns/A-table", ["a=77", "b=-5", "c=x", "d=99999999999999999999"])
    first = CellTable("A table", ("a", "b", "last"), LIGHT)
    qtbot.addWidget(first)
    first.remember(settings)
    first.show_rows([[Cell("x"), Cell("a longer text"), Cell("z")]])
    assert first.columnWidth(0) == 77 and first.columnWidth(1) > 60, "the other is as wide as its text"
    monkeypatch.setattr(Columns, "_pressed", lambda self: True)
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
    table.show_rows([[Cell(str(number), number=number)] for number in (10, 9, 100)])
    table.show()

    def texts() -> list[str]:
        return [item.text() for row in range(3) if (item := table.item(row, 0)) is not None]

    assert texts() == ["10", "9", "100"]
    qtbot.mouseClick(table.horizontalHeader().viewport(), Qt.MouseButton.LeftButton, pos=QPoint(20, 5))
    assert texts() == ["9", "10", "100"]


def test_an_order_is_kept_and_given_up_by_the_third_click(qtbot: Any, tmp_path: Path) -> None:
    from PySide6.QtCore import QPoint, QSettings, Qt

    from foliolab.gui.widgets.cell_table import Cell, CellTable
    from foliolab.gui.window.settings import Settings
    from foliolab.gui.window.theme import LIGHT

    settings = Settings(QSettings(str(tmp_path / "x.ini"), QSettings.Format.IniFormat))

    def made() -> CellTable:
        table = CellTable("A table", ("name", "share"), LIGHT)
        qtbot.addWidget(table)
        table.remember(settings)
        table.show_rows([[Cell(text), Cell(text)] for text in ("5 %", "40 %", "")])
        table.show()
        return table

    def texts(table: CellTable) -> list[str]:
        return [item.text() for row in range(3) if (item := table.item(row, 0)) is not None]

    first = made()
    heads = first.horizontalHeader()
    where = QPoint(heads.sectionViewportPosition(1) + 9, 5)
    for wanted in (["5 %", "40 %", ""], ["", "40 %", "5 %"]):
        qtbot.mouseClick(heads.viewport(), Qt.MouseButton.LeftButton, pos=where)
        assert texts(first) == wanted
    assert texts(made()) == ["", "40 %", "5 %"], "the next table of this name is sorted alike"
    qtbot.mouseClick(heads.viewport(), Qt.MouseButton.LeftButton, pos=where)
    assert texts(first) == texts(made()) == ["5 %", "40 %", ""], "in their own order again"


def test_a_tree_is_sorted_within_its_groups_and_keeps_it(qtbot: Any, tmp_path: Path) -> None:
    from PySide6.QtCore import QPoint, QSettings, Qt

    from foliolab.gui.widgets.sorted_tree import SortedItem, SortedTree
    from foliolab.gui.window.settings import Settings

    settings = Settings(QSettings(str(tmp_path / "x.ini"), QSettings.Format.IniFormat))

    def made(headings: tuple[str, ...] = ("", "share")) -> SortedTree:
        tree = SortedTree("A tree", headings)
        qtbot.addWidget(tree)
        tree.remember(settings)
        groups = []
        for name, shares in (("second", ("5 %", "40 %", "9 %")), ("first", ("2 %", "1 %"))):
            group = SortedItem([name])
            group.addChildren([SortedItem([f"{name} {share}", share]) for share in shares])
            groups.append(group)
        tree.show_items(groups)
        tree.expandAll()
        tree.show()
        return tree

    def texts(tree: SortedTree) -> list[list[str]]:
        tops = [tree.topLevelItem(at) for at in range(2)]
        return [[top.child(at).text(1) for at in range(top.childCount())] for top in tops if top is not None]

    own = [["5 %", "40 %", "9 %"], ["2 %", "1 %"]]
    first = made()
    assert texts(first) == own and first.header().sortIndicatorSection() == -1, "no heading is marked"
    group = first.numbered(0)
    assert group is not None
    chosen = group.child(1)
    first.setCurrentItem(chosen)
    where = QPoint(first.header().sectionViewportPosition(1) + 9, 5)
    for wanted in ([["5 %", "9 %", "40 %"], ["1 %", "2 %"]], [["40 %", "9 %", "5 %"], ["2 %", "1 %"]]):
        qtbot.mouseClick(first.header().viewport(), Qt.MouseButton.LeftButton, pos=where)
        assert texts(first) == wanted
    assert first.currentItem() is chosen and group.isExpanded()
    assert texts(made()) == [["40 %", "9 %", "5 %"], ["2 %", "1 %"]], "the next tree of this name is sorted alike"
    assert texts(made(("", "other"))) == own, "a heading that is not there sorts nothing"
    qtbot.mouseClick(first.header().viewport(), Qt.MouseButton.LeftButton, pos=where)
    assert texts(first) == texts(made()) == own


def test_claims_and_the_matrix_are_sorted(qtbot: Any, tmp_path: Path) -> None:
    """Claims answer a click on the row where they are now; the matrix keeps the chosen cell, the order and widths."""
    from PySide6.QtCore import QSettings

    from foliolab.gui.compare.answer import QUESTIONS, Answer
    from foliolab.gui.compare.matrix import Matrix
    from foliolab.gui.compare.measure import Cell
    from foliolab.gui.compare.table import MatrixView
    from foliolab.gui.verify.claims import Claims
    from foliolab.gui.window.settings import Settings
    from foliolab.gui.window.theme import LIGHT
    from foliolab.policies import mm_id

    claims = Claims(LIGHT)
    qtbot.addWidget(claims)
    scheme: Any = mm_id.POLICY
    claims.begin(scheme, {})
    own = [str(row[0]) for row in claims.table()[1]]
    example: Any = type("Example", (), {"message": "it breaks"})()
    claims.refute(own[1], example)
    claims.sort_by("Claim", descending=True)
    row = next(row for row in range(claims.rowCount()) if (item := claims.item(row, 0)) and item.text() == own[1])
    assert row != 1
    with qtbot.waitSignal(claims.wanted) as wanted:
        claims.itemClicked.emit(claims.item(row, 3) or claims.item(row, 0))
    assert wanted.args == [example]

    settings = Settings(QSettings(str(tmp_path / "x.ini"), QSettings.Format.IniFormat))
    matrix = Matrix()
    view = MatrixView(matrix, LIGHT)
    qtbot.addWidget(view)
    view.remember(settings)
    matrix.set_policies(["dear", "cheap", "unknown", "middle"], {})
    column = next(at for at, one in enumerate(QUESTIONS, 1) if one.name == "cost")
    for policy, figure in (("dear", "+40 %"), ("cheap", "−3.5 %"), ("middle", "+5 %")):
        matrix.set_answer(Cell("cost", policy), Answer("slower", figure=figure))
    view.setCurrentIndex(matrix.index(1, column))
    view.header.sorting.emit(column)
    assert matrix.policies == ["cheap", "middle", "dear", "unknown"]
    assert view.currentIndex().row() == 0, "the chosen cell stays chosen"
    view.header.sorting.emit(column)
    assert matrix.policies == ["dear", "middle", "cheap", "unknown"], "what is not known comes last in either order"
    again = Matrix()
    second = MatrixView(again, LIGHT)
    qtbot.addWidget(second)
    second.remember(settings)
    assert again.order == (column, True)
    view.header.sorting.emit(column)
    assert matrix.policies == ["dear", "cheap", "unknown", "middle"], "their own order"
