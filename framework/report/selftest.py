"""A scenario as one C program in the form of the kernel's selftests: real processes, TAP, exit code 4 for "skipped".

The program checks what each write does to each page, by page frame numbers, against what a policy says. It needs no
FolioLab and no library. Its text is FolioLab's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from foliolab.framework.contract.policy import Scheme
from foliolab.framework.errors import UsageError
from foliolab.framework.escaping import line as one_line
from foliolab.framework.report.pages.templates import TEMPLATES
from foliolab.framework.scenario.formatter import step_text
from foliolab.framework.scenario.model import Model, default_byte
from foliolab.framework.scenario.record import Record
from foliolab.framework.scenario.space import Layout
from foliolab.framework.scenario.syntax import Pages, Region, Scenario, ScenarioStep

TEMPLATE: Final = TEMPLATES / "selftest.c"
MARK: Final = "/* SCENARIO */\n"
ACTIONS: Final = ("fork", "exit", "write", "read", "munmap", "dontneed", "mremap", "mprotect")
"""The actions of scenarios that the C program can carry out."""
LETTERS: Final = {"unchanged": "u", "reused": "r", "copied": "c", "new page": "n"}
_WRITTEN: Final = str.maketrans({"\\": "\\\\", '"': '\\"', "?": "\\?"})


def program(scenario: Scenario, scheme: Scheme) -> str:
    """The C text.

    Args:
        scenario: its steps.
        scheme: the policy that says what each write does.

    Raises:
        UsageError: the scenario has a step or a region that the program cannot play.
    """
    for step in scenario.steps:
        if step.action not in ACTIONS:
            raise UsageError(
                f"{scenario.name} has the step {step_text(step, answer=False)!r}, which the program cannot do",
                f"it can do {', '.join(ACTIONS)}",
            )
    for region in scenario.regions:
        if region.order == 9 and not region.pmd:
            raise UsageError(f"{region.name} maps folios of 2 MiB by PTEs, which a fresh mapping is not", "map by PMDs")
    model = Model(scenario, scheme, "interpreted")
    records = list(model.run())
    head = f"{scenario.name}, as {scheme.name} says: {' '.join(scenario.text)}"
    lines = [f"/* {_comment(head)} */", "/* cc -O2 -o scenario THIS.c && ./scenario, as root. SPDX: MIT */"]
    text = TEMPLATE.read_text("utf-8")
    return "\n".join(lines) + "\n" + text.replace(MARK, "\n".join(_tables(scenario, records)) + "\n")


def _comment(text: str) -> str:
    return one_line(text).encode("ascii", "replace").decode().replace("*/", "* /")


def _string(text: str) -> str:
    return f'"{one_line(text).encode("ascii", "replace").decode().translate(_WRITTEN)}"'


def _tables(scenario: Scenario, records: list[Record]) -> Iterator[str]:
    layout = Layout(scenario.regions)
    names = list(dict.fromkeys((scenario.first, *(step.name for step in scenario.steps if step.action == "fork"))))
    yield f"#define PAGES {layout.nr_pages}L"
    yield f"static const char *const names[] = {{ {', '.join(map(_string, names))} }};"
    yield "static const struct region regions[] = {"
    for region in scenario.regions:
        yield f"\t{{ {_region(region, layout)} }},"
    yield "};"
    yield "static const struct step steps[] = {"
    for number, (step, record) in enumerate(zip(scenario.steps, records, strict=True)):
        yield f"\t{{ {_step(step, record, names, layout, number)} }},"
    yield "};"


def _region(region: Region, layout: Layout) -> str:
    start = layout.start[region.name]
    return f"{_string(region.name)}, {start}, {region.populated}, {region.nr_pages}, {region.order}"


def _step(step: ScenarioStep, record: Record, names: list[str], layout: Layout, number: int) -> str:
    value = default_byte(number) if step.value is None else step.value
    parts = [_string(step_text(step, answer=False)), str(names.index(step.process)), step.action.upper()]
    parts += [f".page = {_first(step.pages, layout)}, .nr = {step.pages.nr}"] if step.pages else []
    parts += [f".to = {_first(step.to, layout)}"] if step.to else []
    parts += [f".other = {names.index(step.name)}"] if step.action == "fork" else []
    parts += [f".value = {record.answer if step.action == 'read' else value}"]
    if step.action == "write":
        parts.append(f".outcomes = {_string(''.join(LETTERS[outcome] for outcome in record.outcomes))}")
    return ", ".join(parts)


def _first(pages: Pages, layout: Layout) -> int:
    return layout.start[pages.region] + pages.first
