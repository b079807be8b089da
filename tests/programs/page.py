"""Generates docs/real-programs.md from docs/data/programs: `python tests/programs/page.py [--check]`.

Every figure in the page, those in sentences too, comes from the result files; `--check` says whether the page is
what it would write.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

import msgspec
from figures import DATA, LEFT_OUT, SIZES, LeftOut, OfPolicy, OfProgram, OfRun  # type: ignore[import-not-found]  # beside it
from program import Program  # type: ignore[import-not-found]
from programs import PROGRAMS  # type: ignore[import-not-found]

from foliolab.framework.escaping import markdown
from foliolab.framework.report.words import duration_text, size_text

DOCS: Final = Path(__file__).parents[2] / "docs"
PAGE: Final = DOCS / "real-programs.md"
LEAST_LARGE: Final = 8
"""With fewer large folios at a time a program says nothing about shares."""
RELEVANT: Final = 0.01
"""From which share of copies, or of folios × time, on something is called much."""


@dataclass(frozen=True)
class Case:
    """A program with large folios of a size.

    Args:
        program: which.
        found: the figures of its runs.
    """

    program: Program
    found: OfProgram

    @property
    def runs(self) -> list[OfRun]:
        """The figures of the runs."""
        runs: list[OfRun] = self.found.runs
        return runs

    @property
    def title(self) -> str:
        """The program; at another size than the smallest, with the size."""
        small = self.found.kib == SIZES[0]
        return str(self.program.title) if small else f"{self.program.title} at {size_text(self.found.kib)}"

    def model(self, run: OfRun) -> OfPolicy:
        """The figures of the policy that models the kernel."""
        return run.policies[self.found.model.partition(":")[0]]

    @property
    def copies(self) -> list[int]:
        """Copies beyond the policy that knows every owner, run by run."""
        return [self.model(run).copies for run in self.runs]

    @property
    def costs(self) -> bool:
        """Whether two slots' imprecision made a run copy more."""
        return any(count > 0 for count in self.copies)

    @property
    def much(self) -> bool:
        """Whether that is a hundredth of the copies of a run, or of folios × time."""
        return any(
            self.model(run).copies >= RELEVANT * max(run.copied, 1) or self.model(run).false_share >= RELEVANT
            for run in self.runs
            if self.model(run).copies > 0
        )

    @property
    def errs(self) -> bool:
        """Whether a folio was ever called maybe shared that one MM mapped."""
        return any(self.model(run).longest for run in self.runs)

    @property
    def crowded(self) -> bool:
        """Whether more MMs mapped a folio than there are slots, in a run."""
        return any(run.beyond for run in self.runs)


def load(data: Path) -> tuple[list[Case], LeftOut]:
    """The figures that there are, and what was left out."""
    found = []
    for program in PROGRAMS:
        for kib in SIZES:
            path = data / f"{program.name}-{kib}.json"
            if path.exists():
                found.append(Case(program, msgspec.json.decode(path.read_bytes(), type=OfProgram)))
    path = data / f"{LEFT_OUT}.json"
    left = msgspec.json.decode(path.read_bytes(), type=LeftOut) if path.exists() else LeftOut()
    return found, left


# -- words ----------------------------------------------------------------------------------------
def percent(share: float) -> str:
    """A share as text: none, some, or a number."""
    if share == 0:
        return "0 %"
    return "< 0.01 %" if share < 0.0001 else f"{share * 100:.2f} %" if share < 0.1 else f"{share * 100:.1f} %"


def count(value: float) -> str:
    """A number of things."""
    return f"{value:,.0f}".replace("-", "−")


def spread(values: Iterable[float], form: Callable[[float], str] = count) -> str:
    """The median of runs, and the least and the most unless all read the same."""
    held = sorted(values)
    low, high = form(held[0]), form(held[-1])
    return low if low == high else f"{form(median(held))} ({low} … {high})"


