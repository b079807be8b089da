"""Figures against states worked out by hand: the examples of specification 3.2 and 3.3."""

from __future__ import annotations

from typing import Any

import pytest

from foliolab.framework.consequences import figures
from foliolab.framework.consequences.figures import FIGURES
from foliolab.framework.consequences.moment import Moment

AVERAGE, EXACT = "no-page-mapcount", "exact"


def values(machine: Any, ask: Any) -> list[tuple[float, float]]:
    """(given, right) of a figure."""
    shown = ask(Moment(machine))
    return list(zip(shown.given.tolist(), shown.right.tolist(), strict=True))


@pytest.mark.parametrize(
    ("copied", "parent_pss", "true_pss"), [(8, 8.0, 12.0), (9, 16.0, 12.5)], ids=["8 of 16", "9 of 16"]
)
def test_pss_and_uss_where_the_child_copied_a_part(make: Any, copied: int, parent_pss: float, true_pss: float) -> None:
    machine = make(AVERAGE)
    machine.fork(0, 1)
    machine.write(1, 0, copied)
    assert values(machine, figures.pss)[0] == (parent_pss, true_pss)
    assert values(machine, figures.uss)[0] == (0, copied)
    # the child's copies are small folios, which are exact
    assert values(machine, figures.uss)[1] == (copied, copied)


def test_pages_mapped_once_15_of_16_are_unmapped(make: Any) -> None:
    for policy, given in ((AVERAGE, 16), (EXACT, 1)):
        machine = make(policy)
        machine.unmap(0, 0, 15)
        assert values(machine, figures.anon_pages) == [(given, 1)]


def test_kpagecount_and_mapmax_are_averages(make: Any) -> None:
    machine = make(AVERAGE)
    machine.fork(0, 1)
    machine.fork(0, 2)
    machine.unmap(1, 0, 15)
    machine.unmap(2, 0, 15)  # 18 mappings of 16 pages: the average is 1, the last page has 3
    counts = values(machine, figures.kpagecount)
    assert counts == [(1, 1)] * 15 + [(1, 3)]
    assert values(machine, figures.mapmax) == [(1, 3)] * 3


def test_a_files_pages_count_as_mapped_all_or_none(make: Any) -> None:
    for policy, given in ((AVERAGE, 16), (EXACT, 4)):
        machine = make(policy, folios=0)
        pfn = machine.file_folio(4)
        machine.map_file(0, 0, pfn, 4)
        assert values(machine, figures.mapped) == [(given, 4)]
        assert values(machine, figures.anon_pages) == [(0, 0)]


def test_what_a_pmd_maps_is_exact_for_every_policy(make: Any) -> None:
    for policy in (AVERAGE, EXACT):
        machine = make(policy, folios=0, nr_vpns=1024)
        machine.populate(0, 0, 512, 9, pmd=True)
        machine.map_file(0, 512, machine.file_folio(9), 512, pmd=True)
        machine.fork(0, 1)
        assert values(machine, figures.anon_huge_pages) == [(512, 512)]
        assert values(machine, figures.file_pmd_mapped) == [(512, 512)]
        machine.split_pmd(0, 0)
        machine.split_pmd(1, 0)
        assert values(machine, figures.anon_huge_pages) == [(0, 0)]
        assert values(machine, figures.uss) == [(512, 512), (0, 0)]


@pytest.mark.parametrize("policy", ["page-mapcount", "mm-id", "exact"])
def test_policies_with_page_mapcounts_show_what_is_true(make: Any, policy: str) -> None:
    machine = make(policy)
    machine.fork(0, 1)
    machine.fork(1, 2)
    machine.write(1, 3, 9)
    machine.unmap(2, 0, 5)
    sample = Moment(machine)
    for figure in FIGURES:
        shown = figure.ask(sample)
        assert shown.given.tolist() == shown.right.tolist(), figure.name


def test_every_figure_is_of_the_unit_it_says(make: Any) -> None:
    machine = make(EXACT)
    machine.fork(0, 1)
    sample = Moment(machine)
    for figure in FIGURES:
        shown = figure.ask(sample)
        size = {"": 1, "MM": 2, "frame": 16}[figure.per]
        assert shown.given.shape == shown.right.shape == shown.of.shape == (size,)
