"""Merge results that were measured in pieces, by several processes or hosts, into one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

import msgspec

from foliolab.framework.errors import UsageError
from foliolab.framework.results.beside import BesideCell
from foliolab.framework.results.result import Cell, Result

T = TypeVar("T")


def merge(results: Sequence[Result], command: str = "") -> Result:
    """Merge results into one.

    Times stay comparable within a workload and size, because these were interleaved in one of the pieces. Counted
    metrics are exact and comparable everywhere.

    Args:
        results: of the same seed and baseline. A cell that is in several of them must be equal.
        command: the command that repeats everything; by default that of the first result.

    Raises:
        UsageError: there is no result, seeds or baselines differ, or two results measured the same cell.
    """
    if not results:
        raise UsageError("there is no result to merge", "name at least one")
    first = results[0]
    for name in ("seed", "baseline"):
        found = {getattr(one.config, name) for one in results}
        if len(found) > 1:
            raise UsageError(
                f"results of different {name}s cannot be merged: {', '.join(sorted(map(str, found)))}",
                "merge the results of each separately",
            )
    config = msgspec.structs.replace(
        first.config,
        policies=_all(one.config.policies for one in results),
        policy_parameters={k: v for one in results for k, v in one.config.policy_parameters.items()},
        workloads=_all(one.config.workloads for one in results),
        sizes=sorted({size for one in results for size in one.config.sizes}),
        repeats=max(one.config.repeats for one in results),
    )
    processors = {one.machine.cpu for one in results}
    notes = _all(one.notes for one in results)
    if len(processors) > 1:
        notes.append(f"Measured on different processors: {', '.join(sorted(processors))}.")
    return msgspec.structs.replace(
        first,
        task="",
        complete=all(one.complete for one in results),
        command=command or first.command,
        started=min(one.started for one in results),
        finished=max(one.finished for one in results),
        config=config,
        cells=_cells(results),
        failures=[failure for one in results for failure in one.failures],
        notes=notes,
        beside=_beside(results),
    )


def _beside(results: Iterable[Result]) -> list[BesideCell]:
    found: list[BesideCell] = []
    for one in (cell for result in results for cell in result.beside):
        if one not in found:
            found.append(one)
    return found


def _all(parts: Iterable[Iterable[T]]) -> list[T]:
    """Each item once, in the order of first occurrence."""
    return list(dict.fromkeys(one for part in parts for one in part))


def _cells(results: Sequence[Result]) -> list[Cell]:
    found: dict[tuple[str, int, str], Cell] = {}
    for result in results:
        for cell in result.cells:
            before = found.setdefault(cell.key, cell)
            if before is not cell and before != cell:
                workload, size, policy = cell.key
                raise UsageError(
                    f"two results have measured {policy} under {workload} at {size} KiB", "leave one of them out"
                )
    return list(found.values())
