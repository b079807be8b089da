"""What `foliolab check` found: a line a check as it ends, then what to do about each that failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from foliolab.framework.report.pages.page import Page, Style

if TYPE_CHECKING:
    from foliolab.framework.verify.timeline import Timeline

SIGNS: Final[dict[str, tuple[str, Style]]] = {
    "passed": ("✓", "good"),
    "failed": ("✗", "strong bad"),
    "undecided": ("?", "doubtful"),
    "skipped": ("–", "quiet"),
}
WIDTH: Final = 24
"""Of the names of checks."""
MEANING: Final = "passed: not broken by what was tried. undecided: not found out within the budget (--seconds)."


@dataclass(frozen=True)
class Line:
    """One check that has ended.

    Args:
        name: of the check.
        summary: what holds where it passes.
        verdict: passed, failed, undecided or skipped.
        text: what is wrong, or what was covered.
        expected: why it was expected to fail; empty if it was not.
    """

    name: str
    summary: str
    verdict: str
    text: str
    expected: str = ""


@dataclass(frozen=True)
class Refutation:
    """A failed check's counterexample: played, if there was time; where it was written; what repeats it."""

    name: str
    timeline: Timeline | None
    command: str


def show_line(line: Line, page: Page) -> None:
    """Print a check that has ended."""
    sign, style = SIGNS[line.verdict]
    told = line.text if line.verdict in ("failed", "skipped") else ""
    page.line(f"{sign} {line.name:<{WIDTH}} {line.verdict:<9}  {told}".rstrip(), style)


def show_end(policy: str, lines: Sequence[Line], refutations: Sequence[Refutation], seconds: float, page: Page) -> None:
    """Print counterexamples, what to do about each failure, and the sum."""
    from foliolab.framework.report import interleaving

    for one in refutations:
        page.line()
        page.line(f"{one.name}: the shortest scenario that was found", "strong")
        if one.timeline is not None:
            interleaving.render(one.timeline, page)
        page.line(f"  repeat it step by step: {one.command}", "quiet")
    failed = [line for line in lines if line.verdict == "failed"]
    if failed:
        page.line()
        page.line("What would have to hold", "strong")
        for line in failed:
            page.line(f"  {line.name}: {line.summary}")
    page.line()
    counts = ", ".join(f"{nr} {word}" for word in SIGNS if (nr := sum(line.verdict == word for line in lines)))
    verdict = "does not conform" if failed else "conforms"
    page.line(f"{policy} {verdict}: {counts}, {seconds:.1f} s", "strong bad" if failed else "strong good")
    page.line(f"  {MEANING}", "quiet")
