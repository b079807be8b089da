"""The sheet of shortcuts, and printing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

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
