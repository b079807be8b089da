"""The laws as queries about a state."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from foliolab.framework.contract.policy import Scheme, exact_claim
from foliolab.framework.engine.policytree import checked
from foliolab.framework.verify.finding import OWED
from foliolab.framework.verify.symbolic import algebra, term
from foliolab.framework.verify.symbolic.entries import CHECKS
from foliolab.framework.verify.symbolic.number import Unsupported
from foliolab.framework.verify.symbolic.space import is_unknown
from foliolab.framework.verify.symbolic.term import FALSE, TRUE, Term
from foliolab.framework.verify.symbolic.unrolling import Unrolling

LawClaim = tuple[str, str]
"""A law, and the claim that its breach refutes."""
EXACT_CLAIMS = {exact_claim(k): k for k in range(2, 9)}
"""The numbers of MMs up to which a policy may claim to be exact."""


@dataclass(frozen=True)
class Query:
    """Whether a law can be broken in a state.

    Args:
        law: the law.
        claim: the claim that its breach refutes.
        broken: true where the law is broken.
        unsupported: why there is no such term, if so.
    """

    law: str
    claim: str
    broken: Term
    unsupported: str = ""


@dataclass(frozen=True)
class GroundTruth:
    """What the page tables say in a state.

    Args:
        shared: two MMs or more map the folio.
        exclusive: exactly one MM does.
        total: all mappings.
        writer: the ID of an MM that writes.
        unsafe: the writer maps the folio, and so does another MM.
        never_more: for a number of MMs, no more than that ever mapped the folio at a time; true if not listed.
    """

    shared: Term
    exclusive: Term
    total: Term
    writer: Term
    unsafe: Term
    never_more: dict[int, Term] = field(default_factory=dict)


def claimed(scheme: Scheme, anon: bool) -> list[LawClaim]:
    """The laws and claims to ask about, the most important first. Laws that any operation can break are not listed."""
    found = []
    if anon and scheme.policy.hooks.can_reuse is not None:
        found.append(("reuse", "reuse"))
    if "safe" in scheme.capabilities:
        found.append(("safe", "safe"))
    found.append(("mapcount", OWED))
    if checked(scheme):
        found.append((CHECKS, OWED))
    if not anon:  # an anonymous folio without mappings is freed, so its fields do not matter
        found.append(("initial-values", OWED))
    if "exact" in scheme.capabilities:
        found.append(("exact", "exact"))
    found += [("exact-up-to", claim) for claim in EXACT_CLAIMS if claim in scheme.capabilities]
    return found


def queries(unrolling: Unrolling, truth: GroundTruth, wanted: set[LawClaim]) -> Iterator[Query]:
    """The wanted queries about the current state of an unrolling, one at a time."""
    for law, claim in claimed(unrolling.scheme, unrolling.anon):
        if (law, claim) in wanted:
            try:
                yield Query(law, claim, _broken(law, claim, unrolling, truth))
            except Unsupported as fault:
                yield Query(law, claim, TRUE, fault.what)


def _broken(law: str, claim: str, unrolling: Unrolling, truth: GroundTruth) -> Term:
    if law in ("safe", "exact", "exact-up-to"):
        shared = algebra.bool_(unrolling.answer("maybe_mapped_shared"))
        if law == "safe":
            return algebra.all_(truth.shared, algebra.not_(shared))
        return algebra.all_(truth.exclusive, shared, truth.never_more.get(EXACT_CLAIMS.get(claim, 0), TRUE))
    if law == "reuse":
        return algebra.all_(truth.unsafe, algebra.bool_(unrolling.answer("can_reuse", truth.writer)))
    if law == "mapcount":
        wrong = algebra.not_(algebra.eq(unrolling.answer("mapcount"), truth.total))
        return algebra.all_(wrong, algebra.le(term.const(1), truth.total))
    if law == CHECKS:  # a check is asked about where it stands: each step has its faults
        return FALSE
    return algebra.all_(algebra.eq(truth.total, term.const(0)), _not_initial(unrolling))


def _not_initial(unrolling: Unrolling) -> Term:
    """A field is not at its initial value, though it must be when nothing maps the folio."""
    parts = []
    for stored in unrolling.scheme.stored("folio"):
        if stored.init is None or stored.transient or stored.count > 1 or stored.page >= 1 << unrolling.order:
            continue
        value = getattr(unrolling.space.folio(), stored.name).get()
        if not is_unknown(value):
            parts.append(algebra.not_(algebra.eq(value, term.const(stored.init))))
    return algebra.any_(*parts)


def truth_of_steps(unrolling: Unrolling) -> GroundTruth:
    """The truth after the steps of an unrolling."""
    shared, total = unrolling.shared(), unrolling.total()
    writer = term.var("asking", 1, unrolling.scheme.max_mm_id)
    writes = (algebra.all_(algebra.eq(step.mm_id, writer), unrolling.maps(step.mm_id)) for step in unrolling.steps)
    exclusive = algebra.all_(algebra.not_(shared), algebra.le(term.const(1), total))
    never_more = {
        k: algebra.all_(*(algebra.le(owners, term.const(k)) for owners in unrolling.owners_after))
        for k in EXACT_CLAIMS.values()
    }
    return GroundTruth(shared, exclusive, total, writer, algebra.all_(shared, algebra.any_(*writes)), never_more)


def truth_of_mappings(mappings: list[tuple[Term, Term]]) -> GroundTruth:
    """The truth where different MMs, given by their IDs, have so many mappings. The first one writes."""
    maps = [algebra.le(term.const(1), count) for _, count in mappings]
    shared = algebra.any_(*(algebra.all_(a, b) for i, a in enumerate(maps) for b in maps[:i]))
    total = term.add(*(count for _, count in mappings))
    exclusive = algebra.all_(algebra.not_(shared), algebra.le(term.const(1), total))
    return GroundTruth(shared, exclusive, total, mappings[0][0], algebra.all_(maps[0], algebra.any_(*maps[1:])))
