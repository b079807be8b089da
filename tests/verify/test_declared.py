"""What a policy declares to be made for binds every attack and every run."""

from __future__ import annotations

import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from declared_policies import FOUR_BITS, HASHED, LEAKY, PER_MM

from foliolab.framework.api import store
from foliolab.framework.contract.policy import Policy, Scheme
from foliolab.framework.contract.stored import Stored
from foliolab.framework.contract.workload import Setting
from foliolab.framework.engine.engine import Shape
from foliolab.framework.engine.machine import Machine
from foliolab.framework.errors import BeyondDeclared, ExitCode, ModelError
from foliolab.framework.plugins.discovery import Unusable
from foliolab.framework.plugins.registry import load
from foliolab.framework.plugins.validation import checked_policy
from foliolab.framework.run.cases import Case, unfit
from foliolab.framework.run.count import count
from foliolab.framework.verify.attack import Attack, Budget, Progress
from foliolab.framework.verify.birthday import equal_pairs
from foliolab.framework.verify.explored.attack import Explored
from foliolab.framework.verify.explored.programs import programs
from foliolab.framework.verify.explored.world import World
from foliolab.framework.verify.finding import Finding
from foliolab.framework.verify.random_operations.attack import Random
from foliolab.framework.verify.structural import Structural
from foliolab.policies import page_mapcount
from foliolab.policies.parts.page_mapcounts import partially_mapped


def refuted(attack: Attack, scheme: Scheme, seconds: float) -> list[Finding]:
    found = attack.run(scheme, Budget(seconds), lambda news: None)
    return [finding for finding in found if finding.verdict == "refuted"]


def with_most(mappings: int, order: int = 3, mms: int = 1000) -> Scheme:
    return replace(FOUR_BITS, max_mappings=mappings, max_order=order, max_mm_id=mms).with_parameters()


@pytest.mark.parametrize(("mappings", "order"), [(15, 3), (11, 2), (7, 3), (3, 2)])
def test_the_structural_attack_maps_a_folio_as_often_as_declared(mappings: int, order: int) -> None:
    assert refuted(Structural(), with_most(mappings, order), 0.5) == []


def test_one_mapping_too_many_is_found() -> None:
    assert refuted(Structural(), with_most(16), 20.0)


@pytest.mark.parametrize(("mappings", "mms"), [(15, 1000), (5, 1000), (3, 1), (15, 2)])
def test_the_random_attack_keeps_to_what_is_declared(mappings: int, mms: int) -> None:
    assert refuted(Random(), with_most(mappings, 3, mms), 0.3) == []


def test_the_explored_attack_leaves_out_what_maps_more_often() -> None:
    def possible(scheme: Scheme) -> int:
        done = 0
        for program in programs(scheme):
            try:
                World(scheme, program.shape, program.setup, program.threads)
            except ModelError:
                continue
            done += 1
        return done

    few, all_of_them = possible(with_most(4)), possible(with_most(15))
    assert 0 < few < all_of_them
    assert possible(with_most(15, mms=2)) < all_of_them


def machine(mappings: int, mms: int = 3) -> Machine:
    found = Machine(with_most(mappings, mms=mms), Shape(64, 3, 16, max_order=3), "interpreted")
    found.create(0)
    return found


def test_the_machine_refuses_what_goes_beyond() -> None:
    four = machine(6)
    four.populate(0, 0, 4, 2)
    with pytest.raises(BeyondDeclared, match="for at most 6 mappings of a folio, and this makes 8"):
        four.fork(0, 1)
    assert not four.is_alive(1)
    four.fork(0, 1, 0, 2)
    with pytest.raises(BeyondDeclared, match="this makes 7"):
        four.fork(0, 2, 0, 1)
    four.unmap(1, 0, 1)
    four.fork(0, 2, 0, 1)
    with pytest.raises(BeyondDeclared, match="this makes 8"):
        four.populate(0, 8, 8, 3)
    with pytest.raises(BeyondDeclared, match="up to order 3, not 4"):
        four.file_folio(4)
    pfn = four.file_folio(2)
    four.map_file(0, 8, pfn, 4)
    with pytest.raises(BeyondDeclared, match="this makes 8"):
        four.map_file(0, 12, pfn, 4)
    with pytest.raises(BeyondDeclared, match="IDs are 1 to 2"):
        machine(6, mms=2).create(1, 3)


def test_a_workload_for_more_mms_or_mappings_is_not_for_the_policy() -> None:
    registry = load()
    two = with_most(15, mms=2)
    storm, fork = registry.workload("munmap"), registry.workload("fork")
    many = replace(storm, mms=3)
    assert unfit(many, two, 2) == "the workload has 3 MMs, the policy tells 2 apart"
    assert unfit(storm, with_most(15, 3), 4) == "the policy is for folios up to order 3"
    assert unfit(storm, two, 2) == "" == unfit(storm, with_most(15, 3), 2)
    with pytest.raises(BeyondDeclared):
        count(Case(fork, Setting(3, 16, 1)), with_most(15), 30.0)
    assert count(Case(fork, Setting(2, 8, 1)), with_most(8), 30.0)


