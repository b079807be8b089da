"""A counterexample as a sequence diagram: threads as lanes, accesses in order of time, the truth beside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from PySide6.QtCore import QEvent, QPoint, QRect, QSize, Qt, Signal
from PySide6.QtGui import QHelpEvent, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QAbstractScrollArea, QToolTip, QWidget

from foliolab.framework.verify.timeline import Course
from foliolab.gui.sequence.picture import Geometry, SequencePicture, geometry_of
from foliolab.gui.sequence.rows import Diagram, Mark, diagram_of
from foliolab.gui.window.exporting import Exportable, Row
from foliolab.gui.window.theme import Theme

PAGE: Final = 10
"""Lines that Page Up and Page Down go."""
FOLDED_FROM: Final = 240
"""Lines from which on long runs of one thread are folded, unless somebody chose."""
PICTURE: Final = (1000, 12_000)
"""Width of an exported picture, and its height at most: a graphics file has limits."""


class SequenceDiagram(QAbstractScrollArea):
    """A counterexample's course.

    Args:
        theme: whose colours; give it the next one with `paint`.
        parent: the widget around it.

    Signals:
        stepped: the user went to a step, by mouse or keys.
    """

    stepped = Signal(int)

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.course: Course | None = None
        self.diagram = Diagram()
        self._theme = theme
        self._picture = SequencePicture(self.diagram, theme, self.font())
        self._all = False
        self._unfolded: bool | None = None
        self._whole = _Whole(self)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName("Sequence diagram of the counterexample")
        self.viewport().setAutoFillBackground(False)
        self.verticalScrollBar().setSingleStep(1)

    # -- what it shows ---------------------------------------------------------------------------------
    def show_course(self, course: Course | None) -> None:
        """Show a counterexample that was played, before its first step; None: nothing."""
        self.course = course
        self._made()
        self._picture.now = -1
        self.verticalScrollBar().setValue(0)

    def show_accesses(self, every: bool) -> None:
        """Whether also accesses to statistics, MMs and free lists are shown."""
        self._all = every
        self._made()

    def unfold(self, unfolded: bool | None) -> None:
        """Whether long runs of one thread are shown in full; None: where there are not too many lines."""
        self._unfolded = unfolded
        self._made()

    def go(self, step: int) -> None:
        """Show a step as the present one; -1: before the first. `stepped` is not emitted."""
        self._picture.now = step
        if self.diagram.marks and step >= 0:
            self._bring(self.diagram.line_of(step))
        self._describe()
        self.viewport().update()

    @property
    def step(self) -> int:
        """The present step; -1 before the first."""
        return self._picture.now

    def paint(self, theme: Theme) -> None:
        """Use another theme's colours."""
        self._theme = theme
        self._picture.theme = theme
        self.viewport().update()

    def exportables(self) -> Sequence[Exportable]:
        """The whole diagram, and its steps as a table."""
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

    def _made(self) -> None:
        made = Diagram()
        if self.course is not None:
            made = diagram_of(self.course, self._all, self._unfolded is not False)
            if self._unfolded is None and len(made.marks) > FOLDED_FROM:
                made = diagram_of(self.course, self._all)
        self.diagram = self._picture.diagram = made
        self._measure()
        self._describe()
        self.viewport().update()

    def _describe(self) -> None:
        if not self.diagram.marks:
            self.setAccessibleDescription("no counterexample is shown")
        elif self.step < 0:
            self.setAccessibleDescription(f"before the first of {len(self.course.frames) if self.course else 0} steps")
        else:
            mark = self.diagram.marks[self.diagram.line_of(self.step)]
            self.setAccessibleDescription(f"step {self.step}: {mark.told}; {_truth(mark)}")

    # -- geometry ----------------------------------------------------------------------------------------
    def geometry_for(self, width: int) -> Geometry:
        """Where things are for a width."""
        return geometry_of(self.diagram, width, self.font())

    @property
    def picture(self) -> SequencePicture:
        """What draws it."""
        return self._picture

    @property
    def lines(self) -> int:
        """Lines, those about broken laws included."""
        return len(self.diagram.marks) + len(self.diagram.broken)

    def _measure(self) -> None:
        geometry = self.geometry_for(self.viewport().width())
        shown = max((self.viewport().height() - geometry.head) // geometry.line, 1)
        self.verticalScrollBar().setRange(0, max(self.lines - shown, 0))
        self.verticalScrollBar().setPageStep(shown)
        self.horizontalScrollBar().setRange(0, max(geometry.width - self.viewport().width(), 0))
        self.horizontalScrollBar().setPageStep(self.viewport().width())

    def _bring(self, line: int) -> None:
        bar = self.verticalScrollBar()
        shown = bar.pageStep()
        margin = min(2, shown // 3)
        if line < bar.value() + margin:
            bar.setValue(line - margin)
        elif line >= bar.value() + shown - margin:
            bar.setValue(line - shown + margin + 1)

    def line_at(self, at: QPoint) -> int:
        """The line at a place of the viewport; -1 for none."""
        geometry = self.geometry_for(self.viewport().width())
        line = self.verticalScrollBar().value() + (at.y() - geometry.head) // geometry.line
        return line if at.y() >= geometry.head and 0 <= line < len(self.diagram.marks) else -1

    def resizeEvent(self, event: QResizeEvent) -> None:
        """The lanes share the width."""
        super().resizeEvent(event)
        self._measure()

    def changeEvent(self, event: QEvent) -> None:
        """Another font has other heights."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.FontChange:
            self._picture.font = self.font()
            self._measure()

    def sizeHint(self) -> QSize:
        """Room for two lanes and some twenty lines."""
        return QSize(820, 480)

    # -- drawing ---------------------------------------------------------------------------------------
    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the lines in sight."""
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

    # -- going through it ------------------------------------------------------------------------------
    def _go_by(self, by: int) -> None:
        """So many lines that are steps further (back)."""
        steps = [mark.step for mark in self.diagram.marks if mark.step is not None]
        if not steps:
            return
        if by > 0:
            later = [step for step in steps if step > self.step]
            target = later[min(by, len(later)) - 1] if later else steps[-1]
        else:
            earlier = [step for step in steps if step < self.step]
            target = earlier[max(by, -len(earlier))] if earlier else steps[0]
        self._went(target)

    def _went(self, step: int) -> None:
        self.go(step)
        self.stepped.emit(step)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Arrows, Page Up and Down, Home and End go from step to step."""
        key = Qt.Key
        by = {
            key.Key_Down: 1, key.Key_Right: 1, key.Key_Up: -1, key.Key_Left: -1, key.Key_PageDown: PAGE,
            key.Key_PageUp: -PAGE, key.Key_End: self.lines + 1, key.Key_Home: -self.lines - 1,
        }.get(key(event.key()))  # fmt: skip
        if by is None or not self.diagram.marks:
            super().keyPressEvent(event)
            return
        self._go_by(by)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Go to the step under the pointer; of a line that is none of its own to its last."""
        line = self.line_at(event.position().toPoint())
        if line >= 0 and event.button() == Qt.MouseButton.LeftButton:
            mark = self.diagram.marks[line]
            following = (one.step for one in self.diagram.marks[line:] if one.step is not None)
            target = mark.step if mark.step is not None else mark.last if mark.last >= 0 else next(following, None)
            if target is not None:
                self._went(target)

    def viewportEvent(self, event: QEvent) -> bool:
        """What the line under the pointer means."""
        if isinstance(event, QHelpEvent):
            line = self.line_at(event.pos())
            QToolTip.showText(event.globalPos(), self.tip(line) if line >= 0 else "", self.viewport())
            return True
        return super().viewportEvent(event)

    def tip(self, line: int) -> str:
        """A line in full: what, where, and the author's text."""
        mark = self.diagram.marks[line]
        told = [mark.told]
        if mark.step is not None and mark.location and self.course is not None:
            told.append(f"{mark.location}: {self.course.source(mark.step)}")
        if mark.mappings:
            told.append(_truth(mark))
        return "\n".join(told)


def _truth(mark: Mark) -> str:
    """Who maps the folio, in words."""
    who = [f"MM {mm}: {count}" for mm, count in enumerate(mark.mappings) if count]
    if not mark.mappings:
        return "who maps the folio is as before"
    return f"mapped by {', '.join(who)}" if who else "mapped by nobody"


class _Whole(QWidget):
    """The diagram in full, to be written to a file; never on screen."""

    def __init__(self, diagram: SequenceDiagram) -> None:
        super().__init__(diagram)
        self._diagram = diagram
        self.hide()

    def fit(self) -> None:
        """Be as large as the diagram."""
        geometry = self._diagram.geometry_for(PICTURE[0])
        self.resize(geometry.width, min(geometry.head + self._diagram.lines * geometry.line + 8, PICTURE[1]))

    def paintEvent(self, event: QPaintEvent) -> None:
        """All lines; none is the present one."""
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
