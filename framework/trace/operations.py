"""The operation of a modelled machine that an event of a trace stands for."""

from __future__ import annotations

from collections.abc import Mapping

from foliolab.framework.engine.operation import Operation
from foliolab.framework.trace import events as ev


def operation_of(row: Mapping[str, int]) -> Operation | None:
    """The operation that a row stands for; None for facts about the recording, and for what no operation does alone.

    MMs and pages are those of the trace; the frame of a file folio is the recorded one.

    Args:
        row: the columns of one event (see `events.Events`).
    """
    mm, page, nr, order, other = row["mm"], row["page"], max(row["nr"], 1), row["order"], row["other"]
    known: dict[int, tuple[str, dict[str, int]]] = {
        ev.FORK: ("fork", {"parent": mm, "child": other}),
        ev.EXIT: ("exit", {"mm": mm}),
        ev.NEW: ("populate", {"mm": mm, "start": page >> order << order, "nr": 1 << order, "order": order}),
        ev.WRITE: ("write", {"mm": mm, "start": page}),
        ev.UNMAP: ("unmap", {"mm": mm, "start": page, "nr": nr}),
        ev.MOVE: ("mremap", {"mm": mm, "start": page, "to": other, "nr": nr}),
        ev.MAP: ("map_file", {"mm": mm, "vpn": page, "pfn": other, "nr": nr}),
    }
    if row["kind"] not in known:
        return None
    name, arguments = known[row["kind"]]
    return Operation.of(name, **arguments)
