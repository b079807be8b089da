"""What benchmarks measured on kernels as columns of a comparison, in the form of published figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from foliolab.framework.plugins.published import Published, Resolve, identity
from foliolab.framework.results.beside import RATE_UNITS, BesideCell

if TYPE_CHECKING:
    from foliolab.framework.results.result import Config


def absent(found: Sequence[BesideCell], config: Config, resolve: Resolve | None = None) -> list[str]:
    """A sentence for each test whose cells a comparison does not have."""
    has = {identity(policy, resolve(policy) if resolve else None) for policy in config.policies}
    notes: dict[str, None] = {}
    for one in found:
        lacks = []
        if identity(one.policy, resolve(one.policy) if resolve else None) not in has:
            lacks.append(f"no policy {one.policy}")
        if one.workload not in config.workloads:
            lacks.append(f"no workload {one.workload}")
        if one.size_kib not in config.sizes:
            lacks.append(f"no folios of {one.size_kib} KiB")
        if lacks:
            what = f"{one.tool}'s {one.test}" + (f" on {one.machine}" if one.machine else "")
            notes[f"{what} stands beside no cell of this comparison: it has {' and '.join(lacks)}."] = None
    return list(notes)


def columns(found: Sequence[BesideCell], baseline: str, resolve: Resolve | None = None) -> list[Published]:
    """The figures that stand beside cells, in the form of published ones.

    Args:
        baseline: the policy that a comparison compares with.
        resolve: policy text -> all its parameters, as in `comparison.compare`.
    """

    def known(policy: str) -> tuple[str, frozenset[object]]:
        return identity(policy, resolve(policy) if resolve else None)

    against = known(baseline)
    bases: dict[tuple[object, ...], BesideCell] = {}
    for one in found:
        if known(one.policy) == against:
            bases.setdefault(_measurement(one), one)
    return [_figure(one, None if known(one.policy) == against else bases.get(_measurement(one)), baseline)
            for one in found]  # fmt: skip


def _measurement(cell: BesideCell) -> tuple[object, ...]:
    """What two kernels must have in common to be compared."""
    return cell.tool, cell.test, cell.workload, cell.size_kib, cell.host, cell.tasks, cell.unit


def _figure(cell: BesideCell, base: BesideCell | None, baseline: str) -> Published:
    runs = f"{len(cell.samples)} run{'s' * (len(cell.samples) != 1)}"
    notes = [cell.test, f"{cell.tasks} tasks" if cell.tasks > 1 else ""]
    deviation = cell.deviation
    if base is None:
        notes.append(f"{runs} of {cell.unit}")
        percent, spread = cell.median, None if deviation is None else deviation * cell.median
    else:
        ratio = cell.median / base.median
        percent = round((ratio - 1) * 100, 1)
        notes.append(f"{runs}, against {len(base.samples)} of {base.machine or baseline}")
        both = base.deviation
        spread = None if deviation is None or both is None else 100 * ratio * float(np.hypot(deviation, both))
    if spread is None:
        notes.append("no spread is known of a single run")
    return Published(
        source=cell.tool, machine=cell.machine, workload=cell.workload, size_kib=cell.size_kib, policy=cell.policy,
        baseline=baseline, percent=percent, note=", ".join(filter(None, notes)),
        meaning="absolute" if base is None else "throughput" if cell.unit in RATE_UNITS else "time",
        imported=True, unit=cell.unit, spread=spread,
    )  # fmt: skip
