"""`foliolab check`: one line for each check as it ends, then the counterexamples and a summary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from foliolab.framework.report.pages.page import Page, Style

if TYPE_CHECKING:
    from foliolab.framework.verify.timeline import Timeline

SIGNS: Final[dict[str, tuple[str, Style]]] = {
    "passed": ("✓", "good"),
    "partly": ("◐", "good"),
    "failed": ("✗", "strong bad"),
    "undecided": ("?", "doubtful"),
    "skipped": ("–", "quiet"),
}
WIDTH: Final = 24
"""Columns for the names of checks."""
MEANING: Final = (
    "passed: nothing that was tried breaks it. partly: the same, but some attacks could not decide. "
    "undecided: not decided within the budget (--seconds)."
)


@dataclass(frozen=True)
class Line:
    """One check that has ended.

    Args:
        summary: what holds if it passes.
        verdict: passed, partly, failed, undecided or skipped.
        text: the failure, or what was covered.
        note: what a reader wants to know also of a check that passed.
    """

    name: str
    summary: str
    verdict: str
    text: str
    note: str = ""


@dataclass(frozen=True)
class Refutation:
    """The counterexample of a failed check.

    Args:
        timeline: the counterexample, played; None if there was no time for that.
        command: the command that steps through it.
    """

    name: str
    timeline: Timeline | None
    command: str


def show_line(line: Line, page: Page) -> None:
    """Print the line of a check that has ended."""
    sign, style = SIGNS[line.verdict]
    text = line.text if line.verdict in ("failed", "skipped") else line.note
    page.line(f"{sign} {line.name:<{WIDTH}} {line.verdict:<9}  {text}".rstrip(), style)


def show_end(policy: str, lines: Sequence[Line], refutations: Sequence[Refutation], seconds: float, page: Page) -> None:
    """Print the counterexamples, what each failed check requires, and the summary."""
    from foliolab.framework.report import interleaving

    for one in refutations:
        page.line()
        page.line(f"{one.name}: the shortest counterexample that was found", "strong")
        if one.timeline is not None:
            interleaving.render(one.timeline, page)
        page.line(f"  repeat it step by step: {one.command}", "quiet")
    failed = [line for line in lines if line.verdict == "failed"]
    if failed:
        page.line()
        page.line("Required", "strong")
        for line in failed:
            page.line(f"  {line.name}: {line.summary}")
    page.line()
    counts = ", ".join(f"{nr} {word}" for word in SIGNS if (nr := sum(line.verdict == word for line in lines)))
    verdict = "does not conform" if failed else "conforms"
    page.line(f"{policy} {verdict}: {counts}, {seconds:.1f} s", "strong bad" if failed else "strong good")
    page.line(f"  {MEANING}", "quiet")
