"""The list of a step's memory accesses: primitive, field, value, function and line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from PySide6.QtCore import QSignalBlocker, Qt, QTimer, Signal
from PySide6.QtWidgets import QAbstractItemView, QTreeWidgetItem

from foliolab.framework.escaping import visible
from foliolab.framework.explore.accesses import Access
from foliolab.framework.report.functions import function_at
from foliolab.framework.verify.field_names import change_text, value_text
from foliolab.gui.widgets.basics import bold
from foliolab.gui.widgets.sorted_tree import SortedItem, SortedTree
from foliolab.gui.window.plain import tip

HEADINGS: Final = ("", "access", "field", "value", "function", "line")
AT_ONCE: Final = 100
"""Accesses that are listed in one event of the window's loop, which takes some ten milliseconds."""
SIGNS: Final = {"read": "○", "write": "●", "lock": "◆", "unlock": "◇"}
"""The signs of the sequence diagram: hollow for reads, filled for writes, diamonds for locks."""


def kind(access: Access) -> str:
    """The kind of an access: read, write, lock or unlock."""
    if access.op == "test_and_set_bit_lock" and access.writes:
        return "lock"
    if access.op.endswith("_unlock"):
        return "unlock"
    return "write" if access.writes else "read"


def value(access: Access) -> str:
    """Old and new value of a write; the value of a read."""
    if access.writes:
        return change_text(access.field, access.old, access.new, access.stored)
    return value_text(access.field, access.old, access.stored)


class AccessList(SortedTree):
    """The list.

    Signals:
        chosen: (index): the user chose an access.
    """

    chosen = Signal(int)

    def __init__(self) -> None:
        super().__init__("Memory accesses of the step", HEADINGS)
        self._accesses: tuple[Access, ...] = ()
        self._filling = QTimer(self, interval=0)
        self._filling.timeout.connect(self._fill)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setAllColumnsShowFocus(True)
        self.header().setMinimumSectionSize(24)
        for column, width in enumerate((34, 120, 150, 130, 120, 50)):
            self.header().resizeSection(column, width)
        self.currentItemChanged.connect(self._changed)

    def show_accesses(self, accesses: Sequence[Access], at: int) -> None:
        """Show accesses with one of them selected (-1: none); `chosen` is not emitted."""
        with QSignalBlocker(self):
            if tuple(accesses) != self._accesses:
                self._accesses = tuple(accesses)
                self.show_items(())
                self._filling.start()
            self._fill(at + 1)
            item = self.numbered(at)
            if item is not None:
                self.setCurrentItem(item)
                self.scrollToItem(item, QAbstractItemView.ScrollHint.EnsureVisible)
        self.setAccessibleDescription(f"{len(accesses)} accesses")

    def _fill(self, least: int = 0) -> None:
        """List the next `AT_ONCE` accesses, and so many that at least the first `least` are listed."""
        first, nr = self.topLevelItemCount(), len(self._accesses)
        end = min(max(first + AT_ONCE, least), nr)
        if first < end:
            self.add_items([self._item(access) for access in self._accesses[first:end]])
        if end == nr:
            self._filling.stop()

    def go(self, at: int) -> None:
        """Select an access; `chosen` is emitted."""
        self._fill(at + 1)
        item = self.numbered(at)
        if item is not None:
            self.setCurrentItem(item)
            self.scrollToItem(item, QAbstractItemView.ScrollHint.EnsureVisible)

    def _item(self, access: Access) -> SortedItem:
        number_of_thread = f"{access.thread} " if access.thread >= 0 else ""
        sign, field = f"{number_of_thread}{SIGNS[kind(access)]}", access.field.removeprefix("folio.")
        function = function_at(access.file, access.line).name
        op, shown = access.op, value(access)
        if access.count > 1:  # a scan of a page table
            op, field, shown = f"{access.count} × {access.op}", field.partition("[")[0], ""
        texts = [sign, op, field, shown, function, str(access.line)]
        item = SortedItem([visible(text) for text in texts])
        thread = f"thread {access.thread}, " if access.thread >= 0 else ""
        text = f"{thread}{kind(access)}: {access.description}\n{Path(access.file).name}:{access.line}: {access.code}"
        item.setData(0, Qt.ItemDataRole.AccessibleTextRole, text)
        for column in range(len(texts)):
            item.setToolTip(column, tip(text))
        if access.stored is not None and access.writes:
            for column in (1, 2, 3):
                item.setFont(column, bold(self.font()))
        return item

    def _changed(self, item: QTreeWidgetItem | None, _before: QTreeWidgetItem | None) -> None:
        if isinstance(item, SortedItem):
            self.chosen.emit(item.number)
