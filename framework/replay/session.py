"""A trace under several policies, one after the other, into a result; what one policy breaks, the others survive."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import msgspec

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine.answers import describe
from foliolab.framework.engine.engine import Execution
from foliolab.framework.errors import ExitCode, FolioLabError, NothingMeasured
from foliolab.framework.replay.costs import measured_costs
from foliolab.framework.replay.player import Plan, Player
from foliolab.framework.replay.result import PAGE_BYTES, Costs, Recording, Replayed, ReplayResult, Spared
from foliolab.framework.replay.survey import Progress, Survey, survey
from foliolab.framework.results import provenance
from foliolab.framework.trace.events import KINDS
from foliolab.framework.trace.file import Trace

INTERRUPTED: Final = "interrupted"
NOT_RECORDED: Final = (
    "pins, other references (GUP, vmsplice, O_DIRECT) and swap are not in a trace: where they made the kernel copy, "
    "the policies may reuse"
)


@dataclass(frozen=True)
class ReplayRequest:
    """What to replay.

    Args:
        path: the trace.
        schemes: the policies.
        recorded: names of the policies that model the recorded kernel.
        memory: bytes that a policy's tables may take.
        samples: moments evenly in time, and at most as many around forks, execs and exits.
        costs: what a copy and a reuse cost; None: measured with the model, if it matters.
        plugins: plugin files, for that measurement.
        command: what repeats it.
        execution: native or interpreted.
        teardown: when MMs that exit are torn down: "exit" as soon as that begins, "gone" when it is certainly over;
            "auto" as the recorded kernel's outcomes fit better, where a policy that models it is among the schemes.
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


def is_precise(scheme: Scheme) -> bool:
    """Whether a policy may be what others are held against: it claims to be exact, and reuses."""
    return {"exact", "reuse"} <= scheme.capabilities


def replay(request: ReplayRequest, progress: Progress | None = None) -> ReplayResult:
    """Replay a trace under all policies.

    Args:
        request: what to do.
        progress: told of every block.

    Returns:
        the result; `complete` is False if it was interrupted.

    Raises:
        TraceFileError: the trace cannot be read.
        NothingMeasured: it has no events, or was interrupted before anything was replayed.
    """
    tell = progress or (lambda phase, done, total: None)
    started = provenance.now()
    trace = Trace(request.path)
    try:
        found = survey(trace, tell)
    except KeyboardInterrupt as stop:
        raise NothingMeasured("interrupted before anything was replayed") from stop
    if not found.events:
        why = trace.damaged or "nothing was recorded"
        raise NothingMeasured(f"{request.path} has no events: {why}", "record again")
    plan = Plan(trace, found, request.memory, request.samples, request.execution, tell)
    plan, known, remarks = _teardown(request, plan)
    done: list[Replayed] = []
    for scheme in request.schemes:
        done.append(known.get(scheme) or replay_one(plan, scheme, scheme.name in request.recorded))
        if done[-1].stopped == INTERRUPTED:
            break
    complete = done[-1].stopped != INTERRUPTED
    costs, spared = _spared(request, done, complete, tell)
    return ReplayResult(
        complete=complete,
        command=request.command,
        **provenance.origin(started),
        recording=_recording(trace, found),
        policies=done,
        teardown="gone" if plan.late else "exit",
        spared=spared,
        costs=costs,
        notes=[*remarks, *_notes(trace, done)],
    )


def _teardown(request: ReplayRequest, plan: Plan) -> tuple[Plan, dict[Scheme, Replayed], list[str]]:
    """The plan with the time of teardowns decided, what was replayed to decide, and what to say about it.

    A teardown takes place somewhere between EXIT and GONE; where a fork or a write of a relative falls in between,
    either may have been first, and who gets a slot, and for how long, depends on it.
    """
    late = replace(plan, late=True)
    if request.teardown != "auto":
        return (late if request.teardown == "gone" else plan), {}, []
    unsure = int(plan.survey.unsure.sum())
    models = [scheme for scheme in request.schemes if scheme.name in request.recorded]
    if not models or not (unsure or plan.survey.unsure_writes):
        return plan, {}, []
    early_one, late_one = replay_one(plan, models[0], True), replay_one(late, models[0], True)
    (early_as, early_of), (late_as, late_of) = (
        one.agreement(classes=("large", "small")) for one in (early_one, late_one)
    )
    fits = late_as * early_of > early_as * late_of and not late_one.stopped
    better, one = (late, late_one) if fits else (plan, early_one)
    when = "before" if better is plan else "after"
    remark = (
        f"{unsure:,} fork{'s' * (unsure != 1)} and {plan.survey.unsure_writes:,} write faults came during the teardown "
        f"of a relative; that it was over {when} them fits the kernel better: {models[0].name} has "
        f"{early_as:,} of {early_of:,} (over before) and {late_as:,} of {late_of:,} (over after) outcomes on "
        "known folios as the kernel's"
    )
    return better, {models[0]: one}, [remark]


def replay_one(plan: Plan, scheme: Scheme, recorded: bool = False) -> Replayed:
    """One policy; what goes wrong is part of the answer."""
    player: Player | None = None
    stopped, code = "", ExitCode.GOOD
    try:
        player = Player(plan, scheme)
        player.run()
    except KeyboardInterrupt:
        stopped = INTERRUPTED
        if player:
            player.account.finish()
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
        recorded=recorded,
        stopped=stopped,
        exit_code=int(code),
    )


def _recording(trace: Trace, found: Survey) -> Recording:
    names = {0: "unknown kind", **KINDS}
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
    """What a precise scheme would have spared each policy that replayed the whole trace."""
    precise = [
        (scheme, one)
        for scheme, one in zip(request.schemes, done, strict=False)
        if is_precise(scheme) and not one.stopped
    ]
    if not precise:
        return request.costs, []
    scheme, best = precise[0]
    others = [one for one in done if one is not best and not one.stopped]
    costs = request.costs
    if costs is None and complete and request.execution == "native" and any(_more(one, best) for one in others):
        costs = measured_costs(scheme.name, request.plugins, tell)
    return costs, [_spared_by(one, best, costs) for one in others]


def _copies(one: Replayed, small: bool) -> int:
    classes: Sequence[str] = ("small",) if small else ("large", "disturbed")
    return sum(one.count(of=of, policy="copied") for of in classes)


def _more(one: Replayed, best: Replayed) -> int:
    return _copies(one, False) - _copies(best, False)


def _spared_by(one: Replayed, best: Replayed, costs: Costs | None) -> Spared:
    large, small = _more(one, best), _copies(one, True) - _copies(best, True)
    copies = large + small
    return Spared(
        policy=one.policy,
        against=best.policy,
        large=large,
        small=small,
        bytes_copied=copies * PAGE_BYTES,
        frames_mean=one.frames_mean - best.frames_mean,
        frames_peak=one.frames_peak - best.frames_peak,
        ns=copies * (costs.copy_ns - costs.reuse_ns) if costs else None,
    )


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
