"""Record the memory events of a command or of running processes.

A command's recording ends with the command, which takes along what it has started. To record that for longer, let the
command wait: `-- sh -c "COMMAND; sleep 10"`. With --runs the command is recorded several times, and `foliolab replay
FILE-*` says how much the runs differ. With --pid, --cgroup or --container all is recorded that may share memory with
the processes by fork.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from foliolab.framework.cli import _common
from foliolab.framework.errors import UsageError
from foliolab.framework.isolation import signals

MOST_RUNS: Final = 1000


def run(  # noqa: PLR0913  (one parameter per option)
    command: Annotated[
        list[str] | None, typer.Argument(metavar="-- COMMAND...", help="The command, after two hyphens.")
    ] = None,
    out: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The trace.")] = Path("trace.folio"),
    pid: Annotated[
        int, typer.Option("--pid", metavar="PID", help="Record this process, with all that it has forked.")
    ] = 0,
    cgroup: Annotated[
        str, typer.Option("--cgroup", metavar="PATH", help="Record the processes of a cgroup: system.slice/x.service.")
    ] = "",
    container: Annotated[
        str, typer.Option("--container", metavar="NAME", help="Record a container's processes, by its name or ID.")
    ] = "",
    seconds: Annotated[
        float, typer.Option("--seconds", metavar="N", help="Stop after N seconds; the command is killed, too.")
    ] = 0,
    user: Annotated[
        str,
        typer.Option("--user", metavar="NAME", help="Run the command as this user, with its groups and HOME; as root."),
    ] = "",
    folios: Annotated[
        str, typer.Option("--folios", metavar="SIZE", help="Give all memory large folios of this size meanwhile: 64K.")
    ] = "",
    wait: _common.Wait = 0.0,
    every: Annotated[
        float, typer.Option("--every", min=0, metavar="N", help="With --by snapshots: one each N seconds. [0.25]")
    ] = 0,
    kernel_memory: Annotated[
        str,
        typer.Option(
            "--kernel-memory",
            metavar="FILE",
            help="A vmcore of this kernel, for slots of folios that are older than the recording. [/proc/kcore]",
        ),
    ] = "",
    limit: Annotated[
        str, typer.Option("--limit", metavar="SIZE", help="Stop when the raw data has this size, such as 4G.")
    ] = "",
    by: Annotated[
        str, typer.Option("--by", metavar="WAY", help="perf, bpftrace, snapshots or strace. [the best that works]")
    ] = "",
    runs: Annotated[
        int, typer.Option("--runs", min=1, max=MOST_RUNS, metavar="N", help="Record the command N times: FILE-1 to -N.")
    ] = 1,
    printed: Annotated[
        str,
        typer.Option(
            "--print",
            metavar="WAY",
            help="Print a script for a host without FolioLab: perf, bpftrace, strace or snapshots.",
        ),
    ] = "",
    json: _common.Json = False,
) -> None:
    """Record until the command ends or Ctrl-C, and print a summary."""
    if printed:
        from foliolab.framework.kernel.recording.printed import script

        sys.stdout.write(script(printed))
        return
    if runs > 1 and (pid or cgroup or container):
        raise UsageError("--runs repeats a command, not a process that runs already", "name one: -- COMMAND")
    if every and by != "snapshots":
        raise UsageError("--every is the time between two snapshots", "add --by snapshots")
    if kernel_memory and command:
        raise UsageError("--kernel-memory is for processes that run already", "leave it out")
    from foliolab.framework.kernel.recording.session import Options, record
    from foliolab.framework.kernel.recording.target import Target
    from foliolab.framework.plugins.selection import parse_memory
    from foliolab.framework.report import recording
    from foliolab.framework.report.pages.plain_text import Plain
    from foliolab.framework.trace.file import Trace
    from foliolab.framework.trace.importers.summary import summarise

    target = Target(tuple(command or ()), pid, seconds, user, cgroup, container)
    kib, most = (parse_memory(size) if size else 0 for size in (folios, limit))
    options = Options(kib >> 10, wait, most, every, lambda what: sys.stderr.write(f"foliolab: {what}\n"), kernel_memory)
    numbered = [out.with_name(f"{out.stem}-{number}{out.suffix}") for number in range(1, runs + 1)]
    done = []
    for path in numbered if runs > 1 else [out]:
        _, status = record(target, path, by, options)
        if status:
            sys.stderr.write(f"foliolab: the command ended with status {status}\n")
        done.append(path)
        if not json:
            recording.render(summarise(Trace(path)), Plain())
        if signals.received():
            break  # it ended this run, which is kept, and there shall be no further one
    if json:
        found = [recording.data(summarise(Trace(path))) for path in done]
        _common.print_json(found if runs > 1 else found[0])
    elif runs > 1:
        _common.put(f"all of them: {shlex.join(['foliolab', 'replay', *map(str, done)])}\n")
