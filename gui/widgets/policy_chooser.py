"""A list of policies to tick, with an entry for policies with parameters, and a choice of callers.

Broken plugins are listed disabled.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtWidgets import QLineEdit, QListWidget, QListWidgetItem, QPushButton, QWidget

from foliolab.framework.contract.policy import WITH, caller_of
from foliolab.framework.errors import FolioLabError
from foliolab.framework.escaping import visible
from foliolab.gui.widgets.caller_box import CallerBox
from foliolab.gui.widgets.search_field import SearchField
from foliolab.gui.window.building import FLUSH, column, named, row
from foliolab.gui.window.chosen_policy import OF_POLICY
from foliolab.gui.window.context_menus import ContextMenu
from foliolab.gui.window.desk import Desk
from foliolab.gui.window.plain import tip

TEXT: Final = Qt.ItemDataRole.UserRole


class PolicyChooser(QWidget):
    """The policies of the library, with check boxes.

    Args:
        desk: has the policies, and shows errors of the entry.
        menu: names of the commands of the list's context menu, before those about the chosen policy.
        most: how many policies can be ticked; 0 for no limit.

    Signals:
        changed: the ticked policies changed.
    """

    changed = Signal()

    def __init__(self, desk: Desk, menu: Sequence[str] = (), most: int = 0) -> None:
        super().__init__()
        self._library = desk.library
        self._notices = desk.notices
        self._most = most
        self._extra: list[str] = []
        self.list = named(QListWidget(), "Policies")
        tip = "A policy with parameters, as on the command line, such as NAME:slots=3"
        self.entry = named(QLineEdit(placeholderText="NAME:parameter=value"), "A policy with parameters", tip)
        self.add = named(QPushButton("Add"), "Add the policy with these parameters")
        self.caller = named(CallerBox(self._library), "Caller", "How operations such as fork proceed")
        self.under = named(QPushButton("Add under it"), "Add the chosen policy under this caller")
        self.search = SearchField(self.list, "policies")
        lines = (row((self.entry, 1), self.add), row((self.caller, 1), self.under))
        column(self.search, (self.list, 1), *lines, of=self, margins=FLUSH)
        ContextMenu(desk.commands, self.list, (*menu, *OF_POLICY))
        self.refill()
        self.list.itemChanged.connect(self._ticked)
        self.add.clicked.connect(self._added)
        self.entry.returnPressed.connect(self._added)
        self.under.clicked.connect(self._added_under)

    def chosen(self) -> list[str]:
        """The ticked policies, as they are written on the command line."""
        items = (self.list.item(row) for row in range(self.list.count()))
        return [item.data(TEXT) for item in items if item.checkState() == Qt.CheckState.Checked and item.data(TEXT)]

    @property
    def current(self) -> str:
        """The policy of the row that is chosen, else the first ticked one; empty for none."""
        item: QListWidgetItem | None = self.list.currentItem()
        return str(item.data(TEXT) or "") if item is not None else next(iter(self.chosen()), "")

    def choose(self, texts: Sequence[str]) -> None:
        """Tick exactly these policies; those with parameters or a caller are added to the list."""
        self._extra += [text for text in texts if (":" in text or WITH in text) and text not in self._extra]
        self.refill(texts)
        self.changed.emit()

    def refill(self, ticked: Sequence[str] | None = None) -> None:
        """List the policies of the library again; policies stay ticked if they still exist."""
        ticked = self.chosen() if ticked is None else ticked
        self.caller.refill()
        with QSignalBlocker(self.list):
            self.list.clear()
            for policy in self._library.policies:
                self._offer(policy.name, policy.summary, policy.name in ticked)
            for text in self._library.usable(self._extra):
                caller = caller_of(text)
                self._offer(text, f"under the caller {caller}" if caller else "with these parameters", text in ticked)
            for failure in self._library.failures:
                item = QListWidgetItem(visible(f"{failure.name} (broken)"))
                item.setToolTip(tip(failure.message))
                item.setFlags(Qt.ItemFlag.NoItemFlags)
                self.list.addItem(item)

    def _offer(self, text: str, summary: str, ticked: bool) -> None:
        item = QListWidgetItem(text)
        item.setData(TEXT, text)
        item.setToolTip(tip(summary))
        item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemIsUserCheckable)
        item.setCheckState(Qt.CheckState.Checked if ticked else Qt.CheckState.Unchecked)
        self.list.addItem(item)

    def _ticked(self, item: QListWidgetItem) -> None:
        if self._most and item.checkState() == Qt.CheckState.Checked and len(self.chosen()) > self._most:
            item.setCheckState(Qt.CheckState.Unchecked)
            self._notices.say(f"at most {self._most} policies can be shown side by side: untick one first")
            return
        self.changed.emit()

    def _added(self) -> None:
        if self._take(self.entry.text().strip()):
            self.entry.clear()

    def _added_under(self) -> None:
        if not self.current:
            self._notices.say("choose a policy of the list first")
        elif not self.caller.caller:
            self._notices.say("choose a caller first")
        else:
            self._take(self.caller.under(self.current))

    def _take(self, text: str) -> bool:
        """Add a policy to the list, and tick it if there is room; whether there is such a policy."""
        if not text:
            return False
        try:
            self._library.scheme(text)
        except FolioLabError as fault:
            self._notices.fault(fault)
            return False
        if text not in self._extra:
            self._extra.append(text)
        room = not self._most or len(self.chosen()) < self._most
        self.refill([*self.chosen(), *([text] if room else [])])
        self.changed.emit()
        return True
