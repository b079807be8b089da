"""The walkthrough of a counterexample: threads as lanes, one access in each line."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec

from foliolab.framework.engine.policytree import policy_digest
from foliolab.framework.engine.truth import heads_of
from foliolab.framework.report.diagram import Diagram, Mark, diagram_of
from foliolab.framework.report.verify import machine_text
from foliolab.framework.report.walkthrough.drawing import MOST_PAGES, Drawing, Names, drawing, page_tables
from foliolab.framework.report.walkthrough.sources import Sources
from foliolab.framework.report.walkthrough.walkthrough import NOWHERE, Answer, Line, Value, Walkthrough
from foliolab.framework.verify.counterexample import Counterexample
from foliolab.framework.verify.field_names import field_of, value_text
from foliolab.framework.verify.laws import LAWS
from foliolab.framework.verify.timeline import Timeline

UNFOLDED: Final = 240
"""Lines up to which long runs of one thread are shown in full."""
MOST_LINES: Final = 320
"""Lines at most; of a longer run the middle is left out."""
MOST_FOLIOS: Final = 3
"""Folios that are drawn at most: those that change last."""


def walkthrough(timeline: Timeline, path: Path, most_lines: int = MOST_LINES) -> Walkthrough:
    """The walkthrough of a counterexample that was played.

    Args:
        timeline: its steps.
        path: the file that the walkthrough is written to, or that the counterexample is in: the command names it.
        most_lines: of the table.
    """
    example = timeline.counterexample
    diagram = diagram_of(timeline, unfolded=True)
    if len(diagram.marks) > min(UNFOLDED, most_lines):
        diagram = diagram_of(timeline, most_lines=most_lines)
    states = _States(timeline, diagram)
    sources = Sources(timeline.scheme)
    sources.question()
    lines = tuple(_lines(timeline, diagram, states, sources))
    drawn = {key for one in states.drawings for key in one.keys}
    others = {key: "" for line in lines for key, _ in line.values if key not in drawn} | states.others(drawn)
    mms = tuple(str(mm) for mm in range(diagram.nr_mms))
    return Walkthrough(
        title=f"{example.policy}: the law {example.law} {'is broken' if timeline.breaks else 'holds now'}",
        verdict=tuple(_verdict(timeline)),
        notes=tuple(_notes(timeline)),
        facts=tuple(_facts(timeline)),
        command=command(example, path),
        heads=diagram.heads,
        truth=("mapped by MM", mms),
        truth_column="MM",
        lines=lines,
        spans=diagram.spans,
        drawings=states.drawings,
        values=tuple((key, key) for key in others),
        sources=tuple(sources.found),
        start=states.start,
        counterexample=portable(example).encoded(),
    )


def command(example: Counterexample, path: Path) -> str:
    """The command that steps through a counterexample in a file, for whoever gets the file: without folders."""
    return shlex.join(portable(example).stepping(path.name))


def portable(example: Counterexample) -> Counterexample:
    """A counterexample that names its plugin without the folders of this machine."""
    return msgspec.structs.replace(example, plugin=Path(example.plugin).name) if example.plugin else example


def _verdict(timeline: Timeline) -> Iterator[Answer]:
    law = timeline.counterexample.law
    for violation in timeline.playback.violations:
        yield f"✗ law {violation.law} broken: {violation}", "strong bad"
        yield LAWS.get(violation.law, "unknown here"), ""
    if not timeline.breaks:
        yield f"The law {law}, for which this was kept, is not broken.", "strong good"


def _notes(timeline: Timeline) -> Iterator[str]:
    example = timeline.counterexample
    if example.message and not any(example.message in str(one) for one in timeline.playback.violations):
        yield f"Found as: {example.message}"
    if example.digest and example.digest != policy_digest(timeline.scheme):
        yield "The policy's text has changed since this was found."


def _facts(timeline: Timeline) -> Iterator[tuple[str, str]]:
    example = timeline.counterexample
    yield "policy", f"{example.policy}, text {policy_digest(timeline.scheme)}"
    if example.claim:
        yield "claim", example.claim
    yield "machine", machine_text(timeline)
    yield "found by", example.attack
    if example.schedule:
        yield "schedule", f"{example.schedule} (thread*accesses)"
    if example.command:
        yield "found with", example.command


# -- lines -------------------------------------------------------------------------------------------
def _lines(timeline: Timeline, diagram: Diagram, states: _States, sources: Sources) -> Iterator[Line]:
    for mark in diagram.marks:
        source = sources.at(mark.location) if mark.location else NOWHERE
        shown = replace(mark, location=Path(mark.location).name)
        yield Line(shown, states.changes(mark), source, (), _is_minor(timeline, mark))


def _is_minor(timeline: Timeline, mark: Mark) -> bool:
    if mark.step is None or mark.kind not in ("read", "write"):
        return False
    frame = timeline.frames[mark.step]
    in_tables = ".pte[" in frame.field or ".pmd[" in frame.field
    return frame.op != "flush" and not field_of(timeline.scheme, frame.field) and not (
        in_tables and frame.old != frame.new
    )  # fmt: skip


class _States:
    """What is stored, and how folios are mapped, after each line.

    Attributes:
        start: before the first line.
        drawings: of the folios that are drawn.
    """

    def __init__(self, timeline: Timeline, diagram: Diagram) -> None:
        self.timeline = timeline
        self._mms = {mm: f"MM {mm}" for mm in range(timeline.machine.shape.nr_mms)}
        self._folios: dict[int, tuple[Names, int]] = {}  # by head: names of its values, pages
        self._before: dict[str, str] = {}
        self.drawings = tuple(self._drawings(diagram))
        self._keys = {key for one in self.drawings for key in one.keys}
        self._before = self._at(-1)
        self.start = tuple(self._before.items())

    def changes(self, mark: Mark) -> tuple[Value, ...]:
        """The values that differ from those before a line."""
        if mark.last < 0:
            return ()
        now, before = self._at(mark.last), self._before
        self._before = now
        gone = [(key, "") for key in before if key not in now]
        return (*((key, text) for key, text in now.items() if before.get(key) != text), *gone)

    def others(self, drawn: set[str]) -> dict[str, str]:
        """The values before the first line that no drawing has."""
        return {key: "" for key, _ in self.start if key not in drawn}

    def _at(self, step: int) -> dict[str, str]:
        found = {
            name: value_text(name, value.value, value.stored)
            for name, value in self.timeline.values(step).items()
            if name in self._keys or value.stored.per == "mm"
        }
        machine = self.timeline.at(step)
        for head, (names, nr) in self._folios.items():
            found |= page_tables(machine, head, nr, names, self._mms)
        return found

    def _drawings(self, diagram: Diagram) -> Iterator[Drawing]:
        """The folio that the threads share; of a sequence, the folios that are mapped last."""
        timeline = self.timeline
        nr_pages: dict[int, int] = {}
        head, nr = timeline.folio
        if head >= 0:
            nr_pages[head] = nr
        else:
            for mark in diagram.marks:
                for found in timeline.mappings(mark.last) if mark.last >= 0 else ():
                    nr_pages.pop(found, None)  # the last ones stay at the end
                    nr_pages[found] = int(heads_of(timeline.machine)[1][found])
        for found, nr in sorted(list(nr_pages.items())[-MOST_FOLIOS:]):
            names = self._names_of(found)
            self._folios[found] = (names, nr)
            size = f"{nr} pages" + (f", the first {MOST_PAGES} are drawn" if nr > MOST_PAGES else "")
            yield drawing(f"folio {found} · {size}", timeline.scheme, names, nr, self._mms.values())

    def _names_of(self, head: int) -> Names:
        if head == self.timeline.folio[0]:
            return Names("", "folio", lambda number: f"page[{number}]")
        return Names("", f"folio{head}", lambda number: f"frame{head + number}")
