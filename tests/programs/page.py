"""Generates docs/real-programs.md from docs/data: `python tests/programs/page.py [--check]`.

Every figure in the page, those in sentences too, comes from the result files; `--check` says whether the page is
what it would write.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from programs import PROGRAMS, Program  # type: ignore[import-not-found]  # found where this script lies

from foliolab.framework.escaping import markdown
from foliolab.framework.replay.result import Replayed, ReplayResult
from foliolab.framework.report.answer import answer as sentences
from foliolab.framework.report.words import size_text

DOCS: Final = Path(__file__).parents[2] / "docs"
PAGE: Final = DOCS / "real-programs.md"
SIZES: Final = (64, 2048)
RELEVANT: Final = 0.01
"""From which share of copies, or of folios × time, on something is called relevant."""
EXACT: Final = "exact"
MMS: Final = ("1 MM", "2", "3", "4", "5 and more")
COLUMNS: Final = len(MMS)
MOMENTS: Final = 8


@dataclass(frozen=True)
class Run:
    """A program at a size, replayed with the teardowns at their beginning and at their end.

    Args:
        program: which.
        kib: the folio size.
        early, late: the results.
    """

    program: Program
    kib: int
    early: ReplayResult
    late: ReplayResult

    @property
    def name(self) -> str:
        """The program and the size."""
        return f"{self.program.title} at {size_text(self.kib)}"

    def best(self) -> ReplayResult:
        """The bound that agrees better with what the kernel did."""
        return max((self.early, self.late), key=lambda result: recorded(result).agreement(True)[0])


def load(data: Path) -> list[Run]:
    """The results that there are."""
    found = []
    for program in PROGRAMS:
        for kib in SIZES:
            paths = [data / f"{program.name}-{kib}{bound}.json" for bound in ("-exit", "-gone")]
            if all(path.exists() for path in paths):
                found.append(Run(program, kib, *(ReplayResult.load(path) for path in paths)))
    return found


def named(result: ReplayResult, name: str) -> Replayed | None:
    """A policy of a result, whatever parameters the replay chose for it."""
    return next((one for one in result.policies if one.policy.partition(":")[0] == name), None)


def recorded(result: ReplayResult) -> Replayed:
    """The policy that models the recorded kernel."""
    return next(one for one in result.policies if one.recorded)


def precise(result: ReplayResult) -> Replayed:
    """The truth as a policy: it reuses by the kernel's rule, knowing every owner."""
    found = named(result, EXACT)
    if found is None:
        raise ValueError(f"{result.recording.path} was not replayed under {EXACT}")
    return found


def extra(result: ReplayResult, one: Replayed) -> int:
    """Copies of pages of large folios more than the precise policy's."""
    return copies(one) - copies(precise(result))


def copies(one: Replayed) -> int:
    """Copies of pages of large folios."""
    return one.count("large", policy="copied")


def percent(share: float) -> str:
    """A share as text: none, some, or a number."""
    if share == 0:
        return "0 %"
    return "< 0.01 %" if share < 0.0001 else f"{share * 100:.2f} %" if share < 0.1 else f"{share * 100:.1f} %"


def between(first: str, second: str) -> str:
    """Two bounds; one if they are equal."""
    return first if first == second else f"{first} … {second}"


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    """A Markdown table, the first column left-aligned."""
    rule = [":---", *["---:"] * (len(head) - 1)]
    return [f"| {' | '.join(row)} |" for row in (head, rule, *rows)] + [""]


def number(value: int, unit: int = 0) -> str:
    """A difference as text, in units of so many if there is one."""
    if not value:
        return "0"
    return (f"{value / unit:+,.1f}" if unit else f"{value:+,}").replace("-", "−")


def unsafe_share(one: Replayed) -> float:
    """Share of (large folios × time) that several MMs map and the policy calls exclusive."""
    total = sum(one.owner_ns)
    return one.unsafe.folio_ns / total if total else 0.0


# -- the parts of the page ------------------------------------------------------------------------
def recordings(runs: list[Run]) -> list[str]:
    """What was recorded."""
    rows = []
    for run in runs:
        recording = run.early.recording
        kinds, header = recording.kinds, recording.header
        rows.append([
            run.name, f"{recording.span / 1e9:.1f}", f"{recording.events:,}", f"{kinds.get('fork', 0):,}",
            f"{header.lost:,}", f"{header.exit_uncertainty_ns / 1e6:,.0f}",
        ])  # fmt: skip
    head = ["program", "seconds", "events", "forks", "lost", "teardown, ms"]
    return table(head, rows)


def by_owners(held: list[int]) -> list[int]:
    """Folios, or folios × time, mapped by 1, 2, 3 and 4 MMs, and by more."""
    padded = [*held, *[0] * COLUMNS]
    return [*padded[: COLUMNS - 1], sum(padded[COLUMNS - 1 :])]


