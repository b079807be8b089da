"""All mutants: policies and callers with one mistake each, with what is right without it, by their kind.

`refute` gives a mutant the attacks that every policy gets, and no word about the mistake.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "explored"))
sys.path.insert(0, str(Path(__file__).parent))
import broken
import weak_policies
from mutants import KINDS, Fault, planted
from racing_faults import ORDERS, RACING

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.verify.attack import Budget, Progress
from foliolab.framework.verify.attacks import chosen
from foliolab.framework.verify.counterexample import Counterexample, MemoryModel
from foliolab.framework.verify.finding import Finding
from foliolab.framework.verify.playback import confirm
from foliolab.framework.verify.verifier import verify
from foliolab.policies import mm_id
from foliolab.policies.callers import CALLERS

RIGHT_CALLERS = frozenset({"fork-page-by-page"})


@dataclass(frozen=True)
class Mutant:
    """A text with one mistake.

    Attributes:
        name: of the mistake.
        kind: where it lies, such as "PMD races".
        wrong: the policy with it, or under the caller with it.
        right: the same without it.
        model: the memory model that it needs.
    """

    name: str
    kind: str
    wrong: Scheme
    right: Scheme
    model: MemoryModel = "sc"


@dataclass(frozen=True)
class Refuted:
    """How a mutant was refuted.

    Attributes:
        attack: that found it first.
        law: that broke.
        seconds: by the clock, until the counterexample was confirmed.
        processor_s: of all processes.
    """

    attack: str
    law: str
    seconds: float
    processor_s: float


def catalogue() -> Iterator[Mutant]:
    """All mutants, those of policies first, then those of callers."""
    faults = [(kind, one) for kinds in (KINDS, RACING) for kind, many in kinds.items() for one in many]
    yield from (_of_fault(kind, fault) for kind, fault in faults)
    right = broken.PETERSON.with_parameters()
    for policy in ORDERS:
        yield Mutant(policy.name, "memory order", policy.with_parameters(), right, "tso")
    ordered = weak_policies.SOUND.with_parameters()
    for policy in weak_policies.UNORDERED:
        yield Mutant(policy.name, "memory order", policy.with_parameters(), ordered, "armv8")
    scheme = mm_id.POLICY.with_parameters()
    for caller in CALLERS:
        if caller.name not in RIGHT_CALLERS:
            yield Mutant(caller.name, "callers", scheme.under(caller), scheme)


def _of_fault(kind: str, fault: Fault) -> Mutant:
    return Mutant(fault.name, kind, planted(fault).with_parameters({}), fault.policy.with_parameters({}))


def refute(mutant: Mutant, seconds: float) -> Refuted | None:
    """Attack a mutant until the first refutation that the right text does not share; None: there was none."""
    began, before = time.monotonic(), _processor()
    found: list[tuple[Counterexample, float]] = []

    def tell(news: Progress | Finding) -> None:
        example = news.counterexample if isinstance(news, Finding) else None
        if example is not None and confirm(example, mutant.wrong) and not _shared(example, mutant):
            found.append((example, time.monotonic() - began))
            raise KeyboardInterrupt

    verify(mutant.wrong, chosen(model=mutant.model, calls=bool(mutant.wrong.caller)), Budget(seconds), tell)
    if not found:
        return None
    example, after = found[0]
    return Refuted(example.attack, example.law, after, _processor() - before)


def _shared(example: Counterexample, mutant: Mutant) -> bool:
    """Whether the right text breaks the law, too."""
    return confirm(example, mutant.right)


def _processor() -> float:
    """Seconds of processor time of this process and of its children that have ended."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, kinds))
