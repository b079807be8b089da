"""What a sequence diagram shows of a counterexample: marks on lanes, locks and waits between them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal

from foliolab.framework.verify.field_names import change_text, field_of
from foliolab.framework.verify.laws import LAWS
from foliolab.framework.verify.playback import Frame
from foliolab.framework.verify.timeline import Course

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
        thread: in whose lane; -1: the set-up, across all of them.
        kind: what it is.
        text: what stands beside the mark.
        state: the field of the policy that it changes, with old and new value; empty if it changes none.
        step: the frame that it is; None where it is none of its own.
        last: the last frame that it stands for.
        mappings: by MM, by the page tables; empty where that was not looked at.
        location: file and line.
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
    def told(self) -> str:
        """The line in words, for screen readers and tables."""
        who = "" if self.thread < 0 else f"thread {self.thread} "
        parts = [f"{who}{WORDS[self.kind]}".strip(), self.text, self.state]
        return ", ".join(part for part in parts if part)


@dataclass(frozen=True)
class Span:
    """A time in which a thread holds a lock, or waits for one.

    Args:
        thread: whose lane.
        kind: which of the two.
        name: the field with the lock's bit.
        first, last: lines of the diagram.
    """

    thread: int
    kind: Literal["lock", "wait"]
    name: str
    first: int
    last: int


@dataclass(frozen=True)
class Diagram:
    """A whole sequence diagram.

    Args:
        heads: what each lane is, and its operations, in two lines.
        marks: its lines, in order of time.
        spans: locks and waits.
        nr_mms: MMs that the truth is told of.
        broken: the laws that broke, in words.
    """

    heads: tuple[tuple[str, str], ...] = ()
    marks: tuple[Mark, ...] = ()
    spans: tuple[Span, ...] = ()
    nr_mms: int = 0
    broken: tuple[str, ...] = ()
    _lasts: list[int] = field(default_factory=list)

    def line_of(self, step: int) -> int:
        """The line that shows a frame: its own, or the one that it is folded into."""
        found = bisect_left(self._lasts, step)
        return min(found, len(self.marks) - 1)

    def is_later(self, line: int, step: int) -> bool:
        """Whether a line has not happened yet when a step has."""
        at = line + 1 if self.marks[line].last < 0 and line + 1 < len(self.marks) else line
        return self._lasts[at] > step


def diagram_of(course: Course, all_accesses: bool = False, unfolded: bool = False) -> Diagram:
    """The diagram of a course.

    Args:
        course: what was played.
        all_accesses: also those to statistics, MMs and free lists; of a sequence every access.
        unfolded: a line for each access, also in long runs of one thread.
    """
    from foliolab.framework.report.interleaving import rows_of

    frames = course.frames
    marks: list[Mark] = []
    for row in rows_of(course, all_accesses, unfolded):
        if row.step is not None:
            marks.append(_mark(course, row.step, row.thread, row.text))
        elif row.last >= 0:
            marks.append(Mark(row.thread, "note", row.text, last=row.last, mappings=row.mappings))
        elif row.text.startswith("▸"):
            marks.append(Mark(row.thread, "begin", row.text.removeprefix("▸ ")))
        elif marks:  # what a whole operation changed, and what it answered
            text = row.text.strip()
            last = marks[-1].last
            if text.startswith("= "):
                marks.append(Mark(row.thread, "note", text, last=last))
            else:
                marks += [Mark(row.thread, "note", "", change, last=last) for change in text.split("; ")]
    lasts = _lasts(marks)
    found = Diagram(
        heads=_heads(course),
        marks=tuple(marks),
        nr_mms=max((len(frame.mappings) for frame in frames), default=0),
        broken=_broken(course),
        _lasts=lasts,
    )
    return Diagram(found.heads, found.marks, tuple(_spans(course, found)), found.nr_mms, found.broken, lasts)


def _lasts(marks: Iterable[Mark]) -> list[int]:
    """The last frame of each line; of a line without one that of the line before."""
    found: list[int] = []
    for mark in marks:
        found.append(max(mark.last, found[-1] if found else -1))
    return found


def _heads(course: Course) -> tuple[tuple[str, str], ...]:
    threads = course.counterexample.threads
    if not course.threaded:
        return (("operations", "each whole, one after the other"),)
    return tuple((f"thread {number}", " · ".join(does)) for number, does in enumerate(threads))


def _broken(course: Course) -> tuple[str, ...]:
    found = course.playback.violations
    if not found:
        return (f"The law {course.counterexample.law}, for which this was kept, is not broken.",)
    return tuple(f"✗ {one.law} ({LAWS.get(one.law, 'a law unknown here')}): {one}" for one in found)


def _mark(course: Course, step: int, thread: int, text: str) -> Mark:
    frame = course.frames[step]
    if not frame.op:
        kind: Kind = "end" if text.startswith("= ") else "setup" if thread < 0 else "begin"
        return Mark(thread, kind, text, step=step, last=step, mappings=frame.mappings)
    state = ""
    stored = field_of(course.scheme, frame.field)
    if stored is not None and frame.old != frame.new:
        name = frame.field.removeprefix("folio.")
        state = f"{name}: {change_text(frame.field, frame.old, frame.new, stored)}"
        text = f"{frame.op} {name}"
    return Mark(thread, _kind(frame), text, state, step, step, frame.mappings, frame.place)


def _kind(frame: Frame) -> Kind:
    if frame.op == _LOCK:
        return "wait" if frame.old == frame.new else "lock"
    if frame.op.endswith("_unlock"):
        return "unlock"
    return "write" if frame.old != frame.new or frame.op == "flush" else "read"


def _spans(course: Course, diagram: Diagram) -> Iterable[Span]:
    """Locks from the access that took them to the one that gave them back, waits up to the access that ends them."""
    held: dict[tuple[int, str], tuple[int, int]] = {}
    waits: dict[int, tuple[str, int]] = {}
    end = len(course.frames) - 1
    for step, frame in enumerate(course.frames):
        thread = frame.thread
        if frame.op == _LOCK and frame.old == frame.new:
            waits.setdefault(thread, (frame.field, step))
            continue
        if thread in waits and frame.old == frame.new and frame.field == waits[thread][0]:
            continue  # it looks whether the bit is clear by now
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
