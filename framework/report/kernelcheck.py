"""`foliolab kernel check`: a policy against the running kernel, in plain text and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from foliolab.framework.report.pages.plain_text import Plain
from foliolab.framework.scenario.formatter import format_scenario
from foliolab.framework.scenario.situations import KINDS, OPERATIONS, Situations
from foliolab.framework.scenario.syntax import OUTCOMES, Scenario

if TYPE_CHECKING:
    from foliolab.framework.kernel.check import Agreement, Disagreement, Mutant

SCHEMA: Final = 1
UNCOUNTED: Final = (
    "not compared: the number of large folios on the host (nr_anon): other programs change it, since the THP settings "
    "cannot be this command's own"
)
SHOWN: Final = 3
"""Disagreements printed in full."""


def render(found: Agreement, policy: str, kernel: str, out: Plain, refuting: bool = False) -> None:
    """Print the agreement for each outcome, then the disagreements.

    Args:
        kernel: release and configuration.
        refuting: whether the check looked for a first disagreement.
    """
    out.line(f"{policy} against {kernel}", "strong")
    _classes(found, out)
    _aspects(found, out)
    render_situations(found.situations, out)
    for message in found.failed[:SHOWN]:
        out.item("✗", f"not run: {message}", style="bad")
    if len(found.failed) > SHOWN:
        out.line(f"  … and {len(found.failed) - SHOWN} more that could not be run")
    explained = [one for one in found.disagreements if one.explained]
    for cause in dict.fromkeys(one.difference.cause for one in explained):
        number = sum(one.difference.cause == cause for one in explained)
        out.item("!", f"{number} order-0 disagreements have a named cause: {cause}", style="doubtful")
    for one in found.unexplained[:SHOWN]:
        _disagreement(one, out)
    if len(found.unexplained) > SHOWN:
        out.line(f"… and {len(found.unexplained) - SHOWN} more disagreements")
    out.line()
    out.line(verdict(found, policy, refuting), "strong")


def verdict(found: Agreement, policy: str, refuting: bool = False) -> str:
    """The verdict in one sentence."""
    large = sum(one.difference.large for one in found.unexplained)
    small = len(found.unexplained) - large
    ran = f"{found.scenarios} scenarios, {found.writes:,} page writes"
    if not found.complete:
        ran = f"interrupted after {ran}"
    if not found.scenarios:
        return "No scenario could be run on this kernel."
    if refuting:
        return f"{policy} is refuted by this kernel ({ran})." if large + small else f"{policy} is not refuted by {ran}."
    if large:
        return f"{large} scenarios disagree on large folios ({ran})."
    if small:
        return f"Large folios agree; {small} scenarios disagree on order-0 folios without a known cause ({ran})."
    if found.hidden:
        witnesses = "faults and bit 56" if found.uncounted else "faults, bit 56 and the number of large folios"
        return (
            f"Nothing contradicts {policy}, as far as {witnesses} can tell ({ran}); "
            "as root each copy and each reuse is seen."
        )
    return f"Every outcome on a large folio is what {policy} predicts ({ran})."


def _classes(found: Agreement, out: Plain) -> None:
    out.line(f"  {'folio':<9}{'the kernel':<14}{'writes':>10}{'agree':>10}", "quiet")
    for large in (True, False):
        kinds = [*OUTCOMES, *({kernel for _, _, kernel in found.tally} - {*OUTCOMES})]
        for kernel in kinds:
            cells = {model: n for (size, model, theirs), n in found.tally.items() if size == large and theirs == kernel}
            total = sum(cells.values())
            if not total:
                continue
            same = cells.get(kernel, 0) if kernel in OUTCOMES else total
            sign = "✓" if same == total else "✗"
            other = ", ".join(f"{n} {model} in the model" for model, n in cells.items() if model != kernel)
            comment = f"  {sign}" + (f" {other}" if other and same != total else "")
            out.line(f"  {'large' if large else 'order-0':<9}{kernel:<14}{total:>10,}{same:>10,}{comment}")


def _aspects(found: Agreement, out: Plain) -> None:
    looked = ", ".join(f"{aspect} {number:,}" for aspect, number in found.compared.items())
    out.line(f"  also compared: {looked or 'nothing'}; attempts discarded and repeated: {found.discarded}", "quiet")
    if found.uncounted:
        out.line(f"  {UNCOUNTED}", "quiet")


def render_situations(found: Situations, out: Plain) -> None:
    """Print how many steps met each situation that was sought, and name those that none met."""
    if found.sought is None:
        return
    width = max(map(len, KINDS)) + 2
    out.line(f"  {'steps that met':<{width}}" + "".join(f"{name:>10}" for name in OPERATIONS), "quiet")
    cells = [f"{count:,}" if can else "-" for count, can in zip(found.counts.tolist(), found.sought, strict=True)]
    for row, kind in enumerate(KINDS):
        numbers = cells[row * len(OPERATIONS) : (row + 1) * len(OPERATIONS)]
        out.line(f"  {kind:<{width}}" + "".join(f"{number:>10}" for number in numbers))
    if found.never:
        sought = np.count_nonzero(found.sought)
        out.item("!", f"never met, {len(found.never)} of {sought}: {found.never_text}", style="doubtful")


def _disagreement(one: Disagreement, out: Plain) -> None:
    out.line()
    out.item("✗", f"{one.shown.aspect}: {one.shown.what}", indent=0, style="bad")
    for line in text_of(one).splitlines():
        out.line(f"    {line}")


def text_of(one: Disagreement) -> str:
    """The scenario, with a comment at the step at which policy and kernel differ."""
    marked: Scenario = one.minimal
    items = list(marked.items)
    at = one.shown.number
    items[at] = replace(items[at], comment=f"# {one.shown.aspect}: {one.shown.what}")
    return format_scenario(replace(marked, items=tuple(items)))


def render_mutants(mutants: Sequence[Mutant], scenarios: int, out: Plain) -> None:
    """Print which mutants were caught, and by which scenario."""
    out.line(f"Self-test: {len(mutants)} wrong variants, {scenarios} scenarios", "strong")
    width = max((len(mutant.scheme.name) for mutant in mutants), default=0)
    for mutant in mutants:
        if mutant.caught:
            text = f"{mutant.scheme.name:<{width}}  by scenario {mutant.caught}: {mutant.difference}"
            out.item("✓ caught", text, style="good")
        else:
            out.item("✗ missed", f"{mutant.scheme.name:<{width}}  {mutant.scheme.policy.summary}", style="bad")
    missed = sum(not mutant.caught for mutant in mutants)
    out.line()
    out.line("All were caught." if not missed else f"{missed} of {len(mutants)} were missed.", "strong")


def data(found: Agreement, policy: str, kernel: str) -> dict[str, Any]:
    """The agreement as JSON values."""
    return {
        "schema": SCHEMA,
        "policy": policy,
        "kernel": kernel,
        "complete": found.complete,
        "hidden": found.hidden,
        "not_compared": ["population"] if found.uncounted else [],
        "scenarios": found.scenarios,
        "discarded": found.discarded,
        "failed": found.failed,
        "tally": [
            {"large": large, "model": model, "kernel": theirs, "writes": number}
            for (large, model, theirs), number in sorted(found.tally.items())
        ],
        "compared": found.compared,
        "situations": found.situations.by_name,
        "never_met": found.situations.never,
        "disagreements": [
            {
                "found": format_scenario(one.scenario),
                "minimal": text_of(one),
                "aspect": one.shown.aspect,
                "what": one.shown.what,
                "large": one.difference.large,
                "cause": one.difference.cause,
            }
            for one in found.disagreements
        ],
    }
