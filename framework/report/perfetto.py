"""Traces for Perfetto (https://ui.perfetto.dev): protobuf messages of type TrackEvent, of schedules and recordings.

Only the few fields that are needed are written; their numbers are those of Perfetto's `trace_packet.proto`,
`track_event.proto`, `track_descriptor.proto` and `debug_annotation.proto`, which never change.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from foliolab.framework.escaping import line as one_line
from foliolab.framework.report.diagram import Diagram
from foliolab.framework.trace import events as ev
from foliolab.framework.trace.file import Trace

SUFFIX: Final = ".pftrace"
LINE: Final = 1000
"""Nanoseconds that a line of a schedule takes: accesses have an order, and no times."""
MOST_EVENTS: Final = 2_000_000
"""Events of a recording that are written at most: the first ones."""
_SEQUENCE: Final = 1
_PROCESS: Final = 1
_BEGIN, _END, _INSTANT, _COUNTER = 1, 2, 3, 4


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1  # a negative int64 is written as its two's complement
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _text(field: int, value: str) -> bytes:
    return _bytes(field, one_line(value).encode("utf-8", "backslashreplace"))


class PerfettoTrace:
    """A trace that grows; times are in nanoseconds and ascend on every track.

    Args:
        title: of the process that all tracks belong to.
    """

    def __init__(self, title: str) -> None:
        self._packets: list[bytes] = []
        self._tracks = _PROCESS
        process = _number(1, 1) + _text(6, title)
        self._packet(_bytes(60, _number(1, _PROCESS) + _bytes(3, process)))

    def data(self) -> bytes:
        """The bytes of the Perfetto trace (protobuf)."""
        return b"".join(self._packets)

    def track(self, name: str, parent: int = _PROCESS, counter: bool = False) -> int:
        """A new track below another one; its number."""
        self._tracks += 1
        kind = _bytes(8, b"") if counter else b""
        self._packet(_bytes(60, _number(1, self._tracks) + _text(2, name) + _number(5, parent) + kind))
        return self._tracks

    def begin(self, track: int, time: int, name: str, notes: Mapping[str, int | str] | None = None) -> None:
        """A slice begins."""
        self._event(track, time, _number(9, _BEGIN) + _text(23, name) + _notes(notes or {}))

    def end(self, track: int, time: int, notes: Mapping[str, int | str] | None = None) -> None:
        """The innermost slice of a track ends."""
        self._event(track, time, _number(9, _END) + _notes(notes or {}))

    def instant(self, track: int, time: int, name: str, notes: Mapping[str, int | str] | None = None) -> None:
        """Something happens at one moment."""
        self._event(track, time, _number(9, _INSTANT) + _text(23, name) + _notes(notes or {}))

    def count(self, track: int, time: int, value: int) -> None:
        """A counter has a new value."""
        self._event(track, time, _number(9, _COUNTER) + _number(30, value))

    def _event(self, track: int, time: int, event: bytes) -> None:
        self._packet(_number(8, time) + _bytes(11, event + _number(11, track)))

    def _packet(self, packet: bytes) -> None:
        self._packets.append(_bytes(1, packet + _number(10, _SEQUENCE)))


def _notes(notes: Mapping[str, int | str]) -> bytes:
    return b"".join(
        _bytes(4, _text(10, name) + (_number(4, value) if isinstance(value, int) else _text(6, value)))
        for name, value in notes.items()
    )


# -- schedules -----------------------------------------------------------------------------------------
def schedule(diagram: Diagram, title: str) -> bytes:
    """The trace of a counterexample: a track for each thread, with its operations, accesses, locks and waits."""
    return _Schedule(diagram, title).run()


class _Schedule:
    def __init__(self, diagram: Diagram, title: str) -> None:
        self.diagram = diagram
        self.trace = PerfettoTrace(title)
        self.tracks = {-1: self.trace.track("set-up")}
        for lane, (name, _) in enumerate(diagram.heads):
            self.tracks[lane] = self.trace.track(name)
        self.counters = [self.trace.track(f"mapped by MM {mm}", counter=True) for mm in range(diagram.nr_mms)]
        self.open: set[int] = set()
        """Lanes in whose track a slice of an operation is open."""

    def run(self) -> bytes:
        before: tuple[int, ...] = ()
        for at, mark in enumerate(self.diagram.marks):
            self._line(at)
            for mm, count in enumerate(mark.mappings):
                if mm >= len(before) or before[mm] != count:
                    self.trace.count(self.counters[mm], (at + 1) * LINE, count)
            before = mark.mappings or before
        end = len(self.diagram.marks) * LINE
        for lane in sorted(self.open):
            self.trace.end(self.tracks[lane], end)
        self._spans()
        for sentence in self.diagram.broken:
            self.trace.instant(self.tracks[0 if 0 in self.tracks else -1], end, sentence)
        return self.trace.data()

    def _line(self, at: int) -> None:
        mark = self.diagram.marks[at]
        track, time = self.tracks[mark.thread], at * LINE
        if mark.kind == "begin":
            if mark.thread in self.open:  # of a sequence, whose operations end where the next begins
                self.trace.end(track, time)
            self.open.add(mark.thread)
            self.trace.begin(track, time, mark.text)
        elif mark.kind == "end" and mark.thread in self.open:
            self.open.discard(mark.thread)
            self.trace.end(track, time + LINE, {"answer": mark.text.removeprefix("= ")})
        elif mark.kind == "note":
            self.trace.instant(track, time, mark.whole)
        else:
            notes: dict[str, int | str] = {"step": mark.step if mark.step is not None else -1}
            if mark.location:
                notes["line"] = mark.location.rpartition("/")[2]
            self.trace.begin(track, time, mark.whole, notes)
            self.trace.end(track, time + LINE)

    def _spans(self) -> None:
        """Locks and waits, each on a track below the thread's: two locks may overlap without being nested."""
        tracks: dict[tuple[int, str, str], int] = {}
        for span in self.diagram.spans:
            key = (span.thread, span.kind, span.name)
            words = "holds" if span.kind == "lock" else "waits for"
            if key not in tracks:
                tracks[key] = self.trace.track(f"{words} {span.name}", self.tracks[span.thread])
            self.trace.begin(tracks[key], span.first * LINE, f"{words} {span.name}")
            self.trace.end(tracks[key], (span.last + 1) * LINE)


