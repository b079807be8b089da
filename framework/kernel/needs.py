"""What of the running kernel a scenario needs, and why it cannot be had here."""

from __future__ import annotations

from typing import Final

from foliolab.framework.kernel import probe, settings
from foliolab.framework.scenario.syntax import Scenario

ALWAYS: Final = ("vmstat", "pidfd")
"""Without these no outcome can be read."""
FRAMES: Final = ("root", "THP settings", "PFNs", "kpagecount", "kpageflags")
"""Without these a copy and a reuse are told apart by how many large folios are left only."""

ACTIONS: Final = {"pageout": "swap", "pin": "io_uring buffers", "vmsplice": "vmsplice"}
"""Actions that not every kernel can do."""


def hidden() -> str:
    """Why page frame numbers are hidden, in one line; "" where they are not."""
    for name in FRAMES:
        found = probe.one(name)
        if not found.available:
            return f"{name}: {found.reason}"
    return ""


def missing(scenario: Scenario) -> str:
    """Why a scenario cannot run on this kernel, in one line; "" where it can.

    What no scenario can do without (`ALWAYS`) is not asked for again: see `probe.require`.
    """
    if sizes := [r.size_kib for r in scenario.regions if r.order and r.size_kib not in settings.sizes()]:
        return f"this kernel has no anonymous folios of {sizes[0]} KiB"
    if hidden():
        closed = [r.size_kib for r in scenario.regions if r.order and settings.resolved_mode(r.size_kib) == "never"]
        if closed:
            return f"folios of {closed[0]} KiB are switched off, and only root may switch them on"
    for name in dict.fromkeys(ACTIONS[step.action] for step in scenario.steps if step.action in ACTIONS):
        found = probe.one(name)
        if not found.available:
            return f"it needs {name}: {found.reason}"
    return ""
