"""Predictions of a comparison's changes on a named processor, by counts alone: no time is an input.

**modelled**: the counts of the compiled text that `compare` times. The measured change can refute it.

**kernel**: the same, and what a kernel was counted to execute besides:

    counts(policy) = kernel(benchmark) − model(benchmark, the kernel's policy) + model(benchmark, policy)

A policy that copies where that kernel reuses has the rest of the benchmark that copies. Published changes can refute
it. Which lines the nearest cache does not have depends on the order of all accesses, which no difference of two models
has. So the lines of functions that do what the model has are those of the kernel that the policy itself models, if it
was counted.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from msgspec.structs import replace

from foliolab.framework.costmodel.formula import Counts, Span, Unpredicted, lacking, needed, plus, ratio, widths
from foliolab.framework.costmodel.kernels import LINE, CountedKernel
from foliolab.framework.costmodel.processors import Processor
from foliolab.framework.kernel.bench import COPYING, SMALL_KIB
from foliolab.framework.machine.primitives import PAGE_SIZE
from foliolab.framework.plugins.published import Published
from foliolab.framework.results.comparison import Row
from foliolab.framework.results.result import PredictedChange, ProcessorPrediction, Result

Key = tuple[str, int, str]
"""A workload, a folio size in KiB, a policy."""
DECIDED: Final = ("faster", "slower", "same")
"""Verdicts of measured changes that can refute a prediction; one that is too noisy says nothing."""
WIDEST: Final = 8.0
"""Points; the report says of a wider interval which constant's range makes it so wide."""
NOT_COUNTED: Final = "its instructions were not counted"


@dataclass(frozen=True)
class Check:
    """A prediction beside what it can be refuted by, as changes in per cent.

    Args:
        row: the row of the comparison.
        span: the prediction.
        found: the published or measured change.
        rounding: half of its last digit.
        figure: the published figure; None for a measured change.
        needed, lacking: see `formula`, for a change outside of the interval.
        widths: see `formula`, for an interval wider than WIDEST.
    """

    row: Row
    span: Span
    found: float
    rounding: float = 0.0
    figure: Published | None = None
    needed: Mapping[str, float] = field(default_factory=dict)
    lacking: float = 0.0
    widths: Mapping[str, float] = field(default_factory=dict)

    @property
    def predicted(self) -> float:
        return (self.span.middle - 1) * 100

    @property
    def error(self) -> float:
        """Predicted minus found, in points."""
        return self.predicted - self.found

    @property
    def inside(self) -> bool:
        """Whether a value that rounds to the found one is inside the interval."""
        low, high = (self.span.low - 1) * 100, (self.span.high - 1) * 100
        return low - self.rounding <= self.found <= high + self.rounding


@dataclass(frozen=True)
class Score:
    """How good predictions are.

    Args:
        cells: their number.
        inside: how many of the found changes are inside their interval.
        error: the mean absolute error in points.
        width, widest: of the intervals in points.
    """

    cells: int
    inside: int
    error: float
    width: float
    widest: float


def score(checks: Sequence[Check]) -> Score | None:
    """The score of some checks; None without any."""
    if not checks:
        return None
    widths = [check.span.width for check in checks]
    return Score(
        len(checks),
        sum(check.inside for check in checks),
        sum(abs(check.error) for check in checks) / len(checks),
        sum(widths) / len(widths),
        max(widths),
    )


@dataclass(frozen=True)
class ProcessorForecast:
    """All predictions of a result on one processor.

    Args:
        processor: it.
        version: of the constants.
        kernels: whose counts are the rest; a cell is predicted with the first of them that has its counts.
        modelled, whole: by workload, size and policy, the predicted change of the modelled work, and with the rest of a
            kernel, or why there is none. `whole` is empty without kernels.
        origin: by the same, the release of the kernel of `whole`.
        measured, published: the predictions that a measured or a published change can refute. Folios of one page are
            left out: no scheme does work there.
    """

    processor: Processor
    version: int
    kernels: Sequence[CountedKernel]
    modelled: Mapping[Key, Span | Unpredicted]
    whole: Mapping[Key, Span | Unpredicted]
    origin: Mapping[Key, str]
    measured: Sequence[Check] = field(default_factory=tuple)
    published: Sequence[Check] = field(default_factory=tuple)

    def stored(self) -> ProcessorPrediction:
        """The predictions as a result keeps them."""
        return ProcessorPrediction(
            processor=self.processor.name,
            described=self.processor.described,
            version=self.version,
            changes=[
                *(_stored(key, "", found) for key, found in self.modelled.items()),
                *(_stored(key, self.origin[key], found) for key, found in self.whole.items()),
            ],
        )


def _stored(key: Key, kernel: str, found: Span | Unpredicted) -> PredictedChange:
    workload, size_kib, policy = key
    change = PredictedChange(workload=workload, size_kib=size_kib, policy=policy, kernel=kernel)
    if isinstance(found, Unpredicted):
        return replace(change, reason=found.reason)
    return replace(change, ratio=found.middle, ratio_low=found.low, ratio_high=found.high)


