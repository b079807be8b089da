"""`foliolab diff`: the difference of two results, on a page or as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from foliolab.framework.report.pages.page import Column, Page, Style
from foliolab.framework.report.words import change_text

if TYPE_CHECKING:
    from foliolab.framework.results.difference import Case, Difference

SIGNS: Final = {"faster": "▼", "lower": "▼", "slower": "▲", "higher": "▲", "same": "=", "undecided": "?"}
STYLES: Final[dict[str, Style]] = {
    "faster": "good",
    "lower": "good",
    "slower": "bad",
    "higher": "bad",
    "undecided": "doubtful",
}
NOT_PAIRED: Final = "Times of two runs were not measured in turn: they are a hint, and never fail a comparison."


def render(found: Difference, names: tuple[str, str], page: Page, everything: bool = False) -> None:
    """Write a difference on a page.

    Args:
        names: of the two files.
        everything: show cases that are the same, too.
    """
    page.line(f"{names[1]} against {names[0]} ({found.kind})", "strong")
    for note in found.notes:
        page.line(f"  {note}", "doubtful")
    page.line()
    _table(found, found.cases, found.unit, page, everything)
    if found.counted:
        page.line()
        page.line("Counted, exactly", "strong")
        _table(found, found.counted, "", page, everything)
    page.line()
    page.line(summary(found), "strong bad" if found.worse else "strong")
    if found.kind == "compare":
        page.line(f"  {NOT_PAIRED}", "quiet")


def summary(found: Difference) -> str:
    """How many cases have each verdict, in one line."""
    counts = _counts(found.cases)
    if not found.counted:
        return counts
    return f"times: {counts}; counted: {_counts(found.counted)}"


def _counts(cases: Sequence[Case]) -> str:
    words = dict.fromkeys(case.word for case in cases)
    return ", ".join(f"{sum(case.word == word for case in cases)} {word}" for word in words) or "nothing in common"


def _table(found: Difference, cases: Iterable[Case], unit: str, page: Page, everything: bool) -> None:
    shown = [case for case in cases if everything or case.word != "same"]
    if not shown:
        page.line("  all the same")
        return
    headings = found.headings if len(shown[0].key) == len(found.headings) else (*found.headings, "metric")
    columns = [Column(name, [page.text(case.key[i]) for case in shown]) for i, name in enumerate(headings)]
    columns += [
        Column("first", [page.text(_number(case.first)) for case in shown], right=True),
        Column("second", [page.text(_number(case.second)) for case in shown], right=True),
        Column("change, %", [page.text(_change(case)) for case in shown], right=True),
        Column("", [page.text(f"{SIGNS.get(case.word, '')} {case.word}", STYLES.get(case.word, "")) for case in shown]),
    ]
    page.tables(unit, columns, [])


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def _change(case: Case) -> str:
    if case.ratio is None or case.word == "same":
        return ""
    if case.low is None or case.high is None:
        return change_text(case.ratio)
    return f"{change_text(case.ratio)} ({change_text(case.low)} … {change_text(case.high)})"


def markdown(found: Difference, names: tuple[str, str], everything: bool = False) -> str:
    """The difference as Markdown, for a pull request; arguments as of `render`."""
    lines = [f"### {names[1]} against {names[0]}", "", f"**{summary(found)}**", ""]
    lines += [*(f"- {note}" for note in found.notes), *([""] if found.notes else [])]
    for title, cases in ((found.unit, found.cases), ("counted, exactly", found.counted)):
        shown = [case for case in cases if everything or case.word != "same"]
        if not shown:
            continue
        headings = found.headings if len(shown[0].key) == len(found.headings) else (*found.headings, "metric")
        lines += [f"| {' | '.join(headings)} | first | second | change, % | {title} |"]
        lines += ["|" + "---|" * len(headings) + "--:|--:|--:|---|"]
        lines += [
            f"| {' | '.join(case.key)} | {_number(case.first)} | {_number(case.second)} | {_change(case)} "
            f"| {SIGNS.get(case.word, '')} {case.word} |"
            for case in shown
        ]
        lines.append("")
    if found.kind == "compare":
        lines.append(NOT_PAIRED)
    return "\n".join(lines).rstrip() + "\n"
