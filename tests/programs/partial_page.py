"""Generates docs/partially-mapped.md from docs/data/partial: `python tests/programs/partial_page.py [--check]`.

Every figure in the page, those in sentences too, comes from the result files; `--check` says whether the page is
what it would write.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from figures import SIZES  # type: ignore[import-not-found]  # found where this script lies
from page import folded, listed, percent, publish, table  # type: ignore[import-not-found]  # found where this script lies
from program import Program  # type: ignore[import-not-found]
from programs import ARENA, PROGRAMS  # type: ignore[import-not-found]

from foliolab.framework.consequences.result import ConsequencesResult, Decided, Figured, PolicyOutcome
from foliolab.framework.partial.result import PartialResult
from foliolab.framework.report.partial import LOCKS, NOT_MODELLED, bounds, mib_s, number, spread
from foliolab.framework.report.words import size_text

DOCS: Final = Path(__file__).parents[2] / "docs"
DATA: Final = DOCS / "data" / "partial"
PAGE: Final = DOCS / "partially-mapped.md"
FIGURES: Final = ("PSS", "USS")
"""The figures of /proc whose errors are shown."""
ASKER: Final = "khugepaged"
"""The asker whose refusals are shown."""
TODAY: Final = "page-mapcounts"
ENOUGH: Final = 100
"""Of how many cases, over all runs, a share is named at least."""
MOST_NAMES: Final = 5
"""How many programs a sentence names at most, instead of their number."""
MAIL: Final = "71247244-73fe-44ce-ab05-69c852f3aa1a@kernel.org"


@dataclass(frozen=True)
class Case:
    """The runs of a program with folios of a size.

    Args:
        program: which.
        kib: the folio size.
        detected: what `foliolab partial` says.
        followed: what `foliolab consequences` says; a source for each run.
    """

    program: Program
    kib: int
    detected: PartialResult
    followed: ConsequencesResult

    @property
    def name(self) -> str:
        """The program and the size."""
        return f"{self.program.title} at {size_text(self.kib)}"

    @property
    def can_tell(self) -> bool:
        """Whether a folio was ever partially mapped, so that the detectors can differ."""
        return any(run.partial for run in self.detected.runs)

    def errs(self, policy: str) -> bool:
        """Whether a policy makes khugepaged refuse a collapse, or PSS or USS wrong."""
        found = [outcome_of(source.outcomes, policy) for source in self.followed.sources]
        refused = any(_asked(outcome).held_back for outcome in found)
        return refused or any(figure_of(outcome, name).sum for outcome in found for name in FIGURES)


def load(data: Path) -> list[Case]:
    """The results that there are."""
    found = []
    for program in (*PROGRAMS, ARENA):
        for kib in SIZES:
            paths = data / f"{program.name}-{kib}.json", data / f"{program.name}-{kib}-consequences.json"
            if all(path.exists() for path in paths):
                results = PartialResult.load(paths[0]), ConsequencesResult.load(paths[1])
                found.append(Case(program, kib, *results))
    return found


def of_runs(case: Case, figure: str, form: Callable[[float], str] = number) -> str:
    """A figure of the runs themselves, with the spread."""
    return spread([value for run in case.detected.runs if (value := getattr(run, figure)) is not None], form)


def of(case: Case, detector: str, figure: str, form: Callable[[float], str] = number) -> str:
    """A figure of a detector, with the spread over the runs."""
    return spread(case.detected.values(detector, figure), form)


def middle(case: Case, detector: str, figure: str) -> float:
    """The median of a figure of a detector; 0 if it is unknown."""
    values = case.detected.values(detector, figure)
    return median(values) if values else 0.0


def most_walks(case: Case, detector: str) -> int:
    """The walks of the run with the most of them, those of reclaim's scan among them."""
    values = case.detected.values
    return max(map(sum, zip(values(detector, "walks"), values(detector, "scan_walks"), strict=True)), default=0)


def most_entries(case: Case, detector: str) -> float:
    """The page table entries that the walks of a run look at, of the run with the most of them."""
    values = case.detected.values
    return max(map(sum, zip(values(detector, "entries_most"), values(detector, "scan_entries_most"), strict=True)))


