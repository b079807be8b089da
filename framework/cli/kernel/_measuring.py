"""What the kernel's verbs share: parsing of benchmarks and sizes, and the model's times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import typer

from foliolab.framework.cli import _common
from foliolab.framework.errors import NothingMeasured, UsageError

if TYPE_CHECKING:
    from foliolab.framework.contract.policy import Scheme
    from foliolab.framework.kernel.bench import BenchRequest
    from foliolab.framework.plugins.registry import Registry
    from foliolab.framework.results.result import Result

ROUNDS: Final = 8


def benchmarks(written: list[str] | None) -> tuple[str, ...]:
    """The benchmarks that the user named, each once.

    Raises:
        UsageError: there is no such benchmark.
    """
    from foliolab.framework.kernel.bench import BENCHMARKS
    from foliolab.framework.plugins.selection import nearest, split

    asked = dict.fromkeys(split(written or ["all"]))
    for name in asked:
        if name not in (*BENCHMARKS, "all"):
            raise UsageError(f"there is no benchmark {name!r}", nearest(name, BENCHMARKS, "benchmarks are"))
    if not asked:
        raise UsageError("no benchmark is named", f"benchmarks are {', '.join(BENCHMARKS)}")
    return BENCHMARKS if "all" in asked else tuple(asked)


def sizes(written: list[str] | None) -> tuple[int, ...]:
    """The folio sizes in KiB that the user named, out of those that this kernel has."""
    from foliolab.framework.kernel import bench, settings
    from foliolab.framework.plugins.selection import parse_sizes

    known = {(kib // bench.SMALL_KIB).bit_length() - 1 for kib in (bench.SMALL_KIB, *settings.sizes())}
    return tuple(bench.SMALL_KIB << order for order in parse_sizes(written or ["all"], known))


def enough_memory(request: BenchRequest) -> None:
    """Refuse benchmarks that do not fit, before anything is allocated.

    Raises:
        UsageError: the benchmarks take more memory than is available; names both amounts.
    """
    from foliolab.framework.host import memory_available
    from foliolab.framework.kernel.bench import memory_needed

    needed, available = memory_needed(request), memory_available()
    if available is not None and needed > available:
        raise UsageError(
            f"this takes up to {needed >> 20} MiB of memory, and {available >> 20} MiB are available",
            "choose less --memory, or free some",
        )


def model_times(found: Registry, bench: Result, scheme: Scheme, seed: int) -> Result:
    """Measure the kernel's policy in the model: the same operations, folio sizes and memory.

    Raises:
        UsageError: the model has none of the operations, or numba is missing.
        NothingMeasured: no time was measured.
    """
    from foliolab.framework.engine.engine import native_missing
    from foliolab.framework.kernel import settings
    from foliolab.framework.report.progress import Progress
    from foliolab.framework.run import defaults
    from foliolab.framework.run.request import build
    from foliolab.framework.run.supervise import compare_run

    if missing := native_missing():
        raise UsageError(f"the model's times cannot be measured here: {missing}", "install numba: pip install numba")
    config = bench.config
    request = build(
        found,
        policies=(scheme.name,),
        workloads=tuple(name for name in config.workloads if name in found.workloads),
        sizes=[*map(settings.order_of, config.sizes)],
        memory=config.memory,
        repeats=ROUNDS,
        spare=defaults.SPARE,
        seed=seed,
        alone=True,
        typed=_common.typed(),
    )
    with Progress() as progress:
        result = compare_run(request, progress)
    if not result.complete:
        raise typer.Exit(_common.INTERRUPTED)
    if not any(cell.samples for cell in result.cells):
        reasons = [failure.message for failure in result.failures] or ["no reason given"]
        raise NothingMeasured(f"{scheme.name} was not measured in the model", reasons[0])
    return result
