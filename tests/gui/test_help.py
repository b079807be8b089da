"""The sheets of shortcuts and of the glossary, and printing."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from foliolab.gui.main_window import Window


def test_every_shortcut_is_on_the_sheet(window: Window) -> None:
    from foliolab.gui.widgets.shortcut_sheet import OWN, ShortcutSheet

    window.commands.trigger("help.shortcuts")
    (sheet,) = window.findChildren(ShortcutSheet)
    _, rows = sheet.table.table()
    listed = {(row[1], row[2]) for row in rows}
    expected = {command.plain for command, _, _ in window.commands.all() if command.keys}
    assert {what for what, _ in listed} == expected | {what for _, what, _ in OWN}
    assert ("Find anything", "Ctrl+K, Ctrl+Shift+P") in listed
    sheet.close()


ROOT = Path(__file__).parents[2]
KEYS_OF = {
    "compare/scatter.py": "Scatter",
    "compare/table.py": "Matrix",
    "explore/map_view.py": "Maps",
    "inspector/folio_picture.py": "Fields of a folio",
    "sequence/diagram.py": "Sequence diagram",
    "widgets/recent_dialog.py": "Recent",
    "widgets/search_field.py": "Search fields",
    "window/notebook.py": "Bookmarks and notes",
}


def test_widgets_with_keys_of_their_own_are_on_the_sheet(qtbot: object) -> None:
    from foliolab.gui.widgets.shortcut_sheet import OWN

    gui = ROOT / "gui"
    own = {str(one.relative_to(gui)) for one in gui.rglob("*.py") if "def keyPressEvent" in one.read_text()}
    assert own == set(KEYS_OF), "name its keys on the sheet, and here where they are"
    assert set(KEYS_OF.values()) <= {where for where, _, _ in OWN}


def test_the_glossary_is_that_of_the_documentation_and_is_searched(window: Window) -> None:
    from foliolab.gui.widgets.glossary_sheet import GlossarySheet

    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    window.commands.trigger("help.glossary")
    (sheet,) = window.findChildren(GlossarySheet)
    assert len(sheet.entries) == text.count("\n: ") > 20
    everything = sheet.page.toPlainText()
    assert all(term in everything for term, _ in sheet.entries)
    assert "*" not in everything and "`" not in everything and "](" not in everything
    sheet.entry.setText("PTE mapping")
    assert sheet.page.toPlainText().startswith("mapping\n") and len(sheet.page.toPlainText()) < len(everything) / 2
    sheet.entry.setText("<b>")
    assert sheet.page.toPlainText() == "No entry of the glossary has these words."
    sheet.close()


def test_a_glossary_that_is_absent_is_a_notice(window: Window, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from foliolab.gui.widgets import glossary_sheet

    monkeypatch.setattr(glossary_sheet, "PLACES", (tmp_path / "absent.md",))
    window.commands.trigger("help.glossary")
    assert any("glossary cannot be read" in one.text for one in window.notices.all)


def test_the_wheel_has_the_glossary_where_the_desktop_looks(qtbot: object) -> None:
    from foliolab.gui.widgets import glossary_sheet

    with (ROOT / "pyproject.toml").open("rb") as file:
        wheel = tomllib.load(file)["tool"]["hatch"]["build"]["targets"]["wheel"]
    package = Path(glossary_sheet.__file__).parents[2]
    assert wheel["force-include"]["docs/glossary.md"] == f"foliolab/{glossary_sheet.PLACES[0].relative_to(package)}"


def test_a_view_is_printed(window: Window, tmp_path: Path) -> None:
    from PySide6.QtPrintSupport import QPrinter

    from foliolab.gui.window import printing
    from foliolab.gui.window.exporting import Exportable

    printer = QPrinter()
    printer.setOutputFormat(QPrinter.OutputFormat.PdfFormat)
    printer.setOutputFileName(str(tmp_path / "view.pdf"))
    window.resize(1000, 700)
    rows = [(number, "<b>text</b>") for number in range(200)]
    table = Exportable("table", "A table", table=lambda: (("number", "text"), rows))
    printing.print_all([Exportable("view", "The view", window.here), table], printer)
    data = (tmp_path / "view.pdf").read_bytes()
    assert data.startswith(b"%PDF") and len(data) > 5000
    assert data.count(b"/Type /Page\n") >= 3, "the picture has a page, the table several"
