"""The interleavings of a scenario's steps that run at once: explored, and each different outcome played to its end.

The explored search finds every state in which all steps are over. The schedule that leads to it first is then played on
the interpreted engine, and the scenario goes on from there. So an outcome is known with all that a record has, and
its schedule can be stepped through.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Final

import numpy as np

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine.check import Violation
from foliolab.framework.engine.engine import Shape
from foliolab.framework.engine.machine import OUTCOMES
from foliolab.framework.engine.operation import Operation, several_mms
from foliolab.framework.engine.policytree import policy_digest
from foliolab.framework.errors import FolioLabError, UsageError
from foliolab.framework.scenario.expectations import Failure, failures, wrong
from foliolab.framework.scenario.formatter import format_scenario, step_text
from foliolab.framework.scenario.model import Model
from foliolab.framework.scenario.parser import parse
from foliolab.framework.scenario.record import Record
from foliolab.framework.scenario.result import Breach, Interleaving, Interleavings, ScenarioRun
from foliolab.framework.scenario.syntax import Expect, Scenario
from foliolab.framework.verify.counterexample import Counterexample, Turn, schedule_text
from foliolab.framework.verify.explored.exploration import Explorer, uncollected
from foliolab.framework.verify.explored.native import native
from foliolab.framework.verify.explored.nodes import DEAD_AT, WHAT
from foliolab.framework.verify.explored.options import Options
from foliolab.framework.verify.explored.programs import Program
from foliolab.framework.verify.explored.result import Exploration
from foliolab.framework.verify.explored.stepping import NODE_MASK
from foliolab.framework.verify.explored.steps import DONE
from foliolab.framework.verify.explored.witness import TO_THE_END, counterexample, turns_of
from foliolab.framework.verify.explored.world import World
from foliolab.framework.verify.laws import LAWS
from foliolab.framework.verify.playback import counted, folio_of_interest
from foliolab.framework.verify.scheduler import Scheduler

SECONDS: Final = 20.0
"""For the search of one policy, each of its bounds included."""
MEMORY: Final = 512 << 20
"""Bytes for its states."""
PREEMPTIONS: Final = (3, 2, 1)
"""Bounds that are tried in turn where there are too many interleavings."""
MOST_OUTCOMES: Final = 200
"""Last states that are played."""
LAW: Final = "expectation"
"""The law that an expectation of a scenario holds in every interleaving."""


@dataclass(frozen=True)
class _Plan:
    """What runs at once, after the steps before it.

    Attributes:
        shape: of the machine.
        setup: the operations before.
        before: the records of the steps before.
        records: of the steps that run at once; their operations have not run.
        threads: for each process, the numbers of its records and their operations, in order.
    """

    shape: Shape
    setup: tuple[Operation, ...]
    before: list[Record]
    records: list[Record]
    threads: tuple[tuple[tuple[int, Operation], ...], ...]

    @property
    def operations(self) -> tuple[tuple[Operation, ...], ...]:
        """The operations of each thread."""
        return tuple(tuple(operation for _, operation in thread) for thread in self.threads)


def _planned(model: Model) -> _Plan:
    """Do the steps before those that run at once, and plan these."""
    scenario, setup = model.scenario, list(model.operations)
    before = [model.step(number, scenario.steps[number]) for number in range(scenario.at_once.start)]
    for record in before:
        setup += record.operations
    records = model.plan()
    threads: dict[str, list[tuple[int, Operation]]] = {name: [] for name in scenario.threads}
    for number, record in enumerate(records):
        threads[record.step.process] += [(number, operation) for operation in record.operations]
    return _Plan(model.machine.shape, tuple(setup), before, records, tuple(map(tuple, threads.values())))


def program(scenario: Scenario, scheme: Scheme) -> Program:
    """What the explored attack searches for a scenario: what is before its steps at once is the set-up.

    Raises:
        UsageError: the scenario has no steps at once, or does not fit the policy.
        ModelError: the modelled kernel refuses a step.
    """
    where = scenario.source or scenario.name
    if not scenario.at_once:
        raise UsageError(
            f"{where} has no steps at once: nothing in it runs at the same time", "mark some: at once … end"
        )
    plan = _planned(Model(scenario, scheme, "interpreted"))
    return Program(where, replace(plan.shape, contents=False, scratch=0), plan.setup, plan.operations)


# -- the search ---------------------------------------------------------------------------------------
class _LastStates(Explorer):
    """A search for the states in which every thread is done; states between operations are not judged."""

    def _judged(self, words: list[int], columns: list[int]) -> list[Violation]:
        return []

    def paths(self) -> Iterator[list[Turn]]:
        """The turns that lead to each last state, the shortest first."""
        words, threads = len(self.words), len(self.same)
        nodes = self.state[: self.found.states, words : words + threads] & NODE_MASK
        what = self.nodes.table[nodes, WHAT]
        done = ((what & 0xFF) == DONE) & (what >> DEAD_AT & 1 == 0)
        known = set()
        for at in np.flatnonzero(done.all(axis=1)).tolist():
            key = self.state[at, :words].tobytes(), nodes[at].tobytes()
            if key not in known:  # with a bound, states differ in their preemptions, too
                known.add(key)
                path, _ = self._path(at)
                yield turns_of(self.found, path)


@dataclass
class _Search:
    """What the searches of one scenario found.

    Attributes:
        schedules: of the last states.
        states: of all searches.
        bound: within which every interleaving was explored, in words; empty if there was none.
        examples: of laws that broke.
    """

    schedules: list[list[Turn]]
    states: int = 0
    bound: str = ""
    examples: tuple[Counterexample, ...] = ()


def _search(scheme: Scheme, plan: _Plan, seconds: float) -> _Search:
    """Find the last states: all of them, or those within a bound on preemptions."""
    world = World(scheme, replace(plan.shape, contents=False, scratch=0), plan.setup, plan.operations)
    result = _Search([])
    for function in ("search", "rehash", "follow"):
        native(function)  # compiled before the time begins
    until = time.monotonic() + seconds
    ignore = frozenset(LAWS)
    examples: dict[str, Counterexample] = {}
    bounds = (-1, *PREEMPTIONS)
    for number, bound in enumerate(bounds):
        share = (until - time.monotonic()) / (2 if number < len(bounds) - 1 else 1)
        end = time.monotonic() + share
        options = Options(symmetry=False, memory=MEMORY, bound=bound, ignore=ignore - _JUDGED)
        while True:
            explorer = _LastStates(world, options)
            found = explorer.run(lambda _: time.monotonic() < end)  # noqa: B023 (it is called within the loop)
            result.states += found.states
            if not found.broken:
                break
            _keep(found, examples)
            options = replace(options, ignore=options.ignore | {one.violation.law for one in found.broken})
        result.schedules = [*explorer.paths()]
        explorer.release()
        if found.complete:
            result.bound = _preemptions(bound) if bound >= 0 else ""
            break
    else:
        result.bound = (
            f"some of those with at most {_preemptions(bounds[-1])}, within {seconds:g} s and {MEMORY >> 20} MiB"
        )
    result.examples = tuple(examples.values())
    return result


_JUDGED: Final = frozenset(
    {"reuse", "field-width", "access", "lost-lock", "deadlock", "termination", "checks", "raises"}
)
"""The laws that the search itself judges, whatever a scenario expects."""


def _keep(found: Exploration, examples: dict[str, Counterexample]) -> None:
    """Keep the violations that the interpreted engine confirms."""
    for broken in found.broken:
        example = counterexample(found, broken, "scenario", "sc")
        if example is not None:
            examples.setdefault(example.law, example)


def _preemptions(bound: int) -> str:
    return f"{bound} preemption{'s' if bound > 1 else ''} inside of operations"


# -- playing ------------------------------------------------------------------------------------------
class _Player:
    """Plays the steps that run at once under a schedule, on a model that has done those before."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.plan = _planned(model)
        self.answers: list[list[str]] = [[] for _ in self.plan.records]

    def play(self, turns: Sequence[Turn]) -> list[Record]:
        """The records of these steps.

        Raises:
            FolioLabError: a step fails, or does not end.
        """
        model, machine = self.model, self.model.machine
        machine.several = several_mms(self.plan.operations)
        scheduler = Scheduler(machine.vm, counted(machine, folio_of_interest(machine)), "sc")
        threads = range(len(self.plan.threads))
        try:
            scheduler.start([partial(self._thread, number) for number in threads])
            for turn in (*turns, *(Turn(thread, TO_THE_END) for thread in threads)):
                scheduler.advance(turn.thread, turn.accesses)
        finally:
            scheduler.close()
            machine.cpu, machine.several = 0, frozenset()
        for fault in scheduler.faults.values():
            raise fault if isinstance(fault, FolioLabError) else FolioLabError(f"{type(fault).__name__}: {fault}")
        if len(scheduler.done) < len(threads):
            raise FolioLabError("the steps that run at once do not all end", "`foliolab verify --program` says why")
        records = self.plan.records
        for record, answers in zip(records, self.answers, strict=True):
            record.outcomes = tuple(answers) if record.outcomes else ()
        model.look(records)
        return records

    def _thread(self, number: int) -> None:
        machine = self.model.machine
        for record, operation in self.plan.threads[number]:
            machine.cpu = number  # no other thread runs until the next access
            answer = 0
            for function, numbers in machine.bind_operation(operation).entries:
                answer = machine.entry_point(function)(*numbers)
            if operation.name == "write":
                self.answers[record].append(OUTCOMES[answer & 7])
            elif operation.name == "gup_fast":
                self.answers[record].append(self.model.pinned(self.plan.records[record].step, answer))


