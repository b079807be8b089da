"""Steps that cannot be are refused, with the word that is to blame."""

from __future__ import annotations

import pytest

from foliolab.framework.scenario.parser import ScenarioError, parse
from foliolab.framework.scenario.refusal import Refused
from foliolab.framework.scenario.space import MAX_PROCESSES, check
from foliolab.framework.scenario.syntax import Pages, Region, Scenario, ScenarioStep

HEAD = "scenario x\nregion heap: 2 x 16K pte, room 8\n"

IMPOSSIBLE = {
    "A: fork B\n^C: exit": "there is no process C",
    "A: fork B\nB: exit\n^B: write heap[0]": "process B has exited",
    "A: exit\n^A: fork B": "process A has exited",
    "A: fork B\nA: fork ^B": "there was a process B already",
    "A: fork ^A": "there was a process A already",
    "A: fork B\nB: exit\nA: fork ^B": "there was a process B already",
    "A: munmap heap[0]\nA: write ^heap[0-3]": "A has no mapping of all of heap[0-3]",
    "A: munmap heap[0]\nA: munmap ^heap[0]": "A has no mapping",
    "A: munmap heap[0]\nA: fork B without ^heap[0]": "A has no mapping",
    "A: fork B without heap[0]\nB: read ^heap[0]": "B has no mapping",
    "A: exec\nA: write ^heap[0]": "A has no mapping",
    "A: mremap heap[0-1] to heap[8]\nA: dontneed ^heap[0]": "A has no mapping",
    "A: mremap heap[0-3] to ^heap[2]": "heap[2-5] overlaps heap[0-3]",
    "A: mremap heap[0-3] to ^heap[14]": "heap[14-17] is beyond the region",
    "A: mremap heap[8-9] to heap[2]\nA: mremap ^heap[0-3] to heap[8]": "heap[0-3] is not one mapping any more",
    "A: vmsplice ^heap[9] as v": "is not present",
    "A: dontneed heap[0]\nA: vmsplice ^heap[0] as v": "is not present",
    "A: pin heap[0] as p\nA: vmsplice heap[1] as ^p": "p is held already",
    "A: vmsplice heap[0] as v\nA: unpin ^v": "A holds no v to unpin",
    "A: pin heap[0] as p\nA: close ^p": "A holds no p to close",
    "A: pin heap[0] as p\nA: fork B\nB: unpin ^p": "B holds no p",
    "A: pin heap[0] as p\nA: unpin p\nA: peek ^p": "A holds no p",
    "A: vmsplice heap[0] as v\nA: exec\nA: peek ^v": "A holds no v",
    "A: cold heap[0]\nA: ^write heap[0]": "write after cold",
    "A: munmap heap[3]\nA: cold ^heap[0-3]": "A has no mapping",
    "A: munmap heap[3]\nA: pageout ^heap[0-3]": "A has no mapping",
    "A: munmap heap[3]\nA: mprotect ^heap[0-3]": "A has no mapping",
    "A: munmap heap[3]\nA: pin ^heap[3] as p": "A has no mapping",
}


@pytest.mark.parametrize("text", IMPOSSIBLE)
def test_an_impossible_step(text: str) -> None:
    before = text[: text.index("^")]
    place = before.count("\n") + 3, len(before) - before.rfind("\n")
    with pytest.raises(ScenarioError) as caught:
        parse(HEAD + text.replace("^", ""))
    assert caught.value.location[1:3] == place, str(caught.value)
    assert IMPOSSIBLE[text] in caught.value.what


def test_too_many_processes() -> None:
    forks = "".join(f"A: fork P{i}\n" for i in range(MAX_PROCESSES - 1))
    parse(HEAD + forks)
    with pytest.raises(ScenarioError, match="more than 64 processes"):
        parse(HEAD + forks + "A: fork more\n")


def test_what_was_freed_may_be_used_again() -> None:
    parse(HEAD + "A: pin heap[0] as p\nA: unpin p\nA: vmsplice heap[0] as p\nA: close p\nA: pin heap[0] as p\n")
    parse(HEAD + "A: munmap heap[8-9]\nA: mremap heap[0-1] to heap[8]\nA: write heap[8-9]\nA: dontneed heap[8]\n")
    parse(HEAD + "A: cold heap[0]\nA: read heap[0]\nA: exit\n")


def test_a_scenario_that_was_made_is_checked_alike() -> None:
    region = Region(name="heap", folios=1, order=2)
    step = ScenarioStep(process="A", action="write", pages=Pages("heap", 0, 4))
    with pytest.raises(Refused, match="beyond the region"):
        check(Scenario(name="made", regions=(region,), items=(step,)))
