"""The results of a sweep as one file, and as Parquet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from foliolab.framework import results
from foliolab.framework.errors import UsageError
from foliolab.framework.merge import merge
from foliolab.framework.results import Result
from foliolab.framework.verify import verdicts

BESIDE = "Measured beside other tasks of a sweep, up to {} at a time on one machine: times are noisier than alone."


def merged(files: Sequence[Path], command: str, workers: int) -> dict[int, Result]:
    """The results of comparisons, by seed; each as one.

    Args:
        files: of the tasks.
        command: the sweep's.
        workers: that ran at a time.
    """
    found: dict[int, list[Result]] = {}
    for path in files:
        result = results.load(path)
        found.setdefault(result.config.seed, []).append(result)
    together = {seed: merge(parts, command) for seed, parts in sorted(found.items())}
    if workers > 1:
        for one in together.values():
            one.notes.append(BESIDE.format(workers))
    return together


def verified(files: Sequence[Path], command: str) -> verdicts.Verdicts:
    """What was found about policies, in one file."""
    found = [one for path in files for one in verdicts.load(path).verifications]
    return verdicts.Verdicts(verifications=found, command=command)


def parquet(together: dict[int, Result], path: Path) -> None:
    """Write a row a policy, workload, size and seed: the median, the samples, what was counted.

    Raises:
        UsageError: pyarrow is not installed, or the place cannot be written to.
    """
    try:
        import pyarrow
        from pyarrow import parquet as writer
    except ImportError as fault:
        raise UsageError(f"Parquet needs pyarrow: {fault}", "pip install 'foliolab[parquet]'") from fault

    from foliolab.framework import statistics

    metrics = sorted({name for one in together.values() for cell in one.cells for name in cell.counted})
    rows = [
        {
            "seed": seed, "workload": cell.workload, "size_kib": cell.size_kib, "policy": cell.policy,
            "status": cell.status, "ns_per_page": statistics.median(cell.samples) if cell.samples else None,
            "samples": cell.samples, **{name: cell.counted.get(name) for name in metrics},
        }
        for seed, one in together.items()
        for cell in one.cells
    ]  # fmt: skip
    try:
        writer.write_table(pyarrow.Table.from_pylist(rows), path)
    except OSError as fault:
        raise UsageError(f"{path} cannot be written: {fault}", "choose another place") from fault
