"""The parts of a scenario: regions, steps and expectations; and the table of actions that defines the grammar."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, Literal

from foliolab.framework.engine.machine import OUTCOMES as CODES
from foliolab.framework.engine.structs import STATISTICS as CPU_STATISTICS
from foliolab.framework.machine.layout import PMD_ORDER

OUTCOMES: Final = tuple(CODES.values())
"""Outcomes of a write: unchanged, reused, copied, new page."""

INITIAL_BYTE: Final = 1
"""The byte that every page of a region holds at the start."""

Kind = Literal["NAME", "PAGES", "PAGE", "BYTE"]
Answer = Literal["", "outcome", "byte", "split", "out", "moved"]

ANSWERS: Final[dict[Answer, tuple[str, ...]]] = {
    "": (),
    "outcome": OUTCOMES,
    "byte": ("a number from 0 to 255",),
    "split": ("split", "kept"),
    "out": ("out", "kept"),
    "moved": ("moved", "kept"),
}
"""What may follow `->`, by the kind of answer."""


@dataclass(frozen=True)
class Operand:
    """One operand of an action; a keyword before it may mark it."""

    kind: Kind
    into: Literal["name", "pages", "to", "value"]
    keyword: str = ""
    optional: bool = False


@dataclass(frozen=True)
class Action:
    """An action of a process.

    Args:
        operands: in order.
        doc: one line for the table in the documentation.
        answer: the kind of its answer; "" for none.
    """

    operands: tuple[Operand, ...]
    doc: str
    answer: Answer = ""


_PAGES: Final = Operand("PAGES", "pages")
_PAGE: Final = Operand("PAGE", "pages")
_NAME: Final = Operand("NAME", "name")
_AS: Final = Operand("NAME", "name", "as")

ACTIONS: Final[dict[str, Action]] = {
    "fork": Action(
        (_NAME, Operand("PAGES", "pages", "without", True)), "creates a child; `without`: MADV_DONTFORK on a part"
    ),
    "thread": Action((_NAME,), "starts a thread, which shares the memory, the pins and the pipes"),
    "exec": Action((), "replaces the address space by an empty one; its threads end"),
    "exit": Action((), "drops pins and references, then the address space; its threads end. A thread ends alone"),
    "write": Action((_PAGES, Operand("BYTE", "value", "=", True)), "stores a byte into each page, in order", "outcome"),
    "read": Action((_PAGES,), "loads the byte of each page", "byte"),
    "munmap": Action((_PAGES,), "unmaps the pages"),
    "dontneed": Action((_PAGES,), "MADV_DONTNEED: drops the pages, keeps the mapping"),
    "free": Action((_PAGES,), "MADV_FREE: pageout discards the pages, unless they are written before"),
    "mremap": Action((_PAGES, Operand("PAGE", "to", "to")), "moves the pages; pages at the target are unmapped"),
    "mprotect": Action((_PAGES,), "makes the pages read-only and writable again; splits a PMD that it covers in part"),
    "pin": Action(
        (_PAGE, _AS), "registers an io_uring buffer: FOLL_PIN, by GUP-fast or after a write fault", "outcome"
    ),
    "unpin": Action((_NAME,), "removes a pin"),
    "vmsplice": Action((_PAGE, _AS), "puts a page reference into a pipe: FOLL_GET"),
    "close": Action((_NAME,), "closes the pipe of a vmsplice"),
    "peek": Action((_NAME,), "reads the byte through a pin or a pipe", "byte"),
    "cold": Action((_PAGES,), "MADV_COLD: splits an exclusive folio that it covers in part; only at the end", "split"),
    "pageout": Action((_PAGES,), "MADV_PAGEOUT; needs swap, but for what `free` has freed", "out"),
    "migrate": Action(
        (_PAGES,), "move_pages(2) to another NUMA node: moves the folios that are not maybe shared; needs two nodes",
        "moved",
    ),
}  # fmt: skip

AT_ONCE: Final = frozenset(
    {
        "fork", "exit", "write", "munmap", "dontneed", "mremap", "mprotect", "pin", "unpin", "vmsplice", "close",
        "migrate",
    }
)  # fmt: skip
"""The actions that may run at once with those of other processes or threads."""
MOST_AT_ONCE: Final = 4
"""Processes and threads whose steps may run at once."""


@dataclass(frozen=True)
class Subject:
    """A property that can be expected of pages.

    Args:
        doc: one line for the table in the documentation.
        number: whether a number follows.
    """

    doc: str
    number: bool = False


SUBJECTS: Final[dict[str, Subject]] = {
    "kpagecount": Subject("/proc/kpagecount of each page: how often it is mapped", True),
    "mapcount": Subject("mappings of the folio of each page, as the policy counts them", True),
    "owners": Subject("processes that map the folio of each page: the truth, from the page tables", True),
    "shared": Subject("the policy says that several processes may map the folio"),
    "exclusive": Subject("the policy says that only one process maps the folio"),
    "page_exclusive": Subject("bit 56 of /proc/PID/pagemap of each page (PM_MMAP_EXCLUSIVE): 0 or 1", True),
    "AnonExclusive": Subject(
        "PG_anon_exclusive of each page: 0 or 1; a kernel shows that of a folio's first page", True
    ),
    "deferred_split": Subject("whether the folio of each page is in the deferred split queue: 0 or 1", True),
    "present": Subject("each page is mapped"),
    "absent": Subject("no page is mapped: unmapped, dropped, never written, or swapped out"),
}


STATISTICS: Final = CPU_STATISTICS
"""What `expect NAME N` may name: statistics of the whole machine, since the start of the scenario."""
KERNEL_STATISTICS: Final = {
    "NR_ANON_PARTIALLY_MAPPED": "nr_anon_partially_mapped", "THP_DEFERRED_SPLIT_PAGE": "split_deferred",
}  # fmt: skip
"""Those that the kernel counts for each folio size, with the name of the file."""


@dataclass(frozen=True)
class Pages:
    """Pages first…last of a region, counted from the start of the region."""

    region: str
    first: int
    last: int

    @property
    def nr(self) -> int:
        return self.last - self.first + 1

    def meets(self, other: Pages) -> bool:
        """Whether they have a page in common."""
        return self.region == other.region and max(self.first, other.first) <= min(self.last, other.last)

    def __str__(self) -> str:
        return f"{self.region}[{self.first}]" if self.nr == 1 else f"{self.region}[{self.first}-{self.last}]"


@dataclass(frozen=True, kw_only=True)
class Node:
    """A line of a scenario.

    Args:
        notes: comment lines (with their #) and blank lines ("") before it.
        comment: the comment at its end, with the #.
        line: its number in the file, from 1; 0 if there is no file.
    """

    notes: tuple[str, ...] = field(default=(), compare=False)
    comment: str = field(default="", compare=False)
    line: int = field(default=0, compare=False)


@dataclass(frozen=True, kw_only=True)
class Region(Node):
    """Private anonymous memory of the first process, populated with folios of one size.

    Args:
        name: of the region.
        folios: the number of folios.
        order: log2 of the pages of a folio.
        pmd: mapped by PMDs (order 9 only), otherwise by PTEs.
        room: unpopulated pages behind the folios.
    """

    name: str
    folios: int
    order: int
    pmd: bool = False
    room: int = 0

    @property
    def populated(self) -> int:
        """Pages that hold memory at the start."""
        return self.folios << self.order

    @property
    def nr_pages(self) -> int:
        return self.populated + self.room

    @property
    def size_kib(self) -> int:
        """Size of a folio in KiB."""
        return 4 << self.order


@dataclass(frozen=True, kw_only=True)
class ScenarioStep(Node):
    """An action of a process or thread; the fields after `action` are its operands (see `ACTIONS`).

    Args:
        process: its name.
        answer: the expected answer; "" if none is expected.
    """

    process: str
    action: str
    pages: Pages | None = None
    to: Pages | None = None
    name: str = ""
    value: int | None = None
    answer: str = ""


@dataclass(frozen=True, kw_only=True)
class Expect(Node):
    """An expectation after the step above.

    Args:
        process, pages: the pages that it is about; empty if it is about a statistic, or the answer of the step.
        subject: one of `SUBJECTS` or of `STATISTICS`, or an answer of the step above.
        number: of a subject or a statistic that has one.
        policy: the policy that it applies to; "" for the scenario's.
    """

    process: str = ""
    pages: Pages | None = None
    subject: str = ""
    number: int | None = None
    policy: str = ""


@dataclass(frozen=True, kw_only=True)
class Mark(Node):
    """The begin or the end of the steps that run at once.

    Args:
        begins: whether it is the begin.
    """

    begins: bool


Item = ScenarioStep | Expect | Mark


@dataclass(frozen=True, kw_only=True)
class Scenario(Node):
    """A whole scenario.

    Args:
        name: lower case with hyphens.
        text: what the scenario shows, line by line.
        policy: the policy to which expectations without `by` apply, and the kernels that it models; "": every policy.
        regions: of the first process, in order.
        items: steps and expectations, and the marks around those that run at once.
        tail: comments after the last line.
        source: the file's name.
    """

    name: str
    text: tuple[str, ...] = ()
    policy: str = ""
    regions: tuple[Region, ...] = ()
    items: tuple[Item, ...] = ()
    tail: tuple[str, ...] = field(default=(), compare=False)
    source: str = field(default="", compare=False)

    @property
    def steps(self) -> tuple[ScenarioStep, ...]:
        return tuple(item for item in self.items if isinstance(item, ScenarioStep))

    @property
    def at_once(self) -> range:
        """The numbers of the steps that run at once; empty if there are none."""
        number, first, last = 0, 0, 0
        for item in self.items:
            if isinstance(item, Mark):
                first, last = (number, last) if item.begins else (first, number)
            number += isinstance(item, ScenarioStep)
        return range(first, last)

    @property
    def threads(self) -> tuple[str, ...]:
        """The processes and threads whose steps run at once, in the order of their first steps."""
        return tuple(dict.fromkeys(self.steps[number].process for number in self.at_once))

    @cached_property
    def process_of(self) -> dict[str, str]:
        """The process of each process and thread, by name; a process is its own."""
        found = {self.first: self.first}
        for step in self.steps:
            if step.action in ("fork", "thread"):
                found[step.name] = step.name if step.action == "fork" else found.get(step.process, step.process)
        return found

    @property
    def statistics(self) -> tuple[str, ...]:
        """The statistics that it expects something of."""
        return tuple(dict.fromkeys(i.subject for i in self.items if isinstance(i, Expect) and i.subject in STATISTICS))

    @property
    def first(self) -> str:
        """The process that has the regions at the start."""
        return self.steps[0].process if self.steps else "A"

    def region(self, name: str) -> Region:
        return next(region for region in self.regions if region.name == name)


def order_of(size: str) -> int | None:
    """The order of a folio size such as 64K or 2M; None if anonymous folios do not have that size."""
    number, unit = size[:-1], size[-1:]
    scale = {"K": 1, "M": 1024}.get(unit)
    if scale is None or not number.isdecimal() or len(number) > 9:
        return None
    pages, rest = divmod(int(number) * scale, 4)
    order = pages.bit_length() - 1
    return order if not rest and pages == 1 << order and order != 1 and order <= PMD_ORDER else None
