"""What of the running kernel a scenario needs, and why it cannot be had here."""

from __future__ import annotations

from typing import Final

from foliolab.framework.kernel import probe, settings
from foliolab.framework.scenario.syntax import Scenario

ALWAYS: Final = ("root", "PFNs", "kpagecount", "kpageflags", "vmstat", "pidfd")
"""Without these no outcome can be read."""

ACTIONS: Final = {"pageout": "swap", "pin": "io_uring buffers", "vmsplice": "vmsplice"}
"""Actions that not every kernel can do."""


def missing(scenario: Scenario) -> str:
    """Why a scenario cannot run on this kernel, in one line; "" where it can.

    What no scenario can do without (`ALWAYS`) is not asked for again: see `probe.require`.
    """
    if sizes := [r.size_kib for r in scenario.regions if r.order and r.size_kib not in settings.sizes()]:
        return f"this kernel has no anonymous folios of {sizes[0]} KiB"
    for name in dict.fromkeys(ACTIONS[step.action] for step in scenario.steps if step.action in ACTIONS):
        found = probe.one(name)
        if not found.available:
            return f"it needs {name}: {found.reason}"
    return ""
