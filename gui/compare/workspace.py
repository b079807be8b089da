"""The Compare workspace, the home screen: the matrix, the evidence of a cell, and the difference of two results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from PySide6.QtCore import QModelIndex, Qt
from PySide6.QtWidgets import QStackedWidget

from foliolab.framework.report.result_files import OF_POLICIES, kind_of
from foliolab.gui.compare import store
from foliolab.gui.compare.answer import QUESTIONS, question_named
from foliolab.gui.compare.collector import Collector
from foliolab.gui.compare.differences import Differences
from foliolab.gui.compare.evidence import Evidence
from foliolab.gui.compare.home import Home, More
from foliolab.gui.compare.matrix import Matrix
from foliolab.gui.compare.measure import Cell
from foliolab.gui.compare.measuring import Measuring
from foliolab.gui.compare.menus import offer_menus
from foliolab.gui.compare.opened_results import OpenedResults
from foliolab.gui.compare.queue import Queue
from foliolab.gui.compare.rows import Rows
from foliolab.gui.compare.state import CompareState, state_of
from foliolab.gui.compare.summary import Summary
from foliolab.gui.compare.table import MatrixView
from foliolab.gui.compare.welcome import Banner, Welcome
from foliolab.gui.window.building import page
from foliolab.gui.window.commands import Command
from foliolab.gui.window.desk import Desk
from foliolab.gui.window.exporting import Exportable
from foliolab.gui.window.session_file import Files, State
from foliolab.gui.window.settings import Settings
from foliolab.gui.window.workspace import Workspace

EVIDENCE: Final = 0.29
"""Share of the width for the evidence when it opens."""
TOURS: Final = "compare/tours"
BASELINE: Final = "compare/baseline"


class CompareWorkspace(Workspace):
    """The matrix with the evidence beside it, or the difference of two result files."""

    name = "compare"
    title = "&Compare"
    tip = "All policies and all questions at a glance"
    STATE = CompareState

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.matrix = Matrix(self)
        self.collector = Collector(desk.library, desk.settings.text(BASELINE))
        self.queue = Queue(desk, self.matrix, self.collector, self)
        self.view = MatrixView(self.matrix, desk.themes.now)
        self.evidence = Evidence(desk.themes.now)
        self.differences = Differences(desk.themes.now)
        self.home = Home(desk.themes.now)
        self.more = More()
        self.welcome = Welcome()
        self.welcome.setVisible(desk.settings.flag(TOURS, True))
        self.banner = Banner()
        self.rows = Rows(self.collector, self.matrix, self.view, self.home.scatter, self.more, self)
        self.rows.remember(desk.settings)
        self.summary = Summary(self.collector, self.view, self.matrix, self.rows, self.home)
        self.measuring = Measuring(self.queue, self.collector, self.matrix, self.view, self.rows, desk.notices)
        self.opened = OpenedResults(desk, self.collector, self.banner, self.differences, self)
        self._build()
        self._wire()

    # -- building --------------------------------------------------------------------------------------
    def _build(self) -> None:
        self.pages = QStackedWidget()
        self.pages.addWidget(page(self.banner, (self.home, 2), self.welcome, (self.view, 3), self.more, 0, spacing=0))
        self.pages.addWidget(self.differences)
        self.setCentralWidget(self.pages)
        dock = self.dock("evidence", "Evidence", self.evidence, Qt.DockWidgetArea.RightDockWidgetArea, shown=False)
        dock.setMinimumWidth(320)
        self.resizeDocks([dock], [380], Qt.Orientation.Horizontal)

    def _wire(self) -> None:
        offer_menus(self.desk.commands, self.view, self.home.scatter, (self.evidence.table, self.differences.table))
        self.view.opened.connect(self.open_evidence)
        self.view.selectionModel().currentChanged.connect(self._moved)
        self.view.cells.wanted.connect(self.measuring.measure_at)
        self.view.header.wanted.connect(self.measuring.measure_column)
        self.evidence.wanted.connect(self.measuring.measure)
        self.evidence.leave.connect(self._open_elsewhere)
        self.queue.answered.connect(self._answered)
        self.queue.failed.connect(self._failed)
        self.queue.changed.connect(self._changed)
        self.matrix.dataChanged.connect(self._on_data_changed)
        for table in (self.differences.table, self.evidence.table, self.view):
            table.remember(self.desk.settings)
        self.opened.changed.connect(self._show_matrix)
        self.opened.compared.connect(self._show_differences)
        self.queue.reached.connect(self.home.show_progress)
        self.home.wanted.connect(self.measuring.measure_all)
        self.home.stopped.connect(self.queue.cancel)
        self.home.opened.connect(self._open_spot)
        self.home.timed.connect(self.summary.show_times_of)
        self.home.scatter.part.changed.connect(self.rows.fill)
        self.more.unfolded.connect(self.rows.unfold)
        self.more.new.connect(self._new_policy)
        self.more.open.connect(self._open_policy)
        self.welcome.chosen.connect(self.desk.tour)
        self.welcome.closed.connect(self._hide_tours)

    def offered(self) -> Sequence[Command]:
        return [
            *self.measuring.commands(self.command),
            self.command("baseline", "Use as &baseline", self.use_as_baseline, menu="&Run", keys=("B",),
                         tip="Compare the costs of the other policies with the chosen policy"),
            self.command("evidence", "&Evidence", self.open_evidence, menu="&View", keys=("Ctrl+I",),
                         icon="information", bar=True, word="Evidence", tip="Show the evidence of the chosen cell"),
            self.command("rows", "&All policies, or the first ones", self.rows.toggle, menu="&View", keys=("A",),
                         tip="Show the rows of all policies, or only the first ones"),
            self.command("part", "All policies of the s&catter", self.home.scatter.part.fit, menu="&View",
                         keys=("Ctrl+Shift+0",), tip="Show all of the scatter, and the usual rows"),
            *self.opened.commands(self.command),
            self.command("tours", "Show the &tours", self.show_tours, menu="&View", keys=(),
                         tip="Show the tours above the matrix"),
        ]  # fmt: skip

    # -- hooks of workspaces ---------------------------------------------------------------------------
    def shown(self) -> None:
        """Collect the answers again: other workspaces may have found new verdicts."""
        self.rows.fill()
        self.view.setFocus()

    def hidden(self) -> None:
        """Stop collecting answers."""
        self.rows.stop()

    def refresh(self) -> None:
        """Collect the answers again, because policies or their texts have changed."""
        self.rows.outdate()
        if self.isVisible():
            self.rows.fill()

    def keep(self, settings: Settings) -> None:
        """Store the baseline, and how many rows are shown."""
        settings.keep(BASELINE, self.collector.baseline)
        self.rows.keep(settings)

    def shut(self) -> None:
        """Stop collecting answers; the window ends the jobs."""
        self.rows.stop()
        self.summary.stop()

    # -- the answers -----------------------------------------------------------------------------------
    def _open_spot(self, policy: str) -> None:
        """Show the evidence of a point of the scatter."""
        if policy not in self.matrix.policies:
            self.rows.unfold(True)
        cell = Cell(self.summary.question_of(policy), policy)
        index = self.matrix.index_of(cell)
        self.view.setCurrentIndex(index)
        self.open_evidence(index)

    def _new_policy(self) -> None:
        self.desk.go("policies")
        self.desk.commands.trigger("policies.new")

    def _open_policy(self) -> None:
        self.desk.go("policies")
        self.desk.commands.trigger("policies.open")

    def _answered(self, cell: Cell) -> None:
        self.collector.begin()
        if not self.collector.has_failed(cell):
            self.desk.notices.resolve(f"{cell.question} of {cell.policy}")
        if cell.policy == store.EVERY:
            self.rows.fill()
        else:
            self.matrix.set_answer(cell, self.collector.answer(cell))

    def _failed(self, cell: Cell, what: str, details: str) -> None:
        text = f"{cell.policy or 'all policies'}, {cell.question}: {what}"
        self.desk.notices.say(text, "error", details, about=f"{cell.question} of {cell.policy}")

    def _changed(self) -> None:
        self.desk.commands.enable("compare.stop", self.queue.running)
        self.home.show_progress(*((0.0, None) if self.queue.running else (None, None)))

    def _on_data_changed(self, first: QModelIndex, last: QModelIndex) -> None:
        if self.evidence.cell is not None and self.matrix.cell(first) == self.evidence.cell:
            self._show(self.evidence.cell)

    def use_as_baseline(self) -> None:
        """Compare the costs with those of the chosen policy."""
        policy = self.policy()
        if not policy or self.queue.running:
            self.desk.notices.say("choose a policy first, and wait until measuring has ended")
            return
        self.collector.baseline = policy
        self.home.scatter.part.fit()
        self.rows.fill()

    # -- evidence --------------------------------------------------------------------------------------
    def open_evidence(self, index: QModelIndex | None = None) -> None:
        """Show the evidence of a cell, by default of the chosen one; for a name, show the policy in Policies."""
        cell = self.view.chosen if index is None else self.matrix.cell(index)
        if cell is not None:
            self._show(cell)
            if self.docks["evidence"].isHidden():
                self.docks["evidence"].show()
                wide = max(320, int(EVIDENCE * self.width()))
                self.resizeDocks([self.docks["evidence"]], [wide], Qt.Orientation.Horizontal)
        elif index is not None and 0 <= index.row() < len(self.matrix.policies):
            self.desk.send("policies", {"policy": self.matrix.policies[index.row()]})

    def _moved(self, now: QModelIndex, before: QModelIndex) -> None:
        cell = self.matrix.cell(now)
        if cell is not None and self.docks["evidence"].isVisible():
            self._show(cell)

    def _show(self, cell: Cell) -> None:
        question = question_named(cell.question)
        self.evidence.show_answer(cell, question, self.matrix.answer(cell), bool(self.matrix.state(cell)))

    def _open_elsewhere(self, name: str) -> None:
        if self.evidence.cell is not None:
            self.send_policy(name, self.evidence.cell.policy, self.collector.baseline)

    # -- tours -----------------------------------------------------------------------------------------
    def show_tours(self) -> None:
        """Show the tours above the matrix."""
        self.welcome.show()
        self.desk.settings.keep(TOURS, True)

    def _hide_tours(self) -> None:
        self.welcome.hide()
        self.desk.settings.keep(TOURS, False)
        self.view.setFocus()

    # -- result files ----------------------------------------------------------------------------------
    def takes(self, path: Path) -> bool:
        """Whether a file is a result of compare, precision, consequences or replay."""
        return path.suffix == ".json" and kind_of(path) in OF_POLICIES

    def show_file(self, path: Path) -> None:
        """Show a result in the matrix; if another result is open already, show the difference of the two."""
        self.opened.show_file(path)

    def _show_matrix(self) -> None:
        self.pages.setCurrentIndex(0)
        self.rows.outdate()
        self.rows.fill()

    def _show_differences(self) -> None:
        self.pages.setCurrentIndex(1)
        self.differences.table.setFocus()

    def choose(self, what: dict[str, Any]) -> None:
        """See `Workspace.choose`; the keys are `policy` and `question`."""
        self.rows.fill()
        cell = Cell(str(what.get("question", QUESTIONS[0].name)), str(what.get("policy", "")))
        if cell.policy in self.collector.policies() and cell.policy not in self.matrix.policies:
            self.rows.unfold(True)
        if self.matrix.index_of(cell).isValid():
            self.view.choose(cell)
            self.open_evidence(self.matrix.index_of(cell))

    # -- the current view ------------------------------------------------------------------------------
    def state(self, files: Files) -> CompareState:
        return state_of(self, files)

    def restore(self, state: State, files: Files) -> None:
        """Show what a session kept: the figures of its host in place of one's own."""
        assert isinstance(state, CompareState)
        lent = self.collector.lent = state.lent(files)
        if self.desk.library.usable([state.baseline]):
            self.collector.baseline = state.baseline
        self.rows.unfolded, self.summary.workload = state.unfolded, state.workload
        path = files.path(state.result) if state.result else None
        self.opened.restore(path)
        if state.seen is not None:
            self.rows.fill_now()  # the rows follow the points
            self.home.scatter.part.see(state.seen)
        if lent is not None and path is None:
            self.banner.show_session(lent.origin)
        self.view.choose(Cell(state.question, state.policy))
        if state.evidence and self.view.chosen is not None:
            self.open_evidence()

    def policy(self) -> str:
        """The policy of the chosen row."""
        return self.view.policy

    def exportables(self) -> Sequence[Exportable]:
        """The matrix or the differences, and the evidence if it is open."""
        if self.pages.currentIndex() == 1:
            return [Exportable("difference", "Differences", self.differences, self.differences.export_table)]
        self.rows.fill_now()
        matrix = Exportable("matrix", "Matrix", self.view, self.matrix.export_table)
        evidence = self.evidence.exportables() if self.docks["evidence"].isVisible() else ()
        return [matrix, *evidence]

    def on_screen(self) -> dict[str, object]:
        """Question and policy of the `evidence` that is shown."""
        cell = self.evidence.cell if self.docks["evidence"].isVisible() else None
        return {"evidence": (cell.question, cell.policy) if cell is not None else ()}

    def repeated(self) -> Sequence[str]:
        """The command line of the chosen cell."""
        chosen = self.view.chosen
        return self.matrix.answer(chosen).command if chosen is not None else ()
