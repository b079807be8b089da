"""Fixtures with the running kernel; a test is skipped with the reason where it is not available."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.errors import KernelError
from foliolab.framework.kernel import probe, running
from foliolab.framework.kernel.session import RunningKernel, Session
from foliolab.framework.plugins.registry import load
from foliolab.framework.scenario.parser import parse

NEEDED = ("root", "THP settings", "PFNs", "kpagecount", "kpageflags", "vmstat", "pidfd")
PATIENCE = 240.0
"""Seconds to wait for another run that has the THP settings."""
CONTENTS = """scenario contents
region heap: 1 x 64K pte, room 4
A: vmsplice heap[0] as v
A: fork B
A: write heap[0] = 9
A: peek v
B: read heap[0]
A: pin heap[1] as p
A: write heap[1] = 7
A: peek p
A: unpin p
A: read heap[16]
A: write heap[16] = 3
A: fork C
C: exec
C: exit
A: read heap[16]
A: mremap heap[16] to heap[18]
A: read heap[18]
"""


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


@pytest.fixture
def check_contents() -> Callable[[Session], None]:
    """Plays, on any kernel, pages whose contents pins and pipes show, and an exec; and checks what each step finds."""

    def check(session: Session) -> None:
        records = {record.step.line: record for record in session.run(parse(CONTENTS))}
        assert records[6].text == "1" and records[7].text == "1"
        assert records[10].text == "7"
        assert records[12].text == "0" and not records[12].views["A"].present[16]
        assert records[17].text == "3" and records[19].text == "3"
        assert not records[15].views["C"].present.any()
        assert records[18].views["A"].present[18] and not records[18].views["A"].present[16]

    return check
