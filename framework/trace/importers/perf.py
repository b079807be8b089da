"""The reader of `perf script --ns -F comm,pid,tid,cpu,time,event,trace --show-lost-events`, and of its default output.

The reader skips events that it does not know, and the stacks between them. `perf record -p` delivers some records twice
(the same time, thread and event); the reader drops the repetitions, which would look like reuses.
"""

from __future__ import annotations

import re
from typing import Final

from foliolab.framework.trace.importers.calls import ARGUMENTS
from foliolab.framework.trace.importers.opening import PERF_FIELDS
from foliolab.framework.trace.importers.tracepoints import USUAL, Layout, Parts

EVENTS: Final = (
    "exceptions:page_fault_user", "exceptions:page_fault_kernel", "kmem:mm_page_alloc",
    "filemap:mm_filemap_add_to_page_cache", "task:task_newtask", "sched:sched_prepare_exec",
    "sched:sched_process_exec", "sched:sched_process_exit", "syscalls:sys_exit_wait4",
    *(f"syscalls:sys_{way}_{call}" for call in ARGUMENTS for way in ("enter", "exit")),
)  # fmt: skip
"""The tracepoints to record of a command or process and its descendants."""
WHOLE_HOST: Final = (
    "mmap:exit_mmap", "huge_memory:mm_khugepaged_scan_pmd", "huge_memory:mm_collapse_huge_page",
    "migrate:mm_migrate_pages",
)  # fmt: skip
"""The tracepoints to record on the whole host: ends of teardowns, and what kernel threads do."""

# Every repetition has a bound, so that the time for a line grows with its length and no faster.
LINE: Final = re.compile(
    r"\s(-?\d{1,40})(?:/(-?\d{1,40}))?\s{1,32}(?:\[(\d{1,40})\]\s{1,32})?"
    r"(?:(?:[^\d\s][.\w#]{3,7}|\d{4}-\d\d-\d\d [\d:.]{8,18})\s{1,32})?(\d{1,40})\.(\d{1,40}):\s{1,64}"
    r"(?:\d{1,20}\s{1,32})?(\S{1,128}): ?",
    re.ASCII,
)
"""What follows the name of the thread. perf prints the CPU and the period only of some events, unless told to, and
with some options flags of the processor or the time of day."""

USUAL_LINE: Final = re.compile(
    r"(?>\s{0,32}(\S.{0,63}?)\s{1,32}(\d{1,9})(?:/(\d{1,9}))?\s{1,32}\[(\d{1,6})\]\s{1,32}"
    r"(\d{1,10})\.(\d{6}|\d{9}): {1,64})"
    rf"(?:{USUAL}|(\S{{1,128}}): ?)",
    re.ASCII,
)


def _parts(found: re.Match[str], line: str) -> Parts:
    pid, tid, cpu, seconds, fraction, event = found.groups()
    return line[: found.start()].strip(), pid, tid, cpu, seconds, fraction, event


LAYOUT: Final = Layout(LINE, _parts, "perf script", f"perf script -F {PERF_FIELDS}", usual=USUAL_LINE.match)
