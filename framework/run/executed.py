"""Executed instructions: what the compiled form of a workload's timed part executes, per page. Exact and repeatable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.contract.workload import Setting
from foliolab.framework.engine.machine import Machine
from foliolab.framework.machine.stepping import Executed, executed
from foliolab.framework.run.bench import Bench
from foliolab.framework.run.cases import Case

LEAST: Final = 8
"""Pages of the smaller of two runs."""
METRICS: Final = ("instructions", "locked", "copied_pages")


@dataclass(frozen=True)
class _Run:
    executed: Executed
    copied: int
    pages: int


def applies(case: Case) -> bool:
    """Whether instructions of a workload can be counted: those of one thread, of a part that is prepared once."""
    return case.workload.threads == 1 and not case.workload.program


def count_executed(case: Case, scheme: Scheme, begins: Callable[[], None] = lambda: None) -> dict[str, float]:
    """The instructions, the locked ones and the copied pages of the timed part, per page.

    Two runs of which one has twice the pages are subtracted, so that calling the operation counts for nothing.

    Args:
        begins: called before each run, which may take long.

    Raises:
        NotCounted: this machine cannot count.
        PluginError: the policy or the workload failed.
    """
    few = max(1 << case.setting.order, LEAST)
    runs = []
    for nr_pages in (few, 2 * few):
        begins()
        runs.append(_run(case, scheme, replace(case.setting, nr_pages=nr_pages)))
    one, two = runs
    pages = two.pages - one.pages
    more = two.executed - one.executed
    return {
        "instructions": more.instructions / pages,
        "locked": more.locked / pages,
        "copied_pages": (two.copied - one.copied) / pages,
    }


def _run(case: Case, scheme: Scheme, setting: Setting) -> _Run:
    """Count one run, after one that is not counted: the first call of an operation loads its code."""
    ready = Bench("native").prepare(Case(case.workload, setting), scheme)
    call: Callable[[], object]
    (call,) = ready.calls
    call()
    ready.machine.restore(ready.state)
    before = _frames(ready.machine, case, setting)
    counts = executed(call)
    after = _frames(ready.machine, case, setting)
    copied = sum(now >= 0 and was >= 0 and now != was for was, now in zip(before, after, strict=True))
    return _Run(counts, copied, case.workload.pages(setting))


def _frames(machine: Machine, case: Case, setting: Setting) -> list[int]:
    """The page frame of each page of each MM, if the workload has page contents, which alone are copied."""
    if not case.workload.contents:
        return []
    pages = range(case.workload.spaces * setting.nr_pages)
    return [machine.frame(mm, page) for mm in range(case.workload.mms) if machine.is_alive(mm) for page in pages]
