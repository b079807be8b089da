"""Walk through a counterexample, one memory access at a time.

In a terminal, the command asks where to go: n forward, b back, j 12 to step 12, e to the end, / to search, ? for more.
From a pipe, it reads the same words from standard input. Exit codes: 1 the law is broken, as when the file was
written; 0 the law holds now, so that the file can serve as a test of the policy. A policy that is not installed needs
--plugin, even where the file names its plugin: opening a file runs no code.
--html writes the counterexample as a page, to send; FILE may be such a page. --mail prints it as text for a mail. Both
also take a scenario, a sharing pattern or a trace, whose steps they show under several policies. --perfetto writes a
counterexample, or all events of a trace, for https://ui.perfetto.dev. --litmus writes a counterexample as a litmus test
for herd7. --selftest writes a scenario as a C program.
"""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foliolab.framework import intake
from foliolab.framework.cli import _common, _walks
from foliolab.framework.errors import ExitCode, FolioLabError, UsageError

if TYPE_CHECKING:
    from foliolab.framework.contract.policy import Scheme
    from foliolab.framework.plugins.registry import Registry
    from foliolab.framework.report.pages.page import Page
    from foliolab.framework.verify.counterexample import Counterexample
    from foliolab.framework.verify.timeline import Timeline


def run(  # noqa: PLR0913  (one parameter per option)
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="A counterexample of `foliolab verify`, or its page; with --html or --mail also a scenario, a sharing "
            "pattern or a trace.",
        ),
    ],
    dump: Annotated[bool, typer.Option("--dump", help="Print the whole table.")] = False,
    every: Annotated[bool, typer.Option("--all", help="With --dump: do not fold long runs of accesses.")] = False,
    all_accesses: Annotated[
        bool, typer.Option("--all-accesses", help="Also show accesses to statistics, MMs and free lists.")
    ] = False,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write it as one page, to send; prints nothing else.")
    ] = None,
    mail: Annotated[bool, typer.Option("--mail", help="Print it as text for a mail, of at most 72 columns.")] = False,
    perfetto: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a counterexample or a trace as a Perfetto trace (protobuf)."),
    ] = None,
    selftest: Annotated[
        Path | None,
        typer.Option(metavar="FILE.c", help="Write a scenario as a C program that checks this in real processes."),
    ] = None,
    litmus: Annotated[
        Path | None,
        typer.Option(metavar="FILE.litmus", help="Write a counterexample with threads as a litmus test for herd7."),
    ] = None,
    policies: Annotated[
        list[str] | None,
        typer.Option(metavar="LIST", help=f"Of a scenario, pattern or trace: {_common.POLICIES}. [{_walks.USUAL}]"),
    ] = None,
    steps: Annotated[
        str,
        typer.Option(
            metavar="FIRST-LAST", help="The steps to show. [a scenario: all; else those before the first wrong answer]"
        ),
    ] = "",
    mms: Annotated[int, typer.Option(min=1, max=64, metavar="N", help="Of a pattern: processes at a time.")] = 4,
    size: Annotated[str, typer.Option(metavar="SIZE", help="Of a pattern: folio size.")] = "64K",
    folios: Annotated[int, typer.Option(min=2, max=4096, metavar="N", help="Of a pattern: folios of a process.")] = 16,
    plugin: _common.Plugins = None,
    strict: _common.Strict = False,
) -> None:
    """Walk through a counterexample."""
    form = _walks.Form(html, mail, perfetto, selftest, litmus)
    table = _Table(dump, every, all_accesses)
    _check(form, table)
    found = _common.registry(plugin, strict)
    if form.wanted and _walks.is_run(found, str(file)):
        _common.warn(found)
        wish = _walks.Wish(str(file), policies or [], steps, mms, size, folios)
        _walks.send_run(found, wish, plugin or [], form)
        return
    if policies or steps:
        raise UsageError(
            f"{file} is not a scenario, a sharing pattern or a trace to send",
            "--policies and --steps need --html or --mail, and one of these",
        )
    example = _load(file)
    _common.warn(found)
    scheme = _scheme(found, example, file, bool(plugin))
    from foliolab.framework.verify.timeline import Timeline

    with intake.named(file):
        timeline = Timeline(example, scheme)
    if form.wanted:
        _walks.send_counterexample(timeline, file, form)
    else:
        _show(timeline, table)
    if timeline.breaks:
        raise typer.Exit(ExitCode.COMPARISON_FAILED)


