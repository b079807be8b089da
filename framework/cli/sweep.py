"""Run a grid of commands, and merge their results.

The tasks run in several processes here, or on the workers of a Dask cluster. Each task is one `foliolab compare`,
`verify` or `replay` in a process of its own; the policies of a comparison are measured interleaved in one task.
Results that are in --output already are not made again. The task of a lost worker goes to another one. Ctrl-C keeps
the finished tasks. Whoever reaches a Dask scheduler can run code on its workers: use TLS, or a network of your own.
Exit codes: 0 all tasks are done, 1 a task failed, 130 interrupted.
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
from foliolab.framework.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from foliolab.framework.plugins.registry import Registry
    from foliolab.framework.sweep.folder import Folder
    from foliolab.framework.sweep.grid import Grid
    from foliolab.framework.sweep.pool import Cluster
    from foliolab.framework.sweep.running import State
    from foliolab.framework.sweep.task import Task

List = list[str] | None
Pem = Path | None


def run(  # noqa: PLR0913  (one parameter per option)
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Results, one file for each task.")],
    kind: Annotated[str, typer.Option(metavar="VERB", help="compare, verify or replay.")] = "compare",
    policies: Annotated[
        List, typer.Option("--policies", metavar="LIST", help="The first is the baseline. [all]")
    ] = None,
    parameter: Annotated[
        List,
        typer.Option(metavar="POLICY:NAME=V,V", help="Try each value; may be repeated, for all combinations."),
    ] = None,
    workloads: Annotated[List, typer.Option("--workloads", metavar="LIST", help="Of a comparison. [all]")] = None,
    sizes: Annotated[List, typer.Option("--sizes", metavar="LIST", help="Folio sizes, such as 16K,64K.")] = None,
    seeds: Annotated[List, typer.Option("--seeds", metavar="LIST", help="Seeds. [1]")] = None,
    memory: Annotated[str, typer.Option(metavar="SIZE", help="Modelled memory of each measurement.")] = "64M",
    repeats: Annotated[int | None, typer.Option(min=1, metavar="N", help="Rounds. [as verdicts need]")] = None,
    budget: Annotated[float, typer.Option(min=0.1, metavar="SECONDS", help="Time of the attacks on a policy.")] = 60.0,
    trace: Annotated[list[Path] | None, typer.Option(metavar="FILE", help="To replay; may be repeated.")] = None,
    workers: Annotated[int, typer.Option(min=0, metavar="N", help="Processes here. [one per processor]")] = 0,
    scheduler: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Use this Dask cluster.")] = None,
    tls_ca: Annotated[
        Pem, typer.Option("--dask-tls-ca", metavar="FILE", help="TLS: who signs the others (PEM).")
    ] = None,
    tls_cert: Annotated[Pem, typer.Option("--dask-tls-cert", metavar="FILE", help="TLS: this client's own.")] = None,
    tls_key: Annotated[Pem, typer.Option("--dask-tls-key", metavar="FILE", help="TLS: the key of that.")] = None,
    parquet: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the figures as a table.")] = None,
    dry: Annotated[bool, typer.Option("--dry-run", help="Print the commands without running them.")] = False,
    plugin: _common.Plugins = None,
) -> None:
    """Run a grid of policies, workloads, sizes, seeds and parameters."""
    from foliolab.framework.plugins.selection import split
    from foliolab.framework.sweep.grid import KINDS, Grid, with_parameters

    if kind not in KINDS:
        raise UsageError(f"there is no sweep of {kind!r}", f"kinds are {', '.join(KINDS)}")
    if kind == "replay" and not trace:
        raise UsageError("there is no trace to replay", "name one with --trace FILE")
    _common.writable(parquet)
    found = _common.registry(plugin)
    _common.warn(found)
    texts = with_parameters([one.name for one in found.parse_policies(policies or ["all"])], parameter or ())
    grid = Grid(
        schemes=[found.policy(text) for text in texts],
        workloads=_workloads(found, workloads),
        orders=_orders(found, workloads, sizes),
        seeds=_numbers(split(seeds or ["1"])),
        memory=memory,
        repeats=repeats,
        plugins=tuple(os.path.abspath(path) for path in plugin or ()),
        seconds=budget,
        traces=tuple(os.path.abspath(path) for path in trace or ()),
    )
    tasks = grid.tasks(kind)
    if dry:
        for task in tasks:
            _common.put(shlex.join(["foliolab", *task.words]) + "\n")
        return
    cluster = None
    if scheduler:
        from foliolab.framework.sweep.pool import Certificates, Cluster

        cluster = Cluster(scheduler, Certificates(*(str(one or "") for one in (tls_ca, tls_cert, tls_key))))
    _run(grid, tasks, kind, output, workers, cluster, parquet)


def _workloads(found: Registry, texts: List) -> list:  # type: ignore[type-arg]
    if texts:
        return found.parse_workloads(texts)
    return [one for one in found.workloads.values() if not one.program]


def _orders(found: Registry, workloads: List, sizes: List) -> list[int]:
    from foliolab.framework.plugins.selection import parse_sizes

    known = {order for one in _workloads(found, workloads) for order in one.orders}
    return parse_sizes(sizes or ["16K,64K,256K,1M,2M"], known)


def _numbers(texts: list[str]) -> list[int]:
    found = [intake.number(text) for text in dict.fromkeys(texts)]
    seeds = [number for number in found if number is not None and number >= 0]
    if len(seeds) != len(found):
        raise UsageError(
            f"--seeds {intake.plain(','.join(texts))}: not a list of numbers", "write numbers, such as --seeds 1,2,3"
        )
    return seeds


def _run(
    grid: Grid, tasks: list[Task], kind: str, output: Path, workers: int, cluster: Cluster | None, parquet: Path | None
) -> None:
    from foliolab.framework.sweep import pool
    from foliolab.framework.sweep.folder import Folder
    from foliolab.framework.sweep.running import sweep

    folder = Folder(output)
    nr = cluster.workers if cluster else workers or len(os.sched_getaffinity(0))
    try:
        state = sweep(tasks, folder, cluster.executor if cluster else lambda: pool.local(nr), _Progress(nr))
    except KeyboardInterrupt:
        done = len(folder.files(tasks))
        sys.stderr.write("\n")
        _common.say(f"stopped; {done} of {len(tasks)} tasks are in {output}; the same command continues")
        raise typer.Exit(_common.INTERRUPTED) from None
    finally:
        if cluster is not None:
            cluster.close()
    _finish(folder, tasks, kind, nr, parquet)
    for name, why in state.failed.items():
        _common.say(f"{name} failed: {why}")
    print(f"{state.done} of {state.total} tasks done, {state.found} of them before; {len(state.failed)} failed")
    if state.failed:
        raise typer.Exit(ExitCode.COMPARISON_FAILED)


class _Progress:
    """Shows progress on stderr: in a terminal in one line, else in a new line every ten seconds."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.last = 0.0

    def __call__(self, state: State) -> None:
        import time

        now = time.monotonic()
        terminal = sys.stderr.isatty()
        if now - self.last < (0.5 if terminal else 10) and state.done + len(state.failed) < state.total:
            return
        self.last = now
        left = "" if state.left is None else f", about {state.left:,.0f} s left"
        failed = f", {len(state.failed)} failed" if state.failed else ""
        text = f"{state.done} of {state.total} tasks done{failed}, {self.workers} at a time{left}"
        sys.stderr.write(f"\r\033[K{text}" if terminal else f"{text}\n")
        if terminal and state.done + len(state.failed) == state.total:
            sys.stderr.write("\n")
        sys.stderr.flush()


def _finish(folder: Folder, tasks: list[Task], kind: str, workers: int, parquet: Path | None) -> None:
    """Merge the finished tasks into one file; comparisons into one file for each seed."""
    from foliolab.framework.sweep import merging

    files = folder.files(tasks)
    command = _common.typed()
    if not files:
        return
    written = []
    if kind == "verify":
        found = merging.verified(files, command)
        rows = merging.verdict_rows(found)
        written.append(folder.path / "verdicts.json")
        found.save(written[0])
    elif kind == "replay":
        replays = merging.replayed(files, command)
        rows = merging.replay_rows(replays)
        written.append(folder.path / "replays.json")
        replays.save(written[0])
    else:
        together = merging.merged(files, command, workers)
        rows = merging.measured_rows(together)
        for seed, result in together.items():
            written.append(folder.path / ("result.json" if len(together) == 1 else f"result-seed{seed}.json"))
            result.save(written[-1])
    if parquet is not None:
        merging.parquet(rows, parquet)
        written.append(parquet)
    for path in written:
        _common.put(f"written: {path}\n")
