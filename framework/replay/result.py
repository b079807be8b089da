"""The result of `foliolab replay`, and its file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from foliolab.framework.document import Count, Finite, Number
from foliolab.framework.results.run_result import Figures, RunResult
from foliolab.framework.trace.header import Header

PAGE_BYTES: Final = 4096
OF_KNOWN_HISTORY: Final = ("large", "read")
"""Classes of large folios of which it is known whom the kernel remembers."""
OLDER: Final = ("earlier", "read")
"""Classes of large folios that are older than the trace."""
YARDSTICK: Final = "exact"
"""The policy that knows every owner and reuses by the kernel's rule: what others cost is what they cost beyond it."""


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Write faults of one class and outcome.

    Attributes:
        of: large or small folios; unknown: the trace does not say what was mapped there; disturbed: a large folio
            that the kernel itself migrated, split, collapsed or swapped before; earlier: a large folio that was mapped
            before the trace began, so that it is not known which MM came first; read: such a folio, if the MMs that the
            kernel remembered of it were read, and the policy models that kernel.
        kernel: what the kernel did: reused, copied, unknown.
        policy: what the policy did: reused, copied, unchanged (the MM could write already), new page (the kernel
            copied a page that the trace does not know), not mapped.
        certain: how many.
        uncertain: how many came while another process of the family was being torn down, or concern a large folio
            that was forked or written to at such a time.
    """

    of: str
    kernel: str
    policy: str
    certain: Count
    uncertain: Count


class ReplaySample(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The state of the machine at a time of the trace.

    Attributes:
        time: ns since the first event.
        mms: live MMs.
        frames: page frames in use.
        folios: large folios by the number of MMs that map them: element 0 counts those of one MM, element 63 those of
            64 MMs or more. Trailing zeros are left out.
        pages: the same in pages of these folios.
        false_folios, false_pages: mapped by one MM, and the policy says maybe shared.
        unsafe_folios: mapped by several MMs, and the policy says exclusive.
    """

    time: Count
    mms: Count
    frames: Count
    folios: list[Count]
    pages: list[Count]
    false_folios: Count
    false_pages: Count
    unsafe_folios: Count


