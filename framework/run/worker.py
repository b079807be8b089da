"""The worker: the process in which policies run.

It reports each step before it begins, so that its parent knows which policy a crash or a hang belongs to. It keeps no
results: the parent has all of them.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from typing import Final

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine.answers import describe
from foliolab.framework.errors import BeyondDeclared, FolioLabError
from foliolab.framework.isolation.blame import time_limit
from foliolab.framework.plugins.registry import load
from foliolab.framework.run.bench import Bench, Ready, run_once
from foliolab.framework.run.cases import Case, plan, unfit
from foliolab.framework.run.count import count
from foliolab.framework.run.request import MOST_ROUNDS, RunRequest

Key = tuple[str, int, str]


@dataclass(frozen=True)
class Phase:
    """A new phase of the run with a number of steps."""

    name: str
    steps: int


@dataclass(frozen=True)
class Step:
    """The next step: a workload, an order, a policy.

    Attributes:
        native: whether native code runs, whose faults cannot be caught.
        extra: whether the step is a round beyond those of the request, which progress does not count.
    """

    key: Key
    native: bool
    extra: bool = False


@dataclass(frozen=True)
class Counted:
    """The counted metrics of a cell."""

    key: Key
    metrics: dict[str, float]


@dataclass(frozen=True)
class Sample:
    """One timed round of a cell, in nanoseconds per page."""

    key: Key
    round: int
    value: float
    flagged: bool


@dataclass(frozen=True)
class Failed:
    """A policy failed, and is out of the run."""

    policy: str
    key: Key | None
    message: str


@dataclass(frozen=True)
class Skipped:
    """The workload is not for the policy."""

    key: Key
    reason: str


@dataclass
class Worker:
    """Runs the phases of a request.

    Args:
        pipe: for the reports.
        out: policies that have failed.
        done: cases (workload, order) that are measured already.
    """

    request: RunRequest
    pipe: Connection
    out: set[str]
    done: set[tuple[str, int]]
    schemes: dict[str, Scheme] = field(default_factory=dict)
    skipped: set[Key] = field(default_factory=set)

    def run(self) -> None:
        registry = load(self.request.plugins)
        for name in self.request.policies:
            if name not in self.out:
                self.schemes[name] = registry.policy(name)
        cases = [case for case in plan(registry, self.request) if case.key not in self.done]
        if self.request.execution == "native":
            self._count_and_build(cases)
        else:
            self._count(cases)
        if self.request.cpu:
            self._count_executed(cases)
        self._measure(cases)

    def _count_and_build(self, cases: list[Case]) -> None:
        """Count, while another process begins to compile; then compile what is left."""
        from foliolab.framework.run.build import ahead

        compiler = ahead(list(self.schemes.values()), self.request.plugins)
        try:
            self._count(cases)
            self._build()
        finally:
            if compiler is not None:
                compiler.end()

    def _live(self) -> list[str]:
        return [name for name in self.schemes if name not in self.out]

    def _fail(self, policy: str, key: Key | None, fault: BaseException) -> None:
        self.out.add(policy)
        self.pipe.send(Failed(policy, key, describe(fault)))

    def _count(self, cases: list[Case]) -> None:
        self.pipe.send(Phase("counting", len(cases) * len(self._live())))
        for case in cases:
            for name in self._live():
                key = (*case.key, name)
                self.pipe.send(Step(key, native=False))
                if why := unfit(case.workload, self.schemes[name], case.setting.order):
                    self._skip(key, why)
                    continue
                try:
                    self.pipe.send(Counted(key, count(case, self.schemes[name], self.request.patience)))
                except BeyondDeclared as fault:
                    self._skip(key, fault.what)
                except Exception as fault:
                    self._fail(name, key, fault)

    def _skip(self, key: Key, why: str) -> None:
        self.skipped.add(key)
        self.pipe.send(Skipped(key, why))

    def _build(self) -> None:
        """Compile what is missing. A policy that cannot be compiled is out; the others continue."""
        self.pipe.send(Phase("compiling", 0))
        try:
            self._compile(self._live())
        except FolioLabError:
            for name in self._live():
                try:
                    self._compile([name])
                except FolioLabError as fault:
                    self._fail(name, None, fault)

    def _compile(self, names: list[str]) -> None:
        from foliolab.framework.run.build import build

        for done, total in build([self.schemes[name] for name in names]):
            if done == 0:
                self.pipe.send(Phase("compiling", total))
            self.pipe.send(Step(("compiling", done, ""), native=False))

    def _count_executed(self, cases: list[Case]) -> None:
        """Count the instructions of what the other phases have counted and compiled."""
        from foliolab.framework.run.executed import applies, count_executed

        counted = [case for case in cases if applies(case)]
        self.pipe.send(Phase("counting instructions", len(counted) * len(self._live())))
        for case in counted:
            for name in self._live():
                key = (*case.key, name)
                self.pipe.send(Step(key, native=True))
                if key in self.skipped:
                    continue
                again = partial(self.pipe.send, Step(key, native=True, extra=True))
                try:
                    self.pipe.send(Counted(key, count_executed(case, self.schemes[name], again)))
                except Exception as fault:
                    self._fail(name, key, fault)

    def _measure(self, cases: list[Case]) -> None:
        bench = Bench(self.request.execution)
        self.pipe.send(Phase("measuring", len(cases) * (self.request.repeats + 2) * len(self._live())))
        for case in cases:
            if case.workload.threads == 1:
                _pin()
            else:
                _unpin()
            self._measure_case(bench, case)

    def _measure_case(self, bench: Bench, case: Case) -> None:
        ready: dict[str, Ready] = {}
        for name in self._live():
            key = (*case.key, name)
            if key in self.skipped:
                continue
            self.pipe.send(Step(key, native=self.request.execution == "native"))
            try:
                with time_limit(self.request.patience, f"preparing {case.workload.name} for policy {name}"):
                    ready[name] = bench.prepare(case, self.schemes[name])
            except Exception as fault:
                self._fail(name, key, fault)
        for name in list(ready):
            self._round(ready, case, name, -1)  # a warm-up, which is not kept
        start = time.monotonic()
        for turn in range(MOST_ROUNDS * self.request.repeats):
            if turn >= self.request.repeats and time.monotonic() - start > self.request.spare:
                break
            # ABBA: a drift over time affects all policies alike
            for name in list(ready)[:: 1 if turn % 2 == 0 else -1]:
                self._round(ready, case, name, turn)

    def _round(self, ready: dict[str, Ready], case: Case, name: str, turn: int) -> None:
        key = (*case.key, name)
        self.pipe.send(Step(key, native=self.request.execution == "native", extra=turn >= self.request.repeats))
        before = _yields(self.request)
        try:
            elapsed = run_once(ready[name])
        except Exception as fault:
            del ready[name]
            self._fail(name, key, fault)
            return
        if turn >= 0:
            value = elapsed / case.workload.pages(case.setting)
            self.pipe.send(Sample(key, turn, value, _yields(self.request) != before))


def _yields(request: RunRequest) -> int:
    if request.execution != "native":
        return 0
    from foliolab.framework.machine.native import yields

    return yields()


def _pin() -> None:
    """Stay on the last CPU; the parent, which draws the progress, can use the others."""
    with contextlib.suppress(AttributeError, OSError):
        os.sched_setaffinity(0, {max(_ALL)})


def _unpin() -> None:
    with contextlib.suppress(AttributeError, OSError):
        os.sched_setaffinity(0, _ALL)


_ALL: Final = set(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else {0}


def work(pipe: Connection, request: RunRequest, out: set[str], done: set[tuple[str, int]]) -> None:
    """Run a request; the entry of the worker process.

    Raises:
        FolioLabError: the request cannot be run.
    """
    try:
        Worker(request, pipe, out, done).run()
    except MemoryError as fault:
        raise FolioLabError("the run needs more memory than there is", "use less --memory or fewer policies") from fault
