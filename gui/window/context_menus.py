"""Context menus: the actions of the menu bar that concern what is under the pointer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from PySide6.QtCore import QAbstractItemModel, QEvent, QModelIndex, QObject, QPoint, Qt
from PySide6.QtGui import QContextMenuEvent
from PySide6.QtWidgets import QAbstractItemView, QAbstractScrollArea, QMenu, QTableView, QTreeView, QWidget

if TYPE_CHECKING:
    from foliolab.gui.window.commands import Commands

EVERYWHERE: Final = ("edit.text", "edit.bookmark", "file.command", "file.export")
"""Commands at the end of every context menu."""
Choose = Callable[[QPoint], object]


class ContextMenu(QObject):
    """The context menu of a widget.

    Args:
        commands: has the actions; those of other workspaces are left out.
        widget: the widget, or one that holds others: their menus are this one, too.
        names: of the commands, before those that every context menu has.
        choose: chooses what is at a point of the widget before the menu opens there; not needed by lists and tables.
        about: the widget that says what is chosen, if it is another one.
    """

    def __init__(
        self, commands: Commands, widget: QWidget, names: Sequence[str], choose: Choose | None = None,
        about: QWidget | None = None,
    ) -> None:  # fmt: skip
        super().__init__(widget)
        self._commands, self._widget, self._names, self._choose = commands, widget, names, choose
        self._about = about if about is not None else widget
        widget.installEventFilter(self)
        if isinstance(widget, QAbstractScrollArea):
            widget.viewport().installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Open the menu by a right click, by the menu key, and by Shift+F10."""
        if event.type() != QEvent.Type.ContextMenu or not isinstance(event, QContextMenuEvent):
            return False
        if self._choose is not None and event.reason() == QContextMenuEvent.Reason.Mouse:
            self._choose(event.pos())
        self.menu().popup(event.globalPos())
        return True

    def menu(self) -> QMenu:
        """Make the menu. Copy as text is about this widget."""
        self._commands.pointed = self._about
        made = QMenu(self._widget)
        made.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        for part in (self._names, EVERYWHERE):
            made.addSeparator()
            made.addActions([action for name in part if (action := self._commands.action(name)).isVisible()])
        return made


def text_of(widget: QWidget | None) -> str:
    """What a widget shows, as text: the selected cells of a table, else all of them; the words for a picture."""
    while widget is not None:
        if isinstance(widget, QAbstractItemView):
            return _cells(widget)
        if widget.accessibleDescription():
            return widget.accessibleDescription()
        widget = widget.parentWidget()
    return ""


def _cells(view: QAbstractItemView) -> str:
    """The chosen cells of each row; without a choice all rows, below their headings."""
    header = view.horizontalHeader() if isinstance(view, QTableView) else None
    header = view.header() if isinstance(view, QTreeView) else header
    columns = [at for at in range(header.count()) if not header.isSectionHidden(at)] if header is not None else [0]
    chosen = {(index.parent(), index.row(), index.column()) for index in view.selectedIndexes()}
    lines = []
    if not chosen and header is not None and not header.isHidden():
        names = (view.model().headerData(column, Qt.Orientation.Horizontal) for column in columns)
        lines.append("\t".join(str(name or "") for name in names))
    for row in _rows(view.model(), view.rootIndex()):
        at = [row.siblingAtColumn(column) for column in columns]
        cells = [one for one in at if not chosen or (one.parent(), one.row(), one.column()) in chosen]
        if cells:
            lines.append("\t".join(str(one.data() or "") for one in cells))
    return "\n".join(lines)


def _rows(model: QAbstractItemModel, parent: QModelIndex) -> Iterator[QModelIndex]:
    """The first cell of each row, and of the rows below it."""
    for at in range(model.rowCount(parent)):
        row = model.index(at, 0, parent)
        yield row
        yield from _rows(model, row)
