"""Predicted changes beside published ones, cell by cell, from stored comparisons: nothing is measured here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from foliolab.framework.costmodel.choice import choose
from foliolab.framework.costmodel.prediction import Check, score
from foliolab.framework.costmodel.processors import Processor
from foliolab.framework.plugins.registry import Registry
from foliolab.framework.report.processor import explanation
from foliolab.framework.report.words import signed, size_text
from foliolab.framework.results.comparison import compare
from foliolab.framework.results.result import Result
from foliolab_docs.markdown import code, table

STORED: Final = tuple(Path(__file__).parents[2] / "data" / f"predicted-{name}.json" for name in ("unmap", "faults"))
"""What `compare --cpu xeon-4210r --json` wrote."""
CPU: Final = "xeon-4210r"


def part(registry: Registry, stored: Iterable[Path] = STORED) -> Iterator[str]:
    """A row for each published change, the score, and the commands."""
    chosen = choose(CPU, None)
    assert chosen is not None
    checks: list[Check] = []
    commands = []
    for path in stored:
        result = Result.load(path)
        commands.append(result.command.partition(" --json")[0])
        rows = compare(result, result.config.baseline, registry.published_figures(), registry.parameters_of)
        found = chosen.predict(result, rows, lambda name: "reuse" in registry.policy(name).capabilities)
        checks += [one for one in found.published if one.figure and "4210R" in one.figure.machine]
    yield from ("```sh", *commands, "```", "")
    yield from _scores(checks)
    head = (
        "workload",
        "folio",
        "policy",
        "predicted",
        "interval",
        "published",
        "",
        "what would explain it, or makes it wide",
    )
    yield from table(head, (_row(one, chosen.processor) for one in checks), right=None)


def _scores(checks: Sequence[Check]) -> list[str]:
    """The score of all cells, and that of each policy."""
    groups = {"all": checks}
    for one in checks:
        groups[code(one.row.policy)] = [other for other in checks if other.row.policy == one.row.policy]
    rows = []
    for name, group in groups.items():
        found = score(group)
        assert found is not None
        error, width, widest = (f"{value:.1f}" for value in (found.error, found.width, found.widest))
        rows.append((name, f"{found.inside} of {found.cells}", error, width, widest))
    return table(("policy", "inside the interval", "mean error, points", "mean width", "widest"), rows, right=1)


def _row(check: Check, processor: Processor) -> Sequence[str]:
    row, (low, high) = check.row, (100 * (end - 1) for end in (check.span.low, check.span.high))
    return (
        row.workload, size_text(row.size_kib), code(row.policy), signed(check.predicted, ".1f"),
        f"{signed(low, '.1f')} … {signed(high, '.1f')}", signed(check.found, "g"), "" if check.inside else "outside",
        explanation(check, processor),
    )  # fmt: skip
