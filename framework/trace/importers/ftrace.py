"""The reader of ftrace's text: trace, trace_pipe, `trace-cmd report` and systrace.

bash-930   (    930) [003] d.... 6288.896762: page_fault_user: address=0x55bc6c5557d0 ip=0x7ff74f error_code=0x7
"""

from __future__ import annotations

import re
from typing import Final

from foliolab.framework.trace.importers.tracepoints import USUAL, Layout, Parts

# Every repetition has a bound, so that the time for a line grows with its length and no faster.
LINE: Final = re.compile(
    r"-(\d{1,10})\s{1,32}(?:\(\s{0,16}(\d{1,10}|-{1,10})\)\s{1,32})?\[(\d{1,10})\]\s{1,32}(?:[^\s:]{1,16}\s{1,32})?"
    r"(\d{1,40})(?:\.(\d{1,40}))?:\s{1,64}(\w{1,64})(?::|(?=\()|(?= ->))",
    re.ASCII,
)
"""What follows the name of the thread."""

USUAL_LINE: Final = re.compile(
    r"(?>\s{0,32}(\S.{0,63}?)-(?:(?=\d{1,9}\s{1,32}\(\s{0,16}(\d{1,9})\))|)(\d{1,9})\s{1,32}(?:\([^)]{1,16}\)\s{1,32})?"
    r"\[(\d{1,6})\]\s{1,32}(?:[^\s:]{1,16}\s{1,32})?(\d{1,10})\.(\d{6}|\d{9}): {1,64})"
    rf"(?:{USUAL}|(\w{{1,64}})(?::|(?=\()|(?= ->)))",
    re.ASCII,
)
"""The PID, if there is one, stands behind the TID, and is looked ahead for."""


def _parts(found: re.Match[str], line: str) -> Parts:
    tid, tgid, cpu, seconds, fraction, event = found.groups()
    pid = None if tgid is None or tgid.startswith("-") else tgid
    return line[: found.start()].strip(), pid, tid, cpu, seconds, fraction, event


LAYOUT: Final = Layout(LINE, _parts, "ftrace", "the option record-tgid of ftrace", usual=USUAL_LINE.match)
