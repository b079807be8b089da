"""Pictures as PNG and SVG, tables as CSV."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PySide6.QtCore import QPoint, QRect, QSize
from PySide6.QtGui import QColor, QPainter, QPixmap
from PySide6.QtSvg import QSvgGenerator
from PySide6.QtWidgets import QWidget

from foliolab.framework.errors import ResultFileError, UsageError

Row = Sequence[object]
Table = Callable[[], tuple[Sequence[str], Sequence[Row]]]
FORMS: Final = {".png": "Picture (*.png)", ".svg": "Drawing (*.svg)", ".csv": "Table (*.csv)"}
SCALE: Final = 2
"""Of PNG pictures: sharp in print."""


@dataclass(frozen=True)
class Exportable:
    """Something on screen that can be taken along.

    Args:
        name: such as "curves"; part of the file name that is proposed.
        title: as a menu shows it.
        picture: the widget to draw; None for what is a table only.
        table: gives (headings, rows); None for what is a picture only.
    """

    name: str
    title: str
    picture: QWidget | None = None
    table: Table | None = None

    @property
    def forms(self) -> list[str]:
        """Suffixes that it can be written with."""
        return [*((".png", ".svg") if self.picture is not None else ()), *((".csv",) if self.table is not None else ())]


def export(what: Exportable, path: Path) -> None:
    """Write it in the form that the file's suffix names.

    Raises:
        UsageError: it has no such form.
        ResultFileError: the place cannot be written to.
    """
    if path.suffix not in what.forms:
        raise UsageError(f"{what.title} cannot be written as {path.suffix!r}", f"choose {', '.join(what.forms)}")
    try:
        with path.open("wb"):  # Qt's own writers say nothing where they cannot
            pass
        if path.suffix == ".csv":
            _write_table(what, path)
        elif path.suffix == ".png":
            _write_png(what, path)
        else:
            _write_svg(what, path)
    except OSError as fault:
        raise ResultFileError(f"{path} cannot be written: {fault.strerror or fault}", "choose another place") from fault


def _write_table(what: Exportable, path: Path) -> None:
    assert what.table is not None
    headings, rows = what.table()
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(headings)
        writer.writerows(rows)


def _write_png(what: Exportable, path: Path) -> None:
    assert what.picture is not None
    size = what.picture.size()
    picture = QPixmap(size * SCALE)
    picture.setDevicePixelRatio(SCALE)
    picture.fill(what.picture.palette().window().color())
    QWidget.render(what.picture, picture)  # a graphics view has another render of its own
    if not picture.save(str(path), "PNG"):
        raise OSError(0, "the picture could not be written")


def _write_svg(what: Exportable, path: Path) -> None:
    widget = what.picture
    assert widget is not None
    generator = QSvgGenerator()
    generator.setFileName(str(path))
    generator.setSize(QSize(widget.width(), widget.height()))
    generator.setViewBox(QRect(0, 0, widget.width(), widget.height()))
    generator.setResolution(int(widget.logicalDpiX()))  # otherwise texts and curves have different scales
    generator.setTitle(what.title)
    painter = QPainter()
    if not painter.begin(generator):
        raise OSError(0, "the drawing could not be written")
    try:
        painter.fillRect(widget.rect(), QColor(widget.palette().window().color()))
        QWidget.render(widget, painter, QPoint())
    finally:
        painter.end()
