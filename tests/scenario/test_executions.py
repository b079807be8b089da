"""Native and interpreted runs see the same; and what the model does that only scenarios ask for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foliolab.framework.engine.check import violations
from foliolab.framework.engine.engine import Execution
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.operation import Operation
from foliolab.framework.plugins.registry import load as load_registry
from foliolab.framework.scenario.difference import differences
from foliolab.framework.scenario.generate import Mix, random_scenario
from foliolab.framework.scenario.habits import Habits
from foliolab.framework.scenario.model import Model
from foliolab.framework.scenario.parser import parse
from foliolab.framework.scenario.record import Record
from foliolab.framework.scenario.syntax import Scenario

REGISTRY = load_registry()
SMALL = Mix(orders=(0, 2, 3, 4), steps=12)


def run(scenario: Scenario, policy: str = "mm-id", execution: Execution = "native") -> list[Record]:
    return list(Model(scenario, REGISTRY.policy(policy), execution, verdicts=True).run())


def outcomes(text: str, policy: str = "mm-id") -> list[str]:
    return [record.text for record in run(parse("scenario x\n" + text), policy)]


def assert_same(one: Sequence[Record], other: Sequence[Record]) -> None:
    assert list(differences(one, other)) == []
    for a, b in zip(one, other, strict=True):
        assert (a.outcomes, a.large, a.answer, a.verdicts) == (b.outcomes, b.large, b.answer, b.verdicts)
        for name, view in a.views.items():
            assert np.array_equal(view.frames, b.views[name].frames)


@settings(max_examples=15)
@given(st.integers(0, 1 << 20), st.sampled_from(["mm-id", "page-mapcount", "exact"]))
def test_native_and_interpreted_runs_are_the_same(seed: int, policy: str) -> None:
    scenario = random_scenario(seed, SMALL)
    assert_same(run(scenario, policy), run(scenario, policy, "interpreted"))


# -- swap: as it was seen on Linux 6.18 with zram -----------------------------------------------------
def test_what_is_swapped_out_comes_back_small_and_with_its_contents() -> None:
    text = (
        "region heap: 1 x 64K\nA: write heap = 9\nA: pageout heap\nA: read heap[3]\nA: write heap[5]\n"
        "A: expect heap[3] exclusive\nA: write heap[3]\nA: read heap[0-2]\n"
    )
    assert outcomes(text) == ["unchanged", "out", "9", "new page", "unchanged", "9"]


@pytest.mark.parametrize(("bypass", "outcome"), [(True, "unchanged"), (False, "copied")])
def test_a_read_brings_back_an_exclusive_page_only_past_the_swap_cache(bypass: bool, outcome: str) -> None:
    """Linux 6.12 to 6.18 read past the cache, 7.2 and 7.3 do not (`kernel check` in guests with a RAM disk)."""
    text = "region heap: 1 x 4K\nA: fork B\nA: exit\nB: pageout heap\nB: vmsplice heap[0] as p\nB: write heap[0]\n"
    records = list(
        Model(parse("scenario t\n" + text), load_registry().policy("mm-id"), habits=Habits(swap_bypass=bypass)).run()
    )
    assert records[-1].text == outcome


def test_what_others_map_stays() -> None:
    text = (
        "region heap: 1 x 64K\nregion s: 1 x 4K\nA: fork B\nA: pageout heap\nA: pageout s\nB: exit\nA: pageout heap\n"
    )
    assert outcomes(text) == ["", "kept", "kept", "", "out"]


def test_a_part_splits_only_what_is_not_shared() -> None:
    text = "region heap: 1 x 64K\nA: pageout heap[0-3]\nA: write heap[4]\nA: fork B\nB: exit\nA: write heap[4-5]\n"
    assert outcomes(text) == ["out", "unchanged", "", "", "reused"]
    text = "region heap: 1 x 16K\nA: fork B\nA: fork C\nA: exit\nB: exit\nC: pageout heap[0]\n"
    assert outcomes(text)[-1] == "kept"  # false shared
    assert outcomes(text, "exact")[-1] == "out"


def test_pages_that_a_split_leaves_keep_what_they_were() -> None:
    text = "region heap: 1 x 16K\nA: fork B\nB: exit\nA: write heap[2]\nA: pageout heap[0]\nA: write heap[1-3]\n"
    assert outcomes(text)[-1] == "2 reused, 1 unchanged"


SHARED_BEHIND_THE_FIRST = (
    "region heap: 1 x 16K, room 4\nA: write heap[1] = 7\nA: fork B\nA: munmap heap[3]\nB: munmap heap[0]\n"
    "B: munmap heap[2-3]\n"
)
"""Four mappings, and the first page has one: Linux 6.12 takes the folio for exclusive, though B maps a page of it."""


@pytest.mark.parametrize("place", ["heap[1]", "heap[6]"])
def test_a_folio_that_is_taken_for_exclusive_is_split_for_every_process(place: str) -> None:
    """As Linux 6.12 does (`kernel check --kernel 6.12`): what others map, too, becomes small and stays."""
    moved = "" if place == "heap[1]" else f"B: mremap heap[1] to {place}\n"
    text = SHARED_BEHIND_THE_FIRST + moved + "A: pageout heap[0-1]\n"
    found = run(parse("scenario x\n" + text), "page-mapcount")[-1]
    assert found.answer == "out"
    assert found.views["A"].present[:3].tolist() == [False, True, True]
    assert found.views["A"].counts[1:3].tolist() == [2, 1] and found.population == 0
    after = text + f"B: read {place}\nB: write {place} = 9\nA: write heap[1-2] = 8\nA: read heap[1]\nB: read {place}\n"
    assert outcomes(after, "page-mapcount")[-5:] == ["7", "copied", "reused", "8", "9"]
    assert outcomes(text)[-1] == outcomes(text, "exact")[-1] == "kept"


def test_a_folio_that_is_not_mapped_in_one_piece_goes_out_in_parts() -> None:
    """Reclaim sees one batch of PTEs, or else asks whether the folio is maybe shared."""
    text = "region heap: 1 x 16K, room 4\nA: fork B\nA: fork C\nA: exit\nB: exit\n"
    assert outcomes(text + "C: pageout heap[0-3]\n")[-1] == "out"
    swapped = "".join(f"C: mremap heap[{page}] to heap[{to}]\n" for page, to in ((3, 7), (2, 3), (7, 2)))
    assert outcomes(text + swapped + "C: pageout heap[0-3]\n")[-1] == "kept"  # false shared


@settings(max_examples=20)
@given(st.integers(0, 1 << 20), st.sampled_from(["mm-id", "page-mapcount"]))
def test_the_laws_hold_where_folios_are_paged_out(seed: int, policy: str) -> None:
    scenario = random_scenario(seed, Mix(orders=(2, 3), steps=16, actions=Mix().actions | {"pageout"}))
    model = Model(scenario, REGISTRY.policy(policy), "interpreted")
    for number, step in enumerate(scenario.steps):
        model.step(number, step)
        assert violations(model.machine) == []


def test_a_pmd_goes_out_whole_or_in_part() -> None:
    text = "region heap: 1 x 2M pmd\nA: pageout heap[0-9]\nA: write heap[9-10]\nA: pageout heap[20-511]\nA: fork B\n"
    assert outcomes(text + "B: read heap[511]\nB: write heap[511]\n")[1:] == [
        "1 new page, 1 unchanged",
        "out",
        "",
        "1",
        "copied",
    ]


@pytest.mark.parametrize(("held", "small", "large"), [("vmsplice", "out", "kept"), ("pin", "kept", "kept")])
def test_a_reference_keeps_a_large_folio_and_a_pin_everything(held: str, small: str, large: str) -> None:
    text = f"region s: 1 x 4K\nregion heap: 1 x 16K\nA: {held} s[0] as a\nA: {held} heap[0] as b\n"
    text += "A: pageout s\nA: pageout heap\n"
    assert outcomes(text + "A: write s = 7\nA: peek a\n")[2:] == [
        small,
        large,
        *(["new page"] if small == "out" else ["unchanged"]),
        "7",
    ]


def test_swap_space_that_a_child_still_names() -> None:
    head = "region heap: 2 x 4K\nA: pageout heap\nA: fork B\nA: read heap\n"
    assert outcomes(head + "A: write heap\nB: read heap\n")[-2:] == ["copied", "1"]
    assert outcomes(head + "B: exit\nA: write heap\n")[-1] == "reused"
    assert outcomes(head + "B: munmap heap[0]\nA: write heap\n")[-1] == "1 reused, 1 copied"


def test_the_last_entry_of_a_page_on_the_device_makes_an_owner() -> None:
    head = "region heap: 2 x 4K\nA: pageout heap\nA: fork B\nB: exit\nA: read heap\n"
    assert outcomes(head + "A: write heap\n")[-1] == "unchanged"
    # read in before the child left, it was in the swap cache
    head = "region heap: 2 x 4K\nA: pageout heap\nA: fork B\nA: read heap\nB: exit\n"
    assert outcomes(head + "A: write heap\n")[-1] == "reused"


STEPS = st.lists(st.tuples(st.sampled_from(["write", "fork", "exit", "dontneed"]), st.integers(0, 99)), max_size=10)


@settings(max_examples=25)
@given(STEPS, st.sampled_from(["4 x 4K", "1 x 16K", "2 x 16K"]))
def test_paging_out_changes_no_contents(steps: list[tuple[str, int]], folios: str) -> None:
    """Every process reads the same whether or not everybody pages out after each step."""
    lines, alive = [f"region heap: {folios}"], ["A"]
    for number, (action, chance) in enumerate(steps):
        who, page = alive[chance % len(alive)], chance % 4
        if action == "fork":
            alive.append(f"P{number}")
            lines.append(f"{who}: fork P{number}")
        elif action == "exit" and len(alive) > 1:
            alive.remove(who)
            lines.append(f"{who}: exit")
        elif action != "exit":
            lines.append(f"{who}: {action} heap[{page}]" + (f" = {chance}" if action == "write" else ""))
        lines += [f"{name}: pageout heap" for name in alive]
    reads = [f"{name}: read heap[{page}]" for name in alive for page in range(4)]
    plain = [line for line in lines if "pageout" not in line]
    assert outcomes("\n".join(lines + reads))[-len(reads) :] == outcomes("\n".join(plain + reads))[-len(reads) :]


def test_the_recorded_operations_of_a_scenario_repeat_its_memory() -> None:
    lines = ["A: fork B without h[4]", "A: write h[0-3]", "B: pin h[1] as p", "B: vmsplice h[2] as v", "A: fork C",
             "C: mremap h[8-9] to h[20]", "B: unpin p", "B: close v", "C: mprotect h[0]", "A: dontneed h[5]",
             "B: exec", "A: exit"]  # fmt: skip
    scenario = parse("\n".join(["scenario x", "region h: 1 x 64K pte, room 16", *lines]))
    model = Model(scenario, REGISTRY.policy("mm-id"), "interpreted")
    operations = [*model.operations]
    for number, step in enumerate(scenario.steps):
        operations += model.step(number, step).operations
    again = Machine(model.machine.scheme, model.machine.shape, "interpreted")
    for operation in operations:
        again.apply(Operation.parse(operation.text))
    end = again.map.scratch  # the views lie there
    assert (again.vm.buffer[:end] == model.machine.vm.buffer[:end]).all()
