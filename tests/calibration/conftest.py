"""Results of a kernel with a known rest and of a model with known times, and the calibration from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

from foliolab.framework import calibration
from foliolab.framework.calibration import Calibration
from foliolab.framework.host import HostInfo
from foliolab.framework.plugins.registry import load
from foliolab.framework.results.result import Cell, Config, Result

BASE = "page-mapcount"
OWN = "mm-id"
LINUX = "linux"
SIZES = (4, 16, 32, 64, 128, 256, 512, 1024, 2048)
MACHINE = HostInfo(cpu="a CPU", cores=2, memory_bytes=1 << 33, os="an OS")
KERNEL = "6.18.1-test #1 SMP"
RAW: Mapping[str, float] = {BASE: 10.0, OWN: 11.0, "no-page-mapcount": 6.0}
"""Nanoseconds per page in the model, the same at every size."""

Times = Callable[[int], float]
"""Nanoseconds per page of a folio size in KiB."""


def parameters(policy: str) -> dict[str, int]:
    """All parameters of a policy, as a result has them; the kernel has none."""
    return {} if policy == LINUX else dict(load().policy(policy).values)


def result(policies: Sequence[str], cells: Sequence[Cell], kind: str = "compare", **others: Any) -> Result:
    fields: dict[str, Any] = {
        "kind": kind,
        "complete": True,
        "command": f"foliolab {kind}",
        "started": "2026-01-01T00:00:00+00:00",
        "finished": "2026-01-01T00:01:00+00:00",
        "config": Config(
            policies=list(policies),
            policy_parameters={policy: parameters(policy) for policy in policies},
            baseline=policies[0],
            workloads=list(dict.fromkeys(cell.workload for cell in cells)),
            sizes=sorted({cell.size_kib for cell in cells}),
            memory=512 << 20,
            repeats=8,
            seed=1,
            quick=False,
        ),
        "machine": MACHINE,
        "versions": {},
        "kernel": KERNEL,
        "git": "",
        "cells": list(cells),
    }
    return Result(**(fields | others))


@dataclass
class Make:
    """Makes results; `noise` is the relative spread of a round."""

    BASE: ClassVar[str] = BASE
    OWN: ClassVar[str] = OWN
    SIZES: ClassVar[tuple[int, ...]] = SIZES
    RAW: ClassVar[Mapping[str, float]] = RAW
    PARAMETERS: ClassVar[Mapping[str, int]] = parameters(OWN)

    noise: float = 0.0
    rounds: int = 9
    seed: int = 1

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)

    def samples(self, ns: float, rounds: int = 0) -> list[float]:
        """Rounds of a time; without noise all are equal to it."""
        return [float(ns * factor) for factor in self.random.lognormal(0, self.noise, rounds or self.rounds)]

    def model(
        self, workloads: Sequence[str] = ("munmap",), raw: Mapping[str, float] = RAW, sizes: Sequence[int] = SIZES,
        **others: Any,
    ) -> Result:  # fmt: skip
        """A comparison in which each policy takes its raw time at every size."""
        cells = [
            Cell(workload=workload, size_kib=size, policy=policy, samples=self.samples(ns))
            for workload in workloads
            for size in sizes
            for policy, ns in raw.items()
        ]
        return result(list(raw), cells, **others)

    def bench(self, times: Mapping[str, Times], sizes: Sequence[int] = SIZES, **others: Any) -> Result:
        """A kernel bench with a function of the size for the time of each benchmark."""
        cells = [
            Cell(workload=workload, size_kib=size, policy=LINUX, samples=self.samples(ns(size)))
            for workload, ns in times.items()
            for size in sizes
        ]
        return result([LINUX], cells, "kernel-bench", **others)

    @staticmethod
    def rest(per_page: float, per_folio: float, own: float = RAW[OWN]) -> Times:
        """The times of a kernel whose rest is exactly that of two constants."""
        return lambda size: own + per_page + per_folio / (size // 4)

    def calibration(self, times: Mapping[str, Times], reuses: bool = True, **others: Any) -> Calibration:
        """The calibration from both results."""
        return calibration.calibrate(self.bench(times, **others), self.model(list(times)), OWN, self.PARAMETERS, reuses)


@pytest.fixture
def make() -> Make:
    """A maker of results without noise."""
    return Make()


@pytest.fixture(scope="session")
def maker() -> type[Make]:
    """The class, for tests with noise."""
    return Make
