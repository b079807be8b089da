"""The deferred split queue: the missed partial mappings of specification 3.4, with fewer pages and processes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from foliolab.framework.consequences.moment import Moment
from foliolab.framework.consequences.partial import PartialMappings
from foliolab.framework.consequences.result import PartlyMapped
from foliolab.framework.engine.machine import Machine
from foliolab.policies import no_page_mapcount

AVERAGE, EXACT = "no-page-mapcount", "exact"


class Follower:
    """Operations on a machine, each followed by a look."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.partial = PartialMappings()

    def do(self, operation: str, *arguments: int) -> None:
        getattr(self.machine, operation)(*arguments)
        self.partial.look(Moment(self.machine), f"{operation}{arguments}")


def test_both_unmap_the_same_half(make: Any) -> None:
    """(A): 16 mappings of 8 pages say nothing; found when the child leaves."""
    for policy, late in ((AVERAGE, 1), (EXACT, 0)):
        follower = Follower(make(policy))
        follower.do("fork", 0, 1)
        follower.do("unmap", 0, 0, 8)
        follower.do("unmap", 1, 0, 8)
        assert follower.partial.result.pages == 8 * late
        follower.do("fork", 0, 2)
        follower.do("exit", 2)
        follower.do("exit", 1)
        found = follower.partial.finish()
        assert (found.folios, found.late, found.missed, found.needless) == (1, late, 0, 0)
        assert (found.late_moments, found.late_longest) == (3 * late, 3 * late)
        assert found.at == ("unmap(1, 0, 8)" if late else "")


@pytest.mark.parametrize(("policy", "missed"), [(AVERAGE, 1), (EXACT, 0)])
def test_every_process_keeps_one_page(make: Any, policy: str, missed: int) -> None:
    """(B): P processes map one page each, the same one: P mappings."""
    follower = Follower(make(policy, order=2))
    for child in (1, 2, 3):
        follower.do("fork", 0, child)
    for process in range(4):
        follower.do("unmap", process, 1, 3)
    found = follower.partial.finish()
    assert (found.folios, found.late, found.missed) == (1, 0, missed)
    assert found.pages == 3 * missed


def test_one_process_alone_is_found_at_once(make: Any) -> None:
    follower = Follower(make(AVERAGE))
    follower.do("unmap", 0, 3, 1)
    follower.do("unmap", 0, 5, 1)
    assert follower.partial.finish() == PartlyMapped(folios=1)


def queues_always(folio: Any, page: Any, nr: int, mm: Any) -> tuple[int, bool]:
    counted, _ = no_page_mapcount.remove_ptes(folio, page, nr, mm)
    return counted, True


def test_found_for_nothing(make: Any) -> None:
    policy = no_page_mapcount.POLICY
    hasty = replace(policy, name="hasty", hooks=replace(policy.hooks, remove_ptes=queues_always))
    follower = Follower(make(hasty))
    follower.do("fork", 0, 1)
    follower.do("unmap", 1, 0, 4)  # its parent maps these still
    follower.do("unmap", 1, 4, 4)
    assert follower.partial.finish() == PartlyMapped(needless=1)


def test_what_the_kernel_does_not_queue_is_left_out(make: Any) -> None:
    swapped = Follower(make(EXACT))
    swapped.do("swap_cache", swapped.machine.frame(0, 0))
    swapped.do("swap_out", 0, 0)
    assert swapped.partial.finish() == PartlyMapped()
    file = make(EXACT, folios=0)
    pfn = file.file_folio(4)
    file.map_file(0, 0, pfn, 16)
    follower = Follower(file)
    follower.do("unmap", 0, 0, 4)
    assert follower.partial.finish() == PartlyMapped()


def test_the_next_folio_in_the_same_frames_is_another_one(make: Any) -> None:
    follower = Follower(make(AVERAGE))
    for _ in range(3):
        follower.do("fork", 0, 1)
        follower.do("unmap", 0, 0, 8)
        follower.do("unmap", 1, 0, 8)
        follower.do("unmap", 0, 8, 8)
        follower.do("unmap", 1, 8, 8)
        follower.do("exit", 1)
        follower.do("populate", 0, 0, 16, 4)
    found = follower.partial.finish()
    assert (found.folios, found.late, found.missed) == (3, 3, 0)
