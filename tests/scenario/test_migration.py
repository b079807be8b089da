"""Migration by move_pages: which folios move, and what the split queue has then, as each kernel does it."""

from __future__ import annotations

import pytest

from foliolab.framework.engine.check import violations
from foliolab.framework.plugins.registry import load as load_registry
from foliolab.framework.scenario.habits import Habits
from foliolab.framework.scenario.model import Model
from foliolab.framework.scenario.parser import parse

REGISTRY = load_registry()
LARGE = "region heap: 1 x 16K pte, room 4\n"
SMALL = "region heap: 4 x 4K\n"
HUGE = "region heap: 1 x 2M pmd\n"


def played(text: str, policy: str = "mm-id", requeues: bool = True) -> tuple[Model, list[str]]:
    """The machine after a scenario, and what each migration answered."""
    model = Model(
        parse("scenario x\n" + text), REGISTRY.policy(policy), "interpreted", habits=Habits(requeues=requeues)
    )
    answers = [record.answer for record in model.run() if record.step.action == "migrate"]
    assert not violations(model.machine)
    return model, answers


@pytest.mark.parametrize(
    ("text", "answers"),
    [
        (LARGE + "A: migrate heap[2]\n", ["moved"]),
        (LARGE + "A: fork B\nB: migrate heap\nA: exit\nB: migrate heap\n", ["kept", "moved"]),
        (LARGE + "A: vmsplice heap[3] as p\nA: migrate heap\nA: close p\nA: migrate heap\n", ["kept", "moved"]),
        (LARGE + "A: pin heap[3] as p\nA: migrate heap[0]\nA: unpin p\nA: migrate heap\n", ["kept", "moved"]),
        (LARGE + "A: mremap heap[0-1] to heap[4]\nA: migrate heap[4]\nA: migrate heap[6]\n", ["moved", "kept"]),
        (SMALL + "A: fork B\nA: write heap[1]\nA: migrate heap[0]\nA: migrate heap[0-1]\n", ["kept", "moved"]),
        (SMALL + "A: pageout heap\nA: migrate heap\nA: read heap\nA: migrate heap\n", ["kept", "moved"]),
        (HUGE + "A: migrate heap[9]\nA: write heap\nA: fork B\nA: migrate heap[9]\n", ["moved", "kept"]),
    ],
)
def test_what_moves(text: str, answers: list[str]) -> None:
    assert played(text)[1] == answers


@pytest.mark.parametrize("requeues", [True, False])
def test_what_the_split_queue_has(requeues: bool) -> None:
    moved, _ = played(LARGE + "A: migrate heap\n", requeues=requeues)
    assert moved.view(0).queued[:4].tolist() == [int(requeues)] * 4
    assert moved.machine.statistic("NR_ANON_PARTIALLY_MAPPED") == requeues
    twice, _ = played(LARGE + "A: migrate heap\nA: migrate heap\n", requeues=requeues)
    assert twice.view(0).sizes[:4].tolist() == ([1] * 4 if requeues else [4] * 4)
    kept, _ = played(LARGE + "A: vmsplice heap[3] as p\nA: migrate heap\n", requeues=requeues)
    assert kept.view(0).queued[:4].tolist() == [1] * 4, "its first PTE was an entry, on every kernel"
    refused, _ = played(LARGE + "A: pin heap[3] as p\nA: migrate heap\n", requeues=requeues)
    assert refused.view(0).queued[:4].tolist() == [0] * 4, "no entry was made"


def test_a_policy_that_counts_for_more_owners_keeps_fewer_folios() -> None:
    text = LARGE + "A: fork B\nA: fork C\nA: exit\nB: exit\nC: migrate heap\n"
    assert [played(text, policy)[1] for policy in ("mm-id", "exact")] == [["kept"], ["moved"]]


def test_each_page_keeps_its_bits_and_its_bytes() -> None:
    text = LARGE + "A: fork B\nB: exit\nA: write heap[1] = 7\nA: fork C without heap[1]\nC: exit\n"
    before, _ = played(text + "A: read heap[0]\n")
    after, _ = played(text + "A: migrate heap\nA: read heap[0]\n", requeues=False)
    for mine, other in zip(before.view(0).__dict__.values(), after.view(0).__dict__.values(), strict=True):
        assert mine[:8].tolist() == other[:8].tolist()
    assert (before.machine.ptes(0) == after.machine.ptes(0)).all()
