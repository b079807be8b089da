"""The table of scenarios and kernels, made from stored answers: no kernel runs when the documentation is built."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from foliolab.framework.kernel import survey
from foliolab.framework.kernel.survey import Deed, Deeds
from foliolab.framework.plugins.registry import Registry
from foliolab.framework.report.kernelscenarios import MEETS, cell, instead
from foliolab.framework.scenario import parser
from foliolab.framework.scenario.heading import summary
from foliolab_docs.markdown import code, prose, table

STORED: Final = Path(__file__).parents[2] / "kernels.json"
"""What `foliolab kernel scenarios --matrix --save docs/kernels.json` found."""
UNPLAYED: Final = "–"
STALE: Final = "?"
"""The cell of a record of another text of the scenario."""


def part(registry: Registry, stored: Path = STORED) -> Iterator[str]:
    """The table, what kernels do instead, and how it was found."""
    kernels = survey.load(stored)
    texts = {one.name: survey.text_digest(one) for one in parser.load_in_order(registry.scenarios.values())}
    done = {kernel.name: {one.scenario: one for one in kernel.deeds} for kernel in kernels}
    yield from table(
        ("kernel", "options", "does all that is expected in", "played on"), _kernels(kernels, texts), right=2
    )
    rows = []
    for name, text in texts.items():
        cells = [_cell(done[kernel.name].get(name), text) for kernel in kernels]
        rows.append((code(name), *cells))
    yield from table(("scenario", *(_short(kernel) for kernel in kernels)), rows)
    yield f"{MEETS}: it does all that the scenario's text expects. A word: the first thing that it does instead."
    yield f"{UNPLAYED}: not played."
    if any(STALE in row for row in rows):
        yield f"{STALE}: the text has changed since; play it again."
    yield from ("", "## What they do instead", "")
    for name, text in texts.items():
        found: dict[str, list[str]] = {}
        for kernel in kernels:
            one = done[kernel.name].get(name)
            if one is not None and one.step and one.text == text:
                found.setdefault(instead(one), []).append(_short(kernel))
        if found:
            yield f"- {code(name)}: {prose(summary(registry.scenarios[name]))}"
            yield from (f"  - {', '.join(names)}: {code(words)}" for words, names in found.items())
    yield from ("", "## What was not played", "")
    reasons: dict[str, dict[str, int]] = {}
    for kernel in kernels:
        for one in kernel.deeds:
            if one.missing:
                counts = reasons.setdefault(one.missing, {})
                counts[_short(kernel)] = counts.get(_short(kernel), 0) + 1
    for why, counts in reasons.items():
        same = len(set(counts.values())) == 1 and len(counts) == len(kernels)
        where = (
            f"{next(iter(counts.values()))} on each kernel"
            if same
            else ", ".join(f"{count} on {name}" for name, count in counts.items())
        )
        yield f"- {prose(why)}: {where}"
    yield from ("", "## How it was found", "")
    for command in dict.fromkeys(kernel.command for kernel in kernels):
        dates = sorted({kernel.date for kernel in kernels if kernel.command == command})
        yield f"- {code(command)}, {' and '.join(dates)}"
    yield ""


def _kernels(kernels: Sequence[Deeds], texts: dict[str, str]) -> Iterator[tuple[str, ...]]:
    for kernel in kernels:
        release, _, options = kernel.described.removeprefix("Linux ").partition(" ")
        played = [one for one in kernel.deeds if not one.missing and one.text == texts.get(one.scenario)]
        meets = sum(not one.step for one in played)
        yield code(release), prose(options.strip("()")), f"{meets} of {len(played)}", kernel.date


def _short(kernel: Deeds) -> str:
    """A release without what its packager adds: 7.3.4 of 7.3.4+deb13-cloud-amd64."""
    return re.sub(r"(\+deb\w+|-\d+)?-cloud-\w+$", "", kernel.name)


def _cell(one: Deed | None, text: str) -> str:
    if one is None:
        return UNPLAYED
    return prose(cell(one).removeprefix("✗ ")) if one.text == text else STALE
