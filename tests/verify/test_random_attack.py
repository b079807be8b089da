"""The random attack: breaches are found and shortened, sound policies are not refuted, the attack ends on request."""

from __future__ import annotations

import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from mutants import FAULTS, planted

from foliolab.framework.api import atomic_read, load
from foliolab.framework.contract.policy import Policy, Scheme
from foliolab.framework.engine.check import Violation
from foliolab.framework.engine.engine import Shape
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.operation import Operation
from foliolab.framework.verify.attack import Budget, Progress
from foliolab.framework.verify.finding import OWED, Finding
from foliolab.framework.verify.laws import LAWS, Watch
from foliolab.framework.verify.mm_ids import boundary_ids, confusable_pairs
from foliolab.framework.verify.playback import confirm, play
from foliolab.framework.verify.random_operations.attack import Random
from foliolab.framework.verify.shortening import Breach, Repeater, shorten
from foliolab.policies import mm_id
from foliolab.policies.mm_id_mutants import mutants

MM_ID = mm_id.POLICY.with_parameters()
MUTANTS = {policy.name: policy for policy in mutants()}
BEHAVES_WITHIN_ITS_CLAIMS = {
    "third-takes-the-second-slot",  # a count in a slot is never too high, and with two MMs there is no third
    "reuse-of-the-last-page",  # wasteful, and right
    "never-reuse",  # claimed is that reuse is right, not that there is any
    "single-mapping-asks-the-flag",  # the flag is stale only where more than two MMs mapped the folio
}


class Enough:
    """A stop event that is set after a number of polls, or with the first refutation."""

    def __init__(self, questions: int = 1 << 60) -> None:
        self.left = questions

    def is_set(self) -> bool:
        self.left -= 1
        return self.left < 0

    def tell(self, news: Progress | Finding) -> None:
        if isinstance(news, Finding):
            self.left = 0


def first_refutation(scheme: Scheme, seconds: float = 240.0) -> Finding:
    enough = Enough()
    found = Random().run(scheme, Budget(seconds, stop=enough), enough.tell)
    refuted = [finding for finding in found if finding.verdict == "refuted"]
    assert refuted, [(finding.claim, finding.bound) for finding in found]
    assert refuted[0].counterexample is not None
    assert confirm(refuted[0].counterexample, scheme)
    return refuted[0]


def with_hooks(name: str, policy: Policy = mm_id.POLICY, **hooks: Any) -> Scheme:
    return replace(policy, name=name, hooks=replace(policy.hooks, **hooks), models=None, mutants=None).with_parameters()


def line_of(function: Any, offset: int = 1) -> str:
    return f"{__file__}:{function.__code__.co_firstlineno + offset}"


# -- what is wrong is found ------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "law"),
    [
        ("second-slot-is-not-shared", "safe"),
        ("fork-leaves-page-mapcounts", "page-mapcount"),
        ("reuse-whatever-is-shared", "reuse"),
    ],
)
def test_a_wrong_variant_is_refuted_in_a_few_operations(name: str, law: str) -> None:
    scheme = MUTANTS[name].with_parameters()
    finding = first_refutation(scheme)
    example = finding.counterexample
    assert example is not None
    assert (finding.attack, example.law, example.claim) == ("random", law, finding.claim)
    assert len(example.threads) == 1
    found = Repeater(scheme, lambda: False).breach(example.machine(scheme).shape, example.operations(0), law)
    assert found is not None
    assert len(shorten(scheme, found, Budget(240)).operations) <= 8, "the attack itself shortens for a few seconds only"
    assert not confirm(example, MM_ID), "the right one breaks, too"


