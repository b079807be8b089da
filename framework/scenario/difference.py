"""Where two runs of a scenario differ: outcomes, presence, identity of pages, and what /proc tells of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from foliolab.framework.scenario.record import FAULTED, Record, View

Aspect = Literal["outcome", "answer", "presence", "identity", "kpagecount", "bit 56", "population"]


@dataclass(frozen=True)
class Difference:
    """One thing that differs after a step.

    Args:
        number: of the step, from 0.
        aspect: what differs.
        what: in words: where, the one, the other.
        large: whether large folios are concerned.
        page: of an outcome: which of the step's pages.
        model, kernel: of an outcome: what each did.
        cause: what else than the owner may have decided it; "" for nothing known.
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
    """What differs, in the order of the steps; lazily, since after the first one states go apart.

    Args:
        model: the engine's records; they know which folios are large.
        kernel: the running kernel's.
    """
    for number, (one, other) in enumerate(zip(model, kernel, strict=True)):
        yield from _outcomes(number, one, other)
        if one.answer != other.answer:
            yield Difference(
                number, "answer", f"{one.step.action}: model {one.answer}, kernel {other.answer}", True, 0,
                one.answer, other.answer,
            )  # fmt: skip
        yield from _views(number, one, other)
        if other.hidden and one.population != other.population:
            told = f"large folios in use: model {one.population}, kernel {other.population} (nr_anon)"
            yield Difference(number, "population", told)


def _outcomes(number: int, one: Record, other: Record) -> Iterator[Difference]:
    for page, (model, kernel) in enumerate(zip(one.outcomes, other.outcomes, strict=True)):
        if model != kernel and not (kernel == FAULTED and model in ("reused", "copied")):
            cause = other.causes[page] if other.causes else ""
            first = one.step.pages.first if one.step.pages else 0
            what = f"page {first + page}: model {model}, kernel {kernel}"
            yield Difference(number, "outcome", what, one.large[page], page, model, kernel, cause)


def _views(number: int, one: Record, other: Record) -> Iterator[Difference]:
    pairs = []
    for name, mine in one.views.items():
        theirs = other.views[name]
        if not np.array_equal(mine.present, theirs.present):
            at = int(np.flatnonzero(mine.present != theirs.present)[0])
            said = f"{name}, page {at}: present in the {'model' if mine.present[at] else 'kernel'} only"
            yield Difference(number, "presence", said)
            return
        if not other.hidden:
            pairs.append(np.stack([mine.frames[mine.present], theirs.frames[mine.present]]))
        yield from _counts(number, name, mine, theirs, other.hidden)
    if pairs:
        all_pairs = np.concatenate(pairs, axis=1)
        together = np.unique(all_pairs, axis=1).shape[1]
        if together != np.unique(all_pairs[0]).size or together != np.unique(all_pairs[1]).size:
            told = "pages that are one in the model are two in the kernel, or the other way"
            yield Difference(number, "identity", told)


def _counts(number: int, name: str, mine: View, theirs: View, hidden: bool) -> Iterator[Difference]:
    off = mine.counts != theirs.counts
    if off.any() and not hidden:
        at = int(np.flatnonzero(off)[0])
        said = f"{name}, page {at}: model {mine.counts[at]}, kernel {theirs.counts[at]}"
        yield Difference(number, "kpagecount", said)
    # under a PMD bit 56 describes the head page (docs/real-kernels.md, "What /proc shows of a folio")
    off = (mine.exclusive != theirs.exclusive) & ~mine.pmd
    if off.any():
        at = int(np.flatnonzero(off)[0])
        said = f"{name}, page {at}: model {mine.exclusive[at]}, kernel {theirs.exclusive[at]}"
        yield Difference(number, "bit 56", said)
