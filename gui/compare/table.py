"""The view of the matrix, and its header with buttons that measure a column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from PySide6.QtCore import QModelIndex, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QGuiApplication, QKeyEvent, QMouseEvent, QPainter, QPen, QResizeEvent
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableView, QWidget

from foliolab.framework import intake
from foliolab.gui.compare.delegate import HEIGHT, CellDelegate, fitted
from foliolab.gui.compare.matrix import Matrix
from foliolab.gui.window.theme import Theme, Themed

if TYPE_CHECKING:
    from foliolab.gui.compare.measure import Cell
    from foliolab.gui.window.settings import Settings

FIRST: Final = 0.19
"""Share of the width for the column of names."""
LEAST_FIRST: Final = 150
LEAST_COLUMN: Final = 120
ORDER: Final = "order/matrix"
"""Setting: the column that the rows are sorted by, after + or -; empty for their own order."""
WIDTHS: Final = "columns/matrix"
"""Setting: the shares that the user has given to columns, in thousandths."""
MEASURE: Final = "Measure all"
QWIDGETSIZE_MAX: Final = (1 << 24) - 1
"""The height that Qt takes for no limit."""


class Header(QHeaderView):
    """Column titles, with a button for each question whose answer is measured.

    Signals:
        wanted: the number of the column whose button was clicked.
        sorting: the number of the column whose title was clicked.
    """

    wanted = Signal(int)
    sorting = Signal(int)

    def __init__(self, theme: Theme, parent: QWidget) -> None:
        super().__init__(Qt.Orientation.Horizontal, parent)
        self.theme = theme
        self.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        self.setMinimumSectionSize(LEAST_COLUMN)
        self.setSectionsClickable(True)
        self.sectionClicked.connect(self._clicked)
        self._on_button = False
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
        column, descending = model.order if isinstance(model, Matrix) else (-1, False)
        if logicalIndex == column:
            title += " ▾" if descending else " ▴"
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
        over = section >= 0 and self._has_button(section) and self._button(section).contains(e.position())
        self._on_button = over
        super().mouseReleaseEvent(e)
        self._on_button = False
        if over:
            self.wanted.emit(section)

    def _clicked(self, section: int) -> None:
        if not self._on_button:
            self.sorting.emit(section)


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
        self._matrix = matrix
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
        self._shares: dict[int, float] = {}  # of the width, that the user has set, by column
        self._settings: Settings | None = None
        self.header.sectionResized.connect(self._resized)
        self.header.sorting.connect(self._sort)

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
        """Share the width among the columns; those whose width the user has set keep their share."""
        super().resizeEvent(event)
        width, others = self.viewport().width(), self.model().columnCount() - 1
        first = max(LEAST_FIRST, int(FIRST * width))
        each = max(LEAST_COLUMN, (width - first) // others)
        widths = [max(LEAST_FIRST, width - each * others), *[each] * others]
        for column, usual in enumerate(widths):
            own = self._shares.get(column)
            self.setColumnWidth(column, usual if own is None else max(LEAST_COLUMN, round(own * width)))

    # -- the choice ------------------------------------------------------------------------------------
    @property
    def chosen(self) -> Cell | None:
        """The chosen cell; None if a name is chosen."""
        return self._matrix.cell(self.currentIndex())

    @property
    def policy(self) -> str:
        """The policy of the chosen row; empty for none."""
        row = self.currentIndex().row()
        return self._matrix.policies[row] if 0 <= row < len(self._matrix.policies) else ""

    def choose(self, cell: Cell | None) -> None:
        """Choose a cell; if it is not shown, the first one."""
        index = self._matrix.index_of(cell) if cell is not None else QModelIndex()
        if not index.isValid() and self._matrix.policies:
            index = self._matrix.index(0, 1)
        if index.isValid():
            self.setCurrentIndex(index)

    # -- order and widths ------------------------------------------------------------------------------
    def _sort(self, column: int) -> None:
        """Sort by a column; again for the opposite order, a third time for the rows' own order."""
        now, descending = self._matrix.order
        wanted = (column, False) if column != now else (column, True) if not descending else (-1, False)
        self.sort_by(*wanted)
        if self._settings is not None:
            self._settings.keep(ORDER, "" if wanted[0] < 0 else f"{'-' if wanted[1] else '+'}{wanted[0]}")

    def sort_by(self, column: int, descending: bool) -> None:
        """Sort the rows; the chosen cell stays chosen."""
        chosen, at = self.policy, self.currentIndex().column()
        self._matrix.sort_by(column, descending)
        if chosen in self._matrix.policies:
            self.setCurrentIndex(self._matrix.index(self._matrix.policies.index(chosen), at))

    def sort_again(self) -> None:
        """Sort by the answers as they are now."""
        self.sort_by(*self._matrix.order)

    def remember(self, settings: Settings) -> None:
        """Take the order and the widths that the user has chosen from the settings, and keep there what he chooses."""
        self._settings = settings
        order = settings.text(ORDER)
        column = intake.number(order[1:])
        if column is not None and 0 <= column < self.model().columnCount():
            self._matrix.order = (column, order.startswith("-"))
        for text in settings.texts(WIDTHS):
            place, _, thousandths = text.partition("=")
            at, share = intake.number(place), intake.number(thousandths)
            if at is not None and share is not None and 0 <= at < self.model().columnCount() and 10 <= share <= 2000:
                self._shares[at] = share / 1000

    def _resized(self, column: int, before: int, now: int) -> None:
        """Keep a width that the user has set by the mouse, as a share of the view's."""
        if not QGuiApplication.mouseButtons() & Qt.MouseButton.LeftButton or not self.header.underMouse():
            return
        self._shares[column] = now / max(self.viewport().width(), 1)
        if self._settings is not None:
            kept = [f"{at}={round(1000 * share)}" for at, share in self._shares.items()]
            self._settings.keep(WIDTHS, kept)
