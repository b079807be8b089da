"""Translation of trace events to operations of the modelled machine."""

from __future__ import annotations

from collections.abc import Mapping

from foliolab.framework.engine.operation import Operation
from foliolab.framework.trace import events as ev


def operation_of(row: Mapping[str, int]) -> Operation | None:
    """The operation of one event; None if the event is not one operation, such as LOST or EXEC.

    MMs, pages and PFNs are those of the trace.

    Args:
        row: the columns of the event (see `events.Events`).
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