def _played(scenario: Scenario, scheme: Scheme, turns: Sequence[Turn]) -> list[Record]:
    """The records of a whole scenario, with one schedule of the steps that run at once."""
    model = Model(scenario, scheme, "interpreted", verdicts=True)
    player = _Player(model)
    together = player.play(turns)
    after = range(scenario.at_once.stop, len(scenario.steps))
    return [*player.plan.before, *together, *(model.step(number, scenario.steps[number]) for number in after)]


def interleavings(scenario: Scenario, scheme: Scheme, seconds: float = SECONDS) -> Interleavings:
    """Explore every interleaving of the steps that run at once, and play each different outcome.

    Args:
        seconds: for the search. If that is not enough, interleavings with few preemptions are explored.

    Raises:
        UsageError: the scenario does not fit the policy, the policy's text cannot be explored, or no interleaving
            ends in time.
        ModelError: the modelled kernel refuses a step.
        PluginError: the policy fails when a thread runs alone.
    """
    with uncollected():
        found = _search(scheme, _planned(Model(scenario, scheme, "interpreted")), seconds)
    outcomes: dict[object, Interleaving] = {}
    for turns in found.schedules[:MOST_OUTCOMES]:
        records = _played(scenario, scheme, turns)
        outcomes.setdefault(_key(records), Interleaving(records, schedule_text(turns)))
    if not outcomes and not found.examples:
        raise UsageError(
            f"{scenario.source or scenario.name}: no interleaving of its steps at once ended within {seconds:g} s and "
            f"{MEMORY >> 20} MiB",
            "write fewer of them, or about smaller folios",
        )
    bound = found.bound
    if len(found.schedules) > MOST_OUTCOMES:
        bound = f"{MOST_OUTCOMES} of {len(found.schedules):,} last states{', ' if bound else ''}{bound}"
    breaches = tuple(_breach(scenario, example) for example in found.examples)
    return Interleavings(tuple(outcomes.values()), found.states, bound, breaches)


