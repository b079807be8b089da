"""The capabilities that a scenario needs of the running kernel, and the reasons why they are missing."""

from __future__ import annotations

from typing import Final

from foliolab.framework.kernel import probe, settings
from foliolab.framework.scenario.syntax import Scenario, ScenarioStep

ALWAYS: Final = ("vmstat", "pidfd")
"""What every scenario needs; `probe.require` checks it."""

ACTIONS: Final = {"pin": "io_uring buffers", "vmsplice": "vmsplice", "migrate": "NUMA nodes"}
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


REPLACES: Final = frozenset({"write", "pin", "munmap", "dontneed", "mremap", "exit"})
"""Actions after which a page of the process may have another frame, or none."""


def unseen(scenario: Scenario) -> frozenset[int]:
    """The numbers of the steps whose outcomes /proc cannot tell.

    It is read before and after all of the steps that run at once: where something else may replace the page, too, a
    write and its frame have nothing to do with each other.
    """
    steps = [(number, scenario.steps[number]) for number in scenario.at_once]
    return frozenset(
        number
        for number, step in steps
        if any(_may_replace(scenario, other, step) for at, other in steps if at != number)
    )


def _may_replace(scenario: Scenario, other: ScenarioStep, step: ScenarioStep) -> bool:
    """Whether a step may replace a page of another one, which runs at once with it or before it."""
    if step.action not in ("write", "pin") or step.pages is None:
        return False
    if other.action == "migrate":
        return True
    same = scenario.process_of[other.process] == scenario.process_of[step.process]
    places = [pages for pages in (other.pages, other.to) if pages is not None]
    return same and other.action in REPLACES and (not places or any(pages.meets(step.pages) for pages in places))
