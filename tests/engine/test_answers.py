"""What hooks return reaches the statistics and /proc as it is, negative numbers included, however the text runs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from foliolab.framework.api import atomic_read
from foliolab.framework.contract.policy import Policy
from foliolab.framework.engine import calls, hooks
from foliolab.framework.engine.answers import wrong_answer
from foliolab.framework.engine.engine import Execution, Shape
from foliolab.framework.engine.machine import Machine
from foliolab.policies import page_mapcount

SHAPE = Shape(2048, 2, 1024)
PMD = 512
EXECUTIONS = pytest.mark.parametrize("execution", ["interpreted", "native"])


def minus_one(folio: Any, page: Any, nr: int, mm: Any) -> int:
    page_mapcount.add_ptes(folio, page, nr, mm)
    return -1


def add_pmd(folio: Any, mm: Any) -> tuple[int, int]:
    page_mapcount.add_pmd(folio, mm)
    return -2, -3


def remove_ptes(folio: Any, page: Any, nr: int, mm: Any) -> tuple[int, bool]:
    page_mapcount.remove_ptes(folio, page, nr, mm)
    return -4, False


def remove_ptes_partially(folio: Any, page: Any, nr: int, mm: Any) -> tuple[int, bool]:
    page_mapcount.remove_ptes(folio, page, nr, mm)
    return -4, True


def remove_pmd(folio: Any, mm: Any) -> tuple[int, int, bool]:
    page_mapcount.remove_pmd(folio, mm)
    return 5, -6, False


def mapcount(folio: Any) -> int:
    return -atomic_read(folio._large_mapcount) - 1


def page_count(folio: Any, page: Any) -> int:
    return -atomic_read(page._mapcount) - 8


def entire_mapcount(folio: Any) -> int:
    return -1


def yes(folio: Any, page: Any) -> bool:
    return True


def with_hooks(**hooks: Any) -> Policy:
    return replace(
        page_mapcount.POLICY, name="negative", models=None, mutants=None,
        hooks=replace(page_mapcount.POLICY.hooks, **hooks),
    )  # fmt: skip


def machine(execution: Execution, **hooks: Any) -> Machine:
    """A machine whose MM 0 maps a file folio (order 2) by PTEs at 0, and one (order 9) by a PMD at 512."""
    m = Machine(with_hooks(**hooks).with_parameters(), SHAPE, execution)
    m.create(0)
    m.map_file(0, 0, m.file_folio(2), 4)
    m.map_file(0, PMD, m.file_folio(9), PMD, pmd=True)
    return m


def mapped(m: Machine) -> tuple[int, int]:
    return m.statistic("NR_FILE_MAPPED"), m.statistic("NR_FILE_PMDMAPPED")


@EXECUTIONS
def test_add_ptes(execution: Execution) -> None:
    assert mapped(machine(execution, add_ptes=minus_one)) == (PMD - 1, PMD)


@EXECUTIONS
def test_add_pmd(execution: Execution) -> None:
    assert mapped(machine(execution, add_pmd=add_pmd)) == (4 - 2, -3)


@EXECUTIONS
@pytest.mark.parametrize("hook", [remove_ptes, remove_ptes_partially])
def test_remove_ptes(execution: Execution, hook: Any) -> None:
    m = machine(execution, remove_ptes=hook)
    m.unmap(0, 0, 4)
    assert mapped(m) == (4 + PMD + 4, PMD)


@EXECUTIONS
def test_remove_pmd(execution: Execution) -> None:
    m = machine(execution, remove_pmd=remove_pmd)
    m.unmap(0, PMD, PMD)
    assert mapped(m) == (4 + PMD - 5, PMD + 6)


@EXECUTIONS
@pytest.mark.parametrize(("hook", "partially"), [(remove_ptes, 0), (remove_ptes_partially, 1)])
def test_a_negative_number_is_no_partial_mapping(execution: Execution, hook: Any, partially: int) -> None:
    m = machine(execution, remove_ptes=hook)
    m.create(1)
    m.populate(1, 0, 4, 2)
    m.unmap(1, 0, 1)
    assert m.statistic("NR_ANON_PARTIALLY_MAPPED") == partially


@EXECUTIONS
def test_counts(execution: Execution) -> None:
    m = machine(execution, mapcount=mapcount, page_mapcount=page_count, page_exclusive=yes)
    assert m.mapcount(m.frame(0, 0)) == -4
    assert m.kpagecount(m.frame(0, 0)) == -8
    assert m.smaps(0, 0, 4) == (4, 4, 4.0)


@EXECUTIONS
def test_entire_mapcount(execution: Execution) -> None:
    m = machine(execution, entire_mapcount=entire_mapcount)
    assert m.kpagecount(m.frame(0, 0)) == 0, "1 by the PTE, and -1"


@pytest.mark.parametrize("numbers", [(0, 0), (-1, 0), (0, -1), (-1, -1), (512, -512), (-(1 << 23), (1 << 23) - 1)])
@pytest.mark.parametrize("partially", [False, True])
def test_packing(numbers: tuple[int, int], partially: bool) -> None:
    answer = calls.packed(*numbers, partially)
    assert (calls.nr_of(answer), calls.nr_pmdmapped_of(answer)) == numbers
    assert calls.partially_mapped_of(answer) is partially
    assert -(1 << 63) < answer < 1 << 63


@pytest.mark.parametrize(
    ("hook", "given"),
    [("add_ptes", None), ("remove_ptes", (None, False)), ("remove_pmd", (1, None, True)), ("mapcount", None)],
)
def test_an_answer_of_the_wrong_type_names_the_hook(hook: str, given: Any) -> None:
    def wrong(*arguments: Any) -> Any:
        return given

    entry = next(one for one in calls.ENTRIES if one.__name__ == hook)
    with pytest.MonkeyPatch.context() as patch:
        for name in (hook, f"{hook}_at"):
            patch.setattr(hooks, name, wrong, raising=False)
        with pytest.raises(TypeError) as caught:
            entry(None, None, 1, None, 0)
    assert f"the hook {hook} does not return" in wrong_answer(caught.value)