def most_folios(run: Run) -> int:
    """Large folios at the same time, at most, as far as the samples show."""
    return max((sum(sample.folios) for sample in precise(run.early).samples), default=0)


def owners(runs: list[Run]) -> list[str]:
    """How many MMs share a large folio, weighted by time."""
    rows = []
    for run in runs:
        one = precise(run.early)
        total = sum(one.owner_ns)
        shares = [percent(held / total) if total else "–" for held in by_owners(one.owner_ns)]
        rows.append([run.name, *shares, f"{most_folios(run):,}"])
    return table(["share of large folios × time mapped by", *MMS, "folios at most"], rows)


def over_time(run: Run) -> list[str]:
    """The same at some moments of a run."""
    one, model = precise(run.early), recorded(run.early)
    step = max(len(one.samples) // MOMENTS, 1)
    rows = []
    for sample, answer_ in list(zip(one.samples, model.samples, strict=True))[step // 2 :: step]:
        counts = [f"{count:,}" for count in by_owners(sample.folios)]
        rows.append([f"{sample.time / 1e9:.2f} s", f"{sample.mms:,}", *counts, f"{answer_.false_folios:,}"])
    head = ["at", "MMs alive", *(f"folios of {mms}" for mms in MMS), f"false shared ({model.policy})"]
    return [f"**{run.name}**", "", *table(head, rows)]


def policies(runs: list[Run], cell: Callable[[ReplayResult, Replayed], str]) -> list[str]:
    """A table with a column for each policy."""
    names = [one.policy.partition(":")[0] for one in runs[0].early.policies]
    rows = []
    for run in runs:
        row = []
        for name in names:
            early, late = named(run.early, name), named(run.late, name)
            row.append(between(cell(run.early, early), cell(run.late, late)) if early and late else "–")
        rows.append([run.name, *row])
    return table(["", *names], rows)


def kernel(runs: list[Run]) -> list[str]:
    """The kernel's own outcomes, and how the policy that models it agrees."""
    rows = []
    for run in runs:
        one = recorded(run.best())
        outcomes = [one.count("large", kernel) for kernel in ("reused", "copied")]
        cells = []
        for certain in (True, False):
            same, known = one.agreement(certain)
            cells += [f"{same:,} of {known:,}", percent(same / known) if known else "–"]
        rows.append([run.name, *(f"{count:,}" for count in outcomes), *cells])
    head = ["writes to large folios", "reused", "copied", "certain, as predicted", "", "uncertain, as predicted", ""]
    return table(head, rows)


def _many(runs: list[Run]) -> str:
    """Which programs have more MMs on a folio than there are slots."""
    found = []
    for run in runs:
        held = precise(run.early).owner_ns
        share = sum(held[2:]) / (sum(held) or 1)
        if share >= RELEVANT:
            found.append(f"{run.name} ({percent(share)})")
    if not found:
        return "In none of these recordings do more than two MMs share large folios for a hundredth of the time."
    return f"More than two MMs share large folios, in shares of folios × time, in {listed(found)}."


def _cost(runs: list[Run]) -> list[str]:
    """What the slots' imprecision costs where."""
    touched, clean, without = [], [], []
    for run in runs:
        both = [(result, recorded(result)) for result in (run.early, run.late)]
        if not any(one.count("large") for _, one in both):
            without.append(f"{run.name} ({most_folios(run)} at most)")
            continue
        shares = [extra(result, one) / max(copies(one), 1) for result, one in both]
        if max(shares) < RELEVANT and max(one.false_share for _, one in both) < RELEVANT:
            clean.append(run.name)
            continue
        more = between(*(f"{extra(result, one):,} of {copies(one):,}" for result, one in both))
        false = between(*(percent(one.false_share) for _, one in both))
        longest = max(one.false_shared.longest for _, one in both) / 1e9
        touched.append(
            f"{run.name}: {more} copies of pages of large folios would have been spared; false shared for {false} "
            f"of folios × time, at most for {longest:.1f} s without a break"
        )
    lines = []
    if touched:
        lines += [f"It matters in {len(touched)} of {len(runs)} recordings:", "", *(f"- {one}" for one in touched), ""]
    if clean:
        lines += [
            f"It costs less than one copy in a hundred, and makes less than a hundredth of folios × time false shared, "
            f"in {listed(clean)}.",
            "",
        ]
    if without:
        lines += [
            "Some programs got few large folios, and no write fault fell on one whose history is known: "
            f"{listed(without)}.",
            "",
        ]
    return lines


def answer(runs: list[Run]) -> list[str]:
    """The answer to the open question, in sentences made of the data."""
    counts = {certain: [recorded(run.best()).agreement(certain) for run in runs] for certain in (True, False)}
    same, known = (sum(column) for column in zip(*counts[True], strict=True))
    same_too, unsure = (sum(column) for column in zip(*counts[False], strict=True))
    model = recorded(runs[0].early).policy
    return [
        f"{_many(runs)} That alone costs nothing: from a folio that several MMs map every scheme copies. The "
        "imprecision of two slots shows when an MM that got no slot is the last one left.",
        "",
        *_cost(runs),
        f"Of {known:,} certain outcomes of write faults on large folios the kernel decided {same:,} as `{model}` "
        f"predicts; of {unsure:,} uncertain ones, {same_too:,}.",
        "",
    ]


def each(runs: list[Run]) -> list[str]:
    """The sentences with which `foliolab replay` begins, of each recording (the better of the two bounds)."""
    lines = []
    for run in runs:
        lines += [f"- **{run.name}.** " + " ".join(markdown(sentence) for sentence in sentences([run.best()]))]
    return [*lines, ""]


def listed(names: list[str]) -> str:
    """Names in a sentence."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def errors(runs: list[Run]) -> list[str]:
    """What the policies get wrong, what that costs, and what the kernel did."""
    model = recorded(runs[0].early).policy
    return [
        "## False shared",
        "",
        "Share of (large folios × time) in which one MM maps the folio and the policy says that it may be shared.",
        "A folio that is mapped by a PMD needs no scheme: it is reused whole if nobody else holds a reference.",
        "",
        *policies(runs, lambda result, one: percent(one.false_share)),
        "The opposite error: several MMs map the folio and the policy says that it is exclusive. Policies with page",
        "mapcounts of Linux up to 6.14 look at one page and guess; those that claim to be safe must have 0 % here.",
        "",
        *policies(runs, lambda result, one: percent(unsafe_share(one))),
        "## Copies that a precise scheme would have spared",
        "",
        f"Copies of pages of large folios on the same stream, more than `{EXACT}` makes, which knows every owner and",
        "reuses by the kernel's rule. A policy makes fewer where it reuses the last page of a folio that is mapped,",
        "which the kernel copies to free the folio.",
        "",
        *policies(runs, lambda result, one: number(extra(result, one))),
        "Memory in use at the peak, in MiB, more than with it:",
        "",
        *policies(runs, lambda result, one: number(one.frames_peak - precise(result).frames_peak, 256)),
        "## What the kernel did",
        "",
        f"The kernel's own outcomes, and those of `{model}`, the policy that models it (the better of the two bounds).",
        "",
        *kernel(runs),
    ]


def write(runs: list[Run]) -> str:
    """The whole page."""
    header = runs[0].early.recording.header
    lines = [
        "# Real programs",
        "",
        "<!-- generated by `python tests/programs/page.py` from docs/data; do not edit -->",
        "",
        "The open question of the series that introduced two slots: is their imprecision relevant for real workloads?",
        "These programs ran on a real kernel with one size of large folios always on; their faults, forks, exits and",
        "mappings were recorded with `foliolab record`, and every policy then replayed the same stream",
        "(`foliolab replay`).",
        "",
        "## The answer",
        "",
        *answer(runs),
        "## Program by program",
        "",
        "The sentences with which `foliolab replay` begins; of the two times of teardowns, the one that agrees better.",
        "",
        *each(runs),
        "## What was recorded",
        "",
        f"Linux {header.kernel} on {header.machine}; perf; one run each, so the figures are examples, not statistics.",
        "",
        *(f"- **{program.title}**: {program.what}" for program in PROGRAMS if any(r.program is program for r in runs)),
        "",
        *recordings(runs),
        "A teardown takes time, and what other processes do meanwhile may come before or after it, folio by folio.",
        "Each trace is therefore replayed twice, with every teardown at its beginning and at its end; where the two",
        "differ both are given (beginning … end). Outcomes that depend on that order are the uncertain ones.",
        "",
        "## How many MMs share a large folio",
        "",
        *owners(runs),
        "Over time, with folios of 64 KiB:",
        "",
        *(line for run in runs if run.kib == SIZES[0] for line in over_time(run)),
        *errors(runs),
        "## Repeat it",
        "",
        "```sh",
        "python tests/programs/install.py   # root: Debian's packages",
        "python tests/programs/capture.py   # root: records, replays, writes docs/data",
        "python tests/programs/page.py      # this page",
        "```",
        "",
    ]
    return "\n".join(lines)


def publish(page: Path, made: str, script: str, what: str) -> int:
    """Write a page, or with --check look whether it is as it would be written; the exit code.

    Args:
        page: its file.
        made: its text.
        script: what writes it, for the message that it is stale.
        what: it is made of.
    """
    if "--check" in sys.argv[1:]:
        same = page.exists() and page.read_text("utf-8") == made
        print("the page is what the data says" if same else f"{page} is stale; run {script}")
        return int(not same)
    page.write_text(made, "utf-8")
    print(f"{page}: {what}")
    return 0


def main() -> int:
    """Write the page, or check it."""
    runs = load(DOCS / "data")
    if not runs:
        print(f"there are no results in {DOCS / 'data'}; run capture.py")
        return 1
    return publish(PAGE, write(runs), "page.py", f"{len(runs)} runs")


if __name__ == "__main__":
    sys.exit(main())
