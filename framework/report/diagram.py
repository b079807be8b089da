"""The contents of a sequence diagram: marks on lanes, and the spans of locks and waits."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from foliolab.framework.verify.field_names import change_text, field_of
from foliolab.framework.verify.laws import LAWS
from foliolab.framework.verify.playback import Frame
from foliolab.framework.verify.timeline import Timeline

Kind = Literal["setup", "begin", "end", "read", "write", "lock", "unlock", "wait", "note"]
WORDS: Final[dict[str, str]] = {
    "setup": "set-up", "begin": "begins", "end": "answers", "read": "reads", "write": "writes", "lock": "takes a lock",
    "unlock": "releases a lock", "wait": "waits for a lock", "note": "",
}  # fmt: skip
_LOCK: Final = "test_and_set_bit_lock"


@dataclass(frozen=True)
class Mark:
    """A line of the diagram.

    Args:
        thread: the lane; -1 for the set-up, which spans all lanes.
        kind: what happens.
        text: the text beside the mark.
        state: the policy's field that changes, with its old and new value; empty if no field changes.
        step: the frame that the line shows; None for a line that shows no single frame.
        last: the last frame that the line includes; -1 for none.
        mappings: the number of mappings by MM, counted in the page tables; empty if they were not counted.
        location: file and line of the source.
    """

    thread: int
    kind: Kind
    text: str
    state: str = ""
    step: int | None = None
    last: int = -1
    mappings: tuple[int, ...] = ()
    location: str = ""

    @property
    def whole(self) -> str:
        """The text, with the field that changes."""
        operation, _, name = self.text.rpartition(" ")
        text = operation if self.state.startswith(f"{name}:") else self.text
        return f"{text} {self.state}".strip()

    @property
    def description(self) -> str:
        """The line as a text, for screen readers and tables."""
        who = "" if self.thread < 0 else f"thread {self.thread} "
        parts = [f"{who}{WORDS[self.kind]}".strip(), self.text, self.state]
        return ", ".join(part for part in parts if part)


@dataclass(frozen=True)
class Span:
    """The lines during which a thread holds a lock or waits for one.

    Args:
        thread: the lane.
        kind: holding or waiting.
        name: the field with the bit of the lock.
        first, last: lines of the diagram.
    """

    thread: int
    kind: Literal["lock", "wait"]
    name: str
    first: int
    last: int


@dataclass(frozen=True)
class Diagram:
    """A sequence diagram.

    Args:
        heads: for each lane its name and its operations.
        marks: the lines, in order of time.
        spans: locks and waits.
        nr_mms: MMs whose mappings are shown.
        broken: a sentence for each law that breaks.
    """

    heads: tuple[tuple[str, str], ...] = ()
    marks: tuple[Mark, ...] = ()
    spans: tuple[Span, ...] = ()
    nr_mms: int = 0
    broken: tuple[str, ...] = ()
    _lasts: list[int] = field(default_factory=list)

    def line_of(self, step: int) -> int:
        """The line that shows a frame, or into which the frame is folded."""
        found = bisect_left(self._lasts, step)
        return min(found, len(self.marks) - 1)

    def between(self, low: int, high: int) -> Diagram:
        """The lines of frames low to high, both included; the laws that break stand below the last frame only."""
        first, end = bisect_left(self._lasts, low), self.line_of(high) + 1
        while end < len(self.marks) and self._lasts[end] == self._lasts[end - 1]:
            end += 1  # lines that belong to the last frame, such as its changes
        spans = tuple(
            replace(span, first=max(span.first, first) - first, last=min(span.last, end - 1) - first)
            for span in self.spans
            if span.first < end and span.last >= first
        )
        broken = self.broken if end == len(self.marks) else ()
        return replace(self, marks=self.marks[first:end], spans=spans, broken=broken, _lasts=self._lasts[first:end])

    def is_later(self, line: int, step: int) -> bool:
        """Whether a line happens after a step."""
        at = line + 1 if self.marks[line].last < 0 and line + 1 < len(self.marks) else line
        return self._lasts[at] > step


def diagram_of(timeline: Timeline, all_accesses: bool = False, unfolded: bool = False, most_lines: int = 0) -> Diagram:
    """Make the diagram of a counterexample that was played.

    Args:
        timeline: its accesses and operations in order.
        all_accesses: also show accesses to statistics, MMs and free lists; for a sequence of operations, every access.
        unfolded: show a line for each access, also in long runs of one thread.
        most_lines: the lines to keep, if there are more: the first third of them, and the last; 0 for all.
    """
    from foliolab.framework.report.interleaving import rows_of

    marks: list[Mark] = []
    for row in rows_of(timeline, all_accesses, unfolded):
        if row.step is not None:
            marks.append(_mark(timeline, row.step, row.thread, row.text))
        elif row.last >= 0:
            marks.append(Mark(row.thread, "note", row.text, last=row.last, mappings=row.mappings))
        elif row.text.startswith("▸"):
            marks.append(Mark(row.thread, "begin", row.text.removeprefix("▸ ")))
        elif marks:  # what a whole operation changes, and its answer
            text = row.text.strip()
            last = marks[-1].last
            if text.startswith("= "):
                marks.append(Mark(row.thread, "note", text, last=last))
            else:
                marks += [Mark(row.thread, "note", "", change, last=last) for change in text.split("; ")]
    if 0 < most_lines < len(marks):
        marks = _cut(marks, most_lines)
    lasts = _lasts(marks)
    nr_mms = max((len(frame.mappings) for frame in timeline.frames), default=0)
    found = Diagram(_heads(timeline), tuple(marks), (), nr_mms, _broken(timeline), lasts)
    return replace(found, spans=tuple(_spans(timeline, found)))


def _cut(marks: list[Mark], most: int) -> list[Mark]:
    """The first third and the last of the marks, with a line for those between."""
    first = most // 3
    left_out = marks[first : len(marks) - (most - first - 1)]
    note = Mark(-1, "note", f"… {len(left_out):,} lines are left out …", last=max(one.last for one in left_out))
    return [*marks[:first], note, *marks[first + len(left_out) :]]


def _lasts(marks: Iterable[Mark]) -> list[int]:
    """The last frame of each line; a line without frames has that of the line before it."""
    found: list[int] = []
    for mark in marks:
        found.append(max(mark.last, found[-1] if found else -1))
    return found


def _heads(timeline: Timeline) -> tuple[tuple[str, str], ...]:
    threads = timeline.counterexample.threads
    if not timeline.threaded:
        return (("operations", "one after the other, each as a whole"),)
    return tuple((f"thread {number}", " · ".join(does)) for number, does in enumerate(threads))


def _broken(timeline: Timeline) -> tuple[str, ...]:
    found = timeline.playback.violations
    if not found:
        return (f"The law {timeline.counterexample.law} of this counterexample does not break any more.",)
    return tuple(f"✗ {violation.law} ({LAWS.get(violation.law, 'an unknown law')}): {violation}" for violation in found)


def _mark(timeline: Timeline, step: int, thread: int, text: str) -> Mark:
    frame = timeline.frames[step]
    if not frame.op:
        kind: Kind = "end" if text.startswith("= ") else "setup" if thread < 0 else "begin"
        return Mark(thread, kind, text, step=step, last=step, mappings=frame.mappings)
    state = ""
    stored = field_of(timeline.scheme, frame.field)
    if stored is not None and frame.old != frame.new:
        name = frame.field.removeprefix("folio.")
        state = f"{name}: {change_text(frame.field, frame.old, frame.new, stored)}"
        text = f"{frame.op} {name}"
    return Mark(thread, _kind(frame), text, state, step, step, frame.mappings, frame.location)


def _kind(frame: Frame) -> Kind:
    if frame.op == _LOCK:
        return "wait" if frame.old == frame.new else "lock"
    if frame.op.endswith("_unlock"):
        return "unlock"
    return "write" if frame.old != frame.new or frame.op == "flush" else "read"


def _spans(timeline: Timeline, diagram: Diagram) -> Iterable[Span]:
    """A span from the access that takes a lock to the one that releases it, and one for each wait."""
    held: dict[tuple[int, str], tuple[int, int]] = {}
    waits: dict[int, tuple[str, int]] = {}
    end = len(timeline.frames) - 1
    for step, frame in enumerate(timeline.frames):
        thread = frame.thread
        if frame.op == _LOCK and frame.old == frame.new:
            waits.setdefault(thread, (frame.field, step))
            continue
        if thread in waits and frame.old == frame.new and frame.field == waits[thread][0]:
            continue  # the thread checks whether the bit is clear now
        if thread in waits:
            name, first = waits.pop(thread)
            yield Span(thread, "wait", name, diagram.line_of(first), diagram.line_of(step))
        if frame.op == _LOCK:
            held[thread, frame.field] = (step, frame.old ^ frame.new)
        first, bit = held.get((thread, frame.field), (-1, 0))
        if first >= 0 and frame.op and not frame.new & bit:
            del held[thread, frame.field]
            yield Span(thread, "lock", frame.field, diagram.line_of(first), diagram.line_of(step))
    for (thread, name), (first, _) in held.items():
        yield Span(thread, "lock", name, diagram.line_of(first), diagram.line_of(end))
    for thread, (name, first) in waits.items():
        yield Span(thread, "wait", name, diagram.line_of(first), diagram.line_of(end))
