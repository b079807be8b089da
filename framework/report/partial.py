"""`foliolab partial`: what is in doubt, a table of the detectors, and on which assumptions the figures rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median
from typing import Any, Final

from foliolab.framework.partial.result import MIB_S, Followed, PartialResult
from foliolab.framework.replay.result import PAGE_BYTES
from foliolab.framework.report.pages.page import Column, Page
from foliolab.framework.report.words import duration_text, share_text

UNKNOWN: Final = "unknown"
LOCKS: Final = (
    "Acquisitions of the lock: one to queue a folio, one to take a queued folio off when it is freed, one for each "
    "pass of the shrinker that finds something on the queue, and one for each split."
)
NOT_MODELLED: Final = (
    "Not modelled: folios that are queued for being underused, swap, several queues (per node or memory cgroup), "
    "references that make a split fail, and what a split changes in later write faults. A walk goes to its end; its "
    "entries are those of the MMs that map the folio, at least, and of all live descendants of the MM that mapped it "
    "first, at most."
)


def mib_s(page_ns: float) -> str:
    """Pages × ns as text in MiB × s, to three digits; thousandths are the smallest."""
    if 0 < page_ns / MIB_S < 0.0005:
        return "< 0.001"
    return f"{page_ns / MIB_S:,.3g}" if page_ns / MIB_S < 1000 else f"{page_ns / MIB_S:,.0f}"


def number(value: float) -> str:
    """A number of things; a median may have a half."""
    return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"


def spread(values: Sequence[int], form: Callable[[float], str] = number) -> str:
    """The median of a figure over the runs, with the least and the most where they differ."""
    if not values:
        return UNKNOWN
    least, middle, most = form(min(values)), form(median(values)), form(max(values))
    return middle if least == most else f"{middle} ({least} … {most})"


def total(result: PartialResult, figure: str) -> int | None:
    """A figure of `Followed`, over all runs; None if one of them cannot tell it."""
    values = [getattr(run, figure) for run in result.runs]
    return None if None in values else sum(values)


def render(result: PartialResult, page: Page) -> None:
    """Write a result on a page."""
    page.line("The answer", "strong")
    for sentence in answer(result):
        page.line(f"  {sentence}")
    page.line()
    heads, rows = table(result)
    columns = [Column(head, [page.text(row[at]) for row in rows], right=at > 0) for at, head in enumerate(heads)]
    page.tables(f"Detectors{', median over the runs (least … most)' * (len(result.runs) > 1)}", columns, [])
    page.line()
    for name in result.detectors:
        page.line(f"{name}: {result.summaries[name]}", "quiet")
    for line in assumptions(result):
        page.line(line, "quiet")
    said = [(note, run.recording.path) for run in result.runs for note in run.notes]
    for note in dict.fromkeys(note for note, _ in said):
        where = [path for other, path in said if other == note]
        page.line(f"note{'' if len(where) == len(result.runs) else ', ' + ', '.join(where)}: {note}")
    if not result.complete:
        page.line("interrupted: what was done until then is shown", "strong doubtful")
    page.line(result.command, "quiet")


def answer(result: PartialResult) -> list[str]:
    """What the recordings say, in at most four sentences."""
    removals, folios = total(result, "removals"), total(result, "folios")
    what = _what(result.runs)
    if removals is None or folios is None:
        return [f"{what}: the recording cannot tell which pages of which folios were mapped."]
    if not folios:
        return [f"{what}: no large folio was allocated, so nothing could be partially mapped."]
    return [_doubt(result, what, removals), _memory(result, folios), *_costs(result)]


def _what(runs: Sequence[Followed]) -> str:
    span = sum(run.recording.span for run in runs)
    many = f"{len(runs)} runs, " if len(runs) > 1 else ""
    return f"{many}{runs[0].recording.path}{' …' * (len(runs) > 1)}, {duration_text(span)} in all"


def _doubt(result: PartialResult, what: str, removals: int) -> str:
    certain, doubtful, partial = (total(result, name) or 0 for name in ("certain", "doubtful", "doubtful_partial"))
    if not removals:
        return f"{what}: no operation removed mappings of a large folio and left others."
    return (
        f"{what}: {removals:,} times mappings of a large folio were removed and others left; the counters of "
        f"{result.policy} then prove {certain:,} times that a page is unmapped and leave doubt {doubtful:,} times "
        f"({share_text(doubtful, removals)}); in {partial:,} of these cases ({share_text(partial, doubtful)}) a page "
        "was unmapped indeed."
    )


def _memory(result: PartialResult, folios: int) -> str:
    ever, partial = total(result, "page_ns"), total(result, "partial") or 0
    stranded = "an unknown amount of memory × time" if ever is None else f"{mib_s(ever)} MiB·s"
    return (
        f"Of {folios:,} large folios {partial:,} {'was' if partial == 1 else 'were'} partially mapped at some time; if "
        f"none is ever split, {stranded} is stranded until they are freed."
    )


def _costs(result: PartialResult) -> list[str]:
    """What each detector strands and costs, beside the first."""
    first, *others = result.detectors
    stranded, locks = (_sum(result, first, figure) for figure in ("page_ns", "locks"))
    if stranded is None or locks is None or not others:
        return []
    parts = []
    for name in others:
        walks, scan = _sum(result, name, "walks") or 0, _sum(result, name, "scan_walks") or 0
        walked = [f"{walks:,} walks"] * bool(walks) + [f"{scan:,} walks of reclaim's scan"] * bool(scan)
        parts.append(
            f"{name} strands {_beside(_sum(result, name, 'page_ns') or 0, stranded)} and takes the lock "
            f"{_sum(result, name, 'locks') or 0:,} times, with {' and '.join(walked) or 'no walk'}"
        )
    return [f"{first} strands {mib_s(stranded)} MiB·s and takes the lock {locks:,} times; {'; '.join(parts)}."]


def _sum(result: PartialResult, detector: str, figure: str) -> int | None:
    """A figure of a detector over all runs; None if one of them cannot tell it."""
    values = result.values(detector, figure)
    return sum(values) if len(values) == len(result.runs) else None


def _beside(value: int, first: int) -> str:
    """A value as a multiple of the first detector's, rounded as it is shown."""
    if value == first:
        return "as much"
    return f"{value / first:.3g} times as much" if first else f"{mib_s(value)} MiB·s"


