"""Measure the published microbenchmarks on this kernel, or on several kernels in guests.

`--kernel 6.12 --kernel 7.3` boots these and compares them with the first; that takes KVM. `--kernel Base --kernel
No-Mapcount` takes the kernels at hand that a patch series calls so, and puts its figures beside.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from foliolab.framework.cli import _common
from foliolab.framework.cli.kernel import _guests, _measuring
from foliolab.framework.errors import UsageError

if TYPE_CHECKING:
    from foliolab.framework.contract.policy import Scheme
    from foliolab.framework.plugins.registry import Registry
    from foliolab.framework.results.result import Result
    from foliolab.framework.results.saving import Saving

MEMORY: Final = "512M"
GUEST_MEMORY: Final = "128M"
ROUNDS: Final = 7
MOST_CHILDREN: Final = 1024

Benchmarks = Annotated[
    list[str] | None, typer.Option(metavar="LIST", help=f"Benchmarks, {_common.LISTS}. [all that the kernel can run]")
]
Sizes = Annotated[
    list[str] | None,
    typer.Option(metavar="LIST", help="Folio sizes such as 4K,64K,2M. [4K and all that this kernel has]"),
]
Memory = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE", help=f"Memory that each benchmark works on. [{MEMORY}; of a guest {GUEST_MEMORY}, the most]"
    ),
]
Rounds = Annotated[int, typer.Option(min=1, max=1000, metavar="N", help="How often each is measured.")]
Children = Annotated[
    int | None, typer.Option(min=1, max=MOST_CHILDREN, metavar="N", help="Children of anon-cow. [one per CPU]")
]
Seed = Annotated[
    int, typer.Option(min=0, max=_common.MOST_SEED, metavar="N", help="Seed of the order and of random words.")
]
Model = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Put the times of this `foliolab compare --json` file beside.")
]
WithModel = Annotated[bool, typer.Option("--with-model", help="Measure the model now, and put its times beside.")]
CsvFile = Annotated[Path | None, typer.Option(metavar="FILE", help="Write a row per benchmark and size.")]


def run(  # noqa: PLR0913  (one parameter per option)
    benchmarks: Benchmarks = None,
    sizes: Sizes = None,
    memory: Memory = None,
    rounds: Rounds = ROUNDS,
    children: Children = None,
    seed: Seed = 1,
    wait: _common.Wait = 0.0,
    model: Model = None,
    with_model: WithModel = False,
    kernel: _guests.Kernels = None,
    json: _common.ResultFile = None,
    csv: CsvFile = None,
    plugin: _common.Plugins = None,
    strict: _common.Strict = False,
) -> None:
    """Measure the benchmarks on real folios of each size, interleaved."""
    for path in (json, csv):
        _common.writable(path)
    from foliolab.framework import host
    from foliolab.framework.kernel import bench, running
    from foliolab.framework.plugins.selection import parse_memory
    from foliolab.framework.report.progress import Progress
    from foliolab.framework.results.saving import Saving

    found = _common.registry(plugin, strict)
    _common.warn(found)
    if kernel:
        if model is not None or with_model or children is not None:
            raise UsageError("--model, --with-model and --children are for the running kernel", "leave --kernel out")
        _guests.bench(found, kernel, benchmarks, sizes, memory or GUEST_MEMORY, (rounds, seed), json, csv)
        return
    request = bench.BenchRequest(
        benchmarks=_measuring.benchmarks(benchmarks),
        sizes=_measuring.sizes(sizes),
        memory=parse_memory(memory or MEMORY) // bench.AREA * bench.AREA,
        rounds=rounds,
        seed=seed,
        children=children or host.cores(),
        wait=wait,
        command=_common.typed(),
    )
    scheme = running.matching(found)
    modelled = _model(model, with_model, scheme)
    _measuring.enough_memory(request)
    saving = Saving(json)
    with Progress() as progress:
        result = bench.bench(request, progress, saving.partial)
    _common.save(result, saving, result.complete)
    if with_model and result.complete and scheme is not None:
        modelled = _measuring.model_times(found, result, scheme, seed)
    _tell(found, result, scheme, modelled, saving, csv)


def _model(path: Path | None, now: bool, scheme: Scheme | None) -> Result | None:
    """The model's result of --model, checked before anything is measured."""
    from foliolab.framework.kernel import bench_rows
    from foliolab.framework.results.result import Result

    if path is not None and now:
        raise UsageError("--model and --with-model both say where modelled times come from", "choose one")
    if now and scheme is None:
        raise UsageError(
            "no policy models this kernel, so there is nothing to measure beside", "leave out --with-model"
        )
    if path is None:
        return None
    modelled = Result.load(path)
    bench_rows.model_cells(scheme, modelled)
    return modelled


def _tell(
    found: Registry, result: Result, scheme: Scheme | None, modelled: Result | None, saving: Saving, csv: Path | None
) -> None:
    from foliolab.framework.kernel import bench_rows
    from foliolab.framework.report import kernelbench as report
    from foliolab.framework.report.pages.terminal import TerminalPage
    from foliolab.framework.results import comparison
    from foliolab.framework.results.saving import Saving

    rows = bench_rows.rows(result, scheme, modelled, found.published_figures(), found.parameters_of)
    table = Saving(csv, always_beside=True)
    _common.tell(table.final(lambda path: report.write_csv(rows, path), result.complete))
    report.render(result, rows, TerminalPage(), scheme.name if scheme else "")
    saving.check()
    table.check()
    if not result.complete:
        raise typer.Exit(_common.INTERRUPTED)
    if (fault := comparison.failed(comparison.compare(result), result)) is not None:
        raise fault