def test_precision_tells_apart_who_it_is_not_for() -> None:
    from foliolab.framework.precision.session import PrecisionRequest, exit_code, precision

    registry = load()
    request = PrecisionRequest(
        [registry.pattern("last-child")], [with_most(15, mms=2)], mms=(2, 4), folios=1, order=2,
        execution="interpreted",
    )  # fmt: skip
    found = precision(request)
    assert [("not for this policy" in point.stopped, point.exit_code) for point in found.points] == [
        (False, ExitCode.GOOD),
        (True, ExitCode.GOOD),
    ]
    assert exit_code(found) == ExitCode.GOOD


def test_an_mms_count_must_come_back() -> None:
    (finding,) = refuted(Structural(), replace(LEAKY, max_order=2).with_parameters(), 20.0)
    assert finding.counterexample is not None and finding.counterexample.law == "initial-values"
    assert "_mapped is 2, and was 1 the time before" in finding.counterexample.message


def test_what_an_mm_got_once_may_stay() -> None:
    scheme = replace(PER_MM, max_order=2).with_parameters()
    assert refuted(Structural(), scheme, 0.5) == [] == refuted(Random(), scheme, 0.3)


@pytest.mark.parametrize(
    ("ctype", "init", "fits"),
    [
        ("i32", 1 << 40, False),
        ("i32", -1 << 31, True),
        ("u8", 256, False),
        ("u8", -1, False),
        ("u64", 1 << 63, False),
        ("u64", -1, True),
    ],
)
def test_an_initial_value_must_fit_its_type(ctype: str, init: int, fits: bool) -> None:
    field = Stored("_word", ctype, page=1, offset=32, init=init, doc="mappings")
    if fits:
        assert checked_policy(replace(FOUR_BITS, fields=(field,)))
        return
    with pytest.raises(Unusable, match=rf"field _word: init is {init}, which does not fit {ctype}"):
        checked_policy(replace(FOUR_BITS, fields=(field,)))


def test_a_fresh_mm_has_initial_values() -> None:
    fields = (*FOUR_BITS.with_parameters().fields, Stored("_n", "u32", per="mm", offset=0, count=2, init=7, doc="n"))
    fresh = Machine(replace(FOUR_BITS, fields=fields).with_parameters(), Shape(16, 2, 8, max_order=2), "interpreted")
    assert [fresh.field_of_mm(1, "_n", element) for element in (0, 1)] == [7, 7]
    fresh.create(0)
    store(fresh.vm.at("mm", fresh.map.mms[0])._n[1], 9)
    fresh.exit(0)
    fresh.create(0)
    assert fresh.field_of_mm(0, "_n", 1) == 7


def test_ids_that_are_stored_as_a_hash_are_told_apart_by_birthday() -> None:
    budget, found = Budget(60.0), []

    def tell(news: Progress | Finding) -> None:
        if isinstance(news, Finding):
            found.append(news)
            assert isinstance(budget.stop, threading.Event)
            budget.stop.set()  # the first refutation ends it

    Structural().run(HASHED.with_parameters(), budget, tell)
    assert [one.claim for one in found] == ["safe"]
    assert equal_pairs(PER_MM.with_parameters(), 1, lambda: False) == []  # nothing that is stored depends on the ID


def any_pages(folio: Any, nr: int) -> bool:
    """Also if all pages went at once."""
    return nr != 0


def no_pages(folio: Any, nr: int) -> bool:
    return False


def always_exclusive(folio: Any, page: Any) -> bool:
    return True


def broken_laws(attack: Attack, policy: Policy) -> set[str]:
    """The laws of the first refutation, which ends the attack."""
    budget = Budget(60.0)
    found: list[Finding] = []

    def tell(news: Progress | Finding) -> None:
        if isinstance(news, Finding):
            found.append(news)
            assert isinstance(budget.stop, threading.Event)
            budget.stop.set()

    attack.run(policy.with_parameters(), budget, tell)
    return {one.counterexample.law for one in found if one.counterexample is not None}


def marks(other: Any) -> Policy:
    change = ((partially_mapped, other),)
    return replace(page_mapcount.POLICY, name="marks", models=None, mutants=None, replace=change)


def test_a_folio_that_is_unmapped_at_once_is_not_partially_mapped() -> None:
    assert broken_laws(Structural(), marks(any_pages)) == {"partial-mapping"}


def test_interleavings_are_judged_by_partial_mapping() -> None:
    assert broken_laws(Explored(), marks(no_pages)) == {"partial-mapping"}


def test_bit_56_is_judged() -> None:
    hooks = replace(FOUR_BITS.hooks, page_exclusive=always_exclusive)
    assert broken_laws(Structural(), replace(FOUR_BITS, name="bits", hooks=hooks)) == {"page-exclusive"}


def test_a_text_that_handles_more_than_its_field_holds_is_run_there() -> None:
    scheme = load().parse_policies(["mm-id-slots:width=32"])[0]
    budget = Budget(240.0)
    seen: list[str] = []

    def tell(news: Progress | Finding) -> None:
        if isinstance(news, Progress):
            seen.append(news.what)
            if any("beyond" in one for one in seen[:-1]):
                assert isinstance(budget.stop, threading.Event)
                budget.stop.set()  # the run beyond the limit has ended

    (found,) = Structural().run(scheme, budget, tell)
    assert found.verdict == "held" and "beyond what _mm_id_mapcount[0] (i16) holds" in found.bound
