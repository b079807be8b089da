"""Every policy on every workload and number of MMs: the same events for all, compared with the exact owners."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from foliolab.framework.contract.policy import Scheme, exact_claim, exact_up_to
from foliolab.framework.contract.sharing_pattern import SharingPattern, Usage
from foliolab.framework.engine.engine import Execution
from foliolab.framework.errors import ExitCode, NothingMeasured, StoppedEarly
from foliolab.framework.precision.result import JudgedPolicy, PlayedWorkload, Point, PrecisionResult, RefutedClaim
from foliolab.framework.precision.stream import played
from foliolab.framework.replay.player import Plan, with_ids
from foliolab.framework.replay.result import Replayed
from foliolab.framework.replay.session import INTERRUPTED, replay_one
from foliolab.framework.replay.survey import Progress, survey
from foliolab.framework.results import provenance
from foliolab.framework.trace.events import EventSource
from foliolab.framework.trace.file import Trace

MEMORY: Final = 1 << 30

Partial = Callable[[Callable[[], PrecisionResult]], object]
"""Called after each policy on each workload, with a function that makes the incomplete result."""


@dataclass(frozen=True)
class PrecisionRequest:
    """What to measure.

    Args:
        traces: recorded traces, besides the patterns.
        mms: numbers of processes that live at a time.
        order: log2 of the pages of a folio of the patterns.
        folios: how many folios the memory of a process has.
        seed: of the patterns.
        memory: bytes that a policy's tables may take.
    """

    patterns: Sequence[SharingPattern]
    schemes: Sequence[Scheme]
    traces: Sequence[str] = ()
    mms: Sequence[int] = tuple(range(1, 17))
    order: int = 4
    folios: int = 64
    seed: int = 1
    memory: int = MEMORY
    execution: Execution = "native"
    command: str = ""


@dataclass
class _Session:
    request: PrecisionRequest
    tell: Progress
    partial: Partial
    traces: Sequence[Trace]
    started: str = field(default_factory=provenance.now)
    points: list[Point] = field(default_factory=list)
    failed: set[str] = field(default_factory=set)
    done: int = 0

    def play(self) -> bool:
        """Play everything; False if interrupted."""
        try:
            for name, mms, events in _workloads(self.request):
                if not self._on_all(name, mms, events):
                    return False
        except KeyboardInterrupt:
            return False
        return True

    def _on_all(self, name: str, mms: int, events: EventSource) -> bool:
        """All policies on some events; False if interrupted."""
        request = self.request
        found = survey(events, _quiet)
        if not found.events:
            return True
        plan = Plan(events, found, request.memory, 0, request.execution, _quiet)
        most = max([found.slots, *(number + 1 for number in request.mms)])
        runs = (len(request.patterns) * len(request.mms) + len(request.traces)) * len(request.schemes)
        for scheme in request.schemes:
            self.tell("precision", self.done, runs)
            self.done += 1
            if scheme.name in self.failed:
                continue
            replayed = replay_one(plan, with_ids(scheme, most))
            if replayed.stopped == INTERRUPTED:
                return False
            self.points.append(_point(scheme.name, name, mms or found.slots - 1, replayed))
            self.partial(lambda: self.result(False))
            if replayed.exit_code == ExitCode.PLUGIN_FAILED:
                self.failed.add(scheme.name)  # it would fail again in the same way
        return True

    def result(self, complete: bool) -> PrecisionResult:
        """The result of the points so far."""
        request = self.request
        policies = [_judged(scheme) for scheme in request.schemes]
        workloads = [
            PlayedWorkload(name=one.name, summary=one.summary, references=list(one.references))
            for one in request.patterns
        ]
        workloads += [
            PlayedWorkload(name=trace.path, summary=trace.header.command, recorded=True) for trace in self.traces
        ]
        return PrecisionResult(
            complete=complete,
            command=request.command,
            **provenance.origin(self.started),
            seed=request.seed,
            order=request.order,
            folios=request.folios,
            mms=list(request.mms),
            workloads=workloads,
            policies=policies,
            points=list(self.points),
            refuted=refuted(policies, self.points),
        )


def _quiet(phase: str, done: int, total: int) -> None:
    pass


def _workloads(request: PrecisionRequest) -> Iterator[tuple[str, int, EventSource]]:
    """(name, number of MMs, events) of each workload; 0 MMs for a trace, which has its own number."""
    for pattern in request.patterns:
        for mms in request.mms:
            usage = Usage(mms=mms, folios=request.folios, order=request.order)
            yield pattern.name, mms, played(pattern, usage, request.seed)
    for path in request.traces:
        yield path, 0, Trace(path)


def _point(policy: str, workload: str, mms: int, replayed: Replayed) -> Point:
    exclusive, *shared = replayed.owner_ns or [0]
    return Point(
        policy=policy,
        workload=workload,
        mms=mms,
        most_owners=replayed.most_owners,
        events=replayed.events,
        exclusive_ops=replayed.exclusive_ops,
        exclusive_time=exclusive,
        shared_ops=replayed.shared_ops,
        shared_time=sum(shared),
        false_shared=replayed.false_shared,
        unsafe=replayed.unsafe,
        stopped=replayed.stopped,
        exit_code=replayed.exit_code,
    )


def _judged(scheme: Scheme) -> JudgedPolicy:
    claims = scheme.capabilities
    return JudgedPolicy(
        name=scheme.name, safe="safe" in claims, exact="exact" in claims, exact_up_to=exact_up_to(claims)
    )


def refuted(policies: Sequence[JudgedPolicy], points: Sequence[Point]) -> list[RefutedClaim]:
    """The policies' claims that points refute."""
    judged = {policy.name: policy for policy in policies}
    found = []
    for point in points:
        policy = judged[point.policy]
        claim = ""
        if policy.exact:
            claim = "exact"
        elif policy.exact_up_to >= max(1, point.most_owners):
            claim = exact_claim(policy.exact_up_to)
        for name, wrong in (("safe" if policy.safe else claim, point.unsafe), (claim, point.false_shared)):
            if name and wrong.episodes:
                first, times = wrong.first, wrong.episodes
                found.append(
                    RefutedClaim(
                        policy=point.policy,
                        workload=point.workload,
                        mms=point.mms,
                        claim=name,
                        times=times,
                        first=first,
                    )
                )
    return found


def precision(
    request: PrecisionRequest, progress: Progress | None = None, partial: Partial | None = None
) -> PrecisionResult:
    """Play every workload with every number of MMs under every policy.

    Args:
        progress: called for each workload and number of MMs.
        partial: called after each policy on each of them.

    Returns:
        the result; `complete` is False if it was interrupted.

    Raises:
        PluginError: a sharing pattern fails.
        TraceFileError: a trace cannot be read.
        NothingMeasured: it was interrupted before the first event, or there are no events.
    """
    traces = [Trace(path) for path in request.traces]
    session = _Session(request, progress or _quiet, partial or (lambda make: None), traces)
    complete = session.play()
    if not session.points:
        if not complete:
            raise StoppedEarly("interrupted before anything was played")
        raise NothingMeasured("there are no events to play", "name another workload")
    return session.result(complete)


def exit_code(result: PrecisionResult) -> int:
    """What a result means for the exit status: whether a policy failed, or breaks a claim."""
    codes = [point.exit_code for point in result.points if point.stopped]
    if codes and not any(point.events for point in result.points):
        return int(ExitCode.NOTHING_MEASURED)
    if any(codes):
        return max(codes)
    return int(ExitCode.COMPARISON_FAILED if result.refuted else ExitCode.GOOD)
