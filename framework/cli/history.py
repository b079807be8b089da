"""Show what changed along kept results, and at which commit.

Results are kept by --history DIR of compare, precision and consequences. Shown are the first commit that changed each
counted metric, precision or error; the trend of the times on the newest run's machine; and the geometric mean of each
run. Result files can be named, too: all are compared with the oldest.
Exit codes: 0 all is read, 1 a file is no result and left out, 2 there is no result.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from foliolab.framework.cli import _common
from foliolab.framework.errors import ExitCode


def run(
    paths: Annotated[list[Path], typer.Argument(metavar="DIR|FILE...", help="A folder of results, or result files.")],
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
) -> None:
    """Show what changed along kept results, and at which commit."""
    from foliolab.framework.report import history as report
    from foliolab.framework.report.pages import document
    from foliolab.framework.report.pages.terminal import TerminalPage

    history, problems = report.read(paths)
    if markdown:
        page = document.DocumentPage()
        report.render(history, problems, page)
        newest = history[-1].result
        _common.put(document.markdown(page, "History", [("command", newest.command), ("started", newest.started)]))
    else:
        report.render(history, problems, TerminalPage())
    if problems:
        raise typer.Exit(ExitCode.COMPARISON_FAILED)
