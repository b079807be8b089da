"""The list of policies by origin; broken plugins are grey and show their error."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QBrush
from PySide6.QtWidgets import QTreeWidgetItem

from foliolab.framework.csource.name import TREE
from foliolab.framework.escaping import visible
from foliolab.gui.policies.listing import GROUPS, Entry
from foliolab.gui.widgets.basics import bold
from foliolab.gui.widgets.sorted_tree import SortedItem, SortedTree
from foliolab.gui.window.plain import tip

if TYPE_CHECKING:
    from foliolab.gui.window.checked import Checked
    from foliolab.gui.window.theme import Theme

KEY: Final = Qt.ItemDataRole.UserRole
ROW: Final = 24


class PolicyTree(SortedTree):
    """Policies in groups.

    Signals:
        chosen: the chosen entry; None if none is chosen.
    """

    chosen = Signal(object)

    def __init__(self) -> None:
        super().__init__("Policies", ("Policy", "State", "Claims"))
        self.setObjectName("policies.list")
        self.setIndentation(12)
        self.header().resizeSection(0, 150)
        self.header().resizeSection(1, 80)
        self._entries: dict[tuple[bool, str], Entry] = {}
        self._filling = False
        self.currentItemChanged.connect(self._moved)

    def show_entries(
        self, entries: Sequence[Entry], states: Mapping[str, Checked], busy: Sequence[str], theme: Theme
    ) -> None:
        """Replace the entries. The chosen entry stays chosen, also if its file broke or was repaired.

        Args:
            entries: the entries, by group.
            states: results of checks, by policy.
            busy: names of policies that are being checked.
            theme: the colours.
        """
        before = self.entry
        self._filling = True
        self._entries = {entry.key: entry for entry in entries}
        heads: list[SortedItem] = []
        again: SortedItem | None = None
        for group, title in GROUPS.items():
            members = [entry for entry in entries if entry.group == group]
            if not members:
                continue
            head = SortedItem([f"{title} ({len(members)})"])
            head.setFlags(Qt.ItemFlag.ItemIsEnabled)
            head.setFont(0, bold(self.font()))
            head.setForeground(0, QBrush(theme.colour("quiet")))
            heads.append(head)
            for entry in members:
                item = _item(entry, states.get(entry.name), entry.name in busy, theme)
                head.addChild(item)
                if before is not None and _same(before, entry):
                    again = item
        self.show_items(heads)
        for head in heads:
            head.setFirstColumnSpanned(True)
            head.setExpanded(True)
        first = again or next(self._items(), None)
        if first is not None:
            self.setCurrentItem(first)
        self._filling = False
        self.chosen.emit(self.entry)

    def choose(self, name: str = "", source: str = "") -> bool:
        """Choose an entry by its name or its file. Returns whether it exists."""
        for item in self._items():
            entry = self._entries[item.data(0, KEY)]
            if entry.name == name or (source and entry.source == source):
                self.setCurrentItem(item)
                return True
        return False

    def _items(self) -> Iterator[QTreeWidgetItem]:
        heads = [self.topLevelItem(number) for number in range(self.topLevelItemCount())]
        for head in heads:
            if head is not None:
                yield from (head.child(number) for number in range(head.childCount()))

    @property
    def entry(self) -> Entry | None:
        """The chosen entry."""
        item: QTreeWidgetItem | None = self.currentItem()
        return None if item is None else self._entries.get(item.data(0, KEY))

    def _moved(self, now: QTreeWidgetItem | None, before: QTreeWidgetItem | None) -> None:
        if not self._filling:
            self.chosen.emit(self.entry)


def _same(one: Entry, other: Entry) -> bool:
    """Whether two entries are the same policy, or the same file or kernel tree that broke or was repaired."""
    file = one.source == other.source and one.source.startswith((os.sep, TREE))
    return one.key == other.key or (file and one.broken != other.broken)


def _item(entry: Entry, checked: Checked | None, busy: bool, theme: Theme) -> SortedItem:
    state, token = entry.status(checked)
    if busy and not entry.broken:
        state, token = "… checking", "quiet"
    item = SortedItem([visible(entry.name), state, visible(entry.summary if entry.broken else entry.claims_text)])
    item.setData(0, KEY, entry.key)
    item.setSizeHint(0, QSize(0, ROW))
    item.setForeground(1, QBrush(theme.colour(token)))
    for column in range(3):
        item.setToolTip(column, tip(entry.summary))
    if entry.verdicts_text:
        item.setToolTip(2, tip(entry.verdicts_text))
    item.setForeground(2, QBrush(theme.colour("bad" if "✗" in entry.claims_text else "quiet")))
    if entry.broken:
        item.setForeground(0, QBrush(theme.colour("quiet")))
    item.setData(0, Qt.ItemDataRole.AccessibleTextRole, f"{entry.name} {state}".strip())
    return item
