"""The shares, durations and ends: computed by hand, and by stepping through a machine's page tables."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foliolab.framework.contract.policy import Scheme, exact_up_to
from foliolab.framework.contract.sharing_pattern import Processes, SharingPattern, Usage
from foliolab.framework.engine.engine import Shape, native_missing
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.truth import scan
from foliolab.framework.precision.result import Point
from foliolab.framework.precision.session import PrecisionRequest, precision
from foliolab.framework.replay.episodes import length_class, length_of, quantile
from foliolab.framework.replay.result import Ended
from foliolab.policies import foliolab_policies
from foliolab.workloads.sharing import PATTERNS

SCHEMES = {policy.name: policy.with_parameters() for policy in foliolab_policies()}
EXACT, MM_ID = SCHEMES["exact"], SCHEMES["mm-id"]
V1 = SCHEMES["mm-id-v1"].policy.with_parameters({"page_mapcounts": 0})
Play = Callable[[Processes, Usage], None]


def pattern(play: Play, name: str = "mine") -> SharingPattern:
    return SharingPattern(name=name, summary="a test's", play=play)


def points(*patterns: SharingPattern, schemes: list[Scheme], **options: Any) -> list[Point]:
    request = PrecisionRequest(patterns, schemes, **{"execution": "interpreted", "order": 2, "folios": 4, **options})
    found = precision(request)
    assert found.complete
    assert not found.refuted
    assert not any(point.stopped for point in found.points)
    return found.points


def point(play: Play, scheme: Scheme = MM_ID, **options: Any) -> Point:
    (found,) = points(pattern(play), schemes=[scheme], **{"mms": [3], **options})
    return found


# -- by hand -------------------------------------------------------------------------------------------
def two_gone(p: Processes, usage: Usage) -> None:
    """T2 of specification 2.4: false shared between the fifth and the sixth operation."""
    a = p.start()
    p.populate(a, 0, 4)
    b, c = p.fork(a), p.fork(a)
    p.unmap(a, 0, 4)
    p.unmap(b, 0, 4)
    p.unmap(c, 0, 3)
    p.unmap(c, 3, 1)


def third_gone(p: Processes, usage: Usage) -> None:
    """T3: never wrong."""
    a = p.start()
    p.populate(a, 0, 4)
    b, c = p.fork(a), p.fork(a)
    p.unmap(c, 0, 4)
    p.unmap(b, 0, 4)
    p.unmap(a, 0, 4)


@pytest.mark.parametrize("scheme", [MM_ID, V1, SCHEMES["no-page-mapcount"]], ids=lambda scheme: scheme.name)
def test_t2_by_hand(scheme: Scheme) -> None:
    found = point(two_gone, scheme)
    # one MM maps the folio after operations 1, 5 and 6, for one step each: 0 to 1, 4 to 5, 5 to 6
    assert (found.false("operations"), found.false("time")) == ((1, 3), (1, 3))
    assert (found.shared_ops, found.shared_time, found.most_owners) == (3, 3, 3)
    false = found.false_shared
    assert (false.episodes, false.median_ops, false.longest_ops, false.median, false.ninth, false.longest) == (1,) * 6
    assert false.ends == [Ended(event="unmap", how="one page", times=1)]
    assert (found.unsafe.episodes, found.unsafe.ops) == (0, 0)


@pytest.mark.parametrize("scheme", [EXACT, SCHEMES["rmap-id"]], ids=lambda scheme: scheme.name)
def test_the_precise_ones_are_right_on_t2(scheme: Scheme) -> None:
    found = point(two_gone, scheme)
    assert (found.false("operations"), found.false("time")) == ((0, 3), (0, 3))
    assert found.false_shared.ends == []


def test_t3_is_never_wrong() -> None:
    found = point(third_gone)
    assert (found.false("operations"), found.false("time")) == ((0, 2), (0, 2))


def test_pauses_count_as_time_and_not_as_operations() -> None:
    def play(p: Processes, usage: Usage) -> None:
        a = p.start()
        p.populate(a, 0, 4)
        p.wait(9)
        b, c = p.fork(a), p.fork(a)
        p.exit(a)
        p.exit(b)
        p.wait(1999)
        p.exit(c)

    found = point(play)
    assert found.false("operations") == (1, 2)
    assert found.false("time") == (2000, 2010)
    assert found.false_shared.longest == 2000
    assert abs(found.false_shared.median - 2000) <= 2000 / 64
    assert found.false_shared.median_ops == found.false_shared.longest_ops == 1


def _stuck(p: Processes, nr: int = 4) -> int:
    """A process that alone maps a folio of which the two-slot scheme does not know it."""
    a = p.start()
    p.populate(a, 0, nr)
    b, c = p.fork(a), p.fork(a)
    p.exit(a)
    p.exit(b)
    return c


@pytest.mark.parametrize(
    ("end", "event", "how", "ops"),
    [
        (lambda p, c: p.exit(c), "exit", "gone", 1),
        (lambda p, c: p.unmap(c, 0, 4), "unmap", "gone", 1),
        (lambda p, c: p.fork(c), "fork", "owners", 1),
        (lambda p, c: p.write(c, 0, 3), "write", "one page", 3),
        (lambda p, c: p.wait(5), "", "", 0),
    ],
)
def test_what_ends_it(end: Callable[[Processes, int], object], event: str, how: str, ops: int) -> None:
    def play(p: Processes, usage: Usage) -> None:
        end(p, _stuck(p))

    found = point(play)
    wanted = [Ended(event=event, how=how, times=1)] if how else []
    assert found.false_shared.ends == wanted
    assert found.false_shared.longest_ops == ops


def test_what_lasts_until_the_end_is_said_to() -> None:
    def play(p: Processes, usage: Usage) -> None:
        _stuck(p)
        p.wait(7)
        p.start()
        p.populate(p.start(), 8, 4)

    found = point(play)
    assert found.false_shared.ends == [Ended(event="", how="lasting", times=1)]
    assert found.false_shared.longest == found.false_shared.folio_ns == 8


def test_a_file_folio_is_accounted_for_like_any_other() -> None:
    def play(p: Processes, usage: Usage) -> None:
        mms = [p.start() for _ in range(3)]
        for mm in mms:
            p.map_file(mm, 8, 4, 4)
        for mm in mms:
            p.exit(mm)
        p.map_file(p.start(), 0, 4, 4)  # the page cache still has it

    found = point(play)
    assert (found.exclusive_ops, found.shared_ops, found.most_owners) == (3, 3, 3)
    assert found.false("operations") == (1, 3)
    assert found.false_shared.ends == [Ended(event="exit", how="gone", times=1)]


# -- by claims -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("one", PATTERNS, ids=lambda one: one.name)
def test_who_claims_to_be_exact_for_so_many_is(one: SharingPattern) -> None:
    claims = {scheme: exact_up_to(scheme.capabilities) for scheme in SCHEMES.values()}
    for most in sorted({most for most in claims.values() if most}):
        schemes = [scheme for scheme, claimed in claims.items() if claimed >= most]
        for found in points(one, schemes=schemes, mms=[1, most], folios=2):
            assert found.exclusive_ops
            assert (found.false_shared.ops, found.unsafe.ops, found.false_shared.folio_ns) == (0, 0, 0), found


@pytest.mark.parametrize("one", PATTERNS, ids=lambda one: one.name)
def test_exact_is_exact_and_the_two_slot_scheme_is_safe(one: SharingPattern) -> None:
    for found in points(one, schemes=[EXACT, MM_ID], mms=[5], folios=2):
        assert found.most_owners > 2
        assert found.unsafe.ops == 0
        assert found.policy != EXACT.name or not found.false_shared.ops


# -- against the page tables -----------------------------------------------------------------------------
class Stepped:
    """`Processes` on a machine: after each step the page tables say who owns what, and the policy is asked."""

    def __init__(self, scheme: Scheme, usage: Usage, seed: int) -> None:
        self.random = Random(seed)
        self.usage = usage
        self.machine = Machine(scheme, Shape(nr_pages=4096, nr_mms=usage.mms, nr_vpns=1024), "interpreted")
        self.slots: dict[int, int] = {}
        self.born = 0
        self.file: dict[int, int] = {}
        self.pause = 0
        self.state = (0, 0, 0, 0)
        self.sums = np.zeros(4, np.int64)

    def start(self) -> int:
        self.born += 1
        self.slots[self.born] = next(i for i in range(self.usage.mms) if i not in self.slots.values())
        self.machine.create(self.slots[self.born])
        return self.born

    def fork(self, parent: int) -> int:
        child = self.born = self.born + 1
        self.slots[child] = next(i for i in range(self.usage.mms) if i not in self.slots.values())
        self._step(lambda: self.machine.fork(self.slots[parent], self.slots[child]))
        return child

    def exit(self, process: int) -> None:
        self._step(lambda: self.machine.exit(self.slots.pop(process)))

    def populate(self, process: int, page: int, nr: int, order: int | None = None) -> None:
        order = self.usage.order if order is None else order
        for first in range(page, page + nr, 1 << order):
            self._step(partial(self._anew, self.slots[process], first, order))

    def _anew(self, slot: int, page: int, order: int) -> None:
        self.machine.unmap(slot, page, 1 << order)
        self.machine.populate(slot, page, 1 << order, order)

    def write(self, process: int, page: int, nr: int = 1) -> None:
        for one in range(page, page + nr):
            mapped = self.machine.is_mapped(self.slots[process], one, 1)
            self._step(partial(self.machine.write, self.slots[process], one) if mapped else lambda: None)

    def unmap(self, process: int, page: int, nr: int = 1) -> None:
        self._step(lambda: self.machine.unmap(self.slots[process], page, nr))

    def map_file(self, process: int, page: int, file_page: int, nr: int = 1) -> None:
        size = self.usage.folio_pages

        def one() -> None:
            self.machine.unmap(self.slots[process], page, nr)
            for i in range(nr):
                folio, index = divmod(file_page + i, size)
                if folio not in self.file:
                    self.file[folio] = self.machine.file_folio(self.usage.order)
                self.machine.map_file(self.slots[process], page + i, self.file[folio] + index, 1)

        self._step(one)

    def wait(self, steps: int) -> None:
        self.pause += steps

    def _step(self, do: Callable[[], object]) -> None:
        """What was true until now lasted for the pause and, but for the first, for a step."""
        self.sums += np.array(self.state) * (self.pause + 1)
        self.pause = 0
        do()
        truth = scan(self.machine)
        heads = np.flatnonzero((truth.nr_pages_of > 1) & (truth.owners > 0))
        said = np.array([self.machine.maybe_shared(int(head)) for head in heads], bool)
        owners = truth.owners[heads]
        alone = owners == 1
        self.state = (int(alone.sum()), int((alone & said).sum()), int((~alone).sum()), int((~alone & ~said).sum()))


@pytest.mark.parametrize("one", PATTERNS, ids=lambda one: one.name)
@pytest.mark.parametrize("name", ["mm-id", "page-mapcount", "owner-vma"])
def test_the_times_are_those_of_the_page_tables(
    one: SharingPattern, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("foliolab.workloads.sharing.ROUNDS", 2)
    usage = Usage(mms=4, folios=3, order=2)
    stepped = Stepped(SCHEMES[name], usage, 5)
    one.play(stepped, usage)
    (found,) = points(one, schemes=[SCHEMES[name]], mms=[4], folios=3, seed=5)
    told = found.exclusive_time, found.false_shared.folio_ns, found.shared_time, found.unsafe.folio_ns
    assert told == tuple(stepped.sums.tolist())


@pytest.mark.slow  # compiles the replay for two policies
@pytest.mark.skipif(bool(native_missing()), reason="numba cannot be imported")
def test_interpreted_is_native(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("foliolab.workloads.sharing.ROUNDS", 2)
    options: dict[str, Any] = {"schemes": [MM_ID, SCHEMES["page-mapcount"]], "mms": [1, 5], "order": 4}
    assert points(*PATTERNS, **options, execution="native") == points(*PATTERNS, **options)


# -- durations -------------------------------------------------------------------------------------------
@given(st.integers(0, (1 << 62) - 1))
def test_a_class_is_a_sixty_fourth_wide(length: int) -> None:
    found = length_of(length_class(length))
    assert abs(found - length) <= length / 64
    assert length_class(found) == length_class(length)


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=40), st.sampled_from([0.5, 0.9, 1.0]))
def test_a_quantile_is_that_of_the_lengths(lengths: list[int], share: float) -> None:
    counts = np.bincount([length_class(length) for length in lengths]).tolist()
    wanted = sorted(lengths)[int(np.ceil(share * len(lengths))) - 1]
    assert abs(quantile(counts, share) - wanted) <= wanted / 64


def test_no_lengths_have_no_quantile() -> None:
    assert quantile([0, 0], 0.5) == 0
