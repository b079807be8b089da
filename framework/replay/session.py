"""A trace under several policies, one after the other, into a result; a policy that fails does not end the others."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import msgspec

from foliolab.framework.contract.policy import Scheme, exact_up_to
from foliolab.framework.engine.answers import describe
from foliolab.framework.engine.engine import Execution
from foliolab.framework.errors import BeyondDeclared, ExitCode, FolioLabError, NothingMeasured, StoppedEarly
from foliolab.framework.plugins.registry import Registry
from foliolab.framework.replay.costs import measured_costs
from foliolab.framework.replay.histories import SLOTS, Regrouped, predecessors
from foliolab.framework.replay.player import Plan, Player
from foliolab.framework.replay.result import (
    OF_KNOWN_HISTORY,
    YARDSTICK,
    Costs,
    Recording,
    Replayed,
    ReplayResult,
    Spared,
)
from foliolab.framework.replay.survey import Progress, Survey, survey
from foliolab.framework.results import provenance
from foliolab.framework.trace import events as ev
from foliolab.framework.trace.file import Trace

INTERRUPTED: Final = "interrupted"
NOT_RECORDED: Final = (
    "pins, other references (GUP, vmsplice, O_DIRECT) and swap are not in a trace: where they made the kernel copy, "
    "the policies may reuse"
)

Partial = Callable[[Callable[[], ReplayResult]], object]
"""Called after each policy, with a function that makes the incomplete result."""


@dataclass(frozen=True)
class ReplayRequest:
    """What to replay.

    Args:
        recorded: names of the policies that model the recorded kernel.
        memory: bytes that a policy's tables may take.
        samples: samples evenly in time, and at most as many after forks, execs and exits.
        costs: of a copy and of a reuse; None: measured with the model, if they matter.
        plugins: plugin files, for that measurement.
        teardown: when MMs are torn down: "exit" when the recorded teardown begins, "gone" when it is certainly over,
            "auto": whichever agrees better with the recorded outcomes, if a policy models the recorded kernel.
    """

    path: str
    schemes: Sequence[Scheme]
    recorded: frozenset[str] = frozenset()
    memory: int = 1 << 30
    samples: int = 100
    costs: Costs | None = None
    plugins: tuple[str, ...] = ()
    command: str = ""
    execution: Execution = "native"
    teardown: Literal["auto", "exit", "gone"] = "auto"


def is_yardstick(policy: str) -> bool:
    """Whether a policy, as a user writes it, is the one that others are compared with."""
    return policy.partition(":")[0] == YARDSTICK


def schemes_of(found: Registry, written: Sequence[str] | None) -> list[Scheme]:
    """The policies to replay under: those that are written, else those that model a kernel; and the yardstick.

    Raises:
        UsageError: there is no such policy.
    """
    if written:
        schemes = found.parse_policies(list(written))
    else:
        schemes = [policy.with_parameters() for policy in found.policies.values() if policy.models]
    if YARDSTICK in found.policies and not any(is_yardstick(scheme.name) for scheme in schemes):
        schemes.append(found.policy(YARDSTICK))
    return schemes


def replay(request: ReplayRequest, progress: Progress | None = None, partial: Partial | None = None) -> ReplayResult:
    """Replay a trace under all policies.

    Args:
        progress: called for each block.
        partial: called after each policy.

    Returns:
        the result; `complete` is False if it was interrupted.

    Raises:
        TraceFileError: the trace cannot be read.
        NothingMeasured: the trace has no events, or the replay was interrupted before the first one.
    """
    tell = progress or (lambda phase, done, total: None)
    started = provenance.now()
    trace = Trace(request.path)
    try:
        found = survey(trace, tell)
        if not found.events:
            why = trace.damaged or "nothing was recorded"
            raise NothingMeasured(f"{request.path} has no events: {why}", "record again")
        plan = Plan(trace, found, request.memory, request.samples, request.execution, tell)
        if found.kinds[ev.PRESENT]:
            plan = replace(plan, trace=Regrouped(trace, found.mms))
        plan, known, remarks = _teardown(request, plan)
        remarks += _slots_read(plan, request)
    except KeyboardInterrupt as stop:
        raise StoppedEarly("interrupted before anything was replayed") from stop

    def made(complete: bool) -> ReplayResult:
        costs, spared = _spared(request, done, complete, tell)
        return ReplayResult(
            complete=complete,
            command=request.command,
            **provenance.origin(started),
            recording=recording_of(trace, found),
            policies=list(done),
            forgetful=list(forgetful),
            teardown="gone" if plan.late else "exit",
            spared=spared,
            costs=costs,
            notes=[*remarks, *_notes(trace, done)],
        )

    done: list[Replayed] = []
    forgetful: list[Replayed] = []
    for scheme in request.schemes:
        recorded = scheme.name in request.recorded
        begun = _as_read(plan) if recorded else plan
        done.append(known.get(scheme) or replay_one(begun, scheme, recorded))
        if done[-1].stopped == INTERRUPTED:
            break
        if found.kinds[ev.PRESENT] and done[-1].whole and (first := predecessors(scheme)):
            forgetful.append(_whole(replay_one(replace(begun, predecessors=first), scheme, recorded)))
        if partial is not None:
            partial(lambda: made(False))
    return made(done[-1].stopped != INTERRUPTED)


def _as_read(plan: Plan) -> Plan:
    """The plan for a policy that models the recorded kernel: it begins with the slots that were read of folios."""
    source = plan.trace
    if not isinstance(source, Regrouped) or not source.read:
        return plan
    return replace(plan, trace=source.as_read(), slots=SLOTS)


def _slots_read(plan: Plan, request: ReplayRequest) -> list[str]:
    """What it means that slots were read, if they were."""
    source = plan.trace
    names = [scheme.name for scheme in request.schemes if scheme.name in request.recorded]
    if not isinstance(source, Regrouped) or not source.read or not names:
        return []
    some = f"{source.read:,} large folio{'s' * (source.read != 1)}"
    return [
        f"whom the kernel remembered of {some} when the trace began was read from its memory, and {', '.join(names)} "
        "begins with that"
    ]


def _teardown(request: ReplayRequest, plan: Plan) -> tuple[Plan, dict[Scheme, Replayed], list[str]]:
    """Decide when MMs are torn down: (the plan, the replays that were needed to decide, remarks).

    A teardown takes place at some time between EXIT and GONE. If a fork or a write of a relative falls in between,
    their order is unknown; and on that order depends which MM gets a slot of the policy, and for how long.
    """
    late = replace(plan, late=True)
    begun = _as_read(plan)
    if request.teardown != "auto":
        return (late if request.teardown == "gone" else plan), {}, []
    unsure = int(plan.survey.unsure.sum())
    models = [scheme for scheme in request.schemes if scheme.name in request.recorded]
    if not models or not (unsure or plan.survey.unsure_writes):
        return plan, {}, []
    at_exit, at_gone = (_whole(replay_one(one, models[0], True)) for one in (begun, replace(begun, late=True)))
    (exit_same, exit_of), (gone_same, gone_of) = (
        replayed.agreement(classes=(*OF_KNOWN_HISTORY, "small")) for replayed in (at_exit, at_gone)
    )
    fits = gone_same * exit_of > exit_same * gone_of and not at_gone.stopped
    better, replayed = (late, at_gone) if fits else (plan, at_exit)
    when = "before" if better is plan else "after"
    remark = (
        f"{unsure:,} fork{'s' * (unsure != 1)} and {plan.survey.unsure_writes:,} write faults came during the teardown "
        f"of a relative; a teardown {when} them fits the kernel better: {models[0].name} agrees with the kernel on "
        f"{exit_same:,} of {exit_of:,} outcomes (teardown before) and {gone_same:,} of {gone_of:,} (teardown after) "
        "on known folios"
    )
    return better, {models[0]: replayed}, [remark]


def _whole(replayed: Replayed) -> Replayed:
    if replayed.stopped == INTERRUPTED:
        raise KeyboardInterrupt
    return replayed


def replay_one(plan: Plan, scheme: Scheme, recorded: bool = False) -> Replayed:
    """Replay a trace under one policy; an error becomes part of the result."""
    player: Player | None = None
    stopped, code = "", ExitCode.GOOD
    try:
        player = Player(plan, scheme)
        player.run()
    except KeyboardInterrupt:
        stopped = INTERRUPTED
        if player:
            player.account.finish()
    except BeyondDeclared as fault:
        stopped = f"not for this policy: {fault.what}"
    except FolioLabError as fault:
        stopped, code = str(fault), fault.exit_code
    except MemoryError:
        stopped, code = "there is not enough memory for its tables", ExitCode.COMPARISON_FAILED
    except Exception as fault:  # whatever a policy's own code raises
        stopped, code = describe(fault), ExitCode.PLUGIN_FAILED
    found = player.account.replayed(player.scheme.name) if player else Replayed(policy=scheme.name)
    return msgspec.structs.replace(
        found,
        exact="exact" in scheme.capabilities,
        safe="safe" in scheme.capabilities,
        exact_up_to=exact_up_to(scheme.capabilities),
        recorded=recorded,
        stopped=stopped,
        exit_code=int(code),
    )


def recording_of(trace: Trace, found: Survey) -> Recording:
    """What a result says about the trace that was replayed."""
    names = {0: "unknown kind", **ev.KINDS}
    return Recording(
        path=os.path.basename(trace.path),
        header=trace.header,
        events=found.events,
        span=found.last - found.first,
        kinds={names[kind]: int(count) for kind, count in enumerate(found.kinds) if count},
        damaged=trace.damaged,
    )


def _spared(
    request: ReplayRequest, done: Sequence[Replayed], complete: bool, tell: Progress
) -> tuple[Costs | None, list[Spared]]:
    """What `YARDSTICK` would have saved, for each other policy that replayed the whole trace; and the costs."""
    best = next((one for one in done if is_yardstick(one.policy) and one.whole), None)
    if best is None:
        return request.costs, []
    others = [one for one in done if one is not best and one.whole]
    costs = request.costs
    wanted = costs is None and complete and request.execution == "native"
    if wanted and any(Spared.by(one, best, None).large for one in others):
        costs = measured_costs(best.policy, request.plugins, tell)
    return costs, [Spared.by(one, best, costs) for one in others]


def _notes(trace: Trace, done: Sequence[Replayed]) -> list[str]:
    notes = [NOT_RECORDED]
    if trace.header.lost:
        notes.append(f"{trace.header.lost:,} events were lost while recording")
    if trace.damaged:
        notes.append(f"the trace is damaged: {trace.damaged}")
    uncertain = max((sum(fault.uncertain for fault in one.faults) for one in done), default=0)
    if uncertain:
        notes.append(
            f"{uncertain:,} write faults are uncertain: they came while another process of the family was being torn "
            "down, or on a large folio that was forked or written to at such a time"
        )
    notes += [f"{one.policy} stopped after {one.events:,} events: {one.stopped}" for one in done if one.stopped]
    return notes


def exit_code(result: ReplayResult) -> int:
    """What a result means for the exit status: a policy that failed, or that is not safe although it claims to be."""
    codes = [one.exit_code for one in result.policies if one.stopped]
    if codes and len(codes) == len(result.policies) and not any(one.events for one in result.policies):
        return int(ExitCode.NOTHING_MEASURED)
    if any(codes):
        return max(codes)
    unsafe = any(one.safe and one.unsafe.episodes for one in result.policies)
    return int(ExitCode.COMPARISON_FAILED) if unsafe else int(ExitCode.GOOD)
