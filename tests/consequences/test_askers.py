"""Askers against states worked out by hand: who does what with a folio that is, or is called, shared."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest

from foliolab.framework.consequences.moment import Moment
from foliolab.framework.consequences.tally import Tally
from foliolab.framework.contract.asker import Answers, Asker
from foliolab.framework.errors import PluginError
from foliolab.policies.askers import linux, proposed

BY_ANSWER = (linux.madvise_part, linux.migrate, linux.numa_sample, linux.referenced)


def ask(machine: Any, function: Any) -> list[tuple[bool, bool]]:
    """(given, right) of every question."""
    answers: Answers = function(Moment(machine))
    return list(zip(answers.given.tolist(), answers.right.tolist(), strict=True))


@pytest.mark.parametrize("asker", [*BY_ANSWER, linux.cow_reuse], ids=lambda asker: asker.__name__)
def test_an_exclusive_folio_that_two_slots_call_shared(third_stays: Any, asker: Any) -> None:
    assert ask(third_stays("mm-id"), asker) == [(False, True)]
    assert ask(third_stays("exact"), asker) == [(True, True)]


@pytest.mark.parametrize("asker", BY_ANSWER, ids=lambda asker: asker.__name__)
def test_a_shared_folio_that_the_first_page_calls_exclusive(make: Any, asker: Any) -> None:
    machine = make("page-mapcount")
    machine.fork(0, 1)
    machine.unmap(0, 0, 8)
    machine.unmap(1, 8, 8)  # nobody shares a page, but both map the folio
    assert ask(machine, asker) == [(True, False)] * 2


@pytest.mark.parametrize(
    ("asker", "asked"),
    [
        (linux.madvise_part, 0),  # it cannot be split
        (linux.migrate, 0),
        (linux.numa_sample, 1),
        (linux.referenced, 1),
        (linux.cow_reuse, 1),
    ],
    ids=lambda asker: getattr(asker, "__name__", ""),
)
def test_nobody_is_asked_where_a_reference_settles_it(third_stays: Any, asker: Any, asked: int) -> None:
    machine = third_stays("mm-id")
    machine.get_user(machine.frame(2, 0))
    assert len(ask(machine, asker)) == asked


def test_a_pinned_folio_is_not_sampled_for_numa(make: Any) -> None:
    machine = make("exact")
    machine.pin(0, 0)
    assert ask(machine, linux.numa_sample) == []


# -- khugepaged ---------------------------------------------------------------------------------------
def test_khugepaged_counts_shared_ptes_of_a_range(third_stays: Any) -> None:
    assert ask(third_stays("mm-id", folios=32, nr_vpns=512), linux.khugepaged) == [(False, True)]
    assert ask(third_stays("exact", folios=32, nr_vpns=512), linux.khugepaged) == [(True, True)]


def test_half_of_a_range_may_be_shared(make: Any) -> None:
    for copied, collapses in ((256, True), (255, False)):
        machine = make("exact", folios=32, nr_vpns=512)
        machine.fork(0, 1)
        machine.write(1, 0, copied)
        assert ask(machine, linux.khugepaged)[-1] == (collapses, collapses)


def test_khugepaged_is_not_asked_where_the_answer_does_not_matter(make: Any) -> None:
    few = make("exact", folios=16, nr_vpns=512)  # 256 PTEs are never too many
    assert ask(few, linux.khugepaged) == []
    held = make("exact", folios=32, nr_vpns=512)
    held.get_user(held.frame(0, 0))
    assert ask(held, linux.khugepaged) == []
    huge = make("exact", folios=0, nr_vpns=512)
    huge.populate(0, 0, 512, 9, pmd=True)
    assert ask(huge, linux.khugepaged) == []
    file = make("exact", folios=0, nr_vpns=512)
    file.map_file(0, 0, file.file_folio(9), 512)
    assert ask(file, linux.khugepaged) == []


def test_too_many_swap_entries_settle_it(make: Any) -> None:
    machine = make("exact", folios=32, nr_vpns=512)
    for vpn in range(80):
        machine.swap_cache(machine.frame(0, vpn))
    for vpn in range(64):
        machine.swap_out(0, vpn)
    assert ask(machine, linux.khugepaged) == [(True, True)]
    machine.swap_out(0, 64)
    assert ask(machine, linux.khugepaged) == []


# -- files --------------------------------------------------------------------------------------------
def test_numa_hinting_of_files(make: Any) -> None:
    machine = make("page-mapcount", folios=0)
    machine.create(1)
    library, shared = machine.file_folio(4), machine.file_folio(4)
    machine.map_file(0, 0, library, 4)
    machine.map_file(1, 0, library + 8, 8)
    machine.map_file(0, 16, shared, 16, shared=True)
    assert ask(machine, linux.numa_executable) == [(True, False)] * 2
    assert ask(machine, linux.numa_group) == [(True, True)]
    assert ask(machine, linux.numa_sample) == [(True, False)] * 2
    assert ask(machine, linux.referenced) == []  # not swap-backed
    assert ask(machine, linux.cow_reuse) == []


# -- COW reuse: the table of specification 2.7 ----------------------------------------------------------
def test_reuse_while_and_after_a_child_lives(make: Any) -> None:
    machine = make("mm-id")
    assert ask(machine, linux.cow_reuse) == []  # AnonExclusive: no question
    machine.fork(0, 1)
    assert ask(machine, linux.cow_reuse) == [(False, False)] * 2
    machine.exit(1, flush=False)
    assert ask(machine, linux.cow_reuse) == [(False, False)]  # the gather holds references
    machine.flush_gather()
    assert ask(machine, linux.cow_reuse) == [(True, True)]
    machine.unmap(0, 1, 15)
    assert ask(machine, linux.cow_reuse) == []  # one mapping left: a copy is meant


def test_reuse_and_the_swap_cache(make: Any) -> None:
    for policy in ("mm-id", "exact"):
        machine = make(policy)
        machine.fork(0, 1)
        machine.swap_cache(machine.frame(0, 0))
        machine.swap_out(1, 0)
        machine.unmap(1, 1, 15)
        assert ask(machine, linux.cow_reuse) == [(False, False)]  # a swap entry is left
        machine.unmap(1, 0, 1)
        before = machine.snapshot()
        assert ask(machine, linux.cow_reuse) == [(True, True)]
        assert np.array_equal(machine.snapshot(), before), "a question changed something"


def test_a_policy_without_reuse_holds_back(make: Any) -> None:
    machine = make("page-mapcount")
    machine.fork(0, 1)
    machine.exit(1)
    assert ask(machine, linux.cow_reuse) == [(False, True)]


# -- pagemap ------------------------------------------------------------------------------------------
def test_bit_56(make: Any) -> None:
    machine = make("no-page-mapcount")
    machine.fork(0, 1)
    machine.unmap(1, 0, 4)
    assert ask(machine, linux.pagemap_exclusive) == [(False, True)] * 4 + [(False, False)] * 12
    machine.exit(1)
    assert ask(machine, linux.pagemap_exclusive) == [(True, True)] * 16


def test_nothing_mapped_nothing_asked(make: Any) -> None:
    machine = make("exact", folios=0)
    machine.exit(0)
    assert all(not ask(machine, asker.ask) for asker in linux.ASKERS)


# -- proposed askers ----------------------------------------------------------------------------------
def collapse_to(order: int) -> Any:
    return next(one.ask for one in proposed.ASKERS if one.name == f"khugepaged-{4 << order}k")


def test_below_a_pmd_not_one_pte_may_be_shared(third_stays: Any) -> None:
    assert ask(third_stays("mm-id", folios=2), collapse_to(5)) == [(False, True)]
    assert ask(third_stays("exact", folios=2), collapse_to(5)) == [(True, True)]


def test_khugepaged_leaves_what_is_as_large_already(make: Any) -> None:
    machine = make("exact", folios=2)
    machine.fork(0, 1)
    assert ask(machine, collapse_to(5)) == [(False, False)] * 2
    assert ask(machine, collapse_to(4)) == []


def test_what_settles_a_small_collapse(make: Any) -> None:
    swapped = make("exact", folios=2)
    swapped.swap_cache(swapped.frame(0, 0))
    swapped.swap_out(0, 0)
    assert ask(swapped, collapse_to(5)) == []
    small = make("exact", folios=1)
    small.populate(0, 16, 16, 0)
    assert ask(small, collapse_to(5)) == [(True, True)]
    small.fork(0, 1)
    small.unmap(1, 0, 16)
    assert ask(small, collapse_to(5)) == []  # the small pages are shared, whatever the policy says of the large folio


def test_process_mrelease_asks_for_private_file_mappings(make: Any) -> None:
    machine = make("page-mapcount")
    machine.create(1)
    library = machine.file_folio(4)
    machine.map_file(0, 16, library, 4)
    machine.map_file(1, 16, library + 8, 8)
    machine.map_file(0, 32, machine.file_folio(4), 16, shared=True)
    assert ask(machine, proposed.mrelease) == [(True, False)] * 2


def test_a_scanner_asks_for_every_pte(third_stays: Any) -> None:
    machine = third_stays("mm-id")
    machine.unmap(2, 0, 4)
    assert ask(machine, proposed.scan) == [(False, True)] * 12


# -- askers that fail ---------------------------------------------------------------------------------
def asker(ask: Any) -> Asker:
    return Asker(name="mine", who="I", when="now", exclusive="x", shared="y", source="here", ask=ask)


BROKEN: dict[str, tuple[Any, str]] = {
    "raises": (lambda moment: moment.pairs.heads, "AttributeError"),
    "nothing": (lambda moment: None, "not Answers(...)"),
    "lengths": (lambda m: Answers(m.anon, m.anon, m.pairs.mm, m.pairs.mm), "not of one length"),
    "numbers": (lambda m: Answers(m.pairs.mm, m.pairs.mm, m.pairs.mm, m.pairs.mm), "not bool"),
    "lists": (lambda moment: Answers(*cast(Any, [[True]] * 4)), "not of one length"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_an_asker_that_fails_is_not_asked_again(third_stays: Any, found: Any, name: str) -> None:
    machine = third_stays("mm-id")
    ask, said = BROKEN[name]
    calls: list[int] = []

    def once(moment: Any) -> Any:
        calls.append(1)
        return ask(moment)

    tally = Tally(found.policy("mm-id"), [asker(once), *linux.ASKERS])
    tally.look(machine, "here")
    tally.look(machine, "there")
    mine, *others = tally.outcome().decisions
    assert said in mine.failed and len(calls) == 1
    assert sum(one.held_back for one in others) > 0 and not any(one.failed for one in others)


def test_what_the_policy_raises_is_not_the_askers_fault(third_stays: Any, found: Any) -> None:
    machine = third_stays("mm-id")

    def refuse(*arguments: int) -> bool:
        raise ValueError("the policy's")

    machine.maybe_shared = refuse
    tally = Tally(found.policy("mm-id"), [asker(lambda moment: moment.by_answer(moment.pairs))])
    with pytest.raises(ValueError, match="the policy's"):
        tally.look(machine, "here")


@pytest.mark.parametrize(
    ("wrong", "said"), [({"ask": 3}, "ask is not a function"), ({"of": "mm"}, "choose folio, page, frame")]
)
def test_an_asker_is_checked_when_it_is_made(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(PluginError) as refused:
        replace(asker(len), **wrong)
    assert said in str(refused.value)
