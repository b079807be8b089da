"""The result of `foliolab consequences`, and its file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from foliolab.framework import intake
from foliolab.framework.document import Count, Finite
from foliolab.framework.errors import UsageError
from foliolab.framework.results.run_result import Figures, RunResult


def _sum(whole: msgspec.Struct, part: msgspec.Struct, *names: str) -> None:
    for name in names:
        setattr(whole, name, getattr(whole, name) + getattr(part, name))


class AskedBy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An asker as it was (see `contract.asker.Asker`), so that a report needs no plugin.

    Attributes:
        exclusive: what the kernel does if the folio is exclusive.
        shared: what it does if several MMs may map it.
        safe: whether acting on a shared folio breaks the policy's claim `safe`.
    """

    name: str
    who: str
    when: str
    exclusive: str
    shared: str
    source: str
    safe: bool


class Decided(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How a decision fell by a policy's answers, over all moments.

    Attributes:
        asked: how often it was taken.
        held_back: how often the kernel did not act although the folio is exclusive by the page tables.
        risked: how often the kernel acted although the folio is shared by the page tables.
        first_held_back, first_risked: the first such case; empty if there was none.
        failed: why the asker failed, after which it was not asked; empty if it did not.
    """

    name: str
    asked: Count = 0
    held_back: Count = 0
    risked: Count = 0
    first_held_back: str = ""
    first_risked: str = ""
    failed: str = ""

    def add(self, other: Decided) -> None:
        _sum(self, other, "asked", "held_back", "risked")
        self.first_held_back = self.first_held_back or other.first_held_back
        self.first_risked = self.first_risked or other.first_risked
        self.failed = self.failed or other.failed


class Figured(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How far a figure was from the truth, over all moments.

    Attributes:
        values: how many were compared.
        high, low: how many were too high, too low.
        sum: sum of the absolute errors, in the figure's unit.
        relative: how many have a true value above 0, to divide by.
        relative_sum: sum of the absolute errors of these, divided by the true value.
        largest: the largest absolute error.
        given, right: the value shown in that case, and the true value.
        at: that case; empty if nothing differs.
        largest_relative: the largest absolute error divided by the true value.
    """

    name: str
    values: Count = 0
    high: Count = 0
    low: Count = 0
    sum: Finite = 0.0
    relative: Count = 0
    relative_sum: Finite = 0.0
    largest: Finite = 0.0
    given: Finite = 0.0
    right: Finite = 0.0
    at: str = ""
    largest_relative: Finite = 0.0

    @property
    def mean(self) -> float:
        """The mean absolute error."""
        return self.sum / self.values if self.values else 0.0

    @property
    def mean_relative(self) -> float:
        """The mean relative error, where the true value is above 0."""
        return self.relative_sum / self.relative if self.relative else 0.0

    def add(self, other: Figured) -> None:
        _sum(self, other, "values", "high", "low", "sum", "relative", "relative_sum")
        self.largest_relative = max(self.largest_relative, other.largest_relative)
        if other.largest > self.largest:
            for name in ("largest", "given", "right", "at"):
                setattr(self, name, getattr(other, name))


class PartlyMapped(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Partially mapped large anonymous folios, and the deferred split queue.

    Attributes:
        folios: how many became partially mapped.
        late: how many were queued, but not at once.
        late_moments: moments that passed until these were queued, summed over all of them.
        late_longest: the most moments of one folio.
        missed: how many were never queued: freed, mapped whole again, or still mapped at the end.
        needless: how many folios were queued while all their pages were mapped.
        pages: unmapped pages of folios that were not queued, at the moment with most of them.
        at: that moment.
        first: the moment at which the first folio that was late or missed became partially mapped; empty if none.
    """

    folios: Count = 0
    late: Count = 0
    late_moments: Count = 0
    late_longest: Count = 0
    missed: Count = 0
    needless: Count = 0
    pages: Count = 0
    at: str = ""
    first: str = ""

    def add(self, other: PartlyMapped) -> None:
        _sum(self, other, "folios", "late", "late_moments", "missed", "needless")
        self.late_longest = max(self.late_longest, other.late_longest)
        self.first = self.first or other.first
        if other.pages > self.pages:
            self.pages, self.at = other.pages, other.at


class PolicyOutcome(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One policy on one source, or on all.

    Attributes:
        policy: as a user would write it.
        safe: whether it claims never to call a folio exclusive that several MMs map.
        stopped: why it ended early or could not start; empty otherwise.
        exit_code: what that means for the exit status, `errors.ExitCode`.
        moments: how many were looked at.
        decisions, figures: in the order of the result's askers and of `figures.FIGURES`.
        partial: the deferred split queue.
    """

    policy: str
    safe: bool = False
    stopped: str = ""
    exit_code: Count = 0
    moments: Count = 0
    decisions: list[Decided]
    figures: list[Figured]
    partial: PartlyMapped

    def add(self, other: PolicyOutcome) -> None:
        self.moments += other.moments
        for decided, more in zip(self.decisions, other.decisions, strict=True):
            decided.add(more)
        for figured, further in zip(self.figures, other.figures, strict=True):
            figured.add(further)
        self.partial.add(other.partial)
        self.stopped = self.stopped or other.stopped
        self.exit_code = max(self.exit_code, other.exit_code)


class SourceResult(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All policies on one source of moments: a pattern, a workload, a scenario, or many scenarios as one.

    Attributes:
        name: as the user writes it.
        size: of the folios in KiB, if one was chosen; 0: the source's own.
    """

    name: str
    summary: str
    size: Count = 0
    outcomes: list[PolicyOutcome]


class ConsequencesResult(RunResult, frozen=True, kw_only=True):
    """Policies on sources of moments.

    Attributes:
        mms: processes of a sharing pattern at a time; 0: the number that each source has.
        askers: in the order of the outcomes' decisions.
        sources: in the order asked for; `courses` in the file.
    """

    WHAT = "consequences file"
    MADE_BY = "foliolab consequences --json FILE"

    kind: Literal["consequences"] = "consequences"
    seed: Count
    mms: Count
    askers: list[AskedBy] = msgspec.field(default_factory=list)
    sources: list[SourceResult] = msgspec.field(name="courses")

    def check(self) -> None:
        """Refuse outcomes that cannot be added up: reports have a row for each asker, and for each figure of
        this FolioLab.

        Raises:
            UsageError: names the policy.
        """
        from foliolab.framework.consequences.figures import FIGURES

        known = [one.name for one in self.askers], [one.name for one in FIGURES]
        for source in self.sources:
            policies = [outcome.policy for outcome in source.outcomes]
            if len(set(policies)) < len(policies):
                raise UsageError(f"{intake.excerpt(source.name)} has a policy twice", "run it again")
            for one in source.outcomes:
                if ([decided.name for decided in one.decisions], [figured.name for figured in one.figures]) != known:
                    raise UsageError(
                        f"{intake.excerpt(one.policy)} has not the file's askers, or not the figures of this FolioLab",
                        "run it again",
                    )

    @property
    def lost(self) -> list[str]:
        sentences = [] if self.complete else ["the run was interrupted"]
        policies = dict.fromkeys(outcome.policy for source in self.sources for outcome in source.outcomes)
        for source in self.sources:
            found = {outcome.policy: outcome for outcome in source.outcomes}
            for policy in policies:
                if policy not in found:
                    sentences.append(f"{source.name}, {policy}: the run did not get to it")
                elif found[policy].exit_code:
                    sentences.append(f"{source.name}, {policy}: {found[policy].stopped}")
        return sentences + [f"the asker {name} failed: {why}" for name, why in self.failed.items()]

    @property
    def failed(self) -> dict[str, str]:
        """Why each asker that failed did so first."""
        found: dict[str, str] = {}
        for outcome in (outcome for source in self.sources for outcome in source.outcomes):
            for one in outcome.decisions:
                if one.failed:
                    found.setdefault(one.name, one.failed)
        return found

    @property
    def figures(self) -> Figures:
        """The mean error of each figure that a policy's answers lead to."""
        values: dict[tuple[str, ...], float] = {
            (source.name, figure.name, outcome.policy): 100 * figure.mean_relative
            for source in self.sources
            for outcome in source.outcomes
            for figure in outcome.figures
            if figure.values
        }
        return Figures(("source", "figure", "policy"), "mean error in %", values)


def total(outcomes: Sequence[PolicyOutcome]) -> PolicyOutcome:
    """The sum of a policy's outcomes on several sources, at least one."""
    first = outcomes[0]
    whole = PolicyOutcome(
        policy=first.policy,
        safe=first.safe,
        decisions=[Decided(name=one.name) for one in first.decisions],
        figures=[Figured(name=one.name) for one in first.figures],
        partial=PartlyMapped(),
    )
    for outcome in outcomes:
        whole.add(outcome)
    return whole


def totals(sources: Iterable[SourceResult]) -> list[PolicyOutcome]:
    """Each policy's sum over all sources, in the order of the first one."""
    by_policy: dict[str, list[PolicyOutcome]] = {}
    for source in sources:
        for outcome in source.outcomes:
            by_policy.setdefault(outcome.policy, []).append(outcome)
    return [total(outcomes) for outcomes in by_policy.values()]
