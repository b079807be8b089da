"""The picture of the design: three storeys, and in each its rooms, the folders of the framework."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from foliolab_docs import picture
from foliolab_docs.markdown import code, fenced, table

STOREYS: Final[dict[str, dict[str, dict[str, str]]]] = {
    "Faces": {
        "": {
            "cli": "the commands",
            "gui": "the window (a folder beside the framework)",
            "explore": "the session behind the window's Explore, and behind pages of runs",
            "report": "results as text, tables, pages and pictures",
            "testing": "checks of a policy; the pytest plugin",
            "reference": "what authors use, as tables",
            "sweep": "grids of commands",
            "doctor": "what this host can do",
            "review": "the five answers about a policy, in short",
        },
    },
    "Five questions": {
        "Is it right?": {"verify": "four attacks, laws, counterexamples, kept verdicts"},
        "How precise is it?": {
            "partial": "what ways to detect partially mapped folios cost, on recordings",
            "precision": "how often an answer is wrong, under sharing patterns",
            "replay": "recorded traces under every policy",
        },
        "What does it cost?": {
            "run": "measured and counted runs, in a process of their own",
            "calibration": "the rest of the kernel, and predictions with it",
            "costmodel": "predictions on named processors, from counts and published constants",
        },
        "What does /proc show?": {"consequences": "decisions and figures that follow from an answer"},
        "Does Linux agree?": {"kernel": "scenarios, benchmarks and recordings on the running kernel"},
    },
    "Ground": {
        "": {
            "results": "result files, comparison, statistics, published figures",
            "scenario": "the format of scenarios, and their run in the engine",
            "trace": "the format of traces, and importers",
            "anatomy": "where fields lie, and what operations cost",
            "plugins": "finding, checking and listing what plugins offer",
            "csource": "policies in C: the translation to a policy's text",
            "engine": "page tables, rmap, faults, fork, the truth",
            "isolation": "child processes: start, limits, whose fault",
            "contract": "what a plugin declares: policy, caller, workload, pattern, asker, readers, hooks",
            "machine": "memory, primitives, native code",
            "api": "everything that a plugin imports",
            "operations": "what a caller may call and replace besides",
        },
    },
}
"""Storey -> question -> room -> what is in it; the upper storeys first."""
SUPPORT: Final = ("errors", "host", "intake", "document", "ownership", "escaping", "bootstrap", "start")
"""Files of the framework that belong to no room; all rooms may use them."""


def rooms() -> dict[str, str]:
    """The storey of each room."""
    return {room: storey for storey, groups in STOREYS.items() for group in groups.values() for room in group}


def part() -> list[str]:
    """The picture, and a table of the rooms."""
    rows = [
        (storey, question, code(room), what)
        for storey, groups in STOREYS.items()
        for question, group in groups.items()
        for room, what in group.items()
    ]
    lines = table(("storey", "question", "room", "what is in it"), rows)
    if not picture.available():
        return [picture.ABSENT, "", *lines]
    svg = picture.drawn(_graph(), "Three storeys: faces above five questions above the ground")
    return [*fenced("{raw} html", [f'<div class="foliolab-scroll">{svg}</div>']), *lines]


def _graph() -> str:
    """A cluster for each storey; an arrow means that rooms of one may import rooms of the other."""
    lines = ["compound=true"]
    anchors = []
    for number, (storey, groups) in enumerate(STOREYS.items()):
        lines.append(f'subgraph cluster_{number} {{ label="{storey}"; style=rounded; fontname=Courier; fontsize=12')
        boxes: list[str] = []
        for question, group in groups.items():
            name = f"{number}_{len(boxes)}"
            if question:
                boxes.append(name)
                lines.append(f'"{name}" [label="{question}\\n{", ".join(group)}"]')
                continue
            for room in group:
                boxes.append(f"{number}_{room}")
                lines.append(f'"{boxes[-1]}" [label="{room}"]')
        row = " -> ".join(f'"{box}"' for box in boxes)  # invisible edges keep the order from left to right
        lines.append(f"{{ rank=same; {row} [style=invis] }} }}")
        anchors.append(f'"{boxes[len(boxes) // 2]}"')
    for number, (upper, lower) in enumerate(pairwise(anchors)):
        lines.append(f"{upper} -> {lower} [ltail=cluster_{number}, lhead=cluster_{number + 1}]")
    return "\n".join(lines)
