"""Runs that a walkthrough follows: a scenario, or steps of a sharing pattern or a trace, under several policies."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.engine.machine import Machine
from foliolab.framework.errors import FolioLabError, UsageError
from foliolab.framework.explore.session import MEMORY, Session
from foliolab.framework.explore.source import EventsSource
from foliolab.framework.scenario.formatter import step_text
from foliolab.framework.scenario.model import Model
from foliolab.framework.scenario.syntax import Scenario

MOST_LANES = 6
"""Processes that have a lane of their own at most; the steps of more stand in one lane, as sentences."""


@dataclass(frozen=True)
class Happened:
    """A step.

    Args:
        text: what is done.
        lane: of the process that does it.
        outcomes: what comes of it, for each policy; may be empty.
        location: file and line, where the step is written somewhere.
    """

    text: str
    lane: int
    outcomes: tuple[str, ...]
    location: str = ""


class Run(ABC):
    """Policies in lockstep on the same steps.

    Attributes:
        title: one line.
        schemes: the policies.
        nr_steps: all steps there are.
        heads: of each lane its name and what it does.
        facts: (heading, text) about the run.
    """

    title: str
    schemes: Sequence[Scheme]
    nr_steps: int
    heads: tuple[tuple[str, str], ...]
    facts: tuple[tuple[str, str], ...] = ()

    @abstractmethod
    def start(self, step: int) -> None:
        """Go to the state before a step."""

    @abstractmethod
    def step(self, number: int) -> Happened:
        """Do the next step."""

    @abstractmethod
    def machine(self, policy: int) -> Machine:
        """The machine of a policy in its present state."""

    @abstractmethod
    def processes(self, policy: int) -> dict[int, str]:
        """The living processes by the number of their MM."""

    def close(self) -> None:  # noqa: B027 (most runs hold nothing)
        """Release what the run holds."""


class ScenarioRun(Run):
    """A scenario, interpreted.

    Args:
        scenario: its steps.
        schemes: the policies.
    """

    def __init__(self, scenario: Scenario, schemes: Sequence[Scheme]) -> None:
        self.scenario = scenario
        self.schemes = schemes
        self.title = f"scenario {scenario.name}"
        self.nr_steps = len(scenario.steps)
        forked = [step.name for step in scenario.steps if step.action == "fork"]
        self._names = list(dict.fromkeys((scenario.first, *forked)))
        several = len(self._names) > MOST_LANES
        self.heads = (("step", ""),) if several else tuple((name, "") for name in self._names)
        self.facts = (("scenario", " ".join(scenario.text)),) if scenario.text else ()
        self._models: list[Model] = []

    def start(self, step: int) -> None:
        self._models = [Model(self.scenario, scheme, "interpreted") for scheme in self.schemes]
        for number in range(step):
            self.step(number)

    def step(self, number: int) -> Happened:
        step = self.scenario.steps[number]
        outcomes = tuple(model.step(number, step).text for model in self._models)
        text = step_text(step, answer=False)
        location = f"{Path(self.scenario.source).name}:{step.line}" if step.line else ""
        if len(self.heads) == 1:
            return Happened(text, 0, outcomes, location)
        return Happened(text.removeprefix(f"{step.process}: "), self._names.index(step.process), outcomes, location)

    def machine(self, policy: int) -> Machine:
        return self._models[policy].machine

    def processes(self, policy: int) -> dict[int, str]:
        return {mm: name for name, mm in self._models[policy].mms.items()}


class EventsRun(Run):
    """Steps of a sharing pattern or a trace, in native code.

    Args:
        source: the events.
        schemes: the policies.
    """

    def __init__(self, source: EventsSource, schemes: Sequence[Scheme]) -> None:
        self.source = source
        self.schemes = schemes
        self.title = source.title
        self.nr_steps = source.nr_steps
        self.heads = (("step", ""),)
        self.facts = tuple(("note", note) for note in source.notes)
        self.session = Session(source, schemes, MEMORY)

    def first_wrong(self) -> int:
        """The position after the first step that makes an answer wrong; -1 if there is none."""
        self.session.goto(0)
        return self.session.position if self.session.next_wrong() else -1

    def start(self, step: int) -> None:
        self.session.goto(step)

    def step(self, number: int) -> Happened:
        self.session.advance()
        return Happened(self.source.describe(number), 0, ("",) * len(self.schemes))

    def machine(self, policy: int) -> Machine:
        """See `Run.machine`.

        Raises:
            FolioLabError: the policy has stopped.
        """
        lane = self.session.lanes[policy]
        if lane.error is not None or lane.machine is None:
            raise lane.error or FolioLabError(f"{lane.name} does not run")
        return lane.machine

    def processes(self, policy: int) -> dict[int, str]:
        return {number: name for number, name in enumerate(self.session.lanes[policy].names()) if name}

    def close(self) -> None:
        self.session.close()


def check_steps(run: Run, steps: range, most: int) -> None:
    """Refuse steps that the run does not have, and more than a page shows.

    Raises:
        UsageError: says which there are.
    """
    if not 0 <= steps.start < steps.stop <= run.nr_steps:
        asked = f"{steps.start} to {steps.stop - 1}"
        raise UsageError(f"{run.title} has no steps {asked}", f"it has 0 to {run.nr_steps - 1}")
    if len(steps) > most:
        raise UsageError(f"{len(steps):,} steps are more than a page shows", f"choose {most} with --steps")
