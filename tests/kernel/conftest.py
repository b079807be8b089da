"""Fixtures with the running kernel; a test is skipped with the reason where it is not available."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.errors import KernelError
from foliolab.framework.kernel import probe, running
from foliolab.framework.kernel.session import RunningKernel
from foliolab.framework.plugins.registry import load

NEEDED = ("root", "THP settings", "PFNs", "kpagecount", "kpageflags", "vmstat", "pidfd")
PATIENCE = 240.0
"""Seconds to wait for another run that has the THP settings."""


@pytest.fixture(scope="session")
def matching() -> Scheme:
    """The policy that models the running kernel."""
    scheme = running.matching(load())
    if scheme is None:
        pytest.skip(f"no policy models {running.read().described}")
    return scheme


@pytest.fixture
def session() -> Iterator[RunningKernel]:
    """The running kernel, as root."""
    for name in ("Linux", *NEEDED):
        found = probe.capability(name)
        if not found.available:
            pytest.skip(f"{name}: {found.reason}")
    try:
        held = RunningKernel(wait=PATIENCE)
        held.__enter__()
    except KernelError as fault:
        pytest.skip(fault.what)
    try:
        yield held
    finally:
        held.__exit__(None, None, None)
