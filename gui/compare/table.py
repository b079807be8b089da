"""The view of the matrix, and its header with buttons that measure a column."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import QModelIndex, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent, QPainter, QPen, QResizeEvent
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableView, QWidget

from foliolab.gui.compare.delegate import HEIGHT, CellDelegate, fitted
from foliolab.gui.compare.matrix import Matrix
from foliolab.gui.window.theme import Theme, Themed

FIRST: Final = 0.19
"""Share of the width for the column of names."""
LEAST_FIRST: Final = 150
LEAST_COLUMN: Final = 120
MEASURE: Final = "Measure all"
QWIDGETSIZE_MAX: Final = (1 << 24) - 1
"""The height that Qt takes for no limit."""


class Header(QHeaderView):
    """Column titles, with a button for each question whose answer is measured.

    Signals:
        wanted: the number of the column whose button was clicked.
    """

    wanted = Signal(int)

    def __init__(self, theme: Theme, parent: QWidget) -> None:
        super().__init__(Qt.Orientation.Horizontal, parent)
        self.theme = theme
        self.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        self.setSectionsClickable(True)
        self.setHighlightSections(False)
        self.setAccessibleName("Questions")

    def sizeHint(self) -> QSize:
        """High enough for the buttons."""
        return QSize(super().sizeHint().width(), 34)

    def _button(self, section: int) -> QRectF:
        wide = self.fontMetrics().horizontalAdvance(MEASURE) + 14
        right = self.sectionViewportPosition(section) + self.sectionSize(section) - 6
        return QRectF(right - wide, 6, wide, self.height() - 12)

    def _has_button(self, section: int) -> bool:
        model = self.model()
        question = model.question(section) if isinstance(model, Matrix) else None
        if question is None or not question.takes_time:
            return False
        titled = self.fontMetrics().horizontalAdvance(question.title) * 1.1 + 20
        return titled + self._button(section).width() < self.sectionSize(section)

    def paintSection(self, painter: QPainter, rect: QRect, logicalIndex: int) -> None:
        theme, model = self.theme, self.model()
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.fillRect(rect, theme.colour("raised"))
        painter.setPen(QPen(theme.colour("edge"), 1))
        painter.drawLine(rect.bottomLeft(), rect.bottomRight())
        font = self.font()
        font.setBold(True)
        title = str(model.headerData(logicalIndex, Qt.Orientation.Horizontal))
        painter.setFont(fitted(font, title, rect.width() - 16))
        painter.setPen(theme.colour("text"))
        painter.drawText(rect.adjusted(10, 0, -6, 0), Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, title)
        if self._has_button(logicalIndex):
            button = self._button(logicalIndex)
            painter.setFont(self.font())
            painter.setBrush(theme.colour("panel"))
            painter.setPen(QPen(theme.colour("edge"), 1))
            painter.drawRoundedRect(button, 4, 4)
            painter.setPen(theme.colour("text"))
            painter.drawText(button, Qt.AlignmentFlag.AlignCenter, MEASURE)
        painter.restore()

    def mouseReleaseEvent(self, e: QMouseEvent) -> None:
        section = self.logicalIndexAt(e.position().toPoint())
        if section >= 0 and self._has_button(section) and self._button(section).contains(e.position()):
            self.wanted.emit(section)
        super().mouseReleaseEvent(e)


class MatrixView(QTableView, Themed):
    """The view of the matrix.

    Signals:
        opened: the cell that was clicked, or on which Enter was pressed.
    """

    opened = Signal(QModelIndex)

    def __init__(self, matrix: Matrix, theme: Theme) -> None:
        super().__init__()
        self.setObjectName("compare.matrix")
        self.setAccessibleName("Policies and questions")
        self.setModel(matrix)
        self.cells = CellDelegate(theme)
        self.setItemDelegate(self.cells)
        self.header = Header(theme, self)
        self.setHorizontalHeader(self.header)
        self.header.setModel(matrix)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(HEIGHT)
        self.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setTabKeyNavigation(False)
        self.setFrameShape(QTableView.Shape.NoFrame)
        self.setMouseTracking(True)
        self.clicked.connect(self.opened)

    def paint(self, theme: Theme) -> None:
        self.cells.theme = self.header.theme = theme
        self.viewport().update()
        self.header.viewport().update()

    def fit(self, whole: bool) -> None:
        """Be as high as the rows, or take what room there is."""
        high = self.header.sizeHint().height() + HEIGHT * self.model().rowCount() + 2
        self.setMaximumHeight(high if whole else QWIDGETSIZE_MAX)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.currentIndex().isValid():
            self.opened.emit(self.currentIndex())
            return
        super().keyPressEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Share the width among the columns."""
        super().resizeEvent(event)
        width, others = self.viewport().width(), self.model().columnCount() - 1
        first = max(LEAST_FIRST, int(FIRST * width))
        each = max(LEAST_COLUMN, (width - first) // others)
        self.setColumnWidth(0, max(LEAST_FIRST, width - each * others))
        for column in range(1, others + 1):
            self.setColumnWidth(column, each)
