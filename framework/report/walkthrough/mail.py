"""A walkthrough as plain text for a mail: at most 72 columns, in ASCII, with what matters only."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Final

from foliolab.framework.escaping import line as one_line
from foliolab.framework.report.pages.signs import writable
from foliolab.framework.report.walkthrough.walkthrough import Line, Walkthrough

WIDTH: Final = 72
"""Columns at most; a word that is longer is broken, but for the command, which must stay whole."""
STEP: Final = 5
"""Columns of the number of a step, at least."""
MM: Final = 4
"""Columns of the mappings of an MM."""
MOST_LANES: Final = 3
"""Lanes that stand side by side at most; the lines of more begin with the name of theirs."""
MOST_MMS: Final = 4
LEAST_LANE: Final = 18


def mail(walk: Walkthrough) -> str:
    """A walkthrough as text for a mail, of at most 72 columns."""
    lines = [*_wrapped(walk.title), ""]
    for text, _ in walk.verdict:
        lines += _wrapped(text)
    for text in walk.notes:
        lines += _wrapped(text)
    lines += ["", *_Table(walk).lines(), ""]
    if any(one.minor for one in walk.lines):
        lines += [*_wrapped(f"Left out: {walk.minor_lines}."), ""]
    for heading, text in walk.facts:
        lines += _wrapped(f"{heading}: {text}", "  ")
    lines += ["", "Repeat it:", f"  {_plain(walk.command)}"]
    return "\n".join(text.rstrip() for text in lines) + "\n"


def _plain(text: str) -> str:
    return writable(one_line(text), "ascii")


def _wrapped(text: str, further: str = "") -> list[str]:
    return textwrap.wrap(_plain(text), WIDTH, subsequent_indent=further) or [""]


class _Table:
    """The lines of a walkthrough, lanes side by side, with the truth at the right."""

    def __init__(self, walk: Walkthrough) -> None:
        self.walk = walk
        self.mms = len(walk.truth[1]) if len(walk.truth[1]) <= MOST_MMS else 0
        self.step = max([STEP, *(len(str(line.mark.step)) for line in walk.lines if line.mark.step is not None)])
        room = WIDTH - self.step - 1 - MM * self.mms
        lanes = len(walk.heads) if len(walk.heads) <= MOST_LANES and not walk.policies else 1
        self.lanes = lanes if room // max(lanes, 1) >= LEAST_LANE else 1
        self.room = room // max(self.lanes, 1)
        self.named = self.lanes < len(walk.heads)

    def lines(self) -> Iterator[str]:
        heads = [name for name, _ in self.walk.heads] if not self.named else ["step by step"]
        mms = [f"{self.walk.truth_column}{name}".replace(" ", "")[: MM - 1] for name in self.walk.truth[1][: self.mms]]
        yield self._row("step", [[_plain(head)] for head in heads], mms)[0]
        yield "-" * WIDTH
        before: tuple[int, ...] = ()
        for one in self.walk.lines:
            if one.minor:
                continue
            yield from self._line(one, before)
            before = one.mark.mappings or before
        if self.mms:
            yield ""
            yield from _wrapped(f"At the right: {self.walk.truth[0]}, by the page tables, where that changes.")

    def _line(self, line: Line, before: tuple[int, ...]) -> list[str]:
        mark = line.mark
        texts = [f"{'> ' if mark.kind == 'begin' else ''}{mark.whole}"]
        answers = zip(self.walk.policies, line.answers, strict=False)
        texts += [f"  {policy}: {text}" for policy, (text, _) in answers if text]
        lane = mark.thread
        if self.named and lane >= 0:
            texts[0] = f"{self.walk.heads[lane][0]}: {texts[0]}"
        whole = lane < 0
        room = self.room * self.lanes if whole else self.room
        cell = [part for text in texts for part in self._cell(text, room - 1)]
        cells: list[list[str]] = [[] for _ in range(self.lanes)]
        cells[0 if whole or self.named else lane] = cell
        truth = [str(n or ".") for n in mark.mappings[: self.mms]] if mark.mappings != before else []
        return self._row("" if mark.step is None else str(mark.step), cells, truth, whole)

    def _cell(self, text: str, room: int) -> list[str]:
        lead = " " * (len(text) - len(text.lstrip()))
        found = textwrap.wrap(_plain(text), room - len(lead) - 2, subsequent_indent="  ") or [""]
        return [lead + part for part in found]

    def _row(self, step: str, cells: list[list[str]], truth: list[str], whole: bool = False) -> list[str]:
        height = max(1, *(len(cell) for cell in cells))
        rows = []
        for at in range(height):
            parts = [cell[at] if at < len(cell) else "" for cell in cells]
            room = self.room * self.lanes if whole else self.room
            body = "".join(part.ljust(room) for part in parts[: 1 if whole else None])
            end = "".join(text.rjust(MM) for text in truth) if at == 0 else ""
            rows.append(f"{step if at == 0 else '':>{self.step}} {body}{end}".rstrip())
        return rows
