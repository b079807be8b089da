"""The benchmark workspace: curves over folio size, which grow while a job measures."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget

from foliolab.framework.errors import FolioLabError
from foliolab.gui.benchmark.controls import Controls
from foliolab.gui.benchmark.measure import Wish, request_of
from foliolab.gui.benchmark.series import curves, described, forecasts, predictions, size_name
from foliolab.gui.benchmark.state import BenchmarkState, show, state_of
from foliolab.gui.benchmark.views import Views
from foliolab.gui.widgets.interval import Interval
from foliolab.gui.window import dialogs
from foliolab.gui.window.aside import Aside
from foliolab.gui.window.building import column, label, named, primary, splitter
from foliolab.gui.window.commands import Command
from foliolab.gui.window.context_menus import ContextMenu
from foliolab.gui.window.desk import Desk
from foliolab.gui.window.exporting import Exportable
from foliolab.gui.window.finding import Findable
from foliolab.gui.window.plain import as_html
from foliolab.gui.window.session_file import Files, State
from foliolab.gui.window.settings import Settings
from foliolab.gui.window.workspace import Workspace

if TYPE_CHECKING:
    from foliolab.framework.calibration.prediction import Forecast
    from foliolab.framework.costmodel.prediction import Key, ProcessorForecast
    from foliolab.framework.plugins.registry import Registry
    from foliolab.framework.results.comparison import Row
    from foliolab.framework.results.result import Result
    from foliolab.gui.benchmark.counted import CountedBars
    from foliolab.gui.benchmark.plot import CurvePlot
    from foliolab.gui.benchmark.verdict_table import VerdictTable
    from foliolab.gui.window.jobs import Job

T = TypeVar("T")
REST_MISSING: Final = "the rest of the kernel cannot be added"
UNPREDICTED: Final = "nothing is predicted on the CPU"
WELCOME: Final = (
    "A process of its own measures the times in interleaved rounds; the curves grow meanwhile. Bars are 95 % "
    "intervals. Dashed curves are figures that patch series published; a dotted one with a band is what is predicted "
    "on the chosen CPU."
)


class BenchmarkWorkspace(Workspace):
    """Measures what policies cost."""

    name = "benchmark"
    title = "&Benchmark"
    tip = "Measure what policies cost"
    STATE = BenchmarkState

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.job: Job | None = None
        self.result: Result | None = None
        self.rows: Sequence[Row] = ()
        self.part = Interval()
        self.part.changed.connect(self._redraw)
        self._compared: tuple[Result, str] | None = None  # the result and the baseline that `rows` are of
        self._comparing = Aside(self)
        self._comparing.done.connect(self._has_compared)
        self._comparing.failed.connect(_raise)
        self.path: Path | None = None
        self.plot: CurvePlot | None = None
        self.bars: CountedBars | None = None
        self.table: VerdictTable | None = None
        self._reported = ""
        """Why nothing can be predicted, as the latest notice said."""
        self.controls = Controls(desk)
        self.controls.wanted.connect(self.start)
        self.controls.stopped.connect(self.stop)
        self.controls.cpu.currentIndexChanged.connect(self._redraw)
        self.views = Views()
        self.views.changed.connect(self._redraw)
        self._build()

    def _build(self) -> None:
        self.welcome = label(WELCOME, "quiet", wraps=True)
        self.point = named(label(role="quiet"), "The point under the mouse")
        self.first = primary("Measure a quick comparison")
        self.first.clicked.connect(self.example)
        self.views.hide()
        centre = QWidget()
        self._column = column(self.welcome, self.first, self.views, 1, of=centre, margins=(8, 6, 8, 6))
        self._column.setAlignment(self.first, Qt.AlignmentFlag.AlignLeft)
        self.setCentralWidget(centre)
        area = Qt.DockWidgetArea
        self.dock("controls", "What to measure", self.panel(self.controls), area.LeftDockWidgetArea)
        self.dock("verdicts", "Verdicts", QWidget(), area.BottomDockWidgetArea).setMinimumHeight(140)
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
        """Make the plot and the tables at first use, because importing pyqtgraph takes a while."""
        if self.plot is not None:
            return
        from foliolab.gui.benchmark.counted import CountedBars
        from foliolab.gui.benchmark.plot import CurvePlot
        from foliolab.gui.benchmark.verdict_table import VerdictTable

        theme = self.desk.themes.now
        self.plot, self.bars = CurvePlot(theme, self.part), CountedBars(theme, self.part)
        self.table = VerdictTable(theme, self.part)
        self.table.remember(self.desk.settings)
        named(self.plot, "Curves over folio size").setObjectName("benchmark.curves")
        self.plot.pointed.connect(self.point.setText)
        for part in (self.plot, self.bars, self.table):
            names = ("benchmark.scale", "benchmark.published", "benchmark.save", "benchmark.compare")
            ContextMenu(self.desk.commands, part, names)
        parts = ((self.plot, 0), (self.bars, 0))
        self._column.addWidget(splitter(Qt.Orientation.Vertical, *parts, sizes=(380, 170)), 100)
        self._column.addWidget(self.point)
        self.docks["verdicts"].setWidget(self.table)

    # -- commands --------------------------------------------------------------------------------------
    def offered(self) -> Sequence[Command]:
        run, view, make = "&Run", "&View", self.command
        return [
            make("start", "&Measure", self.start_chosen, menu=run, keys=("F5",), icon="play", bar=True, word="Measure",
                 tip="Measure the chosen policies and workloads"),
            make("stop", "S&top", self.stop, menu=run, keys=("Shift+F5",), icon="stop", bar=True, word="Stop",
                 tip="Stop the run and keep what is measured"),
            make("example", "A &quick comparison", self.example, menu=run,
                 tip="Measure the chosen policies, or the first ones, quickly"),
            make("save", "&Save the result…", self.ask_save, menu="&File", keys=("Ctrl+S",), icon="save", bar=True,
                 word="Save", tip="Save the result to a file, which foliolab report and diff read"),
            make("compare", "Open in &Compare", self.compare, menu=run, icon="compare", bar=True,
                 word="Open in Compare", tip="Show this result in the matrix of Compare"),
            make("scale", "&Ratio or absolute", self.views.toggle_scale, menu=view, keys=("R",),
                 tip="Show ratios to the baseline, or nanoseconds per page"),
            make("sizes", "All folio si&zes", self.part.fit, menu=view, keys=("Ctrl+Shift+0",),
                 tip="Show all folio sizes again, in the curves, the bars and the table"),
            make("published", "&Published figures", self.views.published.toggle, menu=view, keys=("P",),
                 tip="Show or hide published figures"),
        ]  # fmt: skip

    def start_chosen(self) -> None:
        self.start(self.controls.wish())

    def example(self) -> None:
        """Quickly measure the ticked policies, or the first few."""
        names = self.controls.policies.chosen()
        if len(names) < 2:
            names = [policy.name for policy in self.desk.library.policies][:1]
            names += [p.name for p in self.desk.library.policies if "safe" in p.with_parameters().capabilities][:2]
        workloads = [w.name for w in self.desk.library.registry.workloads.values() if not w.program][:1]
        self.controls.choose({"policies": list(dict.fromkeys(names)), "workloads": workloads, "quick": True})
        self.start_chosen()

    def start(self, wish: Wish) -> None:
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
        self.job.reported.connect(self._on_report)
        self.job.answered.connect(self._answered)
        self.job.failed.connect(self.desk.notices.fault)
        self.job.ended.connect(self._ended)

    def stop(self) -> None:
        """Stop the run; the job answers with what is measured."""
        if self.job is not None:
            self.job.cancel()

    def ask_save(self) -> None:
        """Ask for a file and write the result to it."""
        if self.result is None:
            self.desk.notices.say("nothing is measured yet")
            return
        path = dialogs.ask_save(self, self.desk.settings, "Save the result", "result.json", "Result (*.json)")
        if path is not None:
            self.save(path)

    def save(self, path: Path) -> None:
        """Write the result to a file."""
        assert self.result is not None
        try:
            self.result.save(path)
        except FolioLabError as fault:
            self.desk.notices.fault(fault)
            return
        self.path = path
        self.desk.notices.say(f"the result is written to {path}")

    def compare(self) -> None:
        """Open the result in Compare. A result without a file is first written to the user's data folder."""
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

    # -- the job ---------------------------------------------------------------------------------------
    def _on_report(self, news: object) -> None:
        from foliolab.framework.results.result import Result

        if isinstance(news, Result):
            self.show_result(news)

    def _answered(self, result: Result) -> None:
        self.show_result(result)
        if result.cells:
            self.desk.recent.keep("cost", ",".join(result.config.policies), result.encoded)
        for failure in result.failures:
            self.desk.notices.say(f"{failure.policy or 'the run'}: {failure.message}", "error")
        if not result.complete:
            self.statusBar().showMessage("Stopped: the view shows what was measured until then", 8000)

    def _ended(self) -> None:
        if self.sender() is self.job:  # otherwise another job has replaced it
            self.job = None
            self.controls.runs(False)

    def show_result(self, result: Result) -> None:
        """Show a result, complete or not."""
        self._furnish()
        self.result = result
        exponents = [kib.bit_length() - 1 for kib in result.config.sizes] or [0]
        if (min(exponents), max(exponents)) != (self.part.least, self.part.most):
            self.part.cover(min(exponents), max(exponents))
        self.views.offer(result)
        self.welcome.hide()
        self.first.hide()
        self.views.show()
        self._redraw()

    def _redraw(self) -> None:
        """Show the result as `views` says; the verdicts are computed aside if they are not known yet."""
        result = self.result
        if result is None or self.plot is None or self.bars is None or self.table is None:
            return
        baseline = self.views.baseline.currentText() or result.config.baseline
        if self._compared is None or self._compared[0] is not result or self._compared[1] != baseline:
            self._comparing.begin(_compared, result, baseline, self.desk.library.registry)
            return
        selection = self.views.selection(result, self.controls.processor)
        times: Mapping[Key, Forecast] | None = {}
        if selection.rest:
            times = self._told(REST_MISSING, lambda: forecasts(result, self.rows, self.desk.library))
        on = self._told(UNPREDICTED, lambda: self._predictions(result, selection.cpu))
        every = curves(result, self.rows, baseline, selection, times or {}, on)
        found = [curve.between(self.part.low, self.part.high) for curve in every]
        unit = f"time, {baseline} = 1" if selection.ratio else "ns per page"
        labels = {"left": unit, "bottom": f"folio size, {selection.workload}"}
        self.plot.setLabels(**{side: as_html(text) for side, text in labels.items()})
        self.plot.show_curves(found, level=1.0 if selection.ratio else None, at_once=self.job is None)
        self.plot.setAccessibleDescription(described(result, found, selection, baseline))
        self.bars.show_result(result, selection.workload)
        shown, sizes = self.views.all_workloads, self._sizes()
        rows = [row for row in self.rows if row.size_kib in sizes]
        self.table.show_verdicts([row for row in rows if shown or row.workload == selection.workload])

    def _has_compared(self, found: tuple[Result, str, Sequence[Row]]) -> None:
        self._compared, self.rows = found[:2], found[2]
        self._redraw()

    def _sizes(self) -> list[int]:
        """The folio sizes that are shown, in KiB."""
        sizes = self.result.config.sizes if self.result is not None else []
        return [kib for kib in sizes if self.part.low <= kib.bit_length() - 1 <= self.part.high]

    def _predictions(self, result: Result, cpu: str) -> ProcessorForecast | None:
        """Changes on a processor; None if none is chosen, or while it measures, when counts may still come."""
        if not cpu or (self.job is not None and not any("instructions" in cell.counted for cell in result.cells)):
            return None
        return predictions(result, self.rows, cpu, self.desk.library)

    def _told(self, missing: str, predict: Callable[[], T]) -> T | None:
        """What is predicted; if nothing can be, a notice says once what is missing and why."""
        try:
            return predict()
        except FolioLabError as fault:
            if fault.what != self._reported:
                self._reported = fault.what
                self.desk.notices.say(f"{missing}: {fault.what}", "warning", fault.hint)
            return None

    # -- hooks of workspaces ---------------------------------------------------------------------------
    def state(self, files: Files) -> BenchmarkState:
        return state_of(self, files)

    def restore(self, state: State, files: Files) -> None:
        """Show the result that a session kept."""
        assert isinstance(state, BenchmarkState)
        if state.result:
            self.show_file(files.path(state.result))
        show(self, state)

    def on_screen(self) -> dict[str, object]:
        """The policies of the complete result that is shown (`measured`), and whether the curves are a `ratio`."""
        whole = self.result is not None and self.job is None and self.result.complete
        policies = tuple(self.result.config.policies) if whole and self.result is not None else ()
        return {"measured": policies, "ratio": self.views.scale.currentIndex() == 0}

    def policy(self) -> str:
        return self.controls.policies.current

    def place(self) -> str:
        if self.result is None:
            return ""
        return f"{', '.join(self.result.config.policies)} measured on {self.result.started[:16].replace('T', ' ')}"

    def findables(self) -> Sequence[Findable]:
        """All workloads that it can measure."""
        workloads = self.desk.library.registry.workloads.values()
        return [
            Findable("Workload", one.name, partial(self.desk.send, self.name, {"workloads": [one.name]}), one.summary)
            for one in workloads
            if not one.program
        ]

    def refresh(self) -> None:
        self.controls.refill()

    def exportables(self) -> Sequence[Exportable]:
        """The curves with the table of verdicts, and the bars with the table of counted accesses."""
        if self.result is None or self.plot is None or self.bars is None or self.table is None:
            return ()
        return [
            Exportable("curves", "Curves over folio size", self.plot, self.table.table),
            Exportable("counted", "Counted accesses per page", self.bars, self.bars.table),
        ]

    def repeated(self) -> Sequence[str]:
        """The command of the shown result, else of the choices."""
        if self.result is not None and self.job is None:
            return self._of_sizes(shlex.split(self.result.command))
        try:
            return request_of(self.controls.wish(), self.desk.library.registry, "native").command()
        except FolioLabError:
            return ()

    def _of_sizes(self, words: list[str]) -> list[str]:
        """The words of a command that measures the sizes which are shown."""
        if self.part.whole:
            return words
        if "--sizes" in words:
            at = words.index("--sizes")
            del words[at : at + 2]
        return [*words, "--sizes", ",".join(map(size_name, self._sizes()))]

    def show_file(self, path: Path) -> None:
        """Show the result of a file."""
        from foliolab.framework.results.result import Result

        self.show_result(Result.load(path))
        self.path = path

    def show_object(self, what: object) -> None:
        """Show a result."""
        from foliolab.framework.results.result import Result

        assert isinstance(what, Result)
        self.show_result(what)

    def choose(self, what: dict[str, Any]) -> None:
        """See `Workspace.choose`; the keys are those of `Controls.choose`, and `start`: whether to measure."""
        self.controls.choose(what)
        if not self.controls.wish().workloads:
            first = next((w.name for w in self.desk.library.registry.workloads.values() if not w.program), "")
            self.controls.choose({"workloads": [first]})
        if what.get("start"):
            self.start_chosen()

    def keep(self, settings: Settings) -> None:
        wish = self.controls.wish()
        settings.keep("benchmark/policies", list(wish.policies))
        settings.keep("benchmark/workloads", list(wish.workloads))
        settings.keep("benchmark/sizes", wish.sizes)
        settings.keep("benchmark/memory", wish.memory)

    def shut(self) -> None:
        if self.plot is not None:
            self.plot.shut()
        self._comparing.shut()


def _raise(fault: Exception) -> NoReturn:
    raise fault


def _compared(result: Result, baseline: str, registry: Registry) -> tuple[Result, str, Sequence[Row]]:
    """The result, the baseline, and what `compare` finds: resampling takes seconds for many cells."""
    from foliolab.framework.results.comparison import compare

    return result, baseline, compare(result, baseline, registry.published_figures(), registry.parameters_of)
