"""Prints pictures and tables, each on pages of its own."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QRect
from PySide6.QtGui import QPainter, QPixmap, QTextCursor, QTextDocument
from PySide6.QtPrintSupport import QPrinter
from PySide6.QtWidgets import QWidget

from foliolab.framework.errors import FolioLabError
from foliolab.framework.escaping import visible
from foliolab.gui.window.exporting import SCALE, Exportable

TITLE = 0.05
"""Share of the height of a page for the title above a picture."""


def print_all(offered: Sequence[Exportable], printer: QPrinter) -> None:
    """Print what a workspace offers for export: pictures as large as the page, tables as text.

    Raises:
        FolioLabError: the printer takes no page.
    """
    painter = QPainter()
    if not painter.begin(printer):
        raise FolioLabError("the printer takes no page", "choose another printer, or print to a file")
    for number, one in enumerate(offered):
        if number:
            printer.newPage()
        _picture(painter, one.title, one.picture) if one.picture is not None else _table(painter, printer, one)
    painter.end()


def _picture(painter: QPainter, title: str, widget: QWidget) -> None:
    page = painter.viewport()
    high = int(page.height() * TITLE)
    painter.drawText(QRect(page.left(), page.top(), page.width(), high), title)
    picture = QPixmap(widget.size() * SCALE)
    picture.setDevicePixelRatio(SCALE)
    picture.fill(widget.palette().window().color())
    QWidget.render(widget, picture)
    factor = min(page.width() / max(widget.width(), 1), (page.height() - high) / max(widget.height(), 1))
    painter.drawPixmap(
        QRect(page.left(), page.top() + high, int(widget.width() * factor), int(widget.height() * factor)), picture
    )


def _table(painter: QPainter, printer: QPrinter, what: Exportable) -> None:
    assert what.table is not None
    headings, rows = what.table()
    document = QTextDocument()
    document.documentLayout().setPaintDevice(printer)
    page = painter.viewport()
    document.setPageSize(page.size().toSizeF())
    cursor = QTextCursor(document)
    cursor.insertText(what.title)
    table = cursor.insertTable(len(rows) + 1, len(headings))
    for at, row in enumerate((headings, *rows)):
        for column, cell in enumerate(row):
            table.cellAt(at, column).firstCursorPosition().insertText(visible(str(cell)))
    for number in range(document.pageCount()):
        if number:
            printer.newPage()
        painter.save()
        painter.translate(0, -number * page.height())
        document.drawContents(painter, QRect(0, number * page.height(), page.width(), page.height()))
        painter.restore()
