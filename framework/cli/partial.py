"""Compare ways to find partially mapped folios.

When a page of a large folio has lost its last mapping, its memory is stranded until the folio is split or freed. The
report gives for each detector the memory stranded (MiB·s), walks of the rmap and the entries that they look at,
acquisitions of the split queue's lock, and folios split in vain. Several recordings are runs of one program, such as
those of `foliolab record --runs N`; the spread is given. What a recording cannot tell is `unknown`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from foliolab.framework.cli import _common
from foliolab.framework.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from foliolab.framework.contract.detector import Detector
    from foliolab.framework.plugins.registry import Registry

ALL: Final = "all"
LEAST_INTERVAL: Final = 1e-6
MOST_INTERVAL: Final = 1e6
MOST_LOOKS: Final = 1 << 32
MEMORY: Final = "1G"


def run(  # noqa: PLR0913  (one parameter per option)
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="The trace; several: runs of one program, with their spread."),
    ],
    detectors: Annotated[
        list[str] | None,
        typer.Option("--detectors", metavar="LIST", help=f"Detectors, {_common.LISTS}. [all]"),
    ] = None,
    pressure: Annotated[
        float,
        typer.Option(
            "--pressure", min=LEAST_INTERVAL, max=MOST_INTERVAL, metavar="SECONDS", help="Memory is short so often."
        ),
    ] = 1.0,
    looks: Annotated[
        int,
        typer.Option(
            "--looks", min=0, max=MOST_LOOKS, metavar="N", help="Folios that a detector looks at each time; 0: all."
        ),
    ] = 128,
    policy: Annotated[
        str, typer.Option("--policy", metavar="POLICY", help="The policy whose counters the kernel has.")
    ] = "no-page-mapcount",
    teardown: Annotated[
        str, typer.Option("--teardown", metavar="WHEN", help="When an exiting MM unmaps: exit or gone.")
    ] = "exit",
    memory: Annotated[str, typer.Option("--memory", metavar="SIZE", help="Memory for the tables.")] = MEMORY,
    json: _common.ResultFile = None,
    plugin: _common.Plugins = None,
    strict: _common.Strict = False,
    execution: _common.Wish = "",
) -> None:
    """Compare ways to find partially mapped folios."""
    _common.writable(json)
    found = _common.registry(plugin, strict)
    chosen = _detectors(found, detectors or [ALL])
    scheme = found.policy(policy, typed=True)
    _common.warn(found)
    from foliolab.framework.partial import session
    from foliolab.framework.plugins.selection import parse_memory
    from foliolab.framework.report import partial as report
    from foliolab.framework.report.pages.terminal import TerminalPage
    from foliolab.framework.report.progress import Progress
    from foliolab.framework.results.saving import Saving

    request = session.PartialRequest(
        paths=[str(file) for file in files],
        scheme=scheme,
        detectors=chosen,
        interval=pressure,
        looks=looks,
        memory=parse_memory(memory),
        teardown=_when(teardown),
        command=_common.typed(),
        execution=_common.execution(execution),
    )
    saving = Saving(json)
    with Progress() as progress:
        result = session.follow(request, progress, saving.partial)
    _common.save(result, saving, result.complete)
    report.render(result, TerminalPage())
    saving.check()
    if not result.complete:
        raise typer.Exit(_common.INTERRUPTED)


def _detectors(found: Registry, texts: Sequence[str]) -> list[Detector]:
    """The detectors of texts such as `walk-on-demand,reclaim-scan`, each once; `all` is every one.

    Raises:
        UsageError: there is no such detector, or none is named.
    """
    from foliolab.framework.plugins.registry import Registry
    from foliolab.framework.plugins.selection import split

    chosen: dict[str, Detector] = {}
    for name in split(texts):
        chosen |= found.detectors if name == ALL else {name: found.find(Registry.detectors, name)}
    if not chosen:
        raise UsageError("no detector is named", f"detectors are {', '.join(found.detectors)}")
    return list(chosen.values())


def _when(teardown: str) -> Literal["exit", "gone"]:
    for when in ("exit", "gone"):
        if teardown == when:
            return when
    raise UsageError(f"there is no teardown {teardown!r}", "choose exit or gone")
