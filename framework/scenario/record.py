"""The records of a scenario's run, one for each step; the same for the engine and for the running kernel."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.engine.operation import Operation
from foliolab.framework.scenario.syntax import ScenarioStep

ABSENT: Final = -1
UNKNOWN: Final = -1
FAULTED: Final = "faulted"
"""The outcome of a write that was reused or copied, where page frame numbers are hidden."""
UNSEEN: Final = "unseen"
"""The outcome of a write on a kernel, where something else that ran at once may have replaced the page, too."""


@dataclass(frozen=True)
class View:
    """What one process sees of its pages, each array of shape (nr_pages,) as in `space.Layout`.

    Attributes:
        frames: the page frame; -1 for pages that are not mapped.
        counts: /proc/kpagecount of the frame; 0 for pages that are not mapped.
        exclusive: bit 56 of pagemap; 0 for pages that are not mapped.
        pmd: whether a PMD maps the page.
        anon_exclusive: whether the page is AnonExclusive; 0 for pages that are not mapped, UNKNOWN where it is hidden:
            the kernel shows it of a folio's first page.
    """

    frames: NDArray[np.int64]
    counts: NDArray[np.int64]
    exclusive: NDArray[np.int64]
    pmd: NDArray[np.bool_]
    anon_exclusive: NDArray[np.int64]

    @property
    def present(self) -> NDArray[np.bool_]:
        return self.frames >= 0


@dataclass(frozen=True)
class Verdict:
    """One large folio after a step.

    Attributes:
        folio: the pages that it held at the start, such as heap[0-15].
        owners: how many processes map it, by the page tables.
        mapcount: its mappings, by the policy.
        shared: whether the policy says that several processes may map it.
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


UNCOUNTED: Final = -1


@dataclass
class Record:
    """One step and its effects.

    Attributes:
        operations: the operations of the machine that it consists of, in order (runs of the engine only).
        outcomes: of a write or pin, one for each page.
        large: for each outcome, whether the page belonged to a large folio before.
        answer: of a read, peek, cold, pageout or migrate; "" for other steps.
        views: what each living process sees afterwards, by its name; threads see what their process sees.
        verdicts: on the large folios, if they were asked for (runs of the engine only).
        wrong: for each page that a write reused and may not have, why (runs of the engine only, with verdicts).
        causes: for each outcome, what else than ownership may have decided it (runs of the kernel only); "" if nothing
            is known.
        population: large anonymous folios in use afterwards; UNCOUNTED if other programs may have changed the count.
        statistics: those that the scenario expects something of, since its start; without those that are hidden.
        situations: indices of `situations.NAMES`: what its operation was about to meet, if the run of the engine
            looks for them.
        hidden: whether the kernel hides page frame numbers. Then frames are 0, counts are unknown, and the outcome of
            a write that took a fault is `faulted`, for reused or copied.
    """

    step: ScenarioStep
    operations: list[Operation] = field(default_factory=list)
    outcomes: tuple[str, ...] = ()
    large: tuple[bool, ...] = ()
    answer: str = ""
    views: dict[str, View] = field(default_factory=dict)
    verdicts: tuple[Verdict, ...] = ()
    wrong: tuple[str, ...] = ()
    causes: tuple[str, ...] = ()
    population: int = 0
    statistics: dict[str, int] = field(default_factory=dict)
    situations: tuple[int, ...] = ()
    hidden: bool = False

    @property
    def text(self) -> str:
        """The outcome, such as `copied` or `3 reused, 1 copied`, or the answer."""
        if not self.outcomes:
            return self.answer
        kinds = dict.fromkeys(self.outcomes)
        if len(kinds) == 1:
            return self.outcomes[0]
        return ", ".join(f"{self.outcomes.count(kind)} {kind}" for kind in kinds)
