"""`foliolab consequences`: a matrix over all sources of moments, then each source.

Each kind of difference has a sign, which the legend explains; colour is never its only mark.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from foliolab.framework.consequences.figures import FIGURES
from foliolab.framework.consequences.result import (
    AskedBy,
    ConsequencesResult,
    Decided,
    Figured,
    PolicyOutcome,
    SourceResult,
    totals,
)
from foliolab.framework.report.pages.page import Column, Page, Style, Words
from foliolab.framework.report.words import broken, signed, size_text

HELD_BACK: Final[tuple[str, Style]] = ("▲", "doubtful")
RISKED: Final[tuple[str, Style]] = ("✗", "bad")
SAME: Final = "="
NOT_ASKED: Final = "·"
FAILED: Final = "failed"
SOURCE: Final = 20
"""The longest text of the column of sources."""
QUEUE: Final = "split queue"
NOT_MODELLED: Final = (
    "Every asker is asked at every moment, of every process and folio, where the policy's answer decides: not where "
    "another reference, a pin or a limit does. Not modelled: NUMA nodes, memory pressure and reclaim themselves, VMAs' "
    "limits and flags (every private file mapping counts as executable), hugetlb, KSM; MADV_COLD on what a PMD maps."
)


def render(result: ConsequencesResult, page: Page) -> None:
    """Write a result on a page."""
    whole = totals(result.sources)
    done = [one for one in whole if one.moments]
    if done:
        _matrix(done, result.askers, page)
        _legend(page)
    for source in result.sources:
        _source(source, result.askers, page)
    _closing(result, page)


# -- the matrix ---------------------------------------------------------------------------------------
def _matrix(outcomes: Sequence[PolicyOutcome], askers: Sequence[AskedBy], page: Page) -> None:
    names = [*(asker.name for asker in askers), *(figure.name for figure in FIGURES), QUEUE]
    sources = [*(_source_text(asker) for asker in askers), *(figure.section for figure in FIGURES), "1.6, 3.4"]
    first = [
        Column("asker, figure", [page.text(name) for name in names]),
        Column("source", [page.text(source, "quiet") for source in sources]),
    ]
    groups = []
    for one in outcomes:
        cells = [_decided(decided, page) for decided in one.decisions]
        cells += [_figured(figured, page) for figured in one.figures]
        cells.append(_queue(one, page))
        groups.append([Column(broken(one.policy), cells)])
    sections = (len(askers) - 1, len(names) - 2)
    page.tables("Differences from the page tables, over all sources", first, groups, sections)


def _source_text(asker: AskedBy) -> str:
    """Where an asker is described, in a column's width."""
    text = asker.source.removeprefix("specification ").partition(",")[0]
    return text if len(text) <= SOURCE else f"{text[: SOURCE - 1]}…"


def _legend(page: Page) -> None:
    (up, _), (down, _) = HELD_BACK, RISKED
    page.line(
        f"decisions: {up} not done although exclusive, {down} done although shared (in % of all questions), "
        f"{SAME} as the page tables say, {NOT_ASKED} never asked"
    )
    page.line("figures: the largest error in the figure's unit, and the mean error relative to the truth")
    page.line("split queue: partially mapped folios found late, missed, or queued needlessly")
    page.line("source: sections of docs/specification.md, or what an asker names", "quiet")
    page.line(NOT_MODELLED, "quiet")
    page.line()


def _percent(part: int, whole: int) -> str:
    share = 100 * part / whole
    return f"{share:.1f} %" if share >= 0.1 else f"{share:.1g} %"


def _decided(one: Decided, page: Page, counts: bool = False) -> Words:
    """The cell of an asker that decides.

    Args:
        counts: show the numbers beside the shares.
    """
    if one.failed:
        return page.text(FAILED, "bad")
    if not one.asked:
        return page.text(NOT_ASKED, "quiet")
    cell = Words()
    for (sign, style), number in ((HELD_BACK, one.held_back), (RISKED, one.risked)):
        if number:
            share = _percent(number, one.asked)
            amount = f"{number:,} of {one.asked:,} ({share})" if counts else share
            cell += (page.text("  ") if cell.pieces else Words()) + page.text(f"{sign} {amount}", style)
    return cell if cell.pieces else page.text(SAME, "quiet")


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"


