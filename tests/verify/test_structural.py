"""The structural attack: narrow fields overflow, in a run or, where a run is too long, by extrapolation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from foliolab.framework.api import Policy, Stored, atomic_inc, atomic_read, nth_page, store
from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine.machine import Machine
from foliolab.framework.verify.attack import Budget, Progress
from foliolab.framework.verify.finding import OWED, Finding
from foliolab.framework.verify.growth import HEAD, Limit, Pile, limits, piles
from foliolab.framework.verify.playback import confirm
from foliolab.framework.verify.sequence import OperationSequence
from foliolab.framework.verify.structural import Structural, stored
from foliolab.policies import exact, mm_id, no_page_mapcount, page_mapcount, rmap_id, total_mapped_pages

SHIPPED = [mm_id.POLICY, rmap_id.POLICY, total_mapped_pages.POLICY, exact.POLICY]


def narrowed(policy: Policy, field: str, ctype: str, **changes: Any) -> Scheme:
    """The policy with another type of one field."""
    fields = policy.with_parameters().fields
    changed = tuple(replace(one, ctype=ctype) if one.name == field else one for one in fields)
    assert changed != fields
    return replace(
        policy, name=f"{policy.name}-{ctype}", fields=changed, models=None, mutants=None, **changes
    ).with_parameters()


class UntilRefuted:
    """A stop event that is set with the first refutation."""

    refuted = False

    def is_set(self) -> bool:
        return self.refuted

    def tell(self, news: Progress | Finding) -> None:
        self.refuted |= isinstance(news, Finding)


def refutation(scheme: Scheme, seconds: float = 60.0) -> Finding:
    until = UntilRefuted()
    found = Structural().run(scheme, Budget(seconds, stop=until), until.tell)
    refuted = [finding for finding in found if finding.verdict == "refuted"]
    assert refuted, [(finding.claim, finding.bound) for finding in found]
    assert refuted[0].counterexample is not None
    assert confirm(refuted[0].counterexample, scheme)
    return refuted[0]


# -- fields that are too narrow --------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("policy", "field", "ctype"),
    [
        (mm_id.POLICY, "_mm_id_mapcount", "i8"),
        (mm_id.POLICY, "_mm_id", "u8"),
        (no_page_mapcount.POLICY, "_large_mapcount", "i8"),
        (page_mapcount.POLICY, "_nr_pages_mapped", "i16"),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_a_narrow_field_overflows(policy: Policy, field: str, ctype: str) -> None:
    finding = refutation(narrowed(policy, field, ctype))
    example = finding.counterexample
    assert finding.claim == OWED
    assert example is not None
    assert example.law == "field-width"
    assert field in example.message
    assert ctype in example.message
    assert not confirm(example, policy.with_parameters()), "the wide one breaks, too"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("policy", "field", "ctype"),
    [
        (mm_id.POLICY, "_mm_id_mapcount", "i16"),
        (no_page_mapcount.POLICY, "_large_mapcount", "i16"),
        (page_mapcount.POLICY, "_entire_mapcount", "i8"),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_a_field_that_many_mappings_overflow(policy: Policy, field: str, ctype: str) -> None:
    example = refutation(narrowed(policy, field, ctype)).counterexample
    assert example is not None
    assert example.law == "field-width"


def test_ids_that_a_field_of_16_bits_confuses_are_told_apart_no_more() -> None:
    example = refutation(narrowed(mm_id.POLICY, "_mm_id", "u16")).counterexample
    assert example is not None
    assert example.law in ("safe", "field-width")


# -- what is written elsewhere, or does not come back ----------------------------------------------------
def one_page_too_far(folio: Any, page: Any, nr: int, mm: Any) -> None:
    mm_id.dup_ptes(folio, page, nr, mm)
    atomic_inc(nth_page(page, nr)._mapcount)


def leaves_a_count(folio: Any, page: Any, nr: int, mm: Any) -> tuple[int, bool]:
    answer = mm_id.remove_ptes(folio, page, nr, mm)
    if atomic_read(folio._large_mapcount) < 0:
        store(folio._mm_id_mapcount[1], 7)
    return answer


def the_engines(folio: Any) -> None:
    found, _ = folio, 0  # so that the check of the text does not know what it is
    store(found.mapping, 0)


@pytest.mark.parametrize(
    ("hooks", "law"),
    [
        ({"dup_ptes": one_page_too_far}, "access"),
        ({"remove_ptes": leaves_a_count}, "initial-values"),
        ({"release": the_engines}, "access"),
    ],
    ids=["outside", "stays", "not-its-own"],
)
def test_what_is_written_elsewhere_or_stays_is_found(hooks: dict[str, Any], law: str) -> None:
    policy = mm_id.POLICY
    wrong = replace(policy, name="wrong", hooks=replace(policy.hooks, **hooks), models=None, mutants=None)
    example = refutation(wrong.with_parameters()).counterexample
    assert example is not None
    assert example.law == law


# -- what holds ------------------------------------------------------------------------------------------
def test_a_policy_of_small_folios_holds_and_says_how_far(computing_time: type[Budget]) -> None:
    scheme = replace(exact.POLICY, name="small", max_order=4, models=None, mutants=None).with_parameters()
    (finding,) = Structural().run(scheme, computing_time(1), lambda _: None)
    assert (finding.claim, finding.verdict) == (OWED, "held")
    assert "folios of orders 1 to 4" in finding.bound
    assert "every struct page 64 bytes larger" in finding.bound
    assert f"IDs up to {scheme.max_mm_id}" in finding.bound


@pytest.mark.slow
@pytest.mark.parametrize("policy", SHIPPED, ids=lambda policy: policy.name)
def test_shipped_policies_owe_nothing(policy: Policy, computing_time: type[Budget]) -> None:
    found = Structural().run(policy.with_parameters(), computing_time(1.5), lambda _: None)
    assert [finding.verdict for finding in found if finding.claim == OWED] == ["held"]


def test_who_is_stopped_before_it_began_has_no_opinion() -> None:
    until = UntilRefuted()
    until.refuted = True
    (finding,) = Structural().run(mm_id.POLICY.with_parameters(), Budget(60, stop=until), lambda _: None)
    assert finding.verdict == "undecided"


def test_what_is_stored_is_told_from_the_declaration() -> None:
    assert stored(mm_id.POLICY.with_parameters()).startswith("736 bits a folio of order 4, 0 bits an MM")


# -- piles -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "pile", [pile for pile in piles(mm_id.POLICY.with_parameters()) if pile.order <= 9], ids=lambda pile: pile.name
)
def test_a_pile_is_as_high_as_it_says(pile: Pile) -> None:
    scheme = mm_id.POLICY.with_parameters()
    n = list(pile.numbers())[1]
    sequence = OperationSequence(Machine(scheme, pile.shape(n), "interpreted"), lambda: False)
    sequence.all(pile.operations(n, [scheme.max_mm_id - i for i in range(pile.most_mms)]))
    assert sequence.breaches == {}
    height = int(sequence.watch.truth.folio_mapcount[HEAD])
    assert n <= height <= 2 * n


FIELD = Stored("_count", "i16", offset=16, init=-1)


def seen(values: dict[int, int], name: str = "_count") -> dict[int, dict[tuple[str, int], tuple[int, int]]]:
    return {n: {(name, 0): (min(-1, value), value)} for n, value in values.items()}


def with_fields(*fields: Stored) -> Scheme:
    return replace(total_mapped_pages.POLICY, name="x", fields=fields, models=None, mutants=None).with_parameters()


def test_a_field_that_grows_evenly_is_extrapolated_exactly() -> None:
    values = {n: 3 * n - 1 for n in (5, 20, 80)}
    (limit,) = limits(with_fields(FIELD, replace(FIELD, name="_large_mapcount")), with_both(values))
    assert limit == Limit("_count", "i16", 10923)
    assert 3 * limit.at - 1 > 32767 >= 3 * (limit.at - 1) - 1


def with_both(values: dict[int, int]) -> dict[int, dict[tuple[str, int], tuple[int, int]]]:
    return {n: one | {("_large_mapcount", 0): (0, 0)} for n, one in seen(values).items()}


@pytest.mark.parametrize(
    "values",
    [{5: 5, 20: 20}, {5: 7, 20: 7, 80: 7}, {5: 1, 20: 50, 80: 51}],
    ids=["two-points", "constant", "uneven"],
)
def test_what_does_not_grow_evenly_is_not_extrapolated(values: dict[int, int]) -> None:
    assert limits(with_fields(FIELD, replace(FIELD, name="_large_mapcount")), with_both(values)) == []


def test_a_field_that_may_wrap_has_no_limit() -> None:
    fields = replace(FIELD, wraps=True), replace(FIELD, name="_large_mapcount")
    assert limits(with_fields(*fields), with_both({n: n for n in (5, 20, 80)})) == []


@pytest.mark.slow
def test_a_limit_that_cannot_be_run_leaves_it_undecided() -> None:
    """512 pages for each PMD: more than 32 bits hold, below the claimed number of mappings."""
    scheme = narrowed(total_mapped_pages.POLICY, "_total_mapped_pages", "i32", max_order=9)
    (finding,) = Structural().run(scheme, Budget(5), lambda _: None)
    assert finding.verdict == "undecided"
    assert "_total_mapped_pages (i32) would overflow at 4,194,304 PMDs" in finding.bound
