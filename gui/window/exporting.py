"""Exports pictures as PNG and SVG, and tables as CSV."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PySide6.QtCore import QBuffer, QIODevice, QPoint, QRect, QSize
from PySide6.QtGui import QColor, QPainter, QPixmap
from PySide6.QtSvg import QSvgGenerator
from PySide6.QtWidgets import QFileDialog, QInputDialog, QWidget

from foliolab.framework.document import write_atomically
from foliolab.framework.errors import UsageError
from foliolab.framework.report.words import csv_text

Row = Sequence[object]
Table = Callable[[], tuple[Sequence[str], Sequence[Row]]]
FORMS: Final = {".png": "Picture (*.png)", ".svg": "Drawing (*.svg)", ".csv": "Table (*.csv)"}
SCALE: Final = 2
"""Device pixels per pixel of a PNG picture, so that it is sharp in print."""


@dataclass(frozen=True)
class Exportable:
    """A picture, a table, or both, that can be exported.

    Args:
        name: part of the proposed file name, such as "curves".
        title: shown in the dialog.
        picture: the widget to draw; None if there is only a table.
        table: returns (headings, rows); None if there is only a picture.
    """

    name: str
    title: str
    picture: QWidget | None = None
    table: Table | None = None

    @property
    def forms(self) -> list[str]:
        """The suffixes of the file formats."""
        return [*((".png", ".svg") if self.picture is not None else ()), *((".csv",) if self.table is not None else ())]


def ask(parent: QWidget, offered: Sequence[Exportable], folder: Path, prefix: str) -> tuple[Exportable, Path] | None:
    """Ask the user what to export and to which file.

    Args:
        parent: the window of the dialogs.
        offered: one or more.
        folder: where the dialog begins.
        prefix: the beginning of the proposed file name.

    Returns:
        the choice and its path; None if the user cancelled.
    """
    wanted = offered[0]
    if len(offered) > 1:
        titles = [item.title for item in offered]
        title, sure = QInputDialog.getItem(parent, "Export", "What to export:", titles, 0, False)
        if not sure:
            return None
        wanted = offered[titles.index(title)]
    first = wanted.forms[0]
    start = folder / f"{prefix}-{wanted.name}{first}"
    filters = ";;".join(FORMS[form] for form in wanted.forms)
    path, chosen = QFileDialog.getSaveFileName(parent, f"Export: {wanted.title}", str(start), filters)
    if not path:
        return None
    form = next((form for form, text in FORMS.items() if text == chosen), first)
    return wanted, Path(path) if Path(path).suffix in wanted.forms else Path(path + form)


def export(what: Exportable, path: Path) -> None:
    """Write a picture or table in the format of the path's suffix.

    Raises:
        UsageError: `what` cannot be written in this format.
        NotWritten: the file cannot be written.
    """
    if path.suffix not in what.forms:
        raise UsageError(f"{what.title} cannot be written as {path.suffix!r}", f"choose {', '.join(what.forms)}")
    made = {".csv": _table, ".png": _png}.get(path.suffix, _svg)
    write_atomically(path, made(what))


def _table(what: Exportable) -> bytes:
    assert what.table is not None
    headings, rows = what.table()
    return csv_text(headings, rows).encode()


def _png(what: Exportable) -> bytes:
    assert what.picture is not None
    size = what.picture.size()
    picture = QPixmap(size * SCALE)
    picture.setDevicePixelRatio(SCALE)
    picture.fill(what.picture.palette().window().color())
    QWidget.render(what.picture, picture)  # QGraphicsView.render has another meaning
    data = _opened()
    picture.save(data, "PNG")
    return bytes(data.data().data())


def _opened() -> QBuffer:
    data = QBuffer()
    data.open(QIODevice.OpenModeFlag.WriteOnly)
    return data


def _svg(what: Exportable) -> bytes:
    widget, data = what.picture, _opened()
    assert widget is not None
    generator = QSvgGenerator()
    generator.setOutputDevice(data)
    generator.setSize(QSize(widget.width(), widget.height()))
    generator.setViewBox(QRect(0, 0, widget.width(), widget.height()))
    generator.setResolution(int(widget.logicalDpiX()))  # otherwise text and curves differ in scale
    generator.setTitle(what.title)
    painter = QPainter(generator)
    try:
        painter.fillRect(widget.rect(), QColor(widget.palette().window().color()))
        QWidget.render(widget, painter, QPoint())
    finally:
        painter.end()
    return bytes(data.data().data())
