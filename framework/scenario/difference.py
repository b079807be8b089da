"""Where two runs of a scenario differ: outcomes, presence and identity of pages, and what /proc shows of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from foliolab.framework.scenario.record import FAULTED, UNCOUNTED, UNKNOWN, UNSEEN, Record, View

Aspect = Literal["outcome", "answer", "presence", "identity", "kpagecount", "bit 56", "AnonExclusive", "population"]


@dataclass(frozen=True)
class Difference:
    """One thing that differs after a step.

    Args:
        number: of the step, from 0.
        what: in words: where, and what each run has there.
        large: whether large folios are concerned.
        page: for an outcome, the index of the page in the step.
        model, kernel: for an outcome, what each did.
        cause: what else than ownership may have decided the outcome; "" if nothing is known.
    """

    number: int
    aspect: Aspect
    what: str
    large: bool = True
    page: int = 0
    model: str = ""
    kernel: str = ""
    cause: str = ""


Place = tuple[Aspect, str, int]
"""What of a state differs: aspect, process and page."""


def differences(model: Sequence[Record], kernel: Sequence[Record]) -> Iterator[Difference]:
    """The differences in the order of the steps, found one by one.

    After the first one the states differ. What differed before is not a difference of a later step: that step counts
    only for what it did otherwise, and for pages that differ since.

    Args:
        model: the engine's records; they say which folios are large.
        kernel: the running kernel's records.
    """
    known: set[Place] = set()
    for number, (ours, theirs) in enumerate(zip(model, kernel, strict=True)):
        yield from _outcomes(number, ours, theirs)
        if ours.answer != theirs.answer:
            yield Difference(
                number, "answer", f"{ours.step.action}: model {ours.answer}, kernel {theirs.answer}", True, 0,
                ours.answer, theirs.answer,
            )  # fmt: skip
        now = dict(_state(ours, theirs))
        new: dict[tuple[Aspect, str], str] = {}
        for (aspect, name, page), what in now.items():
            if (aspect, name, page) not in known:
                new.setdefault((aspect, "" if aspect == "identity" else name), what)
        for (aspect, _), what in new.items():
            yield Difference(number, aspect, what)
        known = set(now)


def _outcomes(number: int, ours: Record, theirs: Record) -> Iterator[Difference]:
    for page, (model, kernel) in enumerate(zip(ours.outcomes, theirs.outcomes, strict=True)):
        if model != kernel != UNSEEN and not (kernel == FAULTED and model in ("reused", "copied")):
            cause = theirs.causes[page] if theirs.causes else ""
            first = ours.step.pages.first if ours.step.pages else 0
            what = f"page {first + page}: model {model}, kernel {kernel}"
            yield Difference(number, "outcome", what, ours.large[page], page, model, kernel, cause)


def _state(ours: Record, theirs: Record) -> Iterator[tuple[Place, str]]:
    """What differs in the states after a step, with the words for it."""
    pages: list[tuple[str, int]] = []
    pairs = []
    for name, model in ours.views.items():
        kernel = theirs.views[name]
        for page in np.flatnonzero(model.present != kernel.present).tolist():
            where = "model" if model.present[page] else "kernel"
            yield ("presence", name, page), f"{name}, page {page}: present in the {where} only"
        both = np.flatnonzero(model.present & kernel.present)
        if not theirs.hidden:
            pages += [(name, page) for page in both.tolist()]
            pairs.append(np.stack([model.frames[both], kernel.frames[both]]))
        yield from _counts(name, model, kernel, theirs.hidden)
    if pairs:
        both_frames = np.concatenate(pairs, axis=1)
        for at in np.flatnonzero(_several(*both_frames) | _several(*both_frames[::-1])).tolist():
            what = "two pages share a frame in the model or in the kernel, but not in both"
            yield ("identity", *pages[at]), what
    if theirs.hidden and theirs.population not in (UNCOUNTED, ours.population):
        what = f"large folios in use: model {ours.population}, kernel {theirs.population} (nr_anon)"
        yield ("population", "", 0), what


def _several(frames: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.bool_]:
    """For each page, whether the pages with the same frame have several frames on the other side."""
    distinct = np.unique(np.stack([frames, others]), axis=1)[0]
    values, counts = np.unique(distinct, return_counts=True)
    return np.isin(frames, values[counts > 1])


def _counts(name: str, model: View, kernel: View, hidden: bool) -> Iterator[tuple[Place, str]]:
    both = model.present & kernel.present
    for page in np.flatnonzero((model.counts != kernel.counts) & both).tolist() if not hidden else ():
        what = f"{name}, page {page}: model {model.counts[page]}, kernel {kernel.counts[page]}"
        yield ("kpagecount", name, page), what
    # under a PMD bit 56 describes the head page (docs/real-kernels.md, "What /proc shows of a folio")
    for page in np.flatnonzero((model.exclusive != kernel.exclusive) & ~model.pmd & both).tolist():
        what = f"{name}, page {page}: model {model.exclusive[page]}, kernel {kernel.exclusive[page]}"
        yield ("bit 56", name, page), what
    known = (kernel.anon_exclusive != UNKNOWN) & ~model.pmd & both
    for page in np.flatnonzero((model.anon_exclusive != kernel.anon_exclusive) & known).tolist():
        what = f"{name}, page {page}: model {model.anon_exclusive[page]}, kernel {kernel.anon_exclusive[page]}"
        yield ("AnonExclusive", name, page), what
