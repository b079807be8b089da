"""The result files that Compare shows: one in the matrix, or what two of them differ in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from PySide6.QtCore import QObject, Signal

from foliolab.framework.errors import FolioLabError
from foliolab.framework.report.result_files import load_of_policies
from foliolab.framework.results.difference import difference
from foliolab.gui.window import dialogs

if TYPE_CHECKING:
    from PySide6.QtWidgets import QWidget

    from foliolab.framework.report.result_files import PolicyResult
    from foliolab.gui.compare.collector import Collector
    from foliolab.gui.compare.differences import Differences
    from foliolab.gui.compare.welcome import Banner
    from foliolab.gui.window.commands import Command
    from foliolab.gui.window.desk import Desk

RESULTS: Final = "Results (*.json)"


class OpenedResults(QObject):
    """The opened result, and the difference to a second one.

    Args:
        desk: has the notices and the undo stack.
        collector: gets the opened result in place of the answers of this host.
        banner: names it.
        differences: shows what differs.
        parent: of the dialogs.

    Signals:
        changed: the matrix is to show another result, or those of this host.
        compared: the differences are shown.

    Attributes:
        first: the file whose result the matrix shows; None for the results of this host.
    """

    changed = Signal()
    compared = Signal()

    def __init__(
        self, desk: Desk, collector: Collector, banner: Banner, differences: Differences, parent: QWidget
    ) -> None:
        super().__init__(parent)
        self._desk, self._collector, self._parent = desk, collector, parent
        self._banner, self._differences = banner, differences
        self.first: Path | None = None
        banner.second.clicked.connect(self.ask_second)
        banner.back.clicked.connect(self.show_own)
        differences.closed.connect(self.show_own)

    def commands(self, make: Callable[..., Command]) -> list[Command]:
        """The commands; `make` is `Workspace.command`."""
        return [
            make("second", "Open a &second result…", self.ask_second, menu="&File", keys=("Ctrl+Shift+O",),
                 icon="compare", bar=True, word="Second result", tip="Open two result files and show the difference"),
            make("own", "Show my &own results", self.show_own, menu="&View", keys=(),
                 tip="Close the result file, and show the results of this host"),
        ]  # fmt: skip

    def show_file(self, path: Path) -> None:
        """Show a result in the matrix; if another result is open already, show the difference of the two."""
        result, opened = load_of_policies(path), self._collector.opened
        if self.first is not None and opened is not None and path != self.first:
            self._differences.show_difference(self.first, path, difference(opened, result))
            self.compared.emit()
            return
        before = self.first, opened
        self._desk.undo.change(f"Open {path.name}", lambda: self._show(path, result), lambda: self._show(*before))

    def restore(self, path: Path | None) -> None:
        """Show a result, None for those of this host, without a step to undo."""
        self._show(path, load_of_policies(path) if path is not None else None)

    def _show(self, path: Path | None, result: PolicyResult | None) -> None:
        """Show a result in the matrix; None shows the results of this host."""
        self.first, self._collector.opened = path, result
        if path is None or result is None:
            self._banner.hide()
        else:
            self._banner.show_result(path, result)
        self.changed.emit()

    def ask_second(self) -> None:
        """Ask for a second result, and before for a first one if none is open."""
        for which in ["first", "second"] if self.first is None else ["second"]:
            path = dialogs.ask_open(self._parent, self._desk.settings, f"Open the {which} result", RESULTS)
            if path is None:
                return
            try:
                self.show_file(path)
            except FolioLabError as fault:
                self._desk.notices.fault(fault)
                return

    def show_own(self) -> None:
        """Close the result file, and show the results of this host."""
        self._collector.lent = None
        if self.first is None:
            self._show(None, None)
            return
        before = self.first, self._collector.opened
        self._desk.undo.change(f"Close {self.first.name}", lambda: self._show(None, None), lambda: self._show(*before))
