"""A trace's header: where it was recorded, how, and what it cannot know."""

from __future__ import annotations

import msgspec


class AddressSpace(msgspec.Struct, frozen=True, kw_only=True):
    """One MM of a trace.

    Attributes:
        mm: its number in the trace.
        pid: of the process that had it, 0 if unknown.
        comm: the process's name as last seen.
    """

    mm: int
    pid: int = 0
    comm: str = ""


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """Where a trace comes from. Unknown keys are skipped: the file's version, not the header's keys, tells formats.

    Attributes:
        source: what recorded it: perf, bpftrace, snapshots, strace, or a generator's name.
        command: what was recorded, as typed.
        kernel: the recorded kernel's release, empty if unknown.
        mm_id: whether it has CONFIG_MM_ID; None if unknown.
        no_page_mapcount: whether it has CONFIG_NO_PAGE_MAPCOUNT; None if unknown.
        thp: transparent huge page settings by their name below /sys/kernel/mm/transparent_hugepage.
        page_size: bytes.
        machine: the processor and system, in words.
        started, finished: ISO 8601 with offset, empty if unknown.
        lost: events that are known to be lost.
        exit_uncertainty_ns: summed time between EXIT and GONE.
        mms: the MMs that are known by name.
        notes: what a reader should know, a sentence each.
    """

    source: str = ""
    command: str = ""
    kernel: str = ""
    mm_id: bool | None = None
    no_page_mapcount: bool | None = None
    thp: dict[str, str] = {}
    page_size: int = 4096
    machine: str = ""
    started: str = ""
    finished: str = ""
    lost: int = 0
    exit_uncertainty_ns: int = 0
    mms: list[AddressSpace] = []
    notes: list[str] = []
