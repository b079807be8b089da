"""Measure how often an exclusive folio is called shared."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Final

import typer

from foliolab.framework.cli import _common
from foliolab.framework.errors import UsageError

if TYPE_CHECKING:
    from foliolab.framework.contract.sharing_pattern import SharingPattern
    from foliolab.framework.plugins.registry import Registry
    from foliolab.framework.precision.result import Measure

MOST_MMS: Final = 64
MOST_FOLIOS: Final = 4096
MOST_PAGES: Final = 1 << 16
"""The most pages that the folios of a pattern may have together."""

Workloads = Annotated[
    list[str] | None,
    typer.Argument(metavar="[WORKLOAD]...", help="Sharing patterns (see `foliolab list`), or traces. [all patterns]"),
]
Policies = Annotated[
    list[str] | None,
    typer.Option(metavar="LIST", help=f"{_common.POLICIES}, {_common.LISTS}. [all]"),
]
Mms = Annotated[
    str, typer.Option("--mms", metavar="LIST", help="Processes that live at a time in a pattern, such as 1-16 or 2,4.")
]
Size = Annotated[str, typer.Option(metavar="SIZE", help="Folio size of the patterns.")]
Folios = Annotated[int, typer.Option(min=2, max=MOST_FOLIOS, metavar="N", help="Folios of a process in the patterns.")]
By = Annotated[str, typer.Option("--by", metavar="WHAT", help="Show the shares over MMs by time or by operations.")]
Memory = Annotated[str, typer.Option(metavar="SIZE", help="What a policy's tables may take.")]


def run(  # noqa: PLR0913  (one parameter per option)
    workloads: Workloads = None,
    policies: Policies = None,
    mms: Mms = "1-16",
    size: Size = "64K",
    folios: Folios = 64,
    seed: _common.Seed = 1,
    by: By = "time",
    memory: Memory = "1G",
    json: _common.ResultFile = None,
    history: _common.History = None,
    plugin: _common.Plugins = None,
    strict: _common.Strict = False,
    execution: _common.Wish = "",
) -> None:
    """Measure how often, and for how long, policies call an exclusive folio shared."""
    _common.writable(json)
    found = _common.registry(plugin, strict)
    numbers = _numbers(mms)
    measure = _measure(by)
    patterns, traces = _workloads(found, workloads or [])
    schemes = found.parse_policies(policies or ["all"])
    order = _order(size, folios)
    _common.warn(found)
    from foliolab.framework.plugins.selection import parse_memory
    from foliolab.framework.precision.session import PrecisionRequest, exit_code, precision
    from foliolab.framework.report import precision as report
    from foliolab.framework.report.pages.terminal import TerminalPage
    from foliolab.framework.report.progress import Progress
    from foliolab.framework.results.saving import Saving

    request = PrecisionRequest(
        patterns=patterns,
        traces=traces,
        schemes=schemes,
        mms=numbers,
        order=order,
        folios=folios,
        seed=seed,
        memory=parse_memory(memory),
        execution=_common.execution(execution),
        command=_common.typed(),
    )
    saving = Saving(json)
    with Progress() as progress:
        result = precision(request, progress, saving.partial)
    _common.save(result, saving, result.complete)
    _common.keep(result, history, plugin)
    report.render(result, TerminalPage(), measure)
    saving.check()
    if not result.complete:
        raise typer.Exit(_common.INTERRUPTED)
    raise typer.Exit(exit_code(result))


def _numbers(mms: str) -> tuple[int, ...]:
    from foliolab.framework.plugins.selection import parse_ranges

    ranges = [one for one in parse_ranges(mms, "a number of MMs", "1-16 or 2,4") if one]
    least, most = min(one[0] for one in ranges), max(one[-1] for one in ranges)
    if least < 1 or most > MOST_MMS:
        raise UsageError(
            f"there cannot be {least if least < 1 else most} MMs at a time here", f"choose 1 to {MOST_MMS}"
        )
    return tuple(sorted({number for one in ranges for number in one}))


def _measure(by: str) -> Measure:
    if by == "operations":
        return "operations"
    if by == "time":
        return "time"
    raise UsageError(f"there is no measure {by!r}", "choose time or operations")


def _workloads(found: Registry, written: list[str]) -> tuple[list[SharingPattern], list[str]]:
    """The patterns and traces that the user named; by default, all patterns.

    Raises:
        UsageError: a name is neither a pattern nor a file.
    """
    patterns: dict[str, SharingPattern] = {}
    traces: dict[str, None] = {}
    for item in [name for text in written for name in (text.split(",") if not os.path.exists(text) else [text])]:
        name = item.strip()
        if name == "all":
            patterns |= found.patterns
        elif name not in found.patterns and os.path.isfile(name):
            traces[name] = None
        else:
            patterns[name] = found.pattern(name)
    return list(patterns.values()) if patterns or traces else list(found.patterns.values()), list(traces)


def _order(size: str, folios: int) -> int:
    from foliolab.framework.plugins.selection import ANON_ORDERS, parse_sizes

    orders = parse_sizes(size, [order for order in ANON_ORDERS if order])
    if len(orders) != 1:
        raise UsageError(f"{size!r} names more than one folio size", "choose one")
    if folios << orders[0] > MOST_PAGES:
        raise UsageError(
            f"{folios} folios of {size} are more than {MOST_PAGES >> 8} MiB",
            f"choose at most {MOST_PAGES >> orders[0]} with --folios",
        )
    return orders[0]
