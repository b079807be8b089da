"""Traces for Perfetto, decoded by the rules of protobuf's wire format."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from raced import played, plugin_in

from foliolab.framework.report.diagram import diagram_of
from foliolab.framework.report.perfetto import PerfettoTrace, recording, schedule
from foliolab.framework.trace import events as ev
from foliolab.framework.trace.events import columns
from foliolab.framework.trace.file import Trace, Writer
from foliolab.framework.trace.header import Header

BEGIN, END, INSTANT, COUNTER = 1, 2, 3, 4


def fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """(field number, value) of a message: a number, or bytes."""
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        key = varint()
        if key & 7 == 0:
            yield key >> 3, varint()
        else:
            assert key & 7 == 2
            size = varint()
            yield key >> 3, data[at : at + size]
            at += size


def packets(data: bytes) -> tuple[dict[int, tuple[str, int]], list[dict[str, Any]]]:
    """The tracks (number: name, parent), and the events in their order."""
    tracks, events = {}, []
    for field, packet in fields(data):
        assert field == 1
        found = dict(fields(packet))
        assert found[10] == 1, "the sequence"
        if 60 in found:
            track = dict(fields(found[60]))
            tracks[track[1]] = (track.get(2, b"").decode(), track.get(5, 0))
        else:
            event = dict(fields(found[11]))
            notes = [dict(fields(value)) for number, value in fields(found[11]) if number == 4]
            events.append(
                {
                    "time": found[8],
                    "type": event[9],
                    "track": event[11],
                    "name": event.get(23, b"").decode(),
                    "value": event.get(30),
                    "notes": {note[10].decode(): note.get(4, note.get(6)) for note in notes},
                }
            )
    return tracks, events


def check(tracks: dict[int, tuple[str, int]], events: list[dict[str, Any]]) -> None:
    """Every event has a track, every slice ends, and times ascend on every track."""
    depth = dict.fromkeys(tracks, 0)
    last = dict.fromkeys(tracks, 0)
    for event in events:
        track = event["track"]
        assert event["time"] >= last[track]
        last[track] = event["time"]
        depth[track] += {BEGIN: 1, END: -1}.get(event["type"], 0)
        assert depth[track] >= 0
    assert not any(depth.values())


def test_a_schedule(tmp_path: Path) -> None:
    timeline = played(plugin_in(tmp_path))
    tracks, events = packets(schedule(diagram_of(timeline, unfolded=True), "never: \x1b[31m"))
    check(tracks, events)
    by_name = {name: number for number, (name, _) in tracks.items()}
    assert {"set-up", "thread 0", "thread 1", "mapped by MM 0", "mapped by MM 1"} <= by_name.keys()
    holds = next(number for name, number in by_name.items() if name.startswith("holds "))
    assert tracks[holds][1] == by_name["thread 1"]
    asked = next(event for event in events if event["name"] == "maybe_shared pfn=0")
    unmapped = next(event for event in events if event["name"] == "unmap mm=1 start=0 nr=1")
    assert asked["track"] == by_name["thread 0"] and unmapped["track"] == by_name["thread 1"]
    assert any("lock 0 → 1" in event["name"] and event["notes"]["line"] for event in events)
    counts = [event["value"] for event in events if event["track"] == by_name["mapped by MM 1"]]
    assert counts[0] == 4 and counts[-1] == 3
    assert any(event["type"] == INSTANT and event["name"].startswith("✗ safe") for event in events)


def test_a_recording(tmp_path: Path) -> None:
    path = tmp_path / "a.folio"
    with Writer(path, Header(source="test", kernel="6.18.0", command="redis \x1b[31m")) as writer:
        rows = [
            {"time": 10, "mm": 1, "kind": ev.NEW, "order": 4, "page": 16},
            {"time": 20, "mm": 1, "kind": ev.FORK, "other": 2},
            {"time": 30, "mm": 2, "kind": ev.WRITE, "page": 17, "flags": ev.COPIED},
            {"time": 40, "mm": 1, "kind": ev.EXIT},
        ]
        for row in rows:
            writer.append(columns(**row))
    tracks, events = packets(recording(Trace(path)))
    check(tracks, events)
    by_name = {name: number for number, (name, _) in tracks.items()}
    written = next(event for event in events if event["name"] == "write")
    assert written["track"] == by_name["MM 2"] and written["time"] == 30
    assert written["notes"] == {"page": b"0x11000", "outcome": b"copied"}
    assert [event["value"] for event in events if event["track"] == by_name["living MMs"]] == [1, 2, 1]


@pytest.mark.parametrize("value", [0, 1, 127, 128, -1, (1 << 63) - 1])
def test_numbers(value: int) -> None:
    trace = PerfettoTrace("x")
    trace.count(trace.track("n", counter=True), 5, value)
    _, events = packets(trace.data())
    assert events[0]["value"] == value & (1 << 64) - 1
