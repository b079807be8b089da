"""MADV_FREE, and reclaim's batches that fail half way: what must be put back, and two faults of Linux as mutants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest

from foliolab.framework.engine import fork, lazyfree
from foliolab.framework.engine.check import violations
from foliolab.framework.engine.engine import Shape
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.pagetable import PTE_ACCESSED, PTE_DIRTY, PTE_MAY_DIFFER, PTE_WRITE, alike_ptes
from foliolab.framework.errors import ModelError
from foliolab.framework.kernel import needs
from foliolab.framework.plugins.registry import load as load_registry
from foliolab.framework.scenario.difference import differences
from foliolab.framework.scenario.model import Model
from foliolab.framework.scenario.parser import ScenarioError, load, parse
from foliolab.framework.scenario.record import Record

REGISTRY = load_registry()
MM_ID = REGISTRY.policy("mm-id")
in_table = lazyfree._in_table


def ignores_writable(vm: Any, pgd: int, vpn: int, end: int, value: int, differing: int) -> int:
    """Batches whose PTEs may differ in the writable bit: 354dffd29575, mended by 29f40594a281."""
    return in_table(vm, pgd, vpn, end, value, PTE_MAY_DIFFER)


def ignores_tables(vm: Any, pgd: int, vpn: int, end: int, value: int, differing: int) -> int:
    """Batches that go on behind the end of a page table, as those of 354dffd29575 could (found in June 2025)."""
    return alike_ptes(vm, pgd, vpn, value, end - vpn, differing)


def played(name: str) -> list[Record]:
    return list(Model(load(REGISTRY.scenario(name)), MM_ID, "interpreted").run())


def test_what_is_put_back_is_as_writable_as_it_was() -> None:
    """The fault shows as soon as a page is written that was shared once: it is not copied for the pipe any more."""
    right = played("free-referenced")
    with patch.object(lazyfree, "_in_table", ignores_writable):
        wrong = played("free-referenced")
    found = [(one.number, one.model, one.kernel) for one in differences(wrong, right) if one.aspect == "outcome"]
    assert found == [(7, "unchanged", "copied")]


def test_what_was_written_is_dirty_in_a_child_too() -> None:
    """A batch of fork that is as dirty as its first page would lose the byte when the parent has exited."""
    right = played("free-forked")
    assert [record.text for record in right[-3:]] == ["kept", "1", "7"]

    def as_dirty_as_the_first(vm: Any, pgd: int, vpn: int, value: int, limit: int, differing: int) -> int:
        return alike_ptes(vm, pgd, vpn, value, limit, PTE_MAY_DIFFER)

    with patch.object(fork, "alike_ptes", as_dirty_as_the_first):
        wrong = played("free-forked")
    assert [record.text for record in wrong[-3:]] == ["out", "0", "0"]


def machine(at: int = 0) -> Machine:
    """MM 0 maps a folio of four pages from page `at` on, freed lazily and then moved there."""
    made = Machine(MM_ID, Shape(nr_pages=512, nr_mms=2, nr_vpns=1024, max_order=2), "interpreted")
    made.create(0)
    made.populate(0, 0, 4, 2)
    made.free(0, 0, 4)
    if at:
        made.mremap(0, 0, at, 4)
    return made


@pytest.mark.parametrize(("batches", "left"), [(in_table, 2), (ignores_tables, 4)])
def test_a_batch_ends_at_its_page_table(batches: Callable[..., int], left: int) -> None:
    """Pages 510 and 511 have gone when page 513, of the next table, turns out to be dirty."""
    made = machine(510)
    made.write(0, 513)
    with patch.object(lazyfree, "_in_table", batches):
        assert not made.discard(0, 510)
    assert sum(made.frame(0, vpn) >= 0 for vpn in range(510, 514)) == left
    assert violations(made) == []


def test_reclaim_frees_what_nobody_wrote_or_uses() -> None:
    made = machine()
    assert not any(int(entry) & PTE_DIRTY for entry in made.ptes(0)[:4])
    assert made.discard(0, 0) and made.frame(0, 0) < 0
    assert violations(made) == [] and made.statistic("NR_ANON_MAPPED") == 0


@pytest.mark.parametrize("how", ["written", "referenced", "forked"])
def test_reclaim_puts_back_what_is_in_use(how: str) -> None:
    made = machine()
    if how == "written":
        made.write(0, 2)
    elif how == "referenced":
        made.get_user(made.frame(0, 0))
    else:
        made.fork(0, 1)
    before = made.ptes(0)[:4].copy()
    gone = made.discard(0, 0)
    assert gone is (how == "forked")  # the other MM's mappings keep the folio, and its bytes
    if not gone:
        hardware = PTE_ACCESSED | PTE_DIRTY
        assert ((made.ptes(0)[:4] | hardware) == (before | hardware)).all()
        assert all(int(entry) & PTE_WRITE for entry in made.ptes(0)[:4])
    assert violations(made) == []
    if how == "written":
        with pytest.raises(ModelError, match="was not freed lazily"):
            made.discard(0, 0)


def test_a_folio_that_is_dirty_and_shared_is_not_made_clean() -> None:
    """It is dirty since it was split: the frames of a large folio that was written are."""
    steps = "A: free heap[0]\nA: fork B\nA: free heap\nB: exit\nA: pageout heap[0-1]\n"
    text = f"scenario x\nregion heap: 1 x 16K pte\n{steps}"
    records = list(Model(parse(text), MM_ID, "interpreted").run())
    assert records[-1].answer == "out"
    assert records[-1].views["A"].present[:4].tolist() == [False, False, True, True]


def test_memory_that_was_freed_needs_no_swap() -> None:
    text = "scenario x\nregion heap: 1 x 16K pte\nA: free heap[0-1]\nA: pageout heap[{}]\n"
    assert not needs.swaps(parse(text.format("0-1"))) and needs.swaps(parse(text.format("1-2")))


def test_pmds_are_not_freed() -> None:
    with pytest.raises(ScenarioError, match=r"x:3:4: free beside folios of 2M"):
        parse("scenario x\nregion heap: 1 x 2M pmd\nA: free heap\n", "x")


def test_a_pmd_is_no_argument_of_the_operation() -> None:
    made = Machine(MM_ID, Shape(nr_pages=1024, nr_mms=1, nr_vpns=512), "interpreted")
    made.create(0)
    made.populate(0, 0, 512, 9, pmd=True)
    with pytest.raises(ModelError, match="a PMD maps some"):
        made.free(0, 0, 512)
    with pytest.raises(ModelError, match="do not map a whole folio"):
        made.discard(0, 0)
