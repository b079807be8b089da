"""Count wrong decisions and wrong figures in /proc.

WORKLOAD is a sharing pattern, a workload, a scenario or its file, `scenarios` (all that ship), `random-scenarios`, or a
recorded trace, which is looked at evenly in time.
Who asks is an asker; `foliolab list` names them, and plugins offer more.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from foliolab.framework import intake
from foliolab.framework.cli import _common
from foliolab.framework.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from foliolab.framework.consequences.sources import MomentSource
    from foliolab.framework.plugins.registry import Registry

POLICIES: Final = "page-mapcount,mm-id,no-page-mapcount,exact"
SIZE: Final = "64K"
MMS: Final = 4
MOST_MMS: Final = 64
MOMENTS: Final = 250
OF_TRACE: Final = 20
"""Moments of a trace: each looks at every page table of many processes."""
ALL: Final = "scenarios"
RANDOM: Final = "random-scenarios"
RANDOMS: Final = 30
"""The number of random scenarios."""


def run(  # noqa: PLR0913  (one parameter per option)
    workloads: Annotated[
        list[str] | None,
        typer.Argument(metavar="[WORKLOAD]...", help="What to run, or a trace. [all patterns, programs and scenarios]"),
    ] = None,
    policies: Annotated[
        list[str] | None,
        typer.Option(metavar="LIST", help=f"Policies, {_common.LISTS}. [{POLICIES}]"),
    ] = None,
    askers: Annotated[
        list[str] | None,
        typer.Option(metavar="LIST", help=f"Askers, {_common.LISTS}; all: proposed ones, too. [Linux's]"),
    ] = None,
    mms: Annotated[
        int, typer.Option(min=2, max=MOST_MMS, metavar="N", help="Processes of a sharing pattern at a time.")
    ] = MMS,
    size: Annotated[
        str | None, typer.Option(metavar="SIZE", help=f"Folio size; scenarios have their own. [{SIZE}]")
    ] = None,
    moments: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            help=f"Moments checked in a pattern [{MOMENTS}; 0: each operation] or a trace [{OF_TRACE}].",
        ),
    ] = None,
    seed: _common.Seed = 1,
    json: _common.ResultFile = None,
    history: _common.History = None,
    plugin: _common.Plugins = None,
    strict: _common.Strict = False,
    execution: _common.Wish = "",
) -> None:
    """Compare each decision and figure that comes from a policy's answers with the page tables."""
    _common.writable(json)
    found = _common.registry(plugin, strict)
    schemes = found.parse_policies(policies or [POLICIES])
    asking = found.parse_askers(askers or [])
    pick = _Pick(_order(size), size is not None, mms, seed, moments)
    sources = _sources(found, workloads or [], pick)
    _common.warn(found)
    from foliolab.framework.consequences import session
    from foliolab.framework.report import consequences as report
    from foliolab.framework.report.pages.terminal import TerminalPage
    from foliolab.framework.report.progress import Progress
    from foliolab.framework.results.saving import Saving

    request = session.ConsequencesRequest(
        sources=sources,
        schemes=schemes,
        askers=asking,
        seed=seed,
        mms=mms,
        command=_common.typed(),
        execution=_common.execution(execution),
    )
    saving = Saving(json)
    with Progress() as progress:
        result = session.follow(request, progress, saving.partial)
    _common.save(result, saving, result.complete)
    _common.keep(result, history, plugin)
    report.render(result, TerminalPage())
    saving.check()
    if not result.complete:
        raise typer.Exit(_common.INTERRUPTED)
    raise typer.Exit(session.exit_code(result))


def _order(size: str | None) -> int:
    from foliolab.framework.plugins.selection import parse_sizes

    orders = [order for order in parse_sizes(size or SIZE) if order]
    if len(orders) != 1:
        raise UsageError(f"{size} is not one size of a large folio", "choose one, such as --size 64K")
    return orders[0]


# -- sources of moments -----------------------------------------------------------------------------
@dataclass(frozen=True)
class _Pick:
    """The options that sources of moments depend on.

    Args:
        sized: whether the user chose the order; random scenarios then use it, too.
    """

    order: int
    sized: bool
    mms: int
    seed: int
    moments: int | None

    @property
    def of_pattern(self) -> int:
        return MOMENTS if self.moments is None else self.moments


def _sources(found: Registry, names: Sequence[str], pick: _Pick) -> list[MomentSource]:
    from foliolab.framework.consequences.recording import FromTrace
    from foliolab.framework.consequences.sources import FromPattern, FromWorkload, usage_for

    programs = {name: workload for name, workload in found.workloads.items() if workload.program}
    chosen: list[MomentSource] = []
    for name in dict.fromkeys(names or [*found.patterns, *programs, ALL, RANDOM]):
        if name in found.patterns:
            usage = usage_for(pick.order, pick.mms)
            chosen.append(FromPattern(found.patterns[name], usage, pick.seed, pick.of_pattern))
        elif name in found.workloads:
            chosen.append(FromWorkload(found.workloads[name], pick.order, pick.seed))
        elif name == RANDOM:
            chosen.append(_random(pick))
        elif _is_trace(name):
            chosen.append(FromTrace(name, pick.moments or OF_TRACE))
        else:
            chosen.append(_scenarios(found, name))
    return chosen


def _is_trace(name: str) -> bool:
    from foliolab.framework.trace.file import is_trace

    return is_trace(intake.head(name, 8))


def _random(pick: _Pick) -> MomentSource:
    """Random scenarios with all actions; unlike `kernel check`, they also swap."""
    from foliolab.framework.consequences.sources import FromScenarios
    from foliolab.framework.scenario.generate import WEIGHTS, Mix, random_scenario

    orders = (pick.order,) if pick.sized else tuple(order for order in Mix().orders if order)
    mix = Mix(orders=orders, processes=pick.mms, actions=frozenset(WEIGHTS))
    first = pick.seed * RANDOMS
    scenarios = [random_scenario(number, mix) for number in range(first, first + RANDOMS)]
    return FromScenarios(RANDOM, f"{RANDOMS} random scenarios", scenarios, 4 << pick.order if pick.sized else 0)


def _scenarios(found: Registry, name: str) -> MomentSource:
    """A scenario by its file or name, or all that ship.

    Raises:
        UsageError: there is no pattern, workload or scenario of that name.
    """
    from foliolab.framework.consequences.sources import FromScenarios
    from foliolab.framework.scenario import parser

    if name == ALL:
        shipped = parser.load_in_order(found.scenarios.values())
        return FromScenarios(ALL, f"the {len(shipped)} scenarios that ship, one after the other", shipped)
    path = Path(name)
    is_file = path.suffix == ".scenario" or len(path.parts) > 1
    scenario = parser.load(path if is_file else _named(found, name))
    return FromScenarios(scenario.name, " ".join(scenario.text), [scenario])


def _named(found: Registry, name: str) -> Path:
    from foliolab.framework.plugins.selection import nearest

    try:
        return found.scenario(name)  # names the plugin that would offer the scenario but failed
    except UsageError as fault:
        known = [*found.patterns, *found.workloads, *found.scenarios, ALL, RANDOM]
        hint = nearest(name, known, "there are")
        raise UsageError(f"there is no pattern, workload or scenario {name!r}", hint) from fault
