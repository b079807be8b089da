"""Turn the output of perf, bpftrace or strace into a trace."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from foliolab.framework.cli import _common

NAME = "import"


def run(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The tracer's text or recording, compressed or not; - for stdin.")
    ],
    out: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="The trace. [FILE.folio]")] = None,
    form: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="perf, ftrace, perf-trace, bpftrace, snapshots, strace or a plugin's. [guess]",
        ),
    ] = "",
    plugin: _common.Plugins = None,
    json: _common.Json = False,
) -> None:
    """Turn the output of a tracer into a trace, and print a summary."""
    found = _common.registry(plugin)
    _common.warn(found)
    from foliolab.framework.report import recording
    from foliolab.framework.report.pages.plain_text import Plain
    from foliolab.framework.report.progress import Progress
    from foliolab.framework.trace import importers
    from foliolab.framework.trace.file import Trace
    from foliolab.framework.trace.importers.summary import summarise

    file = Path("/dev/stdin") if str(file) == "-" else file
    target = out or importers.target(file)
    readers = importers.with_plugins(found.trace_readers.values())
    with Progress() as progress:
        importers.convert(
            file, target, form, readers, tell=lambda done, total: progress("MiB read", done >> 20, total >> 20)
        )
    summary = summarise(Trace(target))
    if json:
        _common.print_json(recording.data(summary))
    else:
        recording.render(summary, Plain())