@dataclass(frozen=True)
class _Table:
    """What the terminal shows of the accesses.

    Attributes:
        dump: the whole table at once.
        every: long runs of accesses are not folded.
        all_accesses: also those to statistics, MMs and free lists.
    """

    dump: bool
    every: bool
    all_accesses: bool


def _check(form: _walks.Form, table: _Table) -> None:
    """Refuse options that would do nothing, and files that cannot be written.

    Raises:
        UsageError: there is one.
    """
    if table.every and not table.dump:
        raise UsageError("--all applies to --dump only", "add --dump")
    if form.wanted and (table.dump or table.all_accesses):
        raise UsageError("--dump and --all-accesses apply to the terminal only", "leave them out")
    for path in (form.html, *form.files):
        _common.writable(path)


def _show(timeline: Timeline, table: _Table) -> None:
    from foliolab.framework.report import verify as report
    from foliolab.framework.report.pages.terminal import TerminalPage

    page = TerminalPage()
    report.introduction(timeline, page)
    if table.dump:
        from foliolab.framework.report import interleaving

        interleaving.render(timeline, page, table.all_accesses, unfolded=table.every)
    else:
        _step(timeline, page, table.all_accesses)


def _load(file: Path) -> Counterexample:
    """The counterexample of a file.

    Raises:
        UsageError: the file is a trace.
        ResultFileError: it is not a counterexample.
    """
    from foliolab.framework.report.walkthrough.html import counterexample_in
    from foliolab.framework.trace.file import is_trace
    from foliolab.framework.verify.counterexample import Counterexample

    data = intake.read(file, Counterexample.WHAT, f"`{Counterexample.MADE_BY}` writes one")
    data = counterexample_in(data) or data  # a page that `--html` wrote holds its counterexample
    if is_trace(data):
        raise UsageError(f"{file} is a recorded trace, not a counterexample", f"foliolab replay {file}")
    return Counterexample.decode(data, str(file))


def _scheme(found: Registry, example: Counterexample, file: Path, loaded: bool) -> Scheme:
    """The policy that a counterexample is about. The plugin that the file names is not loaded: it is code.

    Args:
        loaded: whether the user has named a plugin.

    Raises:
        UsageError: the policy is not here.
    """
    try:
        return found.policy(example.policy)
    except UsageError as fault:
        if not example.plugin or loaded:
            raise UsageError(f"{file} is about a policy that is not here: {fault.what}", fault.hint) from fault
        if not os.path.exists(example.plugin):
            raise UsageError(
                f"the policy {example.policy} came from the plugin file {example.plugin}, which is gone",
                "name its present path: --plugin FILE",
            ) from fault
        raise UsageError(
            f"{file} is about {example.policy} of the plugin {example.plugin}, which is not loaded",
            f"if you trust the plugin: {shlex.join(example.stepping(file))}",
        ) from fault


def _step(timeline: Timeline, page: Page, all_accesses: bool) -> None:
    from foliolab.framework.report.stepping import Stepper

    if not timeline.frames:
        raise FolioLabError("the counterexample has no step", "it names neither a set-up nor operations")
    Stepper(timeline, page, all_accesses).run(_read)


def _read(prompt: str) -> str | None:
    try:
        return input(prompt if sys.stdin.isatty() else "")
    except EOFError:
        return None
