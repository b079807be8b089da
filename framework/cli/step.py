"""Walk through a counterexample, one memory access at a time.

In a terminal, the command asks where to go: n forward, b back, j 12 to step 12, e to the end, / to search, ? for more.
From a pipe, it reads the same words from standard input. Exit codes: 1 the law is broken, as when the file was
written; 0 the law holds now, so that the file can serve as a test of the policy. A policy that is not installed needs
--plugin, even where the file names its plugin: opening a file runs no code.
--html writes the counterexample as a page, to send; FILE may be such a page. --mail prints it as text for a mail.
"""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foliolab.framework import intake
from foliolab.framework.cli import _common
from foliolab.framework.errors import ExitCode, FolioLabError, UsageError

if TYPE_CHECKING:
    from foliolab.framework.contract.policy import Scheme
    from foliolab.framework.plugins.registry import Registry
    from foliolab.framework.report.pages.page import Page
    from foliolab.framework.verify.counterexample import Counterexample
    from foliolab.framework.verify.timeline import Timeline


def run(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A counterexample of `foliolab verify`, or its page (--html).")
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
    plugin: _common.Plugins = None,
    strict: _common.Strict = False,
) -> None:
    """Walk through a counterexample."""
    if every and not dump:
        raise UsageError("--all applies to --dump only", "add --dump")
    _common.writable(html)
    example = _load(file)
    found = _common.registry(plugin, strict)
    _common.warn(found)
    scheme = _scheme(found, example, file, bool(plugin))
    from foliolab.framework.report import verify as report
    from foliolab.framework.report.pages.terminal import TerminalPage
    from foliolab.framework.verify.timeline import Timeline

    page = TerminalPage()
    with intake.named(file):
        timeline = Timeline(example, scheme)
    if html or mail:
        _send(timeline, html or file, html, mail)
    else:
        report.introduction(timeline, page)
        if dump:
            from foliolab.framework.report import interleaving

            interleaving.render(timeline, page, all_accesses, unfolded=every)
        else:
            _step(timeline, page, all_accesses)
    if timeline.breaks:
        raise typer.Exit(ExitCode.COMPARISON_FAILED)


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


def _send(timeline: Timeline, path: Path, html: Path | None, mail: bool) -> None:
    """Write a counterexample as a page, print it as a mail, or both.

    Args:
        path: the file that the command to repeat it names.
    """
    from foliolab.framework.document import write_atomically
    from foliolab.framework.report.walkthrough import counterexample as walks

    if html:
        from foliolab.framework.report.walkthrough.html import page

        text = page(lambda most: walks.walkthrough(timeline, path, most), walks.MOST_LINES)
        write_atomically(html, text.encode())
        if not mail:
            _common.put(f"written: {html}\n")
    if mail:
        from foliolab.framework.report.walkthrough.mail import mail as as_mail

        _common.put(as_mail(walks.walkthrough(timeline, path)))


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
