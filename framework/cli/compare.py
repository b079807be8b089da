"""Measure what policies cost, against a baseline.

Accesses, atomics and cache lines are counted exactly. Times are measured interleaved, each with a verdict. Published
figures stand beside them where there are some, and what `--beside` imports.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from foliolab.framework.cli import _beside, _common
from foliolab.framework.run import defaults

if TYPE_CHECKING:
    from collections.abc import Callable

    from foliolab.framework.calibration import Calibration
    from foliolab.framework.costmodel.choice import Chosen
    from foliolab.framework.plugins.registry import Registry
    from foliolab.framework.results.result import Result
    from foliolab.framework.run.request import RunRequest

MOST_REPEATS: Final = 1000

Policies = Annotated[
    list[str] | None,
    typer.Option(
        metavar="LIST",
        help=f"{_common.POLICIES}, {_common.LISTS}. [{defaults.POLICIES}]",
    ),
]
Baseline = Annotated[
    str | None,
    typer.Option(metavar="POLICY", help="What the others are compared with. [the first of the policies]"),
]
Workloads = Annotated[list[str] | None, typer.Option(metavar="LIST", help=f"Workloads, {_common.LISTS}. [all]")]
Sizes = Annotated[
    list[str] | None,
    typer.Option(
        metavar="LIST", help=f"Folio sizes such as 4K,64K,2M. [{defaults.SIZES}; quick: {defaults.QUICK_SIZES}]"
    ),
]
Memory = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE", help=f"Modelled memory of a workload. [{defaults.MEMORY}; quick: {defaults.QUICK_MEMORY}]"
    ),
]
Repeats = Annotated[
    int | None,
    typer.Option(min=1, max=MOST_REPEATS, metavar="N", help="Interleaved rounds. [as many as a verdict needs]"),
]
Spare = Annotated[
    float | None,
    typer.Option(
        min=0,
        metavar="SECONDS",
        help="Time that a case may take for more rounds. "
        f"[{defaults.SPARE:g}; quick: {defaults.QUICK_SPARE:g}; with --repeats: 0]",
    ),
]
Quick = Annotated[bool, typer.Option("--quick", help="Fewer sizes and less memory: takes about 15 seconds.")]
Csv = Annotated[Path | None, typer.Option(metavar="FILE", help="Write a row per workload, size and policy.")]
CalibrationFile = Annotated[
    Path | None,
    typer.Option(
        "--calibration",
        metavar="FILE",
        help="Predict with the rest of the kernel. [what `foliolab kernel calibrate` stored for this kernel]",
    ),
]
Cpu = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="Predict the changes on a processor from counted instructions (`foliolab list` names them; host: this "
        "one). Counting them takes seconds a cell.",
    ),
]
CountsFile = Annotated[
    Path | None,
    typer.Option(
        "--counts",
        metavar="FILE",
        help="What `foliolab kernel count --json` wrote, for --cpu: the rest of a kernel's work.",
    ),
]
NoCalibration = Annotated[bool, typer.Option("--no-calibration", help="Raw times only.")]


def run(  # noqa: PLR0913  (one parameter per option)
    policies: Policies = None,
    baseline: Baseline = None,
    workloads: Workloads = None,
    sizes: Sizes = None,
    memory: Memory = None,
    repeats: Repeats = None,
    spare: Spare = None,
    seed: _common.Seed = defaults.SEED,
    quick: Quick = False,
    json: _common.ResultFile = None,
    csv: Csv = None,
    history: _common.History = None,
    calibration: CalibrationFile = None,
    no_calibration: NoCalibration = False,
    cpu: Cpu = "",
    counts: CountsFile = None,
    beside: _beside.Files = None,
    caller: _common.CallerName = None,
    plugin: _common.Plugins = None,
    strict: _common.Strict = False,
    execution: _common.Wish = "",
) -> None:
    """Compare policies: counted costs and measured times, the published figures beside them."""
    for path in (json, csv):
        _common.writable(path)
    found = _common.registry(plugin, strict)
    _common.warn(found)
    from foliolab.framework.calibration.choice import choose
    from foliolab.framework.costmodel import choice
    from foliolab.framework.run.request import build

    on = choice.choose(cpu, counts)
    columns = _beside.read(found, beside)

    request = build(
        found,
        policies=policies or (),
        baseline=baseline,
        workloads=workloads or (),
        sizes=sizes or (),
        memory=memory or "",
        repeats=repeats,
        spare=spare,
        seed=seed,
        quick=quick,
        execution=_common.execution(execution),
        cpu=cpu,
        caller=caller,
        typed=_common.typed(),
    )
    choice.check(request)
    chosen = choose(calibration, no_calibration, request.execution, _common.say)
    _measure(
        found, request, json, csv, (chosen, on), lambda result: _common.keep(result, history, plugin),
        lambda result: _beside.put(found, result, *columns),
    )  # fmt: skip


def _measure(
    found: Registry,
    request: RunRequest,
    json: Path | None,
    csv: Path | None,
    predictors: tuple[Calibration | None, Chosen | None],
    keep: Callable[[Result], None],
    beside: Callable[[Result], Result],
) -> None:
    """Run, then write, then print; an interrupted run is written and printed as far as it got."""
    from msgspec.structs import replace

    from foliolab.framework.calibration import prediction
    from foliolab.framework.report.comparison import csvfile, terminal
    from foliolab.framework.report.pages.terminal import TerminalPage
    from foliolab.framework.report.progress import Progress
    from foliolab.framework.results import comparison
    from foliolab.framework.results.saving import Saving
    from foliolab.framework.run.supervise import compare_run

    calibration, on = predictors
    saving, table = Saving(json), Saving(csv, always_beside=True)
    with Progress() as progress:
        result = beside(compare_run(request, progress, lambda result: saving.partial(lambda: result)))
    rows = comparison.compare(result, published=found.published_figures(), resolve=found.parameters_of)
    counted = None if on is None else on.predict(result, rows, lambda policy: _reuses(found, policy))
    if counted is not None:
        result = replace(result, predicted=counted.stored())
    _common.save(result, saving, result.complete)
    keep(result)
    forecast = None
    if calibration is not None:
        forecast = prediction.predict(result, rows, calibration, lambda policy: _reuses(found, policy))
    _common.tell(table.final(lambda path: csvfile.write(rows, path, forecast, counted), result.complete))
    page = TerminalPage()
    terminal.render(result, rows, page, forecast, counted)
    _common.say_refuted(found, map(found.policy, request.policies), page)
    _common.end_comparison(result, rows, saving, table)


def _reuses(found: Registry, policy: str) -> bool:
    """Whether a policy may write to a large folio in place."""
    return "reuse" in found.policy(policy).capabilities
