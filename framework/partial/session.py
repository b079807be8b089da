"""Recordings of one program under several detectors, into a result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from foliolab.framework.contract.detector import Detector
from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine.engine import Execution
from foliolab.framework.errors import NothingMeasured, StoppedEarly, UsageError
from foliolab.framework.partial.descent import Descent
from foliolab.framework.partial.design import Design, Stranded
from foliolab.framework.partial.result import Detected, Followed, PartialResult
from foliolab.framework.partial.tracker import Tracker
from foliolab.framework.replay.changes import collect
from foliolab.framework.replay.player import Plan, Player, TooSmall
from foliolab.framework.replay.session import recording_of
from foliolab.framework.replay.survey import Progress, Survey, survey
from foliolab.framework.results import provenance
from foliolab.framework.trace.file import Trace
from foliolab.framework.trace.header import Shows

POLICY: Final = "no-page-mapcount"
"""The policy whose counters the kernel has, unless the user names another."""
INTERVAL: Final = 1.0
"""Seconds between times of memory pressure, unless the user says otherwise."""
LOOKS: Final = 128
"""Folios at which a detector may look at a time of memory pressure: the batch of the kernel's shrinkers."""
MOST_PRESSURES: Final = 1_000_000
PART: Final = 4096
"""Events after which the changes are collected."""
CHANGES: Final = 1 << 16
"""Rows of the list of changes to begin with."""

MAPPED: Final = ("allocations", "faults", "ranges")
"""Kinds of events (`Shows`) without which a trace cannot tell which pages of which folios are mapped."""

Partial = Callable[[Callable[[], PartialResult]], object]
"""Called after each recording, with a function that makes the incomplete result."""


@dataclass(frozen=True)
class PartialRequest:
    """What to follow.

    Args:
        paths: traces of one program.
        scheme: the policy whose counters the kernel has.
        interval: seconds between times of memory pressure.
        looks: folios at which a detector may look at each of them; 0: all.
        memory: bytes that the tables may take.
        teardown: when an exiting MM unmaps: when the recorded teardown begins, or when it is certainly over.
    """

    paths: Sequence[str]
    scheme: Scheme
    detectors: Sequence[Detector]
    interval: float = INTERVAL
    looks: int = LOOKS
    memory: int = 1 << 30
    teardown: Literal["exit", "gone"] = "exit"
    command: str = ""
    execution: Execution = "native"


def follow(request: PartialRequest, progress: Progress | None = None, partial: Partial | None = None) -> PartialResult:
    """Follow the folios of every recording.

    Args:
        progress: called for each block.
        partial: called after each recording.

    Returns:
        the result; `complete` is False if it was interrupted after the first recording.

    Raises:
        TraceFileError: a trace cannot be read.
        NothingMeasured: a trace has no events.
        ModelError: a trace needs more memory than it may use.
        StoppedEarly: it was interrupted before the first recording was done.
    """
    started = provenance.now()
    done: list[Followed] = []

    def made(complete: bool) -> PartialResult:
        return PartialResult(
            complete=complete,
            command=request.command,
            **provenance.origin(started),
            policy=request.scheme.name,
            interval_ns=round(request.interval * 1e9),
            looks=request.looks,
            summaries={one.name: one.summary for one in request.detectors},
            runs=list(done),
        )

    tell = progress or (lambda phase, done, total: None)
    for path in request.paths:
        try:
            done.append(_followed(request, path, tell))
        except KeyboardInterrupt as stop:
            if not done:
                raise StoppedEarly("interrupted before anything was followed") from stop
            return made(False)
        if partial:
            partial(lambda: made(False))
    return made(True)


def _followed(request: PartialRequest, path: str, tell: Progress) -> Followed:
    trace = Trace(path)
    found = survey(trace, tell)
    if not found.events:
        raise NothingMeasured(f"{path} has no events: {trace.damaged or 'nothing was recorded'}", "record again")
    shows = trace.header.shows
    blind = any(getattr(shows, kind) is False for kind in MAPPED)
    span = found.last - found.first
    if not blind and span / (request.interval * 1e9) > MOST_PRESSURES:
        raise UsageError(
            f"memory would be short {span / (request.interval * 1e9):,.0f} times in {path}",
            f"choose an interval of at least {span / 1e9 / MOST_PRESSURES:.3g} s with --pressure",
        )
    recording, notes = recording_of(trace, found), _notes(trace, found)
    if blind:
        detected = [Detected(detector=one.name) for one in request.detectors]
        return Followed(recording=recording, teardown=request.teardown, detected=detected, notes=notes)
    tracker, left_out = _played(request, trace, found, tell)
    notes += [f"not modelled: {number:,} {what}" for what, number in left_out.items()]
    return Followed(
        recording=recording,
        teardown=request.teardown,
        detected=[_detected(design, shows) for design in tracker.designs],
        notes=notes,
        **_figures(Followed, tracker.seen, None if shows.times is False else tracker.stranded),
    )


def _played(request: PartialRequest, trace: Trace, found: Survey, tell: Progress) -> tuple[Tracker, dict[str, int]]:
    """Replay a trace, and let the detectors follow it; on a larger machine if the first is too small.

    Returns:
        what they have followed; and what the replay left out, in words, with counts.
    """
    late = request.teardown == "gone"
    plan = Plan(trace, found, request.memory, 0, request.execution, tell, late=late, changes=CHANGES)
    player = Player(plan, request.scheme)
    while True:
        designs = [Design(one, request.looks) for one in request.detectors]
        descent = Descent(late, found.gone)
        tracker = Tracker(designs, descent, round(request.interval * 1e9))
        try:
            _play(player, tracker)
            return tracker, player.account.replayed(player.scheme.name).not_modelled
        except TooSmall as small:
            player.grow(small.why)


def _play(player: Player, tracker: Tracker) -> None:
    state, chunk = player.start()
    done, found = 0, player.plan.survey
    for events in player.plan.trace.blocks():
        chunk.load(events, done)
        for begin in range(0, events.size, PART):
            end = min(begin + PART, events.size)
            player.play(state, begin, end)
            tracker.take(events.part(slice(begin, end)), found.first, begin, collect(state))
        player.account.drain()
        done += events.size
        player.plan.progress("follow", done, found.events)
    tracker.finish(found.last - found.first)


def _detected(design: Design, shows: Shows) -> Detected:
    """The figures of a detector; all of them depend on when memory is short, and so on the times of events."""
    if shows.times is False:
        return Detected(detector=design.detector.name)
    return Detected(detector=design.detector.name, **_figures(Detected, design.counts, design.stranded))


def _figures(kind: type[Detected] | type[Followed], counts: Counter[str], stranded: Stranded | None) -> dict[str, Any]:
    """The figures of a result that not every trace can tell: those that were counted, and what was stranded."""
    found = {one.name: counts[one.name] for one in msgspec.structs.fields(kind) if one.default is None}
    lasted, peak = (stranded.page_ns, stranded.peak) if stranded else (None, None)
    return {**found, **counts, "page_ns": lasted, "peak_pages": peak}


def _notes(trace: Trace, found: Survey) -> list[str]:
    notes = list(trace.header.shows.cannot_tell)
    if trace.header.lost:
        notes.append(f"{trace.header.lost:,} events were lost while recording")
    if trace.damaged:
        notes.append(f"the trace is damaged: {trace.damaged}")
    unsure = int(found.unsure.sum())
    if unsure:
        notes.append(
            f"{unsure:,} fork{'s' * (unsure != 1)} came while a relative was torn down, so that their order is not "
            "certain; --teardown gone shows the other one"
        )
    return notes