class Ended(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How wrong answers ended.

    Attributes:
        event: the event that ended them; empty if they lasted until the end of the trace.
        how: gone: nothing maps the folio any more; owners: the answer became true (a second MM maps the folio, or only
            one is left); one page: only one page of it is still mapped; answer: the policy's answer changed; lasting:
            not ended.
        times: how often.
    """

    event: str
    how: str
    times: Count


class Wrong(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Wrong answers of a policy over the whole trace.

    Attributes:
        folio_ns: large folios × time.
        page_ns: pages of these folios × time.
        episodes: how often a folio entered this state and stayed in it for some time.
        longest: ns.
        peak: most folios at a time; 0 if not counted.
        peak_at: time of the peak, ns since the first event.
        first: time of the first case, ns since the first event; -1 if there is none, or if not counted.
        ops: operations on a large folio (one event on one folio) after which it was in this state.
        median, ninth: durations that half, and nine tenths, of the episodes do not exceed, ns; above 64 up to 2 % off.
        median_ops, ninth_ops, longest_ops: the same in operations on that folio.
        ends: how the episodes ended.
    """

    folio_ns: Count = 0
    page_ns: Count = 0
    episodes: Count = 0
    longest: Count = 0
    peak: Count = 0
    peak_at: Count = 0
    first: Number = -1
    ops: Count = 0
    median: Count = 0
    ninth: Count = 0
    median_ops: Count = 0
    ninth_ops: Count = 0
    longest_ops: Count = 0
    ends: list[Ended] = []

    @property
    def mean(self) -> float:
        return self.folio_ns / self.episodes if self.episodes else 0.0


class Replayed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One policy on the trace.

    Attributes:
        policy: as a user writes it, with the parameters that the replay chose.
        exact: whether it claims to answer exactly.
        safe: whether it claims never to call a folio exclusive that several MMs map.
        exact_up_to: it claims exact answers while at most so many MMs map a folio at a time; 0: no such claim.
        recorded: whether it models the recorded kernel.
        events: how many were replayed: all, unless `stopped` says otherwise.
        stopped: why the replay ended early; empty if it did not.
        exit_code: what that means for the exit status, `errors.ExitCode`.
        seconds: in the loop over the events.
        frames: page frames of the machine.
        frames_peak: page frames in use at most.
        owner_ns: large folios × time by the number of MMs that map them, as in `ReplaySample.folios`.
        owner_page_ns: the same, in pages.
        exclusive_ops, shared_ops: operations on a large folio after which one MM, or several, map it.
        most_owners: MMs that mapped the same large folio at a time, at most.
        false_shared: mapped by one MM, and the policy says maybe shared.
        unsafe: mapped by several MMs, and the policy says exclusive.
        faults: write faults by class and outcomes.
        sole_copies: write faults on a large folio that copied although no other MM mapped the folio, and the MM mapped
            more than one page of it.
        not_modelled: what was left out, in words, with counts.
        samples: in order of time.
    """

    policy: str
    exact: bool = False
    safe: bool = False
    exact_up_to: Count = 0
    recorded: bool = False
    events: Count = 0
    stopped: str = ""
    exit_code: Count = 0
    seconds: Finite = 0.0
    frames: Count = 0
    frames_peak: Count = 0
    owner_ns: list[Count] = []
    owner_page_ns: list[Count] = []
    exclusive_ops: Count = 0
    shared_ops: Count = 0
    most_owners: Count = 0
    false_shared: Wrong = Wrong()
    unsafe: Wrong = Wrong()
    faults: list[Fault] = []
    sole_copies: Count = 0
    not_modelled: dict[str, Count] = {}
    samples: list[ReplaySample] = []

    @property
    def whole(self) -> bool:
        """Whether the whole trace was replayed."""
        return bool(self.events) and not self.stopped

    @property
    def false_share(self) -> float:
        """The share of (large folios × time) for which the answer was falsely "maybe shared"."""
        total = sum(self.owner_ns)
        return self.false_shared.folio_ns / total if total else 0.0

    def count(self, of: str = "", kernel: str = "", policy: str = "", certain: bool | None = None) -> int:
        """Write faults of a class and outcome; empty: any."""
        return sum(
            (fault.certain if certain is not False else 0) + (fault.uncertain if certain is not True else 0)
            for fault in self.faults
            if of in ("", fault.of) and kernel in ("", fault.kernel) and policy in ("", fault.policy)
        )

    def agreement(self, certain: bool | None = None, classes: Sequence[str] = OF_KNOWN_HISTORY) -> tuple[int, int]:
        """(how many write faults had the kernel's outcome, how many have a recorded outcome).

        Args:
            certain: True or False selects the certain or the uncertain ones; None: all.
            classes: of `Fault.of`.
        """
        pairs = [(of, outcome) for of in classes for outcome in ("reused", "copied")]
        same = sum(self.count(of, outcome, outcome, certain) for of, outcome in pairs)
        return same, sum(self.count(of, outcome, certain=certain) for of, outcome in pairs)

    @property
    def frames_mean(self) -> float:
        """Page frames in use, on average over the time between samples."""
        pairs = list(zip(self.samples, self.samples[1:], strict=False))
        span = sum(after.time - before.time for before, after in pairs)
        if not span:
            return float(self.samples[-1].frames) if self.samples else 0.0
        return sum(before.frames * (after.time - before.time) for before, after in pairs) / span


class Costs(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The costs of a copy and of a reuse.

    Attributes:
        copy_ns, reuse_ns: per page.
        source: where the numbers come from, in words.
    """

    copy_ns: Finite
    reuse_ns: Finite
    source: str


class Spared(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a precise policy would have saved, compared with another policy.

    Attributes:
        policy: the other policy.
        against: the precise policy.
        large, small: additional copies of pages of large and of small folios; `large` includes disturbed ones.
        bytes_copied: by these copies, 4 KiB each.
        frames_mean: additional page frames in use, on average over time: copies, and large folios that stay allocated
            for the pages that are still mapped.
        frames_peak: the same for the peaks.
        ns: time of these copies, less the time of as many reuses; None if the costs are not known.
    """

    policy: str
    against: str
    large: Number
    small: Number
    bytes_copied: Number
    frames_mean: Finite
    frames_peak: Number
    ns: Finite | None

    @classmethod
    def by(cls, one: Replayed, best: Replayed, costs: Costs | None) -> Spared:
        """What `best` would have saved.

        Args:
            one, best: the other policy and the precise one, both replayed whole.
            costs: of a copy and of a reuse; None if they are not known.
        """
        large, small = (_copies(one, of) - _copies(best, of) for of in (("large", "disturbed"), ("small",)))
        copies = large + small
        return cls(
            policy=one.policy,
            against=best.policy,
            large=large,
            small=small,
            bytes_copied=copies * PAGE_BYTES,
            frames_mean=one.frames_mean - best.frames_mean,
            frames_peak=one.frames_peak - best.frames_peak,
            ns=copies * (costs.copy_ns - costs.reuse_ns) if costs else None,
        )


def _copies(one: Replayed, classes: Sequence[str]) -> int:
    return sum(one.count(of=of, policy="copied") for of in classes)


class Recording(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The trace that was replayed.

    Attributes:
        events: how many it has, up to the first damage.
        span: ns from the first to the last event.
        kinds: events by kind.
        damaged: what is wrong with the file; empty if nothing is.
    """

    path: str
    header: Header
    events: Count
    span: Count
    kinds: dict[str, Count]
    damaged: str = ""


class ReplayResult(RunResult, frozen=True, kw_only=True):
    """A trace under policies.

    Attributes:
        teardown: when the replay tore down MMs: when the recorded teardown began, or when it was certainly over.
        spared: for each policy that replayed as much as the precise one.
        costs: of copies and reuses; None if they are not known.
        notes: remarks for the reader, a sentence each.
        forgetful: where folios are older than the trace, the replays in which a policy remembers none of the MMs that
            map them; in `policies` it remembers those that map them longest (`replay.histories`).
    """

    WHAT = "replay's result"
    MADE_BY = "foliolab replay --json FILE"

    kind: Literal["replay-trace"] = "replay-trace"
    recording: Recording
    policies: list[Replayed]
    teardown: Literal["exit", "gone"] = "exit"
    spared: list[Spared] = msgspec.field(default_factory=list)
    costs: Costs | None = None
    notes: list[str] = msgspec.field(default_factory=list)
    forgetful: list[Replayed] = msgspec.field(default_factory=list)

    def sides(self, one: Replayed) -> list[Replayed]:
        """The replays of a policy between whose figures the truth is: one, or two where folios are older."""
        return [one, *(other for other in self.forgetful if other.policy == one.policy and other.whole)]

    def copies_of_older(self, one: Replayed) -> tuple[int, int]:
        """Copies of pages of large folios older than the trace that a policy makes, at least and at most."""
        counts = [sum(side.count(of, policy="copied") for of in OLDER) for side in self.sides(one)]
        return min(counts), max(counts)

    @property
    def yardstick(self) -> Replayed | None:
        """The replay under `YARDSTICK`, with whatever parameters; None if it did not replay the whole trace."""
        return next((one for one in self.policies if one.whole and one.policy.partition(":")[0] == YARDSTICK), None)

    @property
    def verb(self) -> str:
        return "replay"

    @property
    def lost(self) -> list[str]:
        return [f"{one.policy}: {one.stopped}" for one in self.policies if one.stopped and one.exit_code]

    @property
    def figures(self) -> Figures:
        """What each policy that replayed the whole trace gets wrong, and what that costs beyond the yardstick."""
        best = self.yardstick
        values: dict[tuple[str, ...], float] = {}
        for one in self.policies:
            if not one.whole or one is best:
                continue
            same, known = one.agreement(True)
            sides = self.sides(one)
            found = {
                "false shared, % of folios x time": 100 * max(side.false_share for side in sides),
                "longest false shared, ns": max(side.false_shared.longest for side in sides),
                "called exclusive though shared, times": one.unsafe.episodes,
                "certain outcomes unlike the kernel's": known - same,
            }
            if best is not None:
                beyond = Spared.by(one, best, None)
                found[f"copies beyond {YARDSTICK}"] = beyond.large + beyond.small
                found[f"frames at the peak beyond {YARDSTICK}"] = beyond.frames_peak
            values |= {(one.policy, name): value for name, value in found.items()}
        recording = self.recording
        of = (
            f"{recording.path} ({recording.events:,} events in {recording.span / 1e9:.3f} s, teardown: {self.teardown})"
        )
        return Figures(("policy", "figure"), "per replay", values, of)
