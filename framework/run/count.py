"""Counted metrics: the memory accesses of a workload's timed part, seen by the interpreter. Exact and repeatable."""

from __future__ import annotations

from foliolab.framework.anatomy.atomics import Counter
from foliolab.framework.contract.policy import Scheme
from foliolab.framework.contract.workload import Setting
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.policytree import checked
from foliolab.framework.engine.structs import page_stride
from foliolab.framework.isolation.blame import time_limit
from foliolab.framework.machine.layout import CTYPES
from foliolab.framework.run.cases import Case, counting_setting, shape_of


def stored(scheme: Scheme, order: int) -> dict[str, float]:
    """Bits that the scheme stores for one folio of an order and for each of its pages, and the size of struct page."""
    stride = {"struct_page_bytes": float(page_stride(scheme))}
    if order == 0:
        return {"bits_per_folio": 0.0, "bits_per_page": 0.0} | stride
    there = [f for f in scheme.fields if not f.overlays and (f.per == "page" or f.page < 1 << order)]
    size = {per: sum(CTYPES[f.ctype].bits * f.count for f in there if f.per == per) for per in ("folio", "page")}
    return {"bits_per_folio": float(size["folio"]), "bits_per_page": float(size["page"])} | stride


def own_fields(scheme: Scheme) -> frozenset[str]:
    """The names of the scheme's own fields, which a counter tells apart."""
    return frozenset(field.name for field in scheme.fields)


def _run(case: Case, setting: Setting, scheme: Scheme, checks: bool, seen: Counter) -> None:
    """Run a case; count its timed part."""
    machine = Machine(scheme, shape_of(case.workload, setting).fitting(scheme), "interpreted", checks=checks)
    timed = case.workload.prepare(machine, setting)
    machine.vm.observer = seen
    for call in [timed] if callable(timed) else timed:
        call()


def count(case: Case, scheme: Scheme, patience: float, seen: Counter | None = None) -> dict[str, float]:
    """Count the accesses of the timed part, per page, and what the scheme stores.

    The text's own checks are run once before, and are not counted.

    Args:
        case: the workload at one folio size.
        patience: seconds after which the workload counts as endless.
        seen: a counter that has counted nothing yet, to count more than the metrics; None: one for them.

    Raises:
        PluginError: the policy or the workload failed, wrote to a foreign field, or did not end.
    """
    setting = counting_setting(case)
    seen = seen or Counter(own_fields(scheme))
    with time_limit(patience, f"{case.workload.name} with policy {scheme.name}, interpreted,"):
        if checked(scheme):
            _run(case, setting, scheme, True, Counter(frozenset()))
        _run(case, setting, scheme, False, seen)
    pages = case.workload.pages(setting)
    per_page = {
        "atomics": seen.atomics,
        "policy_atomics": seen.policy_atomics,
        "lock_sections": seen.lock_sections,
        "loads": seen.loads,
        "stores": seen.stores,
        "cache_lines": len(seen.lines),
    }
    return {name: value / pages for name, value in per_page.items()} | stored(scheme, setting.order)
