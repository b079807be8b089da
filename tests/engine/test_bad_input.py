"""Operations check their arguments: bad input is refused with a sentence and leaves the state as it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from foliolab.framework.engine.check import violations
from foliolab.framework.engine.engine import Shape
from foliolab.framework.engine.machine import Machine
from foliolab.framework.errors import FolioLabError, ModelError, UsageError
from foliolab.policies import mm_id, page_mapcount

PMD = 512


@pytest.fixture
def m() -> Machine:
    """MM 0: an order-4 folio at 0, a PMD-mapped THP at 512, a file folio (order 2) at 32; MM 1 exists."""
    machine = Machine(mm_id.POLICY.with_parameters(), Shape(2048, 3, 1100), "interpreted")
    machine.create(0)
    machine.create(1)
    machine.populate(0, 0, 16, 4)
    machine.populate(0, PMD, PMD, 9, pmd=True)
    machine.map_file(0, 32, machine.file_folio(2), 4)
    return machine


FILE = 16  # frame of the file folio's head
REFUSED: dict[str, Callable[[Machine], Any]] = {
    "no such MM": lambda m: m.create(3),
    "negative MM": lambda m: m.unmap(-1, 0, 1),
    "MM exists": lambda m: m.create(1),
    "MM does not exist": lambda m: m.populate(2, 0, 4, 2),
    "exit of no MM": lambda m: m.exit(2),
    "fork into a living MM": lambda m: m.fork(0, 1),
    "fork of no MM": lambda m: m.fork(2, 1),
    "MM ID beyond the largest": lambda m: m.create(2, 1 << 31),
    "negative MM ID": lambda m: m.create(2, -5),
    "MM ID in use": lambda m: m.create(2, m.mm_id(0)),
    "range behind the end": lambda m: m.unmap(0, 1099, 2),
    "empty range": lambda m: m.unmap(0, 5, 0),
    "negative range": lambda m: m.write(0, -1),
    "order 1": lambda m: m.populate(1, 0, 2, 1),
    "order too large": lambda m: m.populate(1, 0, 1024, 10),
    "not whole folios": lambda m: m.populate(1, 0, 6, 2),
    "not aligned": lambda m: m.populate(1, 2, 4, 2),
    "PMD of a small folio": lambda m: m.populate(1, 0, 16, 4, pmd=True),
    "mapped already": lambda m: m.populate(0, 12, 4, 2),
    "mapped already by a PMD": lambda m: m.populate(0, 600, 4, 2),
    "mremap onto itself": lambda m: m.mremap(0, 0, 8, 16),
    "mremap onto something": lambda m: m.mremap(0, 0, 520, 16),
    "pin of nothing": lambda m: m.pin(0, 40),
    "file pages that do not exist": lambda m: m.map_file(1, 0, FILE + 2, 4),
    "file map of an anonymous folio": lambda m: m.map_file(1, 0, 0, 4),
    "file map of a free frame": lambda m: m.map_file(1, 0, 1500, 1),
    "file map of a frame that is none": lambda m: m.map_file(1, 0, 5000, 1),
    "file map by PMD of a small folio": lambda m: m.map_file(1, 0, FILE, PMD, pmd=True),
    "file map by PMD, not aligned": lambda m: m.map_file(1, 5, m.file_folio(9), PMD, pmd=True),
    "truncate of a mapped file": lambda m: m.drop_file(FILE),
    "truncate of an anonymous folio": lambda m: m.drop_file(0),
    "swap cache of a file folio": lambda m: m.swap_cache(FILE),
    "swap cache of a free frame": lambda m: m.swap_cache(1500),
    "swap-out outside of the swap cache": lambda m: m.swap_out(0, 3),
    "swap-out of nothing": lambda m: m.swap_out(0, 40),
    "swap-out of a file page": lambda m: m.swap_out(0, 32),
    "swap-out below a PMD": lambda m: m.swap_out(0, 600),
    "swap-in of a mapped page": lambda m: m.swap_in(0, 3),
    "swap-in of nothing": lambda m: m.swap_in(0, 40),
    "unpin of what is not pinned": lambda m: m.unpin(3),
    "put of what was not got": lambda m: m.put_user(3),
    "get of a free frame": lambda m: m.get_user(1500),
    "get of no references": lambda m: m.get_user(0, 0),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused(m: Machine, case: str) -> None:
    before = m.snapshot()
    allocated = "file_folio" in REFUSED[case].__code__.co_names
    with pytest.raises(FolioLabError):
        REFUSED[case](m)
    assert allocated or (m.snapshot() == before).all()
    assert violations(m) == []


def test_no_memory_is_said(m: Machine) -> None:
    with pytest.raises(ModelError, match="no memory"):
        m.populate(1, 0, 1024, 9)
        m.populate(1, 1024, 64, 4)
        m.fork(1, 2)
        m.write(2, 0, 1024)
    assert violations(m) == []


def test_folios_larger_than_a_policy_supports() -> None:
    with pytest.raises(UsageError, match="up to order 15, not 16"):
        Machine(page_mapcount.POLICY.with_parameters(), Shape(1 << 17, 1, 64, max_order=16), "interpreted")


# -- what is left when everything is unmapped ------------------------------------------------------------
@pytest.mark.parametrize("swap_one", [False, True], ids=["no-entry", "one-entry"])
def test_zap_leaves_nothing_in_the_swap_cache(swap_one: bool) -> None:
    """`free_swap_cache` at the flush of the gather: an unmapped folio that no swap entry needs is freed."""
    m = Machine(mm_id.POLICY.with_parameters(), Shape(64, 2, 64, max_order=4), "interpreted")
    m.create(0)
    m.populate(0, 0, 16, 4)
    m.swap_cache(0)
    if swap_one:
        m.swap_out(0, 0)
    m.exit(0)
    assert m.at("zone", m.map.zone).nr_free.peek() == 64
    assert m.statistic("PGFREE") == 16


@pytest.mark.parametrize("order", [0, 4])
def test_drain_of_a_folio_that_only_the_lru_batch_holds(order: int) -> None:
    """The batch's reference was the last one: draining it frees the folio (`folios_put`)."""
    m = Machine(mm_id.POLICY.with_parameters(), Shape(64, 2, 64, max_order=4), "interpreted")
    m.create(0)
    m.populate(0, 0, 16, order, batched=True)
    m.exit(0)
    for pfn in range(0, 16, 1 << order):
        m.drain(pfn)
    assert m.at("zone", m.map.zone).nr_free.peek() == 64


def test_a_shared_file_pmd_is_still_the_file_after_a_write() -> None:
    """1.8: a write below a read-only PMD of a shared mapping faults the file's page in again."""
    m = Machine(mm_id.POLICY.with_parameters(), Shape(2048, 2, PMD), "interpreted")
    m.create(0)
    pfn = m.file_folio(9)
    m.map_file(0, 0, pfn, PMD, shared=True, pmd=True)
    m.write(0, 7)
    assert m.frame(0, 7) == pfn + 7
