"""What a run of the explored attack has covered and refuted."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from msgspec.structs import replace

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.verify.attack import Budget, Progress, Tell
from foliolab.framework.verify.explored.derived import Derived
from foliolab.framework.verify.explored.options import BUFFER, LOG
from foliolab.framework.verify.explored.programs import Program
from foliolab.framework.verify.explored.search import Ended, Means, Outcome, Suspicion
from foliolab.framework.verify.finding import OWED, Finding, PairCoverage, Verdict

EXAMINES: Final = frozenset({"safe", "exact", "reuse", "page-mapcount", "average-mapcount", "partial-mapping"})
"""Claims that this attack examines, beside exact-for-N and what every policy owes."""
NAMED: Final = 6
"""Pairs of operations that a line names, at most."""


@dataclass
class Coverage:
    """The coverage and the refutations of a run.

    Args:
        tell: called with progress and refutations.
        litmus: the listed programs.
        pairs, triples: the derived ones.

    Attributes:
        ended: how the searches of each family ended, by the number of the program.
        parts: the programs that were explored within a bound, with the bound.
        cut: the number of complete programs with paths that ended at a law that was already refuted.
        refuted: the refutation of each law by the first program, in order, that breaks it; with several processes
            a later one may end before.
        first: that program: its family and its number.
        unconfirmed: violations that the interpreted engine did not confirm.
        failure: why the policy cannot be explored; empty if it can.
    """

    scheme: Scheme
    budget: Budget
    tell: Tell
    means: Means
    litmus: tuple[Program, ...]
    pairs: tuple[Derived, ...]
    triples: tuple[Derived, ...]
    ended: dict[str, dict[int, Ended]] = field(default_factory=lambda: {"litmus": {}, "pairs": {}, "triples": {}})
    parts: list[str] = field(default_factory=list)
    schedules: int = 0
    states: int = 0
    unjudged: int = 0
    interchangeable: int = 0
    cut: int = 0
    refuted: dict[str, Finding] = field(default_factory=dict)
    first: dict[str, tuple[int, int]] = field(default_factory=dict)
    unconfirmed: list[Suspicion] = field(default_factory=list)
    failure: str = ""
    began: float = field(default_factory=time.monotonic)

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to refute, or nothing can be explored."""
        if self.failure or claims(self.scheme) <= self.refuted_claims:
            return True
        return self.means.compiled and bool(self.unconfirmed)

    @property
    def refuted_claims(self) -> set[str]:
        """The claims that are refuted, with OWED where a law broke that every policy owes."""
        return {finding.claim for finding in self.refuted.values()}

    def progress(self, news: Progress) -> None:
        """Pass on the progress of a search; its states come on top of those of the searches before."""
        self.tell(Progress(news.attack, news.what, self.states + news.states, news.depth, news.rate))

    def take(self, outcome: Outcome) -> None:
        """Add what a search brought."""
        self.ended[outcome.task.family][outcome.task.number] = outcome.ended
        self.states += outcome.states
        self.schedules += outcome.schedules
        self.unjudged += outcome.unjudged
        self.interchangeable += outcome.interchangeable
        self.unconfirmed += outcome.unconfirmed
        if outcome.task.family == "litmus":  # what a policy cannot do at all, these show
            self.failure = self.failure or outcome.failure
        if outcome.bounded:
            self.parts.append(outcome.bounded)
        self.cut += outcome.cut
        rank = list(self.ended).index(outcome.task.family), outcome.task.number
        for example, bound in outcome.examples:
            if rank < self.first.get(example.law, (len(self.ended), 0)):
                is_new = example.law not in self.refuted
                seconds = time.monotonic() - self.began
                finding = Finding(self.means.attack, example.claim, "refuted", bound, example, self.states, seconds)
                self.refuted[example.law], self.first[example.law] = finding, rank
                if is_new:
                    self.tell(finding)

    # -- findings ------------------------------------------------------------------------------------
    def findings(self) -> list[Finding]:
        """The verdict on each claim that this attack examines."""
        seconds = time.monotonic() - self.began
        bound = self._bound()
        pairs = self.by_pair()
        whole = sum(ended == "complete" for family in self.ended.values() for ended in family.values())
        reached = whole > self.cut and not self.failure
        short = _programs(whole) + (f", {len(self.parts)} in part" if self.parts else "")
        short += f" under {self.means.model}" if self.means.model != "sc" else ""
        suspicions = {one.claim: one.message for one in reversed(self.unconfirmed)}
        found = [replace(one, pairs=pairs) if one.claim == OWED else one for one in self.refuted.values()]
        for claim in sorted(claims(self.scheme) - self.refuted_claims):
            suspicion = suspicions.get(claim, "")
            verdict: Verdict = "held" if reached and not suspicion else "undecided"
            within = short if verdict == "held" else ""
            finding = Finding(
                self.means.attack, claim, verdict, bound, None, self.states, seconds, within, suspicion,
                pairs if claim == OWED else None,
            )  # fmt: skip
            found.append(finding)
        return found

    def by_pair(self) -> dict[str, PairCoverage]:
        """For each pair of operations how many of its programs were explored completely, cut, or not reached."""
        found: dict[str, Counter[str]] = {}
        for number, one in enumerate(self.pairs):
            ended = self.ended["pairs"].get(number, "not_reached")
            what = ended if ended in ("complete", "impossible", "not_reached") else "cut"
            found.setdefault(" | ".join(one.kinds), Counter())[what] += 1
        return {pair: PairCoverage(**counts) for pair, counts in found.items()}

    def _bound(self) -> str:
        if self.failure:
            return f"cannot be explored: {self.failure}"
        parts = [*self._whole(), *self._limits(), *self._reductions()]
        return ". ".join(parts) or "nothing was explored within the budget"

    def _whole(self) -> Iterator[str]:
        """What was explored completely."""
        ended = self.ended["litmus"]
        if whole := [self.litmus[number].name for number, how in sorted(ended.items()) if how == "complete"]:
            yield f"every interleaving of {_programs(len(whole))}: {'; '.join(whole)}"
        if self.pairs:
            yield self._pairs()
        if triples := sum(how == "complete" for how in self.ended["triples"].values()):
            yield f"triples: every interleaving of {triples:,} of {len(self.triples):,} programs"

    def _limits(self) -> Iterator[str]:
        """The programs that were not explored completely, and the reasons."""
        ended = Counter(how for family in self.ended.values() for how in family.values())
        if ended["memory"]:
            memory = f"the memory ({self.budget.memory >> 20:,} MiB)"
            yield f"{memory} was reached in {_programs(ended['memory'])}"
        if ended["broken"]:
            yield f"{_programs(ended['broken'])} not explored any further than to a law that broke"
        if ended["impossible"]:
            yield f"{_programs(ended['impossible'])} not for this policy: of folios, MM IDs or mappings that it has not"
        if ended["time"]:
            yield f"the time was too short for all of {_programs(ended['time'])}"
        if self.parts:
            yield f"not exhaustive: {'; '.join(self.parts[:NAMED])}{_more(len(self.parts))}"
        if self.schedules:
            yield f"{self.schedules:,} random schedules (PCT) of what was too large"

    def _reductions(self) -> Iterator[str]:
        """What was assumed, left out or not confirmed."""
        if self.means.model == "tso":
            yield f"store buffers of {BUFFER} stores (x86-TSO), page-table entries behind them"
        if self.means.model == "armv8":
            yield f"Armv8: in the policy's text loads may be early (by {LOG} writes), stores late ({BUFFER} of them)"
            yield "no load is late: behind a later store of its thread"
        if self.interchangeable:
            yield f"in {self.interchangeable} of them threads that do the same were taken for one another"
        if self.unjudged:
            yield f"{self.unjudged:,} quiescent states were not checked against the page tables"
        if self.cut:
            laws = ", ".join(sorted(self.refuted))
            yield f"in {_programs(self.cut)} paths end where a refuted law breaks ({laws})"
        if self.unconfirmed:
            count, first = len(self.unconfirmed), self.unconfirmed[0].message
            yield f"{count} violations that the interpreted engine did not confirm, such as: {first}"

    def _pairs(self) -> str:
        """Which pairs of operations were complete, cut, or not reached."""
        pairs = self.by_pair()
        counts = [sum(getattr(one, name) for one in pairs.values()) for name in ("complete", "impossible")]
        possible = len(self.pairs) - counts[1]
        text = f"pairs: every interleaving of {counts[0]:,} of {possible:,} programs, which are the"
        text += f" {len(pairs)} pairs of operations from {len({one.start for one in self.pairs})} starts"
        done = sum(not one.cut and not one.not_reached for one in pairs.values())
        text += f"; {done} pairs complete"
        for name, words in (("cut", "cut"), ("not_reached", "not reached")):
            some = [f"{pair} ({getattr(one, name)})" for pair, one in pairs.items() if getattr(one, name)]
            text += f"; {len(some)} {words}: {', '.join(some[:NAMED])}{_more(len(some))}" if some else ""
        return text


def _more(count: int) -> str:
    return f" and {count - NAMED} more" if count > NAMED else ""


def _programs(count: int) -> str:
    return f"{count} program{'s' if count > 1 else ''}"


def claims(scheme: Scheme) -> frozenset[str]:
    """The claims of a policy that this attack examines."""
    examined = {claim for claim in scheme.capabilities if claim in EXAMINES or claim.startswith("exact-for-")}
    return frozenset({OWED, *examined})
