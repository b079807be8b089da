"""The results of a sweep as one file, and as Parquet."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from foliolab.framework.document import Document, write_atomically
from foliolab.framework.errors import UsageError
from foliolab.framework.replay.result import ReplayResult
from foliolab.framework.results import statistics
from foliolab.framework.results.merge import merge
from foliolab.framework.results.result import Result
from foliolab.framework.verify.verifier import Verdicts

BESIDE: Final = "Measured beside other tasks of a sweep, up to {} at a time on one host: times are noisier than alone."


def merged(files: Sequence[Path], command: str, workers: int) -> dict[int, Result]:
    """Merge the results of comparisons into one result for each seed.

    Args:
        workers: how many tasks ran at a time.
    """
    found: dict[int, list[Result]] = {}
    for path in files:
        result = Result.load(path)
        found.setdefault(result.config.seed, []).append(result)
    together = {seed: merge(parts, command) for seed, parts in sorted(found.items())}
    if workers > 1:
        for result in together.values():
            result.notes.append(BESIDE.format(workers))
    return together


def verified(files: Sequence[Path], command: str) -> Verdicts:
    """Merge the verdicts about policies."""
    found = [one for path in files for one in Verdicts.load(path).verifications]
    return Verdicts(verifications=found, command=command)


class Replays(Document, frozen=True, kw_only=True):
    """Replays of several traces.

    Attributes:
        replays: one for each trace, as `foliolab replay --json` writes it.
        command: the command that repeats them.
    """

    WHAT = "file of replays"
    MADE_BY = "foliolab sweep --kind replay"

    replays: list[ReplayResult]
    command: str = ""
    kind: str = "replays"


def replayed(files: Sequence[Path], command: str) -> Replays:
    """Merge the replays of traces."""
    return Replays(replays=[ReplayResult.load(path) for path in files], command=command)


# -- rows ------------------------------------------------------------------------------------------------
def measured_rows(together: dict[int, Result]) -> list[dict[str, Any]]:
    """One row for each policy, workload, size and seed: median, samples and counted metrics."""
    metrics = sorted({name for one in together.values() for cell in one.cells for name in cell.counted})
    return [
        {
            "seed": seed, "workload": cell.workload, "size_kib": cell.size_kib, "policy": cell.policy,
            "status": cell.status, "ns_per_page": statistics.median(cell.samples) if cell.samples else None,
            "samples": cell.samples, **{name: cell.counted.get(name) for name in metrics},
        }
        for seed, one in together.items()
        for cell in one.cells
    ]  # fmt: skip


def verdict_rows(found: Verdicts) -> list[dict[str, Any]]:
    """One row for each policy, claim and attack."""
    return [
        {
            "policy": one.policy, "claim": finding.claim, "attack": finding.attack, "verdict": finding.verdict,
            "bound": finding.bound, "states": finding.states, "seconds": finding.seconds, "date": one.started[:10],
            "version": one.versions.get("foliolab", ""), "verifier": one.verifier,
        }
        for one in found.verifications
        for finding in one.findings
    ]  # fmt: skip


def replay_rows(found: Replays) -> list[dict[str, Any]]:
    """One row for each trace and policy."""
    return [
        {
            "trace": one.recording.path, "policy": done.policy, "events": done.events, "stopped": done.stopped,
            "false_share": done.false_share, "false_folio_ns": done.false_shared.folio_ns,
            "unsafe_folio_ns": done.unsafe.folio_ns, "sole_copies": done.sole_copies,
            "most_owners": done.most_owners, "frames_peak": done.frames_peak, "seconds": done.seconds,
        }
        for one in found.replays
        for done in one.policies
    ]  # fmt: skip


def parquet(rows: list[dict[str, Any]], path: Path) -> None:
    """Write rows as a Parquet file, atomically.

    Raises:
        UsageError: pyarrow is not installed.
        NotWritten: the file cannot be written.
    """
    try:
        import pyarrow
        from pyarrow import parquet as writer
    except ImportError as fault:
        raise UsageError(f"Parquet needs pyarrow: {fault}", "pip install 'foliolab[parquet]'") from fault

    data = io.BytesIO()
    writer.write_table(pyarrow.Table.from_pylist(rows), data)
    write_atomically(path, data.getvalue())