@pytest.mark.parametrize(
    "name",
    [
        "count-of-an-empty-slot-stays",
        "id-stays-at-the-eighth-free",
        "third-exit-clears-the-flag",
    ],
)
def test_what_lies_behind_many_operations_is_found(name: str) -> None:
    """Ten thousand operations take less than ten seconds of a processor."""
    fault = next(fault for fault in FAULTS if fault.name == name)
    finding = first_refutation(planted(fault).with_parameters())
    assert finding.states <= 10_000
    assert finding.counterexample is not None
    assert not confirm(finding.counterexample, fault.policy.with_parameters()), "the right one breaks, too"


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(MUTANTS.keys() - BEHAVES_WITHIN_ITS_CLAIMS))
def test_every_wrong_variant_that_breaks_a_claim_is_refuted(name: str) -> None:
    finding = first_refutation(MUTANTS[name].with_parameters())
    assert finding.counterexample is not None
    assert not confirm(finding.counterexample, MM_ID)


def test_refutations_of_different_claims_are_separate() -> None:
    budget, refuted = Budget(60), set()

    def tell(news: Progress | Finding) -> None:
        if isinstance(news, Finding):
            refuted.add(news.claim)
            if {"safe", "reuse"} <= refuted:
                assert isinstance(budget.stop, threading.Event)
                budget.stop.set()

    found = Random().run(with_hooks("always-yes", can_reuse=yes, maybe_mapped_shared=no), budget, tell)
    assert {"safe", "reuse"} <= refuted == {finding.claim for finding in found if finding.verdict == "refuted"}
    assert {finding.claim for finding in found} == {OWED, *MM_ID.capabilities}


def yes(folio: Any, page: Any, mm: Any) -> bool:
    return True


def no(folio: Any) -> bool:
    return False


# -- broken texts ----------------------------------------------------------------------------------------
def divides(folio: Any) -> bool:
    count = atomic_read(folio._large_mapcount)
    return 1 // (count - count) > 0


def answers_three(folio: Any, page: Any, nr: int, mm: Any) -> Any:
    answer = nr, False, atomic_read(folio._large_mapcount)
    return answer


def recurses(folio: Any) -> bool:
    return recurses(folio)


def reads_for_ever(folio: Any) -> bool:
    while load(folio._mm_ids) != -1:
        pass
    return False


def waits_for_ever(folio: Any) -> bool:
    count = 1
    while count:
        count += 1
    return False


@pytest.mark.parametrize(
    ("hooks", "law", "told"),
    [
        ({"maybe_mapped_shared": divides}, "raises", ["ZeroDivisionError", line_of(divides, 2)]),
        ({"remove_ptes": answers_three}, "raises", ["the hook remove_ptes does not return (nr, partially_mapped)"]),
        ({"maybe_mapped_shared": recurses}, "raises", ["RecursionError", line_of(recurses)]),
        ({"maybe_mapped_shared": reads_for_ever}, "termination", ["accesses in one call", line_of(reads_for_ever)]),
        ({"maybe_mapped_shared": waits_for_ever}, "termination", ["touches no memory", __file__]),
    ],
    ids=["divides", "answers-three", "recurses", "reads-for-ever", "waits-for-ever"],
)
def test_a_policy_that_fails_or_never_ends_is_named_with_its_line(
    hooks: dict[str, Any], law: str, told: list[str]
) -> None:
    scheme = with_hooks("broken", **hooks)
    operations = ["create mm=0", "populate mm=0 start=0 nr=4 order=2", "unmap mm=0 start=0 nr=3", "exit mm=0"]
    watch = Watch(Machine(scheme, Shape(16, 1, 4, max_order=2), "interpreted"))
    broken: list[Violation] = []
    for text in operations:
        broken = watch.apply(Operation.parse(text))
        if broken:
            break
    assert [one.law for one in broken] == [law]
    assert law in LAWS
    assert all(word in broken[0] for word in told), broken


def test_a_policy_that_divides_by_zero_is_refuted_by_the_attack() -> None:
    finding = first_refutation(with_hooks("divides", maybe_mapped_shared=divides))
    assert finding.claim == OWED
    assert finding.counterexample is not None
    assert finding.counterexample.law == "raises"
    assert (
        "ZeroDivisionError"
        in play(finding.counterexample, with_hooks("divides", maybe_mapped_shared=divides)).violations[0]
    )


