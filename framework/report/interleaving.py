"""The table of a counterexample: threads as columns, one access in each line, and the truth from the page tables."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from foliolab.framework.report.pages.page import Column, Page, Style, Words
from foliolab.framework.verify.field_names import change_text, field_of, value_text
from foliolab.framework.verify.laws import LAWS
from foliolab.framework.verify.playback import Frame
from foliolab.framework.verify.timeline import Change, Timeline, Value

LONG: Final = 12
"""A longer run of one thread's accesses has its middle folded into one line."""
ENDS: Final = 4
"""Accesses that stay visible at each end of a folded run."""
WIDE: Final = 150
"""Columns of output from which the table has room for the location of each access."""
MOST_CHANGES: Final = 6
"""Changes that one line names at most."""
_SHARED: Final = re.compile(r"(folio|page|frame|mm\d+\.(pte|pmd)\[)")
_NUMBERED: Final = re.compile(r"(?P<owner>page|frame)\[?(?P<number>\d+)\]?(?P<rest>\..*)")


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Args:
        thread: whose column it is in; -1 for the set-up, which is in the first column.
        step: its number; None for a line that is not a step.
        mappings: the truth after the step, by MM.
        location: file and line in the policy's text.
        access: whether it is an access. Only accesses are folded.
        last: the last step that the line covers.
    """

    thread: int
    text: str
    style: Style = ""
    step: int | None = None
    mappings: tuple[int, ...] = ()
    location: str = ""
    access: bool = False
    last: int = -1


def render(timeline: Timeline, page: Page, all_accesses: bool = False, unfolded: bool = False) -> None:
    """Write the table, and below it the law that breaks.

    Args:
        timeline: the counterexample, played.
        all_accesses: show accesses to statistics, MMs and free lists, too; for a sequence, show accesses at all.
        unfolded: do not fold long runs.
    """
    _print(timeline, rows_of(timeline, all_accesses, unfolded), page)
    page.line()
    broken(timeline, page)


def broken(timeline: Timeline, page: Page) -> None:
    """Write the laws that broke, in words."""
    law = timeline.counterexample.law
    for violation in timeline.playback.violations:
        page.line(f"✗ the law `{violation.law}` is broken: {LAWS.get(violation.law, 'unknown here')}", "strong bad")
        page.line(f"  {violation}")
    if not timeline.breaks:
        page.line(f"The law `{law}`, for which this was kept, is not broken.", "strong")


# -- rows ----------------------------------------------------------------------------------------
def rows_of(timeline: Timeline, all_accesses: bool = False, unfolded: bool = False) -> list[Row]:
    """The lines of the table; arguments as of `render`."""
    rows = _threads(timeline, all_accesses) if timeline.threaded else _sequence(timeline, all_accesses)
    return rows if unfolded else _fold(timeline, rows)


def _threads(timeline: Timeline, all_accesses: bool) -> list[Row]:
    rows: list[Row] = []
    running: dict[int, bool] = {}
    for step, frame in enumerate(timeline.frames):
        if frame.thread < 0:
            answer = f" = {frame.answer}" if frame.answer not in ("", "None") else ""
            rows.append(Row(-1, f"set-up: {frame.operation}{answer}", "quiet", step, last=step))
            continue
        if not running.get(frame.thread):
            rows.append(Row(frame.thread, f"▸ {frame.operation}", "strong"))
            running[frame.thread] = True
        if not frame.op:
            rows.append(Row(frame.thread, f"= {frame.answer}", "strong", step, frame.mappings, last=step))
            running[frame.thread] = False
        elif all_accesses or is_shared(frame):
            rows.append(_access(timeline, step, frame))
    return rows


def is_shared(frame: Frame) -> bool:
    """Whether an access is shown by default: it is to struct pages or page tables, or drains a store buffer."""
    return bool(_SHARED.match(frame.field)) or frame.op == "flush"


def _access(timeline: Timeline, step: int, frame: Frame) -> Row:
    style: Style = "name" if frame.old != frame.new and field_of(timeline.scheme, frame.field) else ""
    location = short_location(frame.location)
    return Row(frame.thread, access_text(timeline, frame), style, step, frame.mappings, location, True, step)


def access_text(timeline: Timeline, frame: Frame) -> str:
    """An access in words: primitive, field, old and new value."""
    if frame.op == "flush":
        return "(its oldest waiting store takes effect)"
    stored = field_of(timeline.scheme, frame.field)
    name = frame.field.removeprefix("folio.")
    if frame.old != frame.new:
        return f"{frame.op} {name}: {change_text(frame.field, frame.old, frame.new, stored)}"
    return f"{frame.op} {name} = {value_text(frame.field, frame.new, stored)}"


def _sequence(timeline: Timeline, all_accesses: bool) -> list[Row]:
    rows: list[Row] = []
    first = 0
    for step, frame in enumerate(timeline.frames):
        if frame.op:
            if all_accesses:
                rows.append(_access(timeline, step, frame))
            continue
        changes = changes_text(timeline.changes(first, step))
        rows.append(Row(frame.thread, frame.operation, "strong", step, frame.mappings, last=step))
        rows += [Row(frame.thread, f"  {text}", "name") for text in ([changes] if changes else [])]
        rows += [Row(frame.thread, f"  = {frame.answer}") for _ in range(bool(frame.answer))]
        first = step + 1
    return rows


def _fold(timeline: Timeline, rows: Sequence[Row]) -> list[Row]:
    """Fold the middle of each long run of one thread's accesses into one line."""
    folded: list[Row] = []
    start = 0
    while start < len(rows):
        end = start
        while end < len(rows) and rows[end].access and rows[end].thread == rows[start].thread:
            end += 1
        run = rows[start : max(end, start + 1)]
        if len(run) > LONG:
            middle = run[ENDS:-ENDS]
            run = [*run[:ENDS], _summary(timeline, middle), *run[-ENDS:]]
        folded += run
        start = max(end, start + 1)
    return folded


