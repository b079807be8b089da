"""What of the running kernel a scenario needs, and why it cannot be had here."""

from __future__ import annotations

from typing import Final

from foliolab.framework.kernel import probe, settings
from foliolab.framework.scenario.syntax import Scenario

ALWAYS: Final = ("vmstat", "pidfd")
"""Without these no outcome can be read."""
FRAMES: Final = ("PFNs", "kpagecount", "kpageflags")
"""Without these a copy and a reuse are told apart by how many large folios are left only."""

SWITCHES: Final = ("root", "THP settings")
"""Without these folios have the sizes that are switched on already."""

ACTIONS: Final = {"pageout": "swap", "pin": "io_uring buffers", "vmsplice": "vmsplice"}
"""Actions that not every kernel can do."""


def hidden() -> str:
    """Why page frame numbers are hidden, in one line; "" where they are not."""
    return _first_missing(FRAMES)


def fixed() -> str:
    """Why folio sizes cannot be switched, in one line; "" where they can."""
    return _first_missing(SWITCHES)


def _first_missing(names: tuple[str, ...]) -> str:
    tried = (probe.one(name) for name in names)
    return next((f"{one.name}: {one.reason}" for one in tried if not one.available), "")


def missing(scenario: Scenario) -> str:
    """Why a scenario cannot run on this kernel, in one line; "" where it can.

    What no scenario can do without (`ALWAYS`) is not asked for again: see `probe.require`.
    """
    if sizes := [r.size_kib for r in scenario.regions if r.order and r.size_kib not in settings.sizes()]:
        return f"this kernel has no anonymous folios of {sizes[0]} KiB"
    if why := fixed():
        closed = [r.size_kib for r in scenario.regions if r.order and settings.resolved_mode(r.size_kib) == "never"]
        if closed:
            return f"folios of {closed[0]} KiB are switched off, and cannot be switched on ({why})"
    for name in dict.fromkeys(ACTIONS[step.action] for step in scenario.steps if step.action in ACTIONS):
        found = probe.one(name)
        if not found.available:
            return f"it needs {name}: {found.reason}"
    return ""
