"""Askers against states worked out by hand: who does what with a folio that is, or is called, shared."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from foliolab.framework.consequences import decisions
from foliolab.framework.consequences.decisions import DECISIONS, Answers
from foliolab.framework.consequences.moment import Moment

BY_ANSWER = (decisions.madvise_part, decisions.migrate, decisions.numa_sample, decisions.referenced)


def ask(machine: Any, asker: Any) -> list[tuple[bool, bool]]:
    """(given, right) of every question."""
    answers: Answers = asker(Moment(machine))
    return list(zip(answers.given.tolist(), answers.right.tolist(), strict=True))


@pytest.mark.parametrize("asker", [*BY_ANSWER, decisions.cow_reuse], ids=lambda asker: asker.__name__)
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
        (decisions.madvise_part, 0),  # it cannot be split
        (decisions.migrate, 0),
        (decisions.numa_sample, 1),
        (decisions.referenced, 1),
        (decisions.cow_reuse, 1),
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
    assert ask(machine, decisions.numa_sample) == []


# -- khugepaged ---------------------------------------------------------------------------------------
def test_khugepaged_counts_shared_ptes_of_a_range(third_stays: Any) -> None:
    assert ask(third_stays("mm-id", folios=32, nr_vpns=512), decisions.khugepaged) == [(False, True)]
    assert ask(third_stays("exact", folios=32, nr_vpns=512), decisions.khugepaged) == [(True, True)]


def test_half_of_a_range_may_be_shared(make: Any) -> None:
    for copied, collapses in ((256, True), (255, False)):
        machine = make("exact", folios=32, nr_vpns=512)
        machine.fork(0, 1)
        machine.write(1, 0, copied)
        assert ask(machine, decisions.khugepaged)[-1] == (collapses, collapses)


def test_khugepaged_is_not_asked_where_the_answer_does_not_matter(make: Any) -> None:
    few = make("exact", folios=16, nr_vpns=512)  # 256 PTEs are never too many
    assert ask(few, decisions.khugepaged) == []
    held = make("exact", folios=32, nr_vpns=512)
    held.get_user(held.frame(0, 0))
    assert ask(held, decisions.khugepaged) == []
    huge = make("exact", folios=0, nr_vpns=512)
    huge.populate(0, 0, 512, 9, pmd=True)
    assert ask(huge, decisions.khugepaged) == []
    file = make("exact", folios=0, nr_vpns=512)
    file.map_file(0, 0, file.file_folio(9), 512)
    assert ask(file, decisions.khugepaged) == []


def test_too_many_swap_entries_settle_it(make: Any) -> None:
    machine = make("exact", folios=32, nr_vpns=512)
    for vpn in range(80):
        machine.swap_cache(machine.frame(0, vpn))
    for vpn in range(64):
        machine.swap_out(0, vpn)
    assert ask(machine, decisions.khugepaged) == [(True, True)]
    machine.swap_out(0, 64)
    assert ask(machine, decisions.khugepaged) == []


# -- files --------------------------------------------------------------------------------------------
def test_numa_hinting_of_files(make: Any) -> None:
    machine = make("page-mapcount", folios=0)
    machine.create(1)
    library, shared = machine.file_folio(4), machine.file_folio(4)
    machine.map_file(0, 0, library, 4)
    machine.map_file(1, 0, library + 8, 8)
    machine.map_file(0, 16, shared, 16, shared=True)
    assert ask(machine, decisions.numa_executable) == [(True, False)] * 2
    assert ask(machine, decisions.numa_group) == [(True, True)]
    assert ask(machine, decisions.numa_sample) == [(True, False)] * 2
    assert ask(machine, decisions.referenced) == []  # not swap-backed
    assert ask(machine, decisions.cow_reuse) == []


# -- COW reuse: the table of specification 2.7 ----------------------------------------------------------
def test_reuse_while_and_after_a_child_lives(make: Any) -> None:
    machine = make("mm-id")
    assert ask(machine, decisions.cow_reuse) == []  # AnonExclusive: no question
    machine.fork(0, 1)
    assert ask(machine, decisions.cow_reuse) == [(False, False)] * 2
    machine.exit(1, flush=False)
    assert ask(machine, decisions.cow_reuse) == [(False, False)]  # the gather holds references
    machine.flush_gather()
    assert ask(machine, decisions.cow_reuse) == [(True, True)]
    machine.unmap(0, 1, 15)
    assert ask(machine, decisions.cow_reuse) == []  # one mapping left: a copy is meant


def test_reuse_and_the_swap_cache(make: Any) -> None:
    for policy in ("mm-id", "exact"):
        machine = make(policy)
        machine.fork(0, 1)
        machine.swap_cache(machine.frame(0, 0))
        machine.swap_out(1, 0)
        machine.unmap(1, 1, 15)
        assert ask(machine, decisions.cow_reuse) == [(False, False)]  # a swap entry is left
        machine.unmap(1, 0, 1)
        before = machine.snapshot()
        assert ask(machine, decisions.cow_reuse) == [(True, True)]
        assert np.array_equal(machine.snapshot(), before), "a question changed something"


def test_a_policy_without_reuse_holds_back(make: Any) -> None:
    machine = make("page-mapcount")
    machine.fork(0, 1)
    machine.exit(1)
    assert ask(machine, decisions.cow_reuse) == [(False, True)]


# -- pagemap ------------------------------------------------------------------------------------------
def test_bit_56(make: Any) -> None:
    machine = make("no-page-mapcount")
    machine.fork(0, 1)
    machine.unmap(1, 0, 4)
    assert ask(machine, decisions.pagemap_exclusive) == [(False, True)] * 4 + [(False, False)] * 12
    machine.exit(1)
    assert ask(machine, decisions.pagemap_exclusive) == [(True, True)] * 16


def test_nothing_mapped_nothing_asked(make: Any) -> None:
    machine = make("exact", folios=0)
    machine.exit(0)
    assert all(not ask(machine, asker.ask) for asker in DECISIONS)
