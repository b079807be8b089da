"""Folios beyond PMD size: orders are parameters, not assumptions."""

from __future__ import annotations

import pytest

from foliolab.framework.engine.check import violations
from foliolab.framework.engine.engine import Shape
from foliolab.framework.engine.machine import Machine
from foliolab.framework.plugins.registry import load

FRAMES = 8192
POLICIES = sorted(load().policies)


def copies(policy: str, order: int) -> bool:
    """Whether the last MM of a folio, which has unmapped 600 of its pages, copies it all the same."""
    if policy in ("page-mapcount", "estimated-sharers", "likely-mapped-shared"):
        return True  # Linux up to 6.14 never reuses a large folio
    if policy == "owner-vma":
        return True  # the owner is gone, and whose the other mappings are is not known
    return policy == "vma-pagetable" and order > 10  # several page tables of the MM map it still


@pytest.mark.parametrize("order", [10, 11, 12])
@pytest.mark.parametrize("policy", POLICIES)
def test_a_folio_larger_than_a_pmd_lives_and_dies(policy: str, order: int) -> None:
    machine = Machine(load().policy(policy), Shape(FRAMES, 3, 4096, max_order=12), "interpreted")
    machine.create(0)
    machine.populate(0, 0, 1 << order, order)
    machine.fork(0, 1)
    assert machine.write(1, 700) == "copied"
    assert violations(machine) == []
    machine.exit(0)
    machine.unmap(1, 0, 600)
    assert machine.write(1, 1000) == ("copied" if copies(policy, order) else "reused")
    assert violations(machine) == []
    machine.exit(1)
    assert machine.at("zone", machine.map.zone).nr_free.peek() == FRAMES


def test_a_file_folio_larger_than_a_pmd() -> None:
    machine = Machine(load().policy("mm-id"), Shape(FRAMES, 3, 4096, max_order=11), "interpreted")
    machine.create(0)
    pfn = machine.file_folio(11)
    machine.map_file(0, 0, pfn, 1 << 11)
    machine.fork(0, 1)
    assert violations(machine, most_owners=2) == []
    machine.exit(0)
    machine.exit(1)
    machine.drop_file(pfn)
    assert machine.at("zone", machine.map.zone).nr_free.peek() == FRAMES
