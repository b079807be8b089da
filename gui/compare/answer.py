"""The answer to one question about one policy: a word, a figure, a small curve, and the evidence behind them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

Tone = Literal["good", "doubtful", "bad", "quiet"]
SIGNS: Final[dict[Tone, str]] = {"good": "✓", "doubtful": "▲", "bad": "✗", "quiet": "–"}
"""What stands beside a verdict, so that colour is never alone."""


@dataclass(frozen=True)
class Question:
    """A column of the matrix.

    Args:
        name: unique.
        title: one or two words.
        asks: the question, as one sentence.
        workspace: shows more.
        takes_time: whether its answer has to be measured.
    """

    name: str
    title: str
    asks: str
    workspace: str
    takes_time: bool = True


QUESTIONS: Final = (
    Question("right", "Right", "Does it keep what it claims under every attack?", "verify"),
    Question("precise", "Precise", "How often does it call an exclusive folio shared?", "explore"),
    Question("cost", "Cost", "What do mapping, unmapping and fork take, next to the baseline?", "benchmark"),
    Question("memory", "Memory", "What does it store per folio, and per MM?", "policies", takes_time=False),
    Question("proc", "What /proc shows", "How far are PSS, USS and the others from the page tables?", "explore"),
)


@dataclass(frozen=True)
class Curve:
    """A small curve, or a row of marks.

    Args:
        points: (label of x, value); the labels are evenly spaced.
        x, y: what the axes show.
        low, high: bounds of each value; empty where there is no uncertainty.
        level: a value to draw a line at, such as the baseline's; None for none.
        marks: draw each value as one mark, good (1), undecided (0) or bad (-1), instead of a curve.
    """

    points: tuple[tuple[str, float], ...]
    x: str = ""
    y: str = ""
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    level: float | None = None
    marks: bool = False


NOTHING: Final = Curve(())


@dataclass(frozen=True)
class Answer:
    """What is known.

    Args:
        word: the verdict in a word or two.
        tone: what it means.
        figure: a number with its unit, as text.
        caption: what the figure is of, in a few words.
        sentence: the same as a whole sentence, with what it rests on.
        curve: a small one.
        headings, rows: the evidence as a table.
        command: the words of the command that repeats it.
        old: why the answer is out of date, in a few words; empty if it is not.
        known: whether there is an answer at all.
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

    @property
    def sign(self) -> str:
        """What stands beside the word."""
        return SIGNS[self.tone]

    @property
    def told(self) -> str:
        """One line, for accessible texts and tables."""
        parts = [self.word, self.figure, self.caption, self.old]
        return ", ".join(part for part in parts if part)


def unknown(command: tuple[str, ...] = (), why: str = "") -> Answer:
    """Nothing has been measured yet."""
    sentence = why or "This has not been measured on this machine yet. Press M to measure this cell."
    return Answer("not measured", sentence=sentence, command=command, known=False)


def failed(why: str, command: tuple[str, ...] = ()) -> Answer:
    """It was tried, and could not be done."""
    return Answer("failed", "bad", "", "see the evidence", why, command=command, known=False)
