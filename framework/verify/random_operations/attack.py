"""The random attack: sequences of whole operations, checked against the page tables, guided by what they reach.

Every scene has a machine of its own, and the scenes take turns, a sequence each. What a sequence reaches first, a
branch of the text or a state of the fields (`coverage`), makes its beginning a prefix, which is kept. Later sequences
go on behind a prefix, repeat one with changes, or start anew. Each sequence prefers some kinds of operations and leaves
out others, because what many kinds undo together, few kinds bring about.

All choices follow from the seed, so a run is repeated by its seed up to where the time cut it off. A sequence that
breaks a law is shortened by leaving out operations (`shortening`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from random import Random as Numbers
from typing import Final

import msgspec

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine.callers import changed_operations
from foliolab.framework.engine.delta_debugging import shrink
from foliolab.framework.verify.attack import Budget, Progress, Tell
from foliolab.framework.verify.finding import OWED, Finding
from foliolab.framework.verify.random_operations.choice import OPERATION_OF
from foliolab.framework.verify.random_operations.coverage import Coverage
from foliolab.framework.verify.random_operations.prefixes import Prefix, Prefixes
from foliolab.framework.verify.random_operations.sequence import RandomSequence, Scene, Tally, scenes
from foliolab.framework.verify.refutations import Refutations
from foliolab.framework.verify.watchdog import Stopped

NAME: Final = "random"
TELL_EVERY: Final = 0.5
"""Seconds between two reports of progress, at least."""
ANEW: Final = 0.2
"""The share of sequences that start anew; all others begin with a prefix."""
CHANGED: Final = 0.25
"""The share of the others that repeat a prefix with changes, before they go on."""
FURTHER: Final = 8
"""Operations behind a prefix, on average."""
SHORTENED: Final = 0.15
"""The share of the work that making prefixes shorter may take."""
ATTEMPTS: Final = 24
"""Sequences that are tried to make one prefix shorter."""
FINISHED: Final = 0.25
"""The share of sequences that release everything at the end although they have reached nothing new."""
LIMITS: Final = (4, 16, 1 << 16)
"""The numbers that choose operations lie below one of these: small ones choose the same folio again and again."""
WEIGHTS: Final = (0, 1, 1, 4)
"""What the weight of a kind of operation is multiplied by in one sequence."""
LOOK: Final = 150
"""Work of a look at the whole state, in accesses of memory, beside `LOOK_AT_PAGES` frames of each MM."""
LOOK_AT_PAGES: Final = 32


class Random:
    """Runs random sequences of operations, and shortens those that break a law."""

    name = NAME

    def run(self, scheme: Scheme, budget: Budget, tell: Tell) -> list[Finding]:
        return _Hunt(scheme, budget, tell).run()


class _Hunt:
    def __init__(self, scheme: Scheme, budget: Budget, tell: Tell) -> None:
        self.scheme = scheme
        self.budget = budget
        self.tell = tell
        self.tally = Tally()
        self.coverage = Coverage(scheme)
        self.refutations = Refutations(NAME, scheme, budget, tell)
        self._told = 0.0

    def run(self) -> list[Finding]:
        stages = [_Stage(self, scene, number) for number, scene in enumerate(scenes(self.scheme))]
        while not self.stopped():
            with suppress(Stopped):
                min(stages, key=lambda stage: stage.turn).play()
        self.coverage.branches_taken()
        claims = [OWED, *sorted(self.scheme.capabilities)]
        operations, text = self.tally.operations, self.coverage.text
        within = f"{operations:,} operations, {text}"
        bound = f"{self.tally.bound(self.scheme)}; {text}"
        found = list(self.refutations.answers(claims, bound, operations, within))
        return [*found[:-1], msgspec.structs.replace(found[-1], reached=self.coverage.reached)]

    def stopped(self) -> bool:
        return self.budget.left == 0

    def ended(self, sequence: RandomSequence) -> None:
        """Count a sequence, and report its breaches of laws that are not refuted yet."""
        self.tally.add(sequence)
        now = time.monotonic()
        if now - self._told > TELL_EVERY:
            self._told = now
            done = self.tally.operations
            rate = done / self.refutations.seconds
            self.tell(Progress(NAME, "random sequences of operations", done, len(sequence.done), rate))
        for law, breach in sequence.breaches.items():
            if law not in self.refutations.laws:
                self.refutations.add(breach, self.tally.operations)


class _Stage:
    """One scene: its machine, and the prefixes that are known there.

    Attributes:
        work: that was done here, in accesses.
    """

    def __init__(self, hunt: _Hunt, scene: Scene, number: int) -> None:
        self.hunt = hunt
        self.scene = scene
        self.work = 0
        self._last = scene.shape.nr_pages * 4  # the first time, a guess
        self._numbers = Numbers(f"{hunt.budget.seed} {number}")
        self._shortening = 0
        self._kinds = scene.kinds(hunt.scheme)
        caller = hunt.scheme.caller
        self._changed = changed_operations(caller) if caller else frozenset()
        self._ready = False

    @property
    def turn(self) -> float:
        """Whose turn it is: that stage's which has least work behind it for its share, the next sequence included."""
        return (self.work + self._last) / self.scene.share

    def _prepare(self) -> None:
        """Make the machine when it is needed first: that of large folios is large."""
        self._ready = True
        self.machine = self.scene.machine(self.hunt.scheme)
        self.watched = self.hunt.coverage.watch(self.machine)
        self.fresh = self.machine.snapshot()
        self.prefixes = Prefixes(RandomSequence(self.machine, self.scene, self.hunt.stopped).prefix(self.fresh))

    def play(self) -> None:
        """Run one sequence, or make a prefix shorter.

        Raises:
            Stopped: the time is up.
        """
        if not self._ready:
            self._prepare()
        kept, numbers = self.prefixes.kept, self._numbers
        if not kept or numbers.random() < ANEW:
            self._run(self._anew)
            return
        prefix = self.prefixes.chosen(numbers)
        if prefix.continued == 1 and prefix.landmarks and self._shortening < SHORTENED * self.work:
            prefix = self._shorter(prefix)
        if numbers.random() < CHANGED:
            self._run(lambda sequence: self._change(sequence, prefix))
        else:
            self._run(lambda sequence: self._continue(sequence, prefix))

    def _run(self, act: Callable[[RandomSequence], None]) -> RandomSequence:
        """Run one sequence on a fresh machine, and count it."""
        self.machine.restore(self.fresh)
        sequence = RandomSequence(self.machine, self.scene, self.hunt.stopped)
        coverage = self.hunt.coverage
        coverage.branches_taken()  # those of the end of the sequence before
        known = len(coverage.taken)
        try:
            act(sequence)
        finally:
            looks = len(sequence.done) - sequence.continued
            pages = self.scene.shape.nr_pages * self.scene.shape.nr_mms
            self._last = sequence.watch.accesses + looks * (LOOK + pages // LOOK_AT_PAGES)
            coverage.branches_taken()
            if len(coverage.taken) == known:  # who reaches new branches has the next turn, too
                self.work += self._last
            self.hunt.ended(sequence)
        return sequence

    # -- sequences -----------------------------------------------------------------------------------
    def _anew(self, sequence: RandomSequence) -> None:
        sequence.step("create", (0, 0, 0, 0))
        self._further(sequence, self._numbers.randint(1, self.scene.steps), finish=True)

    def _continue(self, sequence: RandomSequence, prefix: Prefix) -> None:
        sequence.begin(prefix, self.fresh)
        self._further(sequence, self._some())

    def _change(self, sequence: RandomSequence, prefix: Prefix) -> None:
        """Repeat a prefix without some of its operations, and with others between them, before going on."""
        numbers, new = self._numbers, False
        for operation in prefix.operations:
            chance = numbers.random() * len(prefix.operations)
            if chance < 1:
                continue
            if chance < 2:
                sequence.step(numbers.choice(self._kinds), self._drawn(LIMITS[-1]))
                new |= self._looked(sequence)
            sequence.repeat(operation)
            new |= self._looked(sequence)
        self._further(sequence, self._some(), new)

    def _further(self, sequence: RandomSequence, length: int, finish: bool = False) -> None:
        """Run random operations, and release everything if `finish` or something new was reached; seldom otherwise."""
        numbers = self._numbers
        limit, weights = numbers.choice(LIMITS), self._weights()
        for kind in numbers.choices(list(weights), list(weights.values()), k=length):
            sequence.step(kind, self._drawn(limit))
            finish |= self._looked(sequence)
        if not sequence.ended and (finish or numbers.random() < FINISHED):
            sequence.finish()

    def _looked(self, sequence: RandomSequence) -> bool:
        """Whether the last operation reached something new; the sequence until there is kept then."""
        if sequence.ended or not self.watched.look(sequence.watch.truth):
            return False
        self.prefixes.add(sequence.prefix(self.fresh, self.watched.news()))
        return True

    # -- shorter prefixes ----------------------------------------------------------------------------
    def _shorter(self, prefix: Prefix) -> Prefix:
        """The prefix without operations that its landmarks do not need, as far as some attempts find them."""
        before, left = self.work, [ATTEMPTS]

        def still_reaches(candidate: Prefix) -> Prefix | None:
            if not left[0]:
                return None
            left[0] -= 1
            sequence = self._run(lambda sequence: self._repeat(sequence, candidate))
            if sequence.ended or not prefix.landmarks <= self.watched.present:
                return None
            return sequence.prefix(self.fresh, prefix.landmarks)

        for shorter in shrink(prefix, lambda one: len(one.operations), _without, lambda one: (), still_reaches):
            prefix = self.prefixes.replace(prefix, shorter)
        self._shortening += self.work - before
        return prefix

    def _repeat(self, sequence: RandomSequence, prefix: Prefix) -> None:
        for operation in prefix.operations:
            sequence.repeat(operation)
            self._looked(sequence)

    # -- numbers -------------------------------------------------------------------------------------
    def _some(self) -> int:
        """How many operations follow behind a prefix."""
        return min(1 + int(self._numbers.expovariate(1 / FURTHER)), self.scene.steps)

    def _drawn(self, limit: int) -> tuple[int, int, int, int]:
        below = self._numbers.randrange
        return below(LIMITS[-1]), below(limit), below(limit), below(limit)

    def _weights(self) -> dict[str, int]:
        """The weight of each kind of operation in one sequence; 0 for those that it leaves out."""
        found = dict.fromkeys(self._kinds, 0)
        while not any(found.values()):
            found = {kind: self._kinds.count(kind) * self._numbers.choice(WEIGHTS) for kind in found}
        return found | {kind: WEIGHTS[-1] for kind in found if OPERATION_OF.get(kind, kind) in self._changed}


def _without(prefix: Prefix, first: int, nr: int) -> Prefix:
    return replace(prefix, operations=prefix.operations[:first] + prefix.operations[first + nr :])