def _key(records: Sequence[Record]) -> object:
    """What a scenario's reader can see of a run."""
    return tuple(
        (
            one.text,
            one.outcomes,
            one.verdicts,
            tuple(
                (name, view.present.tobytes(), _places(view.frames), view.counts.tobytes(), view.exclusive.tobytes())
                for name, view in one.views.items()
            ),
        )
        for one in records
    )


def _places(frames: Any) -> bytes:
    """Page frames by the order in which they come: which of the free frames a copy gets is no outcome."""
    _, first, inverse = np.unique(frames, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse].tobytes()


def _breach(scenario: Scenario, example: Counterexample) -> Breach:
    first = scenario.steps[scenario.at_once.start]
    failure = Failure(first.line, f"law {example.law}", example.message, step_text(first, answer=False))
    return Breach(failure, example.law, example.schedule)


# -- counterexamples ----------------------------------------------------------------------------------
def first_broken(run: ScenarioRun, scenario: Scenario, scheme: Scheme, of: Collection[str]) -> Counterexample | None:
    """The first interleaving of a run that breaks an expectation or a law, as a file for `foliolab step`.

    Args:
        of: the names under which the scenario expects something of the policy.
    """
    if run.interleavings is None:
        return None
    if run.interleavings.breaches:
        breach = run.interleavings.breaches[0]
        return _example(scenario, scheme, breach.schedule, breach.law, breach.failure.found)
    broken = next(iter((*run.failures, *run.wrong)), None)
    if broken is None:
        return None
    items = tuple(
        replace(item, policy=scheme.name) if isinstance(item, Expect) and item.policy in of else item
        for item in scenario.items
    )
    policy = scheme.name if scenario.policy in of else scenario.policy
    return _example(replace(scenario, items=items, policy=policy), scheme, run.schedule, LAW, _words(broken))


def _example(scenario: Scenario, scheme: Scheme, schedule: str, law: str, message: str) -> Counterexample:
    plan = _planned(Model(scenario, scheme, "interpreted"))
    return Counterexample(
        policy=scheme.name,
        digest=policy_digest(scheme),
        attack="scenario",
        law=law,
        claim="",
        message=message,
        shape={name: int(value) for name, value in asdict(plan.shape).items()},
        setup=[operation.text for operation in plan.setup],
        threads=[[operation.text for operation in thread] for thread in plan.operations],
        schedule=schedule,
        scenario=format_scenario(scenario) if law == LAW else "",
    )


def _words(broken: Failure) -> str:
    return f"{broken.step}: expected {broken.expected}, found {broken.found or 'nothing'}"


def broken_expectations(example: Counterexample, scheme: Scheme) -> list[Violation]:
    """The expectations of a counterexample's scenario that its schedule breaks under a policy.

    Raises:
        UsageError: the text of the scenario is wrong.
        FolioLabError: a step fails.
    """
    scenario = parse(example.scenario, "the scenario of the counterexample")
    records = _played(scenario, scheme, example.turns)
    broken = (*failures(scenario, records, {scheme.name}), *wrong(records, scheme.capabilities))
    return [Violation(LAW, _words(one)) for one in broken]
