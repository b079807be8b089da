"""Where a result was made, as every report tells it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from foliolab.framework.results.run_result import RunResult


def origin(result: RunResult) -> list[tuple[str, str]]:
    """(What, text): machine, kernel, versions, checkout."""
    machine = result.machine
    return [
        ("machine", f"{machine.cpu}, {machine.cores} processors, {machine.memory_bytes >> 30} GiB, {machine.os}"),
        ("kernel", result.kernel),
        ("versions", ", ".join(f"{name} {number}" for name, number in result.versions.items())),
        ("checkout", result.git or "none"),
    ]


def times(result: RunResult) -> tuple[str, str]:
    """When it was made, and whether it is whole."""
    return "started, finished", f"{result.started}, {result.finished}{'' if result.complete else ' (interrupted)'}"
