"""The structural attack: field widths and initial values with the largest folios, IDs and numbers of mappings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

from foliolab.framework.anatomy.layout import cost
from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine.engine import Shape
from foliolab.framework.engine.machine import Machine
from foliolab.framework.engine.operation import Operation
from foliolab.framework.engine.pagetable import PTRS_PER_PTE
from foliolab.framework.machine.layout import CTYPES, PMD_ORDER
from foliolab.framework.verify.attack import Budget, Progress, Tell
from foliolab.framework.verify.birthday import equal_pairs
from foliolab.framework.verify.finding import OWED, Finding
from foliolab.framework.verify.growth import HEAD, Extremes, Limit, Pile, extremes, limits, piles
from foliolab.framework.verify.mm_ids import confusable_pairs
from foliolab.framework.verify.refutations import Refutations
from foliolab.framework.verify.sequence import OperationSequence
from foliolab.framework.verify.watchdog import Stopped

NAME: Final = "structural"
MOST_ROUNDS: Final = 512
"""Mappings of a whole folio by which an extrapolated limit is run, at most."""
QUICK: Final = 10
"""Folios up to this order are examined first: an operation on them takes milliseconds."""
BIRTHDAY_SHARE: Final = 0.15
"""The share of the time for MM IDs that leave a folio equal, at most."""
QUICK_SHARE: Final = 0.7
"""The share of the time for folios up to order QUICK."""


class Structural:
    """Checks that every stored value fits its field and returns to its initial value."""

    name = NAME

    def run(self, scheme: Scheme, budget: Budget, tell: Tell) -> list[Finding]:
        return _Inspection(scheme, budget, tell).run()


class _Inspection:
    def __init__(self, scheme: Scheme, budget: Budget, tell: Tell) -> None:
        self.scheme = scheme
        self.budget = budget
        self.tell = tell
        self.refutations = Refutations(NAME, scheme, budget, tell)
        self.operations = 0
        self.covered: list[str] = []
        self.until = 0.0
        self.beyond: dict[str, int] = {}
        """Mappings that did not break a law, by the field that seemed too narrow for them."""

    def run(self) -> list[Finding]:
        largest = self.scheme.policy.max_order
        with suppress(Stopped):
            self._ids()
            quick = min(largest, QUICK)
            known = piles(self.scheme)
            first = [pile for pile in known if pile.order <= quick]
            self._orders(1, quick)
            self._piles(first, self.budget.part(QUICK_SHARE))
            self._orders(quick + 1, largest)
            self._piles([pile for pile in known if pile not in first], self.budget)
            self.covered.insert(1, f"folios of orders 1 to {largest}")
        covered = "; ".join([*self.covered, stored(self.scheme)])
        within = f"folios of orders 1 to {largest} at their limits"
        return list(self.refutations.answers([OWED], covered, self.operations, within))

    def _run(self, sequence: OperationSequence, operations: Iterator[Operation]) -> bool:
        """Run operations, and refute the laws that they break; return whether the sequence can go on.

        Raises:
            Stopped: the time is up.
        """
        before = len(sequence.done)
        try:
            sequence.all(operations)
        finally:
            self.operations += len(sequence.done) - before
        breaches = sequence.breaches
        if sequence.last_only and breaches:  # repeat, with a check after each operation, to find the first breach
            exact = self._sequence(sequence.machine.shape, self.budget)
            exact.all(iter(sequence.done))
            breaches = exact.breaches or breaches
        for law, breach in breaches.items():
            if law not in self.refutations.laws:
                self.refutations.add(breach, self.operations)
        return not sequence.ended

    def _sequence(self, shape: Shape, budget: Budget, last_only: bool = False) -> OperationSequence:
        return OperationSequence(Machine(self.scheme, shape, "interpreted"), lambda: budget.left == 0, last_only)

    # -- IDs ---------------------------------------------------------------------------------------------
    def _ids(self) -> None:
        """Pairs of MMs whose IDs a narrower field would confuse, and pairs that what is stored does not tell apart."""
        order = min(2, self.scheme.policy.max_order)
        limit = self.budget.part(BIRTHDAY_SHARE)
        self._tell("MM IDs that leave a folio equal")
        equal = equal_pairs(self.scheme, self.budget.seed, lambda: limit.left == 0)
        pairs = [*confusable_pairs(self.scheme.max_mm_id), *equal]
        for low, high in pairs:
            self._tell(f"MMs with IDs {low:,} and {high:,}")
            for first, second in ((low, high), (high, low)):
                self._run(self._sequence(Shape(16, 2, 8, max_order=order), self.budget), _two(order, first, second))
        alike = f", {len(equal)} of them equal in what is stored" if equal else ""
        self.covered.append(f"{len(pairs)} pairs of IDs up to {self.scheme.max_mm_id:,}{alike}")

    # -- sizes -------------------------------------------------------------------------------------------
    def _orders(self, first: int, last: int) -> None:
        """A folio of every order: mapped as a whole, shared, and unmapped from both ends."""
        if first == 1 and self.scheme.stored("mm"):
            sequence = self._sequence(Shape(4, 1, 2, max_order=1), self.budget)
            self._run(sequence, _comes_back(self.scheme.max_mm_id))
        for order in range(first, last + 1):
            ids = _highest(self.scheme, 2 if 2 << order <= self.scheme.policy.max_mappings else 1)
            self._tell(f"folios of order {order}")
            shape = Shape(2 << order, len(ids), 1 << order, max_order=order)
            for anon in (False, True) if order > 1 else (False,):
                for pmd in (False, True) if order == PMD_ORDER and "pmd" in self.scheme.capabilities else (False,):
                    self._run(self._sequence(shape, self.budget), _life(order, anon, ids, pmd))

    # -- numbers -----------------------------------------------------------------------------------------
    def _piles(self, known: Sequence[Pile], budget: Budget) -> None:
        for index, pile in enumerate(known):
            self._pile(pile, budget.part(1 / (len(known) - index)))

    def _pile(self, pile: Pile, budget: Budget) -> None:
        """Map a folio ever more often, and unmap it in alternating order."""
        seen: dict[int, Extremes] = {}
        ids = _highest(self.scheme, pile.most_mms)
        with suppress(Stopped):
            for n in pile.numbers():
                self._tell(f"{n:,} {pile.name}")
                height, values = self._measure(pile, n, ids, backwards=len(seen) % 2 == 1, budget=budget)
                if not height:
                    break
                seen[height] = values
        if seen:
            self.covered.append(f"{max(seen):,} {pile.name}")
            self._extrapolate(pile, limits(self.scheme, seen))

    def _measure(self, pile: Pile, n: int, ids: Sequence[int], backwards: bool, budget: Budget) -> tuple[int, Extremes]:
        """Map a folio n times and unmap it; return its mapcount and the extreme values then, (0, {}) after a breach."""
        sequence = self._sequence(pile.shape(n), budget, last_only=True)
        if not self._run(sequence, pile.operations(n, ids)):
            return 0, {}
        height = int(sequence.watch.truth.folio_mapcount[HEAD])
        values = extremes(sequence.machine, pile.order)
        return (height, values) if self._run(sequence, _dismantle(pile, n, backwards)) else (0, {})

    def _extrapolate(self, pile: Pile, found: list[Limit]) -> None:
        most = self.scheme.policy.max_mappings
        if pile.per_mm:
            most = min(most, self.scheme.max_mm_id)
        for limit in found:
            if limit.at <= most:
                known = dict(self.refutations.undecided)
                why = f"{limit.field} ({limit.ctype}) would overflow at {limit.at:,} {pile.name}, {most:,} are claimed"
                self.refutations.undecided.setdefault(OWED, why)  # stays if the time is up meanwhile
                if self._goes_beyond(pile, limit):
                    self.refutations.undecided = known

    def _goes_beyond(self, pile: Pile, limit: Limit) -> bool:
        """Whether the text handles more mappings than a field seems to hold, or a law is refuted there.

        Whole folios take few operations for many mappings.
        """
        order = min(PMD_ORDER, self.scheme.policy.max_order)
        pages = 1 << order
        n = (limit.at // pages + 1) * pages
        if pile.per_mm or pile.pmd or pile.anon or n > min(pile.limit, pages * MOST_ROUNDS):
            return self.beyond.get(limit.field, 0) > limit.at
        whole = replace(pile, name=f"mappings of all pages of a folio of order {order}", order=order, pages=pages)
        self._tell(f"{n:,} {whole.name}, beyond {limit.field}")
        ids = _highest(self.scheme, pile.most_mms)
        height, _ = self._measure(whole, n, ids, backwards=False, budget=self.budget)
        if height:
            self.covered.append(f"{height:,} {whole.name}, beyond what {limit.field} ({limit.ctype}) holds")
            self.beyond[limit.field] = height
        return True

    def _tell(self, what: str) -> None:
        if self.budget.left == 0:
            raise Stopped
        rate = self.operations / max(self.refutations.seconds, 0.001)
        self.tell(Progress(NAME, what, self.operations, 0, rate))


def stored(scheme: Scheme) -> str:
    """The memory that a scheme declares, in words."""
    order = min(4, scheme.policy.max_order)
    mm = sum(8 * CTYPES[one.ctype].bytes * one.count for one in scheme.stored("mm"))
    used = cost(scheme, order)
    larger = f", every struct page {used.extra >> order} bytes larger" if used.extra else ""
    return f"{used.bits:,} bits a folio of order {order}, {mm:,} bits an MM{larger}"


def _highest(scheme: Scheme, nr: int) -> list[int]:
    return [scheme.max_mm_id - i for i in range(min(nr, scheme.max_mm_id))]


def _two(order: int, first: int, second: int) -> Iterator[Operation]:
    """Two MMs share a folio. The first unmaps it as a whole, the second page by page."""
    pages = 1 << order
    yield Operation.of("create", mm=0, mm_id=first)
    yield Operation.of("file_folio", order=order)
    yield Operation.of("map_file", mm=0, vpn=0, pfn=HEAD, nr=pages)
    yield Operation.of("fork", parent=0, child=1, mm_id=second)
    yield Operation.of("unmap", mm=0, start=0, nr=pages)
    for page in range(pages):
        yield Operation.of("unmap", mm=1, start=page, nr=1)
    if order > 1:
        yield Operation.of("populate", mm=1, start=0, nr=pages, order=order)
        yield Operation.of("exit", mm=0)
        yield Operation.of("fork", parent=1, child=0, mm_id=first)
        yield Operation.of("write", mm=0, start=0, nr=1)
        yield Operation.of("exit", mm=1)
        yield Operation.of("write", mm=0, start=1, nr=1)
    yield Operation.of("exit", mm=0)


def _comes_back(mm_id: int) -> Iterator[Operation]:
    """An MM maps nothing of a folio any more, twice, after it mapped a different number of pages."""
    yield Operation.of("create", mm=0, mm_id=mm_id)
    yield Operation.of("file_folio", order=1)
    for nr in (1, 2):
        yield Operation.of("map_file", mm=0, vpn=0, pfn=HEAD, nr=nr)
        yield Operation.of("unmap", mm=0, start=0, nr=nr)
    yield Operation.of("exit", mm=0)


def _life(order: int, anon: bool, ids: Sequence[int], pmd: bool) -> Iterator[Operation]:
    """The life of a folio from its first mapping to its last."""
    pages = 1 << order
    yield Operation.of("create", mm=0, mm_id=ids[0])
    if anon:
        yield Operation.of("populate", mm=0, start=0, nr=pages, order=order, pmd=int(pmd))
    else:
        yield Operation.of("file_folio", order=order)
        yield Operation.of("map_file", mm=0, vpn=0, pfn=HEAD, nr=pages, pmd=int(pmd))
    if len(ids) > 1:
        yield Operation.of("fork", parent=0, child=1, mm_id=ids[1])
        yield Operation.of("unmap", mm=0, start=pages - 1, nr=1)
        yield Operation.of("unmap", mm=1, start=0, nr=1)
    yield Operation.of("exit", mm=0)
    if len(ids) > 1:
        yield Operation.of("exit", mm=1)
    if anon and not pmd:  # a reference keeps the folio, so that its state can be seen when all of it is unmapped
        yield Operation.of("create", mm=0, mm_id=ids[0])
        yield Operation.of("populate", mm=0, start=0, nr=pages, order=order)
        yield Operation.of("get_user", pfn=HEAD)
        yield Operation.of("unmap", mm=0, start=0, nr=pages)
        yield Operation.of("put_user", pfn=HEAD)
        yield Operation.of("exit", mm=0)


def _dismantle(pile: Pile, n: int, backwards: bool) -> Iterator[Operation]:
    """The MMs exit in turn; MM 0 first unmaps one half of its mappings."""
    times, mms = pile.spread(n)
    all_mms = list(range(mms))
    for mm in reversed(all_mms) if backwards else all_mms:
        if mm == 0 and times > 1:
            half = times // 2 * (PTRS_PER_PTE if pile.pmd else pile.pages)
            yield Operation.of("unmap", mm=0, start=0, nr=half)
        yield Operation.of("exit", mm=mm)
