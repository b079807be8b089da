"""What a text is that no reader takes: its kind, what it could never answer, and what records that instead."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from foliolab.framework.errors import TraceFileError
from foliolab.framework.trace.importers.opening import PERF_FIELDS

RECORD: Final = "`foliolab record --print perf` prints a command that records what can; its output imports"
SNAPSHOTS: Final = (
    "`foliolab record --print snapshots` prints a script that shows who maps which folio; its output imports"
)
BENCHMARK: Final = (
    "`foliolab compare --beside FILE` puts it beside what the model costs; `foliolab kernel bench` measures"
)
_HEAD_LINES: Final = 2000
_SHOWN: Final = 60


@dataclass(frozen=True)
class Kind:
    """A kind of text that cannot become a trace.

    Attributes:
        what: in words.
        pattern: found in the beginning of such a text.
        lacks: what it could never answer.
        instead: what to do.
    """

    what: str
    pattern: re.Pattern[str]
    lacks: str
    instead: str = RECORD


def _lines(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"^{pattern}", re.MULTILINE | re.ASCII)


SCRIPT: Final = f"perf script -F {PERF_FIELDS} > text; and import that"
_NAMES: Final = r"(?:page_fault_user|page_fault_kernel|mm_page_alloc|task_newtask|sched_process_\w{4})"
_SUMS = "it has sums of a process, in which a shared page counts by its share: not which folio is mapped by whom"
_ADDRESSES = "it has the addresses of one program: no page faults, no folios, and nobody to share them with"
_TIMES = "it has times of a benchmark: no events to replay"
KINDS: Final = (
    Kind("smaps_rollup of a process", _lines(r"[0-9a-f-]{1,40} ---p [^\n]{0,80}\[rollup\]"), _SUMS, SNAPSHOTS),
    Kind("smaps of a process", _lines(r"(?:Rss|Pss|Private_Dirty):\s{1,32}\d{1,20}(?: kB)?\s"), _SUMS, SNAPSHOTS),
    Kind(
        "maps of a process",
        _lines(r"[0-9a-f]{1,16}-[0-9a-f]{1,16} [r-][w-][x-][ps] [0-9a-f]{8,16} "),
        "it has areas of address space: not which pages are present, nor which folios they map",
        SNAPSHOTS,
    ),
    Kind(
        "sums of memory", _lines(
            r"(?:VmRSS:|MemTotal:|nr_free_pages \d|procs -{1,20}memory|Address {1,32}Kbytes"
            r"| {0,20}PID {1,20}User .{0,200} PSS "
            r"|[0-9a-f]{8,16} (?:default|prefer|bind|interleave)\S{0,80} .{0,200}kernelpagesize_kB=)"
        ),
        "it has sums of a process or of the host: not which folio is mapped by whom, nor who wrote", SNAPSHOTS,
    ),
    Kind(
        "output of page-types",
        _lines(
            r"(?: {0,20}flags\s{1,32}page-count|(?:(?:voffset|vaddr|memcg|map-cnt)\t{1,4}){0,4}offset\t(?:len\t)?flags"
            r"|0x[0-9a-f]{16}\s{1,32}\d{1,20}\s{1,32}\d{1,20}  [_A-Za-z]{30})"
        ),
        "it has flags of page frames at one moment: not which processes map them, nor who wrote",
        SNAPSHOTS,
    ),
    Kind(
        "output of DAMON",
        re.compile(
            r"damon_(?:aggregated|region_aggregated)|monitoring_start:|nr_accesses:|^heatmap|\"kdamonds\""
            r"|^# access_frequency:|^# <percentile> <wss>|^\d{1,6} {1,8}addr \d.{0,80} access \d", re.M,
        ),
        "it has how often regions were accessed, by sampling: not by whom, nor what the kernel copied",
    ),
    Kind("output of valgrind's lackey", _lines(r"(?:I | S| L| M) [ \t]?[0-9a-f]{4,16},\d{1,4}$"), _ADDRESSES),
    Kind("output of a tool of valgrind", _lines(r"==\d{1,10}== \S"),
         "it has what one program did by itself: no page faults, no folios, and nobody to share them with"),
    Kind("a trace of Pin", _lines(r"(?:\d{1,10}: )?0x[0-9a-f]{1,16}: [RW] 0x[0-9a-f]{1,16}"), _ADDRESSES),
    Kind(
        "a trace of DynamoRIO", _lines(
            r"(?:Output format:\n<--record#->"
            r"| {0,20}\d{1,20} {1,20}\d{1,20}: {1,20}\d{1,10} (?:<marker|ifetch|read|write) )"
        ), _ADDRESSES,
    ),
    Kind("a result of will-it-scale",
         re.compile(r"^(?:tasks,processes,|testcase:|min:\d{1,20} max:|average:\d)|\"will-it-scale\.", re.M),
         _TIMES, BENCHMARK),
    Kind(
        "output of pte-mapped-folio-benchmarks", _lines(r"(?:Average: \d{1,20}\.\d|\d{1,12} iterations? in )"), _TIMES,
        BENCHMARK,
    ),
    Kind(
        "a result of vm-scalability",
        re.compile(r"^(?:\d{1,20} bytes / \d{1,20} usecs = |[^\n]{0,80}throughput)|\"vm-scalability\.", re.M),
        _TIMES, BENCHMARK,
    ),
    Kind(
        "output of perf stat",
        _lines(
            r"(?: ?Performance counter stats for "
            r"|[\d.]{1,20}[,;][A-Za-z ]{0,20}[,;][A-Za-z][\w:-]{1,64}[,;]\d{1,20}[,;]\d)"
        ),
        "it has counts: no order, no addresses",
    ),
    Kind("stacks folded into lines", _lines(r"[^\s;]{1,80}(?:;[^;\n]{1,200}){1,200} \d{1,20}$"),
         "it has counts by function, without an order or an address"),
    Kind(
        "events of perf script without their times",
        _lines(r"[^\n]{0,40}\s\d{1,10}(?:/\d{1,10})?\s{1,32}(?:\[\d{1,10}\]\s{1,32})?(?:\w{1,64}:)?" + _NAMES + r": "),
        "it has no order between processors, and not how long anything lasted", SCRIPT,
    ),
    Kind(
        "events of perf script without their names",
        _lines(r"[^\n]{0,40}\s\d{1,20}\.\d{1,9}: {1,64}(?:addr(?:ess)?=|page=\S{1,40} pfn=|pid=\d{1,10} comm=)"),
        "nothing says what happened at an address", SCRIPT,
    ),
    Kind(
        "events of perf script without their tasks",
        _lines(r"\s{0,32}(?:\[\d{1,10}\]\s{1,32})?\d{1,20}\.\d{1,9}: {1,64}(?:\w{1,64}:)?" + _NAMES + r": "),
        "nothing says who did what", SCRIPT,
    ),
    Kind(
        "a trace of a tracer of functions", _lines(r"# tracer: (?:function_graph|function|irqsoff|preemptoff|wakeup)"),
        "its lines have no full times, tasks or events",
        "echo nop > /sys/kernel/tracing/current_tracer and enable events (" + RECORD + ")",
    ),
    Kind(
        "a trace in ftrace's latency format",
        _lines(r"[^\n]{1,40}-\d{1,10}\s{1,32}\d{1,4}\S{4,6}\s{1,32}\d{1,20}us[ !+#*@$]?: "),
        "its times are those since its own beginning, and it has no processes",
        "echo 0 > /sys/kernel/tracing/options/latency-format (" + RECORD + ")",
    ),
    Kind(
        "output of perf report", _lines(r"# To display the perf\.data header info"),
        "it has counts by function, without an order or an address",
    ),
    Kind(
        "strace -c", _lines(r"% time {1,16}seconds {1,16}usecs/call"), "it has counts of calls, without an order",
        "strace -f -ttt -o text COMMAND",
    ),
    Kind(
        "events of faults that perf counts in software",
        _lines(r"[^\n]{0,200}\d: {1,64}\d{0,20} {0,32}(?:page-faults|faults|minor-faults|major-faults)(?::\w{1,4})?:"),
        "it has addresses of faults: not whether they wrote, nor whether the page was there, nor what the kernel did",
    ),
    Kind(
        "output of a bpftrace program", re.compile(
            r"^Attach(?:ing|ed) \d{1,6} probes?|\A\s{0,32}@\w{0,64}(?:\[|:)"
            r"|\A\s{0,32}\{\"type\": \"(?:attached_probes|map|printf|hist|time|stats)\"", re.M,
        ),
        "its columns are the program's own, and nothing says what they mean",
        "`foliolab record --print bpftrace` prints a program whose output imports",
    ),
    Kind("output of perf trace -F", _lines(r"[^\n]{0,80}\bm(?:in|aj)fault \["),
         "it has addresses of faults: not whether they wrote, nor what the kernel did"),
    Kind("a page of HTML", _lines(r"\s{0,32}<(?:!DOCTYPE|html)"), "it has no trace that FolioLab knows"),
    Kind("JSON", re.compile(r"\A\s{0,32}(?:\{\s{0,32}[\"}]|\[\s{0,32}[\[{\"])"), "it is no snapshot of FolioLab",
         "a result of FolioLab: `foliolab report FILE`; a trace: " + RECORD),
)  # fmt: skip
_EVENT: Final = re.compile(
    r"(?:\[\d{1,10}\]|\s\d{1,10})\s{1,32}(?:\S{1,8}\s{1,32})?\d{1,20}\.\d{1,9}:\s{1,64}(?:\d{1,20}\s{1,32})?"
    r"(\w{1,64}(?::\w{1,64})?):",
    re.ASCII,
)
"""An event of perf script or ftrace."""


def diagnose(head: str, name: str, readers: Sequence[str]) -> TraceFileError:
    """Why a text cannot be imported.

    Args:
        head: its beginning.
        name: of the file.
        readers: the names of the formats that are known.
    """
    for kind in KINDS:
        if kind.pattern.search(head):
            return TraceFileError(f"{name} is {kind.what}: {kind.lacks}", kind.instead)
    events = sorted({found[1] for line in head.splitlines()[:_HEAD_LINES] if (found := _EVENT.search(line))})
    if events:
        shown = ", ".join(events[:5]) + (", …" if len(events) > 5 else "")
        return TraceFileError(
            f"{name} has events ({shown}), of which none tells what happened to memory: no fault, allocation, fork, "
            "exec, exit or munmap",
            RECORD,
        )
    begins = next((line.strip() for line in head.splitlines() if line.strip()), "")
    return TraceFileError(
        f"{name} is of no known format; it begins with: {begins[:_SHOWN]}{'…' * (len(begins) > _SHOWN)}",
        f"{RECORD} (formats that --format names: {', '.join(readers)})",
    )


def is_no_trace(head: str) -> bool:
    """Whether a text is of a kind that cannot become a trace."""
    return any(kind.pattern.search(head) for kind in KINDS)
