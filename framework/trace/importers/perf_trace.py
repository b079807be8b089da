"""The reader of `perf trace -e EVENTS` (tracepoints; system calls and `-F` show too little).

3711.661 a.out/73827 exceptions:page_fault_user(address: 0x57060420, ip: 4195786, error_code: 6)
"""

from __future__ import annotations

import re
from typing import Final

from foliolab.framework.trace.importers.tracepoints import Layout, Parts

# Every repetition has a bound, so that the time for a line grows with its length and no faster.
LINE: Final = re.compile(
    r"\A\s{0,32}(\d{1,20})\.(\d{1,9}) (?:\([^)\n]{0,32}\): ?)?(\S.{0,32}?)/(\d{1,10}) (\w{1,64}:\w{1,64})\(", re.ASCII
)


def _parts(found: re.Match[str], line: str) -> Parts:
    milliseconds, fraction, comm, tid, event = found.groups()
    if event.startswith("syscalls:"):
        event = ""  # its numbers are decimal or hexadecimal, and nothing says which
    return comm, None, tid, None, milliseconds, fraction, event


LAYOUT: Final = Layout(LINE, _parts, "perf trace", "perf record and perf script", digits=6)
