"""The workloads and sharing patterns that ship with FolioLab, and the figures published for them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from foliolab.framework.api import SharingPattern, Workload, hookimpl
from foliolab.workloads import contention, microbenchmarks, programs, sharing, vm_scalability


@hookimpl
def foliolab_workloads() -> Iterable[Workload]:
    """The built-in workloads."""
    return [*microbenchmarks.WORKLOADS, *contention.workloads(), *vm_scalability.workloads(), *programs.workloads()]


@hookimpl
def foliolab_sharing_patterns() -> Iterable[SharingPattern]:
    """How programs share memory over time, for `foliolab precision`."""
    return list(sharing.PATTERNS)


@hookimpl
def foliolab_published() -> Iterable[str]:
    """The figures that the patch series published."""
    return [str(Path(__file__).with_name("published.toml"))]


@hookimpl
def foliolab_scenarios() -> Iterable[str]:
    """Litmus tests of folio ownership: copy and reuse, forking orders, models of servers."""
    return [str(Path(__file__).with_name("scenarios"))]
