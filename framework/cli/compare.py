"""Measure policies against a baseline, and compare them."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from foliolab.framework.cli import _common
from foliolab.framework.errors import FolioLabError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from foliolab.framework.calibration import Calibration
    from foliolab.framework.contract.policy import Scheme
    from foliolab.framework.contract.workload import Workload
    from foliolab.framework.plugins.registry import Registry
    from foliolab.framework.results.result import Result
    from foliolab.framework.run import RunRequest

BASELINE: Final = "page-mapcount"
POLICIES: Final = f"{BASELINE},mm-id,no-page-mapcount"
SIZES: Final = "all"
MEMORY: Final = "1G"
QUICK_SIZES: Final = "4K,64K,2M"
QUICK_MEMORY: Final = "64M"
INTERPRETED_MEMORY: Final = "8M"
SPARE: Final = 0.4
QUICK_SPARE: Final = 0.1
MOST_REPEATS: Final = 1000


Policies = Annotated[
    list[str] | None,
    typer.Option(metavar="LIST", help=f"Policies as NAME or NAME:parameter=value, {_common.LISTS}. [{POLICIES}]"),
]
Baseline = Annotated[
    str | None,
    typer.Option(metavar="POLICY", help="What the others are compared with. [the first of the policies]"),
]
Workloads = Annotated[list[str] | None, typer.Option(metavar="LIST", help=f"Workloads, {_common.LISTS}. [all]")]
Sizes = Annotated[
    list[str] | None,
    typer.Option(metavar="LIST", help=f"Folio sizes such as 4K,64K,2M. [{SIZES}; quick: {QUICK_SIZES}]"),
]
Memory = Annotated[
    str | None,
    typer.Option(metavar="SIZE", help=f"Modelled memory of a workload. [{MEMORY}; quick: {QUICK_MEMORY}]"),
]
Repeats = Annotated[
    int | None,
    typer.Option(min=1, max=MOST_REPEATS, metavar="N", help="Interleaved rounds. [as many as a verdict needs]"),
]
Seed = Annotated[int, typer.Option(min=0, metavar="N", help="Seed of whatever is random.")]
Quick = Annotated[bool, typer.Option("--quick", help="Fewer sizes, less memory: in a quarter of a minute.")]
Json = Annotated[Path | None, typer.Option(metavar="FILE", help="Write the result file.")]
Csv = Annotated[Path | None, typer.Option(metavar="FILE", help="Write a row per workload, size and policy.")]
CalibrationFile = Annotated[
    Path | None,
    typer.Option(
        "--calibration",
        metavar="FILE",
        help="Predict with the rest of the kernel. [what `foliolab kernel calibrate` stored for this kernel]",
    ),
]
NoCalibration = Annotated[bool, typer.Option("--no-calibration", help="Raw times only.")]
Wish = Annotated[str, typer.Option(hidden=True, help="native or interpreted")]


def run(  # noqa: PLR0913  (an argument an option)
    policies: Policies = None,
    baseline: Baseline = None,
    workloads: Workloads = None,
    sizes: Sizes = None,
    memory: Memory = None,
    repeats: Repeats = None,
    seed: Seed = 1,
    quick: Quick = False,
    json: Json = None,
    csv: Csv = None,
    calibration: CalibrationFile = None,
    no_calibration: NoCalibration = False,
    plugin: _common.Plugins = None,
    strict: _common.Strict = False,
    execution: Wish = "",
) -> None:
    """Compare policies: counted costs and measured times, the published figures beside them."""
    for path in (json, csv):
        _common.writable(path)
    found = _common.registry(plugin, strict)
    schemes, first = _policies(found, policies, baseline)
    chosen = found.parse_workloads(workloads or ["all"])
    orders = _orders(chosen, sizes or [QUICK_SIZES if quick else SIZES])
    if not workloads:  # nobody asked for those that are not made for these sizes
        chosen = [workload for workload in chosen if set(workload.orders) & set(orders) and not workload.course]
    _common.warn(found)
    from foliolab.framework.plugins.selection import parse_memory
    from foliolab.framework.run import RunRequest

    way = _common.execution(execution)
    request = RunRequest(
        policies=tuple(s.name for s in schemes),
        baseline=first.name,
        workloads=tuple(w.name for w in chosen),
        orders=tuple(orders),
        memory=parse_memory(memory or _usual_memory(quick, way)),
        repeats=repeats or _repeats(chosen, orders, schemes),
        seed=seed,
        quick=quick,
        plugins=tuple(os.path.abspath(path) for path in plugin or ()),
        command=shlex.join(["foliolab", *sys.argv[1:]]),
        execution=way,
        spare=0.0 if repeats else QUICK_SPARE if quick else SPARE,
    )
    _enough_memory(found, request, schemes)
    _measure(found, request, json, csv, _calibration(calibration, no_calibration, way))


def _policies(found: Registry, written: list[str] | None, baseline: str | None) -> tuple[list[Scheme], Scheme]:
    """The policies with the baseline, the baseline first."""
    schemes = found.parse_policies(written or [POLICIES])
    if baseline is not None:
        first = found.policy(baseline)
    else:
        first = schemes[0] if len(schemes) > 1 else found.policy(BASELINE)
    others = [s for s in schemes if (s.policy, s.values) != (first.policy, first.values)]
    if not others:
        raise UsageError(f"there is nothing to compare {first.name} with", "name another policy, too: --policies A,B")
    return [first, *others], first


def _orders(chosen: list[Workload], sizes: list[str]) -> list[int]:
    from foliolab.framework.plugins.selection import parse_sizes

    return parse_sizes(sizes, {order for workload in chosen for order in workload.orders})


def _repeats(chosen: list[Workload], orders: list[int], schemes: list[Scheme]) -> int:
    """As many rounds as it takes for each comparison to be able to end with a verdict."""
    from foliolab.framework.results.comparison import rounds_needed

    cases = sum(order in workload.orders for workload in chosen for order in orders)
    return rounds_needed(max(cases * (len(schemes) - 1), 1))


def _usual_memory(quick: bool, execution: str) -> str:
    if execution == "interpreted":
        return INTERPRETED_MEMORY
    return QUICK_MEMORY if quick else MEMORY


def _enough_memory(found: Registry, request: RunRequest, schemes: list[Scheme]) -> None:
    """Refuse what does not fit, before anything is allocated.

    Raises:
        UsageError: it takes more memory than there is; says both.
    """
    from foliolab.framework.host import memory_available
    from foliolab.framework.run import memory_needed
    from foliolab.framework.run.request import plan

    needed = memory_needed(plan(found, request), schemes)
    available = memory_available()
    if available is not None and needed > available:
        raise UsageError(
            f"this comparison takes up to {_mib(needed)} of memory, and {_mib(available)} are available",
            "choose less --memory, fewer --policies, or free some",
        )


def _mib(nbytes: int) -> str:
    return f"{nbytes / (1 << 20):,.0f} MiB"


def _calibration(path: Path | None, off: bool, execution: str) -> Calibration | None:
    """The constants to predict with: those of a file, or those stored for this kernel if they fit it.

    Raises:
        UsageError: both wanted and not wanted, or there are no times to add to.
        ResultFileError: the file cannot be read. A stored one that cannot be is named and left out.
    """
    if path is not None and (off or execution == "interpreted"):
        why = "--no-calibration says not to" if off else "interpreted times mean nothing"
        raise UsageError(f"{path} cannot be predicted with: {why}", "leave out --calibration")
    if off or execution == "interpreted":
        return None
    from foliolab.framework import calibration
    from foliolab.framework.results import provenance

    if path is not None:
        return calibration.load(path)
    kernel = provenance.kernel()
    stored = calibration.default_path(kernel)
    if not stored.is_file():
        return None
    try:
        found = calibration.load(stored)
        why = calibration.differs(found, provenance.describe_machine(), kernel)
    except FolioLabError as fault:
        why = fault.what
    if why:
        sys.stderr.write(f"foliolab: the calibration {stored} is not used: {why}\n")
    return None if why else found


def _measure(
    found: Registry, request: RunRequest, json: Path | None, csv: Path | None, calibration: Calibration | None
) -> None:
    """Run, then write, then print; an interrupted run is written and printed as far as it got."""
    from foliolab.framework.calibration import prediction
    from foliolab.framework.report import csvfile, terminal
    from foliolab.framework.report.page import Page
    from foliolab.framework.report.progress import Progress
    from foliolab.framework.results import comparison
    from foliolab.framework.results import result as results
    from foliolab.framework.run import compare_run

    with Progress() as progress:
        result: Result = compare_run(request, progress)
    if json is not None:
        results.save(result, json)
    rows = comparison.compare(result, published=found.published_figures(), resolve=found.parameters_of)
    forecast = None
    if calibration is not None:
        forecast = prediction.predict(result, rows, calibration, _reuses(found))
    if csv is not None:
        csvfile.write(rows, csv, forecast)
    console = terminal.console_for()
    terminal.render(result, rows, console, forecast)
    _common.say_refuted(found, map(found.policy, request.policies), Page(console))
    if not result.complete:
        raise typer.Exit(_common.INTERRUPTED)
    if (fault := comparison.failed(rows, result)) is not None:
        raise fault


def _reuses(found: Registry) -> Callable[[str], bool]:
    """Whether a policy claims that it may write to a large folio in place."""
    return lambda policy: "reuse" in found.policy(policy).capabilities
