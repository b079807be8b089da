"""Replay a recorded trace under policies.

The report begins with at most five sentences that answer: how often large folios were written to, what limited room for
owners costs beyond the policy exact, and how sure that is. Then it says who shares large folios, what each policy gets
wrong, and what that costs. Of several traces, such as those of `foliolab record --runs N`, it gives the answer over all
of them and a row for each.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from foliolab.framework import intake
from foliolab.framework.cli import _common
from foliolab.framework.errors import ResultFileError, TraceFileError, UsageError

if TYPE_CHECKING:
    from foliolab.framework.replay.result import ReplayResult
    from foliolab.framework.replay.session import ReplayRequest
    from foliolab.framework.results.saving import Saving
    from foliolab.framework.trace.header import Header

MEMORY: Final = "1G"
SAMPLES: Final = 100
MOST_SAMPLES: Final = 10_000

Teardown = Annotated[
    str,
    typer.Option(metavar="WHEN", help="When an exiting MM unmaps: exit, gone, or auto, as in the recorded kernel."),
]


def run(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="The trace; several: runs of one program, with their spread."),
    ],
    policies: Annotated[
        list[str] | None,
        typer.Option(
            "--policies",
            metavar="LIST",
            help=f"{_common.POLICIES}, separated by commas; exact is added. [those that model a kernel]",
        ),
    ] = None,
    json: _common.ResultFile = None,
    samples: Annotated[
        int,
        typer.Option(min=0, max=MOST_SAMPLES, metavar="N", help="Moments to check, evenly in time and around forks."),
    ] = SAMPLES,
    memory: Annotated[str, typer.Option(metavar="SIZE", help="Memory for a policy's tables.")] = MEMORY,
    costs: Annotated[
        Path | None,
        typer.Option("--costs", metavar="FILE", help="Result with the times of copies and reuses. [measured]"),
    ] = None,
    teardown: Teardown = "auto",
    plugin: _common.Plugins = None,
    strict: _common.Strict = False,
    execution: _common.Wish = "",
) -> None:
    """Replay a recorded trace under policies."""
    _common.writable(json)
    if json is not None and len(files) > 1:
        raise UsageError("--json writes the result of one trace", "replay the others by themselves")
    found = _common.registry(plugin, strict)
    _common.warn(found)
    from foliolab.framework.kernel.recorded import models_of
    from foliolab.framework.plugins.selection import parse_memory
    from foliolab.framework.replay import session
    from foliolab.framework.replay.costs import load_costs
    from foliolab.framework.report import replay as report
    from foliolab.framework.report import runs
    from foliolab.framework.report.pages.terminal import TerminalPage
    from foliolab.framework.results.saving import Saving

    schemes = session.schemes_of(found, policies)
    recorded = [models_of(_header(file), schemes) for file in files]
    known = load_costs(costs) if costs else None
    saving = Saving(json)
    requests = [
        session.ReplayRequest(
            path=str(file),
            schemes=schemes,
            recorded=models,
            memory=parse_memory(memory),
            samples=samples,
            costs=known,
            plugins=tuple(os.path.abspath(path) for path in plugin or ()),
            command=_common.typed(),
            execution=_common.execution(execution),
            teardown=_when(teardown),
        )
        for file, models in zip(files, recorded, strict=True)
    ]
    results = _replays(requests, saving)
    _common.save(results[0], saving, results[0].complete)
    page = TerminalPage()
    report.render(results[0], page) if len(files) == 1 else runs.render(results, page)
    _common.say_refuted(found, schemes, page)
    saving.check()
    if not all(result.complete for result in results):
        raise typer.Exit(_common.INTERRUPTED)
    raise typer.Exit(max(map(session.exit_code, results)))


def _replays(requests: Sequence[ReplayRequest], saving: Saving) -> list[ReplayResult]:
    """The results of replays, up to the first that was interrupted. Copies and reuses are timed once for all."""
    from foliolab.framework.replay import session
    from foliolab.framework.report.progress import Progress

    results: list[ReplayResult] = []
    with Progress() as progress:
        for request in requests:
            known = request.costs or (results[-1].costs if results else None)
            results.append(session.replay(replace(request, costs=known), progress, saving.partial))
            if not results[-1].complete:
                break
    return results


def _header(file: Path) -> Header:
    """The header of a trace.

    Raises:
        UsageError: the file is a counterexample.
        TraceFileError: it is not a trace.
    """
    from foliolab.framework.trace.file import Trace
    from foliolab.framework.verify.counterexample import Counterexample

    try:
        return Trace(file).header
    except TraceFileError as fault:
        with suppress(ResultFileError):
            Counterexample.decode(intake.head(file, Counterexample.MOST_BYTES), str(file))
            raise UsageError(f"{file} is a counterexample, not a trace", f"foliolab step {file}") from fault
        raise


def _when(teardown: str) -> Literal["auto", "exit", "gone"]:
    for when in ("auto", "exit", "gone"):
        if teardown == when:
            return when
    raise UsageError(f"there is no teardown {teardown!r}", "choose auto, exit or gone")