# -- the parts of the page ------------------------------------------------------------------------
def doubt(cases: Sequence[Case]) -> list[str]:
    """How many folios there are, and how often counters leave doubt."""
    rows = [
        [
            case.name, of_runs(case, "folios"), of_runs(case, "partial"), of_runs(case, "removals"),
            of_runs(case, "certain"), of_runs(case, "doubtful"), of_runs(case, "doubtful_partial"),
            of_runs(case, "page_ns", mib_s),
        ]
        for case in cases
    ]  # fmt: skip
    head = [
        "", "large folios", "partially mapped", "removals", "certain", "in doubt", "of these, a page unmapped",
        "stranded if never split, MiB·s",
    ]  # fmt: skip
    return table(head, rows)


def by_detector(cases: Sequence[Case], cell: Callable[[Case, str], str]) -> list[str]:
    """A table with a row for each case and a column for each detector."""
    names = cases[0].detected.detectors
    return table(["", *names], [[case.name, *(cell(case, name) for name in names)] for case in cases])


def walks(case: Case, name: str) -> str:
    """Walks and their entries; those of reclaim's scan are marked."""
    found = []
    for prefix, mark in (("", ""), ("scan_", " of the scan")):
        if any(case.detected.values(name, f"{prefix}walks")):
            entries = bounds(*(of(case, name, f"{prefix}entries_{end}") for end in ("least", "most")))
            found.append(f"{of(case, name, f'{prefix}walks')}{mark}, {entries} entries")
    return "; ".join(found) or "0"


def vain(case: Case, name: str) -> str:
    """Folios that were queued although whole, and split in vain."""
    return f"{of(case, name, 'queued_whole')}; {of(case, name, 'splits_in_vain')}"


def consequences(cases: Sequence[Case]) -> list[str]:
    """What khugepaged refuses, and the errors of PSS and USS, for each policy that was followed."""
    lines: list[str] = []
    for name in _policies(cases):
        rows = []
        wrong = [case for case in cases if case.errs(name)]
        for case in wrong:
            found = [outcome_of(source.outcomes, name) for source in case.followed.sources]
            asked = list(map(_asked, found))
            rows.append([
                case.name, spread([one.asked for one in asked]), spread([one.held_back for one in asked]),
                *(errors([figure_of(outcome, figure) for outcome in found]) for figure in FIGURES),
            ])  # fmt: skip
        head = [f"`{name}`", "collapses in question", "refused for a false shared", "error of PSS", "error of USS"]
        lines += table(head, rows) if rows else []
        exact = "no collapse is refused, and PSS and USS are right"
        lines += [f"`{name}`: {exact} in the other {len(cases) - len(rows)} of {len(cases)}.", ""]
    return lines


def outcome_of(outcomes: Sequence[PolicyOutcome], name: str) -> PolicyOutcome:
    """A policy's outcome on one source."""
    return next(one for one in outcomes if one.policy.partition(":")[0] == name)


def figure_of(outcome: PolicyOutcome, name: str) -> Figured:
    """A figure of an outcome."""
    return next(one for one in outcome.figures if one.name == name)


def errors(found: Sequence[Figured]) -> str:
    """The mean relative error over MMs and moments, with its spread over the runs, and the largest of all."""
    means = [one.mean_relative for one in found if one.relative]
    if not means:
        return "unknown"
    least, most = percent(min(means)), percent(max(means))
    shown = least if least == most else f"{percent(median(means))} ({least} … {most})"
    largest = max(one.largest_relative for one in found)
    return f"{shown}, at most {percent(largest)}" if largest else shown


def answer(cases: Sequence[Case]) -> list[str]:
    """The answer in sentences made of the data."""
    telling = [case for case in cases if case.can_tell]
    runs = sum(len(case.detected.runs) for case in cases)
    lines = [
        f"{len(telling)} of {len(cases)} programs and sizes ({runs} runs) had large folios that were partially mapped; "
        "what follows is about these.",
        "",
    ]
    shares = [
        (share_of_doubt(case), case)
        for case in telling
        if sum(run.doubtful or 0 for run in case.detected.runs) >= ENOUGH
    ]
    if shares:
        (low, least), (high, most) = min(shares, key=lambda one: one[0]), max(shares, key=lambda one: one[0])
        lines += [
            "**How many folios in doubt are partially mapped.** Where the counters of a folio as a whole left doubt "
            f"after a removal, a page was unmapped in {percent(low)} ({least.name}) to {percent(high)} ({most.name}) "
            f"of the cases, in programs with {ENOUGH} such cases and more.",
            "",
        ]
        doubtful, partial = (
            sum(getattr(run, figure) or 0 for case in telling for run in case.detected.runs)
            for figure in ("doubtful", "doubtful_partial")
        )
        lines[-2] += f" Over all runs it is {partial:,} of {doubtful:,} ({percent(partial / doubtful)})."
    names = telling[0].detected.detectors if telling else []
    if names:
        lines += [f"**What each way costs**, beside {TODAY} (pages that nothing maps are stranded until their folio is",
                  "split or freed; medians over the runs of each program):", ""]  # fmt: skip
    return [*lines, *(_beside(telling, name) for name in names if name != TODAY), "", *_wrong(cases)]


