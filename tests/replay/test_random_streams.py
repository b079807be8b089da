"""Random streams: the account of owners is the truth, and native is interpreted."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine.engine import native_missing
from foliolab.framework.replay.result import Replayed
from foliolab.framework.trace import events as ev
from foliolab.policies import exact, foliolab_policies, page_mapcount

sys.path.insert(0, str(Path(__file__).parent))
from scripted import HEAP, MM_ID, Row, Script, played, result

needs_native = pytest.mark.skipif(bool(native_missing()), reason="numba cannot be imported")
SCHEMES = [policy.with_parameters() for policy in foliolab_policies()]
EXACT = exact.POLICY.with_parameters()
BASE = page_mapcount.POLICY.with_parameters()

KINDS = (
    ev.PRESENT, ev.FORK, ev.FORK, ev.FORK, ev.SPAWN, ev.EXEC, ev.EXIT, ev.EXIT, ev.GONE, ev.NEW, ev.NEW, ev.NEW,
    ev.WRITE, ev.WRITE, ev.WRITE, ev.WRITE, ev.UNMAP, ev.UNMAP, ev.MOVE, ev.SPLIT, ev.LOST, ev.FREE_HINT, ev.MAP,
)  # fmt: skip
NUMBER = st.integers(0, 1 << 11)
STEP = st.tuples(st.sampled_from(KINDS), NUMBER, NUMBER, NUMBER, NUMBER)
STEPS = st.lists(STEP, min_size=4, max_size=80)
MOVED = [
    (7, 940, 264, 341, 1559), (9, 251, 1493, 282, 221), (8, 176, 48, 925, 560), (7, 139, 1159, 1623, 1509),
    (8, 375, 950, 92, 902), (7, 0, 87, 1177, 441), (10, 28, 131, 804, 584), (7, 0, 87, 1177, 441),
]  # fmt: skip
"""mremap changes what a policy says that counts page tables."""
SHOWN_AGAIN = [(1, 1439, 106, 695, 1052), (10, 126, 539, 2013, 129), (1, 677, 59, 176, 553)]
"""A trace shows what was mapped at its beginning, and again after another event."""
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)


def stream(steps: Sequence[tuple[int, int, int, int, int]]) -> Script:
    """Events of a few MMs in three windows; what they say may be wrong, as in a trace with losses."""
    script = Script()
    script(ev.NEW, page=HEAP, order=4, other=64)
    born = 1
    for kind, a, b, c, d in steps:
        mm, page = a % born + 1, HEAP + b % 1536
        row: Row = {"page": page, "nr": c % 40 + 1, "order": (0, 2, 3, 4, 9)[d % 5], "flags": d % 3 | a & 4}
        row["other"] = 512 * (1 + d % 7) + (0 if row["order"] == 9 else b % 512)
        if kind in (ev.FORK, ev.SPAWN, ev.EXEC):
            born += 1
            row["other"] = born
        if kind == ev.NEW:
            row["page"] = page >> row["order"] << row["order"]
        if kind == ev.MOVE:
            row["other"] = HEAP + (c * 7) % 1536
        script(kind, mm, 1 + c % 3, **row)
    return script


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda s: s.name)
@settings(max_examples=100, phases=PHASES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
@example(steps=MOVED)
def test_the_account_of_owners_is_the_truth(tmp_path: Path, scheme: Scheme, steps: Any) -> None:
    found = result(stream(steps).trace(tmp_path), scheme)
    assert found.events == len(steps) + 1
    if "exact" in scheme.capabilities:
        assert found.false_shared.folio_ns == 0
        assert found.false_shared.episodes == 0
    if "safe" in scheme.capabilities:
        assert found.unsafe.folio_ns == 0
        assert found.unsafe.episodes == 0
    if {"exact", "reuse"} <= scheme.capabilities:
        assert found.sole_copies == 0


@pytest.mark.slow
@needs_native
@pytest.mark.parametrize("scheme", [MM_ID, BASE, EXACT], ids=lambda s: s.name)
@settings(max_examples=25, phases=PHASES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
@example(steps=SHOWN_AGAIN)
def test_native_does_what_interpreted_does(tmp_path: Path, scheme: Scheme, steps: Any) -> None:
    trace = stream(steps)(ev.LOST, 0).trace(tmp_path)
    one, other = (
        played(trace, scheme, execution, samples=5, predecessors=2) for execution in ("interpreted", "native")
    )
    first, second = (found.account.replayed("") for found in (one, other))
    for attribute in Replayed.__struct_fields__:
        if attribute != "seconds":
            assert getattr(first, attribute) == getattr(second, attribute), attribute
