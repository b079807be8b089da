"""The cases of a run: one workload at one folio size each, measured interleaved over all policies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.contract.workload import Setting, Workload
from foliolab.framework.engine.engine import Shape
from foliolab.framework.errors import UsageError
from foliolab.framework.host import memory_available
from foliolab.framework.machine.layout import PMD_ORDER
from foliolab.framework.machine.primitives import PAGE_SIZE
from foliolab.framework.plugins.registry import Registry
from foliolab.framework.run.request import RunRequest

PROCESS_BYTES: Final = 400 << 20
"""Memory of Python, numpy and the compiler."""


@dataclass(frozen=True)
class Case:
    """One workload at one folio size: what is measured interleaved over all policies."""

    workload: Workload
    setting: Setting

    @property
    def key(self) -> tuple[str, int]:
        return self.workload.name, self.setting.order


def counting_setting(case: Case) -> Setting:
    """The setting of the same case for the interpreter, with fewer pages."""
    small = max(case.workload.small, 2 << case.setting.order)
    return replace(case.setting, nr_pages=min(small, case.setting.nr_pages), counting=True)


def shape_of(workload: Workload, setting: Setting) -> Shape:
    """The shape of the machine that a workload needs."""
    return Shape(
        nr_pages=workload.frames * setting.nr_pages,
        nr_mms=workload.mms,
        nr_vpns=workload.spaces * setting.nr_pages,
        nr_cpus=workload.threads,
        max_order=max(setting.order, PMD_ORDER),
        contents=workload.contents,
        scratch=workload.scratch_for(setting),
    )


def plan(registry: Registry, request: RunRequest) -> list[Case]:
    """The cases of a run by workload, then by size. Sizes that a workload does not support are left out.

    Raises:
        UsageError: a name is unknown, or no case is left.
    """
    cases = []
    for name in request.workloads:
        workload = registry.workload(name)
        for order in request.orders:
            if order in workload.orders:
                cases.append(Case(workload, Setting(order, _pages(workload, order, request), request.seed)))
    if not cases:
        raise UsageError(
            "no chosen workload supports a chosen folio size",
            "`foliolab list` shows the sizes of each workload",
        )
    return cases


def _pages(workload: Workload, order: int, request: RunRequest) -> int:
    pages = request.memory // PAGE_SIZE
    if workload.limit is not None:
        pages = min(pages, workload.limit(order))
    whole = pages >> order << order
    if whole < 2 << order:
        raise UsageError(
            f"{request.memory >> 10} KiB of memory are less than two folios of {4 << order} KiB",
            f"use --memory {(8 << order) >> 10}M or more, or smaller --sizes"
            if order >= PMD_ORDER - 1
            else "use more --memory",
        )
    return whole


def unfit(workload: Workload, scheme: Scheme, order: int) -> str:
    """Why a workload with folios of an order is not for a policy; empty if it is."""
    if missing := sorted(workload.needs - scheme.capabilities):
        return f"the policy does not claim {', '.join(missing)}"
    if workload.mms > scheme.max_mm_id:
        return f"the workload has {workload.mms} MMs, the policy tells {scheme.max_mm_id} apart"
    if order > scheme.policy.max_order:
        return f"the policy is for folios up to order {scheme.policy.max_order}"
    return ""


def memory_needed(cases: Sequence[Case], schemes: Sequence[Scheme]) -> int:
    """Bytes that a run takes at most: page contents once, and for each policy its state with a copy of it."""
    most = 0
    for case in cases:
        shape = shape_of(case.workload, case.setting)
        contents = shape.nr_pages * PAGE_SIZE if shape.contents else 0
        most = max(most, contents + sum(2 * shape.nbytes(scheme) for scheme in schemes))
    return most + PROCESS_BYTES


def check_memory(registry: Registry, request: RunRequest) -> None:
    """Refuse a run that does not fit, before anything is allocated.

    Raises:
        UsageError: the run takes more memory than is available; names both amounts, and the workloads that fit.
    """
    cases, schemes = plan(registry, request), [registry.policy(name) for name in request.policies]
    needed, available = memory_needed(cases, schemes), memory_available()
    if available is None or needed <= available:
        return
    large = {case.workload.name for case in cases if memory_needed([case], schemes) > available}
    fit = ",".join(name for name in request.workloads if name not in large)
    raise UsageError(
        f"this comparison takes up to {_mib(needed)} of memory, and {_mib(available)} are available",
        "choose less memory or fewer policies (--memory, --policies)"
        + (f", or the workloads that fit: --workloads {fit}" if fit else ", or free some memory"),
    )


def _mib(nbytes: int) -> str:
    return f"{nbytes / (1 << 20):,.0f} MiB"
