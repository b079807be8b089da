"""The formatter: what it writes parses to the same scenario, and is not changed by it any more; comments stay."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import assume, given
from hypothesis import strategies as st

from foliolab.framework.scenario.formatter import format_scenario
from foliolab.framework.scenario.generate import random_scenario
from foliolab.framework.scenario.parser import ScenarioError, parse
from foliolab.framework.scenario.syntax import (
    ACTIONS,
    ANSWERS,
    OUTCOMES,
    SUBJECTS,
    Expect,
    Item,
    Scenario,
    ScenarioStep,
)

POLICIES = st.sampled_from(["", "mm-id", "rmap-id:stage=batch,batched=0"])
COMMENTS = st.sampled_from(["", "# why", "#", "# -> not an outcome | not text"])
NOTES = st.lists(st.sampled_from(["# note", "", "# two  spaces"]), max_size=3).map(
    lambda notes: tuple(note for i, note in enumerate(notes) if note or notes[i - 1 : i] != [""])
)


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    """A random scenario with outcomes, expectations and comments strewn in."""
    made = random_scenario(draw(st.integers(0, 1 << 20)))
    items: list[Item] = []
    alive = {made.first}
    for step in made.steps:
        choices = ANSWERS[ACTIONS[step.action].answer]
        answer = draw(st.sampled_from(["", *(choices if choices[:1] != ANSWERS["byte"] else ("0", "255"))]))
        items.append(replace(step, answer=answer, comment=draw(COMMENTS), notes=draw(NOTES)))
        alive |= {step.name} if step.action == "fork" else set()
        alive -= {step.process} if step.action == "exit" else set()
        if ACTIONS[step.action].answer == "outcome" and draw(st.booleans()):
            items.append(Expect(subject=draw(st.sampled_from(OUTCOMES)), policy="exact", comment=draw(COMMENTS)))
        if step.pages and alive and draw(st.booleans()):
            items.append(_expect(draw, step, sorted(alive)))
    text = draw(st.lists(st.sampled_from(["", "One sentence.", "# no comment, text"]), max_size=2))
    return replace(made, items=tuple(items), policy=draw(POLICIES), text=tuple(text), comment=draw(COMMENTS))


def _expect(draw: st.DrawFn, step: ScenarioStep, alive: list[str]) -> Expect:
    subject = draw(st.sampled_from(sorted(SUBJECTS)))
    return Expect(
        process=draw(st.sampled_from(alive)),
        pages=step.pages,
        subject=subject,
        number=draw(st.integers(0, 1 << 29)) if SUBJECTS[subject].number else None,
        policy=draw(POLICIES),
        notes=draw(NOTES),
    )


def parsed(text: str) -> Scenario:
    """A text as a scenario; what asks for more than one scenario may is no example."""
    try:
        return parse(text)
    except ScenarioError as fault:
        assume("are too many" not in fault.what)
        raise


@given(scenarios())
def test_round_trip(scenario: Scenario) -> None:
    text = format_scenario(scenario)
    again = parsed(text)
    assert again == replace(scenario, source=again.source)
    assert format_scenario(again) == text


@given(scenarios())
def test_comments_stay(scenario: Scenario) -> None:
    again = parsed(format_scenario(scenario))
    assert [item.comment for item in again.items] == [item.comment for item in scenario.items]
    mine = [[note for note in item.notes if note] for item in scenario.items]
    assert [[note for note in item.notes if note] for item in again.items] == mine


def test_the_form() -> None:
    text = """\
# above
scenario x                                # behind
|  told
by   mm-id
# before the region
region heap: 1 x 16K , room 4


# before the step


A:   fork   B
A: write heap[0-3]   = 9  ->   copied# at once
expect   reused by exact

# at the end

"""
    assert (
        format_scenario(parse(text))
        == """\
# above
scenario x                                # behind
| told
by mm-id

# before the region
region heap: 1 x 16K pte, room 4

# before the step

A: fork B
A: write heap[0-3] = 9 -> copied          # at once
expect reused by exact

# at the end
"""
    )
