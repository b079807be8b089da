"""`Scenario` to text, in one canonical form; comments are kept."""

from __future__ import annotations

from collections.abc import Iterator

from foliolab.framework.plugins.selection import PAGE, size_text
from foliolab.framework.scenario.syntax import ACTIONS, Expect, Item, Mark, Node, Region, Scenario, ScenarioStep

_COLUMN = 40
"""The column of comments behind short lines."""


def step_text(step: ScenarioStep, answer: bool = True) -> str:
    """A step as it is written, with or without its outcome."""
    words = [f"{step.process}:", step.action]
    for operand in ACTIONS[step.action].operands:
        value = getattr(step, operand.into)
        if value is None or value == "":
            continue
        if operand.kind == "PAGE" and operand.into == "to":
            value = f"{value.region}[{value.first}]"
        words += [operand.keyword, str(value)] if operand.keyword else [str(value)]
    if answer and step.answer:
        words += ["->", step.answer]
    return " ".join(words)


def expect_text(expect: Expect) -> str:
    """An expectation as it is written."""
    who = f"{expect.process}: expect {expect.pages}" if expect.process else "expect"
    number = "" if expect.number is None else f" {expect.number}"
    policy = f" by {expect.policy}" if expect.policy else ""
    return f"{who} {expect.subject}{number}{policy}"


def item_text(item: Item) -> str:
    """A line as it is written."""
    if isinstance(item, Mark):
        return "at once" if item.begins else "end"
    return step_text(item) if isinstance(item, ScenarioStep) else expect_text(item)


def region_text(region: Region) -> str:
    """A region as it is written."""
    level = "pmd" if region.pmd else "pte"
    room = f", room {region.room}" if region.room else ""
    return f"region {region.name}: {region.folios} x {size_text(PAGE << region.order)} {level}{room}"


def _lines(node: Node, text: str) -> Iterator[str]:
    yield from node.notes
    yield f"{text:<{_COLUMN}}  {node.comment}" if node.comment else text


def format_scenario(scenario: Scenario) -> str:
    """The text of a scenario, ending in a line feed; parsing it gives an equal scenario."""
    lines = list(_lines(scenario, f"scenario {scenario.name}"))
    lines += [f"| {line}".rstrip() for line in scenario.text]
    if scenario.policy:
        lines.append(f"by {scenario.policy}")
    within = False
    for nodes in (scenario.regions, scenario.items):
        for number, node in enumerate(nodes):
            if number == 0 and node.notes[:1] != ("",):
                lines.append("")
            text = region_text(node) if isinstance(node, Region) else item_text(node)
            within = within and not (isinstance(node, Mark) and not node.begins)
            lines += _lines(node, f"  {text}" if within else text)
            within = within or (isinstance(node, Mark) and node.begins)
    lines += scenario.tail
    return "\n".join(lines) + "\n"
