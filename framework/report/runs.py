"""Several replays of one program's recordings: the answer over all of them, and a row for each, with the spread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median
from typing import Final

from foliolab.framework.replay.result import YARDSTICK, Replayed, ReplayResult, Spared
from foliolab.framework.report.answer import answer, subject
from foliolab.framework.report.pages.page import Column, Page
from foliolab.framework.report.words import duration_text, share_text

NONE: Final = "-"
Row = tuple[float | None, ...]
FORMS: Final[tuple[tuple[str, Callable[[float], str]], ...]] = (
    ("writes to\nlarge folios", lambda value: f"{value:,.0f}"),
    (f"copies beyond\n{YARDSTICK}", lambda value: f"{value:,.0f}"),
    ("false shared,\nfolios x time", lambda value: share_text(value, 1)),
    ("longest", lambda value: duration_text(value) if value else "0"),
    ("MMs on a folio,\nat most", lambda value: f"{value:,.0f}"),
    ("unlike the\nkernel, certain", lambda value: f"{value:,.0f}"),
)
"""The columns: a heading, and how a number is written."""


def render(results: Sequence[ReplayResult], page: Page) -> None:
    """Write the results of several traces on a page."""
    if sentences := answer(results):
        page.line("The answer", "strong")
        for sentence in sentences:
            page.line(f"  {sentence}")
        page.line()
    judged = [subject(result) for result in results]
    rows = [_row(result, one) for result, one in zip(results, judged, strict=True)]
    names = [result.recording.path for result in results]
    spread: list[tuple[str, Callable[[Sequence[float]], float]]] = [("least", min), ("median", median), ("most", max)]
    columns = [Column("run", [page.text(name) for name in [*names, *(word for word, _ in spread)]])]
    for at, (heading, form) in enumerate(FORMS):
        held = [value for row in rows if (value := row[at]) is not None]
        cells = [NONE if row[at] is None else form(row[at] or 0) for row in rows]
        cells += [form(of(held)) if held else NONE for _, of in spread]
        columns.append(Column(heading, [page.text(cell) for cell in cells], right=True))
    of = next((one.policy for one in judged if one is not None), "no policy")
    page.tables(f"Run by run ({of})", columns, [], [len(names) - 1])
    page.line()
    said = [(note, result.recording.path) for result in results for note in result.notes]
    for note in dict.fromkeys(note for note, _ in said):
        where = [path for other, path in said if other == note]
        page.line(f"note{'' if len(where) == len(results) else ', ' + ', '.join(where)}: {note}")
    for result in results:
        if not result.complete:
            page.line(f"{result.recording.path}: interrupted", "strong doubtful")


def _row(result: ReplayResult, one: Replayed | None) -> Row:
    """The figures of a run; None where there is none."""
    if one is None:
        return tuple(None for _ in FORMS)
    best = result.yardstick
    beyond = Spared.by(one, best, None) if best is not None and one.whole else None
    same, known = one.agreement(True)
    return (
        one.count("large"), None if beyond is None else beyond.large + beyond.small, one.false_share,
        one.false_shared.longest, max(one.most_owners, len(one.owner_ns)), known - same if one.recorded else None,
    )  # fmt: skip
