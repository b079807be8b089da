"""Names, messages and paths from outside mean nothing to Qt: no HTML, no control characters, no formulas."""

from __future__ import annotations

import ast
import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

GUI = Path(__file__).parents[2] / "gui"
HOSTILE = "<img src='http://e/p.png'> \x1b[2J \u202eabc"
SHOWN = "<img src='http://e/p.png'> \\x1b[2J \\u202eabc"


def calls(name: str) -> Iterator[tuple[str, ast.Call]]:
    """Every call of a function or method of that name in the window's code, with where it is."""
    for path in sorted(GUI.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                called = node.func
                if name in (getattr(called, "attr", ""), getattr(called, "id", "")):
                    yield f"{path.relative_to(GUI)}:{node.lineno}", node


def is_plain(text: ast.expr) -> bool:
    """Whether a text is a constant, or made harmless by `plain`."""
    if isinstance(text, ast.Call):
        called = text.func
        return getattr(called, "attr", getattr(called, "id", "")) in ("tip", "as_html", "_html")
    return isinstance(text, ast.Constant)


def test_a_label_shows_what_a_text_says(qtbot: Any) -> None:
    from PySide6.QtCore import Qt

    from foliolab.gui.window.building import label

    made = label(HOSTILE)
    qtbot.addWidget(made)
    assert made.textFormat() == Qt.TextFormat.PlainText
    assert made.text() == SHOWN
    made.setText(f"again {HOSTILE}")
    assert made.text() == f"again {SHOWN}"


def test_a_tip_shows_what_a_text_says(qtbot: Any) -> None:
    from PySide6.QtGui import QTextDocument

    from foliolab.gui.window.plain import tip

    assert tip("a & b\n\x1b") == "a & b\n\\x1b"
    shown = QTextDocument()
    shown.setHtml(tip(f"{HOSTILE}\nline"))
    assert shown.toPlainText() == f"{SHOWN}\nline"


def test_a_table_shows_what_a_text_says_and_is_taken_along_without_formulas(qtbot: Any, tmp_path: Path) -> None:
    from foliolab.gui.widgets.cell_table import Cell, CellTable
    from foliolab.gui.window.exporting import Exportable, export
    from foliolab.gui.window.theme import LIGHT

    made = CellTable("t", ["policy"], LIGHT)
    qtbot.addWidget(made)
    made.show_rows([[Cell(HOSTILE, tip=HOSTILE)], [Cell("=cmd()")]])
    item = made.item(0, 0)
    assert item is not None
    assert item.text() == SHOWN
    assert item.toolTip().startswith("<p>&lt;img")
    export(Exportable("t", "Table", table=made.table), tmp_path / "t.csv")
    rows = list(csv.reader((tmp_path / "t.csv").open(newline="")))
    assert rows == [["policy"], [SHOWN], ["'=cmd()"]]


@pytest.mark.parametrize(("name", "argument"), [("setToolTip", -1), ("setHtml", 0)])
def test_what_takes_html_gets_none_from_outside(name: str, argument: int) -> None:
    found = list(calls(name))
    assert found
    # headings of tables are constants of their modules; the glossary is FolioLab's own page, and is escaped
    allowed = ["explore/counters.py", "explore/legend.py", "widgets/glossary_sheet.py"]
    assert [at for at, call in found if not is_plain(call.args[argument]) and at.partition(":")[0] not in allowed] == []


def test_every_label_is_plain() -> None:
    assert [at for at, _ in calls("QLabel") if not at.startswith("window/plain.py")] == []
