"""The parts of a walkthrough: its lines, what is stored and what is true after each, and the text that did it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from foliolab.framework.report.diagram import Mark, Span
from foliolab.framework.report.pages.page import Style
from foliolab.framework.report.walkthrough.drawing import Drawing

Answer = tuple[str, Style]
"""What a policy answers after a step, and what that means."""
Value = tuple[str, str]
"""What is stored at a key of a drawing, or beside it: (key, text); an empty text where nothing is stored any more."""
NOWHERE: Final = (-1, 0)


@dataclass(frozen=True)
class Line:
    """A line of the table.

    Args:
        mark: the lane, what happens in it, and the mappings by the page tables afterwards.
        values: what differs from the line before.
        source: (index of the source, line number) of the text that did it; NOWHERE without one.
        answers: of each policy, if they are asked.
        minor: whether it can be left out: it shows an access that changes no field of the policy and no page table.
    """

    mark: Mark
    values: tuple[Value, ...] = ()
    source: tuple[int, int] = NOWHERE
    answers: tuple[Answer, ...] = ()
    minor: bool = False


@dataclass(frozen=True)
class Source:
    """A function of the text that ran.

    Args:
        file: the file's name, without folders.
        name: of the function; empty for a whole file.
        first_line: the number of its first line.
        text: its lines; empty where the text may not be passed on.
    """

    file: str
    name: str
    first_line: int
    text: str


@dataclass(frozen=True, kw_only=True)
class Walkthrough:
    """A run, step by step.

    Args:
        title: one line.
        verdict: what the run shows, and what that means; a law that breaks, for example.
        notes: further sentences on it.
        facts: (heading, text) about the run.
        command: the command line that repeats it.
        heads: for each lane its name and what it does.
        truth: (heading, the names of its columns) of the mappings by the page tables.
        truth_column: what stands above each of those names; may be empty.
        policies: those that are asked after each step, if they are.
        lines: in order of time.
        spans: locks and waits, by lines.
        drawings: of the folios.
        values: fields that no drawing has, such as those of MMs: (key, name).
        sources: the functions that ran.
        start: what is stored before the first line.
        counterexample: its file, to be repeated; empty without one.
    """

    title: str
    verdict: tuple[Answer, ...]
    notes: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    command: str
    heads: tuple[tuple[str, str], ...]
    truth: tuple[str, tuple[str, ...]]
    truth_column: str = ""
    policies: tuple[str, ...] = ()
    lines: tuple[Line, ...]
    spans: tuple[Span, ...] = ()
    drawings: tuple[Drawing, ...] = ()
    values: tuple[tuple[str, str], ...] = ()
    sources: tuple[Source, ...] = ()
    start: tuple[Value, ...] = ()
    counterexample: bytes = b""
    end: dict[str, str] = field(init=False)
    """What is stored after the last line, by key."""

    @property
    def minor_lines(self) -> str:
        """Which lines are folded unless the reader asks for all."""
        if self.policies:
            return "steps that change no large folio"
        return "accesses that change neither a field of the policy nor a page table"

    def __post_init__(self) -> None:
        stored = dict(self.start)
        for line in self.lines:
            stored.update(line.values)
        object.__setattr__(self, "end", {key: text for key, text in stored.items() if text})
