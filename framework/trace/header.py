"""The header of a trace."""

from __future__ import annotations

import msgspec

from foliolab.framework.document import Count


class AddressSpace(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One MM of a trace.

    Attributes:
        mm: its number in the trace.
        pid: of its process; 0 if unknown.
        comm: the last known name of the process.
    """

    mm: Count
    pid: Count = 0
    comm: str = ""


class Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How and where a trace was recorded. Unknown keys are refused, as everywhere.

    Attributes:
        source: perf, bpftrace, snapshots, strace, or the name of a generator.
        command: the command that recorded the trace.
        kernel: release of the recorded kernel; empty if unknown.
        mm_id: whether that kernel has CONFIG_MM_ID; None if unknown.
        no_page_mapcount: whether that kernel has CONFIG_NO_PAGE_MAPCOUNT; None if unknown.
        thp: transparent huge page settings by their name below /sys/kernel/mm/transparent_hugepage.
        page_size: bytes.
        machine: processor, number of cores and operating system of the host.
        started, finished: ISO 8601 with offset; empty if unknown.
        lost: number of events that the tracer reported as lost.
        exit_uncertainty_ns: sum of the times between EXIT and GONE.
        mms: the address spaces.
        notes: limits of the trace, a sentence each.
    """

    source: str = ""
    command: str = ""
    kernel: str = ""
    mm_id: bool | None = None
    no_page_mapcount: bool | None = None
    thp: dict[str, str] = {}
    page_size: Count = 4096
    machine: str = ""
    started: str = ""
    finished: str = ""
    lost: Count = 0
    exit_uncertainty_ns: Count = 0
    mms: list[AddressSpace] = []
    notes: list[str] = []

    def __post_init__(self) -> None:
        """Escape what UTF-8 cannot hold: the arguments of a command may be any bytes."""
        if not self.command.isascii():
            text = self.command.encode("utf-8", "backslashreplace").decode()
            msgspec.structs.force_setattr(self, "command", text)
