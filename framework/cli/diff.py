"""Compare two result files.

Counted metrics, precision and errors are compared exactly. The times of two runs were not measured interleaved: each
difference has a 95 % interval and a verdict, and does not change the exit code.
Exit codes: 0 no exact value is worse, 1 one is worse, or something was asked for and not measured, 2 the files cannot
be compared.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from foliolab.framework import intake
from foliolab.framework.cli import _common
from foliolab.framework.errors import ExitCode


def run(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="A result file (--json of compare, precision, …).")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="Another result of the same command.")],
    every: Annotated[bool, typer.Option("--all", help="Show equal values, too.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a comment for a pull request.")] = False,
) -> None:
    """Compare two result files."""
    from foliolab.framework.report import difference as report
    from foliolab.framework.report.pages.terminal import TerminalPage
    from foliolab.framework.report.result_files import load
    from foliolab.framework.results.difference import difference

    first, second = load(old), load(new)
    with intake.named(new):
        found = difference(first, second)
    names = old.name, new.name
    if markdown:
        _common.put(report.markdown(found, names, every))
    else:
        report.render(found, names, TerminalPage(), every)
    if found.failed:
        raise typer.Exit(ExitCode.COMPARISON_FAILED)
