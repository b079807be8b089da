"""Where two runs of a scenario differ: outcomes, presence and identity of pages, and what /proc shows of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from foliolab.framework.scenario.record import FAULTED, UNCOUNTED, Record, View

Aspect = Literal["outcome", "answer", "presence", "identity", "kpagecount", "bit 56", "population"]


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


def differences(model: Sequence[Record], kernel: Sequence[Record]) -> Iterator[Difference]:
    """The differences in the order of the steps, found one by one: after the first, the states diverge.

    Args:
        model: the engine's records; they say which folios are large.
        kernel: the running kernel's records.
    """
    for number, (ours, theirs) in enumerate(zip(model, kernel, strict=True)):
        yield from _outcomes(number, ours, theirs)
        if ours.answer != theirs.answer:
            yield Difference(
                number, "answer", f"{ours.step.action}: model {ours.answer}, kernel {theirs.answer}", True, 0,
                ours.answer, theirs.answer,
            )  # fmt: skip
        yield from _views(number, ours, theirs)
        if theirs.hidden and theirs.population not in (UNCOUNTED, ours.population):
            what = f"large folios in use: model {ours.population}, kernel {theirs.population} (nr_anon)"
            yield Difference(number, "population", what)


def _outcomes(number: int, ours: Record, theirs: Record) -> Iterator[Difference]:
    for page, (model, kernel) in enumerate(zip(ours.outcomes, theirs.outcomes, strict=True)):
        if model != kernel and not (kernel == FAULTED and model in ("reused", "copied")):
            cause = theirs.causes[page] if theirs.causes else ""
            first = ours.step.pages.first if ours.step.pages else 0
            what = f"page {first + page}: model {model}, kernel {kernel}"
            yield Difference(number, "outcome", what, ours.large[page], page, model, kernel, cause)


def _views(number: int, ours: Record, theirs: Record) -> Iterator[Difference]:
    pairs = []
    for name, model in ours.views.items():
        kernel = theirs.views[name]
        if not np.array_equal(model.present, kernel.present):
            page = int(np.flatnonzero(model.present != kernel.present)[0])
            where = "model" if model.present[page] else "kernel"
            yield Difference(number, "presence", f"{name}, page {page}: present in the {where} only")
            return
        if not theirs.hidden:
            pairs.append(np.stack([model.frames[model.present], kernel.frames[model.present]]))
        yield from _counts(number, name, model, kernel, theirs.hidden)
    if pairs:
        all_pairs = np.concatenate(pairs, axis=1)
        distinct = np.unique(all_pairs, axis=1).shape[1]
        if distinct != np.unique(all_pairs[0]).size or distinct != np.unique(all_pairs[1]).size:
            yield Difference(
                number, "identity", "two pages share a frame in the model or in the kernel, but not in both"
            )


def _counts(number: int, name: str, model: View, kernel: View, hidden: bool) -> Iterator[Difference]:
    differ = model.counts != kernel.counts
    if differ.any() and not hidden:
        page = int(np.flatnonzero(differ)[0])
        what = f"{name}, page {page}: model {model.counts[page]}, kernel {kernel.counts[page]}"
        yield Difference(number, "kpagecount", what)
    # under a PMD bit 56 describes the head page (docs/real-kernels.md, "What /proc shows of a folio")
    differ = (model.exclusive != kernel.exclusive) & ~model.pmd
    if differ.any():
        page = int(np.flatnonzero(differ)[0])
        what = f"{name}, page {page}: model {model.exclusive[page]}, kernel {kernel.exclusive[page]}"
        yield Difference(number, "bit 56", what)