def _summary(timeline: Timeline, rows: Sequence[Row]) -> Row:
    first, last = rows[0], rows[-1]
    what = changes_text(timeline.changes(first.last, last.last)) or "no field of the policy changes"
    text = f"… {len(rows)} accesses of thread {first.thread}: {what} …"
    return Row(first.thread, text, "quiet", None, last.mappings, last=last.last)


def short_location(location: str) -> str:
    """File and line without the folders."""
    return Path(location).name


# -- values --------------------------------------------------------------------------------------
def changes_text(changes: Sequence[Change]) -> str:
    """Changes in words; equal changes of neighbouring pages are one text."""
    parts = [(change.name, change_text(change.name, change.old, change.new, change.stored)) for change in changes]
    texts = [f"{name.removeprefix('folio.')}: {text}" for name, text in _together(parts)]
    more = len(texts) - MOST_CHANGES
    return "; ".join(texts[:MOST_CHANGES] + ([f"and {more} more"] if more > 0 else []))


def values_text(values: Sequence[Value]) -> list[str]:
    """The policy's fields in words; equal values of neighbouring pages are one text."""
    parts = [(value.name, value_text(value.name, value.value, value.stored)) for value in values]
    return [f"{name} = {text}" for name, text in _together(parts)]


def _together(parts: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Names with texts; neighbouring pages with the same text get one name."""
    found: list[tuple[str, str]] = []
    held: tuple[str, str, str] | None = None  # owner, what follows its number, text
    first = last = 0
    for name, text in parts:
        match = _NUMBERED.fullmatch(name)
        if match and held == (match["owner"], match["rest"], text) and int(match["number"]) == last + 1:
            last += 1
            found[-1] = (f"{match['owner']}[{first}–{last}]{match['rest']}", text)
            continue
        held = (match["owner"], match["rest"], text) if match else None
        first = last = int(match["number"]) if match else 0
        found.append((name, text))
    return found


# -- the table -----------------------------------------------------------------------------------
def _print(timeline: Timeline, rows: Sequence[Row], page: Page) -> None:
    threads = len(timeline.counterexample.threads)
    nr_mms = max((len(frame.mappings) for frame in timeline.frames), default=0)
    wide = page.width >= WIDE
    step = Column("step", [page.text("" if row.step is None else str(row.step)) for row in rows], right=True)
    if threads > 1:
        columns = [Column(f"thread {number}", [_cell(row, number, page) for row in rows]) for number in range(threads)]
    else:
        columns = [Column("operation" if not timeline.threaded else "thread 0", [_cell(row, 0, page) for row in rows])]
    truth = Column(_truth_heading(nr_mms), _truth(rows, nr_mms, page))
    where = [Column("where", [page.text(row.location, "quiet") for row in rows])] if wide and timeline.threaded else []
    for column in (step, *columns, truth, *where):
        column.vertical = "top"
    page.tables("", [step], [[*columns, truth, *where]])


def _cell(row: Row, thread: int, page: Page) -> Words:
    return page.text(row.text, row.style) if max(row.thread, 0) == thread else page.text("")


def _truth_heading(nr_mms: int) -> str:
    return "mapped by MM\n" + " ".join(f"{mm:>3}" for mm in range(nr_mms))


def _truth(rows: Sequence[Row], nr_mms: int, page: Page) -> list[Words]:
    """The mappings by MM; quiet if they are as in the line before."""
    cells: list[Words] = []
    before: tuple[int, ...] = ()
    for row in rows:
        if not row.mappings:
            cells.append(page.text(""))
            continue
        text = " ".join(f"{n or '·':>3}" for n in row.mappings[:nr_mms])
        cells.append(page.text(text, "quiet" if row.mappings == before else "strong"))
        before = row.mappings
    return cells
