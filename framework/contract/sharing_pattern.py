"""The contract of sharing patterns: how programs start and stop to share memory over time.

A pattern is a `SharingPattern` value around one function, `play`. It directs `Processes`: starts them, lets them
fork, write, map, unmap and exit. What it does depends on nothing but the `Usage` and the processes' `random`, so
that a seed repeats it; every policy is then shown the same events.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Protocol

from foliolab.framework.errors import PluginError


@dataclass(frozen=True)
class Usage:
    """How many processes and how much memory a pattern uses.

    Args:
        mms: processes that live at a time, at most; the pattern should reach that.
        folios: large folios that the memory of a process, or a file, consists of.
        order: log2 of the pages of a folio.
    """

    mms: int
    folios: int
    order: int

    @property
    def folio_pages(self) -> int:
        """Pages of a folio."""
        return 1 << self.order

    @property
    def nr_pages(self) -> int:
        """Pages of all folios."""
        return self.folios << self.order


class Processes(Protocol):
    """The processes that a pattern directs. Each method takes one step of time, or one step per folio or page.

    Processes are numbers; pages of memory and of the file count from 0. Errors are `ModelError`: a process that does
    not live, more at a time than `Usage.mms`, pages that do not fit folios, too many events.

    Attributes:
        random: seeded; the only source of randomness.
    """

    random: Random

    def start(self) -> int:
        """Start a process that shares nothing; return its number."""
        ...

    def fork(self, parent: int) -> int:
        """Fork a child that shares all that the parent maps; return its number."""
        ...

    def exit(self, process: int) -> None:
        """End a process."""
        ...

    def populate(self, process: int, page: int, nr: int, order: int | None = None) -> None:
        """Fault in absent pages with new anonymous folios of `order` (default: the usage's); one step per folio."""
        ...

    def write(self, process: int, page: int, nr: int = 1) -> None:
        """Write to pages; the policy decides whether a read-only page is copied or reused. One step per page."""
        ...

    def unmap(self, process: int, page: int, nr: int = 1) -> None:
        """Unmap pages (munmap or MADV_DONTNEED); one step."""
        ...

    def map_file(self, process: int, page: int, file_page: int, nr: int = 1) -> None:
        """Map pages of the file, in folios of the usage's order; they replace existing mappings. One step."""
        ...

    def wait(self, steps: int) -> None:
        """Let time pass; after the last event this has no effect."""
        ...


@dataclass(frozen=True, kw_only=True)
class SharingPattern:
    """How programs share memory over time.

    Args:
        name: unique; lower case with hyphens.
        summary: one line: who shares what with whom, and how it ends.
        references: where it comes from.
        play: (processes, usage) -> None.
    """

    name: str
    summary: str
    play: Callable[[Processes, Usage], None]
    references: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not callable(self.play):
            raise PluginError(
                f"sharing pattern {self.name}: play is not a function", "give it a function of (processes, usage)"
            )