def listed(names: Sequence[str]) -> str:
    """Names in a sentence."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    """A Markdown table, the first column left-aligned."""
    rule = [":---", *["---:"] * (len(head) - 1)]
    return [f"| {' | '.join(row)} |" for row in (head, rule, *rows)] + [""]


def folded(title: str, lines: Sequence[str]) -> list[str]:
    """Lines that a reader opens."""
    return ["<details>", f"<summary>{title}</summary>", "", *lines, "", "</details>", ""]


# -- the parts of the page ------------------------------------------------------------------------
def answer(cases: Sequence[Case]) -> list[str]:
    """The answer to the open question, in sentences made of the data; about the smallest size, which all have."""
    small = [case for case in cases if case.found.kib == SIZES[0]]
    costly, crowded = [case for case in small if case.costs], [case for case in small if case.crowded]
    runs, much = sum(len(case.runs) for case in small), sum(case.much for case in costly)
    lines = [
        f"**In {len(costly)} of {len(small)} programs two slots' imprecision costs anything, in {much} a hundredth or "
        f"more of the copies or of folios × time** (folios of {size_text(SIZES[0])}, {runs} runs, "
        f"Linux {small[0].found.kernel}){':' if costly else '.'}",
        "",
        *(f"- {_cost(case)}" for case in costly),
        *([""] if costly else []),
        f"In {len(crowded)} of {len(small)} programs more MMs map a large folio than the two that have a slot"
        + (f"; for a hundredth of folios × time or more in {_most_crowded(crowded)}" if crowded else "")
        + ". That alone costs nothing: from a folio that several MMs map every scheme copies. The imprecision shows "
        "when an MM that got no slot is the last one left.",
        "",
    ]
    if wrong := [case.title for case in small if case.errs and not case.costs]:
        lines += [f"A folio was falsely called shared, but without one more copy, in {listed(wrong)}.", ""]
    others = [case for case in cases if case.found.kib != SIZES[0]]
    if others:
        bad = [case.title for case in others if case.costs]
        cost = f"it costs something in {listed(bad)}" if bad else "it costs nothing"
        size, names = size_text(SIZES[1]), listed([case.program.title for case in others])
        lines += [f"With folios of {size}, which only some programs were recorded with ({names}), {cost}.", ""]
    return [*lines, *_agreement(cases)]


def _most_crowded(crowded: Sequence[Case]) -> str:
    """The programs in which more MMs map folios than have slots for a good part of the time."""
    some = [case for case in crowded if median(run.folios for run in case.runs) >= LEAST_LARGE]
    found = [(median(run.beyond for run in case.runs), case) for case in some]
    names = [
        f"{case.title} ({percent(share)})"
        for share, case in sorted(found, key=lambda one: -one[0])
        if share >= RELEVANT
    ]
    return listed(names) if names else "none of them"


def _cost(case: Case) -> str:
    """What the imprecision costs a program."""
    hit = sum(copies > 0 for copies in case.copies)
    times = [run.ns for run in case.runs if run.ns is not None]
    took = f", {spread(times, lambda ns: duration_text(ns) if ns else '0')}" if times else ""
    falsely = spread((case.model(run).false_share for run in case.runs), percent)
    longest = max(case.model(run).longest for run in case.runs)
    copied = spread(run.copied for run in case.runs)
    return (
        f"**{case.title}**{'' if case.much else ' (less than a hundredth)'}: in {hit} of {len(case.runs)} runs; "
        f"{spread(case.copies)} of {copied} copies of pages of large folios would have been spared{took}; false shared "
        f"for {falsely} of folios × time, at most for {duration_text(longest) if longest else '0 s'} without a break. "
        f"{case.program.what}"
    )


def _agreement(cases: Sequence[Case]) -> list[str]:
    """How often the kernel decided as its model."""
    pairs = [[getattr(run, which) for case in cases for run in case.runs] for which in ("certain", "uncertain")]
    (same, known), (same_too, unsure) = ([sum(column) for column in zip(*some, strict=True)] for some in pairs)
    referenced = sum(run.referenced for case in cases for run in case.runs)
    why = (
        f" {referenced:,} of the others are copies of pages that no other MM maps: other references make the kernel "
        "copy them, and a trace does not show these."
        if referenced
        else ""
    )
    return [
        f"Of {known:,} certain outcomes of write faults on large folios the kernel decided {same:,} as "
        f"`{cases[0].found.model}` predicts; of {unsure:,} uncertain ones, {same_too:,}.{why}",
        "",
    ]


def main_table(cases: Sequence[Case]) -> list[str]:
    """A row a program: what happened, and what it cost."""
    rows = []
    for case in cases:
        runs = case.runs
        rows.append([
            case.title, str(len(runs)), spread(run.folios for run in runs), spread(run.mms for run in runs),
            spread((run.beyond for run in runs), percent), spread(run.writes for run in runs), spread(case.copies),
            spread((case.model(run).false_share for run in runs), percent),
        ])  # fmt: skip
    head = [
        "program", "runs", "large folios at a time", "MMs on a folio", "time with more than 2",
        "writes to large folios", "copies too many", "false shared",
    ]  # fmt: skip
    return table(head, rows)


def policy_table(cases: Sequence[Case]) -> list[str]:
    """Copies beyond the precise policy, by policy, and how long the first policy erred to the other side."""
    names = list(cases[0].runs[0].policies)
    rows = [
        [
            case.title,
            *(spread(run.policies[name].copies for run in case.runs) for name in names),
            spread((run.policies[names[0]].unsafe for run in case.runs), percent),
        ]
        for case in cases
        if any(run.writes for run in case.runs)
    ]
    return table(["copies beyond `exact`", *(f"`{name}`" for name in names), f"`{names[0]}`: unsafe"], rows)


def recording_table(cases: Sequence[Case]) -> list[str]:
    """What was recorded, and how busy the machine was."""
    rows = []
    for case in cases:
        runs = case.runs
        same, known = (sum(column) for column in zip(*(run.certain for run in runs), strict=True))
        rows.append([
            case.title, spread((run.span / 1e9 for run in runs), lambda s: f"{s:.1f}"),
            f"{spread(run.work for run in runs)} {case.program.unit}", spread(run.events for run in runs),
            spread(run.forks for run in runs), count(sum(run.lost for run in runs)), f"{known - same:,} of {known:,}",
            spread((run.load for run in runs), lambda load: f"{load:.0f}"),
        ])  # fmt: skip
    head = ["program", "seconds", "work", "events", "forks", "lost", "unlike the kernel, certain", "load"]
    return table(head, rows)


def idle(cases: Sequence[Case], left: LeftOut) -> list[str]:
    """Which programs could not show anything, and which were not recorded."""
    lines = []
    if none := [case.title for case in cases if not any(run.writes for run in case.runs)]:
        lines += [f"No write fell on a large folio of known history in {listed(none)}.", ""]
    alone = [case.title for case in cases if not any(run.several for run in case.runs)]
    if alone:
        lines += [f"No large folio was mapped by two MMs at a time in {listed(alone)}.", ""]
    titles = {program.name: program.title for program in PROGRAMS}
    if left.small:
        size = size_text(SIZES[1])
        some = [f"{titles[key.rpartition('-')[0]]} ({nr})" for key, nr in left.small.items()]
        lines += [f"With folios of {size} one run each showed that programs got hardly any: {listed(some)}.", ""]
    if left.programs or left.runs:
        lines += ["Left out, with the reason:", ""]
        lines += [f"- {titles.get(name, name)}: {markdown(why)}" for name, why in left.programs.items()]
        lines += [f"- run {name}: {markdown(why)}" for name, why in left.runs.items()] + [""]
    return lines


def figures_of(cases: Sequence[Case], left: LeftOut) -> list[str]:
    """The part with the tables of figures."""
    return [
        "## Program by program",
        "",
        "Medians over the runs (least … most). *Copies too many*: copies of pages of large folios beyond `exact`,",
        "which knows every owner. *False shared*: the share of large folios × time that one MM maps and",
        f"`{cases[0].found.model}` calls maybe shared. Folios are of {size_text(SIZES[0])} where no size is named.",
        "",
        *main_table(cases),
        *idle(cases, left),
        *folded(
            "The sentences with which foliolab replay begins, for each program",
            [f"- **{case.title}.** {' '.join(map(markdown, case.found.sentences))}" for case in cases],
        ),
        "## Other policies on the same recordings",
        "",
        "Those with page mapcounts of Linux up to 6.14 look at one page and guess: *unsafe* is the share of large",
        "folios × time that several MMs map and they call exclusive. A policy makes fewer copies than `exact` where it",
        "reuses the last page of a folio that is mapped, which the kernel copies to free the folio.",
        "",
        *folded("A row a program", policy_table(cases)),
    ]


def recordings(cases: Sequence[Case]) -> list[str]:
    """The part on what was recorded, and on which machine."""
    first = cases[0].found
    load = spread((run.load for case in cases for run in case.runs), lambda one: f"{one:.0f}")
    whats = [f"- **{one.title}**: {one.what}" for one in PROGRAMS if any(case.program is one for case in cases)]
    return [
        "## What was recorded",
        "",
        f"Linux {first.kernel} on {first.machine}; perf. The machine was shared: while programs were recorded, other",
        f"work kept its {first.cores} cores busy (load average {load}), so programs were slower, and forks and exits",
        "overlapped more, than on an idle machine.",
        "",
        *folded("The programs", whats),
        *folded("A row a program", recording_table(cases)),
        "What others do while a process is being torn down may come before or after it, folio by folio. Each trace is",
        "replayed with the time of teardowns that agrees better with the kernel's outcomes; those that depend on it",
        "are the uncertain ones.",
        "",
    ]


def write(cases: Sequence[Case], left: LeftOut) -> str:
    """The whole page."""
    record = "python tests/programs/record.py --all --into DIR"
    nr = len({case.program.name for case in cases})
    lines = [
        "# Real programs",
        "",
        "<!-- generated by `python tests/programs/page.py` from docs/data/programs; do not edit -->",
        "",
        "The open question of the series that introduced two slots: is their imprecision relevant for real workloads?",
        f"{nr} programs ran on a real kernel with one size of large folios always on; their faults, forks, exits and",
        "mappings were recorded with `foliolab record`, and policies then replayed the same stream",
        "(`foliolab replay`).",
        "",
        "## The answer",
        "",
        *answer(cases),
        *figures_of(cases, left),
        *recordings(cases),
        "## Repeat it",
        "",
        "```sh",
        f"{record} --dry-run   # what it would unpack in DIR, and record",
        f"{record} --runs 5    # root: records what is missing, replays, writes docs/data/programs",
        "python tests/programs/page.py   # this page",
        cases[0].found.command,
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
    cases, left = load(DATA)
    if not cases:
        print(f"there are no results in {DATA}; run record.py")
        return 1
    return publish(PAGE, write(cases, left), "page.py", f"{len(cases)} programs and sizes")


if __name__ == "__main__":
    sys.exit(main())