def assumptions(result: PartialResult) -> list[str]:
    """What the figures rest on, a sentence each."""
    looks = f"{result.looks:,} folios at most" if result.looks else "all folios that it comes to"
    torn = sorted({"when it begins" if run.teardown == "exit" else "when it is over" for run in result.runs})
    return [
        f"Assumed, since a recording does not show it: memory is short every {result.interval_ns / 1e9:g} s; each "
        f"detector then looks at {looks}, and what it splits is free at once (--pressure, --looks). Counters: "
        f"{result.policy}. An exiting process unmaps everything at one moment of its teardown, {' or '.join(torn)}.",
        LOCKS,
        NOT_MODELLED,
    ]


def table(result: PartialResult) -> tuple[list[str], list[list[str]]]:
    """(Headings, rows) of the detectors, with the spread over the runs."""
    heads = [
        "detector", "stranded,\nMiB·s", "at most,\nMiB", "walks", "entries", "walks of\nthe scan", "their\nentries",
        "lock\nacquisitions", "queued", "although\nwhole", "split", "in vain", "partial,\nnever split",
    ]  # fmt: skip
    rows = []
    for name in result.detectors:

        def of(figure: str, form: Callable[[float], str] = number, name: str = name) -> str:
            return spread(result.values(name, figure), form)

        rows.append([
            name, of("page_ns", mib_s), of("peak_pages", lambda pages: f"{pages * PAGE_BYTES / (1 << 20):,.3g}"),
            of("walks"), bounds(of("entries_least"), of("entries_most")), of("scan_walks"),
            bounds(of("scan_entries_least"), of("scan_entries_most")), of("locks"), of("queued"), of("queued_whole"),
            of("splits"), of("splits_in_vain"), of("unsplit"),
        ])  # fmt: skip
    return heads, rows


def bounds(least: str, most: str) -> str:
    """Two bounds; one if they are equal."""
    return least if least == most else f"{least} to {most}"


def rows(result: PartialResult) -> list[dict[str, Any]]:
    """The result as rows of a CSV file: one for each run and detector; what is unknown is empty."""
    found = []
    for run in result.runs:
        of_run = {
            f"run_{name}": getattr(run, name)
            for name in ("folios", "partial", "removals", "certain", "doubtful", "doubtful_partial", "page_ns")
        }
        found += [
            {"run": run.recording.path, **{name: getattr(one, name) for name in one.__struct_fields__}, **of_run}
            for one in run.detected
        ]
    return found
