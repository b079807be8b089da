"""Pictures and tables that are taken along."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import pytest

from foliolab.framework.errors import ResultFileError, UsageError


@pytest.fixture
def picture(qtbot: Any) -> Any:
    from PySide6.QtWidgets import QLabel

    label = QLabel("exclusive")
    label.resize(200, 80)
    qtbot.addWidget(label)
    return label


def table() -> tuple[list[str], list[list[object]]]:
    return ["policy", "ns"], [["a, b", 1.5], ["c", None]]


def test_a_table_is_csv(tmp_path: Path) -> None:
    from foliolab.gui.window.exporting import Exportable, export

    export(Exportable("t", "Table", table=table), tmp_path / "t.csv")
    with (tmp_path / "t.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [["policy", "ns"], ["a, b", "1.5"], ["c", ""]]


def test_a_picture_is_png_twice_as_fine(picture: Any, tmp_path: Path) -> None:
    from PySide6.QtGui import QImage

    from foliolab.gui.window.exporting import Exportable, export

    export(Exportable("p", "Picture", picture=picture), tmp_path / "p.png")
    image = QImage(str(tmp_path / "p.png"))
    assert (image.width(), image.height()) == (400, 160)


def test_a_picture_is_svg_in_the_same_scale_throughout(picture: Any, tmp_path: Path) -> None:
    from foliolab.gui.window.exporting import Exportable, export

    export(Exportable("p", "Picture", picture=picture), tmp_path / "p.svg")
    text = (tmp_path / "p.svg").read_text()
    assert 'viewBox="0 0 200 80"' in text
    assert re.search(r"<title>Picture</title>", text)
    assert "<text" in text or "<path" in text


def test_forms_that_it_has_not_are_refused(picture: Any, tmp_path: Path) -> None:
    from foliolab.gui.window.exporting import Exportable, export

    with pytest.raises(UsageError, match="cannot be written as"):
        export(Exportable("p", "Picture", picture=picture), tmp_path / "p.csv")
    with pytest.raises(UsageError, match="cannot be written as"):
        export(Exportable("t", "Table", table=table), tmp_path / "t.png")


@pytest.mark.parametrize("form", [".png", ".svg", ".csv"])
def test_a_place_that_cannot_be_written_is_said(picture: Any, tmp_path: Path, form: str) -> None:
    from foliolab.gui.window.exporting import Exportable, export

    with pytest.raises(ResultFileError, match="cannot be written"):
        export(Exportable("p", "Both", picture=picture, table=table), tmp_path / "no" / f"p{form}")


def test_pyqtgraph_exports_what_its_menu_offers(qtbot: Any, tmp_path: Path) -> None:
    """With PySide6 above 6.10, pyqtgraph 0.14 fails to write SVG."""
    import pyqtgraph
    from pyqtgraph import exporters

    plot = pyqtgraph.PlotWidget()
    qtbot.addWidget(plot)
    plot.plot([1.0, 2.0])
    plot.resize(300, 200)
    for exporter, name in ((exporters.ImageExporter, "plot.png"), (exporters.SVGExporter, "plot.svg")):
        exporter(plot.plotItem).export(str(tmp_path / name))
        assert (tmp_path / name).stat().st_size