def _small(value: float) -> str:
    """A mean, to two significant digits."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _relative(part: float) -> str:
    return f"{_small(100 * part)} %"


def _figured(one: Figured, page: Page) -> Words:
    if not one.values:
        return page.text(NOT_ASKED, "quiet")
    if not one.largest:
        return page.text(SAME, "quiet")
    error = _number(abs(one.given - one.right))
    sign = signed(1.0 if one.given > one.right else -1.0, ".0f")[0]
    relative = f", mean {_relative(one.mean_relative)}" if one.relative else ""
    return page.text(f"{sign}{error}{relative}", "doubtful" if one.given > one.right else "")


def _queue(outcome: PolicyOutcome, page: Page) -> Words:
    one = outcome.partial
    if not one.folios and not one.needless:
        return page.text(NOT_ASKED, "quiet")
    kinds = ((one.late, "late"), (one.missed, "missed"), (one.needless, "needlessly"))
    words = [f"{number:,} {word}" for number, word in kinds if number]
    return page.text(f"{', '.join(words)} of {one.folios:,}", "doubtful") if words else page.text(SAME, "quiet")


# -- one source ---------------------------------------------------------------------------------------
def _source(source: SourceResult, askers: Sequence[AskedBy], page: Page) -> None:
    size = f", {size_text(source.size)} folios" if source.size else ""
    done = [one for one in source.outcomes if one.moments]
    if not done:
        page.line(f"{source.name}{size}: no policy could be followed", "strong")
        _stopped(source, page)
        page.line()
        return
    page.line(f"{source.name}{size}, {max(one.moments for one in done):,} moments", "strong")
    page.line(f"  {source.summary}", "quiet")
    same = [one.policy for one in done if not _differs(one)]
    others = [one for one in done if _differs(one)]
    if others:
        _decisions(others, askers, page)
        _figures(others, page)
        _queues(others, page)
    if same:
        page.line(f"  nothing differs from the truth: {', '.join(same)}")
    _stopped(source, page)
    page.line()


def _differs(outcome: PolicyOutcome) -> bool:
    queue = outcome.partial
    decided = any(one.held_back or one.risked for one in outcome.decisions)
    return decided or any(one.largest for one in outcome.figures) or bool(queue.late or queue.missed or queue.needless)


def _rows(outcomes: Sequence[PolicyOutcome], wanted: Callable[[PolicyOutcome, int], bool], count: int) -> list[int]:
    return [number for number in range(count) if any(wanted(one, number) for one in outcomes)]


def _decisions(outcomes: Sequence[PolicyOutcome], askers: Sequence[AskedBy], page: Page) -> None:
    def wanted(one: PolicyOutcome, number: int) -> bool:
        return bool(one.decisions[number].held_back or one.decisions[number].risked)

    rows = _rows(outcomes, wanted, len(askers))
    if not rows:
        return
    columns = [Column("decision", [page.text(f"  {askers[row].exclusive}") for row in rows])]
    groups = [
        [Column(broken(one.policy), [_decided(one.decisions[row], page, counts=True) for row in rows])]
        for one in outcomes
    ]
    page.tables("", columns, groups)
    for (sign, _), name in ((HELD_BACK, "first_held_back"), (RISKED, "first_risked")):
        found = ((one, one.decisions[row]) for row in rows for one in outcomes)
        first_one = next(((one, decided) for one, decided in found if getattr(decided, name)), None)
        if first_one is not None:
            one, decided = first_one
            page.line(f"  {sign} first: {one.policy}, {decided.name}, {getattr(decided, name)}")


def _figures(outcomes: Sequence[PolicyOutcome], page: Page) -> None:
    lines = [
        (one.policy, figured, FIGURES[row]) for row in range(len(FIGURES)) for one in outcomes
        if (figured := one.figures[row]).largest
    ]  # fmt: skip
    if not lines:
        return

    def column(heading: str, cells: Sequence[str], right: bool = True) -> Column:
        return Column(heading, [page.text(cell) for cell in cells], right=right)

    page.tables(
        "",
        [
            column("  figure", [f"  {figured.name}, {figure.unit}" for _, figured, figure in lines], right=False),
            column("policy", [policy for policy, _, _ in lines], right=False),
            column("shown", [_number(figured.given) for _, figured, _ in lines]),
            column("true", [_number(figured.right) for _, figured, _ in lines]),
            column("largest\nerror", [_error(figured.given - figured.right) for _, figured, _ in lines]),
            column("largest,\nrelative", [_relative(figured.largest_relative) for _, figured, _ in lines]),
            column("mean\nerror", [_small(figured.mean) for _, figured, _ in lines]),
            column("mean,\nrelative", [_relative(figured.mean_relative) for _, figured, _ in lines]),
            column("too high", [_percent_or_none(figured.high, figured.values) for _, figured, _ in lines]),
            column("too low", [_percent_or_none(figured.low, figured.values) for _, figured, _ in lines]),
            column("where the error is largest", [figured.at for _, figured, _ in lines], right=False),
        ],
        [],
    )


def _error(error: float) -> str:
    return f"{'+' if error > 0 else '−'}{_number(abs(error))}"


def _percent_or_none(part: int, whole: int) -> str:
    return _percent(part, whole) if part else "-"


def _queues(outcomes: Sequence[PolicyOutcome], page: Page) -> None:
    for outcome in outcomes:
        one = outcome.partial
        if not (one.late or one.missed or one.needless):
            continue
        late = f", by {one.late_moments / one.late:,.1f} moments (longest {one.late_longest:,})" if one.late else ""
        held = f"; at most {one.pages:,} unmapped pages unfound at a time ({one.at})" if one.pages else ""
        page.line(
            f"  split queue, {outcome.policy}: of {one.folios:,} partially mapped folios "
            f"{one.late:,} found late{late}, {one.missed:,} missed, {one.needless:,} queued needlessly{held}"
        )


def _stopped(source: SourceResult, page: Page) -> None:
    for one in source.outcomes:
        if one.stopped:
            when = f" after {one.moments:,} moments" if one.moments else ""
            page.line(f"  {one.policy} stopped{when}: {one.stopped}", "doubtful")


def _closing(result: ConsequencesResult, page: Page) -> None:
    for name, why in result.failed.items():
        page.line(f"asker {name} failed, and was not asked again: {why}", "bad")
    if not result.complete:
        page.line("interrupted: what was done until then is shown", "strong doubtful")
    page.line(f"seed {result.seed}; {result.command}", "quiet")
