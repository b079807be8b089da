"""--beside: the output of benchmarks on kernels, which stands beside the cells of a comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from foliolab.framework.plugins.registry import Registry
    from foliolab.framework.results.beside import BesideCell
    from foliolab.framework.results.result import Result

Files = Annotated[
    list[str] | None,
    typer.Option(
        "--beside",
        metavar="FILE",
        help="Put a kernel's results beside: output of pte-mapped-folio-benchmarks, vm-scalability or will-it-scale. "
        "FILE:kernel=6.14,size=64K,test=munmap says what the file does not; also host, policy, tasks.",
    ),
]


def read(found: Registry, files: list[str] | None) -> tuple[list[BesideCell], list[str]]:
    """The cells that files have results for, and a sentence for each result that stands beside none."""
    if not files:
        return [], []
    from foliolab.framework.results import benchmark_output, beside

    models = {name: policy.models for name, policy in found.policies.items() if policy.models}
    return beside.cells([run for file in files for run in benchmark_output.read(file)], models)


def put(found: Registry, result: Result, cells: list[BesideCell], notes: list[str]) -> Result:
    """A result with these cells beside its own."""
    from msgspec.structs import replace

    from foliolab.framework.results.beside_columns import absent

    notes = [*result.notes, *notes, *absent(cells, result.config, found.parameters_of)]
    return replace(result, beside=[*result.beside, *cells], notes=notes)
