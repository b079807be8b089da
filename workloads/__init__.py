"""The workloads that ship with FolioLab, and the figures published for them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from foliolab.framework.api import Workload, hookimpl
from foliolab.workloads import contention, microbenchmarks


@hookimpl
def foliolab_workloads() -> Iterable[Workload]:
    """The built-in workloads."""
    return [*microbenchmarks.WORKLOADS, *contention.workloads()]


@hookimpl
def foliolab_published() -> Iterable[str]:
    """The figures that the patch series published."""
    return [str(Path(__file__).with_name("published.toml"))]
