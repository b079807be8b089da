"""The answer to one question about one policy: a word, a figure, a small curve, and the evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

Tone = Literal["good", "doubtful", "bad", "quiet"]
SIGNS: Final[dict[Tone, str]] = {"good": "✓", "doubtful": "▲", "bad": "✗", "quiet": "–"}
"""Stands beside a verdict, so that colour alone never carries it."""


@dataclass(frozen=True)
class Question:
    """A column of the matrix.

    Args:
        name: unique.
        title: one or two words.
        asks: the question as a sentence.
        workspace: the name of the workspace that shows more.
        takes_time: whether the answer is measured.
    """

    name: str
    title: str
    asks: str
    workspace: str
    takes_time: bool = True


QUESTIONS: Final = (
    Question("right", "Right", "Does the policy keep its claims under all attacks?", "verify"),
    Question("precise", "Precise", "How often does the policy call an exclusive folio shared?", "explore"),
    Question("cost", "Cost", "How long do mapping, unmapping and fork take, compared with the baseline?", "benchmark"),
    Question("memory", "Memory", "How much does the policy store per folio and per MM?", "policies", takes_time=False),
    Question("proc", "What /proc shows", "How far are PSS, USS and the other figures from the page tables?", "explore"),
)


def question_named(name: str) -> Question:
    """The question with this name, which must exist."""
    return next(question for question in QUESTIONS if question.name == name)


@dataclass(frozen=True)
class Curve:
    """A small curve, or a row of marks.

    Args:
        points: labels of x with their values; the labels are evenly spaced.
        x, y: titles of the axes.
        low, high: the bounds of each value; empty if the values are exact.
        level: the value of a horizontal line, such as that of the baseline; None for no line.
        marks: draw a mark for each value, good (1), undecided (0) or bad (-1), instead of a curve.
        second: the values of a second line, such as that of another workload; empty for none.
        names: what the first and the second line are; empty for one line.
        top: the value at the upper edge, if curves of several answers share a scale; None for the curve's own.
    """

    points: tuple[tuple[str, float], ...]
    x: str = ""
    y: str = ""
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    level: float | None = None
    marks: bool = False
    second: tuple[float, ...] = ()
    names: tuple[str, ...] = ()
    top: float | None = None


NOTHING: Final = Curve(())
Figure = str | tuple[str, int]
FALSE_SHARED: Final = "false shared"
UNSAFE: Final = "unsafe"
BADGE: Final = "reference"
"""Stands at an answer of the shipped reference result: nothing was measured on this host."""


@dataclass(frozen=True)
class Answer:
    """The answer of a cell.

    Args:
        word: the verdict in a word or two.
        tone: whether the verdict is good.
        figure: a number with its unit, as a text.
        caption: says in a few words what the figure is.
        sentence: the verdict as a sentence, with its basis.
        curve: a small curve.
        headings, rows: the evidence as a table.
        command: the words of the command line that repeats the measurement; empty if none does.
        old: why the answer is out of date, in a few words; empty if it is not.
        known: whether the question is answered.
        reference: where and when the shipped reference result was measured, if the answer is of it; empty if the
            answer is of this host.
        values: the figures as numbers, by what they are: shares of the time (`FALSE_SHARED`, `UNSAFE`), and ratios to
            the baseline by workload and by (workload, size in KiB).
    """

    word: str
    tone: Tone = "quiet"
    figure: str = ""
    caption: str = ""
    sentence: str = ""
    curve: Curve = NOTHING
    headings: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = field(default=(), repr=False)
    command: tuple[str, ...] = ()
    old: str = ""
    known: bool = True
    reference: str = ""
    values: Mapping[Figure, float] = field(default_factory=dict, repr=False)

    @property
    def sign(self) -> str:
        """The sign beside the word."""
        return SIGNS[self.tone]

    @property
    def text(self) -> str:
        """One line, for screen readers and tables."""
        parts = [self.word, self.figure, self.caption, self.old, self.reference and BADGE]
        return ", ".join(part for part in parts if part)


def unknown(command: tuple[str, ...] = (), why: str = "") -> Answer:
    """The answer of a cell that is not measured."""
    sentence = why or "This is not measured on this host yet. Press M to measure the cell."
    return Answer("not measured", sentence=sentence, command=command, known=False)


def failed(why: str, command: tuple[str, ...] = ()) -> Answer:
    """The answer of a cell whose measurement failed."""
    return Answer("failed", "bad", "", "see the evidence", why, command=command, known=False)
