"""`foliolab history`: the runs of a history, what changed in them and at which commit, and the trend of the times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from foliolab.framework.errors import FolioLabError, UsageError
from foliolab.framework.report.pages.page import Column, Page, Style
from foliolab.framework.report.result_files import load
from foliolab.framework.report.words import change_text
from foliolab.framework.results.difference import Case, difference
from foliolab.framework.results.history import Change, Kept, changes, kept, mean_against, ordered

LEVELS: Final = "▁▂▃▄▅▆▇█"
WIDE: Final = 40
"""The newest values of a curve are drawn, up to so many."""
STYLES: Final[dict[str, Style]] = {"faster": "good", "slower": "bad", "undecided": "doubtful"}


def read(paths: Sequence[Path]) -> tuple[list[Kept], list[str]]:
    """The results of files and folders in the order of time, and a sentence for each file that is none.

    Raises:
        UsageError: there is no result.
    """
    found, problems = [], []
    for path in paths:
        for file in sorted(path.glob("*.json")) if path.is_dir() else [path]:
            try:
                found.append(kept(file, load(file)))
            except FolioLabError as fault:
                problems.append(fault.what)
    if not found:
        raise UsageError(
            problems[0] if problems else f"there is no result in {', '.join(map(str, paths))}",
            "`foliolab compare --history DIR` keeps results there",
        )
    return ordered(found), problems


def render(history: Sequence[Kept], problems: Sequence[str], page: Page) -> None:
    """Write a history on a page, each kind of results for itself.

    Args:
        problems: sentences about files that were left out.
    """
    for kind in dict.fromkeys(one.result.kind for one in history):
        _kind([one for one in history if one.result.kind == kind], page)
    for text in problems:
        page.line(f"✗ left out: {text}", "bad")


def _kind(history: Sequence[Kept], page: Page) -> None:
    newest = history[-1]
    alike = [one for one in history if one.machine == newest.machine]
    page.line(f"{newest.result.kind}: {len(history)} runs, {history[0].label} to {newest.label}", "strong")
    page.line()
    _runs(history, alike, page)
    page.line()
    _changes(history, changes(history), page)
    if newest.times:
        page.line()
        _times(alike, page)
    page.line()


def _runs(history: Sequence[Kept], alike: Sequence[Kept], page: Page) -> None:
    machines = list(dict.fromkeys(one.machine for one in history))
    timed = any(one.times for one in history)
    rows = [
        [
            str(number), one.label, one.result.started, str(machines.index(one.machine) + 1),
            str(len(one.times) if timed else len(one.exact)), f"{len(one.result.lost)} lost" if one.result.lost else "",
            *([_mean(one.times, alike[0].times) if one.machine == alike[0].machine else ""] if timed else []),
        ]
        for number, one in enumerate(history, 1)
    ]  # fmt: skip
    headings = ["", "commit", "started", "machine", "cases", ""]
    headings += [f"times against {alike[0].label}"] if timed else []
    page.tables("", _columns(page, headings, rows, right=(0, 3, 4, 6)), [])
    if timed:
        page.line("  times: the geometric mean over the cases that both have, on the newest run's machine", "quiet")


def _mean(one: Mapping[tuple[str, ...], float], other: Mapping[tuple[str, ...], float]) -> str:
    found = mean_against(one, other)
    return f"{change_text(found[0])} % ({found[1]})" if found else ""


def _changes(history: Sequence[Kept], found: Sequence[Change], page: Page) -> None:
    if not found:
        page.line("No exact figure changed.", "strong")
        return
    rows = [
        [
            ", ".join(one.key), history[one.at].label, f"{one.before:.4g}", f"{one.after:.4g}",
            f"{one.last:.4g}", str(one.times),
        ]
        for one in found
    ]  # fmt: skip
    headings = ["figure", "first changed by", "from", "to", "now", "changes"]
    page.tables("Exact figures that changed", _columns(page, headings, rows, right=(2, 3, 4, 5)), [])


def _times(alike: Sequence[Kept], page: Page) -> None:
    first, last = alike[0], alike[-1]
    if first is last:
        page.line("Times: one run on this machine; two show a trend.", "quiet")
        return
    found = difference(first.result, last.result)
    cases = [case for case in found.cases if case.first is not None and case.second is not None]
    rows = [
        [
            ", ".join(case.key), f"{case.first:.4g}", f"{case.second:.4g}", _change(case),
            _curve([one.times.get(case.key) for one in alike], page.ascii), case.word,
        ]
        for case in cases
    ]  # fmt: skip
    headings = ["case", first.label, last.label, "change, %", "trend", ""]
    columns = _columns(page, headings, rows, right=(1, 2, 3))
    columns[-1].cells = [page.text(case.word, STYLES.get(case.word, "")) for case in cases]
    page.tables("Times, ns per page", columns, [])
    for note in found.notes:
        page.line(f"  {note}", "doubtful")


def _change(case: Case) -> str:
    return "" if case.ratio is None or case.word == "same" else change_text(case.ratio)


def _curve(values: Sequence[float | None], ascii_only: bool) -> str:
    """Values as a line of signs, from the smallest to the largest; a blank for a run without one."""
    shown = values[-WIDE:]
    there = [value for value in shown if value is not None]
    least, span = min(there), max(there) - min(there)
    signs = "01234567" if ascii_only else LEVELS
    return "".join(" " if one is None else signs[int(7 * (one - least) / span) if span else 3] for one in shown)


def _columns(
    page: Page, headings: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()
) -> list[Column]:
    return [Column(name, [page.text(row[at]) for row in rows], right=at in right) for at, name in enumerate(headings)]
