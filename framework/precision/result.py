"""The result of `foliolab precision`, and its file."""

from __future__ import annotations

from typing import Literal

import msgspec

from foliolab.framework.replay.result import Wrong
from foliolab.framework.results.run_result import Figures, RunResult

Measure = Literal["operations", "time"]


class PlayedWorkload(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the policies were shown.

    Attributes:
        name: of the sharing pattern, or the trace's path.
        summary: one line; of a trace the recorded command.
        references: where it comes from.
        recorded: whether it is a trace; its times are ns then, else steps: an event takes one, and pauses last as long
            as the pattern says.
    """

    name: str
    summary: str
    references: list[str] = []
    recorded: bool = False


class JudgedPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A policy, and what it claims about its answers.

    Attributes:
        name: as a user would write it.
        safe: never to call a folio exclusive that several MMs map.
        exact: to answer exactly.
        exact_up_to: to answer exactly while at most so many MMs map a folio at a time; 0: it does not say so.
    """

    name: str
    safe: bool
    exact: bool
    exact_up_to: int


class Point(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One policy on one workload with one number of MMs, against the exact count of owners.

    Times are folios × steps (or ns of a trace); an operation is one event on one large folio, counted by what is true
    after it.

    Attributes:
        policy, workload: their names.
        mms: processes that live at a time, at most.
        most_owners: MMs that mapped the same folio at a time, at most.
        events: how many were played.
        exclusive_ops, exclusive_time: with one MM that maps the folio.
        shared_ops, shared_time: with several.
        false_shared: out of the exclusive ones those that the policy calls maybe shared.
        unsafe: out of the shared ones those that it calls exclusive.
        stopped: why the replay ended early; empty if it did not.
        exit_code: what that means for the exit status, `errors.ExitCode`.
    """

    policy: str
    workload: str
    mms: int
    most_owners: int = 0
    events: int = 0
    exclusive_ops: int = 0
    exclusive_time: int = 0
    shared_ops: int = 0
    shared_time: int = 0
    false_shared: Wrong = Wrong()
    unsafe: Wrong = Wrong()
    stopped: str = ""
    exit_code: int = 0

    def false(self, by: Measure) -> tuple[int, int]:
        """What is called shared of what is exclusive, as (part, whole)."""
        if by == "operations":
            return self.false_shared.ops, self.exclusive_ops
        return self.false_shared.folio_ns, self.exclusive_time

    def wrong(self, by: Measure) -> tuple[int, int]:
        """What is called exclusive of what is shared, as (part, whole)."""
        if by == "operations":
            return self.unsafe.ops, self.shared_ops
        return self.unsafe.folio_ns, self.shared_time


class RefutedClaim(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A claim that a point refutes.

    Attributes:
        policy, workload, mms: the point.
        claim: what was claimed.
        times: how often the answer was otherwise.
        first: when it first was, steps or ns; -1 where that was not looked for.
    """

    policy: str
    workload: str
    mms: int
    claim: str
    times: int
    first: int


class PrecisionResult(RunResult, frozen=True, kw_only=True):
    """Policies on workloads, for numbers of MMs.

    Attributes:
        seed: of the patterns.
        order: log2 of the pages of the patterns' folios.
        folios: of the patterns.
        mms: the numbers of MMs of the patterns.
        workloads: what was played.
        policies: whose answers were looked at.
        points: what was found.
        refuted: claims that do not hold.
    """

    WHAT = "precision result"
    MADE_BY = "foliolab precision --json FILE"

    kind: Literal["precision"] = "precision"
    seed: int
    order: int
    folios: int
    mms: list[int]
    workloads: list[PlayedWorkload]
    policies: list[JudgedPolicy]
    points: list[Point]
    refuted: list[RefutedClaim] = msgspec.field(default_factory=list)

    @property
    def figures(self) -> Figures:
        """The share of the time that each policy calls exclusive folios shared."""
        values: dict[tuple[str, ...], float] = {}
        for point in self.points:
            part, whole = point.false("time")
            if whole:
                values[point.workload, str(point.mms), point.policy] = 100 * part / whole
        return Figures(("workload", "MMs", "policy"), "% of the time false shared", values)
