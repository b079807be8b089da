"""The result file of `foliolab compare`: everything that a run measured, and everything needed to repeat it."""

from __future__ import annotations

from math import isfinite
from typing import Annotated, Final, Literal

import msgspec

from foliolab.framework.document import Count, Name, Number, Positive, SizeKib
from foliolab.framework.errors import ExitCode, UsageError
from foliolab.framework.results.beside import BesideCell
from foliolab.framework.results.run_result import RunResult

MOST_CASES: Final = 5_000
"""The most cases of a request that are shown, unless so many were measured."""
Status = Literal["measured", "failed", "skipped"]
MOST_ROUNDS: Final = 10_000
"""The most samples of a cell: statistics draw thousands of times as many."""
Samples = Annotated[list[float], msgspec.Meta(max_length=MOST_ROUNDS)]


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The request of a run, completely resolved.

    Attributes:
        policies: as a user writes them, such as rmap-id:stage=all.
        policy_parameters: all parameters of each policy, those not chosen included.
        baseline: the policy that the others are compared with.
        workloads: names, in the order of the report.
        sizes: folio sizes in KiB.
        memory: bytes that each measurement works on.
        repeats: rounds; in each, every policy is measured once per workload and size.
        seed: of everything random, the bootstrap included.
        quick: whether this was a run with --quick.
    """

    policies: list[Name]
    policy_parameters: dict[str, dict[str, Number]]
    baseline: str
    workloads: list[Name]
    sizes: list[SizeKib]
    memory: Count
    repeats: Count
    seed: Number
    quick: bool

    def __post_init__(self) -> None:
        if self.baseline not in self.policies:
            raise ValueError(f"the baseline {self.baseline} is not one of the policies")
        if not 0 <= self.seed < 1 << 63:
            raise ValueError(f"the seed {self.seed} is not from 0 to 2^63 - 1")


class Cell(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One policy under one workload at one folio size.

    Attributes:
        workload, size_kib, policy: the case; the policy as in `Config.policies`.
        samples: nanoseconds per page, one for each round, above 0. The samples i of all policies of the same workload
            and size were measured in the same interleaved round.
        flagged: rounds whose sample is suspect, for example because a spinning thread yielded.
        counted: exact metrics by name, see `foliolab reference metrics`.
        status: "failed" is a failure; "skipped" means that the workload does not apply to the size or policy,
            and needs a reason.
        reason: why the cell was not measured; empty for a measured cell.
    """

    workload: str
    size_kib: SizeKib
    policy: str
    samples: Samples = []
    flagged: list[Count] = []
    counted: dict[str, float] = {}
    status: Status = "measured"
    reason: str = ""

    @property
    def key(self) -> tuple[str, int, str]:
        return self.workload, self.size_kib, self.policy

    def __post_init__(self) -> None:
        where = ", ".join(map(str, self.key))
        if not all(isfinite(sample) and sample > 0 for sample in self.samples):
            raise ValueError(f"{where}: a sample is not a time above 0")
        if not all(isfinite(value) for value in self.counted.values()):
            raise ValueError(f"{where}: a counted metric is not a number")
        if not all(0 <= index < len(self.samples) for index in self.flagged):
            raise ValueError(f"{where}: a flagged round is not among the {len(self.samples)} samples")


class PredictedChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A predicted change of one cell against the baseline.

    Attributes:
        workload, size_kib, policy: the cell.
        kernel: the release of the kernel whose counts are the rest; empty for the modelled work alone.
        ratio, ratio_low, ratio_high: of the times, with each constant at the middle of its range, and the least and the
            greatest over all constants within their ranges; None without a prediction.
        reason: why there is none.
    """

    workload: str
    size_kib: SizeKib
    policy: str
    kernel: str = ""
    ratio: Positive | None = None
    ratio_low: Positive | None = None
    ratio_high: Positive | None = None
    reason: str = ""


class ProcessorPrediction(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The changes that counts and published constants predict on a processor.

    Attributes:
        processor, described: its name and its full name.
        version: of the constants.
        changes: of all cells but the baseline's, of the modelled work and then with each kernel that was counted.
    """

    processor: str
    described: str
    version: Count
    changes: list[PredictedChange]


class Failure(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A failure during the run, whether or not a cell is missing because of it.

    Attributes:
        policy: the policy that failed; empty for none in particular.
        workload: the workload; empty for none in particular.
        size_kib: the size; 0 for none in particular.
        message: what happened, where, and what to do.
        exit_code: what the failure means for the exit status, `errors.ExitCode`.
    """

    policy: str
    workload: str
    size_kib: Count
    message: str
    exit_code: Count = int(ExitCode.PLUGIN_FAILED)


class Result(RunResult, frozen=True, kw_only=True):
    """The measurements of a run.

    Attributes:
        config: the request that was measured.
        cells: at most one for each workload, size and policy of `config`.
        failures: what went wrong, whether or not a cell is missing because of it.
        notes: sentences that a reader should know.
        predicted: what was predicted on a processor; None without `--cpu`.
        beside: what benchmarks measured on kernels, from `--beside`.
    """

    WHAT = "result file"
    MADE_BY = "foliolab compare --json FILE"

    kind: str = "compare"
    config: Config
    cells: list[Cell]
    failures: list[Failure] = msgspec.field(default_factory=list)
    notes: list[str] = msgspec.field(default_factory=list)
    predicted: ProcessorPrediction | None = None
    beside: list[BesideCell] = msgspec.field(default_factory=list)

    def check(self) -> None:
        """Refuse a request that cannot be shown; see `asked`."""
        self.asked()

    def asked(self) -> list[tuple[str, int, str]]:
        """The keys of all cases that the request asked for, in its order.

        Raises:
            UsageError: nearly nothing of a very large request is there. A few bytes can ask for millions of cases.
        """
        config = self.config
        workloads, sizes = dict.fromkeys(config.workloads), dict.fromkeys(config.sizes)
        policies = dict.fromkeys(config.policies)
        asked = len(workloads) * len(sizes) * len(policies)
        if asked > max(MOST_CASES, 4 * len(self.cells)):
            raise UsageError(
                f"the result was asked for {asked:,} cases and has {len(self.cells):,} of them",
                f"name fewer policies, workloads or sizes: {MOST_CASES:,} cases can be shown",
            )
        return [(workload, size, policy) for workload in workloads for size in sizes for policy in policies]

    @property
    def lost(self) -> list[str]:
        cells, sentences = {cell.key: cell for cell in self.cells}, []
        for key in self.asked():
            cell = cells.get(key)
            why = cell.reason if cell else ""
            if cell and (cell.samples if cell.status == "measured" else cell.status == "skipped" and why):
                continue  # where a workload does not apply, nothing is lost
            sentences.append(f"{key[0]}, {key[1]} KiB, {key[2]}: {why or 'the run did not get to it'}")
        return sentences

    def __post_init__(self) -> None:
        config = self.config
        workloads, sizes, policies = set(config.workloads), set(config.sizes), set(config.policies)
        seen: set[tuple[str, int, str]] = set()
        for cell in self.cells:
            known = cell.workload in workloads and cell.size_kib in sizes and cell.policy in policies
            if not known or cell.key in seen:
                raise ValueError(f"{', '.join(map(str, cell.key))}: not in the request, or there twice")
            seen.add(cell.key)
