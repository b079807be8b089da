"""The random attack: a Hypothesis state machine over whole operations, checked against the page tables.

Hypothesis generates the sequences. It takes one draw of eight bytes per operation, because a draw costs more than most
operations. Each search has its own seed, so a run is repeated by its seed as long as it is not cut off by the time.
Hypothesis does not shrink: a sequence is shortened by leaving out operations (`shortening`), in a fraction of the time.
"""

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
from foliolab.framework.verify.random_operations.sequence import RandomSequence, Scene, Tally, scenes
from foliolab.framework.verify.refutations import Refutations
from foliolab.framework.verify.shortening import Breach
from foliolab.framework.verify.watchdog import Stopped

if TYPE_CHECKING:
    from hypothesis.stateful import RuleBasedStateMachine

NAME: Final = "random"
TELL_EVERY: Final = 0.5
"""Seconds between two reports of progress, at least."""
NUMBERS: Final = struct.Struct(">4H")
"""The four numbers of one draw."""
FIRST_TURN: Final = 0.5
"""Seconds of a turn of share 1 in the first round of all scenes; each later round has longer turns."""
LONGEST_TURN: Final = 2.0
"""Seconds of a turn of share 1 in the later rounds, at most."""
EXAMPLES: Final = 400
"""Sequences in one run of Hypothesis. Hypothesis keeps all of them in memory, so a run must not be too long."""


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
        self.refutations = Refutations(NAME, scheme, budget, tell)
        self.found: dict[str, Breach] = {}
        """The shortest breach in the present search, by law; laws that are already refuted apart."""
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
        operations = self.tally.operations
        within = f"{operations:,} operations"
        return list(self.refutations.answers(claims, self.tally.bound(self.scheme), operations, within))

    def _turns(self) -> Iterator[tuple[Scene, float]]:
        """Scenes in turn, each with its seconds, until the budget is used up."""
        known = scenes(self.scheme)
        longest = min(max(self.budget.seconds / 30, FIRST_TURN), LONGEST_TURN)
        for round_number in itertools.count():
            unit = min(FIRST_TURN * 2**round_number, longest)
            for scene in known:
                if self.budget.left == 0:
                    return
                yield scene, unit * scene.share

    def stopped(self) -> bool:
        return time.monotonic() >= self.until or self.budget.left == 0

    def go_on(self, sequence: RandomSequence) -> None:
        """End a sequence when its time is up.

        Raises:
            Stopped: the time is up.
        """
        if self.stopped():
            sequence.ended = True
            raise Stopped

    # -- searching ---------------------------------------------------------------------------------------
    def _search(self, scene: Scene, seed: int) -> None:
        if "hypothesis" not in sys.modules:  # before its import: its files belong into the cache, not into the cwd
            os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", str(cache.folder() / "hypothesis"))
        import hypothesis
        from hypothesis.errors import HypothesisException
        from hypothesis.stateful import run_state_machine_as_test

        settings = hypothesis.settings(
            database=None,
            deadline=None,
            max_examples=EXAMPLES,
            stateful_step_count=scene.steps,
            phases=(hypothesis.Phase.generate,),
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
            # Either a breach did not repeat (`Refutations` reports that), or a sequence was abandoned.
            if not self.found and not self.stopped():
                self.refutations.undecided.setdefault(OWED, f"the search ended early: {fault}")

    def ended(self, sequence: RandomSequence) -> None:
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

    def fresh(self, sequence: RandomSequence) -> list[Breach]:
        """The breaches of a sequence whose laws are not refuted yet."""
        return [breach for law, breach in sequence.breaches.items() if law not in self.refutations.laws]

    def judge(self, sequence: RandomSequence) -> None:
        """Keep the new breaches of a sequence.

        Raises:
            Broken: there are some.
        """
        fresh = self.fresh(sequence)
        if not fresh:
            return
        for breach in fresh:
            law = breach.violation.law
            if law not in self.found or breach.length < self.found[law].length:
                self.found[law] = breach
        raise _broken(fresh[0].violation.law)(str(fresh[0].violation))


# -- the state machine -----------------------------------------------------------------------------------
class Broken(AssertionError):
    """A law is broken. Each law has its own subclass, because Hypothesis tells failures apart by their type."""

    kinds: ClassVar[dict[str, type[Broken]]] = {}


def _broken(law: str) -> type[Broken]:
    return Broken.kinds.setdefault(law, type(f"Broken_{law}", (Broken,), {}))


def _state_machine(hunt: _Hunt, scene: Scene) -> type[RuleBasedStateMachine]:
    """A state machine with a rule for each kind of operation. Every sequence starts from the same state."""
    from hypothesis import strategies
    from hypothesis.stateful import RuleBasedStateMachine, rule

    machine = scene.machine(hunt.scheme)
    start = machine.snapshot()
    drawn = strategies.binary(min_size=NUMBERS.size, max_size=NUMBERS.size)

    class Operations(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            machine.restore(start)
            self.sequence = RandomSequence(machine, scene, hunt.stopped)
            hunt.go_on(self.sequence)
            self.sequence.step("create", (0, 0, 0, 0))

        def teardown(self) -> None:
            hunt.ended(self.sequence)
            if not hunt.fresh(self.sequence):  # otherwise a rule has raised Broken
                self.sequence.finish()
                hunt.judge(self.sequence)

    def rule_of(kind: str) -> Any:
        def do(self: Operations, drawn: bytes) -> None:
            hunt.go_on(self.sequence)
            self.sequence.step(kind, NUMBERS.unpack(drawn))
            hunt.judge(self.sequence)

        return rule(drawn=drawn)(do)

    for index, kind in enumerate(scene.kinds(hunt.scheme)):
        setattr(Operations, f"{kind}_{index}", rule_of(kind))
    return Operations
