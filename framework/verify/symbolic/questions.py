"""What is asked of a state: whether a law may be broken in it, as a term."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from foliolab.framework.contract.policy import Scheme, exact_claim
from foliolab.framework.verify.finding import OWED
from foliolab.framework.verify.symbolic import algebra, term
from foliolab.framework.verify.symbolic.number import Unsupported
from foliolab.framework.verify.symbolic.space import is_unknown
from foliolab.framework.verify.symbolic.term import TRUE, Term
from foliolab.framework.verify.symbolic.unrolling import Course

FEW = range(2, 9)
"""Numbers of MMs up to which a policy may claim to be exact."""


@dataclass(frozen=True)
class Asked:
    """One question.

    Args:
        law: whose breach it is.
        claim: the capability that would be refuted.
        broken: whether it is broken in the state.
        why_not: why it cannot be asked, if so.
    """

    law: str
    claim: str
    broken: Term
    why_not: str = ""


@dataclass(frozen=True)
class Truth:
    """What the page tables say of a state.

    Args:
        several: whether two MMs or more map the folio.
        sole: whether exactly one does.
        total: all mappings.
        most: for each number of MMs, whether never more than that mapped it at a time.
        asking: an MM that maps it, and whether it does while another one does, too.
    """

    several: Term
    sole: Term
    total: Term
    most: dict[int, Term]
    asking: tuple[Term, Term]


def claimed(scheme: Scheme, anon: bool) -> list[tuple[str, str]]:
    """(law, claim) of all questions about a policy, what costs most if it breaks first.

    Left out are the faults that any law may suffer on the way.
    """
    found = []
    if anon and scheme.policy.hooks.can_reuse is not None:
        found.append(("reuse", "reuse"))
    if "safe" in scheme.capabilities:
        found.append(("safe", "safe"))
    found.append(("mapcount", OWED))
    if not anon:  # an anonymous folio that nothing maps is freed: nobody sees what it holds
        found.append(("initial-values", OWED))
    if "exact" in scheme.capabilities:
        found.append(("exact", "exact"))
    found += [("exact-up-to", exact_claim(k)) for k in FEW if exact_claim(k) in scheme.capabilities]
    return found


def claimed_keys(scheme: Scheme, anon: bool) -> set[tuple[str, str]]:
    """The same as a set."""
    return set(claimed(scheme, anon))


def questions(course: Course, truth: Truth, wanted: set[tuple[str, str]]) -> Iterator[Asked]:
    """The wanted questions about the state that a course is in, each made when it is its turn."""
    few = {exact_claim(k): k for k in FEW}
    for law, claim in claimed(course.scheme, course.anon):
        if (law, claim) not in wanted:
            continue
        try:
            if law in ("safe", "exact", "exact-up-to"):
                shared = algebra.bool_(course.shared())
                if law == "safe":
                    broken = algebra.all_(truth.several, algebra.not_(shared))
                else:
                    broken = algebra.all_(truth.sole, shared, truth.most.get(few.get(claim, 0), TRUE))
            elif law == "reuse":
                mm_id, unsafe = truth.asking
                broken = algebra.all_(unsafe, algebra.bool_(course.asked("can_reuse", mm_id)))
            elif law == "mapcount":
                broken = algebra.not_(algebra.eq(course.asked("mapcount", None), truth.total))
                broken = algebra.all_(broken, algebra.le(term.const(1), truth.total))
            else:
                broken = algebra.all_(algebra.eq(truth.total, term.const(0)), not_initial(course))
        except Unsupported as fault:
            yield Asked(law, claim, TRUE, fault.what)
            continue
        yield Asked(law, claim, broken)


def not_initial(course: Course) -> Term:
    """Whether a field that must be back at its initial value in an unmapped folio is not."""
    parts = []
    for stored in course.scheme.stored("folio"):
        exempt = stored.init is None or stored.transient or stored.count > 1
        if exempt or stored.page >= 1 << course.order:
            continue
        assert stored.init is not None
        value = getattr(course.space.folio(), stored.name).get()
        if not is_unknown(value):
            parts.append(algebra.not_(algebra.eq(value, term.const(stored.init))))
    return algebra.any_(*parts)


def truth_of_course(course: Course) -> Truth:
    """What is true after the steps of a course."""
    several = course.several()
    mm_id = term.var("asking", 1, course.scheme.max_mm_id)
    mine = [algebra.all_(algebra.eq(step.mm_id, mm_id), course.maps(i)) for i, step in enumerate(course.steps)]
    sole = algebra.all_(algebra.not_(several), algebra.le(term.const(1), course.total()))
    most = {k: algebra.all_(*(algebra.le(owners, term.const(k)) for owners in course.owners_then)) for k in FEW}
    return Truth(several, sole, course.total(), most, (mm_id, algebra.all_(several, algebra.any_(*mine))))


def truth_of_sums(held: list[tuple[Term, Term]]) -> Truth:
    """What is true where each MM of a list maps so many pages, none of them twice the same MM."""
    maps = [algebra.le(term.const(1), count) for _, count in held]
    several = algebra.any_(*(algebra.all_(a, b) for i, a in enumerate(maps) for b in maps[:i]))
    total = term.add(*(count for _, count in held))
    sole = algebra.all_(algebra.not_(several), algebra.le(term.const(1), total))
    asking = algebra.all_(maps[0], algebra.any_(*maps[1:]))
    return Truth(several, sole, total, {}, (held[0][0], asking))
