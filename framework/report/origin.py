"""The provenance of a result, in the words of every report."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from foliolab.framework.results.run_result import RunResult


def origin(result: RunResult) -> list[tuple[str, str]]:
    """(Heading, text) of the host, the kernel, the versions and the checkout."""
    machine = result.machine
    return [
        ("machine", f"{machine.cpu}, {machine.cores} processors, {machine.memory_bytes >> 30} GiB, {machine.os}"),
        ("kernel", result.kernel),
        ("versions", ", ".join(f"{name} {number}" for name, number in result.versions.items())),
        ("checkout", result.git or "none"),
    ]


def times(result: RunResult) -> tuple[str, str]:
    """(Heading, text) of the times of the run, and whether it was interrupted."""
    return "started, finished", f"{result.started}, {result.finished}{'' if result.complete else ' (interrupted)'}"
