"""Looks at every workspace in some sizes, and prints as JSON what is cut off or overlaps; for test_clipping.py.

Run as `python clipping.py WIDTHxHEIGHT,…`; QT_SCALE_FACTOR sets the pixels of a point, FOLIOLAB_DATA an empty folder.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

from PySide6.QtCore import QBuffer, QIODevice, QPoint, QRectF, QSettings, QSize
from PySide6.QtGui import QFont, QFontMetricsF, QPainter, QRegion, QTransform
from PySide6.QtSvg import QSvgGenerator
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractScrollArea,
    QApplication,
    QCheckBox,
    QDockWidget,
    QLabel,
    QPushButton,
    QSplitter,
    QStackedWidget,
    QTableView,
    QTableWidget,
    QTreeWidget,
    QWidget,
)

from foliolab.framework.contract.policy import CLAIMS
from foliolab.framework.verify.finding import Finding, Verdict
from foliolab.gui.main_window import Window
from foliolab.gui.widgets.painted import Painted
from foliolab.gui.window.plain import OneLine

DOCKLESS = QSize(640, 480)
"""In this size the docks are closed, as the smallest that has to work."""
VERDICTS = ("verdict", "right", "change", "explored", "random", "symbolic", "structural")
"""Headings of columns that are never elided."""
TOLD = ("heading", "good", "doubtful", "bad")
"""Roles of labels that tell a name, a verdict or a claim, and that are never elided."""
PADDING = 6
"""Least pixels of a button beside its text."""
LONGEST = max(CLAIMS, key=len)
SLACK = 1.5
"""Pixels that rounding may take."""


def faults_of(window: Window, size: QSize) -> list[str]:
    """What is wrong in every workspace at a size."""
    for name, workspace in window.workspaces.items():
        window.go(name)
        for title, dock in workspace.docks.items():
            dock.setVisible(size != DOCKLESS and title != "answer")
        settle()
    window.resize(size)
    found = []
    for name, workspace in window.workspaces.items():
        window.go(name)
        settle()
        where = f"{name} at {size.width()}x{size.height()}"
        if window.width() > size.width() or window.height() > size.height():
            found.append(f"{where}: the window is {window.width()}x{window.height()}")
        for widget in shown(workspace):
            found += [f"{where}: {one}" for one in (*clipped(widget), *overlaps(widget), *painted(widget))]
        found += [f"{where}: {one}" for one in elided(workspace)]
    return found


def settle() -> None:
    application = QApplication.instance()
    assert application is not None
    for _ in range(12):
        application.processEvents()


def shown(workspace: QWidget) -> Iterator[QWidget]:
    """The widgets that are on screen, each with at least a part."""
    for widget in workspace.findChildren(QWidget):
        if widget.isVisible() and not widget.visibleRegion().isEmpty():
            yield widget


def scrolls(widget: QWidget) -> bool:
    """Whether a widget lies in an area that scrolls."""
    parent = widget.parentWidget()
    while parent is not None:
        if isinstance(parent.parentWidget(), QAbstractScrollArea):
            return True
        parent = parent.parentWidget()
    return False


def clipped(widget: QWidget) -> Iterator[str]:
    """Labels and buttons that are too small for their texts, or that leave their parents."""
    if not isinstance(widget, QLabel | QPushButton | QCheckBox) or not widget.text():
        return
    if isinstance(widget, OneLine) and widget.property("role") not in TOLD:
        return
    text = widget.text().replace("&", "")
    if isinstance(widget, QLabel) and widget.wordWrap():
        if widget.heightForWidth(widget.width()) > widget.height() + SLACK:
            yield f"{text!r} needs {widget.heightForWidth(widget.width())} pixels of height, has {widget.height()}"
    elif isinstance(widget, QLabel):
        wide = max(widget.fontMetrics().horizontalAdvance(line) for line in text.splitlines())
        if wide > widget.contentsRect().width() + SLACK:
            yield f"{text!r} needs {wide} pixels, has {widget.contentsRect().width()}"
    elif widget.fontMetrics().horizontalAdvance(text) + PADDING > widget.width() + SLACK:
        yield f"button {text!r} has {widget.width()} pixels"
    parent = widget.parentWidget()
    if parent is None or scrolls(widget):
        return
    if not parent.rect().adjusted(-1, -1, 1, 1).contains(widget.geometry()):
        yield f"{text!r} leaves its parent"


def overlaps(parent: QWidget) -> Iterator[str]:
    """Texts and controls of one layout that lie on each other."""
    if isinstance(parent, QStackedWidget | QSplitter | QDockWidget | QAbstractItemView) or parent.layout() is None:
        return
    kinds = (QLabel, QAbstractButton, QAbstractScrollArea, Painted)
    children = [one for one in parent.children() if isinstance(one, kinds) and one.isVisible()]
    for one, other in combinations(children, 2):
        both = one.geometry() & other.geometry()
        if both.width() > 1 and both.height() > 1:
            yield f"{named(one)} lies on {named(other)}"


def named(widget: QWidget) -> str:
    text = widget.text() if isinstance(widget, QLabel | QAbstractButton) else widget.accessibleName()
    return repr(text or type(widget).__name__)


def painted(widget: QWidget) -> Iterator[str]:
    """Texts that a widget draws itself, beyond its edge or on each other."""
    if not isinstance(widget, Painted):
        return
    area = QRectF(widget.rect()).adjusted(-SLACK, -SLACK, SLACK, SLACK)
    boxes = texts_of(widget)
    for text, box in boxes:
        if not area.contains(box):
            yield f"{text!r} of {named(widget)} is cut off: {box.toRect().getRect()} in {widget.rect().getRect()}"
    for (one, first), (other, second) in combinations(boxes, 2):
        both = first & second
        if both.width() > 2 and both.height() > 3:
            yield f"{one!r} lies on {other!r} in {named(widget)}"


def texts_of(widget: QWidget) -> list[tuple[str, QRectF]]:
    """The texts that a widget draws with their rectangles, found in its picture as SVG."""
    data = QBuffer()
    data.open(QIODevice.OpenModeFlag.WriteOnly)
    generator = QSvgGenerator()
    generator.setOutputDevice(data)
    generator.setSize(widget.size())
    generator.setViewBox(widget.rect())
    generator.setResolution(widget.logicalDpiX())
    painter = QPainter(generator)
    widget.render(painter, QPoint(), QRegion(), QWidget.RenderFlag.DrawWindowBackground)
    painter.end()
    dpi = widget.logicalDpiX()
    return list(_texts(ET.fromstring(bytes(data.data().data())), QTransform(), dpi))


def _texts(element: ET.Element, around: QTransform, dpi: int) -> Iterator[tuple[str, QRectF]]:
    matrix = re.fullmatch(r"matrix\(([^)]*)\)", element.get("transform", ""))
    here = around
    if matrix is not None:
        a, b, c, d, e, f = map(float, matrix[1].split(","))
        here = QTransform(a, b, c, d, e, f) * around
    if element.tag.endswith("text") and (element.text or "").strip():
        font = QFont(element.get("font-family", ""))
        font.setPointSizeF(float(element.get("font-size", "9")) * 72 / dpi)
        font.setWeight(QFont.Weight(int(element.get("font-weight", "400"))))
        metrics, text = QFontMetricsF(font), str(element.text)
        x, y = float(element.get("x", "0")), float(element.get("y", "0"))
        box = QRectF(x, y - metrics.ascent() + 2, metrics.horizontalAdvance(text.rstrip()), metrics.ascent())
        yield text, here.mapRect(box)
    for child in element:
        yield from _texts(child, here, dpi)


def elided(workspace: QWidget) -> Iterator[str]:
    """Verdicts that do not fit into their cells."""
    for table in workspace.findChildren(QTableWidget):
        if table.isVisible():
            yield from _in_table(table)
    for tree in workspace.findChildren(QTreeWidget):
        wide = tree.sizeHintForColumn(1) if tree.objectName() == "policies.list" else 0
        if wide > tree.columnWidth(1) + SLACK:
            yield f"states need {wide} pixels, have {tree.columnWidth(1)}"
    for view in workspace.findChildren(QTableView):
        if view.objectName() == "compare.matrix" and view.isVisible():
            for text, box in texts_of(view.viewport()):
                if box.left() > view.columnWidth(0) and "…" in text:
                    yield f"{text!r} in the matrix is elided"


def _in_table(table: QTableWidget) -> Iterator[str]:
    headings = [table.horizontalHeaderItem(column) for column in range(table.columnCount())]
    for column, heading in enumerate(headings):
        if heading is None or heading.text().lower() not in VERDICTS:
            continue
        wide = table.sizeHintForColumn(column)
        if wide > table.columnWidth(column) + SLACK:
            yield f"verdicts under {heading.text()!r} need {wide} pixels, have {table.columnWidth(column)}"


def furnished(application: QApplication) -> Window:
    """A window whose workspaces show something: kept figures, a measurement, the verdicts of a refuted policy, the
    maps and the key of as many policies as Explore can have.
    """
    from foliolab.gui.application import make
    from foliolab.gui.compare import collector, reference
    from foliolab.gui.explore.choice import MOST_POLICIES
    from foliolab.gui.explore.step_times import StepTimes
    from foliolab.gui.window.settings import Settings

    file = Path(tempfile.mkdtemp()) / "foliolab.ini"
    window = make(application, [], Settings(QSettings(str(file), QSettings.Format.IniFormat)))
    window.show()
    workspaces: Any = window.workspaces
    if reference.shipped() is not None:
        workspaces["benchmark"].show_object(collector._result_of_reference("cost"))
    while workspaces["benchmark"]._comparing.busy:
        settle()
    workspaces["explore"]._furnish()
    names = [policy.name for policy in window.library.policies][:MOST_POLICIES]
    workspaces["explore"].maps.begin(names, 4, 256)
    workspaces["explore"].plot.begin(names, StepTimes())
    window.go("compare")
    settle()
    workspaces["compare"].rows.fill_now()
    workspaces["compare"].open_evidence()
    workspaces["verify"].choose({"policy": "mm-id"})
    for card, claims in zip(
        workspaces["verify"].cards.values(), ([""], [LONGEST], ["", LONGEST], ["safe"]), strict=True
    ):
        verdict: Verdict = "undecided" if card.accessibleName().endswith("symbolic") else "refuted"
        attack = card.accessibleName().rpartition(" ")[2]
        card.show_end(
            [Finding(attack, claim, verdict, "a bound of many words, which may be elided") for claim in claims]
        )
    return window


def main() -> None:
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    application = QApplication([sys.argv[0]])
    window = furnished(application)
    sizes = [QSize(*map(int, one.split("x"))) for one in sys.argv[1].split(",")]
    found = [fault for size in sizes for fault in faults_of(window, size)]
    window.close()
    print(json.dumps(list(dict.fromkeys(found)), indent=1))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
