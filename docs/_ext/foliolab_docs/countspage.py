"""Counts of kernels beside the model's, from the counts that FolioLab ships: no kernel runs when the pages are made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from foliolab.framework.costmodel.kernels import Cell, Counted, stored
from foliolab.framework.kernel.counting.difference import TOLD, Difference, explained
from foliolab.framework.report.words import size_text
from foliolab_docs.markdown import code, prose, table

MEMORY: Final = 4096
"""Bytes of a page."""


def part(counted: Counted | None = None) -> Iterator[str]:
    """The kernels, a table for each workload, what explains the rest, and how it was counted."""
    counted = counted or stored()
    found = {(cell.kernel, cell.workload, cell.size_kib): cell for cell in counted.cells}
    differences = {key: explained(cell.locked, cell.model) for key, cell in found.items()}
    kernels = [kernel.name for kernel in counted.kernels]
    rows = [(code(one.release), prose(one.described), code(one.policy)) for one in counted.kernels]
    yield from table(("kernel", "what it says of itself", "modelled by"), rows)
    for workload in dict.fromkeys(cell.workload for cell in counted.cells):
        sizes = sorted({cell.size_kib for cell in counted.cells if cell.workload == workload})
        yield from (f"## {workload}", "")
        head = [
            f"{_short(name)}: {column}"
            for name in kernels
            for column in ("instructions", "locked", "modelled", "model")
        ]
        yield from table(
            ("size", *head), (_row(size, workload, kernels, found, differences) for size in sizes), right=0
        )
    yield from _explained(differences, found)
    yield from _besides(kernels, differences)
    yield from ("## How it was counted", "")
    yield from (f"- {code(command)}" for command in counted.command.split("; "))
    memory = sorted({cell.pages * MEMORY >> 20 for cell in counted.cells})
    yield f"- {', '.join(map(str, memory))} MiB a cell, {counted.finished[:10]}"
    yield ""


def _row(
    size: int,
    workload: str,
    kernels: Sequence[str],
    found: dict[tuple[str, str, int], Cell],
    differences: dict[tuple[str, str, int], Difference],
) -> list[str]:
    row = [size_text(size)]
    for name in kernels:
        cell = found.get((name, workload, size))
        if cell is None:
            row += ["–"] * 4
            continue
        one = differences[name, workload, size]
        model = "–" if one.model is None else f"{one.model:.3f}"
        row += [f"{cell.per_page('instructions'):,.0f}{'' if cell.exact else ' ~'}", f"{cell.per_page('locked'):.3f}"]
        row += [f"{one.modelled:.3f}", model]
    return row


def _explained(
    differences: dict[tuple[str, str, int], Difference], found: dict[tuple[str, str, int], Cell]
) -> Iterator[str]:
    """How many cells the rules explain, and those that they do not."""
    yield from ("## What the rules explain", "")
    whole = sum(one.explained for one in differences.values())
    key, worst = max(differences.items(), key=lambda one: abs(one[1].unexplained or 0.0))
    exact = sum(cell.exact for cell in found.values())
    yield (
        f"{whole} of {len(differences)} cells are explained to within {TOLD:g} locked instructions a page. The largest "
        f"difference is {abs(worst.unexplained or 0.0):.3f} ({_short(key[0])}, {key[1]} at {size_text(key[2])}). "
        f"{exact} cells are exact; ~ marks those of which no two plays had the same smallest counts."
    )
    yield ""
    for (kernel, workload, size), one in differences.items():
        if not one.explained:
            names = ", ".join(code(name) for name in one.unknown or one.differing())
            yield f"- {_short(kernel)}, {workload} at {size_text(size)}: not explained: {names}"
    yield ""


def _besides(kernels: Sequence[str], differences: dict[tuple[str, str, int], Difference]) -> Iterator[str]:
    """What kernels do that the model does not have."""
    yield from ("## What a kernel does besides", "")
    sums: dict[str, dict[str, list[float]]] = {}
    names: dict[str, dict[str, None]] = {}
    for (kernel, _, _), one in differences.items():
        for what, functions in one.outside.items():
            sums.setdefault(what, {}).setdefault(kernel, []).append(sum(functions.values()))
            names.setdefault(what, {}).update(dict.fromkeys(sorted(functions)))
    rows = []
    for what, by_kernel in sums.items():
        most = [f"{max(by_kernel[name]):.2f}" if name in by_kernel else "–" for name in kernels]
        rows.append((what, ", ".join(map(code, names[what])), *most))
    head = ("locked instructions for", "functions", *(f"{_short(name)}: most a page" for name in kernels))
    yield from table(head, rows, right=2)


def _short(name: str) -> str:
    """A kernel without what its packager adds: 7.3.4 of 7.3.4+deb13-cloud-amd64."""
    return name.partition("+")[0]
