"""The Compare workspace, the home screen: the matrix, the evidence of a cell, and the difference of two results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from PySide6.QtCore import QModelIndex, Qt, QTimer
from PySide6.QtWidgets import QStackedWidget

from foliolab.framework.errors import FolioLabError
from foliolab.framework.report.result_files import OF_POLICIES, kind_of, load_of_policies
from foliolab.framework.results.difference import difference
from foliolab.gui.compare import headline, store
from foliolab.gui.compare.answer import BADGE, QUESTIONS, question_named
from foliolab.gui.compare.collector import QUESTION_OF, Collector
from foliolab.gui.compare.differences import Differences
from foliolab.gui.compare.evidence import Evidence
from foliolab.gui.compare.home import Home, More
from foliolab.gui.compare.matrix import Matrix
from foliolab.gui.compare.measure import TOGETHER, Cell
from foliolab.gui.compare.menus import offer_menus
from foliolab.gui.compare.queue import Queue
from foliolab.gui.compare.spots import spots_of
from foliolab.gui.compare.state import CompareState, state_of
from foliolab.gui.compare.table import MatrixView
from foliolab.gui.compare.welcome import Banner, Welcome
from foliolab.gui.window import dialogs
from foliolab.gui.window.building import page
from foliolab.gui.window.commands import Command
from foliolab.gui.window.desk import Desk
from foliolab.gui.window.exporting import Exportable
from foliolab.gui.window.session_file import Files, State
from foliolab.gui.window.settings import Settings
from foliolab.gui.window.workspace import Workspace

if TYPE_CHECKING:
    from foliolab.framework.report.result_files import PolicyResult

RESULTS: Final = "Results (*.json)"
EVIDENCE: Final = 0.29
"""Share of the width for the evidence when it opens."""
TOURS: Final = "compare/tours"
BASELINE: Final = "compare/baseline"
UNFOLDED: Final = "compare/unfolded"


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
        self.unfolded = desk.settings.flag(UNFOLDED)
        self.workload = ""
        """Whose times the scatter shows."""
        self.welcome = Welcome()
        self.welcome.setVisible(desk.settings.flag(TOURS, True))
        self.banner = Banner()
        self.first: Path | None = None
        """The file whose result the matrix shows."""
        self._pending: list[Cell] = []
        self._filling = QTimer(self, interval=0)
        self._filling.timeout.connect(self._fill_one)
        self._telling = QTimer(self, interval=0, singleShot=True)
        self._telling.timeout.connect(self._tell)
        self._stale = True
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
        self.view.cells.wanted.connect(self._wanted)
        self.view.header.wanted.connect(self._wanted_column)
        self.evidence.wanted.connect(self._wanted_cell)
        self.evidence.leave.connect(self._open_elsewhere)
        self.queue.answered.connect(self._answered)
        self.queue.failed.connect(self._failed)
        self.queue.changed.connect(self._changed)
        self.matrix.dataChanged.connect(self._on_data_changed)
        for table in (self.differences.table, self.evidence.table, self.view):
            table.remember(self.desk.settings)
        self.differences.closed.connect(self.show_own)
        self.banner.second.clicked.connect(self.ask_second)
        self.banner.back.clicked.connect(self.show_own)
        self.queue.reached.connect(self.home.show_progress)
        self.home.wanted.connect(self.measure_all)
        self.home.stopped.connect(self.queue.cancel)
        self.home.opened.connect(self._open_spot)
        self.home.timed.connect(self._show_times_of)
        self.home.scatter.part.changed.connect(self._fill)
        self.more.unfolded.connect(self._unfold)
        self.more.new.connect(self._new_policy)
        self.more.open.connect(self._open_policy)
        self.welcome.chosen.connect(self.desk.tour)
        self.welcome.closed.connect(self._hide_tours)

    def offered(self) -> Sequence[Command]:
        return [
            self.command("cell", "&Measure this cell", self.measure_cell, menu="&Run", keys=("M",), icon="play",
                         bar=True, word="Measure",
                         tip="Measure the chosen cell, in a few seconds"),
            self.command("row", "Measure this &policy", self.measure_row, menu="&Run", keys=("Shift+M",),
                         tip="Measure the cells of the chosen policy that have no answer"),
            self.command("column", "Measure this &question", self.measure_column, menu="&Run", keys=("Alt+M",),
                         tip="Measure the cells of the chosen question that have no answer"),
            self.command("all", "Measure &here", self.measure_all, menu="&Run", keys=("Ctrl+R",), icon="next",
                         tip="Measure all policies on this host, in about three minutes; Stop keeps what is measured"),
            self.command("stop", "&Stop measuring", self.queue.cancel, menu="&Run", keys=("Ctrl+.",), icon="stop",
                         bar=True, word="Stop", tip="Stop measuring; the answers so far stay"),
            self.command("baseline", "Use as &baseline", self.use_as_baseline, menu="&Run", keys=("B",),
                         tip="Compare the costs of the other policies with the chosen policy"),
            self.command("evidence", "&Evidence", self.open_evidence, menu="&View", keys=("Ctrl+I",),
                         icon="information", bar=True, word="Evidence", tip="Show the evidence of the chosen cell"),
            self.command("rows", "&All policies, or the first ones", self.toggle_rows, menu="&View", keys=("A",),
                         tip="Show the rows of all policies, or only the first ones"),
            self.command("part", "All policies of the s&catter", self.home.scatter.part.fit, menu="&View",
                         keys=("Ctrl+Shift+0",), tip="Show all of the scatter, and the usual rows"),
            self.command("second", "Open a &second result…", self.ask_second, menu="&File", keys=("Ctrl+Shift+O",),
                         icon="compare", bar=True, word="Second result",
                         tip="Open two result files and show the difference"),
            self.command("own", "Show my &own results", self.show_own, menu="&View", keys=(),
                         tip="Close the result file, and show the results of this host"),
            self.command("tours", "Show the &tours", self.show_tours, menu="&View", keys=(),
                         tip="Show the tours above the matrix"),
        ]  # fmt: skip

    # -- hooks of workspaces ---------------------------------------------------------------------------
    def shown(self) -> None:
        """Collect the answers again: other workspaces may have found new verdicts."""
        self._fill()
        self.view.setFocus()

    def hidden(self) -> None:
        """Stop collecting answers."""
        self._stale = self._stale or bool(self._pending)
        self._filling.stop()

    def refresh(self) -> None:
        """Collect the answers again, because policies or their texts have changed."""
        self._stale = True
        if self.isVisible():
            self._fill()

    def keep(self, settings: Settings) -> None:
        """Store the baseline."""
        settings.keep(BASELINE, self.collector.baseline)
        settings.keep(UNFOLDED, self.unfolded)

    def shut(self) -> None:
        """Stop collecting answers; the window ends the jobs."""
        self._filling.stop()
        self._telling.stop()

    # -- the answers -----------------------------------------------------------------------------------
    def _fill(self) -> None:
        """Begin to collect all answers, one cell per pass of the event loop; first the quick questions."""
        self.collector.begin()
        every, first = self.collector.policies(), self.collector.first()
        policies = [*first, *(policy for policy in every if policy not in first)] if self.unfolded else first
        scatter = self.home.scatter
        partly = scatter.part.seen is not None and bool(scatter.inside)
        if partly:  # the rows follow the part; a part without a point leaves them
            policies = [scatter.spots[number].policy for number in scatter.inside]
        hidden = len(every) - len(policies if partly else first)
        self.more.show_rows(hidden, self.unfolded and not partly, bool(self.collector.own()))
        if policies != self.matrix.own or self._stale:
            chosen = self.matrix.cell(self.view.currentIndex())
            self.matrix.set_policies(policies, {policy: self.collector.summary(policy) for policy in policies})
            self._choose(chosen)
        self.view.fit(not self.unfolded and policies != every)
        self._stale = False
        quick = [question.name for question in QUESTIONS if not question.takes_time]
        rows = [*policies, *(policy for policy in every if policy not in policies)]
        cells = [Cell(question.name, policy) for policy in rows for question in QUESTIONS]
        self._pending = sorted(cells, key=lambda cell: (cell.policy not in policies, cell.question not in quick))
        self._filling.start()

    def _fill_one(self) -> None:
        if not self._pending:
            self._filling.stop()
            self._telling.start()
            return
        cell = self._pending.pop(0)
        self.matrix.set_answer(cell, self.collector.answer(cell))

    def fill_now(self) -> None:
        """Collect all remaining answers before returning."""
        while self._pending:
            self._fill_one()
        self._tell()

    # -- in words and as a picture -----------------------------------------------------------------------
    def _tell(self) -> None:
        """Say what the answers say, and draw it; not before all are collected."""
        if self._pending:
            return
        self.view.sort_again()
        every = self.collector.policies()
        found = {
            policy: {one.name: self.matrix.answer(Cell(one.name, policy)) for one in QUESTIONS} for policy in every
        }
        known = {policy: {name: one for name, one in about.items() if one.known} for policy, about in found.items()}
        origins = {one.reference for about in known.values() for one in about.values() if one.reference}
        badge = f"Grey, “{BADGE}”: measured elsewhere ({', '.join(sorted(origins))})." if origins else ""
        self.home.show_answer(headline.sentences(known, self.matrix.own, self.collector.baseline), badge)
        timed = {name: 1 for about in known.values() if "cost" in about for name in about["cost"].values}
        workloads = [name for name in timed if isinstance(name, str)]
        if self.workload not in workloads:
            self.workload = next(iter(workloads), "")
        spots = spots_of(known, self.collector.baseline, self.workload, self.matrix.own)
        self.home.show_scatter(spots, workloads, self.workload, self.collector.baseline)

    def _show_times_of(self, workload: str) -> None:
        self.workload = workload
        self.home.scatter.part.fit()  # other times, other places
        self._tell()

    def _open_spot(self, policy: str) -> None:
        """Show the evidence of a point: of what makes the policy unsafe, else of its cost."""
        if policy not in self.matrix.policies:
            self._unfold(True)
        about = {question.name: self.matrix.answer(Cell(question.name, policy)) for question in QUESTIONS}
        measured = "exclusive" in headline.unsafe(about)
        question = "precise" if measured else "right" if headline.unsafe(about) else "cost"
        index = self.matrix.index_of(Cell(question, policy))
        self.view.setCurrentIndex(index)
        self.open_evidence(index)

    def _unfold(self, unfolded: bool) -> None:
        self.unfolded = unfolded
        self.home.scatter.part.fit()
        self._fill()

    def toggle_rows(self) -> None:
        """Show the rows of all policies, or only the first ones."""
        self._unfold(not self.unfolded)

    def _new_policy(self) -> None:
        self.desk.go("policies")
        self.desk.commands.trigger("policies.new")

    def _open_policy(self) -> None:
        self.desk.go("policies")
        self.desk.commands.trigger("policies.open")

    def _choose(self, cell: Cell | None) -> None:
        index = self.matrix.index_of(cell) if cell is not None else QModelIndex()
        if not index.isValid() and self.matrix.policies:
            index = self.matrix.index(0, 1)
        if index.isValid():
            self.view.setCurrentIndex(index)

    def _answered(self, cell: Cell) -> None:
        self.collector.begin()
        if not self.collector.has_failed(cell):
            self.desk.notices.resolve(f"{cell.question} of {cell.policy}")
        if cell.policy == store.EVERY:
            self._fill()
        else:
            self.matrix.set_answer(cell, self.collector.answer(cell))

    def _failed(self, cell: Cell, what: str, details: str) -> None:
        text = f"{cell.policy or 'all policies'}, {cell.question}: {what}"
        self.desk.notices.say(text, "error", details, about=f"{cell.question} of {cell.policy}")

    def _changed(self) -> None:
        self.desk.commands.enable("compare.stop", self.queue.running)
        self.home.show_progress(*((0.0, None) if self.queue.running else (None, None)))

    def _on_data_changed(self, first: QModelIndex, last: QModelIndex) -> None:
        self._telling.start()
        if self.evidence.cell is not None and self.matrix.cell(first) == self.evidence.cell:
            self._show(self.evidence.cell)

    # -- measuring -------------------------------------------------------------------------------------
    @property
    def chosen(self) -> Cell | None:
        """The chosen cell; None if a name is chosen."""
        return self.matrix.cell(self.view.currentIndex())

    def measure_cell(self) -> None:
        """Measure the chosen cell, again if it has an answer; if a name is chosen, its row."""
        if self.chosen is not None:
            self._wanted_cell(self.chosen)
        else:
            self.measure_row()

    def measure_row(self) -> None:
        """Measure the cells of the chosen policy that have no answer."""
        if policy := self.policy():
            self._measure([Cell(question.name, policy) for question in QUESTIONS])

    def measure_column(self) -> None:
        """Measure the cells of the chosen question that have no answer."""
        self._wanted_column(self.view.currentIndex().column())

    def measure_all(self) -> None:
        """Measure what all policies cost and how precise they are on this host, and verify those without verdicts."""
        if self.collector.opened is not None:
            self.desk.notices.say("the matrix shows a result file: choose “Show my own results” to measure")
            return
        self.fill_now()
        policies = self.collector.policies()
        lacking = [Cell("right", policy) for policy in policies if not self.matrix.answer(Cell("right", policy)).known]
        self.queue.measure([*(Cell(question, store.EVERY) for question in TOGETHER), *lacking])

    def _measure(self, cells: Sequence[Cell]) -> None:
        self.fill_now()
        answers = {cell: self.matrix.answer(cell) for cell in cells}
        lacking = [cell for cell, answer in answers.items() if not answer.known or answer.old or answer.reference]
        takes = {question.name for question in QUESTIONS if question.takes_time}
        lacking = [cell for cell in lacking if cell.question in takes and answers[cell].command]
        if lacking:
            self.queue.measure(lacking)
        else:
            self.desk.notices.say("all these cells have answers; M measures the chosen cell again")

    def _wanted(self, index: QModelIndex) -> None:
        cell = self.matrix.cell(index)
        if cell is not None:
            self.view.setCurrentIndex(index)
            self._wanted_cell(cell)

    def _wanted_cell(self, cell: Cell) -> None:
        question = question_named(cell.question)
        if not question.takes_time or not self.collector.command(cell):
            self.desk.notices.say(f"{question.title} of {cell.policy} is not measured")
        elif self.collector.opened is not None and QUESTION_OF[self.collector.opened.kind] == cell.question:
            self.desk.notices.say("the matrix shows a result file: choose “Show my own results” to measure")
        else:
            self.queue.measure([cell])

    def _wanted_column(self, column: int) -> None:
        question = self.matrix.question(column)
        if question is not None:
            self._measure([Cell(question.name, policy) for policy in self.matrix.policies])

    def use_as_baseline(self) -> None:
        """Compare the costs with those of the chosen policy."""
        policy = self.policy()
        if not policy or self.queue.running:
            self.desk.notices.say("choose a policy first, and wait until measuring has ended")
            return
        self.collector.baseline = policy
        self.home.scatter.part.fit()
        self._fill()

    # -- evidence --------------------------------------------------------------------------------------
    def open_evidence(self, index: QModelIndex | None = None) -> None:
        """Show the evidence of a cell, by default of the chosen one; for a name, show the policy in Policies."""
        cell = self.chosen if index is None else self.matrix.cell(index)
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
        result = load_of_policies(path)
        if self.first is not None and self.collector.opened is not None and path != self.first:
            self._show_difference(path, result)
            return
        before = self.first, self.collector.opened
        self.desk.undo.change(
            f"Open {path.name}", lambda: self._show_result(path, result), lambda: self._show_result(*before)
        )

    def _show_result(self, path: Path | None, result: PolicyResult | None) -> None:
        """Show a result in the matrix; None shows the results of this host."""
        self.first, self.collector.opened = path, result
        self.pages.setCurrentIndex(0)
        self._stale = True
        if path is None or result is None:
            self.banner.hide()
        else:
            self.banner.show_result(path, result)
        self._fill()

    def _show_difference(self, path: Path, result: PolicyResult) -> None:
        assert self.first is not None and self.collector.opened is not None
        self.differences.show_difference(self.first, path, difference(self.collector.opened, result))
        self.pages.setCurrentIndex(1)
        self.differences.table.setFocus()

    def ask_second(self) -> None:
        """Ask for a second result, and before for a first one if none is open."""
        for which in ["first", "second"] if self.first is None else ["second"]:
            path = dialogs.ask_open(self, self.desk.settings, f"Open the {which} result", RESULTS)
            if path is None:
                return
            try:
                self.show_file(path)
            except FolioLabError as fault:
                self.desk.notices.fault(fault)
                return

    def show_own(self) -> None:
        """Close the result file, and show the results of this host."""
        self.collector.lent = None
        if self.first is None:
            self._show_result(None, None)
            return
        before = self.first, self.collector.opened
        self.desk.undo.change(
            f"Close {self.first.name}", lambda: self._show_result(None, None), lambda: self._show_result(*before)
        )

    def choose(self, what: dict[str, Any]) -> None:
        """See `Workspace.choose`; the keys are `policy` and `question`."""
        self._fill()
        cell = Cell(str(what.get("question", QUESTIONS[0].name)), str(what.get("policy", "")))
        if cell.policy in self.collector.policies() and cell.policy not in self.matrix.policies:
            self._unfold(True)
        if self.matrix.index_of(cell).isValid():
            self._choose(cell)
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
        self.unfolded, self.workload = state.unfolded, state.workload
        path = files.path(state.result) if state.result else None
        self._show_result(path, load_of_policies(path) if path is not None else None)
        if state.seen is not None:
            self.fill_now()  # the rows follow the points
            self.home.scatter.part.see(state.seen)
        if lent is not None and path is None:
            self.banner.show_session(lent.origin)
        self._choose(Cell(state.question, state.policy))
        if state.evidence and self.chosen is not None:
            self.open_evidence()

    def policy(self) -> str:
        """The policy of the chosen row."""
        row = self.view.currentIndex().row()
        return self.matrix.policies[row] if 0 <= row < len(self.matrix.policies) else ""

    def exportables(self) -> Sequence[Exportable]:
        """The matrix or the differences, and the evidence if it is open."""
        if self.pages.currentIndex() == 1:
            return [Exportable("difference", "Differences", self.differences, self.differences.export_table)]
        self.fill_now()
        matrix = Exportable("matrix", "Matrix", self.view, self.matrix.export_table)
        evidence = self.evidence.exportables() if self.docks["evidence"].isVisible() else ()
        return [matrix, *evidence]

    def on_screen(self) -> dict[str, object]:
        """Question and policy of the `evidence` that is shown."""
        cell = self.evidence.cell if self.docks["evidence"].isVisible() else None
        return {"evidence": (cell.question, cell.policy) if cell is not None else ()}

    def repeated(self) -> Sequence[str]:
        """The command line of the chosen cell."""
        if self.chosen is not None:
            return self.matrix.answer(self.chosen).command
        return ()
