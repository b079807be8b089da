"""The widget of a sequence diagram: threads as lanes, accesses in order of time, the mappings beside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from PySide6.QtCore import QEvent, QPoint, QRect, QSize, Qt, Signal
from PySide6.QtGui import QHelpEvent, QKeyEvent, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QAbstractScrollArea, QToolTip, QWidget

from foliolab.framework.report.diagram import Diagram, Mark, diagram_of
from foliolab.framework.verify.timeline import Timeline
from foliolab.gui.sequence.picture import Geometry, SequencePicture, geometry_of
from foliolab.gui.widgets.interval import Interval
from foliolab.gui.widgets.range_drag import RangeDrag
from foliolab.gui.window.exporting import Exportable, Row
from foliolab.gui.window.theme import Theme, Themed

PAGE: Final = 10
"""Steps of Page Up and Page Down."""
FOLDED_FROM: Final = 240
"""Lines above which long runs of one thread are folded."""
PICTURE: Final = (1000, 12_000)
"""Width and greatest height in pixels of an exported picture; graphics files have limits."""


class SequenceDiagram(QAbstractScrollArea, Themed):
    """The timeline of a counterexample.

    A drag over lines shows their steps alone, as does Ctrl with the wheel; a double-click or Escape shows all.

    Args:
        theme: the colours; `paint` changes them.

    Signals:
        stepped: the user went to a step by mouse or keys.

    Attributes:
        part: the steps that are shown, from -1, before the first.
        diagram: of these steps.
    """

    stepped = Signal(int)

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.timeline: Timeline | None = None
        self.diagram = self._all = Diagram()
        self.part = Interval()
        self.part.changed.connect(self._show_part)
        self._theme = theme
        self._picture = SequencePicture(self.diagram, theme, self.font())
        self._whole = _Whole(self)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName("Sequence diagram of the counterexample")
        self.viewport().setAutoFillBackground(False)
        self.verticalScrollBar().setSingleStep(1)
        self._drag = RangeDrag(self.viewport(), self.part, self._step_at, vertical=True)
        self._drag.clicked.connect(self._clicked)

    # -- contents --------------------------------------------------------------------------------------
    def show_timeline(self, timeline: Timeline | None) -> None:
        """Show a counterexample before its first step; None shows nothing."""
        self.timeline = timeline
        self._picture.now = -1
        self._remake()
        self.verticalScrollBar().setValue(0)

    def go(self, step: int) -> None:
        """Make a step the current one; -1 is before the first. Does not emit `stepped`.

        If the step is not in the part that is shown, all is shown again.
        """
        self._picture.now = step
        if not self.part.low <= step <= self.part.high:
            self.part.fit()
        if self.diagram.marks and step >= 0:
            self._scroll_to(self.diagram.line_of(step))
        self._describe()
        self.viewport().update()

    @property
    def step(self) -> int:
        """The current step; -1 before the first."""
        return self._picture.now

    def paint(self, theme: Theme) -> None:
        self._theme = theme
        self._picture.theme = theme
        self.viewport().update()

    def exportables(self) -> Sequence[Exportable]:
        """The lines of the part that is shown, also those out of sight, as a picture and as a table."""
        if not self.diagram.marks:
            return ()
        self._whole.fit()
        return (Exportable("sequence", "Sequence diagram", self._whole, self._table),)

    def _table(self) -> tuple[Sequence[str], Sequence[Row]]:
        mms = [f"mapped by MM {mm}" for mm in range(self.diagram.nr_mms)]
        rows = [
            (
                "" if mark.step is None else mark.step,
                "" if mark.thread < 0 else mark.thread,
                mark.kind,
                mark.text,
                mark.state,
                mark.location,
                *(mark.mappings or [""] * len(mms)),
            )
            for mark in self.diagram.marks
        ]
        return ("step", "thread", "kind", "what", "change", "location", *mms), rows

    def _remake(self) -> None:
        made = Diagram()
        if self.timeline is not None:
            made = diagram_of(self.timeline, unfolded=True)
            if len(made.marks) > FOLDED_FROM:
                made = diagram_of(self.timeline)
        self._all = made
        self.part.cover(-1, len(self.timeline.frames) - 1 if self.timeline is not None else -1)
        self._show_part()

    def _show_part(self) -> None:
        part = self.part
        self.diagram = self._all if part.whole else self._all.between(max(part.low, 0), part.high)
        self._picture.diagram = self.diagram
        self._measure()
        if not part.low <= self.step <= part.high:
            self._step_to(min(max(self.step, part.low), part.high))
        self._describe()
        self.viewport().update()

    def _describe(self) -> None:
        if not self.diagram.marks:
            self.setAccessibleDescription("no counterexample is shown")
        elif self.step < 0:
            self.setAccessibleDescription(
                f"before the first of {len(self.timeline.frames) if self.timeline else 0} steps"
            )
        else:
            mark = self.diagram.marks[self.diagram.line_of(self.step)]
            self.setAccessibleDescription(f"step {self.step}: {mark.description}; {_truth(mark)}")

    # -- geometry --------------------------------------------------------------------------------------
    def geometry_for(self, width: int) -> Geometry:
        """Positions and sizes for a width."""
        return geometry_of(self.diagram, width, self.font())

    @property
    def picture(self) -> SequencePicture:
        """Draws the diagram."""
        return self._picture

    @property
    def lines(self) -> int:
        """The number of lines, with those about broken laws."""
        return len(self.diagram.marks) + len(self.diagram.broken)

    def _measure(self) -> None:
        geometry = self.geometry_for(self.viewport().width())
        shown = max((self.viewport().height() - geometry.head) // geometry.line, 1)
        self.verticalScrollBar().setRange(0, max(self.lines - shown, 0))
        self.verticalScrollBar().setPageStep(shown)
        self.horizontalScrollBar().setRange(0, max(geometry.width - self.viewport().width(), 0))
        self.horizontalScrollBar().setPageStep(self.viewport().width())

    def _scroll_to(self, line: int) -> None:
        bar = self.verticalScrollBar()
        shown = bar.pageStep()
        margin = min(2, shown // 3)
        if line < bar.value() + margin:
            bar.setValue(line - margin)
        elif line >= bar.value() + shown - margin:
            bar.setValue(line - shown + margin + 1)

    def line_at(self, position: QPoint) -> int:
        """The line at a position of the viewport; -1 for none."""
        geometry = self.geometry_for(self.viewport().width())
        line = self.verticalScrollBar().value() + (position.y() - geometry.head) // geometry.line
        return line if position.y() >= geometry.head and 0 <= line < len(self.diagram.marks) else -1

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._measure()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.FontChange:
            self._picture.font = self.font()
            self._measure()

    def sizeHint(self) -> QSize:
        """Space for two lanes and about twenty lines."""
        return QSize(820, 480)

    # -- drawing ---------------------------------------------------------------------------------------
    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the visible lines."""
        view = self.viewport()
        painter = QPainter(view)
        painter.fillRect(view.rect(), self._theme.colour("panel"))
        if not self.diagram.marks:
            painter.setPen(self._theme.colour("quiet"))
            painter.drawText(view.rect(), Qt.AlignmentFlag.AlignCenter, "No counterexample is shown")
            painter.end()
            return
        geometry = self.geometry_for(view.width())
        painter.translate(-self.horizontalScrollBar().value(), 0)
        first = self.verticalScrollBar().value()
        last = first + (view.height() - geometry.head) // geometry.line + 1
        painter.setClipRect(QRect(0, geometry.head, geometry.width, view.height() - geometry.head))
        self._picture.draw(painter, geometry, first, last, geometry.head)
        painter.setClipping(False)
        self._picture.draw_heads(painter, geometry)
        painter.end()

    # -- stepping --------------------------------------------------------------------------------------
    def _go_by(self, by: int) -> None:
        """Go forward by so many lines that have a step; back if `by` is negative."""
        steps = [mark.step for mark in self._all.marks if mark.step is not None]
        if not steps:
            return
        if by > 0:
            later = [step for step in steps if step > self.step]
            target = later[min(by, len(later)) - 1] if later else steps[-1]
        else:
            earlier = [step for step in steps if step < self.step]
            target = earlier[max(by, -len(earlier))] if earlier else steps[0]
        self._step_to(target)

    def _step_to(self, step: int) -> None:
        self.go(step)
        self.stepped.emit(step)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Go from step to step with the arrow keys, Page Up, Page Down, Home and End; Escape shows all steps."""
        key = Qt.Key
        if event.key() == key.Key_Escape and not self.part.whole:
            self.part.fit()
            return
        by = {
            key.Key_Down: 1, key.Key_Right: 1, key.Key_Up: -1, key.Key_Left: -1, key.Key_PageDown: PAGE,
            key.Key_PageUp: -PAGE, key.Key_End: len(self._all.marks), key.Key_Home: -len(self._all.marks),
        }.get(key(event.key()))  # fmt: skip
        if by is None or not self.diagram.marks:
            super().keyPressEvent(event)
            return
        self._go_by(by)

    def _step_of(self, line: int) -> int | None:
        """The step of a line; for a line that stands for several steps, the last one."""
        mark = self.diagram.marks[line]
        following = (later.step for later in self.diagram.marks[line:] if later.step is not None)
        return mark.step if mark.step is not None else mark.last if mark.last >= 0 else next(following, None)

    def _step_at(self, y: float) -> float:
        """The step at a height of the viewport; above and below the lines that of the nearest line."""
        geometry = self.geometry_for(self.viewport().width())
        line = self.verticalScrollBar().value() + int(y - geometry.head) // geometry.line
        last = len(self.diagram.marks) - 1
        step = self._step_of(min(max(line, 0), last)) if last >= 0 else None
        return self.part.high if step is None else step

    def _clicked(self, y: float) -> None:
        """Go to the step of the clicked line."""
        line = self.line_at(QPoint(0, int(y)))
        step = self._step_of(line) if line >= 0 else None
        if step is not None:
            self._step_to(step)

    def viewportEvent(self, event: QEvent) -> bool:
        """Show the full text of the line under the pointer as a tool tip."""
        if isinstance(event, QHelpEvent):
            line = self.line_at(event.pos())
            QToolTip.showText(event.globalPos(), self.tip(line) if line >= 0 else "", self.viewport())
            return True
        return super().viewportEvent(event)

    def tip(self, line: int) -> str:
        """The full text of a line: what happens, the source line, and the mappings."""
        mark = self.diagram.marks[line]
        parts = [mark.description]
        if mark.step is not None and mark.location and self.timeline is not None:
            parts.append(f"{mark.location}: {self.timeline.source(mark.step)}")
        if mark.mappings:
            parts.append(_truth(mark))
        return "\n".join(parts)


def _truth(mark: Mark) -> str:
    """The mappings of the folio as a text."""
    mappers = [f"MM {mm}: {count}" for mm, count in enumerate(mark.mappings) if count]
    if not mark.mappings:
        return "the mappings are unchanged"
    return f"mapped by {', '.join(mappers)}" if mappers else "not mapped"


class _Whole(QWidget):
    """A hidden widget that draws the whole diagram, for export."""

    def __init__(self, diagram: SequenceDiagram) -> None:
        super().__init__(diagram)
        self._diagram = diagram
        self.hide()

    def fit(self) -> None:
        """Resize to the size of the diagram."""
        geometry = self._diagram.geometry_for(PICTURE[0])
        self.resize(geometry.width, min(geometry.head + self._diagram.lines * geometry.line + 8, PICTURE[1]))

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw all lines, without a current step."""
        picture, geometry = self._diagram.picture, self._diagram.geometry_for(PICTURE[0])
        painter = QPainter(self)
        painter.fillRect(self.rect(), picture.theme.colour("panel"))
        now, picture.now = picture.now, -1
        try:
            picture.draw(painter, geometry, 0, self._diagram.lines, geometry.head)
            picture.draw_heads(painter, geometry)
        finally:
            picture.now = now
            painter.end()