def _wrong(cases: Sequence[Case]) -> list[str]:
    """A sentence for each policy: whether khugepaged refuses collapses for it, and how wrong PSS and USS are."""
    lines = ["**Collapses, PSS and USS.**", ""]
    for name in _policies(cases):
        found = {case.name: [outcome_of(source.outcomes, name) for source in case.followed.sources] for case in cases}
        refused = [case for case, outcomes in found.items() if any(_asked(one).held_back for one in outcomes)]
        where = f"in {listed(refused)}" if refused else "nowhere"
        parts = [f"khugepaged would refuse collapses for a false shared {where}"]
        for figure in FIGURES:
            means = {
                case: median(figure_of(one, figure).mean_relative for one in outcomes)
                for case, outcomes in found.items()
                if all(figure_of(one, figure).relative for one in outcomes)
            }
            largest, most = max((mean, case) for case, mean in means.items())
            wrong = f"wrong by a mean of at most {percent(largest)} ({most})" if largest else "right everywhere"
            parts.append(f"{figure} is {wrong}")
        lines.append(f"- `{name}`: {'; '.join(parts)}.")
    return [*lines, ""]


def _policies(cases: Sequence[Case]) -> list[str]:
    """The policies that were followed; the last one is the truth, and is left out."""
    return [outcome.policy.partition(":")[0] for outcome in cases[0].followed.sources[0].outcomes][:-1]


def _asked(outcome: PolicyOutcome) -> Decided:
    """What khugepaged decides by a policy."""
    return next(one for one in outcome.decisions if one.name == ASKER)


def share_of_doubt(case: Case) -> float:
    """Which share of the removals that left doubt had left a page unmapped, over all runs."""
    doubtful = sum(run.doubtful or 0 for run in case.detected.runs)
    return sum(run.doubtful_partial or 0 for run in case.detected.runs) / (doubtful or 1)


def _beside(cases: Sequence[Case], name: str) -> str:
    """A detector beside today's, in a sentence: what it strands, its locks and its walks, over programs and sizes."""
    parts = []
    for figure, what in (("page_ns", "memory stranded"), ("locks", "acquisitions of the lock")):
        ratios = [
            (middle(case, name, figure) / middle(case, TODAY, figure), case)
            for case in cases
            if middle(case, TODAY, figure)
        ]
        if ratios:
            (low, _), (high, most) = min(ratios, key=lambda one: one[0]), max(ratios, key=lambda one: one[0])
            shown = f"{low:.3g}" if f"{low:.3g}" == f"{high:.3g}" else f"{low:.3g} to {high:.3g}"
            where = "" if f"{low:.3g}" == f"{high:.3g}" else f" (most in {most.name})"
            parts.append(f"{what} × {shown}{where}")
    most = max(cases, key=lambda case: most_walks(case, name))
    walked = most_walks(most, name)
    walked_text = "no walks"
    if walked:
        entries = number(most_entries(most, name))
        walked_text = f"at most {number(walked)} walks of {entries} entries in a run ({most.name})"
    wrong = [case.name for case in cases if any(case.detected.values(name, "splits_in_vain"))]
    vain_text = "; no split in vain"
    if wrong:
        some = listed(wrong) if len(wrong) <= MOST_NAMES else f"{len(wrong)} of these {len(cases)}"
        vain_text = f"; splits in vain in {some}"
    return f"- **{name}**: {'; '.join(parts)}; {walked_text}{vain_text}."


