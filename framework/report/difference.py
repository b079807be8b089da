"""`foliolab diff`: the difference of two results, on a page or as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from foliolab.framework.escaping import markdown as plain
from foliolab.framework.escaping import markdown_code
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
MOST_LOST: Final = 5
"""Cases that were not measured are named up to here, and counted beyond."""
MOST_ROWS: Final = 100
"""The rows of a table in a comment; hosts of pull requests refuse a comment above 64 KiB."""
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
    for text in lost(found):
        page.line(f"✗ {text}", "bad")
    page.line(summary(found), "strong bad" if found.failed else "strong")
    if found.kind == "compare":
        page.line(f"  {NOT_PAIRED}", "quiet")


def lost(found: Difference) -> list[str]:
    """A sentence for each case that was asked for and not measured, as far as a reader looks at them."""
    sentences = [f"not measured: {text}" for text in found.lost[:MOST_LOST]]
    more = len(found.lost) - MOST_LOST
    return [*sentences, f"not measured: {more} more"] if more > 0 else sentences


def summary(found: Difference) -> str:
    """How many cases have each verdict, in one line."""
    counts = _counts(found.cases)
    if not found.counted:
        return counts
    return f"times: {counts}; counted: {_counts(found.counted)}"


def _counts(cases: Sequence[Case]) -> str:
    words = dict.fromkeys(case.word for case in cases)
    return ", ".join(f"{sum(case.word == word for case in cases)} {word}" for word in words) or "nothing in common"


def _table(found: Difference, cases: Sequence[Case], unit: str, page: Page, everything: bool) -> None:
    shown = [case for case in cases if everything or case.word != "same"]
    if not shown:
        page.line("  all the same")
        return
    lines = [_cells(case) for case in shown]
    styles = [STYLES.get(case.word, "") for case in shown]
    if cases is found.cases and (mean := _mean(found)):
        lines.append(mean)
        styles.append("")
    headings = _headings(found, shown)
    columns = [
        Column(name, [page.text(line[at]) for line in lines], right=at >= len(headings) - 4)
        for at, name in enumerate(headings[:-1])
    ]
    words = [page.text(line[-1], style) for line, style in zip(lines, styles, strict=True)]
    page.tables(unit, [*columns, Column("", words)], [])


def _headings(found: Difference, cases: Sequence[Case]) -> list[str]:
    metric = ["metric"] if len(cases[0].key) > len(found.headings) else []
    return [*found.headings, *metric, "first", "second", "change, %", ""]


def _cells(case: Case) -> list[str]:
    """A case as texts, in the order of `_headings`."""
    word = f"{SIGNS.get(case.word, '')} {case.word}".strip()
    return [*case.key, _number(case.first), _number(case.second), _change(case), word]


def _mean(found: Difference) -> list[str]:
    """A line with the geometric mean of all cases; empty for exact figures, which may be 0."""
    if found.kind != "compare" or found.mean is None:
        return []
    ratio, number = found.mean
    return ["geometric mean", *[""] * (len(found.headings) + 1), change_text(ratio), f"{number} cases"]


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def _change(case: Case) -> str:
    if case.ratio is None or case.word == "same":
        return ""
    if case.low is None or case.high is None:
        return change_text(case.ratio)
    return f"{change_text(case.ratio)} ({change_text(case.low)} … {change_text(case.high)})"


# -- as a comment ------------------------------------------------------------------------------------
def markdown(found: Difference, names: tuple[str, str], everything: bool = False) -> str:
    """The difference as a comment on a pull request: the verdict, what changed, and the rest collapsed.

    Args:
        names, everything: as of `render`.
    """
    lines = [f"### {plain(names[1])} against {plain(names[0])}", "", f"**{summary(found)}**", ""]
    lines += [f"- **{plain(text)}**" for text in lost(found)]
    lines += [f"- {plain(note)}" for note in found.notes]
    tables = (found.unit, found.cases), ("counted, exactly", found.counted)
    for title, cases in tables:
        changed = [case for case in cases if case.word not in ("same", "undecided")]
        mean = _mean(found) if cases is found.cases else []
        lines += _markdown_table(found, changed, title, everything, mean)
    rest = [case for _, cases in tables for case in cases if case.word in ("same", "undecided")]
    if rest:
        lines += ["", "<details>", f"<summary>{_counts(rest)}</summary>"]
        for title, cases in tables:
            kept = [case for case in cases if case.word == "undecided" or (everything and case.word == "same")]
            lines += _markdown_table(found, kept, title, everything)
        lines += ["", "</details>"]
    lines += ["", "<details>", "<summary>How to repeat it</summary>", ""]
    lines += [
        f"- {name}: {markdown_code(text)}" for name, text in zip(("first", "second"), found.commands, strict=True)
    ]
    lines += ["", "</details>"]
    if found.kind == "compare":
        lines += ["", NOT_PAIRED]
    return "\n".join(line for i, line in enumerate(lines) if line or lines[i - 1]) + "\n"


def _markdown_table(
    found: Difference, cases: Sequence[Case], title: str, everything: bool, last: Sequence[str] = ()
) -> list[str]:
    if not cases:
        return []
    headings = _headings(found, cases)
    lines = ["", f"| {' | '.join([*headings[:-1], title])} |"]
    lines.append("|" + "---|" * (len(headings) - 4) + "--:|--:|--:|---|")
    rows = [_cells(case) for case in (cases if everything else cases[:MOST_ROWS])]
    if len(cases) > len(rows):
        rows.append([f"{len(cases) - len(rows)} more", *[""] * (len(headings) - 1)])
    return lines + [f"| {' | '.join(map(plain, row))} |" for row in [*rows, *([last] if last else [])]]
