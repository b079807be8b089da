"""Run a comparison: start the worker, follow it, and turn its reports into a result.

If a worker crashes or hangs, the policy that it was running is marked as failed, and a new worker continues with the
other policies. Ctrl-C ends the worker at once and keeps what was measured.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from foliolab.framework import host
from foliolab.framework.contract.policy import Scheme
from foliolab.framework.errors import ExitCode, FolioLabError
from foliolab.framework.escaping import visible
from foliolab.framework.isolation import process
from foliolab.framework.isolation.process import Answer, Child, Crash
from foliolab.framework.plugins.registry import load
from foliolab.framework.results import provenance
from foliolab.framework.results.result import Cell, Config, Failure, Result
from foliolab.framework.run import worker
from foliolab.framework.run.cases import check_memory
from foliolab.framework.run.request import RunRequest
from foliolab.framework.run.worker import Counted, Failed, Key, Phase, Sample, Skipped, Step

GRACE: Final = 5.0
"""Seconds beyond the patience. The worker itself stops interpreted code that hangs, and names file and line."""

INTERPRETED: Final = "interpreted, without native code: counted metrics are exact, times mean little"

Progress = Callable[[str, int, int], None]
"""Called with the phase, the steps done and the steps in all (0: unknown)."""
Partial = Callable[[Result], None]
"""Called after each case with the incomplete result."""


_EMPTY: Final[dict[str, Any]] = {"samples": [], "flagged": [], "counted": {}, "reason": ""}


@dataclass
class _Run:
    request: RunRequest
    progress: Progress
    cells: dict[Key, dict[str, Any]] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    out: set[str] = field(default_factory=set)
    running: Step | None = None
    phase: str = ""
    steps: int = 0
    total: int = 0
    finished: bool = False
    over: Callable[[], None] = lambda: None

    def cell(self, key: Key) -> dict[str, Any]:
        return self.cells.setdefault(key, deepcopy(_EMPTY))

    def take(self, event: Any) -> None:
        if isinstance(event, Phase):
            self.phase, self.steps, self.total = event.name, 0, event.steps
        elif isinstance(event, Step):
            before, self.running = self.running, event
            if before is not None and before.key[:2] != event.key[:2]:
                self.over()
            self.steps += not event.extra
        elif isinstance(event, Counted):
            self.cell(event.key)["counted"] |= event.metrics
        elif isinstance(event, Sample):
            cell = self.cell(event.key)
            if event.flagged:
                cell["flagged"].append(len(cell["samples"]))
            cell["samples"].append(event.value)
        elif isinstance(event, Skipped):
            self.cell(event.key)["reason"] = event.reason
        elif isinstance(event, Failed):
            self.fail(event.policy, event.key, event.message)
        self.progress(self.phase, self.steps, self.total)

    def fail(self, policy: str, key: Key | None, message: str, code: ExitCode = ExitCode.PLUGIN_FAILED) -> None:
        """Take a policy out of the run."""
        self.out.add(policy)
        workload, order = (key[0], 4 << key[1]) if key else ("", 0)
        self.failures.append(
            Failure(policy=policy, workload=workload, size_kib=order, message=message, exit_code=int(code))
        )
        if key:
            self.cell(key)["reason"] = message

    def complete_cases(self) -> set[tuple[str, int]]:
        """Cases that are measured for all policies that are still in the run."""
        ready: dict[tuple[str, int], bool] = {}
        for (workload, order, policy), cell in self.cells.items():
            whole = len(cell["samples"]) >= self.request.repeats or bool(cell["reason"])
            if policy not in self.out:
                ready[workload, order] = ready.get((workload, order), True) and whole
        return {case for case, whole in ready.items() if whole}


def compare_run(request: RunRequest, progress: Progress | None = None, partial: Partial | None = None) -> Result:
    """Run a comparison.

    Args:
        request: the run.
        progress: called at each step.
        partial: called after each case.

    Returns:
        the result; `complete` is False after Ctrl-C.

    Raises:
        UsageError: a name in the request is unknown, or the run takes more memory than is available.
    """
    registry = load(request.plugins)
    check_memory(registry, request)
    schemes = {name: registry.policy(name) for name in request.policies}
    run = _Run(request, progress or (lambda phase, done, total: None))
    found = _resulting(run, schemes)
    if partial is not None:
        tell = partial
        run.over = lambda: tell(found(False))
    interrupted = False
    try:
        while not run.finished and len(run.out) < len(schemes):
            _follow(run)
    except KeyboardInterrupt:
        interrupted = True
    if not interrupted:
        for key in _asked(request):
            if key not in run.cells:
                sizes = ", ".join(f"{4 << order} KiB" for order in registry.workload(key[0]).orders)
                run.cell(key)["reason"] = f"{key[0]} supports folios of {sizes} only"
    return found(not interrupted)


def _resulting(run: _Run, schemes: Mapping[str, Scheme]) -> Callable[[bool], Result]:
    """A function that makes the result of the reports so far. What does not change is read once."""
    request = run.request
    started, machine, git = provenance.now(), host.describe_host(), provenance.git()

    def made(complete: bool) -> Result:
        return Result(
            complete=complete,
            command=request.typed or shlex.join(request.command()),
            started=started,
            finished=provenance.now(),
            config=Config(
                policies=list(request.policies),
                policy_parameters={name: dict(scheme.values) for name, scheme in schemes.items()},
                baseline=request.baseline,
                workloads=list(request.workloads),
                sizes=[4 << order for order in request.orders],
                memory=request.memory,
                repeats=request.repeats,
                seed=request.seed,
                quick=request.quick,
            ),
            machine=machine,
            versions=provenance.versions(),
            kernel=host.kernel(),
            git=git,
            cells=[_cell(key, cell, run) for key, cell in run.cells.items() if cell != _EMPTY],
            failures=list(run.failures),
            notes=[INTERPRETED] if request.execution == "interpreted" else [],
        )

    return made


def _asked(request: RunRequest) -> Iterator[Key]:
    for workload in request.workloads:
        for order in request.orders:
            for policy in request.policies:
                yield workload, order, policy


def _cell(key: Key, cell: dict[str, Any], run: _Run) -> Cell:
    workload, order, policy = key
    why = next((failure.message for failure in run.failures if failure.policy == policy), "")
    status: Literal["measured", "failed", "skipped"] = "skipped"
    if cell["samples"]:
        status = "measured"
    elif policy in run.out:
        status = "failed"
    return Cell(
        workload=workload,
        size_kib=4 << order,
        policy=policy,
        samples=cell["samples"],
        flagged=cell["flagged"],
        counted=cell["counted"],
        status=status,
        reason=cell["reason"] or (why if status == "failed" else ""),
    )


def _follow(run: _Run) -> None:
    """Start a worker for the cases that are left and follow it to its end."""
    done = run.complete_cases()
    for key in [k for k in run.cells if k[:2] not in done]:
        run.cells[key] |= {"samples": [], "flagged": []}  # all rounds of a case are measured by one worker
    with Child(worker.work, run.request, set(run.out), done, name="worker", has_children=True) as child:
        while not run.finished:
            match child.receive(run.request.patience + GRACE):
                case None:
                    return _blame(run, f"did not end within {run.request.patience:g} s and was stopped")
                case Crash(how, killed):
                    return _blame(run, how, killed)
                case process.Failure(error, ""):
                    raise error
                case process.Failure(error, details):
                    sys.stderr.write(visible(details))
                    return _blame(run, f"failed: {error.what}")
                case Answer():
                    run.finished = True
                case event:
                    run.take(event)


def _blame(run: _Run, what: str, killed: bool = False) -> None:
    """Mark the policy that the worker was running as failed; `killed`: through no fault of its own.

    Raises:
        FolioLabError: the worker was running no policy.
    """
    step = run.running
    if step is None or not step.key[2]:
        raise FolioLabError(
            f"the measuring process {what}; no policy was running", "run `foliolab doctor`, then try again"
        )
    way = "native" if step.native else "interpreted"
    where = f"policy {step.key[2]}, {way}, in {step.key[0]}"
    if killed:
        message = f"{where}, could not be measured: the measuring process {what}; use less --memory or fewer policies"
        run.fail(step.key[2], step.key, message, ExitCode.COMPARISON_FAILED)
    else:
        run.fail(step.key[2], step.key, f"{where}: its process {what}")
