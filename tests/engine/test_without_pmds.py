"""A policy that does not claim `pmd` sees PTEs only, whatever the size of the folio."""

from __future__ import annotations

from dataclasses import replace

import pytest

from foliolab.framework.api import Hooks, Policy, Stored, atomic_add_return, folio_nr_pages
from foliolab.framework.engine.engine import Shape
from foliolab.framework.engine.machine import Machine
from foliolab.framework.errors import ModelError


def count(folio, nr):
    return atomic_add_return(nr, folio._large_mapcount) + 1


def new_anon(folio, page, nr, mm):
    count(folio, nr)


def add_ptes(folio, page, nr, mm):
    return folio_nr_pages(folio) if count(folio, nr) == nr else 0


def dup_ptes(folio, page, nr, mm):
    count(folio, nr)


def remove_ptes(folio, page, nr, mm):
    return (folio_nr_pages(folio) if count(folio, -nr) == 0 else 0), False


def maybe_mapped_shared(folio):
    return True


POLICY = Policy(
    name="counts",
    summary="counts mappings, knows no PMDs",
    references=(),
    fields=(Stored("_large_mapcount", "i32", page=1, offset=16, init=-1),),
    hooks=Hooks(
        new_anon=new_anon,
        add_ptes=add_ptes,
        dup_ptes=dup_ptes,
        remove_ptes=remove_ptes,
        maybe_mapped_shared=maybe_mapped_shared,
    ),
)


@pytest.mark.parametrize("execution", ["interpreted", "native"])
def test_statistics_come_back_to_zero(execution):
    machine = Machine(POLICY.with_parameters(), Shape(512, 2, 512, max_order=9), execution)
    machine.create(0, 1)
    machine.populate(0, 0, 512, 9)
    assert machine.statistic("NR_ANON_MAPPED") == 512
    assert machine.statistic("NR_ANON_THPS") == 0
    machine.fork(0, 1, mm_id=2)
    machine.exit(0)
    machine.exit(1)
    assert machine.statistic("NR_ANON_MAPPED") == 0


def test_a_pmd_is_refused():
    machine = Machine(POLICY.with_parameters(), Shape(512, 1, 512, max_order=9))
    machine.create(0, 1)
    with pytest.raises(ModelError, match="counts does not claim"):
        machine.populate(0, 0, 512, 9, pmd=True)


def test_with_the_claim_it_is_mapped_by_a_pmd():
    claims = replace(POLICY, capabilities=frozenset({"pmd"}))
    machine = Machine(claims.with_parameters(), Shape(512, 1, 512, max_order=9), "interpreted")
    machine.create(0, 1)
    machine.populate(0, 0, 512, 9, pmd=True)
    assert machine.pmds(0).any()
