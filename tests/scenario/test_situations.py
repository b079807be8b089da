"""Which situations a step meets, and how far random scenarios reach them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from foliolab.framework.engine.pagetable import PFN_SHIFT, PTE_PRESENT, PTE_WRITE
from foliolab.framework.engine.structs import PG_anon_exclusive
from foliolab.framework.plugins.registry import load
from foliolab.framework.report import kernelcheck
from foliolab.framework.report.pages.plain_text import Plain
from foliolab.framework.scenario import situations
from foliolab.framework.scenario.generate import Mix, random_scenario
from foliolab.framework.scenario.model import Model
from foliolab.framework.scenario.parser import parse
from foliolab.framework.scenario.situations import KINDS, NAMES, OPERATIONS, Situations

SCHEME = load().policy("mm-id")
SWAPPING = Mix(actions=Mix().actions | {"pageout"})
EVERYTHING = Mix(actions=SWAPPING.actions | {"thread", "migrate"})

HEAP = "region heap: 1 x 16K pte, room 4\n"
ALONE_AGAIN = HEAP + "A: fork B\nB: exit\n"
SMALL = "region heap: 4 x 4K\n"
TABLES = "region heap: 1 x 16K pte, room 512\n"


def met(text: str) -> set[str]:
    """What the last step of a scenario meets."""
    *_, last = Model(parse("scenario x\n" + text), SCHEME, "interpreted", situations=True).run()
    return {NAMES[index] for index in last.situations}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (HEAP + "A: mprotect heap[0-3]\n", set()),
        (ALONE_AGAIN + "A: mprotect heap[0-3]\n", set()),
        (ALONE_AGAIN + "A: write heap[0-1]\nA: mprotect heap[0-3]\n", {"mprotect: writable first"}),
        (ALONE_AGAIN + "A: write heap[0-1]\nA: mprotect heap[0-1]\n", set()),
        (ALONE_AGAIN + "A: write heap[2]\nA: mremap heap[1-3] to heap[4]\n", {"mremap: read-only first"}),
        (ALONE_AGAIN + "A: write heap[2]\nA: fork C without heap[0-1]\n", {"fork: writable first"}),
        (HEAP + "A: fork B without heap[0]\nA: exit\n", {"zap: writable first", "zap: mixed, shared"}),
        (HEAP + "A: fork B without heap[3]\nB: exit\nA: write heap[0-3]\n", {"write: read-only first"}),
        (HEAP + "A: fork B\nA: write heap[1]\nA: fork C\n", {"fork: hole"}),
        (HEAP + "A: dontneed heap[1-2]\nA: mprotect heap[0-3]\n", {"mprotect: hole"}),
        (HEAP + "A: dontneed heap[2-3]\nA: mprotect heap[0-3]\n", set()),
        (SMALL + "A: pageout heap[0]\nA: fork B\n", {"fork: swapped, present"}),
        (SMALL + "A: pageout heap[3]\nA: munmap heap\n", {"zap: present, swapped"}),
        (SMALL + "A: pageout heap\nA: fork B without heap[0]\nA: fork C\n", {"fork: exclusive swap first"}),
        (SMALL + "A: pageout heap\nA: fork B without heap[1]\nA: pageout heap\n", {"pageout: shared swap first"}),
        (SMALL + "A: pageout heap\nA: fork B\n", set()),
        (TABLES + "A: mremap heap[0-3] to heap[510]\nA: mprotect heap[510-513]\n", {"mprotect: whole, two tables"}),
        (TABLES + "A: mremap heap[0-2] to heap[510]\nA: exec\n", {"zap: part, two tables"}),
        (TABLES + "A: mremap heap[0-2] to heap[509]\nA: mprotect heap[509-511]\n", set()),
        (
            TABLES + "A: mremap heap[0-3] to heap[510]\nA: fork B\nB: exit\nA: write heap[510-511]\n"
            "A: fork C\n",
            {"fork: whole, two tables"},  # no batch goes beyond the end of a page table
        ),
        (HEAP + "A: pin heap[1] as p\nA: fork B\n", {"fork: pinned"}),
        (HEAP + "A: fork B\nA: pin heap[1] as p\nB: fork C\n", set()),
        (
            ALONE_AGAIN + "A: pin heap[0] as p\nA: mprotect heap[0-3]\n",
            {"mprotect: pinned", "mprotect: pinned, mixed", "mprotect: writable first"},
        ),
        (SMALL + "A: pin heap[1] as p\nA: write heap[0-1]\n", {"write: pinned"}),
        (SMALL + "A: pin heap[1] as p\nA: write heap[2-3]\n", set()),
        (HEAP + "A: vmsplice heap[1] as v\nA: munmap heap[0]\n", {"zap: referenced"}),
        (HEAP + "A: vmsplice heap[1] as v\nA: close v\n", set()),
        (
            HEAP + "A: fork B without heap[3]\nB: exit\nA: mremap heap[0-1] to heap[2]\n",
            {"zap: read-only first"},  # at the target
        ),
        ("region heap: 1 x 2M pmd\nA: munmap heap[0-9]\n", {"zap: part of a PMD"}),
        ("region heap: 1 x 2M pmd\nA: mprotect heap\n", set()),
        (SMALL + "A: thread T\nA: munmap heap[0]\n", {"zap: several threads"}),
        (SMALL + "A: thread T\nT: exit\nA: munmap heap[0]\n", set()),
        (SMALL + "A: thread T\nA: fork B\nB: munmap heap[0]\n", set()),
        (
            ALONE_AGAIN + "A: write heap[0]\nA: thread T\nT: migrate heap\n",
            {"migrate: writable first", "migrate: several threads"},
        ),
    ],
)  # fmt: skip
def test_what_a_step_meets(text: str, expected: set[str]) -> None:
    assert met(text) == expected


def test_a_page_is_writable_if_and_only_if_it_is_anon_exclusive() -> None:
    mix = replace(EVERYTHING, orders=(0, 2, 4))
    for seed in range(60):
        model = Model(random_scenario(seed, mix), SCHEME)
        for number, step in enumerate(model.scenario.steps):
            model.step(number, step)
            flags = model.machine.column("page", "flags")
            for mm in model.mms.values():
                table = model.machine.ptes(mm)
                table = table[table & np.uint64(PTE_PRESENT) != 0]
                exclusive = flags[table >> np.uint64(PFN_SHIFT)] >> np.uint64(PG_anon_exclusive) & np.uint64(1)
                assert np.array_equal(table & np.uint64(PTE_WRITE) != 0, exclusive != 0)


def test_what_cannot_be_met_is_not_sought() -> None:
    def sought(mix: Mix) -> set[str]:
        return {NAMES[at] for at in np.flatnonzero(situations.possible(mix.orders, mix.actions))}

    everything = sought(EVERYTHING)
    assert everything == {*NAMES}
    kinds = ("swap", "several threads")
    assert everything - sought(Mix()) == {
        name
        for name in NAMES
        if name.startswith(("pageout", "migrate")) or any(kind in name.partition(": ")[2] for kind in kinds)
    }
    assert everything - sought(Mix(orders=(4,), actions=EVERYTHING.actions)) == {
        f"{operation}: part of a PMD" for operation in OPERATIONS
    }
    assert sought(Mix(orders=(0,), actions=frozenset({"write", "pin"}))) == {"write: pinned"}


def test_what_no_step_met_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    found = Situations(np.array([not name.startswith(("pageout", "migrate")) for name in NAMES]))
    for _ in range(1200):
        found.add(range(0, len(NAMES), len(OPERATIONS)))  # of fork
    kernelcheck.render_situations(found, Plain())
    header, *rows, never = capsys.readouterr().out.splitlines()
    assert header.split() == ["steps", "that", "met", *OPERATIONS]
    assert [row.split()[-7:] for row in rows] == [["1,200", "0", "0", "0", "0", "-", "-"]] * len(KINDS)
    assert never.startswith("  ! never met, 60 of 75: zap: none of its 15 was met; mremap: none of its 15 was met;")
    found.add([NAMES.index("zap: hole")])
    assert found.never_text.startswith("zap: writable first, read-only first,")
    assert Situations(found.sought).never_text == "all"
    assert found.by_name["fork: hole"] == 1200 and found.by_name["pageout: hole"] == 0
    kernelcheck.render_situations(Situations(), Plain())
    assert capsys.readouterr().out == ""


@pytest.mark.slow
def test_random_scenarios_meet_every_situation() -> None:
    found = Situations(situations.possible(EVERYTHING.orders, EVERYTHING.actions))
    for seed in range(1, 1001):
        for record in Model(random_scenario(seed, EVERYTHING), SCHEME, situations=True).run():
            found.add(record.situations)
        if not found.never:
            break
    assert found.never == []
