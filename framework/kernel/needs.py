"""The capabilities that a scenario needs of the running kernel, and the reasons why they are missing."""

from __future__ import annotations

from typing import Final

from foliolab.framework.kernel import probe, settings
from foliolab.framework.scenario.syntax import Scenario

ALWAYS: Final = ("vmstat", "pidfd")
"""What every scenario needs; `probe.require` checks it."""

ACTIONS: Final = {"pin": "io_uring buffers", "vmsplice": "vmsplice"}
"""The capabilities that single actions need."""


def hidden() -> str:
    """Why page frame numbers are hidden, in one line; empty if they are not.

    Without them, only the number of large folios tells a copy from a reuse.
    """
    return _first_missing("PFNs", "kpagecount", "kpageflags")


def fixed() -> str:
    """Why the THP settings cannot be changed, in one line; empty if they can.

    Without that, folios have the sizes that are enabled already.
    """
    return _first_missing("root", "THP settings")


def _first_missing(*names: str) -> str:
    tried = (probe.capability(name) for name in names)
    return next((f"{found.name}: {found.reason}" for found in tried if not found.available), "")


def missing(scenario: Scenario) -> str:
    """Why a scenario cannot run on this kernel, in one line; empty if it can. `ALWAYS` is not checked."""
    if why := unseen(scenario):
        return why
    if sizes := [r.size_kib for r in scenario.regions if r.order and r.size_kib not in settings.sizes()]:
        return f"this kernel has no anonymous folios of {sizes[0]} KiB"
    if why := fixed():
        closed = [r.size_kib for r in scenario.regions if r.order and settings.resolved_mode(r.size_kib) == "never"]
        if closed:
            return f"folios of {closed[0]} KiB are switched off, and cannot be switched on ({why})"
    if swaps(scenario) and not (found := probe.capability("swap")).available:
        return f"it needs swap: {found.reason}"
    for name in dict.fromkeys(ACTIONS[step.action] for step in scenario.steps if step.action in ACTIONS):
        found = probe.capability(name)
        if not found.available:
            return f"it needs {name}: {found.reason}"
    return ""


def swaps(scenario: Scenario) -> bool:
    """Whether a scenario pages out memory that was not freed by MADV_FREE before, which takes swap."""
    freed: set[tuple[str, int]] = set()
    for step in scenario.steps:
        pages = (
            {(step.pages.region, page) for page in range(step.pages.first, step.pages.last + 1)}
            if step.pages
            else set()
        )
        if step.action == "free":
            freed |= pages
        elif step.action == "pageout" and not pages <= freed:
            return True
    return False


def unseen(scenario: Scenario) -> str:
    """Why /proc cannot tell what the steps at once did, in one line; empty if it can.

    It is read before and after all of them: where a process writes a page, it may do nothing else with its memory.
    """
    steps = [scenario.steps[number] for number in scenario.at_once]
    writers = {step.process for step in steps if step.action == "write"}
    for step in steps:
        if step.process in writers and step.action in ("exit", "munmap", "dontneed", "mremap"):
            return f"{step.process} writes and does {step.action} at once; /proc shows only what both leave"
    return ""
