"""The workloads that ship with FolioLab, and the figures published for them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from foliolab.framework.api import Workload, hookimpl
from foliolab.workloads import contention, microbenchmarks, vm_scalability


@hookimpl
def foliolab_workloads() -> Iterable[Workload]:
    """The built-in workloads."""
    return [*microbenchmarks.WORKLOADS, *contention.workloads(), *vm_scalability.workloads()]


@hookimpl
def foliolab_published() -> Iterable[str]:
    """The figures that the patch series published."""
    return [str(Path(__file__).with_name("published.toml"))]


@hookimpl
def foliolab_scenarios() -> Iterable[str]:
    """Litmus tests of folio ownership: copy and reuse, forking orders, models of servers."""
    return [str(Path(__file__).with_name("scenarios"))]