def write(cases: Sequence[Case]) -> str:
    """The text of the page: the question, the answer, the method, the tables, the limits."""
    first = cases[0].detected
    header = first.runs[0].recording.header
    looks = f"{first.looks:,} folios at most" if first.looks else "all folios"
    telling = [case for case in cases if case.can_tell]
    detectors = [f"- `{name}`: {first.summaries[name]}." for name in first.detectors]
    lines = [
        "# Partially mapped folios",
        "",
        "<!-- generated by `python tests/programs/partial_page.py` from docs/data/partial; do not edit -->",
        "",
        f"In reply to `{MAIL}`",
        "",
        "## Question",
        "",
        "Without page mapcounts a large folio only *might* be partially mapped. Should the deferred split queue be",
        "extended to such folios, should reclaim's scan of the LRU lists look for them, or should the rmap be walked",
        "on demand? How many of the folios in doubt are partially mapped, and what does each way cost?",
        "",
        "## Answer",
        "",
        *answer(cases),
        "## Method",
        "",
        f"Linux {header.kernel} on {header.machine}.",
        "Programs were recorded with `foliolab record` (perf), one size of large folios always on, several runs each.",
        "Every recording is replayed on a model of page tables, folios and rmap;",
        f"the counters are those of `{first.policy}`. `foliolab partial` lets the detectors follow the same folios:",
        "",
        *detectors,
        "",
        "A removal is *certain* if fewer pages are mapped than the folio has, and *in doubt* if not, several MMs may",
        "map the folio, and no PMD does. A recording does not show memory pressure. It is assumed: memory is short",
        f"every {first.interval_ns / 1e9:g} s, and each detector may then look at {looks}. An exiting process unmaps",
        "everything when its teardown begins.",
        LOCKS,
        "",
        *folded("The programs", [
            f"- **{case.program.title}**: {case.program.what}" for case in cases if case.kib == min_size(cases, case)
        ]),
        "## Tables",
        "",
        "Medians over the runs (least … most), for the programs in which a folio was partially mapped.",
        *(["", f"No folio ever was in {listed([case.name for case in cases if not case.can_tell])}."] if
          len(telling) < len(cases) else []),
        "",
        *doubt(telling),
        "Memory stranded, MiB·s: pages that nothing maps, until their folio is split or freed:",
        "",
        *by_detector(telling, lambda case, name: of(case, name, "page_ns", mib_s)),
        *folded(
            "Walks of the rmap and the page table entries that they look at, at least and at most; "
            "reclaim's scan walks the rmap anyway",
            by_detector(telling, walks),
        ),
        *folded(
            "Acquisitions of the split queue's lock",
            by_detector(telling, lambda case, name: of(case, name, "locks")),
        ),
        *folded("Folios queued although wholly mapped; folios split in vain", by_detector(telling, vain)),
        "Collapses that khugepaged would refuse for a false shared, and the mean error of PSS and USS over processes",
        "and moments (`foliolab consequences`):",
        "",
        *consequences(cases),
        "## Limits",
        "",
        NOT_MODELLED,
        "",
        "The runs are short. One machine, which was shared with other work; one memory pressure: others are two",
        "options away. What a recording cannot tell is \"unknown\". Folios that were mapped before a recording began,",
        "and folios that the kernel itself migrated, split, collapsed or swapped, are left out. MADV_FREE is not in a",
        "recording.",
        "",
        "## Repeat it",
        "",
        "```sh",
        "python tests/programs/record.py --all --runs 5 --into DIR   # root: records what is missing",
        "python tests/programs/partial_capture.py --from DIR         # asks both verbs, writes docs/data/partial",
        "python tests/programs/partial_page.py                       # this page",
        f"{first.command}",
        f"{cases[0].followed.command}",
        "```",
        "",
    ]  # fmt: skip
    return "\n".join(lines)


def min_size(cases: Sequence[Case], case: Case) -> int:
    """The smallest size with which a program was recorded."""
    return min(one.kib for one in cases if one.program is case.program)


def main() -> int:
    """Write the page, or check it."""
    cases = load(DATA)
    if not cases:
        print(f"there are no results in {DATA}; run partial_capture.py")
        return 1
    code: int = publish(PAGE, write(cases), "partial_page.py", f"{len(cases)} programs and sizes")
    return code


if __name__ == "__main__":
    sys.exit(main())
