"""The derived programs: each once up to renaming, what differs most first, and the report says what was covered."""

from __future__ import annotations

import re
import threading
from dataclasses import replace
from itertools import permutations

import msgspec
import pytest

from foliolab.framework.contract.policy import Policy
from foliolab.framework.engine.operation import OPERATIONS
from foliolab.framework.verify.attack import Budget, Progress
from foliolab.framework.verify.explored import derived
from foliolab.framework.verify.explored.attack import Explored
from foliolab.framework.verify.explored.exploration import Explorer
from foliolab.framework.verify.explored.options import Options
from foliolab.framework.verify.explored.programs import ORDER
from foliolab.framework.verify.explored.witness import counterexample
from foliolab.framework.verify.explored.world import World
from foliolab.framework.verify.finding import OWED, Finding
from foliolab.framework.verify.playback import confirm
from foliolab.policies import mm_id, page_mapcount

MM_ID = mm_id.POLICY.with_parameters()
PAIRS = derived.pairs(MM_ID)
_MM = re.compile(r"\b(mm|parent|child)=(\d+)")


def signature(one: derived.Derived) -> tuple[str, ...]:
    """The same for programs that differ in the names of MMs and threads only."""

    def renamed(order: tuple[int, ...]) -> tuple[str, ...]:
        names: dict[str, str] = {}
        program = one.program
        threads = [[operation.text for operation in program.threads[t]] for t in order]
        setup = [operation.text for operation in program.setup]
        if one.start.file and "fork" not in " ".join(setup):
            setup = []  # how each MM maps the file is told below, whatever the order was
        texts = [*(text for thread in threads for text in (*thread, "|")), *setup]
        texts = [re.sub(r" mm_id=\d+", "", text) for text in texts]
        found = [_MM.sub(lambda m: f"{m[1]}={names.setdefault(m[2], str(len(names)))}", text) for text in texts]
        maps = [f"{names.get(str(mm), 'other')} {how}" for mm, how in enumerate(one.start.mappings)]
        return (*found, *sorted(maps), str(one.start.order), str(one.start.file))

    return min(map(renamed, permutations(range(len(one.threads)))))


def test_equal_programs_occur_once() -> None:
    assert len(PAIRS) > 5000
    seen: dict[tuple[str, ...], str] = {}
    for one in PAIRS:
        name = one.program.name
        assert seen.setdefault(signature(one), name) is name, f"{name} is {seen[signature(one)]}"


def test_every_pair_of_operations_comes_before_any_comes_twice() -> None:
    kinds = [one.kinds for one in PAIRS if "of one MM" not in one.program.name]
    different = len(set(kinds))
    assert len(set(kinds[:different])) == different
    assert all("," not in kind for pair in kinds for kind in pair if kind != "unmap, flush later")


def test_every_operation_is_explored_or_said_not_to_be() -> None:
    done = {operation.name for one in PAIRS for thread in one.program.threads for operation in thread}
    assert OPERATIONS.keys() - derived.LEFT_OUT.keys() <= done


def test_the_machine_carries_out_every_one() -> None:
    for one in PAIRS[::40]:
        program = one.program
        World(MM_ID, program.shape, program.setup, program.threads)


def test_policies_without_pmds_get_none() -> None:
    scheme = replace(mm_id.POLICY, capabilities=frozenset({"safe"})).with_parameters()
    assert {one.start.order for one in derived.pairs(scheme)} == {ORDER}


def test_triples_have_three_operations() -> None:
    some = derived.triples(MM_ID)[::500]
    assert all(sum(map(len, one.threads)) == 3 for one in some)


@pytest.mark.parametrize("policy", [mm_id.POLICY, page_mapcount.POLICY], ids=lambda policy: policy.name)
def test_a_split_beside_an_unmap_of_a_part_is_found(policy: Policy) -> None:
    """The general search finds it; nothing here knows the fault but the names of the operations."""
    scheme = policy.with_parameters()
    number = next(
        number for number, one in enumerate(PAIRS)
        if one.kinds == ("split the PMD", "unmap a part") and one.start.mappings[:2] == ("pmd", "part")
        and not one.start.file
    )  # fmt: skip
    program = PAIRS[number].program
    world = World(scheme, program.shape, program.setup, program.threads)
    found = Explorer(world, Options(memory=64 << 20)).run(lambda so_far: True)  # it ends at the first broken law
    example = counterexample(found, found.broken[0], "explored", "sc")
    assert example is not None and example.law == "statistics" and confirm(example, scheme)


def test_the_report_says_what_was_complete_cut_and_not_reached() -> None:
    scheme = page_mapcount.POLICY.with_parameters()
    budget = Budget(600.0, 64 << 20, jobs=2)  # it ends soon after the first pairs, whatever the machine does besides
    pairs: list[Progress | Finding] = []

    def tell(news: Progress | Finding) -> None:
        pairs.extend([news] if isinstance(news, Progress) and " | " in news.what else [])
        if len(pairs) > 3 and isinstance(budget.stop, threading.Event):
            budget.stop.set()

    findings = Explored(schedules=10).run(scheme, budget, tell)
    owed = next(one for one in findings if one.claim == OWED)
    assert owed.pairs is not None and any(one.complete for one in owed.pairs.values())
    total = sum(one.complete + one.cut + one.not_reached + one.impossible for one in owed.pairs.values())
    assert total == len(derived.pairs(scheme))
    assert re.search(r"pairs: every interleaving of [\d,]+ of [\d,]+ programs.* pairs complete", findings[-1].bound)
    assert msgspec.json.decode(msgspec.json.encode(owed), type=Finding) == owed


BOTH_FREE = next(
    one.program
    for one in PAIRS
    if one.kinds == ("unmap", "unmap, flush later") and one.start.mappings[:2] == ("pmd", "pmd") and not one.start.file
)
"""Whoever frees a folio of 2 MiB writes to 512 struct pages, so each word of them is shared."""


def test_a_run_finds_all_words_at_once_that_prove_to_be_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[int] = []
    prepare = Explorer._prepare

    def counted(self: Explorer) -> None:
        begun.append(len(self.sharing.columns))
        prepare(self)

    monkeypatch.setattr(Explorer, "_prepare", counted)
    world = World(MM_ID, BOTH_FREE.shape, BOTH_FREE.setup, BOTH_FREE.threads)
    found = Explorer(world, Options(memory=64 << 20, reduction=True)).run(lambda _: True)
    assert found.complete and not found.broken
    assert len(begun) < 10 and begun[-1] > 512


def test_a_search_that_starts_anew_looks_at_the_time() -> None:
    explorer = Explorer(World(MM_ID, BOTH_FREE.shape, BOTH_FREE.setup, BOTH_FREE.threads), Options(memory=64 << 20))
    found = explorer.run(lambda _: False)
    assert found.stopped == "time" and not found.complete
