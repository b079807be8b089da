"""What a run of a scenario saw, step by step: the same for the engine and for the running kernel."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.scenario.syntax import Step

ABSENT: Final = -1
FAULTED: Final = "faulted"
"""The outcome of a write where page frame numbers are hidden: reused or copied."""


@dataclass(frozen=True)
class View:
    """What one process sees of its pages, each array of shape (nr_pages,) as in `space.Layout`.

    Attributes:
        frames: the page frame, -1 where none is mapped.
        counts: /proc/kpagecount of it, 0 where none is.
        exclusive: bit 56 of pagemap; 0 where none is.
        pmd: whether a PMD maps it.
    """

    frames: NDArray[np.int64]
    counts: NDArray[np.int64]
    exclusive: NDArray[np.int64]
    pmd: NDArray[np.bool_]

    @property
    def present(self) -> NDArray[np.bool_]:
        """Which pages are mapped."""
        return self.frames >= 0


@dataclass(frozen=True)
class Verdict:
    """One large folio after a step.

    Attributes:
        folio: its place at the start, such as heap[0-15].
        owners: how many processes map it, by the page tables.
        mapcount: its mappings, by the policy.
        shared: whether the policy says that several may map it.
        frame: its first frame.
    """

    folio: str
    owners: int
    mapcount: int
    shared: bool
    frame: int

    @property
    def kind(self) -> str:
        """right, false shared, or unsafe."""
        if self.shared == (self.owners > 1):
            return "right"
        return "false shared" if self.shared else "unsafe"


@dataclass
class Record:
    """One step and what followed.

    Attributes:
        step: what was done.
        outcomes: of a write or pin, one a page.
        large: for each of these whether the page belonged to a large folio before.
        answer: of a read, peek, cold or pageout; "" for none.
        views: what each living process sees afterwards, by its name.
        verdicts: of the large folios, where asked for (the engine's runs only).
        causes: for each outcome, what else than the owner may have decided it (the kernel's runs only); "" for
            nothing known.
        population: large anonymous folios that are in use afterwards.
        hidden: the kernel hides page frame numbers: frames are 0, counts unknown, and a write that took a fault
            is `faulted`, reused or copied.
    """

    step: Step
    outcomes: tuple[str, ...] = ()
    large: tuple[bool, ...] = ()
    answer: str = ""
    views: dict[str, View] = field(default_factory=dict)
    verdicts: tuple[Verdict, ...] = ()
    causes: tuple[str, ...] = ()
    population: int = 0
    hidden: bool = False

    @property
    def told(self) -> str:
        """The outcome in words: `copied`, or `3 reused, 1 copied`."""
        if not self.outcomes:
            return self.answer
        kinds = dict.fromkeys(self.outcomes)
        if len(kinds) == 1:
            return self.outcomes[0]
        return ", ".join(f"{self.outcomes.count(kind)} {kind}" for kind in kinds)