# -- what is right holds, and says what was tried --------------------------------------------------------
def test_claims_that_hold_say_what_they_held_against(computing_time: type[Budget]) -> None:
    found = Random().run(MM_ID, computing_time(0.7), lambda _: None)
    assert {finding.claim: finding.verdict for finding in found} == dict.fromkeys([OWED, *MM_ID.capabilities], "held")
    assert all("random sequences, up to" in finding.bound and finding.states > 0 for finding in found)


def test_nothing_is_left_in_the_users_folder(tmp_path: Path) -> None:
    text = (
        "from foliolab.framework.verify.attack import Budget\n"
        "from foliolab.framework.verify.random_operations.attack import Random\n"
        "from foliolab.policies import exact\n"
        "print(Random().run(exact.POLICY.with_parameters(), Budget(2), lambda _: None)[0].verdict)\n"
    )
    run = subprocess.run([sys.executable, "-c", text], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert run.stdout == "held\n"
    assert list(tmp_path.iterdir()) == []


def test_who_is_stopped_before_the_first_sequence_has_no_opinion() -> None:
    found = Random().run(MM_ID, Budget(60, stop=Enough(0)), lambda _: None)
    assert {finding.verdict for finding in found} == {"undecided"}


def test_who_is_stopped_in_the_middle_says_what_it_knows() -> None:
    found = Random().run(MM_ID, Budget(3600, stop=Enough(300)), lambda _: None)
    assert {finding.verdict for finding in found} == {"held"}


def test_pieces_of_a_folio_that_one_exit_unmaps_leave_it_marked() -> None:
    """The page that mremap moved is unmapped first; the state between that and the rest is not checked."""
    watch = Watch(Machine(MM_ID, Shape(32, 1, 16, max_order=2), "interpreted"))
    for text in (
        "create mm=0",
        "populate mm=0 start=8 nr=4 order=2",
        "pin mm=0 vpn=9",
        "mremap mm=0 start=10 to=0 nr=1",
        "exit mm=0",
    ):
        assert watch.apply(Operation.parse(text)) == []


# -- shortening ------------------------------------------------------------------------------------------
NOISY = """create mm=3 mm_id=255
create mm=0
populate mm=3 start=8 nr=8 order=3
write mm=3 start=0 nr=2
populate mm=0 start=0 nr=8 order=2 batched=1
protect mm=0 start=0 nr=3
fork parent=0 child=2 mm_id=65537
unmap mm=3 start=8 nr=2
fork parent=0 child=1""".splitlines()


def test_noise_is_dropped_and_the_machine_shrinks() -> None:
    scheme = MUTANTS["second-slot-is-not-shared"].with_parameters()
    long = Repeater(scheme, lambda: False).breach(
        Shape(512, 8, 64, max_order=4), [Operation.parse(text) for text in NOISY], "safe"
    )
    assert isinstance(long, Breach)
    short = shorten(scheme, long, Budget(240))
    told = [operation.text for operation in short.operations]
    assert told == ["create mm=0", "populate mm=0 start=0 nr=4 order=2", "fork parent=0 child=2"]
    assert (short.shape.nr_mms, short.shape.nr_vpns, short.shape.nr_pages) == (3, 8, 16)
    assert confirm(short.counterexample(scheme, "random"), scheme)


def test_an_impossible_sequence_breaks_nothing() -> None:
    repeater = Repeater(MM_ID, lambda: False)
    assert repeater.breach(Shape(16, 1, 4, max_order=2), [Operation.parse("exit mm=0")], "safe") is None


# -- IDs -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("largest", [1, 2, 15, 255, (1 << 20) - 1, (1 << 31) - 1])
def test_ids_are_within_the_claimed_maximum(largest: int) -> None:
    ids = boundary_ids(largest)
    assert {1, largest} <= set(ids)
    assert len(set(ids)) == len(ids)
    assert all(1 <= one <= largest for one in ids)
    pairs = confusable_pairs(largest)
    assert all(one != other and min(one, other) >= 1 and max(one, other) <= largest for one, other in pairs)


def test_some_ids_are_the_same_in_a_byte() -> None:
    assert any(one % 256 == other % 256 for one, other in confusable_pairs(1 << 20))
