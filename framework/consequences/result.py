"""What followed from the policies' answers, and its file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from foliolab.framework.results.run_result import Figures, RunResult


class Decided(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How an asker decided by a policy's answers, over all moments.

    Attributes:
        name: of the asker.
        asked: questions.
        held_back: not done although exclusive by the page tables.
        risked: done although shared by the page tables.
        first_held_back, first_risked: where it first happened; empty where it did not.
    """

    name: str
    asked: int = 0
    held_back: int = 0
    risked: int = 0
    first_held_back: str = ""
    first_risked: str = ""

    def add(self, other: Decided) -> None:
        """Take in what was found elsewhere."""
        self.asked += other.asked
        self.held_back += other.held_back
        self.risked += other.risked
        self.first_held_back = self.first_held_back or other.first_held_back
        self.first_risked = self.first_risked or other.first_risked


class Figured(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How far a figure was from the truth, over all moments.

    Attributes:
        name: of the figure.
        values: how many were compared.
        high, low: how many were too high, too low.
        sum: of absolute errors, in the figure's unit.
        relative: how many had a truth above 0 to divide by.
        relative_sum: of these ones' absolute errors divided by the truth.
        largest: the largest absolute error.
        given, right: what was shown there, and what is true.
        at: where that was; empty where nothing differs.
        largest_relative: the largest absolute error divided by the truth.
    """

    name: str
    values: int = 0
    high: int = 0
    low: int = 0
    sum: float = 0.0
    relative: int = 0
    relative_sum: float = 0.0
    largest: float = 0.0
    given: float = 0.0
    right: float = 0.0
    at: str = ""
    largest_relative: float = 0.0

    @property
    def mean(self) -> float:
        """The mean absolute error."""
        return self.sum / self.values if self.values else 0.0

    @property
    def mean_relative(self) -> float:
        """The mean relative error, where the truth is above 0."""
        return self.relative_sum / self.relative if self.relative else 0.0

    def add(self, other: Figured) -> None:
        """Take in what was found elsewhere."""
        for name in ("values", "high", "low", "sum", "relative", "relative_sum"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.largest_relative = max(self.largest_relative, other.largest_relative)
        if other.largest > self.largest:
            for name in ("largest", "given", "right", "at"):
                setattr(self, name, getattr(other, name))


class PartlyMapped(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Large anonymous folios of which some pages were no longer mapped, and the deferred split queue.

    Attributes:
        folios: that came into this state.
        late: found, and queued, but not at once.
        late_moments: moments that passed until then, together.
        late_longest: most moments of one.
        missed: never found: freed, mapped whole again, or still there at the end.
        needless: folios queued while all their pages were mapped.
        pages: unmapped pages of folios that were not found, at the moment with most of them.
        at: that moment.
        first: the first moment of a folio that was found late or missed; empty where there is none.
    """

    folios: int = 0
    late: int = 0
    late_moments: int = 0
    late_longest: int = 0
    missed: int = 0
    needless: int = 0
    pages: int = 0
    at: str = ""
    first: str = ""

    def add(self, other: PartlyMapped) -> None:
        """Take in what was found elsewhere."""
        for name in ("folios", "late", "late_moments", "missed", "needless"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.late_longest = max(self.late_longest, other.late_longest)
        self.first = self.first or other.first
        if other.pages > self.pages:
            self.pages, self.at = other.pages, other.at


class Outcome(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One policy in one course, or in all.

    Attributes:
        policy: as a user would write it.
        safe: whether it claims never to call a folio exclusive that several MMs map.
        stopped: why it ended early, or could not be; empty if it did not.
        exit_code: what that means for the exit status, `errors.ExitCode`.
        moments: at which all askers asked.
        decisions, figures: by asker, in the order of `decisions.DECISIONS` and `figures.FIGURES`.
        partial: the deferred split queue.
    """

    policy: str
    safe: bool = False
    stopped: str = ""
    exit_code: int = 0
    moments: int = 0
    decisions: list[Decided]
    figures: list[Figured]
    partial: PartlyMapped

    def add(self, other: Outcome) -> None:
        """Take in another course."""
        self.moments += other.moments
        for mine, its in zip(self.decisions, other.decisions, strict=True):
            mine.add(its)
        for figure, more in zip(self.figures, other.figures, strict=True):
            figure.add(more)
        self.partial.add(other.partial)
        self.stopped = self.stopped or other.stopped
        self.exit_code = max(self.exit_code, other.exit_code)


class Course(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A workload, a scenario, or many of them as one.

    Attributes:
        name: as the user writes it.
        summary: one line.
        size: of the folios, where one was chosen: KiB; 0: the course's own.
        outcomes: one for each policy.
    """

    name: str
    summary: str
    size: int = 0
    outcomes: list[Outcome]


class ConsequencesResult(RunResult, frozen=True, kw_only=True):
    """The whole result.

    Attributes:
        seed: of whatever is random.
        mms: MMs of the models of servers; 0: their own numbers.
        courses: in the order asked for.
    """

    WHAT = "consequences file"
    MADE_BY = "foliolab consequences --json FILE"

    kind: Literal["consequences"] = "consequences"
    seed: int
    mms: int
    courses: list[Course]

    @property
    def figures(self) -> Figures:
        """The mean error of each figure that a policy's answers lead to."""
        values: dict[tuple[str, ...], float] = {
            (course.name, figure.name, outcome.policy): 100 * figure.mean_relative
            for course in self.courses
            for outcome in course.outcomes
            for figure in outcome.figures
            if figure.values
        }
        return Figures(("course", "figure", "policy"), "mean error in %", values)


def total(outcomes: Sequence[Outcome]) -> Outcome:
    """Several courses of one policy as one; at least one of them."""
    first = outcomes[0]
    whole = Outcome(
        policy=first.policy,
        safe=first.safe,
        decisions=[Decided(name=one.name) for one in first.decisions],
        figures=[Figured(name=one.name) for one in first.figures],
        partial=PartlyMapped(),
    )
    for outcome in outcomes:
        whole.add(outcome)
    return whole


def totals(courses: Iterable[Course]) -> list[Outcome]:
    """Each policy over all courses, in the order of the first."""
    by_policy: dict[str, list[Outcome]] = {}
    for course in courses:
        for outcome in course.outcomes:
            by_policy.setdefault(outcome.policy, []).append(outcome)
    return [total(outcomes) for outcomes in by_policy.values()]
