"""The result of `foliolab precision`, and its file."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from foliolab.framework.document import Count, Number
from foliolab.framework.replay.result import Wrong
from foliolab.framework.results.run_result import Figures, RunResult

Measure = Literal["operations", "time"]


class PlayedWorkload(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A workload whose events all policies were shown.

    Attributes:
        name: of the sharing pattern, or the trace's path.
        summary: one line; of a trace the recorded command.
        references: its sources.
        recorded: whether it is a trace. Times of a trace are in ns; times of a pattern are in steps: an event takes one
            step, and the pattern decides how long pauses are.
    """

    name: str
    summary: str
    references: list[str] = []
    recorded: bool = False


class JudgedPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A policy and its claims.

    Attributes:
        name: as a user writes it.
        safe: it claims never to call a folio exclusive that several MMs map.
        exact: it claims to answer exactly.
        exact_up_to: it claims to answer exactly while at most so many MMs map a folio; 0: it does not claim that.
    """

    name: str
    safe: bool
    exact: bool
    exact_up_to: Count


class Point(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One policy on one workload with one number of MMs, compared with the exact number of owners.

    Times are folios × steps (or ns of a trace). An operation is one event on one large folio, counted by the folio's
    owners after it.

    Attributes:
        mms: the most processes at a time.
        most_owners: the most MMs that mapped a folio at a time.
        events: how many were played.
        exclusive_ops, exclusive_time: while one MM maps the folio.
        shared_ops, shared_time: while several MMs map the folio.
        false_shared: the part of the exclusive ones that the policy calls maybe shared.
        unsafe: the part of the shared ones that the policy calls exclusive.
        stopped: why the replay ended early; empty if it did not.
        exit_code: what that means for the exit status, `errors.ExitCode`.
    """

    policy: str
    workload: str
    mms: Count
    most_owners: Count = 0
    events: Count = 0
    exclusive_ops: Count = 0
    exclusive_time: Count = 0
    shared_ops: Count = 0
    shared_time: Count = 0
    false_shared: Wrong = Wrong()
    unsafe: Wrong = Wrong()
    stopped: str = ""
    exit_code: Count = 0

    def false(self, by: Measure) -> tuple[int, int]:
        """(exclusive ones that are called maybe shared, all exclusive ones)."""
        if by == "operations":
            return self.false_shared.ops, self.exclusive_ops
        return self.false_shared.folio_ns, self.exclusive_time

    def wrong(self, by: Measure) -> tuple[int, int]:
        """(shared ones that are called exclusive, all shared ones)."""
        if by == "operations":
            return self.unsafe.ops, self.shared_ops
        return self.unsafe.folio_ns, self.shared_time


class RefutedClaim(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A claim that a point refutes.

    Attributes:
        policy, workload, mms: the point.
        times: how often the answer contradicted it.
        first: the time of the first contradiction, steps or ns; -1 if it is not known.
    """

    policy: str
    workload: str
    mms: Count
    claim: str
    times: Count
    first: Number


class PrecisionResult(RunResult, frozen=True, kw_only=True):
    """Policies on workloads, for numbers of MMs.

    Attributes:
        order: log2 of the pages of the patterns' folios.
        folios: of the patterns.
        mms: the numbers of MMs of the patterns.
    """

    WHAT = "precision result"
    MADE_BY = "foliolab precision --json FILE"

    kind: Literal["precision"] = "precision"
    seed: Count
    order: Annotated[int, msgspec.Meta(ge=0, le=20)]
    folios: Count
    mms: list[Count]
    workloads: list[PlayedWorkload]
    policies: list[JudgedPolicy]
    points: list[Point]
    refuted: list[RefutedClaim] = msgspec.field(default_factory=list)

    @property
    def lost(self) -> list[str]:
        sentences = [] if self.complete else ["the run was interrupted"]
        played = {(point.workload, mms, point.policy) for point in self.points for mms in (point.mms, 0)}
        for point in self.points:
            if point.stopped and point.exit_code:
                sentences.append(f"{point.workload}, {point.mms} MMs, {point.policy}: {point.stopped}")
        for workload in self.workloads:
            for mms in [0] if workload.recorded else self.mms:  # a trace has the MMs that it has
                for policy in self.policies:
                    if (workload.name, mms, policy.name) not in played:
                        sentences.append(f"{workload.name}, {mms} MMs, {policy.name}: the run did not get to it")
        return sentences

    @property
    def figures(self) -> Figures:
        """The share of the time that each policy calls exclusive folios shared."""
        values: dict[tuple[str, ...], float] = {}
        for point in self.points:
            part, whole = point.false("time")
            if whole:
                values[point.workload, str(point.mms), point.policy] = 100 * part / whole
        return Figures(("workload", "MMs", "policy"), "% of the time false shared", values)