# -- recordings ----------------------------------------------------------------------------------------
def recording(trace: Trace) -> bytes:
    """The trace of a recording: a track for each MM with its life and its events, and the number of living MMs."""
    return _Recording(trace).run()


class _Recording:
    def __init__(self, trace: Trace) -> None:
        self.source = trace
        self.trace = PerfettoTrace(trace.header.command or trace.path)
        self.names = {one.mm: one.comm for one in trace.spaces() if one.comm}
        self.alive = self.trace.track("living MMs", counter=True)
        self.tracks: dict[int, int] = {}
        self.living: set[int] = set()

    def run(self) -> bytes:
        last = done = 0
        for block in self.source.blocks():
            for row in zip(*(column.tolist() for column in block), strict=True):
                if done == MOST_EVENTS:
                    return self._end(last)
                done += 1
                event = dict(zip(ev.COLUMNS, row, strict=True))
                last = max(last, event["time"])  # tracers may disagree by a little; a track's times ascend
                self._event(event, last)
        return self._end(last)

    def _end(self, time: int) -> bytes:
        for mm in sorted(self.living):
            self.trace.end(self.tracks[mm], time)
        return self.trace.data()

    def _event(self, event: Mapping[str, int], time: int) -> None:
        kind, mm = event["kind"], event["mm"]
        track = self._lives(mm, time)
        notes: dict[str, int | str] = {"page": hex(event["page"] << 12), "pages": max(event["nr"], 1)}
        if kind in (ev.FORK, ev.SPAWN, ev.EXEC):
            notes = {"MM": event["other"]}
        elif kind == ev.WRITE:
            outcomes = {ev.REUSED: "reused", ev.COPIED: "copied"}
            notes = {"page": hex(event["page"] << 12), "outcome": outcomes.get(event["flags"] & ev.OUTCOME, "unknown")}
        elif kind in (ev.NEW, ev.PRESENT):
            notes |= {"pages": 1 << event["order"] if kind == ev.NEW else event["nr"], "order": event["order"]}
        elif kind in (ev.EXIT, ev.GONE):
            notes = {}
        self.trace.instant(track, time, ev.KINDS.get(kind, f"kind {kind}"), notes)
        if kind in (ev.FORK, ev.SPAWN, ev.EXEC):
            self._lives(event["other"], time)
        if kind in (ev.EXIT, ev.EXEC) and mm in self.living:
            self.living.discard(mm)
            self.trace.end(track, time)
            self.trace.count(self.alive, time, len(self.living))

    def _lives(self, mm: int, time: int) -> int:
        """The track of an MM; at its first event its life begins."""
        if mm not in self.tracks:
            comm = self.names.get(mm, "")
            name = f"MM {mm}{f' ({comm})' if comm else ''}"
            self.tracks[mm] = self.trace.track(name)
            self.living.add(mm)
            self.trace.begin(self.tracks[mm], time, name)
            self.trace.count(self.alive, time, len(self.living))
        return self.tracks[mm]