def predict(
    result: Result,
    rows: Sequence[Row],
    processor: Processor,
    version: int,
    kernels: Sequence[CountedKernel],
    reuses: Callable[[str], bool],
    here: bool,
) -> ProcessorForecast:
    """Predict every change of a comparison.

    Args:
        result: of a run with `cpu`, which counted executed instructions.
        rows: its comparison.
        version: of the constants.
        kernels: counted kernels. Those whose policy reuses come first: they have the rest of reuses and of copies.
        reuses: whether a policy, by its name in the result, may write to a large folio in place.
        here: whether the result was measured on this kind of processor, so that it can refute predictions.
    """
    cells = {cell.key: _modelled(cell.counted) for cell in result.cells}
    kernels = sorted(kernels, key=lambda one: not reuses(one.policy))
    own = {kernel.policy: kernel for kernel in kernels}
    rests = [_Rest(cells, kernel, reuses, own) for kernel in kernels]
    baseline = next((row.policy for row in rows if row.verdict == "baseline"), result.config.baseline)
    modelled: dict[Key, Span | Unpredicted] = {}
    whole: dict[Key, Span | Unpredicted] = {}
    origin: dict[Key, str] = {}
    measured: list[Check] = []
    published: list[Check] = []
    for row in rows:
        key, base = (row.workload, row.size_kib, row.policy), (row.workload, row.size_kib, baseline)
        if row.skipped or row.policy == baseline:
            continue
        modelled[key] = _change(cells.get(key), cells.get(base), processor)
        pair: tuple[Counts | Unpredicted | None, ...] = ()
        for rest in rests:
            pair = rest.whole(key), rest.whole(base)
            change = _change(*pair, processor)
            if key not in whole or isinstance(change, Span):
                whole[key], origin[key] = change, rest.kernel.release
            if isinstance(change, Span):
                break
        if row.size_kib > SMALL_KIB:
            counted = cells.get(key), cells.get(base)
            measured += [_explained(one, counted, processor) for one in _measured(row, modelled[key]) if here]
            published += [_explained(one, pair, processor) for one in _published(row, whole.get(key))]
    return ProcessorForecast(processor, version, kernels, modelled, whole, origin, measured, published)


def _modelled(counted: Mapping[str, float]) -> Counts | Unpredicted:
    """The counts of the model by term, from a cell's metrics."""
    if "instructions" not in counted:
        return Unpredicted(NOT_COUNTED)
    return {
        "instruction": counted["instructions"],
        "locked": counted["locked"],
        "line": counted["cache_lines"],
        "copied": counted["copied_pages"] * PAGE_SIZE / LINE,
    }


class _Rest:
    """The counts of a kernel with a policy: the kernel's own, with the model's difference of the two policies."""

    def __init__(
        self,
        cells: Mapping[Key, Counts | Unpredicted],
        kernel: CountedKernel,
        reuses: Callable[[str], bool],
        own: Mapping[str, CountedKernel],
    ) -> None:
        self.cells, self.kernel, self.reuses, self.own = cells, kernel, reuses, own

    def whole(self, key: Key) -> Counts | Unpredicted:
        workload, size_kib, policy = key
        own, name = self.kernel.policy, workload
        if size_kib > SMALL_KIB and workload in COPYING and self.reuses(policy) != self.reuses(own):
            if self.reuses(policy):
                return Unpredicted(f"it reuses here, and the counted kernel {self.kernel.release} copies")
            name = COPYING[workload]
        counted = self.kernel.cells.get((name, size_kib))
        if counted is None:
            return Unpredicted(f"{name} was not counted at {size_kib} KiB in the kernel {self.kernel.release}")
        anchor, ours = self.cells.get((name, size_kib, own)), self.cells.get(key)
        if anchor is None:
            return Unpredicted(f"{own} was not measured under {name}, so its share of the kernel's counts is not known")
        if ours is None or isinstance(ours, Unpredicted):
            return ours or Unpredicted(NOT_COUNTED)
        if isinstance(anchor, Unpredicted):
            return anchor
        found = plus(plus(counted, anchor, -1), ours)
        kernel = self.own.get(policy)
        walk = kernel.walks.get((workload, size_kib)) if kernel is not None else None
        if walk is not None:
            anchored = self.kernel.walks[name, size_kib]
            found["line"] = counted["line"] - anchored["line"] + walk["line"]
        return found


def _change(
    ours: Counts | Unpredicted | None, base: Counts | Unpredicted | None, processor: Processor
) -> Span | Unpredicted:
    if ours is None or isinstance(ours, Unpredicted):
        return ours or Unpredicted(NOT_COUNTED)
    if base is None or isinstance(base, Unpredicted):
        return Unpredicted(f"the baseline: {base.reason if base else NOT_COUNTED}")
    return ratio(ours, base, processor)


def _measured(row: Row, found: Span | Unpredicted) -> list[Check]:
    if row.ratio is None or row.verdict not in DECIDED or isinstance(found, Unpredicted):
        return []
    return [Check(row, found, (row.ratio - 1) * 100)]


def _explained(check: Check, pair: Sequence[Counts | Unpredicted | None], processor: Processor) -> Check:
    """A check with what would explain a change outside of the interval, and a width above WIDEST."""
    ours, base = pair
    if not isinstance(ours, Mapping) or not isinstance(base, Mapping):
        return check
    if check.span.width > WIDEST:
        check = dataclasses.replace(check, widths=widths(ours, base, processor))
    if check.inside:
        return check
    found = 1 + check.found / 100
    return dataclasses.replace(
        check, needed=needed(ours, base, processor, found), lacking=lacking(ours, base, processor, found)
    )


def _published(row: Row, found: Span | Unpredicted | None) -> list[Check]:
    if not isinstance(found, Span):
        return []
    return [
        Check(row, found, figure.change_percent, figure.rounding, figure)
        for figure in row.published
        if figure.change_percent is not None
    ]
