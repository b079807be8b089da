"""Divides the orders into classes, and decides which method answers which law, and for how long."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine.check import Violation
from foliolab.framework.verify.attack import Budget, Progress, Tell
from foliolab.framework.verify.counterexample import Counterexample
from foliolab.framework.verify.finding import OWED, Verdict
from foliolab.framework.verify.playback import confirm
from foliolab.framework.verify.symbolic import algebra, term
from foliolab.framework.verify.symbolic.additive import AdditiveState
from foliolab.framework.verify.symbolic.attack import NAME
from foliolab.framework.verify.symbolic.laws import (
    LawClaim,
    Query,
    claimed,
    queries,
    truth_of_mappings,
    truth_of_steps,
)
from foliolab.framework.verify.symbolic.proofs import Proofs
from foliolab.framework.verify.symbolic.solver import Reply, solve
from foliolab.framework.verify.symbolic.space import FOLIO, is_unknown
from foliolab.framework.verify.symbolic.symmetry import Partition
from foliolab.framework.verify.symbolic.term import Term
from foliolab.framework.verify.symbolic.unrolling import Unrolling
from foliolab.framework.verify.symbolic.witness import Witness

OWNERS: Final = 5
"""MMs at a time, at most, where the state is additive."""
ADDITIVE_SECONDS: Final = (0.5, 6.0, 1e9)
"""Computing time for a query where the state is additive. What takes longer is asked again after all others."""
FEW_OWNERS: Final = 2
"""MMs that are tried first, for small counterexamples."""
FEW_OWNERS_SECONDS: Final = 0.5
LARGEST_FOLIO_SECONDS: Final = 3.0
"""Computing time for few MMs, and for the largest folio of a class."""
PROOFS_SHARE: Final = 0.8
"""The share of the time for proofs, which come first: what they prove needs no unrolling."""
SAMPLE_STEPS: Final = 2
"""Steps after which orders with the same terms are one class."""
LATE: Final = "the time was over"


@dataclass(frozen=True)
class Outcome:
    """The verdict on a claim for one class.

    Args:
        law: the law that was asked for.
        claim: the claim.
        verdict: see `finding.Finding`.
        folios: the class, such as "files' folios of order 6 to 9".
        bound: the bound of the verdict, or the reason why the claim is undecided.
        within: the same in a few words, where it is a proof for any number (`induction.Proof`).
        example: the counterexample of a refuted claim.
        queries: how often z3 was asked.
        suspected: whether the solver found a state that breaks the law, and the interpreted run of it did not break it.
    """

    law: str
    claim: str
    verdict: Verdict
    folios: str
    bound: str
    example: Counterexample | None = None
    queries: int = 0
    suspected: bool = False
    within: str = ""


@dataclass(frozen=True)
class OrderClass:
    """Orders of folios for which a policy gives the same terms."""

    anon: bool
    orders: tuple[int, ...]

    def __str__(self) -> str:
        kind = "anonymous folios" if self.anon else "files' folios"
        if len(self.orders) == 1:
            return f"{kind} of order {self.orders[0]}"
        consecutive = self.orders[-1] - self.orders[0] == len(self.orders) - 1
        orders = f"{self.orders[0]} to {self.orders[-1]}" if consecutive else ", ".join(map(str, self.orders))
        return f"{kind} of order {orders}"


class Search:
    """All classes of one policy."""

    def __init__(self, scheme: Scheme, budget: Budget, steps: int, orders: range | None, tell: Tell) -> None:
        self.scheme = scheme
        self.budget = budget
        self.steps = steps
        self.orders = orders or range(1, scheme.policy.max_order + 1)
        self.tell = tell
        self.queries = 0
        self.began = time.monotonic()

    def outcomes(self) -> Iterator[Outcome]:
        """The outcomes, each as soon as it is known. Classes with many orders come first.

        Raises:
            InterruptedError: the time was over before the classes were known.
        """
        term.reset()
        found = [order_class for anon in (True, False) for order_class in self.classes(anon)]
        found.sort(key=lambda order_class: -len(order_class.orders))
        classes = [_ClassSearch(self, order_class, self.budget) for order_class in found]
        additive = [search for search in classes if search.find_additive_state()]
        for seconds in ADDITIVE_SECONDS:
            for search in additive:
                try:
                    yield from search.by_additive_state(seconds)
                except InterruptedError:
                    break
        others = [search for search in classes if search not in additive]
        for number, search in enumerate(others):
            with suppress(InterruptedError):
                search.prove(self.budget.part(PROOFS_SHARE / (len(others) - number)))
        for number, search in enumerate(others):
            search.budget = self.budget.part(1 / (len(others) - number))
            try:
                yield from search.by_steps()
            except InterruptedError:
                search.interrupt()
        for search in classes:
            yield from search.remaining()

    def unrolling(self, order_class: OrderClass) -> Unrolling:
        """An unrolling before its first step."""
        order, stopped = order_class.orders[-1], lambda: not self.budget.left
        return Unrolling(self.scheme, order, self.orders[-1], order_class.anon, stopped)

    def classes(self, anon: bool) -> list[OrderClass]:
        """The classes of orders: those with the same terms after a few steps."""
        alike: dict[object, list[int]] = {}
        for order in self.orders:
            if order == 1 and anon:
                continue  # the kernel has no such folios
            self.progress(f"classes of {'anonymous folios' if anon else 'files'}", order)
            unrolling = self.unrolling(OrderClass(anon, (order,)))
            order_field = (FOLIO, unrolling.space.layouts["folio"].by_name["_flags_1"].offset)
            for _ in range(SAMPLE_STEPS):
                unrolling.step()
            state = unrolling.paths.state
            key = tuple(state[cell] for cell in sorted(state) if cell != order_field)
            room = tuple(stored.page < 1 << order for stored in self.scheme.stored("folio"))
            alike.setdefault((key, room), []).append(order)
        return [OrderClass(anon, tuple(orders)) for orders in alike.values()]

    def progress(self, what: str, depth: int) -> None:
        """Report the progress."""
        seconds = max(time.monotonic() - self.began, 1e-3)
        self.tell(Progress(NAME, what, self.queries, depth, self.queries / seconds))


class _ClassSearch:
    """The search for one class.

    Attributes:
        bounds: the claims that are not refuted, and the bound up to which each holds, "" for none.
        undecided: the claims that are not followed further, and why.
        timed_out: those of `undecided` that more time may decide.
        suspected: those of `undecided` that the solver breaks and the interpreted run does not.
        proved: the claims that hold for any number of operations, and the bound of each in a few words.
    """

    def __init__(self, search: Search, order_class: OrderClass, budget: Budget) -> None:
        self.search = search
        self.scheme = search.scheme
        self.folios = order_class
        self.budget = budget
        self.bounds: dict[LawClaim, str] = dict.fromkeys(claimed(self.scheme, order_class.anon), "")
        self.undecided: dict[LawClaim, str] = {}
        self.timed_out: set[LawClaim] = set()
        self.suspected: set[LawClaim] = set()
        self.proved: dict[LawClaim, str] = {}
        self.queries: dict[LawClaim, Query] = {}
        self.seconds = ADDITIVE_SECONDS[-1]
        self.mappings: list[tuple[Term, Term]] = []

    def find_additive_state(self) -> bool:
        """Whether the state is additive. False if the time was over before."""
        try:
            self.unrolling = self.search.unrolling(self.folios)
            additive = AdditiveState(self.unrolling)
            if additive.find():
                self.mappings = additive.map_by(OWNERS)
        except InterruptedError:
            return False
        return bool(self.mappings)

    def remaining(self) -> Iterator[Outcome]:
        """The outcomes of the claims that are not refuted."""
        for (law, claim), bound in self.bounds.items():
            reason = self.undecided.get((law, claim), "" if bound else LATE)
            verdict: Verdict = "undecided" if reason else "held"
            text = f"{reason} (held for {bound})" if reason and bound else reason or bound
            suspected = (law, claim) in self.suspected
            within = self.proved.get((law, claim), "")
            yield Outcome(law, claim, verdict, str(self.folios), text, None, self.search.queries, suspected, within)

    def interrupt(self) -> None:
        """The time was over during a step."""
        for key in self.bounds.keys() - self.proved.keys():
            self.undecided.setdefault(key, LATE)

    # -- additive states ---------------------------------------------------------------------------------
    def by_additive_state(self, seconds: float) -> Iterator[Outcome]:
        """Ask what is not answered yet. If an order breaks a law, ask the other orders of the class one by one."""
        self.seconds = seconds
        found = list(self._ask_additive())
        yield from found
        if found and len(self.folios.orders) > 1:
            yield from self._other_orders(found)

    def _other_orders(self, found: list[Outcome]) -> Iterator[Outcome]:
        laws = {(outcome.law, outcome.claim) for outcome in found}
        singles = [OrderClass(self.folios.anon, (order,)) for order in self.folios.orders]
        others = [single for single in singles if str(single) != found[0].folios]
        for number, single in enumerate(others):
            budget = self.search.budget.part(1 / (2 * (len(others) - number) + 2))
            search = _ClassSearch(self.search, single, budget)
            search.bounds = {key: "" for key in search.bounds if key in laws}
            search.find_additive_state()
            yield from search.by_additive_state(ADDITIVE_SECONDS[-1])
            yield from search.remaining()

    def _ask_additive(self) -> Iterator[Outcome]:
        wanted = {key for key in self.bounds if key not in self.queries and self._is_open(key)}
        for query in queries(self.unrolling, truth_of_mappings(self.mappings), wanted):
            self.queries[query.law, query.claim] = query
        ids = [mm_id for mm_id, _ in self.mappings]
        different = [algebra.not_(algebra.eq(a, b)) for i, a in enumerate(ids) for b in ids[:i]]
        fits = [algebra.le(count, self.unrolling.pages) for _, count in self.mappings]
        within = self.unrolling.within([count for _, count in self.mappings])
        given = [*different, *fits, within, self._pages_of_class()]
        if self.folios.anon:
            given.append(algebra.le(term.const(1), self.mappings[0][1]))
        for key, query in self.queries.items():
            if key in self.bounds and self._is_open(key):
                self.search.progress(f"{self.folios}, {query.law}, up to {OWNERS} MMs", OWNERS)
                bound = f"any operations (fewer than 2^26), at most {OWNERS} MMs at a time"
                yield from self._ask(query, given, bound, self._additive_witness)

    def _is_open(self, key: LawClaim) -> bool:
        """A query has no answer, but may get one."""
        return not self.bounds[key] and (key not in self.undecided or key in self.timed_out)

    def _additive_witness(self, values: dict[str, int]) -> Witness:
        witness = Witness(values["P"].bit_length() - 1, self.folios.anon)
        witness.map_by([(values.get(f"id{i}", 0), values.get(f"held{i}", 0)) for i in range(OWNERS)])
        if self.folios.anon:
            witness.write(values.get("id0", 1))
        return witness

    def _pages_of_class(self) -> Term:
        pages = term.var("P", 2, 1 << self.search.orders[-1])
        return algebra.any_(*(algebra.eq(pages, term.const(1 << order)) for order in self.folios.orders))

    # -- other states ------------------------------------------------------------------------------------
    def prove(self, budget: Budget) -> None:
        """Prove what can be proved for any number of operations."""
        self.search.progress(f"{self.folios}, by induction", 1)
        proofs = Proofs(self.search.unrolling(self.folios), [self._pages_of_class()], budget)
        for proof in proofs.proved(set(self.bounds)):
            self.bounds[proof.law, proof.claim] = proof.bound
            self.proved[proof.law, proof.claim] = proof.within
        self.search.queries += proofs.queries

    def by_steps(self) -> Iterator[Outcome]:
        """Ask the laws that are not proved after each step of an unrolling."""
        given = [self._pages_of_class()]
        unrolling = self.search.unrolling(self.folios)
        for number in range(1, self.search.steps + 1):
            if self.bounds and self.bounds.keys() <= self.undecided.keys() | self.proved.keys():
                return
            unrolling.step()
            bound = f"{number} operations in a row" if number > 1 else "1 operation"
            given.append(unrolling.legal[-1])
            faults = [fault for fault in unrolling.faults[-1] if fault.when is not term.FALSE]
            for fault in faults:
                self.bounds.setdefault((fault.law, OWED), "")
                query = Query(fault.law, OWED, fault.when)
                yield from self._ask(query, given, bound, partial(_steps_witness, unrolling, ""))
            given += [algebra.not_(fault.when) for fault in faults]
            wanted = self.bounds.keys() - self.undecided.keys() - self.proved.keys()
            for query in queries(unrolling, truth_of_steps(unrolling), wanted):
                self.search.progress(f"{self.folios}, {query.law}", number)
                writer = "asking" if query.law == "reuse" else ""
                yield from self._ask(query, given, bound, partial(_steps_witness, unrolling, writer))

    # -- queries -----------------------------------------------------------------------------------------
    def _ask(
        self, query: Query, given: list[Term], bound: str, witness_of: Callable[[dict[str, int]], Witness]
    ) -> Iterator[Outcome]:
        """Ask whether a law can be broken. Yield refutations, and note all other answers."""
        key = (query.law, query.claim)
        if key not in self.bounds or (key in self.undecided and key not in self.timed_out):
            return
        self.undecided.pop(key, None)
        self.timed_out.discard(key)
        self.suspected.discard(key)
        if not self.budget.left:
            self.undecided[key] = LATE
            return
        reply = self._reply(query, given)
        if reply.answer == "unsatisfiable":
            self.bounds[key] = bound
        elif reply.answer == "unknown":
            self.undecided[key] = reply.reason or f"{bound}: undecided, the time was over"
            if not reply.reason:
                self.timed_out.add(key)
        else:
            witness = witness_of(reply.values)
            broken = witness.run(self.scheme)
            yield from self._confirmed(witness, broken, bound)
            if key in self.bounds and any((violation.law, violation.claim) == key for violation in broken):
                self.undecided[key] = f"{bound}: it breaks, but only after {broken[0].law} did"
            elif key in self.bounds and is_unknown(query.broken):
                self.undecided[key] = f"{bound}: it depends on fields of single pages, which are not modelled"
            elif key in self.bounds:
                self.undecided[key] = f"{bound}: a state was found in which it breaks, but the interpreted run does not"
                self.suspected.add(key)

    def _reply(self, query: Query, given: list[Term]) -> Reply:
        if query.unsupported:
            return Reply("unknown", reason=query.unsupported)
        reply = self._solve(query.broken, given, self.seconds)
        if reply.answer == "unknown" and not reply.reason and self.mappings and self.seconds == ADDITIVE_SECONDS[0]:
            return self._in_special_case(query.broken, given) or reply
        return reply

    def _in_special_case(self, broken: Term, given: list[Term]) -> Reply | None:
        """A breach with few MMs, or in the largest folio: easier to find than in the whole class."""
        largest = 1 << self.folios.orders[-1]
        few = {count: term.const(0) for _, count in self.mappings[FEW_OWNERS:]}
        for fixed, seconds in (
            (few, FEW_OWNERS_SECONDS),
            ({self.unrolling.pages: term.const(largest)}, LARGEST_FOLIO_SECONDS),
        ):
            question, *rest = (algebra.substitute(part, fixed.get) for part in (broken, *given))
            reply = self._solve(question, rest, seconds)
            if reply.answer == "satisfiable":
                values = {str(variable.args[0]): value.args[0] for variable, value in fixed.items()}
                return Reply("satisfiable", reply.values | values)
        return None

    def _solve(self, broken: Term, given: list[Term], seconds: float) -> Reply:
        variables = term.variables([broken, *given])
        ids = [variable for variable in variables if variable.args[0].startswith(("id", "asking"))]
        partition = Partition(ids)
        if partition.applies([broken, *given]):
            given = [*(partition.rewritten(part) for part in given), *partition.laws()]
            broken = partition.rewritten(broken)
        reply = solve(broken, given, self.budget, seconds)
        self.search.queries += reply.queries
        if reply.answer == "satisfiable":
            return Reply("satisfiable", partition.values(reply.values) | reply.values)
        return reply

    def _confirmed(self, witness: Witness, broken: list[Violation], bound: str) -> Iterator[Outcome]:
        """The breaches in the run of a witness that a replay of the counterexample's file confirms."""
        folios = str(OrderClass(self.folios.anon, (witness.order,)))
        for violation in broken:
            key = (violation.law, violation.claim)
            if violation.claim and violation.claim not in self.scheme.capabilities:
                continue
            example = witness.counterexample(self.scheme, violation)
            if confirm(example, self.scheme):
                self.bounds.pop(key, None)
                self.undecided.pop(key, None)
                yield Outcome(*key, "refuted", folios, bound, example, self.search.queries)


def _steps_witness(unrolling: Unrolling, writer: str, values: dict[str, int]) -> Witness:
    witness = Witness(values["P"].bit_length() - 1, unrolling.anon)
    for i, step in enumerate(unrolling.steps):
        kind = values.get(f"kind{i}", 0) if step.kind.value is None else step.kind.value
        witness.step(kind, values.get(f"id{i}", 1), values.get(f"nr{i}", 1))
    if writer:
        witness.write(values.get(writer, 1))
    return witness
