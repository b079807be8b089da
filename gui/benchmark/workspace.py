"""Benchmark: curves over folio size, live while they are measured."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QComboBox, QFileDialog, QHBoxLayout, QLabel, QPushButton, QSplitter, QVBoxLayout, QWidget

from foliolab.framework.errors import FolioLabError
from foliolab.gui.benchmark.controls import Controls
from foliolab.gui.benchmark.measure import Wish, request_of
from foliolab.gui.window.commands import Command
from foliolab.gui.window.desk import Desk
from foliolab.gui.window.exporting import Exportable
from foliolab.gui.window.settings import Settings
from foliolab.gui.window.theme import Theme
from foliolab.gui.window.workspace import Workspace

if TYPE_CHECKING:
    from foliolab.framework.calibration.prediction import Forecast
    from foliolab.framework.results.comparison import Row
    from foliolab.framework.results.result import Result
    from foliolab.gui.benchmark.counted import CountedBars
    from foliolab.gui.benchmark.verdicttable import VerdictTable
    from foliolab.gui.jobs import Job
    from foliolab.gui.widgets.curves import CurvePlot

WELCOME: Final = (
    "Times are measured in interleaved rounds in a process of their own; curves grow while they are. Bars are 95 % "
    "intervals; dashed curves are figures that patch series published."
)
ALL: Final = "all workloads"


class BenchmarkWorkspace(Workspace):
    """Measure policies."""

    name = "benchmark"
    title = "&Benchmark"
    icon = "benchmark"
    keys = "Ctrl+3"
    tip = "Measure what policies cost, and watch the curves"

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.job: Job | None = None
        self.result: Result | None = None
        self.rows: Sequence[Row] = ()
        self.path: Path | None = None
        self.plot: CurvePlot | None = None
        self.bars: CountedBars | None = None
        self.table: VerdictTable | None = None
        self._forecasts: dict[tuple[str, int, str], Forecast] = {}
        self._no_rest = ""
        self.controls = Controls(desk)
        self.controls.wanted.connect(self.start)
        self.controls.stopped.connect(self.stop)
        self.workload, self.baseline = QComboBox(), QComboBox()
        self.workload.setAccessibleName("Workload that is shown")
        self.baseline.setAccessibleName("Baseline that ratios are against")
        self.scale, self.rest = QComboBox(), QComboBox()
        self.scale.addItems(["ratio to the baseline", "nanoseconds a page"])
        self.scale.setAccessibleName("Ratio or absolute")
        self.rest.addItems(["raw", "with the rest of the kernel"])
        self.rest.setAccessibleName("Raw, or with the rest of the kernel")
        self.published = QPushButton("Published")
        self.published.setCheckable(True)
        self.published.setChecked(True)
        self.published.setToolTip("Published figures as dashed curves")
        for combo in (self.workload, self.baseline, self.scale, self.rest):
            combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
            combo.currentIndexChanged.connect(self._redraw)
        self.published.toggled.connect(self._redraw)
        self._build()

    def _build(self) -> None:
        self.welcome, self.told = QLabel(WELCOME), QLabel()
        self.welcome.setWordWrap(True)
        self.welcome.setProperty("role", "quiet")
        self.first = QPushButton("Measure a quick comparison")
        self.first.setProperty("role", "primary")
        self.first.clicked.connect(self.example)
        self.told.setProperty("role", "quiet")
        self.told.setAccessibleName("The point under the mouse")
        self.views = QWidget()
        line = QHBoxLayout(self.views)
        line.setContentsMargins(0, 0, 0, 0)
        for part in (self.workload, self.baseline, self.scale, self.rest, self.published):
            line.addWidget(part)
        line.addStretch(1)
        self.views.hide()
        self._centre = QWidget()
        layout = QVBoxLayout(self._centre)
        layout.setContentsMargins(8, 6, 8, 6)
        layout.addWidget(self.welcome)
        layout.addWidget(self.first, 0, Qt.AlignmentFlag.AlignLeft)
        layout.addWidget(self.views)
        layout.addStretch(1)
        self.setCentralWidget(self._centre)
        area = Qt.DockWidgetArea
        self.dock("controls", "What to measure", self.panel(self.controls), area.LeftDockWidgetArea)
        self._table_host = QWidget()
        self._table_host.setMinimumHeight(110)
        inside = QVBoxLayout(self._table_host)
        inside.setContentsMargins(0, 0, 0, 0)
        self.dock("verdicts", "Verdicts", self._table_host, area.BottomDockWidgetArea)
        self.resizeDocks([self.docks["controls"]], [240], Qt.Orientation.Horizontal)
        self.resizeDocks([self.docks["verdicts"]], [210], Qt.Orientation.Vertical)
        settings = self.desk.settings
        self.controls.choose(
            {
                "policies": self.desk.library.usable(settings.texts("benchmark/policies")),
                "workloads": settings.texts("benchmark/workloads"),
                "sizes": settings.text("benchmark/sizes"),
                "memory": settings.text("benchmark/memory"),
            }
        )

    def _furnish(self) -> None:
        """Make what is drawn once there is something; importing it takes a while."""
        if self.plot is not None:
            return
        from foliolab.gui.benchmark.counted import CountedBars
        from foliolab.gui.benchmark.verdicttable import VerdictTable
        from foliolab.gui.widgets.curves import CurvePlot

        theme = self.desk.themes.now
        self.plot, self.bars, self.table = CurvePlot(theme), CountedBars(theme), VerdictTable(theme)
        self.plot.setObjectName("benchmark.curves")
        self.plot.setAccessibleName("Curves over folio size")
        self.plot.pointed.connect(self.told.setText)
        split = QSplitter(Qt.Orientation.Vertical)
        split.setChildrenCollapsible(False)
        split.addWidget(self.plot)
        split.addWidget(self.bars)
        split.setSizes([380, 170])
        layout = self._centre.layout()
        assert isinstance(layout, QVBoxLayout)
        layout.addWidget(split, 100)
        layout.addWidget(self.told)
        self._table_host.layout().addWidget(self.table)  # type: ignore[union-attr]

    # -- commands --------------------------------------------------------------------------------------
    def offered(self) -> Sequence[Command]:
        """Measuring, saving, handing on."""
        run, view, make = "&Run", "&View", self.command
        return [
            make("start", "&Measure", self.start_chosen, menu=run, keys=("F5",), icon="play", bar=True, word="Measure",
                 tip="Measure what the panel says"),
            make("stop", "S&top", self.stop, menu=run, keys=("Shift+F5",), icon="stop", bar=True, word="Stop",
                 tip="End the run with what is measured so far"),
            make("example", "A &quick comparison", self.example, menu=run, tip="Measure the first policies quickly"),
            make("save", "&Save the result…", self.ask_save, menu="&File", keys=("Ctrl+S",), icon="save", bar=True,
                 word="Save", tip="Write a result file that foliolab reads"),
            make("compare", "Open in &Compare", self.compare, menu=run, icon="compare", bar=True,
                 word="Open in Compare", tip="Fill the matrix of the home screen from this result"),
            make("scale", "&Ratio or absolute", self.toggle_scale, menu=view, keys=("R",),
                 tip="Ratios to the baseline, or nanoseconds a page"),
            make("published", "&Published figures", self.toggle_published, menu=view, keys=("P",),
                 tip="Show or hide what was published"),
        ]  # fmt: skip

    def start_chosen(self) -> None:
        """Measure what the panel says."""
        self.start(self.controls.wish())

    def example(self) -> None:
        """A quick comparison of the ticked policies, or of the first few."""
        names = self.controls.policies.chosen()
        if len(names) < 2:
            names = [policy.name for policy in self.desk.library.policies][:1]
            names += [p.name for p in self.desk.library.policies if "safe" in p.with_parameters().capabilities][:2]
        workloads = [one.name for one in self.desk.library.registry.workloads.values() if not one.program][:1]
        self.controls.choose({"policies": list(dict.fromkeys(names)), "workloads": workloads, "quick": True})
        self.start_chosen()

    def start(self, wish: Wish) -> None:
        """Measure."""
        from foliolab.framework.run.cases import check_memory
        from foliolab.gui.benchmark.measure import measure

        try:
            registry = self.desk.library.registry
            check_memory(registry, request_of(wish, registry, "native"))
        except FolioLabError as fault:
            self.desk.notices.fault(fault)
            return
        if self.job is not None:
            self.job.kill()
        self._furnish()
        self.welcome.hide()
        self.first.hide()
        self.views.show()
        self.controls.runs(True)
        self.path = None
        self.job = self.desk.jobs.start(f"Measuring {', '.join(wish.policies)}", measure, wish)
        self.job.said.connect(self._said)
        self.job.answered.connect(self._answered)
        self.job.failed.connect(self.desk.notices.fault)
        self.job.ended.connect(self._ended)

    def stop(self) -> None:
        """End the run; what is measured is kept."""
        if self.job is not None:
            self.job.cancel()

    def ask_save(self) -> None:
        """Ask where to, and write the result."""
        if self.result is None:
            self.desk.notices.say("nothing is measured yet")
            return
        start = str(Path(self.desk.settings.text("window/folder")) / "result.json")
        path, _ = QFileDialog.getSaveFileName(self, "Save the result", start, "Result (*.json)")
        if path:
            self.save(Path(path))

    def save(self, path: Path) -> None:
        """Write the result to a file."""

        assert self.result is not None
        try:
            self.result.save(path)
        except FolioLabError as fault:
            self.desk.notices.fault(fault)
            return
        self.path = path
        self.desk.notices.say(f"written to {path}")

    def compare(self) -> None:
        """Open the result in Compare; it is written to the user's data folder first, if it is in no file."""
        from foliolab.framework.verify.ledger import folder as data_folder

        if self.result is None:
            self.desk.notices.say("nothing is measured yet")
            return
        if self.path is None:
            folder = data_folder() / "results"
            folder.mkdir(parents=True, exist_ok=True)
            self.path = folder / f"{self.result.started[:19].replace(':', '')}.json"
            try:
                self.result.save(self.path)
            except FolioLabError as fault:
                self.desk.notices.fault(fault)
                return
        self.desk.open(self.path)

    def toggle_scale(self) -> None:
        """Ratio, or absolute."""
        self.scale.setCurrentIndex(1 - self.scale.currentIndex())

    def toggle_published(self) -> None:
        """With or without published figures."""
        self.published.toggle()

    # -- what comes in ---------------------------------------------------------------------------------
    def _said(self, news: object) -> None:
        from foliolab.framework.results.result import Result

        if isinstance(news, Result):
            self.show_result(news)

    def _answered(self, result: Result) -> None:
        self.show_result(result)
        for failure in result.failures:
            self.desk.notices.say(f"{failure.policy or 'the run'}: {failure.message}", "error")
        if not result.complete:
            self.statusBar().showMessage("Stopped: this is what was measured until then", 8000)

    def _ended(self) -> None:
        self.job = None
        self.controls.runs(False)

    def show_result(self, result: Result) -> None:
        """Show what is measured."""
        self._furnish()
        self.result = result
        for combo, names in ((self.workload, [ALL, *result.config.workloads]), (self.baseline, result.config.policies)):
            if [combo.itemText(at) for at in range(combo.count())] != list(names):
                kept = combo.currentText()
                combo.blockSignals(True)
                combo.clear()
                combo.addItems(list(names))
                wanted = result.config.workloads[0] if combo is self.workload else result.config.baseline
                combo.setCurrentText(kept if kept in names and kept != ALL else wanted)
                combo.blockSignals(False)
        self.welcome.hide()
        self.first.hide()
        self.views.show()
        self._redraw()

    def _redraw(self) -> None:
        """Show the result as the controls above the picture say."""
        from foliolab.framework.results.comparison import compare
        from foliolab.gui.benchmark.series import Selection, curves, described

        result = self.result
        if result is None or self.plot is None or self.bars is None or self.table is None:
            return
        registry = self.desk.library.registry
        baseline = self.baseline.currentText() or result.config.baseline
        self.rows = compare(result, baseline, registry.published_figures(), registry.parameters_of)
        shown = self.workload.currentText()
        workload = shown if shown != ALL else result.config.workloads[0]
        selection = Selection(
            workload, self.scale.currentIndex() == 0, self.rest.currentIndex() == 1, self.published.isChecked()
        )
        forecasts = self._predicted(result) if selection.rest else {}
        found = curves(result, self.rows, baseline, selection, forecasts)
        self.plot.label(f"time, {baseline} = 1" if selection.ratio else "ns a page", f"folio size, {workload}")
        self.plot.show_curves(found, level=1.0 if selection.ratio else None, at_once=self.job is None)
        self.plot.setAccessibleDescription(described(result, found, selection, baseline))
        self.bars.show_result(result, workload)
        self.table.show_rows([row for row in self.rows if shown == ALL or row.workload == workload])

    def _predicted(self, result: Result) -> dict[tuple[str, int, str], Forecast]:
        """With the rest of the kernel; why not, where there is no calibration."""
        from foliolab.framework import calibration, host
        from foliolab.framework.calibration import prediction

        kernel = host.kernel()
        path = calibration.default_path(kernel)
        if not path.is_file():
            self._say_no_rest("this kernel is not calibrated: run foliolab kernel calibrate, as root, first")
            return {}
        try:
            library = self.desk.library
            predicted = prediction.predict(
                result,
                self.rows,
                calibration.Calibration.load(path),
                lambda policy: "reuse" in library.scheme(policy).capabilities,
            )
        except FolioLabError as fault:
            self._say_no_rest(fault.what)
            return {}
        return dict(predicted.forecasts)

    def _say_no_rest(self, why: str) -> None:
        if why != self._no_rest:
            self._no_rest = why
            self.desk.notices.say(f"there is no rest of the kernel to add: {why}", "warning")

    # -- what every workspace does ---------------------------------------------------------------------
    def paint(self, theme: Theme) -> None:
        """Another theme."""
        if self.plot is not None and self.bars is not None and self.table is not None:
            self.plot.paint_theme(theme)
            self.bars.paint(theme)
            self.table.paint(theme)

    def refresh(self) -> None:
        """A policy file was saved, or came."""
        self.controls.refill()

    def exportables(self) -> Sequence[Exportable]:
        """The curves, the bars, the table."""
        if self.result is None or self.plot is None or self.bars is None or self.table is None:
            return ()
        return [
            Exportable("curves", "Curves over folio size", self.plot, self.table.table),
            Exportable("counted", "Counted accesses a page", self.bars, self.bars.table),
        ]

    def repeated(self) -> Sequence[str]:
        """The command that measures the same."""
        if self.result is not None and self.job is None:
            return shlex.split(self.result.command)
        try:
            return request_of(self.controls.wish(), self.desk.library.registry, "native").command()
        except FolioLabError:
            return ()

    def receive(self, what: object) -> None:
        """Policies to measure, a result, or its file."""
        from foliolab.framework.results.result import Result

        if isinstance(what, Path):
            self.show_result(Result.load(what))
            self.path = what
        elif isinstance(what, Result):
            self.show_result(what)
        elif isinstance(what, dict):
            self._receive(what)

    def _receive(self, what: dict[str, Any]) -> None:
        self.controls.choose(what)
        if not self.controls.wish().workloads:
            first = next((w.name for w in self.desk.library.registry.workloads.values() if not w.program), "")
            self.controls.choose({"workloads": [first]})
        if what.get("start"):
            self.start_chosen()

    def keep(self, settings: Settings) -> None:
        """Remember what was chosen."""
        wish = self.controls.wish()
        settings.keep("benchmark/policies", list(wish.policies))
        settings.keep("benchmark/workloads", list(wish.workloads))
        settings.keep("benchmark/sizes", wish.sizes)
        settings.keep("benchmark/memory", wish.memory)

    def shut(self) -> None:
        """Jobs end with the window."""
        if self.plot is not None:
            self.plot.shut()
