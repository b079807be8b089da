"""Record the memory events of a command, or of a process.

The recording ends with the command, which takes along what it has started. To record that for longer, let the command
wait: `-- sh -c "COMMAND; sleep 10"`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from foliolab.framework.cli import _common


def run(
    command: Annotated[
        list[str] | None, typer.Argument(metavar="-- COMMAND...", help="The command, after two hyphens.")
    ] = None,
    out: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The trace.")] = Path("trace.folio"),
    pid: Annotated[
        int, typer.Option("--pid", metavar="PID", help="Record this process and its descendants instead.")
    ] = 0,
    seconds: Annotated[
        float, typer.Option("--seconds", metavar="N", help="Stop after N seconds; the command is killed, too.")
    ] = 0,
    user: Annotated[
        str,
        typer.Option("--user", metavar="NAME", help="Run the command as this user, with its groups and HOME; as root."),
    ] = "",
    by: Annotated[
        str, typer.Option("--by", metavar="WAY", help="perf, bpftrace, snapshots or strace. [the best that works]")
    ] = "",
    json: _common.Json = False,
) -> None:
    """Record until the command ends or Ctrl-C, and print a summary."""
    from foliolab.framework.kernel.recording.session import record
    from foliolab.framework.kernel.recording.target import Target
    from foliolab.framework.report import recording
    from foliolab.framework.report.pages.plain_text import Plain
    from foliolab.framework.trace.file import Trace
    from foliolab.framework.trace.importers.summary import summarise

    _, status = record(Target(tuple(command or ()), pid, seconds, user), out, by)
    if status:
        sys.stderr.write(f"foliolab: the command ended with status {status}\n")
    summary = summarise(Trace(out))
    if json:
        _common.print_json(recording.data(summary))
    else:
        recording.render(summary, Plain())
