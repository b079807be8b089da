"""The random attack: a Hypothesis state machine over whole engine operations, against the truth."""

from __future__ import annotations

import itertools
import os
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar, Final

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.machine import cache
from foliolab.framework.verify.attack import Budget, Progress, Tell
from foliolab.framework.verify.finding import OWED, Finding
from foliolab.framework.verify.random_operations.sequence import Scene, Sequence, Tally, scenes
from foliolab.framework.verify.refutations import MOST_SHORTENING, SHORTENING, Refutations
from foliolab.framework.verify.shortening import Breach
from foliolab.framework.verify.watchdog import Stopped

if TYPE_CHECKING:
    from hypothesis.stateful import RuleBasedStateMachine

NAME: Final = "random"
TELL_EVERY: Final = 0.5
NUMBERS: Final = struct.Struct(">4H")
"""How four numbers are drawn."""
EXAMPLES: Final = 400
"""Sequences that one run of Hypothesis tries: its memory of what it tried grows with them."""


class Random:
    """Random sequences of operations; what breaks a law is shortened."""

    name = NAME

    def run(self, scheme: Scheme, budget: Budget, tell: Tell) -> list[Finding]:
        """Look for a law that random sequences break, until the budget is over (see `verify.attack.Attack`)."""
        return _Hunt(scheme, budget, tell).run()


class _Hunt:
    """The random attack on one policy."""

    def __init__(self, scheme: Scheme, budget: Budget, tell: Tell) -> None:
        self.scheme = scheme
        self.budget = budget
        self.tell = tell
        self.tally = Tally()
        self.refutations = Refutations(NAME, scheme, budget, tell)
        self.found: dict[str, Breach] = {}
        """The shortest breach of each other law."""
        self.until = 0.0
        self._machines: dict[Scene, type[RuleBasedStateMachine]] = {}
        self._told = 0.0

    def run(self) -> list[Finding]:
        for number, (scene, seconds) in enumerate(self._turns()):
            self.until = time.monotonic() + seconds
            with suppress(Stopped):
                self._search(scene, self.budget.seed * 1000 + number)
            for breach in self.found.values():
                self.refutations.add(breach, self.tally.operations)
            self.found.clear()
        claims = [OWED, *sorted(self.scheme.capabilities)]
        return list(self.refutations.answers(claims, self.tally.told(self.scheme), self.tally.operations))

    def _turns(self) -> Iterator[tuple[Scene, float]]:
        """Scenes in turn, each for its share of a round, as long as there is time."""
        known = scenes(self.scheme)
        unit = min(max(self.budget.seconds / 30, 0.5), 2.0)
        for scene in itertools.cycle(known):
            if self.budget.left == 0:
                return
            yield scene, unit * scene.share

    def stopped(self) -> bool:
        """Whether the present search is to end."""
        return time.monotonic() >= self.until or self.budget.left == 0

    def go_on(self, sequence: Sequence) -> None:
        """Give a sequence up when its time is over.

        Raises:
            Stopped: it is.
        """
        if self.stopped():
            sequence.ended = True
            raise Stopped

    # -- searching ---------------------------------------------------------------------------------------
    def _search(self, scene: Scene, seed: int) -> None:
        if "hypothesis" not in sys.modules:  # what it notes down for itself is not for the user's folder
            os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", str(cache.folder() / "hypothesis"))
        import hypothesis
        from hypothesis.errors import HypothesisException
        from hypothesis.stateful import run_state_machine_as_test

        settings = hypothesis.settings(
            database=None,
            deadline=None,
            max_examples=EXAMPLES,
            stateful_step_count=scene.steps,
            phases=(hypothesis.Phase.generate, hypothesis.Phase.shrink),
            report_multiple_bugs=False,
            suppress_health_check=list(hypothesis.HealthCheck),
            verbosity=hypothesis.Verbosity.quiet,
            print_blob=False,
        )
        if scene not in self._machines:
            self._machines[scene] = _state_machine(self, scene)
        machine = hypothesis.seed(seed)(self._machines[scene])
        try:
            run_state_machine_as_test(machine, settings=settings)
        except Broken:
            pass  # kept in `found`
        except HypothesisException as fault:
            # what broke does not break again (`Refutations` says so), or a sequence was given up in the middle
            if not self.found and not self.stopped():
                self.refutations.unclear.setdefault(OWED, f"the search ended early: {fault}")

    def ended(self, sequence: Sequence) -> None:
        """Take in what a sequence did."""
        tally = self.tally
        tally.sequences += 1
        tally.operations += len(sequence.done)
        tally.mms = max(tally.mms, sequence.scene.shape.nr_mms)
        tally.orders |= {one.get("order") for one in sequence.done if one.name in ("populate", "file_folio")}
        now = time.monotonic()
        if now - self._told > TELL_EVERY:
            self._told = now
            rate = tally.operations / self.refutations.seconds
            self.tell(Progress(NAME, "random sequences of operations", tally.operations, len(sequence.done), rate))

    def fresh(self, sequence: Sequence) -> list[Breach]:
        """What a sequence broke and nobody had before."""
        return [breach for law, breach in sequence.breaches.items() if law not in self.refutations.laws]

    def judge(self, sequence: Sequence) -> None:
        """Keep what a sequence broke.

        Raises:
            Broken: a law that was not known to break.
        """
        fresh = self.fresh(sequence)
        if not fresh:
            return
        if not self.found:  # from here on it is Hypothesis that makes it shorter
            self.until = time.monotonic() + min(SHORTENING * self.budget.left, MOST_SHORTENING)
        for breach in fresh:
            law = breach.violation.law
            if law not in self.found or breach.length < self.found[law].length:
                self.found[law] = breach
        raise _broken(fresh[0].violation.law)(str(fresh[0].violation))


# -- the state machine -----------------------------------------------------------------------------------
class Broken(AssertionError):
    """A law is broken; a subclass for each, by which Hypothesis tells them apart."""

    kinds: ClassVar[dict[str, type[Broken]]] = {}


def _broken(law: str) -> type[Broken]:
    return Broken.kinds.setdefault(law, type(f"Broken_{law}", (Broken,), {}))


def _state_machine(hunt: _Hunt, scene: Scene) -> type[RuleBasedStateMachine]:
    """A state machine whose rules are the kinds of operations, on one machine that starts anew with each sequence."""
    from hypothesis import strategies
    from hypothesis.stateful import RuleBasedStateMachine, rule

    machine = scene.machine(hunt.scheme)
    start = machine.snapshot()
    # one draw a rule: drawing takes longer than what most operations do
    drawn = strategies.binary(min_size=NUMBERS.size, max_size=NUMBERS.size)

    class Operations(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            machine.restore(start)
            self.sequence = Sequence(machine, scene, hunt.stopped)
            hunt.go_on(self.sequence)
            self.sequence.step("create", (0, 0, 0, 0))

        def teardown(self) -> None:
            hunt.ended(self.sequence)
            if not hunt.fresh(self.sequence):  # else a rule has said so
                self.sequence.finish()
                hunt.judge(self.sequence)

    def rule_of(kind: str) -> Any:
        def do(self: Operations, drawn: bytes) -> None:
            hunt.go_on(self.sequence)
            self.sequence.step(kind, NUMBERS.unpack(drawn))
            hunt.judge(self.sequence)

        return rule(drawn=drawn)(do)

    for place, kind in enumerate(scene.kinds(hunt.scheme)):
        setattr(Operations, f"{kind}_{place}", rule_of(kind))
    return Operations
